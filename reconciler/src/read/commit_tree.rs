//! A commit's files as the manifests' reader asks for them, each folder read once for each content.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use dugout_gitsync::{BlobId, EntryKind, FolderEntry, FolderId, Mirror, TreeProblem};
use dugout_manifest::{ContentId, Found, MANIFEST_LIMIT_BYTES, Tree, TreeError};

/// Folders by the ids of their content.
pub(super) type Folders = HashMap<FolderId, Arc<Vec<FolderEntry>>>;

/// How many bytes an object id has.
const ID_BYTES: usize = 20;

pub(super) struct CommitTree<'m> {
    mirror: &'m Mirror,
    top: FolderId,
    /// What the last commit left.
    known: Folders,
    /// What this commit uses.
    used: RefCell<Folders>,
}

impl<'m> CommitTree<'m> {
    pub fn new(mirror: &'m Mirror, top: FolderId, known: Folders) -> Self {
        Self { mirror, top, known, used: RefCell::default() }
    }

    /// The folders that were asked for, for the next commit.
    pub fn into_folders(self) -> Folders {
        self.used.into_inner()
    }

    fn folder(&self, id: FolderId) -> Result<Arc<Vec<FolderEntry>>, TreeProblem> {
        if let Some(entries) = self.used.borrow().get(&id) {
            return Ok(Arc::clone(entries));
        }
        let entries = match self.known.get(&id) {
            Some(entries) => Arc::clone(entries),
            None => Arc::new(self.mirror.folder(id)?),
        };
        self.used.borrow_mut().insert(id, Arc::clone(&entries));
        Ok(entries)
    }

    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeProblem> {
        let mut kind = EntryKind::Folder { id: self.top };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let EntryKind::Folder { id } = kind else { return Ok(None) };
            let entries = self.folder(id)?;
            match entries.binary_search_by(|entry| entry.name.as_str().cmp(part)) {
                Ok(index) => kind = entries[index].kind.clone(),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(kind))
    }
}

impl Tree for CommitTree<'_> {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        Ok(self.entry(path)?.as_ref().map_or(Found::Nothing, found))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        let Some(EntryKind::Folder { id }) = self.entry(folder)? else { return Ok(Vec::new()) };
        let entries = self.folder(id)?;
        Ok(entries.iter().map(|entry| (entry.name.clone(), found(&entry.kind))).collect())
    }

    fn read(&self, path: &str, id: ContentId) -> Result<Vec<u8>, TreeError> {
        let blob = BlobId::from_bytes(&id.0[..ID_BYTES])
            .ok_or_else(|| format!("{path} has no object id"))?;
        Ok(self.mirror.read(blob, MANIFEST_LIMIT_BYTES)?)
    }
}

fn found(kind: &EntryKind) -> Found {
    match kind {
        EntryKind::File { blob, size_bytes } => {
            Found::File { id: content_id(blob.bytes()), size_bytes: *size_bytes }
        }
        EntryKind::Folder { id } => Found::Folder { id: content_id(id.bytes()) },
        EntryKind::Link { target } => Found::Link { target: target.clone() },
        EntryKind::Submodule => Found::Foreign,
        EntryKind::NoText => Found::NoText,
    }
}

fn content_id(bytes: &[u8]) -> ContentId {
    let mut id = [0; 32];
    let length = bytes.len().min(id.len());
    id[..length].copy_from_slice(&bytes[..length]);
    ContentId(id)
}
