//! The link to the control plane: register, wait for the assignment, report, serve streams.
//!
//! The agent makes every request. While the control plane is away the link tries again, ever more
//! rarely; nothing on the node waits for it.

mod http;
mod sessions;
mod streams;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{
    Assignment, ClusterId, Event, NodeName, NodeRegistration, NodeReport, SharedAssignment,
    Timestamp, chain,
};
use dugout_wire as wire;
use dugout_wire::paths;
use hyper::{Method, StatusCode};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::accepted::AcceptedStore;
use crate::clock::Clock;
use crate::metrics::AgentMetrics;
use crate::sessions::SessionSource;
use http::{Answer, Ask, Client};
pub(crate) use http::{BoxError, NoAnswer, Server, ServerUrlError};
pub(crate) use streams::LogSource;

/// How long the control plane may take over an answer, beside what a long-poll waits.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// An answer that is not an assignment.
const SMALL_ANSWER: usize = 256 * 1024;

/// What the link tells the driver.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Registered(ClusterId),
    /// It is on disk.
    Accepted {
        assignment: SharedAssignment,
        at: Timestamp,
    },
    /// It was not taken over; the sentence says why.
    Refused(String),
    /// The control plane has the events up to this number.
    Delivered {
        through: u64,
    },
}

/// A report on its way out. Its events are numbered, so that none is sent again once it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Without events.
    pub report: NodeReport,
    pub events: Vec<(u64, Event)>,
}

impl Outgoing {
    /// The report with the events after `delivered`, as many as fit, and the number of the last of
    /// them. An event keeps its number however often it is sent: the answer to a report may be lost
    /// after the control plane took it.
    fn after(&self, delivered: u64, run: Uuid) -> (wire::Report, u64) {
        let fresh = self.events.iter().filter(|(number, _)| *number > delivered);
        let fresh: Vec<&(u64, Event)> = fresh.take(wire::MAX_REPORT_EVENTS).collect();
        let mut report = wire::Report::from(&self.report);
        report.events = fresh.iter().map(|(_, event)| event.into()).collect();
        report.first_event =
            fresh.first().map(|(number, _)| wire::EventNumber { run, number: *number });
        (report, fresh.last().map_or(delivered, |(number, _)| *number))
    }
}

pub(crate) struct Link {
    pub server: Server,
    pub registration: NodeRegistration,
    /// How much the node has for claims; none while their folder is not there.
    pub storage_bytes: watch::Receiver<u64>,
    pub accepted: Arc<Mutex<AcceptedStore>>,
    pub driver: mpsc::Sender<LinkEvent>,
    pub reports: watch::Receiver<Option<Arc<Outgoing>>>,
    pub logs: Arc<dyn LogSource>,
    pub sessions: Arc<dyn SessionSource>,
    pub metrics: AgentMetrics,
    pub clock: Clock,
    /// Tells the events of this start of the agent from those of others.
    pub run: Uuid,
}

/// The control plane does not know the join token; its own words.
#[derive(Debug)]
pub(crate) struct TokenRefused(pub String);

/// Why a session ended: it begins again with a registration.
struct SessionOver;

impl Link {
    /// Runs for ever.
    ///
    /// # Errors
    /// The control plane does not know the join token, and this node has nothing to keep running
    /// meanwhile. A node that holds an assignment goes on asking.
    pub async fn run(self) -> Result<std::convert::Infallible, TokenRefused> {
        let mut has_joined = self.holds_assignment();
        loop {
            let storage_bytes = *self.storage_bytes.borrow();
            let session = self.register(has_joined, storage_bytes).await?;
            has_joined = true;
            self.tell_what_is_held(&session).await;
            tokio::select! {
                SessionOver = self.follow_assignment(&session) => {}
                SessionOver = self.report(&session) => {}
                SessionOver = self.serve_streams(&session) => {}
                SessionOver = self.storage_changed(storage_bytes) => {}
            }
        }
    }

