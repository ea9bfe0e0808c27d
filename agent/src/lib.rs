//! The node: makes one Docker engine run what the control plane assigned to it.
//!
//! The agent pulls its complete assignment, accepts it to disk, converges and reports. Containers are
//! found by their labels, so a restarted agent adopts what runs and touches nothing. With the control
//! plane away it goes on: restarts, probes, proxying. It owns what it labelled and nothing else.

pub mod accepted;
pub mod backoff;
pub mod break_glass;
mod clock;
mod config;
pub mod converge;
pub mod credentials;
pub mod docker;
mod driver;
pub mod events;
mod file;
mod hooks;
pub mod image_gc;
pub mod labels;
mod link;
pub mod local;
mod logs;
pub mod metrics;
mod node_credentials;
mod pause;
mod paused;
pub mod policy;
pub mod probe;
pub mod proxy;
mod pulled_images;
mod records;
pub mod runtime;
mod sessions;
pub mod spec;
#[cfg(test)]
mod testing;
mod tls;
pub mod usage;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dugout_model::PodUid;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use config::{AgentConfig, AgentError, StorageConfig};
pub use metrics::AgentMetrics;

use accepted::{AcceptedStore, Found};
use break_glass::Operation;
use clock::Clock;
use config::{FormerNode, NodeFile, StoredEngine, docker_host, node_name, registration};
use docker::DockerRuntime;
use driver::image_gc::ImageGcStart;
use driver::{Directory, Driver, Start, learn_engine};
use link::{Link, Server, ServerUrlError};
use logs::Logs;
use node_credentials::NodeCredentials;
use paused::PausedPods;
use policy::NodePolicy;
use records::{PodRecord, Records};
use sessions::Sessions;
use volumes::Volumes;

/// How often, and after what pause, the data directory is tried to be taken.
const LOCK_TRIES: u32 = 15;
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// People on this node ask one after the other.
const OPERATIONS_INBOX: usize = 1;
/// Messages of the link that may wait for the driver.
const LINK_INBOX: usize = 64;

/// Runs the agent until `shutdown`. Stopping it leaves its containers running; the next run adopts
/// them. What may pass by itself (the engine or the control plane being away) is waited for.
///
/// # Errors
/// When the configuration or the data directory cannot be used.
pub async fn run(
    config: AgentConfig,
    metrics: Arc<AgentMetrics>,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    let server = server(&config)?;
    let runtime = Arc::new(docker_runtime(&config, &metrics)?);
    let _lock = lock(&config.data_dir).await?;
    let mut file = NodeFile::open(&config.data_dir)?;
    let (accepted, found) = AcceptedStore::open(&config.data_dir).map_err(AgentError::Accepted)?;
    let Kept { records, recorded, volumes, paused } =
        Kept::open(&config.data_dir, &config.storage)?;
    let name = node_name(&config, FormerNode::of(&file, &accepted))?;
    file.remember_node(&name, &config.data_dir)?;
    let clock = Clock::start();
    let (operations, operations_reader) = mpsc::channel(OPERATIONS_INBOX);
    let people = serve_people(&config.data_dir, operations);
    let (link_sender, link_events) = mpsc::channel(LINK_INBOX);
    let (reports, reports_reader) = watch::channel(None);
    let (directory, directory_reader) = watch::channel(Arc::new(Directory::new()));
    let (allocatable, allocatable_reader) =
        watch::channel(file.engine.as_ref().map(StoredEngine::allocatable));
    let (storage_sender, storage_bytes) = storage_channel(&volumes);
    let driver = Driver::new(Start {
        runtime: Arc::clone(&runtime),
        name: name.clone(),
        instance: file.instance.clone(),
        policy: NodePolicy::new(config.allowed, &config.data_dir),
        accepted: accepted.held().cloned().filter(|held| held.node == name),
        warning: warning(found),
        records,
        recorded,
        volumes,
        node_credentials: NodeCredentials::of_this_user(),
        image_gc: ImageGcStart::new(&config.data_dir, config.image_gc),
        paused,
        operations: operations_reader,
        allocatable: allocatable_reader,
        link: link_events,
        reports,
        directory,
        storage_bytes: storage_sender,
        metrics: (*metrics).clone(),
        clock,
        shutdown: shutdown.clone(),
    });
    let linking = async {
        let engine = engine(&runtime, &file, &config).await;
        allocatable.send_replace(Some(engine.allocatable()));
        let link = Link {
            server,
            registration: registration(&config, name, file.instance.clone(), engine),
            storage_bytes,
            accepted: Arc::new(Mutex::new(accepted)),
            driver: link_sender,
            reports: reports_reader,
            logs: Arc::new(Logs::new(Arc::clone(&runtime), directory_reader.clone())),
            sessions: Arc::new(Sessions::new(&runtime, directory_reader, &metrics)),
            metrics: (*metrics).clone(),
            clock,
            run: uuid::Uuid::new_v4(),
        };
        link.run().await
    };
    tokio::select! {
        () = driver.run() => Ok(()),
        Err(refused) = linking => Err(AgentError::TokenRefused(refused.0)),
        () = people => Ok(()),
    }
}

