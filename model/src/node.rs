//! Nodes: what they said when they joined, what is chosen about them, and the news that is never
//! stored.

use std::collections::BTreeMap;
use std::net::IpAddr;

use uuid::Uuid;

use crate::{
    EngineId, ImageDigest, NodeName, ObjectKey, PodUid, PullPolicy, ReleaseId, Resources,
    SourceName, StringMap, Timestamp, Turn,
};

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: NodeName,
    /// Made by the agent for its data directory: tells a restarted agent from another with its name.
    pub instance: String,
    pub labels: StringMap,
    pub capacity: Resources,
    /// How much storage claims may have here; absent when its agent is of a release that has none.
    pub storage_bytes: Option<u64>,
    pub engine: EngineId,
    pub engine_version: String,
    pub agent_version: String,
    /// Where the node can be reached from outside, for people and for node ports.
    pub address: Option<IpAddr>,
    pub condition: NodeCondition,
    /// Chosen by a person.
    pub scheduling: Scheduling,
    /// What releases under way want here before they stop a pod; by release and image.
    pub pulls: Vec<ImagePull>,
    /// The last turn that changed what this node must run: its assignment's generation.
    pub generation: Turn,
    /// The last of its agent's events that is in the database. It is written in the transaction that
    /// adds the events, so a report that is sent again tells nothing twice, whatever was restarted
    /// since. A report without a new event leaves it alone, so a heartbeat writes nothing.
    pub last_event: Option<EventNumber>,
    pub joined_at: Timestamp,
}

/// An image that a release wants on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePull {
    pub source: SourceName,
    pub release: ReleaseId,
    pub asked_at: Timestamp,
    pub image: String,
    pub policy: PullPolicy,
    /// What its name stands for, once that is fixed.
    pub digest: Option<ImageDigest>,
    /// What it may be pulled with; sorted.
    pub pull_secrets: Box<[ObjectKey]>,
    pub state: PullState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullState {
    /// Not known to be there yet; with the last trouble on the way, in the words of who made it.
    Wanted {
        trouble: Option<String>,
    },
    Held,
    /// It cannot be had; the words of the registry or the engine. Trying again soon would not help.
    Failed {
        message: String,
    },
}

/// Whether a node takes new pods, and whether those that it has stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scheduling {
    #[default]
    Schedulable,
    /// Takes no new pods.
    Cordoned,
    /// Takes no new pods, and those that it has leave, but a daemon set's.
    Draining { since: Timestamp },
}

/// Where an event stands among all that one run of an agent told, from one on without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventNumber {
    /// One start of the agent's process: the numbers begin anew with each.
    pub run: Uuid,
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeCondition {
    Ready,
    NotReady { since: Timestamp, reason: NotReadyReason },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotReadyReason {
    /// No word from its agent for longer than the node timeout.
    AgentSilent,
    /// The agent reports, and its container engine has not answered for longer than the node timeout.
    EngineUnavailable,
}

impl Node {
    pub fn is_ready(&self) -> bool {
        self.condition == NodeCondition::Ready
    }

    /// Whether it takes new pods, as far as people have a say.
    /// Whether nothing is heard of it. One whose agent says that the engine does not answer may still run
    /// what it ran.
    pub fn is_silent(&self) -> bool {
        matches!(
            self.condition,
            NodeCondition::NotReady { reason: NotReadyReason::AgentSilent, .. }
        )
    }

    pub fn is_schedulable(&self) -> bool {
        self.scheduling == Scheduling::Schedulable
    }

    /// Since when its pods leave, if they do.
    pub fn draining_since(&self) -> Option<Timestamp> {
        match self.scheduling {
            Scheduling::Draining { since } => Some(since),
            Scheduling::Schedulable | Scheduling::Cordoned => None,
        }
    }
}

/// The news of one node that is kept in memory alone, so that heartbeats never reach the database.
/// After a restart the next report restores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub last_report: Timestamp,
    /// The last moment at which its engine answered.
    pub engine_answered: Timestamp,
    /// The generation whose endpoints its proxies use.
    pub acknowledged: Turn,
    /// Connections through its proxies that are open and not idle, to pods that are leaving.
    pub connections: BTreeMap<PodUid, u32>,
}

/// The news of all nodes.
pub type Contacts = BTreeMap<NodeName, Contact>;
