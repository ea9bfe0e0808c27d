//! This machine's engine for `dugout up` and `dugout down`: look at it, make images without a
//! registry, run PostgreSQL when no server is installed, remove what a cluster left.

mod folder;
pub(crate) mod image;
mod operate;
mod postgres;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use dugout_model::{ClusterId, EngineId, NodeName};
use futures_util::{StreamExt as _, TryStreamExt as _};
use thiserror::Error;

pub use folder::{AgentFolder, Node};
pub use image::ImageSpec;
pub use postgres::{POSTGRES_IMAGE, PostgresContainer};

use crate::AgentError;
use crate::config::docker_host;
use crate::docker::{DockerHostError, DockerRuntime};
use crate::labels::{CLUSTER, ContainerLabels, DEFAULT_GRACE, GRACE, MADE_IMAGE, NODE};
use crate::metrics::AgentMetrics;
use crate::runtime::{ContainerRuntime as _, EngineInfo, PermanentKind, RuntimeError};

const REMOVE_DEADLINE: Duration = Duration::from_secs(120);
const LIST_DEADLINE: Duration = Duration::from_secs(60);
const INSPECT_DEADLINE: Duration = Duration::from_secs(10);
const REMOVES_AT_ONCE: usize = 8;
/// Whoever takes everything down does not wait longer than this for a container.
const LONGEST_GRACE: Duration = Duration::from_secs(10);

/// The engine of this machine; it answered when this was made.
#[derive(Debug)]
pub struct Local {
    host: String,
    info: EngineInfo,
    runtime: DockerRuntime,
}

/// What [`Local::remove_everything`] or [`Local::remove_node`] removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Removed {
    pub containers: usize,
}

#[derive(Debug, Error)]
pub enum LocalError {
    #[error("the Docker host cannot be used")]
    Host(#[source] DockerHostError),
    #[error("the container engine at {host} cannot do it")]
    Engine { host: String, source: RuntimeError },
    #[error("image {image} cannot be put together")]
    Image { image: String, source: std::io::Error },
    #[error("the PostgreSQL container did not accept connections within {seconds} s")]
    PostgresSilent { seconds: u64 },
    #[error("the PostgreSQL container has no port on this machine")]
    PostgresWithoutPort,
    #[error("the agent's data directory cannot be taken")]
    Folder(#[source] Box<AgentError>),
    #[error(
        "the data directory {} does not tell any more which cluster its node was of. Remove what the \
         node runs (docker rm --force $(docker ps --all --quiet --filter label={NODE}={node})) and then \
         the directory",
        path.display()
    )]
    ClusterUnknown { path: PathBuf, node: String },
    #[error(
        "the containers of node {node} are on another engine ({engine}) than the one at {host}; name \
         theirs with --docker-host"
    )]
    OtherEngine { node: String, engine: EngineId, host: String },
}

