//! The engine on a ledger in memory and a clock that stands still.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use dugout_model::{
    ClusterId, EngineId, Lifecycle, NamespaceName, NodeName, NodeRegistration, NodeReport,
    ObjectName, Placement, Pod, PodIdentity, PodMilestones, PodPhase, PodReport, PodUid,
    ReplicaSetUid, Resources, Seen, StringMap, Timestamp,
};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::handle::{EngineHandle, Leading, NotCommitted};

/// What the ledger in memory knows and how it answers.
struct Book {
    committed: Mutex<Vec<(Turn, Vec<NodeName>)>>,
    /// A node that breaks a rule of this database.
    banned: Option<NodeName>,
    held: AtomicBool,
    /// Each commit takes one; a test that holds them back has a commit in flight.
    permits: Semaphore,
    /// A permit for each commit that was asked for.
    begun: Semaphore,
}

struct MemoryLedger(Arc<Book>);

impl Ledger for MemoryLedger {
    async fn commit(&mut self, turn: Turn, changes: &[Change]) -> Result<(), CommitError> {
        self.0.begun.add_permits(1);
        self.0.permits.acquire().await.unwrap().forget();
        if !self.0.held.load(Ordering::Relaxed) {
            return Err(CommitError::Deposed);
        }
        let nodes = nodes_of(changes);
        if self.0.banned.as_ref().is_some_and(|banned| nodes.contains(banned)) {
            return Err(CommitError::Constraint { name: "no_such_node".into(), source: None });
        }
        self.0.committed.lock().unwrap().push((turn, nodes));
        Ok(())
    }

    async fn is_held(&mut self) -> bool {
        self.0.held.load(Ordering::Relaxed)
    }
}

fn nodes_of(changes: &[Change]) -> Vec<NodeName> {
    let put = changes.iter().filter_map(|change| match change {
        Change::PutNode(node) => Some(node.name.clone()),
        _ => None,
    });
    put.collect::<BTreeSet<_>>().into_iter().collect()
}

struct FakeClock(Mutex<Timestamp>);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A running engine.
struct Stage {
    book: Arc<Book>,
    publisher: Arc<Publisher>,
    handle: EngineHandle,
    leading: tokio::sync::watch::Sender<Leading>,
    shutdown: CancellationToken,
    running: JoinHandle<EngineEnd>,
    registry: Registry,
}

/// Commits at once, and holds one name for impossible.
fn stage(banned: Option<&str>) -> Stage {
    stage_with(banned, Turn(0), Semaphore::MAX_PERMITS)
}

fn stage_with(banned: Option<&str>, turn: Turn, permits: usize) -> Stage {
    let mut world = World::empty(ClusterId(uuid::Uuid::from_u128(1)));
    world.turn = turn;
    stage_of(banned, world, permits)
}

fn stage_of(banned: Option<&str>, world: World, permits: usize) -> Stage {
    let book = Arc::new(Book {
        committed: Mutex::default(),
        banned: banned.map(NodeName::new),
        held: AtomicBool::new(true),
        permits: Semaphore::new(permits),
        begun: Semaphore::new(0),
    });
    let publisher = Arc::new(Publisher::new(world.cluster));
    let mut registry = Registry::default();
    let surroundings = Surroundings {
        settings: Settings { node_timeout: Duration::from_secs(15) },
        planner: Arc::new(dugout_planner::plan),
        clock: Arc::new(FakeClock(Mutex::new(Timestamp::from_micros(1_000_000)))),
        publisher: Arc::clone(&publisher),
        metrics: Arc::new(EngineMetrics::register(&mut registry)),
    };
    let mut engine = Engine::begin(MemoryLedger(Arc::clone(&book)), world, 7, surroundings);
    let (sender, mut inbox) = mpsc::channel(INBOX_CAPACITY);
    let (leading, leading_now) = tokio::sync::watch::channel(Leading::Here);
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    let running = tokio::spawn(async move { engine.run(&mut inbox, &told).await });
    let handle = EngineHandle::new(sender, leading_now);
    Stage { book, publisher, handle, leading, shutdown, running, registry }
}

