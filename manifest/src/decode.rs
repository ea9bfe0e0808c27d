//! From a tree to the object it declares, with Kubernetes' defaults filled in.
//!
//! Decoders go on after a problem with any value in its place, so that all problems are told at once;
//! an object with an error is never handed out.

use std::sync::Arc;

use dugout_model::{DeclaredObject, Kind, NamespaceName, ObjectId, ObjectKey, ObjectSpec, Origin};

use crate::reader::{Object, Place, Report, Value};
use crate::schema::{Handling, KINDS, REMOVED, Schema, nearest};
use crate::yaml::{Node, Value as Tree};

mod config;
mod container;
mod deployment;
mod env;
mod metadata;
mod probe;
mod resources;
mod service;

/// One document that is an object of a kind that Dugout reads.
#[derive(Clone, Debug)]
pub(crate) struct ParsedObject {
    pub id: ObjectId,
    pub place: Place,
    /// Where `metadata.namespace` stands, if it is written.
    pub namespace_place: Option<Place>,
    /// Absent when the object has errors; then its existence is all that is known of it.
    pub declared: Option<Arc<DeclaredObject>>,
    pub links: Links,
}

/// What an object says about others, to be checked when all are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub references: Vec<Reference>,
    /// Of a service: where each of its ports names its target, in the order of the ports.
    pub target_ports: Vec<Place>,
    /// Of a service: the ports of the nodes it takes.
    pub node_ports: Vec<(u16, Place)>,
}

/// A config map or secret that a container's environment needs.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub kind: Kind,
    pub name: String,
    /// Absent when all keys are taken.
    pub key: Option<String>,
    pub place: Place,
}

/// What came of a document.
pub(crate) enum Decoded {
    Object(Box<ParsedObject>),
    /// Valid, and without effect here.
    WithoutEffect,
    /// A kind that is not supported, and that nothing which is read could refer to but services.
    Refused,
    /// It is not known which object this is; the report says why.
    Unknown,
}

/// Reads one document.
pub(crate) fn decode(root: &Node<'_>, report: &Report) -> Decoded {
    let value = Value::root(root, report, None);
    let Some((api_version, kind_name)) = type_of(root, &value) else { return Decoded::Unknown };
    let entry =
        KINDS.iter().find(|entry| entry.kind == kind_name && entry.api_version == api_version);
    match entry.map(|entry| &entry.handling) {
        Some(Handling::Read { kind, schema }) => decode_known(root, report, *kind, schema),
        Some(Handling::Notice(why)) => {
            value.notice(format!("a {kind_name} {why}"));
            Decoded::WithoutEffect
        }
        Some(Handling::Refused(why)) => {
            value.fail(format!("Dugout does not support {kind_name}: {why}"));
            if matches!(kind_name, "List" | "Kustomization" | "Component") {
                // They hold or make other objects.
                return Decoded::Unknown;
            }
            Decoded::Refused
        }
        None => {
            tell_unknown_type(&value, api_version, kind_name);
            Decoded::Unknown
        }
    }
}

/// `apiVersion` and `kind`.
fn type_of<'a>(root: &'a Node<'_>, value: &Value<'_>) -> Option<(&'a str, &'a str)> {
    let Tree::Map(entries) = &root.value else {
        value.fail("a document must be a map with apiVersion and kind");
        return None;
    };
    let text = |name: &str| {
        entries.iter().find(|entry| entry.key == name).and_then(|entry| match &entry.node.value {
            Tree::Scalar { text, .. } if !text.is_empty() && !entry.node.is_null() => Some(&**text),
            _ => None,
        })
    };
    let hint = "if it is meant for another program, move it out of the source's path";
    match (text("apiVersion"), text("kind")) {
        (Some(api_version), Some(kind)) => Some((api_version, kind)),
        (None, None) => {
            value.fail_with("this is no Kubernetes object: apiVersion and kind are missing", hint);
            None
        }
        (None, Some(kind)) => {
            let known = KINDS.iter().find(|entry| entry.kind == kind);
            match known {
                Some(entry) => value.fail_with(
                    "apiVersion is missing",
                    format!("a {kind} is in {}", entry.api_version),
                ),
                None => value.fail_with("apiVersion is missing", hint),
            }
            None
        }
        (Some(_), None) => {
            value.fail_with("kind is missing", hint);
            None
        }
    }
}