/// Has the node measured, with the disks of the agent's folders, where the engine is on this machine.
fn measure_node(runtime: &DockerRuntime, config: &AgentConfig, metrics: &AgentMetrics) {
    if runtime.is_here() {
        let storage = volumes::storage_root(&config.data_dir, config.storage.path.as_deref());
        metrics.usage.begin([config.data_dir.clone(), storage]);
    }
}

/// The engine, before it was asked for anything; from now on its node is measured.
fn docker_runtime(
    config: &AgentConfig,
    metrics: &AgentMetrics,
) -> Result<DockerRuntime, AgentError> {
    let host = docker_host(config.docker_host.as_deref());
    let runtime = DockerRuntime::new(&host, metrics.clone()).map_err(AgentError::DockerHost)?;
    let runtime = runtime.on_node(config.address.or_else(config::own_address));
    measure_node(&runtime, config, metrics);
    Ok(runtime)
}

/// How much the node has for claims; none while their folder is not there.
fn storage_channel(volumes: &Volumes) -> (watch::Sender<u64>, watch::Receiver<u64>) {
    watch::channel(volumes.storage_capacity_bytes().unwrap_or(0))
}

/// Where the control plane is, and what it is told.
fn server(config: &AgentConfig) -> Result<Server, AgentError> {
    Server::new(&config.server_url, &config.token).map_err(|error| match error {
        ServerUrlError::Url(url) => AgentError::ServerUrl(url),
        ServerUrlError::Token => AgentError::Token,
    })
}

/// What the data directory knows of pods.
struct Kept {
    records: Records,
    recorded: BTreeMap<PodUid, PodRecord>,
    volumes: Volumes,
    paused: PausedPods,
}

impl Kept {
    /// With the folder of the persistent volumes, where it is not in the data directory.
    fn open(data_dir: &Path, storage: &StorageConfig) -> Result<Self, AgentError> {
        let path = data_dir.to_owned();
        let (records, recorded) = Records::open(data_dir)
            .map_err(|source| AgentError::Records { path: path.clone(), source })?;
        let folder = volumes::storage_root(data_dir, storage.path.as_deref());
        let volumes = Volumes::open(data_dir, &folder)
            .map_err(|source| AgentError::DataDir { path: path.clone(), source })?
            .with_storage_capacity(storage.capacity_bytes);
        let paused = PausedPods::open(data_dir).map_err(|source| AgentError::Paused {
            path: path.join(paused::PAUSED_FILE),
            source,
        })?;
        Ok(Self { records, recorded, volumes, paused })
    }
}

/// Takes the data directory. Who looks at the node while no agent runs has it for a moment.
async fn lock(data_dir: &Path) -> Result<std::fs::File, AgentError> {
    let mut tries = 1;
    loop {
        match config::lock(data_dir) {
            Err(AgentError::DataDirInUse { .. }) if tries < LOCK_TRIES => {
                tries += 1;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            taken => return taken,
        }
    }
}

/// Listens for people on this node. Without that the agent does everything else.
async fn serve_people(data_dir: &Path, operations: mpsc::Sender<Operation>) {
    match break_glass::listen(data_dir) {
        Ok(listener) => break_glass::serve(listener, operations).await,
        Err(error) => {
            tracing::warn!(
                %error,
                folder = %data_dir.display(),
                "the agent cannot listen in its data directory; 'dugout agent ps' and the like cannot ask it"
            );
            std::future::pending().await
        }
    }
}

fn warning(found: Found) -> Option<String> {
    match found {
        Found::Nothing | Found::Assignment => None,
        Found::SetAside { path, why } => Some(format!(
            "the accepted assignment could not be read ({why}); it was moved to {}, and the node waits for the control plane",
            path.display()
        )),
    }
}

/// Who the engine is: from itself, or as it was last known when it does not answer now.
async fn engine(runtime: &DockerRuntime, file: &NodeFile, config: &AgentConfig) -> StoredEngine {
    use runtime::ContainerRuntime as _;
    let known = match (runtime.info().await, &file.engine) {
        (Ok(info), _) => StoredEngine::from(info),
        (Err(_), Some(stored)) => return stored.clone(),
        (Err(_), None) => StoredEngine::from(learn_engine(runtime).await),
    };
    let fresh = NodeFile { engine: Some(known.clone()), ..file.clone() };
    if fresh != *file
        && let Err(error) = fresh.write(&config.data_dir)
    {
        tracing::warn!(%error, "the node file cannot be written");
    }
    known
}
