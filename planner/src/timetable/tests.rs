//! Schedules against the times at which Kubernetes starts their jobs.

use dugout_model::Timestamp;

use super::Timetable;

/// In this many times one finds what matters.
const SHOWN: usize = 4;

fn timetable(schedule: &str, zone: Option<&str>) -> Timetable {
    Timetable::of(schedule, zone).unwrap_or_else(|| panic!("{schedule} in {zone:?} is understood"))
}

fn moment(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Timestamp::from_micros(moment.as_microsecond())
}

fn text(moment: Timestamp) -> String {
    let moment = jiff::Timestamp::from_microsecond(moment.as_micros());
    moment.unwrap_or_default().strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// The first times after a moment.
fn times(timetable: &Timetable, after: &str) -> Vec<String> {
    let first = timetable.next_after(moment(after));
    let times = std::iter::successors(first, |at| timetable.next_after(*at));
    times.take(SHOWN).map(text).collect()
}

/// A schedule, its zone, a moment, and the first times after it.
type Case = (&'static str, Option<&'static str>, &'static str, [&'static str; SHOWN]);

fn check(cases: &[Case]) {
    for (schedule, zone, after, expected) in cases {
        assert_eq!(times(&timetable(schedule, *zone), after), expected, "{schedule} in {zone:?}");
    }
}

#[test]
fn schedules_come_round_as_in_kubernetes() {
    check(&[
        (
            "*/20 * * * *",
            None,
            "2026-01-01T00:00:00Z",
            ["2026-01-01T00:20Z", "2026-01-01T00:40Z", "2026-01-01T01:00Z", "2026-01-01T01:20Z"],
        ),
        (
            "5/25 3 * * *",
            None,
            "2026-01-01T03:05:30Z",
            ["2026-01-01T03:30Z", "2026-01-01T03:55Z", "2026-01-02T03:05Z", "2026-01-02T03:30Z"],
        ),
        (
            "30 4 29 FEB *",
            None,
            "2026-01-01T00:00:00Z",
            ["2028-02-29T04:30Z", "2032-02-29T04:30Z", "2036-02-29T04:30Z", "2040-02-29T04:30Z"],
        ),
        (
            "@monthly",
            None,
            "2026-01-31T00:00:00Z",
            ["2026-02-01T00:00Z", "2026-03-01T00:00Z", "2026-04-01T00:00Z", "2026-05-01T00:00Z"],
        ),
        (
            "0 0 * * mon-fri",
            None,
            "2026-01-01T00:00:00Z",
            ["2026-01-02T00:00Z", "2026-01-05T00:00Z", "2026-01-06T00:00Z", "2026-01-07T00:00Z"],
        ),
        // Day and weekday both say something: either will do.
        (
            "0 0 10 * 5",
            None,
            "2026-01-01T00:00:00Z",
            ["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-10T00:00Z", "2026-01-16T00:00Z"],
        ),
        // A step of one says nothing, a step of two does.
        (
            "0 0 */1 * 5",
            None,
            "2026-01-01T00:00:00Z",
            ["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-16T00:00Z", "2026-01-23T00:00Z"],
        ),
        (
            "0 0 */2 * 5",
            None,
            "2026-01-01T00:00:00Z",
            ["2026-01-02T00:00Z", "2026-01-03T00:00Z", "2026-01-05T00:00Z", "2026-01-07T00:00Z"],
        ),
        (
            "@every 1h30m",
            None,
            "2026-01-01T00:00:00.5Z",
            ["2026-01-01T01:30Z", "2026-01-01T03:00Z", "2026-01-01T04:30Z", "2026-01-01T06:00Z"],
        ),
    ]);
}

#[test]
fn the_wall_clock_of_the_zone_decides_also_where_it_is_changed() {
    let berlin = Some("Europe/Berlin");
    check(&[
        // The hour that is left out on 29 March has no half past two.
        (
            "30 2 * * *",
            berlin,
            "2026-03-27T12:00:00Z",
            ["2026-03-28T01:30Z", "2026-03-30T00:30Z", "2026-03-31T00:30Z", "2026-04-01T00:30Z"],
        ),
        // The hour that comes twice on 25 October has two.
        (
            "30 2 * * *",
            berlin,
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-26T01:30Z", "2026-10-27T01:30Z"],
        ),
        (
            "0 * * * *",
            Some("America/New_York"),
            "2026-03-08T05:30:00Z",
            ["2026-03-08T06:00Z", "2026-03-08T07:00Z", "2026-03-08T08:00Z", "2026-03-08T09:00Z"],
        ),
        // On 6 September the day begins at one.
        (
            "0 0 * * *",
            Some("America/Santiago"),
            "2026-09-04T12:00:00Z",
            ["2026-09-05T04:00Z", "2026-09-07T03:00Z", "2026-09-08T03:00Z", "2026-09-09T03:00Z"],
        ),
        (
            "15 9 * * *",
            Some("Asia/Kathmandu"),
            "2026-01-01T00:00:00Z",
            ["2026-01-01T03:30Z", "2026-01-02T03:30Z", "2026-01-03T03:30Z", "2026-01-04T03:30Z"],
        ),
    ]);
}

#[test]
fn a_date_that_never_comes_has_no_time() {
    let after = moment("2026-01-01T00:00:00Z");
    assert_eq!(timetable("0 0 31 2 *", None).next_after(after), None);
    assert_eq!(timetable("0 0 31 2 *", None).last_between(Timestamp::default(), after), None);
}

#[test]
fn of_missed_times_the_last_is_found_however_long_ago_it_was() {
    let cases = [
        ("* * * * *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:30Z", Some("2026-01-01T00:00Z")),
        ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z", None),
        ("* * 3 1 *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Some("2025-01-03T23:59Z")),
        ("0 0 29 2 *", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Some("2024-02-29T00:00Z")),
        ("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", Some("2026-01-02T00:00Z")),
        ("@daily", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", None),
        ("@every 2h", "2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z", Some("2026-01-01T04:00Z")),
        ("@every 2h", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", None),
    ];
    for (schedule, after, until, expected) in cases {
        let last = timetable(schedule, None).last_between(moment(after), moment(until));
        assert_eq!(last.map(text).as_deref(), expected, "{schedule} from {after} to {until}");
    }
}

#[test]
fn what_is_no_schedule_is_not_understood() {
    for (schedule, zone) in [
        ("* * * *", None),
        ("61 * * * *", None),
        ("a * * * *", None),
        ("*/0 * * * *", None),
        ("@often", None),
        ("@every", None),
        ("@every 5", None),
        ("* * * * *", Some("Europe/Atlantis")),
    ] {
        assert!(Timetable::of(schedule, zone).is_none(), "{schedule} in {zone:?}");
    }
}
