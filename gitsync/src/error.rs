//! What can go wrong with a repository, each case with a name and a sentence of our own.
//!
//! Cases are told apart by libgit2's class and code, never by its message.

use std::error::Error;
use std::time::Duration;

use dugout_model::{CommitSha, SourceCondition};
use git2::{ErrorClass, ErrorCode};

/// What libgit2 or the system said, kept as the source of our own error.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a text is no place of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationProblem {
    #[error("the repository's address is empty; give a path or a URL")]
    Empty,
    #[error("the repository's address contains a control character; remove it")]
    ControlCharacter,
    #[error(
        "repositories are not read over {scheme:?}; use a path, or a file:, http:, https: or ssh: URL"
    )]
    Transport { scheme: String },
    #[error("{url:?} names another machine; a file: URL must be local, as file:///path")]
    FileHost { url: String },
    #[error(
        "the repository's URL contains a password; take it out and set DUGOUT_GIT_USERNAME and DUGOUT_GIT_PASSWORD"
    )]
    PasswordInUrl,
    #[error("the repository's address is not well formed; give a path or a URL")]
    Malformed,
}

/// Our own copy of a repository cannot be used, or does not have what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error(transparent)]
    Location(#[from] LocationProblem),
    #[error("{branch:?} is no valid branch name; give it without refs/heads/")]
    BranchName { branch: String },
    #[error("the Git library could not be set up")]
    Setup(#[source] Cause),
    #[error(
        "the mirror in {dir} cannot be made or opened; check the folder's permissions and space"
    )]
    Mirror {
        dir: String,
        #[source]
        cause: Cause,
    },
    #[error("another process uses the mirror in {dir}; stop it, or use another data directory")]
    InUse { dir: String },
    #[error("the repository has no commit {sha}")]
    CommitUnknown { sha: CommitSha },
    #[error("{text:?} names no single commit; give more digits of its id")]
    CommitUnclear { text: String },
    #[error("an object of the repository cannot be read")]
    Read(#[source] Cause),
}

/// Why a fetch brought nothing. None of these touches what runs.
#[derive(Debug, thiserror::Error)]
pub enum FetchProblem {
    #[error("the repository {remote} cannot be reached")]
    Unreachable {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error("there is no repository at {remote}")]
    NoRepository {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error("the repository {remote} has no branch {branch:?}")]
    BranchMissing { remote: String, branch: String },
    #[error("the repository {remote} sent something that is not sound")]
    Corrupt {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error(
        "the repository {remote} did not accept our credentials ({tried}); set DUGOUT_GIT_USERNAME and DUGOUT_GIT_PASSWORD, or DUGOUT_GIT_SSH_KEY"
    )]
    AuthenticationFailed { remote: String, tried: String },
    #[error(
        "the repository {remote} does not let us in (HTTP status 403); give the account that Dugout uses access to it"
    )]
    Forbidden { remote: String },
    #[error("the repository {remote} is elsewhere: {to}; give that address if it can be trusted")]
    Redirected { remote: String, to: String },
    #[error("the server of the repository {remote} refused with HTTP status {status}")]
    Refused { remote: String, status: u16 },
    #[error(
        "what answers at {remote} is no Git server; give the address that git clone would be given"
    )]
    NotGit { remote: String },
    #[error(
        "the repository {remote} is a shallow clone, which lacks its history; give the repository it was cloned from, or run git fetch --unshallow in it"
    )]
    Shallow { remote: String },
    /// Over SSH, where what the server says cannot be looked at, the two are not told apart.
    #[error(
        "what {remote} says of its branches cannot be read: it is a shallow clone, which lacks its history, or its account prints something at login; give the repository it was cloned from, run git fetch --unshallow in it, or silence the login"
    )]
    ListUnreadable {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error(
        "the SSH host key of {host} ({offered}) is not in {looked_in}; check it and add it, for example with ssh-keyscan"
    )]
    HostKeyUnknown { host: String, offered: String, looked_in: String },
    #[error("the SSH host key of {host} ({offered}) is revoked in {looked_in}")]
    HostKeyRevoked { host: String, offered: String, looked_in: String },
    #[error("the TLS certificate of {remote} is not valid")]
    CertificateInvalid {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error("the repository {remote} did not answer in full within {} s", deadline.as_secs_f64())]
    DeadlineExceeded { remote: String, deadline: Duration },
    /// It is no fault of the remote: this process has no thread, or a defect.
    #[error("the look at the repository {remote} broke off here")]
    BrokenOff {
        remote: String,
        #[source]
        cause: Cause,
    },
    #[error("the repository {remote} sends more than {limit_bytes} bytes in one fetch")]
    TooLarge { remote: String, limit_bytes: u64 },
    #[error("the mirror of {remote} cannot be written")]
    Mirror {
        remote: String,
        #[source]
        cause: Cause,
    },
}

