//! Pruning: what left Git goes once what came serves, and in the reverse order.
//!
//! - Until the gate of its source's release opens, all of it stays (`gate`).
//! - Until everything that its source asks for is there, what serves of it stays: a workload that got
//!   another name loses no request, and a release that goes back has what it goes back to. What does not
//!   serve goes, and so do the runs of jobs.
//! - Meanwhile it makes way: for a pod of its source that has room nowhere but in its place, and for one
//!   that has its name.
//! - Then those go first that named others as ones to wait for (`dugout.dev/depends-on`).
//!
//! Where the source was never healthy there is nothing to keep, and all of it goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Baseline, BaselineRole, Change, Kind, NodeName, ObjectId, ObjectUid, Placement, Pod,
    PodIdentity, ReplicaSet, SourceName, StopReason, StoredObject, Unschedulable, World,
};

use crate::draft::Draft;
use crate::placement::Rooms;
use crate::{draining, gate, generations, jobs, replica_sets};

/// What stays of a workload that left Git.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    All,
    Serving,
    Nothing,
}

/// One look at a workload that left Git: those of its pods that nobody needs leave, and with the last of
/// them its rows go.
pub(crate) fn wind_down(draft: &mut Draft<'_>, uid: ObjectUid) {
    let stay = stay(draft, uid);
    if stay == Stay::All {
        return;
    }
    jobs::wind_down(draft, uid);
    for set in generations::oldest_first(draft, uid) {
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
            continue;
        }
        let replicas = if stay == Stay::Serving { count_kept(&draft.world, &set) } else { 0 };
        let row = Arc::new(ReplicaSet { replicas, ..(*set).clone() });
        if *set != *row {
            draft.push(Change::PutReplicaSet(Arc::clone(&row)));
        }
        replica_sets::reconcile(draft, &row, 0, Duration::ZERO, StopReason::OwnerRemoved);
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
    if draft.world.replica_sets_of(uid).next().is_none() {
        forget(draft, uid);
    }
}

/// The last of it is gone.
fn forget(draft: &mut Draft<'_>, uid: ObjectUid) {
    if draft.world.rollouts.contains_key(&uid) {
        draft.push(Change::DeleteRollout(uid));
    }
    let Some(row) = draft.world.baseline_by_uid(uid).cloned() else { return };
    let awaiting: Vec<ObjectUid> = awaiting_end_of(&draft.world, &row).collect();
    draft.dirty.woken.extend(awaiting);
    if row.role == BaselineRole::Leaving {
        draft.push(Change::DeleteBaseline(row.key()));
    }
}

fn stay(draft: &mut Draft<'_>, uid: ObjectUid) -> Stay {
    let Some(row) = draft.world.baseline_by_uid(uid).cloned() else { return Stay::Nothing };
    if draft.world.replica_sets_of(uid).next().is_none() {
        return Stay::Nothing;
    }
    let is_free = row.role == BaselineRole::Leaving;
    if !is_free && gate::holds(draft, uid, &row.source) || is_needed_by_leaving(&draft.world, &row)
    {
        Stay::All
    } else if is_free {
        Stay::Nothing
    } else {
        Stay::Serving
    }
}

/// How many pods of a replica set stay while what comes does not serve yet.
fn count_kept(world: &World, set: &ReplicaSet) -> u32 {
    let active = world.pods_of(set.uid).filter(|pod| pod.is_active());
    let serving: Vec<&Arc<Pod>> = active.filter(|pod| gate::has_served(pod)).collect();
    // Its name is asked for: a set whose pods have names of their own gives all of them back.
    if serving.iter().any(|pod| is_name_claimed(world, pod)) {
        return 0;
    }
    u32::try_from(serving.len()).unwrap_or(u32::MAX)
}

/// The object that asks for a pod of exactly this name, if there is one.
pub(crate) fn claimants<'a>(
    world: &'a World,
    pod: &Pod,
) -> impl Iterator<Item = &'a Arc<StoredObject>> + use<'a> {
    let namespace = pod.namespace.as_str();
    let bare = ObjectId::new(Kind::Pod, namespace, pod.name.as_str());
    let set = pod.name.as_str().rsplit_once('-').map(|(set, _)| set);
    let set = set.map(|set| ObjectId::new(Kind::StatefulSet, namespace, set));
    set.into_iter().chain([bare]).filter_map(|id| world.objects.get(&id))
}

fn is_name_claimed(world: &World, pod: &Pod) -> bool {
    claimants(world, pod).next().is_some()
}

/// Whether an object, as it was, is no longer asked for, and pods of it may be left.
pub(crate) fn has_left(world: &World, was: &StoredObject) -> bool {
    was.declared.spec.is_workload()
        && world.workload_by_uid(was.uid).is_none()
        && world.replica_sets_of(was.uid).next().is_some()
}

/// Whether what was kept is a workload that left Git and is not gone.
pub(crate) fn is_leaving(world: &World, row: &Baseline) -> bool {
    row.before.as_ref().is_some_and(|before| has_left(world, before))
}

