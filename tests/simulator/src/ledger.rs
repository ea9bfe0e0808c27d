//! The database: what was committed, kept over every kill of a server, and the ways in which it fails.

use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dugout_model::{Change, Turn, World};
use dugout_reconciler::Ledger;
use dugout_store::{CommitError, CommitOutcome};

use crate::CrashPoint;
use crate::bugs::Bug;

/// What the next commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum CommitFault {
    #[default]
    None,
    /// The connection is lost before anything is written.
    Before,
    /// It is written, and the answer is lost.
    After,
}

/// What is durable.
pub(crate) struct Database {
    pub world: World,
    /// The number of the leadership that may write.
    pub epoch: u64,
    pub fault: CommitFault,
    pub bug: Option<Bug>,
    /// Everything that was committed since somebody last looked.
    pub committed: Vec<Change>,
    /// How many effects there were in the whole run, those of nodes, too.
    pub effects: u64,
    pub crash: Option<CrashPoint>,
}

impl Database {
    /// Counts an effect; gives whether its process is killed before or after it.
    pub fn effect(&mut self) -> Option<CrashPoint> {
        self.effects += 1;
        self.crash.filter(|crash| crash.effect == self.effects)
    }
}

/// A database that servers share.
#[derive(Clone)]
pub(crate) struct SharedDatabase(Arc<Mutex<Database>>);

impl SharedDatabase {
    pub fn new(world: World, crash: Option<CrashPoint>, bug: Option<Bug>) -> Self {
        let database = Database {
            world,
            epoch: 0,
            fault: CommitFault::None,
            bug,
            committed: Vec::new(),
            effects: 0,
            crash,
        };
        Self(Arc::new(Mutex::new(database)))
    }

    /// The lock is for `Sync` alone: a simulation has one thread.
    pub fn open(&self) -> MutexGuard<'_, Database> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new leadership, which ends every earlier one.
    pub fn lead(&self) -> Leadership {
        let mut database = self.open();
        database.epoch += 1;
        Leadership { database: self.clone(), epoch: database.epoch }
    }
}

/// One server's right to write.
pub(crate) struct Leadership {
    database: SharedDatabase,
    epoch: u64,
}

#[derive(Debug)]
struct ConnectionLost;

impl std::fmt::Display for ConnectionLost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the connection was lost")
    }
}

impl std::error::Error for ConnectionLost {}

impl Leadership {
    fn write(&self, turn: Turn, changes: &[Change]) -> Result<(), CommitError> {
        let mut database = self.database.open();
        if database.epoch != self.epoch && database.bug != Some(Bug::StaleEpochAccepted) {
            return Err(CommitError::Deposed);
        }
        let fault = match database.effect() {
            Some(CrashPoint { after: true, .. }) => CommitFault::After,
            Some(CrashPoint { after: false, .. }) => CommitFault::Before,
            None => std::mem::take(&mut database.fault),
        };
        if fault == CommitFault::Before {
            if database.bug == Some(Bug::PartOfATransaction) {
                changes.iter().take(changes.len() / 2).for_each(|each| database.world.apply(each));
            }
            return Err(unavailable(CommitOutcome::NotCommitted));
        }
        if turn != database.world.turn.next() {
            return Err(CommitError::TurnConflict { turn, durable: database.world.turn });
        }
        for change in changes {
            database.world.apply(change);
        }
        database.world.turn = turn;
        database.committed.extend_from_slice(changes);
        match fault {
            CommitFault::After => Err(unavailable(CommitOutcome::Unknown)),
            CommitFault::None | CommitFault::Before => Ok(()),
        }
    }
}

fn unavailable(outcome: CommitOutcome) -> CommitError {
    CommitError::Unavailable { outcome, source: Box::new(ConnectionLost) }
}

impl Ledger for Leadership {
    fn commit(
        &mut self,
        turn: Turn,
        changes: &[Change],
    ) -> impl Future<Output = Result<(), CommitError>> + Send {
        ready(self.write(turn, changes))
    }

    fn is_held(&mut self) -> impl Future<Output = bool> + Send {
        ready(self.database.open().epoch == self.epoch)
    }
}
