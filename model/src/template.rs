//! Pod templates: as declared (with references to configuration) and as resolved (with its content).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    ContainerLifecycle, ContainerSecurity, HostPort, ObjectName, PodNames, PodSecurity, PortRef,
    Processes, Projection, Protocol, SecretValue, Streams, StringMap, Volume, VolumeFiles,
    VolumeMount,
};

/// A pod template as a manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTemplate {
    pub labels: StringMap,
    pub annotations: StringMap,
    /// Each runs to its end before the next, and all before the others begin.
    pub init_containers: Vec<Container<EnvSource>>,
    pub containers: Vec<Container<EnvSource>>,
    pub restart_policy: RestartPolicy,
    pub termination_grace: Duration,
    pub node_selector: StringMap,
    pub volumes: Box<[Volume<Projection>]>,
    /// Secrets with credentials for the registries of its images.
    pub image_pull_secrets: Box<[ObjectName]>,
    /// Absent where it is the default.
    pub security: Option<Box<PodSecurity>>,
    /// Absent where they are the default.
    pub names: Option<Box<PodNames>>,
}

/// A pod template with the content of its config maps and secrets in place. This, hashed, is the
/// identity of a replica set: changed content is a new template and rolls like a changed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTemplate {
    pub labels: StringMap,
    pub annotations: StringMap,
    pub init_containers: Vec<Container<EnvValue>>,
    pub containers: Vec<Container<EnvValue>>,
    pub restart_policy: RestartPolicy,
    pub termination_grace: Duration,
    pub node_selector: StringMap,
    pub volumes: Box<[Volume<VolumeFiles>]>,
    /// By name only: what they hold is no part of a template's identity, and may change.
    pub image_pull_secrets: Box<[ObjectName]>,
    /// Absent where it is the default.
    pub security: Option<Box<PodSecurity>>,
    /// Absent where they are the default.
    pub names: Option<Box<PodNames>>,
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
    pub lifecycle: Option<Box<ContainerLifecycle>>,
    /// Takes the place of the pod's. One that runs before the others and is always started again runs on
    /// beside them: a sidecar.
    pub restart_policy: Option<RestartPolicy>,
    pub mounts: Box<[VolumeMount]>,
    /// Absent where it is the default.
    pub security: Option<Box<ContainerSecurity>>,
    pub streams: Streams,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    Resource { name: String, resource: ResourceFieldSelector },
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
    /// Known only once the node is; filled in there.
    NodeResource(NodeResource),
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

/// What a container requests or may use at most, as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFieldSelector {
    /// Without one the container whose variable it is.
    pub container: Option<String>,
    pub field: ResourceField,
    /// What counts as one: thousandths of a CPU, or bytes. At least 1.
    pub divisor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceField {
    CpuRequest,
    CpuLimit,
    MemoryRequest,
    MemoryLimit,
}

