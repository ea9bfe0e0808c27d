//! Volumes, and where containers mount them.

use dugout_model::{
    EmptyDir, HostPath, HostPathType, MountAccess, MountPropagation, SubPath, Volume, VolumeMount,
    VolumeSource,
};

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
pub(super) fn read(spec: &Object<'_>) -> Box<[Volume]> {
    let Some(value) = spec.field("volumes") else { return Box::default() };
    value.each(|item| read_volume(&item.object()?)).into()
}

/// Without a source it is an empty folder, as Kubernetes has it.
fn read_volume(volume: &Object<'_>) -> Option<Volume> {
    let name = volume.field("name")?.text()?.to_owned();
    let inside = |field| volume.field(field).and_then(|value| value.object());
    let source = if let Some(path) = inside("hostPath") {
        VolumeSource::HostPath(read_host_path(&path)?)
    } else {
        let empty = inside("emptyDir");
        VolumeSource::EmptyDir(empty.map_or(EmptyDir::Disk, |empty| read_empty_dir(&empty)))
    };
    Some(Volume { name, source })
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

fn read_host_path(host_path: &Object<'_>) -> Option<HostPath> {
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
            value.fail_with("Bidirectional is for privileged containers alone", hint);
            MountPropagation::None
        }
        _ => MountPropagation::None,
    }
}
