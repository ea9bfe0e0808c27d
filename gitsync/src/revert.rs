//! Makes revert commits out of trees in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use dugout_model::{CommitSha, SourceName, Timestamp};
use git2::{
    Commit, Index, IndexEntry, IndexTime, ObjectType, Oid, Repository, Signature, Time, Tree,
};

use crate::mirror::{is_missing, oid_of, sha_of};
use crate::{RevertProblem, TreeProblem, tree};

/// Where to go back to, why, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevertRequest {
    /// For the trailer `Dugout-Source`: for whom it is, of several that share the branch.
    pub source: SourceName,
    /// The older commit, on the branch.
    pub to: CommitSha,
    pub onto: Onto,
    /// The folder to bring back to what it was there, where it is not known which files are used; empty
    /// is everything.
    pub path: String,
    /// For the trailer `Dugout-Reason`; brought to one line of at most 500 characters.
    pub reason: String,
    /// Author and committer.
    pub author: Identity,
    pub at: Timestamp,
    /// For everything together, the push included.
    pub deadline: Duration,
}

/// What a revert may be made on top of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Whatever the branch ends with by then.
    AnyHead,
    /// This commit alone. Where the branch takes no push of ours, the revert is pushed to a branch of
    /// its own, which may be overwritten.
    Only { head: CommitSha, aside: String },
}

/// What the files of commits come to, for a revert that brings back that and touches nothing else.
pub trait Content: Send {
    /// Every file and link that what these two commits declare is read from, wherever in the repository.
    /// None where that cannot be told: then the request's folder goes back.
    fn files(&self, commits: [&CommitSha; 2]) -> Option<BTreeSet<String>>;

    /// Why the revert, made and not yet anywhere, does not declare what the older commit did; none if it
    /// does.
    fn objection(&self, revert: &CommitSha, to: &CommitSha) -> Option<String>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

/// A revert commit that is on the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverted {
    pub commit: CommitSha,
    pub place: Place,
    /// The commit before it.
    pub parent: CommitSha,
    /// The commits whose effect it takes back, newest first; of a long way back the newest 50.
    pub reverts: Vec<CommitSha>,
    pub message: String,
}

/// Where a revert commit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    OnBranch,
    /// On a branch of its own, because the remote refused the push or the content is not what was to
    /// come back; the message says which.
    Aside {
        branch: String,
        message: String,
    },
}

impl Place {
    pub(crate) fn aside(branch: &str, why: &RevertProblem) -> Place {
        let message = match why {
            RevertProblem::Rejected { message, .. } => message.clone(),
            other => other.to_string(),
        };
        Place::Aside { branch: branch.to_owned(), message }
    }
}

/// The most trailers `Dugout-Reverts` in one message.
const REVERTS_LIMIT: usize = 50;
const REASON_LIMIT_CHARACTERS: usize = 500;
const SUBJECT_LIMIT_CHARACTERS: usize = 200;

/// A revert that is worked out and not yet anywhere.
pub(crate) struct Draft {
    tree: Oid,
    head: Oid,
    message: String,
    reverts: Vec<Oid>,
}

impl Draft {
    /// Writes the commit object; no reference points to it yet.
    pub(crate) fn write(
        &self,
        repository: &Repository,
        request: &RevertRequest,
    ) -> Result<Oid, git2::Error> {
        let signature = signature(request)?;
        let tree = repository.find_tree(self.tree)?;
        let head = repository.find_commit(self.head)?;
        repository.commit(None, &signature, &signature, &self.message, &tree, &[&head])
    }

    pub(crate) fn done(self, commit: Oid, place: Place) -> Reverted {
        Reverted {
            commit: sha_of(commit),
            place,
            parent: sha_of(self.head),
            reverts: self.reverts.into_iter().map(sha_of).collect(),
            message: self.message,
        }
    }

    /// The line for the branch's log, as Git writes it.
    pub(crate) fn log_line(&self) -> String {
        format!("revert: {}", self.message.lines().next().unwrap_or_default())
    }
}

/// Works out the revert on top of `head`.
pub(crate) fn compose(
    repository: &Repository,
    head: Oid,
    request: &RevertRequest,
    files: Option<&BTreeSet<String>>,
) -> Result<Draft, RevertProblem> {
    signature(request).map_err(|error| RevertProblem::Identity {
        what: "the author's name or address".to_owned(),
        cause: Box::new(error),
    })?;
    let head = repository.find_commit(head).map_err(unreadable)?;
    if let Onto::Only { head: only, .. } = &request.onto
        && sha_of(head.id()) != *only
    {
        return Err(RevertProblem::BranchMovedOn { head: sha_of(head.id()) });
    }
    let target = find(repository, &request.to)?;
    let on_branch = target.id() == head.id()
        || repository.graph_descendant_of(head.id(), target.id()).map_err(unreadable)?;
    if !on_branch {
        return Err(RevertProblem::NotOnBranch { sha: request.to.clone() });
    }
    let tree = match files {
        Some(files) => with_files(repository, &head, &target, files).map_err(unreadable)?,
        None => back_to(repository, &head, &target, &request.path)?,
    };
    let reverts = commits_between(repository, head.id(), target.id()).map_err(unreadable)?;
    if tree == head.tree_id() {
        return Err(RevertProblem::NothingToRevert);
    }
    let message = message(&target, &reverts, request);
    Ok(Draft { tree, head: head.id(), message, reverts })
}

