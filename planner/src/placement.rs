//! Which node runs a pod.
//!
//! Filters say where a pod cannot go, and why; a score says where it would rather be: away from its
//! siblings first, then where most is left, and by name where all is equal. "Cannot" and "would rather
//! not" never mix. `rooms` finds the best node.
//!
//! A pod on a lost node gives up its place only if another node can take it now, and both happen in
//! one turn: when the only node is silent for a while, nothing is started anew for it.

mod rooms;

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    EventType, Kind, Lifecycle, NodeName, ObjectUid, Placement, Pod, PodIdentity, ReplicaSet, Step,
    StopReason, World,
};

pub(crate) use self::rooms::Rooms;
use crate::draft::Draft;
use crate::records::Subject;
use crate::{PodWait, Work, replica_sets, storage};

/// Places the pods that wait, oldest first, then those whose node is lost. Says whether pods may be left
/// that found no room.
pub(crate) fn place(draft: &mut Draft<'_>) -> bool {
    if !std::mem::take(&mut draft.dirty.placement) {
        return false;
    }
    let waiting = oldest_first(draft.world.unplaced_pods());
    let lost =
        oldest_first(draft.world.lost_nodes().flat_map(|node| draft.world.pods_on(&node.name)));
    if !(waiting.is_empty() && lost.is_empty()) {
        let mut rooms = Rooms::default();
        for pod in waiting {
            place_waiting(draft, &mut rooms, &pod);
        }
        for pod in lost.iter().filter(|pod| pod.is_at_work()) {
            replace_lost(draft, &mut rooms, pod);
        }
    }
    draft.done(Work::Placement, None);
    draft.world.unplaced_pods().next().is_some()
}

fn oldest_first<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<Arc<Pod>> {
    let mut pods: Vec<Arc<Pod>> = pods.cloned().collect();
    pods.sort_by_key(|pod| (pod.created_at, pod.uid));
    pods
}

fn place_waiting(draft: &mut Draft<'_>, rooms: &mut Rooms, pod: &Pod) {
    let Some(set) = draft.replica_set_of(pod) else { return };
    let choice = match &pod.identity {
        PodIdentity::OnNode(node) => rooms.choose_only(&draft.world, &set, &pod.name, node),
        PodIdentity::Any | PodIdentity::Ordinal(_) | PodIdentity::CompletionIndex(_) => {
            rooms.choose_for(&draft.world, &set, Some(&pod.name))
        }
    };
    match choice {
        Ok(node) => settle(draft, rooms, pod, &set, node),
        Err(why) => {
            draft.report.pods.insert(pod.uid, PodWait::Node(why.clone()));
            if pod.placement != Placement::Waiting(why.clone()) {
                draft.event(EventType::Warning, Subject::pod(pod), "FailedScheduling", &why);
                let placement = Placement::Waiting(why);
                draft.put_pod(Pod { placement, ..pod.clone() });
            }
        }
    }
}

/// Puts another pod on another node in the place of one whose node is lost. The lost one stays in the
/// books, to be stopped if its node ever comes back with it.
fn replace_lost(draft: &mut Draft<'_>, rooms: &mut Rooms, lost: &Pod) {
    let (Some(set), Some(from)) = (draft.replica_set_of(lost), lost.node().cloned()) else {
        return;
    };
    // What left Git is not healed: it only stays for as long as it serves.
    let has_left = draft.world.workload_by_uid(set.owner).is_none();
    if has_left || is_given_up_by_owner(draft, lost) {
        return;
    }
    if is_one_of_a_kind(draft, lost, &set) {
        draft.report.pods.insert(lost.uid, PodWait::NodeReturn { node: from });
        return;
    }
    let node = match rooms.choose(&draft.world, &set) {
        Ok(node) => node,
        Err(elsewhere) => {
            let wait = PodWait::LostNode { node: from, elsewhere };
            draft.report.pods.insert(lost.uid, wait);
            return;
        }
    };
    let lifecycle = Lifecycle::Stopping {
        since: draft.now,
        grace: set.template.termination_grace,
        reason: StopReason::NodeLost,
    };
    draft.put_pod(Pod { lifecycle, ..lost.clone() });
    rooms.forget_sibling(&set, &from);
    let pod = replica_sets::make_pod(draft, &set);
    let message = format!("node {from} is lost; {} on {node} takes its place", pod.name);
    draft.event(EventType::Warning, Subject::pod(lost), "NodeLost", message);
    settle(draft, rooms, &pod, &set, node);
}

