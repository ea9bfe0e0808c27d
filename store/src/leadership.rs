//! The one writer. Leadership is two things together: a session-level advisory lock, which is free as
//! soon as its holder's connection ends and costs nothing while it is held, and a row with an epoch,
//! which every commit checks in its own transaction. The lock says who may try; the row decides.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use dugout_model::{Change, ClusterId, Epoch, Timestamp, Turn};

use crate::batch::Batch;
use crate::error::{Class, class_of};
use crate::store::within;
use crate::write::{self, WriteError};
use crate::{CommitError, CommitOutcome, Store, StoreError, moment, text};

/// How long writing a turn may take before the connection is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// The same for the commit itself.
const COMMIT_LIMIT: Duration = Duration::from_secs(30);
/// The same for asking whether the leadership is still held.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// What became of the attempt to lead.
#[derive(Debug)]
pub enum Leading {
    Leader(Leadership),
    /// Another server leads. While it takes over, this may still name the one before it.
    HeldBy {
        holder: String,
        since: Timestamp,
    },
}

/// The right to write, and the connection that holds it: when the connection is lost, so is the right.
/// Dropping it gives it up, too; [`Leadership::resign`] does so at once and in good order.
#[derive(Debug)]
pub struct Leadership {
    /// Absent once it is lost. It is taken out for the time of a commit, so that a commit that is
    /// cancelled half-way ends the connection and nothing half-done is ever used again.
    connection: Option<PgConnection>,
    epoch: Epoch,
}

impl Store {
    /// Tries to become the leader. `holder` is this server's name, for people. Never waits for another
    /// leader to go: ask again later.
    ///
    /// # Errors
    /// The database cannot be reached, or has no tables yet.
    pub async fn lead(&self, holder: &str) -> Result<Leading, StoreError> {
        let mut connection = self.dedicated_for_leading().await?;
        let query = sqlx::query_scalar!("select id from cluster");
        let cluster = within("reading the cluster's id", query.fetch_one(&mut connection)).await?;
        let lock = sqlx::query_scalar!(
            r#"select pg_try_advisory_lock($1) as "locked!""#,
            lock_key(ClusterId(cluster))
        );
        if !within("asking for the leader's lock", lock.fetch_one(&mut connection)).await? {
            let query = sqlx::query!("select holder, since from leadership");
            let row = within("reading who leads", query.fetch_one(&mut connection)).await?;
            say_goodbye(connection).await;
            return Ok(Leading::HeldBy {
                holder: text::unescape(row.holder),
                since: moment::from_sql(row.since),
            });
        }
        let take = sqlx::query_scalar!(
            "update leadership set epoch = epoch + 1, holder = $1, since = now() returning epoch",
            &text::escape(holder)
        );
        let epoch = within("taking the leadership", take.fetch_one(&mut connection)).await?;
        Ok(Leading::Leader(Leadership {
            connection: Some(connection),
            epoch: Epoch(epoch.cast_unsigned()),
        }))
    }
}

impl Leadership {
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Commits one turn: all of its changes or none, and only when this leadership is the newest and
    /// `turn` follows the last committed one. Of several changes of the same row, the last counts.
    ///
    /// When the future is dropped before it is done, the leadership is lost and the outcome unknown.
    ///
    /// # Errors
    /// See [`CommitError`], which says for each case whether anything can have been written and
    /// whether the leadership is still held.
    pub async fn commit(&mut self, turn: Turn, changes: &[Change]) -> Result<(), CommitError> {
        let batch = Batch::of(changes)?;
        let mut connection = self.connection.take().ok_or(CommitError::Deposed)?;
        let outcome = commit_on(&mut connection, self.epoch, turn, &batch).await;
        let keeps_leading = !matches!(
            outcome,
            Err(CommitError::Deposed
                | CommitError::TurnConflict { .. }
                | CommitError::Unavailable { .. })
        );
        if keeps_leading {
            self.connection = Some(connection);
        }
        outcome
    }

    /// Asks the database whether the leadership is still held. Writes nothing. A `false` is final.
    pub async fn is_held(&mut self) -> bool {
        let Some(mut connection) = self.connection.take() else { return false };
        let Ok(epoch) = to_sql(self.epoch.0) else { return false };
        let query = sqlx::query_scalar!(
            r#"select exists(select from leadership where epoch = $1) as "held!""#,
            epoch
        );
        let answer = tokio::time::timeout(CHECK_LIMIT, query.fetch_one(&mut connection)).await;
        let held = matches!(answer, Ok(Ok(true)));
        if held {
            self.connection = Some(connection);
        }
        held
    }

