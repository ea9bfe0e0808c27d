//! What nodes do: agents that start, look, report and poll, and calls to their container engines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dugout_agent::converge::images::ImageOutcome;
use dugout_agent::converge::{
    Action, Failure, FailureKind, Outcome as CallOutcome, StopTarget, StopWhy,
};
use dugout_model::{AssignedPod, Assignment, Fact, PodOrder, PodUid, Timestamp};

use super::{HEARTBEAT, Simulation, WHOLE_LIST};
use crate::docker::{Effect, End};
use crate::events::{Answer, Call, Event, Fetch, Life};
use crate::node::Refused;
use crate::rules::Rule;

impl Simulation {
    pub(super) fn start_agent(&mut self, node: usize) {
        if self.nodes[node].is_dark || self.nodes[node].agent.is_some() {
            return;
        }
        let life = self.next_life();
        self.note(format!("agent {} starts", self.nodes[node].name));
        self.nodes[node].start_agent(life);
        self.list(node);
        self.queue.push(self.now, Event::AgentBeat(node, life));
    }

    pub(super) fn kill_agent(&mut self, node: usize) {
        if self.nodes[node].agent.take().is_some() {
            self.note(format!("agent {} is killed", self.nodes[node].name));
            self.disturb();
            let pause = self.chance.millis(100, 5_000);
            self.queue.push(self.now + pause, Event::AgentStart(node));
        }
    }

    pub(super) fn list(&mut self, node: usize) {
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let (life, asked) = (agent.life, agent.ask());
        self.queue.push(self.now + WHOLE_LIST, Event::Listed { node, life, asked });
    }

    /// What an agent does regularly, whatever happened: it looks, reports and polls.
    pub(super) fn beat(&mut self, node: usize, life: Life) {
        let Some(agent) = self.nodes[node].agent(life) else { return };
        let is_registered = agent.is_registered;
        self.list(node);
        if is_registered {
            self.report(node, true);
            self.offer(node);
        } else {
            let fact = Fact::NodeJoined(self.nodes[node].registration());
            self.send(node, fact);
        }
        self.queue.push(self.now + HEARTBEAT, Event::AgentBeat(node, life));
    }

    pub(super) fn report(&mut self, node: usize, is_due: bool) {
        let now = self.now;
        let is_registered = self.nodes[node].agent.as_ref().is_some_and(|one| one.is_registered);
        if !is_registered {
            return;
        }
        if let Some((report, is_news)) = self.nodes[node].report(now)
            && (is_due || is_news)
        {
            self.send(node, Fact::Report(Box::new(report)));
        }
    }

    pub(super) fn send(&mut self, node: usize, fact: Fact) {
        let Some(agent) = &self.nodes[node].agent else { return };
        let life = agent.life;
        if self.nodes[node].is_cut_off || self.is_lost() {
            return;
        }
        let delay = self.delay();
        let event = Event::Arrives { node, life, fact: Box::new(fact) };
        if self.is_faulty() && self.faults.one_in(25) {
            self.queue.push(self.now + delay, event.clone());
        }
        self.queue.push(self.now + delay, event);
    }

    pub(super) fn assigned(
        &mut self,
        node: usize,
        life: Life,
        assignment: dugout_model::SharedAssignment,
    ) {
        if self.nodes[node].agent(life).is_none() || self.nodes[node].is_cut_off {
            return;
        }
        match self.nodes[node].judge(&assignment) {
            Ok(()) => {}
            Err(Refused::Older) => return,
            Err(Refused::OtherContent) => {
                let why = format!("agent {}", self.nodes[node].name);
                return self.note_broken(Err(Rule::GenerationsFence.broken(why)));
            }
        }
        if self.nodes[node].accepted.as_ref().is_none_or(|held| **held != *assignment) {
            let crash = self.effect();
            if crash.is_some_and(|crash| !crash.after) {
                return self.kill_agent(node);
            }
            let (name, generation) = (self.nodes[node].name.clone(), assignment.generation.0);
            self.note(format!("agent {name} accepts {generation}"));
            let held = self.nodes[node].accepted.clone();
            self.nodes[node].accept(Arc::clone(&assignment));
            if crash.is_some() {
                return self.kill_agent(node);
            }
            self.note_draining(node, held.as_deref(), &assignment);
        }
        self.settle_node(node);
    }

    /// Pods that leave have connections for a while. They get no new ones, and those that there are end with
    /// the agent.
    fn note_draining(&mut self, node: usize, held: Option<&Assignment>, assignment: &Assignment) {
        let leaving = |pod: &&AssignedPod| pod.order == PodOrder::Run { draining: true };
        let left: BTreeSet<PodUid> = held
            .iter()
            .flat_map(|held| held.pods.iter().filter(leaving))
            .map(|pod| pod.uid)
            .collect();
        let leaving = assignment.pods.iter().filter(leaving);
        for pod in leaving.filter(|pod| !left.contains(&pod.uid)) {
            let until = self.now + self.chance.millis(0, 3_000);
            if let Some(agent) = &mut self.nodes[node].agent {
                agent.keep_busy(pod.uid, until);
            }
        }
    }