/// What a container without a limit may use: all that its node has for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeResource {
    pub kind: NodeResourceKind,
    /// What counts as one: thousandths of a CPU, or bytes. At least 1.
    pub divisor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeResourceKind {
    Cpu,
    Memory,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// May be empty.
    pub name: String,
    pub container_port: u16,
    pub protocol: Protocol,
    /// Where it is reached on the node, if it is. A pod on its node's network has that port itself.
    pub host: Option<HostPort>,
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
    /// How long a container has to end that this probe gave up; without one the pod's grace period.
    pub termination_grace: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    HttpGet(HttpGetAction),
    TcpSocket {
        host: Option<String>,
        port: PortRef,
    },
    Exec {
        command: Vec<String>,
    },
    /// Asks the pod's `grpc.health.v1.Health`, without TLS.
    Grpc {
        port: u16,
        /// What is asked for; may be empty.
        service: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGetAction {
    pub scheme: HttpScheme,
    /// The pod's address when absent.
    pub host: Option<String>,
    pub port: PortRef,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpScheme {
    Http,
    Https,
}

impl PodTemplate {
    /// Its containers, those that run first before the others.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<EnvSource>> {
        self.init_containers.iter().chain(&self.containers)
    }
}

impl ResolvedTemplate {
    /// Its containers, those that run first before the others.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<EnvValue>> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// The container of this name; a pod's containers of either kind share one set of names.
    pub fn container(&self, name: &str) -> Option<&Container<EnvValue>> {
        self.all_containers().find(|container| container.name == name)
    }

    /// Those that begin before the others and run on beside them.
    pub fn sidecars(&self) -> impl DoubleEndedIterator<Item = &Container<EnvValue>> {
        self.init_containers.iter().filter(|container| container.is_sidecar())
    }

    /// Those that run as long as the pod does, which are probed and have ports.
    pub fn serving_containers(&self) -> impl Iterator<Item = &Container<EnvValue>> {
        self.containers.iter().chain(self.sidecars())
    }

    /// Whether several containers of a pod run at the same time, which share network, IPC and host name,
    /// or all its containers share their processes.
    pub fn shares_sandbox(&self) -> bool {
        self.processes() == Processes::Pod || self.serving_containers().count() > 1
    }

    /// Whether a container of this name that ended is started again: of those that run before the others
    /// one that ended well is not, whatever holds for the pod.
    pub fn restart_policy_of(&self, container: &str) -> RestartPolicy {
        let init = self.init_containers.iter().find(|init| init.name == container);
        let own = self.container(container).and_then(|container| container.restart_policy);
        let runs_first = init.is_some_and(|init| !init.is_sidecar());
        match own.unwrap_or(self.restart_policy) {
            RestartPolicy::Always if runs_first => RestartPolicy::OnFailure,
            policy => policy,
        }
    }

    /// The volumes that a container mounts; a pod need not have what it does not use.
    pub fn mounted_volumes(&self) -> impl Iterator<Item = &Volume<VolumeFiles>> {
        self.volumes.iter().filter(|volume| {
            let mut mounts = self.all_containers().flat_map(|container| &container.mounts);
            mounts.any(|mount| mount.volume == volume.name)
        })
    }

    /// The most memory that all its containers together may take; without one that a container has no
    /// limit.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        let mut limits = self.containers.iter().chain(self.sidecars());
        limits
            .try_fold(0_u64, |sum, one| Some(sum.saturating_add(one.resources.memory_limit_bytes?)))
    }

    /// What a pod of this template reserves on a node: of each resource what its containers need
    /// together with the sidecars, or what one of those needs that run before them, with the sidecars
    /// that began before it, whichever is more.
    pub fn requests(&self) -> Resources {
        let (mut sidecars, mut most) = (Resources::default(), Resources::default());
        for init in &self.init_containers {
            let needs = sidecars.plus(init.requests());
            most = most.most(needs);
            if init.is_sidecar() {
                sidecars = needs;
            }
        }
        let together = self.containers.iter().map(Container::requests);
        Resources { pods: 1, ..most.most(together.fold(sidecars, Resources::plus)) }
    }
}

impl ResourceField {
    /// In thousandths of a CPU or in bytes; absent where there is no limit.
    pub fn amount(self, resources: &ContainerResources) -> Option<u64> {
        match self {
            ResourceField::CpuRequest => Some(resources.cpu_request_millis),
            ResourceField::CpuLimit => resources.cpu_limit_millis,
            ResourceField::MemoryRequest => Some(resources.memory_request_bytes),
            ResourceField::MemoryLimit => resources.memory_limit_bytes,
        }
    }

    /// What of a node counts where there is no limit.
    pub fn of_node(self) -> NodeResourceKind {
        match self {
            ResourceField::CpuRequest | ResourceField::CpuLimit => NodeResourceKind::Cpu,
            ResourceField::MemoryRequest | ResourceField::MemoryLimit => NodeResourceKind::Memory,
        }
    }
}

impl<Env> Container<Env> {
    /// Of one that begins before the others: whether it runs on beside them.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == Some(RestartPolicy::Always)
    }

    fn requests(&self) -> Resources {
        Resources {
            cpu_millis: self.resources.cpu_request_millis,
            memory_bytes: self.resources.memory_request_bytes,
            pods: 0,
        }
    }

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
    /// Of each resource the greater amount.
    pub fn most(self, other: Resources) -> Resources {
        Resources {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            pods: self.pods.max(other.pods),
        }
    }

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
