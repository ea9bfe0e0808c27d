//! Whether the container engine answers, and when to list its containers again.

use std::collections::HashSet;
use std::time::Duration;

use dugout_model::{EventType, Timestamp, chain};

use super::node::Node;
use crate::converge;
use crate::converge::{FullList, Overtaken, Sequence};
use crate::events::reason;
use crate::runtime::{
    ContainerRuntime, EngineEvent, EngineEventKind, ObservedContainer, RuntimeError,
};

/// The list is the truth; events only make it known sooner.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// The same while there are no events.
const LIST_EVERY_UNWATCHED: Duration = Duration::from_secs(1);
/// After the event stream began, for what happened while it was being opened.
const LIST_AFTER_WATCH: Duration = Duration::from_secs(1);
/// How often an engine that is away is tried.
const TRY_AWAY_EVERY: Duration = Duration::from_millis(250);

/// What is known of the engine.
#[derive(Debug, Default)]
pub(super) struct EngineState {
    /// The last list came back, and nothing said since that the engine is away.
    pub answers: bool,
    /// Since when it does not answer, once that was noticed.
    away_since: Option<Timestamp>,
    /// How many containers turned out to have ended while it was away.
    fallen: u32,
    listing: bool,
    list_at: Option<Timestamp>,
    watching: bool,
    /// A list came back at least once since the start.
    pub listed_once: bool,
}

impl EngineState {
    /// Asks for a list without delay.
    pub fn list_soon(&mut self, now: Timestamp) {
        self.list_at = Some(now);
    }

    /// Whether the containers that end now ended because the engine was away.
    pub fn was_away(&self) -> bool {
        self.away_since.is_some()
    }

    pub fn count_fallen(&mut self) {
        self.fallen = self.fallen.saturating_add(1);
    }

    /// Whether it was found not to answer.
    pub fn is_away(&self) -> bool {
        !self.answers && self.away_since.is_some()
    }

    /// The next moment at which a list is due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.listing { None } else { self.list_at }
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// Begins a list when one is due.
    pub(super) fn list_when_due(&mut self) {
        let Some(owner) = self.owner.clone() else { return };
        if self.engine.listing || self.engine.list_at.is_some_and(|at| at > self.now) {
            return;
        }
        self.engine.listing = true;
        let asked = self.observed.ask();
        self.hands.list(owner, &self.observed, asked);
    }

    pub(super) fn listed(&mut self, asked: Sequence, result: Result<FullList, RuntimeError>) {
        self.engine.listing = false;
        if result.is_err() {
            self.observed.no_answer(asked);
        }
        match result {
            Ok(list) => {
                // While the loss is still remembered: what ended meanwhile did not crash.
                let news = self.observed.apply_list(list, asked);
                for one in news {
                    self.note(one);
                }
                if !self.engine.listed_once {
                    converge::note_lost(&mut self.memories, &self.observed, self.wall);
                }
                self.forget_vanished();
                self.engine_found();
            }
            // An engine that hangs is away, too: nothing can be healed with it.
            Err(error) if error.is_engine_unavailable() || error.is_deadline() => {
                self.engine_lost(&error);
            }
            Err(error) => {
                tracing::warn!("the containers cannot be listed: {}", chain(&error));
                self.engine.list_at = Some(self.now + LIST_EVERY_UNWATCHED);
            }
        }
    }

    /// What is remembered of single containers ends with them, also of those whose end went unseen.
    fn forget_vanished(&mut self) {
        let pods = self.observed.pods();
        let known: HashSet<&str> =
            pods.flat_map(|(_, all)| all).map(|one| one.id.as_str()).collect();
        self.started_here.retain(|id| known.contains(id.as_str()));
        self.signalled_outside.retain(|id, _| known.contains(id.as_str()));
    }

    fn engine_found(&mut self) {
        self.engine.answers = true;
        self.engine.listed_once = true;
        self.metrics.engine_up.set(1);
        if let Some(since) = self.engine.away_since.take() {
            let away = self.now.since(since).as_secs_f64();
            let fallen = std::mem::take(&mut self.engine.fallen);
            let message = format!(
                "the container engine answers again after {away:.1} s; {fallen} containers had ended and are started again"
            );
            self.node_event(EventType::Normal, reason::ENGINE_BACK, message);
        }
        let next = match (&self.owner, self.engine.watching) {
            (Some(owner), false) => {
                self.engine.watching = true;
                self.hands.watch(owner);
                LIST_AFTER_WATCH
            }
            (_, true) => LIST_EVERY,
            (None, false) => LIST_EVERY_UNWATCHED,
        };
        self.engine.list_at = Some(self.now + next);
    }

    /// The engine does not answer. What is known of its containers stays; nothing is done about them.
    pub(super) fn engine_lost(&mut self, error: &RuntimeError) {
        self.engine.list_at = Some(self.now + TRY_AWAY_EVERY);
        self.metrics.engine_up.set(0);
        if self.engine.away_since.is_some() {
            return;
        }
        self.engine.answers = false;
        self.engine.away_since = Some(self.now);
        // The stream of a machine that vanished would stay silent for ever: a new one begins with the
        // next list.
        self.engine.watching = false;
        self.hands.stop_watching();
        self.node_event(EventType::Warning, reason::ENGINE_LOST, chain(error));
    }

    pub(super) fn engine_event(&mut self, event: EngineEvent) {
        let EngineEvent { container, kind } = event;
        match kind {
            EngineEventKind::Signalled(signalled) => {
                if !self.is_ours(&container) {
                    // A stop that takes too long ends with a kill, and stays a stop.
                    self.signalled_outside.entry(container).or_insert(signalled);
                }
            }
            EngineEventKind::Removed => {
                self.signalled_outside.remove(&container);
                if !self.is_ours(&container) {
                    self.vanish(&container);
                }
            }
            EngineEventKind::NetworksChanged => {
                // The end of our own call shows the same.
                if self.observed.find(&container).is_some() && !self.is_ours(&container) {
                    self.look(container);
                }
            }
            EngineEventKind::Started | EngineEventKind::Died | EngineEventKind::Other => {
                // The end of our own call shows the same.
                if !(self.is_ours(&container) && kind == EngineEventKind::Started) {
                    self.look(container);
                }
            }
        }
    }

    fn look(&mut self, container: String) {
        if let Some(owner) = self.owner.clone() {
            let asked = self.observed.ask();
            self.hands.look(owner, container, asked);
        }
    }

    /// Whether a call of ours for this container is under way.
    fn is_ours(&self, container: &str) -> bool {
        self.memories.values().any(|memory| {
            memory.in_flight.as_ref().is_some_and(|action| action.concerns(container))
        })
    }

    pub(super) fn engine_silent(&mut self) {
        self.engine.watching = false;
        self.engine.list_at = Some(self.now);
    }

    pub(super) fn looked(
        &mut self,
        id: &str,
        asked: Sequence,
        result: Result<Option<ObservedContainer>, RuntimeError>,
    ) {
        match result {
            // The end of our own call shows the same.
            Ok(None) if self.is_ours(id) => self.observed.no_answer(asked),
            Ok(seen) => match self.observed.apply_look(id, seen, asked) {
                Ok(news) => {
                    if let Some(news) = news {
                        self.note(news);
                    }
                }
                Err(Overtaken) => self.look(id.to_owned()),
            },
            Err(error) => {
                self.observed.no_answer(asked);
                if error.is_engine_unavailable() {
                    self.engine_lost(&error);
                } else {
                    self.engine.list_soon(self.now);
                }
            }
        }
    }
}