impl Stage {
    /// Hands in that a node joined; the task ends with the engine's answer.
    fn join(&self, name: &str) -> JoinHandle<Result<Turn, NotCommitted>> {
        let handle = self.handle.clone();
        let fact = Fact::NodeJoined(registration(name));
        tokio::spawn(async move { handle.submit(vec![fact]).await })
    }

    /// How many plans were refused, as the metrics tell it.
    fn refused(&self) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("dugout_plans_refused_total "));
        line.unwrap().parse().unwrap()
    }

    async fn commit_begun(&self) {
        self.book.begun.acquire().await.unwrap().forget();
    }

    fn committed(&self) -> Vec<(Turn, Vec<NodeName>)> {
        self.book.committed.lock().unwrap().clone()
    }

    fn published(&self) -> Vec<NodeName> {
        self.publisher.world().nodes.keys().cloned().collect()
    }

    async fn end(self) -> EngineEnd {
        self.shutdown.cancel();
        self.running.await.unwrap()
    }
}

fn registration(name: &str) -> NodeRegistration {
    NodeRegistration {
        name: NodeName::new(name),
        instance: format!("{name}-instance"),
        labels: StringMap::new(),
        capacity: Resources::default(),
        storage_bytes: None,
        engine: EngineId::new("engine"),
        engine_version: "1".into(),
        agent_version: "1".into(),
        address: None,
    }
}

fn names(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| NodeName::new(*name)).collect()
}

