//! The cells of claims, persistent volumes and storage classes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use crate::resource::Resource;

pub(super) fn names(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::PersistentVolumes => &[
            "Name",
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "Age",
            "+Node",
        ],
        Resource::StorageClasses => &[
            "Name",
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ],
        _ => &["Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "Age"],
    }
}

pub(super) fn claim_cells(name: Value, claim: &PersistentVolumeClaim, age: Value) -> Vec<Value> {
    let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
    let modes = status.and_then(|status| status.access_modes.as_deref());
    vec![
        name,
        text(status.and_then(|status| status.phase.as_deref())),
        text(spec.and_then(|spec| spec.volume_name.as_deref())),
        amount(status.and_then(|status| status.capacity.as_ref())),
        short(modes).into(),
        text(spec.and_then(|spec| spec.storage_class_name.as_deref())),
        age,
    ]
}

pub(super) fn volume_cells(name: Value, volume: &PersistentVolume, age: Value) -> Vec<Value> {
    let spec = volume.spec.as_ref();
    let claim = spec.and_then(|spec| spec.claim_ref.as_ref());
    let claim = claim.map(|claim| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}/{}", part(&claim.namespace), part(&claim.name))
    });
    vec![
        name,
        amount(spec.and_then(|spec| spec.capacity.as_ref())),
        short(spec.and_then(|spec| spec.access_modes.as_deref())).into(),
        text(spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref())),
        text(volume.status.as_ref().and_then(|status| status.phase.as_deref())),
        text(claim.as_deref()),
        text(spec.and_then(|spec| spec.storage_class_name.as_deref())),
        age,
        text(node_of(volume)),
    ]
}

/// The one node that it is on.
fn node_of(volume: &PersistentVolume) -> Option<&str> {
    let affinity = volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
    let [term] = affinity.node_selector_terms.as_slice() else { return None };
    let [requirement] = term.match_expressions.as_deref()? else { return None };
    match requirement.values.as_deref()? {
        [node] => Some(node),
        _ => None,
    }
}

pub(super) fn class_cells(name: Value, class: &StorageClass, age: Value) -> Vec<Value> {
    let annotations = class.metadata.annotations.as_ref();
    let is_default = annotations.is_some_and(|annotations| {
        let key = "storageclass.kubernetes.io/is-default-class";
        annotations.get(key).is_some_and(|value| value == "true")
    });
    let name = match is_default {
        true => format!("{} (default)", name.as_str().unwrap_or_default()).into(),
        false => name,
    };
    vec![
        name,
        class.provisioner.clone().into(),
        text(class.reclaim_policy.as_deref()),
        text(class.volume_binding_mode.as_deref()),
        class.allow_volume_expansion.unwrap_or(false).to_string().into(),
        age,
    ]
}

fn text(text: Option<&str>) -> Value {
    text.unwrap_or_default().into()
}

fn amount(amounts: Option<&BTreeMap<String, Quantity>>) -> Value {
    let storage = amounts.and_then(|amounts| amounts.get("storage"));
    storage.map(|quantity| quantity.0.clone()).unwrap_or_default().into()
}

/// As kubectl writes them.
fn short(modes: Option<&[String]>) -> String {
    let short = |mode: &String| match mode.as_str() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    modes.unwrap_or_default().iter().map(short).collect::<Vec<_>>().join(",")
}
