//! What people do: commits, good and bad, which a seed determines. The last one is good.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Completions, ConcurrencyPolicy, ConfigMap, Container, ContainerPort, ContainerResources,
    CronJob, DaemonSet, DaemonSetUpdate, DeclaredObject, DeclaredObjects, Deployment, EnvSource,
    Hook, IntOrPercent, JobSpec, Kind, LabelSelector, ObjectId, ObjectKey, ObjectName,
    ObjectPolicy, ObjectSpec, OnFailure, Origin, PodManagement, PodTemplate, Problem, Protocol,
    PullPolicy, ReplicaSetSpec, RestartPolicy, RevisionContent, Severity, StatefulSet,
    StatefulSetUpdate, Strategy, StringMap,
};

use crate::random::Random;

/// The image of commits that are rejected: nothing of it may ever run.
pub(crate) const REJECTED_IMAGE: &str = "web:rejected";

/// The container that does a pod's work.
pub(crate) const MAIN_CONTAINER: &str = "app";

/// One commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// How long after the one before.
    pub after: Duration,
    pub asks: Asks,
}

#[derive(Clone, Debug)]
pub(crate) enum Asks {
    Objects(Vec<Workload>, u8),
    /// Its manifests have errors.
    Nonsense,
    /// It declares nothing at all, and is held.
    Nothing,
    /// The commit of this number comes again, as after a forced push.
    Again(usize),
}

/// A workload, as people write it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub name: &'static str,
    pub shape: Shape,
    pub replicas: u32,
    pub image: &'static str,
    pub min_ready_seconds: u64,
    pub cpu_millis: u64,
    pub reads_config: bool,
    /// Whether it waits for the one before it in the list.
    pub follows: bool,
    /// What a hook is to do: another number is other work.
    pub work: u64,
}

/// Its kind, and what is that kind's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Deployment(Strategy),
    StatefulSet { order: PodManagement, max_unavailable: u32 },
    DaemonSet { max_surge: u32, max_unavailable: u32 },
    ReplicaSet,
    Pod,
    Job { completions: Completions, backoff_limit: u32, restart: RestartPolicy, hook: Option<Hook> },
    CronJob { concurrency: ConcurrencyPolicy, history_limit: u32, suspended: bool },
}

/// What each name is, from commit to commit.
#[derive(Clone, Copy)]
enum Trade {
    Deployment,
    Ordered,
    Parallel,
    Daemon,
    Replicated,
    Bare,
    /// A job that is declared once and stays as it is.
    Once,
    Hook(Hook),
    Cron,
}

const ALWAYS: (&str, Trade) = ("web", Trade::Deployment);

/// Of these a run has three more: each run is quick, and many runs have each pair.
const OTHERS: [(&str, Trade); 10] = [
    ("api", Trade::Deployment),
    ("db", Trade::Ordered),
    ("cache", Trade::Parallel),
    ("logs", Trade::Daemon),
    ("set", Trade::Replicated),
    ("tool", Trade::Bare),
    ("once", Trade::Once),
    ("migrate", Trade::Hook(Hook::Before)),
    ("verify", Trade::Hook(Hook::After)),
    ("tick", Trade::Cron),
];

/// Everything that people do in one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) commits: Vec<Commit>,
    pub(crate) on_failure: OnFailure,
    /// The good commit that ends every run.
    pub(crate) last: Vec<Workload>,
}

const GOOD: [&str; 3] = ["web:1", "web:2", "web:slow"];
const GOOD_WORK: [&str; 3] = ["job:done", "job:done", "job:flaky"];
const BAD_WORK: [&str; 2] = ["job:missing", "job:fails"];
const BAD: [&str; 3] = ["web:missing", "web:unready", "web:crash"];

/// Replicas and processor time: one pod fits on each of the three nodes.
const TOO_MUCH: (u32, u64) = (5, 1_200);

