//! The environment of a container.

use dugout_model::{
    EnvSource, FileField, NodeResourceKind, ObjectName, PodField, ResourceField,
    ResourceFieldSelector,
};

use crate::quantity::Quantity;
use crate::reader::{Object, Value};
use crate::text_forms::check_field_path;

const FIELDS: &str = "metadata.name, metadata.namespace, metadata.uid, spec.nodeName, metadata.labels['KEY'] and metadata.annotations['KEY']";
const FILE_FIELDS: &str = "metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.labels['KEY'], metadata.annotations and metadata.annotations['KEY']";

/// `envFrom`, then `env`: later entries win.
pub(super) fn read(container: &Object<'_>) -> Vec<EnvSource> {
    let mut sources = Vec::new();
    if let Some(value) = container.field("envFrom") {
        sources.extend(value.each(|item| read_set(&item)));
    }
    if let Some(value) = container.field("env") {
        sources.extend(value.each(|item| read_variable(&item.object()?)));
    }
    sources.shrink_to_fit();
    sources
}

/// One entry of `envFrom`.
fn read_set(item: &Value<'_>) -> Option<EnvSource> {
    let set = item.object()?;
    let prefix = set.field("prefix").and_then(|value| value.text()).unwrap_or_default().to_owned();
    if let Some(value) = set.field("configMapRef") {
        let (config_map, optional) = read_whole(&value)?;
        return Some(EnvSource::AllOfConfigMap { config_map, prefix, optional });
    }
    let (secret, optional) = read_whole(&set.field("secretRef")?)?;
    Some(EnvSource::AllOfSecret { secret, prefix, optional })
}

/// A reference to all keys.
fn read_whole(value: &Value<'_>) -> Option<(ObjectName, bool)> {
    let reference = value.object()?;
    let optional = read_optional(&reference);
    let name = reference.field("name")?.text()?;
    Some((ObjectName::new(name), optional))
}

fn read_variable(variable: &Object<'_>) -> Option<EnvSource> {
    let name = variable.field("name")?.text()?.to_owned();
    let value = variable.field("value");
    let Some(from) = variable.field("valueFrom") else {
        let value = value.map_or(Some(""), |value| value.text())?.to_owned();
        return Some(EnvSource::Literal { name, value });
    };
    let from = from.object()?;
    if let Some(value) = from.field("configMapKeyRef") {
        let (config_map, key, optional) = read_key(&value)?;
        return Some(EnvSource::ConfigMapKey { name, config_map, key, optional });
    }
    if let Some(value) = from.field("secretKeyRef") {
        let (secret, key, optional) = read_key(&value)?;
        return Some(EnvSource::SecretKey { name, secret, key, optional });
    }
    if let Some(value) = from.field("resourceFieldRef") {
        let resource = read_resource(&value.object()?)?;
        return Some(EnvSource::Resource { name, resource });
    }
    let field = read_field(&from.field("fieldRef")?.object()?)?;
    Some(EnvSource::Field { name, field })
}

/// What a container requests or may use at most.
pub(super) fn read_resource(selector: &Object<'_>) -> Option<ResourceFieldSelector> {
    let value = selector.field("resource")?;
    let text = value.text()?;
    let field = match text {
        "requests.cpu" => ResourceField::CpuRequest,
        "limits.cpu" => ResourceField::CpuLimit,
        "requests.memory" => ResourceField::MemoryRequest,
        "limits.memory" => ResourceField::MemoryLimit,
        // The rules have told what Kubernetes does not have.
        other => {
            if ["ephemeral-storage", "hugepages-"].iter().any(|part| other.contains(part)) {
                let message = format!("{} is nothing that Dugout limits", value.quote(other));
                value.fail_with(message, "there are cpu and memory; write the amount as a value");
            }
            return None;
        }
    };
    let container = selector.field("containerName").and_then(|value| value.text());
    let divisor = match selector.field("divisor") {
        Some(value) => read_divisor(&value, field.of_node())?,
        None => whole(field.of_node()),
    };
    let container = container.filter(|name| !name.is_empty()).map(str::to_owned);
    Some(ResourceFieldSelector { container, field, divisor })
}

/// How much one is: a CPU, or a byte.
fn whole(kind: NodeResourceKind) -> u64 {
    match kind {
        NodeResourceKind::Cpu => 1000,
        NodeResourceKind::Memory => 1,
    }
}

/// Nothing stands for one, as on Kubernetes.
fn read_divisor(value: &Value<'_>, kind: NodeResourceKind) -> Option<u64> {
    const SIZES: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let quantity = Quantity::parse(value.as_written()?).ok()?;
    let (amount, allowed, hint) = match kind {
        NodeResourceKind::Cpu => {
            let amount = quantity.millis().ok();
            (amount, matches!(amount, Some(0 | 1 | 1000)), "of a CPU it is 1 or 1m")
        }
        NodeResourceKind::Memory => {
            let amount = quantity.units().ok().filter(|_| quantity.is_whole());
            let sizes = SIZES.iter().map(|size| Quantity::parse(size).and_then(Quantity::units));
            let is_size = amount == Some(0) || sizes.flatten().any(|size| Some(size) == amount);
            (amount, is_size, "of memory it is 1 with or without a suffix, as 1Mi")
        }
    };
    if !allowed {
        value.fail_with("is not a divisor of this resource", hint);
        return None;
    }
    amount.map(|amount| if amount == 0 { whole(kind) } else { amount })
}

/// A reference to one key.
fn read_key(value: &Value<'_>) -> Option<(ObjectName, String, bool)> {
    let reference = value.object()?;
    let optional = read_optional(&reference);
    let key = reference.field("key").and_then(|value| value.text());
    let name = reference.field("name").and_then(|value| value.text());
    Some((ObjectName::new(name?), key?.to_owned(), optional))
}

fn read_optional(reference: &Object<'_>) -> bool {
    reference.field("optional").and_then(|value| value.boolean()).unwrap_or(false)
}

fn read_field(reference: &Object<'_>) -> Option<PodField> {
    let value = reference.field("fieldPath")?;
    let path = value.text()?;
    let field = parse_field(path);
    if field.is_none() && check_field_path(path).is_ok() {
        let message =
            format!("{} is not a field that Dugout hands to containers", value.quote(path));
        value.fail_with(message, format!("there are {FIELDS}"));
    }
    field
}

/// A field that becomes a file: all labels or annotations as well, and what is not the pod's own not.
pub(super) fn read_file_field(reference: &Object<'_>) -> Option<FileField> {
    let value = reference.field("fieldPath")?;
    let path = value.text()?;
    let field = match path {
        "metadata.labels" => Some(FileField::Labels),
        "metadata.annotations" => Some(FileField::Annotations),
        _ => parse_field(path).filter(|field| *field != PodField::NodeName).map(FileField::One),
    };
    if field.is_none() && check_field_path(path).is_ok() {
        let message = format!("{} is not a field that a file can hold", value.quote(path));
        value.fail_with(message, format!("there are {FILE_FIELDS}"));
    }
    field
}

fn parse_field(path: &str) -> Option<PodField> {
    let keyed = |prefix: &str| {
        path.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix("['"))
            .and_then(|rest| rest.strip_suffix("']"))
            .map(str::to_owned)
    };
    match path {
        "metadata.name" => Some(PodField::Name),
        "metadata.namespace" => Some(PodField::Namespace),
        "metadata.uid" => Some(PodField::Uid),
        "spec.nodeName" => Some(PodField::NodeName),
        _ => keyed("metadata.labels")
            .map(PodField::Label)
            .or_else(|| keyed("metadata.annotations").map(PodField::Annotation)),
    }
}
