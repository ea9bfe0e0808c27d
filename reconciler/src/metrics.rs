//! The control plane's metrics: counters made by registration, and sizes that are read from the
//! published world at scrape time, so that a gauge cannot drift from the truth.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dugout_model::{
    Change, JobState, Release, SourceName, Step, TimelineEntry, Timestamp, Verdict, World,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// Upper bounds, in seconds, from a tenth of a millisecond to ten minutes.
const BUCKETS_SECONDS: [f64; 16] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
    120.0, 600.0,
];

/// The same for what people take part in, from a tenth of a second to thirty days.
const LONG_BUCKETS_SECONDS: [f64; 14] = [
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3_600.0,
    14_400.0,
    86_400.0,
    259_200.0,
    604_800.0,
    2_592_000.0,
];

/// How many pods' and commits' last steps are remembered to measure the span to the next.
const HOP_MEMORY: usize = 4_096;

type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HopLabels {
    hop: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    source: String,
    verdict: &'static str,
}

/// What the engine counts.
pub struct EngineMetrics {
    leader: Gauge,
    turns: Counter,
    turn_duration: Histogram,
    facts: Counter,
    commit_duration: Histogram,
    store_errors: Counter,
    plans_refused: Counter,
    releases: Family<ReleaseLabels, Counter>,
    jobs_failed: Family<NamespaceLabels, Counter>,
    release_duration: Family<ReleaseLabels, Histogram>,
    restore_duration: Family<SourceLabels, Histogram>,
    lead_time: Family<SourceLabels, Histogram>,
    hops: Family<HopLabels, Histogram>,
    last_steps: Mutex<LastSteps>,
}

impl EngineMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let mut add = Adding(registry);
        Self {
            leader: add.one("dugout_leader", "Whether this server leads (1) or not (0)"),
            turns: add.one("dugout_turns", "Turns of the engine"),
            turn_duration: add
                .seconds("dugout_turn_duration_seconds", "Time of one turn, its commit included"),
            facts: add.one("dugout_turn_facts", "Facts that entered the engine"),
            commit_duration: add
                .seconds("dugout_commit_duration_seconds", "Time of one transaction"),
            store_errors: add.one(
                "dugout_store_errors",
                "Failures of the database that ended a leadership or kept it from starting",
            ),
            plans_refused: add.one(
                "dugout_plans_refused",
                "Plans that the independent check refused; each is a defect",
            ),
            releases: add.one("dugout_releases", "Releases by final verdict"),
            jobs_failed: add.one("dugout_jobs_failed", "Jobs that failed for good"),
            release_duration: add.seconds_by(
                "dugout_release_duration_seconds",
                "Time from the turn that applied a commit to its final verdict",
            ),
            restore_duration: add.seconds_by(
                "dugout_restore_duration_seconds",
                "Time from a release's failure until everything of its source was healthy again",
            ),
            lead_time: add.long_seconds_by(
                "dugout_lead_time_seconds",
                "Time from the moment that a commit was made, by its own account, until it was healthy",
            ),
            hops: add.seconds_by(
                "dugout_hop_duration_seconds",
                "Time of each hop on the way from a commit to a ready pod",
            ),
            last_steps: Mutex::default(),
        }
    }

    pub(crate) fn turn_started(&self, facts: usize) -> Instant {
        self.facts.inc_by(facts as u64);
        Instant::now()
    }

    pub(crate) fn turn_ended(&self, started: Instant) {
        self.turns.inc();
        self.turn_duration.observe(started.elapsed().as_secs_f64());
    }

    pub(crate) fn commit_started(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn commit_ended(&self, started: Instant) {
        self.commit_duration.observe(started.elapsed().as_secs_f64());
    }

    pub(crate) fn plan_refused(&self) {
        self.plans_refused.inc();
    }

    /// How many plans their own check refused: each is a mistake in Dugout.
    pub fn plans_refused(&self) -> u64 {
        self.plans_refused.get()
    }

    pub(crate) fn store_failed(&self) {
        self.store_errors.inc();
    }

    pub(crate) fn leading(&self, here: bool) {
        self.leader.set(i64::from(here));
    }

    /// Counts what a committed turn says about releases, jobs and hops.
    pub(crate) fn committed(&self, before: &World, changes: &[Change], now: Timestamp) {
        let mut last_steps = self.last_steps.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::PutRelease(release) => {
                    let known = before.releases.get(&release.id);
                    if known.is_none_or(|known| known.finished_at.is_none()) {
                        self.release(release);
                    }
                }
                Change::PutJob(job) if matches!(job.state, JobState::Failed { .. }) => {
                    let known = before.jobs.get(&job.uid);
                    if known.is_none_or(|known| !known.is_finished()) {
                        let labels = NamespaceLabels { namespace: job.namespace.to_string() };
                        self.jobs_failed.get_or_create(&labels).inc();
                    }
                }
                Change::AppendTimeline(entry) => {
                    if entry.step == Step::Restored {
                        // What failed and was mended in one turn took no time.
                        let since = failure(before, &entry.source).unwrap_or(now);
                        self.restored(&entry.source, now.since(since));
                    }
                    for (hop, seconds) in last_steps.hops(entry, now) {
                        self.hops.get_or_create(&HopLabels { hop }).observe(seconds);
                    }
                }
                _ => {}
            }
        }
    }

    /// Measures how long a source was without health.
    fn restored(&self, source: &SourceName, span: Duration) {
        let labels = SourceLabels { source: source.to_string() };
        self.restore_duration.get_or_create(&labels).observe(span.as_secs_f64());
    }

    fn release(&self, release: &Release) {
        let Some(finished_at) = release.finished_at else { return };
        let labels =
            ReleaseLabels { source: release.source.to_string(), verdict: release.verdict.as_str() };
        self.releases.get_or_create(&labels).inc();
        if release.verdict != Verdict::Superseded {
            self.release_duration
                .get_or_create(&labels)
                .observe(finished_at.since(release.started_at).as_secs_f64());
        }
        if release.verdict == Verdict::Healthy {
            let source = SourceLabels { source: release.source.to_string() };
            // A clock that is ahead makes no time that is less than none.
            let lead_time = finished_at.since(release.commit.committed_at);
            self.lead_time.get_or_create(&source).observe(lead_time.as_secs_f64());
        }
    }
}

