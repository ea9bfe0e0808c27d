//! A node: a container engine that stays, a disk that stays, and an agent that comes and goes.
//!
//! The agent decides with the real `converge` and remembers with the real memories; only its hands and
//! its link are fakes.

use std::collections::BTreeMap;
use std::path::Path;

use dugout_agent::converge::images::{
    ImageAction, ImageMemories, ImageOutcome, ImageStep, image_step,
};
use dugout_agent::converge::{
    Attempt, ExitCause, FullList, Health, Input, Memories, News, Observed, Outcome, Plan,
    PodMemory, Sequence, note_lost, pod_report,
};
use dugout_agent::policy::NodePolicy;
use dugout_agent::runtime::ObservedContainer;
use dugout_model::{
    AssignedImage, AssignedPod, EngineId, NodeName, NodePrivileges, NodeRegistration, NodeReport,
    PodOrder, PodReport, PodUid, PullPolicy, Resources, RestartPolicy, SharedAssignment, StringMap,
    Timestamp, Turn,
};

use crate::bugs::{Bug, converge_with, report_with};
use crate::docker::FakeEngine;
use crate::events::{Alarm, Call, Life};

/// How often the containers of each pod were tried: what an agent must not forget.
pub type Records = BTreeMap<PodUid, BTreeMap<String, Attempt>>;

pub(crate) struct Node {
    pub name: NodeName,
    /// The container engine; it goes on without the agent.
    pub engine: FakeEngine,
    /// What is on the disk.
    pub accepted: Option<SharedAssignment>,
    /// What is on the disk of pods that are not always started again.
    pub records: Records,
    pub agent: Option<Agent>,
    /// Nothing passes between it and the control plane.
    pub is_cut_off: bool,
    /// Without power: nothing runs.
    pub is_dark: bool,
    /// Since when it is one or the other.
    pub silent_since: Option<Timestamp>,
    policy: NodePolicy,
    bug: Option<Bug>,
}

/// The agent's process, with what it forgets when it is killed.
pub(crate) struct Agent {
    pub life: Life,
    pub is_registered: bool,
    pub has_listed: bool,
    pub alarm: Alarm,
    observed: Observed,
    memories: Memories,
    images: ImageMemories,
    reported: Option<NodeReport>,
    /// When each leaving pod's last connection ends.
    busy_until: BTreeMap<PodUid, Timestamp>,
}

/// An assignment that an agent must not take over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Older,
    /// The same generation with other content: a rule is broken.
    OtherContent,
}

impl Node {
    pub fn new(name: &str, engine: FakeEngine, bug: Option<Bug>) -> Self {
        Self {
            name: NodeName::new(name),
            engine,
            accepted: None,
            records: Records::new(),
            agent: None,
            is_cut_off: false,
            is_dark: false,
            silent_since: None,
            policy: NodePolicy::new(NodePrivileges::of_any_node(), Path::new("/data")),
            bug,
        }
    }

    pub fn registration(&self) -> NodeRegistration {
        NodeRegistration {
            name: self.name.clone(),
            instance: format!("instance-of-{}", self.name),
            labels: StringMap::from([("name".to_owned(), self.name.to_string())]),
            capacity: Resources { cpu_millis: 2_000, memory_bytes: 8 << 30, pods: 110 },
            storage_bytes: None,
            engine: EngineId::new(format!("engine-of-{}", self.name)),
            engine_version: "29".to_owned(),
            agent_version: "0.1".to_owned(),
            address: None,
        }
    }

    /// The agent of this life, if it still lives.
    pub fn agent(&mut self, life: Life) -> Option<&mut Agent> {
        self.agent.as_mut().filter(|agent| agent.life == life)
    }

    /// Begins a life of the agent with what the disk holds.
    pub fn start_agent(&mut self, life: Life) {
        let mut agent = Agent {
            life,
            is_registered: false,
            has_listed: false,
            alarm: Alarm::default(),
            observed: Observed::default(),
            memories: Memories::new(),
            images: ImageMemories::default(),
            reported: None,
            busy_until: BTreeMap::new(),
        };
        if let Some(accepted) = &self.accepted {
            agent.remember_pods(&accepted.pods);
            for (uid, record) in &self.records {
                if let Some(memory) = agent.memories.get_mut(uid) {
                    memory.restore(record.clone());
                }
            }
        }
        self.agent = Some(agent);
    }

