//! What is known of containers that are not always started again, on disk: a restarted agent knows that
//! one ran, and how it ended, also when somebody removed it or started it again meanwhile.
//!
//! One file for each pod, `attempts/<uid>.json`: `{"format":1,"containers":{"web":{"attempt":0,"stage":…}}}`.
//! A container's file says that it was begun before the engine is asked to start it, so it never runs
//! twice where it may run once.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use dugout_model::{ContainerExit, PodUid, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::converge::{Attempt, Stage, Stopping};
use crate::file;

const FORMAT: u32 = 1;
const FOLDER: &str = "attempts";
const EXTENSION: &str = "json";

/// The newest attempt of each container of a pod.
pub(crate) type PodRecord = BTreeMap<String, Attempt>;

/// The order in which the records of a pod were decided; an older one does not replace a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version(pub u64);

/// The folder with the records. Its calls wait for the disk.
#[derive(Debug)]
pub(crate) struct Records {
    folder: PathBuf,
    newest: Mutex<HashMap<PodUid, Version>>,
}

impl Records {
    /// Opens the folder, making it if needed, and reads what an earlier life left. A record that cannot
    /// be read is left out and told.
    pub fn open(data_dir: &Path) -> io::Result<(Self, BTreeMap<PodUid, PodRecord>)> {
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            match read(&path) {
                Ok((pod, record)) => drop(found.insert(pod, record)),
                Err(why) => {
                    tracing::warn!("the record {} cannot be read: {why}", path.display());
                }
            }
        }
        Ok((Self { folder, newest: Mutex::default() }, found))
    }

    /// Writes the record of a pod; an empty one removes it. On return it is on disk, or a newer one is.
    pub fn write(&self, pod: PodUid, version: Version, record: &PodRecord) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.get(&pod).is_some_and(|newest| *newest > version) {
            return Ok(());
        }
        let name = format!("{}.{EXTENSION}", pod.0);
        if record.is_empty() {
            newest.remove(&pod);
            return match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
        }
        let containers = record.iter().map(|(name, attempt)| (name.clone(), attempt.into()));
        let stored = Stored { format: FORMAT, containers: containers.collect() };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
        file::replace(&self.folder, &name, &bytes)?;
        newest.insert(pod, version);
        Ok(())
    }
}

/// Removes the folder with the records, and nothing that is not one.
pub(crate) fn purge(data_dir: &Path) -> io::Result<()> {
    let folder = data_dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let is_record = name.to_str().is_some_and(|name| {
            let uid = name.strip_suffix(".new").unwrap_or(name).strip_suffix(".json");
            uid.is_some_and(|uid| Uuid::parse_str(uid).is_ok())
        });
        if is_record {
            fs::remove_file(folder.join(name))?;
        }
    }
    fs::remove_dir(folder)
}

fn read(path: &Path) -> Result<(PodUid, PodRecord), String> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let uid = Uuid::parse_str(name).map_err(|error| error.to_string())?;
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.format != FORMAT {
        return Err(format!("its format is {}, and this agent reads {FORMAT}", stored.format));
    }
    let containers = stored.containers.into_iter();
    Ok((PodUid(uid), containers.map(|(name, attempt)| (name, attempt.into())).collect()))
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    format: u32,
    containers: BTreeMap<String, StoredAttempt>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredAttempt {
    attempt: u32,
    stage: StoredStage,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredStage {
    Begun,
    Stopping(StoredStopping),
    #[serde(rename_all = "camelCase")]
    Ended {
        exit_code: i64,
        oom_killed: bool,
        finished_at: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<StoredStopping>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredStopping {
    GivenUp,
    Ordered,
}

impl From<&Attempt> for StoredAttempt {
    fn from(value: &Attempt) -> Self {
        let Attempt { number, stage } = value;
        let stage = match stage {
            Stage::Begun => StoredStage::Begun,
            Stage::Stopping(why) => StoredStage::Stopping((*why).into()),
            Stage::Ended { exit, after } => StoredStage::Ended {
                exit_code: exit.exit_code,
                oom_killed: exit.oom_killed,
                finished_at: exit.finished_at.as_micros(),
                after: after.map(Into::into),
            },
        };
        Self { attempt: *number, stage }
    }
}

impl From<StoredAttempt> for Attempt {
    fn from(value: StoredAttempt) -> Self {
        let stage = match value.stage {
            StoredStage::Begun => Stage::Begun,
            StoredStage::Stopping(why) => Stage::Stopping(why.into()),
            StoredStage::Ended { exit_code, oom_killed, finished_at, after } => {
                let finished_at = Timestamp::from_micros(finished_at);
                let exit = ContainerExit { exit_code, oom_killed, finished_at };
                Stage::Ended { exit, after: after.map(Into::into) }
            }
        };
        Self { number: value.attempt, stage }
    }
}

impl From<Stopping> for StoredStopping {
    fn from(value: Stopping) -> Self {
        match value {
            Stopping::GivenUp => StoredStopping::GivenUp,
            Stopping::Ordered => StoredStopping::Ordered,
        }
    }
}

impl From<StoredStopping> for Stopping {
    fn from(value: StoredStopping) -> Self {
        match value {
            StoredStopping::GivenUp => Stopping::GivenUp,
            StoredStopping::Ordered => Stopping::Ordered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, uid};

    fn record(stage: Stage) -> PodRecord {
        BTreeMap::from([("web".to_owned(), Attempt { number: 3, stage })])
    }

    #[test]
    fn a_record_is_read_as_it_was_written_until_it_is_removed() {
        let exit = ContainerExit { exit_code: 7, oom_killed: true, finished_at: at(5) };
        for stage in [
            Stage::Begun,
            Stage::Stopping(Stopping::Ordered),
            Stage::Ended { exit: exit.clone(), after: None },
            Stage::Ended { exit, after: Some(Stopping::GivenUp) },
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (records, found) = Records::open(folder.path()).unwrap();
            assert_eq!(found, BTreeMap::new());
            records.write(uid(1), Version(1), &record(stage.clone())).unwrap();
            let (records, found) = Records::open(folder.path()).unwrap();
            assert_eq!(found, BTreeMap::from([(uid(1), record(stage))]));
            records.write(uid(1), Version(2), &PodRecord::new()).unwrap();
            assert_eq!(Records::open(folder.path()).unwrap().1, BTreeMap::new());
        }
    }

    #[test]
    fn a_record_that_was_decided_earlier_does_not_replace_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let (records, _) = Records::open(folder.path()).unwrap();
        let ordered = record(Stage::Stopping(Stopping::Ordered));
        records.write(uid(1), Version(2), &ordered).unwrap();
        records.write(uid(1), Version(1), &record(Stage::Begun)).unwrap();
        assert_eq!(Records::open(folder.path()).unwrap().1[&uid(1)], ordered);
    }

    #[test]
    fn a_record_that_cannot_be_read_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (records, _) = Records::open(folder.path()).unwrap();
        records.write(uid(1), Version(1), &record(Stage::Begun)).unwrap();
        fs::write(folder.path().join(FOLDER).join(format!("{}.json", uid(2).0)), "{").unwrap();
        fs::write(folder.path().join(FOLDER).join("x.json"), "{}").unwrap();
        let found = Records::open(folder.path()).unwrap().1;
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [uid(1)]);
    }
}
