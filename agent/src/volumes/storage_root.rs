//! The folder with the volumes of claims, and how it is known to be that folder: a marker in it has the id
//! that the data directory remembers.
//!
//! A disk that is not mounted looks like an empty folder. Who took that for the truth would report all volumes
//! as gone and make new ones beside the data. So a folder without the marker is unknown, never empty, and one
//! that was there once is not made anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::prepare::make_private;
use super::storage;
use crate::file::replace;

/// In the folder: its id.
pub(super) const MARKER: &str = ".dugout-storage";
/// In the data directory: which folder it is.
const RECORD: &str = "storage.json";

/// Why nothing can be said of the volumes of claims.
#[derive(Debug, Error)]
pub enum StorageError {
    #[error("the storage folder {} cannot be read or made: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("which folder has the volumes of claims cannot be read or written in {}: {source}", path.display())]
    Record { path: PathBuf, source: io::Error },
    #[error(
        "{} is not the storage folder that this node has volumes in: it lacks the file {MARKER} with the id {id}; mount its disk there, or bring back what was in {} with that file; to give up all volumes, remove {}",
        path.display(), former.display(), record.display()
    )]
    Absent { path: PathBuf, former: PathBuf, id: Uuid, record: PathBuf },
    #[error("an earlier look into the storage folder has not come to its end")]
    Busy,
    #[error("the storage folder did not answer within {seconds} s")]
    Deadline { seconds: u64 },
}

/// What the data directory knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    id: Uuid,
    path: PathBuf,
}

#[derive(Debug)]
pub(crate) struct StorageRoot {
    data_dir: PathBuf,
    folder: PathBuf,
}

