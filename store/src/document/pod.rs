//! The stored form of replica sets and pods.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use dugout_model::{
    CommitSha, ContainerExit, ContainerState, ContainerStatus, ImageDigest, ImagePins, Lifecycle,
    NamespaceName, NodeFilter, NodeName, ObjectName, ObjectUid, Pause, Placement, Pod, PodAddress,
    PodIdentity, PodMilestones, PodPhase, PodStatus, PodUid, ReplicaSet, ReplicaSetUid, Seen,
    SharedTemplate, SourceName, StopReason, TemplateHash, Timestamp, Turn, Unschedulable,
    WaitingReason,
};

use super::Stored;
use super::mirror::mirror;

/// A replica set without its template, which has a column of its own.
pub(crate) struct ReplicaSetHead {
    uid: ReplicaSetUid,
    namespace: NamespaceName,
    name: ObjectName,
    owner: ObjectUid,
    source: SourceName,
    template_hash: TemplateHash,
    revision: u64,
    replicas: u32,
    sha: CommitSha,
    created_at: Timestamp,
    pins: ImagePins,
}

impl ReplicaSetHead {
    /// Takes a replica set apart into its two columns.
    pub(crate) fn split(row: &ReplicaSet) -> (ReplicaSetHead, &SharedTemplate) {
        let ReplicaSet {
            uid,
            namespace,
            name,
            owner,
            source,
            template,
            template_hash,
            revision,
            replicas,
            sha,
            created_at,
            pins,
        } = row;
        let head = ReplicaSetHead {
            uid: *uid,
            namespace: namespace.clone(),
            name: name.clone(),
            owner: *owner,
            source: source.clone(),
            template_hash: template_hash.clone(),
            revision: *revision,
            replicas: *replicas,
            sha: sha.clone(),
            created_at: *created_at,
            pins: pins.clone(),
        };
        (head, template)
    }

    /// Puts the two columns together again.
    pub(crate) fn join(self, template: SharedTemplate) -> ReplicaSet {
        let ReplicaSetHead {
            uid,
            namespace,
            name,
            owner,
            source,
            template_hash,
            revision,
            replicas,
            sha,
            created_at,
            pins,
        } = self;
        ReplicaSet {
            uid,
            namespace,
            name,
            owner,
            source,
            template,
            template_hash,
            revision,
            replicas,
            sha,
            created_at,
            pins,
        }
    }
}

mirror! {
    struct ReplicaSetHead as ReplicaSetDocument {
        uid: ReplicaSetUid,
        namespace: NamespaceName,
        name: ObjectName,
        // As it was called when only deployments owned replica sets.
        #[serde(rename = "deployment")]
        owner: ObjectUid,
        source: SourceName,
        template_hash: TemplateHash,
        revision: u64,
        replicas: u32,
        sha: CommitSha,
        created_at: Timestamp,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pins: ImagePins,
    }
}

mirror! {
    struct Pod as PodDocument {
        uid: PodUid,
        namespace: NamespaceName,
        name: ObjectName,
        replica_set: ReplicaSetUid,
        // What came later is written only where it says something, here and below: an earlier release
        // reads the rest.
        #[serde(default, skip_serializing_if = "PodIdentityDocument::is_any")]
        identity: PodIdentity,
        created_at: Timestamp,
        placement: Placement,
        lifecycle: Lifecycle,
        seen: Seen<PodStatus>,
    }
}

mirror! {
    #[derive(Default)]
    #[serde(rename_all = "snake_case")]
    enum PodIdentity as PodIdentityDocument {
        #[default]
        Any,
        Ordinal(number: u32),
        OnNode(node: NodeName),
        CompletionIndex(number: u32),
    }
}

impl PodIdentityDocument {
    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Placement as PlacementDocument {
        Waiting(why: Unschedulable),
        On { node: NodeName, at: Timestamp },
    }
}

mirror! {
    struct Unschedulable as UnschedulableDocument { removed: BTreeMap<NodeFilter, u32> }
}

mirror! {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    #[serde(rename_all = "snake_case")]
    enum NodeFilter as NodeFilterDocument {
        NotReady,
        Cordoned,
        NodeSelector,
        InsufficientCpu,
        InsufficientMemory,
        TooManyPods,
        NotAllowed,
        NoFreePorts,
        ClaimMissing,
        ClaimInUse,
        VolumeAffinity,
        ReleasedVolume,
        NoVolume,
        NoStorage,
        InsufficientStorage,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Lifecycle as LifecycleDocument {
        Active,
        Draining { since: Timestamp, since_turn: Turn, deadline: Timestamp, reason: StopReason },
        Stopping { since: Timestamp, grace: Duration, reason: StopReason },
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum StopReason as StopReasonDocument { Scaled, OwnerRemoved, NodeLost, Evicted, Asked }
}

/// Written out, because the macro knows no generic types.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SeenDocument<T> {
    Absent,
    Unknown { since: i64, last: Option<T> },
    Known(T),
}

impl<T: Stored> Stored for Seen<T> {
    type Document = SeenDocument<T::Document>;

    fn to_document(&self) -> Self::Document {
        match self {
            Seen::Absent => SeenDocument::Absent,
            Seen::Unknown { since, last } => {
                SeenDocument::Unknown { since: since.to_document(), last: last.to_document() }
            }
            Seen::Known(value) => SeenDocument::Known(value.to_document()),
        }
    }

    fn from_document(document: Self::Document) -> Self {
        match document {
            SeenDocument::Absent => Seen::Absent,
            SeenDocument::Unknown { since, last } => Seen::Unknown {
                since: Timestamp::from_document(since),
                last: Stored::from_document(last),
            },
            SeenDocument::Known(value) => Seen::Known(T::from_document(value)),
        }
    }
}

mirror! {
    struct PodStatus as PodStatusDocument {
        phase: PodPhase,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        init_containers: Vec<ContainerStatus>,
        containers: Vec<ContainerStatus>,
        address: Option<PodAddress>,
        ready_since: Option<Timestamp>,
        milestones: PodMilestones,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drift: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pause: Option<Pause>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Pause as PauseDocument { LeftAlone, Stopped }
}

mirror! {
    struct PodMilestones as PodMilestonesDocument {
        accepted_at: Option<Timestamp>,
        pulled_at: Option<Timestamp>,
        created_at: Option<Timestamp>,
        started_at: Option<Timestamp>,
        ready_at: Option<Timestamp>,
        stopped_at: Option<Timestamp>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PodPhase as PodPhaseDocument { Pending, Running, Succeeded, Failed, Gone }
}

mirror! {
    struct ContainerStatus as ContainerStatusDocument {
        name: String,
        state: ContainerState,
        ready: bool,
        restarts: u32,
        container_id: Option<String>,
        image_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_digest: Option<ImageDigest>,
        last_exit: Option<ContainerExit>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum ContainerState as ContainerStateDocument {
        Waiting { reason: WaitingReason, message: String },
        Running { started_at: Timestamp },
        Terminated(exit: ContainerExit),
    }
}

mirror! {
    struct ContainerExit as ContainerExitDocument {
        exit_code: i64,
        oom_killed: bool,
        finished_at: Timestamp,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum WaitingReason as WaitingReasonDocument {
        ContainerCreating,
        PodInitializing,
        Pulling,
        ErrImagePull,
        ErrImageNeverPull,
        CrashLoopBackOff,
        CreateContainerError,
        CreateContainerConfigError,
        EngineUnavailable,
    }
}
