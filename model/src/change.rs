//! Changes: the row-level differences that the planner asks for and the store commits.

use std::sync::Arc;

use crate::{
    Baseline, BaselineKey, Event, Job, JobUid, Node, NodeName, ObjectId, ObjectUid, Pod, PodUid,
    Quarantine, Release, ReplicaSet, ReplicaSetUid, Rollout, Schedule, Source, StoredObject,
    StoredRevision, TimelineEntry, VolumeBinding, VolumeUid,
};

/// One difference. `Put` replaces the whole row, so that applying a change twice is applying it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    PutSource(Arc<Source>),
    PutObject(Arc<StoredObject>),
    DeleteObject(ObjectId),
    PutRollout(Arc<Rollout>),
    DeleteRollout(ObjectUid),
    PutJob(Arc<Job>),
    DeleteJob(JobUid),
    PutSchedule(Arc<Schedule>),
    /// By its cron job.
    DeleteSchedule(ObjectUid),
    PutReplicaSet(Arc<ReplicaSet>),
    DeleteReplicaSet(ReplicaSetUid),
    PutPod(Arc<Pod>),
    DeletePod(PodUid),
    PutVolumeBinding(Arc<VolumeBinding>),
    DeleteVolumeBinding(VolumeUid),
    PutNode(Arc<Node>),
    DeleteNode(NodeName),
    PutBaseline(Arc<Baseline>),
    DeleteBaseline(BaselineKey),
    PutRelease(Arc<Release>),
    PutQuarantine(Quarantine),
    /// Kept for history; not part of the world.
    PutRevision(Arc<StoredRevision>),
    // Boxed, as they are larger than all others and a turn may have hundreds of thousands.
    AppendTimeline(Box<TimelineEntry>),
    AppendEvent(Box<Event>),
}
