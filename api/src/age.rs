//! Spans of time as `kubectl` prints them.

use std::time::Duration;

/// The span in at most two units: `45s`, `5m12s`, `3h`, `2d4h`, `400d`, `3y20d`.
pub fn age(span: Duration) -> String {
    const DAYS_IN_YEAR: u64 = 365;
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 2 * DAYS_IN_YEAR {
        format!("{days}d")
    } else if days < 8 * DAYS_IN_YEAR {
        two(days / DAYS_IN_YEAR, "y", days % DAYS_IN_YEAR, "d")
    } else {
        format!("{}y", days / DAYS_IN_YEAR)
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_in_kubectl() {
        let expected = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (135, "2m15s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (100_000, "27h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (700_000, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in expected {
            assert_eq!(age(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }
}
