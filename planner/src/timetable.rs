//! When a cron job's schedule comes round: every minute whose wall clock, in the schedule's time
//! zone, matches all of its fields.
//!
//! So it is where clocks are changed, too, as in Kubernetes: an hour that is left out has no such
//! minute and nothing starts in it; an hour that comes twice has each of its minutes twice.

use std::time::Duration;

use dugout_model::{CronFields, CronSchedule, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

pub(crate) const MINUTE_MICROS: i64 = 60_000_000;
const SECOND_MICROS: i64 = 1_000_000;

/// A date that matches no schedule within this time never comes: 29 February returns after at most
/// eight years.
const HORIZON: Duration = Duration::from_secs(9 * 366 * 24 * 60 * 60);

/// A schedule in its time zone.
pub(crate) enum Timetable {
    Clock(Box<WallClock>),
    /// This long after the last time.
    Every(Duration),
}

pub(crate) struct WallClock {
    zone: TimeZone,
    fields: CronFields,
}

impl Timetable {
    /// Absent when the schedule or its time zone cannot be understood. Those that come from Git were
    /// checked when they were read.
    pub fn of(schedule: &str, time_zone: Option<&str>) -> Option<Self> {
        let fields = match CronSchedule::parse(schedule).ok()? {
            CronSchedule::Every(span) => return Some(Timetable::Every(span)),
            CronSchedule::Clock(fields) => fields,
        };
        let zone = match time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled().get(name).ok()?,
        };
        Some(Timetable::Clock(Box::new(WallClock { zone, fields })))
    }

    /// The first time after a moment.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Timetable::Clock(clock) => clock.next_after(moment),
            Timetable::Every(span) => Some(whole_seconds(moment) + *span),
        }
    }

    /// The last time after one moment and not after another: of all that were missed in between,
    /// the one that is still worth something.
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self {
            Timetable::Clock(clock) => clock.last_between(after, until),
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

impl WallClock {
    /// Goes from minute to minute, past hours and days that do not match in one step each.
    fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let minutes = moment.as_micros().div_euclid(MINUTE_MICROS) + 1;
        let mut at = Timestamp::from_micros(minutes.checked_mul(MINUTE_MICROS)?);
        let end = moment + HORIZON;
        while at <= end {
            let clock = self.zone.to_datetime(instant(at)?);
            at = if !self.admits_date(clock) {
                self.next_day(at, clock)?
            } else if !self.fields.hour.admits(clock.hour()) {
                at + Duration::from_secs(60 * u64::from((60 - clock.minute()).unsigned_abs()))
            } else if !self.fields.minute.admits(clock.minute()) {
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
        let day = self.fields.day.admits(clock.day());
        let weekday = self.fields.weekday.admits(clock.weekday().to_sunday_zero_offset());
        let admits_day = if self.fields.day.is_star || self.fields.weekday.is_star {
            day && weekday
        } else {
            day || weekday
        };
        self.fields.month.admits(clock.month()) && admits_day
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

#[cfg(test)]
mod tests;
