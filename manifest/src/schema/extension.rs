//! What extends a cluster: custom resources, webhooks, runtime classes.

use super::format::Format::Words;
use super::format::{BASE64, LABEL, QUALIFIED_NAME, SERVICE_NAME, SUBDOMAIN, WEBHOOK_NAME};
use super::metadata::LABEL_SELECTOR;
use super::placement::TOLERATION;
use super::value::{
    ANY, BOOL, COUNT, INT64_MAX, LABELS, NUMBER, QUANTITIES, TEXT, TEXTS, int, object, object_map,
    objects, text, texts, words,
};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, checked, table};
use crate::rules::extension;

pub(super) static CUSTOM_RESOURCE_DEFINITION: Schema = table(
    "CustomResourceDefinition",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("spec", object(&CUSTOM_RESOURCE_DEFINITION_SPEC)).required(),
        STATUS,
    ],
)
.with(&[extension::definition]);

pub(super) static CUSTOM_RESOURCE_DEFINITION_SPEC: Schema = table(
    "CustomResourceDefinitionSpec",
    &[
        checked("conversion", object(&CUSTOM_RESOURCE_CONVERSION)),
        checked("group", text(SUBDOMAIN)).required(),
        checked("names", object(&CUSTOM_RESOURCE_DEFINITION_NAMES)).required(),
        checked("preserveUnknownFields", BOOL),
        checked("scope", words(&["Cluster", "Namespaced"])).required(),
        checked("versions", objects(&CUSTOM_RESOURCE_DEFINITION_VERSION))
            .required()
            .unique_by("name"),
    ],
);

pub(super) static CUSTOM_RESOURCE_DEFINITION_NAMES: Schema = table(
    "CustomResourceDefinitionNames",
    &[
        checked("categories", texts(LABEL)),
        checked("kind", TEXT).required(),
        checked("listKind", TEXT),
        checked("plural", text(LABEL)).required(),
        checked("shortNames", texts(LABEL)),
        checked("singular", text(LABEL)),
    ],
);

pub(super) static CUSTOM_RESOURCE_DEFINITION_VERSION: Schema = table(
    "CustomResourceDefinitionVersion",
    &[
        checked("additionalPrinterColumns", objects(&CUSTOM_RESOURCE_COLUMN_DEFINITION)),
        checked("deprecated", BOOL),
        checked("deprecationWarning", TEXT),
        checked("name", text(LABEL)).required(),
        checked("schema", object(&CUSTOM_RESOURCE_VALIDATION)),
        checked("selectableFields", objects(&SELECTABLE_FIELD)),
        checked("served", BOOL).required(),
        checked("storage", BOOL).required(),
        checked("subresources", object(&CUSTOM_RESOURCE_SUBRESOURCES)),
    ],
);

pub(super) static CUSTOM_RESOURCE_COLUMN_DEFINITION: Schema = table(
    "CustomResourceColumnDefinition",
    &[
        checked("description", TEXT),
        checked("format", TEXT),
        checked("jsonPath", TEXT).required(),
        checked("name", TEXT).required(),
        checked("priority", COUNT),
        checked("type", words(&["integer", "number", "string", "boolean", "date"])).required(),
    ],
);

pub(super) static SELECTABLE_FIELD: Schema =
    table("SelectableField", &[checked("jsonPath", TEXT).required()]);

pub(super) static CUSTOM_RESOURCE_SUBRESOURCES: Schema = table(
    "CustomResourceSubresources",
    &[checked("scale", object(&CUSTOM_RESOURCE_SUBRESOURCE_SCALE)), checked("status", ANY)],
);

pub(super) static CUSTOM_RESOURCE_SUBRESOURCE_SCALE: Schema = table(
    "CustomResourceSubresourceScale",
    &[
        checked("labelSelectorPath", TEXT),
        checked("specReplicasPath", TEXT).required(),
        checked("statusReplicasPath", TEXT).required(),
    ],
);

pub(super) static CUSTOM_RESOURCE_VALIDATION: Schema =
    table("CustomResourceValidation", &[checked("openAPIV3Schema", object(&JSON_SCHEMA_PROPS))]);

