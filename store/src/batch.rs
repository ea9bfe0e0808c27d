//! The changes of a turn, sorted by table. Of several changes of one row the last one counts, as it
//! would when they were applied one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    Baseline, BaselineKey, Change, CommitSha, Event, Job, JobUid, Node, NodeName, ObjectId,
    ObjectUid, Pod, PodUid, Quarantine, Release, ReleaseId, ReplicaSet, ReplicaSetUid, Rollout,
    Schedule, Source, SourceName, StoredObject, StoredRevision, TimelineEntry, Verdict,
    VolumeBinding, VolumeUid,
};

use crate::CommitError;

/// The rows of one table by key: what to put, or nothing to delete.
pub(crate) type Rows<'a, K, T> = BTreeMap<K, Option<&'a Arc<T>>>;

/// Everything a turn writes. Sorted by key, so that rows are always written in the same order.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    pub sources: Rows<'a, &'a SourceName, Source>,
    pub objects: Rows<'a, ObjectId, StoredObject>,
    pub rollouts: Rows<'a, ObjectUid, Rollout>,
    pub jobs: Rows<'a, JobUid, Job>,
    pub schedules: Rows<'a, ObjectUid, Schedule>,
    pub replica_sets: Rows<'a, ReplicaSetUid, ReplicaSet>,
    pub pods: Rows<'a, PodUid, Pod>,
    pub nodes: Rows<'a, &'a NodeName, Node>,
    pub volume_bindings: Rows<'a, VolumeUid, VolumeBinding>,
    pub baselines: Rows<'a, BaselineKey, Baseline>,
    pub releases: Rows<'a, ReleaseId, Release>,
    pub quarantine: BTreeSet<&'a Quarantine>,
    pub revisions: Rows<'a, (&'a SourceName, &'a CommitSha), StoredRevision>,
    /// In the order in which they were appended.
    pub timeline: Vec<&'a TimelineEntry>,
    pub events: Vec<&'a Event>,
}

/// The rule that a release, once healthy, stays so. Which releases a load reads depends on it.
pub(crate) const HEALTHY_IS_FINAL: &str = "releases_healthy_is_final";

impl<'a> Batch<'a> {
    pub(crate) fn of(changes: &'a [Change]) -> Result<Batch<'a>, CommitError> {
        let mut batch = Batch::default();
        for change in changes {
            batch.add(change)?;
        }
        Ok(batch)
    }

    fn add(&mut self, change: &'a Change) -> Result<(), CommitError> {
        match change {
            Change::PutSource(row) => {
                self.sources.insert(&row.name, Some(row));
            }
            Change::PutObject(row) => {
                self.objects.insert(row.declared.id(), Some(row));
            }
            Change::DeleteObject(id) => {
                self.objects.insert(id.clone(), None);
            }
            Change::PutRollout(row) => {
                self.rollouts.insert(row.workload, Some(row));
            }
            Change::DeleteRollout(uid) => {
                self.rollouts.insert(*uid, None);
            }
            Change::PutJob(row) => {
                self.jobs.insert(row.uid, Some(row));
            }
            Change::DeleteJob(uid) => {
                self.jobs.insert(*uid, None);
            }
            Change::PutSchedule(row) => {
                self.schedules.insert(row.cron_job, Some(row));
            }
            Change::DeleteSchedule(cron_job) => {
                self.schedules.insert(*cron_job, None);
            }
            Change::PutReplicaSet(row) => {
                self.replica_sets.insert(row.uid, Some(row));
            }
            Change::DeleteReplicaSet(uid) => {
                self.replica_sets.insert(*uid, None);
            }
            Change::PutPod(row) => {
                self.pods.insert(row.uid, Some(row));
            }
            Change::DeletePod(uid) => {
                self.pods.insert(*uid, None);
            }
            Change::PutNode(row) => {
                self.nodes.insert(&row.name, Some(row));
            }
            Change::DeleteNode(name) => {
                self.nodes.insert(name, None);
            }
            Change::PutVolumeBinding(row) => drop(self.volume_bindings.insert(row.uid, Some(row))),
            Change::DeleteVolumeBinding(uid) => drop(self.volume_bindings.insert(*uid, None)),
            Change::PutBaseline(row) => {
                self.baselines.insert(row.key(), Some(row));
            }
            Change::DeleteBaseline(key) => {
                self.baselines.insert(key.clone(), None);
            }
            Change::PutRelease(row) => self.put_release(row)?,
            Change::PutQuarantine(row) => {
                self.quarantine.insert(row);
            }
            Change::PutRevision(row) => {
                self.revisions.insert((&row.source, &row.commit.sha), Some(row));
            }
            Change::AppendTimeline(entry) => self.timeline.push(entry),
            Change::AppendEvent(event) => self.events.push(event),
        }
        Ok(())
    }

    fn put_release(&mut self, row: &'a Arc<Release>) -> Result<(), CommitError> {
        let before = self.releases.insert(row.id, Some(row)).flatten();
        let was_healthy = before.is_some_and(|before| before.verdict == Verdict::Healthy);
        if was_healthy && row.verdict != Verdict::Healthy {
            return Err(CommitError::Constraint {
                name: HEALTHY_IS_FINAL.to_owned(),
                source: None,
            });
        }
        Ok(())
    }
}