impl Scenario {
    pub(crate) fn from(random: &mut Random) -> Self {
        let trades = trades(random);
        let all = |random: &mut Random| trades.map(|trade| workload(random, trade)).to_vec();
        let some = |random: &mut Random| random.below(trades.len() as u64) as usize;
        let mut commits = Vec::new();
        let mut workloads = all(random);
        let mut config = 0;
        let mut after = random.millis(500, 40_000);
        // How many commits were made, and the last of them that is bad.
        let (mut made, mut bad_one) = (0, None);
        for _ in 0..4 + random.below(6) {
            let mut is_bad = false;
            let asks = match random.below(14) {
                0 => Asks::Nonsense,
                12 => Asks::Nothing,
                1 | 13 if made > 1 => match bad_one {
                    Some(bad) if random.one_in(2) => Asks::Again(bad),
                    _ => Asks::Again(random.below(made as u64 - 1) as usize),
                },
                2 => {
                    config = random.below(3) as u8;
                    Asks::Objects(workloads.clone(), config)
                }
                3 => {
                    is_bad = true;
                    let mut bad = workloads.clone();
                    if random.one_in(2) {
                        let changed = some(random);
                        bad[changed] = workload(random, trades[changed]);
                    }
                    let broken = &mut bad[some(random)];
                    if matches!(broken.shape, Shape::Deployment(_)) && random.one_in(2) {
                        (broken.replicas, broken.cpu_millis) = TOO_MUCH;
                    } else if let Shape::CronJob { .. } = broken.shape {
                        // A run goes on with what it began with, and an image may come some day.
                        broken.image = "job:fails";
                    } else if broken.is_work() {
                        broken.image = random.pick(&BAD_WORK);
                    } else {
                        broken.image = random.pick(&BAD);
                    }
                    Asks::Objects(bad, config)
                }
                4 => {
                    let mut fewer = workloads.clone();
                    fewer.remove(some(random));
                    Asks::Objects(fewer, config)
                }
                _ => {
                    let changed = some(random);
                    workloads[changed] = workload(random, trades[changed]);
                    Asks::Objects(workloads.clone(), config)
                }
            };
            if is_bad {
                bad_one = Some(made);
            }
            made += usize::from(!matches!(asks, Asks::Again(_)));
            commits.push(Commit { after, asks });
            // Now and then there is the time to see what becomes of a commit.
            let is_watched = if is_bad { random.one_in(2) } else { random.one_in(8) };
            after = match is_watched {
                true => random.millis(370_000, 450_000),
                false => random.millis(500, 40_000),
            };
        }
        let on_failure = if random.one_in(4) { OnFailure::Hold } else { OnFailure::Revert };
        let last = all(random).into_iter().map(Workload::at_last).collect();
        Self { commits, on_failure, last }
    }
}

/// What a run is about.
fn trades(random: &mut Random) -> [(&'static str, Trade); 4] {
    let mut others = OTHERS.to_vec();
    let mut other = || others.remove(random.below(others.len() as u64) as usize);
    [ALWAYS, other(), other(), other()]
}

fn workload(random: &mut Random, (name, trade): (&'static str, Trade)) -> Workload {
    // Of a bare pod nothing may change but its image.
    let is_bare = matches!(trade, Trade::Bare);
    // Of a job that is no hook nothing may change at all.
    if matches!(trade, Trade::Once) {
        return once(name);
    }
    Workload {
        name,
        shape: shape(random, trade),
        replicas: match trade {
            Trade::Deployment => random.below(6) as u32,
            Trade::Ordered | Trade::Parallel | Trade::Replicated => random.below(4) as u32,
            Trade::Daemon | Trade::Bare | Trade::Once | Trade::Hook(_) | Trade::Cron => 1,
        },
        image: match trade {
            Trade::Hook(_) | Trade::Cron => random.pick(&GOOD_WORK),
            _ => random.pick(&GOOD),
        },
        min_ready_seconds: random.pick(&[0, 0, 3]),
        cpu_millis: if is_bare { 100 } else { random.pick(&[100, 100, 250]) },
        reads_config: random.one_in(2) && !is_bare,
        // What comes after everything is awaited by nobody.
        follows: random.one_in(3) && !matches!(trade, Trade::Hook(_)),
        work: random.below(3),
    }
}

/// It fails as often as it must.
fn once(name: &'static str) -> Workload {
    Workload {
        name,
        shape: Shape::Job {
            completions: Completions::Count(2),
            backoff_limit: 50,
            restart: RestartPolicy::Never,
            hook: None,
        },
        replicas: 1,
        image: "job:done",
        min_ready_seconds: 0,
        cpu_millis: 100,
        reads_config: false,
        follows: false,
        work: 0,
    }
}

fn shape(random: &mut Random, trade: Trade) -> Shape {
    match trade {
        Trade::Deployment => Shape::Deployment(strategy(random)),
        Trade::Ordered | Trade::Parallel => Shape::StatefulSet {
            order: match trade {
                Trade::Parallel => PodManagement::Parallel,
                _ => PodManagement::OrderedReady,
            },
            max_unavailable: 1 + random.below(2) as u32,
        },
        Trade::Daemon => match random.one_in(2) {
            true => Shape::DaemonSet { max_surge: 1, max_unavailable: 0 },
            false => Shape::DaemonSet { max_surge: 0, max_unavailable: 1 },
        },
        Trade::Replicated => Shape::ReplicaSet,
        Trade::Bare => Shape::Pod,
        Trade::Once => once("").shape,
        Trade::Hook(hook) => Shape::Job {
            completions: random.pick(&[Completions::Count(1), Completions::Indexed(2)]),
            backoff_limit: random.below(3) as u32,
            restart: random.pick(&[RestartPolicy::Never, RestartPolicy::OnFailure]),
            hook: Some(hook),
        },
        Trade::Cron => Shape::CronJob {
            concurrency: random.pick(&[
                ConcurrencyPolicy::Allow,
                ConcurrencyPolicy::Forbid,
                ConcurrencyPolicy::Replace,
            ]),
            history_limit: random.below(2) as u32,
            suspended: random.one_in(6),
        },
    }
}

fn strategy(random: &mut Random) -> Strategy {
    match random.below(5) {
        0 => Strategy::Recreate,
        1 => Strategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(random.pick(&[0, 25, 40])),
            max_unavailable: IntOrPercent::Percent(random.pick(&[25, 30, 50])),
        },
        _ => {
            let surge = random.below(3) as u32;
            let unavailable = if surge == 0 { 1 } else { random.below(2) as u32 };
            Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(surge),
                max_unavailable: IntOrPercent::Int(unavailable),
            }
        }
    }
}

