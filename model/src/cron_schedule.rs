//! When a cron job's schedule admits a start, as Kubernetes' cron jobs write it.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A schedule that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronSchedule {
    /// Every minute whose wall clock matches.
    Clock(CronFields),
    /// This long after the last time: whole seconds, at least one.
    Every(Duration),
}

/// The numbers that each of the five fields admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronFields {
    pub minute: CronField,
    pub hour: CronField,
    pub day: CronField,
    pub month: CronField,
    /// From Sunday, which is 0.
    pub weekday: CronField,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronField {
    /// One bit for each number.
    bits: u64,
    /// It says nothing, and the other field of day and weekday decides alone.
    pub is_star: bool,
}

/// What a field may say.
struct Rule {
    range: RangeInclusive<u32>,
    /// Words for the numbers, from the lowest.
    words: &'static [&'static str],
    broken: &'static str,
}

const RULES: [Rule; 5] = [
    Rule { range: 0..=59, words: &[], broken: "has a wrong minute; it is from 0 to 59" },
    Rule { range: 0..=23, words: &[], broken: "has a wrong hour; it is from 0 to 23" },
    Rule { range: 1..=31, words: &[], broken: "has a wrong day of the month; it is from 1 to 31" },
    Rule {
        range: 1..=12,
        words: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
        broken: "has a wrong month; it is from 1 to 12, or JAN to DEC",
    },
    Rule {
        range: 0..=6,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        broken: "has a wrong day of the week; it is from 0 to 6, or SUN to SAT",
    },
];

impl CronSchedule {
    /// Reads five fields between spaces, or one of the words that begin with `@`.
    ///
    /// # Errors
    /// What is wrong with it, to be read after the text itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WORDS: &str =
            "must be one of @yearly, @monthly, @weekly, @daily, @hourly and @every SPAN";
        if let Some(span) = text.strip_prefix("@every ") {
            return span_of(span).map(CronSchedule::Every).ok_or(WORDS);
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if text.starts_with('@') => return Err(WORDS),
            _ if text.contains("TZ=") => {
                return Err("must not name a time zone; write it in timeZone");
            }
            fields => fields,
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(
                "must have five fields: minute, hour, day of the month, month and day of the week",
            );
        };
        let [minutes, hours, days, months, weekdays] = &RULES;
        Ok(CronSchedule::Clock(CronFields {
            minute: CronField::parse(minute, minutes).ok_or(minutes.broken)?,
            hour: CronField::parse(hour, hours).ok_or(hours.broken)?,
            day: CronField::parse(day, days).ok_or(days.broken)?,
            month: CronField::parse(month, months).ok_or(months.broken)?,
            weekday: CronField::parse(weekday, weekdays).ok_or(weekdays.broken)?,
        }))
    }
}

impl CronField {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        let mut field = CronField { bits: 0, is_star: false };
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(digits(step).filter(|step| *step > 0)?)),
                None => (part, None),
            };
            let last_of_all = *rule.range.end();
            let (first, last) = match (range, range.split_once('-')) {
                ("*" | "?", _) => (*rule.range.start(), last_of_all),
                (_, Some((first, last))) => (rule.number(first)?, rule.number(last)?),
                (only, None) if step.is_some() => (rule.number(only)?, last_of_all),
                (only, None) => (rule.number(only)?, rule.number(only)?),
            };
            if first > last {
                return None;
            }
            let step = usize::try_from(step.unwrap_or(1)).ok()?;
            field.is_star |= matches!(range, "*" | "?") && step == 1;
            field.bits = (first..=last).step_by(step).fold(field.bits, |bits, it| bits | 1 << it);
        }
        Some(field)
    }

    pub fn admits(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits & (1 << number) != 0)
    }
}

impl Rule {
    fn number(&self, text: &str) -> Option<u32> {
        let place = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        let number = match place {
            Some(place) => self.range.start() + u32::try_from(place).ok()?,
            None => digits(text)?,
        };
        self.range.contains(&number).then_some(number)
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A length of time as `1h30m`, in whole seconds and at least one.
fn span_of(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    let span = Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())?;
    Some(Duration::from_secs(span.as_secs().max(1)))
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
            assert!(CronSchedule::parse(good).is_ok(), "{good}");
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
            assert!(CronSchedule::parse(bad).is_err(), "{bad}");
        }
    }
}
