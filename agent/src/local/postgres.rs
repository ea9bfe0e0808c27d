//! PostgreSQL from an image, for machines that have Docker and no PostgreSQL.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use sha2::{Digest as _, Sha256};

use super::{INSPECT_DEADLINE, Local, LocalError};
use crate::docker::DockerRuntime;
use crate::metrics::AgentMetrics;
use crate::runtime::{ContainerRuntime as _, PermanentKind, RuntimeError};

/// What is pulled when the engine does not have it.
pub const POSTGRES_IMAGE: &str = "postgres:16-alpine";
const DATABASE: &str = "dugout";
const PORT: &str = "5432/tcp";
/// Tells it from the containers of pods.
const ROLE_LABEL: &str = "dev.dugout.role";
const CREATE_DEADLINE: Duration = Duration::from_secs(60);
const READY_DEADLINE: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(30);

/// A PostgreSQL in a container, which keeps its data in a volume of its own.
pub struct PostgresContainer {
    pub image: String,
    /// With the password.
    pub url: String,
    name: String,
    runtime: Arc<DockerRuntime>,
}

impl fmt::Debug for PostgresContainer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PostgresContainer")
            .field("image", &self.image)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PostgresContainer {
    /// Stops and removes it; its data stay in their volume for the next start.
    ///
    /// # Errors
    /// When the engine does not do it.
    pub async fn stop(self) -> Result<(), RuntimeError> {
        stop_and_remove(&self.runtime, &self.name).await
    }
}

impl Local {
    /// Starts the PostgreSQL that belongs to this password, unless it runs already; waits until it
    /// accepts connections. It listens on this machine's loopback address alone.
    pub async fn start_postgres(&self, password: &str) -> Result<PostgresContainer, LocalError> {
        let runtime = DockerRuntime::new(&self.host, AgentMetrics::unregistered());
        let runtime = Arc::new(runtime.map_err(LocalError::Host)?);
        let name = container_name(password);
        let fresh = match self.create_postgres(&name, password).await {
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => {
                self.runtime
                    .pull(POSTGRES_IMAGE, None)
                    .await
                    .map_err(|error| self.failed(error))?;
                self.create_postgres(&name, password).await
            }
            other => other,
        };
        match fresh {
            Ok(()) => {}
            Err(error) if error.permanent_kind() == Some(PermanentKind::Conflict) => {
                self.replace_stopped(&name, password).await?;
            }
            Err(error) => return Err(self.failed(error)),
        }
        self.runtime.start(&name).await.map_err(|error| self.failed(error))?;
        self.await_postgres(&name).await?;
        let port = self.postgres_port(&name).await?;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/{DATABASE}");
        Ok(PostgresContainer { image: POSTGRES_IMAGE.to_owned(), url, name, runtime })
    }

    /// Makes one anew in the place of one that does not run: somebody else may listen on its port by now.
    async fn replace_stopped(&self, name: &str, password: &str) -> Result<(), LocalError> {
        let call = |docker: Docker| async move { docker.inspect_container(name, None).await };
        let found = self
            .runtime
            .call("inspect", INSPECT_DEADLINE, call)
            .await
            .map_err(|error| self.failed(error))?;
        if found.state.and_then(|state| state.running) == Some(true) {
            return Ok(());
        }
        stop_and_remove(&self.runtime, name).await.map_err(|error| self.failed(error))?;
        self.create_postgres(name, password).await.map_err(|error| self.failed(error))
    }

    /// Stops and removes the PostgreSQL that belongs to this password; its data stay in their volume.
    pub async fn stop_postgres(&self, password: &str) -> Result<(), LocalError> {
        self.fine_when_gone(stop_and_remove(&self.runtime, &container_name(password)).await)
    }

    /// Removes the PostgreSQL that belongs to this password, and all its data.
    pub async fn remove_postgres(&self, password: &str) -> Result<(), LocalError> {
        let name = container_name(password);
        let container = name.clone();
        let call = |docker: Docker| async move {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            docker.remove_container(&container, Some(options)).await
        };
        self.fine_when_gone(self.runtime.call("remove", CREATE_DEADLINE, call).await)?;
        let call = |docker: Docker| async move {
            docker.remove_volume(&name, None::<RemoveVolumeOptions>).await
        };
        self.fine_when_gone(self.runtime.call("remove_volume", CREATE_DEADLINE, call).await)
    }

    fn fine_when_gone(&self, result: Result<(), RuntimeError>) -> Result<(), LocalError> {
        match result {
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(()),
            other => other.map_err(|error| self.failed(error)),
        }
    }

    async fn create_postgres(&self, name: &str, password: &str) -> Result<(), RuntimeError> {
        // Chosen here and not by the engine, so that it stays the same when the engine starts again.
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: Some(free_port().to_string()),
        };
        let body = ContainerCreateBody {
            image: Some(POSTGRES_IMAGE.to_owned()),
            env: Some(vec![
                format!("POSTGRES_PASSWORD={password}"),
                format!("POSTGRES_DB={DATABASE}"),
            ]),
            labels: Some(HashMap::from([(ROLE_LABEL.to_owned(), "postgres".to_owned())])),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{name}:/var/lib/postgresql/data")]),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                port_bindings: Some(HashMap::from([(PORT.to_owned(), Some(vec![binding]))])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let call =
            |docker: Docker| async move { docker.create_container(Some(options), body).await };
        self.runtime.call("create", CREATE_DEADLINE, call).await.map(drop)
    }

    async fn await_postgres(&self, name: &str) -> Result<(), LocalError> {
        let command: Vec<String> =
            ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"].map(str::to_owned).into();
        let waiting = async {
            loop {
                let outcome = self.runtime.exec(name, &command, INSPECT_DEADLINE).await;
                if outcome.is_ok_and(|outcome| outcome.exit_code == 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let seconds = READY_DEADLINE.as_secs();
        tokio::time::timeout(READY_DEADLINE, waiting)
            .await
            .map_err(|_| LocalError::PostgresSilent { seconds })
    }

    async fn postgres_port(&self, name: &str) -> Result<u16, LocalError> {
        let call = |docker: Docker| async move { docker.inspect_container(name, None).await };
        let found = self
            .runtime
            .call("inspect", INSPECT_DEADLINE, call)
            .await
            .map_err(|error| self.failed(error))?;
        found
            .network_settings
            .and_then(|settings| settings.ports?.remove(PORT)?)
            .and_then(|bindings| bindings.into_iter().find_map(|one| one.host_port?.parse().ok()))
            .ok_or(LocalError::PostgresWithoutPort)
    }
}

async fn stop_and_remove(runtime: &DockerRuntime, name: &str) -> Result<(), RuntimeError> {
    runtime.stop(name, STOP_GRACE).await?;
    runtime.remove(name).await
}

/// One for each password, and so for each data directory.
fn container_name(password: &str) -> String {
    let digest = hex::encode(Sha256::digest(password.as_bytes()));
    format!("dugout-postgres-{}", digest.get(..12).unwrap_or(&digest))
}

/// A port that nobody listens on now; 0, which lets the engine choose, when that cannot be found out.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_or(0, |address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let runtime = DockerRuntime::new("tcp://127.0.0.1:1", AgentMetrics::unregistered());
        let container = PostgresContainer {
            image: POSTGRES_IMAGE.to_owned(),
            url: "postgres://postgres:hunter2@127.0.0.1:1/dugout".to_owned(),
            name: container_name("hunter2"),
            runtime: Arc::new(runtime.unwrap()),
        };
        assert!(!format!("{container:?}").contains("hunter2"));
    }
}