    /// What must outlive the agent.
    pub fn records_now(&self) -> Option<Records> {
        let (Some(agent), Some(accepted)) = (&self.agent, &self.accepted) else { return None };
        let is_kept = |pod: &&AssignedPod| pod.template.restart_policy != RestartPolicy::Always;
        let memory = |pod: &AssignedPod| Some((pod.uid, agent.memories.get(&pod.uid)?.attempts()));
        Some(accepted.pods.iter().filter(is_kept).filter_map(memory).collect())
    }

    /// Whether an assignment is to be written to the disk.
    pub fn judge(&self, offered: &SharedAssignment) -> Result<(), Refused> {
        match &self.accepted {
            Some(_) if self.bug == Some(Bug::GenerationNotChecked) => Ok(()),
            Some(held) if offered.generation < held.generation => Err(Refused::Older),
            Some(held) if offered.generation == held.generation && **offered != **held => {
                Err(Refused::OtherContent)
            }
            _ => Ok(()),
        }
    }

    pub fn accept(&mut self, assignment: SharedAssignment) {
        if let Some(agent) = &mut self.agent {
            agent.remember_pods(&assignment.pods);
        }
        self.accepted = Some(assignment);
    }

    /// What is to be done now.
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        let Some(agent) = &mut self.agent else { return Plan::default() };
        let assignment = self.accepted.as_deref();
        let observed = &agent.observed;
        agent.memories.retain(|uid, memory| {
            memory.in_flight.is_some()
                || !observed.of_pod(*uid).is_empty()
                || assignment.is_none_or(|held| held.pods.iter().any(|pod| pod.uid == *uid))
        });
        let input = Input {
            assignment,
            observed: &agent.observed,
            memories: &agent.memories,
            engine_known: agent.has_listed,
            policy: &self.policy,
            now,
        };
        converge_with(self.bug, input)
    }

    /// What is to be done for images now, and when to come again.
    pub fn plan_images(
        &mut self,
        now: Timestamp,
    ) -> (Vec<(AssignedImage, ImageAction)>, Option<Timestamp>) {
        let (Some(agent), Some(accepted)) = (&mut self.agent, &self.accepted) else {
            return (Vec::new(), None);
        };
        agent.images.set_asked(&accepted.images);
        let (mut actions, mut wake_at) = (Vec::new(), None);
        for asked in accepted.images.iter().filter(|_| agent.has_listed) {
            let Some(memory) = agent.images.get_mut(asked) else { continue };
            match image_step(asked, memory, now) {
                ImageStep::Nothing => {}
                ImageStep::Wait(at) => wake_at = wake_at.into_iter().chain([at]).min(),
                ImageStep::Act(action) => {
                    memory.begin();
                    actions.push((asked.clone(), action));
                }
            }
        }
        (actions, wake_at)
    }

    pub fn assigned(&self, uid: PodUid) -> Option<&AssignedPod> {
        self.accepted.as_ref()?.pods.iter().find(|pod| pod.uid == uid)
    }

    /// Everything that there is to say, and whether it is news.
    pub fn report(&mut self, now: Timestamp) -> Option<(NodeReport, bool)> {
        let accepted = self.accepted.clone();
        let engine = &self.engine;
        let agent = self.agent.as_mut().filter(|agent| agent.has_listed)?;
        let is_ready = |uid: PodUid| {
            let mut containers = engine.containers.values();
            containers.any(|one| one.observed.labels.uid == uid && one.serves(now))
        };
        let mut pods: BTreeMap<PodUid, PodReport> = BTreeMap::new();
        for pod in accepted.iter().flat_map(|accepted| &accepted.pods) {
            let is_draining = pod.order != PodOrder::Run { draining: false };
            let is_busy = agent.is_busy(pod.uid, now);
            let health = Health {
                ready: is_ready(pod.uid) && !matches!(pod.order, PodOrder::Stop { .. }),
                connections: u32::from(is_draining && is_busy),
            };
            let containers = agent.observed.of_pod(pod.uid);
            let memory = agent.memories.get(&pod.uid);
            let report = pod_report(Some(pod), containers, memory, health, true);
            pods.insert(pod.uid, report_with(self.bug, &pod.order, report));
        }
        for (uid, containers) in agent.observed.pods() {
            pods.entry(uid).or_insert_with(|| {
                pod_report(None, containers, agent.memories.get(&uid), Health::default(), true)
            });
        }
        let asked = accepted.as_ref().map_or(&[][..], |accepted| &accepted.images);
        let report = NodeReport {
            node: self.name.clone(),
            instance: format!("instance-of-{}", self.name),
            acknowledged: accepted.as_ref().map_or(Turn(0), |accepted| accepted.generation),
            engine_answers: true,
            pods,
            images: Some(agent.images.reports(asked)),
            volumes: None,
            events: Vec::new(),
            first_event: None,
        };
        let is_news = agent.reported.as_ref() != Some(&report);
        agent.reported = Some(report.clone());
        Some((report, is_news))
    }

    /// When a probe or a connection changes by time alone.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let agent = self.agent.as_ref()?;
        let ready = self.engine.running().filter_map(|one| one.ready_at);
        ready.chain(agent.busy_until.values().copied()).filter(|at| *at > now).min()
    }
}

