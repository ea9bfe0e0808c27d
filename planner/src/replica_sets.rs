//! As many pods as a replica set shall have: missing ones are made, and of those too many the least
//! useful leave first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Kind, Lifecycle, NodeName, ObjectName, Placement, Pod, PodIdentity, PodPhase, PodStatus,
    PodUid, ReplicaSet, Seen, StopReason, Timestamp, Unschedulable,
};

use crate::draft::Draft;
use crate::draining;

/// Brings a replica set's number of active pods to what it shall be. So many more may stay.
pub(crate) fn reconcile(
    draft: &mut Draft<'_>,
    replica_set: &ReplicaSet,
    kept: u32,
    min_ready: Duration,
    reason: StopReason,
) {
    let active: Vec<Arc<Pod>> =
        draft.world.pods_of(replica_set.uid).filter(|pod| pod.is_active()).cloned().collect();
    let wanted = replica_set.replicas as usize;
    for _ in active.len()..wanted {
        let pod = make_pod(draft, replica_set);
        draft.put_pod(pod);
    }
    let surplus = active.len().saturating_sub(wanted.saturating_add(kept as usize));
    if surplus > 0 {
        for pod in least_useful_first(draft, active, min_ready).into_iter().take(surplus) {
            draining::leave(draft, &pod, reason);
        }
    }
}

/// A new pod of a replica set that waits for a node.
pub(crate) fn make_pod(draft: &mut Draft<'_>, replica_set: &ReplicaSet) -> Pod {
    let prefix = prefix(draft, replica_set);
    let name = free_name(draft, replica_set, &prefix);
    new_pod(draft, replica_set, name, PodIdentity::Any)
}

/// What the names of its pods begin with: a Deployment's replica sets have names of their own, and of
/// the other kinds people know no name but the workload's.
fn prefix(draft: &Draft<'_>, replica_set: &ReplicaSet) -> ObjectName {
    let owner = draft.world.workload_by_uid(replica_set.owner);
    let named = owner.filter(|owner| {
        let kind = owner.declared.kind();
        matches!(kind, Kind::ReplicaSet | Kind::ReplicationController | Kind::DaemonSet)
    });
    named.map_or_else(|| replica_set.name.clone(), |owner| owner.declared.key.name.clone())
}

/// A new pod of this name and identity that waits for a node.
pub(crate) fn new_pod(
    draft: &mut Draft<'_>,
    replica_set: &ReplicaSet,
    name: ObjectName,
    identity: PodIdentity,
) -> Pod {
    Pod {
        uid: PodUid(draft.ids.next_uuid()),
        namespace: replica_set.namespace.clone(),
        name,
        replica_set: replica_set.uid,
        identity,
        created_at: draft.now,
        placement: Placement::Waiting(Unschedulable::default()),
        lifecycle: Lifecycle::Active,
        seen: Seen::Absent,
    }
}

/// A prefix and a suffix that no pod of the namespace has together. There are 14 million suffixes, so a
/// second try is rare and a tenth never happens; a set so large that it did would get more digits.
fn free_name(draft: &mut Draft<'_>, replica_set: &ReplicaSet, prefix: &ObjectName) -> ObjectName {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        let name = ObjectName::new(format!("{prefix}-{}", draft.ids.next_suffix()));
        if is_free(draft, replica_set, &name) {
            return name;
        }
    }
    ObjectName::new(format!("{prefix}-{:016x}", draft.ids.next_u64()))
}

/// Whether no pod of the namespace has this name, not even one that is leaving.
pub(crate) fn is_free(draft: &Draft<'_>, replica_set: &ReplicaSet, name: &ObjectName) -> bool {
    draft.world.pods_named(&replica_set.namespace, name).next().is_none()
}

/// How much a pod is worth keeping, most important first; the lowest leaves first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Usefulness {
    is_placed: bool,
    is_running: bool,
    is_ready: bool,
    is_available: bool,
    /// Its node is not drained.
    may_stay: bool,
    /// How many better pods of the same set are on its node: the last of a crowd leaves first.
    crowd: Reverse<usize>,
    quality: Quality,
}

/// What tells pods apart that serve equally.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Quality {
    /// Pods that have been ready for longer stay.
    ready_since: Reverse<Option<Timestamp>>,
    restarts: Reverse<u32>,
    created_at: Reverse<Timestamp>,
    uid: PodUid,
}

pub(crate) fn least_useful_first(
    draft: &Draft<'_>,
    pods: Vec<Arc<Pod>>,
    min_ready: Duration,
) -> Vec<Arc<Pod>> {
    let mut by_quality: Vec<(Quality, Arc<Pod>)> =
        pods.into_iter().map(|pod| (quality(&pod), pod)).collect();
    by_quality.sort_by(|(left, _), (right, _)| right.cmp(left));
    let mut crowds: BTreeMap<Option<NodeName>, usize> = BTreeMap::new();
    let mut ranked: Vec<(Usefulness, Arc<Pod>)> = by_quality
        .into_iter()
        .map(|(quality, pod)| {
            let crowd = crowds.entry(pod.node().cloned()).or_default();
            let usefulness = Usefulness {
                is_placed: pod.node().is_some(),
                is_running: pod.seen.known().is_some_and(|seen| seen.phase == PodPhase::Running),
                is_ready: pod.ready_since().is_some(),
                is_available: pod.is_available(min_ready, draft.now),
                may_stay: !draft.world.is_displaced(&pod),
                crowd: Reverse(*crowd),
                quality,
            };
            *crowd += 1;
            (usefulness, pod)
        })
        .collect();
    ranked.sort_by(|(left, _), (right, _)| left.cmp(right));
    ranked.into_iter().map(|(_, pod)| pod).collect()
}

fn quality(pod: &Pod) -> Quality {
    let containers = pod.seen.known().into_iter().flat_map(PodStatus::all_containers);
    Quality {
        ready_since: Reverse(pod.ready_since()),
        restarts: Reverse(containers.map(|container| container.restarts).sum()),
        created_at: Reverse(pod.created_at),
        uid: pod.uid,
    }
}
