//! Percentiles of measured spans, and how they are printed.

use std::time::Duration;

/// Measured spans in milliseconds, sorted.
#[derive(Clone, Debug)]
pub struct Sample {
    millis: Vec<f64>,
}

impl Sample {
    pub fn new(spans: impl IntoIterator<Item = Duration>) -> Self {
        let mut millis: Vec<f64> = spans.into_iter().map(|span| span.as_secs_f64() * 1e3).collect();
        millis.sort_by(f64::total_cmp);
        assert!(!millis.is_empty(), "nothing was measured");
        Self { millis }
    }

    /// The value that this share of the sample does not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.millis.len() as f64).ceil() as usize;
        self.millis[rank.clamp(1, self.millis.len()) - 1]
    }

    pub fn p50(&self) -> f64 {
        self.percentile(0.50)
    }

    pub fn p99(&self) -> f64 {
        self.percentile(0.99)
    }

    /// `p50 1.2 ms, p99 3.4 ms`.
    pub fn show(&self) -> String {
        format!("p50 {:.1} ms, p99 {:.1} ms", self.p50(), self.p99())
    }
}

/// One line of the scorecard.
pub fn verdict(goal: &str, value: &str, reached: bool) {
    println!("{:<58} {value:<44} {}", goal, if reached { "reached" } else { "missed" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let sample = Sample::new((1..=30).map(Duration::from_millis));
        assert_eq!((sample.p50(), sample.p99()), (15.0, 30.0));
    }
}
