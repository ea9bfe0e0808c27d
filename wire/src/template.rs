//! A resolved pod template. It holds secrets, so its `Debug` shows none of them; its serialised form
//! does, and goes only to the node that runs it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::assignment::Protocol;
use crate::lifecycle::ContainerLifecycle;
use crate::probe::Probe;
use crate::security::{ContainerSecurity, PodNames, PodSecurity, Streams};
use crate::volume::{FilesTable, Volume, VolumeMount};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// An older agent does without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    pub containers: Vec<Container>,
    /// An older agent starts every container again, and an older server wants just that.
    #[serde(default, skip_serializing_if = "RestartPolicy::is_always")]
    pub restart_policy: RestartPolicy,
    pub termination_grace_micros: u64,
    pub node_selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// An older agent pulls without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<PodSecurity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<PodNames>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RestartPolicy {
    #[default]
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn is_always(&self) -> bool {
        *self == RestartPolicy::Always
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub image: String,
    pub pull_policy: PullPolicy,
    pub command: Vec<String>,
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    pub env: Vec<EnvValue>,
    pub ports: Vec<ContainerPort>,
    pub resources: ContainerResources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// An older agent does without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<ContainerLifecycle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<VolumeMount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<ContainerSecurity>,
    #[serde(default, skip_serializing_if = "Streams::is_default")]
    pub streams: Streams,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvValue {
    pub name: String,
    pub content: EnvContent,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvContent {
    Text(String),
    /// In base64.
    Secret(String),
    Field(PodField),
    NodeResource(NodeResource),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeResource {
    pub kind: NodeResourceKind,
    pub divisor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeResourceKind {
    Cpu,
    Memory,
}

impl fmt::Debug for EnvContent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvContent::Text(text) => out.debug_tuple("Text").field(text).finish(),
            EnvContent::Secret(_) => out.write_str("Secret(…)"),
            EnvContent::Field(field) => out.debug_tuple("Field").field(field).finish(),
            EnvContent::NodeResource(one) => out.debug_tuple("NodeResource").field(one).finish(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodField {
    Name,
    Namespace,
    Uid,
    NodeName,
    Label(String),
    Annotation(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    pub name: String,
    pub container_port: u16,
    pub protocol: Protocol,
    /// Where it is reached on the node, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The only address of the node that it is reached at; every one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerResources {
    pub cpu_request_millis: u64,
    pub memory_request_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

/// Whole microseconds; spans are at most some hundred thousand years.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Template {
    pub(crate) fn from_model(value: &model::ResolvedTemplate, files: &mut FilesTable) -> Self {
        let model::ResolvedTemplate {
            labels,
            annotations,
            init_containers,
            containers,
            restart_policy,
            termination_grace,
            node_selector,
            volumes,
            image_pull_secrets,
            security,
            names,
        } = value;
        Self {
            labels: labels.into(),
            annotations: annotations.into(),
            init_containers: init_containers.iter().map(Container::from).collect(),
            containers: containers.iter().map(Container::from).collect(),
            restart_policy: (*restart_policy).into(),
            termination_grace_micros: micros(*termination_grace),
            node_selector: node_selector.into(),
            volumes: volumes.iter().map(|one| Volume::from_model(one, files)).collect(),
            image_pull_secrets: image_pull_secrets.iter().map(ToString::to_string).collect(),
            security: security.as_deref().map(Into::into),
            names: names.as_deref().map(Into::into),
        }
    }

    pub(crate) fn into_model(
        self,
        files: &[model::VolumeFiles],
    ) -> Result<model::ResolvedTemplate, WireError> {
        let Template {
            labels,
            annotations,
            init_containers,
            containers,
            restart_policy,
            termination_grace_micros,
            node_selector,
            volumes,
            image_pull_secrets,
            security,
            names,
        } = self;
        Ok(model::ResolvedTemplate {
            labels: labels.into(),
            annotations: annotations.into(),
            init_containers: init_containers
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            containers: containers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            restart_policy: restart_policy.into(),
            termination_grace: Duration::from_micros(termination_grace_micros),
            node_selector: node_selector.into(),
            volumes: volumes
                .into_iter()
                .map(|one| one.into_model(files))
                .collect::<Result<_, _>>()?,
            image_pull_secrets: image_pull_secrets
                .into_iter()
                .map(model::ObjectName::new)
                .collect(),
            security: security.map(|security| Box::new(security.into())),
            names: names.map(|names| Box::new(names.into())),
        })
    }
}

impl From<model::RestartPolicy> for RestartPolicy {
    fn from(value: model::RestartPolicy) -> Self {
        match value {
            model::RestartPolicy::Always => RestartPolicy::Always,
            model::RestartPolicy::OnFailure => RestartPolicy::OnFailure,
            model::RestartPolicy::Never => RestartPolicy::Never,
        }
    }
}

impl From<RestartPolicy> for model::RestartPolicy {
    fn from(value: RestartPolicy) -> Self {
        match value {
            RestartPolicy::Always => model::RestartPolicy::Always,
            RestartPolicy::OnFailure => model::RestartPolicy::OnFailure,
            RestartPolicy::Never => model::RestartPolicy::Never,
        }
    }
}

impl From<&model::Container<model::EnvValue>> for Container {
    fn from(value: &model::Container<model::EnvValue>) -> Self {
        let model::Container {
            name,
            image,
            pull_policy,
            command,
            args,
            working_dir,
            env,
            ports,
            resources,
            startup_probe,
            readiness_probe,
            liveness_probe,
            lifecycle,
            restart_policy,
            mounts,
            security,
            streams,
        } = value;
        Self {
            name: name.clone(),
            image: image.clone(),
            pull_policy: (*pull_policy).into(),
            command: command.clone(),
            args: args.clone(),
            working_dir: working_dir.clone(),
            env: env.iter().map(EnvValue::from).collect(),
            ports: ports.iter().map(ContainerPort::from).collect(),
            resources: (*resources).into(),
            startup_probe: startup_probe.as_deref().map(Probe::from),
            readiness_probe: readiness_probe.as_deref().map(Probe::from),
            liveness_probe: liveness_probe.as_deref().map(Probe::from),
            lifecycle: lifecycle.as_deref().map(ContainerLifecycle::from),
            restart_policy: restart_policy.map(Into::into),
            mounts: mounts.iter().map(VolumeMount::from).collect(),
            security: security.as_deref().map(Into::into),
            streams: streams.into(),
        }
    }
}

impl TryFrom<Container> for model::Container<model::EnvValue> {
    type Error = WireError;

    fn try_from(value: Container) -> Result<Self, WireError> {
        let Container {
            name,
            image,
            pull_policy,
            command,
            args,
            working_dir,
            env,
            ports,
            resources,
            startup_probe,
            readiness_probe,
            liveness_probe,
            lifecycle,
            restart_policy,
            mounts,
            security,
            streams,
        } = value;
        Ok(Self {
            name,
            image,
            pull_policy: pull_policy.into(),
            command,
            args,
            working_dir,
            env: env.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ports: ports.into_iter().map(Into::into).collect(),
            resources: resources.into(),
            startup_probe: startup_probe.map(|probe| Box::new(probe.into())),
            readiness_probe: readiness_probe.map(|probe| Box::new(probe.into())),
            liveness_probe: liveness_probe.map(|probe| Box::new(probe.into())),
            lifecycle: lifecycle.map(|lifecycle| Box::new(lifecycle.into())),
            restart_policy: restart_policy.map(Into::into),
            mounts: mounts.into_iter().map(Into::into).collect(),
            security: security.map(|security| Box::new(security.into())),
            streams: streams.into(),
        })
    }
}

impl From<model::PullPolicy> for PullPolicy {
    fn from(value: model::PullPolicy) -> Self {
        match value {
            model::PullPolicy::Always => PullPolicy::Always,
            model::PullPolicy::IfNotPresent => PullPolicy::IfNotPresent,
            model::PullPolicy::Never => PullPolicy::Never,
        }
    }
}

impl From<PullPolicy> for model::PullPolicy {
    fn from(value: PullPolicy) -> Self {
        match value {
            PullPolicy::Always => model::PullPolicy::Always,
            PullPolicy::IfNotPresent => model::PullPolicy::IfNotPresent,
            PullPolicy::Never => model::PullPolicy::Never,
        }
    }
}

impl From<&model::EnvValue> for EnvValue {
    fn from(value: &model::EnvValue) -> Self {
        let model::EnvValue { name, content } = value;
        Self {
            name: name.clone(),
            content: match content {
                model::EnvContent::Text(text) => EnvContent::Text(text.clone()),
                model::EnvContent::Secret(secret) => {
                    EnvContent::Secret(STANDARD.encode(secret.expose()))
                }
                model::EnvContent::Field(field) => EnvContent::Field(field.into()),
                model::EnvContent::NodeResource(one) => EnvContent::NodeResource((*one).into()),
            },
        }
    }
}

impl TryFrom<EnvValue> for model::EnvValue {
    type Error = WireError;

    fn try_from(value: EnvValue) -> Result<Self, WireError> {
        let EnvValue { name, content } = value;
        let content = match content {
            EnvContent::Text(text) => model::EnvContent::Text(text),
            EnvContent::Secret(text) => match STANDARD.decode(text) {
                Ok(bytes) => model::EnvContent::Secret(model::SecretValue::new(bytes)),
                Err(_) => return Err(WireError::SecretNotBase64 { name }),
            },
            EnvContent::Field(field) => model::EnvContent::Field(field.into()),
            EnvContent::NodeResource(one) => model::EnvContent::NodeResource(one.into()),
        };
        Ok(Self { name, content })
    }
}

impl From<model::NodeResource> for NodeResource {
    fn from(value: model::NodeResource) -> Self {
        let model::NodeResource { kind, divisor } = value;
        let kind = match kind {
            model::NodeResourceKind::Cpu => NodeResourceKind::Cpu,
            model::NodeResourceKind::Memory => NodeResourceKind::Memory,
        };
        Self { kind, divisor }
    }
}

impl From<NodeResource> for model::NodeResource {
    fn from(value: NodeResource) -> Self {
        let NodeResource { kind, divisor } = value;
        let kind = match kind {
            NodeResourceKind::Cpu => model::NodeResourceKind::Cpu,
            NodeResourceKind::Memory => model::NodeResourceKind::Memory,
        };
        // It comes from outside, and is divided by.
        Self { kind, divisor: divisor.max(1) }
    }
}

impl From<&model::PodField> for PodField {
    fn from(value: &model::PodField) -> Self {
        match value {
            model::PodField::Name => PodField::Name,
            model::PodField::Namespace => PodField::Namespace,
            model::PodField::Uid => PodField::Uid,
            model::PodField::NodeName => PodField::NodeName,
            model::PodField::Label(key) => PodField::Label(key.clone()),
            model::PodField::Annotation(key) => PodField::Annotation(key.clone()),
        }
    }
}

impl From<PodField> for model::PodField {
    fn from(value: PodField) -> Self {
        match value {
            PodField::Name => model::PodField::Name,
            PodField::Namespace => model::PodField::Namespace,
            PodField::Uid => model::PodField::Uid,
            PodField::NodeName => model::PodField::NodeName,
            PodField::Label(key) => model::PodField::Label(key),
            PodField::Annotation(key) => model::PodField::Annotation(key),
        }
    }
}

impl From<&model::ContainerPort> for ContainerPort {
    fn from(value: &model::ContainerPort) -> Self {
        let model::ContainerPort { name, container_port, protocol, host } = value;
        Self {
            name: name.clone(),
            container_port: *container_port,
            protocol: (*protocol).into(),
            host_port: host.map(|host| host.port),
            host_address: host.and_then(|host| host.address),
        }
    }
}

impl From<ContainerPort> for model::ContainerPort {
    fn from(value: ContainerPort) -> Self {
        let ContainerPort { name, container_port, protocol, host_port, host_address } = value;
        let host = host_port.map(|port| model::HostPort { port, address: host_address });
        Self { name, container_port, protocol: protocol.into(), host }
    }
}

impl From<model::ContainerResources> for ContainerResources {
    fn from(value: model::ContainerResources) -> Self {
        let model::ContainerResources {
            cpu_request_millis,
            memory_request_bytes,
            cpu_limit_millis,
            memory_limit_bytes,
        } = value;
        Self { cpu_request_millis, memory_request_bytes, cpu_limit_millis, memory_limit_bytes }
    }
}

impl From<ContainerResources> for model::ContainerResources {
    fn from(value: ContainerResources) -> Self {
        let ContainerResources {
            cpu_request_millis,
            memory_request_bytes,
            cpu_limit_millis,
            memory_limit_bytes,
        } = value;
        Self { cpu_request_millis, memory_request_bytes, cpu_limit_millis, memory_limit_bytes }
    }
}