impl Agent {
    fn remember_pods(&mut self, pods: &[AssignedPod]) {
        for pod in pods {
            self.memory(pod.uid, || PodMemory::new(pod.namespace.clone(), pod.name.clone()));
        }
    }

    fn memory(&mut self, uid: PodUid, fresh: impl FnOnce() -> PodMemory) -> &mut PodMemory {
        self.memories.entry(uid).or_insert_with(fresh)
    }

    pub fn keep_busy(&mut self, pod: PodUid, until: Timestamp) {
        self.busy_until.entry(pod).or_insert(until);
    }

    /// Whether requests to a leaving pod are under way.
    pub fn is_busy(&self, pod: PodUid, now: Timestamp) -> bool {
        self.busy_until.get(&pod).is_some_and(|until| *until > now)
    }

    pub fn begin(&mut self, call: &Call, now: Timestamp) {
        if let Some(memory) = self.memories.get_mut(&call.action.pod()) {
            memory.begin(call.action.clone(), now);
        }
    }

    /// A call was answered.
    pub fn end(&mut self, call: &Call, outcome: &Outcome, now: Timestamp) {
        let policy = call.pod.as_ref().and_then(|pod| {
            pod.template.container(call.action.container()).map(|one| one.pull_policy)
        });
        if let Some(memory) = self.memories.get_mut(&call.action.pod()) {
            memory.end(outcome, policy.unwrap_or(PullPolicy::IfNotPresent), now, now);
        }
    }

    /// An effect for an image ended.
    pub fn image_fetched(&mut self, asked: &AssignedImage, outcome: ImageOutcome, now: Timestamp) {
        if let Some(memory) = self.images.get_mut(asked) {
            memory.end(asked, outcome, now);
        }
    }

    pub fn ask(&mut self) -> Sequence {
        self.observed.ask()
    }

    /// A list was answered.
    pub fn listed(&mut self, seen: Vec<ObservedContainer>, asked: Sequence, now: Timestamp) {
        let list = FullList { unchanged: Vec::new(), seen };
        for news in self.observed.apply_list(list, asked) {
            self.note(news, now);
        }
        if !self.has_listed {
            note_lost(&mut self.memories, &self.observed, now);
        }
        self.has_listed = true;
    }

    /// A container was looked at.
    pub fn see(&mut self, seen: ObservedContainer, now: Timestamp) {
        if let Some(news) = self.observed.put(seen) {
            self.note(news, now);
        }
    }

    /// A container that this agent removed is gone.
    pub fn removed(&mut self, id: &str) {
        self.observed.removed(id);
    }

    fn note(&mut self, news: News, now: Timestamp) {
        match news {
            News::Appeared(one) => {
                let labels = one.labels.clone();
                let names = (labels.namespace.clone(), labels.pod.clone());
                let memory = self.memory(labels.uid, || PodMemory::new(names.0, names.1));
                memory.note_appeared(&labels);
                if let dugout_agent::runtime::ObservedState::Exited { started_at, exit } =
                    &one.state
                {
                    let cause = cause_of(exit.exit_code);
                    memory.note_exit(&one.id, &labels, *started_at, exit, cause, now);
                }
            }
            News::Exited { id, labels, started_at, exit } => {
                let cause = cause_of(exit.exit_code);
                if let Some(memory) = self.memories.get_mut(&labels.uid) {
                    memory.note_exit(&id, &labels, started_at, &exit, cause, now);
                }
            }
            News::Restarted { labels, .. } => {
                if let Some(memory) = self.memories.get_mut(&labels.uid) {
                    memory.note_running(&labels, RestartPolicy::Always);
                }
            }
            News::Vanished { labels, .. } => {
                if let Some(memory) = self.memories.get_mut(&labels.uid) {
                    memory.note_vanished(&labels.container, labels.attempt, now);
                }
            }
        }
    }
}

/// By convention of these fakes, whoever is killed from outside ends with 137.
fn cause_of(exit_code: i64) -> ExitCause {
    if exit_code == 137 { ExitCause::Outside } else { ExitCause::Itself }
}
