//! `dugout up`: everything in one process on this machine, from nothing to a running example.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dugout_agent::local::Local;
use dugout_agent::{AgentConfig, AgentMetrics};
use dugout_model::{SourceName, chain};
use tokio_util::sync::CancellationToken;

use crate::arguments::UpArguments;
use crate::control_plane::{ControlPlane, ControlPlaneSettings};
use crate::control_plane_settings::{SOURCE_NAME, location, random_token, settings};
use crate::data_dir::{DataDir, DataDirError, Phase, Running};
use crate::database::Database;
use crate::first_release;
use crate::metrics::Exposition;
use crate::output::tell;
use crate::{demo, detach, http_port, logging, serve, signals};

/// How long `--detach` waits for the first release.
const FIRST_RELEASE_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// What must be free where the data directory lies: for a database that is made, and else.
const FIRST_START_BYTES: u64 = 64 << 20;
const START_BYTES: u64 = 4 << 20;

/// Runs until it is told to stop.
pub fn run(arguments: UpArguments) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::choose(arguments.data_dir.as_deref())?;
    if arguments.detach {
        return detach::run(&data_dir, &arguments, FIRST_RELEASE_DEADLINE);
    }
    data_dir.create()?;
    let _lock = data_dir.lock()?;
    require_room(&data_dir, &arguments)?;
    logging::to_file(&data_dir.log())?;
    serve::run_to_end(start(&arguments, &data_dir))
}

/// Also asked in the foreground of a detached start, whose own words may not fit on the disk.
pub fn require_room(data_dir: &DataDir, arguments: &UpArguments) -> Result<(), DataDirError> {
    let makes_database = arguments.postgres_url.is_none() && !data_dir.postgres().exists();
    data_dir.require_room(if makes_database { FIRST_START_BYTES } else { START_BYTES })
}

async fn start(arguments: &UpArguments, data_dir: &DataDir) -> anyhow::Result<ExitCode> {
    let shutdown = signals::shutdown_token()?;
    let prepared = shutdown.run_until_cancelled(prepare(arguments)).await.transpose()?;
    let Some((local, repository)) = prepared else { return Ok(serve::stopped_early()) };
    let settings = settings(&arguments.control_plane, &repository.url, data_dir)?;
    let starting = Database::start(arguments, data_dir, &local);
    let Some(database) = shutdown.run_until_cancelled(starting).await.transpose()? else {
        Database::stop_half_started(data_dir, &local).await?;
        return Ok(serve::stopped_early());
    };
    tell!("Found     {database}");
    let inputs = Inputs { arguments, data_dir, local: &local, repository, settings };
    let result = run_until(&shutdown, inputs, &database).await;
    match (result, database.stop().await) {
        // What went wrong first is what a person must know.
        (Err(error), Err(later)) => {
            tracing::error!(error = %format!("{later:#}"), "the database did not stop either");
            Err(error)
        }
        (result, stopped) => stopped.and(result),
    }
}

/// Looks for what nothing can go without.
async fn prepare(arguments: &UpArguments) -> anyhow::Result<(Local, Repository)> {
    let local = Local::connect(arguments.docker_host.as_deref()).await.context(
        "no container engine answers; install Docker (Debian and Ubuntu: apt-get install docker.io), start it, name it with --docker-host (a docker context is not read), or, where permission is denied, join the group docker (sudo usermod -aG docker $USER) and log in again",
    )?;
    tell!("Found     {} at {}", local.version(), local.host());
    // Asked for again when everything else is there. A start that has no port shall make nothing before.
    drop(http_port::listen(arguments.control_plane.listen, "--listen").await?);
    let repository = repository(arguments)?;
    Ok((local, repository))
}

/// What shall run, and how to reach it.
struct Repository {
    url: String,
    /// The program of the tutorial's application, whose images its repository names; `None` for any other
    /// repository.
    program: Option<PathBuf>,
}

fn repository(arguments: &UpArguments) -> anyhow::Result<Repository> {
    if let Some(url) = &arguments.repo {
        let url = absolute(url);
        location(&url)?;
        tell!("Follows   Git repository {url}");
        return Ok(Repository { url, program: None });
    }
    let here = std::env::current_dir().context("the current directory cannot be read")?;
    let program = demo::web_program()?;
    let (path, made) = demo::repository(&here)?;
    let verb = if made { "Made " } else { "Found" };
    tell!("{verb}     Git repository ./{}", demo::DEMO_FOLDER);
    Ok(Repository { url: path.to_string_lossy().into_owned(), program: Some(program) })
}

/// A path stands for itself wherever the process is started from later; a URL is left as it is.
fn absolute(url: &str) -> String {
    let path = Path::new(url);
    match path.canonicalize() {
        Ok(path) if path.is_dir() => path.to_string_lossy().into_owned(),
        _ => url.to_owned(),
    }
}

/// What there is before the database.
struct Inputs<'a> {
    arguments: &'a UpArguments,
    data_dir: &'a DataDir,
    local: &'a Local,
    repository: Repository,
    settings: ControlPlaneSettings,
}

