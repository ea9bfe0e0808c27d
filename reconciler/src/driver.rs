//! The driver: becomes the leader when it can, runs an engine while it is, and starts again from
//! what is durable whenever that ends.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{Turn, chain};
use dugout_planner::Settings;
use dugout_store::{CommitError, Leadership, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::engine::{Delivery, Engine, EngineEnd, Ledger, Surroundings};
use crate::handle::Leading;
use crate::metrics::EngineMetrics;
use crate::publish::Publisher;

/// How long a standby waits before it tries to lead again.
const STANDBY_INTERVAL: Duration = Duration::from_secs(1);

/// A standby spends at most one part in so many of its time, and of the database's, on loading the world.
const STANDBY_LOAD_SHARE: u32 = 10;

/// How long the driver waits after the database failed, at first and at most.
const DATABASE_RETRY_FIRST: Duration = Duration::from_millis(100);
const DATABASE_RETRY_LAST: Duration = Duration::from_secs(3);

/// Everything that outlives an engine.
pub(crate) struct Driver {
    pub store: Store,
    /// How this server calls itself to the others.
    pub holder: String,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub publisher: Arc<Publisher>,
    pub metrics: Arc<EngineMetrics>,
    pub leading: watch::Sender<Leading>,
}

impl Ledger for Leadership {
    async fn commit(
        &mut self,
        turn: Turn,
        changes: &[dugout_model::Change],
    ) -> Result<(), CommitError> {
        Leadership::commit(self, turn, changes).await
    }

    async fn is_held(&mut self) -> bool {
        Leadership::is_held(self).await
    }
}

impl Driver {
    /// Runs until shutdown. Nothing that happens to the database ends it.
    pub async fn run(self, mut inbox: mpsc::Receiver<Delivery>, shutdown: CancellationToken) {
        let mut retry = Retry(DATABASE_RETRY_FIRST);
        let mut rest = Rest::default();
        while !shutdown.is_cancelled() {
            let pause = match self.lead_once(&mut inbox, &mut rest, &shutdown).await {
                Ok(term) => retry.after(term),
                Err(error) => {
                    self.report_no_database(&error);
                    retry.longer()
                }
            };
            refuse_waiting(&mut inbox);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One attempt to lead; if it succeeds, one engine's whole life.
    async fn lead_once(
        &self,
        inbox: &mut mpsc::Receiver<Delivery>,
        rest: &mut Rest,
        shutdown: &CancellationToken,
    ) -> Result<Term, StoreError> {
        let leadership = match self.store.lead(&self.holder).await? {
            dugout_store::Leading::Leader(leadership) => leadership,
            dugout_store::Leading::HeldBy { holder, since } => {
                self.say(Leading::Elsewhere { holder, since });
                self.follow(rest).await?;
                return Ok(Term::StandBy);
            }
        };
        let world = self.store.load().await?;
        tracing::info!(
            epoch = leadership.epoch().0,
            turn = world.turn.0,
            pods = world.pods.len(),
            nodes = world.nodes.len(),
            "leading"
        );
        let began = world.turn;
        let surroundings = Surroundings {
            settings: self.settings.clone(),
            planner: Arc::new(dugout_planner::plan),
            clock: Arc::clone(&self.clock),
            publisher: Arc::clone(&self.publisher),
            metrics: Arc::clone(&self.metrics),
        };
        let mut engine = Engine::begin(leadership, world, rand::random(), surroundings);
        refuse_waiting(inbox);
        self.say(Leading::Here);
        let end = engine.run(inbox, shutdown).await;
        match end {
            EngineEnd::Shutdown => {
                tracing::info!("no longer leading: shutting down");
                self.say(Leading::Nobody { reason: "this server shuts down".into() });
                // A standby may take over now, before this process has ended.
                engine.ledger.resign().await;
                return Ok(Term::Served);
            }
            EngineEnd::Deposed => tracing::warn!("no longer leading: leadership was lost"),
            EngineEnd::Commit(error) => {
                self.metrics.store_failed();
                self.say(Leading::Nobody { reason: chain(&error).into() });
                tracing::error!(error = %chain(&error), "no longer leading: a commit failed");
                return Ok(Term::of_failed_commit(began, engine.world().turn));
            }
        }
        self.say(Leading::Nobody { reason: "it is changing hands".into() });
        Ok(Term::Served)
    }

    /// A standby shows what the leader made durable in its metrics and to the agents that ask it; it
    /// loads that when it has moved, the rarer the longer it takes.
    async fn follow(&self, rest: &mut Rest) -> Result<(), StoreError> {
        if rest.is_over() && self.store.durable_turn().await? != self.publisher.world().turn {
            let began = Instant::now();
            self.publisher.publish_all(&self.store.load().await?);
            rest.after(began.elapsed());
        }
        Ok(())
    }

    fn report_no_database(&self, error: &StoreError) {
        self.metrics.store_failed();
        let reason = chain(error);
        if !matches!(&*self.leading.borrow(), Leading::Nobody { reason: known } if **known == *reason)
        {
            tracing::error!(error = %reason, "the database cannot be used; trying again");
        }
        self.say(Leading::Nobody { reason: reason.into() });
    }

    fn say(&self, leading: Leading) {
        self.metrics.leading(leading == Leading::Here);
        self.leading.send_replace(leading);
    }
}

/// How an attempt to lead ended, when the database answered.
#[derive(Clone, Copy)]
enum Term {
    /// The database did what it was asked, be it only for a while.
    Served,
    /// The database took the leadership and then not one turn.
    CommitFailed,
    StandBy,
}

impl Term {
    /// Of an engine that began with one turn, and ended with another as the last that is durable.
    fn of_failed_commit(began: Turn, ended: Turn) -> Term {
        if began == ended { Term::CommitFailed } else { Term::Served }
    }
}

/// How long a standby rests from its last load.
#[derive(Default)]
struct Rest(Option<Instant>);

impl Rest {
    fn is_over(&self) -> bool {
        self.0.is_none_or(|until| Instant::now() >= until)
    }

    fn after(&mut self, load: Duration) {
        self.0 = Some(Instant::now() + load * STANDBY_LOAD_SHARE);
    }
}

/// The last pause after the database failed: each in a row is longer.
struct Retry(Duration);

impl Retry {
    /// How long to pause after a term.
    fn after(&mut self, term: Term) -> Duration {
        match term {
            Term::Served => {
                self.0 = DATABASE_RETRY_FIRST;
                self.0
            }
            Term::CommitFailed => self.longer(),
            Term::StandBy => STANDBY_INTERVAL,
        }
    }

    fn longer(&mut self) -> Duration {
        self.0 = (self.0 * 2).min(DATABASE_RETRY_LAST);
        self.0
    }
}

/// Drops what waits, so that its senders learn at once that it was not committed.
fn refuse_waiting(inbox: &mut mpsc::Receiver<Delivery>) {
    while inbox.try_recv().is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_standby_rests_the_longer_the_more_its_last_load_took() {
        let mut rest = Rest::default();
        assert!(rest.is_over(), "the first is made at once");
        rest.after(Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(19)).await;
        assert!(!rest.is_over());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(rest.is_over());
    }

    #[test]
    fn a_database_that_took_a_turn_is_tried_again_at_once_however_often_it_failed_before() {
        let mut retry = Retry(DATABASE_RETRY_FIRST);
        for _ in 0..10 {
            retry.after(Term::of_failed_commit(Turn(7), Turn(7)));
        }
        assert_eq!(retry.after(Term::of_failed_commit(Turn(7), Turn(7))), DATABASE_RETRY_LAST);
        assert_eq!(retry.after(Term::of_failed_commit(Turn(7), Turn(8))), DATABASE_RETRY_FIRST);
        assert_eq!(retry.longer(), DATABASE_RETRY_FIRST * 2);
    }
}
