//! Whole clusters in memory: the real engine, planner, check and the agents' converge, over fakes of
//! the clock, the network, Git, the container engines and the database.
//!
//! One seed determines everything, down to the hash of the trace. A run has two phases. First people
//! commit, good things and bad, while processes are killed, messages are lost, delayed and doubled,
//! the database fails, engines refuse and nodes vanish; the rules of `rules` must hold at every moment.
//! Then the faults stop, a last good commit comes, and within a bound everything must be as a fresh
//! deployment of it would be, and stay so for an hour without one further change.

mod bugs;
mod docker;
mod events;
mod git;
mod ledger;
mod node;
mod random;
mod rules;
mod scenario;
mod server;
mod simulation;
mod trace;

pub use bugs::Bug;
pub use rules::{Broken, Rule};
pub use scenario::Scenario;
pub use simulation::{CrashPoint, Options, Outcome, simulate};
