//! The database of `dugout up`: the one that was named, else a private PostgreSQL from the installed
//! server, else one from an image.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use dugout_agent::local::{Local, POSTGRES_IMAGE};
use dugout_model::chain;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::arguments::UpArguments;
use crate::data_dir::{DataDir, Records};
use crate::output::tell;
use crate::postgres::{self, Found, PrivatePostgres};

/// How often a private server is looked at, and how long a dead one is left alone between starts.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const RESTART_PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// Where the control plane keeps its records.
pub enum Database {
    Given {
        url: String,
    },
    Private {
        found: Found,
        url: String,
        data_dir: DataDir,
        server: Arc<Mutex<Option<PrivatePostgres>>>,
        watch: JoinHandle<()>,
    },
    Container(dugout_agent::local::PostgresContainer),
}

impl fmt::Display for Database {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Given { .. } => out.write_str("PostgreSQL as given with --postgres-url"),
            Database::Private { found, .. } => {
                write!(out, "PostgreSQL {} in {}", found.version, found.bin_dir.display())
            }
            Database::Container(container) => {
                write!(out, "PostgreSQL in a container ({})", container.image)
            }
        }
    }
}

impl Database {
    pub async fn start(
        arguments: &UpArguments,
        data_dir: &DataDir,
        local: &Local,
    ) -> anyhow::Result<Database> {
        if let Some(url) = &arguments.postgres_url {
            return Ok(Database::Given { url: url.clone() });
        }
        match postgres::find() {
            Ok(found) => Self::start_private(found, data_dir).await,
            Err(missing) => Self::start_container(data_dir, local).await.with_context(|| {
                format!("{missing}, and none can be started from the image {POSTGRES_IMAGE}")
            }),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Database::Given { url } | Database::Private { url, .. } => url.clone(),
            Database::Container(container) => container.url.clone(),
        }
    }

    pub fn records(&self) -> Records {
        match self {
            Database::Given { .. } => Records::Given,
            Database::Private { .. } | Database::Container(_) => Records::Own,
        }
    }

    /// Stops what was started here.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self {
            Database::Given { .. } => Ok(()),
            Database::Private { data_dir, server, watch, .. } => {
                watch.abort();
                let held = server.lock().await.take();
                if let Some(server) = held {
                    server.stop().await.context("the private PostgreSQL did not stop")?;
                }
                // One that was just being started again is known to its lock file alone.
                postgres::stop_left_running(data_dir.root())
                    .await
                    .context("the private PostgreSQL that was being started did not stop")?;
                Ok(())
            }
            Database::Container(container) => {
                container.stop().await.context("the PostgreSQL container did not stop")
            }
        }
    }

    /// Stops what a start that was given up has left running.
    pub async fn stop_half_started(data_dir: &DataDir, local: &Local) -> anyhow::Result<()> {
        postgres::stop_left_running(data_dir.root())
            .await
            .context("the private PostgreSQL did not stop")?;
        if let Ok(password) = std::fs::read_to_string(data_dir.postgres_password()) {
            local
                .stop_postgres(password.trim())
                .await
                .context("the PostgreSQL container did not stop")?;
        }
        Ok(())
    }

    async fn start_private(found: Found, data_dir: &DataDir) -> anyhow::Result<Database> {
        data_dir.let_postgres_through()?;
        let server =
            PrivatePostgres::start(&found, data_dir.root(), |line| tell!("          {line}"))
                .await
                .context("the private PostgreSQL cannot be started")?;
        let url = server.url();
        let server = Arc::new(Mutex::new(Some(server)));
        let watch =
            tokio::spawn(keep_running(found.clone(), data_dir.clone(), Arc::clone(&server)));
        Ok(Database::Private { found, url, data_dir: data_dir.clone(), server, watch })
    }

    async fn start_container(data_dir: &DataDir, local: &Local) -> anyhow::Result<Database> {
        let password = data_dir
            .secret(&data_dir.postgres_password(), crate::control_plane_settings::random_token)?;
        match local.start_postgres(&password).await {
            Ok(container) => Ok(Database::Container(container)),
            Err(error) => bail!(error),
        }
    }
}

/// Starts the private server again whenever it has died; it holds nothing that is not on its disk.
async fn keep_running(
    found: Found,
    data_dir: DataDir,
    server: Arc<Mutex<Option<PrivatePostgres>>>,
) {
    let mut pause = WATCH_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let mut held = server.lock().await;
        if held.as_ref().is_some_and(PrivatePostgres::is_running) {
            pause = WATCH_INTERVAL;
            continue;
        }
        tracing::warn!("the private PostgreSQL has ended; starting it again");
        match PrivatePostgres::start(&found, data_dir.root(), |line| tracing::info!("{line}")).await
        {
            Ok(fresh) => {
                *held = Some(fresh);
                pause = WATCH_INTERVAL;
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the private PostgreSQL cannot be started");
                pause = (pause * 2).min(RESTART_PAUSE_LONGEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_server_whose_start_anew_was_cut_off_is_stopped_with_the_others() {
        let folder = tempfile::tempdir().unwrap();
        // The server may run as another user, who must be able to enter.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data_dir = DataDir::at(folder.path().join("data"));
        data_dir.create().unwrap();
        let found = postgres::find().unwrap();
        let cut_off = PrivatePostgres::start(&found, data_dir.root(), |_| {}).await.unwrap();
        let url = cut_off.url();
        drop(cut_off);
        let database = Database::Private {
            found,
            url,
            data_dir: data_dir.clone(),
            server: Arc::default(),
            watch: tokio::spawn(std::future::pending()),
        };
        database.stop().await.unwrap();
        assert!(!postgres::stop_left_running(data_dir.root()).await.unwrap(), "one was left");
    }
}