impl Local {
    /// Connects to the engine: the one that is named, else `DOCKER_HOST`, else Docker's usual place.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(host: Option<&str>) -> Result<Self, LocalError> {
        let host = docker_host(host);
        let runtime =
            DockerRuntime::new(&host, AgentMetrics::unregistered()).map_err(LocalError::Host)?;
        let info = runtime
            .info()
            .await
            .map_err(|source| LocalError::Engine { host: host.clone(), source })?;
        Ok(Self { host, info, runtime })
    }

    /// Where it is, as an agent on this machine would be told.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it is, for people: `Docker 28.5.1`.
    pub fn version(&self) -> String {
        format!("Docker {}", self.info.version)
    }

    /// Makes an image of one static program, without a registry. The same input makes the same image,
    /// and an image that is there already is left alone. Returns its id.
    pub async fn import_image(&self, spec: ImageSpec) -> Result<String, LocalError> {
        let archive = image::archive(&spec)
            .map_err(|source| LocalError::Image { image: spec.name.clone(), source })?;
        if self.image_id(&spec.name).await?.as_ref() == Some(&archive.id) {
            return Ok(archive.id);
        }
        self.runtime.load(archive.bytes).await.map_err(|error| self.failed(error))?;
        Ok(self.image_id(&spec.name).await?.unwrap_or(archive.id))
    }

    /// The id of an image, if it is there.
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, LocalError> {
        let call = |docker: bollard::Docker| async move { docker.inspect_image(name).await };
        match self.runtime.call("inspect_image", INSPECT_DEADLINE, call).await {
            Ok(found) => Ok(found.id),
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Removes an image that [`Local::import_image`] made, unless a container uses it; whether it is
    /// gone. An image of this name that somebody else made is left alone.
    pub async fn remove_made_image(&self, name: &str) -> Result<bool, LocalError> {
        let call = |docker: bollard::Docker| async move { docker.inspect_image(name).await };
        let labels = match self.runtime.call("inspect_image", INSPECT_DEADLINE, call).await {
            Ok(found) => found.config.and_then(|config| config.labels).unwrap_or_default(),
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => {
                return Ok(true);
            }
            Err(error) => return Err(self.failed(error)),
        };
        if !labels.contains_key(MADE_IMAGE) {
            return Ok(false);
        }
        self.remove_image(name).await
    }

    /// Removes the images that [`Local::import_image`] made and whose names went to newer ones, but for
    /// those that a container uses; how many are gone.
    pub async fn remove_nameless_made_images(&self) -> Result<usize, LocalError> {
        let filters = HashMap::from([
            ("label".to_owned(), vec![MADE_IMAGE.to_owned()]),
            ("dangling".to_owned(), vec!["true".to_owned()]),
        ]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let call = |docker: bollard::Docker| async move { docker.list_images(Some(options)).await };
        let found = self
            .runtime
            .call("list_images", LIST_DEADLINE, call)
            .await
            .map_err(|error| self.failed(error))?;
        let mut gone = 0;
        for image in found {
            gone += usize::from(self.remove_image(&image.id).await?);
        }
        Ok(gone)
    }

    /// Removes an image unless a container uses it; whether it is gone.
    async fn remove_image(&self, name: &str) -> Result<bool, LocalError> {
        let call = |docker: bollard::Docker| async move {
            docker.remove_image(name, None::<RemoveImageOptions>, None).await
        };
        match self.runtime.call("remove_image", REMOVE_DEADLINE, call).await {
            Ok(_) => Ok(true),
            Err(error) => match error.permanent_kind() {
                Some(PermanentKind::NotFound) => Ok(true),
                Some(PermanentKind::Conflict) => Ok(false),
                _ => Err(self.failed(error)),
            },
        }
    }

    /// Stops and removes every container of a cluster on this engine, of all its nodes. Each gets its
    /// own grace, at most ten seconds.
    pub async fn remove_everything(&self, cluster: ClusterId) -> Result<Removed, LocalError> {
        self.remove_labelled(vec![format!("{CLUSTER}={cluster}")]).await
    }

    /// The same for one node alone.
    ///
    /// # Errors
    /// When this is not the engine that the node used, too: it would seem to have nothing.
    pub async fn remove_node(&self, node: &Node) -> Result<Removed, LocalError> {
        self.require_engine_of(node)?;
        self.remove_labelled(node.owner.filters()).await
    }

    fn require_engine_of(&self, node: &Node) -> Result<(), LocalError> {
        match &node.engine {
            Some(engine) if engine.as_str() != self.info.id => Err(LocalError::OtherEngine {
                node: node.owner.node.to_string(),
                engine: engine.clone(),
                host: self.host.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// How many containers of a cluster are on this engine, by the node that they are of.
    pub async fn nodes_of(
        &self,
        cluster: ClusterId,
    ) -> Result<BTreeMap<NodeName, usize>, LocalError> {
        let mut nodes = BTreeMap::new();
        for mut container in self.labelled(vec![format!("{CLUSTER}={cluster}")]).await? {
            let node = container.labels.as_mut().and_then(|labels| labels.remove(NODE));
            *nodes.entry(NodeName::new(node.unwrap_or_default())).or_default() += 1;
        }
        Ok(nodes)
    }

    async fn labelled(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, LocalError> {
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call =
            |docker: bollard::Docker| async move { docker.list_containers(Some(options)).await };
        let all = self.runtime.call("list", LIST_DEADLINE, call).await;
        let mut ours = Vec::new();
        for one in all.map_err(|error| self.failed(error))? {
            if self.is_genuine(&one).await.map_err(|error| self.failed(error))? {
                ours.push(one);
            }
        }
        Ok(ours)
    }

    /// Whether a container has its labels from an agent, and not from an image of somebody's.
    async fn is_genuine(&self, one: &ContainerSummary) -> Result<bool, RuntimeError> {
        let labels = one.labels.as_ref().and_then(ContainerLabels::of_any_owner);
        let name = one.names.as_ref().and_then(|names| names.first());
        match (labels, name) {
            (Some(labels), Some(name)) => {
                self.runtime.is_genuine(name, one.image_id.as_deref(), &labels).await
            }
            _ => Ok(true),
        }
    }

    async fn remove_labelled(&self, labels: Vec<String>) -> Result<Removed, LocalError> {
        let found = self.labelled(labels).await?;
        let containers = found.into_iter().filter_map(|one| {
            let grace = one.labels.as_ref().and_then(|labels| labels.get(GRACE)?.parse().ok());
            Some((one.id?, grace.map_or(DEFAULT_GRACE, Duration::from_millis)))
        });
        let removed = futures_util::stream::iter(containers)
            .map(|(id, grace)| async move {
                self.runtime.stop(&id, grace.min(LONGEST_GRACE)).await?;
                self.runtime.remove(&id).await
            })
            .buffer_unordered(REMOVES_AT_ONCE)
            .try_fold(0, |count, ()| async move { Ok(count + 1) })
            .await
            .map_err(|error| self.failed(error))?;
        Ok(Removed { containers: removed })
    }

    fn failed(&self, source: RuntimeError) -> LocalError {
        LocalError::Engine { host: self.host.clone(), source }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.containers {
            1 => out.write_str("1 container"),
            count => write!(out, "{count} containers"),
        }
    }
}
