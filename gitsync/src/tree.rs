//! Reads commits, folders and files from the object store. No work tree, no filters.

use std::fmt;
use std::str::FromStr;

use dugout_model::{Commit, CommitSha, Problem, Severity, Timestamp};
use git2::{Delta, DiffOptions, ObjectType, Oid, Repository, Tree};

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

impl fmt::Display for BlobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for BlobId {
    type Err = ();

    fn from_str(text: &str) -> Result<BlobId, ()> {
        oid_of(&CommitSha::new(text)).map(BlobId).ok_or(())
    }
}

/// How much of a commit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files that are wanted.
    pub files: usize,
    /// Their sizes together.
    pub total_bytes: u64,
    /// Everything that is walked over, wanted or not.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { files: 10_000, total_bytes: 64 << 20, entries: 500_000 }
    }
}

/// A regular file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Inside the repository, with forward slashes.
    pub path: String,
    pub blob: BlobId,
    pub size_bytes: u64,
}

/// What a folder of a commit holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// Sorted by path.
    pub files: Vec<FileEntry>,
    /// What is there and was not followed, sorted by path.
    pub skipped: Vec<Skipped>,
}

/// Something that is no plain file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Inside the repository; with replacement characters where it is no UTF-8.
    pub path: String,
    pub reason: SkipReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    SymbolicLink,
    Submodule,
    PathNotUtf8,
}

impl Skipped {
    /// The same as a problem of the revision.
    pub fn problem(&self, severity: Severity) -> Problem {
        let (message, hint) = match self.reason {
            SkipReason::SymbolicLink => (
                "this is a symbolic link; links are not followed",
                "commit the file itself in its place",
            ),
            SkipReason::Submodule => (
                "this is a submodule; other repositories are not read",
                "commit its files here, or make it a source of its own",
            ),
            SkipReason::PathNotUtf8 => ("this path is not UTF-8 text", "rename it"),
        };
        Problem {
            file: self.path.clone(),
            line: 0,
            column: 0,
            severity,
            field_path: String::new(),
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        }
    }
}

/// One path that differs between two commits. A rename is a deletion and an addition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedPath {
    /// Inside the repository.
    pub path: String,
    pub kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// The longest message that is kept; the rest is cut.
const MESSAGE_LIMIT_BYTES: usize = 64 << 10;
/// Folders within folders.
const DEPTH_LIMIT: usize = 128;

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

pub(crate) fn files(
    repository: &Repository,
    sha: &CommitSha,
    path: &str,
    limits: &Limits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Listing, TreeProblem> {
    let path = normal(path)?;
    let tree = folder(repository, sha, &path)?
        .ok_or_else(|| TreeProblem::PathMissing { sha: sha.clone(), path: path.clone() })?;
    let mut walk = Walk {
        repository,
        limits,
        wanted,
        top: path.clone(),
        listing: Listing::default(),
        entries: 0,
        total_bytes: 0,
    };
    let prefix = if path.is_empty() { path } else { path + "/" };
    walk.folder(&tree, &prefix, 0)?;
    walk.listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.listing.skipped.sort();
    Ok(walk.listing)
}

pub(crate) fn changed_paths(
    repository: &Repository,
    from: &CommitSha,
    to: &CommitSha,
    path: &str,
    limits: &Limits,
) -> Result<Vec<ChangedPath>, TreeProblem> {
    let path = normal(path)?;
    let (old, new) = (folder(repository, from, &path)?, folder(repository, to, &path)?);
    let mut options = DiffOptions::new();
    let diff = repository
        .diff_tree_to_tree(old.as_ref(), new.as_ref(), Some(&mut options))
        .map_err(corrupt)?;
    if diff.deltas().len() > limits.entries {
        return Err(TreeProblem::TooManyFiles { path, limit: limits.entries });
    }
    let prefix = if path.is_empty() { path } else { path + "/" };
    let mut changed: Vec<_> = diff
        .deltas()
        .filter_map(|delta| {
            let (file, kind) = match delta.status() {
                Delta::Added => (delta.new_file(), ChangeKind::Added),
                Delta::Deleted => (delta.old_file(), ChangeKind::Deleted),
                _ => (delta.new_file(), ChangeKind::Modified),
            };
            let name = String::from_utf8_lossy(file.path_bytes()?);
            Some(ChangedPath { path: format!("{prefix}{name}"), kind })
        })
        .collect();
    changed.sort();
    Ok(changed)
}

pub(crate) fn read(
    repository: &Repository,
    blob: BlobId,
    limit_bytes: u64,
) -> Result<Vec<u8>, TreeProblem> {
    let odb = repository.odb().map_err(corrupt)?;
    let (size, kind) = odb.read_header(blob.0).map_err(corrupt)?;
    if kind != ObjectType::Blob {
        return Err(corrupt(git2::Error::from_str("the object is no file")));
    }
    if size as u64 > limit_bytes {
        return Err(TreeProblem::FileTooLarge { size_bytes: size as u64, limit_bytes });
    }
    Ok(odb.read(blob.0).map_err(corrupt)?.data().to_vec())
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
    let mut tree = commit.tree().map_err(corrupt)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let next = match tree.get_name(part) {
            Some(entry) if entry.filemode() & MODE_MASK == MODE_FOLDER => entry.id(),
            _ => return Ok(None),
        };
        tree = repository.find_tree(next).map_err(corrupt)?;
    }
    Ok(Some(tree))
}

