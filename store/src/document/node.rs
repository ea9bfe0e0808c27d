//! The stored form of nodes.

use std::net::IpAddr;

use dugout_model::{
    EngineId, EventNumber, ImageDigest, ImagePull, Node, NodeCondition, NodeName, NotReadyReason,
    ObjectKey, PullPolicy, PullState, ReleaseId, Resources, Scheduling, SourceName, StringMap,
    Timestamp, Turn,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Stored;
use super::mirror::mirror;

mirror! {
    struct Node as NodeDocument {
        name: NodeName,
        instance: String,
        labels: StringMap,
        capacity: Resources,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        storage_bytes: Option<u64>,
        engine: EngineId,
        engine_version: String,
        agent_version: String,
        address: Option<IpAddr>,
        condition: NodeCondition,
        // As it was called when a node could be no more than cordoned.
        #[serde(rename = "unschedulable")]
        scheduling: Scheduling,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pulls: Vec<ImagePull>,
        generation: Turn,
        // Later than the first release: its rows have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_event: Option<EventNumber>,
        joined_at: Timestamp,
    }
}

/// Written out, so that a node which is not drained is told as before drains were known: by a yes or no.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum SchedulingDocument {
    Cordoned(bool),
    Draining { draining_since: i64 },
}

impl Stored for Scheduling {
    type Document = SchedulingDocument;

    fn to_document(&self) -> SchedulingDocument {
        match self {
            Scheduling::Schedulable => SchedulingDocument::Cordoned(false),
            Scheduling::Cordoned => SchedulingDocument::Cordoned(true),
            Scheduling::Draining { since } => {
                SchedulingDocument::Draining { draining_since: since.to_document() }
            }
        }
    }

    fn from_document(document: SchedulingDocument) -> Self {
        match document {
            SchedulingDocument::Cordoned(false) => Scheduling::Schedulable,
            SchedulingDocument::Cordoned(true) => Scheduling::Cordoned,
            SchedulingDocument::Draining { draining_since } => {
                Scheduling::Draining { since: Timestamp::from_document(draining_since) }
            }
        }
    }
}

mirror! {
    struct ImagePull as ImagePullDocument {
        source: SourceName,
        release: ReleaseId,
        asked_at: Timestamp,
        image: String,
        policy: PullPolicy,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<ImageDigest>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pull_secrets: Box<[ObjectKey]>,
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