/// The last step of each commit and pod, oldest forgotten first.
#[derive(Default)]
struct LastSteps {
    at: HashMap<(String, String), Timestamp>,
    order: VecDeque<(String, String)>,
}

impl LastSteps {
    /// The hops that end with this entry, with their length in seconds.
    fn hops(&mut self, entry: &TimelineEntry, now: Timestamp) -> Vec<(&'static str, f64)> {
        let Some(hop) = hop_that_ends_with(entry.step) else { return Vec::new() };
        let key = (entry.sha.to_string(), entry.subject.clone());
        let mut hops = Vec::with_capacity(2);
        if let (Some(name), Some(before)) = (hop, self.at.get(&key)) {
            hops.push((name, entry.at.since(*before).as_secs_f64()));
        }
        if entry.step == Step::Applied {
            hops.push(("commit", now.since(entry.at).as_secs_f64()));
        }
        // What the engine decided counts from the moment it was durable and published.
        let at = match entry.step {
            Step::Scheduled | Step::Applied => now,
            _ => entry.at,
        };
        self.remember(key, at);
        hops
    }

    fn remember(&mut self, key: (String, String), at: Timestamp) {
        if self.at.insert(key.clone(), at).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > HOP_MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.at.remove(&oldest);
        }
    }
}

/// The hop that a step ends; `Some(None)` for a step that only begins one.
fn hop_that_ends_with(step: Step) -> Option<Option<&'static str>> {
    match step {
        Step::Noticed | Step::Scheduled => Some(None),
        Step::Fetched => Some(Some("fetch")),
        Step::Validated => Some(Some("validate")),
        Step::Applied => Some(Some("plan")),
        Step::Accepted => Some(Some("deliver")),
        Step::Pulled => Some(Some("pull")),
        Step::Created => Some(Some("create")),
        Step::Started => Some(Some("start")),
        Step::Ready => Some(Some("ready")),
        _ => None,
    }
}

