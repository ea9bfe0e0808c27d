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
mod storage_root;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dugout_model::{PodUid, VolumeUid};
use thiserror::Error;
use uuid::Uuid;

use crate::labels::Owner;
pub use layout::Layout;
pub(crate) use mount_table::unescape;
pub(crate) use prepare::{Part, Preparation};
pub(crate) use remove::{purge, purge_storage};
pub(crate) use storage::root as storage_root;
pub(crate) use storage_root::StorageError;
use storage_root::StorageRoot;

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
    #[error("{0}")]
    Storage(#[from] StorageError),
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
    storage: StorageRoot,
    /// As much as claims may have together; without it what the disk holds.
    storage_capacity_bytes: Option<u64>,
    /// Whether a look at the volumes of claims is under way.
    is_looking: AtomicBool,
    /// Volumes of claims that are being removed.
    leaving: Mutex<HashSet<VolumeUid>>,
    /// Pods whose volumes are being made or removed.
    busy: Mutex<HashSet<PodUid>>,
}

impl Volumes {
    /// The folder in an agent's data directory, which must exist, and that of the volumes of claims, which
    /// is made when it never was there. That this one is not there now keeps no agent from running.
    pub fn open(data_dir: &Path, storage: &Path) -> io::Result<Self> {
        // Mounts are found by their whole path.
        let data_dir = fs::canonicalize(data_dir)?;
        let mut storage = StorageRoot::new(&data_dir, storage)?;
        if storage.check().is_ok() {
            storage = StorageRoot::new(&data_dir, storage.folder())?;
        }
        Ok(Self {
            root: data_dir.join(FOLDER),
            storage,
            storage_capacity_bytes: None,
            is_looking: AtomicBool::new(false),
            leaving: Mutex::default(),
            busy: Mutex::default(),
        })
    }

    /// With so much for claims, instead of what the disk holds.
    pub fn with_storage_capacity(self, storage_capacity_bytes: Option<u64>) -> Self {
        Self { storage_capacity_bytes, ..self }
    }

    pub fn layout(&self, owner: &Owner) -> Layout {
        Layout::new(&self.root, self.storage.folder(), owner.cluster)
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
        prepare::prepare(wanted, &self.storage)
    }

    /// Removes everything of a pod. Nothing is fine.
    pub fn remove(&self, owner: &Owner, pod: PodUid) -> io::Result<()> {
        let busy = || io::Error::other("its volumes are still being made");
        let _turn = self.take(pod).ok_or_else(busy)?;
        remove::remove(&self.layout(owner).pod(pod))
    }

    /// How much the node has for claims, in bytes.
    ///
    /// # Errors
    /// When the folder of their volumes is not there, or is another.
    pub fn storage_capacity_bytes(&self) -> Result<u64, StorageError> {
        self.storage.check()?;
        let folder = self.storage.folder();
        let size = || storage::size_bytes(folder);
        self.storage_capacity_bytes
            .map_or_else(size, Ok)
            .map_err(|source| StorageError::Io { path: folder.to_owned(), source })
    }

    /// The volumes of claims of an owner's cluster that have a folder here. One look at a time: a call that
    /// hangs on a disk is not joined by others.
    ///
    /// # Errors
    /// When the folder of all of them is not there or is another: then nothing is known of any.
    pub fn find_storage(&self, owner: &Owner) -> Result<FoundStorage, StorageError> {
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return Err(StorageError::Busy);
        }
        let found = self.look_at_storage(owner);
        self.is_looking.store(false, Ordering::Release);
        found
    }

    fn look_at_storage(&self, owner: &Owner) -> Result<FoundStorage, StorageError> {
        let capacity_bytes = self.storage_capacity_bytes()?;
        let layout = self.layout(owner);
        let io = |source| StorageError::Io { path: layout.storage().to_owned(), source };
        let volumes = storage::find(layout.storage()).map_err(io)?;
        // A disk that went meanwhile took the folders along.
        self.storage.check()?;
        Ok(FoundStorage { volumes, capacity_bytes })
    }

    /// Removes the volume of a claim. Nothing is fine.
    pub fn remove_storage(&self, owner: &Owner, volume: VolumeUid) -> io::Result<()> {
        let leaving = || self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if !leaving().insert(volume) {
            return Err(io::Error::other("it is still being removed"));
        }
        let removed = self.storage.check().map_err(io::Error::other);
        let removed = removed.and_then(|()| storage::remove(self.layout(owner).storage(), volume));
        leaving().remove(&volume);
        removed
    }

    /// One at a time for each pod: a call that hangs on a disk is not joined by others.
    fn take(&self, pod: PodUid) -> Option<OneTurn<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(pod).then(|| OneTurn { volumes: self, pod })
    }
}

/// What a node has of the volumes of claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundStorage {
    /// Those with a folder.
    pub volumes: BTreeSet<VolumeUid>,
    /// As much as claims may have together.
    pub capacity_bytes: u64,
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