/// Lets every task go on until all of them wait.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_after_the_commit_and_not_before() {
    let stage = stage_with(None, Turn(0), 0);
    let answer = stage.join("one");
    stage.commit_begun().await;
    settle().await;
    assert!(!answer.is_finished(), "answered while the commit is in flight");
    assert!(stage.published().is_empty(), "published while the commit is in flight");
    stage.book.permits.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap(), Turn(1));
    assert_eq!(stage.committed(), [(Turn(1), names(&["one"]))]);
    assert_eq!(stage.published(), names(&["one"]));
    assert!(matches!(stage.end().await, EngineEnd::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn facts_that_arrive_during_a_commit_ride_together_in_the_next_turn() {
    let stage = stage_with(None, Turn(0), 0);
    let first = stage.join("one");
    stage.commit_begun().await;
    let later: Vec<_> = ["two", "three", "four"].map(|name| stage.join(name)).into();
    settle().await;
    stage.book.permits.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap(), Turn(1));
    for answer in later {
        assert_eq!(answer.await.unwrap().unwrap(), Turn(2));
    }
    let turns = [(Turn(1), names(&["one"])), (Turn(2), names(&["four", "three", "two"]))];
    assert_eq!(stage.committed(), turns);
    assert!(matches!(stage.end().await, EngineEnd::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_the_database_refuses_harms_no_other_of_its_turn() {
    let stage = stage(Some("banned"));
    let answers = ["one", "banned", "two"].map(|name| stage.join(name));
    let [one, banned, two] = answers;
    assert_eq!(one.await.unwrap().unwrap(), Turn(1));
    assert!(matches!(banned.await.unwrap(), Err(NotCommitted::Refused)));
    assert_eq!(two.await.unwrap().unwrap(), Turn(2));
    let turns = [(Turn(1), names(&["one"])), (Turn(2), names(&["two"]))];
    assert_eq!(stage.committed(), turns, "one by one, after the three together were refused");
    assert_eq!(stage.book.begun.available_permits(), 4, "together once, then one by one");
    assert_eq!(stage.published(), names(&["one", "two"]));
    assert!(matches!(stage.end().await, EngineEnd::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_panics_changes_nothing_and_the_engine_goes_on() {
    // There is no turn after this one: counting on overflows, which is a panic in a test.
    let stage = stage_with(None, Turn(u64::MAX), Semaphore::MAX_PERMITS);
    for name in ["one", "two"] {
        assert!(matches!(stage.join(name).await.unwrap(), Err(NotCommitted::Refused)));
    }
    assert_eq!(stage.book.begun.available_permits(), 0, "no commit was tried");
    assert!(stage.published().is_empty());
    assert!(matches!(stage.end().await, EngineEnd::Shutdown));
}

/// A world in which a pod on a node has lost its replica set, as no plan leaves one: the check refuses
/// every plan that touches it.
fn damaged_world() -> (World, PodUid) {
    let mut world = World::empty(ClusterId(uuid::Uuid::from_u128(1)));
    let uid = PodUid(uuid::Uuid::from_u128(2));
    let at = Timestamp::from_micros(0);
    world.apply(&Change::PutPod(Arc::new(Pod {
        uid,
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new("web-1"),
        replica_set: ReplicaSetUid(uuid::Uuid::from_u128(3)),
        identity: PodIdentity::Any,
        created_at: at,
        placement: Placement::On { node: NodeName::new("one"), at },
        lifecycle: Lifecycle::Active,
        seen: Seen::Absent,
    })));
    (world, uid)
}

/// Node one says that the pod runs.
fn report_of(pod: PodUid) -> Fact {
    let status = PodReport {
        phase: PodPhase::Running,
        init_containers: Vec::new(),
        containers: Vec::new(),
        address: None,
        ready: true,
        connections: 0,
        milestones: PodMilestones::default(),
        drift: Vec::new(),
        pause: None,
    };
    Fact::Report(Box::new(NodeReport {
        node: NodeName::new("one"),
        instance: "one-instance".into(),
        acknowledged: Turn(0),
        engine_answers: true,
        pods: BTreeMap::from([(pod, status)]),
        images: None,
        volumes: None,
        events: Vec::new(),
        first_event: None,
    }))
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_the_check_refuses_is_not_applied_is_counted_and_harms_no_other_fact() {
    let (world, pod) = damaged_world();
    let stage = stage_of(None, world, Semaphore::MAX_PERMITS);
    stage.join("one").await.unwrap().unwrap();
    let (committed, refused) = (stage.committed(), stage.refused());
    let facts = vec![report_of(pod), Fact::NodeJoined(registration("with-it"))];
    let answer = stage.handle.submit(facts).await;
    assert!(matches!(answer, Err(NotCommitted::Refused)), "{answer:?}");
    assert_eq!(stage.committed(), committed, "nothing of it reached the database");
    assert_eq!(stage.published(), names(&["one"]));
    assert!(stage.refused() > refused);
    stage.join("two").await.unwrap().unwrap();
    assert_eq!(stage.published(), names(&["one", "two"]));
    assert!(matches!(stage.end().await, EngineEnd::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn losing_the_leadership_ends_the_engine_and_no_fact_is_answered() {
    let stage = stage(None);
    stage.join("one").await.unwrap().unwrap();
    stage.book.held.store(false, Ordering::Relaxed);
    let answer = stage.join("two");
    assert!(matches!(stage.running.await.unwrap(), EngineEnd::Deposed));
    stage.leading.send_replace(Leading::Nobody { reason: "it is changing hands".into() });
    assert!(answer.await.unwrap().is_err());
    assert_eq!(stage.publisher.world().nodes.len(), 1, "what was committed stays published");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_commits_nothing_notices_that_it_was_deposed() {
    let stage = stage(None);
    stage.book.held.store(false, Ordering::Relaxed);
    let before = tokio::time::Instant::now();
    assert!(matches!(stage.running.await.unwrap(), EngineEnd::Deposed));
    assert!(before.elapsed() <= LEADERSHIP_CHECK_INTERVAL + Duration::from_millis(10));
    assert!(stage.book.committed.lock().unwrap().is_empty());
}
