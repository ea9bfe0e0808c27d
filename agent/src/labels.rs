//! The labels by which an agent finds its own containers again. What does not carry them, with this
//! agent's cluster and node, is never touched: several agents may share one engine.

use std::collections::HashMap;
use std::time::Duration;

use dugout_model::{
    AssignedPod, ClaimPlace, ClusterId, NamespaceName, NodeName, ObjectName, PodUid,
};
use uuid::Uuid;

pub const CLUSTER: &str = "dev.dugout.cluster";
pub const NODE: &str = "dev.dugout.node";
pub const NAMESPACE: &str = "dev.dugout.namespace";
pub const POD: &str = "dev.dugout.pod";
pub const UID: &str = "dev.dugout.uid";
pub const CONTAINER: &str = "dev.dugout.container";
/// How many containers of this name the pod had before this one.
pub const ATTEMPT: &str = "dev.dugout.attempt";
/// How many of them crashed in a row, so that a restarted agent goes on with the same back-off.
pub const CRASHES: &str = "dev.dugout.crashes";
/// The termination grace in milliseconds, for a container whose pod is no longer assigned.
pub const GRACE: &str = "dev.dugout.grace";

/// The volumes of the pod's claims, as a JSON array: nobody else may have them while the container runs.
pub const VOLUMES: &str = "dev.dugout.volumes";

/// On an image that Dugout made from a program, as for the example; so on its containers, too.
pub const MADE_IMAGE: &str = "dev.dugout.made-image";

/// The name of the container that holds what a pod's containers share: network, IPC and host name. It is
/// not a DNS label, so no container of a pod can have it.
pub const SANDBOX: &str = "POD";

/// The grace of a container that does not say its own.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Whose containers they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub cluster: ClusterId,
    pub node: NodeName,
}

impl Owner {
    /// The label filters that select this owner's containers and no others.
    pub fn filters(&self) -> Vec<String> {
        vec![format!("{CLUSTER}={}", self.cluster), format!("{NODE}={}", self.node)]
    }
}

/// What the labels of one of our containers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerLabels {
    pub namespace: NamespaceName,
    pub pod: ObjectName,
    pub uid: PodUid,
    pub container: String,
    pub attempt: u32,
    pub crashes: u32,
    pub grace: Duration,
    /// Of its pod's claims, sorted; see [`claimed_volumes`]. A sandbox mounts none.
    pub volumes: Vec<String>,
}

/// What tells the volumes of a pod's claims from others on its node, sorted: the uid of one that the agent made,
/// the path of one that was there.
pub fn claimed_volumes(pod: &AssignedPod) -> Vec<String> {
    let mut volumes: Vec<String> = pod
        .claims
        .iter()
        .map(|claim| match &claim.place {
            ClaimPlace::Provisioned { volume, .. } => volume.to_string(),
            ClaimPlace::Declared(source) => source.host_path().path,
        })
        .collect();
    volumes.sort();
    volumes.dedup();
    volumes
}

impl ContainerLabels {
    /// The labels as the engine takes them.
    pub fn to_map(&self, owner: &Owner) -> HashMap<String, String> {
        let Self { namespace, pod, uid, container, attempt, crashes, grace, volumes } = self;
        // Most have none, and need no label for that.
        let volumes = (!volumes.is_empty())
            .then(|| (VOLUMES.to_owned(), serde_json::json!(volumes).to_string()));
        let labels = [
            (CLUSTER, owner.cluster.to_string()),
            (NODE, owner.node.to_string()),
            (NAMESPACE, namespace.to_string()),
            (POD, pod.to_string()),
            (UID, uid.to_string()),
            (CONTAINER, container.clone()),
            (ATTEMPT, attempt.to_string()),
            (CRASHES, crashes.to_string()),
            (GRACE, grace.as_millis().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        labels.into_iter().chain(volumes).collect()
    }

    /// Reads the labels of a container. `None` when it is not this owner's, or when it does not say
    /// whose it is: such a container is not ours to touch.
    pub fn from_map(labels: &HashMap<String, String>, owner: &Owner) -> Option<Self> {
        let get = |key: &str| labels.get(key).map(String::as_str);
        if get(CLUSTER)? != owner.cluster.to_string() || get(NODE)? != owner.node.as_str() {
            return None;
        }
        let number = |key: &str| get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Self {
            namespace: NamespaceName::new(get(NAMESPACE)?),
            pod: ObjectName::new(get(POD)?),
            uid: PodUid(Uuid::parse_str(get(UID)?).ok()?),
            container: get(CONTAINER)?.to_owned(),
            attempt: number(ATTEMPT),
            crashes: number(CRASHES),
            grace: get(GRACE)
                .and_then(|text| text.parse().ok())
                .map_or(DEFAULT_GRACE, Duration::from_millis),
            volumes: get(VOLUMES)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
        })
    }

    /// The same, whosever it is.
    pub fn of_any_owner(labels: &HashMap<String, String>) -> Option<Self> {
        let cluster = ClusterId(Uuid::parse_str(labels.get(CLUSTER)?).ok()?);
        let node = NodeName::new(labels.get(NODE)?);
        Self::from_map(labels, &Owner { cluster, node })
    }

    pub fn is_sandbox(&self) -> bool {
        self.container == SANDBOX
    }

    /// The container's name on the engine: readable, and unique by the pod's uid and the attempt.
    pub fn container_name(&self) -> String {
        let uid = self.uid.0.simple().to_string();
        let short = uid.get(..12).unwrap_or(&uid);
        let Self { namespace, pod, container, attempt, .. } = self;
        format!("dugout_{namespace}_{pod}_{container}_{short}_{attempt}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { cluster: ClusterId(Uuid::from_u128(1)), node: NodeName::new("a") }
    }

    fn labels() -> ContainerLabels {
        ContainerLabels {
            namespace: NamespaceName::new("demo"),
            pod: ObjectName::new("web-1"),
            uid: PodUid(Uuid::from_u128(2)),
            container: "web".into(),
            attempt: 3,
            crashes: 2,
            grace: Duration::from_millis(1500),
            volumes: vec!["/disks/a, b".to_owned(), "7".to_owned()],
        }
    }

    #[test]
    fn labels_are_read_as_they_were_written() {
        let map = labels().to_map(&owner());
        assert_eq!(ContainerLabels::from_map(&map, &owner()), Some(labels()));
        assert_eq!(ContainerLabels::of_any_owner(&map), Some(labels()));
    }

    #[test]
    fn another_owner_or_a_missing_label_is_not_ours() {
        let map = labels().to_map(&owner());
        let other_node = Owner { node: NodeName::new("b"), ..owner() };
        let other_cluster = Owner { cluster: ClusterId(Uuid::from_u128(9)), ..owner() };
        assert_eq!(ContainerLabels::from_map(&map, &other_node), None);
        assert_eq!(ContainerLabels::from_map(&map, &other_cluster), None);
        for key in [CLUSTER, NODE, NAMESPACE, POD, UID, CONTAINER] {
            let mut map = map.clone();
            map.remove(key);
            assert_eq!(ContainerLabels::from_map(&map, &owner()), None, "without {key}");
        }
    }

    #[test]
    fn a_container_without_a_grace_gets_the_default() {
        let mut map = labels().to_map(&owner());
        map.remove(GRACE);
        assert_eq!(ContainerLabels::from_map(&map, &owner()).unwrap().grace, DEFAULT_GRACE);
    }
}