fn tell_unknown_type(value: &Value<'_>, api_version: &str, kind_name: &str) {
    let shown = |text: &str| crate::problems::quoted(text);
    let removed = REMOVED
        .iter()
        .find(|removed| removed.kind == kind_name && removed.api_version == api_version);
    if let Some(removed) = removed {
        let message = format!(
            "Kubernetes no longer serves {kind_name} in {api_version}; that version was removed"
        );
        value.fail_with(message, format!("use {}", removed.instead));
        return;
    }
    if let Some(entry) = KINDS.iter().find(|entry| entry.kind == kind_name) {
        let message = format!("there is no {kind_name} in {}", shown(api_version));
        value.fail_with(message, format!("use {}", entry.api_version));
        return;
    }
    let core = !api_version.contains('/')
        || KINDS
            .iter()
            .any(|entry| entry.api_version.contains('/') && entry.api_version == api_version);
    if core {
        let message = format!("there is no kind {} in {}", shown(kind_name), shown(api_version));
        match nearest(kind_name, KINDS.iter().map(|entry| entry.kind)) {
            Some(name) => value.fail_with(message, format!("did you mean {name}?")),
            None => value.fail(message),
        }
        return;
    }
    let message = format!(
        "{} of {} is a custom resource, and Dugout has none",
        shown(kind_name),
        shown(api_version)
    );
    value.fail_with(message, "move it out of the source's path");
}

fn decode_known(root: &Node<'_>, report: &Report, kind: Kind, schema: &'static Schema) -> Decoded {
    let errors_before = report.error_count();
    if kind == Kind::Secret {
        report.hide_values();
    }
    let Some(object) = Value::root(root, report, Some(schema)).object() else {
        return Decoded::Unknown;
    };
    // Read above; asking again says that they were not overlooked.
    for name in ["apiVersion", "kind"] {
        if let Some(value) = object.field(name) {
            value.text();
        }
    }
    let mut links = Links::default();
    let metadata = object
        .field("metadata")
        .and_then(|value| value.object())
        .and_then(|metadata| metadata::read(&metadata, kind));
    let spec = read_spec(&object, kind, &mut links);
    drop(object);
    let Some(metadata) = metadata else { return Decoded::Unknown };
    let key = metadata.key.clone();
    let declared = (report.error_count() == errors_before).then(|| {
        Arc::new(DeclaredObject {
            key: metadata.key,
            labels: metadata.labels,
            annotations: metadata.annotations,
            spec,
            origin: Origin { file: String::new(), line: root.at.line },
        })
    });
    let place = Value::root(root, report, None).place();
    let id = ObjectId { kind, key };
    let namespace_place = metadata.namespace_place;
    Decoded::Object(Box::new(ParsedObject { id, place, namespace_place, declared, links }))
}

fn read_spec(object: &Object<'_>, kind: Kind, links: &mut Links) -> ObjectSpec {
    match kind {
        Kind::Namespace => {
            // Opened so that its fields are checked; there is nothing to act on.
            drop(object.field("spec").and_then(|spec| spec.object()));
            ObjectSpec::Namespace
        }
        Kind::ConfigMap => ObjectSpec::ConfigMap(config::read_config_map(object)),
        Kind::Secret => ObjectSpec::Secret(config::read_secret(object)),
        Kind::Service => ObjectSpec::Service(service::read(object, links)),
        Kind::Deployment => ObjectSpec::Deployment(Box::new(deployment::read(object, links))),
    }
}

/// The namespace of objects that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// The key of an object in its namespace, or of a namespace itself.
fn object_key(kind: Kind, namespace: Option<&str>, name: &str) -> ObjectKey {
    let namespace = match kind {
        Kind::Namespace => "",
        _ => namespace.unwrap_or(DEFAULT_NAMESPACE),
    };
    ObjectKey { namespace: NamespaceName::new(namespace), name: name.into() }
}
