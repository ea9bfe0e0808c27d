//! The reconciler: one engine that decides and writes, and the loops around it that bring facts in
//! and carry results out.
//!
//! A webhook, a timer, a file event or a report only wakes a loop, which looks at the truth again.
//! With every fast path off, everything still converges.

mod clock;
mod declared;
mod driver;
mod engine;
mod forecast;
mod gauges;
mod guesses;
mod handle;
mod metrics;
mod owed;
mod protocol;
mod publish;
mod pushes;
mod read;
mod retention;
mod rollback;
mod sessions;
mod sources;
mod streams;
mod timers;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use dugout_gitsync::Doorbell;
use dugout_model::{
    Fact, Foreseen, NodeName, NoticedBy, OperatorRequest, SourceDeclaration, SourceName, World,
};
use dugout_planner::Settings;
use dugout_store::{Store, StoreError};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use clock::{Clock, SystemClock};
pub use dugout_model::peer_network;
pub use engine::{Engine, EngineEnd, Ledger, Planner, Surroundings};
pub use forecast::ForecastError;
pub use handle::{EngineHandle, Leading, NotCommitted};
pub use metrics::{Adding, EngineMetrics, register_build_info};
pub use publish::Publisher;
pub use rollback::{OnBranch, Rollback, RollbackError, RolledBack};
pub use sessions::Session;
pub use sources::SourceConfig;
pub use streams::{Chunk, StreamRefused};
pub use tokens::{NewToken, Tokens};

use crate::driver::Driver;
use crate::engine::INBOX_CAPACITY;
use crate::metrics::{ProtocolMetrics, SourceMetrics};
use crate::sources::{SharedMirror, SourceLoop};
use crate::streams::StreamBroker;

/// What a reconciler is made of.
pub struct Config {
    pub store: Store,
    /// How this server calls itself to the others.
    pub holder: String,
    /// Where the mirrors of repositories are kept.
    pub data_dir: PathBuf,
    pub sources: Vec<SourceConfig>,
    pub settings: Settings,
}

/// A running reconciler, as its front doors see it; cheap to clone.
#[derive(Clone)]
pub struct Reconciler {
    engine: EngineHandle,
    publisher: Arc<Publisher>,
    store: Store,
    tokens: Tokens,
    streams: StreamBroker,
    sources: Arc<BTreeMap<SourceName, SourceHandle>>,
    source_metrics: SourceMetrics,
    protocol_metrics: ProtocolMetrics,
    clock: Arc<dyn Clock>,
    settings: Settings,
    reported: Arc<watch::Sender<bool>>,
}

/// What the front doors need of a source loop.
struct SourceHandle {
    /// Whether the loop has looked at its branch since the start.
    looked: watch::Receiver<bool>,
    mirror: Arc<SharedMirror>,
    doorbell: Arc<Doorbell>,
    // One forecast at a time: each may fetch a branch into the same folder, and computes for a while.
    foreseeing: Arc<tokio::sync::Mutex<()>>,
}

impl SourceHandle {
    fn new(
        looked: watch::Receiver<bool>,
        mirror: Arc<SharedMirror>,
        doorbell: Arc<Doorbell>,
    ) -> Self {
        Self { looked, mirror, doorbell, foreseeing: Arc::default() }
    }
}