    /// Registers, as often as it takes.
    async fn register(
        &self,
        has_joined: bool,
        storage_bytes: u64,
    ) -> Result<wire::Registered, TokenRefused> {
        let storage_bytes = Some(storage_bytes);
        let registration = NodeRegistration { storage_bytes, ..self.registration.clone() };
        let registration = wire::Registration::from(&registration);
        let mut retry = Retry::new();
        let mut client = Client::new(self.server.clone());
        loop {
            let ask = Ask {
                method: Method::POST,
                path: paths::register(self.node()),
                body: json(&registration),
                deadline: ANSWER_DEADLINE,
                limit: SMALL_ANSWER,
            };
            match self.ask(&mut client, "register", &ask).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    if let Ok(registered) = serde_json::from_slice::<wire::Registered>(&answer.body)
                    {
                        let cluster = ClusterId(registered.cluster);
                        self.tell(LinkEvent::Registered(cluster)).await;
                        tracing::info!(%cluster, "registered with the control plane");
                        return Ok(registered);
                    }
                    retry.complain("register", "its answer does not parse");
                }
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED && !has_joined => {
                    return Err(TokenRefused(words(&answer)));
                }
                Ok(answer) => retry.complain("register", &words(&answer)),
                Err(error) => retry.complain("register", &chain(&error)),
            }
            retry.pause().await;
        }
    }

    /// How much there is for claims is not what was registered: that is said anew.
    async fn storage_changed(&self, registered: u64) -> SessionOver {
        let mut bytes = self.storage_bytes.clone();
        if bytes.wait_for(|bytes| *bytes != registered).await.is_err() {
            // The driver goes away only when the agent stops.
            std::future::pending::<()>().await;
        }
        SessionOver
    }

    /// Hands the driver what is on disk: the end of a session may have cut off the telling.
    async fn tell_what_is_held(&self, session: &wire::Registered) {
        let held = {
            let store = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            store
                .held()
                .filter(|held| held.cluster.0 == session.cluster && held.node == *self.node())
                .cloned()
        };
        if let Some(assignment) = held {
            let at = self.clock.wall();
            self.tell(LinkEvent::Accepted { assignment, at }).await;
        }
    }

    /// Whether an earlier run left an assignment that this node keeps.
    fn holds_assignment(&self) -> bool {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).held().is_some()
    }

    async fn follow_assignment(&self, session: &wire::Registered) -> SessionOver {
        let mut client = Client::new(self.server.clone());
        let mut retry = Retry::new();
        loop {
            let held = self.held_generation(session);
            let query = match held {
                Some(held) => format!("&held={held}"),
                None => String::new(),
            };
            let wait = session.poll_wait_ms.min(wire::MAX_WAIT_MS);
            let instance = &self.registration.instance;
            let path = paths::assignment(self.node());
            let ask = Ask {
                method: Method::GET,
                path: format!("{path}?instance={instance}&wait_ms={wait}{query}"),
                body: Bytes::new(),
                deadline: Duration::from_millis(wait) + ANSWER_DEADLINE,
                limit: wire::MAX_ASSIGNMENT_BYTES,
            };
            match self.ask(&mut client, "assignment", &ask).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    match self.accept(answer.body).await {
                        Ok(()) => {
                            retry = Retry::new();
                            continue;
                        }
                        Err(why) => retry.complain("assignment", &why),
                    }
                }
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => {
                    retry = Retry::new();
                    continue;
                }
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return SessionOver,
                Ok(answer) => retry.complain("assignment", &words(&answer)),
                Err(error) => retry.complain("assignment", &chain(&error)),
            }
            retry.pause().await;
        }
    }

    /// The generation that is held of this cluster, if it is held whole.
    fn held_generation(&self, session: &wire::Registered) -> Option<u64> {
        let store = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let held = store
            .held()
            .filter(|_| store.is_whole())
            .filter(|held| held.cluster.0 == session.cluster && held.node == *self.node());
        held.map(|held| held.generation.0)
    }

    /// Puts an assignment on disk, then hands it to the driver.
    async fn accept(&self, body: Bytes) -> Result<(), String> {
        let store = Arc::clone(&self.accepted);
        let node = self.node().clone();
        let now = self.clock.wall();
        let accepting = tokio::task::spawn_blocking(move || {
            let sent: wire::Assignment = serde_json::from_slice(&body)
                .map_err(|error| format!("the assignment does not parse: {error}"))?;
            let assignment = Assignment::try_from(sent).map_err(|error| error.to_string())?;
            if assignment.node != node {
                return Err(format!("the assignment is for node {}", assignment.node));
            }
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            store.accept(assignment, now).map_err(|error| chain(&error))
        });
        let result = accepting.await.unwrap_or_else(|error| Err(error.to_string()));
        match result {
            Ok(assignment) => {
                let at = self.clock.wall();
                self.tell(LinkEvent::Accepted { assignment, at }).await;
                Ok(())
            }
            Err(why) => {
                self.tell(LinkEvent::Refused(why.clone())).await;
                Err(why)
            }
        }
    }

    /// Reports at once when something changed, and at least every report interval. Changes while a
    /// report is on its way ride in the next.
    async fn report(&self, session: &wire::Registered) -> SessionOver {
        let mut client = Client::new(self.server.clone());
        let mut reports = self.reports.clone();
        let interval = Duration::from_millis(session.report_interval_ms.max(100));
        let mut retry = Retry::new();
        let mut delivered = 0;
        loop {
            let outgoing = reports.borrow_and_update().clone();
            if let Some(outgoing) = outgoing {
                let (report, through) = outgoing.after(delivered, self.run);
                let ask = Ask {
                    method: Method::POST,
                    path: paths::report(self.node()),
                    body: json(&report),
                    deadline: ANSWER_DEADLINE,
                    limit: SMALL_ANSWER,
                };
                match self.ask(&mut client, "report", &ask).await {
                    Ok(answer) if answer.status.is_success() => {
                        retry = Retry::new();
                        if through > delivered {
                            delivered = through;
                            self.tell(LinkEvent::Delivered { through }).await;
                        }
                    }
                    Ok(answer) if answer.status == StatusCode::NOT_FOUND => return SessionOver,
                    Ok(answer) => {
                        retry.complain("report", &words(&answer));
                        retry.pause().await;
                        continue;
                    }
                    Err(error) => {
                        retry.complain("report", &chain(&error));
                        retry.pause().await;
                        continue;
                    }
                }
            }
            // The driver ending ends the link with it, so a closed channel just waits.
            if let Ok(Err(_)) = tokio::time::timeout(interval, reports.changed()).await {
                tokio::time::sleep(interval).await;
            }
        }
    }

    async fn ask(
        &self,
        client: &mut Client,
        kind: &'static str,
        ask: &Ask,
    ) -> Result<Answer, NoAnswer> {
        let result = client.ask(ask).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(_) => "refused",
            Err(_) => "no_answer",
        };
        self.metrics.control_plane_request(kind, outcome);
        result
    }

    async fn tell(&self, event: LinkEvent) {
        // The driver goes away only together with this task.
        let _ = self.driver.send(event).await;
    }

    fn node(&self) -> &NodeName {
        &self.registration.name
    }
}

