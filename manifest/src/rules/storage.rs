//! Claims and persistent volumes.

use super::admission;
use crate::quantity::Quantity;
use crate::validate::{Context, View};

pub(crate) fn claim(spec: &View<'_>, context: &mut Context) {
    admission::note_claim(spec, context);
    check_access_modes(spec);
    let storage = spec
        .within("resources", |resources| {
            resources.within("requests", |requests| requests.has("storage")).unwrap_or(false)
        })
        .unwrap_or(false);
    if !storage {
        spec.fail_at(
            "resources",
            "must request storage",
            "write resources: {requests: {storage: 1Gi}}",
        );
    }
    spec.within("resources", |resources| {
        resources.within("requests", check_more_than_none);
    });
}

/// A volume without any room is none.
fn check_more_than_none(amounts: &View<'_>) {
    let Some(value) = amounts.get("storage") else { return };
    let quantity = value.as_written().and_then(|text| Quantity::parse(text).ok());
    if quantity.and_then(|quantity| quantity.millis().ok()) == Some(0) {
        value.fail_with("must be more than 0", "write one like 1Gi");
    }
}

/// Fields of a persistent volume that are no source.
const OTHER_FIELDS: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(crate) fn volume(spec: &View<'_>, _: &mut Context) {
    check_access_modes(spec);
    if !spec.within("capacity", |capacity| capacity.has("storage")).unwrap_or(false) {
        spec.fail_at("capacity", "must say how much storage there is", "write {storage: 1Gi}");
    }
    spec.within("capacity", check_more_than_none);
    let sources: Vec<&str> = spec
        .value()
        .entries()
        .unwrap_or_default()
        .iter()
        .filter(|entry| !OTHER_FIELDS.contains(&&*entry.key) && !entry.node.is_null())
        .map(|entry| &*entry.key)
        .collect();
    match sources.as_slice() {
        [_] => {}
        [] => spec.fail_with("must have a source", "as local, hostPath or nfs"),
        several => {
            spec.fail_with("must have one source", format!("here are {}", several.join(", ")));
        }
    }
    if spec.has("local")
        && !spec.within("nodeAffinity", |affinity| affinity.has("required")).unwrap_or(false)
    {
        spec.fail_at("nodeAffinity", "is required for a local volume", "name the node it is on");
    }
    let recycles = spec.text("persistentVolumeReclaimPolicy") == Some("Recycle");
    if recycles && spec.within("hostPath", |source| source.text("path") == Some("/")) == Some(true)
    {
        spec.fail_at(
            "persistentVolumeReclaimPolicy",
            "must not be Recycle for the path /",
            "use Retain",
        );
    }
}

fn check_access_modes(spec: &View<'_>) {
    let modes = spec.texts("accessModes");
    if modes.is_empty() {
        spec.fail_at("accessModes", "must list at least one mode", "write [ReadWriteOnce]");
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        spec.fail_at(
            "accessModes",
            "must not list another mode beside ReadWriteOncePod",
            "keep one",
        );
    }
}
