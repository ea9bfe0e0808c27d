//! Evictions: what a node that is drained has leaves it, as far as disruption budgets allow.
//!
//! A pod of a Deployment that serves has a successor that serves before it leaves, as far as the strategy's
//! `maxSurge` and the room on other nodes allow: so one replica without a budget loses no request, and a
//! budget that lets none go can still be kept. Where that is not possible it leaves first and its successor
//! comes at once, as it is with every other kind and in Kubernetes. One that does not serve is no loss.
//!
//! While a rollout is under way its own steps decide which pods leave, and the drain waits for its end. So it
//! does for a release that took a workload out of Git whose pods serve until what comes does (`pruning`).
//! Nothing is ever moved by force. A node that is not ready is left alone: what it runs is not known.
//!
//! This is the last stage of a round: what moved has its workload looked at again in the same turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Deployment, DrainWait, EventType, NodeName, ObjectUid, Pod, ReplicaSet, StopReason,
    StoredObject, Timestamp,
};

use crate::draft::Draft;
use crate::placement::Successors;
use crate::records::Subject;
use crate::rolling::Bounds;
use crate::{PodWait, draining, replica_sets};

/// How often what moved may lead to more in one turn. What is left then comes in the next turn.
pub(crate) const ROUNDS: usize = 16;

/// Moves what may be moved now; says whether workloads are to be looked at again.
pub(crate) fn evict(draft: &mut Draft<'_>) -> bool {
    if !std::mem::take(&mut draft.dirty.evictions) || draft.world.draining_nodes().next().is_none()
    {
        return false;
    }
    draft.dirty.drains = true;
    let mut successors = Successors::default();
    for (owner, pods) in displaced(draft) {
        let mut group = Group::of(draft, owner, &pods);
        for pod in pods {
            let step = group.next_step(draft, &mut successors, &pod);
            group.perform(draft, &pod, step);
        }
    }
    !(draft.dirty.workloads.is_empty() && draft.dirty.woken.is_empty())
}

/// The pods that have to leave drained nodes, by workload, and the oldest first.
fn displaced(draft: &Draft<'_>) -> BTreeMap<ObjectUid, Vec<Arc<Pod>>> {
    let mut groups: BTreeMap<ObjectUid, Vec<Arc<Pod>>> = BTreeMap::new();
    let pods = draft.world.draining_nodes().flat_map(|node| draft.world.pods_on(&node.name));
    for pod in pods.filter(|pod| draft.world.is_displaced(pod)) {
        if let Some(set) = draft.world.replica_set_of(pod) {
            groups.entry(set.owner).or_default().push(Arc::clone(pod));
        }
    }
    for pods in groups.values_mut() {
        pods.sort_by_key(|pod| (pod.created_at, pod.uid));
    }
    groups
}

/// What happens to a pod now.
enum Next {
    Leave,
    /// A successor is made beside it.
    Replace,
    Wait(DrainWait),
}

/// How the pods of one workload leave.
enum Group {
    /// As budgets allow.
    Plain,
    /// After the rollout.
    Rolling,
    /// Those of this replica set after their successors serve.
    Replaced(Surge),
}

/// The pods of a Deployment's current replica set while some of them are moved.
struct Surge {
    set: Arc<ReplicaSet>,
    /// How many pods the Deployment may have at most, and has.
    most: u32,
    active: u32,
    /// Pods of the set that have to leave.
    displaced: i64,
    /// Pods beyond those that it shall have: successors.
    extra: i64,
    /// Of those that have to leave or came since the drain began, how many are not available: a successor
    /// that stands on another drained node takes nobody's place before it serves, either.
    pending: i64,
    /// Of these, those that have their place.
    starting: i64,
    began: Option<Timestamp>,
    min_ready: Duration,
}

impl Group {
    fn of(draft: &Draft<'_>, owner: ObjectUid, pods: &[Arc<Pod>]) -> Self {
        let deployment = pods.first().and_then(|pod| draft.world.deployment_of(pod));
        let Some((object, spec)) = deployment else { return Group::Plain };
        if draft.world.is_rolling(object) {
            return if spec.paused { Group::Plain } else { Group::Rolling };
        }
        match draft.world.current_replica_set(owner) {
            Some(set) => Group::Replaced(Surge::of(draft, object, spec, set, pods)),
            None => Group::Plain,
        }
    }

    fn next_step(
        &mut self,
        draft: &Draft<'_>,
        successors: &mut Successors,
        pod: &Arc<Pod>,
    ) -> Next {
        match self {
            Group::Plain if draft.world.goes_with_release(pod) => Next::Wait(DrainWait::Release),
            Group::Rolling if serves(pod) => Next::Wait(DrainWait::Rollout),
            Group::Replaced(surge) if serves(pod) && surge.set.uid == pod.replica_set => {
                surge.next_step(draft, successors, pod)
            }
            Group::Plain | Group::Rolling | Group::Replaced(_) => as_budgets_allow(draft, pod),
        }
    }

    fn perform(&mut self, draft: &mut Draft<'_>, pod: &Arc<Pod>, step: Next) {
        match (step, self) {
            (Next::Wait(wait), _) => {
                draft.report.pods.insert(pod.uid, PodWait::Eviction(wait));
            }
            (Next::Leave, group) => {
                if let Group::Replaced(surge) = group {
                    surge.left(draft, pod);
                }
                let node = pod.node().map(ToString::to_string).unwrap_or_default();
                let message = format!("node {node} is drained");
                draft.event(EventType::Normal, Subject::pod(pod), "Evicted", message);
                draining::leave(draft, pod, StopReason::Evicted);
            }
            (Next::Replace, Group::Replaced(surge)) => {
                surge.active += 1;
                surge.extra += 1;
                surge.pending += 1;
                surge.starting += 1;
                let successor = replica_sets::make_pod(draft, &surge.set);
                draft.put_pod(successor);
                let wait = PodWait::Eviction(DrainWait::Replacement);
                draft.report.pods.insert(pod.uid, wait);
            }
            (Next::Replace, Group::Plain | Group::Rolling) => {}
        }
    }
}

