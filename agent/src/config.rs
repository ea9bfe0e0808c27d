//! What an agent is told, and what it finds out about its machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dugout_model::{
    ClusterId, EngineId, NodeName, NodePrivileges, NodeRegistration, Resources, StringMap,
};
use dugout_wire::WireError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accepted::AcceptedStore;
use crate::docker::{DEFAULT_DOCKER_HOST, DockerHostError};
use crate::image_gc::ImageGcPolicy;
use crate::runtime::EngineInfo;
use crate::spec::Allocatable;

/// The most pods on one node, as Kubernetes has it.
const MOST_PODS: u64 = 110;
const NODE_FILE: &str = "node.json";

/// What an agent is told.
#[derive(Clone)]
pub struct AgentConfig {
    /// `http://host:port` or `https://host:port`.
    pub server_url: String,
    /// The join token.
    pub token: String,
    /// When absent, the name that the data directory was used under, and the machine's host name for a
    /// new one.
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// `unix://` or `tcp://`; without it `DOCKER_HOST`, and without that Docker's usual place.
    pub docker_host: Option<String>,
    /// Belongs to this agent alone.
    pub data_dir: PathBuf,
    /// Where the node is reached from outside; found out when absent.
    pub address: Option<IpAddr>,
    pub image_gc: ImageGcPolicy,
    pub storage: StorageConfig,
    /// What pods may do on this node.
    pub allowed: NodePrivileges,
}

/// Where the volumes of claims lie, and how much they may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageConfig {
    /// In the data directory when absent.
    pub path: Option<PathBuf>,
    /// As much as its disk holds when absent.
    pub capacity_bytes: Option<u64>,
}

impl fmt::Debug for AgentConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AgentConfig")
            .field("server_url", &self.server_url)
            .field("name", &self.name)
            .field("labels", &self.labels)
            .field("docker_host", &self.docker_host)
            .field("data_dir", &self.data_dir)
            .field("address", &self.address)
            .field("image_gc", &self.image_gc)
            .field("storage", &self.storage)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

/// Why an agent cannot run at all. What may pass by itself is not an error: it is waited for.
#[derive(Debug, Error)]
pub enum AgentError {
    #[error("{0:?} is not the URL of a control plane: give http://host:port or https://host:port")]
    ServerUrl(String),
    #[error(
        "the join token has characters that cannot be sent; give it as `dugout token create` printed it"
    )]
    Token,
    #[error("the control plane refused this node: {0}")]
    TokenRefused(String),
    #[error("the Docker host cannot be used")]
    DockerHost(#[source] DockerHostError),
    #[error("the node needs another name; give it one with --name")]
    NodeName(#[source] WireError),
    #[error(
        "the data directory {path} belongs to node {known}, and what that runs would go on with nobody \
         to tend it. Start with --name {known}; or give node {told} a folder of its own with --data-dir; \
         or, to rename the node, remove what it runs (docker rm --force $(docker ps --all --quiet \
         --filter label={label}={known}{cluster})) and then the folder",
        path = path.display(),
        label = crate::labels::NODE,
        cluster = cluster.map_or_else(String::new, |cluster| {
            format!(" --filter label={}={cluster}", crate::labels::CLUSTER)
        })
    )]
    OtherNodeName { path: PathBuf, known: NodeName, told: NodeName, cluster: Option<ClusterId> },
    #[error("the data directory {} cannot be used", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(
        "another agent uses the data directory {}; give this one its own with --data-dir",
        path.display()
    )]
    DataDirInUse { path: PathBuf },
    #[error("the accepted assignment cannot be used")]
    Accepted(#[source] crate::accepted::AcceptError),
    #[error(
        "what is paused on this node cannot be read in {}; remove the file to have nothing paused",
        path.display()
    )]
    Paused { path: PathBuf, source: std::io::Error },
    #[error("what is known of containers that ended cannot be read in {}", path.display())]
    Records { path: PathBuf, source: std::io::Error },
}

