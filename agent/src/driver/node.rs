//! The state of a node, and what each event does to it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dugout_model::{
    AssignedPod, EventType, ImageDigest, NamespaceName, NodeName, ObjectName, PodUid, PullPolicy,
    RestartPolicy, SharedAssignment, Timestamp,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::drift::is_told_again;
use super::engine::EngineState;
use super::hands::{Acted, Hands, Slot, failure_of};
use super::health::ProbeBook;
use super::hooks::RunningHook;
use super::image_gc::ImageGc;
use super::publish::{Directory, Published};
use super::recorded::Recorded;
use super::storage::Storage;
use crate::converge::drift;
use crate::converge::images::{ImageKey, ImageMemories};
use crate::converge::volumes::HeldVolumes;
use crate::converge::{Action, Failure, FailureKind, Memories, Observed, Outcome, PodMemory};
use crate::events::{EventQueue, reason};
use crate::labels::{ContainerLabels, Owner, SANDBOX, claimed_volumes};
use crate::link::{LinkEvent, Outgoing};
use crate::metrics::AgentMetrics;
use crate::paused::PausedPods;
use crate::policy::NodePolicy;
use crate::proxy::{PortNews, Proxy};
use crate::runtime::{ContainerRuntime, ObservedContainer, ObservedState, RuntimeError, Signalled};
use crate::spec::{Allocatable, container_settings};
use crate::volumes::VolumeError;

pub(super) struct Node<R> {
    pub name: NodeName,
    pub instance: String,
    pub hands: Hands<R>,
    pub policy: NodePolicy,
    pub metrics: AgentMetrics,
    /// For decisions; set before each event.
    pub now: Timestamp,
    /// For people.
    pub wall: Timestamp,
    pub owner: Option<Owner>,
    pub assignment: Option<SharedAssignment>,
    pub engine: EngineState,
    pub observed: Observed,
    pub memories: Memories,
    pub probes: ProbeBook,
    pub proxy: Proxy,
    pub events: EventQueue,
    pub published: Published,
    /// Containers that someone else sent a deadly signal to, by the first that was sent.
    pub signalled_outside: HashMap<String, Signalled>,
    /// Containers that this process started, whose probes begin anew.
    pub started_here: HashSet<String>,
    /// Hooks after the start, by their container.
    pub post_starts: HashMap<String, RunningHook>,
    /// Pulls under way, which a pod that leaves does not wait for.
    pub pulls: HashMap<PodUid, AbortHandle>,
    /// Images that a release wants here.
    pub images: ImageMemories,
    /// Looks and pulls for them that are under way.
    pub image_pulls: HashMap<ImageKey, AbortHandle>,
    /// Rights to an engine call that the next settling uses or gives back.
    pub slots: HashMap<PodUid, Slot>,
    pub recorded: Recorded,
    /// Pods with volumes on this node's disk.
    pub held_volumes: HeldVolumes,
    pub storage: Storage,
    pub image_gc: Option<ImageGc>,
    pub paused: PausedPods,
    allocatable: Option<watch::Receiver<Option<Allocatable>>>,
    last_refusal: String,
}

impl<R: ContainerRuntime> Node<R> {
    pub fn new(
        name: NodeName,
        instance: String,
        policy: NodePolicy,
        hands: Hands<R>,
        proxy: Proxy,
        metrics: AgentMetrics,
    ) -> Self {
        Self {
            name,
            instance,
            policy,
            hands,
            metrics,
            now: Timestamp::default(),
            wall: Timestamp::default(),
            owner: None,
            assignment: None,
            engine: EngineState::default(),
            observed: Observed::default(),
            memories: Memories::new(),
            probes: ProbeBook::default(),
            proxy,
            events: EventQueue::default(),
            published: Published::default(),
            signalled_outside: HashMap::new(),
            started_here: HashSet::new(),
            post_starts: HashMap::new(),
            pulls: HashMap::new(),
            images: ImageMemories::default(),
            image_pulls: HashMap::new(),
            slots: HashMap::new(),
            recorded: Recorded::default(),
            held_volumes: HeldVolumes::new(),
            storage: Storage::default(),
            image_gc: None,
            paused: PausedPods::default(),
            allocatable: None,
            last_refusal: String::new(),
        }
    }

