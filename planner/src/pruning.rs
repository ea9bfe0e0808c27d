//! Pruning: what left Git goes once what came serves, and in the reverse order.
//!
//! - Until the gate of its source's release opens, all of it stays (`gate`).
//! - Until everything that its source asks for is there, what served of it stays: a workload that got
//!   another name loses no request, and a release that goes back has what it goes back to. What never
//!   served goes, and so do the runs of jobs.
//! - Meanwhile it makes way: for a pod of its source that has room nowhere but in its place, and for one
//!   that has its name.
//! - Then those go first that named others as ones to wait for (`dugout.dev/depends-on`).
//!
//! How far this is stands in the row that the way back needs (`Baseline`), and the verdicts over a source
//! move it on. Where a source was never healthy there is nothing to keep, and all of it goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    Baseline, BaselineRole, Change, JobUid, Kind, NodeName, ObjectId, ObjectSpec, ObjectUid,
    Placement, Pod, PodIdentity, ReplicaSet, ReplicaSetUid, Seen, SourceName, StopReason,
    StoredObject, Unschedulable, World,
};

use crate::draft::Draft;
use crate::placement::Rooms;
use crate::{PodWait, draining, gate, generations, jobs, order};

/// What stays of a workload that left Git.
#[derive(Clone, PartialEq, Eq)]
enum Stay {
    All(PodWait),
    Served,
    Nothing,
}

/// One look at a workload that left Git: those of its pods that nobody needs leave, and with the last of
/// them its rows go.
pub(crate) fn wind_down(draft: &mut Draft<'_>, uid: ObjectUid) {
    let stay = stay(draft, uid);
    let sets = generations::oldest_first(draft, uid);
    if let Stay::All(wait) = stay {
        let pods = sets.iter().flat_map(|set| draft.world.pods_of(set.uid));
        let pods: Vec<_> = pods.filter(|pod| pod.is_active()).map(|pod| pod.uid).collect();
        draft.report.pods.extend(pods.into_iter().map(|pod| (pod, wait.clone())));
        return;
    }
    // Asked before the runs are forgotten.
    let of_jobs: BTreeSet<_> =
        sets.iter().map(|set| set.uid).filter(|set| is_of_job(draft, *set)).collect();
    jobs::wind_down(draft, uid);
    for set in sets {
        let keeps = stay == Stay::Served && !of_jobs.contains(&set.uid);
        let active = draft.world.pods_of(set.uid).filter(|pod| pod.is_active());
        let (kept, others): (Vec<Arc<Pod>>, Vec<Arc<Pod>>) =
            active.cloned().partition(|pod| keeps && is_kept(&draft.world, pod));
        let replicas = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        if set.replicas != replicas {
            draft.push(Change::PutReplicaSet(Arc::new(ReplicaSet { replicas, ..(*set).clone() })));
        }
        for pod in others {
            draining::leave(draft, &pod, StopReason::OwnerRemoved);
        }
        draft.report.pods.extend(kept.iter().map(|pod| (pod.uid, PodWait::Release)));
        if draft.world.pods_of(set.uid).next().is_none() {
            draft.push(Change::DeleteReplicaSet(set.uid));
        }
    }
    if draft.world.replica_sets_of(uid).next().is_none() {
        forget(draft, uid);
    }
}

fn is_of_job(draft: &Draft<'_>, set: ReplicaSetUid) -> bool {
    draft.world.jobs.contains_key(&JobUid(set.0))
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
        Stay::Nothing
    } else if row.role != BaselineRole::Leaving && gate::holds(draft, uid, &row.source) {
        Stay::All(PodWait::Release)
    } else if row.serves(uid) {
        Stay::Served
    } else if is_needed_by_leaving(&draft.world, &row) {
        Stay::All(PodWait::Dependents)
    } else {
        Stay::Nothing
    }
}

