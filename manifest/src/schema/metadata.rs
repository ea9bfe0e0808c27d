//! The fields of `metadata`.

use super::{Field, Schema, acted, notice, refused, required};

const SERVER_SET: &str =
    "is set by a Kubernetes API server and has no effect in a manifest; remove it";

/// The fields that every metadata has and nobody should write.
const fn server_set(name: &'static str) -> Field {
    notice(name, SERVER_SET)
}

pub(crate) static OBJECT_METADATA: Schema = Schema {
    name: "ObjectMeta",
    fields: &[
        required("name"),
        acted("namespace"),
        acted("labels"),
        acted("annotations"),
        refused(
            "generateName",
            "an object in Git needs a name that stays the same; write metadata.name",
        ),
        refused("ownerReferences", "owners are found by Dugout itself and cannot be declared"),
        refused("finalizers", "Dugout has no finalizers: an object goes when it leaves Git"),
        server_set("creationTimestamp"),
        server_set("deletionGracePeriodSeconds"),
        server_set("deletionTimestamp"),
        server_set("generation"),
        server_set("managedFields"),
        server_set("resourceVersion"),
        server_set("selfLink"),
        server_set("uid"),
    ],
};

const TEMPLATE_NAME: &str = "has no effect in a pod template: each pod gets a name of its own";

/// `metadata` of a pod template.
pub(crate) static TEMPLATE_METADATA: Schema = Schema {
    name: "ObjectMeta of a pod template",
    fields: &[
        acted("labels"),
        acted("annotations"),
        notice("name", TEMPLATE_NAME),
        notice("namespace", "has no effect in a pod template: pods are where their owner is"),
        notice("generateName", TEMPLATE_NAME),
        refused("ownerReferences", "owners are found by Dugout itself and cannot be declared"),
        refused("finalizers", "Dugout has no finalizers: a pod goes when it has ended"),
        server_set("creationTimestamp"),
        server_set("deletionGracePeriodSeconds"),
        server_set("deletionTimestamp"),
        server_set("generation"),
        server_set("managedFields"),
        server_set("resourceVersion"),
        server_set("selfLink"),
        server_set("uid"),
    ],
};
