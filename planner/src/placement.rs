//! Which node runs a pod.
//!
//! Filters say where a pod cannot go, and why; a score says where it would rather be: away from its
//! siblings first, then where most is left, and by name where all is equal. "Cannot" and "would rather
//! not" never mix.
//!
//! A pod on a lost node gives up its place only if another node can take it now, and both happen in
//! one turn: when the only node is silent for a while, nothing is started anew for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    EventType, Kind, Lifecycle, Node, NodeFilter, NodeName, ObjectUid, Placement, Pod, PodIdentity,
    ReplicaSet, ReplicaSetUid, Resources, Step, StopReason, Unschedulable, World, labels_contain,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::{PodWait, Work, replica_sets};

/// Places the pods that wait, oldest first, then those whose node is lost.
pub(crate) fn place(draft: &mut Draft<'_>) {
    if !std::mem::take(&mut draft.dirty.placement) {
        return;
    }
    let waiting = oldest_first(draft.world.unplaced_pods());
    let lost_nodes = draft.world.nodes.values().filter(|node| !node.is_ready());
    let lost = oldest_first(lost_nodes.flat_map(|node| draft.world.pods_on(&node.name)));
    if !(waiting.is_empty() && lost.is_empty()) {
        let mut rooms = Rooms::of(&draft.world);
        for pod in waiting {
            place_waiting(draft, &mut rooms, &pod);
        }
        for pod in lost.iter().filter(|pod| pod.is_at_work()) {
            replace_lost(draft, &mut rooms, pod);
        }
    }
    draft.done(Work::Placement, None);
}

fn oldest_first<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<Arc<Pod>> {
    let mut pods: Vec<Arc<Pod>> = pods.cloned().collect();
    pods.sort_by_key(|pod| (pod.created_at, pod.uid));
    pods
}

