//! The volumes of a pod, and where containers mount them.

use dugout_model as model;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub name: String,
    pub source: VolumeSource,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VolumeSource {
    EmptyDir(EmptyDir),
    #[serde(rename_all = "camelCase")]
    HostPath {
        path: String,
        path_type: HostPathType,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyDir {
    Disk,
    #[serde(rename_all = "camelCase")]
    Memory {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_limit_bytes: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPathType {
    Any,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    pub volume: String,
    pub path: String,
    pub access: MountAccess,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<SubPath>,
    pub propagation: MountPropagation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountAccess {
    ReadWrite,
    ReadOnly,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubPath {
    Fixed(String),
    Expanded(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountPropagation {
    None,
    HostToContainer,
}

impl From<&model::Volume> for Volume {
    fn from(value: &model::Volume) -> Self {
        let model::Volume { name, source } = value;
        Self { name: name.clone(), source: source.into() }
    }
}

impl From<Volume> for model::Volume {
    fn from(value: Volume) -> Self {
        let Volume { name, source } = value;
        Self { name, source: source.into() }
    }
}

impl From<&model::VolumeSource> for VolumeSource {
    fn from(value: &model::VolumeSource) -> Self {
        match value {
            model::VolumeSource::EmptyDir(empty) => VolumeSource::EmptyDir((*empty).into()),
            model::VolumeSource::HostPath(model::HostPath { path, path_type }) => {
                VolumeSource::HostPath { path: path.clone(), path_type: (*path_type).into() }
            }
        }
    }
}

impl From<VolumeSource> for model::VolumeSource {
    fn from(value: VolumeSource) -> Self {
        match value {
            VolumeSource::EmptyDir(empty) => model::VolumeSource::EmptyDir(empty.into()),
            VolumeSource::HostPath { path, path_type } => {
                model::VolumeSource::HostPath(model::HostPath { path, path_type: path_type.into() })
            }
        }
    }
}

impl From<&model::VolumeMount> for VolumeMount {
    fn from(value: &model::VolumeMount) -> Self {
        let model::VolumeMount { volume, path, access, sub_path, propagation } = value;
        Self {
            volume: volume.clone(),
            path: path.clone(),
            access: (*access).into(),
            sub_path: sub_path.as_ref().map(|sub_path| match sub_path {
                model::SubPath::Fixed(path) => SubPath::Fixed(path.clone()),
                model::SubPath::Expanded(path) => SubPath::Expanded(path.clone()),
            }),
            propagation: (*propagation).into(),
        }
    }
}

impl From<VolumeMount> for model::VolumeMount {
    fn from(value: VolumeMount) -> Self {
        let VolumeMount { volume, path, access, sub_path, propagation } = value;
        Self {
            volume,
            path,
            access: access.into(),
            sub_path: sub_path.map(|sub_path| match sub_path {
                SubPath::Fixed(path) => model::SubPath::Fixed(path),
                SubPath::Expanded(path) => model::SubPath::Expanded(path),
            }),
            propagation: propagation.into(),
        }
    }
}

/// Both directions between two enums with the same cases.
macro_rules! same_cases {
    ($name:ident { $($case:ident $(($field:ident))?),* }) => {
        impl From<model::$name> for $name {
            fn from(value: model::$name) -> Self {
                match value {
                    $(model::$name::$case $({ $field })? => $name::$case $({ $field })?),*
                }
            }
        }

        impl From<$name> for model::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$case $({ $field })? => model::$name::$case $({ $field })?),*
                }
            }
        }
    };
}

same_cases!(EmptyDir { Disk, Memory(size_limit_bytes) });
same_cases!(MountAccess { ReadWrite, ReadOnly });
same_cases!(MountPropagation { None, HostToContainer });
same_cases!(HostPathType {
    Any,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice
});
