//! Stateful sets: one pod for each ordinal, and never two, not even while a node is lost.
//!
//! A pod's place is taken only when its row is gone, which is when its node has said so. So a pod on a
//! lost node is not made anew elsewhere: it might still run and write. A pod is updated by leaving; its
//! successor comes with the new template.
//!
//! In one thing this is not Kubernetes: there, an ordered set waits for a broken pod to become ready
//! also when a commit takes the broken template back, and a person has to delete the pod. Here a pod
//! that does not serve and has an outdated template leaves without being waited for (`ordinals`).

mod ordinals;

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    ObjectName, ObjectUid, Pod, PodIdentity, ReplicaSet, ReplicaSetUid, StatefulSet,
    StatefulSetUpdate, StopReason, StoredObject, Timestamp,
};

use crate::draft::Draft;
use crate::rollouts::{self, Aims};
use crate::{draining, gate, generations, replica_sets};
use ordinals::{Move, Rules, Slot, Slots};

/// One look at a stateful set that Git declares; gives when to look again.
pub(crate) fn roll_out(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    spec: &StatefulSet,
) -> Option<Timestamp> {
    let current = generations::current(draft, object, &spec.template, false);
    let fallback = current.or_before(draft, object.uid);
    let set = StatefulPods { object, spec, current: current.uid, fallback };
    // A round moves a pod a step further, and none has more than to leave and to come anew.
    let pods = generations::active_pods(draft, object.uid).len();
    let most_rounds = 2 * (pods + spec.replicas as usize) + 1;
    for _ in 0..most_rounds {
        let mut moves = ordinals::moves(&set.slots(draft), &set.rules());
        let is_leaving = |each: &Move| matches!(each, Move::Leave(_));
        if moves.iter().any(is_leaving) && gate::holds(draft, object.uid, &object.source) {
            moves.retain(|each| !is_leaving(each));
        }
        if moves.is_empty() {
            break;
        }
        for each in moves {
            set.perform(draft, each);
        }
    }
    generations::note_sizes(draft, object.uid);
    let aims = set.aims(draft);
    rollouts::conclude(draft, object, &current, aims, |_| true)
}

/// The pods of a stateful set, by ordinal.
struct StatefulPods<'a> {
    object: &'a StoredObject,
    spec: &'a StatefulSet,
    /// The replica set of the current template.
    current: Option<ReplicaSetUid>,
    /// The same, or the one before while that waits.
    fallback: Option<ReplicaSetUid>,
}

