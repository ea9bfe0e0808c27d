//! How long to wait before something is tried again. Pure arithmetic.

use std::time::Duration;

/// A wait that doubles from `first` to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

/// Containers that crash again and again; the first crash costs no wait. Kubernetes' figures.
pub const CRASH_LOOP: Backoff =
    Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
/// A container that ran this long starts again with a clean slate.
pub const CRASH_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// What the registry or the engine refused: trying again soon will not help.
pub const PERMANENT: Backoff =
    Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
/// What may work at the next try.
pub const TRANSIENT: Backoff =
    Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(10) };

impl Backoff {
    /// The wait after `failures` failures in a row; none after none.
    pub fn after(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// The wait before the restart that follows the `crashes`-th crash in a row.
pub fn crash_loop_wait(crashes: u32) -> Duration {
    CRASH_LOOP.after(crashes.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_then_ten_seconds_doubling_to_five_minutes() {
        let waits: Vec<u64> = (1..=9).map(|crash| crash_loop_wait(crash).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(crash_loop_wait(u32::MAX).as_secs(), 300);
    }

    #[test]
    fn no_failure_means_no_wait() {
        assert_eq!(TRANSIENT.after(0), Duration::ZERO);
        assert_eq!(TRANSIENT.after(1), Duration::from_millis(200));
        assert_eq!(TRANSIENT.after(60), Duration::from_secs(10));
    }
}
