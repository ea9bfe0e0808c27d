//! Volumes of a pod, and where its containers mount them.

use std::fmt;
use std::sync::Arc;

use crate::{ClaimVolume, NodeResource, ObjectName, PodField, ResourceFieldSelector, SecretValue};

/// A volume that the containers of a pod may share; `Files` is what files in it are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume<Files> {
    /// Unique in its pod; a DNS label.
    pub name: String,
    pub source: VolumeSource<Files>,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource<Files> {
    EmptyDir(EmptyDir),
    HostPath(HostPath),
    /// Of config maps, secrets and the pod itself. No container writes there.
    Files(Files),
    /// What a claim has: it outlives the pod.
    Claim(ClaimVolume),
}

/// Files as a manifest declares them: one source for a volume of type configMap, secret or downwardAPI,
/// any number for a projected one. Where two give a file the same path, the later one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Of files that have no mode of their own.
    pub default_mode: FileMode,
    pub sources: Box<[FileSource]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSource {
    ConfigMap { config_map: ObjectName, items: Box<[KeyFile]>, optional: bool },
    Secret { secret: ObjectName, items: Box<[KeyFile]>, optional: bool },
    Fields(Box<[FieldFile]>),
}

/// A key that becomes a file. Where none is named, each becomes the file of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    pub key: String,
    /// Inside the volume: relative, and not beginning with two dots.
    pub path: String,
    pub mode: Option<FileMode>,
}

/// Something of the pod that becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFile {
    /// As of a key.
    pub path: String,
    pub content: FieldFileContent,
    pub mode: Option<FileMode>,
}

/// What of the pod a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldFileContent {
    Field(FileField),
    /// Of the container that it names.
    Resource(ResourceFieldSelector),
}

/// A downward API field as a file may hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileField {
    /// All of them, a line each.
    Labels,
    /// All of them, a line each.
    Annotations,
    One(PodField),
}

/// Who may read, write and execute a file: the nine bits of its permissions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u16);

impl FileMode {
    /// Where a manifest says nothing: everybody may read.
    pub const DEFAULT: FileMode = FileMode(0o644);

    /// Takes the nine bits and leaves all others.
    pub fn new(bits: u16) -> Self {
        Self(bits & 0o777)
    }

    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "0o{:03o}", self.0)
    }
}

/// Files with their content, by path. Shared by everything that is made of the same template.
pub type VolumeFiles = Arc<[VolumeFile]>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFile {
    pub path: String,
    pub mode: FileMode,
    pub content: FileContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    Plain(Arc<[u8]>),
    /// Never on a disk of the node's.
    Secret(SecretValue),
    /// Known only once the pod is; filled in on the node.
    Field(FileField),
    /// Known only once the node is; filled in there.
    NodeResource(NodeResource),
}

/// A folder that is empty when the pod begins and goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyDir {
    /// In the agent's data directory.
    Disk,
    /// A file system in memory. Without a limit it holds what the pod's memory limits allow, or half of
    /// the node's memory.
    Memory { size_limit_bytes: Option<u64> },
}

/// A file or folder of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPath {
    /// Absolute, without `..`.
    pub path: String,
    pub path_type: HostPathType,
}

/// What must be at a host path when a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPathType {
    /// Anything; a folder is made where nothing is.
    Any,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

impl HostPathType {
    /// The word in a manifest's `type` field.
    pub fn as_str(self) -> &'static str {
        match self {
            HostPathType::Any => "",
            HostPathType::DirectoryOrCreate => "DirectoryOrCreate",
            HostPathType::Directory => "Directory",
            HostPathType::FileOrCreate => "FileOrCreate",
            HostPathType::File => "File",
            HostPathType::Socket => "Socket",
            HostPathType::CharDevice => "CharDevice",
            HostPathType::BlockDevice => "BlockDevice",
        }
    }
}

/// Where a container sees a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// The name of the pod's volume.
    pub volume: String,
    /// Inside the container. One that is not absolute begins at its root.
    pub path: String,
    pub access: MountAccess,
    /// The part of the volume that is mounted; the whole without one.
    pub sub_path: Option<SubPath>,
    pub propagation: MountPropagation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountAccess {
    ReadWrite,
    ReadOnly,
}

/// A file or folder inside a volume: relative, without `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubPath {
    Fixed(String),
    /// With `$(NAME)` for variables of the container.
    Expanded(String),
}

/// Whether what is mounted later at the node shows inside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountPropagation {
    None,
    HostToContainer,
}