impl Surge {
    fn of(
        draft: &Draft<'_>,
        object: &StoredObject,
        spec: &Deployment,
        set: &Arc<ReplicaSet>,
        leaving: &[Arc<Pod>],
    ) -> Self {
        let began = leaving.iter().filter_map(|pod| drained_since(draft, pod)).min();
        let counts = draft.world.pod_counts(object.uid, None, spec.min_ready, draft.now);
        let mut surge = Surge {
            set: Arc::clone(set),
            most: Bounds::of(&spec.strategy, spec.replicas).most(),
            active: counts.replicas,
            displaced: 0,
            extra: -i64::from(set.replicas),
            pending: 0,
            starting: 0,
            began,
            min_ready: spec.min_ready,
        };
        for pod in draft.world.pods_of(set.uid).filter(|pod| pod.is_active()) {
            surge.count(draft, pod, 1);
        }
        surge
    }

    /// Counts a pod of the set, or takes it out again.
    fn count(&mut self, draft: &Draft<'_>, pod: &Pod, sign: i64) {
        let is_displaced = draft.world.is_displaced(pod);
        self.extra += sign;
        self.displaced += sign * i64::from(is_displaced);
        let is_new = self.began.is_some_and(|began| pod.created_at >= began);
        if (is_displaced || is_new) && !pod.is_available(self.min_ready, draft.now) {
            self.pending += sign;
            self.starting += sign * i64::from(pod.node().is_some());
        }
    }

    fn left(&mut self, draft: &Draft<'_>, pod: &Pod) {
        self.active = self.active.saturating_sub(1);
        if pod.replica_set == self.set.uid {
            self.count(draft, pod, -1);
        }
    }

    fn next_step(&self, draft: &Draft<'_>, successors: &mut Successors, pod: &Arc<Pod>) -> Next {
        if self.extra > self.pending {
            return as_budgets_allow(draft, pod);
        }
        if let Err(hold) = draft.world.may_evict_with(pod, 1) {
            return Next::Wait(DrainWait::Held(hold));
        }
        let may_surge = self.extra < self.displaced && self.active < self.most;
        if may_surge && successors.find(&draft.world, &self.set) {
            return Next::Replace;
        }
        if self.starting > 0 {
            return Next::Wait(DrainWait::Replacement);
        }
        as_budgets_allow(draft, pod)
    }
}

fn as_budgets_allow(draft: &Draft<'_>, pod: &Pod) -> Next {
    match draft.world.may_evict(pod) {
        Ok(()) => Next::Leave,
        Err(hold) => Next::Wait(DrainWait::Held(hold)),
    }
}

fn serves(pod: &Pod) -> bool {
    pod.ready_since().is_some()
}

fn drained_since(draft: &Draft<'_>, pod: &Pod) -> Option<Timestamp> {
    draft.world.nodes.get(pod.node()?)?.draining_since()
}

/// How many pods beyond its number a replica set keeps as successors of those that are moved.
pub(crate) fn successors_kept(draft: &Draft<'_>, object: &StoredObject, set: &ReplicaSet) -> u32 {
    let Some(spec) = object.as_deployment() else { return 0 };
    if draft.world.draining_nodes().next().is_none() || draft.world.is_rolling(object) {
        return 0;
    }
    let current = draft.world.current_replica_set(object.uid);
    if current.is_none_or(|current| current.uid != set.uid) {
        return 0;
    }
    let pods = draft.world.pods_of(set.uid);
    let displaced = pods.filter(|pod| draft.world.is_displaced(pod)).count();
    let others = draft.world.replica_sets_of(object.uid).filter(|other| other.uid != set.uid);
    let asked = others.fold(set.replicas, |sum, other| sum.saturating_add(other.replicas));
    let free = Bounds::of(&spec.strategy, spec.replicas).most().saturating_sub(asked);
    u32::try_from(displaced).unwrap_or(u32::MAX).min(free)
}

/// Tells which pods a drain that began in this turn could not move, and which nodes are rid of all.
pub(crate) fn tell(draft: &mut Draft<'_>) {
    if !std::mem::take(&mut draft.dirty.drains) {
        return;
    }
    let names: Vec<NodeName> = draft.world.draining_nodes().map(|node| node.name.clone()).collect();
    for name in names {
        let before = draft.before.nodes.get(&name);
        let is_new = before.is_none_or(|before| before.draining_since().is_none());
        if is_new {
            tell_held(draft, &name);
        }
        let had_any = is_new || draft.before.pods_to_drain(&name).next().is_some();
        if had_any && draft.world.pods_to_drain(&name).next().is_none() {
            let Some(node) = draft.world.nodes.get(&name).cloned() else { continue };
            let message = "no pod is left on it but those of daemon sets";
            draft.event(EventType::Normal, Subject::node(&node), "Drained", message);
        }
    }
}

fn tell_held(draft: &mut Draft<'_>, node: &NodeName) {
    let pods: Vec<Arc<Pod>> = draft.world.pods_to_drain(node).cloned().collect();
    for pod in pods {
        if let Some(PodWait::Eviction(DrainWait::Held(hold))) = draft.report.pods.get(&pod.uid) {
            let message = format!("it stays on node {node} for now: {hold}");
            draft.event(EventType::Warning, Subject::pod(&pod), "DisruptionBudget", message);
        }
    }
}
