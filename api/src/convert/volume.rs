//! Volumes of pods and their mounts.

use dugout_model::{
    EmptyDir, HostPath, MountAccess, MountPropagation, SubPath, Volume, VolumeMount, VolumeSource,
};
use k8s_openapi::api::core::v1 as core;

use super::meta::{bytes, some_text};

pub(super) fn declared(volume: &Volume) -> core::Volume {
    let mut result = core::Volume { name: volume.name.clone(), ..core::Volume::default() };
    match &volume.source {
        VolumeSource::EmptyDir(EmptyDir::Disk) => {
            result.empty_dir = Some(core::EmptyDirVolumeSource::default());
        }
        VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes }) => {
            result.empty_dir = Some(core::EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: size_limit_bytes.map(bytes),
                ..core::EmptyDirVolumeSource::default()
            });
        }
        VolumeSource::HostPath(HostPath { path, path_type }) => {
            result.host_path = Some(core::HostPathVolumeSource {
                path: path.clone(),
                type_: some_text(path_type.as_str()),
            });
        }
    }
    result
}

pub(super) fn mount(mount: &VolumeMount) -> core::VolumeMount {
    let (sub_path, sub_path_expr) = match &mount.sub_path {
        None => (None, None),
        Some(SubPath::Fixed(path)) => (Some(path.clone()), None),
        Some(SubPath::Expanded(expression)) => (None, Some(expression.clone())),
    };
    core::VolumeMount {
        mount_path: mount.path.clone(),
        mount_propagation: match mount.propagation {
            MountPropagation::None => None,
            MountPropagation::HostToContainer => Some("HostToContainer".to_owned()),
        },
        name: mount.volume.clone(),
        read_only: match mount.access {
            MountAccess::ReadWrite => None,
            MountAccess::ReadOnly => Some(true),
        },
        sub_path,
        sub_path_expr,
        ..core::VolumeMount::default()
    }
}
