//! What the agent needs of a container engine: one narrow trait, drawn by its user, so that another
//! engine can follow without touching the callers.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{
    ContainerExit, ContainerSecurity, ImageDigest, MountAccess, MountPropagation, NamespaceOwner,
    PodNames, SecretValue, Streams, Sysctl, Timestamp,
};
use futures_util::stream::BoxStream;
use thiserror::Error;

use crate::credentials::RegistryAuth;
use crate::image_gc::{HeldImage, ImageSurvey};
use crate::labels::{ContainerLabels, Owner};

/// A container engine. Every call has a deadline of its own; a call that ran into it may or may not
/// have had its effect, so the caller looks again.
pub trait ContainerRuntime: Send + Sync + 'static {
    fn info(&self) -> impl Future<Output = Result<EngineInfo, RuntimeError>> + Send;

    /// All containers of this owner, running or not.
    fn list(
        &self,
        owner: &Owner,
    ) -> impl Future<Output = Result<Vec<ListedContainer>, RuntimeError>> + Send;

    /// One container of this owner; `None` when it is not there or not this owner's.
    fn inspect(
        &self,
        owner: &Owner,
        id: &str,
    ) -> impl Future<Output = Result<Option<ObservedContainer>, RuntimeError>> + Send;

    /// Makes a container and returns its id. `NotFound` means that the image is not there, or is for other
    /// machines.
    fn create(
        &self,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<String, RuntimeError>> + Send;

    /// Starts a container; one that runs already is fine.
    fn start(&self, id: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// The stop signal, then SIGKILL after `grace`. Returns when it has stopped; one that is stopped
    /// or gone already is fine.
    fn stop(
        &self,
        id: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Puts back one thing that somebody changed on a container that runs.
    fn correct(
        &self,
        id: &str,
        correction: &Correction,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes a container, killing it if it still runs; one that is gone already is fine.
    fn remove(&self, id: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// The image of this name that the engine has; no registry is asked. `Invalid` says that it is for other
    /// machines.
    fn find_image(
        &self,
        image: &str,
    ) -> impl Future<Output = Result<Option<FoundImage>, RuntimeError>> + Send;

    /// Pulls an image and returns it. `NotFound` and `Unauthorized` carry the registry's words,
    /// `Invalid` that it is for other machines.
    fn pull(
        &self,
        image: &str,
        auth: Option<&RegistryAuth>,
    ) -> impl Future<Output = Result<FoundImage, RuntimeError>> + Send;

    fn survey_images(&self) -> impl Future<Output = Result<ImageSurvey, RuntimeError>> + Send;

    /// Removes an image; one that a container uses stays, and that is an error.
    fn remove_image(
        &self,
        image: &HeldImage,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Runs a command inside a container and waits for its end, at most `deadline`. One that did not end
    /// is ended, if that can be done, and is never run a second time beside itself.
    fn exec(
        &self,
        id: &str,
        command: &[String],
        deadline: Duration,
    ) -> impl Future<Output = Result<ExecOutcome, RuntimeError>> + Send;

    /// Waits for the end of a command that was begun in a container before, also by an earlier life of the
    /// agent, and still runs; it is ended at the deadline. Returns its exit code, or `None` where there is
    /// none.
    fn await_exec(
        &self,
        id: &str,
        command: &[String],
        deadline: Duration,
    ) -> impl Future<Output = Result<Option<i64>, RuntimeError>> + Send;

    /// The container's log: standard output and error together.
    fn logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Bytes, RuntimeError>>;

    /// What happens to this owner's containers, until the connection ends.
    fn events(&self, owner: &Owner) -> BoxStream<'static, Result<EngineEvent, RuntimeError>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// The identity of the engine, the same for every agent that uses it.
    pub id: String,
    pub version: String,
    pub cpus: u64,
    pub memory_bytes: u64,
}

/// An image that an engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    pub id: String,
    pub digest: FoundDigest,
}

/// What the registry of an image calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundDigest {
    /// It came from no registry, or the engine does not say.
    Unknown,
    /// Its registry has given it, or was given the image, under this digest.
    Registry(ImageDigest),
    /// The engine gives such a name to each image, also to one that no registry has.
    Unclear(ImageDigest),
}

/// One of our containers as the engine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedContainer {
    pub id: String,
    pub labels: ContainerLabels,
    pub image_id: Option<String>,
    /// The digest by which it was named when the container was made, if it was.
    pub image_digest: Option<ImageDigest>,
    pub state: ObservedState,
    pub settings: ContainerSettings,
    pub address: Option<IpAddr>,
    pub created_at: Timestamp,
    /// Of one that runs, as far as the engine tells it.
    pub process: Option<ContainerProcess>,
}

/// Where the engine's machine has what a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerProcess {
    /// Of its first process, as the engine's machine counts them.
    pub id: u32,
    /// The folder with what it wrote into its own layer; not every driver has one.
    pub layer: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedState {
    /// Made and never started.
    Created,
    Running {
        started_at: Timestamp,
    },
    Exited {
        started_at: Timestamp,
        exit: ContainerExit,
    },
    /// The engine is removing it, or failed to.
    Removing,
}

/// A container as a list shows it: enough to see whether it must be looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContainer {
    pub id: String,
    pub state: ListedState,
    pub address: Option<IpAddr>,
}

impl PublishedPort {
    /// With no address where it stands for every one: an engine may write it either way.
    pub fn normalized(self) -> Self {
        Self { address: self.address.filter(|address| !address.is_unspecified()), ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedState {
    Created,
    Running,
    Paused,
    Exited,
    Removing,
}

impl ObservedContainer {
    /// The container as a list would show it.
    pub fn as_listed(&self) -> ListedContainer {
        let state = match self.state {
            ObservedState::Created => ListedState::Created,
            ObservedState::Running { .. } => match self.settings.execution {
                Execution::Going => ListedState::Running,
                Execution::Paused => ListedState::Paused,
            },
            ObservedState::Exited { .. } => ListedState::Exited,
            ObservedState::Removing => ListedState::Removing,
        };
        ListedContainer { id: self.id.clone(), state, address: self.address }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, ObservedState::Running { .. })
    }
}

/// Everything the engine must know to make a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerSpec {
    pub name: String,
    pub namespaces: Namespaces,
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command when not empty.
    pub command: Vec<String>,
    pub working_dir: Option<String>,
    /// What it is told to end with; without one the image says it.
    pub stop_signal: Option<String>,
    /// Names and values; a value may be secret, so all are treated so.
    pub env: Vec<(String, SecretValue)>,
    pub labels: HashMap<String, String>,
    /// In the engine's form, as `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// Those that are reached at the node.
    pub published_ports: Vec<PublishedPort>,
    pub limits: Limits,
    pub mounts: Vec<BindMount>,
    pub isolation: Isolation,
    pub streams: Streams,
}

/// A container's port that is reached at its node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// In the engine's form, as `8080/tcp`.
    pub port: String,
    /// The port of the node.
    pub at: u16,
    /// The only address of the node; every one without it.
    pub address: Option<IpAddr>,
}

/// With which rights a container runs, and what it shares with its pod and its node beside the network.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Isolation {
    pub security: ContainerSecurity,
    /// Beside those of its user.
    pub groups: Vec<u32>,
    /// The file with its seccomp profile, where it has one of the node's.
    pub seccomp_file: Option<PathBuf>,
    pub processes: ProcessOwner,
    pub ipc: NamespaceOwner,
    /// Of one that does not join another's.
    pub network: NamespaceOwner,
    /// Of the namespaces that it does not join.
    pub sysctls: Vec<Sysctl>,
    /// Of the namespaces that it does not join.
    pub names: PodNames,
}