pub(super) static JSON_SCHEMA_PROPS: Schema = table(
    "JSONSchemaProps",
    &[
        checked("$ref", TEXT),
        checked("$schema", TEXT),
        checked("additionalItems", ANY),
        checked("additionalProperties", ANY),
        checked("allOf", objects(&JSON_SCHEMA_PROPS)),
        checked("anyOf", objects(&JSON_SCHEMA_PROPS)),
        checked("default", ANY),
        checked("definitions", object_map(&JSON_SCHEMA_PROPS)),
        checked("dependencies", ANY),
        checked("description", TEXT),
        checked("enum", ANY),
        checked("example", ANY),
        checked("exclusiveMaximum", BOOL),
        checked("exclusiveMinimum", BOOL),
        checked("externalDocs", object(&EXTERNAL_DOCUMENTATION)),
        checked("format", TEXT),
        checked("id", TEXT),
        checked("items", ANY),
        checked("maxItems", int(0, INT64_MAX)),
        checked("maxLength", int(0, INT64_MAX)),
        checked("maxProperties", int(0, INT64_MAX)),
        checked("maximum", NUMBER),
        checked("minItems", int(0, INT64_MAX)),
        checked("minLength", int(0, INT64_MAX)),
        checked("minProperties", int(0, INT64_MAX)),
        checked("minimum", NUMBER),
        checked("multipleOf", NUMBER),
        checked("not", object(&JSON_SCHEMA_PROPS)),
        checked("nullable", BOOL),
        checked("oneOf", objects(&JSON_SCHEMA_PROPS)),
        checked("pattern", TEXT),
        checked("patternProperties", object_map(&JSON_SCHEMA_PROPS)),
        checked("properties", object_map(&JSON_SCHEMA_PROPS)),
        checked("required", TEXTS),
        checked("title", TEXT),
        checked("type", TEXT),
        checked("uniqueItems", BOOL),
        checked("x-kubernetes-embedded-resource", BOOL),
        checked("x-kubernetes-int-or-string", BOOL),
        checked("x-kubernetes-list-map-keys", TEXTS),
        checked("x-kubernetes-list-type", words(&["atomic", "set", "map"])),
        checked("x-kubernetes-map-type", words(&["atomic", "granular"])),
        checked("x-kubernetes-preserve-unknown-fields", BOOL),
        checked("x-kubernetes-validations", objects(&VALIDATION_RULE)),
    ],
);

pub(super) static EXTERNAL_DOCUMENTATION: Schema =
    table("ExternalDocumentation", &[checked("description", TEXT), checked("url", TEXT)]);

pub(super) static VALIDATION_RULE: Schema = table(
    "ValidationRule",
    &[
        checked("fieldPath", TEXT),
        checked("message", TEXT),
        checked("messageExpression", TEXT),
        checked("optionalOldSelf", BOOL),
        checked("reason", TEXT),
        checked("rule", TEXT).required(),
    ],
);

pub(super) static CUSTOM_RESOURCE_CONVERSION: Schema = table(
    "CustomResourceConversion",
    &[
        checked("strategy", words(&["None", "Webhook"])).required(),
        checked("webhook", object(&WEBHOOK_CONVERSION)),
    ],
)
.with(&[extension::conversion]);

pub(super) static WEBHOOK_CONVERSION: Schema = table(
    "WebhookConversion",
    &[
        checked("clientConfig", object(&CONVERSION_CLIENT_CONFIG)).required(),
        checked("conversionReviewVersions", TEXTS).required(),
    ],
);

pub(super) static CONVERSION_CLIENT_CONFIG: Schema = table(
    "WebhookClientConfig of a conversion",
    &[
        checked("caBundle", text(BASE64)),
        checked("service", object(&CONVERSION_SERVICE)),
        checked("url", TEXT),
    ],
)
.with(&[extension::client]);

pub(super) static CONVERSION_SERVICE: Schema = table(
    "ServiceReference of a conversion",
    &[
        checked("name", text(SERVICE_NAME)).required(),
        checked("namespace", text(LABEL)).required(),
        checked("path", TEXT),
        checked("port", int(1, 65_535)),
    ],
);

pub(super) static API_SERVICE: Schema = table(
    "APIService",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&API_SERVICE_SPEC)).required(), STATUS],
);

pub(super) static API_SERVICE_SPEC: Schema = table(
    "APIServiceSpec",
    &[
        checked("caBundle", text(BASE64)),
        checked("group", TEXT).required(),
        checked("groupPriorityMinimum", int(1, 20_000)).required(),
        checked("insecureSkipTLSVerify", BOOL),
        checked("service", object(&API_SERVICE_REFERENCE)),
        checked("version", TEXT).required(),
        checked("versionPriority", int(1, 1_000)).required(),
    ],
);

