//! What a kustomization does to every object: namespace, names, labels, annotations, replicas, images.

use regex::Regex;

use super::edit::{self, Fault, Owned, Weight, get, int_node, map_at, set, text, text_node};
use super::field_specs::{
    ANNOTATIONS, METADATA_LABELS, NAMESPACES, REPLICAS, SELECTORS, Spec, TEMPLATE_LABELS, split,
    visit,
};
use super::file::{ImageRule, LabelReach, LabelRule, ReplicaRule, Text};
use super::load::{Loader, Stop};
use super::resource::Resource;
use crate::problems::quoted;
use crate::yaml::{Node, Position, Value};

/// Puts every object that can be in a namespace into one.
pub(super) fn namespace(
    resources: &mut [Resource],
    namespace: &Text,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    for resource in resources {
        loader.pay(Weight { nodes: 2, bytes: namespace.text.len() }, namespace.at)?;
        resource.remember();
        if !resource.current_type().is_cluster_scoped()
            && let Some(metadata) = map_at(&mut resource.node, "metadata", namespace.at)
        {
            set(metadata, "namespace", node_of(namespace));
        }
        if matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding") {
            default_subjects(&mut resource.node, namespace);
        }
        for spec in NAMESPACES {
            set_value(resource, spec, &node_of(namespace), namespace.at, loader);
        }
    }
    Ok(())
}

/// Of the subjects of a binding, the account that every namespace has moves along. The others follow
/// when the account that they name is among the objects.
fn default_subjects(binding: &mut Owned, namespace: &Text) {
    let Some(Node { value: Value::List(subjects), .. }) = edit::get_mut(binding, "subjects") else {
        return;
    };
    for subject in subjects {
        if get(subject, "name").and_then(text) == Some("default") {
            set(subject, "namespace", node_of(namespace));
        }
    }
}

/// Which part of a name is added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Affix {
    Prefix,
    Suffix,
}

pub(super) fn affix(resources: &mut [Resource], affix: &Text, which: Affix) {
    for resource in resources {
        let original = resource.original_id().of;
        let keeps_name = matches!(original.kind.as_str(), "CustomResourceDefinition" | "Namespace")
            || original.kind == "APIService" && original.group == "apiregistration.k8s.io";
        if keeps_name {
            continue;
        }
        resource.remember();
        let name = match which {
            Affix::Prefix => {
                resource.prefixes.push(affix.text.clone());
                format!("{}{}", affix.text, resource.name())
            }
            Affix::Suffix => {
                resource.suffixes.push(affix.text.clone());
                format!("{}{}", resource.name(), affix.text)
            }
        };
        rename(resource, &name);
    }
}

/// Changes the name of an object; it stands where the old one stood.
pub(super) fn rename(resource: &mut Resource, name: &str) {
    let Some(metadata) = edit::get_mut(&mut resource.node, "metadata") else { return };
    let at = get(metadata, "name").map_or(metadata.at, |name| name.at);
    set(metadata, "name", text_node(name, at));
}

pub(super) fn labels(
    resources: &mut [Resource],
    rule: &LabelRule,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let mut specs: Vec<Spec<'_>> = vec![METADATA_LABELS];
    specs.extend(rule.fields.iter().map(|field| Spec {
        group: &field.group,
        version: &field.version,
        kind: &field.kind,
        path: &field.path,
        create: field.create,
    }));
    if rule.reach != LabelReach::Metadata {
        specs.extend(TEMPLATE_LABELS);
    }
    if rule.reach == LabelReach::Selectors {
        specs.extend(SELECTORS);
    }
    tags(resources, &specs, &rule.pairs, loader)
}

pub(super) fn annotations(
    resources: &mut [Resource],
    pairs: &[(String, Text)],
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    tags(resources, ANNOTATIONS, pairs, loader)
}

