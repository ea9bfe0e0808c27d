//! The accepted assignment on disk, so that a node goes on by itself after a restart.
//!
//! One file, `accepted.json`: `{"format":1,"revision":1,"acceptedAt":<microseconds>,"formerClusters":[…],
//! "assignment":{…}}`, where the assignment is as the agent protocol has it, the revision that of its fields,
//! and the former clusters are those whose containers may still be here. It holds secrets, so only its owner may read it. It is
//! replaced whole: written beside, synced, renamed, the folder synced. It is at most
//! [`dugout_wire::MAX_ASSIGNMENT_BYTES`] large.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dugout_model::{Assignment, ClusterId, SharedAssignment, Timestamp, Turn};
use dugout_wire as wire;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::file;

const FORMAT: u32 = 1;

/// The most former clusters that are remembered; the oldest is forgotten first.
const FORMER_CLUSTERS: usize = 32;
const FILE: &str = "accepted.json";
const ASIDE_FILE: &str = "accepted.json.unreadable";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    format: u32,
    /// What whoever wrote it knew of an assignment: [`wire::ASSIGNMENT_REVISION`]. An agent of before this
    /// was asked says nothing.
    #[serde(default)]
    revision: u32,
    accepted_at: i64,
    /// The last is the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_clusters: Vec<String>,
    assignment: wire::Assignment,
}

/// The accepted assignment, in memory and on disk.
#[derive(Debug)]
pub struct AcceptedStore {
    folder: PathBuf,
    held: Option<SharedAssignment>,
    /// That of the agent which accepted it.
    revision: u32,
    former: Vec<ClusterId>,
}

/// Why an assignment is not taken over.
#[derive(Debug, Error)]
pub enum AcceptError {
    #[error("generation {offered} was refused: generation {held} is already accepted", offered = offered.0, held = held.0)]
    Older { offered: Turn, held: Turn },
    #[error("generation {generation} was refused: it was accepted with other content before", generation = generation.0)]
    OtherContent { generation: Turn },
    #[error("the accepted assignment cannot be written to {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
}

/// What was found at the start.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Assignment,
    /// It could not be read, and was renamed; the node waits for the control plane's word.
    SetAside {
        path: PathBuf,
        why: String,
    },
}

