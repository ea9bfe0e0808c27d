//! Deployments: the current template's replica set grows, and those of earlier templates shrink, only
//! as fast as the strategy allows.
//!
//! A look at a deployment: find or make the replica set of its template (`generations`); let the
//! arithmetic (`rolling`) say how large each set shall be; make or send away pods (`replica_sets`);
//! judge how far the rollout is (`rollouts`); forget replica sets beyond the history limit.

use std::sync::Arc;

use dugout_model::{
    Change, Deployment, EventType, Lifecycle, ReplicaSet, ReplicaSetUid, StopReason, StoredObject,
    Strategy, Timestamp,
};

use crate::draft::Draft;
use crate::generations::{self, Current};
use crate::records::Subject;
use crate::rolling::{self, Bounds, SetSize, Sizes};
use crate::rollouts::{self, Aims};
use crate::{WorkloadWait, evictions, gate, replica_sets};

/// One look at a deployment that Git declares; gives when to look again.
pub(crate) fn roll_out(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
) -> Option<Timestamp> {
    let template = &deployment.template;
    let current = generations::current(draft, object, template, deployment.paused);
    let is_halted = deployment.paused || current.uid.is_none();
    if deployment.strategy == Strategy::Recreate && !is_halted {
        recreate(draft, object, deployment, current.uid);
    } else {
        resize(draft, object, deployment, &current);
    }
    let aims = Aims {
        replicas: deployment.replicas,
        updated: deployment.replicas,
        done: 0,
        min_ready: deployment.min_ready,
        progress_deadline: deployment.progress_deadline,
        paused: deployment.paused,
        revision_history_limit: deployment.revision_history_limit,
    };
    rollouts::conclude(draft, object, &current, aims, |_| true)
}

/// Lets the arithmetic say how large each set shall be, and makes it so.
fn resize(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    current: &Current,
) {
    let sets = generations::oldest_first(draft, object.uid);
    let (new, old): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|set| current.uid == Some(set.uid));
    let mut sizes = Sizes {
        new: new.first().map(|set| size(draft, set, deployment)),
        old: old.iter().map(|set| size(draft, set, deployment)).collect(),
    };
    let bounds = Bounds::of(&deployment.strategy, deployment.replicas);
    let before = bounds_before(draft, object).unwrap_or(bounds);
    let is_halted = deployment.paused || current.uid.is_none();
    // Kubernetes scales the earlier templates even when a new one comes with the same change. Here
    // the pods that a rollout would take away again are not made in the first place.
    let is_scaled = before.desired != bounds.desired && !current.is_renewed;
    let as_they_are = sizes.clone();
    if is_halted || is_scaled {
        rolling::scale(&mut sizes, bounds, before);
    }
    if !is_halted {
        rolling::roll(&mut sizes, bounds);
    }
    let takes_any = sizes.has_smaller_than(&as_they_are);
    // A paused one is only scaled: none of its pods makes way for another.
    if takes_any && !deployment.paused && gate::holds(draft, object.uid, &object.source) {
        sizes = as_they_are;
        if !is_halted {
            rolling::grow(&mut sizes, bounds);
        }
    }
    let mut sized: Vec<(&Arc<ReplicaSet>, u32)> = new
        .iter()
        .zip(sizes.new)
        .chain(old.iter().zip(sizes.old))
        .map(|(set, size)| (set, size.replicas))
        .collect();
    sized.sort_by_key(|(set, replicas)| *replicas > set.replicas);
    for (set, replicas) in sized {
        let others = new.iter().chain(&old).filter(|other| other.uid != set.uid);
        let must_wait = deployment.strategy == Strategy::Recreate
            && replicas > set.replicas
            && pods_that_hold(draft, others) > 0;
        let replicas = if must_wait { set.replicas } else { replicas };
        set_replicas(draft, object, deployment, set, replicas);
    }
}

/// Nothing new before all that is old is really gone. Fewer replicas are no reason to wait.
fn recreate(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    current: Option<ReplicaSetUid>,
) {
    let sets = generations::oldest_first(draft, object.uid);
    let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| current == Some(set.uid));
    let has_less = old.iter().any(|set| set.replicas > 0)
        || new.iter().any(|set| set.replicas > deployment.replicas);
    if has_less && gate::holds(draft, object.uid, &object.source) {
        // As they are, which replaces what was lost.
        for set in old.iter().chain(&new) {
            set_replicas(draft, object, deployment, set, set.replicas);
        }
        return;
    }
    for set in &old {
        set_replicas(draft, object, deployment, set, 0);
    }
    let pods = pods_that_hold(draft, old.iter());
    for set in &new {
        let replicas =
            if pods > 0 { set.replicas.min(deployment.replicas) } else { deployment.replicas };
        set_replicas(draft, object, deployment, set, replicas);
    }
    if pods > 0 {
        let wait = WorkloadWait::OldPodsLeaving { pods };
        draft.report.workloads.insert(object.uid, wait);
    }
}

/// What the deployment asked for before this turn, to notice that it was scaled.
fn bounds_before(draft: &Draft<'_>, object: &StoredObject) -> Option<Bounds> {
    let before = draft.before.workload_by_uid(object.uid)?.as_deployment()?;
    Some(Bounds::of(&before.strategy, before.replicas))
}

/// The pods of other templates that a Recreate waits for. A pod whose place was taken because its
/// node is lost is not among them: it may never answer again, and runs beside its replacement already.
fn pods_that_hold<'a>(draft: &Draft<'_>, sets: impl Iterator<Item = &'a Arc<ReplicaSet>>) -> u32 {
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    let holding = pods.filter(|pod| {
        !matches!(pod.lifecycle, Lifecycle::Stopping { reason: StopReason::NodeLost, .. })
    });
    u32::try_from(holding.count()).unwrap_or(u32::MAX)
}

fn size(draft: &Draft<'_>, set: &ReplicaSet, deployment: &Deployment) -> SetSize {
    let available = draft
        .world
        .pods_of(set.uid)
        .filter(|pod| pod.is_active() && pod.is_available(deployment.min_ready, draft.now))
        .count();
    let available = u32::try_from(available).unwrap_or(u32::MAX);
    SetSize { replicas: set.replicas, available: available.min(set.replicas) }
}

/// Gives a set its size, telling of a new one, and its pods.
fn set_replicas(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    deployment: &Deployment,
    set: &ReplicaSet,
    replicas: u32,
) {
    let row = ReplicaSet { replicas, ..set.clone() };
    if set.replicas != replicas {
        let direction = if replicas > set.replicas { "up" } else { "down" };
        let message = format!(
            "scaled {direction} replica set {} from {} to {replicas}",
            set.name, set.replicas
        );
        let subject = Subject::object(&object.declared.id());
        draft.event(EventType::Normal, subject, "ScalingReplicaSet", message);
        draft.push(Change::PutReplicaSet(Arc::new(row.clone())));
    }
    let kept = evictions::successors_kept(draft, object, &row);
    replica_sets::reconcile(draft, &row, kept, deployment.min_ready, StopReason::Scaled);
}
