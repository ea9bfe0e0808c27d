//! Every decision of Dugout, as one pure function: [`plan`] takes the world, what happened and the
//! time, and gives the changes that follow. Nothing here does I/O, reads a clock or makes a random
//! number, so the same input gives the same plan, byte for byte.
//!
//! Read [`plan`] first: its lines are the stages of a turn, each a module of the same name. A stage
//! looks only at the [`Work`] that something made dirty: a fact, a timer that is due, or a change of
//! an earlier stage. So the cost of a turn follows what changed and not how much there is, and a turn
//! that looks at everything comes to the same result.
//!
//! What a person sees follows from a few rules, each told at the head of its module:
//!
//! | module | its rule |
//! |---|---|
//! | `facts` | a fact changes a row only when it says something new |
//! | `nodes` | a node that is silent too long is not ready, and what it runs is unknown |
//! | `workloads` | each kind has its controller; what left Git goes whatever it was |
//! | `deployments` | old pods leave only as fast as new ones become available |
//! | `stateful_sets` | one pod for each ordinal, and never two |
//! | `daemon_sets` | one pod for each node that the template admits |
//! | `declared_pods` | as many pods as asked; a new template is for new pods alone |
//! | `jobs` | a pod counts once, with its end; a finished run never runs again |
//! | `pruning` | what left Git goes once what came serves, and in the reverse order |
//! | `cron_jobs` | one run for each time of the schedule, and none twice |
//! | `timetable` | every minute whose wall clock matches |
//! | `replica_sets` | as many pods as chosen; the least useful leaves first |
//! | `draining` | a pod is stopped once nobody sends to it any more |
//! | `evictions` | what a drained node has leaves it, as far as budgets allow, and never by force |
//! | `storage` | a claim gets its volume with its first pod, and never another; nothing is deleted that may be wanted |
//! | `placement` | spread first, then where most is free; a lost pod moves only if it fits elsewhere |
//! | `order` | nothing new begins before what it waits for is complete |
//! | `releases` | a commit is healthy when all of its workloads are, and failed when one is |
//! | `way_back` | a release that fails goes back whole, before anything else of the turn in which it fails |
//! | `forecast` | what would come of a commit is what the same turns would decide |
//! | `pins` | what the name of an image stands for is found once for a release, and holds for all of it |
//! | `services` | until all is healthy, a service serves as it was, too |
//! | `assignments` | a node is told again only when what it must run has changed |

mod assignments;
mod check;
mod contacts;
mod content;
mod cron_jobs;
mod daemon_sets;
mod declared_pods;
mod deployments;
mod draft;
mod draining;
mod evictions;
mod facts;
mod forecast;
mod gate;
mod generations;
mod hash;
mod jobs;
mod nodes;
mod order;
mod pins;
mod placement;
mod pruning;
mod pull_secrets;
mod records;
mod releases;
mod replica_sets;
mod report;
mod resolve;
mod rolling;
mod rollouts;
mod services;
mod stateful_sets;
mod storage;
mod timetable;
mod way_back;
mod work;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_model::{Change, Contacts, Fact, IdSource, SourceName, Timestamp, World};

pub use assignments::assignment;
pub use check::{Violation, check};
pub use contacts::note;
pub use forecast::forecast;
pub use hash::template_hash;
pub use order::Others;
pub use report::{Ignored, PlanReport, PodWait, WorkloadWait};
pub use resolve::MissingReference;
pub use work::Work;

use draft::Draft;
use releases::GoingBack;

/// What an operator of the control plane may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a node, or its container engine, may be silent before the node counts as lost. Longer
    /// than a few report intervals of the agents.
    pub node_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { node_timeout: Duration::from_secs(15) }
    }
}

/// Everything that a plan follows from.
pub struct PlanInput<'a> {
    pub world: &'a World,
    /// The news that is never stored, with the facts already noted (see [`note`]).
    pub contacts: &'a Contacts,
    /// What happened since the last turn, oldest first.
    pub facts: &'a [Fact],
    /// The work whose time has come. A new leader begins with [`Work::Everything`].
    pub due: &'a BTreeSet<Work>,
    pub now: Timestamp,
    pub settings: &'a Settings,
    /// Where new ids come from. Each turn needs a stream of its own.
    pub ids: IdSource,
}

/// What shall happen in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The net difference: at most one change for each row, in an order in which rows follow what
    /// they refer to; then the records in the order in which things happened.
    pub changes: Vec<Change>,
    /// The world with the changes in it: one turn later, or the same when there are none.
    pub after: World,
    /// When work must be looked at again though nothing happens.
    pub wake_at: BTreeMap<Work, Timestamp>,
    /// The work that was looked at: its earlier timers are void. With [`Work::Everything`] in it,
    /// every earlier timer is.
    pub processed: BTreeSet<Work>,
    pub report: PlanReport,
}

/// Decides what follows from what happened.
pub fn plan(input: PlanInput<'_>) -> Plan {
    let mut failed = BTreeMap::new();
    // A source has one release that can fail, and a failure is found anew or not at all: the loop ends.
    loop {
        match attempt(&input, &failed) {
            Ok(draft) => return draft.finish(),
            Err(more) => failed.extend(more),
        }
    }
}

/// One try at a turn, in which the releases that an earlier try found failing go back before anything
/// else. When it finds another, the turn is planned anew: what fails now has stopped nothing now.
fn attempt<'a>(
    input: &PlanInput<'a>,
    failed: &BTreeMap<SourceName, GoingBack>,
) -> Result<Draft<'a>, BTreeMap<SourceName, GoingBack>> {
    let mut draft = Draft::new(input);
    facts::apply(&mut draft, input.facts);
    nodes::judge(&mut draft);
    releases::go_back(&mut draft, failed);
    loop {
        settle(&mut draft);
        let is_more = releases::judge(&mut draft);
        if !draft.going_back.is_empty() {
            return Err(draft.going_back);
        }
        // A gate opens once, and a source has one: the loop ends.
        let is_open = !is_more && gate::watch(&mut draft);
        if !(is_more || is_open) && draft.dirty.sources.is_empty() {
            break;
        }
    }
    storage::reclaim(&mut draft);
    evictions::tell(&mut draft);
    assignments::publish(&mut draft);
    Ok(draft)
}

/// Makes pods, sends them away and places them, again while evictions make room for more.
fn settle(draft: &mut Draft<'_>) {
    for _ in 0..evictions::ROUNDS {
        workloads::reconcile(draft);
        draining::advance(draft);
        storage::reclaim(draft);
        let makes_way = placement::place(draft) && pruning::make_way(draft);
        if !evictions::evict(draft) && !makes_way {
            return;
        }
    }
    workloads::put_off(draft);
}
