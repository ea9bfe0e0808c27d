//! Where a container's environment, and files of a volume, come from.

use std::collections::BTreeSet;

use crate::decode::Part;
use crate::validate::{Context, View};

pub(crate) fn variable(variable: &View<'_>, _: &mut Context) {
    if variable.is_filled("value") && variable.has("valueFrom") {
        variable.fail_with("has both value and valueFrom", "keep one of them");
    }
}

pub(crate) fn source(source: &View<'_>, _: &mut Context) {
    source.exactly_one(&[
        "configMapKeyRef",
        "secretKeyRef",
        "fieldRef",
        "resourceFieldRef",
        "fileKeyRef",
    ]);
}

pub(crate) fn set(set: &View<'_>, _: &mut Context) {
    set.exactly_one(&["configMapRef", "secretRef"]);
}

pub(crate) fn config_map_key(selector: &View<'_>, context: &mut Context) {
    refer_to_key(selector, "ConfigMap", context);
}

pub(crate) fn secret_key(selector: &View<'_>, context: &mut Context) {
    refer_to_key(selector, "Secret", context);
}

fn refer_to_key(selector: &View<'_>, kind: &'static str, context: &mut Context) {
    if selector.is_true("optional") {
        return;
    }
    if let (Some(name), Some(key)) = (selector.text("name"), selector.get("key"))
        && let Some(text) = key.as_text()
    {
        context.refer_unless_optional(kind, name, Part::Key(text.to_owned()), &key);
    }
}

/// All of a config map, or the items of it that are named.
pub(crate) fn config_map(reference: &View<'_>, context: &mut Context) {
    refer_to_items(reference, "ConfigMap", "name", context);
}

pub(crate) fn secret(reference: &View<'_>, context: &mut Context) {
    refer_to_items(reference, "Secret", "name", context);
}

pub(super) fn refer_to_items(
    reference: &View<'_>,
    kind: &'static str,
    field: &'static str,
    context: &mut Context,
) {
    if reference.is_true("optional") {
        return;
    }
    let Some(name) = reference.get(field) else { return };
    let Some(text) = name.as_text() else { return };
    if reference.count("items") == 0 {
        context.refer_unless_optional(kind, text, Part::Whole, &name);
    }
    reference.each("items", |item| {
        if let Some(key) = item.get("key")
            && let Some(wanted) = key.as_text()
        {
            context.refer_unless_optional(kind, text, Part::Key(wanted.to_owned()), &key);
        }
    });
}

/// Which of a container's resources may be handed to it.
pub(crate) fn resource_field(selector: &View<'_>, _: &mut Context) {
    let Some(value) = selector.get("resource") else { return };
    let Some(text) = value.as_text() else { return };
    let known = text
        .strip_prefix("limits.")
        .or_else(|| text.strip_prefix("requests."))
        .is_some_and(|name| {
            matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
        });
    if !known && !text.is_empty() {
        value.fail_with(
            format!("{} is not a resource that can be handed on", value.quote(text)),
            "write requests. or limits. before cpu, memory, ephemeral-storage or hugepages-SIZE",
        );
    }
}

/// A variable or a file that holds what a container may use names one that there is.
pub(super) fn check_resource_containers(spec: &View<'_>) {
    let mut names = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        spec.each(list, |container| names.extend(container.text("name").map(str::to_owned)));
    }
    let check = |selector: &View<'_>| {
        let Some(name) = selector.get("containerName") else { return };
        if let Some(text) = name.as_text()
            && !text.is_empty()
            && !names.contains(text)
        {
            let message = format!("the pod has no container {}", name.quote(text));
            name.fail_with(message, "name one of its containers, or remove this for its own");
        }
    };
    for list in ["containers", "initContainers"] {
        spec.each(list, |container| {
            container.each("env", |variable| {
                variable.within("valueFrom", |from| from.within("resourceFieldRef", check));
            });
        });
    }
    let check_files = |source: &View<'_>| {
        source.within("downwardAPI", |fields| {
            fields.each("items", |item| {
                item.within("resourceFieldRef", check);
            });
        });
    };
    spec.each("volumes", |volume| {
        check_files(volume);
        volume.within("projected", |projected| projected.each("sources", check_files));
    });
}
