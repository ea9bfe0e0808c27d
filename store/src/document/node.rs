//! The stored form of nodes.

use std::net::IpAddr;

use dugout_model::{
    EngineId, EventNumber, ImagePull, Node, NodeCondition, NodeName, NotReadyReason, PullPolicy,
    PullState, ReleaseId, Resources, SourceName, StringMap, Timestamp, Turn,
};

use uuid::Uuid;

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
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pulls: Vec<ImagePull>,
        generation: Turn,
        // Later than the first release: its rows have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_event: Option<EventNumber>,
        joined_at: Timestamp,
    }
}

mirror! {
    struct ImagePull as ImagePullDocument {
        source: SourceName,
        release: ReleaseId,
        asked_at: Timestamp,
        image: String,
        policy: PullPolicy,
        state: PullState,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum PullState as PullStateDocument {
        Wanted { trouble: Option<String> },
        Held,
        Failed { message: String },
    }
}

mirror! {
    struct EventNumber as EventNumberDocument { run: Uuid, number: u64 }
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
