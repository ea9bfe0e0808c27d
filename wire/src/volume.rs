//! The volumes of a pod, and where containers mount them.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::storage::ClaimVolume;
use crate::template::{NodeResource, PodField};

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
    /// The place in [`Assignment::volume_files`](crate::Assignment::volume_files).
    Files(u32),
    /// Where it is stands with the pod: [`AssignedPod::claims`](crate::AssignedPod::claims).
    Claim(ClaimVolume),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeFile {
    pub path: String,
    /// The nine bits of its permissions.
    pub mode: u16,
    pub content: FileContent,
    /// In the place of the content: what the node has. A reader of before makes an empty file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_resource: Option<NodeResource>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileContent {
    Text(String),
    /// What is no text, in base64.
    Binary(String),
    /// In base64.
    Secret(String),
    Field(PodField),
    Labels,
    Annotations,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileContent::Text(text) => out.debug_tuple("Text").field(text).finish(),
            FileContent::Binary(text) => out.debug_tuple("Binary").field(text).finish(),
            FileContent::Secret(_) => out.write_str("Secret(…)"),
            FileContent::Field(field) => out.debug_tuple("Field").field(field).finish(),
            FileContent::Labels => out.write_str("Labels"),
            FileContent::Annotations => out.write_str("Annotations"),
        }
    }
}

/// The lists of files met so far, by the address of their shared value: the pods of one replica set may
/// have templates of their own, and still the same files.
#[derive(Default)]
pub(crate) struct FilesTable {
    pub rows: Vec<Vec<VolumeFile>>,
    places: HashMap<*const model::VolumeFile, u32>,
}

impl FilesTable {
    fn place(&mut self, files: &model::VolumeFiles) -> u32 {
        // An empty list may share its address with anything.
        let address = if files.is_empty() { std::ptr::null() } else { files.as_ptr() };
        *self.places.entry(address).or_insert_with(|| {
            self.rows.push(files.iter().map(VolumeFile::from).collect());
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        })
    }
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

impl Volume {
    pub(crate) fn from_model(
        value: &model::Volume<model::VolumeFiles>,
        files: &mut FilesTable,
    ) -> Self {
        let model::Volume { name, source } = value;
        let source = match source {
            model::VolumeSource::EmptyDir(empty) => VolumeSource::EmptyDir((*empty).into()),
            model::VolumeSource::HostPath(model::HostPath { path, path_type }) => {
                VolumeSource::HostPath { path: path.clone(), path_type: (*path_type).into() }
            }
            model::VolumeSource::Files(list) => VolumeSource::Files(files.place(list)),
            model::VolumeSource::Claim(claim) => VolumeSource::Claim(claim.into()),
        };
        Self { name: name.clone(), source }
    }

    pub(crate) fn into_model(
        self,
        files: &[model::VolumeFiles],
    ) -> Result<model::Volume<model::VolumeFiles>, WireError> {
        let Volume { name, source } = self;
        let source = match source {
            VolumeSource::EmptyDir(empty) => model::VolumeSource::EmptyDir(empty.into()),
            VolumeSource::HostPath { path, path_type } => {
                model::VolumeSource::HostPath(model::HostPath { path, path_type: path_type.into() })
            }
            VolumeSource::Files(index) => {
                let list = usize::try_from(index).ok().and_then(|index| files.get(index));
                let Some(list) = list else {
                    let count = files.len();
                    return Err(WireError::MissingFiles { volume: name, index, count });
                };
                model::VolumeSource::Files(list.clone())
            }
            VolumeSource::Claim(claim) => model::VolumeSource::Claim(claim.into()),
        };
        Ok(model::Volume { name, source })
    }
}

impl From<&model::VolumeFile> for VolumeFile {
    fn from(value: &model::VolumeFile) -> Self {
        let model::VolumeFile { path, mode, content } = value;
        let mut node_resource = None;
        let content = match content {
            model::FileContent::Plain(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => FileContent::Text(text.to_owned()),
                Err(_) => FileContent::Binary(STANDARD.encode(bytes)),
            },
            model::FileContent::Secret(secret) => {
                FileContent::Secret(STANDARD.encode(secret.expose()))
            }
            model::FileContent::Field(model::FileField::Labels) => FileContent::Labels,
            model::FileContent::Field(model::FileField::Annotations) => FileContent::Annotations,
            model::FileContent::Field(model::FileField::One(field)) => {
                FileContent::Field(field.into())
            }
            model::FileContent::NodeResource(resource) => {
                node_resource = Some((*resource).into());
                FileContent::Text(String::new())
            }
        };
        let mode = u16::try_from(mode.bits()).unwrap_or(0);
        Self { path: path.clone(), mode, content, node_resource }
    }
}

impl TryFrom<VolumeFile> for model::VolumeFile {
    type Error = WireError;

    fn try_from(value: VolumeFile) -> Result<Self, WireError> {
        let VolumeFile { path, mode, content, node_resource } = value;
        let decode = |text: String| {
            let bytes = STANDARD.decode(text);
            bytes.map_err(|_| WireError::FileNotBase64 { path: path.clone() })
        };
        let content = match content {
            _ if let Some(resource) = node_resource => {
                model::FileContent::NodeResource(resource.into())
            }
            FileContent::Text(text) => model::FileContent::Plain(text.into_bytes().into()),
            FileContent::Binary(text) => model::FileContent::Plain(decode(text)?.into()),
            FileContent::Secret(text) => {
                model::FileContent::Secret(model::SecretValue::new(decode(text)?))
            }
            FileContent::Labels => model::FileContent::Field(model::FileField::Labels),
            FileContent::Annotations => model::FileContent::Field(model::FileField::Annotations),
            FileContent::Field(field) => {
                model::FileContent::Field(model::FileField::One(field.into()))
            }
        };
        Ok(Self { path, mode: model::FileMode::new(mode), content })
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
