//! The control plane in this process: the store, the reconciler and one HTTP port in front of them.
//! `dugout up` and `dugout server` are both made of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use dugout_model::chain;
use dugout_planner::Settings;
use dugout_reconciler::{Adding, Reconciler, SourceConfig};
use dugout_store::{Store, StoreError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::backend::ControlPlaneBackend;
use crate::http_port::{self, ConnectionMetrics};
use crate::metrics::{self, Exposition};
use crate::output::tell;

/// How long the database may take to answer when the control plane starts.
const DATABASE_START_DEADLINE: Duration = Duration::from_secs(30);

/// How long it may take before a person is told.
const DATABASE_START_PATIENCE: Duration = Duration::from_secs(3);

/// How long open requests may take to end when the control plane stops. Long-polls are cut: their
/// agents ask again.
const HTTP_STOP_DEADLINE: Duration = Duration::from_millis(500);

/// How long the engine and the source loops may take to end.
const TASKS_STOP_DEADLINE: Duration = Duration::from_secs(10);

pub struct ControlPlaneSettings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub sources: Vec<SourceConfig>,
    pub node_timeout: Duration,
    pub operator_token: String,
    /// Host names under which browsers may reach the port, beside the loopback ones.
    pub host_names: Vec<String>,
    pub webhook_secrets: dugout_webhook::Secrets,
}

/// A running control plane.
pub struct ControlPlane {
    pub reconciler: Reconciler,
    pub address: SocketAddr,
    tasks: JoinSet<()>,
    http: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl ControlPlane {
    /// The longest that [`ControlPlane::stop`] takes.
    pub const STOP_DEADLINE: Duration = HTTP_STOP_DEADLINE.saturating_add(TASKS_STOP_DEADLINE);

    pub async fn start(
        settings: ControlPlaneSettings,
        database_url: String,
        mut exposition: Exposition,
    ) -> anyhow::Result<ControlPlane> {
        let listener = http_port::listen(settings.listen, "--listen").await?;
        let address = listener.local_addr().context("the listening address cannot be read")?;
        let store = open_store(&database_url).await?;
        let shutdown = CancellationToken::new();
        let config = dugout_reconciler::Config {
            store,
            holder: holder(address),
            data_dir: settings.data_dir.clone(),
            sources: settings.sources.clone(),
            settings: Settings { node_timeout: settings.node_timeout },
        };
        let registry = &mut exposition.registry;
        let requests = RequestMetrics::register(registry);
        let connections = ConnectionMetrics::register(registry);
        let (reconciler, tasks) = Reconciler::start(config, registry, &shutdown)
            .await
            .context("the reconciler cannot start")?;
        let router = router(&settings, &reconciler, exposition, requests)?;
        let http = http_port::serve(
            listener,
            router,
            http_port::Limits::default(),
            connections,
            shutdown.clone(),
        );
        let http = tokio::spawn(http);
        Ok(ControlPlane { reconciler, address, tasks, http, shutdown })
    }

    /// Returns when a part that should run until the end has ended before it: a defect.
    pub async fn failed(&mut self) {
        tokio::select! {
            ended = self.tasks.join_next() => tracing::error!(?ended, "a loop ended unexpectedly"),
            ended = &mut self.http => tracing::error!(?ended, "the HTTP port ended unexpectedly"),
        }
    }

    /// Stops in order: no new requests, then the engine, which finishes the turn it is in.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if tokio::time::timeout(HTTP_STOP_DEADLINE, &mut self.http).await.is_err() {
            self.http.abort();
        }
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(TASKS_STOP_DEADLINE, ended).await.is_err() {
            tracing::warn!("the reconciler did not end in time and was cut off");
            self.tasks.abort_all();
        }
    }
}

/// Connects to the database, waiting for one that is just starting, and brings its schema up to date.
async fn open_store(url: &str) -> anyhow::Result<Store> {
    let began = tokio::time::Instant::now();
    let mut told = false;
    let store = loop {
        match Store::connect(url).await {
            Ok(store) => break store,
            // A wrong address or password, or a server that is too old, does not mend itself.
            Err(error @ (StoreError::Unavailable { .. } | StoreError::TooSlow { .. }))
                if began.elapsed() < DATABASE_START_DEADLINE =>
            {
                tracing::debug!(%error, "the database does not answer yet");
                if !told && began.elapsed() > DATABASE_START_PATIENCE {
                    told = true;
                    tell!("Waiting   {}", chain(&error));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => {
                return Err(error).context("the database cannot be used; check --postgres-url");
            }
        }
    };
    store.migrate().await.context("the database's schema cannot be brought up to date")?;
    Ok(store)
}

/// How this server calls itself to the others: unique per process, readable for people.
fn holder(address: SocketAddr) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} (process {}, {address})", host.trim(), std::process::id())
}

/// One port for everybody: people, agents, forges, Prometheus.
fn router(
    settings: &ControlPlaneSettings,
    reconciler: &Reconciler,
    exposition: Exposition,
    requests: RequestMetrics,
) -> anyhow::Result<Router> {
    let backend = Arc::new(ControlPlaneBackend::new(reconciler.clone()));
    let token = dugout_model::SecretValue::new(&settings.operator_token);
    let access = Arc::new(dugout_api::Access::new(token, settings.host_names.clone())?);
    let counted = reconciler.clone();
    let webhooks = dugout_webhook::router(
        settings.webhook_secrets.clone(),
        Arc::new(reconciler.clone()),
        Arc::new(move |dialect: dugout_webhook::Dialect, outcome: dugout_webhook::Outcome| {
            counted.webhook_delivered(dialect.as_str(), outcome.as_str());
        }),
        dugout_webhook::Limits::default(),
    );
    let metrics = access.guard_reads(metrics::router(exposition));
    Ok(dugout_api::router(backend, &access, dugout_api::Limits::default())
        .merge(metrics)
        .merge(webhooks)
        .merge(reconciler.agent_router())
        .layer(middleware::from_fn_with_state(requests, count)))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    code: u16,
}

/// Counts requests by route, never by path: the number of routes is bounded.
#[derive(Clone)]
struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
}

impl RequestMetrics {
    fn register(registry: &mut Registry) -> Self {
        let help = "HTTP requests by route, method and status";
        Self { requests: Adding(registry).one("dugout_http_requests", help) }
    }
}

async fn count(State(metrics): State<RequestMetrics>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => {
            known.to_owned()
        }
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    let labels = RequestLabels { route, method, code: response.status().as_u16() };
    metrics.requests.get_or_create(&labels).inc();
    response
}
