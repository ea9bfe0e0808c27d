//! Why things wait and what was passed over: the answer to "why did nothing happen?", as data.

use std::collections::BTreeMap;
use std::fmt;

use dugout_model::{
    CommitSha, DrainWait, NodeName, ObjectUid, PodUid, SourceName, Timestamp, Unschedulable,
};

use crate::MissingReference;
use crate::generations::Barrier;
use crate::order::Others;

/// What one plan says of itself beside its changes. It covers the work that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PlanReport {
    /// Facts that changed nothing by their kind, in the order in which they came.
    pub ignored: Vec<Ignored>,
    /// Workloads that are not where they shall be.
    pub workloads: BTreeMap<ObjectUid, WorkloadWait>,
    /// Pods that wait for somebody else.
    pub pods: BTreeMap<PodUid, PodWait>,
}

/// A fact that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    UnknownSource {
        source: SourceName,
    },
    UnknownNode {
        node: NodeName,
    },
    /// A node is deleted only when it is not there.
    NodeIsThere {
        node: NodeName,
    },
    /// A report of an agent that does not hold the node's name (any more).
    OtherInstance {
        node: NodeName,
        instance: String,
    },
    /// The revision failed before and is not applied again by itself.
    Quarantined {
        source: SourceName,
        sha: CommitSha,
    },
    /// The revision is the newest release already.
    AlreadyReleased {
        source: SourceName,
        sha: CommitSha,
    },
}

/// What a workload waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadWait {
    Paused,
    MissingReferences(Vec<MissingReference>),
    /// It begins nothing new before these are complete.
    Others(Others),
    /// Nothing of it stops before every image of its release is where it is needed.
    Images,
    /// Recreate: pods of earlier templates that are not gone yet.
    OldPodsLeaving {
        pods: u32,
    },
    NotAvailable {
        available: u32,
        desired: u32,
    },
    /// A job whose pods have yet to succeed.
    NotCompleted {
        succeeded: u32,
        wanted: u32,
    },
    /// A job whose last pods failed: the next begins then.
    BackOff {
        failed: u32,
        until: Timestamp,
    },
}

/// What a pod waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodWait {
    /// For a node that can take it.
    Node(Unschedulable),
    /// It drains: nodes whose proxies have not acknowledged yet, connections that are open, and when
    /// it is stopped in any case.
    Drain { unacknowledged: u32, connections: u32, deadline: Timestamp },
    /// Its node is drained, and it cannot leave yet.
    Eviction(DrainWait),
    /// Its workload left Git, and what comes instead is not there yet.
    Release,
    /// The same for what needs it and left, too.
    Dependents,
    /// It was told to stop and its node has not said yet that it is gone.
    Gone { node: NodeName },
    /// Its node is lost and no other can take its place.
    LostNode { node: NodeName, elsewhere: Unschedulable },
    /// Its node is lost, and none may take its place before it is known to be gone.
    NodeReturn { node: NodeName },
}

impl From<Barrier> for WorkloadWait {
    fn from(barrier: Barrier) -> Self {
        match barrier {
            Barrier::References(missing) => WorkloadWait::MissingReferences(missing),
            Barrier::Others(others) => WorkloadWait::Others(others),
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::UnknownSource { source } => write!(out, "no source is named {source}"),
            Ignored::UnknownNode { node } => write!(out, "no node is named {node}"),
            Ignored::NodeIsThere { node } => write!(out, "node {node} is there"),
            Ignored::OtherInstance { node, instance } => {
                write!(out, "agent {instance} does not hold the name of node {node}")
            }
            Ignored::Quarantined { source, sha } => {
                write!(out, "{} of source {source} failed before", sha.short())
            }
            Ignored::AlreadyReleased { source, sha } => {
                write!(out, "{} is the newest release of source {source} already", sha.short())
            }
        }
    }
}

impl fmt::Display for WorkloadWait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadWait::Paused => out.write_str("paused"),
            WorkloadWait::MissingReferences(missing) => {
                out.write_str(&crate::resolve::sentence(missing))
            }
            WorkloadWait::Others(others) => others.fmt(out),
            WorkloadWait::Images => {
                out.write_str("stops nothing before every image of its release is there")
            }
            WorkloadWait::OldPodsLeaving { pods } => {
                write!(out, "waits until {pods} earlier pods are gone")
            }
            WorkloadWait::NotAvailable { available, desired } => {
                write!(out, "{available} of {desired} new pods are available")
            }
            WorkloadWait::NotCompleted { succeeded, wanted } => {
                write!(out, "{succeeded} of {wanted} pods have succeeded")
            }
            WorkloadWait::BackOff { failed, .. } => {
                write!(out, "waits before the next try: {failed} pods in a row have failed")
            }
        }
    }
}

impl fmt::Display for PodWait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PodWait::Node(why) => write!(out, "{why}"),
            PodWait::Drain { unacknowledged, connections, .. } => write!(
                out,
                "drains: {connections} open connections, {unacknowledged} nodes have yet to stop \
                 sending to it"
            ),
            PodWait::Eviction(wait) => {
                write!(out, "has to leave its node, which is drained: {wait}")
            }
            PodWait::Release => out.write_str(
                "its workload left Git; it goes once everything else of its source is there",
            ),
            PodWait::Dependents => out.write_str(
                "its workload left Git; it goes after those that left, too, and depend on it",
            ),
            PodWait::Gone { node } => write!(out, "waits for node {node} to say that it is gone"),
            PodWait::LostNode { node, elsewhere } => {
                write!(out, "node {node} is lost and nothing can take its place: {elsewhere}")
            }
            PodWait::NodeReturn { node } => write!(
                out,
                "waits for node {node}, which is lost: no other takes its place before it is known \
                 to be gone"
            ),
        }
    }
}
