//! The rules for pods that are not as good as any other: those with a name, an ordinal or a node of
//! their own, and those of replica sets that Git declares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    DaemonSet, DaemonSetUpdate, NodeName, ObjectId, ObjectUid, Pod, PodIdentity, ReplicaSetSpec,
    StatefulSet, StatefulSetUpdate, Timestamp, labels_contain,
};

use super::{Checker, Violation, count, hundredths, left_by_choice_at, pods_of};

/// Whether a pod is for one node alone.
pub(super) fn is_daemon(pod: &Arc<Pod>) -> bool {
    matches!(pod.identity, PodIdentity::OnNode(_))
}

impl Checker<'_> {
    /// A name belongs to one pod of a namespace, and a daemon's pod goes nowhere but to its node.
    pub(super) fn identity(&mut self, pod: &Pod) {
        let named = self.after.pods_named(&pod.namespace, &pod.name).count();
        self.require(named == 1, || Violation::NameTakenTwice {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        });
        if let (PodIdentity::OnNode(wanted), Some(node)) = (&pod.identity, pod.node()) {
            self.require(node == wanted, || Violation::DaemonElsewhere {
                pod: pod.uid,
                wanted: wanted.clone(),
                node: node.clone(),
            });
        }
    }

    /// At most one pod of an ordinal that may run; and an update leaves enough that serve.
    pub(super) fn stateful_set(&mut self, id: &ObjectId, uid: ObjectUid, spec: &StatefulSet) {
        let mut taken: BTreeSet<u32> = BTreeSet::new();
        for pod in pods_of(self.after, uid) {
            let PodIdentity::Ordinal(ordinal) = pod.identity else { continue };
            let is_alone = taken.insert(ordinal);
            self.require(is_alone, || Violation::OrdinalTakenTwice {
                workload: id.clone(),
                ordinal,
            });
        }
        let end = u64::from(spec.first_ordinal) + u64::from(spec.replicas);
        let is_wanted = |pod: &Pod| match pod.identity {
            PodIdentity::Ordinal(ordinal) => {
                ordinal >= spec.first_ordinal && u64::from(ordinal) < end
            }
            PodIdentity::Any | PodIdentity::OnNode(_) | PodIdentity::CompletionIndex(_) => false,
        };
        let taken = self.taken_by_choice(uid, spec.min_ready);
        let Some((_, now)) = taken.into_iter().find(|(pod, _)| is_wanted(pod)) else { return };
        let unavailable = match spec.update {
            StatefulSetUpdate::OnDelete => 0,
            StatefulSetUpdate::RollingUpdate { max_unavailable, .. } => {
                (hundredths(max_unavailable, spec.replicas) / 100).max(1)
            }
        };
        let least = u64::from(spec.replicas).saturating_sub(unavailable);
        let least = u32::try_from(least).unwrap_or(u32::MAX);
        let available = count(self.after, uid, |pod| {
            is_wanted(pod) && self.stayed(pod) && pod.is_available(spec.min_ready, now)
        });
        self.require(available >= least, || Violation::TooFewAvailable {
            workload: id.clone(),
            available,
            least,
        });
    }

    /// At most one pod on a node, two with a surge; and a pod that serves leaves a node that shall
    /// have one only for another that serves, or as far as some may be missing.
    pub(super) fn daemon_set(&mut self, id: &ObjectId, uid: ObjectUid, spec: &DaemonSet) {
        let mut here: BTreeMap<NodeName, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in pods_of(self.after, uid) {
            if let PodIdentity::OnNode(node) = &pod.identity {
                here.entry(node.clone()).or_default().push(Arc::clone(pod));
            }
        }
        let (surge, may_miss) = match spec.update {
            DaemonSetUpdate::OnDelete => (0, 0),
            DaemonSetUpdate::RollingUpdate { max_surge, max_unavailable } => {
                let desired = u32::try_from(self.admitted(spec).len()).unwrap_or(u32::MAX);
                let surge = hundredths(max_surge, desired).div_ceil(100);
                let missing = hundredths(max_unavailable, desired).div_ceil(100).max(1);
                (surge, if surge > 0 { 0 } else { missing })
            }
        };
        for (node, pods) in &here {
            let has_newcomer = pods.iter().any(|pod| !self.before.pods.contains_key(&pod.uid));
            let most = if surge > 0 { 2 } else { 1 };
            self.require(!has_newcomer || pods.len() <= most, || Violation::TooManyDaemons {
                workload: id.clone(),
                node: node.clone(),
            });
        }
        self.daemons_taken(id, uid, spec, &here, may_miss);
    }

    fn daemons_taken(
        &mut self,
        id: &ObjectId,
        uid: ObjectUid,
        spec: &DaemonSet,
        here: &BTreeMap<NodeName, Vec<Arc<Pod>>>,
        may_miss: u64,
    ) {
        let admitted = self.admitted(spec);
        for (pod, now) in self.taken_by_choice(uid, spec.min_ready) {
            let PodIdentity::OnNode(node) = &pod.identity else { continue };
            let serves = |node: &NodeName| {
                let mut pods = here.get(node).into_iter().flatten();
                pods.any(|pod| pod.is_active() && pod.is_available(spec.min_ready, now))
            };
            let missing = admitted.iter().filter(|node| !serves(node)).count() as u64;
            let may_go = !admitted.contains(node) || serves(node) || missing <= may_miss;
            self.require(may_go, || Violation::DaemonTaken {
                workload: id.clone(),
                node: node.clone(),
            });
        }
    }

    /// The ready nodes that shall have a pod.
    fn admitted(&self, spec: &DaemonSet) -> BTreeSet<NodeName> {
        let nodes = self.after.nodes.values().filter(|node| node.is_ready());
        let rights = spec.template.rights();
        let admitted = nodes.filter(|node| {
            labels_contain(&node.labels, &spec.template.node_selector) && node.allows(rights)
        });
        admitted.map(|node| node.name.clone()).collect()
    }

    /// Never more than asked for; a turn may find more, and never makes more.
    pub(super) fn as_many_as_asked(&mut self, id: &ObjectId, uid: ObjectUid, replicas: u32) {
        let active = count(self.after, uid, Pod::is_active);
        let allowed = replicas.max(count(self.before, uid, Pod::is_active));
        self.require(active <= allowed, || Violation::TooManyPods {
            workload: id.clone(),
            active,
            most: replicas,
        });
    }

    /// A replica set has no rollout: one of its pods that serves goes by choice only where as many as
    /// asked for serve without it.
    pub(super) fn keeps_those_asked_for(
        &mut self,
        id: &ObjectId,
        uid: ObjectUid,
        spec: &ReplicaSetSpec,
    ) {
        let taken = self.taken_by_choice(uid, spec.min_ready);
        let Some((_, now)) = taken.into_iter().next() else { return };
        let available =
            count(self.after, uid, |pod| self.stayed(pod) && pod.is_available(spec.min_ready, now));
        self.require(available >= spec.replicas, || Violation::TooFewAvailable {
            workload: id.clone(),
            available,
            least: spec.replicas,
        });
    }

    /// The pods that served and began to leave in this turn by choice, and when that was.
    fn taken_by_choice(&self, uid: ObjectUid, min_ready: Duration) -> Vec<(Arc<Pod>, Timestamp)> {
        let left = pods_of(self.after, uid).filter_map(|pod| {
            let now = left_by_choice_at(pod)?;
            let before = self.before.pods.get(&pod.uid)?;
            let was_available = before.is_active() && pod.is_available(min_ready, now);
            was_available.then(|| (Arc::clone(pod), now))
        });
        left.collect()
    }
}
