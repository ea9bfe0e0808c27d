//! What enters the engine: everything that may change the world is one of these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{
    AssignedImage, CommitSha, ContainerStatus, DeclaredObjects, Drift, EngineId, Event,
    EventNumber, ImageDigest, NodeName, OnFailure, Pause, PodAddress, PodPhase, PodUid, Resources,
    RevertOutcome, Revision, SourceCondition, SourceName, StringMap, Timestamp, Turn, VolumeUid,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A source is to be followed, as given on the command line (later: declared in Git).
    SourceDeclared(SourceDeclaration),
    /// A source was looked at; also when nothing new was there.
    SourceSeen {
        source: SourceName,
        head: Option<CommitSha>,
        condition: SourceCondition,
    },
    Revision(Box<Revision>),
    /// No revert commit could be brought to a source's branch, which still ends with `failed`. (One that
    /// was shows by itself: it is the branch's next revision.)
    RevertNotPushed {
        source: SourceName,
        failed: CommitSha,
        why: NotPushed,
    },
    /// A person went back while the source's branch cannot be had.
    WentBack(Box<WentBack>),
    NodeJoined(NodeRegistration),
    Report(Box<NodeReport>),
    Operator(OperatorRequest),
}

/// What a person wants back at once, and on the branch as soon as that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WentBack {
    pub source: SourceName,
    /// The earlier commit.
    pub to: CommitSha,
    pub standing: Standing,
    /// What it declares.
    pub objects: DeclaredObjects,
    /// For the message of the revert commit.
    pub reason: String,
    /// Why the branch cannot be had.
    pub delayed_by: String,
}

/// What is known of the commit to which a person went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A release of it was healthy.
    Proven,
    /// None was.
    Untried,
}

/// Whether a revert commit that could not be pushed will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPushed {
    /// It will be tried again.
    Yet { message: String },
    /// It will not.
    Ever(RevertOutcome),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDeclaration {
    pub name: SourceName,
    pub url: String,
    pub branch: String,
    pub path: String,
    pub poll_interval: std::time::Duration,
    pub on_failure: OnFailure,
    pub drift: Drift,
}

/// What a person may ask for. None of it changes desired state: that is Git's alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorRequest {
    Suspend(SourceName),
    Resume(SourceName),
    /// Let this commit pass, which is held.
    Approve {
        source: SourceName,
        sha: CommitSha,
    },
    Cordon(NodeName),
    /// Cordon, and move away what runs there.
    Drain(NodeName),
    Uncordon(NodeName),
    /// A node that is not there any more will not come back: what it ran is gone.
    DeleteNode(NodeName),
    /// Let a pod start anew, as another pod, if disruption budgets allow that.
    Evict(PodUid),
}

/// What an agent says of itself when it joins or comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRegistration {
    pub name: NodeName,
    pub instance: String,
    pub labels: StringMap,
    pub capacity: Resources,
    /// How much storage claims may have; absent when it is of a release that has none.
    pub storage_bytes: Option<u64>,
    pub engine: EngineId,
    pub engine_version: String,
    pub agent_version: String,
    pub address: Option<IpAddr>,
}

/// What one node saw: always all of it, so that a lost report does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    pub node: NodeName,
    pub instance: String,
    /// The generation whose endpoints its proxies use.
    pub acknowledged: Turn,
    /// Whether its container engine answered since the last report.
    pub engine_answers: bool,
    /// Every pod of its accepted assignment, and every other pod of ours that it found.
    pub pods: BTreeMap<PodUid, PodReport>,
    /// What became of the images of its assignment; absent when the agent is of a release that knows
    /// nothing of them.
    pub images: Option<BTreeMap<AssignedImage, ImageReport>>,
    /// The volumes of claims whose folders it has; absent while that is not known.
    pub volumes: Option<BTreeSet<VolumeUid>>,
    /// What happened since the last report that was acknowledged, oldest first; bounded.
    pub events: Vec<Event>,
    /// The first of them; the others follow without a gap. An agent of an earlier release numbers
    /// none, and what it sends again is told again.
    pub first_event: Option<EventNumber>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReport {
    /// It is looked for or pulled; with the last trouble on the way.
    Pulling { trouble: Option<String> },
    Held {
        /// What its registry calls it; absent for one that came from none, or where an agent of an earlier
        /// release does not say.
        digest: Option<ImageDigest>,
    },
    /// It cannot be had; the words of the registry or the engine.
    Failed { message: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReport {
    pub phase: PodPhase,
    pub init_containers: Vec<ContainerStatus>,
    pub containers: Vec<ContainerStatus>,
    pub address: Option<PodAddress>,
    pub ready: bool,
    /// Connections through this node's proxies to the pod that are open and not idle.
    pub connections: u32,
    pub milestones: PodMilestones,
    /// In what its containers differ now from its template, by somebody's hand: a sentence each.
    pub drift: Vec<String>,
    /// What a person told the agent to do with it.
    pub pause: Option<Pause>,
}

/// When a pod reached each point on its node, by the node's clock. They go to the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PodMilestones {
    /// The assignment with this pod was on the node's disk.
    pub accepted_at: Option<Timestamp>,
    pub pulled_at: Option<Timestamp>,
    /// The engine has made the container.
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ready_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
}
