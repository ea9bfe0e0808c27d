//! What an object says that the limits, quotas and service accounts of its namespace are about.

use dugout_model::{ObjectName, StatedRequests};

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
}
