//! What was chosen (replica sets, pods, where they go, when they leave) and what was seen of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::{
    COMPLETION_INDEX_LABEL, CONTROLLER_UID_LABEL, CommitSha, ImageDigest, ImagePins, NamespaceName,
    NodeName, ObjectName, ObjectUid, PodAddress, PodMilestones, PodUid, ReplicaSetUid,
    SharedTemplate, SourceName, TemplateHash, Timestamp, Turn,
};

/// One generation of a workload's template, and how many pods of it there shall be. Every pod belongs
/// to one. Of a Deployment it is what Kubernetes calls a ReplicaSet; for a StatefulSet or a DaemonSet
/// it takes the place of a ControllerRevision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    pub uid: ReplicaSetUid,
    pub namespace: NamespaceName,
    /// The workload's name, a dash, and the start of the template's hash.
    pub name: ObjectName,
    /// The workload whose template it is.
    pub owner: ObjectUid,
    /// The source of that workload: where the steps of its pods are told, also when the workload
    /// has left Git.
    pub source: SourceName,
    pub template: SharedTemplate,
    pub template_hash: TemplateHash,
    /// Grows with each template of the workload that becomes current; a template that comes back
    /// gets a new, higher revision.
    pub revision: u64,
    /// How many pods it shall have now; of a job's, how many may run at a time.
    pub replicas: u32,
    /// The commit that last made this template current.
    pub sha: CommitSha,
    pub created_at: Timestamp,
    /// What the names of its images stand for, for as long as it is there: the first that one of its pods
    /// or its release took of each. No part of the template's hash.
    pub pins: ImagePins,
}

impl ReplicaSet {
    /// Whether its pods are those of a job: the label says so that Kubernetes gives them. It stays
    /// true while they leave and the job is forgotten.
    pub fn is_of_job(&self) -> bool {
        let owner = self.template.labels.get(CONTROLLER_UID_LABEL);
        owner.is_some_and(|owner| *owner == self.uid.to_string())
    }
}

/// How far a workload's rollout is, as the planner keeps it from turn to turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    pub workload: ObjectUid,
    /// The generation of the workload that this is about.
    pub generation: u64,
    pub state: RolloutState,
    /// The last moment at which it moved on: a replica set made, scaled, or a pod ready or available.
    pub progressed_at: Timestamp,
    /// A count of what has been reached, to notice that it moved on.
    pub milestone: RolloutMilestone,
}

/// What a rollout has reached; any growth is progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RolloutMilestone {
    pub updated: u32,
    pub ready: u32,
    pub available: u32,
    /// Pods of earlier templates that are still there.
    pub old: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutState {
    Progressing,
    /// The template cannot be made: a config map or secret that it needs is not there. What runs
    /// stays, and the progress deadline counts.
    Waiting {
        message: String,
    },
    /// Everything updated and available, nothing old left.
    Complete,
    /// `Progressing=False` with this reason; no pod is touched because of it.
    Failed {
        reason: RolloutFailure,
        message: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutFailure {
    ProgressDeadlineExceeded,
    /// An image that cannot be had: waiting longer would not help.
    ImageUnavailable,
    /// The job came to its end without success.
    JobFailed,
}

/// One pod. It never changes node and never runs twice: what replaces it is another pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub uid: PodUid,
    pub namespace: NamespaceName,
    pub name: ObjectName,
    pub replica_set: ReplicaSetUid,
    pub identity: PodIdentity,
    pub created_at: Timestamp,
    /// Chosen by the scheduler.
    pub placement: Placement,
    /// Chosen by the controllers.
    pub lifecycle: Lifecycle,
    /// Seen by the node.
    pub seen: Seen<PodStatus>,
}

/// What tells a pod apart from its siblings: whatever takes its place has the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PodIdentity {
    /// Nothing: one is as good as another.
    #[default]
    Any,
    /// Its place in a stateful set. At most one pod of an ordinal runs at a time.
    Ordinal(u32),
    /// A daemon set's pod for this node; it goes nowhere else.
    OnNode(NodeName),
    /// Its share of an indexed job.
    CompletionIndex(u32),
}

/// The label with its ordinal that a pod of a stateful set has.
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// The label with its name that a pod of a stateful set has, so that a service can mean one of them.
pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// Where a pod goes, or why it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    Waiting(Unschedulable),
    On { node: NodeName, at: Timestamp },
}

/// Why no node can take a pod: how many nodes each filter removed. Empty until first tried.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unschedulable {
    pub removed: BTreeMap<NodeFilter, u32>,
}

