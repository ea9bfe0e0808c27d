//! Status that is computed from the world and never stored: what a workload has of what it asked.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    DaemonSet, Node, NodeName, ObjectSpec, ObjectUid, Pod, PodIdentity, PullGate, PullState,
    ReleaseId, ReplicaSet, SourceName, StoredObject, TemplateHash, Timestamp, World,
    labels_contain,
};

/// Counts over a workload's pods that are not leaving, as `status` of an `apps/v1` Deployment has
/// them, and of those that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PodCounts {
    /// Pods that are not leaving.
    pub replicas: u32,
    /// Of these, of the current template.
    pub updated: u32,
    pub ready: u32,
    /// Ready for at least `minReadySeconds`.
    pub available: u32,
    pub updated_ready: u32,
    pub updated_available: u32,
    /// Pods that drain or stop.
    pub leaving: u32,
}

/// How many pods a workload asks for, and how many of those it has are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Availability {
    pub desired: u32,
    pub available: u32,
    /// Of the others, those that have their place on a node that is not ready.
    pub lost: u32,
}

impl Availability {
    /// Whether nothing is missing but what comes back with its node, or never.
    pub fn is_all_there(self) -> bool {
        self.available.saturating_add(self.lost) >= self.desired
    }
}

/// In words, the first image that a release awaits on a node in such a state.
fn awaited(
    node: &Node,
    release: ReleaseId,
    is_meant: impl Fn(&PullState) -> bool,
) -> Option<String> {
    let mut pulls = node.pulls.iter().filter(|pull| pull.release == release);
    let pull = pulls.find(|pull| is_meant(&pull.state))?;
    let (image, name) = (&pull.image, &node.name);
    match &pull.state {
        PullState::Wanted { trouble } => {
            let trouble = trouble.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            Some(format!("image {image} is not on node {name} yet{trouble}"))
        }
        PullState::Failed { message } => {
            Some(format!("image {image} cannot be had on node {name}: {message}"))
        }
        PullState::Held => None,
    }
}

impl World {
    /// The images that a release waits for on any node that is there.
    pub fn awaited_by(&self, release: ReleaseId) -> BTreeSet<String> {
        let nodes = self.nodes_pulling_for(release).chain(self.nodes_failing_for(release));
        let pulls = nodes.flat_map(|node| &node.pulls).filter(|pull| pull.release == release);
        let awaited = pulls.filter(|pull| pull.state != PullState::Held);
        awaited.map(|pull| pull.image.clone()).collect()
    }

    /// What a source's release waits for before it stops anything, in words; nothing while it may.
    pub fn awaited_images(&self, source: &SourceName) -> Option<String> {
        let (release, lacks_room) = match self.sources.get(source)?.status.gate {
            PullGate::Pulling { release, lacks_room, .. } => (release, lacks_room),
            PullGate::Open | PullGate::Unasked { .. } => return None,
            PullGate::Shut { .. } => {
                let words = "the release failed before all of its images were there, and what it would \
                             have stopped stays until another commit";
                return Some(words.to_owned());
            }
        };
        // What cannot be had may be had later, and is asked for until then.
        let failing = || self.nodes_failing_for(release);
        let first = failing()
            .find_map(|node| {
                awaited(node, release, |state| matches!(state, PullState::Failed { .. }))
            })
            .or_else(|| {
                let mut pulling = self.nodes_pulling_for(release);
                pulling.find_map(|node| awaited(node, release, |state| *state != PullState::Held))
            });
        let Some(first) = first else {
            let words =
                "no node that is there has room for pods that are to replace others, so these stay";
            return lacks_room.then(|| words.to_owned());
        };
        let nodes = failing().chain(self.nodes_pulling_for(release)).map(|node| &node.name);
        let nodes: BTreeSet<&NodeName> = nodes.collect();
        Some(match nodes.len().saturating_sub(1) {
            0 => first,
            1 => format!("{first}, and 1 more node has not all"),
            more => format!("{first}, and {more} more nodes have not all"),
        })
    }

