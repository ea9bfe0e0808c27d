//! What is learned when a container appears, ends, or is gone, whoever made it so.

use dugout_model::{EventType, PodUid, Timestamp};

use super::node::{Node, memory_of};
use crate::converge::{Action, ExitCause, News, StopWhy};
use crate::events::reason;
use crate::labels::ContainerLabels;
use crate::runtime::{ContainerRuntime, ObservedContainer, ObservedState, Signalled};

impl<R: ContainerRuntime> Node<R> {
    /// Takes over what was seen of a container.
    pub(super) fn see(&mut self, seen: ObservedContainer) {
        if let Some(news) = self.observed.put(seen) {
            self.note(news);
        }
    }

    /// A container is gone, by someone else's hand.
    pub(super) fn vanish(&mut self, id: &str) {
        if let Some(news) = self.observed.vanished(id) {
            self.note(news);
        }
    }

    pub(super) fn note(&mut self, news: News) {
        match news {
            News::Appeared(one) => self.note_appeared(&one),
            News::Exited { id, labels, started_at, exit } => {
                self.note_exit(&id, &labels, started_at, &exit);
            }
            News::Restarted { id, labels } => self.note_restarted(id, &labels),
            News::Vanished { labels, .. } => self.note_vanished(&labels),
        }
    }

    /// Someone else restarted a container: it may have another address, and its probes begin anew.
    pub(super) fn note_restarted(&mut self, id: String, labels: &ContainerLabels) {
        self.signalled_outside.remove(&id);
        self.started_here.insert(id);
        self.note_running(labels);
        if labels.is_sandbox() {
            return;
        }
        let message = format!("container {} was restarted from outside", labels.container);
        self.pod_event(labels.uid, EventType::Normal, reason::STARTED, message);
    }

    pub(super) fn note_running(&mut self, labels: &ContainerLabels) {
        let policy = self.restart_policy(labels);
        if let Some(memory) = self.memories.get_mut(&labels.uid) {
            memory.note_running(labels, policy);
        }
    }

    pub(super) fn note_appeared(&mut self, one: &ObservedContainer) {
        let labels = &one.labels;
        let memory = memory_of(&mut self.memories, labels.uid, &labels.namespace, &labels.pod);
        let ours = matches!(one.state, ObservedState::Created);
        memory.note_appeared(labels);
        match &one.state {
            ObservedState::Running { started_at } => {
                memory.milestones.created_at.get_or_insert(one.created_at);
                memory.milestones.started_at.get_or_insert(*started_at);
                self.note_running(labels);
                if !ours && !labels.is_sandbox() && !self.started_here.contains(&one.id) {
                    let message = format!("found container {} running", labels.container);
                    self.pod_event(labels.uid, EventType::Normal, reason::ADOPTED, message);
                }
            }
            ObservedState::Exited { started_at, exit } => {
                memory.milestones.created_at.get_or_insert(one.created_at);
                memory.milestones.started_at.get_or_insert(*started_at);
                self.note_exit(&one.id, labels, *started_at, exit);
            }
            ObservedState::Created | ObservedState::Removing => {}
        }
    }

