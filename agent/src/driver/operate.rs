//! What a person on this node asks for, beside the control plane.

use dugout_model::{EventType, Pause, PodOrder, PodUid};

use super::node::Node;
use crate::break_glass::{
    Answer, Call, ContainerLine, EngineState, InFlight, Operation, Order, PodLine, Request, find,
};
use crate::converge::Action;
use crate::events::reason;
use crate::labels::DEFAULT_GRACE;
use crate::runtime::{ContainerRuntime, ObservedContainer};

impl<R: ContainerRuntime> Node<R> {
    pub fn operate(&mut self, operation: Operation) {
        let Operation { request, answer } = operation;
        // Who has gone needs no answer.
        let _ = answer.send(self.answer(&request));
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let pods = self.pod_lines();
        let Some((target, pause)) = request.change() else { return Answer::Pods(pods) };
        let line = match find(&pods, target) {
            Ok(line) => line,
            Err(sentence) => return Answer::Refused(self.with_doubt(sentence)),
        };
        let uid = PodUid(line.uid);
        if let Err(error) = self.become_paused(uid, pause) {
            return Answer::Refused(format!("it cannot be noted on the disk: {error}"));
        }
        let (engine, in_flight) = (self.engine_state(), self.in_flight(uid));
        Answer::Done(PodLine { pause: pause.map(Into::into), engine, in_flight, ..line.clone() })
    }

    /// Pods that are not assigned are known by their containers alone.
    fn with_doubt(&self, sentence: String) -> String {
        match self.engine_state() {
            EngineState::Answers | EngineState::Away => sentence,
            EngineState::NotListed => {
                format!("{sentence}; its containers have not been listed yet, so try again soon")
            }
        }
    }

    fn engine_state(&self) -> EngineState {
        match (self.engine.answers, self.engine.listed_once) {
            (true, _) => EngineState::Answers,
            (false, true) => EngineState::Away,
            (false, false) => EngineState::NotListed,
        }
    }

    fn in_flight(&self, uid: PodUid) -> Option<InFlight> {
        let memory = self.memories.get(&uid)?;
        let call = match memory.in_flight.as_ref()? {
            Action::Pull { .. } => Call::Pull,
            Action::Find { .. } => Call::Find,
            Action::Create { .. } => Call::Create,
            Action::Start { .. } => Call::Start,
            Action::Stop { .. } => Call::Stop,
            Action::Correct { .. } => Call::Correct,
            Action::Remove { .. } => Call::Remove,
        };
        let since = memory.call_began_at.unwrap_or(self.now);
        Some(InFlight { call, seconds: self.now.since(since).as_secs() })
    }

    /// On disk first: what was answered outlives this process.
    fn become_paused(&mut self, uid: PodUid, pause: Option<Pause>) -> std::io::Result<()> {
        let before = self.paused.get(uid);
        self.paused.set(uid, pause)?;
        if before == pause {
            return Ok(());
        }
        // What was stopped is tended again from its beginning, and what goes on is left as it is now.
        if let Some(memory) = self.memories.get_mut(&uid) {
            memory.resume();
        }
        self.probes.pardon(uid, self.now);
        if pause.is_some()
            && let Some(pull) = self.pulls.remove(&uid)
        {
            pull.abort();
            if let Some(memory) = self.memories.get_mut(&uid)
                && matches!(memory.in_flight, Some(Action::Pull { .. }))
            {
                memory.in_flight = None;
            }
        }
        let (event_type, reason, message) = match pause {
            Some(Pause::LeftAlone) => (
                EventType::Warning,
                reason::PAUSED,
                "somebody on its node paused it: it is left alone until it is resumed there",
            ),
            Some(Pause::Stopped) => (
                EventType::Warning,
                reason::PAUSED,
                "somebody on its node stopped it: it stays stopped until it is resumed there",
            ),
            None => (EventType::Normal, reason::RESUMED, "somebody on its node resumed it"),
        };
        tracing::warn!(pod = %uid, "{message}");
        self.pod_event(uid, event_type, reason, message.to_owned());
        Ok(())
    }

    /// Hands the pauses to the memories that decisions are made with.
    pub(super) fn apply_pauses(&mut self) {
        let mut paused = 0;
        for (uid, pause) in self.paused.iter() {
            paused += 1;
            if let Some(memory) = self.memories.get_mut(&uid) {
                memory.pause = Some(pause);
            }
        }
        self.metrics.paused_pods.set(paused);
    }

    /// A pause ends with its pod. What was not listed yet may be there.
    pub(super) fn forget_pauses(&mut self) {
        if !self.engine.answers {
            return;
        }
        let memories = &self.memories;
        if let Err(error) = self.paused.retain(|uid| memories.contains_key(&uid)) {
            tracing::warn!(%error, "what is paused on this node cannot be written");
        }
    }

    /// The pods that are assigned, and those that are left over.
    fn pod_lines(&self) -> Vec<PodLine> {
        let engine = self.engine_state();
        let assigned = self.assignment.iter().flat_map(|assignment| &assignment.pods);
        let mut lines: Vec<PodLine> = assigned
            .map(|pod| PodLine {
                namespace: pod.namespace.to_string(),
                name: pod.name.to_string(),
                uid: pod.uid.0,
                order: Some(match pod.order {
                    PodOrder::Run { .. } => Order::Run,
                    PodOrder::Stop { .. } => Order::Stop,
                }),
                pause: self.paused.get(pod.uid).map(Into::into),
                containers: container_lines(self.observed.of_pod(pod.uid)),
                grace_seconds: pod.template.termination_grace.as_secs(),
                engine,
                in_flight: self.in_flight(pod.uid),
            })
            .collect();
        for (uid, containers) in self.observed.pods() {
            let Some(first) = containers.first().filter(|_| self.assigned(uid).is_none()) else {
                continue;
            };
            let longest = containers.iter().map(|one| one.labels.grace).max();
            lines.push(PodLine {
                namespace: first.labels.namespace.to_string(),
                name: first.labels.pod.to_string(),
                uid: uid.0,
                order: self.assignment.as_ref().map(|_| Order::Remove),
                pause: self.paused.get(uid).map(Into::into),
                containers: container_lines(containers),
                grace_seconds: longest.unwrap_or(DEFAULT_GRACE).as_secs(),
                engine,
                in_flight: self.in_flight(uid),
            });
        }
        lines.sort_by(|one, other| {
            (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name))
        });
        lines
    }
}

/// The newest of each name.
fn container_lines(containers: &[ObservedContainer]) -> Vec<ContainerLine> {
    let mut lines: Vec<ContainerLine> = Vec::new();
    for one in containers.iter().rev().filter(|one| !one.labels.is_sandbox()) {
        if lines.iter().all(|line| line.name != one.labels.container) {
            lines.push(ContainerLine {
                name: one.labels.container.clone(),
                id: one.id.clone(),
                running: one.is_running(),
                restarts: one.labels.attempt,
            });
        }
    }
    lines.reverse();
    lines
}