impl AcceptedStore {
    /// Opens the folder, making it if needed, and reads what was accepted before.
    pub fn open(folder: &Path) -> Result<(Self, Found), AcceptError> {
        let disk = |source| AcceptError::Disk { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(disk)?;
        let path = folder.join(FILE);
        let (folder_owned, revision) = (folder.to_owned(), wire::ASSIGNMENT_REVISION);
        let mut store = Self { folder: folder_owned, held: None, revision, former: Vec::new() };
        match read(&path) {
            Ok(None) => Ok((store, Found::Nothing)),
            Ok(Some(OnDisk { assignment, revision, former })) => {
                store.held = Some(Arc::new(assignment));
                store.revision = revision;
                store.former = former;
                Ok((store, Found::Assignment))
            }
            Err(why) => {
                let aside = folder.join(ASIDE_FILE);
                fs::rename(&path, &aside).map_err(disk)?;
                Ok((store, Found::SetAside { path: aside, why }))
            }
        }
    }

    pub fn held(&self) -> Option<&SharedAssignment> {
        self.held.as_ref()
    }

    /// Whether it is all that was sent. An agent of another release dropped what it did not know, so its
    /// generation is fetched anew.
    pub fn is_whole(&self) -> bool {
        self.revision == wire::ASSIGNMENT_REVISION
    }

    /// The clusters that the node belonged to before, without the one of [`AcceptedStore::held`].
    pub fn former_clusters(&self) -> &[ClusterId] {
        &self.former
    }

    /// Takes over an assignment: on return it is on disk. The same one again changes nothing. One of
    /// another cluster or node is always taken over, since its generations are not comparable.
    pub fn accept(
        &mut self,
        assignment: Assignment,
        now: Timestamp,
    ) -> Result<SharedAssignment, AcceptError> {
        let comparable = |held: &&SharedAssignment| {
            held.cluster == assignment.cluster && held.node == assignment.node
        };
        if let Some(held) = self.held.as_ref().filter(comparable) {
            let (offered, known) = (assignment.generation, held.generation);
            if offered < known {
                return Err(AcceptError::Older { offered, held: known });
            }
            if offered == known && self.is_whole() {
                if **held == assignment {
                    return Ok(Arc::clone(held));
                }
                return Err(AcceptError::OtherContent { generation: offered });
            }
        }
        let former = former_with(&self.former, self.held.as_deref(), assignment.cluster);
        let stored = Stored {
            format: FORMAT,
            revision: wire::ASSIGNMENT_REVISION,
            accepted_at: now.as_micros(),
            former_clusters: former.iter().map(ToString::to_string).collect(),
            assignment: wire::Assignment::from(&assignment),
        };
        serde_json::to_vec(&stored)
            .map_err(io::Error::other)
            .and_then(|bytes| file::replace(&self.folder, FILE, &bytes))
            .map_err(|source| AcceptError::Disk { path: self.folder.join(FILE), source })?;
        let assignment = Arc::new(assignment);
        self.held = Some(Arc::clone(&assignment));
        self.revision = wire::ASSIGNMENT_REVISION;
        self.former = former;
        Ok(assignment)
    }
}

/// The former clusters once an assignment of `next` is held in the place of `held`.
fn former_with(former: &[ClusterId], held: Option<&Assignment>, next: ClusterId) -> Vec<ClusterId> {
    let held = held.map(|held| held.cluster);
    let before = former.iter().copied().filter(|cluster| Some(*cluster) != held);
    let mut all: Vec<ClusterId> = before.chain(held).filter(|cluster| *cluster != next).collect();
    all.drain(..all.len().saturating_sub(FORMER_CLUSTERS));
    all
}

struct OnDisk {
    assignment: Assignment,
    revision: u32,
    former: Vec<ClusterId>,
}

fn read(path: &Path) -> Result<Option<OnDisk>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let limit = wire::MAX_ASSIGNMENT_BYTES as u64;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is larger than {limit} bytes"));
    }
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.format != FORMAT {
        return Err(format!("its format is {}, and this agent reads {FORMAT}", stored.format));
    }
    let former = stored.former_clusters.iter().map(|cluster| cluster.parse().map(ClusterId));
    let former = former.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let assignment =
        stored.assignment.try_into().map_err(|error: wire::WireError| error.to_string())?;
    Ok(Some(OnDisk { assignment, revision: stored.revision, former }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::{assignment, at, pod, template};

    fn open(folder: &Path) -> (AcceptedStore, Found) {
        AcceptedStore::open(folder).unwrap()
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = assignment(3, vec![pod(1, template("web"))]);
        let (mut store, found) = open(folder.path());
        assert!(matches!(found, Found::Nothing));
        store.accept(wanted.clone(), at(1)).unwrap();
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (store, found) = open(folder.path());
        assert!(matches!(found, Found::Assignment));
        assert_eq!(**store.held().unwrap(), wanted);
    }

    #[test]
    fn an_older_generation_and_other_content_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        let wanted = assignment(3, vec![pod(1, template("web"))]);
        store.accept(wanted.clone(), at(1)).unwrap();
        store.accept(wanted.clone(), at(2)).unwrap();
        let older = store.accept(assignment(2, vec![]), at(3)).unwrap_err();
        assert!(matches!(older, AcceptError::Older { .. }));
        let other = store.accept(assignment(3, vec![]), at(3)).unwrap_err();
        assert!(matches!(other, AcceptError::OtherContent { .. }));
        assert_eq!(**store.held().unwrap(), wanted);
        assert_eq!(**open(folder.path()).0.held().unwrap(), wanted);
    }

    #[test]
    fn what_an_agent_of_another_release_accepted_is_fetched_and_accepted_anew() {
        let folder = tempfile::tempdir().unwrap();
        let whole = assignment(3, vec![pod(1, template("web"))]);
        // It did not know the pods.
        open(folder.path()).0.accept(assignment(3, vec![]), at(1)).unwrap();
        let file = folder.path().join(FILE);
        let text = fs::read_to_string(&file).unwrap();
        let revision = format!("\"revision\":{},", wire::ASSIGNMENT_REVISION);
        assert!(text.contains(&revision), "{text}");
        for of_another in ["", "\"revision\":4000000000,"] {
            fs::write(&file, text.replace(&revision, of_another)).unwrap();
            let (mut store, _) = open(folder.path());
            assert!(!store.is_whole());
            let older = store.accept(assignment(2, vec![]), at(2)).unwrap_err();
            assert!(matches!(older, AcceptError::Older { .. }));
            store.accept(whole.clone(), at(2)).unwrap();
            assert!(store.is_whole());
            let (store, _) = open(folder.path());
            assert!(store.is_whole());
            assert_eq!(**store.held().unwrap(), whole);
        }
    }

    #[test]
    fn former_clusters_are_remembered_until_the_node_is_theirs_again() {
        let folder = tempfile::tempdir().unwrap();
        let of = |cluster: u128| Assignment {
            cluster: ClusterId(uuid::Uuid::from_u128(cluster)),
            ..assignment(1, vec![])
        };
        let former_after = |cluster: u128| -> Vec<u128> {
            open(folder.path()).0.accept(of(cluster), at(1)).unwrap();
            let (store, _) = open(folder.path());
            store.former_clusters().iter().map(|cluster| cluster.0.as_u128()).collect()
        };
        assert_eq!(former_after(1), []);
        assert_eq!(former_after(2), [1]);
        assert_eq!(former_after(3), [1, 2]);
        assert_eq!(former_after(1), [2, 3]);
    }

    #[test]
    fn another_cluster_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        store.accept(assignment(9, vec![]), at(1)).unwrap();
        let mut other = assignment(1, vec![]);
        other.cluster = dugout_model::ClusterId(uuid::Uuid::from_u128(1));
        store.accept(other, at(2)).unwrap();
        assert_eq!(store.held().unwrap().generation, Turn(1));
    }

    #[test]
    fn a_corrupt_file_is_set_aside_and_not_fatal() {
        for bytes in [&b"{"[..], b"", br#"{"format":9}"#] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), bytes).unwrap();
            let (mut store, found) = open(folder.path());
            let Found::SetAside { path, .. } = found else { panic!("{found:?}") };
            assert_eq!(fs::read(path).unwrap(), bytes);
            assert!(store.held().is_none());
            store.accept(assignment(1, vec![]), at(1)).unwrap();
        }
    }

    #[test]
    fn a_leftover_of_a_crash_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("accepted.json.new"), b"half").unwrap();
        let (mut store, found) = open(folder.path());
        assert!(matches!(found, Found::Nothing));
        store.accept(assignment(1, vec![]), at(1)).unwrap();
        assert!(matches!(open(folder.path()).1, Found::Assignment));
    }
}
