//! Docker behind [`ContainerRuntime`]: the only place that speaks to it.
//!
//! The API version is negotiated at the first call and again after the engine was away, so an engine
//! may be upgraded under a running agent. Errors are told apart by status code, never by their text.

mod archive;
mod body;
mod events;
mod exec;
mod images;
mod look;
mod observed;
mod resolver;
mod sessions;
mod settings;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
    ImportImageOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::credentials::RegistryAuth;
use crate::image_gc::{HeldImage, ImageSurvey};
use crate::labels::{ContainerLabels, Owner};
use crate::local::image;
use crate::metrics::AgentMetrics;
use crate::pause;
use crate::runtime::{
    ContainerRuntime, ContainerSpec, Correction, EngineEvent, EngineInfo, ExecOutcome, FoundDigest,
    FoundImage, ListedContainer, LogOptions, ObservedContainer, PermanentKind, RuntimeError,
};

/// Where Docker listens unless told otherwise.
pub const DEFAULT_DOCKER_HOST: &str = "unix:///var/run/docker.sock";

const QUICK: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(120);
const PULL: Duration = Duration::from_secs(30 * 60);
/// How long a pull may show no progress.
const PULL_SILENCE: Duration = Duration::from_secs(120);
/// What a stop may take beyond its grace.
const STOP_SLACK: Duration = Duration::from_secs(30);
/// How often a removal by someone else is looked at.
const REMOVAL_LOOK: Duration = Duration::from_millis(50);
/// Bollard's own limit; ours are shorter.
const BOLLARD_TIMEOUT_SECONDS: u64 = 60 * 60;
const DEFAULT_NETWORK: &str = "bridge";