impl StatefulPods<'_> {
    fn rules(&self) -> Rules {
        let max_unavailable = match self.spec.update {
            StatefulSetUpdate::OnDelete => 0,
            StatefulSetUpdate::RollingUpdate { max_unavailable, .. } => {
                max_unavailable.rounded_down(self.spec.replicas).max(1)
            }
        };
        Rules { order: self.spec.pod_management, max_unavailable }
    }

    /// The lowest ordinal that shall have the current template.
    fn first_updated(&self) -> u32 {
        match self.spec.update {
            StatefulSetUpdate::OnDelete => self.spec.first_ordinal,
            StatefulSetUpdate::RollingUpdate { partition, .. } => {
                self.spec.first_ordinal.saturating_add(partition)
            }
        }
    }

    fn slots(&self, draft: &Draft<'_>) -> Slots {
        let first = self.spec.first_ordinal;
        let asked = first..first.saturating_add(self.spec.replicas);
        let rows = by_ordinal(draft, self.object.uid);
        let stable = self.stable(draft);
        let slot = |ordinal: u32| match rows.get(&ordinal) {
            Some(pod) => self.occupied(draft, ordinal, pod),
            None => self.empty(draft, ordinal, stable),
        };
        let wanted: Vec<(u32, Slot)> = asked.clone().map(|each| (each, slot(each))).collect();
        let surplus = rows.keys().filter(|ordinal| !asked.contains(ordinal));
        Slots { wanted, surplus: surplus.map(|each| (*each, slot(*each))).collect() }
    }

    fn occupied(&self, draft: &Draft<'_>, ordinal: u32, pod: &Pod) -> Slot {
        if !pod.is_active() {
            return Slot::Leaving;
        }
        let differs = self.current.is_some_and(|current| pod.replica_set != current);
        Slot::Active {
            is_outdated: differs && ordinal >= self.first_updated(),
            is_available: pod.is_available(self.spec.min_ready, draft.now),
        }
    }

    /// A place can be taken when there is a template for it and nothing else has its pod's name.
    fn empty(&self, draft: &Draft<'_>, ordinal: u32, stable: Option<ReplicaSetUid>) -> Slot {
        let set = self.template_for(ordinal, stable);
        let set = set.and_then(|uid| draft.world.replica_sets.get(&uid));
        match set {
            Some(set) if replica_sets::is_free(draft, set, &self.name(ordinal)) => Slot::Free,
            Some(_) | None => Slot::Barred,
        }
    }

    fn template_for(&self, ordinal: u32, stable: Option<ReplicaSetUid>) -> Option<ReplicaSetUid> {
        if ordinal < self.first_updated() || self.current.is_none() { stable } else { self.current }
    }

    /// The template below the partition: the one that most pods there have. While the current one waits,
    /// everything is below it.
    fn stable(&self, draft: &Draft<'_>) -> Option<ReplicaSetUid> {
        let first_updated = self.first_updated();
        let below = |set: &Arc<ReplicaSet>| {
            let pods = draft.world.pods_of(set.uid);
            let is_below = |each| each < first_updated || self.current.is_none();
            pods.filter(|pod| ordinal_of(pod).is_some_and(is_below)).count()
        };
        let sets = draft.world.replica_sets_of(self.object.uid);
        let counted = sets.map(|set| (below(set), set.revision, set.uid));
        let most = counted.filter(|(pods, ..)| *pods > 0).max();
        most.map(|(.., uid)| uid).or(self.fallback)
    }

    fn name(&self, ordinal: u32) -> ObjectName {
        ObjectName::new(format!("{}-{ordinal}", self.object.declared.key.name))
    }

    fn perform(&self, draft: &mut Draft<'_>, each: Move) {
        match each {
            Move::Make(ordinal) => {
                let set = self.template_for(ordinal, self.stable(draft));
                let set = set.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
                let Some(set) = set else { return };
                let identity = PodIdentity::Ordinal(ordinal);
                let pod = replica_sets::new_pod(draft, &set, self.name(ordinal), identity);
                draft.put_pod(pod);
            }
            Move::Leave(ordinal) => {
                if let Some(pod) = by_ordinal(draft, self.object.uid).get(&ordinal).cloned() {
                    draining::leave(draft, &pod, StopReason::Scaled);
                }
            }
        }
    }

    fn aims(&self, draft: &Draft<'_>) -> Aims {
        let updated = match self.spec.update {
            StatefulSetUpdate::OnDelete => 0,
            StatefulSetUpdate::RollingUpdate { partition, .. } => {
                // Those below the partition may happen to be new, and then count in addition.
                let first_updated = self.first_updated();
                let pods = self.current.into_iter().flat_map(|set| draft.world.pods_of(set));
                let below = pods.filter(|pod| {
                    pod.is_active() && ordinal_of(pod).is_some_and(|each| each < first_updated)
                });
                let below = u32::try_from(below.count()).unwrap_or(u32::MAX);
                self.spec.replicas.saturating_sub(partition).saturating_add(below)
            }
        };
        Aims {
            replicas: self.spec.replicas,
            updated: updated.min(self.spec.replicas),
            done: 0,
            min_ready: self.spec.min_ready,
            progress_deadline: rollouts::progress_deadline(self.object),
            paused: false,
            revision_history_limit: self.spec.revision_history_limit,
        }
    }
}

fn ordinal_of(pod: &Pod) -> Option<u32> {
    match pod.identity {
        PodIdentity::Ordinal(ordinal) => Some(ordinal),
        PodIdentity::Any | PodIdentity::OnNode(_) | PodIdentity::CompletionIndex(_) => None,
    }
}

/// Every pod of a stateful set that is not known to be gone.
fn by_ordinal(draft: &Draft<'_>, workload: ObjectUid) -> BTreeMap<u32, Arc<Pod>> {
    let sets = draft.world.replica_sets_of(workload);
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    pods.filter_map(|pod| Some((ordinal_of(pod)?, Arc::clone(pod)))).collect()
}
