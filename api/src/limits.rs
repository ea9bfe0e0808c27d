//! Bounds on what callers can cost: time for one request, requests at once, open log streams and
//! sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Reason};

/// The bounds, as a configuration gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a read must have begun its answer. A log that is followed may then go on.
    pub request_timeout: Duration,
    /// Until an operation must have ended; a rollback pushes to a remote.
    pub operation_timeout: Duration,
    /// Requests in work at once; more are told to come again.
    pub requests: usize,
    /// Log streams open at once.
    pub log_streams: usize,
    /// Sessions with containers open at once.
    pub sessions: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(120),
            requests: 128,
            log_streams: 64,
            sessions: 64,
            body_bytes: 64 * 1024,
        }
    }
}

/// The bounds at work.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    requests: Arc<Semaphore>,
    log_streams: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            requests: Arc::new(Semaphore::new(limits.requests)),
            log_streams: Arc::new(Semaphore::new(limits.log_streams)),
            sessions: Arc::new(Semaphore::new(limits.sessions)),
        }
    }

    /// A place for one more log stream; given back when it is dropped.
    pub(crate) fn log_stream(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.log_streams)
            .try_acquire_owned()
            .map_err(|_| busy("log streams", self.limits.log_streams))
    }

    /// A place for one more session; given back when it is dropped.
    pub(crate) fn session(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.sessions)
            .try_acquire_owned()
            .map_err(|_| busy("sessions", self.limits.sessions))
    }
}

/// Lets a request through if there is a place for it, and ends it when its time is over.
pub(crate) async fn bound(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = gate.requests.try_acquire() else {
        return busy("requests", gate.limits.requests).into_response();
    };
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let span = if read { gate.limits.request_timeout } else { gate.limits.operation_timeout };
    match tokio::time::timeout(span, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(
            Reason::Timeout,
            format!(
                "no answer within {} seconds; what was asked may still happen: look before you \
                 ask again",
                span.as_secs()
            ),
        )
        .into_response(),
    }
}

fn busy(what: &str, limit: usize) -> Failure {
    Failure::new(
        Reason::TooManyRequests,
        format!("the server already has {limit} {what} open; try again in a moment"),
    )
}