async fn run_until(
    shutdown: &CancellationToken,
    Inputs { arguments, data_dir, local, repository, settings }: Inputs<'_>,
    database: &Database,
) -> anyhow::Result<ExitCode> {
    let mut exposition = Exposition::default();
    let agent_metrics = AgentMetrics::register(&mut exposition.registry);
    exposition.usage = Some(agent_metrics.usage.clone());
    let starting = ControlPlane::start(settings, database.url(), exposition);
    let Some(mut control_plane) = shutdown.run_until_cancelled(starting).await.transpose()? else {
        return Ok(serve::stopped_early());
    };
    let server_url = format!("http://{}", reachable(control_plane.address));
    let mut running = Running {
        process_id: std::process::id(),
        server_url: server_url.clone(),
        cluster: control_plane.reconciler.world().cluster.to_string(),
        docker_host: local.host().to_owned(),
        records: database.records(),
        images: made_before(data_dir, &repository)?,
        phase: Phase::Starting,
    };
    data_dir.write_running(&running)?;
    let started_at = control_plane.reconciler.clock().now();
    let starting = async {
        // Only now: what is not noted would not be removed. Nothing runs before the agent does.
        build_images(&repository, local).await?;
        start_agent(arguments, data_dir, local, &control_plane, agent_metrics, shutdown).await
    };
    let Some(mut agent) = shutdown.run_until_cancelled(starting).await.transpose()? else {
        control_plane.stop().await;
        return Ok(serve::stopped_early());
    };
    tell!("Serving   {server_url}");

    let source = SourceName::new(SOURCE_NAME);
    let reconciler = control_plane.reconciler.clone();
    let waiting = first_release::wait(&reconciler, &source);
    let first = unless_ended(shutdown, &mut agent, &mut control_plane, waiting).await?;
    if let Some(first) = first {
        let events = first_release::events_since(&reconciler, started_at).await;
        let world = reconciler.world();
        first.print(&world, &events, &server_url, repository.program.is_some());
        running.phase = first.phase(&world, &events);
        data_dir.write_running(&running)?;
        unless_ended(shutdown, &mut agent, &mut control_plane, std::future::pending::<()>())
            .await?;
    }
    tell!(
        "Stopping. The containers keep running; `dugout up` adopts them, `dugout down` removes them."
    );
    // The agent first: it ends at once, and what it did not report yet it reports when it is back.
    if let Err(error) = agent.await.context("the agent ended unexpectedly")? {
        tracing::error!(error = %chain(&error), "the agent stopped with an error");
    }
    control_plane.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The images that this start makes, and those of those before it, for the day when all is removed.
fn made_before(data_dir: &DataDir, repository: &Repository) -> anyhow::Result<Vec<String>> {
    let before = match data_dir.read_running() {
        Ok(running) => running.map(|running| running.images).unwrap_or_default(),
        Err(error @ DataDirError::NotUnderstood { .. }) => {
            tracing::warn!(error = %chain(&error), "what earlier starts made is not known any more");
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let mut images: BTreeSet<String> = before.into_iter().collect();
    if repository.program.is_some() {
        images.extend(demo::image_names());
    }
    Ok(images.into_iter().collect())
}

async fn build_images(repository: &Repository, local: &Local) -> anyhow::Result<()> {
    let Some(program) = &repository.program else { return Ok(()) };
    demo::build_images(local, program).await?;
    tell!("Built     images {}", demo::image_names().join(", "));
    Ok(())
}

type AgentTask = tokio::task::JoinHandle<Result<(), dugout_agent::AgentError>>;

/// Does some work unless this process is told to stop first (`None`), or a part of it ends by itself.
async fn unless_ended<T>(
    shutdown: &CancellationToken,
    agent: &mut AgentTask,
    control_plane: &mut ControlPlane,
    work: impl Future<Output = T>,
) -> anyhow::Result<Option<T>> {
    tokio::select! {
        // In this order: the signal ends the agent too, and that is no failure.
        biased;
        () = shutdown.cancelled() => Ok(None),
        ended = agent => Err(agent_ended(ended)),
        () = control_plane.failed() => Err(control_plane_ended()),
        done = work => Ok(Some(done)),
    }
}

/// The agent ends by itself only when it cannot go on; then neither can this.
fn agent_ended(
    ended: Result<Result<(), dugout_agent::AgentError>, tokio::task::JoinError>,
) -> anyhow::Error {
    let error = match ended {
        Err(error) => anyhow::Error::new(error).context("this machine's agent failed unexpectedly"),
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => anyhow::anyhow!("nothing told it to"),
    };
    error.context("this machine's agent ended")
}

/// What to say when a part of the control plane is no more.
pub fn control_plane_ended() -> anyhow::Error {
    anyhow::anyhow!(
        "a part of the control plane ended unexpectedly; the log says which, start it again"
    )
}

/// Starts the agent of this machine. It is an agent like any other: it dials the server's port and
/// shows a join token.
async fn start_agent(
    arguments: &UpArguments,
    data_dir: &DataDir,
    local: &Local,
    control_plane: &ControlPlane,
    metrics: AgentMetrics,
    shutdown: &CancellationToken,
) -> anyhow::Result<AgentTask> {
    let token = data_dir.secret(&data_dir.join_token(), random_token)?;
    control_plane
        .reconciler
        .tokens()
        .admit(&token)
        .await
        .context("the agent's join token cannot be stored")?;
    let config = AgentConfig {
        server_url: format!("http://{}", reachable(control_plane.address)),
        token,
        name: arguments.node_name.clone(),
        labels: arguments.labels.clone().into_iter().collect(),
        docker_host: Some(local.host().to_owned()),
        data_dir: data_dir.agent(),
        address: None,
        image_gc: arguments.image_gc.policy(),
        storage: arguments.storage.config(),
        allowed: arguments.policy.allowed(),
    };
    let stop = shutdown.clone();
    Ok(tokio::spawn(dugout_agent::run(config, Arc::new(metrics), stop)))
}

/// Where a listening address is reached from this machine.
fn reachable(address: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    std::net::SocketAddr::new(ip, address.port())
}
