//! Reads commits, folders and files from the object store. No work tree, no filters.

use std::fmt;

use dugout_model::{Commit, CommitSha, Timestamp};
use git2::{ObjectType, Oid, Repository, Tree};

use crate::TreeProblem;
use crate::mirror::{is_missing, oid_of, sha_of};

/// The id of a file's content: equal content, equal id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(Oid);

impl BlobId {
    pub(crate) fn new(id: Oid) -> BlobId {
        BlobId(id)
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The id with these bytes, if there can be one.
    pub fn from_bytes(bytes: &[u8]) -> Option<BlobId> {
        Oid::from_bytes(bytes).ok().map(BlobId)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The longest message that is kept; the rest is cut.
const MESSAGE_LIMIT_BYTES: usize = 64 << 10;
pub(crate) const MODE_MASK: i32 = 0o170_000;
pub(crate) const MODE_LINK: i32 = 0o120_000;
pub(crate) const MODE_SUBMODULE: i32 = 0o160_000;
pub(crate) const MODE_FOLDER: i32 = 0o040_000;

pub(crate) fn commit(repository: &Repository, id: Oid) -> Result<Commit, git2::Error> {
    let commit = repository.find_commit(id)?;
    let author = commit.author();
    let (name, email) = (author.name_bytes(), author.email_bytes());
    let message = commit.message_bytes();
    let message = &message[..message.len().min(MESSAGE_LIMIT_BYTES)];
    Ok(Commit {
        sha: sha_of(id),
        author: format!("{} <{}>", String::from_utf8_lossy(name), String::from_utf8_lossy(email)),
        message: String::from_utf8_lossy(message).into_owned(),
        committed_at: Timestamp::from_micros(commit.time().seconds().saturating_mul(1_000_000)),
        parents: commit.parent_ids().map(sha_of).collect(),
    })
}

pub(crate) fn read(
    repository: &Repository,
    blob: BlobId,
    limit_bytes: u64,
) -> Result<Vec<u8>, TreeProblem> {
    let odb = repository.odb().map_err(corrupt)?;
    let (size, kind) = odb.read_header(blob.0).map_err(corrupt)?;
    if kind != ObjectType::Blob {
        return Err(TreeProblem::WrongKind { id: blob.0.to_string() });
    }
    if size as u64 > limit_bytes {
        return Err(TreeProblem::FileTooLarge { size_bytes: size as u64, limit_bytes });
    }
    Ok(odb.read(blob.0).map_err(corrupt)?.data().to_vec())
}

/// Whether a path stays inside a repository.
///
/// # Errors
/// [`TreeProblem::PathInvalid`].
pub fn check_path(path: &str) -> Result<(), TreeProblem> {
    normal(path).map(drop)
}

/// A path without leading and trailing slashes, if it stays inside the repository.
pub(crate) fn normal(path: &str) -> Result<String, TreeProblem> {
    let path = path.trim_start_matches("./").trim_matches('/');
    let path = if path == "." { "" } else { path };
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
    if !path.is_empty() && path.split('/').any(odd) {
        return Err(TreeProblem::PathInvalid { path: path.to_owned() });
    }
    Ok(path.to_owned())
}

/// The folder at a path of a commit; none if there is no folder.
pub(crate) fn folder<'r>(
    repository: &'r Repository,
    sha: &CommitSha,
    path: &str,
) -> Result<Option<Tree<'r>>, TreeProblem> {
    let unknown = || TreeProblem::CommitUnknown { sha: sha.clone() };
    let id = oid_of(sha).ok_or_else(unknown)?;
    let commit = repository
        .find_commit(id)
        .map_err(|error| if is_missing(&error) { unknown() } else { corrupt(error) })?;
    let mut tree = find_tree(repository, commit.tree_id())?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let next = match tree.get_name(part) {
            Some(entry) if entry.filemode() & MODE_MASK == MODE_FOLDER => entry.id(),
            _ => return Ok(None),
        };
        tree = find_tree(repository, next)?;
    }
    Ok(Some(tree))
}

/// The tree with this id. Another object there is sound, and the commit that calls it a folder is wrong.
pub(crate) fn find_tree(repository: &Repository, id: Oid) -> Result<Tree<'_>, TreeProblem> {
    repository.find_tree(id).map_err(|error| {
        match repository.odb().and_then(|odb| odb.read_header(id)) {
            Ok((_, kind)) if kind != ObjectType::Tree => {
                TreeProblem::WrongKind { id: id.to_string() }
            }
            _ => corrupt(error),
        }
    })
}

pub(crate) fn corrupt(error: git2::Error) -> TreeProblem {
    TreeProblem::Corrupt(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_kind_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        let file = repository.blob(b"a").unwrap();
        let folder = repository.treebuilder(None).unwrap().write().unwrap();
        let found = read(&repository, BlobId(folder), 1);
        assert!(matches!(found, Err(TreeProblem::WrongKind { .. })), "{found:?}");
        let found = find_tree(&repository, file).map(|tree| tree.id());
        assert!(matches!(found, Err(TreeProblem::WrongKind { .. })), "{found:?}");
        let found =
            find_tree(&repository, Oid::from_bytes(&[7; 20]).unwrap()).map(|tree| tree.id());
        assert!(matches!(found, Err(TreeProblem::Corrupt(_))), "{found:?}");
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_told_before_anybody_looks_for_it() {
        for path in ["", ".", "/", "./apps/web/", "..a"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in ["..", "../x", "apps/../web", "apps//web", "a\0b"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }
}
