//! Random clusters, commits, faults and times: the rules hold at every turn (the harness checks them),
//! and when the faults end, everything converges and then nothing changes any more.

mod budgets;
mod sets;

use std::time::Duration;

use dugout_model::*;
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof};
use proptest::proptest;
use proptest::strategy::Strategy as Generator;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};
use budgets::{AskedBudget, asked_budgets};
use sets::{AskedSets, asked_sets};

#[derive(Clone, Debug)]
enum Act {
    Commit(Box<Ask>),
    PushProblems,
    Wait(u64),
    Quiet(u64),
    SetAlive(usize, bool),
    SetEngine(usize, bool),
    SetListening(usize, bool),
    LoseDisk(usize),
    Cordon(usize, bool),
    Drain(usize),
    Suspend(bool),
    Connections(u32),
    RestartEngine,
    ExitWith(usize, i64),
}

/// What a random commit asks for.
#[derive(Clone, Debug)]
struct Ask {
    replicas: u32,
    image: &'static str,
    surge: u32,
    unavailable: u32,
    recreate: bool,
    paused: bool,
    min_ready: u64,
    setting: Option<u8>,
    with_other: bool,
    cpu_millis: u64,
    job: Option<AskedJob>,
    cron_job: Option<AskedJob>,
    sets: Option<AskedSets>,
    budgets: Vec<AskedBudget>,
}

/// What a random commit asks of its job, or of its cron job's.
#[derive(Clone, Debug)]
struct AskedJob {
    image: &'static str,
    completions: Completions,
    parallelism: u32,
    backoff_limit: u32,
    active_deadline: Option<u64>,
    ttl_after_finished: Option<u64>,
    suspended: bool,
    disrupted: Option<PodFailureAction>,
    concurrency: ConcurrencyPolicy,
    history_limit: u32,
}

const NODES: [&str; 3] = ["a", "b", "c"];

fn asked_job() -> impl Generator<Value = AskedJob> {
    let completions = prop_oneof![
        Just(Completions::Any),
        (0..4_u32).prop_map(Completions::Count),
        (0..4_u32).prop_map(Completions::Indexed),
    ];
    let images = prop_oneof![4 => Just("job:exits"), 2 => Just("job:1"), 1 => Just("job:missing")];
    let disrupted = prop_oneof![
        Just(PodFailureAction::FailJob),
        Just(PodFailureAction::Ignore),
        Just(PodFailureAction::Count),
    ];
    let concurrency = prop_oneof![
        Just(ConcurrencyPolicy::Allow),
        Just(ConcurrencyPolicy::Forbid),
        Just(ConcurrencyPolicy::Replace),
    ];
    (
        (images, completions, 0..4_u32, 0..3_u32),
        (prop::option::weighted(0.3, 1..40_u64), prop::option::weighted(0.5, 0..20_u64)),
        (prop::bool::weighted(0.2), prop::option::of(disrupted)),
        (concurrency, 0..3_u32),
    )
        .prop_map(
            |(
                (image, completions, parallelism, backoff_limit),
                (active_deadline, ttl_after_finished),
                (suspended, disrupted),
                (concurrency, history_limit),
            )| AskedJob {
                image,
                completions,
                parallelism,
                backoff_limit,
                active_deadline,
                ttl_after_finished,
                suspended,
                disrupted,
                concurrency,
                history_limit,
            },
        )
}

fn ask() -> impl Generator<Value = Box<Ask>> {
    let images = prop_oneof![
        4 => Just("web:1"),
        4 => Just("web:2"),
        2 => Just("web:3"),
        1 => Just("web:missing"),
        1 => Just("web:unready"),
    ];
    (
        (0..6_u32, images, 0..3_u32, 0..3_u32),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.1)),
        (prop_oneof![Just(0), Just(3)], prop::option::weighted(0.8, 0..3_u8)),
        (any::<bool>(), prop_oneof![3 => Just(100), 1 => Just(1_500)]),
        (prop::option::of(asked_job()), prop::option::of(asked_job())),
        (prop::option::weighted(0.9, asked_sets()), asked_budgets()),
    )
        .prop_map(
            |(
                (replicas, image, surge, unavailable),
                (recreate, paused),
                (min_ready, setting),
                (with_other, cpu_millis),
                (job, cron_job),
                (sets, budgets),
            )| {
                Box::new(Ask {
                    replicas,
                    image,
                    surge,
                    unavailable,
                    recreate,
                    paused,
                    min_ready,
                    setting,
                    with_other,
                    cpu_millis,
                    job,
                    cron_job,
                    sets,
                    budgets,
                })
            },
        )
}

