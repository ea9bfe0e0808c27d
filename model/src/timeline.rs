//! The append-only records: the timeline of a release, and the events of objects and pods.

use crate::{CommitSha, NamespaceName, SourceName, Timestamp};

/// One step of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub source: SourceName,
    pub sha: CommitSha,
    pub at: Timestamp,
    pub step: Step,
    /// What it happened to, as `Deployment demo/web` or `Pod demo/web-5d9c-x7k2p`; empty for the
    /// release as a whole.
    pub subject: String,
    pub message: String,
}

/// The steps of a release, in the order in which a good one takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Noticed,
    Fetched,
    Validated,
    Rejected,
    /// It waits for a person.
    Held,
    Applied,
    Scheduled,
    Accepted,
    Pulled,
    Created,
    Started,
    Ready,
    /// Every image of the release is on every node that was chosen for it.
    ImagesReady,
    /// What the name of an image stands for is fixed for the release.
    Pinned,
    Draining,
    Drained,
    Stopped,
    Healthy,
    Failed,
    /// What it changed is as it was before.
    Reverted,
    /// The branch has a commit that takes it back, or one waits on a branch of its own.
    RevertPushed,
    /// Git still has it.
    RevertRefused,
    /// What it had broken is healthy again.
    Restored,
    Superseded,
}

impl Step {
    pub const ALL: [Step; 24] = [
        Step::Noticed,
        Step::Fetched,
        Step::Validated,
        Step::Rejected,
        Step::Held,
        Step::Applied,
        Step::Scheduled,
        Step::Accepted,
        Step::Pulled,
        Step::Created,
        Step::Started,
        Step::Ready,
        Step::ImagesReady,
        Step::Pinned,
        Step::Draining,
        Step::Drained,
        Step::Stopped,
        Step::Healthy,
        Step::Failed,
        Step::Reverted,
        Step::RevertPushed,
        Step::RevertRefused,
        Step::Restored,
        Step::Superseded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Step::Noticed => "noticed",
            Step::Fetched => "fetched",
            Step::Validated => "validated",
            Step::Rejected => "rejected",
            Step::Held => "held",
            Step::Applied => "applied",
            Step::Scheduled => "scheduled",
            Step::Accepted => "accepted",
            Step::Pulled => "pulled",
            Step::Created => "created",
            Step::Started => "started",
            Step::Ready => "ready",
            Step::ImagesReady => "images-ready",
            Step::Pinned => "pinned",
            Step::Draining => "draining",
            Step::Drained => "drained",
            Step::Stopped => "stopped",
            Step::Healthy => "healthy",
            Step::Failed => "failed",
            Step::Reverted => "reverted",
            Step::RevertPushed => "revert-pushed",
            Step::RevertRefused => "revert-refused",
            Step::Restored => "restored",
            Step::Superseded => "superseded",
        }
    }

    pub fn parse(text: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

/// Something that happened to an object, a pod or a node, for people. Kept for a bounded time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    pub event_type: EventType,
    /// `Pod`, `Deployment`, `Node`, `Source`.
    pub kind: String,
    /// Empty for what has no namespace.
    pub namespace: NamespaceName,
    pub name: String,
    /// One CamelCase word, as Kubernetes has them: `Killing`, `BackOff`, `Unhealthy`.
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}
