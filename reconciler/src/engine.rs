//! The engine: the only writer. It drains what happened, decides, commits, and publishes, one turn
//! after another.
//!
//! A turn is: facts → plan → check → one transaction → the world in memory → publish. Facts that
//! arrive while a transaction is in flight ride in the next turn. Anything that goes wrong with the
//! ledger ends the engine; its driver starts a new one from what is durable.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, Contact, Contacts, Fact, IdSource, NodeCondition, Timestamp, Turn, World, chain,
};
use dugout_planner::{Plan, PlanInput, Settings, Work};
use dugout_store::CommitError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::EngineMetrics;
use crate::publish::Publisher;
use crate::timers::Timers;

/// Where turns become durable: the store's leadership.
pub trait Ledger: Send {
    /// Commits one turn whole, or nothing of it.
    fn commit(
        &mut self,
        turn: Turn,
        changes: &[Change],
    ) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Whether this engine is still the only one that may write. Called when nothing happens.
    fn is_held(&mut self) -> impl Future<Output = bool> + Send;
}

/// Facts on their way to the engine, with where the answer goes.
pub(crate) struct Delivery {
    pub facts: Vec<Fact>,
    pub done: Option<oneshot::Sender<Turn>>,
}

/// How many deliveries may wait. Senders wait for room beyond it.
pub(crate) const INBOX_CAPACITY: usize = 4_096;

/// How many deliveries one turn takes at most, so that a turn stays short under load.
const DELIVERIES_PER_TURN: usize = 1_024;

/// How often an engine makes sure that it still leads, also when it commits nothing.
const LEADERSHIP_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a turn that finds a plan refused by `check` waits before it plans again.
const REFUSED_PLAN_DELAY: Duration = Duration::from_secs(1);

/// Why an engine stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineEnd {
    #[error("the engine was told to stop")]
    Shutdown,
    #[error("another server leads this cluster now")]
    Deposed,
    #[error("a turn could not be committed")]
    Commit(#[source] CommitError),
}

/// The world with everything that is needed to take it one turn further.
pub struct Engine<L> {
    pub(crate) ledger: L,
    world: World,
    contacts: Contacts,
    settings: Settings,
    planner: Planner,
    clock: Arc<dyn Clock>,
    publisher: Arc<Publisher>,
    metrics: Arc<EngineMetrics>,
    seed: u64,
    /// When each piece of work is to be looked at again though nothing happened.
    timers: Timers,
}

