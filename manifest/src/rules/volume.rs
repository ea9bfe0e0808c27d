//! Volumes of pods.

use std::collections::BTreeSet;

use super::env::refer_to_items;
use crate::decode::Part;
use crate::validate::{Context, View};

/// A volume has one source. None is an empty directory, as Kubernetes fills in.
pub(crate) fn volume(volume: &View<'_>, _: &mut Context) {
    let entries = volume.value().entries().unwrap_or_default();
    let sources: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.key != "name" && !entry.node.is_null())
        .map(|entry| &*entry.key)
        .collect();
    if sources.len() > 1 {
        let hint = format!("here are {}; make a volume of each", sources.join(", "));
        volume.fail_with("must have one source", hint);
    }
}

pub(crate) fn secret(source: &View<'_>, context: &mut Context) {
    refer_to_items(source, "Secret", "secretName", context);
}

pub(crate) fn claim(source: &View<'_>, context: &mut Context) {
    if let Some(name) = source.get("claimName") {
        context.refer("PersistentVolumeClaim", &name, Part::Whole);
    }
}

pub(crate) fn downward_file(file: &View<'_>, _: &mut Context) {
    file.exactly_one(&["fieldRef", "resourceFieldRef"]);
    file.within("resourceFieldRef", |reference| {
        if !reference.is_filled("containerName") {
            reference.fail_at("containerName", "is required in a volume", "name the container");
        }
    });
}

pub(crate) fn projection(projection: &View<'_>, _: &mut Context) {
    projection.exactly_one(&[
        "secret",
        "configMap",
        "downwardAPI",
        "serviceAccountToken",
        "clusterTrustBundle",
        "podCertificate",
    ]);
}

/// A path in a projected volume comes from one source, as far as paths are written.
pub(crate) fn projected(volume: &View<'_>, _: &mut Context) {
    let mut taken = BTreeSet::new();
    volume.each("sources", |source| {
        for kind in ["secret", "configMap", "downwardAPI"] {
            source.within(kind, |source| {
                source.each("items", |item| {
                    if let Some(path) = item.get("path")
                        && let Some(text) = path.as_text()
                        && !taken.insert(text.to_owned())
                    {
                        let message = format!("the path {} stands here twice", path.quote(text));
                        path.fail(message);
                    }
                });
            });
        }
    });
}