/// What stays the same for a data directory: who this agent is, and the engine it last spoke to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeFile {
    /// Tells this agent, restarted, from another with the same name.
    pub instance: String,
    /// The node's name, which its containers carry. A folder of the first release has none; there the
    /// accepted assignment has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<StoredEngine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredEngine {
    pub id: String,
    pub version: String,
    pub cpus: u64,
    pub memory_bytes: u64,
}

impl StoredEngine {
    /// What pods may use of the machine.
    pub(crate) fn allocatable(&self) -> Allocatable {
        Allocatable { cpu_millis: self.cpus.saturating_mul(1000), memory_bytes: self.memory_bytes }
    }
}

/// Takes the data directory for this agent; the kernel lets go of it when the process ends.
pub(crate) fn lock(data_dir: &Path) -> Result<fs::File, AgentError> {
    let failed = |source| AgentError::DataDir { path: data_dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    let mut options = fs::OpenOptions::new();
    let path = data_dir.join("lock");
    let file =
        options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(AgentError::DataDirInUse { path: data_dir.to_owned() })
        }
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

impl NodeFile {
    /// Reads it, or makes it with a new instance.
    pub fn open(data_dir: &Path) -> Result<Self, AgentError> {
        let failed = |source| AgentError::DataDir { path: data_dir.to_owned(), source };
        fs::create_dir_all(data_dir).map_err(failed)?;
        match fs::read(data_dir.join(NODE_FILE)) {
            Ok(bytes) => {
                if let Ok(found) = serde_json::from_slice(&bytes) {
                    return Ok(found);
                }
                tracing::warn!("{NODE_FILE} is not readable; this agent takes a new identity");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let instance = uuid::Uuid::new_v4().to_string();
        let fresh = Self { instance, node: None, engine: None };
        fresh.write(data_dir).map_err(failed)?;
        Ok(fresh)
    }

    /// Notes under which name the folder is used from now on.
    pub fn remember_node(&mut self, node: &NodeName, data_dir: &Path) -> Result<(), AgentError> {
        if self.node.as_deref() == Some(node.as_str()) {
            return Ok(());
        }
        self.node = Some(node.to_string());
        let failed = |source| AgentError::DataDir { path: data_dir.to_owned(), source };
        self.write(data_dir).map_err(failed)
    }

    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        let new = data_dir.join(format!("{NODE_FILE}.new"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&new, data_dir.join(NODE_FILE))
    }
}

impl From<EngineInfo> for StoredEngine {
    fn from(info: EngineInfo) -> Self {
        let EngineInfo { id, version, cpus, memory_bytes } = info;
        Self { id, version, cpus, memory_bytes }
    }
}

/// Where Docker listens: as told, else as `DOCKER_HOST` says, else its usual place.
pub(crate) fn docker_host(told: Option<&str>) -> String {
    let from_environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    told.map(str::to_owned)
        .or_else(from_environment)
        .unwrap_or_else(|| DEFAULT_DOCKER_HOST.to_owned())
}

/// What a data directory knows of the node that used it before.
pub(crate) struct FormerNode {
    pub name: NodeName,
    pub cluster: Option<ClusterId>,
}

impl FormerNode {
    /// The node that this folder belongs to; `None` when it is new.
    pub fn of(file: &NodeFile, accepted: &AcceptedStore) -> Option<Self> {
        let held = accepted.held();
        let noted = file.node.as_deref().map(NodeName::new);
        let name = noted.or_else(|| held.map(|held| held.node.clone()))?;
        Some(Self { name, cluster: held.map(|held| held.cluster) })
    }
}

/// The node's name. It stays with its data directory: containers are found by it, and under another one
/// nobody would tend those that are there. So a host that is renamed keeps its node's name, and a name
/// that is told and differs is refused.
pub(crate) fn node_name(
    config: &AgentConfig,
    former: Option<FormerNode>,
) -> Result<NodeName, AgentError> {
    let parse = |name: &str| dugout_wire::parse_node_name(name).map_err(AgentError::NodeName);
    let told = config.name.as_deref().map(parse).transpose()?;
    match (told, former) {
        (Some(told), Some(FormerNode { name: known, cluster })) if told != known => {
            let path = config.data_dir.clone();
            Err(AgentError::OtherNodeName { path, known, told, cluster })
        }
        (_, Some(former)) => Ok(former.name),
        (Some(told), None) => Ok(told),
        (None, None) => {
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            parse(&host.trim().to_lowercase())
        }
    }
}

/// What the agent says of itself.
pub(crate) fn registration(
    config: &AgentConfig,
    name: NodeName,
    instance: String,
    engine: StoredEngine,
) -> NodeRegistration {
    let Allocatable { cpu_millis, memory_bytes } = engine.allocatable();
    NodeRegistration {
        name,
        instance,
        labels: labels(config),
        capacity: Resources { cpu_millis, memory_bytes, pods: MOST_PODS },
        // The link says how much, each time anew.
        storage_bytes: None,
        engine: EngineId::new(engine.id),
        engine_version: engine.version,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        address: config.address.or_else(own_address),
    }
}

/// Its own labels, and those that say what it allows, which nobody else may claim.
fn labels(config: &AgentConfig) -> StringMap {
    let mut labels = config.labels.clone();
    labels.extend(config.allowed.to_labels());
    labels.into()
}

/// The address that this machine sends from. Nothing is sent: the kernel is asked for the route to
/// an address of the documentation range.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_belongs_to_its_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = NodeFile::open(folder.path()).unwrap();
        assert_eq!(NodeFile::open(folder.path()).unwrap(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(NodeFile::open(other.path()).unwrap(), first);
        fs::write(folder.path().join(NODE_FILE), "{").unwrap();
        assert_ne!(NodeFile::open(folder.path()).unwrap(), first);
    }

    fn config(name: Option<&str>) -> AgentConfig {
        AgentConfig {
            server_url: "http://a".into(),
            token: "hunter2".into(),
            name: name.map(str::to_owned),
            labels: BTreeMap::new(),
            docker_host: None,
            data_dir: "/data".into(),
            address: None,
            image_gc: ImageGcPolicy::default(),
            storage: StorageConfig::default(),
            allowed: NodePrivileges::of_any_node(),
        }
    }

    #[test]
    fn a_data_directory_keeps_the_name_of_its_node() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = NodeFile::open(folder.path()).unwrap();
        let name_of = |file: &NodeFile, told: Option<&str>| {
            let (accepted, _) = AcceptedStore::open(folder.path()).unwrap();
            node_name(&config(told), FormerNode::of(file, &accepted))
        };
        let is_kept = |file: &NodeFile| {
            assert_eq!(
                name_of(file, None).unwrap().as_str(),
                "node-a",
                "whatever the host is called"
            );
            assert_eq!(name_of(file, Some("node-a")).unwrap().as_str(), "node-a");
            name_of(file, Some("node-b")).unwrap_err().to_string()
        };
        assert_eq!(name_of(&file, Some("node-b")).unwrap().as_str(), "node-b", "it is new");

        // A folder of before the name was noted.
        let (mut accepted, _) = AcceptedStore::open(folder.path()).unwrap();
        let held = crate::testing::assignment(1, vec![]);
        accepted.accept(held.clone(), crate::testing::at(1)).unwrap();
        let refused = is_kept(&file);
        let cluster = format!("label=dev.dugout.cluster={}", held.cluster);
        for word in ["/data", "--name node-a", "node node-b", "dev.dugout.node=node-a", &cluster] {
            assert!(refused.contains(word), "{word} is not in: {refused}");
        }

        file.remember_node(&held.node, folder.path()).unwrap();
        fs::remove_file(folder.path().join("accepted.json")).unwrap();
        is_kept(&NodeFile::open(folder.path()).unwrap());
    }

    #[test]
    fn the_token_is_not_shown() {
        let config = config(None);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