pub(super) static API_SERVICE_REFERENCE: Schema = table(
    "ServiceReference of an APIService",
    &[
        checked("name", text(SERVICE_NAME)),
        checked("namespace", text(LABEL)),
        checked("port", int(1, 65_535)),
    ],
);

pub(super) static MUTATING_WEBHOOK_CONFIGURATION: Schema = table(
    "MutatingWebhookConfiguration",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("webhooks", objects(&MUTATING_WEBHOOK)).unique_by("name"),
    ],
);

pub(super) static MUTATING_WEBHOOK: Schema = table(
    "MutatingWebhook",
    &[
        checked("admissionReviewVersions", TEXTS).required(),
        checked("clientConfig", object(&WEBHOOK_CLIENT_CONFIG)).required(),
        checked("failurePolicy", words(&["Ignore", "Fail"])),
        checked("matchConditions", objects(&MATCH_CONDITION)).unique_by("name"),
        checked("matchPolicy", words(&["Exact", "Equivalent"])),
        checked("name", text(WEBHOOK_NAME)).required(),
        checked("namespaceSelector", object(&LABEL_SELECTOR)),
        checked("objectSelector", object(&LABEL_SELECTOR)),
        checked("reinvocationPolicy", words(&["Never", "IfNeeded"])),
        checked("rules", objects(&RULE_WITH_OPERATIONS)),
        checked("sideEffects", words(&["None", "NoneOnDryRun"])).required(),
        checked("timeoutSeconds", int(1, 30)),
    ],
);

pub(super) static VALIDATING_WEBHOOK_CONFIGURATION: Schema = table(
    "ValidatingWebhookConfiguration",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("webhooks", objects(&VALIDATING_WEBHOOK)).unique_by("name"),
    ],
);

pub(super) static VALIDATING_WEBHOOK: Schema = table(
    "ValidatingWebhook",
    &[
        checked("admissionReviewVersions", TEXTS).required(),
        checked("clientConfig", object(&WEBHOOK_CLIENT_CONFIG)).required(),
        checked("failurePolicy", words(&["Ignore", "Fail"])),
        checked("matchConditions", objects(&MATCH_CONDITION)).unique_by("name"),
        checked("matchPolicy", words(&["Exact", "Equivalent"])),
        checked("name", text(WEBHOOK_NAME)).required(),
        checked("namespaceSelector", object(&LABEL_SELECTOR)),
        checked("objectSelector", object(&LABEL_SELECTOR)),
        checked("rules", objects(&RULE_WITH_OPERATIONS)),
        checked("sideEffects", words(&["None", "NoneOnDryRun"])).required(),
        checked("timeoutSeconds", int(1, 30)),
    ],
);

pub(super) static WEBHOOK_CLIENT_CONFIG: Schema = table(
    "WebhookClientConfig of a webhook",
    &[
        checked("caBundle", text(BASE64)),
        checked("service", object(&WEBHOOK_SERVICE)),
        checked("url", TEXT),
    ],
)
.with(&[extension::client]);

pub(super) static WEBHOOK_SERVICE: Schema = table(
    "ServiceReference of a webhook",
    &[
        checked("name", text(SERVICE_NAME)).required(),
        checked("namespace", text(LABEL)).required(),
        checked("path", TEXT),
        checked("port", int(1, 65_535)),
    ],
);

pub(super) static RULE_WITH_OPERATIONS: Schema = table(
    "RuleWithOperations",
    &[
        checked("apiGroups", TEXTS).required(),
        checked("apiVersions", TEXTS).required(),
        checked("operations", texts(Words(&["*", "CREATE", "UPDATE", "DELETE", "CONNECT"])))
            .required(),
        checked("resources", TEXTS).required(),
        checked("scope", words(&["Cluster", "Namespaced", "*"])),
    ],
);

pub(super) static MATCH_CONDITION: Schema = table(
    "MatchCondition",
    &[checked("expression", TEXT).required(), checked("name", text(QUALIFIED_NAME)).required()],
);

pub(super) static RUNTIME_CLASS: Schema = table(
    "RuntimeClass",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("handler", text(LABEL)).required(),
        checked("overhead", object(&OVERHEAD)),
        checked("scheduling", object(&SCHEDULING)),
    ],
);

pub(super) static OVERHEAD: Schema =
    table("Overhead", &[checked("podFixed", QUANTITIES).required()]);

pub(super) static SCHEDULING: Schema = table(
    "Scheduling",
    &[checked("nodeSelector", LABELS), checked("tolerations", objects(&TOLERATION))],
);
