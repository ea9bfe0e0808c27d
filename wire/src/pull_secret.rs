//! Credentials for registries. Their `Debug` shows none; their serialised form does, and goes only to the
//! nodes that pull with them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::WireError;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPullSecret {
    pub namespace: String,
    pub name: String,
    pub format: PullSecretFormat,
    /// In base64.
    pub content: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PullSecretFormat {
    ConfigJson,
    Dockercfg,
}

impl fmt::Debug for AssignedPullSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, format, content: _, images } = self;
        out.debug_struct("AssignedPullSecret")
            .field("namespace", namespace)
            .field("name", name)
            .field("format", format)
            .field("images", images)
            .finish_non_exhaustive()
    }
}

impl From<&model::AssignedPullSecret> for AssignedPullSecret {
    fn from(value: &model::AssignedPullSecret) -> Self {
        let model::AssignedPullSecret { key, format, content, images } = value;
        Self {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            format: match format {
                model::PullSecretFormat::ConfigJson => PullSecretFormat::ConfigJson,
                model::PullSecretFormat::Dockercfg => PullSecretFormat::Dockercfg,
            },
            content: STANDARD.encode(content.expose()),
            images: images.clone(),
        }
    }
}

impl TryFrom<AssignedPullSecret> for model::AssignedPullSecret {
    type Error = WireError;

    fn try_from(value: AssignedPullSecret) -> Result<Self, WireError> {
        let AssignedPullSecret { namespace, name, format, content, images } = value;
        let Ok(content) = STANDARD.decode(content) else {
            return Err(WireError::SecretNotBase64 { name });
        };
        Ok(Self {
            key: model::ObjectKey::new(namespace, name),
            format: match format {
                PullSecretFormat::ConfigJson => model::PullSecretFormat::ConfigJson,
                PullSecretFormat::Dockercfg => model::PullSecretFormat::Dockercfg,
            },
            content: model::SecretValue::new(content),
            images,
        })
    }
}
