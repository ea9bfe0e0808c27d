//! Nodes.

use std::collections::BTreeMap;

use dugout_model::{DrainWait, Node, NodeCondition, NotReadyReason};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::View;
use super::meta::{bytes, cpu, list, time, version};

impl View<'_> {
    pub fn node(self, node: &Node) -> core::Node {
        core::Node {
            metadata: ObjectMeta {
                creation_timestamp: time(node.joined_at),
                labels: super::meta::strings(&node.labels),
                name: Some(node.name.to_string()),
                resource_version: version(self),
                uid: Some(node.instance.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(core::NodeSpec {
                taints: list(taints(node)),
                unschedulable: (!node.is_schedulable()).then_some(true),
                ..core::NodeSpec::default()
            }),
            status: Some(self.node_status(node)),
        }
    }

    fn node_status(self, node: &Node) -> core::NodeStatus {
        let mut status = status(node);
        status.conditions.get_or_insert_default().extend(self.draining(node));
        status
    }

    /// What still has to leave a node that is drained.
    fn draining(self, node: &Node) -> Option<core::NodeCondition> {
        let since = node.draining_since()?;
        let waits = self.world.pods_to_drain(&node.name).map(|pod| {
            let wait = self.world.drain_wait(node, pod);
            (matches!(wait, DrainWait::Leaving), format!("{}/{}: {wait}", pod.namespace, pod.name))
        });
        let mut waits: Vec<(bool, String)> = waits.collect();
        waits.sort();
        let shown: Vec<&str> = waits.iter().take(PODS_NAMED).map(|(_, wait)| &**wait).collect();
        let (reason, message) = match waits.len() {
            0 => ("Drained", "no pod is left on it but those of daemon sets".to_owned()),
            1 => ("PodsLeft", format!("1 pod is left; {}", shown.join("; "))),
            left => ("PodsLeft", format!("{left} pods are left; {}", shown.join("; "))),
        };
        Some(core::NodeCondition {
            last_heartbeat_time: None,
            last_transition_time: time(since),
            message: Some(message),
            reason: Some(reason.to_owned()),
            status: "True".to_owned(),
            type_: "Draining".to_owned(),
        })
    }
}

/// How many of the pods that are left the condition names: those first that do not leave yet.
const PODS_NAMED: usize = 5;

fn status(node: &Node) -> core::NodeStatus {
    let mut addresses =
        vec![core::NodeAddress { address: node.name.to_string(), type_: "Hostname".to_owned() }];
    addresses.extend(node.address.map(|address| core::NodeAddress {
        address: address.to_string(),
        type_: "InternalIP".to_owned(),
    }));
    core::NodeStatus {
        addresses: Some(addresses),
        allocatable: Some(amounts(node)),
        capacity: Some(amounts(node)),
        conditions: Some(vec![ready(node)]),
        node_info: Some(core::NodeSystemInfo {
            container_runtime_version: format!("docker://{}", node.engine_version),
            kubelet_version: format!("dugout {}", node.agent_version),
            operating_system: "linux".to_owned(),
            ..core::NodeSystemInfo::default()
        }),
        ..core::NodeStatus::default()
    }
}

fn amounts(node: &Node) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), cpu(node.capacity.cpu_millis)),
        ("memory".to_owned(), bytes(node.capacity.memory_bytes)),
        ("pods".to_owned(), Quantity(node.capacity.pods.to_string())),
    ])
}

fn ready(node: &Node) -> core::NodeCondition {
    let (status, since, reason, message) = match &node.condition {
        NodeCondition::Ready => ("True", None, "AgentReady", "its agent and engine answer"),
        NodeCondition::NotReady { since, reason } => match reason {
            NotReadyReason::AgentSilent => {
                ("Unknown", Some(*since), "AgentSilent", "its agent has stopped reporting")
            }
            NotReadyReason::EngineUnavailable => (
                "False",
                Some(*since),
                "EngineUnavailable",
                "its agent reports that the container engine does not answer",
            ),
        },
    };
    core::NodeCondition {
        last_heartbeat_time: None,
        last_transition_time: time(since.unwrap_or(node.joined_at)),
        message: Some(message.to_owned()),
        reason: Some(reason.to_owned()),
        status: status.to_owned(),
        type_: "Ready".to_owned(),
    }
}

/// The taints that Kubernetes' own controllers would set for the same state.
fn taints(node: &Node) -> Vec<core::Taint> {
    let taint = |key: &str, effect: &str| core::Taint {
        effect: effect.to_owned(),
        key: format!("node.kubernetes.io/{key}"),
        time_added: None,
        value: None,
    };
    let mut taints = Vec::new();
    match &node.condition {
        NodeCondition::Ready => {}
        NodeCondition::NotReady { reason: NotReadyReason::AgentSilent, .. } => {
            taints.push(taint("unreachable", "NoExecute"));
        }
        NodeCondition::NotReady { reason: NotReadyReason::EngineUnavailable, .. } => {
            taints.push(taint("not-ready", "NoExecute"));
        }
    }
    if !node.is_schedulable() {
        taints.push(taint("unschedulable", "NoSchedule"));
    }
    taints
}
