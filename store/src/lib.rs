//! Everything durable, in PostgreSQL. This crate holds the only SQL of the workspace, and rows never
//! leave it: what goes in are changes and what comes out are values of the model.
//!
//! What is stored: the rows of the world (one table each), the history around it (revisions, past
//! releases, timeline, events), the leadership row that fences every write, and join tokens by hash.
//! What is deliberately not stored: heartbeats, connections, assignments, anything that a node says
//! again by itself. An idle cluster writes nothing.
//!
//! Reads go through a small pool. The one writer is [`Leadership`], on a connection of its own.

mod batch;
mod document;
mod error;
mod history;
mod leadership;
mod load;
mod moment;
mod store;
mod text;
mod tokens;
mod write;

pub use error::{CommitError, CommitOutcome, StoreError};
pub use history::Forgotten;
pub use leadership::{Leadership, Leading};
pub use store::{OLDEST_SERVER_MAJOR, Store};
pub use tokens::{JoinToken, TokenHash};

/// The statement that makes an empty database, for a server that is being set up and takes no
/// connections yet. `name` is a plain lower-case word.
pub fn create_database_statement(name: &str) -> String {
    format!("create database {name}\n")
}
