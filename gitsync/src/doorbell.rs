//! A wake-up call that coalesces and is never lost.

use std::sync::{Mutex, PoisonError};

use dugout_model::{NoticedBy, Timestamp};
use tokio::sync::Notify;

/// The first ring since the loop last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    pub noticed_by: NoticedBy,
    pub at: Timestamp,
}

/// Wakes one source loop. Many may ring; the loop alone listens. Any number of rings before the loop
/// looks are one, with the cause and the time of the first; a ring during the loop's pass wakes it for
/// another pass.
#[derive(Default)]
pub struct Doorbell {
    waiting: Mutex<Option<Ring>>,
    notify: Notify,
}

impl Doorbell {
    pub fn new() -> Doorbell {
        Doorbell::default()
    }

    /// Rings. Never blocks for longer than it takes to copy a few bytes.
    pub fn ring(&self, noticed_by: NoticedBy, at: Timestamp) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(Ring { noticed_by, at });
        self.notify.notify_one();
    }

    /// Takes what has rung, without waiting.
    pub fn take(&self) -> Option<Ring> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for a ring. Dropping the future loses none.
    pub async fn rung(&self) -> Ring {
        loop {
            if let Some(ring) = self.take() {
                return ring;
            }
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[tokio::test]
    async fn many_rings_are_one_with_the_cause_and_time_of_the_first() {
        let bell = Doorbell::new();
        bell.ring(NoticedBy::Webhook, at(1));
        bell.ring(NoticedBy::Poll, at(2));
        assert_eq!(bell.rung().await, Ring { noticed_by: NoticedBy::Webhook, at: at(1) });
        let again = tokio::time::timeout(Duration::from_millis(10), bell.rung()).await;
        assert!(again.is_err());
    }

    #[tokio::test]
    async fn a_ring_during_a_pass_is_not_lost() {
        let bell = Doorbell::new();
        bell.ring(NoticedBy::Poll, at(1));
        bell.rung().await;
        bell.ring(NoticedBy::FileEvent, at(2));
        assert_eq!(bell.rung().await.noticed_by, NoticedBy::FileEvent);
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_loses_no_ring() {
        let bell = Doorbell::new();
        let _ = tokio::time::timeout(Duration::from_millis(5), bell.rung()).await;
        bell.ring(NoticedBy::Operator, at(3));
        let _ = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
        assert_eq!(bell.rung().await.noticed_by, NoticedBy::Operator);
    }
}
