//! Volumes, and where containers mount them.

use dugout_model::{
    EmptyDir, FieldFile, FieldFileContent, FileMode, FileSource, HostPath, HostPathType, KeyFile,
    MountAccess, MountPropagation, ObjectName, Projection, SubPath, Volume, VolumeMount,
    VolumeSource,
};

use super::{env, storage};

use crate::quantity::Quantity;
use crate::reader::{Object, Value};

const HOST_PATH_TYPES: &[(&str, HostPathType)] = &[
    ("", HostPathType::Any),
    ("DirectoryOrCreate", HostPathType::DirectoryOrCreate),
    ("Directory", HostPathType::Directory),
    ("FileOrCreate", HostPathType::FileOrCreate),
    ("File", HostPathType::File),
    ("Socket", HostPathType::Socket),
    ("CharDevice", HostPathType::CharDevice),
    ("BlockDevice", HostPathType::BlockDevice),
];

/// The volumes of a pod.
pub(super) fn read(spec: &Object<'_>) -> Box<[Volume<Projection>]> {
    let Some(value) = spec.field("volumes") else { return Box::default() };
    value.each(|item| read_volume(&item.object()?)).into()
}

/// Without a source it is an empty folder, as Kubernetes has it.
fn read_volume(volume: &Object<'_>) -> Option<Volume<Projection>> {
    let name = volume.field("name")?.text()?.to_owned();
    let inside = |field| volume.field(field).and_then(|value| value.object());
    let source = if let Some(path) = inside("hostPath") {
        VolumeSource::HostPath(read_host_path(&path)?)
    } else if let Some(claim) = inside("persistentVolumeClaim") {
        VolumeSource::Claim(storage::read_claim_volume(&claim)?)
    } else if let Some(config_map) = inside("configMap") {
        VolumeSource::Files(alone(&config_map, read_config_map(&config_map)?))
    } else if let Some(secret) = inside("secret") {
        VolumeSource::Files(alone(&secret, read_secret(&secret, "secretName")?))
    } else if let Some(fields) = inside("downwardAPI") {
        VolumeSource::Files(alone(&fields, read_fields(&fields)))
    } else if let Some(projected) = inside("projected") {
        let sources = projected.field("sources");
        let sources = sources.map(|value| value.each(|item| read_projection(&item.object()?)));
        let default_mode = read_mode(&projected, "defaultMode").unwrap_or(FileMode::DEFAULT);
        let sources = sources.unwrap_or_default().into();
        VolumeSource::Files(Projection { default_mode, sources })
    } else {
        let empty = inside("emptyDir");
        VolumeSource::EmptyDir(empty.map_or(EmptyDir::Disk, |empty| read_empty_dir(&empty)))
    };
    Some(Volume { name, source })
}

/// The files of a volume that has this source and no other.
fn alone(volume: &Object<'_>, source: FileSource) -> Projection {
    let default_mode = read_mode(volume, "defaultMode").unwrap_or(FileMode::DEFAULT);
    Projection { default_mode, sources: [source].into() }
}

fn read_projection(projection: &Object<'_>) -> Option<FileSource> {
    let inside = |field| projection.field(field).and_then(|value| value.object());
    if let Some(config_map) = inside("configMap") {
        return read_config_map(&config_map);
    }
    if let Some(secret) = inside("secret") {
        return read_secret(&secret, "name");
    }
    Some(read_fields(&inside("downwardAPI")?))
}

fn read_config_map(source: &Object<'_>) -> Option<FileSource> {
    let (items, optional) = (read_items(source), read_optional(source));
    let config_map = ObjectName::new(source.field("name")?.text()?);
    Some(FileSource::ConfigMap { config_map, items, optional })
}

fn read_secret(source: &Object<'_>, name: &'static str) -> Option<FileSource> {
    let (items, optional) = (read_items(source), read_optional(source));
    let secret = ObjectName::new(source.field(name)?.text()?);
    Some(FileSource::Secret { secret, items, optional })
}

fn read_optional(source: &Object<'_>) -> bool {
    source.field("optional").and_then(|value| value.boolean()).unwrap_or(false)
}

fn read_items(source: &Object<'_>) -> Box<[KeyFile]> {
    let Some(value) = source.field("items") else { return Box::default() };
    let item = |item: Value<'_>| {
        let item = item.object()?;
        let mode = read_mode(&item, "mode");
        let path = item.field("path").and_then(|value| value.text());
        let key = item.field("key").and_then(|value| value.text());
        Some(KeyFile { key: key?.to_owned(), path: path?.to_owned(), mode })
    };
    value.each(item).into()
}

