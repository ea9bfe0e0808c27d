//! Workloads: each kind has its controller, a module of its own; what left Git goes in the same way
//! whatever it was.

use std::collections::BTreeSet;

use dugout_model::{Hook, ObjectSpec, ObjectUid, StoredObject, Timestamp};

use crate::draft::Draft;
use crate::{
    Work, cron_jobs, daemon_sets, declared_pods, deployments, jobs, order, placement, pruning,
    stateful_sets,
};

/// How often looks may make way for others in one turn: a pod that is gone frees its name, and a
/// workload that is complete lets another begin. What is left then is looked at in the next turn.
const ROUNDS: usize = 16;

/// Looks at each dirty workload.
pub(crate) fn reconcile(draft: &mut Draft<'_>) {
    placement::mark_lost(draft);
    let mut round = std::mem::take(&mut draft.dirty.workloads);
    round.append(&mut draft.dirty.woken);
    for _ in 0..ROUNDS {
        look_at_all(draft, round);
        round = std::mem::take(&mut draft.dirty.woken);
        if round.is_empty() {
            return;
        }
    }
    for uid in round {
        draft.done(Work::Workload(uid), Some(draft.now));
    }
}

/// What is still to be looked at comes in the next turn.
pub(crate) fn put_off(draft: &mut Draft<'_>) {
    let mut rest = std::mem::take(&mut draft.dirty.workloads);
    rest.append(&mut draft.dirty.woken);
    for uid in rest {
        draft.done(Work::Workload(uid), Some(draft.now));
    }
}

/// Looks at each once, in the order of a release: nobody goes by what others were before this turn.
fn look_at_all(draft: &mut Draft<'_>, mut round: BTreeSet<ObjectUid>) {
    let is_last = |uid: &ObjectUid| {
        let object = draft.world.workload_by_uid(*uid);
        object.is_some_and(|object| order::hook_of(object) == Some(Hook::After))
    };
    let last: Vec<ObjectUid> = round.iter().copied().filter(is_last).collect();
    let rest: Vec<ObjectUid> = round.iter().copied().filter(|uid| !is_last(uid)).collect();
    for uid in rest.into_iter().chain(last) {
        let mut way: Vec<ObjectUid> = round.take(&uid).into_iter().collect();
        while let Some(uid) = way.last().copied() {
            let object = draft.world.workload_by_uid(uid);
            let first = object.and_then(|object| {
                let mut awaited = order::awaited(&draft.world, object).map(|other| other.uid);
                awaited.find(|other| round.contains(other))
            });
            match first {
                Some(first) => way.extend(round.take(&first)),
                None => {
                    way.pop();
                    look(draft, uid);
                }
            }
        }
    }
}

fn look(draft: &mut Draft<'_>, uid: ObjectUid) {
    let object = draft.world.workload_by_uid(uid).cloned();
    let wake_at = match object {
        Some(object) => control(draft, &object),
        None => {
            pruning::wind_down(draft, uid);
            None
        }
    };
    draft.done(Work::Workload(uid), wake_at);
}

/// One look at a workload that Git declares; gives when to look again.
fn control(draft: &mut Draft<'_>, object: &StoredObject) -> Option<Timestamp> {
    match &object.declared.spec {
        ObjectSpec::Deployment(spec) => deployments::roll_out(draft, object, spec),
        ObjectSpec::StatefulSet(spec) => stateful_sets::roll_out(draft, object, spec),
        ObjectSpec::DaemonSet(spec) => daemon_sets::roll_out(draft, object, spec),
        ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
            declared_pods::replicate(draft, object, spec)
        }
        ObjectSpec::Pod(template) => declared_pods::keep(draft, object, template),
        ObjectSpec::Job(spec) => jobs::run(draft, object, spec),
        ObjectSpec::CronJob(spec) => cron_jobs::keep(draft, object, spec),
        ObjectSpec::Namespace
        | ObjectSpec::LimitRange(_)
        | ObjectSpec::ResourceQuota(_)
        | ObjectSpec::ConfigMap(_)
        | ObjectSpec::Secret(_)
        | ObjectSpec::Service(_)
        | ObjectSpec::StorageClass(_)
        | ObjectSpec::PersistentVolume(_)
        | ObjectSpec::PersistentVolumeClaim(_)
        | ObjectSpec::PodDisruptionBudget(_) => None,
    }
}