fn act() -> impl Generator<Value = Act> {
    let node = 0..NODES.len();
    prop_oneof![
        6 => ask().prop_map(Act::Commit),
        1 => Just(Act::PushProblems),
        12 => (1..8_u64).prop_map(Act::Wait),
        2 => (1..40_u64).prop_map(Act::Quiet),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, alive)| Act::SetAlive(node, alive)),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, up)| Act::SetEngine(node, up)),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, on)| Act::SetListening(node, on)),
        1 => node.clone().prop_map(Act::LoseDisk),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, on)| Act::Cordon(node, on)),
        3 => node.prop_map(Act::Drain),
        1 => any::<bool>().prop_map(Act::Suspend),
        2 => (0..3_u32).prop_map(Act::Connections),
        1 => Just(Act::RestartEngine),
        1 => (0..NODES.len(), 0..3_i64).prop_map(|(node, code)| Act::ExitWith(node, code)),
    ]
}

impl Ask {
    fn objects(&self) -> Vec<DeclaredObject> {
        let web = web_with(self.replicas, self.image, |deployment| {
            deployment.strategy = if self.recreate {
                Strategy::Recreate
            } else {
                Strategy::RollingUpdate {
                    max_surge: IntOrPercent::Int(self.surge),
                    max_unavailable: IntOrPercent::Int(self.unavailable),
                }
            };
            deployment.paused = self.paused;
            deployment.min_ready = seconds(self.min_ready);
            deployment.revision_history_limit = 1;
            let container = &mut deployment.template.containers[0];
            container.resources.cpu_request_millis = self.cpu_millis;
            container.env.push(env_from_config("settings", "greeting"));
        });
        let mut objects = vec![web];
        // It comes and goes, moves, and means others.
        objects.extend(match self.replicas {
            0 => None,
            1 => Some(service("other", 30080)),
            2 => Some(service("web", 30081)),
            _ => Some(service("web", 30080)),
        });
        if let Some(setting) = self.setting {
            objects.push(config("settings", "greeting", &setting.to_string()));
        }
        if self.with_other {
            objects.push(named("other", deployment("other", 2, "other:1")));
        }
        let asked = self.job.as_ref();
        objects.extend(asked.map(|asked| job(asked.image, |spec| asked.fill(spec))));
        let asked = self.cron_job.as_ref();
        objects.extend(asked.map(|asked| cron_job(asked.image, |spec| asked.fill_cron(spec))));
        objects.extend(self.sets.iter().flat_map(AskedSets::objects));
        let budgets = self.budgets.iter().enumerate();
        objects.extend(budgets.map(|(number, budget)| budget.object(number)));
        objects
    }
}

impl AskedJob {
    fn fill(&self, spec: &mut JobSpec) {
        spec.completions = self.completions;
        spec.parallelism = self.parallelism;
        spec.backoff_limit = self.backoff_limit;
        spec.active_deadline = self.active_deadline.map(seconds);
        spec.ttl_after_finished = self.ttl_after_finished.map(seconds);
        spec.suspended = self.suspended;
        let rule = |action| PodFailureRule { action, when: PodFailureMatch::Disrupted };
        spec.pod_failure_policy = self.disrupted.map(rule).into_iter().collect();
    }

    fn fill_cron(&self, spec: &mut CronJob) {
        self.fill(&mut spec.job);
        spec.job.suspended = false;
        spec.suspended = self.suspended;
        spec.concurrency = self.concurrency;
        spec.successful_history_limit = self.history_limit;
        spec.failed_history_limit = self.history_limit;
    }
}

