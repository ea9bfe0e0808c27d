//! When to look at a source again: jitter, and exponential back-off after failures. Pure.

use std::time::Duration;

/// How often a source is looked at when nothing wakes its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    /// Between two looks while they succeed.
    pub interval: Duration,
    /// The longest wait after failures; never shorter than `interval`.
    pub longest: Duration,
}

/// The share of a delay by which it may be shorter or longer, so that many sources spread out.
const JITTER_PERCENT: u64 = 10;
/// A poll interval shorter than this would only burn the processor.
const SHORTEST: Duration = Duration::from_millis(100);

impl PollSchedule {
    /// Doubles after each failure in a row, up to a minute: whoever has mended what was wrong waits for it.
    pub fn new(interval: Duration) -> PollSchedule {
        PollSchedule { interval, longest: Duration::from_secs(60) }
    }

    /// The next delay after so many failures in a row (0 after a success), with a random number of
    /// any size.
    pub fn next_delay(&self, failures: u32, random: u64) -> Duration {
        let interval = self.interval.max(SHORTEST);
        let longest = self.longest.max(interval);
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let delay = interval.saturating_mul(factor).min(longest);
        // From 100 - JITTER to 100 + JITTER percent, in thousandths.
        let spread = JITTER_PERCENT * 10;
        let thousandths = 1000 - spread + random % (2 * spread + 1);
        Duration::from_nanos(
            u64::try_from(delay.as_nanos() * u128::from(thousandths) / 1000).unwrap_or(u64::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: PollSchedule =
        PollSchedule { interval: Duration::from_secs(5), longest: Duration::from_secs(60) };

    #[test]
    fn success_keeps_the_interval_within_its_jitter() {
        for random in [0, 1, 99, 100, 200, 201, u64::MAX] {
            let delay = SCHEDULE.next_delay(0, random);
            assert!((4500..=5500).contains(&delay.as_millis()), "{delay:?}");
        }
        assert_eq!(SCHEDULE.next_delay(0, 0), Duration::from_millis(4500));
        assert_eq!(SCHEDULE.next_delay(0, 200), Duration::from_millis(5500));
    }

    #[test]
    fn failures_double_the_delay_up_to_the_longest() {
        let delay = |failures| SCHEDULE.next_delay(failures, 100).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 31, 32, u32::MAX].map(delay), [10, 20, 40, 60, 60, 60, 60, 60]);
    }

    #[test]
    fn an_interval_of_zero_does_not_spin_and_a_long_one_is_never_cut() {
        assert!(PollSchedule::new(Duration::ZERO).next_delay(0, 0) >= Duration::from_millis(90));
        let daily = PollSchedule::new(Duration::from_secs(86_400));
        assert_eq!(daily.next_delay(9, 100), Duration::from_secs(86_400));
    }
}