    /// Where it is told what the node has for pods.
    pub fn learn_allocatable(&mut self, told: watch::Receiver<Option<Allocatable>>) {
        self.allocatable = Some(told);
    }

    pub fn allocatable(&self) -> Option<Allocatable> {
        *self.allocatable.as_ref()?.borrow()
    }

    pub fn outputs(
        &mut self,
        reports: watch::Sender<Option<Arc<Outgoing>>>,
        directory: watch::Sender<Arc<Directory>>,
    ) {
        self.published.outputs = Some((reports, directory));
    }

    pub fn at(&mut self, now: Timestamp, wall: Timestamp) {
        self.now = now;
        self.wall = wall;
    }

    pub fn warn_of_accepted(&mut self, warning: &str, wall: Timestamp) {
        self.wall = wall;
        self.node_event(EventType::Warning, reason::ASSIGNMENT_REFUSED, warning.to_owned());
    }

    pub fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Registered(cluster) => {
                if self.owner.is_none() {
                    self.become_owner(Owner { cluster, node: self.name.clone() });
                }
            }
            LinkEvent::Accepted { assignment, at } => self.take_accepted(assignment, Some(at)),
            LinkEvent::Refused(why) => {
                if self.last_refusal != why {
                    self.last_refusal.clone_from(&why);
                    self.node_event(EventType::Warning, reason::ASSIGNMENT_REFUSED, why);
                }
            }
            LinkEvent::Delivered { through } => self.events.acknowledge(through),
        }
    }

    /// Takes over an assignment that is on disk. `at` is absent for one of an earlier life.
    pub fn take_accepted(&mut self, assignment: SharedAssignment, at: Option<Timestamp>) {
        let owner = Owner { cluster: assignment.cluster, node: self.name.clone() };
        if self.owner.as_ref() != Some(&owner) {
            self.become_owner(owner);
        }
        self.last_refusal.clear();
        for pod in &assignment.pods {
            let memory = memory_of(&mut self.memories, pod.uid, &pod.namespace, &pod.name);
            if let Some(record) = self.recorded.inherit(pod.uid) {
                memory.restore(record);
            }
            if let Some(at) = at {
                memory.milestones.accepted_at.get_or_insert(at);
            }
        }
        self.metrics.pods.set(i64::try_from(assignment.pods.len()).unwrap_or(i64::MAX));
        self.metrics.generation.set(i64::try_from(assignment.generation.0).unwrap_or(i64::MAX));
        self.assignment = Some(assignment);
        self.find_storage();
        self.apply_pauses();
    }

    /// From now on other containers are ours; what was known of the former ones is void.
    fn become_owner(&mut self, owner: Owner) {
        if let Some(former) = &self.owner {
            let message = format!(
                "this node belonged to cluster {} and belongs to {} now; containers of the former cluster run on, and `dugout down` with this node's data directory removes them, too",
                former.cluster, owner.cluster
            );
            self.node_event(EventType::Warning, reason::CLUSTER_CHANGED, message);
        }
        self.hands.change_owner();
        self.hands.find_volumes(owner.clone());
        self.held_volumes.clear();
        self.storage.begin_anew();
        self.owner = Some(owner);
        self.observed = Observed::default();
        self.memories = Memories::new();
        self.probes = ProbeBook::default();
        self.engine = EngineState::default();
        self.signalled_outside.clear();
        self.started_here.clear();
        self.slots.clear();
        self.images.clear();
        if let Some(gc) = &mut self.image_gc {
            gc.begin_anew();
        }
        let pulls = self.pulls.drain().map(|(_, pull)| pull);
        for pull in pulls.chain(self.image_pulls.drain().map(|(_, pull)| pull)) {
            pull.abort();
        }
        for (_, hook) in self.post_starts.drain() {
            hook.end();
        }
    }

    pub fn port(&mut self, news: PortNews) {
        let (event_type, reason, service, message) = match news {
            PortNews::Unavailable { service, node_port, why } => {
                let message = format!(
                    "node port {node_port} cannot be opened on node {}: {why}; it is tried again",
                    self.name
                );
                (EventType::Warning, reason::NODE_PORT_UNAVAILABLE, service, message)
            }
            PortNews::Available { service, node_port } => {
                let message = format!("node port {node_port} is open on node {}", self.name);
                (EventType::Normal, reason::NODE_PORT_AVAILABLE, service, message)
            }
        };
        self.events.service(self.wall, event_type, &service, reason, message);
    }

    /// An engine call ended.
    pub fn acted(&mut self, uid: PodUid, acted: Acted, slot: Option<Slot>) {
        self.pulls.remove(&uid);
        self.slots.extend(slot.map(|slot| (uid, slot)));
        let Some(action) = self.memories.get(&uid).and_then(|memory| memory.in_flight.clone())
        else {
            return;
        };
        let (outcome, seen) = match acted {
            Acted::Failed(error) => (self.failed(&action, &error), Vec::new()),
            Acted::NoVolumes(error) => (self.no_volumes(&action, &error), Vec::new()),
            Acted::Found(found) => (Outcome::Found { digest: self.digest_of(found) }, Vec::new()),
            Acted::Created { id } => {
                (Outcome::Done, self.created(&action, id).into_iter().collect())
            }
            Acted::Started { seen } => {
                self.started(&action);
                (Outcome::Done, seen.into_iter().collect())
            }
            Acted::Stopped { seen } => (Outcome::Done, seen),
            Acted::Corrected { seen } => {
                (self.corrected(&action, seen.as_ref()), seen.into_iter().collect())
            }
            Acted::Removed => (Outcome::Done, Vec::new()),
        };
        if outcome.is_done() {
            self.tell_done(&action);
            if matches!(action, Action::Create { .. } | Action::Start { .. }) {
                self.note_storage_of(uid);
            }
        }
        let policy = self.pull_policy(&action);
        let (now, wall) = (self.now, self.wall);
        if let Some(memory) = self.memories.get_mut(&uid) {
            memory.end(&outcome, policy, now, wall);
        }
        if outcome.is_done() {
            self.note_gone(&action, &seen);
        }
        for one in seen {
            self.see(one);
        }
        self.note_stopped(uid);
    }

    /// What an engine call was about and is not there after it, is gone.
    fn note_gone(&mut self, action: &Action, seen: &[ObservedContainer]) {
        let is_gone = |id: &str| seen.iter().all(|one| one.id != id);
        match action {
            Action::Remove { id, .. } => self.observed.removed(id),
            Action::Start { id, .. } | Action::Correct { id, .. } if is_gone(id) => self.vanish(id),
            Action::Stop { targets, .. } => {
                for target in targets.iter().filter(|target| is_gone(&target.id)) {
                    self.vanish(&target.id);
                }
            }
            Action::Pull { .. }
            | Action::Find { .. }
            | Action::Create { .. }
            | Action::Start { .. }
            | Action::Correct { .. } => {}
        }
    }

    /// A fresh container as we made it; the engine need not be asked.
    fn created(&mut self, action: &Action, id: String) -> Option<ObservedContainer> {
        let Action::Create { pod: uid, container, image, attempt, crashes } = action else {
            return None;
        };
        let memory = self.memories.get(uid)?;
        let grace = self
            .assigned(*uid)
            .map_or(crate::labels::DEFAULT_GRACE, |pod| pod.template.termination_grace);
        let volumes = self.assigned(*uid).map(claimed_volumes).unwrap_or_default();
        let settings = self
            .assigned(*uid)
            .and_then(|pod| container_settings(&pod.template, container))
            .unwrap_or_default();
        let labels = ContainerLabels {
            namespace: memory.namespace.clone(),
            pod: memory.name.clone(),
            uid: *uid,
            container: container.clone(),
            attempt: *attempt,
            crashes: *crashes,
            grace,
            volumes: if container == SANDBOX { Vec::new() } else { volumes },
        };
        Some(ObservedContainer {
            id,
            labels,
            image_id: None,
            image_digest: ImageDigest::of_reference(image),
            state: ObservedState::Created,
            address: None,
            settings,
            created_at: self.wall,
            process: None,
        })
    }

    fn started(&mut self, action: &Action) {
        let Action::Start { id, container, .. } = action else { return };
        if container == SANDBOX {
            return;
        }
        self.started_here.insert(id.clone());
        self.metrics.containers_started.inc();
        if self.observed.find(id).is_some_and(|one| one.labels.attempt > 0) {
            self.metrics.container_restarts.inc();
        }
    }

    /// An engine call failed: what that means for the pod, and for the engine.
    fn failed(&mut self, action: &Action, error: &RuntimeError) -> Outcome {
        if error.is_engine_unavailable() {
            self.engine_lost(error);
            return Outcome::EngineUnavailable;
        }
        let Failure { kind, message } = failure_of(error);
        let message = self.with_name(action, kind, message);
        // The call may have had its effect, or the container may be another than thought.
        self.engine.list_soon(self.now);
        let expected = kind == FailureKind::NotFound
            && matches!(action, Action::Create { .. } | Action::Find { .. })
            && self.pull_policy(action) != PullPolicy::Never;
        if !expected && is_told_again(self.failures_of(action)) {
            let what = match action {
                Action::Pull { image, .. } => format!("image {image} cannot be pulled"),
                Action::Find { image, .. } => format!("image {image} cannot be looked for"),
                Action::Create { container, .. } => format!("container {container} cannot be made"),
                Action::Start { container, .. } => {
                    format!("container {container} cannot be started")
                }
                Action::Stop { .. } => {
                    format!("container {} cannot be stopped", action.container())
                }
                Action::Correct { container, .. } => {
                    format!("{} cannot be put back", drift::described(container))
                }
                Action::Remove { container, .. } => {
                    format!("container {container} cannot be removed")
                }
            };
            let text = format!("{what}: {message}");
            self.pod_event(action.pod(), EventType::Warning, reason::FAILED, text);
        }
        Outcome::Failed(Failure { kind, message })
    }

    /// A registry that does not have a digest says nothing of the name that it stands for.
    fn with_name(&self, action: &Action, kind: FailureKind, message: String) -> String {
        let Action::Pull { pod, container, image } = action else { return message };
        let wanted = self.assigned(*pod).and_then(|pod| pod.template.container(container));
        match wanted {
            Some(wanted) if kind == FailureKind::NotFound && wanted.image != *image => format!(
                "{message} (this is what {} stood for when its release began; a commit that changes the template takes what it stands for now)",
                wanted.image
            ),
            _ => message,
        }
    }

    /// A container was not made or started, because a volume of its pod cannot be had.
    fn no_volumes(&mut self, action: &Action, error: &VolumeError) -> Outcome {
        let message = error.to_string();
        let failures = self.memories.get(&action.pod()).map_or(0, |memory| memory.retry.failures);
        if is_told_again(failures) {
            self.pod_event(action.pod(), EventType::Warning, reason::FAILED_MOUNT, message.clone());
        }
        Outcome::Failed(Failure { kind: FailureKind::NoVolumes, message })
    }

    pub fn assigned(&self, uid: PodUid) -> Option<&AssignedPod> {
        self.assignment.as_ref()?.pods.iter().find(|pod| pod.uid == uid)
    }

    pub(super) fn restart_policy(&self, labels: &ContainerLabels) -> RestartPolicy {
        let pod = self.assigned(labels.uid);
        pod.map_or(RestartPolicy::Always, |pod| pod.template.restart_policy_of(&labels.container))
    }

    /// Whether a pod is to run and be restarted.
    pub(super) fn is_wanted(&self, uid: PodUid) -> bool {
        use dugout_model::PodOrder;
        self.assigned(uid).is_some_and(|pod| pod.order == PodOrder::Run { draining: false })
    }

    fn pull_policy(&self, action: &Action) -> PullPolicy {
        self.assigned(action.pod())
            .and_then(|pod| pod.template.container(action.container()))
            .map_or(PullPolicy::IfNotPresent, |one| one.pull_policy)
    }
}

pub(super) fn memory_of<'a>(
    memories: &'a mut BTreeMap<PodUid, PodMemory>,
    uid: PodUid,
    namespace: &NamespaceName,
    name: &ObjectName,
) -> &'a mut PodMemory {
    memories.entry(uid).or_insert_with(|| PodMemory::new(namespace.clone(), name.clone()))
}
