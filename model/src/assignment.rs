//! What one node must run: complete, with a generation.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    AssignedClaim, ClusterId, Drift, ImageDigest, NamespaceName, NodeName, ObjectKey, ObjectName,
    PodAddress, PodUid, Protocol, PullPolicy, ReleaseId, ReplicaSetUid, SecretValue,
    SharedTemplate, Turn, VolumeUid,
};

/// Everything one node must run. It is complete: what is not in it and carries our labels goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub cluster: ClusterId,
    pub node: NodeName,
    /// An agent refuses a lower one, and the same one with other content.
    pub generation: Turn,
    /// By uid.
    pub pods: Vec<AssignedPod>,
    /// By key.
    pub services: Vec<AssignedService>,
    /// Images to have at hand, for pods that are to come; sorted.
    pub images: Vec<AssignedImage>,
    /// What its pulls may be made with; by key.
    pub pull_secrets: Vec<AssignedPullSecret>,
    /// Volumes of claims that are gone, to be removed with what is in them; sorted.
    pub deleted_volumes: Vec<VolumeUid>,
}

/// A secret with credentials for registries. Pods name it; it is no part of their templates, so it may
/// change without a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedPullSecret {
    pub key: ObjectKey,
    pub format: PullSecretFormat,
    pub content: SecretValue,
    /// Which of [`Assignment::images`] it is for, by name; sorted.
    pub images: Vec<String>,
}

/// How credentials are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullSecretFormat {
    /// Docker's `config.json`: `kubernetes.io/dockerconfigjson`.
    ConfigJson,
    /// Docker's older `.dockercfg`: `kubernetes.io/dockercfg`.
    Dockercfg,
}

/// An image that a node shall have before anybody needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignedImage {
    /// Another release asks anew: its tags may mean something else by then.
    pub release: ReleaseId,
    pub image: String,
    pub policy: PullPolicy,
    /// What the release has fixed that its name stands for. Without one the node says what it finds.
    pub digest: Option<ImageDigest>,
}

impl AssignedImage {
    /// What the engine is asked for.
    pub fn reference(&self) -> String {
        match &self.digest {
            Some(digest) => digest.reference(&self.image),
            None => self.image.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedPod {
    pub uid: PodUid,
    pub namespace: NamespaceName,
    pub name: ObjectName,
    pub replica_set: ReplicaSetUid,
    pub template: SharedTemplate,
    pub order: PodOrder,
    /// The policy of its source.
    pub drift: Drift,
    /// Where the volumes are that are claims', in the order of its template.
    pub claims: Vec<AssignedClaim>,
    /// What the names of its template's images stand for, of those that are not named by their digest;
    /// sorted. A server of an earlier release says it of none, and then each is what its node finds.
    pub pins: Vec<AssignedPin>,
}

impl AssignedPod {
    /// What is said of an image of its template.
    pub fn pin_of(&self, image: &str) -> Option<&AssignedPin> {
        self.pins.iter().find(|pin| pin.image == image)
    }
}

/// What the name of an image stands for in a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssignedPin {
    /// As the template names it.
    pub image: String,
    /// Absent until a node has said what it found first: no container is made of it before that, but where
    /// the node has one that came from no registry.
    pub digest: Option<ImageDigest>,
}

/// What the node shall do with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodOrder {
    /// Run it. `draining` pods keep running, get no new connections, and are not worth a restart;
    /// nothing of them is made anew. So is one that ended: it is kept for its logs.
    Run { draining: bool },
    /// SIGTERM, SIGKILL after `grace`, remove.
    Stop { grace: Duration },
}

/// A service with a port on the node and the pods behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedService {
    pub key: ObjectKey,
    pub ports: Vec<AssignedServicePort>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedServicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: u16,
    /// By pod uid.
    pub endpoints: Vec<Endpoint>,
}

/// A pod that a service may send to. Pods that leave are not in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub pod: PodUid,
    /// The container's port.
    pub port: u16,
    pub place: EndpointPlace,
}

/// Whose knowledge decides whether the endpoint serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointPlace {
    /// On the node itself, which knows the pod's address and readiness best, also when the control
    /// plane is away.
    Local,
    /// On another node with the same engine, ready by its last report.
    SameEngine { address: PodAddress },
}

/// Shared by everyone who waits for it.
pub type SharedAssignment = Arc<Assignment>;
