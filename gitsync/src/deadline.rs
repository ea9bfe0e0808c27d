//! Blocking work with a deadline: it runs on a thread of its own, which the caller leaves behind
//! when the time is up, and at most one such thread is alive per repository.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
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

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    #[error("the deadline passed")]
    TooLate,
    #[error("the system gives no thread to work on")]
    NoThread(#[source] io::Error),
    #[error("the work panicked, which is a defect of Dugout; please report what its log says")]
    Panicked,
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

    /// Runs `work` on its own thread, after the one before it.
    ///
    /// # Errors
    /// When the deadline passed, the thread ends at its next callback or libgit2's own timeout, and the
    /// gate stays shut until it did. Every other [`Unfinished`] leaves it open.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Gate>,
        deadline: &Arc<Deadline>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let pass = self.enter(deadline).ok_or(Unfinished::TooLate)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("gitsync".to_owned())
            .spawn(move || {
                let _pass = pass;
                // The caller may be gone; then nobody wants the result.
                let _ = sender.send(work());
            })
            .map_err(Unfinished::NoThread)?;
        receiver.recv_timeout(deadline.remaining()).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                deadline.left.store(true, Ordering::Relaxed);
                Unfinished::TooLate
            }
            RecvTimeoutError::Disconnected => Unfinished::Panicked,
        })
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
        assert!(matches!(gate.run(&short, move || held.recv().is_ok()), Err(Unfinished::TooLate)));
        assert!(short.passed());
        let shut = gate.run(&Deadline::after(Duration::from_millis(20)), || 1);
        assert!(matches!(shut, Err(Unfinished::TooLate)));
        release.send(()).unwrap();
        assert!(matches!(gate.run(&Deadline::after(Duration::from_secs(30)), || 2), Ok(2)));
    }

    #[test]
    fn a_panic_is_told_from_a_deadline_and_opens_the_gate_again() {
        let gate = Arc::new(Gate::default());
        let deadline = Deadline::after(Duration::from_secs(30));
        let panicked = gate.run(&deadline, || -> u8 { panic!("on purpose") });
        assert!(matches!(panicked, Err(Unfinished::Panicked)));
        assert!(matches!(gate.run(&Deadline::after(Duration::from_secs(30)), || 2), Ok(2)));
    }
}
