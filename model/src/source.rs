//! Sources: one Git repository, branch and path each, with what was last seen of it.

use std::time::Duration;

use crate::{CommitSha, ContentHash, ReleaseId, SourceName, Timestamp};

/// One Git repository, branch and path, with its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: SourceName,
    /// A path, or a `file:`, `http:`, `https:` or `ssh:` URL, or `user@host:path`. Credentials are
    /// never part of it.
    pub url: String,
    pub branch: String,
    /// A folder inside the repository, with forward slashes; empty for all of it.
    pub path: String,
    pub poll_interval: Duration,
    pub on_failure: OnFailure,
    pub drift: Drift,
    /// By an operator: revisions are seen and not applied.
    pub suspended: bool,
    pub status: SourceStatus,
}

/// What was last seen of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The newest commit seen on the branch.
    pub head: Option<CommitSha>,
    /// The commit whose objects are the desired state now.
    pub applied: Option<CommitSha>,
    /// Whether what is applied may stop pods.
    pub gate: PullGate,
    /// The last commit whose release became healthy.
    pub healthy: Option<CommitSha>,
    pub condition: SourceCondition,
    /// When `condition` last changed.
    pub since: Timestamp,
    /// The failure that nothing healthy has followed yet; of several the first.
    pub failure: Option<Failure>,
    /// The commit that a person lets pass, though it is held by itself.
    pub approved: Option<CommitSha>,
    /// What is to be brought to the branch, because a release went back by itself.
    pub owed_revert: Option<OwedRevert>,
    /// What failed and has not become healthy since, oldest first: of the newest failures at most
    /// [`FailedContent::LIMIT`]. A commit that declares the same waits for a person.
    pub failed_contents: Vec<FailedContent>,
}

/// Whether a release may stop pods: not before every image of what it touched is on every node that was
/// chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PullGate {
    #[default]
    Open,
    /// The nodes are not chosen yet.
    Unasked { release: ReleaseId, scope: GateScope },
    /// The nodes were asked: see [`crate::Node::pulls`]. After the deadline the release has failed.
    Pulling {
        release: ReleaseId,
        scope: GateScope,
        since: Timestamp,
        deadline: Timestamp,
        /// Pods that are to replace others would fit on no node that is there, so that nobody could be
        /// asked for their images.
        lacks_room: bool,
    },
    /// The release failed before all of it could be had, and stays as it is: so does what it would have
    /// stopped, until another comes.
    Shut { release: ReleaseId },
}

impl PullGate {
    pub fn is_open(self) -> bool {
        self == PullGate::Open
    }
}

/// What an image that is not there yet holds back, and what becomes of one that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GateScope {
    /// The whole release: something new comes, so nothing that serves stops before all of it can be
    /// had, and what cannot be had fails it.
    #[default]
    Release,
    /// The workloads that use the image: what was healthy comes back, and each workload does so as soon
    /// as it can. What cannot be had is tried until the deadline, as there is nothing better to go to.
    Workload,
}

/// Everything that a commit declared which failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedContent {
    pub content: ContentHash,
    pub sha: CommitSha,
    /// Why it failed.
    pub reason: String,
}

impl FailedContent {
    pub const LIMIT: usize = 16;
}

/// What happens to a release that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum OnFailure {
    /// All of it goes back to what was last healthy, and the branch gets a revert commit.
    #[default]
    Revert,
    /// What runs stays as it is, for a person to look at.
    Hold,
}

impl OnFailure {
    pub const ALL: [OnFailure; 2] = [OnFailure::Revert, OnFailure::Hold];

    pub fn as_str(self) -> &'static str {
        match self {
            OnFailure::Revert => "revert",
            OnFailure::Hold => "hold",
        }
    }

    pub fn parse(text: &str) -> Option<OnFailure> {
        OnFailure::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

/// What happens to what somebody changed by hand on a container that runs, so that it differs from its
/// template. It is shown in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Drift {
    /// It is put back.
    #[default]
    Correct,
    /// It is left.
    Warn,
}

impl Drift {
    pub const ALL: [Drift; 2] = [Drift::Correct, Drift::Warn];

    pub fn as_str(self) -> &'static str {
        match self {
            Drift::Correct => "correct",
            Drift::Warn => "warn",
        }
    }

    pub fn parse(text: &str) -> Option<Drift> {
        Drift::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

/// Since when a source has been without health, and through which commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub sha: CommitSha,
    pub since: Timestamp,
}

/// A revert commit that Dugout has still to make and push, while the branch ends with `failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedRevert {
    pub failed: CommitSha,
    /// The commit whose content shall be back.
    pub to: CommitSha,
    /// Why, for the commit's message.
    pub reason: String,
    /// Why the last attempt did not succeed; there will be another.
    pub delayed_by: Option<String>,
}

/// Whether a source can be followed. Every case but `Readable` leaves what runs as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceCondition {
    /// Nothing was tried yet.
    Unread,
    Readable,
    /// The remote does not answer, refuses us, or is not a repository.
    Unreachable {
        message: String,
    },
    BranchMissing,
    /// The branch has no such folder.
    PathMissing,
    /// The remote answered with something that is not a sound repository.
    Corrupt {
        message: String,
    },
    /// The newest commit was read, and the turn that would act on it was refused, by the plan's check or
    /// by the database: a defect of Dugout. It is tried again.
    NotPlanned {
        message: String,
    },
}

/// One commit of a source as we saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub sha: CommitSha,
    /// Name and address, as Git gives them.
    pub author: String,
    pub message: String,
    pub committed_at: Timestamp,
    /// First parent first.
    pub parents: Vec<CommitSha>,
}

impl Commit {
    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or("")
    }
}