/// What decides: [`dugout_planner::plan`]. Handed in, so that an engine can be shown what it must refuse.
pub type Planner = Arc<dyn Fn(PlanInput<'_>) -> Plan + Send + Sync>;

/// What an engine uses of its surroundings; it outlives each engine.
#[derive(Clone)]
pub struct Surroundings {
    pub settings: Settings,
    pub planner: Planner,
    pub clock: Arc<dyn Clock>,
    pub publisher: Arc<Publisher>,
    pub metrics: Arc<EngineMetrics>,
}

impl Delivery {
    fn answer(self, turn: Turn) {
        if let Some(done) = self.done {
            // Nobody waits any more: then nobody needs the answer.
            let _ = done.send(turn);
        }
    }
}

/// How a turn ended.
#[derive(PartialEq)]
enum TurnEnd {
    /// Its changes are committed and published; there may be none.
    Accepted,
    /// No sound plan follows from its facts; nothing was changed.
    Refused,
}

/// What wakes the engine.
enum Wake {
    Deliveries(Vec<Delivery>),
    Timer,
    LeadershipCheck,
    Shutdown,
}

impl<L: Ledger> Engine<L> {
    /// An engine that has just begun to lead, with the world that was loaded. `seed` determines the ids
    /// that it gives. Everything is looked at in its first turn.
    pub fn begin(ledger: L, world: World, seed: u64, surroundings: Surroundings) -> Self {
        let Surroundings { settings, planner, clock, publisher, metrics } = surroundings;
        let started = clock.now();
        publisher.publish_all(&world);
        let mut timers = Timers::default();
        timers.insert(Work::Everything, started);
        Self {
            ledger,
            contacts: contacts_at_start(&world, started),
            world,
            settings,
            planner,
            clock,
            publisher,
            metrics,
            seed,
            timers,
        }
    }

    /// One turn for these facts and the work that is due, as [`Engine::run`] makes them.
    ///
    /// # Errors
    /// When the ledger cannot be written any more: the engine has ended then.
    pub async fn step(&mut self, facts: Vec<Fact>) -> Result<(), CommitError> {
        self.take(vec![Delivery { facts, done: None }]).await
    }

    /// When work is due next though nothing happens.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.timers.next_at()
    }

    /// Everything up to the last committed turn.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Runs turns until told to stop or the ledger fails. An engine that has ended is not run again.
    pub(crate) async fn run(
        &mut self,
        inbox: &mut mpsc::Receiver<Delivery>,
        shutdown: &CancellationToken,
    ) -> EngineEnd {
        let mut next_check = tokio::time::Instant::now() + LEADERSHIP_CHECK_INTERVAL;
        loop {
            let slept_at = self.clock.now();
            let wake = self.next_wake(inbox, next_check, shutdown).await;
            self.forgive_own_silence(slept_at);
            if matches!(wake, Wake::LeadershipCheck) {
                next_check = tokio::time::Instant::now() + LEADERSHIP_CHECK_INTERVAL;
            }
            let result = match wake {
                Wake::Deliveries(deliveries) => self.take(deliveries).await,
                Wake::Timer => self.turn(&[]).await.map(|_| ()),
                Wake::LeadershipCheck if self.ledger.is_held().await => Ok(()),
                Wake::LeadershipCheck => return EngineEnd::Deposed,
                Wake::Shutdown => return EngineEnd::Shutdown,
            };
            match result {
                Ok(()) => {}
                Err(CommitError::Deposed) => return EngineEnd::Deposed,
                Err(error) => return EngineEnd::Commit(error),
            }
        }
    }

    /// A wait is never long. One that was (the machine was suspended, or starved) says nothing about
    /// the nodes: they get the whole timeout again.
    fn forgive_own_silence(&mut self, slept_at: Timestamp) {
        let now = self.clock.now();
        if now.since(slept_at) > self.settings.node_timeout / 2 + LEADERSHIP_CHECK_INTERVAL {
            for contact in self.contacts.values_mut() {
                (contact.last_report, contact.engine_answered) = (now, now);
            }
        }
    }

    /// Waits for the next thing to do. Every branch may be dropped half-way without losing anything:
    /// `recv_many` takes nothing until it is ready.
    async fn next_wake(
        &self,
        inbox: &mut mpsc::Receiver<Delivery>,
        next_check: tokio::time::Instant,
        shutdown: &CancellationToken,
    ) -> Wake {
        let mut deliveries = Vec::new();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Wake::Shutdown,
            // Before the inbox: reports that change nothing must not put the check off.
            () = tokio::time::sleep_until(next_check) => Wake::LeadershipCheck,
            count = inbox.recv_many(&mut deliveries, DELIVERIES_PER_TURN) => {
                if count == 0 { Wake::Shutdown } else { Wake::Deliveries(deliveries) }
            }
            () = tokio::time::sleep(self.until_next_timer()) => Wake::Timer,
        }
    }

    fn until_next_timer(&self) -> Duration {
        let now = self.clock.now();
        // Long waits are cut: a sleep is only a hint, the clock decides what is due.
        let longest = Duration::from_secs(60);
        self.due_at().map_or(longest, |at| at.since(now).min(longest))
    }

    /// One turn for everything that was delivered; when its plan is refused, one turn for each
    /// delivery, so that a fact which no sound plan follows from harms nobody else.
    async fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), CommitError> {
        let facts: Vec<Fact> =
            deliveries.iter().flat_map(|delivery| delivery.facts.iter().cloned()).collect();
        match self.turn(&facts).await? {
            TurnEnd::Accepted => {
                for delivery in deliveries {
                    delivery.answer(self.world.turn);
                }
            }
            TurnEnd::Refused => {
                for delivery in deliveries {
                    if self.turn(&delivery.facts).await? == TurnEnd::Accepted {
                        delivery.answer(self.world.turn);
                    }
                }
            }
        }
        Ok(())
    }

    async fn turn(&mut self, facts: &[Fact]) -> Result<TurnEnd, CommitError> {
        let now = self.clock.now();
        let timer = self.metrics.turn_started(facts.len());
        for fact in facts {
            dugout_planner::note(&mut self.contacts, fact, now);
        }
        let Some(plan) = self.sound_plan(facts, now) else {
            return Ok(self.refuse(now));
        };
        if !plan.changes.is_empty() {
            let commit = self.metrics.commit_started();
            match self.ledger.commit(plan.after.turn, &plan.changes).await {
                Ok(()) => self.metrics.commit_ended(commit),
                Err(error) if !ends_leadership(&error) => {
                    tracing::error!(error = %chain(&error), "the database refused a plan; nothing was changed");
                    return Ok(self.refuse(now));
                }
                Err(error) => return Err(error),
            }
        }
        self.accept(facts, plan);
        self.metrics.turn_ended(timer);
        Ok(TurnEnd::Accepted)
    }

    /// Notes that no turn was made, and looks at everything again soon, with other ids.
    fn refuse(&mut self, now: Timestamp) -> TurnEnd {
        self.metrics.plan_refused();
        self.seed = self.seed.wrapping_add(1);
        self.timers.insert(Work::Everything, now + REFUSED_PLAN_DELAY);
        TurnEnd::Refused
    }

    /// The plan, if the planner makes one and the independent check accepts it.
    fn sound_plan(&mut self, facts: &[Fact], now: Timestamp) -> Option<Plan> {
        // The planner is a pure function of values that are only read: a panic in it leaves nothing
        // half-done, and must not take the whole control plane down with one bad object.
        let planned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let plan = self.plan(facts, now);
            let violations = dugout_planner::check(&self.world, &plan);
            (plan, violations)
        }));
        match planned {
            Ok((plan, violations)) if violations.is_empty() => Some(plan),
            Ok((_, violations)) => {
                tracing::error!(
                    ?violations,
                    "a plan was refused by its check; nothing was changed"
                );
                None
            }
            Err(_) => {
                tracing::error!("the planner failed on these facts; nothing was changed");
                None
            }
        }
    }

    fn plan(&mut self, facts: &[Fact], now: Timestamp) -> Plan {
        let due = self.timers.take_due(now);
        (self.planner)(PlanInput {
            world: &self.world,
            contacts: &self.contacts,
            facts,
            due: &due,
            now,
            settings: &self.settings,
            // Each turn has its own stream, which the seed and the turn determine.
            ids: IdSource::from_seed(self.seed ^ self.world.turn.0.rotate_left(32)),
        })
    }

    /// Makes a committed plan the present.
    fn accept(&mut self, facts: &[Fact], plan: Plan) {
        if plan.processed.contains(&Work::Everything) {
            self.timers.clear();
        }
        for work in &plan.processed {
            self.timers.remove(work);
        }
        for (work, at) in &plan.wake_at {
            self.timers.insert(work.clone(), *at);
        }
        self.forget_contacts(facts, &plan);
        self.metrics.committed(&self.world, &plan.changes, self.clock.now());
        self.world = plan.after;
        self.publisher.publish(&self.world, &plan.changes);
    }

    /// Forgets the contacts of nodes that are gone, and of those that were never there.
    fn forget_contacts(&mut self, facts: &[Fact], plan: &Plan) {
        let deleted = plan.changes.iter().filter_map(|change| match change {
            Change::DeleteNode(name) => Some(name),
            _ => None,
        });
        let heard = facts.iter().filter_map(|fact| match fact {
            Fact::Report(report) => Some(&report.node),
            Fact::NodeJoined(registration) => Some(&registration.name),
            _ => None,
        });
        for name in deleted.chain(heard) {
            if !plan.after.nodes.contains_key(name) {
                self.contacts.remove(name);
            }
        }
    }
}

/// Whether the ledger cannot be written any more. What the database refuses for its content leaves it
/// as it was.
fn ends_leadership(error: &CommitError) -> bool {
    match error {
        CommitError::Constraint { .. }
        | CommitError::Unstorable { .. }
        | CommitError::Refused { .. } => false,
        CommitError::Deposed
        | CommitError::TurnConflict { .. }
        | CommitError::Unavailable { .. } => true,
    }
}

/// A new leader has heard nothing yet: it gives every node that was ready the whole timeout from now.
fn contacts_at_start(world: &World, now: Timestamp) -> Contacts {
    world
        .nodes
        .iter()
        .filter(|(_, node)| node.condition == NodeCondition::Ready)
        .map(|(name, _)| {
            let contact = Contact {
                last_report: now,
                engine_answered: now,
                acknowledged: Turn(0),
                connections: BTreeMap::new(),
            };
            (name.clone(), contact)
        })
        .collect()
}

#[cfg(test)]
mod tests;
