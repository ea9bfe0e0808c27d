//! The one place that reads clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dugout_model::Timestamp;

/// A clock for decisions that never steps, and the wall clock for what people read.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_wall: Timestamp,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: Instant::now(), began_wall: wall() }
    }

    /// For decisions: the wall clock's moment of the start and the time since.
    pub fn now(&self) -> Timestamp {
        self.began_wall + self.began.elapsed()
    }

    /// For people.
    pub fn wall(&self) -> Timestamp {
        wall()
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
