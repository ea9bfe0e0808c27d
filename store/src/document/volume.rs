//! The stored form of volumes and of their mounts.

use dugout_model::{
    EmptyDir, HostPath, HostPathType, MountAccess, MountPropagation, SubPath, Volume, VolumeMount,
    VolumeSource,
};

use super::mirror::mirror;

mirror! {
    struct Volume as VolumeDocument { name: String, source: VolumeSource }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum VolumeSource as VolumeSourceDocument {
        EmptyDir(empty: EmptyDir),
        HostPath(path: HostPath),
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum EmptyDir as EmptyDirDocument { Disk, Memory { size_limit_bytes: Option<u64> } }
}

mirror! {
    struct HostPath as HostPathDocument { path: String, path_type: HostPathType }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum HostPathType as HostPathTypeDocument {
        Any,
        DirectoryOrCreate,
        Directory,
        FileOrCreate,
        File,
        Socket,
        CharDevice,
        BlockDevice,
    }
}

mirror! {
    struct VolumeMount as VolumeMountDocument {
        volume: String,
        path: String,
        access: MountAccess,
        sub_path: Option<SubPath>,
        propagation: MountPropagation,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum MountAccess as MountAccessDocument { ReadWrite, ReadOnly }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum SubPath as SubPathDocument { Fixed(path: String), Expanded(expression: String) }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum MountPropagation as MountPropagationDocument { None, HostToContainer }
}
