//! What all connections share: the switches that make the server misbehave, whether it drains, who is
//! connected, and the counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shared state of one server.
#[derive(Debug, Default)]
pub struct Control {
    draining: AtomicBool,
    health_fails: AtomicBool,
    ready_fails: AtomicBool,
    /// Answers by the first digit of their status; index 0 counts what has none.
    answers: [AtomicU64; 6],
    connections: Mutex<usize>,
    fewer_connections: Condvar,
}

/// A check that a client may make fail and recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Health,
    Ready,
}

impl Control {
    pub fn new(health_fails: bool, ready_fails: bool) -> Control {
        Control {
            health_fails: AtomicBool::new(health_fails),
            ready_fails: AtomicBool::new(ready_fails),
            ..Control::default()
        }
    }

    /// From now on every answer ends its connection, and `/readyz` fails.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn set_fails(&self, check: Check, fails: bool) {
        self.switch(check).store(fails, Ordering::SeqCst);
    }

    pub(crate) fn fails(&self, check: Check) -> bool {
        self.switch(check).load(Ordering::SeqCst)
    }

    fn switch(&self, check: Check) -> &AtomicBool {
        match check {
            Check::Health => &self.health_fails,
            Check::Ready => &self.ready_fails,
        }
    }

    pub(crate) fn count_answer(&self, status: u16) {
        let class = self.answers.get(usize::from(status / 100)).unwrap_or(&self.answers[0]);
        class.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers had a status of this class: 2 for 200 to 299, and so on.
    pub(crate) fn answers(&self, class: usize) -> u64 {
        self.answers.get(class).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Counts a connection in, unless `limit` are open already.
    pub(crate) fn connect(&self, limit: usize) -> bool {
        let mut connections = self.lock();
        let admitted = *connections < limit;
        *connections += usize::from(admitted);
        admitted
    }

    pub(crate) fn disconnect(&self) {
        let mut connections = self.lock();
        *connections = connections.saturating_sub(1);
        if *connections == 0 {
            self.fewer_connections.notify_all();
        }
    }

    pub fn connections(&self) -> usize {
        *self.lock()
    }

    /// Waits until nobody is connected, at the longest until `deadline`; gives how many still are.
    pub(crate) fn wait_until_alone(&self, deadline: Instant) -> usize {
        let mut connections = self.lock();
        while *connections > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            connections = self
                .fewer_connections
                .wait_timeout(connections, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *connections
    }

    /// The count is a plain number, so it is sound also after a thread died while holding the lock.
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_than_the_limit_come_in() {
        let control = Control::new(false, false);
        assert!(control.connect(2) && control.connect(2));
        assert!(!control.connect(2));
        control.disconnect();
        assert!(control.connect(2));
        assert_eq!(control.connections(), 2);
    }

    #[test]
    fn waiting_ends_at_the_deadline_and_tells_who_is_left() {
        let control = Control::new(false, false);
        assert_eq!(control.wait_until_alone(Instant::now()), 0);
        assert!(control.connect(1));
        assert_eq!(control.wait_until_alone(Instant::now()), 1);
    }
}
