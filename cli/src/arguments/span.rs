//! Spans of time on the command line.

use std::time::Duration;

/// Parses `5s`, `250ms`, `10m`, `1h`, `2d`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("give a number and a unit of ms, s, m, h or d, as 5s".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "give a whole number before the unit, as 5s".to_owned())?;
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| "that is longer than time can be counted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(span("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in
            ["", "5", "s", "-1s", "1.5s", "5w", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