/// A Docker engine. It is reached when it is first needed.
#[derive(Debug)]
pub struct DockerRuntime {
    host: DockerHost,
    metrics: AgentMetrics,
    /// With the negotiated version; empty while the engine is away.
    client: Mutex<Option<Docker>>,
    late: exec::LateCommands,
    /// The right to look at the disk of the images.
    disk_look: Arc<Semaphore>,
    fitting: images::FittingImages,
    /// Whether the engine said that it accounts for swap.
    accounts_swap: AtomicBool,
    /// Whether it gives digests to images that came from no registry.
    names_all_images: AtomicBool,
    /// Where whatever is on the network of the node is reached.
    node_address: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DockerHost {
    Unix(String),
    /// Without TLS.
    Tcp(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a Docker host: give unix:///path/to/docker.sock or tcp://host:port")]
pub struct DockerHostError(String);

impl DockerRuntime {
    /// Reads a Docker host as `DOCKER_HOST` has it: `unix://` or `tcp://`. Connects to nothing yet.
    pub fn new(host: &str, metrics: AgentMetrics) -> Result<Self, DockerHostError> {
        let host = match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => DockerHost::Unix(path.to_owned()),
            Some(("tcp" | "http", address)) if !address.is_empty() => {
                DockerHost::Tcp(format!("http://{address}"))
            }
            _ => return Err(DockerHostError(host.to_owned())),
        };
        Ok(Self {
            host,
            metrics,
            client: Mutex::new(None),
            late: exec::LateCommands::default(),
            disk_look: Arc::new(Semaphore::new(1)),
            fitting: images::FittingImages::default(),
            names_all_images: AtomicBool::new(false),
            accounts_swap: AtomicBool::new(false),
            node_address: None,
        })
    }

    /// The same, of a node with this address.
    pub fn on_node(self, node_address: Option<IpAddr>) -> Self {
        Self { node_address, ..self }
    }

    /// Whether the engine is this machine's.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.host, DockerHost::Unix(_))
    }

    /// The client with the negotiated version.
    pub(crate) async fn client(&self, operation: &'static str) -> Result<Docker, RuntimeError> {
        if let Some(client) = self.held().clone() {
            return Ok(client);
        }
        let client = match &self.host {
            DockerHost::Unix(path) => {
                Docker::connect_with_unix(path, BOLLARD_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
            DockerHost::Tcp(address) => {
                Docker::connect_with_http(address, BOLLARD_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            }
        };
        let client = client.map_err(|error| classify(operation, error))?;
        let negotiated = tokio::time::timeout(QUICK, client.negotiate_version()).await;
        let client = negotiated
            .map_err(|_| RuntimeError::Deadline { operation, after: QUICK })?
            .map_err(|error| classify(operation, error))?;
        *self.held() = Some(client.clone());
        Ok(client)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Docker>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let looked = self.look_before(spec).await?;
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let body = body::create_body(spec, &looked);
        let call =
            |docker: Docker| async move { docker.create_container(Some(options), body).await };
        Ok(self.call("create", SLOW, call).await?.id)
    }

    /// Makes the image of an archive.
    pub(crate) async fn load(&self, archive: Vec<u8>) -> Result<(), RuntimeError> {
        let body = bollard::body_full(Bytes::from(archive));
        let call = |docker: Docker| async move {
            let options = ImportImageOptions { quiet: true, ..ImportImageOptions::default() };
            docker.import_image(options, body, None).try_for_each(|_| async { Ok(()) }).await
        };
        self.call("load", LOAD, call).await
    }

    /// Someone else removes the container already: waits until it is gone.
    async fn await_removal(&self, id: &str) -> Result<(), RuntimeError> {
        let looking = async {
            loop {
                let look = |docker: Docker| async move { docker.inspect_container(id, None).await };
                if let Err(error) = self.call("inspect", QUICK, look).await {
                    return fine_when_gone(Err(error));
                }
                tokio::time::sleep(REMOVAL_LOOK).await;
            }
        };
        let operation = "remove";
        tokio::time::timeout(SLOW, looking)
            .await
            .unwrap_or(Err(RuntimeError::Deadline { operation, after: SLOW }))
    }

    /// Makes a call with its deadline, classifies its error and measures it.
    pub(crate) async fn call<T, F, Fut>(
        &self,
        operation: &'static str,
        deadline: Duration,
        make: F,
    ) -> Result<T, RuntimeError>
    where
        F: FnOnce(Docker) -> Fut,
        Fut: Future<Output = Result<T, BollardError>>,
    {
        let began = Instant::now();
        let result = async {
            let client = self.client(operation).await?;
            match tokio::time::timeout(deadline, make(client)).await {
                Ok(result) => result.map_err(|error| classify(operation, error)),
                Err(_) => Err(RuntimeError::Deadline { operation, after: deadline }),
            }
        }
        .await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.outcome(),
        };
        if let Err(RuntimeError::EngineUnavailable { .. }) = &result {
            *self.held() = None;
        }
        self.metrics.engine_call(operation, outcome, began.elapsed());
        result
    }
}

impl ContainerRuntime for DockerRuntime {
    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        let info = self.call("info", QUICK, |docker| async move { docker.info().await }).await?;
        self.note_swap(&info);
        self.note_image_store(&info);
        if let Some(folder) = &info.docker_root_dir {
            self.metrics.usage.learn_images_folder(folder.into());
        }
        let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            cpus: count(info.ncpu).unwrap_or(0),
            memory_bytes: count(info.mem_total).unwrap_or(0),
        })
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ListedContainer>, RuntimeError> {
        let filters = HashMap::from([("label".to_owned(), owner.filters())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call = |docker: Docker| async move { docker.list_containers(Some(options)).await };
        let list = self.call("list", SLOW, call).await?;
        Ok(list
            .into_iter()
            .filter(|one| {
                let labels = one.labels.as_ref();
                labels.is_some_and(|labels| ContainerLabels::from_map(labels, owner).is_some())
            })
            .filter_map(|one| {
                let networks = one.network_settings.and_then(|all| all.networks);
                let address = observed::address(networks, self.node_address);
                Some(ListedContainer {
                    id: one.id?,
                    state: observed::listed_state(one.state?),
                    address,
                })
            })
            .collect())
    }

    async fn inspect(
        &self,
        owner: &Owner,
        id: &str,
    ) -> Result<Option<ObservedContainer>, RuntimeError> {
        let call = |docker: Docker| async move { docker.inspect_container(id, None).await };
        match self.call("inspect", QUICK, call).await {
            Ok(found) => self.observed(found, owner).await,
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        match self.create_container(spec).await {
            Err(error)
                if error.permanent_kind() == Some(PermanentKind::NotFound)
                    && spec.image == pause::SANDBOX_IMAGE =>
            {
                let archive = image::archive(&pause::image()).map_err(|error| {
                    RuntimeError::Transient { operation: "load", message: error.to_string() }
                })?;
                self.load(archive.bytes).await?;
                self.create_container(spec).await
            }
            other => other,
        }
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.call("start", SLOW, |docker| async move { docker.start_container(id, None).await })
            .await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let deadline = grace.saturating_add(STOP_SLACK);
        let call = |docker: Docker| async move { docker.stop_container(id, Some(options)).await };
        fine_when_gone(self.call("stop", deadline, call).await)
    }

    async fn correct(&self, id: &str, correction: &Correction) -> Result<(), RuntimeError> {
        let container = id.to_owned();
        let call = |docker: Docker| async move {
            match correction {
                Correction::Unpause => docker.unpause_container(id).await,
                Correction::Connect => {
                    let request = NetworkConnectRequest { container, endpoint_config: None };
                    docker.connect_network(DEFAULT_NETWORK, request).await
                }
                Correction::Disconnect { network } => {
                    let request = NetworkDisconnectRequest { container, force: None };
                    docker.disconnect_network(network, request).await
                }
                Correction::Update(limits) => {
                    docker.update_container(id, settings::update_body(limits)).await
                }
            }
        };
        self.call("correct", QUICK, call).await
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        self.late.forget_container(id);
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let call = |docker: Docker| async move { docker.remove_container(id, Some(options)).await };
        match self.call("remove", SLOW, call).await {
            Err(error) if error.permanent_kind() == Some(PermanentKind::Conflict) => {
                self.await_removal(id).await
            }
            other => fine_when_gone(other),
        }
    }

    async fn find_image(&self, image: &str) -> Result<Option<FoundImage>, RuntimeError> {
        self.find(image).await
    }

    async fn pull(
        &self,
        image: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<FoundImage, RuntimeError> {
        let auth = auth.map(|auth| images::docker_credentials(auth, image));
        let mut options = CreateImageOptionsBuilder::new().from_image(image);
        if !names_version(image) {
            // Without it the engine would pull every tag of the repository.
            options = options.tag("latest");
        }
        let options = options.build();
        let began = Instant::now();
        let call = |docker: Docker| async move {
            let mut progress = docker.create_image(Some(options), None, auth).boxed();
            let mut digest = None;
            while let Some(step) = tokio::time::timeout(PULL_SILENCE, progress.next())
                .await
                .map_err(|_| BollardError::RequestTimeoutError)?
            {
                let told = step?.status.as_deref().and_then(images::pulled_digest);
                digest = told.or(digest);
            }
            Ok(digest)
        };
        let result = self.call("pull", PULL, call).await.map_err(images::refused_by_registry);
        tracing::debug!(image, took = ?began.elapsed(), ok = result.is_ok(), "pull ended");
        let digest = result?;
        let found = self.fit(image).await?;
        Ok(match digest {
            Some(digest) => FoundImage { digest: FoundDigest::Registry(digest), ..found },
            None => found,
        })
    }

    async fn survey_images(&self) -> Result<ImageSurvey, RuntimeError> {
        self.survey().await
    }

    async fn remove_image(&self, image: &HeldImage) -> Result<(), RuntimeError> {
        self.remove_held(image).await
    }

    async fn exec(
        &self,
        id: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<ExecOutcome, RuntimeError> {
        self.run_command(id, command, deadline).await
    }

    async fn await_exec(
        &self,
        id: &str,
        command: &[String],
        deadline: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        self.await_command(id, command, deadline).await
    }

    fn logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Bytes, RuntimeError>> {
        let Some(docker) = self.held().clone() else {
            let operation = "logs";
            let error = RuntimeError::Transient {
                operation,
                message: "the container engine has not answered yet".to_owned(),
            };
            return stream::once(async move { Err(error) }).boxed();
        };
        let tail = options.tail_lines.map_or("all".to_owned(), |lines| lines.to_string());
        let since = options.since.map_or(0, |at| at.as_micros().div_euclid(1_000_000));
        let query = LogsOptionsBuilder::new()
            .follow(options.follow)
            .stdout(true)
            .stderr(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .timestamps(options.timestamps)
            .tail(&tail)
            .build();
        docker
            .logs(id, Some(query))
            .map_ok(LogOutput::into_bytes)
            .map_err(|error| classify("logs", error))
            .boxed()
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, Result<EngineEvent, RuntimeError>> {
        let Some(docker) = self.held().clone() else { return stream::empty().boxed() };
        let options = EventsOptionsBuilder::new().filters(&events::filters()).build();
        let owner = owner.clone();
        docker
            .events(Some(options))
            .map_err(|error| classify("events", error))
            .try_filter_map(move |message| {
                std::future::ready(Ok(events::engine_event(message, &owner)))
            })
            .boxed()
    }
}

/// Whether an image reference has a tag or a digest.
fn names_version(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.contains(':') || image.contains('@')
}

fn fine_when_gone(result: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(()),
        other => other,
    }
}

fn classify(operation: &'static str, error: BollardError) -> RuntimeError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => {
            let kind = match status_code {
                404 => PermanentKind::NotFound,
                401 | 403 => PermanentKind::Unauthorized,
                409 => PermanentKind::Conflict,
                408 | 429 => return RuntimeError::Transient { operation, message },
                400..=499 => PermanentKind::Invalid,
                _ => return RuntimeError::Transient { operation, message },
            };
            RuntimeError::Permanent { operation, kind, message }
        }
        BollardError::RequestTimeoutError => {
            RuntimeError::Deadline { operation, after: PULL_SILENCE }
        }
        error @ (BollardError::HyperLegacyError { .. }
        | BollardError::HyperResponseError { .. }
        | BollardError::IOError { .. }
        | BollardError::SocketNotFoundError(_)) => {
            RuntimeError::EngineUnavailable { operation, source: Box::new(error) }
        }
        BollardError::DockerStreamError { error } => {
            RuntimeError::Transient { operation, message: error }
        }
        other => RuntimeError::Transient { operation, message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hosts_are_read_as_docker_writes_them() {
        let host = |text| DockerRuntime::new(text, AgentMetrics::unregistered());
        assert_eq!(
            host("unix:///run/docker.sock").unwrap().host,
            DockerHost::Unix("/run/docker.sock".into())
        );
        assert_eq!(
            host("tcp://127.0.0.1:2375").unwrap().host,
            DockerHost::Tcp("http://127.0.0.1:2375".into())
        );
        for bad in ["", "/run/docker.sock", "unix://relative", "ssh://host", "tcp://"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_are_told_apart_by_their_status() {
        let class = |status_code| {
            let message = "words".to_owned();
            classify("x", BollardError::DockerResponseServerError { status_code, message })
        };
        assert_eq!(class(404).permanent_kind(), Some(PermanentKind::NotFound));
        assert_eq!(class(401).permanent_kind(), Some(PermanentKind::Unauthorized));
        assert_eq!(class(409).permanent_kind(), Some(PermanentKind::Conflict));
        assert_eq!(class(400).permanent_kind(), Some(PermanentKind::Invalid));
        assert_eq!(class(500).outcome(), "transient");
        let gone = BollardError::SocketNotFoundError("/x".into());
        assert!(classify("x", gone).is_engine_unavailable());
    }

    #[test]
    fn an_image_without_a_version_is_told_from_one_with() {
        assert!(!names_version("web"));
        assert!(!names_version("host:5000/web"));
        assert!(names_version("host:5000/web:1"));
        assert!(names_version("web@sha256:00"));
    }
}
