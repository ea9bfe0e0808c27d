//! The control plane's process: the real engine over the fake database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dugout_model::{Fact, NodeName, SharedAssignment, Timestamp, World};
use dugout_planner::{Settings, Violation, check};
use dugout_reconciler::{Clock, Engine, EngineMetrics, Planner, Publisher, Surroundings};
use futures_util::FutureExt as _;
use prometheus_client::registry::Registry;

use crate::bugs::{self, Bug};
use crate::events::{Alarm, Life};
use crate::ledger::{Leadership, SharedDatabase};
use crate::rules::{Breach, Rule};

/// How long a node may be silent.
pub(crate) const NODE_TIMEOUT: Duration = Duration::from_secs(15);

/// The time of the simulation, as the engine reads it.
#[derive(Clone, Default)]
pub(crate) struct FakeClock(Arc<Mutex<Timestamp>>);

impl FakeClock {
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One life of the process.
pub(crate) struct Server {
    pub life: Life,
    pub alarm: Alarm,
    engine: Engine<Leadership>,
    metrics: Arc<EngineMetrics>,
    /// Since when it leads.
    pub since: Timestamp,
    /// What its check has found wrong with plans.
    violations: Arc<Mutex<Vec<Violation>>>,
}

impl Server {
    /// Leads with what is durable.
    pub fn start(life: Life, database: &SharedDatabase, clock: &FakeClock) -> Self {
        let ledger = database.lead();
        let bug = database.open().bug;
        let mut world = database.open().world.clone();
        if bug == Some(Bug::LoadForgetsQuarantine) {
            world.quarantine.clear();
        }
        let violations: Arc<Mutex<Vec<Violation>>> = Arc::default();
        let found = Arc::clone(&violations);
        let planner: Planner = Arc::new(move |input| {
            let before = input.world.clone();
            let plan = bugs::plan(bug, input);
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(check(&before, &plan));
            plan
        });
        let metrics = Arc::new(EngineMetrics::register(&mut Registry::default()));
        let surroundings = Surroundings {
            settings: Settings { node_timeout: NODE_TIMEOUT },
            planner,
            clock: Arc::new(clock.clone()),
            publisher: Arc::new(Publisher::new(world.cluster)),
            metrics: Arc::clone(&metrics),
        };
        let engine = Engine::begin(ledger, world, life.0, surroundings);
        Self { life, alarm: Alarm::default(), engine, metrics, since: clock.now(), violations }
    }

    /// One turn. False when the process ends with it.
    pub fn step(&mut self, facts: Vec<Fact>) -> bool {
        // Nothing in a turn waits for anything but the ledger, and this one answers at once.
        matches!(self.engine.step(facts).now_or_never(), Some(Ok(())))
    }

    /// What its own check refused, if it refused a plan.
    pub fn refused(&self) -> Option<Breach> {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        let why = violations.first().map_or("the planner panicked".to_owned(), ToString::to_string);
        (self.metrics.plans_refused() > 0).then(|| Rule::PlansAreSound.broken(why))
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.engine.due_at()
    }

    pub fn world(&self) -> &World {
        self.engine.world()
    }

    pub fn assignment(&self, node: &NodeName) -> Option<SharedAssignment> {
        dugout_planner::assignment(self.world(), node).map(Arc::new)
    }
}