/// Whether a pod stays while what comes does not serve yet: it has served, even if it just does not, and
/// nobody who may begin asks for its name.
fn is_kept(world: &World, pod: &Pod) -> bool {
    let status = match &pod.seen {
        Seen::Absent => None,
        Seen::Known(status) => Some(status),
        Seen::Unknown { last, .. } => last.as_ref(),
    };
    // An agent that starts anew knows no milestones of before.
    let has_served = status
        .is_some_and(|status| status.ready_since.is_some() || status.milestones.ready_at.is_some());
    has_served && !pod.is_finished() && !claimants(world, pod).any(|one| may_begin(world, one))
}

/// Whether a claimant could do something with the name: not while it waits for others.
fn may_begin(world: &World, claimant: &StoredObject) -> bool {
    order::waits_for(world, claimant).is_none()
}

/// The objects that ask for a pod of exactly this name.
pub(crate) fn claimants<'a>(
    world: &'a World,
    pod: &Pod,
) -> impl Iterator<Item = &'a Arc<StoredObject>> + use<'a> {
    let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
    let bare = world.objects.get(&ObjectId::new(Kind::Pod, namespace, name));
    let set = name.rsplit_once('-').and_then(|(set, ordinal)| {
        let ordinal: u32 = ordinal.parse().ok()?;
        let set = world.objects.get(&ObjectId::new(Kind::StatefulSet, namespace, set))?;
        let ObjectSpec::StatefulSet(spec) = &set.declared.spec else { return None };
        let ordinals = spec.first_ordinal..spec.first_ordinal.saturating_add(spec.replicas);
        ordinals.contains(&ordinal).then_some(set)
    });
    bare.into_iter().chain(set)
}

/// Whether an object, as it was, is no longer asked for, and pods of it may be left.
pub(crate) fn has_left(world: &World, was: &StoredObject) -> bool {
    was.declared.spec.is_workload()
        && world.workload_by_uid(was.uid).is_none()
        && world.replica_sets_of(was.uid).next().is_some()
}

/// What comes back under this name and was not gone: it goes on as what it was.
pub(crate) fn to_go_on(
    world: &World,
    source: &SourceName,
    id: &ObjectId,
) -> Option<Arc<StoredObject>> {
    let row = world.baselines.get(&(source.clone(), id.clone()))?;
    row.forms().find(|form| is_in_the_books(world, row, form)).cloned()
}

/// Whether pods of it are left, or what it has done is still known, because it may be gone back to.
fn is_in_the_books(world: &World, row: &Baseline, form: &StoredObject) -> bool {
    let uid = form.uid;
    let is_known = world.jobs_of(uid).next().is_some()
        || world.schedules.contains_key(&uid)
        || world.rollouts.contains_key(&uid);
    has_left(world, form)
        || row.role.is_gone_back_to() && is_known && world.workload_by_uid(uid).is_none()
}