/// Whose processes a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProcessOwner {
    #[default]
    Container,
    /// Those of all that joined the same sandbox.
    Sandbox,
    Host,
}

/// What may be changed on a container while it runs, and what an agent of before may have made otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSettings {
    pub limits: Limits,
    pub restart: EngineRestart,
    pub networks: BTreeSet<Network>,
    /// An address that stands for all of them is absent here.
    pub published_ports: BTreeSet<PublishedPort>,
    pub execution: Execution,
}

/// Those of a container that nobody limits.
impl Default for ContainerSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            restart: EngineRestart::Never,
            networks: [Network::Default].into(),
            published_ports: BTreeSet::new(),
            execution: Execution::Going,
        }
    }
}

/// What a container may use; absent where there is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    pub cpu_shares: Option<i64>,
    pub nano_cpus: Option<i64>,
    /// The only CPUs that it may use, as `0-2,5`.
    pub cpu_set: Option<String>,
    pub memory_bytes: Option<i64>,
    /// Of memory and swap together; less than one where somebody took the limit off. Nothing is seen of it
    /// where the engine does not account for swap.
    pub memory_swap_bytes: Option<i64>,
    /// Less than one where somebody took the limit off.
    pub pids_limit: Option<i64>,
}

/// Whether the engine starts a container again that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineRestart {
    Never,
    /// In the engine's words.
    Policy(String),
}