    /// What an object has of the pods that it asks for at any time; `None` for one that makes no pods,
    /// or makes them to end.
    pub fn availability(&self, object: &StoredObject, now: Timestamp) -> Option<Availability> {
        let lost = || {
            let sets = self.replica_sets_of(object.uid);
            let pods = sets.flat_map(|set| self.pods_of(set.uid));
            let pods = pods.filter(|pod| pod.is_at_work() && pod.ready_since().is_none());
            let nodes = pods.filter_map(|pod| self.nodes.get(pod.node()?));
            u32::try_from(nodes.filter(|node| !node.is_ready()).count()).unwrap_or(u32::MAX)
        };
        let (desired, min_ready) = match &object.declared.spec {
            ObjectSpec::Deployment(spec) => (spec.replicas, spec.min_ready),
            ObjectSpec::StatefulSet(spec) => (spec.replicas, spec.min_ready),
            ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
                (spec.replicas, spec.min_ready)
            }
            ObjectSpec::DaemonSet(spec) => {
                let wanted = self.nodes_wanted_by(spec);
                let is_available = |pod: &Pod| pod.is_available(spec.min_ready, now);
                let there = self.nodes_with_pods_of(object.uid, is_available);
                let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
                return Some(Availability {
                    desired: count(wanted.len()),
                    available: count(there.intersection(&wanted).count()),
                    lost: lost(),
                });
            }
            _ => return None,
        };
        let available = self.pod_counts(object.uid, None, min_ready, now).available;
        Some(Availability { desired, available, lost: lost() })
    }

    /// The nodes on each of which a daemon set wants a pod.
    pub fn nodes_wanted_by(&self, spec: &DaemonSet) -> BTreeSet<&NodeName> {
        let rights = spec.template.rights();
        let nodes = self.nodes.values();
        nodes
            .filter(|node| labels_contain(&node.labels, &spec.template.node_selector))
            .filter(|node| node.allows(rights))
            .map(|node| &node.name)
            .collect()
    }

    /// The nodes that have such a pod of a daemon set.
    pub fn nodes_with_pods_of(
        &self,
        daemon_set: ObjectUid,
        is_counted: impl Fn(&Pod) -> bool,
    ) -> BTreeSet<&NodeName> {
        let pods = self.replica_sets_of(daemon_set).flat_map(|set| self.pods_of(set.uid));
        let counted = pods.filter(|pod| pod.is_active() && is_counted(pod));
        counted
            .filter_map(|pod| match &pod.identity {
                PodIdentity::OnNode(node) => Some(node),
                _ => None,
            })
            .collect()
    }

    /// Counts the pods of a workload. `current` is the hash of its current template; without it no
    /// pod counts as updated.
    pub fn pod_counts(
        &self,
        workload: ObjectUid,
        current: Option<&TemplateHash>,
        min_ready: Duration,
        now: Timestamp,
    ) -> PodCounts {
        self.pod_counts_where(workload, current, min_ready, now, |_| true)
    }

    /// The same over the pods that are chosen.
    pub fn pod_counts_where(
        &self,
        workload: ObjectUid,
        current: Option<&TemplateHash>,
        min_ready: Duration,
        now: Timestamp,
        is_chosen: impl Fn(&Pod) -> bool,
    ) -> PodCounts {
        let mut counts = PodCounts::default();
        for replica_set in self.replica_sets_of(workload) {
            let updated = current == Some(&replica_set.template_hash);
            for pod in self.pods_of(replica_set.uid).filter(|pod| is_chosen(pod)) {
                counts.add(pod, updated, min_ready, now);
            }
        }
        counts
    }

    /// The replica set of a workload with the highest revision: its current template.
    pub fn current_replica_set(&self, workload: ObjectUid) -> Option<&std::sync::Arc<ReplicaSet>> {
        self.replica_sets_of(workload).max_by_key(|replica_set| replica_set.revision)
    }
}

impl PodCounts {
    fn add(&mut self, pod: &Pod, updated: bool, min_ready: Duration, now: Timestamp) {
        if !pod.is_active() {
            self.leaving += 1;
            return;
        }
        let (ready, available) = (pod.ready_since().is_some(), pod.is_available(min_ready, now));
        self.replicas += 1;
        self.updated += u32::from(updated);
        self.ready += u32::from(ready);
        self.available += u32::from(available);
        self.updated_ready += u32::from(updated && ready);
        self.updated_available += u32::from(updated && available);
    }
}

impl Pod {
    /// Ready for at least `min_ready`.
    pub fn is_available(&self, min_ready: Duration, now: Timestamp) -> bool {
        self.ready_since().is_some_and(|since| now.since(since) >= min_ready)
    }
}
