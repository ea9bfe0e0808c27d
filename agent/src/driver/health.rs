//! The probes of all running containers, and which pods are ready.

use std::collections::BTreeMap;

use dugout_model::{EventType, PodAddress, PodOrder, PodUid, Timestamp};

use super::node::Node;
use crate::converge::{Condemned, address_of, drift, hooks};
use crate::events::reason;
use crate::probe::{ContainerProbes, Finding, ProbeKind, ProbeTarget};
use crate::proxy::LocalPod;
use crate::runtime::{ContainerRuntime, ObservedState};

/// The probes of each running container, by its id.
#[derive(Debug, Default)]
pub(super) struct ProbeBook {
    containers: BTreeMap<String, Probed>,
}

#[derive(Debug)]
struct Probed {
    pod: PodUid,
    container: String,
    target: ProbeTarget,
    probes: ContainerProbes,
}

impl ProbeBook {
    /// Whether every container has an answer to whether it is ready.
    pub fn all_known(&self) -> bool {
        self.containers.values().all(|one| one.probes.known())
    }

    pub fn next_at(&self) -> Option<Timestamp> {
        self.containers.values().filter_map(|one| one.probes.next_at()).min()
    }

    /// What condemned the containers of a pod while it was left alone does not count.
    pub fn pardon(&mut self, pod: PodUid, now: Timestamp) {
        for one in self.containers.values_mut().filter(|one| one.pod == pod) {
            one.probes.pardon(now);
        }
    }

    fn is_ready(&self, container: &str) -> bool {
        self.containers.get(container).is_some_and(|one| one.probes.ready())
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// Gives each running container its probes, takes them from those that ended, and begins the
    /// tries that are due.
    pub(super) fn probe_when_due(&mut self) {
        self.sync_probes();
        let now = self.now;
        for one in self.probes.containers.values_mut() {
            for (kind, probe) in one.probes.take_due(now) {
                self.hands.probe(one.target.clone(), kind, probe);
            }
        }
    }

    pub(super) fn sync_probes(&mut self) {
        let Some(assignment) = self.assignment.clone() else { return };
        let mut before = std::mem::take(&mut self.probes.containers);
        for pod in &assignment.pods {
            if matches!(pod.order, PodOrder::Stop { .. }) {
                continue;
            }
            let address = self.address_of(pod.uid);
            for wanted in pod.template.serving_containers() {
                let newest = self
                    .observed
                    .of_pod(pod.uid)
                    .iter()
                    .rev()
                    .find(|one| one.labels.container == wanted.name);
                let Some(newest) = newest else { continue };
                let ObservedState::Running { started_at } = newest.state else { continue };
                let memory = self.memories.get(&pod.uid);
                let memory = memory.and_then(|memory| memory.containers.get(&wanted.name));
                if self.has_ended(&newest.labels) || !hooks::is_up(wanted, memory, newest) {
                    continue;
                }
                let target = ProbeTarget::new(&newest.id, started_at, address, wanted);
                let known = before.remove(&newest.id);
                let same_run = known.filter(|known| known.target.started_at == started_at);
                if let Some(known) = same_run {
                    // Its address may change while it runs: someone moved it to another network.
                    self.probes.containers.insert(newest.id.clone(), Probed { target, ..known });
                    continue;
                }
                let probed = Probed {
                    pod: pod.uid,
                    container: wanted.name.clone(),
                    target,
                    probes: if self.started_here.contains(&newest.id) {
                        ContainerProbes::of_fresh(wanted, self.now)
                    } else {
                        ContainerProbes::of_adopted(wanted, started_at, self.now)
                    },
                };
                if probed.probes.started()
                    && let Some(memory) = self.memories.get_mut(&pod.uid)
                {
                    memory.container(&wanted.name).started = Some(newest.id.clone());
                }
                self.probes.containers.insert(newest.id.clone(), probed);
            }
        }
    }

    pub(super) fn probed(
        &mut self,
        target: &ProbeTarget,
        kind: ProbeKind,
        result: Result<(), String>,
    ) {
        let now = self.now;
        let container = target.container_id.as_str();
        let Some(one) = self.probes.containers.get_mut(container) else { return };
        if one.target.started_at != target.started_at {
            // The answer of an earlier run of the same container.
            return;
        }
        let (pod, name) = (one.pod, one.container.clone());
        let findings = one.probes.note(kind, result, now);
        if one.probes.started()
            && let Some(memory) = self.memories.get_mut(&pod)
        {
            memory.container(&name).started = Some(container.to_owned());
        }
        for finding in findings {
            match finding {
                Finding::Ready(_) => {}
                Finding::Unhealthy { kind, message } => {
                    let message = format!("{} probe of {name} failed: {message}", kind.as_str());
                    self.pod_event(pod, EventType::Warning, reason::UNHEALTHY, message);
                }
                Finding::Condemned { kind, message, grace } => {
                    let why = format!("{} probe failed: {message}", kind.as_str());
                    let condemned = Condemned { id: container.to_owned(), why, grace };
                    if let Some(memory) = self.memories.get_mut(&pod) {
                        memory.container(&name).condemned = Some(condemned);
                    }
                }
            }
        }
    }

    /// Whether every container of an assigned pod runs, is ready, and can be reached: one whose processes
    /// somebody halted answers nobody, and one that somebody took from every network is reached by nobody.
    pub(super) fn is_ready(&self, pod: &dugout_model::AssignedPod) -> bool {
        let containers = self.observed.of_pod(pod.uid);
        !pod.template.containers.is_empty()
            && drift::can_be_reached(pod, containers)
            && pod.template.serving_containers().all(|wanted| {
                containers
                    .iter()
                    .rev()
                    .find(|one| one.labels.container == wanted.name)
                    .is_some_and(|one| one.is_running() && self.probes.is_ready(&one.id))
            })
    }

    /// The pods of this node that the proxy may send to.
    pub(super) fn local_pods(&self) -> BTreeMap<PodUid, LocalPod> {
        let Some(assignment) = &self.assignment else { return BTreeMap::new() };
        assignment
            .pods
            .iter()
            .filter_map(|pod| {
                let address = self.address_of(pod.uid)?;
                Some((pod.uid, LocalPod { address, ready: self.is_ready(pod) }))
            })
            .collect()
    }

    pub(super) fn address_of(&self, uid: PodUid) -> Option<PodAddress> {
        address_of(self.observed.of_pod(uid))
    }
}
