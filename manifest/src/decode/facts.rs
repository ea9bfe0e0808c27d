//! What an object says that the limits, quotas and service accounts of its namespace are about, and which ports
//! of nodes it takes.

use std::net::IpAddr;

use dugout_model::{ObjectName, StatedRequests, StringMap};

use crate::reader::Place;
use crate::yaml::Position;

/// What the limits and quotas of a namespace are held against.
#[derive(Clone, Debug, Default)]
pub(crate) struct AdmissionFacts {
    /// Of a workload.
    pub pod: Option<WorkloadFacts>,
    /// The claims that it is or makes.
    pub claims: Vec<ClaimFacts>,
    /// Of a quota: where each of its amounts stands, in the order in which they are written.
    pub hard: Box<[(Box<str>, Place)]>,
    /// Of a service account: what its pods pull their images with.
    pub pull_secrets: Box<[ObjectName]>,
}

/// Where a pod's containers say what they need. The amounts are in the declared object.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadFacts {
    /// Where the spec of the pod stands.
    pub at: Position,
    /// Absent where it is the one of every pod that names none.
    pub service_account: Option<Box<str>>,
    /// In the order in which a template lists them: those that run first before the others.
    pub containers: Box<[ContainerFacts]>,
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerFacts {
    /// Where its resources stand, or else itself.
    pub at: Position,
    pub has_resources: bool,
    pub stated: StatedRequests,
}

/// A claim for storage.
#[derive(Clone, Debug)]
pub(crate) struct ClaimFacts {
    /// Of its spec.
    pub place: Place,
    pub storage_bytes: Option<u64>,
    pub class: Option<String>,
    /// Where the class is named, if it is.
    pub class_at: Position,
}

/// The ports of nodes that the pods of a workload have for as long as they run.
#[derive(Clone, Debug)]
pub(crate) struct HostPortFacts {
    pub ports: Box<[NodePort]>,
    pub node_selector: StringMap,
    pub spread: Spread,
}

#[derive(Clone, Debug)]
pub(crate) struct NodePort {
    pub number: u16,
    pub protocol: String,
    /// Absent for all addresses of the node.
    pub address: Option<IpAddr>,
    pub place: Place,
}

/// How many pods a workload has at one time, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// One on each node that its selector allows.
    EveryNode,
    Pods(i64),
    /// They end, and others may run then.
    UntilTheEnd,
}

impl NodePort {
    /// Whether only one of them can be had on a node.
    pub(crate) fn conflicts_with(&self, other: &NodePort) -> bool {
        (self.number, &self.protocol) == (other.number, &other.protocol)
            && (self.address.is_none() || other.address.is_none() || self.address == other.address)
    }
}
