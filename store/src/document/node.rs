//! The stored form of nodes.

use std::net::IpAddr;

use dugout_model::{
    EngineId, Node, NodeCondition, NodeName, NotReadyReason, Resources, StringMap, Timestamp, Turn,
};

use super::mirror::mirror;

mirror! {
    struct Node as NodeDocument {
        name: NodeName,
        instance: String,
        labels: StringMap,
        capacity: Resources,
        engine: EngineId,
        engine_version: String,
        agent_version: String,
        address: Option<IpAddr>,
        condition: NodeCondition,
        unschedulable: bool,
        generation: Turn,
        joined_at: Timestamp,
    }
}

mirror! {
    struct Resources as ResourcesDocument { cpu_millis: u64, memory_bytes: u64, pods: u64 }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum NodeCondition as NodeConditionDocument {
        Ready,
        NotReady { since: Timestamp, reason: NotReadyReason },
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum NotReadyReason as NotReadyReasonDocument { AgentSilent, EngineUnavailable }
}
