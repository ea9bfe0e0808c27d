//! How a node joins, and how it asks for its assignment.

use std::collections::BTreeMap;

use dugout_model as model;
use dugout_model::NodeName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::WireError;
use crate::names::parse_address;

/// What an agent says of itself when it joins or comes back. The node's name is in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    pub instance: String,
    pub labels: BTreeMap<String, String>,
    pub capacity: Resources,
    /// An agent of an earlier release has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    pub engine: String,
    pub engine_version: String,
    pub agent_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub cluster: Uuid,
    /// The agent reports at least this often.
    pub report_interval_ms: u64,
    /// The agent asks long-polls to wait this long; at most [`crate::MAX_WAIT_MS`].
    pub poll_wait_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub pods: u64,
}

/// The query of an assignment long-poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentQuery {
    pub instance: String,
    /// The generation that the agent holds; without it the answer comes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    #[serde(default)]
    pub wait_ms: u64,
}

/// The query of a stream long-poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsQuery {
    pub instance: String,
    #[serde(default)]
    pub wait_ms: u64,
}

/// The body of an answer that refuses: one sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub message: String,
}

impl Registration {
    /// The registration as the model has it, for the node that the path names.
    pub fn into_model(self, name: NodeName) -> Result<model::NodeRegistration, WireError> {
        let Self {
            instance,
            labels,
            capacity,
            storage_bytes,
            engine,
            engine_version,
            agent_version,
            address,
        } = self;
        Ok(model::NodeRegistration {
            name,
            instance,
            labels: labels.into(),
            capacity: capacity.into(),
            storage_bytes,
            engine: model::EngineId::new(engine),
            engine_version,
            agent_version,
            address: address.map(|text| parse_address("address", &text)).transpose()?,
        })
    }
}

impl From<&model::NodeRegistration> for Registration {
    fn from(value: &model::NodeRegistration) -> Self {
        let model::NodeRegistration {
            name: _, // in the path
            instance,
            labels,
            capacity,
            storage_bytes,
            engine,
            engine_version,
            agent_version,
            address,
        } = value;
        Self {
            instance: instance.clone(),
            labels: labels.into(),
            capacity: (*capacity).into(),
            storage_bytes: *storage_bytes,
            engine: engine.as_str().to_owned(),
            engine_version: engine_version.clone(),
            agent_version: agent_version.clone(),
            address: address.map(|address| address.to_string()),
        }
    }
}

impl From<model::Resources> for Resources {
    fn from(value: model::Resources) -> Self {
        let model::Resources { cpu_millis, memory_bytes, pods } = value;
        Self { cpu_millis, memory_bytes, pods }
    }
}

impl From<Resources> for model::Resources {
    fn from(value: Resources) -> Self {
        let Resources { cpu_millis, memory_bytes, pods } = value;
        Self { cpu_millis, memory_bytes, pods }
    }
}
