//! The engine's clock: wall time that never jumps.
//!
//! Timers and node timeouts are wall-clock moments, because they are stored. A clock that somebody
//! sets forward by an hour must not make every node look silent, so the wall clock is read once and
//! then followed on the time since boot, corrected by at most one part in a hundred.
//!
//! With a clock that stands still in suspend, the engine would be an hour behind for days after an hour of
//! it, and could not tell that it was itself the silent one. What waits for an answer (the database,
//! the long-polls) stays on tokio's clock, which stands still with the machine.

use std::sync::Mutex;
use std::time::Duration;

use dugout_clock::{since_boot, wall};
use dugout_model::Timestamp;

/// Where the engine gets the time.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock, smoothed.
pub struct SystemClock {
    anchor: Mutex<Anchor>,
}

struct Anchor {
    since_boot: Duration,
    wall: Timestamp,
}

/// The share of elapsed time by which the smoothed clock may be corrected.
const SLEW: u32 = 100;

impl Default for SystemClock {
    fn default() -> Self {
        Self { anchor: Mutex::new(Anchor { since_boot: since_boot(), wall: wall() }) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // The lock guards three words for a few nanoseconds; a poisoned one still holds a sound value.
        let mut anchor = self.anchor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since_boot = since_boot();
        let elapsed = since_boot.saturating_sub(anchor.since_boot);
        anchor.wall = corrected(anchor.wall, elapsed, wall());
        anchor.since_boot = since_boot;
        anchor.wall
    }
}

/// The smoothed time after `elapsed`, drawn towards what the wall clock says.
fn corrected(before: Timestamp, elapsed: Duration, wall: Timestamp) -> Timestamp {
    let expected = before + elapsed;
    let reach = elapsed / SLEW;
    if wall > expected {
        expected + wall.since(expected).min(reach)
    } else {
        expected - expected.since(wall).min(reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000);

    #[test]
    fn a_wall_clock_that_jumps_ahead_moves_us_by_one_percent_at_most() {
        let after = corrected(START, Duration::from_secs(10), START + Duration::from_secs(3_600));
        assert_eq!(after.since(START), Duration::from_millis(10_100));
    }

    #[test]
    fn time_never_runs_backwards() {
        let after = corrected(START, Duration::from_secs(10), START - Duration::from_secs(3_600));
        assert_eq!(after.since(START), Duration::from_millis(9_900));
    }

    #[test]
    fn without_a_jump_it_is_the_wall() {
        let wall = START + Duration::from_secs(10);
        assert_eq!(corrected(START, Duration::from_secs(10), wall), wall);
    }
}