impl Reconciler {
    /// Starts the engine's driver and a loop for each source. They end when `shutdown` is cancelled;
    /// the returned set ends when they have.
    pub async fn start(
        config: Config,
        registry: &mut Registry,
        shutdown: &CancellationToken,
    ) -> Result<(Reconciler, JoinSet<()>), StoreError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let publisher = Arc::new(Publisher::new(config.store.cluster().await?));
        register_build_info(registry);
        let engine_metrics = Arc::new(EngineMetrics::register(registry));
        let source_metrics = SourceMetrics::register(registry);
        let protocol_metrics = ProtocolMetrics::register(registry);
        let (inbox_sender, inbox) = mpsc::channel(INBOX_CAPACITY);
        let (leading, leading_now) = watch::channel(Leading::Nobody { reason: "starting".into() });
        let engine = EngineHandle::new(inbox_sender, leading_now);
        gauges::register(registry, &engine, &publisher, &clock);
        let settings = config.settings.clone();
        let driver = Driver {
            store: config.store.clone(),
            holder: config.holder,
            settings: config.settings,
            clock: Arc::clone(&clock),
            publisher: Arc::clone(&publisher),
            metrics: engine_metrics,
            leading,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(inbox, shutdown.clone()));
        let mut sources = BTreeMap::new();
        for source in config.sources {
            let name = source.name().clone();
            let dir = config.data_dir.join("mirrors").join(name.as_str());
            let mirror = Arc::new(SharedMirror::new(source, dir));
            let doorbell = Arc::new(Doorbell::new());
            let (looked_sender, looked) = watch::channel(false);
            let source_loop = SourceLoop {
                looked: looked_sender,
                mirror: Arc::clone(&mirror),
                doorbell: Arc::clone(&doorbell),
                engine: engine.clone(),
                publisher: Arc::clone(&publisher),
                clock: Arc::clone(&clock),
                metrics: source_metrics.clone(),
            };
            tasks.spawn(source_loop.run(shutdown.clone()));
            sources.insert(name, SourceHandle::new(looked, mirror, doorbell));
        }
        tasks.spawn(retention::run(
            config.store.clone(),
            engine.clone(),
            Arc::clone(&clock),
            shutdown.clone(),
        ));
        let reconciler = Reconciler {
            engine,
            publisher,
            tokens: Tokens::new(config.store.clone(), Arc::clone(&clock)),
            store: config.store,
            streams: StreamBroker::default(),
            sources: Arc::new(sources),
            source_metrics,
            protocol_metrics,
            clock,
            settings,
            reported: Arc::new(watch::channel(false).0),
        };
        Ok((reconciler, tasks))
    }

    /// The read snapshot: the last published world.
    pub fn world(&self) -> Arc<World> {
        self.publisher.world()
    }

    /// Follows the published worlds.
    pub fn worlds(&self) -> watch::Receiver<Arc<World>> {
        self.publisher.worlds()
    }

    /// Returns when what the published world says is of now: every source was looked at, and a node
    /// has reported, since this reconciler started.
    pub async fn settled(&self) {
        for handle in self.sources.values() {
            let mut looked = handle.looked.clone();
            // A loop that ended looks no more; then there is nothing to wait for.
            let _ = looked.wait_for(|looked| *looked).await;
        }
        let mut reported = self.reported.subscribe();
        let _ = reported.wait_for(|reported| *reported).await;
    }

    pub fn leading(&self) -> Leading {
        self.engine.leading()
    }

    /// History that only the database has.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The agent protocol's routes.
    pub fn agent_router(&self) -> Router {
        protocol::router(protocol::Protocol {
            engine: self.engine.clone(),
            publisher: Arc::clone(&self.publisher),
            streams: self.streams.clone(),
            tokens: self.tokens.clone(),
            metrics: self.protocol_metrics.clone(),
            node_timeout: self.settings.node_timeout,
            reported: Arc::clone(&self.reported),
        })
    }

    /// Performs a runtime operation.
    pub async fn operate(&self, request: OperatorRequest) -> Result<(), NotCommitted> {
        let goes_on = match &request {
            OperatorRequest::Resume(source) | OperatorRequest::Approve { source, .. } => {
                Some(source.clone())
            }
            _ => None,
        };
        self.engine.submit(vec![Fact::Operator(request)]).await?;
        if let Some(source) = goes_on {
            self.ring(Some(&source), NoticedBy::Operator);
        }
        Ok(())
    }

    /// Has a source, or all, looked at now. False when there is no such source.
    pub fn ring(&self, source: Option<&SourceName>, noticed_by: NoticedBy) -> bool {
        let mut rung = false;
        for (name, handle) in self.sources.iter() {
            if source.is_none_or(|wanted| wanted == name) {
                handle.doorbell.ring(noticed_by, self.clock.now());
                rung = true;
            }
        }
        rung
    }

    /// Commits a revert to a source's branch, pushes it, and has it applied. While the branch cannot be
    /// had, has the cluster go back from the mirror, and the commit pushed later.
    pub async fn rollback(&self, request: Rollback) -> Result<RolledBack, RollbackError> {
        let (name, handle) = match &request.source {
            Some(name) => self
                .sources
                .get_key_value(name)
                .ok_or_else(|| RollbackError::UnknownSource { source_name: name.clone() })?,
            None if self.sources.len() == 1 => {
                self.sources.first_key_value().ok_or(RollbackError::WhichSource)?
            }
            None => return Err(RollbackError::WhichSource),
        };
        let to = match request.to {
            Some(to) => to,
            None => rollback::last_healthy(&self.store, name).await?.to_string(),
        };
        let mirror = Arc::clone(&handle.mirror);
        let request = rollback::Request { to, reason: request.reason, at: self.clock.now() };
        let done =
            rollback::perform(mirror, (&self.engine, &self.store), &self.world(), request).await?;
        handle.doorbell.ring(NoticedBy::Operator, self.clock.now());
        Ok(done)
    }

    /// Tells what a commit would do; without a reference, the branch's newest one that was seen. The
    /// reference is a commit that was fetched, by its first characters, or a branch of the repository.
    pub async fn foresee(
        &self,
        source: &SourceName,
        reference: Option<String>,
    ) -> Result<Foreseen, ForecastError> {
        let handle = self
            .sources
            .get(source)
            .ok_or_else(|| ForecastError::UnknownSource { source_name: source.clone() })?;
        let alone = Arc::clone(&handle.foreseeing).lock_owned().await;
        let outlook = forecast::Outlook {
            mirror: Arc::clone(&handle.mirror),
            world: self.world(),
            settings: self.settings.clone(),
            now: self.clock.now(),
        };
        forecast::foresee(outlook, reference, alone).await
    }

    /// Opens a stream from a node, such as a container's logs.
    pub async fn open_stream(
        &self,
        node: &NodeName,
        kind: dugout_wire::StreamKind,
    ) -> Result<mpsc::Receiver<Chunk>, StreamRefused> {
        self.streams.open(node, kind).await
    }

    /// Opens a session with a container of a node.
    pub async fn open_session(
        &self,
        node: &NodeName,
        request: dugout_wire::SessionRequest,
    ) -> Result<Session, StreamRefused> {
        self.streams.open_session(node, request).await
    }

    /// Counts a webhook delivery.
    pub fn webhook_delivered(&self, dialect: &'static str, outcome: &'static str) {
        self.source_metrics.delivered(dialect, outcome);
    }

    /// The declarations of the sources that this server follows.
    pub fn declarations(&self) -> impl Iterator<Item = &SourceDeclaration> {
        self.sources.values().map(|handle| &handle.mirror.config.declaration)
    }
}

impl dugout_webhook::Wake for Reconciler {
    fn wake(&self, hint: &dugout_webhook::PushHint) -> dugout_webhook::Wakening {
        pushes::wake(&self.engine.leading(), &self.sources, hint, self.clock.now())
    }
}