    /// Begins everything that follows from what an agent knows now.
    pub(super) fn settle_node(&mut self, node: usize) {
        let now = self.now;
        let plan = self.nodes[node].plan(now);
        let mut calls = Vec::new();
        for action in plan.actions {
            let pod = self.nodes[node].assigned(action.pod()).cloned();
            let answer = self.answer();
            let takes = self.nodes[node].engine.takes(&action);
            let call = Box::new(Call { action, pod, answer });
            let Some(agent) = &mut self.nodes[node].agent else { return };
            agent.begin(&call, now);
            let life = agent.life;
            calls.push((now + takes, Event::Called { node, life, call }));
        }
        if !self.keep_records(node) {
            return;
        }
        for (at, call) in calls {
            self.queue.push(at, call);
        }
        let images_at = self.fetch_images(node);
        self.report(node, false);
        let wake_at = [plan.wake_at, images_at, self.nodes[node].wake_at(now)];
        let wake_at = wake_at.into_iter().flatten().min();
        let soon = now + Duration::from_millis(1);
        if let (Some(at), Some(agent)) = (wake_at, &mut self.nodes[node].agent)
            && let Some(at) = agent.alarm.set(at.max(soon))
        {
            self.queue.push(at, Event::AgentWake(node, agent.life));
        }
    }

    /// Writes what must outlive the agent, before its engine is asked for more. Says whether the agent
    /// outlives that.
    fn keep_records(&mut self, node: usize) -> bool {
        let Some(records) = self.nodes[node].records_now() else { return true };
        if self.nodes[node].records == records {
            return true;
        }
        let crash = self.effect();
        if crash.is_none_or(|crash| crash.after) {
            self.nodes[node].records = records;
        }
        if crash.is_some() {
            self.kill_agent(node);
        }
        crash.is_none()
    }

    fn answer(&mut self) -> Answer {
        match self.is_faulty().then(|| self.faults.below(60)) {
            Some(0) => Answer::Lost,
            Some(1) => Answer::Refused,
            _ => Answer::Given,
        }
    }

    /// Begins what a node does for images, and says when to come again.
    fn fetch_images(&mut self, node: usize) -> Option<Timestamp> {
        let now = self.now;
        let (actions, wake_at) = self.nodes[node].plan_images(now);
        for (asked, action) in actions {
            let answer = self.answer();
            let takes = self.nodes[node].engine.image_takes(action);
            let life = self.nodes[node].agent.as_ref()?.life;
            let fetch = Box::new(Fetch { asked, action, answer });
            self.queue.push(now + takes, Event::Fetched { node, life, fetch });
        }
        wake_at
    }

    /// An effect for an image ends, also when the agent that wanted it is gone.
    pub(super) fn fetched(&mut self, node: usize, life: Life, fetch: &Fetch) {
        if self.nodes[node].is_dark {
            return;
        }
        let crash = self.effect();
        if crash.is_some_and(|crash| !crash.after) && self.nodes[node].agent(life).is_some() {
            return self.kill_agent(node);
        }
        let Fetch { asked, action, answer } = fetch;
        self.note(format!("{} does {action:?} {}", self.nodes[node].name, asked.image));
        let failed = |message: &str| {
            let message = message.to_owned();
            ImageOutcome::Failed(Failure { kind: FailureKind::Transient, message })
        };
        let outcome = match answer {
            Answer::Refused => failed("the engine is busy"),
            Answer::Given | Answer::Lost => {
                let now = self.now;
                self.nodes[node].engine.fetch(&asked.reference(), *action, now)
            }
        };
        let is_lost = *answer == Answer::Lost;
        let outcome = if is_lost { failed("the answer did not come in time") } else { outcome };
        if crash.is_some() && self.nodes[node].agent(life).is_some() {
            return self.kill_agent(node);
        }
        let now = self.now;
        if let Some(agent) = self.nodes[node].agent(life) {
            agent.image_fetched(asked, outcome, now);
            self.settle_node(node);
        }
    }

    /// A call takes effect, also when the agent that made it is gone.
    pub(super) fn called(&mut self, node: usize, life: Life, call: &Call) {
        if self.nodes[node].is_dark {
            return;
        }
        let crash = self.effect();
        if crash.is_some_and(|crash| !crash.after) && self.nodes[node].agent(life).is_some() {
            return self.kill_agent(node);
        }
        let refusal =
            |message: &str| Failure { kind: FailureKind::Transient, message: message.to_owned() };
        let result = match call.answer {
            Answer::Refused => Err(refusal("the engine is busy")),
            Answer::Given | Answer::Lost => self.apply(node, call),
        };
        if crash.is_some() {
            return self.kill_agent(node);
        }
        let outcome = match (call.answer, result) {
            (Answer::Lost, _) => CallOutcome::Failed(refusal("the answer did not come in time")),
            (_, Ok(outcome)) => outcome,
            (_, Err(failure)) => CallOutcome::Failed(failure),
        };
        self.answered(node, life, call, &outcome);
    }

