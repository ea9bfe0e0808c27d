//! Moments between the model and `timestamptz`, both in whole microseconds, so that what is stored
//! and read again is equal. Columns that people read with SQL are `timestamptz`; inside documents
//! moments are plain microseconds.

use chrono::{DateTime, Utc};

use dugout_model::Timestamp;

/// Absent when PostgreSQL has no such moment: earlier than 4713 BC, later than the year 262142.
pub(crate) fn to_sql(moment: Timestamp) -> Option<DateTime<Utc>> {
    const EARLIEST_SECONDS: i64 = -210_866_803_200;
    DateTime::from_timestamp_micros(moment.as_micros())
        .filter(|moment| moment.timestamp() >= EARLIEST_SECONDS)
}

pub(crate) fn from_sql(moment: DateTime<Utc>) -> Timestamp {
    Timestamp::from_micros(moment.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_to_the_microsecond() {
        for micros in [0, 1, -1, 1_763_928_000_123_457, -62_135_596_800_000_001] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(from_sql(to_sql(moment).unwrap()), moment);
        }
    }

    #[test]
    fn a_moment_that_postgresql_lacks_is_absent() {
        assert_eq!(to_sql(Timestamp::from_micros(i64::MAX)), None);
        assert_eq!(to_sql(Timestamp::from_micros(i64::MIN)), None);
    }
}
