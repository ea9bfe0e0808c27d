//! A repository on this machine: where its branch is, where its objects are, and a revert in it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository, RepositoryOpenFlags};

use crate::deadline::Deadline;
use crate::mirror::{REVERT_ATTEMPTS, reference_of, sha_of};
use crate::owner::ActAsOwner;
use crate::revert::{self, Content, Onto, Place, RevertRequest, Reverted};
use crate::{FetchProblem, RevertProblem, worktree};

/// How long somebody else's hold on a lock file is waited for before the next attempt.
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Where the branch is.
pub(crate) fn head(path: &Path, branch: &str) -> Result<Oid, FetchProblem> {
    let repository = open(path).map_err(|error| no_repository(path, error))?;
    branch_head(&repository, path, branch)
}

/// The folder of the repository's objects, also for a linked work tree. None when there is none or
/// its path is no text.
pub(crate) fn objects_folder(path: &Path) -> Option<String> {
    let objects = open(path).ok()?.commondir().join("objects");
    objects.to_str().map(str::to_owned)
}

/// The folder that holds references and packed references, for the watch.
pub(crate) fn common_folder(path: &Path) -> Option<std::path::PathBuf> {
    Some(open(path).ok()?.commondir().to_owned())
}

pub(crate) fn revert(
    path: &Path,
    branch: &str,
    request: &RevertRequest,
    content: &dyn Content,
    deadline: &Deadline,
) -> Result<Reverted, RevertProblem> {
    let fail = |cause| RevertProblem::Write { place: path.display().to_string(), cause };
    let folder = open(path)
        .map(|repository| repository.commondir().to_owned())
        .map_err(|error| RevertProblem::Fetch(no_repository(path, error)))?;
    // Not for longer than the repository is touched: what reads the content has a mirror of its own.
    let as_owner = || ActAsOwner::of(&folder).map_err(|error| fail(Box::new(error)));
    let mut last = None;
    for _ in 0..REVERT_ATTEMPTS {
        if deadline.passed() {
            let remote = path.display().to_string();
            let deadline = deadline.span;
            return Err(RevertProblem::Fetch(FetchProblem::DeadlineExceeded { remote, deadline }));
        }
        let repository =
            open(path).map_err(|error| RevertProblem::Fetch(no_repository(path, error)))?;
        let head = branch_head(&repository, path, branch).map_err(RevertProblem::Fetch)?;
        let files = content.files([&sha_of(head), &request.to]);
        let owner = as_owner()?;
        let draft = revert::compose(&repository, head, request, files.as_ref())?;
        let commit = draft.write(&repository, request).map_err(|error| fail(Box::new(error)))?;
        drop(owner);
        let objection = content.objection(&sha_of(commit), &request.to);
        let _owner = as_owner()?;
        if let Some(message) = objection {
            let why = RevertProblem::OtherContent { to: request.to.clone(), message };
            let Onto::Only { aside, .. } = &request.onto else { return Err(why) };
            return repository
                .reference(&reference_of(aside), commit, true, &draft.log_line())
                .map(|_| draft.done(commit, Place::aside(aside, &why)))
                .map_err(|error| fail(Box::new(error)));
        }
        let moved = match worktree::of_branch(&repository, branch) {
            Ok(Some(checked_out)) => {
                worktree::move_branch(&checked_out, branch, head, commit, &draft, request)?
            }
            Ok(None) => repository
                .reference_matching(&reference_of(branch), commit, true, head, &draft.log_line())
                .map(drop),
            Err(error) => Err(error),
        };
        match moved {
            Ok(()) => return Ok(draft.done(commit, Place::OnBranch)),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Locked) => {
                last = Some(error);
                thread::sleep(LOCK_WAIT);
            }
            Err(error) => return Err(fail(Box::new(error))),
        }
    }
    match last {
        Some(error) if error.code() == ErrorCode::Locked => Err(fail(Box::new(error))),
        _ => Err(RevertProblem::BranchKeepsMoving { attempts: REVERT_ATTEMPTS }),
    }
}

/// Opens exactly this place, not a repository around it.
fn open(path: &Path) -> Result<Repository, git2::Error> {
    Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path])
}

fn branch_head(repository: &Repository, path: &Path, branch: &str) -> Result<Oid, FetchProblem> {
    let remote = path.display().to_string();
    let id = match repository.refname_to_id(&reference_of(branch)) {
        Ok(id) => id,
        Err(error) if error.code() == ErrorCode::NotFound => {
            return Err(FetchProblem::BranchMissing { remote, branch: branch.to_owned() });
        }
        Err(cause) => return Err(FetchProblem::Corrupt { remote, cause: Box::new(cause) }),
    };
    match repository.find_commit(id) {
        Ok(commit) => Ok(commit.id()),
        Err(cause) => Err(FetchProblem::Corrupt { remote, cause: Box::new(cause) }),
    }
}

fn no_repository(path: &Path, error: git2::Error) -> FetchProblem {
    let (remote, cause) = (path.display().to_string(), Box::new(error));
    if cause.code() == ErrorCode::NotFound {
        FetchProblem::NoRepository { remote, cause }
    } else {
        FetchProblem::Unreachable { remote, cause }
    }
}