fn tags(
    resources: &mut [Resource],
    specs: &[Spec<'_>],
    pairs: &[(String, Text)],
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let Some((_, first)) = pairs.first() else { return Ok(()) };
    let bytes = pairs.iter().map(|(key, value)| key.len() + value.text.len()).sum();
    for resource in resources {
        let of = resource.current_type();
        for spec in specs.iter().filter(|spec| spec.applies(&of)) {
            loader.pay(Weight { nodes: pairs.len() + 1, bytes }, first.at)?;
            let create = spec.create.then_some(first.at);
            let changed = visit(&mut resource.node, &split(spec.path), create, &mut |node| {
                for (key, value) in pairs {
                    set(node, key, node_of(value));
                }
                Ok(())
            });
            resource.is_broken |= loader.check(changed).is_none();
        }
    }
    Ok(())
}

/// Sets the plain value at the end of a path.
fn set_value(
    resource: &mut Resource,
    spec: &Spec<'_>,
    value: &Owned,
    at: Position,
    loader: &mut Loader<'_>,
) {
    if spec.applies(&resource.current_type()) {
        let create = spec.create.then_some(at);
        let changed = visit(&mut resource.node, &split(spec.path), create, &mut |node| {
            *node = value.clone();
            Ok(())
        });
        resource.is_broken |= loader.check(changed).is_none();
    }
}

pub(super) fn replicas(resources: &mut [Resource], rule: &ReplicaRule, loader: &mut Loader<'_>) {
    let at = rule.name.at;
    let mut found = false;
    for resource in resources.iter_mut() {
        for spec in REPLICAS {
            let fits = |id: super::resource::Id| id.name == rule.name.text && spec.applies(&id.of);
            if resource.all_ids().any(fits) {
                found = true;
                set_value(resource, spec, &int_node(rule.count, at), at, loader);
            }
        }
    }
    if !found {
        let message = format!(
            "there is no Deployment, StatefulSet, ReplicaSet or ReplicationController {}",
            quoted(&rule.name.text)
        );
        loader.tell(Fault::new(at, message).of_missing());
    }
}

pub(super) fn image(resources: &mut [Resource], rule: &ImageRule, loader: &mut Loader<'_>) {
    let Some(pattern) = loader.check(image_pattern(&rule.name)) else { return };
    for resource in resources {
        if resource.kind() != "CustomResourceDefinition" {
            set_images(&mut resource.node, rule, &pattern);
        }
    }
}

/// The name of an image is a pattern in the reference, and people use that.
fn image_pattern(name: &Text) -> Result<Regex, Fault> {
    let pattern = format!(
        "^(?:{})(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z][a-zA-Z0-9]*:[a-zA-Z0-9_.{{}}-]*)?$",
        name.text
    );
    Regex::new(&pattern)
        .map_err(|_| Fault::new(name.at, format!("{} is no name of an image", quoted(&name.text))))
}

/// The images of all lists of containers, wherever in the object they are.
fn set_images(node: &mut Owned, rule: &ImageRule, pattern: &Regex) {
    match &mut node.value {
        Value::List(items) => {
            items.iter_mut().for_each(|item| set_images(item, rule, pattern));
        }
        Value::Map(entries) => {
            for entry in entries {
                set_images(&mut entry.node, rule, pattern);
                if let ("containers" | "initContainers", Value::List(containers)) =
                    (&*entry.key, &mut entry.node.value)
                {
                    containers.iter_mut().for_each(|one| set_image(one, rule, pattern));
                }
            }
        }
        Value::Scalar { .. } => {}
    }
}

fn set_image(container: &mut Owned, rule: &ImageRule, pattern: &Regex) {
    let Some(old) = get(container, "image").and_then(text) else { return };
    if !pattern.is_match(old) {
        return;
    }
    let (name, tag, digest) = split_image(old);
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut image = given(&rule.new_name).unwrap_or_else(|| name.to_owned());
    let (tag, digest) = match (given(&rule.new_tag), given(&rule.digest), given(&rule.tag_suffix)) {
        (None, None, None) => (tag.to_owned(), digest.to_owned()),
        (None, None, Some(suffix)) => (format!("{tag}{suffix}"), String::new()),
        (tag, digest, _) => (tag.unwrap_or_default(), digest.unwrap_or_default()),
    };
    if !tag.is_empty() {
        image = format!("{image}:{tag}");
    }
    if !digest.is_empty() {
        image = format!("{image}@{digest}");
    }
    // A wrong image is to be mended where its tag is written.
    set(container, "image", text_node(image, rule.name.at));
}

/// Name, tag and digest; a colon before the first slash belongs to a port.
fn split_image(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let start = rest.find('/').unwrap_or(0);
    match rest[start..].find(':') {
        Some(colon) => (&rest[..start + colon], &rest[start + colon + 1..], digest),
        None => (rest, "", digest),
    }
}

pub(super) fn node_of(text: &Text) -> Owned {
    text_node(text.text.clone(), text.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_three_parts() {
        assert_eq!(split_image("a"), ("a", "", ""));
        assert_eq!(split_image("a:1"), ("a", "1", ""));
        assert_eq!(split_image("r:5000/a"), ("r:5000/a", "", ""));
        assert_eq!(split_image("r:5000/a/b:1@sha256:0"), ("r:5000/a/b", "1", "sha256:0"));
        assert_eq!(split_image("a@sha256:0"), ("a", "", "sha256:0"));
    }
}
