//! Changes: the row-level differences that the planner asks for and the store commits.

use std::sync::Arc;

use crate::{
    Event, Node, NodeName, ObjectId, ObjectUid, Pod, PodUid, Quarantine, Release, ReplicaSet,
    ReplicaSetUid, Rollout, Source, StoredObject, StoredRevision, TimelineEntry,
};

/// One difference. `Put` replaces the whole row, so that applying a change twice is applying it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    PutSource(Arc<Source>),
    PutObject(Arc<StoredObject>),
    DeleteObject(ObjectId),
    PutRollout(Arc<Rollout>),
    DeleteRollout(ObjectUid),
    PutReplicaSet(Arc<ReplicaSet>),
    DeleteReplicaSet(ReplicaSetUid),
    PutPod(Arc<Pod>),
    DeletePod(PodUid),
    PutNode(Arc<Node>),
    DeleteNode(NodeName),
    PutRelease(Arc<Release>),
    PutQuarantine(Quarantine),
    /// Kept for history; not part of the world.
    PutRevision(Arc<StoredRevision>),
    AppendTimeline(TimelineEntry),
    AppendEvent(Event),
}
