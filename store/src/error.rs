//! What can go wrong between Dugout and its database, decided from error codes and constraint names
//! and never from message text.

use std::time::Duration;

use dugout_model::{CommitSha, Turn};

/// A read, or the work around the writes, failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the PostgreSQL address cannot be used; write it as postgres://user:password@host:port/database, \
         or postgres:///database?host=/folder/of/the/socket&user=name"
    )]
    Address { source: sqlx::Error },

    #[error(
        "PostgreSQL does not serve while {doing}; check that it runs, takes connections, and has room \
         on its disk"
    )]
    Unavailable { doing: &'static str, source: sqlx::Error },

    #[error("PostgreSQL did not answer within {} s while {doing}", limit.as_secs())]
    TooSlow { doing: &'static str, limit: Duration },

    #[error("PostgreSQL refused the request while {doing}")]
    Refused { doing: &'static str, source: sqlx::Error },

    #[error("PostgreSQL {} is too old; Dugout needs version 13 or newer", found / 10_000)]
    ServerTooOld { found: i32 },

    #[error("the database has no Dugout tables yet; start a Dugout server on it, which makes them")]
    NotMigrated { source: sqlx::Error },

    #[error(
        "the database was written by a newer Dugout (its schema is at {found}, this program knows \
         {known}); use that version or a newer one"
    )]
    DatabaseNewer { found: i64, known: i64 },

    #[error(
        "step {version} of the database's schema is not the one that this program has; the database \
         belongs to another build of Dugout, and nothing was changed"
    )]
    DatabaseDiffers { version: i64 },

    #[error(
        "the database's schema cannot be brought up to date; nothing of the failed step was kept"
    )]
    Migration { source: sqlx::migrate::MigrateError },

    #[error("a row of the table {table} cannot be understood; it was not written by this version")]
    UnreadableRow { table: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    #[error(
        "{prefix} can mean more than one commit, such as {first} and {second}; give more of it"
    )]
    AmbiguousCommit { prefix: String, first: CommitSha, second: CommitSha },

    #[error("a join token with the name {name} or the same content is already there")]
    TokenExists { name: String },

    #[error("a value cannot be stored: {what} is outside of what PostgreSQL can hold")]
    OutOfRange { what: &'static str },
}

/// A turn was not committed, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written, and this leadership can write nothing ever again.
    #[error(
        "another server leads now, or this one lost its leadership; it must lead again to write"
    )]
    Deposed,

    /// Nothing was written.
    #[error(
        "turn {} does not follow the last committed turn, {}; the world in memory must be loaded again",
        turn.0, durable.0
    )]
    TurnConflict { turn: Turn, durable: Turn },

    /// Nothing was written; the leadership is still held.
    #[error("the changes break the rule {name} of the database; nothing of the turn was kept")]
    Constraint { name: String, source: Option<sqlx::Error> },

    /// Nothing was written; the leadership is still held.
    #[error(
        "the changes hold a value that the database cannot store; nothing of the turn was kept"
    )]
    Unstorable { source: Box<dyn std::error::Error + Send + Sync> },

    /// Nothing was written; the leadership is still held.
    #[error("PostgreSQL refused to write the turn; nothing of it was kept")]
    Refused { source: sqlx::Error },

    /// The connection is gone and the leadership with it. When `outcome` is `Unknown`, lead again and
    /// load: leading again waits until the old connection has ended on the server, so the turn that is
    /// then found is the final one.
    #[error("PostgreSQL did not write the turn; {outcome}")]
    Unavailable { outcome: CommitOutcome, source: Box<dyn std::error::Error + Send + Sync> },
}

/// Whether a turn whose connection was lost has been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Surely not: it was lost before the commit was asked for.
    NotCommitted,
    /// It was lost between the request to commit and the answer.
    Unknown,
}

impl std::fmt::Display for CommitOutcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            CommitOutcome::NotCommitted => "nothing of it was kept",
            CommitOutcome::Unknown => "whether it was kept is known once the server leads again",
        })
    }
}

impl StoreError {
    pub(crate) fn of(doing: &'static str, source: sqlx::Error) -> StoreError {
        const UNDEFINED_TABLE: &str = "42P01";
        match class_of(&source) {
            Class::Lost => StoreError::Unavailable { doing, source },
            _ if code_of(&source).as_deref() == Some(UNDEFINED_TABLE) => {
                StoreError::NotMigrated { source }
            }
            _ => StoreError::Refused { doing, source },
        }
    }
}

/// What an error says of the connection and the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The connection or the server is gone, or too busy to answer.
    Lost,
    /// A named constraint was broken.
    Constraint,
    /// A value does not fit its type.
    Data,
    /// Everything else that the server says no to.
    Refused,
}

pub(crate) fn class_of(error: &sqlx::Error) -> Class {
    let Some(code) = code_of(error) else { return Class::Lost };
    match code.get(..2) {
        // Connection, rollback by the server, resources, a lock not had in time, operator intervention
        // (shutdown, timeout), system error.
        Some("08" | "40" | "53" | "55" | "57" | "58") => Class::Lost,
        Some("23") => Class::Constraint,
        Some("22") => Class::Data,
        _ => Class::Refused,
    }
}

/// The SQLSTATE, when the server itself spoke.
fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}
