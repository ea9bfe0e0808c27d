//! When a cron job's schedule comes round: every minute whose wall clock, in the schedule's time
//! zone, matches all of its fields.
//!
//! So it is where clocks are changed, too, as in Kubernetes: an hour that is left out has no such
//! minute and nothing starts in it; an hour that comes twice has each of its minutes twice.

use std::time::Duration;

use dugout_model::{CronJob, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const MINUTE_MICROS: i64 = 60_000_000;
const SECOND_MICROS: i64 = 1_000_000;

/// A date that matches no schedule within this time never comes: 29 February returns after at most
/// eight years.
const HORIZON: Duration = Duration::from_secs(9 * 366 * 24 * 60 * 60);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A schedule in its time zone.
pub(crate) enum Timetable {
    Fields(Box<Fields>),
    /// This long after the last time.
    Every(Duration),
}

pub(crate) struct Fields {
    zone: TimeZone,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

/// The numbers that a field admits.
#[derive(Clone, Copy)]
struct Field {
    /// One bit for each number.
    bits: u64,
    /// It says nothing, and the other field of day and weekday decides alone.
    is_star: bool,
}

impl Timetable {
    /// Absent when the schedule or its time zone cannot be understood. Those that come from Git were
    /// checked when they were read.
    pub fn of(cron_job: &CronJob) -> Option<Self> {
        if let Some(span) = cron_job.schedule.strip_prefix("@every ") {
            return span_of(span).map(Timetable::Every);
        }
        let zone = match cron_job.time_zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled().get(name).ok()?,
        };
        let text = match cron_job.schedule.as_str() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        Some(Timetable::Fields(Box::new(Fields {
            zone,
            minute: Field::parse(minute, 0, 59, &[])?,
            hour: Field::parse(hour, 0, 23, &[])?,
            day: Field::parse(day, 1, 31, &[])?,
            month: Field::parse(month, 1, 12, &MONTHS)?,
            weekday: Field::parse(weekday, 0, 6, &DAYS)?,
        })))
    }

    /// The first time after a moment.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Timetable::Fields(fields) => fields.next_after(moment),
            Timetable::Every(span) => Some(whole_seconds(moment) + *span),
        }
    }

    /// The last time after one moment and not after another: of all that were missed in between,
    /// the one that is still worth something.
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self {
            Timetable::Fields(fields) => fields.last_between(after, until),
            Timetable::Every(span) => {
                let first = whole_seconds(after) + *span;
                let spans = until.since(first).as_secs() / span.as_secs().max(1);
                let last = first + Duration::from_secs(span.as_secs().saturating_mul(spans));
                (first <= until).then_some(last)
            }
        }
    }
}

fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(moment.as_micros().div_euclid(SECOND_MICROS) * SECOND_MICROS)
}

impl Fields {
    /// Goes from minute to minute, past hours and days that do not match in one step each.
    fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let minutes = moment.as_micros().div_euclid(MINUTE_MICROS) + 1;
        let mut at = Timestamp::from_micros(minutes.checked_mul(MINUTE_MICROS)?);
        let end = moment + HORIZON;
        while at <= end {
            let clock = self.zone.to_datetime(instant(at)?);
            at = if !self.admits_date(clock) {
                self.next_day(at, clock)?
            } else if !self.hour.admits(clock.hour()) {
                at + Duration::from_secs(60 * u64::from((60 - clock.minute()).unsigned_abs()))
            } else if !self.minute.admits(clock.minute()) {
                at + Duration::from_secs(60)
            } else {
                return Some(at);
            };
        }
        None
    }

    /// Looks back over ever longer times, so that what it passes on the way is little, however
    /// often the schedule comes round and however long ago it last did.
    fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut span = Duration::from_secs(60 * 60);
        loop {
            let from = after.max(until - span);
            let times = std::iter::successors(self.next_after(from), |at| self.next_after(*at));
            let last = times.take_while(|at| *at <= until).last();
            if last.is_some() || from == after || span > HORIZON {
                return last;
            }
            span *= 2;
        }
    }

    /// A day must match either field when both say something, and both when one of them does not.
    fn admits_date(&self, clock: DateTime) -> bool {
        let day = self.day.admits(clock.day());
        let weekday = self.weekday.admits(clock.weekday().to_sunday_zero_offset());
        let admits_day =
            if self.day.is_star || self.weekday.is_star { day && weekday } else { day || weekday };
        self.month.admits(clock.month()) && admits_day
    }

    /// The moment at which the next day begins, which is not always at midnight.
    fn next_day(&self, at: Timestamp, clock: DateTime) -> Option<Timestamp> {
        let tomorrow = clock.date().tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight());
        let begins = self.zone.to_timestamp(tomorrow).ok()?;
        let begins = Timestamp::from_micros(begins.as_microsecond());
        // Where the clock was turned back over midnight, that moment is past already.
        Some(begins.max(at + Duration::from_secs(60)))
    }
}

fn instant(moment: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(moment.as_micros()).ok()
}

impl Field {
    fn parse(text: &str, least: u32, most: u32, words: &[&str]) -> Option<Self> {
        let mut field = Field { bits: 0, is_star: false };
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step.parse().ok().filter(|step| *step > 0)?)),
                None => (part, None),
            };
            let number = |text: &str| number(text, least, words);
            let (first, last) = match (range, range.split_once('-')) {
                ("*" | "?", _) => (least, most),
                (_, Some((first, last))) => (number(first)?, number(last)?),
                (only, None) if step.is_some() => (number(only)?, most),
                (only, None) => (number(only)?, number(only)?),
            };
            if first < least || last > most {
                return None;
            }
            field.is_star |= matches!(range, "*" | "?") && step.unwrap_or(1) == 1;
            let numbers = (first..=last).step_by(step.unwrap_or(1));
            field.bits = numbers.fold(field.bits, |bits, number| bits | 1 << number);
        }
        Some(field)
    }

    fn admits(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits & (1 << number) != 0)
    }
}

fn number(text: &str, least: u32, words: &[&str]) -> Option<u32> {
    let place = words.iter().position(|word| text.eq_ignore_ascii_case(word));
    match place {
        Some(place) => Some(least + u32::try_from(place).ok()?),
        None => text.parse().ok(),
    }
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
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    Some(Duration::from_secs(span.as_secs().max(1)))
}

#[cfg(test)]
mod tests;