/// The commit as the source loop reads it.
pub(crate) fn content(workloads: &[Workload], config: u8) -> RevisionContent {
    let before = std::iter::once(None).chain(workloads.iter().map(Some));
    let mut objects: Vec<DeclaredObject> =
        workloads.iter().zip(before).map(|(each, before)| each.declared(before)).collect();
    let data = StringMap::from([("greeting".to_owned(), format!("hello {config}"))]);
    let settings = ConfigMap { data, ..ConfigMap::default() };
    objects.push(declare("settings", ObjectSpec::ConfigMap(settings)));
    let objects = objects.into_iter().map(|object| (object.id(), Arc::new(object))).collect();
    RevisionContent::Objects { objects, notices: Vec::new() }
}

/// What a reader would see that passes over errors.
pub(crate) fn what_can_be_read() -> RevisionContent {
    let web = Workload {
        name: ALWAYS.0,
        shape: Shape::Deployment(Strategy::Recreate),
        replicas: 1,
        image: REJECTED_IMAGE,
        min_ready_seconds: 0,
        cpu_millis: 100,
        reads_config: false,
        follows: false,
        work: 0,
    };
    content(&[web], 0)
}

pub(crate) fn nothing() -> RevisionContent {
    RevisionContent::Objects { objects: DeclaredObjects::new(), notices: Vec::new() }
}

pub(crate) fn nonsense() -> RevisionContent {
    RevisionContent::Problems(vec![Problem {
        file: "web.yaml".to_owned(),
        line: 3,
        column: 1,
        severity: Severity::Error,
        field_path: "spec".to_owned(),
        message: format!("unknown field beside image {REJECTED_IMAGE}"),
        hint: None,
    }])
}

impl Workload {
    fn declared(&self, before: Option<&Workload>) -> DeclaredObject {
        let mut object = declare(self.name, self.spec());
        let awaited = before.filter(|other| self.follows && other.may_be_awaited());
        object.policy.depends_on = awaited.map(|other| other.id()).into_iter().collect();
        if let Shape::Job { hook, .. } = self.shape {
            object.policy.hook = hook;
        }
        object
    }

    fn is_work(&self) -> bool {
        matches!(self.shape, Shape::Job { .. } | Shape::CronJob { .. })
    }

    fn may_be_awaited(&self) -> bool {
        !matches!(self.shape, Shape::Job { hook: Some(Hook::After), .. })
    }

    /// The same as part of the last commit: a hook does something that it has not done before, and comes
    /// to a good end; and no schedule makes anything new.
    fn at_last(mut self) -> Self {
        match &mut self.shape {
            Shape::Job { hook: Some(_), .. } => (self.image, self.work) = ("job:done", 9),
            Shape::CronJob { suspended, .. } => *suspended = true,
            _ => {}
        }
        self
    }

    fn job_spec(
        &self,
        completions: Completions,
        backoff_limit: u32,
        restart: RestartPolicy,
    ) -> JobSpec {
        JobSpec {
            completions,
            parallelism: 1,
            backoff_limit,
            active_deadline: None,
            ttl_after_finished: None,
            suspended: false,
            pod_failure_policy: Vec::new(),
            template: PodTemplate { restart_policy: restart, ..self.template() },
        }
    }

    fn id(&self) -> ObjectId {
        let kind = match self.shape {
            Shape::Deployment(_) => Kind::Deployment,
            Shape::StatefulSet { .. } => Kind::StatefulSet,
            Shape::DaemonSet { .. } => Kind::DaemonSet,
            Shape::ReplicaSet => Kind::ReplicaSet,
            Shape::Pod => Kind::Pod,
            Shape::Job { .. } => Kind::Job,
            Shape::CronJob { .. } => Kind::CronJob,
        };
        ObjectId::new(kind, "demo", self.name)
    }