impl StorageRoot {
    /// Looks at nothing yet. A folder that is not there is known by its path as it was told.
    pub fn new(data_dir: &Path, folder: &Path) -> io::Result<Self> {
        let folder = match fs::canonicalize(folder) {
            Ok(folder) => folder,
            Err(_) => std::path::absolute(folder)?,
        };
        Ok(Self { data_dir: data_dir.to_owned(), folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sees to it that the folder is the one that it was. The first time it is made and marked; one that bears
    /// a mark is taken over with what is in it, as when the data directory is new. Another folder than before
    /// is taken when there is no volume in the former one, so nothing is lost by that.
    ///
    /// # Errors
    /// When it is not there, is another one, or cannot be read or made.
    pub fn check(&self) -> Result<(), StorageError> {
        let (record, marker) = (self.record()?, self.marker(&self.folder)?);
        let known = match (&record, marker) {
            (Some(record), Some(id)) if record.id == id => Record { id, ..record.clone() },
            (Some(former), _) if !self.may_leave(former) => {
                return Err(StorageError::Absent {
                    path: self.folder.clone(),
                    former: former.path.clone(),
                    id: former.id,
                    record: self.data_dir.join(RECORD),
                });
            }
            (_, Some(id)) => Record { id, path: self.folder.clone() },
            (_, None) => self.mark()?,
        };
        let known = Record { path: self.folder.clone(), ..known };
        match record.as_ref() == Some(&known) {
            true => Ok(()),
            false => self.remember(&known),
        }
    }

    /// Whether another folder than this may take its place: it is still there, and without any volume.
    fn may_leave(&self, former: &Record) -> bool {
        former.path != self.folder
            && self.marker(&former.path).is_ok_and(|id| id == Some(former.id))
            && is_without_volumes(&former.path).unwrap_or(false)
    }

    fn marker(&self, folder: &Path) -> Result<Option<Uuid>, StorageError> {
        let text = match fs::read_to_string(folder.join(MARKER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| self.io(source))?,
        };
        let unreadable = |error| self.io(io::Error::new(io::ErrorKind::InvalidData, error));
        Uuid::parse_str(text.trim()).map(Some).map_err(unreadable)
    }

    /// The mark is on the disk before the data directory knows of it: a crash in between is mended by the
    /// next look.
    fn mark(&self) -> Result<Record, StorageError> {
        let id = Uuid::new_v4();
        let made = make_private(&self.folder)
            .and_then(|()| replace(&self.folder, MARKER, format!("{id}\n").as_bytes()));
        made.map_err(|source| self.io(source))?;
        Ok(Record { id, path: self.folder.clone() })
    }

    fn record(&self) -> Result<Option<Record>, StorageError> {
        match fs::read(self.data_dir.join(RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes
                .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other))
                .map(Some)
                .map_err(|source| self.record_error(source)),
        }
    }

    fn remember(&self, known: &Record) -> Result<(), StorageError> {
        let bytes = serde_json::to_vec(known).map_err(io::Error::other);
        let written = bytes.and_then(|bytes| replace(&self.data_dir, RECORD, &bytes));
        written.map_err(|source| self.record_error(source))
    }

    fn io(&self, source: io::Error) -> StorageError {
        StorageError::Io { path: self.folder.clone(), source }
    }

    fn record_error(&self, source: io::Error) -> StorageError {
        StorageError::Record { path: self.data_dir.join(RECORD), source }
    }
}

/// Whether no cluster has a volume in this folder.
fn is_without_volumes(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !storage::find(&entry.path())?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dugout_model::VolumeUid;

    struct Rig {
        folder: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("data")).unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// A start of the agent with this storage folder.
        fn start(&self, name: &str) -> StorageRoot {
            StorageRoot::new(&self.path("data"), &self.path(name)).unwrap()
        }

        fn with_volume(&self, name: &str) {
            self.start(name).check().unwrap();
            let cluster = self.path(name).join(Uuid::from_u128(1).to_string());
            storage::make(&cluster, VolumeUid(Uuid::from_u128(2)), true).unwrap();
        }
    }

    #[test]
    fn a_folder_that_was_there_is_not_made_anew_and_an_empty_one_is_not_it() {
        let rig = Rig::new();
        rig.with_volume("disk");
        rig.start("disk").check().unwrap();
        // The disk is not mounted: first without the folder, then with that on which it is mounted.
        fs::rename(rig.path("disk"), rig.path("away")).unwrap();
        let absent = rig.start("disk").check().unwrap_err();
        assert!(absent.to_string().contains("mount its disk there"), "{absent}");
        assert!(!rig.path("disk").exists());
        fs::create_dir(rig.path("disk")).unwrap();
        assert!(matches!(rig.start("disk").check(), Err(StorageError::Absent { .. })));
        assert!(!rig.path("disk").join(MARKER).exists());
        fs::remove_dir(rig.path("disk")).unwrap();
        fs::rename(rig.path("away"), rig.path("disk")).unwrap();
        rig.start("disk").check().unwrap();
        // Moved with its marker, it is the same under another path, and from then on there.
        fs::rename(rig.path("disk"), rig.path("moved")).unwrap();
        rig.start("moved").check().unwrap();
        assert!(rig.start("disk").check().is_err());
    }

    #[test]
    fn another_folder_is_taken_only_where_no_volume_is_left_behind() {
        let rig = Rig::new();
        rig.start("first").check().unwrap();
        rig.with_volume("second");
        assert!(rig.start("third").check().is_err(), "the second has a volume");
        assert!(!rig.path("third").exists());
        rig.start("second").check().unwrap();
    }

    #[test]
    fn a_new_data_directory_takes_over_a_folder_with_its_volumes() {
        let rig = Rig::new();
        rig.with_volume("disk");
        let marker = fs::read_to_string(rig.path("disk").join(MARKER)).unwrap();
        fs::remove_file(rig.path("data").join(RECORD)).unwrap();
        rig.start("disk").check().unwrap();
        assert_eq!(fs::read_to_string(rig.path("disk").join(MARKER)).unwrap(), marker);
        fs::remove_dir_all(rig.path("disk")).unwrap();
        assert!(rig.start("disk").check().is_err());
    }
}
