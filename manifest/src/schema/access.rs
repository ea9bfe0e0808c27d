//! Who may do what at an API server: service accounts and roles.

use super::format::{LABEL, PATH_SEGMENT};
use super::metadata::LABEL_SELECTOR;
use super::pod::LOCAL_OBJECT_REFERENCE;
use super::storage::OBJECT_REFERENCE;
use super::value::{BOOL, TEXT, TEXTS, object, objects, text, words};
use super::{API_VERSION, KIND, METADATA, Schema, checked, table};
use crate::rules::access;

pub(super) static SERVICE_ACCOUNT: Schema = table(
    "ServiceAccount",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("automountServiceAccountToken", BOOL),
        checked("imagePullSecrets", objects(&LOCAL_OBJECT_REFERENCE)),
        checked("secrets", objects(&OBJECT_REFERENCE)),
    ],
)
.with(&[access::service_account]);

pub(super) static ROLE: Schema =
    table("Role", &[API_VERSION, KIND, METADATA, checked("rules", objects(&POLICY_RULE))])
        .with(&[access::role]);

pub(super) static CLUSTER_ROLE: Schema = table(
    "ClusterRole",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("aggregationRule", object(&AGGREGATION_RULE)),
        checked("rules", objects(&POLICY_RULE)),
    ],
);

pub(super) static AGGREGATION_RULE: Schema =
    table("AggregationRule", &[checked("clusterRoleSelectors", objects(&LABEL_SELECTOR))]);

pub(super) static POLICY_RULE: Schema = table(
    "PolicyRule",
    &[
        checked("apiGroups", TEXTS),
        checked("nonResourceURLs", TEXTS),
        checked("resourceNames", TEXTS),
        checked("resources", TEXTS),
        checked("verbs", TEXTS).required(),
    ],
)
.with(&[access::policy_rule]);

pub(super) static ROLE_BINDING: Schema = table(
    "RoleBinding",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("roleRef", object(&ROLE_REF)).required(),
        checked("subjects", objects(&SUBJECT)),
    ],
);

pub(super) static CLUSTER_ROLE_BINDING: Schema = table(
    "ClusterRoleBinding",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("roleRef", object(&ROLE_REF)).required(),
        checked("subjects", objects(&SUBJECT)),
    ],
);

pub(super) static ROLE_REF: Schema = table(
    "RoleRef",
    &[
        checked("apiGroup", words(&["rbac.authorization.k8s.io"])),
        checked("kind", words(&["Role", "ClusterRole"])).required(),
        checked("name", text(PATH_SEGMENT)).required(),
    ],
);

pub(super) static SUBJECT: Schema = table(
    "Subject",
    &[
        checked("apiGroup", words(&["rbac.authorization.k8s.io"])),
        checked("kind", words(&["User", "Group", "ServiceAccount"])).required(),
        checked("name", TEXT).required(),
        checked("namespace", text(LABEL)),
    ],
)
.with(&[access::subject]);
