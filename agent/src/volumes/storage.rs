//! The folders of claims: made with the first pod that uses one, kept over pods and starts of the agent, and
//! removed only when the control plane says that the volume is to be deleted.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dugout_model::VolumeUid;
use uuid::Uuid;

use super::VolumeProblem;
use super::mount_table::MountTable;
use super::prepare::{make_open, make_private};
use super::remove::remove_tree;

/// The folder in a data directory where they lie unless somebody says otherwise.
pub(super) const FOLDER: &str = "persistent-volumes";

/// Where the folder of a volume lies in that of its cluster.
pub(super) fn place(storage: &Path, volume: VolumeUid) -> PathBuf {
    storage.join(volume.to_string())
}

/// Makes the folder of a new volume; one that is not new has to be there, with what is in it.
pub(super) fn make(storage: &Path, volume: VolumeUid, is_new: bool) -> Result<(), VolumeProblem> {
    let path = place(storage, volume);
    let io = |source| VolumeProblem::Io { path: path.clone(), source };
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(io(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_new => {
            make_private(storage).map_err(io)?;
            make_open(&path, None).map_err(io)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(VolumeProblem::Lost { path: path.clone() })
        }
        Err(error) => Err(io(error)),
    }
}

/// The volumes that have a folder here.
pub(super) fn find(storage: &Path) -> io::Result<BTreeSet<VolumeUid>> {
    let entries = match fs::read_dir(storage) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let name = entry.file_name();
            found.extend(name.to_str().and_then(|name| Uuid::parse_str(name).ok()).map(VolumeUid));
        }
    }
    Ok(found)
}

/// Removes the folder of a volume with all that is in it, and nothing that links in it lead to. Nothing is
/// removed while something is mounted there.
pub(super) fn remove(storage: &Path, volume: VolumeUid) -> io::Result<()> {
    // Mounts are found by their whole path.
    let storage = match fs::canonicalize(storage) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        storage => storage?,
    };
    let path = place(&storage, volume);
    if let Some(point) = MountTable::read()?.below(&path).next() {
        return Err(io::Error::other(format!("{} is mounted there", point.display())));
    }
    remove_tree(&path)
}

/// How much the disk of a folder holds, in bytes.
pub(super) fn size_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Where the volumes of claims lie: as told, else in the data directory.
pub(crate) fn root(data_dir: &Path, told: Option<&Path>) -> PathBuf {
    told.map_or_else(|| data_dir.join(FOLDER), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: VolumeUid = VolumeUid(Uuid::from_u128(7));

    #[test]
    fn a_volume_is_made_once_and_not_made_anew_when_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("storage");
        assert_eq!(find(&storage).unwrap(), BTreeSet::new());
        let lost = make(&storage, VOLUME, false).unwrap_err();
        assert!(matches!(lost, VolumeProblem::Lost { .. }), "{lost}");
        assert!(!storage.exists());
        make(&storage, VOLUME, true).unwrap();
        fs::write(place(&storage, VOLUME).join("row"), "1").unwrap();
        make(&storage, VOLUME, true).unwrap();
        make(&storage, VOLUME, false).unwrap();
        assert_eq!(fs::read_to_string(place(&storage, VOLUME).join("row")).unwrap(), "1");
        fs::create_dir(storage.join("somebody's")).unwrap();
        assert_eq!(find(&storage).unwrap(), BTreeSet::from([VOLUME]));
    }

    #[test]
    fn a_volume_goes_and_what_its_links_lead_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, other) = (folder.path().join("storage"), folder.path().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "1").unwrap();
        make(&storage, VOLUME, true).unwrap();
        let place = place(&storage, VOLUME);
        std::os::unix::fs::symlink(&other, place.join("link")).unwrap();
        fs::create_dir_all(place.join("a/b")).unwrap();
        std::os::unix::fs::symlink(&other, place.join("a/b/link")).unwrap();
        remove(&storage, VOLUME).unwrap();
        remove(&storage, VOLUME).unwrap();
        assert!(!place.exists() && other.join("kept").exists());
        std::os::unix::fs::symlink(&other, &place).unwrap();
        assert!(remove(&storage, VOLUME).is_err(), "a link in its place is not followed");
        assert!(make(&storage, VOLUME, true).is_err());
        assert!(other.join("kept").exists());
    }
}
