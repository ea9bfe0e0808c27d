//! The report: composed after each change, handed to the link when it says something new.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    EndpointPlace, NodeReport, PodMilestones, PodOrder, PodPhase, PodReport, PodUid,
    SharedAssignment, Timestamp, Turn,
};
use tokio::sync::watch;

use super::node::Node;
use crate::converge::{Health, pod_report};
use crate::link::Outgoing;
use crate::proxy::LocalPod;
use crate::runtime::ContainerRuntime;

/// How long the first report waits for the readiness of adopted containers, so that a restart of the
/// agent does not look like an outage.
const HOLD_FIRST_REPORT: Duration = Duration::from_secs(1);

/// The newest container of each name, of every pod: where logs are found.
pub(crate) type Directory = BTreeMap<PodUid, Vec<(String, String)>>;

/// What was handed out last.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub outputs: Option<Outputs>,
    report: Option<Arc<Outgoing>>,
    directory: Arc<Directory>,
    hold_until: Option<Timestamp>,
    held: bool,
    /// The generation and the pods that the proxy uses.
    pub proxied: Option<(SharedAssignment, BTreeMap<PodUid, LocalPod>)>,
    /// Pods of other nodes that this node's proxies have connections to.
    pub foreign_connections: BTreeMap<PodUid, u32>,
    /// Pods of other nodes that this node's proxies were sending to.
    foreign: BTreeMap<PodUid, ()>,
}

type Outputs = (watch::Sender<Option<Arc<Outgoing>>>, watch::Sender<Arc<Directory>>);

impl<R: ContainerRuntime> Node<R> {
    /// Publishes what is new. Returns when to try again, while the first report is held.
    pub(super) fn publish(&mut self) -> Option<Timestamp> {
        self.note_ready();
        self.publish_directory();
        self.tell_measured();
        if let Some(until) = self.hold() {
            return Some(until);
        }
        self.owner.as_ref()?;
        // Without an assignment nothing is probed yet, and serving pods would be told as not ready. It
        // comes right after the registration.
        self.assignment.as_ref()?;
        let report = self.report();
        let events = self.events.numbered();
        self.metrics.events_dropped.inc_by(self.events.take_dropped());
        let outgoing = Outgoing { report, events };
        let Some((sender, _)) = &self.published.outputs else { return None };
        let before = self.published.report.as_ref();
        if before.is_some_and(|before| **before == outgoing) {
            return None;
        }
        // Events that were delivered are no news.
        let last_event = |one: &Outgoing| one.events.last().map(|(number, _)| *number);
        let is_news = before.is_none_or(|before| {
            before.report != outgoing.report
                || last_event(&outgoing).is_some_and(|last| Some(last) > last_event(before))
        });
        let outgoing = Arc::new(outgoing);
        sender.send_if_modified(|slot| {
            *slot = Some(Arc::clone(&outgoing));
            is_news
        });
        self.published.report = Some(outgoing);
        None
    }

    /// Holds reports until the node knows enough to say something true.
    fn hold(&mut self) -> Option<Timestamp> {
        if self.published.held {
            return None;
        }
        if !self.engine.listed_once && !self.engine.is_away() {
            // A list is under way, and its end settles again.
            return Some(self.now + HOLD_FIRST_REPORT);
        }
        let until = *self.published.hold_until.get_or_insert(self.now + HOLD_FIRST_REPORT);
        if self.probes.all_known() || until <= self.now {
            self.published.held = true;
            return None;
        }
        Some(until)
    }

    fn report(&mut self) -> NodeReport {
        let mut pods = BTreeMap::new();
        let known = self.engine.answers;
        let assignment = self.assignment.clone();
        let assigned = assignment.iter().flat_map(|assignment| &assignment.pods);
        for pod in assigned {
            // They matter for a pod that leaves; of the others they would make news of every request.
            let connections = match pod.order {
                PodOrder::Run { draining: false } => 0,
                _ => self.proxy.busy_connections(pod.uid),
            };
            let health = Health { ready: self.is_ready(pod), connections };
            let containers = self.observed.of_pod(pod.uid);
            let memory = self.memories.get(&pod.uid);
            pods.insert(pod.uid, pod_report(Some(pod), containers, memory, health, known));
        }
        for (uid, containers) in self.observed.pods() {
            pods.entry(uid).or_insert_with(|| {
                let health = Health { ready: false, connections: self.proxy.busy_connections(uid) };
                pod_report(None, containers, self.memories.get(&uid), health, known)
            });
        }
        for (uid, connections) in self.count_foreign() {
            pods.entry(uid).or_insert_with(|| connections_only(connections));
        }
        NodeReport {
            node: self.name.clone(),
            instance: self.instance.clone(),
            acknowledged: self
                .published
                .proxied
                .as_ref()
                .map_or(Turn(0), |(proxied, _)| proxied.generation),
            engine_answers: self.engine.answers,
            pods,
            images: Some(self.image_reports()),
            volumes: self.storage.held.clone(),
            events: Vec::new(),
            first_event: None,
        }
    }

    /// Busy connections to pods of other nodes that are not endpoints any more: they drain, and their
    /// stop waits for these.
    fn count_foreign(&mut self) -> BTreeMap<PodUid, u32> {
        let mut current = BTreeMap::new();
        if let Some(assignment) = &self.assignment {
            let ports = assignment.services.iter().flat_map(|service| &service.ports);
            for endpoint in ports.flat_map(|port| &port.endpoints) {
                if matches!(endpoint.place, EndpointPlace::SameEngine { .. }) {
                    current.insert(endpoint.pod, ());
                }
            }
        }
        let mut left: BTreeMap<PodUid, u32> = BTreeMap::new();
        for uid in self.published.foreign.keys().filter(|uid| !current.contains_key(uid)) {
            let connections = self.proxy.busy_connections(*uid);
            if connections > 0 || self.proxy.open_connections(*uid) > 0 {
                left.insert(*uid, connections);
            }
        }
        current.extend(left.keys().map(|uid| (*uid, ())));
        self.published.foreign = current;
        self.published.foreign_connections = left.clone();
        left.retain(|_, connections| *connections > 0);
        left
    }

    fn note_ready(&mut self) {
        let Some(assignment) = self.assignment.clone() else { return };
        for pod in &assignment.pods {
            if self.is_ready(pod)
                && let Some(memory) = self.memories.get_mut(&pod.uid)
            {
                memory.milestones.ready_at.get_or_insert(self.wall);
            }
        }
    }

    fn publish_directory(&mut self) {
        let mut directory = Directory::new();
        for (uid, containers) in self.observed.pods() {
            let entry: &mut Vec<(String, String)> = directory.entry(uid).or_default();
            for one in containers.iter().rev().filter(|one| !one.labels.is_sandbox()) {
                if !entry.iter().any(|(name, _)| *name == one.labels.container) {
                    entry.push((one.labels.container.clone(), one.id.clone()));
                }
            }
        }
        if *self.published.directory == directory {
            return;
        }
        self.published.directory = Arc::new(directory);
        if let Some((_, sender)) = &self.published.outputs {
            sender.send_replace(Arc::clone(&self.published.directory));
        }
    }
}

/// What there is to say of a pod of another node: how busy the connections to it are.
fn connections_only(connections: u32) -> PodReport {
    PodReport {
        phase: PodPhase::Pending,
        init_containers: Vec::new(),
        containers: Vec::new(),
        address: None,
        ready: false,
        connections,
        milestones: PodMilestones::default(),
        drift: Vec::new(),
        pause: None,
    }
}