/// Whether others that left Git, too, may still need this one.
fn is_needed_by_leaving(world: &World, row: &Baseline) -> bool {
    let dependents = world.earlier_dependents_of(&row.source, &row.object);
    dependents.flat_map(|other| other.forms()).any(|other| {
        has_left(world, other)
            && other.declared.policy.depends_on.contains(&row.object)
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
    let named = row.forms().flat_map(|form| &form.declared.policy.depends_on);
    let rows = named.filter_map(|id| world.baselines.get(&(row.source.clone(), id.clone())));
    rows.flat_map(|row| row.forms()).map(|form| form.uid)
}

/// Lets go what served and left Git, where pods of its source have room nowhere else. Says whether anything
/// went.
pub(crate) fn make_way(draft: &mut Draft<'_>) -> bool {
    let world = &draft.world;
    if world.baselines.is_empty() {
        return false;
    }
    let waiting = waiting(world);
    let sources: BTreeSet<&SourceName> =
        waiting.iter().map(|waiting| &waiting.set.source).collect();
    let sources = sources.into_iter().filter(|source| !gate::is_closed(world, source));
    let in_the_way: Vec<Arc<Pod>> =
        sources.flat_map(|source| pods_in_the_way(world, source, &waiting)).collect();
    for pod in &in_the_way {
        draining::leave(draft, pod, StopReason::OwnerRemoved);
    }
    !in_the_way.is_empty()
}

/// A pod that found no node and is still asked for.
struct Waiting {
    pod: Arc<Pod>,
    set: Arc<ReplicaSet>,
}

/// All of them, the oldest first: the order in which they are placed.
fn waiting(world: &World) -> Vec<Waiting> {
    let untried = Placement::Waiting(Unschedulable::default());
    let tried = world.unplaced_pods().filter(|pod| pod.is_active() && pod.placement != untried);
    let asked_for = tried.filter_map(|pod| {
        let set = world.replica_set_of(pod)?;
        world.workload_by_uid(set.owner)?;
        Some(Waiting { pod: Arc::clone(pod), set: Arc::clone(set) })
    });
    let mut waiting: Vec<Waiting> = asked_for.collect();
    waiting.sort_by_key(|waiting| (waiting.pod.created_at, waiting.pod.uid));
    waiting
}

/// Those of the pods that left Git without which pods of their source that wait would have a node.
fn pods_in_the_way(world: &World, source: &SourceName, waiting: &[Waiting]) -> Vec<Arc<Pod>> {
    let forms = world.baselines_of(source).flat_map(|row| row.forms());
    let forms: BTreeSet<ObjectUid> =
        forms.filter(|form| has_left(world, form)).map(|form| form.uid).collect();
    let sets = forms.iter().flat_map(|uid| world.replica_sets_of(*uid));
    let pods: Vec<&Arc<Pod>> = sets.flat_map(|set| world.pods_of(set.uid)).collect();
    let mut left: BTreeMap<NodeName, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.is_active()) {
        if let Some(node) = pod.node() {
            left.entry(node.clone()).or_default().push(Arc::clone(pod));
        }
    }
    if left.is_empty() {
        return Vec::new();
    }
    // What leaves makes room by itself.
    let on_nodes = left.keys().flat_map(|node| world.pods_on(node));
    let going = pods.into_iter().chain(on_nodes).filter(|pod| !pod.is_active());
    let mut soon = world.clone();
    going.for_each(|pod| soon.apply(&Change::DeletePod(pod.uid)));
    let mut without = soon.clone();
    left.values().flatten().for_each(|pod| without.apply(&Change::DeletePod(pod.uid)));

    let (mut rooms, mut without_rooms) = (Rooms::default(), Rooms::default());
    let mut rest: Vec<&Waiting> = Vec::new();
    for waiting in waiting {
        match room_for(&soon, &mut rooms, waiting) {
            Some(node) => without_rooms.promise(&waiting.set, &node),
            None => rest.push(waiting),
        }
    }
    let mut in_the_way = Vec::new();
    for waiting in rest {
        let Some(node) = room_for(&without, &mut without_rooms, waiting) else { continue };
        if waiting.set.source != *source {
            continue;
        }
        // No more of them than are in the way, and none in vain.
        let mut freed = soon.clone();
        let mut gone = 0;
        let candidates = left.get(&node).map_or(&[][..], Vec::as_slice);
        while rooms.choose_only(&freed, &waiting.set, &waiting.pod.name, &node).is_err()
            && gone < candidates.len()
        {
            freed.apply(&Change::DeletePod(candidates[gone].uid));
            gone += 1;
        }
        if rooms.choose_only(&freed, &waiting.set, &waiting.pod.name, &node).is_ok() {
            soon = freed;
            rooms.promise(&waiting.set, &node);
            if let Some(candidates) = left.get_mut(&node) {
                in_the_way.extend(candidates.drain(..gone));
            }
        }
    }
    in_the_way
}

/// The node that would take a pod; its room is taken then.
fn room_for(world: &World, rooms: &mut Rooms, waiting: &Waiting) -> Option<NodeName> {
    let Waiting { pod, set } = waiting;
    let node = match &pod.identity {
        PodIdentity::OnNode(node) => rooms.choose_only(world, set, &pod.name, node),
        PodIdentity::Any | PodIdentity::Ordinal(_) | PodIdentity::CompletionIndex(_) => {
            rooms.choose_for(world, set, Some(&pod.name))
        }
    };
    let node = node.ok()?;
    rooms.promise(set, &node);
    Some(node)
}