    /// Gives the leadership up at once, so that another server need not wait for a timeout.
    pub async fn resign(self) {
        if let Some(connection) = self.connection {
            say_goodbye(connection).await;
        }
    }
}

/// Ends a connection in good order. A goodbye that fails or takes too long is the same as a lost
/// connection: whatever it held is free.
async fn say_goodbye(connection: PgConnection) {
    drop(tokio::time::timeout(CHECK_LIMIT, connection.close()).await);
}

async fn commit_on(
    connection: &mut PgConnection,
    epoch: Epoch,
    turn: Turn,
    batch: &Batch<'_>,
) -> Result<(), CommitError> {
    let begun = tokio::time::timeout(WRITE_LIMIT, async {
        let mut transaction = connection.begin().await?;
        match write_turn(&mut transaction, epoch, turn, batch).await {
            Ok(()) => Ok(Ok(transaction)),
            Err(error) => {
                transaction.rollback().await?;
                Ok(Err(error))
            }
        }
    });
    let transaction = match begun.await {
        Ok(Ok(written)) => written?,
        Ok(Err(source)) => return Err(lost::<sqlx::Error>(CommitOutcome::NotCommitted, source)),
        Err(elapsed) => return Err(lost(CommitOutcome::NotCommitted, elapsed)),
    };
    match tokio::time::timeout(COMMIT_LIMIT, transaction.commit()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(commit_refused(source)),
        Err(elapsed) => Err(lost(CommitOutcome::Unknown, elapsed)),
    }
}

/// Checks the fence, then writes. The fence's row stays locked until the end of the transaction.
async fn write_turn(
    connection: &mut PgConnection,
    epoch: Epoch,
    turn: Turn,
    batch: &Batch<'_>,
) -> Result<(), CommitError> {
    let (mine, new) = (to_sql(epoch.0)?, to_sql(turn.0)?);
    let fence = sqlx::query!(
        "update leadership set turn = $2 where epoch = $1 and turn + 1 = $2::bigint",
        mine,
        new
    );
    if fence.execute(&mut *connection).await.map_err(write_error)?.rows_affected() == 1 {
        return write::batch(connection, batch).await.map_err(|error| match error {
            WriteError::Database(source) => write_error(source),
            WriteError::Commit(error) => error,
        });
    }
    let query = sqlx::query!("select epoch, turn from leadership");
    let row = query.fetch_one(&mut *connection).await.map_err(write_error)?;
    if row.epoch == mine {
        Err(CommitError::TurnConflict { turn, durable: Turn(row.turn.cast_unsigned()) })
    } else {
        Err(CommitError::Deposed)
    }
}

/// An error of a statement, before the commit was asked for.
fn write_error(source: sqlx::Error) -> CommitError {
    match class_of(&source) {
        Class::Lost => lost(CommitOutcome::NotCommitted, source),
        Class::Data => CommitError::Unstorable { source: Box::new(source) },
        Class::Refused => CommitError::Refused { source },
        Class::Constraint => {
            let name = source
                .as_database_error()
                .and_then(|error| error.constraint())
                .unwrap_or("without a name")
                .to_owned();
            CommitError::Constraint { name, source: Some(source) }
        }
    }
}

/// An error of the commit itself. What the server itself refuses at this point is rolled back, except
/// when it says so while it goes down.
fn commit_refused(source: sqlx::Error) -> CommitError {
    match class_of(&source) {
        Class::Lost => lost(CommitOutcome::Unknown, source),
        _ => write_error(source),
    }
}

fn lost<E>(outcome: CommitOutcome, source: E) -> CommitError
where
    E: std::error::Error + Send + Sync + 'static,
{
    CommitError::Unavailable { outcome, source: Box::new(source) }
}

fn to_sql(number: u64) -> Result<i64, CommitError> {
    i64::try_from(number).map_err(|source| CommitError::Unstorable { source: Box::new(source) })
}

/// Advisory locks are numbers that a whole database shares: half of the cluster's id keeps ours apart
/// from those of other programs.
fn lock_key(cluster: ClusterId) -> i64 {
    let (high, _) = cluster.0.as_u64_pair();
    high.cast_signed()
}