/// Whether others that left Git, too, may still need this one.
fn is_needed_by_leaving(world: &World, row: &Baseline) -> bool {
    let dependents = world.earlier_dependents_of(&row.source, &row.object);
    dependents.filter_map(|other| other.before.as_ref()).any(|other| {
        has_left(world, other)
            && world.replica_sets_of(other.uid).flat_map(|set| world.pods_of(set.uid)).any(|pod| {
                // What is on a lost node may never be told to be gone.
                let node = pod.node().and_then(|node| world.nodes.get(node));
                !pod.is_finished() && node.is_some_and(|node| node.is_ready())
            })
    })
}

/// Those that left Git and may have waited for the end of this one.
pub(crate) fn awaiting_end_of<'a>(
    world: &'a World,
    row: &'a Baseline,
) -> impl Iterator<Item = ObjectUid> + 'a {
    let named = row.before.iter().flat_map(|before| &before.declared.policy.depends_on);
    let rows = named.filter_map(|id| world.baselines.get(&(row.source.clone(), id.clone())));
    rows.filter_map(|row| row.before.as_ref()).map(|before| before.uid)
}

/// Lets go what serves and left Git, where pods of its source have room nowhere else. Says whether anything
/// went.
pub(crate) fn make_way(draft: &mut Draft<'_>) -> bool {
    if draft.world.baselines.is_empty() {
        return false;
    }
    let mut in_the_way: Vec<Arc<Pod>> = Vec::new();
    for (source, waiting) in waiting_by_source(&draft.world) {
        if !gate::is_closed(&draft.world, &source) {
            in_the_way.extend(pods_in_the_way(&draft.world, &source, &waiting));
        }
    }
    for pod in &in_the_way {
        draining::leave(draft, pod, StopReason::OwnerRemoved);
    }
    !in_the_way.is_empty()
}

/// The pods that found no node and that a source still asks for, the oldest first.
fn waiting_by_source(world: &World) -> BTreeMap<SourceName, Vec<Arc<Pod>>> {
    let mut by_source: BTreeMap<SourceName, Vec<Arc<Pod>>> = BTreeMap::new();
    let untried = Placement::Waiting(Unschedulable::default());
    for pod in world.unplaced_pods().filter(|pod| pod.is_active() && pod.placement != untried) {
        let Some(set) = world.replica_set_of(pod) else { continue };
        if world.workload_by_uid(set.owner).is_some() {
            by_source.entry(set.source.clone()).or_default().push(Arc::clone(pod));
        }
    }
    for pods in by_source.values_mut() {
        pods.sort_by_key(|pod| (pod.created_at, pod.uid));
    }
    by_source
}

/// Those of the pods that left Git without which pods that wait would have a node.
fn pods_in_the_way(world: &World, source: &SourceName, waiting: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let rows = world.baselines_of(source).filter(|row| is_leaving(world, row));
    let sets = rows.filter_map(|row| row.before.as_ref());
    let sets = sets.flat_map(|before| world.replica_sets_of(before.uid));
    let (active, leaving): (Vec<Arc<Pod>>, Vec<Arc<Pod>>) =
        sets.flat_map(|set| world.pods_of(set.uid)).cloned().partition(|pod| pod.is_active());
    if active.is_empty() {
        return Vec::new();
    }
    // What leaves already makes room by itself.
    let without = |world: &World, pods: &[Arc<Pod>]| {
        let mut world = world.clone();
        pods.iter().for_each(|pod| world.apply(&Change::DeletePod(pod.uid)));
        world
    };
    let soon = without(world, &leaving);
    let (mut rooms, mut found, mut rest) = (Rooms::default(), Vec::new(), Vec::new());
    for pod in waiting {
        match room_for(&soon, &mut rooms, pod) {
            Some(room) => found.push(room),
            None => rest.push(pod),
        }
    }
    let empty = without(&soon, &active);
    let mut rooms = Rooms::default();
    for (set, node) in &found {
        rooms.promise(set, node);
    }
    let freed = rest.into_iter().filter_map(|pod| room_for(&empty, &mut rooms, pod));
    let freed: BTreeSet<NodeName> = freed.map(|(_, node)| node).collect();
    let mut active = active;
    active.retain(|pod| pod.node().is_some_and(|node| freed.contains(node)));
    active
}

/// The node that would take a pod; its room is taken then.
fn room_for(world: &World, rooms: &mut Rooms, pod: &Pod) -> Option<(Arc<ReplicaSet>, NodeName)> {
    let set = world.replica_set_of(pod)?;
    let node = match &pod.identity {
        PodIdentity::OnNode(node) => rooms.choose_only(world, set, node),
        PodIdentity::Any | PodIdentity::Ordinal(_) | PodIdentity::CompletionIndex(_) => {
            rooms.choose(world, set)
        }
    };
    let node = node.ok()?;
    rooms.promise(set, &node);
    Some((Arc::clone(set), node))
}