fn perform(cluster: &mut Cluster, act: &Act) {
    match act {
        Act::Commit(ask) => {
            cluster.commit(ask.objects());
        }
        Act::PushProblems => {
            cluster.push_problems(Vec::new());
        }
        Act::Wait(quarters) => cluster.run_for(Duration::from_millis(250 * quarters)),
        Act::Quiet(span) => cluster.step(seconds(*span)),
        Act::SetAlive(node, alive) => cluster.agent(NODES[*node]).alive = *alive,
        Act::SetEngine(node, up) => cluster.agent(NODES[*node]).engine_answers = *up,
        Act::SetListening(node, on) => cluster.agent(NODES[*node]).listens = *on,
        Act::LoseDisk(node) => {
            let agent = cluster.agent(NODES[*node]);
            agent.lose_disk();
            let registration = agent.registration();
            cluster.turn(&[Fact::NodeJoined(registration)]);
        }
        Act::Cordon(node, on) => {
            let node = NodeName::new(NODES[*node]);
            let request =
                if *on { OperatorRequest::Cordon(node) } else { OperatorRequest::Uncordon(node) };
            cluster.turn(&[Fact::Operator(request)]);
        }
        Act::Drain(node) => {
            let request = OperatorRequest::Drain(NodeName::new(NODES[*node]));
            cluster.turn(&[Fact::Operator(request)]);
        }
        Act::Suspend(on) => suspend(cluster, *on),
        Act::Connections(count) => {
            let pods: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
            for agent in cluster.agents.values_mut() {
                agent.connections = pods.iter().map(|pod| (*pod, *count)).collect();
            }
        }
        Act::RestartEngine => cluster.restart_engine(),
        Act::ExitWith(node, code) => cluster.agent(NODES[*node]).exits_with = *code,
    }
}

fn suspend(cluster: &mut Cluster, on: bool) {
    let source = SourceName::new(crate::harness::SOURCE);
    let request =
        if on { OperatorRequest::Suspend(source) } else { OperatorRequest::Resume(source) };
    cluster.turn(&[Fact::Operator(request)]);
}

/// Ends every fault, but leaves the last node drained if it is: the others have room for all.
fn heal(cluster: &mut Cluster) {
    suspend(cluster, false);
    for node in NODES {
        let agent = cluster.agent(node);
        (agent.alive, agent.engine_answers, agent.listens) = (true, true, true);
        agent.exits_with = 0;
        agent.connections.clear();
    }
    NODES[..2].iter().for_each(|node| uncordon(cluster, node));
}

fn uncordon(cluster: &mut Cluster, node: &str) {
    let node = NodeName::new(node);
    cluster.turn(&[Fact::Operator(OperatorRequest::Uncordon(node))]);
}

/// Pods that still stand on nodes that are drained, and what each waits for.
fn left_on_drained_nodes(cluster: &Cluster) -> Vec<String> {
    let world = &cluster.world;
    let left = world.draining_nodes().flat_map(|node| {
        let pods = world.pods_to_drain(&node.name);
        pods.map(|pod| format!("{} on {}: {}", pod.name, node.name, world.drain_wait(node, pod)))
    });
    left.collect()
}

/// A few for every day; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_turn_keeps_the_rules_and_everything_converges(
        shared_engine in any::<bool>(),
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let mut cluster = Cluster::with_nodes(&[]);
        for node in NODES {
            let engine = if shared_engine { "shared" } else { node };
            cluster.join(node, engine);
        }
        for act in &acts {
            perform(&mut cluster, act);
        }
        heal(&mut cluster);
        let good = Ask {
            replicas: 4,
            image: "web:9",
            surge: 1,
            unavailable: 0,
            recreate: false,
            paused: false,
            min_ready: 0,
            setting: Some(9),
            with_other: true,
            cpu_millis: 100,
            job: None,
            cron_job: None,
            sets: Some(AskedSets::good()),
            budgets: Vec::new(),
        };
        let mut last = job_spec("last:exits");
        last.completions = Completions::Count(2);
        let mut objects = good.objects();
        objects.push(declare("last", ObjectSpec::Job(Box::new(last))));
        // What an earlier commit asked for beside it may go.
        let sha = cluster.commit_allowing(20, objects);
        cluster.run_in_steps(60, seconds(1));
        prop_assert_eq!(left_on_drained_nodes(&cluster), [""; 0], "every drain comes to its end");
        NODES.iter().for_each(|node| uncordon(&mut cluster, node));
        cluster.run_in_steps(30, seconds(1));
        let reason = &cluster.release(&sha).reason;
        prop_assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "{:?}", reason);
        prop_assert_eq!(cluster.world.pods.len(), 19, "nothing is left behind");
        prop_assert_eq!(cluster.world.jobs.len(), 1);
        prop_assert!(cluster.world.schedules.is_empty());
        prop_assert_eq!(cluster.ready(), 17);
        prop_assert!(cluster.world.replica_sets.len() <= 14);
        let turn = cluster.world.turn;
        cluster.run_in_steps(15, seconds(2));
        prop_assert_eq!(cluster.world.turn, turn, "and then nothing changes");
    }
}