fn place_waiting(draft: &mut Draft<'_>, rooms: &mut Rooms, pod: &Pod) {
    let Some(set) = draft.replica_set_of(pod) else { return };
    let choice = match &pod.identity {
        PodIdentity::OnNode(node) => rooms.choose_only(&draft.world, &set, node),
        PodIdentity::Any | PodIdentity::Ordinal(_) | PodIdentity::CompletionIndex(_) => {
            rooms.choose(&draft.world, &set)
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
    if is_given_up_by_owner(draft, lost) {
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
        draft.world.replica_set_of(pod).and_then(|set| draft.world.object_by_uid(set.owner));
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
    let lost = draft.world.nodes.values().filter(|node| !node.is_ready());
    let pods = lost.flat_map(|node| draft.world.pods_on(&node.name)).filter(|pod| pod.is_active());
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
    let mut rooms = Rooms::of(&draft.world);
    for pod in pods {
        let Some(from) = pod.node().cloned() else { continue };
        match rooms.choose(&draft.world, set) {
            Ok(node) => {
                rooms.take(set, &node);
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

/// Whether no other pod may do what this one does while it may still run: it has an ordinal, a node, or
/// a name that is its own.
fn is_one_of_a_kind(draft: &Draft<'_>, pod: &Pod, set: &ReplicaSet) -> bool {
    match pod.identity {
        PodIdentity::Ordinal(_) | PodIdentity::OnNode(_) => true,
        PodIdentity::Any | PodIdentity::CompletionIndex(_) => {
            let owner = draft.world.object_by_uid(set.owner);
            owner.is_some_and(|owner| owner.declared.kind() == Kind::Pod)
        }
    }
}

fn settle(draft: &mut Draft<'_>, rooms: &mut Rooms, pod: &Pod, set: &ReplicaSet, node: NodeName) {
    rooms.take(set, &node);
    draft.tell_coming(pod, set, draft.now, Step::Scheduled, format!("on node {node}"));
    let placement = Placement::On { node, at: draft.now };
    draft.put_pod(Pod { placement, ..pod.clone() });
}

/// How much a node is preferred; the lowest wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Pods of the same replica set there.
    siblings: u32,
    /// Pods of the same deployment there.
    relatives: u32,
    /// The scarcest resource's use with the pod there, in millionths.
    use_after: u64,
    node: NodeName,
}

/// What is left on each node, kept up to date while pods are placed.
struct Rooms {
    nodes: BTreeMap<NodeName, Room>,
    /// Active pods of the sets and deployments that were asked for, by node.
    siblings: BTreeMap<ReplicaSetUid, BTreeMap<NodeName, u32>>,
    relatives: BTreeMap<ObjectUid, BTreeMap<NodeName, u32>>,
}

struct Room {
    node: Arc<Node>,
    /// Of every pod that has neither ended nor was reported gone, also those that leave.
    reserved: Resources,
}

impl Rooms {
    fn of(world: &World) -> Self {
        let room = |node: &Arc<Node>| {
            let requests = world
                .pods_on(&node.name)
                .filter(|pod| !pod.is_finished())
                .filter_map(|pod| world.replica_set_of(pod))
                .map(|set| set.template.requests());
            let reserved = requests.fold(Resources::default(), Resources::plus);
            (node.name.clone(), Room { node: Arc::clone(node), reserved })
        };
        Self {
            nodes: world.nodes.values().map(room).collect(),
            siblings: BTreeMap::new(),
            relatives: BTreeMap::new(),
        }
    }

    /// The best node for a pod of a replica set, or how many nodes each filter removed.
    fn choose(&mut self, world: &World, set: &ReplicaSet) -> Result<NodeName, Unschedulable> {
        self.count_family(world, set);
        let requests = set.template.requests();
        let mut best: Option<Score> = None;
        let mut why = Unschedulable::default();
        for room in self.nodes.values() {
            if let Some(filter) = room.refuses(set, requests) {
                *why.removed.entry(filter).or_default() += 1;
                continue;
            }
            let score = self.score(room, set, requests);
            if best.as_ref().is_none_or(|best| score < *best) {
                best = Some(score);
            }
        }
        best.map(|best| best.node).ok_or(why)
    }

    /// This node for a daemon's pod, or why it cannot take it. A cordoned one takes it: nothing else
    /// can do its work there.
    fn choose_only(
        &mut self,
        world: &World,
        set: &ReplicaSet,
        node: &NodeName,
    ) -> Result<NodeName, Unschedulable> {
        self.count_family(world, set);
        let Some(room) = self.nodes.get(node) else { return Err(Unschedulable::default()) };
        let schedulable = Node { unschedulable: false, ..(*room.node).clone() };
        let room = Room { node: Arc::new(schedulable), reserved: room.reserved };
        match room.refuses(set, set.template.requests()) {
            None => Ok(node.clone()),
            Some(filter) => Err(Unschedulable { removed: BTreeMap::from([(filter, 1)]) }),
        }
    }

    fn score(&self, room: &Room, set: &ReplicaSet, requests: Resources) -> Score {
        let name = &room.node.name;
        let count = |family: Option<&BTreeMap<NodeName, u32>>| {
            family.and_then(|family| family.get(name)).copied().unwrap_or(0)
        };
        Score {
            siblings: count(self.siblings.get(&set.uid)),
            relatives: count(self.relatives.get(&set.owner)),
            use_after: scarcest_use(room.reserved.plus(requests), room.node.capacity),
            node: name.clone(),
        }
    }

    /// Counts, once for each, where the active pods of a set and of its deployment are.
    fn count_family(&mut self, world: &World, set: &ReplicaSet) {
        self.siblings.entry(set.uid).or_insert_with(|| by_node(world, [set.uid]));
        self.relatives
            .entry(set.owner)
            .or_insert_with(|| by_node(world, world.replica_sets_of(set.owner).map(|set| set.uid)));
    }

    /// Reserves a node's room for a pod of a replica set.
    fn take(&mut self, set: &ReplicaSet, node: &NodeName) {
        if let Some(room) = self.nodes.get_mut(node) {
            room.reserved = room.reserved.plus(set.template.requests());
        }
        for family in self.families(set) {
            *family.entry(node.clone()).or_default() += 1;
        }
    }

    fn forget_sibling(&mut self, set: &ReplicaSet, node: &NodeName) {
        for family in self.families(set) {
            if let Some(count) = family.get_mut(node) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn families(&mut self, set: &ReplicaSet) -> impl Iterator<Item = &mut BTreeMap<NodeName, u32>> {
        let siblings = self.siblings.get_mut(&set.uid);
        siblings.into_iter().chain(self.relatives.get_mut(&set.owner))
    }
}

impl Room {
    /// The first reason why the node cannot take a pod.
    fn refuses(&self, set: &ReplicaSet, requests: Resources) -> Option<NodeFilter> {
        let left = self.node.capacity.minus(self.reserved);
        let rules = [
            (!self.node.is_ready(), NodeFilter::NotReady),
            (self.node.unschedulable, NodeFilter::Cordoned),
            (
                !labels_contain(&self.node.labels, &set.template.node_selector),
                NodeFilter::NodeSelector,
            ),
            (requests.cpu_millis > left.cpu_millis, NodeFilter::InsufficientCpu),
            (requests.memory_bytes > left.memory_bytes, NodeFilter::InsufficientMemory),
            (requests.pods > left.pods, NodeFilter::TooManyPods),
        ];
        rules.into_iter().find(|(refused, _)| *refused).map(|(_, filter)| filter)
    }
}

fn by_node(
    world: &World,
    sets: impl IntoIterator<Item = ReplicaSetUid>,
) -> BTreeMap<NodeName, u32> {
    let mut counts = BTreeMap::new();
    for set in sets {
        let pods = world.pods_of(set).filter(|pod| pod.is_at_work());
        for pod in pods {
            if let Some(node) = pod.node() {
                *counts.entry(node.clone()).or_default() += 1;
            }
        }
    }
    counts
}

fn scarcest_use(used: Resources, capacity: Resources) -> u64 {
    let share = |used: u64, capacity: u64| match capacity {
        0 if used == 0 => 0,
        0 => 1_000_000,
        _ => u64::try_from(u128::from(used) * 1_000_000 / u128::from(capacity)).unwrap_or(u64::MAX),
    };
    let shares = [
        share(used.cpu_millis, capacity.cpu_millis),
        share(used.memory_bytes, capacity.memory_bytes),
        share(used.pods, capacity.pods),
    ];
    shares.into_iter().max().unwrap_or(0)
}
