//! What is durable: pods placed and committed, a minute of many small changes, and the time in which a
//! leader that begins has read everything. PostgreSQL flushes to the disk, as it does for users.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dugout_model::{ContainerState, Fact, NodeName, Pod, World};
use dugout_planner::{Plan, PlanInput, Settings};
use dugout_reconciler::{Clock, Engine, EngineMetrics, Publisher, Surroundings, SystemClock};
use dugout_store::{Leadership, Leading, Store};
use dugout_tests::postgres::Postgres;
use dugout_tests::statistics::{Sample, verdict};
use prometheus_client::registry::Registry;

use crate::cluster::{Commits, REPLICAS, all_ready_on, beginning, report};

const NODES: u32 = 5_000;
/// Pods that are placed in one turn, and those that there are in the end.
const PLACED: u32 = 50_000;
const PODS: u32 = 150_000;
const CHANGES_PER_SECOND: u32 = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(measure());
}

async fn measure() {
    let postgres = Postgres::durable();
    let store = Store::connect(&postgres.url()).await.expect("PostgreSQL answers");
    store.migrate().await.expect("the tables can be made");
    let Leading::Leader(leadership) = store.lead("bench").await.expect("PostgreSQL answers") else {
        unreachable!("nobody else leads");
    };
    let world = store.load().await.expect("it can be read");
    let mut engine = begin(leadership, world);
    step(&mut engine, beginning(NODES)).await;

    let mut commits = Commits::default();
    let clock = SystemClock::default();
    LONGEST_PLAN.store(0, Ordering::Relaxed);
    let first = commits.commit(0..PLACED / REPLICAS, 0, clock.now());
    let took = step(&mut engine, vec![first]).await;
    assert_eq!(placed(engine.world()), PLACED as usize, "every pod has a node");
    let per_second = f64::from(PLACED) / took.as_secs_f64();
    let raw = raw_insert(&postgres);
    let floor = f64::from(PLACED) / raw.as_secs_f64();
    println!("{PLACED} pods placed and committed in one turn  {per_second:>9.0} pods/s");
    println!("  of {took:.2?}, planned in                      {:>9.2?}", longest_plan());
    println!("  the same rows of pods alone, inserted raw     {floor:>9.0} rows/s");
    verdict(
        "25,000 durable placements a second",
        &format!("{per_second:.0}/s"),
        per_second >= 25e3,
    );
    let ratio = per_second / floor;
    verdict("half of a raw insert of the same rows", &format!("{ratio:.2} ×"), ratio >= 0.5);

    let rest = commits.commit(PLACED / REPLICAS..PODS / REPLICAS, 0, clock.now());
    step(&mut engine, vec![rest]).await;
    all_ready(&mut engine).await;
    // What was written to get here is not what a minute of changes costs.
    postgres.run("checkpoint");
    a_minute_of_changes(&mut engine).await;

    let began = Instant::now();
    let loaded = store.load().await.expect("it can be read");
    let took = began.elapsed();
    assert_eq!(loaded.pods.len(), PODS as usize);
    println!("{PODS} pods read by a leader that begins        {:>9.2} s", took.as_secs_f64());
    verdict("150,000 pods in 2 s", &format!("{:.2} s", took.as_secs_f64()), took.as_secs() < 2);
}

fn begin(leadership: Leadership, world: World) -> Engine<Leadership> {
    let surroundings = Surroundings {
        // Only those with news report.
        settings: Settings { node_timeout: Duration::from_secs(1_000_000) },
        planner: Arc::new(timed_plan),
        clock: Arc::new(SystemClock::default()),
        publisher: Arc::new(Publisher::new(world.cluster)),
        metrics: Arc::new(EngineMetrics::register(&mut Registry::default())),
    };
    Engine::begin(leadership, world, 1, surroundings)
}

/// The longest time that planning took since it was last asked, in microseconds.
static LONGEST_PLAN: AtomicU64 = AtomicU64::new(0);

fn timed_plan(input: PlanInput<'_>) -> Plan {
    let began = Instant::now();
    let plan = dugout_planner::plan(input);
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    LONGEST_PLAN.fetch_max(took, Ordering::Relaxed);
    plan
}