/// Whether its controller says if another takes its place: what a job's failed pods count for is its
/// own, and a replica set's new pods have the newest template.
fn is_given_up_by_owner(draft: &Draft<'_>, pod: &Pod) -> bool {
    let owner =
        draft.world.replica_set_of(pod).and_then(|set| draft.world.workload_by_uid(set.owner));
    let is_replica_set = owner.is_some_and(|owner| {
        matches!(owner.declared.kind(), Kind::ReplicaSet | Kind::ReplicationController)
    });
    is_replica_set || draft.world.job_of(pod).is_some()
}

/// Marks the workloads that may give up pods on lost nodes: room elsewhere came with what changed.
pub(crate) fn mark_lost(draft: &mut Draft<'_>) {
    if !draft.dirty.placement {
        return;
    }
    let pods = draft.world.lost_nodes().flat_map(|node| draft.world.pods_on(&node.name));
    let pods = pods.filter(|pod| pod.is_active());
    let sets = pods
        .filter(|pod| is_given_up_by_owner(draft, pod))
        .filter_map(|pod| draft.world.replica_set_of(pod));
    let owners: BTreeSet<ObjectUid> = sets.map(|set| set.owner).collect();
    draft.dirty.workloads.extend(owners);
}

/// Gives up those of the pods that are on a lost node, as far as other nodes can take what replaces
/// them, which will be of this replica set.
pub(crate) fn give_up_lost(draft: &mut Draft<'_>, set: &ReplicaSet, mut pods: Vec<Arc<Pod>>) {
    pods.retain(|pod| {
        let node = pod.node().and_then(|node| draft.world.nodes.get(node));
        node.is_some_and(|node| !node.is_ready())
    });
    if pods.is_empty() {
        return;
    }
    let mut rooms = Rooms::default();
    for pod in pods {
        let Some(from) = pod.node().cloned() else { continue };
        match rooms.choose(&draft.world, set) {
            Ok(node) => {
                rooms.promise(set, &node);
                let lifecycle = Lifecycle::Stopping {
                    since: draft.now,
                    grace: set.template.termination_grace,
                    reason: StopReason::NodeLost,
                };
                draft.put_pod(Pod { lifecycle, ..(*pod).clone() });
                let message = format!("node {from} is lost; another pod takes its place");
                draft.event(EventType::Warning, Subject::pod(&pod), "NodeLost", message);
            }
            Err(elsewhere) => {
                draft.report.pods.insert(pod.uid, PodWait::LostNode { node: from, elsewhere });
            }
        }
    }
}

/// The places that are found for pods which are made in the same turn.
#[derive(Default)]
pub(crate) struct Successors(Rooms);

impl Successors {
    /// Whether there is another place for a pod of this replica set; it is taken then.
    pub fn find(&mut self, world: &World, set: &ReplicaSet) -> bool {
        let found = self.0.choose(world, set);
        found.is_ok_and(|node| {
            self.0.promise(set, &node);
            true
        })
    }
}

/// Whether no other pod may do what this one does while it may still run: it has an ordinal, a node, or
/// a name that is its own.
fn is_one_of_a_kind(draft: &Draft<'_>, pod: &Pod, set: &ReplicaSet) -> bool {
    match pod.identity {
        PodIdentity::Ordinal(_) | PodIdentity::OnNode(_) => true,
        PodIdentity::Any | PodIdentity::CompletionIndex(_) => {
            let owner = draft.world.workload_by_uid(set.owner);
            owner.is_some_and(|owner| owner.declared.kind() == Kind::Pod)
        }
    }
}

fn settle(draft: &mut Draft<'_>, rooms: &mut Rooms, pod: &Pod, set: &ReplicaSet, node: NodeName) {
    rooms.placed(set, &node);
    if let Some(row) = draft.world.nodes.get(&node).filter(|_| set.template.has_claims()).cloned() {
        storage::bind(draft, pod, set, &row);
    }
    draft.tell_coming(pod, set, draft.now, Step::Scheduled, format!("on node {node}"));
    let placement = Placement::On { node, at: draft.now };
    draft.put_pod(Pod { placement, ..pod.clone() });
}
