//! Changes: the row-level differences that the planner asks for and the store commits.

use std::sync::Arc;

use crate::{
    DeclaredObject, Event, Node, NodeName, ObjectId, ObjectUid, Pod, PodUid, Quarantine, Release,
    ReplicaSet, ReplicaSetUid, Revision, Rollout, Source, StoredObject, TimelineEntry,
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
    /// Kept for history and for the way back; not part of the world.
    PutRevision(Arc<Revision>),
    AppendTimeline(TimelineEntry),
    AppendEvent(Event),
}

/// The objects of a revision, as the world wants them.
pub type DeclaredObjects = Vec<Arc<DeclaredObject>>;