fn longest_plan() -> Duration {
    Duration::from_micros(LONGEST_PLAN.swap(0, Ordering::Relaxed))
}

async fn step(engine: &mut Engine<Leadership>, facts: Vec<Fact>) -> Duration {
    let began = Instant::now();
    engine.step(facts).await.expect("the turn can be committed");
    began.elapsed()
}

fn placed(world: &World) -> usize {
    world.pods.len() - world.unplaced_pods().count()
}

/// How long PostgreSQL takes for the rows of pods that there are, many in each statement and all in one
/// transaction, in a table like theirs.
fn raw_insert(postgres: &Postgres) -> Duration {
    let rows = postgres
        .dump("pods", 1_000)
        .replace("INSERT INTO public.pods", "INSERT INTO public.raw_pods");
    postgres.run("create table raw_pods (like pods including all)");
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), format!("begin;\n{rows}\ncommit;\n")).expect("it can be written");
    let began = Instant::now();
    postgres.run_file(file.path());
    let took = began.elapsed();
    postgres.run("drop table raw_pods");
    took
}

/// Every node reports that all of its pods are ready, until nothing follows from it.
async fn all_ready(engine: &mut Engine<Leadership>) {
    let clock = SystemClock::default();
    for _ in 0..100 {
        let world = engine.world();
        let waits = |pod: &&Arc<Pod>| pod.ready_since().is_none() || !pod.is_active();
        let news = world.pods.values().filter(waits).filter_map(|pod| pod.node().cloned());
        let news: BTreeSet<NodeName> = news.collect();
        if news.is_empty() {
            return;
        }
        let now = clock.now();
        let facts = news.iter().map(|node| all_ready_on(world, node, now)).collect();
        step(engine, facts).await;
    }
    unreachable!("what is reported ready is ready");
}

/// Reports that each change one pod, evenly spread over a minute. A change that comes while a turn is
/// under way waits for the next one.
async fn a_minute_of_changes(engine: &mut Engine<Leadership>) {
    let nodes: Vec<NodeName> = engine.world().nodes.keys().cloned().collect();
    let total = CHANGES_PER_SECOND * u32::try_from(MINUTE.as_secs()).unwrap_or(u32::MAX);
    let due_at = |number: u32| MINUTE * number / total;
    let (mut sent, mut turns) = (0, 0);
    let (mut longest, mut longest_at) = (Duration::ZERO, Duration::ZERO);
    let mut spans = Vec::with_capacity(total as usize);
    longest_plan();
    let began = Instant::now();
    while sent < total {
        let first = sent;
        let mut facts = Vec::new();
        while sent < total && due_at(sent) <= began.elapsed() {
            let node = &nodes[sent as usize % nodes.len()];
            facts.push(restarted(engine.world(), node, sent));
            sent += 1;
        }
        if facts.is_empty() {
            tokio::time::sleep(due_at(sent).saturating_sub(began.elapsed())).await;
            continue;
        }
        let took = step(engine, facts).await;
        if took > longest {
            (longest, longest_at) = (took, began.elapsed());
        }
        turns += 1;
        let ended = began.elapsed();
        spans.extend((first..sent).map(|number| ended - due_at(number)));
    }
    let sample = Sample::new(spans);
    println!(
        "{CHANGES_PER_SECOND} changes a second for a minute, {PODS} pods   {}, {turns} turns, the longest {longest:.1?} after {longest_at:.1?}, the longest plan {:.1?}",
        sample.show(),
        longest_plan()
    );
    let p99 = sample.p99();
    verdict("a change committed and published, p99 5 ms", &format!("{p99:.1} ms"), p99 <= 5.0);
}

/// A node's report in which one of its pods was restarted, and the others are as they were.
fn restarted(world: &World, node: &NodeName, number: u32) -> Fact {
    let chosen = world.pods_on(node).next().map(|pod| pod.uid);
    let restarts = number / NODES + 1;
    report(world, node, |pod| {
        let mut containers = pod.seen.known().into_iter().flat_map(|seen| &seen.containers);
        let before = containers.next().expect("it was told to be ready");
        let ContainerState::Running { started_at } = before.state else {
            unreachable!("nothing ends here");
        };
        let times = if Some(pod.uid) == chosen { restarts } else { before.restarts };
        (times, started_at)
    })
}
