//! Blocking work with a deadline: it runs on a thread of its own, which the caller leaves behind
//! when the time is up, and at most one such thread is alive per repository.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// When work has to end. Callbacks of libgit2 ask it and stop the transfer.
pub(crate) struct Deadline {
    pub(crate) span: Duration,
    ends: Instant,
    left: AtomicBool,
}

impl Deadline {
    pub(crate) fn after(span: Duration) -> Arc<Deadline> {
        // A year is as good as for ever, and an `Instant` can hold it.
        let ends = Instant::now() + span.min(Duration::from_secs(365 * 24 * 3600));
        Arc::new(Deadline { span, ends, left: AtomicBool::new(false) })
    }

    pub(crate) fn passed(&self) -> bool {
        self.left.load(Ordering::Relaxed) || Instant::now() >= self.ends
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

/// Lets one piece of work through at a time.
#[derive(Default)]
pub(crate) struct Gate {
    taken: Mutex<bool>,
    freed: Condvar,
}

/// The right to work; given back when dropped.
struct Pass(Arc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

impl Gate {
    fn enter(self: &Arc<Gate>, deadline: &Deadline) -> Option<Pass> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, _) = self
            .freed
            .wait_timeout_while(taken, deadline.remaining(), |taken| *taken)
            .unwrap_or_else(PoisonError::into_inner);
        if *taken {
            return None;
        }
        *taken = true;
        Some(Pass(Arc::clone(self)))
    }

    /// Runs `work` on its own thread, after the one before it. None when the deadline passed (the
    /// thread then ends at its next callback or libgit2's own timeout, and the gate stays shut until
    /// it did), when no thread can be made, or when `work` panicked.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Gate>,
        deadline: &Arc<Deadline>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let pass = self.enter(deadline)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("gitsync".to_owned())
            .spawn(move || {
                let _pass = pass;
                // The caller may be gone; then nobody wants the result.
                let _ = sender.send(work());
            })
            .ok()?;
        match receiver.recv_timeout(deadline.remaining()) {
            Ok(result) => Some(result),
            Err(_) => {
                deadline.left.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_left_behind_and_holds_the_gate_until_it_ends() {
        let gate = Arc::new(Gate::default());
        let (release, held) = mpsc::channel::<()>();
        let short = Deadline::after(Duration::from_millis(20));
        assert_eq!(gate.run(&short, move || held.recv().is_ok()), None);
        assert!(short.passed());
        assert_eq!(gate.run(&Deadline::after(Duration::from_millis(20)), || 1), None);
        release.send(()).unwrap();
        assert_eq!(gate.run(&Deadline::after(Duration::from_secs(30)), || 2), Some(2));
    }

    #[test]
    fn a_panic_opens_the_gate_again() {
        let gate = Arc::new(Gate::default());
        let deadline = Deadline::after(Duration::from_secs(30));
        assert_eq!(gate.run(&deadline, || -> u8 { panic!("on purpose") }), None);
        assert_eq!(gate.run(&Deadline::after(Duration::from_secs(30)), || 2), Some(2));
    }
}
