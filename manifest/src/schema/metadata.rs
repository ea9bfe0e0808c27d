//! The fields of `metadata`, and selectors of labels.

use super::format::Format::{Any, Free};
use super::format::{ANNOTATION_KEY, LABEL, LABEL_VALUE, QUALIFIED_NAME, SUBDOMAIN, TIME};
use super::value::{BOOL, INT64_MAX, LABELS, TEXT, Type, int, objects, text, text_map, texts};
use super::{Field, Schema, acted, checked, notice, refused, table, words};
use crate::rules::metadata;

const SERVER_SET: &str =
    "is set by a Kubernetes API server and has no effect in a manifest; remove it";
const OWNERS: &str = "owners are found by Dugout itself and cannot be declared";

/// A field that every metadata has and nobody should write.
const fn server_set(name: &'static str, value: Type) -> Field {
    notice(name, value, SERVER_SET)
}

const ANNOTATIONS: Type = text_map(ANNOTATION_KEY, Free);
const CREATION_TIMESTAMP: Field = server_set("creationTimestamp", text(TIME));
const DELETION_GRACE: Field = server_set("deletionGracePeriodSeconds", int(0, INT64_MAX));
const DELETION_TIMESTAMP: Field = server_set("deletionTimestamp", text(TIME));
const GENERATION: Field = server_set("generation", int(0, INT64_MAX));
const MANAGED_FIELDS: Field = server_set("managedFields", Type::Any);
const RESOURCE_VERSION: Field = server_set("resourceVersion", TEXT);
const SELF_LINK: Field = server_set("selfLink", TEXT);
const UID: Field = server_set("uid", TEXT);

/// The form of `name` depends on the kind and is checked with it.
pub(super) static OBJECT_METADATA: Schema = table(
    "ObjectMeta",
    &[
        acted("name", text(Any)).required(),
        acted("namespace", text(LABEL)),
        acted("labels", LABELS),
        acted("annotations", ANNOTATIONS),
        refused(
            "generateName",
            TEXT,
            "an object in Git needs a name that stays the same; write metadata.name",
        ),
        refused("ownerReferences", objects(&OWNER_REFERENCE), OWNERS),
        refused(
            "finalizers",
            texts(QUALIFIED_NAME),
            "Dugout has no finalizers: an object goes when it leaves Git",
        ),
        CREATION_TIMESTAMP,
        DELETION_GRACE,
        DELETION_TIMESTAMP,
        GENERATION,
        MANAGED_FIELDS,
        RESOURCE_VERSION,
        SELF_LINK,
        UID,
    ],
)
.with(&[metadata::object]);

const TEMPLATE_NAME: &str = "has no effect in a template: each pod gets a name of its own";

/// `metadata` of a template: names come from the owner.
pub(super) static TEMPLATE_METADATA: Schema = table(
    "ObjectMeta of a template",
    &[
        acted("labels", LABELS),
        acted("annotations", ANNOTATIONS),
        notice("name", text(SUBDOMAIN), TEMPLATE_NAME),
        notice(
            "namespace",
            text(LABEL),
            "has no effect in a template: pods are where their owner is",
        ),
        notice("generateName", TEXT, TEMPLATE_NAME),
        refused("ownerReferences", objects(&OWNER_REFERENCE), OWNERS),
        refused(
            "finalizers",
            texts(QUALIFIED_NAME),
            "Dugout has no finalizers: a pod goes when it has ended",
        ),
        CREATION_TIMESTAMP,
        DELETION_GRACE,
        DELETION_TIMESTAMP,
        GENERATION,
        MANAGED_FIELDS,
        RESOURCE_VERSION,
        SELF_LINK,
        UID,
    ],
)
.with(&[metadata::template]);

/// `metadata` of a stateful set's claims, whose name comes before the pod's.
pub(super) static CLAIM_METADATA: Schema = table(
    "ObjectMeta of a claim template",
    &[
        acted("name", text(SUBDOMAIN)).required(),
        notice(
            "namespace",
            text(LABEL),
            "has no effect in a template: claims are where their pods are",
        ),
        acted("labels", LABELS),
        acted("annotations", ANNOTATIONS),
        notice("generateName", TEXT, "has no effect: a claim is named by its template and its pod"),
        refused("ownerReferences", objects(&OWNER_REFERENCE), OWNERS),
        refused(
            "finalizers",
            texts(QUALIFIED_NAME),
            "Dugout has no finalizers: a claim stays while a pod uses it",
        ),
        CREATION_TIMESTAMP,
        DELETION_GRACE,
        DELETION_TIMESTAMP,
        GENERATION,
        MANAGED_FIELDS,
        RESOURCE_VERSION,
        SELF_LINK,
        UID,
    ],
)
.with(&[metadata::template]);

static OWNER_REFERENCE: Schema = table(
    "OwnerReference",
    &[
        checked("apiVersion", TEXT).required(),
        checked("kind", TEXT).required(),
        checked("name", TEXT).required(),
        checked("uid", TEXT).required(),
        checked("controller", BOOL),
        checked("blockOwnerDeletion", BOOL),
    ],
);

pub(super) static LABEL_SELECTOR: Schema = table(
    "LabelSelector",
    &[
        acted("matchLabels", LABELS),
        acted("matchExpressions", objects(&LABEL_SELECTOR_REQUIREMENT)),
    ],
);

static LABEL_SELECTOR_REQUIREMENT: Schema = table(
    "LabelSelectorRequirement",
    &[
        acted("key", text(QUALIFIED_NAME)).required(),
        acted("operator", words(&["In", "NotIn", "Exists", "DoesNotExist"])).required(),
        acted("values", texts(LABEL_VALUE)),
    ],
)
.with(&[metadata::requirement]);
