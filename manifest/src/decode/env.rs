//! The environment of a container.

use std::collections::BTreeSet;

use dugout_model::{EnvSource, Kind, ObjectName, PodField};

use super::config::read_name;
use super::metadata::check;
use super::{Links, Reference};
use crate::names;
use crate::reader::{Object, Value};

const FIELDS: &str = "metadata.name, metadata.namespace, metadata.uid, spec.nodeName, metadata.labels['KEY'] and metadata.annotations['KEY']";

/// `envFrom`, then `env`: later entries win.
pub(super) fn read(container: &Object<'_>, links: &mut Links) -> Vec<EnvSource> {
    let mut sources = Vec::new();
    if let Some(value) = container.field("envFrom") {
        sources.extend(value.each(|item| read_set(&item, links)));
    }
    if let Some(value) = container.field("env") {
        let mut seen = BTreeSet::new();
        sources.extend(value.each(|item| {
            let variable = item.object()?;
            let name_value = variable.field("name")?;
            let name = name_value.text()?;
            check(&name_value, name, names::check_variable(name));
            if !seen.insert(name.to_owned()) {
                let message = format!("the variable {} stands here twice", name_value.quote(name));
                name_value.notice_with(message, "the later one wins");
            }
            read_variable(&item, &variable, name.to_owned(), links)
        }));
    }
    sources
}

/// One entry of `envFrom`.
fn read_set(item: &Value<'_>, links: &mut Links) -> Option<EnvSource> {
    let set = item.object()?;
    let prefix = set.field("prefix").and_then(|value| {
        let prefix = value.text()?;
        if !prefix.is_empty() {
            check(&value, prefix, names::check_variable(prefix));
        }
        Some(prefix.to_owned())
    });
    let prefix = prefix.unwrap_or_default();
    match (set.field("configMapRef"), set.field("secretRef")) {
        (Some(_), Some(_)) => {
            item.fail_with("names a config map and a secret", "make two items of it");
            None
        }
        (None, None) if set.has_errors() => None,
        (None, None) => {
            item.fail("must name a configMapRef or a secretRef");
            None
        }
        (Some(value), None) => {
            let (config_map, optional) = read_whole(&value, Kind::ConfigMap, links)?;
            Some(EnvSource::AllOfConfigMap { config_map, prefix, optional })
        }
        (None, Some(value)) => {
            let (secret, optional) = read_whole(&value, Kind::Secret, links)?;
            Some(EnvSource::AllOfSecret { secret, prefix, optional })
        }
    }
}

/// A reference to all keys.
fn read_whole(value: &Value<'_>, kind: Kind, links: &mut Links) -> Option<(ObjectName, bool)> {
    let reference = value.object()?;
    let optional = read_optional(&reference);
    let name_value = reference.field("name")?;
    let name = read_name(&name_value)?;
    if !optional {
        let place = name_value.place();
        links.references.push(Reference { kind, name: name.clone(), key: None, place });
    }
    Some((ObjectName::new(name), optional))
}

fn read_variable(
    item: &Value<'_>,
    variable: &Object<'_>,
    name: String,
    links: &mut Links,
) -> Option<EnvSource> {
    let value = variable.field("value");
    let Some(from) = variable.field("valueFrom") else {
        let value = value.map_or(Some(""), |value| value.text())?.to_owned();
        return Some(EnvSource::Literal { name, value });
    };
    if value.is_some_and(|value| value.text().is_some_and(|text| !text.is_empty())) {
        item.fail_with("has both value and valueFrom", "keep one of them");
    }
    let from_object = from.object()?;
    let choices =
        ["configMapKeyRef", "secretKeyRef", "fieldRef"].map(|name| from_object.field(name));
    match choices {
        [Some(value), None, None] => {
            let (config_map, key, optional) = read_key(&value, Kind::ConfigMap, links)?;
            Some(EnvSource::ConfigMapKey { name, config_map, key, optional })
        }
        [None, Some(value), None] => {
            let (secret, key, optional) = read_key(&value, Kind::Secret, links)?;
            Some(EnvSource::SecretKey { name, secret, key, optional })
        }
        [None, None, Some(value)] => {
            Some(EnvSource::Field { name, field: read_field(&value.object()?)? })
        }
        // A source that is refused was told as such.
        [None, None, None] if from_object.has_errors() => None,
        _ => {
            from.fail("must name exactly one of configMapKeyRef, secretKeyRef and fieldRef");
            None
        }
    }
}

/// A reference to one key.
fn read_key(
    value: &Value<'_>,
    kind: Kind,
    links: &mut Links,
) -> Option<(ObjectName, String, bool)> {
    let reference = value.object()?;
    let optional = read_optional(&reference);
    let key = reference.field("key").and_then(|value| {
        let key = value.text()?;
        check(&value, key, names::check_config_key(key));
        Some((key.to_owned(), value.place()))
    });
    let name = reference.field("name").and_then(|value| read_name(&value));
    let ((key, place), name) = (key?, name?);
    if !optional {
        links.references.push(Reference {
            kind,
            name: name.clone(),
            key: Some(key.clone()),
            place,
        });
    }
    Some((ObjectName::new(name), key, optional))
}

fn read_optional(reference: &Object<'_>) -> bool {
    reference.field("optional").and_then(|value| value.boolean()).unwrap_or(false)
}

fn read_field(reference: &Object<'_>) -> Option<PodField> {
    let value = reference.field("fieldPath")?;
    let path = value.text()?;
    let keyed = |prefix: &str| {
        path.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix("['"))
            .and_then(|rest| rest.strip_suffix("']"))
            .filter(|key| names::check_qualified_name(key).is_ok())
            .map(str::to_owned)
    };
    let field = match path {
        "metadata.name" => Some(PodField::Name),
        "metadata.namespace" => Some(PodField::Namespace),
        "metadata.uid" => Some(PodField::Uid),
        "spec.nodeName" => Some(PodField::NodeName),
        _ => keyed("metadata.labels")
            .map(PodField::Label)
            .or_else(|| keyed("metadata.annotations").map(PodField::Annotation)),
    };
    if field.is_none() {
        let message =
            format!("{} is not a field that Dugout hands to containers", value.quote(path));
        value.fail_with(message, format!("there are {FIELDS}"));
    }
    field
}
