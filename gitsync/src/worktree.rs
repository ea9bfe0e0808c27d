//! Moves a branch that somebody has checked out on this machine, as `git revert` there would.

use std::collections::BTreeSet;

use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, ErrorClass, ErrorCode, Oid, Repository, RepositoryState};

use crate::RevertProblem;
use crate::mirror::reference_of;
use crate::revert::{self, Draft, RevertRequest};

/// The work tree that has the branch checked out, be it the repository's own or a linked one.
pub(crate) fn of_branch(
    repository: &Repository,
    branch: &str,
) -> Result<Option<Repository>, git2::Error> {
    let wanted = reference_of(branch);
    let has_it = |candidate: &Repository| {
        !candidate.is_bare()
            && candidate.find_reference("HEAD").is_ok_and(|head| {
                head.symbolic_target_bytes().is_some_and(|target| target == wanted.as_bytes())
            })
    };
    let main = Repository::open(repository.commondir())?;
    if has_it(&main) {
        return Ok(Some(main));
    }
    for name in main.worktrees()?.iter() {
        let Ok(Some(name)) = name else { continue };
        // An entry whose folder is gone is no work tree any more.
        let Ok(linked) =
            main.find_worktree(name).and_then(|tree| Repository::open_from_worktree(&tree))
        else {
            continue;
        };
        if has_it(&linked) {
            return Ok(Some(linked));
        }
    }
    Ok(None)
}

/// Brings the files and the index from `head` to `commit`, then moves the branch, all while holding the
/// branch's lock.
///
/// The outer error is final. The inner one says `Modified` or `Locked` when somebody else was faster;
/// nothing was touched then.
pub(crate) fn move_branch(
    repository: &Repository,
    branch: &str,
    head: Oid,
    commit: Oid,
    draft: &Draft,
    request: &RevertRequest,
) -> Result<Result<(), git2::Error>, RevertProblem> {
    let workdir = repository.workdir().unwrap_or(repository.path()).display().to_string();
    let state = repository.state();
    if state != RepositoryState::Clean {
        let operation = operation_name(state).to_owned();
        return Err(RevertProblem::OperationUnderWay { workdir, operation });
    }
    let reference = reference_of(branch);
    let mut transaction = match repository.transaction() {
        Ok(transaction) => transaction,
        Err(error) => return Ok(Err(error)),
    };
    let locked = transaction.lock_ref(&reference).and_then(|()| {
        if repository.refname_to_id(&reference)? == head {
            return Ok(());
        }
        Err(git2::Error::new(ErrorCode::Modified, ErrorClass::Reference, "the branch moved"))
    });
    if locked.is_err() {
        return Ok(locked);
    }
    if let Err(stop) = check_out(repository, commit) {
        return match stop {
            Stop::Dirty(paths) => Err(RevertProblem::WorkTreeDirty { workdir, paths }),
            Stop::Failed(error) => Ok(Err(error)),
        };
    }
    Ok(revert::signature(request)
        .and_then(|signature| {
            transaction.set_target(&reference, commit, Some(&signature), &draft.log_line())
        })
        .and_then(|()| transaction.commit()))
}

enum Stop {
    Dirty(Vec<String>),
    Failed(git2::Error),
}

/// libgit2 first looks at every file that has to change, and changes none if one of them is not as
/// the checked-out commit has it.
fn check_out(repository: &Repository, commit: Oid) -> Result<(), Stop> {
    let staged = staged_conflicts(repository, commit).map_err(Stop::Failed)?;
    if !staged.is_empty() {
        return Err(Stop::Dirty(staged));
    }
    let mut dirty = BTreeSet::new();
    let mut options = CheckoutBuilder::new();
    options.safe().overwrite_ignored(false).notify_on(CheckoutNotificationType::CONFLICT).notify(
        |_, path, _, _, _| {
            dirty.extend(path.map(|path| path.display().to_string()));
            true
        },
    );
    let target = repository.find_object(commit, None).map_err(Stop::Failed)?;
    let done = repository.checkout_tree(&target, Some(&mut options));
    drop(options);
    match done {
        Ok(()) => Ok(()),
        Err(error) if dirty.is_empty() => Err(Stop::Failed(error)),
        Err(_) => Err(Stop::Dirty(dirty.into_iter().collect())),
    }
}

/// Files that would change and whose staged content is not what the checked-out commit has.
fn staged_conflicts(repository: &Repository, commit: Oid) -> Result<Vec<String>, git2::Error> {
    let head = repository.head()?.peel_to_tree()?;
    let target = repository.find_commit(commit)?.tree()?;
    let index = repository.index()?;
    let paths = |diff: git2::Diff<'_>| -> BTreeSet<Vec<u8>> {
        let files = diff.deltas().flat_map(|delta| {
            [delta.old_file().path_bytes(), delta.new_file().path_bytes()]
                .map(|path| path.map(<[u8]>::to_vec))
        });
        files.flatten().collect()
    };
    let staged = paths(repository.diff_tree_to_index(Some(&head), Some(&index), None)?);
    let changing = paths(repository.diff_tree_to_tree(Some(&head), Some(&target), None)?);
    Ok(staged
        .intersection(&changing)
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect())
}

fn operation_name(state: RepositoryState) -> &'static str {
    match state {
        RepositoryState::Merge => "merge",
        RepositoryState::Revert | RepositoryState::RevertSequence => "revert",
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "cherry-pick",
        RepositoryState::Bisect => "bisect",
        RepositoryState::Rebase
        | RepositoryState::RebaseInteractive
        | RepositoryState::RebaseMerge
        | RepositoryState::ApplyMailboxOrRebase => "rebase",
        RepositoryState::ApplyMailbox => "patch series",
        RepositoryState::Clean => "operation",
    }
}
