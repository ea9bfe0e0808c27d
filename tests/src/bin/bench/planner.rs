//! The planner alone, in memory, on one core: how many pods it places each second, from few nodes to
//! many, and how long a turn takes that changes a little in a large world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dugout_model::{
    ClusterId, Commit, CommitSha, Contacts, Container, ContainerPort, ContainerResources,
    ContainerState, ContainerStatus, DeclaredObject, DeclaredObjects, Deployment, Difference,
    EngineId, Fact, IdSource, IntOrPercent, LabelSelector, NodeName, NodeRegistration, NodeReport,
    NoticedBy, ObjectKey, ObjectPolicy, ObjectSpec, OnFailure, Origin, Pod, PodMilestones,
    PodPhase, PodReport, PodTemplate, Protocol, PullPolicy, Resources, RestartPolicy, Revision,
    RevisionContent, RevisionHops, SourceDeclaration, SourceName, Strategy, StringMap, Timestamp,
    World,
};
use dugout_planner::{Plan, PlanInput, Settings, Work, check, note, plan};

use crate::measure::resident_mib;

/// Pods that are placed in one turn.
const PODS: u32 = 20_000;
const REPLICAS: u32 = 40;
const NODES: [u32; 3] = [500, 5_000, 50_000];
const SOURCE: &str = "bench";

/// A world, and the time in it.
struct Stage {
    world: World,
    contacts: Contacts,
    now: Timestamp,
    commits: u32,
    timers: BTreeMap<Work, Timestamp>,
    /// What the last commit declared, and its name.
    declared: DeclaredObjects,
    last: Option<CommitSha>,
}