/// Since when a source has been without health.
fn failure(world: &World, source: &SourceName) -> Option<Timestamp> {
    world.sources.get(source)?.status.failure.as_ref().map(|failure| failure.since)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    source: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamespaceLabels {
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    dialect: &'static str,
    outcome: &'static str,
}

/// What the source loops and the webhook count.
#[derive(Clone)]
pub struct SourceMetrics {
    fetches: Family<FetchLabels, Counter>,
    fetch_duration: Family<SourceLabels, Histogram>,
    last_success: Family<SourceLabels, FloatGauge>,
    poll_interval: Family<SourceLabels, FloatGauge>,
    deliveries: Family<DeliveryLabels, Counter>,
}

impl SourceMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let mut add = Adding(registry);
        Self {
            fetches: add.one("dugout_source_fetches", "Looks at a source's branch, by outcome"),
            fetch_duration: add.seconds_by(
                "dugout_source_fetch_duration_seconds",
                "Time of one look at a source's branch",
            ),
            last_success: add.one(
                "dugout_source_last_success_timestamp_seconds",
                "When a source's branch was last read",
            ),
            poll_interval: add.one(
                "dugout_source_poll_interval_seconds",
                "How often a source is looked at when nothing says that it changed",
            ),
            deliveries: add
                .one("dugout_webhook_deliveries", "Webhook deliveries, by dialect and outcome"),
        }
    }

    pub(crate) fn follows(&self, source: &str, poll_interval: Duration) {
        let labels = SourceLabels { source: source.to_owned() };
        self.poll_interval.get_or_create(&labels).set(poll_interval.as_secs_f64());
    }

    pub(crate) fn fetched(
        &self,
        source: &str,
        outcome: &'static str,
        started: Instant,
        now: Timestamp,
    ) {
        self.fetches.get_or_create(&FetchLabels { source: source.to_owned(), outcome }).inc();
        let labels = SourceLabels { source: source.to_owned() };
        self.fetch_duration.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
        if outcome == "unchanged" || outcome == "moved" {
            self.last_success.get_or_create(&labels).set(now.as_micros() as f64 / 1e6);
        }
    }

    pub(crate) fn delivered(&self, dialect: &'static str, outcome: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { dialect, outcome }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    reason: &'static str,
}

/// What the agent protocol's server counts.
#[derive(Clone)]
pub struct ProtocolMetrics {
    tokens_refused: Family<TokenLabels, Counter>,
    /// Sessions with containers that pass through this server.
    pub(crate) sessions: Gauge,
}

impl ProtocolMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let mut add = Adding(registry);
        Self {
            tokens_refused: add.one(
                "dugout_join_tokens_refused",
                "Requests of agents refused for their join token, by reason",
            ),
            sessions: add.one(
                "dugout_sessions",
                "Sessions with containers (exec, attach, cp) that are open through this server",
            ),
        }
    }

    /// The reason is missing, wrong, or too-many.
    pub(crate) fn token_refused(&self, reason: &'static str) {
        self.tokens_refused.get_or_create(&TokenLabels { reason }).inc();
    }
}

/// Registers the version, as an info-like gauge that is always 1.
pub fn register_build_info(registry: &mut Registry) {
    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct BuildLabels {
        version: &'static str,
    }
    let info: Family<BuildLabels, Gauge> =
        Adding(registry).one("dugout_build_info", "The running version, in a label");
    info.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
}

/// A registry that metrics are made in: each is registered and handed back. Counters' names get
/// `_total` where they are shown.
pub struct Adding<'a>(pub &'a mut Registry);

impl Adding<'_> {
    pub fn one<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.add(name, help, M::default())
    }

    pub fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        self.add(name, help, Histogram::new(BUCKETS_SECONDS))
    }

    pub fn seconds_by<L>(&mut self, name: &str, help: &str) -> Family<L, Histogram>
    where
        L: Clone + Eq + Hash + EncodeLabelSet + Debug + Send + Sync + 'static,
    {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
        self.add(name, help, Family::new_with_constructor(histogram))
    }

    pub fn long_seconds_by<L>(&mut self, name: &str, help: &str) -> Family<L, Histogram>
    where
        L: Clone + Eq + Hash + EncodeLabelSet + Debug + Send + Sync + 'static,
    {
        let histogram: fn() -> Histogram = || Histogram::new(LONG_BUCKETS_SECONDS);
        self.add(name, help, Family::new_with_constructor(histogram))
    }

    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}