pub(crate) fn signature(request: &RevertRequest) -> Result<Signature<'static>, git2::Error> {
    let seconds = request.at.as_micros().div_euclid(1_000_000);
    Signature::new(&request.author.name, &request.author.email, &Time::new(seconds, 0))
}

fn find<'r>(repository: &'r Repository, sha: &CommitSha) -> Result<Commit<'r>, RevertProblem> {
    let unknown = || RevertProblem::CommitUnknown { sha: sha.clone() };
    let id = oid_of(sha).ok_or_else(unknown)?;
    repository
        .find_commit(id)
        .map_err(|error| if is_missing(&error) { unknown() } else { unreadable(error) })
}

/// The tree of `head` with these files as they were in `target`.
fn with_files(
    repository: &Repository,
    head: &Commit<'_>,
    target: &Commit<'_>,
    files: &BTreeSet<String>,
) -> Result<Oid, git2::Error> {
    let (now, before) = (head.tree()?, target.tree()?);
    let mut index = Index::new()?;
    index.read_tree(&now)?;
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for path in files {
        let (here, there) = (file_at(&now, path)?, file_at(&before, path)?);
        match there {
            _ if here == there => {}
            Some((id, mode)) => back.push((path, id, mode)),
            None => gone.push(path),
        }
    }
    // First what goes: a file may have stood where a folder comes back.
    for path in gone {
        index.remove(Path::new(path), 0)?;
    }
    for (path, id, mode) in back {
        index.add(&index_entry(path, id, mode))?;
    }
    index.write_tree_to(repository)
}

/// The file or link at a path, with its mode.
fn file_at(tree: &Tree<'_>, path: &str) -> Result<Option<(Oid, i32)>, git2::Error> {
    match tree.get_path(Path::new(path)) {
        Ok(entry) if entry.kind() == Some(ObjectType::Blob) => {
            Ok(Some((entry.id(), entry.filemode())))
        }
        Ok(_) => Ok(None),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn index_entry(path: &str, id: Oid, mode: i32) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: mode.unsigned_abs(),
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

/// The tree of `head` with one folder as it was in `target`.
fn back_to(
    repository: &Repository,
    head: &Commit<'_>,
    target: &Commit<'_>,
    path: &str,
) -> Result<Oid, RevertProblem> {
    let missing = || RevertProblem::PathMissing { sha: sha_of(target.id()), path: path.to_owned() };
    let normal = tree::normal(path).map_err(|_| missing())?;
    let folder = tree::folder(repository, &sha_of(target.id()), &normal)
        .map_err(|problem| match problem {
            TreeProblem::Corrupt(cause) => RevertProblem::Read(cause),
            _ => missing(),
        })?
        .ok_or_else(missing)?;
    let parts: Vec<_> = normal.split('/').filter(|part| !part.is_empty()).collect();
    let root = head.tree().map_err(unreadable)?;
    replace(repository, Some(&root), &parts, folder.id()).map_err(unreadable)
}

/// A tree equal to `tree` but for the folder at `parts`.
fn replace(
    repository: &Repository,
    tree: Option<&Tree<'_>>,
    parts: &[&str],
    folder: Oid,
) -> Result<Oid, git2::Error> {
    const FOLDER: i32 = 0o040_000;
    let Some((first, rest)) = parts.split_first() else { return Ok(folder) };
    let child = match tree.and_then(|tree| tree.get_name(first)) {
        Some(entry) if entry.filemode() == FOLDER => Some(repository.find_tree(entry.id())?),
        _ => None,
    };
    let child = replace(repository, child.as_ref(), rest, folder)?;
    let mut builder = repository.treebuilder(tree)?;
    builder.insert(first, child, FOLDER)?;
    builder.write()
}

/// The commits of `head`'s history that are not in `target`'s, newest first.
fn commits_between(
    repository: &Repository,
    head: Oid,
    target: Oid,
) -> Result<Vec<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.push(head)?;
    walk.hide(target)?;
    walk.take(REVERTS_LIMIT).collect()
}

/// The message in the form of `git revert`, with our trailers.
fn message(target: &Commit<'_>, reverts: &[Oid], request: &RevertRequest) -> String {
    let summary = String::from_utf8_lossy(target.summary_bytes().unwrap_or_default());
    let summary = one_line(&summary, SUBJECT_LIMIT_CHARACTERS);
    let (id, sha) = (target.id(), sha_of(target.id()));
    let subject = format!("Roll back to {} \"{summary}\"", sha.short());
    let mut text = format!("{subject}\n\nThis brings back what commit {id} had.\n\n");
    for id in reverts {
        text.push_str(&format!("Dugout-Reverts: {id}\n"));
    }
    let source = one_line(request.source.as_str(), SUBJECT_LIMIT_CHARACTERS);
    text.push_str(&format!("Dugout-Source: {source}\n"));
    let reason = one_line(&request.reason, REASON_LIMIT_CHARACTERS);
    if !reason.is_empty() {
        text.push_str(&format!("Dugout-Reason: {reason}\n"));
    }
    text
}

/// Words with one space between them, so that nothing can pose as a further line of the message.
fn one_line(text: &str, limit_characters: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(limit_characters).collect()
}

fn unreadable(error: git2::Error) -> RevertProblem {
    RevertProblem::Read(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_forge_a_trailer() {
        let forged = one_line("it broke\n\nDugout-Allow-Delete: 99\r\u{0}x", 500);
        assert_eq!(forged, "it broke Dugout-Allow-Delete: 99 x");
        assert_eq!(one_line(&"é".repeat(600), 500).chars().count(), 500);
    }
}
