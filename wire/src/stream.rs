//! Streams: bytes that somebody asks a node for, carried by requests of the node's own.

use dugout_model as model;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::remote_command::SessionRequest;

/// Somebody waits for these bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRequest {
    pub id: Uuid,
    pub kind: StreamKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamKind {
    Logs(LogsRequest),
    /// Bytes in both directions.
    Session(SessionRequest),
}

/// The log of one container: standard output and error, in the order in which the engine has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsRequest {
    pub pod: Uuid,
    /// The pod's only container when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    pub follow: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_lines: Option<u64>,
    /// Only lines from this moment on; microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_micros: Option<i64>,
    pub timestamps: bool,
}

/// The query with which a node posts a stream's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamQuery {
    pub status: StreamStatus,
}

/// What the body of a posted stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamStatus {
    /// The bytes asked for.
    Ok,
    /// One sentence that says why there are none.
    Error,
}

impl StreamStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            StreamStatus::Ok => "ok",
            StreamStatus::Error => "error",
        }
    }
}

impl LogsRequest {
    pub fn pod_uid(&self) -> model::PodUid {
        model::PodUid(self.pod)
    }

    pub fn since(&self) -> Option<model::Timestamp> {
        self.since_micros.map(model::Timestamp::from_micros)
    }
}
