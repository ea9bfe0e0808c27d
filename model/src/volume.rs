//! Volumes of a pod, and where its containers mount them.

/// A volume that the containers of a pod may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Unique in its pod; a DNS label.
    pub name: String,
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    EmptyDir(EmptyDir),
    HostPath(HostPath),
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