    pub(super) fn note_exit(
        &mut self,
        id: &str,
        labels: &ContainerLabels,
        started_at: Timestamp,
        exit: &dugout_model::ContainerExit,
    ) {
        self.started_here.remove(id);
        let signalled = self.signalled_outside.remove(id);
        let fell = self.engine.was_away();
        let ours = self
            .memories
            .get(&labels.uid)
            .is_some_and(|memory| memory.in_flight.as_ref().is_some_and(|action| action.stops(id)));
        let pod_ended = self.memories.get(&labels.uid).is_some_and(|memory| {
            matches!(&memory.in_flight, Some(Action::Stop { why: StopWhy::PodEnded, .. }))
        });
        let outside = match ours {
            true => self.is_renewed(labels.uid),
            false => signalled.is_some() || fell,
        };
        let cause = if outside { ExitCause::Outside } else { ExitCause::Itself };
        let now = self.now;
        let memory = memory_of(&mut self.memories, labels.uid, &labels.namespace, &labels.pod);
        // What an end means depends on it, and the memory may be new.
        memory.pause = self.paused.get(labels.uid);
        let wait = memory.note_exit(id, labels, started_at, exit, cause, now);
        let is_tended = self.is_wanted(labels.uid) && self.paused.get(labels.uid).is_none();
        if !is_tended || labels.is_sandbox() || (ours && pod_ended) {
            return;
        }
        let (container, code) = (&labels.container, exit.exit_code);
        if exit.oom_killed {
            let message = format!("container {container} was ended for want of memory");
            self.pod_event(labels.uid, EventType::Warning, reason::OOM_KILLED, message);
        }
        if self.has_ended(labels) {
            let (event_type, reason) = match code {
                0 => (EventType::Normal, reason::COMPLETED),
                _ => (EventType::Warning, reason::FAILED),
            };
            let message = format!("container {container} ended with code {code}");
            self.pod_event(labels.uid, event_type, reason, message);
            return;
        }
        if fell {
            self.engine.count_fallen();
        }
        if let Some(wait) = wait {
            let wait = wait.as_secs();
            let message = format!(
                "container {container} ended with code {code}; it is started again in {wait} s"
            );
            self.pod_event(labels.uid, EventType::Warning, reason::BACK_OFF, message);
        } else if !ours {
            let how = how_it_ended(signalled, fell);
            let message =
                format!("container {container} {how} (code {code}); it is started again at once");
            self.pod_event(labels.uid, EventType::Warning, reason::HEALING, message);
        }
    }

    pub(super) fn note_vanished(&mut self, labels: &ContainerLabels) {
        let wall = self.wall;
        if let Some(memory) = self.memories.get_mut(&labels.uid) {
            memory.note_vanished(&labels.container, labels.attempt, wall);
        }
        let is_newest = self
            .observed
            .of_pod(labels.uid)
            .iter()
            .filter(|one| one.labels.container == labels.container)
            .all(|one| one.labels.attempt <= labels.attempt);
        let is_paused = self.paused.get(labels.uid).is_some();
        let is_told = is_newest && !labels.is_sandbox() && !is_paused;
        if is_told && self.is_wanted(labels.uid) && !self.has_ended(labels) {
            let container = &labels.container;
            let message =
                format!("container {container} was removed from outside; it is made again at once");
            self.pod_event(labels.uid, EventType::Warning, reason::HEALING, message);
        }
    }

    /// Whether a container ended and is not started again.
    pub(super) fn has_ended(&self, labels: &ContainerLabels) -> bool {
        let memory = self.memories.get(&labels.uid);
        let container = memory.and_then(|memory| memory.containers.get(&labels.container));
        let pod = self.assigned(labels.uid);
        pod.zip(container)
            .and_then(|(pod, memory)| {
                memory.final_exit(pod.template.restart_policy_of(&labels.container))
            })
            .is_some()
    }

    /// Notes when the last container of a leaving pod had stopped.
    pub(super) fn note_stopped(&mut self, uid: PodUid) {
        let wall = self.wall;
        let running = self.observed.of_pod(uid).iter().any(ObservedContainer::is_running);
        if !running
            && !self.is_wanted(uid)
            && let Some(memory) = self.memories.get_mut(&uid)
            && memory.milestones.started_at.is_some()
        {
            memory.milestones.stopped_at.get_or_insert(wall);
        }
    }
}

/// How a container ended that we had not stopped. Its engine `fell` when it was away meanwhile.
fn how_it_ended(signalled: Option<Signalled>, fell: bool) -> &'static str {
    match (signalled, fell) {
        // An engine that is stopped in good order first stops each of its containers.
        (Some(Signalled::Stop), true) => "was stopped with the container engine",
        (Some(Signalled::Stop), false) => "was stopped from outside",
        (Some(Signalled::Kill), _) => "was killed from outside",
        (None, true) => "fell with the container engine",
        (None, false) => "ended",
    }
}
