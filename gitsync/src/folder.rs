//! One folder of a commit at a time, by the id of its content, so that what did not change between two
//! commits need not be read again.

use std::fmt;

use dugout_model::CommitSha;
use git2::{ObjectType, Oid, Repository};

use crate::TreeProblem;
use crate::tree::{
    BlobId, MODE_FOLDER, MODE_LINK, MODE_MASK, MODE_SUBMODULE, corrupt, find_tree, folder, normal,
};

/// The id of a folder with all that is below: equal content, equal id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(Oid);

impl FolderId {
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for FolderId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// One thing in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry {
    /// With replacement characters where it is no UTF-8.
    pub name: String,
    pub kind: EntryKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File {
        blob: BlobId,
        size_bytes: u64,
    },
    Folder {
        id: FolderId,
    },
    /// With its target as it is written.
    Link {
        target: String,
    },
    Submodule,
    /// Its name, or the target of the link that it is, is no UTF-8 text.
    NoText,
}

/// More than this in one folder is not read.
const ENTRY_LIMIT: usize = 200_000;
/// The longest target of a link.
const TARGET_LIMIT_BYTES: usize = 4096;

/// The top folder of a commit, which must have a folder at `path`.
pub(crate) fn top(
    repository: &Repository,
    sha: &CommitSha,
    path: &str,
) -> Result<(FolderId, String), TreeProblem> {
    let path = normal(path)?;
    let missing = || TreeProblem::PathMissing { sha: sha.clone(), path: path.clone() };
    folder(repository, sha, &path)?.ok_or_else(missing)?;
    let top = folder(repository, sha, "")?.ok_or_else(missing)?;
    Ok((FolderId(top.id()), path))
}

/// What a folder holds, in the order of the names.
pub(crate) fn entries(
    repository: &Repository,
    id: FolderId,
) -> Result<Vec<FolderEntry>, TreeProblem> {
    let tree = find_tree(repository, id.0)?;
    if tree.len() > ENTRY_LIMIT {
        return Err(TreeProblem::TooManyFiles { path: String::new(), limit: ENTRY_LIMIT });
    }
    let odb = repository.odb().map_err(corrupt)?;
    let mut entries = Vec::with_capacity(tree.len());
    for entry in &tree {
        let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        let kind = match entry.filemode() & MODE_MASK {
            _ if std::str::from_utf8(entry.name_bytes()).is_err() => EntryKind::NoText,
            MODE_FOLDER => EntryKind::Folder { id: FolderId(entry.id()) },
            MODE_SUBMODULE => EntryKind::Submodule,
            MODE_LINK => match link_target(&odb, entry.id())? {
                Some(target) => EntryKind::Link { target },
                None => EntryKind::NoText,
            },
            _ => {
                let (size, _) = odb.read_header(entry.id()).map_err(corrupt)?;
                EntryKind::File { blob: BlobId::new(entry.id()), size_bytes: size as u64 }
            }
        };
        entries.push(FolderEntry { name, kind });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn link_target(odb: &git2::Odb<'_>, id: Oid) -> Result<Option<String>, TreeProblem> {
    let (size, kind) = odb.read_header(id).map_err(corrupt)?;
    if size > TARGET_LIMIT_BYTES || kind != ObjectType::Blob {
        return Ok(None);
    }
    let object = odb.read(id).map_err(corrupt)?;
    Ok(std::str::from_utf8(object.data()).ok().map(str::to_owned))
}