fn read_fields(source: &Object<'_>) -> FileSource {
    let Some(value) = source.field("items") else { return FileSource::Fields(Box::default()) };
    let item = |item: Value<'_>| {
        let item = item.object()?;
        let mode = read_mode(&item, "mode");
        let path = item.field("path").and_then(|value| value.text());
        let content = match item.field("resourceFieldRef") {
            Some(value) => FieldFileContent::Resource(env::read_resource(&value.object()?)?),
            None => {
                let field = item.field("fieldRef").and_then(|value| value.object());
                FieldFileContent::Field(env::read_file_field(&field?)?)
            }
        };
        Some(FieldFile { path: path?.to_owned(), content, mode })
    };
    FileSource::Fields(value.each(item).into())
}

/// Permissions, in octal or not: the number counts.
fn read_mode(object: &Object<'_>, field: &'static str) -> Option<FileMode> {
    let bits = object.field(field)?.u32(0, 0o777)?;
    u16::try_from(bits).ok().map(FileMode::new)
}

fn read_empty_dir(empty: &Object<'_>) -> EmptyDir {
    let limit = empty.field("sizeLimit");
    let units = |value: &Value<'_>| Quantity::parse(value.number_or_text()?).ok()?.units().ok();
    // Zero is none, as Kubernetes has it.
    let size_limit_bytes = limit.as_ref().and_then(units).filter(|bytes| *bytes > 0);
    let medium = empty.field("medium");
    match medium.as_ref().and_then(|value| value.text()).unwrap_or_default() {
        "Memory" => return EmptyDir::Memory { size_limit_bytes },
        huge if huge.starts_with("HugePages") => {
            if let Some(value) = &medium {
                let message = format!("Dugout sets no huge pages aside, as {huge} asks for");
                value.fail_with(message, "write Memory, or leave it out");
            }
        }
        _ => {}
    }
    if let (Some(value), Some(_)) = (limit, size_limit_bytes) {
        let message = "has no effect on a disk: Dugout does not watch how much is written";
        value.notice_with(message, "a limit holds with medium: Memory");
    }
    EmptyDir::Disk
}

pub(super) fn read_host_path(host_path: &Object<'_>) -> Option<HostPath> {
    let path_type = host_path.field("type").and_then(|value| value.one_of(HOST_PATH_TYPES));
    let value = host_path.field("path")?;
    let path = value.text()?;
    if !path.starts_with('/') {
        let message = format!("must be an absolute path, which {} is not", value.quote(path));
        value.fail_with(message, "begin it with a slash");
    }
    Some(HostPath { path: path.to_owned(), path_type: path_type.unwrap_or(HostPathType::Any) })
}

/// Where a container mounts the volumes of its pod.
pub(super) fn read_mounts(container: &Object<'_>) -> Box<[VolumeMount]> {
    let Some(value) = container.field("volumeMounts") else { return Box::default() };
    value.each(|item| read_mount(&item.object()?)).into()
}

fn read_mount(mount: &Object<'_>) -> Option<VolumeMount> {
    let text = |name| {
        let text = mount.field(name).and_then(|value| value.text());
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let is_read_only = mount.field("readOnly").and_then(|value| value.boolean()).unwrap_or(false);
    let (fixed, expanded) = (text("subPath"), text("subPathExpr"));
    let propagation = mount.field("mountPropagation");
    Some(VolumeMount {
        volume: text("name")?,
        path: text("mountPath")?,
        access: if is_read_only { MountAccess::ReadOnly } else { MountAccess::ReadWrite },
        sub_path: fixed.map(SubPath::Fixed).or(expanded.map(SubPath::Expanded)),
        propagation: propagation.map_or(MountPropagation::None, |value| read_propagation(&value)),
    })
}

fn read_propagation(value: &Value<'_>) -> MountPropagation {
    match value.text().unwrap_or_default() {
        "HostToContainer" => MountPropagation::HostToContainer,
        "Bidirectional" => {
            let hint = "write HostToContainer, or leave it out";
            value.fail_with("Dugout gives the mounts of a container to no other", hint);
            MountPropagation::None
        }
        _ => MountPropagation::None,
    }
}