/// The pause between tries: doubling, with jitter, so that nodes do not come back all at once.
struct Retry {
    failures: u32,
    last_complaint: String,
}

impl Retry {
    fn new() -> Self {
        Self { failures: 0, last_complaint: String::new() }
    }

    /// Says what is wrong, once.
    fn complain(&mut self, request: &str, why: &str) {
        if self.last_complaint != why {
            why.clone_into(&mut self.last_complaint);
            tracing::warn!(request, "the control plane: {why}");
        }
    }

    async fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let factor = 1u32 << (self.failures - 1).min(10);
        let longest = FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY);
        let share = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        tokio::time::sleep(longest.mul_f64(0.5 + share / 2.0)).await;
    }
}

/// The sentence of an answer that refuses.
fn words(answer: &Answer) -> String {
    let sentence = serde_json::from_slice::<wire::ErrorBody>(&answer.body);
    let sentence = sentence.map(|body| body.message).unwrap_or_default();
    format!("it answered {}: {sentence}", answer.status.as_u16())
}

fn json<T: serde::Serialize>(value: &T) -> Bytes {
    // The protocol's types are plain data with text keys, which JSON always has a form for.
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dugout_model::{EventType, NamespaceName, Turn};

    use super::*;

    fn outgoing(numbers: std::ops::RangeInclusive<u64>) -> Outgoing {
        let event = |number: u64| Event {
            at: Timestamp::default(),
            event_type: EventType::Normal,
            kind: "Node".into(),
            namespace: NamespaceName::new(""),
            name: "node-a".into(),
            reason: "R".into(),
            message: number.to_string(),
        };
        let report = NodeReport {
            node: NodeName::new("node-a"),
            instance: "i".into(),
            acknowledged: Turn(0),
            engine_answers: true,
            pods: BTreeMap::new(),
            images: None,
            volumes: None,
            events: Vec::new(),
            first_event: None,
        };
        Outgoing { report, events: numbers.map(|number| (number, event(number))).collect() }
    }

    #[test]
    fn events_keep_their_numbers_when_they_are_sent_again_with_later_ones() {
        let run = Uuid::from_u128(1);
        let (first, through) = outgoing(3..=4).after(2, run);
        assert_eq!(first.first_event, Some(wire::EventNumber { run, number: 3 }));
        assert_eq!((first.events.len(), through), (2, 4));
        let (again, through) = outgoing(3..=5).after(2, run);
        assert_eq!(again.first_event, first.first_event);
        assert_eq!((again.events.len(), through), (3, 5));
        let (later, through) = outgoing(3..=5).after(4, run);
        assert_eq!(later.first_event, Some(wire::EventNumber { run, number: 5 }));
        assert_eq!((later.events.len(), through), (1, 5));
    }

    #[test]
    fn a_heartbeat_numbers_nothing_and_a_report_takes_what_fits() {
        let run = Uuid::from_u128(1);
        let (heartbeat, through) = outgoing(3..=5).after(5, run);
        assert_eq!((heartbeat.first_event, through), (None, 5));
        let most = wire::MAX_REPORT_EVENTS as u64;
        let (full, through) = outgoing(1..=most + 9).after(0, run);
        assert_eq!((full.events.len() as u64, through), (most, most));
    }
}
