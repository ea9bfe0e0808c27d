//! What people do: commits, good and bad, which a seed determines. The last one is good.

mod declared;

use std::time::Duration;

use dugout_model::{
    Completions, ConcurrencyPolicy, Hook, IntOrPercent, OnFailure, PodManagement, RestartPolicy,
    Strategy,
};

use crate::random::Random;

pub(crate) use declared::{add_budgets, content, nonsense, nothing, what_can_be_read};

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
    /// The same, and it cannot work.
    Bad(Vec<Workload>, u8),
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
    pub helper: Helper,
}

/// What a pod has beside the container that does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    None,
    /// A container that ends before that one begins.
    Init,
    /// A container that begins before it and runs on beside it.
    Sidecar,
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

/// The other name of that one.
const RENAMED: &str = "site";

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
        let mut people = People::of(random);
        let mut commits = Vec::new();
        let mut after = random.millis(500, 40_000);
        for _ in 0..4 + random.below(6) {
            let asks = people.ask(random);
            let is_bad = people.note(&asks);
            commits.push(Commit { after, asks });
            // Now and then there is the time to see what becomes of a commit.
            let is_watched = if is_bad { random.one_in(2) } else { random.one_in(8) };
            after = match is_watched {
                true => random.millis(370_000, 450_000),
                false => random.millis(500, 40_000),
            };
        }
        let on_failure = if random.one_in(4) { OnFailure::Hold } else { OnFailure::Revert };
        let last = people.anything(random).into_iter().map(Workload::at_last).collect();
        Self { commits, on_failure, last }
    }
}

/// What those who write the commits have in mind.
struct People {
    trades: [(&'static str, Trade); 4],
    /// The workloads as they should be, and the content of the config map.
    workloads: Vec<Workload>,
    config: u8,
    /// How many commits were made, and the last of them that is bad.
    made: usize,
    bad_one: Option<usize>,
}

impl People {
    fn of(random: &mut Random) -> Self {
        let trades = trades(random);
        let workloads = trades.map(|trade| workload(random, trade)).to_vec();
        Self { trades, workloads, config: 0, made: 0, bad_one: None }
    }

    /// All workloads, as they have never been.
    fn anything(&self, random: &mut Random) -> Vec<Workload> {
        self.trades.map(|trade| workload(random, trade)).to_vec()
    }

    fn ask(&mut self, random: &mut Random) -> Asks {
        let workloads = match random.below(14) {
            0 => return Asks::Nonsense,
            12 => return Asks::Nothing,
            1 | 13 if self.made > 1 => {
                return match self.bad_one {
                    Some(bad) if random.one_in(2) => Asks::Again(bad),
                    _ => Asks::Again(random.below(self.made as u64 - 1) as usize),
                };
            }
            2 => {
                self.config = random.below(3) as u8;
                if self.config == 1 {
                    self.rename();
                }
                self.workloads.clone()
            }
            3 => return Asks::Bad(self.something_bad(random), self.config),
            4 => {
                let mut fewer = self.workloads.clone();
                fewer.remove(self.one(random));
                fewer
            }
            _ => {
                let changed = self.one(random);
                self.workloads[changed] = workload(random, self.trades[changed]);
                self.workloads.clone()
            }
        };
        Asks::Objects(workloads, self.config)
    }

    /// The first workload gets another name: what had the name before leaves.
    fn rename(&mut self) {
        let name = if self.trades[0].0 == ALWAYS.0 { RENAMED } else { ALWAYS.0 };
        self.trades[0].0 = name;
        self.workloads[0].name = name;
    }

    /// Keeps in mind what was asked, and says whether it is bad.
    fn note(&mut self, asks: &Asks) -> bool {
        let is_bad = matches!(asks, Asks::Bad(..));
        if is_bad {
            self.bad_one = Some(self.made);
        }
        self.made += usize::from(!matches!(asks, Asks::Again(_)));
        is_bad
    }

    /// One of the workloads.
    fn one(&self, random: &mut Random) -> usize {
        random.below(self.trades.len() as u64) as usize
    }

    /// One of the workloads cannot work, and perhaps another is changed beside it.
    fn something_bad(&self, random: &mut Random) -> Vec<Workload> {
        let mut bad = self.workloads.clone();
        if random.one_in(2) {
            let changed = self.one(random);
            bad[changed] = workload(random, self.trades[changed]);
        }
        let broken = &mut bad[self.one(random)];
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
        bad
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
        helper: match random.below(8) {
            0 if !is_bare => Helper::Init,
            1 if !is_bare => Helper::Sidecar,
            _ => Helper::None,
        },
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
        helper: Helper::None,
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

impl Workload {
    fn is_work(&self) -> bool {
        matches!(self.shape, Shape::Job { .. } | Shape::CronJob { .. })
    }

    /// The same as part of the last commit: a hook does something that it has not done before, and comes
    /// to a good end; and no schedule makes anything new.
    fn at_last(mut self) -> Self {
        match &mut self.shape {
            Shape::Job { hook: Some(_), backoff_limit, .. } => {
                // That the node it was given to was lost just before is no fault of its own.
                *backoff_limit = 6;
                (self.image, self.work) = ("job:done", 9);
            }
            Shape::CronJob { suspended, .. } => *suspended = true,
            _ => {}
        }
        self
    }
}
