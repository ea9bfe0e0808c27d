//! What the agent's decisions follow.
//!
//! They follow the time since boot: a back-off, a crash that is to be forgotten and the grid of a probe
//! mean time that passed, in suspend too, and so does the engine when it says when a container started.
//! The wall clock would step when somebody sets it.
//!
//! What waits for an answer stays on tokio's clock, which stands still with the machine: while it was
//! suspended nobody could answer, so a probe or a call gets the rest of its time. The driver's sleep
//! stands still, too, so what came due meanwhile is noticed when that ends: at most one list interval
//! after the machine is back.

use std::time::Duration;

use dugout_clock::{since_boot, wall};
use dugout_model::Timestamp;

/// A clock for decisions that never steps, and the wall clock for what people read.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Since boot.
    began: Duration,
    began_wall: Timestamp,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: since_boot(), began_wall: wall() }
    }

    /// For decisions: the wall clock's moment of the start and the time since.
    pub fn now(&self) -> Timestamp {
        self.began_wall + since_boot().saturating_sub(self.began)
    }

    /// For people.
    pub fn wall(&self) -> Timestamp {
        wall()
    }
}