impl FetchProblem {
    /// Whether the remote is away, as opposed to there and unwilling: it will be back without anybody's
    /// changing anything.
    pub fn is_away(&self) -> bool {
        match self {
            FetchProblem::Unreachable { .. }
            | FetchProblem::NoRepository { .. }
            | FetchProblem::DeadlineExceeded { .. }
            | FetchProblem::BrokenOff { .. } => true,
            FetchProblem::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// What this says about the source as a whole.
    pub fn condition(&self) -> SourceCondition {
        match self {
            FetchProblem::BranchMissing { .. } => SourceCondition::BranchMissing,
            FetchProblem::Corrupt { .. } => SourceCondition::Corrupt { message: explain(self) },
            _ => SourceCondition::Unreachable { message: explain(self) },
        }
    }
}

/// Why the files of a commit cannot be listed or read.
#[derive(Debug, thiserror::Error)]
pub enum TreeProblem {
    #[error("the repository has no commit {sha}")]
    CommitUnknown { sha: CommitSha },
    #[error("commit {sha} has no folder {path:?}")]
    PathMissing { sha: CommitSha, path: String },
    #[error("{path:?} is no path inside a repository; write it like apps/web")]
    PathInvalid { path: String },
    #[error("the folder {path:?} holds more than {limit} files")]
    TooManyFiles { path: String, limit: usize },
    #[error("the file has {size_bytes} bytes, more than the {limit_bytes} that are read")]
    FileTooLarge { size_bytes: u64, limit_bytes: u64 },
    #[error("the object {id} is not of the kind that the commit says it is; make the commit anew")]
    WrongKind { id: String },
    #[error("an object of the repository is missing or damaged")]
    Corrupt(#[source] Cause),
}

impl TreeProblem {
    /// What this says about the source as a whole; none when it is about one commit's content.
    pub fn condition(&self) -> Option<SourceCondition> {
        match self {
            TreeProblem::PathMissing { .. } | TreeProblem::PathInvalid { .. } => {
                Some(SourceCondition::PathMissing)
            }
            TreeProblem::CommitUnknown { .. } | TreeProblem::Corrupt(_) => {
                Some(SourceCondition::Corrupt { message: explain(self) })
            }
            TreeProblem::TooManyFiles { .. }
            | TreeProblem::FileTooLarge { .. }
            | TreeProblem::WrongKind { .. } => None,
        }
    }
}

/// Why no revert commit was made. The branch is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RevertProblem {
    #[error("the repository has no commit {sha}")]
    CommitUnknown { sha: CommitSha },
    #[error("commit {sha} is not part of the branch")]
    NotOnBranch { sha: CommitSha },
    #[error("commit {sha} has no folder {path:?}; there is nothing to go back to")]
    PathMissing { sha: CommitSha, path: String },
    #[error("the branch already has that content; nothing is to be reverted")]
    NothingToRevert,
    #[error(
        "the work tree {workdir} has uncommitted changes in {}; commit or discard them, then try again",
        list(paths)
    )]
    WorkTreeDirty { workdir: String, paths: Vec<String> },
    #[error("in {workdir} a {operation} is under way; finish or abort it, then try again")]
    OperationUnderWay { workdir: String, operation: String },
    #[error(
        "the repository {remote} refused the push: {message}; allow Dugout to push to the branch, or revert by hand"
    )]
    Rejected { remote: String, message: String },
    #[error(
        "the revert would not bring back what {} declared: {message}; revert by hand",
        to.short()
    )]
    OtherContent { to: CommitSha, message: String },
    #[error("the branch ends with {} by now", head.short())]
    BranchMovedOn { head: CommitSha },
    #[error("the branch moved on {attempts} times while the revert was being pushed; try again")]
    BranchKeepsMoving { attempts: u32 },
    #[error("{what} cannot stand in a commit; remove line breaks, angle brackets and NUL")]
    Identity {
        what: String,
        #[source]
        cause: Cause,
    },
    #[error("the branch cannot be read")]
    Fetch(#[source] FetchProblem),
    #[error("the history that the revert needs cannot be read")]
    Read(#[source] Cause),
    #[error("the revert cannot be written to {place}")]
    Write {
        place: String,
        #[source]
        cause: Cause,
    },
}

impl RevertProblem {
    /// Whether the same request may succeed later, without anybody's changing it.
    pub fn is_passing(&self) -> bool {
        match self {
            RevertProblem::WorkTreeDirty { .. }
            | RevertProblem::OperationUnderWay { .. }
            | RevertProblem::BranchKeepsMoving { .. }
            | RevertProblem::Fetch(_)
            | RevertProblem::Read(_)
            | RevertProblem::Write { .. } => true,
            RevertProblem::CommitUnknown { .. }
            | RevertProblem::NotOnBranch { .. }
            | RevertProblem::PathMissing { .. }
            | RevertProblem::NothingToRevert
            | RevertProblem::Rejected { .. }
            | RevertProblem::BranchMovedOn { .. }
            | RevertProblem::OtherContent { .. }
            | RevertProblem::Identity { .. } => false,
        }
    }
}

/// An error with its causes in one line: for a message that is stored.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Whether the bytes of an object are wrong or missing, as opposed to a failure around them.
pub(crate) fn is_unsound(error: &git2::Error) -> bool {
    if matches!(error.code(), ErrorCode::HashsumMismatch) {
        return true;
    }
    matches!(
        error.class(),
        ErrorClass::Odb
            | ErrorClass::Object
            | ErrorClass::Tree
            | ErrorClass::Zlib
            | ErrorClass::Indexer
            | ErrorClass::Sha1
            | ErrorClass::Tag
    )
}

/// A few names in a sentence.
fn list(paths: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        text.push_str(&format!(" and {} more", paths.len() - SHOWN));
    }
    text
}