struct Walk<'a> {
    repository: &'a Repository,
    limits: &'a Limits,
    wanted: &'a dyn Fn(&str) -> bool,
    /// For messages.
    top: String,
    listing: Listing,
    entries: usize,
    total_bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, tree: &Tree<'_>, prefix: &str, depth: usize) -> Result<(), TreeProblem> {
        // A few small trees that hold each other many times over unfold into billions of files.
        self.entries += tree.len();
        if self.entries > self.limits.entries || depth > DEPTH_LIMIT {
            return Err(self.too_many(self.limits.entries));
        }
        for entry in tree {
            let Ok(name) = std::str::from_utf8(entry.name_bytes()) else {
                let name = String::from_utf8_lossy(entry.name_bytes());
                self.skip(format!("{prefix}{name}"), SkipReason::PathNotUtf8);
                continue;
            };
            let path = format!("{prefix}{name}");
            match entry.filemode() & MODE_MASK {
                MODE_LINK => self.skip(path, SkipReason::SymbolicLink),
                MODE_SUBMODULE => self.skip(path, SkipReason::Submodule),
                MODE_FOLDER => {
                    let child = self.repository.find_tree(entry.id()).map_err(corrupt)?;
                    self.folder(&child, &(path + "/"), depth + 1)?;
                }
                _ => self.file(path, entry.id())?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, id: Oid) -> Result<(), TreeProblem> {
        if !(self.wanted)(&path) {
            return Ok(());
        }
        if self.listing.files.len() >= self.limits.files {
            return Err(self.too_many(self.limits.files));
        }
        let odb = self.repository.odb().map_err(corrupt)?;
        let size_bytes = odb.read_header(id).map_err(corrupt)?.0 as u64;
        self.total_bytes = self.total_bytes.saturating_add(size_bytes);
        if self.total_bytes > self.limits.total_bytes {
            let limit_bytes = self.limits.total_bytes;
            return Err(TreeProblem::TooLarge { path: self.top.clone(), limit_bytes });
        }
        self.listing.files.push(FileEntry { path, blob: BlobId(id), size_bytes });
        Ok(())
    }

    fn skip(&mut self, path: String, reason: SkipReason) {
        self.listing.skipped.push(Skipped { path, reason });
    }

    fn too_many(&self, limit: usize) -> TreeProblem {
        TreeProblem::TooManyFiles { path: self.top.clone(), limit }
    }
}

pub(crate) fn corrupt(error: git2::Error) -> TreeProblem {
    TreeProblem::Corrupt(Box::new(error))
}
