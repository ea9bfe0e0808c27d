//! Workloads: each kind has its controller, a module of its own; what left Git goes in the same way
//! whatever it was.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, ObjectSpec, ObjectUid, ReplicaSet, StopReason, StoredObject, Timestamp,
};

use crate::draft::Draft;
use crate::{
    Work, cron_jobs, daemon_sets, declared_pods, deployments, generations, jobs, placement,
    replica_sets, stateful_sets,
};

/// How often a look may make way for others: a pod that is gone frees its name for one that waits.
const ROUNDS: usize = 4;

/// Looks at each dirty workload.
pub(crate) fn reconcile(draft: &mut Draft<'_>) {
    placement::mark_lost(draft);
    let mut round = std::mem::take(&mut draft.dirty.workloads);
    round.append(&mut draft.dirty.claimants);
    for _ in 0..ROUNDS {
        for uid in std::mem::take(&mut round) {
            look(draft, uid);
        }
        round = std::mem::take(&mut draft.dirty.claimants);
        if round.is_empty() {
            break;
        }
    }
}

fn look(draft: &mut Draft<'_>, uid: ObjectUid) {
    let object = draft.world.object_by_uid(uid).cloned();
    let wake_at = match object {
        Some(object) => control(draft, &object),
        None => {
            wind_down(draft, uid);
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
        | ObjectSpec::ConfigMap(_)
        | ObjectSpec::Secret(_)
        | ObjectSpec::Service(_) => None,
    }
}

/// A workload that left Git: its pods leave in the usual order, then its rows go.
fn wind_down(draft: &mut Draft<'_>, uid: ObjectUid) {
    jobs::wind_down(draft, uid);
    for set in generations::oldest_first(draft, uid) {
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
            continue;
        }
        let row = Arc::new(ReplicaSet { replicas: 0, ..(*set).clone() });
        if *set != *row {
            draft.push(Change::PutReplicaSet(Arc::clone(&row)));
        }
        replica_sets::reconcile(draft, &row, Duration::ZERO, StopReason::OwnerRemoved);
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
    let is_over = draft.world.replica_sets_of(uid).next().is_none();
    if is_over && draft.world.rollouts.contains_key(&uid) {
        draft.push(Change::DeleteRollout(uid));
    }
}
