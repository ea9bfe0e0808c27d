//! The machine's two clocks, read in one place: the time since boot for decisions, the wall clock for
//! people. Both servers and agents make their own clock of them.
//!
//! The time since boot goes on while the machine is suspended, and nobody can set it. The usual monotonic
//! clock stands still in suspend: after a night of it, who follows that one is a night behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dugout_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The time since the machine was started, suspended or not. It never steps and never runs backwards.
pub fn since_boot() -> Duration {
    let read = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(read.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(read.tv_nsec).unwrap_or(0))
}

/// What the machine's clock says, which somebody may set; a clock before 1970 counts as 1970.
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failure here fails the test")]
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
                .args(["--exact", "tests::suspended_time_counts"])
                .env(INSIDE, "1")
                .output()
                .unwrap();
            assert!(copy.status.success(), "unshare of util-linux, and user namespaces: {copy:?}");
            // A name that no test has makes a copy that succeeds as well.
            let said = String::from_utf8_lossy(&copy.stdout);
            assert!(said.contains("1 passed"), "{said}");
            return;
        }
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((since_boot().as_secs_f64() - uptime).abs() < 60.0, "{uptime}");
    }
}
