//! When work must be looked at again, by the work and in the order of time: a turn may neither go through
//! all of it to find what is due nor to find what comes next.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::Timestamp;
use dugout_planner::Work;

/// At most one time for each work.
#[derive(Default)]
pub(crate) struct Timers {
    by_work: BTreeMap<Work, Timestamp>,
    by_time: BTreeSet<(Timestamp, Work)>,
}

impl Timers {
    pub fn insert(&mut self, work: Work, at: Timestamp) {
        self.remove(&work);
        self.by_time.insert((at, work.clone()));
        self.by_work.insert(work, at);
    }

    pub fn remove(&mut self, work: &Work) {
        if let Some((work, at)) = self.by_work.remove_entry(work) {
            self.by_time.remove(&(at, work));
        }
    }

    pub fn clear(&mut self) {
        self.by_work.clear();
        self.by_time.clear();
    }

    /// The time of what comes next.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out everything whose time has come.
    pub fn take_due(&mut self, now: Timestamp) -> BTreeSet<Work> {
        let mut due = BTreeSet::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
        {
            if let Some((_, work)) = self.by_time.pop_first() {
                self.by_work.remove(&work);
                due.insert(work);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_is_taken_once_and_a_later_time_replaces_an_earlier_one() {
        let start = Timestamp::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        let node = |name: &str| Work::Node(dugout_model::NodeName::new(name));
        let mut timers = Timers::default();
        assert_eq!(timers.next_at(), None);
        timers.insert(node("a"), at(1));
        timers.insert(node("b"), at(2));
        timers.insert(node("c"), at(3));
        timers.insert(node("a"), at(4));
        timers.remove(&node("c"));
        assert_eq!(timers.next_at(), Some(at(2)));
        assert_eq!(timers.take_due(at(3)), BTreeSet::from([node("b")]));
        assert_eq!(timers.take_due(at(3)), BTreeSet::new());
        assert_eq!(timers.next_at(), Some(at(4)));
        timers.clear();
        assert_eq!(timers.take_due(at(9)), BTreeSet::new());
    }
}