pub fn run() {
    // First, while the process has no memory that others gave back.
    large_world();
    for nodes in NODES {
        let mut stage = Stage::with_nodes(nodes);
        let commit = stage.commit(0..PODS / REPLICAS, 0);
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
    let first = stage.commit(0..deployments, 0);
    stage.turn(&[first]);
    let kib = (resident_mib(std::process::id()) - before) * 1024.0;
    println!("150000 pods on 5000 nodes            {:>9.2} KiB each", kib / 150_000.0);
    stage.all_ready();
    let mut spans = Vec::new();
    for round in 1..=30 {
        let commit = stage.commit(round..round + 1, round);
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
            commits: 0,
            timers: BTreeMap::from([(Work::Everything, Timestamp::default())]),
            declared: DeclaredObjects::new(),
            last: None,
        };
        let mut facts = vec![Fact::SourceDeclared(SourceDeclaration {
            name: SourceName::new(SOURCE),
            url: "file:///bench.git".to_owned(),
            branch: "main".to_owned(),
            path: String::new(),
            poll_interval: Duration::from_secs(5),
            on_failure: OnFailure::Revert,
        })];
        facts.extend((0..count).map(|number| {
            let name = format!("node-{number:05}");
            Fact::NodeJoined(NodeRegistration {
                name: NodeName::new(&name),
                instance: name.clone(),
                labels: StringMap::from([("kubernetes.io/hostname".to_owned(), name.clone())]),
                capacity: Resources { cpu_millis: 64_000, memory_bytes: 256 << 30, pods: 250 },
                engine: EngineId::new(&name),
                engine_version: "20.10".to_owned(),
                agent_version: "0.1".to_owned(),
                address: None,
            })
        }));
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
            ids: IdSource::from_seed(u64::from(self.commits)),
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
        self.commits += 1;
        self.now = self.now + Duration::from_millis(1);
        (took, plan)
    }

    /// Every node reports that all of its pods are ready, until nothing follows from it.
    fn all_ready(&mut self) {
        for _ in 0..100 {
            let ready = |pod: &&Arc<Pod>| pod.ready_since().is_none() || !pod.is_active();
            let news: BTreeSet<NodeName> = self
                .world
                .pods
                .values()
                .filter(ready)
                .filter_map(|pod| pod.node().cloned())
                .collect();
            if news.is_empty() {
                return;
            }
            self.now = self.now + Duration::from_secs(1);
            let reports: Vec<Fact> = news.iter().map(|node| self.report(node)).collect();
            self.turn(&reports);
        }
        unreachable!("what is reported ready is ready");
    }

    fn report(&self, node: &NodeName) -> Fact {
        let pods = self.world.pods_on(node).filter(|pod| pod.is_active());
        let report = |pod: &Arc<Pod>| {
            let main = ContainerStatus {
                name: "app".to_owned(),
                state: ContainerState::Running { started_at: self.now },
                ready: true,
                restarts: 0,
                container_id: None,
                last_exit: None,
                image_id: None,
            };
            let report = PodReport {
                phase: PodPhase::Running,
                init_containers: Vec::new(),
                containers: vec![main],
                address: Some([10, 0, 0, 1].into()),
                ready: true,
                connections: 0,
                milestones: PodMilestones { ready_at: Some(self.now), ..PodMilestones::default() },
            };
            (pod.uid, report)
        };
        Fact::Report(Box::new(NodeReport {
            node: node.clone(),
            instance: node.to_string(),
            acknowledged: self.world.turn,
            engine_answers: true,
            pods: pods.map(report).collect(),
            images: None,
            events: Vec::new(),
            first_event: None,
        }))
    }

    /// A commit in which these deployments have another image than before.
    fn commit(&mut self, changed: std::ops::Range<u32>, image: u32) -> Fact {
        let mut ids = BTreeSet::new();
        for number in changed {
            let object = deployment(&format!("web-{number:05}"), format!("web:{image}"));
            ids.insert(object.id());
            self.declared.insert(object.id(), Arc::new(object));
        }
        let sha = CommitSha::new(format!("{:040x}", self.commits));
        let before = self.last.replace(sha.clone());
        Fact::Revision(Box::new(Revision {
            source: SourceName::new(SOURCE),
            commit: Commit {
                sha,
                author: "bench".to_owned(),
                message: "bench".to_owned(),
                committed_at: self.now,
                parents: Vec::new(),
            },
            content: RevisionContent::Objects {
                objects: self.declared.clone(),
                notices: Vec::new(),
            },
            hops: RevisionHops {
                noticed_by: NoticedBy::Poll,
                noticed_at: self.now,
                fetched_at: self.now,
                validated_at: self.now,
            },
            rewritten: false,
            since: before.map(|from| Difference { from, ids }),
        }))
    }
}

fn deployment(name: &str, image: String) -> DeclaredObject {
    let labels = StringMap::from([("app".to_owned(), name.to_owned())]);
    let container = Container {
        name: "app".to_owned(),
        image,
        pull_policy: PullPolicy::IfNotPresent,
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        ports: vec![ContainerPort {
            name: "http".to_owned(),
            container_port: 8080,
            protocol: Protocol::Tcp,
        }],
        resources: ContainerResources {
            cpu_request_millis: 100,
            memory_request_bytes: 64 << 20,
            ..ContainerResources::default()
        },
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        restart_policy: None,
        mounts: Box::default(),
    };
    let deployment = Deployment {
        replicas: REPLICAS,
        selector: LabelSelector { match_labels: labels.clone(), ..LabelSelector::default() },
        template: PodTemplate {
            labels,
            annotations: StringMap::new(),
            containers: vec![container],
            init_containers: Vec::new(),
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(30),
            node_selector: StringMap::new(),
            volumes: Box::default(),
        },
        strategy: Strategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        },
        min_ready: Duration::ZERO,
        progress_deadline: Duration::from_secs(600),
        revision_history_limit: 10,
        paused: false,
    };
    DeclaredObject {
        key: ObjectKey::new("bench", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy::default(),
        spec: ObjectSpec::Deployment(Box::new(deployment)),
        origin: Origin { file: format!("{name}.yaml").into(), line: 1 },
    }
}
