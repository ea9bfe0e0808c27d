//! `dugout server` and `dugout agent`: the two halves for more than one machine.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::routing::get;
use dugout_agent::{AgentConfig, AgentMetrics};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::arguments::{AgentArguments, ServerArguments};
use crate::client::Usage;
use crate::control_plane::ControlPlane;
use crate::control_plane_settings::settings;
use crate::data_dir::DataDir;
use crate::http_port::{self, ConnectionMetrics};
use crate::metrics::Exposition;
use crate::output::tell;
use crate::up::control_plane_ended;
use crate::{logging, metrics, signals};

/// How long blocking work may go on when everything else has ended.
const LEFT_BEHIND_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a control plane without an agent until it is told to stop.
pub fn server(arguments: ServerArguments) -> anyhow::Result<ExitCode> {
    logging::to_standard_error()?;
    run_to_end(run_server(arguments))
}

async fn run_server(arguments: ServerArguments) -> anyhow::Result<ExitCode> {
    let shutdown = signals::shutdown_token()?;
    let data_dir = DataDir::choose(arguments.data_dir.as_deref())?;
    data_dir.create()?;
    let _lock = data_dir.lock()?;
    let settings = settings(&arguments.control_plane, &arguments.repo, &data_dir)?;
    let starting =
        ControlPlane::start(settings, arguments.postgres_url.clone(), Exposition::default());
    let Some(mut control_plane) = shutdown.run_until_cancelled(starting).await.transpose()? else {
        return Ok(stopped_early());
    };
    tell!("Serving   http://{}", control_plane.address);
    tell!(
        "          operator token in {}; join tokens: dugout token create",
        data_dir.operator_token().display()
    );
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = control_plane.failed() => return Err(control_plane_ended()),
    }
    control_plane.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// What is told when a signal came before everything ran.
pub fn stopped_early() -> ExitCode {
    tell!("Stopped before the start was complete.");
    ExitCode::SUCCESS
}

/// Runs one node's agent until it is told to stop; its containers keep running.
pub fn agent(arguments: AgentArguments) -> anyhow::Result<ExitCode> {
    logging::to_standard_error()?;
    run_to_end(run_agent(arguments))
}

async fn run_agent(arguments: AgentArguments) -> anyhow::Result<ExitCode> {
    let shutdown = signals::shutdown_token()?;
    let data_dir = match &arguments.data_dir {
        Some(given) => given.clone(),
        None => DataDir::default_root()?.join("agent"),
    };
    let mut exposition = Exposition::default();
    let metrics = AgentMetrics::register(&mut exposition.registry);
    exposition.usage = Some(metrics.usage.clone());
    let config = AgentConfig {
        server_url: arguments.server.clone().unwrap_or_default(),
        token: join_token(&arguments)?,
        name: arguments.name.clone(),
        labels: arguments.labels.clone().into_iter().collect(),
        docker_host: arguments.docker_host.clone(),
        data_dir,
        address: arguments.address,
        image_gc: arguments.image_gc.policy(),
        storage: arguments.storage.config(),
        allowed: arguments.policy.allowed(),
    };
    // A failure to listen must be known before the agent begins.
    let port = match arguments.metrics_listen {
        Some(address) => Some(metrics_port(address, exposition, shutdown.clone()).await?),
        None => None,
    };
    let ended = dugout_agent::run(config, Arc::new(metrics), shutdown).await;
    if let Some(port) = port {
        port.abort();
    }
    ended.context("the agent stopped")?;
    Ok(ExitCode::SUCCESS)
}

/// The join token: as given, else from its file.
fn join_token(arguments: &AgentArguments) -> anyhow::Result<String> {
    if let Some(token) = &arguments.token {
        if token.trim().is_empty() {
            bail!(Usage(
                "the join token is empty; `dugout token create` on the server prints one"
                    .to_owned()
            ));
        }
        return Ok(token.clone());
    }
    let Some(path) = &arguments.join_token_file else {
        bail!(Usage(
            "an agent needs a join token: `dugout token create` on the server prints one; give it with --join-token-file, or in DUGOUT_JOIN_TOKEN".to_owned()
        ));
    };
    let token = std::fs::read_to_string(path)
        .with_context(|| format!("the join token {} cannot be read", path.display()))?;
    match token.trim() {
        "" => bail!("the join token {} is empty", path.display()),
        token => Ok(token.to_owned()),
    }
}

/// Serves an agent's metrics and its health. It is healthy when it answers: whether its engine and
/// its server do is told by the metrics, and none of them is mended by starting the agent again.
async fn metrics_port(
    address: SocketAddr,
    mut exposition: Exposition,
    shutdown: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let listener = http_port::listen(address, "--metrics-listen").await?;
    let address = listener.local_addr().context("the listening address cannot be read")?;
    tell!("Serving   http://{address}/metrics");
    let connections = ConnectionMetrics::register(&mut exposition.registry);
    let router = metrics::router(exposition).route("/healthz", get(|| async { "ok\n" }));
    let limits = http_port::Limits::default();
    Ok(tokio::spawn(http_port::serve(listener, router, limits, connections, shutdown)))
}

/// The runtime of what runs until it is told to stop. Two workers are plenty: decisions take
/// microseconds, and what blocks has threads of its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    allow_many_files();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// Raises the number of files that this process may have open to what the machine allows it: each
/// connection through a node port takes two.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Runs to the end; what still blocks then (a silent remote) is left behind.
pub fn run_to_end(
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND_AFTER);
    result
}
