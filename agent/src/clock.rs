//! The one place that reads clocks for decisions.
//!
//! Decisions follow the time since boot, which goes on while the machine is suspended: a back-off, a
//! crash that is to be forgotten and the grid of a probe mean time that passed, and so does the engine
//! when it says when a container started. The wall clock would do the same and step when somebody sets
//! it; the usual monotonic clock would stand still, and after a night in suspend a pod would wait out a
//! back-off that was over long ago.
//!
//! What waits for an answer stays on tokio's clock, which stands still with the machine: while it was
//! suspended nobody could answer, so a probe or a call gets the rest of its time. The driver's sleep
//! stands still, too, so what came due meanwhile is noticed when that ends: at most one list interval
//! after the machine is back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dugout_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

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

/// The time since the machine was started, suspended or not.
fn since_boot() -> Duration {
    let read = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(read.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(read.tv_nsec).unwrap_or(0))
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
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
}
