//! Pods that Git asks for without a rollout: those of a ReplicaSet or ReplicationController, and bare
//! pods.
//!
//! A changed template of a replica set is for new pods alone, as in Kubernetes: those that serve stay as
//! they are. But a pod of an earlier template that was never ready is made anew: it serves nobody, and
//! the commit that mends or takes back a broken template would mend nothing. A pod on a lost node is
//! given up when another node can take what replaces it.
//!
//! A bare pod has exactly its name. When its template changes it leaves, and comes anew when it is
//! gone. Unlike in Kubernetes it also comes anew when its row is gone for another reason: Git still
//! asks for it. While its node is lost it waits, like a stateful set's: a name belongs to one pod.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Pod, PodIdentity, PodOutcome, PodTemplate, ReplicaSetSpec, ReplicaSetUid, Seen, StopReason,
    StoredObject, Timestamp,
};

use crate::draft::Draft;
use crate::rollouts::{self, Aims};
use crate::{draining, gate, generations, placement, replica_sets};

/// One look at a replica set that Git declares; gives when to look again.
pub(crate) fn replicate(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    spec: &ReplicaSetSpec,
) -> Option<Timestamp> {
    let current = generations::current(draft, object, &spec.template, false);
    if let Some(current) = current.uid {
        dismiss_stillborn(draft, object, current);
    }
    let template = current.or_before(draft, object.uid);
    let set = template.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
    if let Some(set) = &set {
        let pods = generations::active_pods(draft, object.uid);
        placement::give_up_lost(draft, set, pods);
    }
    let active = generations::active_pods(draft, object.uid);
    let wanted = spec.replicas as usize;
    if let Some(set) = set {
        for _ in active.len()..wanted {
            let pod = replica_sets::make_pod(draft, &set);
            draft.put_pod(pod);
        }
    }
    let mut surplus = active.len().saturating_sub(wanted);
    if surplus > 0 && gate::holds(draft, object.uid, &object.source) {
        surplus = 0;
    }
    let leaving = replica_sets::least_useful_first(draft, active, spec.min_ready);
    for pod in leaving.into_iter().take(surplus) {
        draining::leave(draft, &pod, StopReason::Scaled);
    }
    let aims = Aims {
        replicas: spec.replicas,
        updated: 0,
        done: 0,
        min_ready: spec.min_ready,
        progress_deadline: rollouts::progress_deadline(object),
        paused: false,
        revision_history_limit: 0,
    };
    generations::note_sizes(draft, object.uid);
    rollouts::conclude(draft, object, &current, aims, |_| true)
}

/// Sends the pods of earlier templates away that were never ready.
fn dismiss_stillborn(draft: &mut Draft<'_>, object: &StoredObject, current: ReplicaSetUid) {
    for pod in generations::active_pods(draft, object.uid) {
        let was_never_ready = match &pod.seen {
            Seen::Absent => true,
            // A node may have said that it is ready and not yet since when.
            Seen::Known(status) => {
                status.ready_since.is_none() && status.milestones.ready_at.is_none()
            }
            Seen::Unknown { .. } => false,
        };
        if pod.replica_set != current && was_never_ready {
            draining::leave(draft, &pod, StopReason::Scaled);
        }
    }
}

/// One look at a bare pod that Git declares; gives when to look again.
pub(crate) fn keep(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    template: &PodTemplate,
) -> Option<Timestamp> {
    let current = generations::current(draft, object, template, false);
    if let Some(uid) = current.uid {
        for pod in generations::active_pods(draft, object.uid) {
            if pod.replica_set != uid && !gate::holds(draft, object.uid, &object.source) {
                draining::leave(draft, &pod, StopReason::Scaled);
            }
        }
    }
    if let Some(uid) = current.or_before(draft, object.uid) {
        make_bare(draft, object, uid);
    }
    let pods = generations::active_pods(draft, object.uid);
    let is_done = |pod: &Arc<Pod>| pod.outcome() == Some(PodOutcome::Succeeded);
    let aims = Aims {
        replicas: 1,
        updated: 1,
        done: u32::from(pods.iter().any(is_done)),
        min_ready: Duration::ZERO,
        progress_deadline: rollouts::progress_deadline(object),
        paused: false,
        revision_history_limit: 0,
    };
    generations::note_sizes(draft, object.uid);
    rollouts::conclude(draft, object, &current, aims, |_| true)
}

/// The pod itself, unless something has its name that is not known to be gone.
fn make_bare(draft: &mut Draft<'_>, object: &StoredObject, set: ReplicaSetUid) {
    let Some(set) = draft.world.replica_sets.get(&set).cloned() else { return };
    let name = &object.declared.key.name;
    if replica_sets::is_free(draft, &set, name) {
        let pod = replica_sets::new_pod(draft, &set, name.clone(), PodIdentity::Any);
        draft.put_pod(pod);
    }
}