/// The filters of the scheduler, each a reason why a node cannot take a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeFilter {
    NotReady,
    Cordoned,
    NodeSelector,
    InsufficientCpu,
    InsufficientMemory,
    TooManyPods,
    /// Its policy forbids what the pod asks for.
    NotAllowed,
    /// Another pod has a port of the node that this one asks for.
    NoFreePorts,
    /// A claim of the pod's is not there, or has a class that is not.
    ClaimMissing,
    /// Another pod has the claim that only one may have.
    ClaimInUse,
    /// The volume of a claim is on another node.
    VolumeAffinity,
    /// A volume is kept for the claim that is not what it asks for.
    ReleasedVolume,
    /// No declared volume fits the claim, and none is made for its class.
    NoVolume,
    /// Its agent has no storage to give out.
    NoStorage,
    InsufficientStorage,
}

impl NodeFilter {
    /// The reason in a sentence, as it follows a count of nodes.
    pub fn explain(self) -> &'static str {
        match self {
            NodeFilter::NotReady => "not ready",
            NodeFilter::Cordoned => "cordoned",
            NodeFilter::NodeSelector => "without the labels that nodeSelector asks for",
            NodeFilter::InsufficientCpu => "with too little CPU left",
            NodeFilter::InsufficientMemory => "with too little memory left",
            NodeFilter::TooManyPods => "already full of pods",
            NodeFilter::NoFreePorts => "node(s) didn't have free ports for the requested pod ports",
            NodeFilter::NotAllowed => {
                "that do not allow what the pod asks for (see --allow of dugout agent; one of an earlier release allows no security context)"
            }
            NodeFilter::ClaimMissing => {
                "for which it has an unbound PersistentVolumeClaim that is not declared, or whose StorageClass is not"
            }
            NodeFilter::ClaimInUse => {
                "for which another pod uses its PersistentVolumeClaim with the access mode ReadWriteOncePod"
            }
            NodeFilter::VolumeAffinity => "with a volume node affinity conflict",
            NodeFilter::ReleasedVolume => {
                "for which a released volume is kept for its PersistentVolumeClaim that is not what the claim asks for (see the events of the claim)"
            }
            NodeFilter::NoVolume => "without available persistent volumes to bind",
            NodeFilter::NoStorage => "whose agent is of an earlier release, which has no storage",
            NodeFilter::InsufficientStorage => "without enough free storage",
        }
    }
}

impl fmt::Display for Unschedulable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: u32 = self.removed.values().sum();
        if nodes == 0 {
            return out.write_str("no node has joined the cluster");
        }
        write!(out, "0 of {nodes} nodes can take it: ")?;
        for (index, (filter, count)) in self.removed.iter().enumerate() {
            if index > 0 {
                out.write_str(", ")?;
            }
            write!(out, "{count} {}", filter.explain())?;
        }
        Ok(())
    }
}

/// Whether a pod stays, and if not, how far its leaving is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    Active,
    /// Still running, and already out of every endpoint set that is published from turn `since_turn`
    /// on. It is stopped when every node has acknowledged that and its connections have ended, at the
    /// latest at `deadline`.
    Draining {
        since: Timestamp,
        since_turn: Turn,
        deadline: Timestamp,
        reason: StopReason,
    },
    /// To be stopped: SIGTERM, and SIGKILL after `grace`.
    Stopping {
        since: Timestamp,
        grace: Duration,
        reason: StopReason,
    },
}

/// Why a pod leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// Its replica set was scaled down, or its template was replaced.
    Scaled,
    /// Its owner left Git.
    OwnerRemoved,
    /// Its node stopped reporting and another took its place.
    NodeLost,
    /// Its node is drained.
    Evicted,
    /// A person asked for it: it starts anew, as another pod.
    Asked,
}

/// What is known of something remote. Ignorance is a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// Surely nothing there.
    Absent,
    /// Something may be there; the last news is too old to rely on.
    Unknown {
        since: Timestamp,
        last: Option<T>,
    },
    Known(T),
}

impl<T> Seen<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Seen::Known(value) => Some(value),
            Seen::Absent | Seen::Unknown { .. } => None,
        }
    }
}

/// What a node says of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStatus {
    pub phase: PodPhase,
    /// Those that run to their end before the others.
    pub init_containers: Vec<ContainerStatus>,
    pub containers: Vec<ContainerStatus>,
    pub address: Option<PodAddress>,
    /// When the control plane learned that all of the pod's containers are ready; absent while they
    /// are not.
    pub ready_since: Option<Timestamp>,
    /// What the timeline already tells of it, by the node's clock.
    pub milestones: PodMilestones,
    /// In what its containers differ now from its template, by somebody's hand: a sentence each.
    pub drift: Vec<String>,
    /// What a person told its node's agent; the agent does as he said until he takes it back.
    pub pause: Option<Pause>,
}

/// What a person told the agent of a pod's node, beside the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// Nothing of it is started, stopped, changed or removed, whatever is assigned.
    LeftAlone,
    /// Its containers are stopped, and none is started.
    Stopped,
}

impl Pause {
    pub const ALL: [Pause; 2] = [Pause::LeftAlone, Pause::Stopped];
}

impl PodStatus {
    /// Its containers, those that run first before the others.
    pub fn all_containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.init_containers.iter().chain(&self.containers)
    }
}

