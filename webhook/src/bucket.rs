//! A token bucket: so many deliveries at once, so many a second after that. Pure.

use std::time::Instant;

/// Thousandths of a token are counted, so that no fraction is lost between two calls.
pub(crate) struct Bucket {
    per_second: u64,
    full: u64,
    level: u64,
    filled_at: Instant,
}

const TOKEN: u64 = 1000;

impl Bucket {
    pub(crate) fn new(burst: u32, per_second: u32, now: Instant) -> Bucket {
        let full = u64::from(burst) * TOKEN;
        Bucket { per_second: per_second.into(), full, level: full, filled_at: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let taken = self.level >= TOKEN;
        if taken {
            self.level -= TOKEN;
        }
        taken
    }

    /// Whether it is as it was when it was new.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level == self.full
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(self.per_second);
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(self.full);
            self.filled_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_burst_goes_through_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 2, start);
        let mut taken = |millis, tries: usize| {
            let now = start + Duration::from_millis(millis);
            (0..tries).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(taken(0, 10), 3);
        assert_eq!(taken(400, 10), 0);
        assert_eq!(taken(500, 10), 1);
        assert_eq!(taken(1500, 10), 2);
        // It never holds more than the burst, however long it rests.
        assert_eq!(taken(1_000_000_000, 10), 3);
        // A clock that is handed in out of order adds nothing.
        assert_eq!(taken(0, 10), 0);
    }

    #[test]
    fn many_small_steps_gain_as_much_as_a_large_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1, 3, start);
        let steps = (0..=10_000).map(|millis| start + Duration::from_millis(millis));
        assert_eq!(steps.filter(|now| bucket.take(*now)).count(), 1 + 29);
    }
}
