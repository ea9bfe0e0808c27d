//! Whether a change has been applied, read off the world.

use dugout_model::{Change, World};

/// Whether the world holds what a change says.
pub(super) fn is_in(world: &World, change: &Change) -> bool {
    match change {
        Change::PutSource(row) => world.sources.get(&row.name) == Some(row),
        Change::PutObject(row) => world.objects.get(&row.declared.id()) == Some(row),
        Change::DeleteObject(id) => !world.objects.contains_key(id),
        Change::PutRollout(row) => world.rollouts.get(&row.workload) == Some(row),
        Change::DeleteRollout(uid) => !world.rollouts.contains_key(uid),
        Change::PutJob(row) => world.jobs.get(&row.uid) == Some(row),
        Change::DeleteJob(uid) => !world.jobs.contains_key(uid),
        Change::PutSchedule(row) => world.schedules.get(&row.cron_job) == Some(row),
        Change::DeleteSchedule(cron_job) => !world.schedules.contains_key(cron_job),
        Change::PutReplicaSet(row) => world.replica_sets.get(&row.uid) == Some(row),
        Change::DeleteReplicaSet(uid) => !world.replica_sets.contains_key(uid),
        Change::PutPod(row) => world.pods.get(&row.uid) == Some(row),
        Change::DeletePod(uid) => !world.pods.contains_key(uid),
        Change::PutNode(row) => world.nodes.get(&row.name) == Some(row),
        Change::DeleteNode(name) => !world.nodes.contains_key(name),
        Change::PutVolumeBinding(row) => world.volume_bindings.get(&row.uid) == Some(row),
        Change::DeleteVolumeBinding(uid) => !world.volume_bindings.contains_key(uid),
        Change::PutBaseline(row) => world.baselines.get(&row.key()) == Some(row),
        Change::DeleteBaseline(key) => !world.baselines.contains_key(key),
        // The world forgets releases that are history.
        Change::PutRelease(row) => {
            world.releases.get(&row.id).is_none_or(|kept| kept == row)
                && (!row.verdict.is_open() || world.releases.contains_key(&row.id))
        }
        Change::PutQuarantine(row) => world.quarantine.contains(row),
        Change::PutRevision(_) | Change::AppendTimeline(_) | Change::AppendEvent(_) => true,
    }
}