    fn spec(&self) -> ObjectSpec {
        let (selector, template, replicas) = (self.selector(), self.template(), self.replicas);
        let min_ready = Duration::from_secs(self.min_ready_seconds);
        match &self.shape {
            Shape::Deployment(strategy) => ObjectSpec::Deployment(Box::new(Deployment {
                replicas,
                selector,
                template,
                strategy: strategy.clone(),
                min_ready,
                progress_deadline: Duration::from_secs(60),
                revision_history_limit: 3,
                paused: false,
            })),
            Shape::StatefulSet { order, max_unavailable } => {
                ObjectSpec::StatefulSet(Box::new(StatefulSet {
                    replicas,
                    selector,
                    template,
                    service_name: String::new(),
                    first_ordinal: 0,
                    pod_management: *order,
                    update: StatefulSetUpdate::RollingUpdate {
                        partition: 0,
                        max_unavailable: IntOrPercent::Int(*max_unavailable),
                    },
                    min_ready,
                    revision_history_limit: 3,
                }))
            }
            Shape::DaemonSet { max_surge, max_unavailable } => {
                ObjectSpec::DaemonSet(Box::new(DaemonSet {
                    selector,
                    template,
                    update: DaemonSetUpdate::RollingUpdate {
                        max_surge: IntOrPercent::Int(*max_surge),
                        max_unavailable: IntOrPercent::Int(*max_unavailable),
                    },
                    min_ready,
                    revision_history_limit: 3,
                }))
            }
            Shape::ReplicaSet => {
                let spec = ReplicaSetSpec { replicas, selector, template, min_ready };
                ObjectSpec::ReplicaSet(Box::new(spec))
            }
            Shape::Pod => ObjectSpec::Pod(Box::new(template)),
            Shape::Job { completions, backoff_limit, restart, .. } => {
                let spec = self.job_spec(*completions, *backoff_limit, *restart);
                ObjectSpec::Job(Box::new(spec))
            }
            Shape::CronJob { concurrency, history_limit, suspended } => {
                let job = self.job_spec(Completions::Count(1), 1, RestartPolicy::Never);
                ObjectSpec::CronJob(Box::new(CronJob {
                    schedule: "* * * * *".to_owned(),
                    time_zone: None,
                    concurrency: *concurrency,
                    starting_deadline: None,
                    suspended: *suspended,
                    successful_history_limit: *history_limit,
                    failed_history_limit: 1,
                    job_labels: StringMap::new(),
                    job_annotations: StringMap::new(),
                    job,
                }))
            }
        }
    }

    fn labels(&self) -> StringMap {
        StringMap::from([("app".to_owned(), self.name.to_owned())])
    }

    fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: self.labels(), match_expressions: Vec::new() }
    }

    fn template(&self) -> PodTemplate {
        PodTemplate {
            labels: self.labels(),
            annotations: StringMap::new(),
            containers: vec![self.container()],
            init_containers: vec![],
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(10),
            node_selector: StringMap::new(),
        }
    }

    fn container(&self) -> Container<EnvSource> {
        let greeting = EnvSource::ConfigMapKey {
            name: "GREETING".to_owned(),
            config_map: ObjectName::new("settings"),
            key: "greeting".to_owned(),
            optional: false,
        };
        Container {
            name: MAIN_CONTAINER.to_owned(),
            image: self.image.to_owned(),
            pull_policy: PullPolicy::IfNotPresent,
            command: Vec::new(),
            args: vec![self.work.to_string()].into_iter().filter(|_| self.is_work()).collect(),
            working_dir: None,
            env: if self.reads_config { vec![greeting] } else { Vec::new() },
            ports: vec![ContainerPort {
                name: "http".to_owned(),
                container_port: 8080,
                protocol: Protocol::Tcp,
            }],
            resources: ContainerResources {
                cpu_request_millis: self.cpu_millis,
                memory_request_bytes: 64 << 20,
                ..ContainerResources::default()
            },
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            restart_policy: None,
        }
    }
}

fn declare(name: &str, spec: ObjectSpec) -> DeclaredObject {
    let progress_deadline = Some(Duration::from_secs(60));
    DeclaredObject {
        key: ObjectKey::new("demo", name),
        labels: StringMap::new(),
        annotations: StringMap::new(),
        policy: ObjectPolicy { progress_deadline, ..ObjectPolicy::default() },
        spec,
        origin: Origin { file: format!("{name}.yaml").into(), line: 1 },
    }
}