/// How far a pod's own life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodPhase {
    Pending,
    Running,
    /// Its containers ended well and are not started again.
    Succeeded,
    /// Its containers ended, one of them badly, and are not started again.
    Failed,
    /// Every container of it is gone from the node.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    pub name: String,
    pub state: ContainerState,
    pub ready: bool,
    pub restarts: u32,
    /// The engine's id of the current container.
    pub container_id: Option<String>,
    /// The engine's id of its image, once known.
    pub image_id: Option<String>,
    /// What the registry calls the image that the container is made of, or will be: of one that waits, what
    /// its node found. Absent for an image that came from no registry.
    pub image_digest: Option<ImageDigest>,
    /// How the previous run of this container ended.
    pub last_exit: Option<ContainerExit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Waiting { reason: WaitingReason, message: String },
    Running { started_at: Timestamp },
    Terminated(ContainerExit),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerExit {
    pub exit_code: i64,
    pub oom_killed: bool,
    pub finished_at: Timestamp,
}

/// Why a container waits, with Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitingReason {
    ContainerCreating,
    /// Containers that run before it have not all ended well.
    PodInitializing,
    /// A pull is under way.
    Pulling,
    /// The registry or the engine says that the image is not to be had; it is tried again, rarely.
    ErrImagePull,
    /// `imagePullPolicy: Never` and the image is not on the node.
    ErrImageNeverPull,
    CrashLoopBackOff,
    CreateContainerError,
    /// What the pod asks for contradicts its image or what its node allows.
    CreateContainerConfigError,
    /// The container engine does not answer.
    EngineUnavailable,
}

impl WaitingReason {
    pub const ALL: [WaitingReason; 9] = [
        WaitingReason::ContainerCreating,
        WaitingReason::PodInitializing,
        WaitingReason::Pulling,
        WaitingReason::ErrImagePull,
        WaitingReason::ErrImageNeverPull,
        WaitingReason::CrashLoopBackOff,
        WaitingReason::CreateContainerError,
        WaitingReason::CreateContainerConfigError,
        WaitingReason::EngineUnavailable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            WaitingReason::ContainerCreating => "ContainerCreating",
            WaitingReason::PodInitializing => "PodInitializing",
            WaitingReason::Pulling => "Pulling",
            WaitingReason::ErrImagePull => "ErrImagePull",
            WaitingReason::ErrImageNeverPull => "ErrImageNeverPull",
            WaitingReason::CrashLoopBackOff => "CrashLoopBackOff",
            WaitingReason::CreateContainerError => "CreateContainerError",
            WaitingReason::CreateContainerConfigError => "CreateContainerConfigError",
            WaitingReason::EngineUnavailable => "EngineUnavailable",
        }
    }
}

/// How a pod that is not started again ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodOutcome {
    Succeeded,
    Failed,
}

impl PodPhase {
    pub fn outcome(self) -> Option<PodOutcome> {
        match self {
            PodPhase::Succeeded => Some(PodOutcome::Succeeded),
            PodPhase::Failed => Some(PodOutcome::Failed),
            PodPhase::Pending | PodPhase::Running | PodPhase::Gone => None,
        }
    }
}

impl Pod {
    /// The labels that it has beside those of its template: what tells it apart from its siblings, as
    /// Kubernetes labels it.
    pub fn own_labels(&self) -> Vec<(&'static str, String)> {
        match &self.identity {
            PodIdentity::Any | PodIdentity::OnNode(_) => Vec::new(),
            PodIdentity::Ordinal(ordinal) => vec![
                (POD_INDEX_LABEL, ordinal.to_string()),
                (POD_NAME_LABEL, self.name.to_string()),
            ],
            PodIdentity::CompletionIndex(index) => {
                vec![(COMPLETION_INDEX_LABEL, index.to_string())]
            }
        }
    }

    /// The node it was placed on.
    pub fn node(&self) -> Option<&NodeName> {
        match &self.placement {
            Placement::On { node, .. } => Some(node),
            Placement::Waiting(_) => None,
        }
    }

    /// How it ended, if it did: by the last news, which stays true whatever becomes of its node.
    pub fn outcome(&self) -> Option<PodOutcome> {
        let status = match &self.seen {
            Seen::Known(status) => Some(status),
            Seen::Unknown { last, .. } => last.as_ref(),
            Seen::Absent => None,
        };
        status?.phase.outcome()
    }

    /// Ended for good: it keeps no room and gets no connection. Its row stays for as long as somebody
    /// may ask for its logs.
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// Whether it may still do something: it is not leaving and has not ended.
    pub fn is_at_work(&self) -> bool {
        self.is_active() && !self.is_finished()
    }

    pub fn is_active(&self) -> bool {
        self.lifecycle == Lifecycle::Active
    }

    /// Ready by the last news that can be relied on.
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.seen.known().and_then(|status| status.ready_since)
    }
}
