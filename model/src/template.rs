//! Pod templates: as declared (with references to configuration) and as resolved (with its content).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{ObjectName, PortRef, Protocol, SecretValue, StringMap};

/// A pod template as a manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTemplate {
    pub labels: StringMap,
    pub annotations: StringMap,
    pub containers: Vec<Container<EnvSource>>,
    pub restart_policy: RestartPolicy,
    pub termination_grace: Duration,
    pub node_selector: StringMap,
}

/// A pod template with the content of its config maps and secrets in place. This, hashed, is the
/// identity of a replica set: changed content is a new template and rolls like a changed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTemplate {
    pub labels: StringMap,
    pub annotations: StringMap,
    pub containers: Vec<Container<EnvValue>>,
    pub restart_policy: RestartPolicy,
    pub termination_grace: Duration,
    pub node_selector: StringMap,
}

/// Whether a container that ended is started again on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    #[default]
    Always,
    /// Unless it ended with code 0.
    OnFailure,
    Never,
}

/// One container; `Env` is what its environment is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container<Env> {
    pub name: String,
    /// The image reference as written.
    pub image: String,
    pub pull_policy: PullPolicy,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's command when not empty.
    pub args: Vec<String>,
    pub working_dir: Option<String>,
    pub env: Vec<Env>,
    pub ports: Vec<ContainerPort>,
    pub resources: ContainerResources,
    pub startup_probe: Option<Box<Probe>>,
    pub readiness_probe: Option<Box<Probe>>,
    pub liveness_probe: Option<Box<Probe>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// Where an environment variable, or a set of them, comes from. Later entries win over earlier ones;
/// `env` comes after `envFrom`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    Literal { name: String, value: String },
    ConfigMapKey { name: String, config_map: ObjectName, key: String, optional: bool },
    SecretKey { name: String, secret: ObjectName, key: String, optional: bool },
    Field { name: String, field: PodField },
    AllOfConfigMap { config_map: ObjectName, prefix: String, optional: bool },
    AllOfSecret { secret: ObjectName, prefix: String, optional: bool },
}

/// An environment variable with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvValue {
    pub name: String,
    pub content: EnvContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvContent {
    Text(String),
    Secret(SecretValue),
    /// Known only once the pod is; filled in on the node.
    Field(PodField),
}

/// A downward API field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodField {
    Name,
    Namespace,
    Uid,
    NodeName,
    Label(String),
    Annotation(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// May be empty.
    pub name: String,
    pub container_port: u16,
    pub protocol: Protocol,
}

/// Requests are what the scheduler reserves; limits are what the engine enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ContainerResources {
    pub cpu_request_millis: u64,
    pub memory_request_bytes: u64,
    pub cpu_limit_millis: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub action: ProbeAction,
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    HttpGet {
        scheme: HttpScheme,
        /// The pod's address when absent.
        host: Option<String>,
        port: PortRef,
        path: String,
        headers: Vec<(String, String)>,
    },
    TcpSocket {
        host: Option<String>,
        port: PortRef,
    },
    Exec {
        command: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpScheme {
    Http,
    Https,
}

impl ResolvedTemplate {
    /// What a pod of this template reserves on a node.
    pub fn requests(&self) -> Resources {
        self.containers.iter().fold(
            Resources { pods: 1, ..Resources::default() },
            |sum, container| Resources {
                cpu_millis: sum.cpu_millis.saturating_add(container.resources.cpu_request_millis),
                memory_bytes: sum
                    .memory_bytes
                    .saturating_add(container.resources.memory_request_bytes),
                pods: sum.pods,
            },
        )
    }
}

impl<Env> Container<Env> {
    /// The number behind a port reference, if this container has it.
    pub fn port_number(&self, port: &PortRef) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => self
                .ports
                .iter()
                .find(|candidate| candidate.name == *name)
                .map(|candidate| candidate.container_port),
        }
    }
}

/// An amount of what a node has and pods reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resources {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub pods: u64,
}

impl Resources {
    pub fn plus(self, other: Resources) -> Resources {
        Resources {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// What is left after `other` is taken away; zero where more is taken than is there.
    pub fn minus(self, other: Resources) -> Resources {
        Resources {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            pods: self.pods.saturating_sub(other.pods),
        }
    }
}

/// Shared by all pods of a replica set.
pub type SharedTemplate = Arc<ResolvedTemplate>;

/// An address of a pod, on the network of its engine.
pub type PodAddress = IpAddr;
