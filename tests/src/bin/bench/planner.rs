//! The planner alone, in memory, on one core: how many pods it places each second, from few nodes to
//! many, and how long a turn takes that changes a little in a large world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dugout_model::{ClusterId, Contacts, Fact, IdSource, NodeName, Pod, Timestamp, World};
use dugout_planner::{Plan, PlanInput, Settings, Work, check, note, plan};

use crate::cluster::{Commits, REPLICAS, all_ready_on, beginning};
use crate::measure::resident_mib;

/// Pods that are placed in one turn.
const PODS: u32 = 20_000;
const NODES: [u32; 3] = [500, 5_000, 50_000];

/// A world, and the time in it.
struct Stage {
    world: World,
    contacts: Contacts,
    now: Timestamp,
    turns: u64,
    timers: BTreeMap<Work, Timestamp>,
    commits: Commits,
}

pub fn run() {
    // First, while the process has no memory that others gave back.
    large_world();
    for nodes in NODES {
        let mut stage = Stage::with_nodes(nodes);
        let commit = stage.commits.commit(0..PODS / REPLICAS, 0, stage.now);
        let (took, plan) = stage.turn(&[commit]);
        let placed = stage.world.pods.len() - stage.world.unplaced_pods().count();
        assert_eq!(placed, PODS as usize, "every pod has a node");
        println!(
            "{nodes:>6} nodes, {PODS} pods in one turn      {:>9.0} pods/s ({:.0} ms, {} changes)",
            f64::from(PODS) / took.as_secs_f64(),
            took.as_secs_f64() * 1e3,
            plan.changes.len()
        );
    }
}

/// One deployment that changes where there are 150,000 pods.
fn large_world() {
    let before = resident_mib(std::process::id());
    let mut stage = Stage::with_nodes(5_000);
    let deployments = 150_000 / REPLICAS;
    let first = stage.commits.commit(0..deployments, 0, stage.now);
    stage.turn(&[first]);
    let kib = (resident_mib(std::process::id()) - before) * 1024.0;
    println!("150000 pods on 5000 nodes            {:>9.2} KiB each", kib / 150_000.0);
    stage.all_ready();
    let mut spans = Vec::new();
    for round in 1..=30 {
        let commit = stage.commits.commit(round..round + 1, round, stage.now);
        let (took, _) = stage.turn(&[commit]);
        spans.push(took);
        stage.all_ready();
    }
    let sample = dugout_tests::statistics::Sample::new(spans);
    println!("  a turn that rolls one of {deployments} deployments  {}", sample.show());
}

impl Stage {
    fn with_nodes(count: u32) -> Self {
        let mut stage = Self {
            world: World::empty(ClusterId(uuid::Uuid::from_u128(1))),
            contacts: Contacts::new(),
            now: Timestamp::from_micros(1_700_000_000_000_000),
            turns: 0,
            timers: BTreeMap::from([(Work::Everything, Timestamp::default())]),
            commits: Commits::default(),
        };
        let facts = beginning(count);
        stage.turn(&facts);
        stage
    }

    /// One turn, and how long the planner took for it. The independent check looks at each.
    fn turn(&mut self, facts: &[Fact]) -> (Duration, Plan) {
        for fact in facts {
            note(&mut self.contacts, fact, self.now);
        }
        let due = self.timers.iter().filter(|(_, at)| **at <= self.now);
        let due: BTreeSet<Work> = due.map(|(work, _)| work.clone()).collect();
        let began = Instant::now();
        let plan = plan(PlanInput {
            world: &self.world,
            contacts: &self.contacts,
            facts,
            due: &due,
            now: self.now,
            // Only those with news report.
            settings: &Settings { node_timeout: Duration::from_secs(1_000_000) },
            ids: IdSource::from_seed(self.turns),
        });
        let took = began.elapsed();
        let violations = check(&self.world, &plan);
        assert!(violations.is_empty(), "the plan is sound: {:?}", violations.first());
        if plan.processed.contains(&Work::Everything) {
            self.timers.clear();
        }
        self.timers.retain(|work, _| !due.contains(work) && !plan.processed.contains(work));
        self.timers.extend(plan.wake_at.clone());
        self.world = plan.after.clone();
        self.turns += 1;
        self.now = self.now + Duration::from_millis(1);
        (took, plan)
    }

    /// Every node reports that all of its pods are ready, until nothing follows from it.
    fn all_ready(&mut self) {
        for _ in 0..100 {
            let ready = |pod: &&Arc<Pod>| pod.ready_since().is_none() || !pod.is_active();
            // Nodes that were asked for images have news of them, too.
            let asked = self.world.nodes.values().filter(|node| !node.pulls.is_empty());
            let asked: Vec<NodeName> = asked.map(|node| node.name.clone()).collect();
            let mut news: BTreeSet<NodeName> = self
                .world
                .pods
                .values()
                .filter(ready)
                .filter_map(|pod| pod.node().cloned())
                .collect();
            news.extend(asked);
            if news.is_empty() {
                return;
            }
            self.now = self.now + Duration::from_secs(1);
            let report = |node| all_ready_on(&self.world, node, self.now);
            let reports: Vec<Fact> = news.iter().map(report).collect();
            self.turn(&reports);
        }
        unreachable!("what is reported ready is ready");
    }
}
