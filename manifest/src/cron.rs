//! Whether a text is a schedule that Kubernetes' cron jobs take.

use std::ops::RangeInclusive;

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five fields.
struct Field {
    range: RangeInclusive<u32>,
    /// Words for the numbers, from the lowest.
    words: &'static [&'static str],
    broken: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { range: 0..=59, words: &[], broken: "has a wrong minute; it is from 0 to 59" },
    Field { range: 0..=23, words: &[], broken: "has a wrong hour; it is from 0 to 23" },
    Field { range: 1..=31, words: &[], broken: "has a wrong day of the month; it is from 1 to 31" },
    Field {
        range: 1..=12,
        words: MONTHS,
        broken: "has a wrong month; it is from 1 to 12, or JAN to DEC",
    },
    Field {
        range: 0..=6,
        words: DAYS,
        broken: "has a wrong day of the week; it is from 0 to 6, or SUN to SAT",
    },
];

/// Checks five fields between spaces, or one of the words that begin with `@`.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if let Some(word) = text.strip_prefix('@') {
        return check_word(word);
    }
    if text.contains("TZ=") {
        return Err("must not name a time zone; write it in timeZone");
    }
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(
            "must have five fields: minute, hour, day of the month, month and day of the week",
        );
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        if !text.split(',').all(|part| is_part(part, field)) {
            return Err(field.broken);
        }
    }
    Ok(())
}

fn check_word(word: &str) -> Result<(), &'static str> {
    const WORDS: &[&str] =
        &["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
    if WORDS.contains(&word) || word.strip_prefix("every ").is_some_and(is_span) {
        return Ok(());
    }
    Err("must be one of @yearly, @monthly, @weekly, @daily, @hourly and @every SPAN")
}

/// A length of time as `1h30m`.
fn is_span(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - digits.len()];
        let unit = ["ns", "us", "ms", "s", "m", "h"].iter().find(|unit| {
            digits.strip_prefix(**unit).is_some_and(|after| {
                after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit())
            })
        });
        let (Ok(_), Some(unit)) = (number.parse::<f64>(), unit) else { return false };
        rest = &digits[unit.len()..];
    }
    !text.is_empty()
}

/// `*`, `?`, a number, or a range, each with a step if wanted.
fn is_part(part: &str, field: &Field) -> bool {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let stepless = step.is_some_and(|step| parse_digits(step).unwrap_or(0) == 0);
    if stepless {
        return false;
    }
    if matches!(range, "*" | "?") {
        return true;
    }
    match range.split_once('-') {
        Some((from, to)) => {
            let (Some(from), Some(to)) = (parse(from, field), parse(to, field)) else {
                return false;
            };
            from <= to
        }
        None => parse(range, field).is_some(),
    }
}

fn parse(text: &str, field: &Field) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let word = field.words.iter().position(|word| *word == lower);
    let number = match word {
        Some(place) => field.range.start() + u32::try_from(place).ok()?,
        None => parse_digits(text)?,
    };
    field.range.contains(&number).then_some(number)
}

fn parse_digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_told_from_others() {
        for good in [
            "* * * * *",
            "*/5 0-6,12 1 JAN mon-fri",
            "0 0 ? * 0",
            "@hourly",
            "@every 1h30m",
            "5/15 * * * *",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "@often",
            "@every",
            "@every 5",
            "CRON_TZ=UTC * * * * *",
            "1, * * * *",
            "+1 * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
