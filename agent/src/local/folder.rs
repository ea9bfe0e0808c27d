//! An agent's data directory as `dugout down` sees it: whose containers it stands for, and that no agent
//! uses it any more.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use dugout_model::{Assignment, EngineId};

use super::LocalError;
use crate::AgentError;
use crate::accepted::{AcceptedStore, Found};
use crate::config::{self, NodeFile};
use crate::labels::Owner;
use crate::{records, volumes};

/// Everything that an agent writes there, beside its records.
const PARTS: [&str; 13] = [
    "accepted.json",
    "accepted.json.new",
    "accepted.json.unreadable",
    "node.json",
    "node.json.new",
    "images.json",
    "images.json.new",
    "paused.json",
    "paused.json.new",
    "storage.json",
    "storage.json.new",
    "agent.sock",
    "lock",
];

/// The data directory of an agent that does not run. While this lives, none can start with it.
#[derive(Debug)]
pub struct AgentFolder {
    path: PathBuf,
    known: Known,
    former: Vec<Node>,
    _lock: File,
}

/// What the directory knows of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub owner: Owner,
    /// The engine that it last spoke to, when it has spoken to one.
    pub engine: Option<EngineId>,
}

#[derive(Debug)]
enum Known {
    /// It never was told to run anything.
    Nothing,
    Node(Node),
    /// It was told, and what it was told cannot be read any more. The node's name, where it is noted.
    Lost(String),
}

impl AgentFolder {
    /// Whether this is a directory that an agent has used.
    pub fn is(path: &Path) -> bool {
        path.join("node.json").exists()
    }

    /// Takes it, as an agent would.
    ///
    /// # Errors
    /// [`AgentError::DataDirInUse`] while its agent runs; another one when it cannot be read.
    pub fn take(path: &Path) -> Result<Self, LocalError> {
        let unusable = |error| LocalError::Folder(Box::new(error));
        let lock = config::lock(path).map_err(unusable)?;
        let (accepted, found) = AcceptedStore::open(path)
            .map_err(|error| LocalError::Folder(Box::new(AgentError::Accepted(error))))?;
        let file = NodeFile::open(path).map_err(unusable)?;
        let lost = matches!(found, Found::SetAside { .. })
            || path.join("accepted.json.unreadable").exists();
        let node_of = |cluster, held: &Assignment| Node {
            owner: Owner { cluster, node: held.node.clone() },
            engine: file.engine.as_ref().map(|engine| EngineId::new(&engine.id)),
        };
        let held = accepted.held();
        let former = held.iter().flat_map(|held| {
            accepted.former_clusters().iter().map(|cluster| node_of(*cluster, held))
        });
        let former = former.collect();
        let known = match held {
            Some(held) => Known::Node(node_of(held.cluster, held)),
            None if lost => Known::Lost(file.node.unwrap_or_default()),
            None => Known::Nothing,
        };
        Ok(Self { path: path.to_owned(), known, former, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The node whose containers may be here; `None` when it never was told to run anything.
    ///
    /// # Errors
    /// When that cannot be read any more.
    pub fn node(&self) -> Result<Option<&Node>, LocalError> {
        match &self.known {
            Known::Nothing => Ok(None),
            Known::Node(node) => Ok(Some(node)),
            Known::Lost(node) => {
                Err(LocalError::ClusterUnknown { path: self.path.clone(), node: node.clone() })
            }
        }
    }

    /// The same node in the clusters that it belonged to before: what it made there may still be here.
    pub fn former(&self) -> &[Node] {
        &self.former
    }

    /// Removes the volumes of its pods. Their containers must be gone.
    ///
    /// # Errors
    /// When something of them cannot be removed.
    pub fn remove_volumes(&self) -> Result<(), LocalError> {
        volumes::purge(&self.path).map_err(|source| {
            LocalError::Folder(Box::new(AgentError::DataDir { path: self.path.clone(), source }))
        })
    }

    /// Removes what the agent wrote, and the directory.
    ///
    /// # Errors
    /// When something cannot be removed, or the directory holds what is not the agent's.
    pub fn purge(self) -> Result<(), LocalError> {
        let failed = |source| {
            LocalError::Folder(Box::new(AgentError::DataDir { path: self.path.clone(), source }))
        };
        for part in PARTS {
            match fs::remove_file(self.path.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        records::purge(&self.path).map_err(failed)?;
        volumes::purge(&self.path).map_err(failed)?;
        volumes::purge_storage(&self.path).map_err(failed)?;
        fs::remove_dir(&self.path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::converge::{Attempt, Stage};
    use crate::records::{Records, Version};
    use crate::testing::{assignment, at, uid};

    #[test]
    fn a_folder_tells_whose_containers_it_stands_for_and_is_taken_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        fs::create_dir(&path).unwrap();
        assert!(!AgentFolder::is(&path));
        let held = assignment(1, vec![]);
        AcceptedStore::open(&path).unwrap().0.accept(held.clone(), at(1)).unwrap();

        let (records, _) = Records::open(&path).unwrap();
        let begun = Attempt { number: 0, stage: Stage::Begun };
        let record = [("web".to_owned(), begun)].into();
        records.write(uid(1), Version(1), &record).unwrap();

        let taken = AgentFolder::take(&path).unwrap();
        let owner = Owner { cluster: held.cluster, node: held.node };
        assert_eq!(taken.node().unwrap(), Some(&Node { owner, engine: None }));
        assert!(AgentFolder::is(&path));
        let refused = AgentFolder::take(&path).unwrap_err();
        let LocalError::Folder(refused) = refused else { panic!("{refused}") };
        assert!(matches!(*refused, AgentError::DataDirInUse { .. }), "{refused}");
        taken.purge().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(AgentFolder::take(folder.path()).unwrap().node().unwrap(), None);
        fs::write(folder.path().join("accepted.json"), "{").unwrap();
        for _ in 0..2 {
            let taken = AgentFolder::take(folder.path()).unwrap();
            let refused = taken.node().unwrap_err();
            assert!(matches!(refused, LocalError::ClusterUnknown { .. }), "{refused}");
        }
    }
}
