//! What can be wrong with a message that is well-formed JSON.

use thiserror::Error;

/// A message that says something impossible. Each names the field and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("{text:?} is not a node name: {rule}")]
    NodeName { text: String, rule: &'static str },
    #[error("pod {pod} refers to template {index}, and the assignment has only {count}")]
    MissingTemplate { pod: String, index: u32, count: usize },
    #[error("environment variable {name}: the secret value is not base64")]
    SecretNotBase64 { name: String },
    #[error("volume {volume} refers to files {index}, and the assignment has only {count} lists")]
    MissingFiles { volume: String, index: u32, count: usize },
    #[error("file {path:?} of a volume: the content is not base64")]
    FileNotBase64 { path: String },
    #[error("{field}: {text:?} is not an IP address")]
    Address { field: &'static str, text: String },
    #[error("{field}: {text:?} is not an image digest")]
    Digest { field: &'static str, text: String },
    #[error("the report has {count} events; at most {limit} are taken at once")]
    TooManyEvents { count: usize, limit: usize },
}
