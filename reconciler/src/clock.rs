//! The engine's clock: wall time that never jumps.
//!
//! Timers and node timeouts are wall-clock moments, because they are stored. A clock that somebody
//! sets forward by an hour must not make every node look silent, so the wall clock is read once and
//! then followed on the time since boot, corrected by at most one part in a hundred.
//!
//! The time since boot goes on while the machine is suspended. The usual monotonic clock does not: after
//! an hour in suspend the engine would be an hour behind for days, its deadlines would be late by that
//! hour, and it could not tell that it was itself the silent one. What waits for an answer (the database,
//! the long-polls) stays on tokio's clock, which stands still with the machine.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dugout_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

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
        Self { anchor: Mutex::new(Anchor { since_boot: since_boot(), wall: wall_clock() }) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // The lock guards three words for a few nanoseconds; a poisoned one still holds a sound value.
        let mut anchor = self.anchor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since_boot = since_boot();
        let elapsed = since_boot.saturating_sub(anchor.since_boot);
        anchor.wall = corrected(anchor.wall, elapsed, wall_clock());
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

/// The time since the machine was started, suspended or not.
fn since_boot() -> Duration {
    let read = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(read.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(read.tv_nsec).unwrap_or(0))
}

/// What the machine's clock says; a clock before 1970 counts as 1970.
fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for the copy of the test that runs where the two clocks differ.
    const INSIDE: &str = "DUGOUT_TEST_IN_TIME_NAMESPACE";

    /// A machine that was suspended, as a clock shows it: in a time namespace the time since boot is far
    /// ahead of the monotonic clock.
    #[test]
    fn suspended_time_counts() {
        if std::env::var_os(INSIDE).is_none() {
            let copy = std::process::Command::new("unshare")
                .args(["--user", "--map-root-user", "--time", "--boottime", "1000000"])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "clock::tests::suspended_time_counts"])
                .env(INSIDE, "1")
                .output()
                .unwrap();
            assert!(copy.status.success(), "unshare of util-linux, and user namespaces: {copy:?}");
            return;
        }
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((since_boot().as_secs_f64() - uptime).abs() < 60.0, "{uptime}");
    }

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
    fn without_a_jump_it_is_the_wall_clock() {
        let wall = START + Duration::from_secs(10);
        assert_eq!(corrected(START, Duration::from_secs(10), wall), wall);
    }
}