/// The name that the engine gives to the network of its own machine.
pub const HOST_NETWORK: &str = "host";

/// A network that a container is in, beside what it shares with another container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// The engine's default network, where every container is made that joins no other's.
    Default,
    Other(String),
}

/// Whether the processes of a running container are halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    Going,
    Paused,
}

/// One thing that can be put back on a container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Correction {
    Unpause,
    /// Into the default network.
    Connect,
    Disconnect {
        network: String,
    },
    /// Sets the limits that are there, and ends a restart policy of the engine's. A limit that is absent
    /// stays as it is: an engine cannot lift one while the container runs.
    Update(Limits),
}

/// A file or folder of the node that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindMount {
    pub source: PathBuf,
    /// Inside the container; absolute.
    pub target: String,
    pub access: MountAccess,
    pub propagation: MountPropagation,
}

/// Whose network, IPC and host name a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    Own {
        hostname: String,
    },
    /// Others may join them.
    Offered {
        hostname: String,
    },
    /// Those of the container with this id.
    Joined {
        sandbox: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    pub exit_code: i64,
    /// The start of what it wrote.
    pub output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogOptions {
    pub follow: bool,
    pub tail_lines: Option<u64>,
    pub since: Option<Timestamp>,
    pub timestamps: bool,
}

/// Something happened to a container; look at it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    pub container: String,
    pub kind: EngineEventKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineEventKind {
    Started,
    /// A signal that ends most processes was sent through the engine, by us or by someone else.
    Signalled(Signalled),
    Died,
    Removed,
    /// It came into a network or left one. Told of everyone's containers: the engine does not say whose.
    NetworksChanged,
    /// Something else that the state of a container may depend on.
    Other,
}

/// What a signal that ends most processes asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// To end in order, as `docker stop` does, and an engine with each of its containers before it ends.
    Stop,
    /// To end at once.
    Kill,
}

/// Why an engine call failed, by what can be done about it.
#[derive(Debug, Error)]
pub enum RuntimeError {
    #[error("{operation}: the container engine does not answer")]
    EngineUnavailable { operation: &'static str, source: Box<dyn Error + Send + Sync> },
    #[error("{operation}: no answer from the container engine within {} s", after.as_secs_f64())]
    Deadline { operation: &'static str, after: Duration },
    /// It may work when tried again soon.
    #[error("{operation}: {message}")]
    Transient { operation: &'static str, message: String },
    /// Trying again soon will not help.
    #[error("{operation}: {message}")]
    Permanent { operation: &'static str, kind: PermanentKind, message: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PermanentKind {
    NotFound,
    Unauthorized,
    Conflict,
    Invalid,
    /// What is asked for contradicts the image or the node.
    Configuration,
}

impl RuntimeError {
    /// It did not answer in time.
    pub fn is_deadline(&self) -> bool {
        matches!(self, RuntimeError::Deadline { .. })
    }

    pub fn is_engine_unavailable(&self) -> bool {
        matches!(self, RuntimeError::EngineUnavailable { .. })
    }

    pub fn permanent_kind(&self) -> Option<PermanentKind> {
        match self {
            RuntimeError::Permanent { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// Whether the same call may be answered otherwise soon.
    pub fn may_pass(&self) -> bool {
        !matches!(self, RuntimeError::Permanent { .. })
    }

    /// A bounded word for metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            RuntimeError::EngineUnavailable { .. } => "unavailable",
            RuntimeError::Deadline { .. } => "deadline",
            RuntimeError::Transient { .. } => "transient",
            RuntimeError::Permanent { .. } => "permanent",
        }
    }
}
