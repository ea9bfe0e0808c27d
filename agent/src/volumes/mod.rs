//! The volumes of pods on this node: made before a container starts, removed with their pod.
//!
//! They lie in the data directory, which nobody but its owner enters:
//! `volumes/<cluster>/<pod>/volumes/<name>` is a volume, and `…/parts/<container>/<index>` a file or
//! folder of one that a container mounts alone. What is kept in memory is a file system of its own,
//! mounted there. To make what is there already changes nothing, so a crash at any step is mended by the
//! next start.

mod beneath;
mod group;
mod host_path;
mod layout;
mod memory;
mod mount_table;
mod payload;
mod prepare;
mod remove;
mod storage;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dugout_model::{PodUid, VolumeUid};
use thiserror::Error;
use uuid::Uuid;

use crate::labels::Owner;
pub use layout::Layout;
pub(crate) use mount_table::unescape;
pub(crate) use prepare::{Part, Preparation};
pub(crate) use remove::{purge, purge_storage};
pub(crate) use storage::{root as storage_root, size_bytes as storage_size_bytes};

const FOLDER: &str = "volumes";

/// Why a volume cannot be mounted. The sentence is for the pod's status; it begins as Kubernetes' own.
#[derive(Debug, Error)]
pub enum VolumeError {
    #[error("MountVolume.SetUp failed for volume {volume:?} : {problem}")]
    Volume { volume: String, problem: VolumeProblem },
    #[error("the volumes of the pod cannot be made in {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("an earlier try to make the volumes of the pod has not come to its end")]
    Busy,
    #[error("the volumes of the pod were not there within {seconds} s")]
    Deadline { seconds: u64 },
}

#[derive(Debug, Error)]
pub enum VolumeProblem {
    #[error("hostPath type check failed: {path} {rule}")]
    HostPathType { path: String, rule: &'static str },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "it is kept in memory, and this agent may not mount file systems; run the agent as root"
    )]
    MayNotMountMemory,
    #[error(
        "subPath {path:?} needs a mount of its own, and this agent may not mount; run the agent as root"
    )]
    MayNotMountPart { path: String },
    #[error("what the node has for pods is not known yet")]
    NodeUnknown,
    #[error("its files cannot be written: {source}")]
    Files { source: io::Error },
    #[error("subPath {path:?} leads out of the volume")]
    OutOfVolume { path: String },
    #[error(
        "the folder {} of a volume that was made before is not there any more; what is lost is not begun anew: bring it back, or remove the claim from Git",
        path.display()
    )]
    Lost { path: PathBuf },
    #[error("its claim has no volume on this node")]
    Unbound,
    #[error("subPath needs openat2, which Linux has since 5.6; this node's kernel is older")]
    OldKernel,
}

/// The folder with the volumes of all pods of this node.
#[derive(Debug)]
pub(crate) struct Volumes {
    root: PathBuf,
    /// Where the volumes of claims lie.
    storage: PathBuf,
    /// Volumes of claims that are being removed.
    leaving: Mutex<HashSet<VolumeUid>>,
    /// Pods whose volumes are being made or removed.
    busy: Mutex<HashSet<PodUid>>,
}

impl Volumes {
    /// The folder in an agent's data directory, which must exist, and that of the volumes of claims, which
    /// is made.
    pub fn open(data_dir: &Path, storage: &Path) -> io::Result<Self> {
        // Mounts are found by their whole path.
        let root = fs::canonicalize(data_dir)?.join(FOLDER);
        prepare::make_private(storage)?;
        let storage = fs::canonicalize(storage)?;
        Ok(Self { root, storage, leaving: Mutex::default(), busy: Mutex::default() })
    }

    pub fn layout(&self, owner: &Owner) -> Layout {
        Layout::new(&self.root, &self.storage, owner.cluster)
    }

    /// The pods of an owner that have a folder here.
    pub fn find(&self, owner: &Owner) -> io::Result<Vec<PodUid>> {
        let entries = match fs::read_dir(self.layout(owner).root()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut pods = Vec::new();
        for entry in entries {
            pods.extend(entry?.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok()));
        }
        Ok(pods.into_iter().map(PodUid).collect())
    }

    /// Brings the volumes of a pod, and the parts of them that a container mounts, into being.
    pub fn prepare(&self, wanted: &Preparation) -> Result<(), VolumeError> {
        let _turn = self.take(wanted.pod.uid).ok_or(VolumeError::Busy)?;
        prepare::prepare(wanted)
    }

    /// Removes everything of a pod. Nothing is fine.
    pub fn remove(&self, owner: &Owner, pod: PodUid) -> io::Result<()> {
        let busy = || io::Error::other("its volumes are still being made");
        let _turn = self.take(pod).ok_or_else(busy)?;
        remove::remove(&self.layout(owner).pod(pod))
    }

    /// The volumes of claims of an owner's cluster that have a folder here.
    pub fn find_storage(&self, owner: &Owner) -> io::Result<BTreeSet<VolumeUid>> {
        storage::find(self.layout(owner).storage())
    }

    /// Removes the volume of a claim. Nothing is fine.
    pub fn remove_storage(&self, owner: &Owner, volume: VolumeUid) -> io::Result<()> {
        let leaving = || self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if !leaving().insert(volume) {
            return Err(io::Error::other("it is still being removed"));
        }
        let removed = storage::remove(self.layout(owner).storage(), volume);
        leaving().remove(&volume);
        removed
    }

    /// One at a time for each pod: a call that hangs on a disk is not joined by others.
    fn take(&self, pod: PodUid) -> Option<OneTurn<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(pod).then(|| OneTurn { volumes: self, pod })
    }
}

struct OneTurn<'a> {
    volumes: &'a Volumes,
    pod: PodUid,
}

impl Drop for OneTurn<'_> {
    fn drop(&mut self) {
        let mut busy = self.volumes.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.pod);
    }
}