    pub(super) fn apply(&mut self, node: usize, call: &Call) -> Result<CallOutcome, Failure> {
        let now = self.now;
        if let Action::Stop { pod, targets, why: StopWhy::Ordered, .. } = &call.action {
            let containers = &self.nodes[node].engine.containers;
            let is_ready =
                |target: &StopTarget| containers.get(&target.id).is_some_and(|one| one.serves(now));
            if targets.iter().any(is_ready) {
                let world = self.database.open().world.clone();
                let enough = self.rules.stopped(&self.nodes, &world, *pod, now);
                self.note_broken(enough);
            }
            if self.nodes[node].agent.as_ref().is_some_and(|agent| agent.is_busy(*pod, now)) {
                let allowed = self.rules.cut_short(*pod, now);
                self.note_broken(allowed);
            }
        }
        if let Action::Start { id, .. } = &call.action
            && let Some(container) = self.nodes[node].engine.containers.get(id)
            && !container.observed.is_running()
        {
            let labels = &container.observed.labels;
            let allowed = self.rules.started(labels, call.pod.as_ref(), now);
            self.note_broken(allowed);
        }
        self.note(format!("{} does {}", self.nodes[node].name, words(&call.action)));
        let effect = self.nodes[node].engine.apply(&call.action, call.pod.as_ref(), now)?;
        if let (Effect::Started(End { at, exit_code }), Action::Start { id, .. }) =
            (&effect, &call.action)
        {
            let (at, exit_code) = (*at, *exit_code);
            let container = id.clone();
            self.queue.push(at, Event::Ends { node, container, started_at: now, exit_code });
        }
        let runs = self.rules.look(&self.nodes);
        self.note_broken(runs);
        Ok(match effect {
            Effect::Found(digest) => CallOutcome::Found { digest: Some(digest) },
            Effect::Done | Effect::Started(_) => CallOutcome::Done,
        })
    }

    pub(super) fn answered(&mut self, node: usize, life: Life, call: &Call, outcome: &CallOutcome) {
        let now = self.now;
        let seen: Vec<_> = match &call.action {
            Action::Start { id, .. } | Action::Correct { id, .. } => {
                let seen = self.nodes[node].engine.containers.get(id);
                seen.map(|one| one.observed.clone()).into_iter().collect()
            }
            Action::Stop { targets, .. } => {
                let containers = &self.nodes[node].engine.containers;
                let seen = targets.iter().filter_map(|target| containers.get(&target.id));
                seen.map(|one| one.observed.clone()).collect()
            }
            Action::Create { pod, container, attempt, .. } => {
                let mut all = self.nodes[node].engine.containers.values();
                all.find(|one| {
                    let labels = &one.observed.labels;
                    labels.uid == *pod
                        && labels.container == *container
                        && labels.attempt == *attempt
                })
                .map(|one| one.observed.clone())
                .into_iter()
                .collect()
            }
            Action::Pull { .. } | Action::Find { .. } | Action::Remove { .. } => Vec::new(),
        };
        let is_done = outcome.is_done();
        let Some(agent) = self.nodes[node].agent(life) else { return };
        agent.end(call, outcome, now);
        if is_done {
            for one in seen {
                agent.see(one, now);
            }
            if let Action::Remove { id, .. } = &call.action {
                agent.removed(id);
            }
        } else {
            self.list(node);
        }
        self.settle_node(node);
    }

    /// A container ends by itself.
    pub(super) fn ends(
        &mut self,
        node: usize,
        container: &str,
        started_at: Timestamp,
        exit_code: i64,
    ) {
        use dugout_agent::runtime::ObservedState;
        let now = self.now;
        let engine = &mut self.nodes[node].engine;
        let is_this_run = engine
            .containers
            .get(container)
            .is_some_and(|one| one.observed.state == ObservedState::Running { started_at });
        if !is_this_run {
            return;
        }
        engine.end(container, exit_code, now);
        if let Some(ended) = engine.containers.get(container) {
            self.rules.ended(&ended.observed.labels, started_at, exit_code, now);
        }
        self.note(format!("{container} ends with {exit_code}"));
        self.rules.disturbed_at = now;
        self.tell_engine_event(node, container);
    }

    /// The engine's word on a container reaches the agent, or not.
    pub(super) fn tell_engine_event(&mut self, node: usize, container: &str) {
        let now = self.now;
        if self.is_lost() {
            return;
        }
        let seen =
            self.nodes[node].engine.containers.get(container).map(|one| one.observed.clone());
        if let (Some(agent), Some(seen)) = (&mut self.nodes[node].agent, seen) {
            agent.see(seen, now);
            self.settle_node(node);
        }
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Pull { image, .. } => format!("pull {image}"),
        Action::Find { image, .. } => format!("find {image}"),
        Action::Create { pod, attempt, .. } => format!("create {pod} {attempt}"),
        Action::Start { id, .. } => format!("start {id}"),
        Action::Stop { targets, why, .. } => {
            let ids: Vec<&str> = targets.iter().map(|target| target.id.as_str()).collect();
            format!("stop {} {why:?}", ids.join(" "))
        }
        Action::Correct { id, correction, .. } => format!("correct {id} {correction:?}"),
        Action::Remove { id, .. } => format!("remove {id}"),
    }
}
