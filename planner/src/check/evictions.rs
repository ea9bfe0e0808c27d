//! The rules of evictions: no more than a disruption budget allows, which is reckoned here from all pods of
//! a namespace, and where no person asked for it only from a node that is drained, and never a daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    DisruptionLimit, IntOrPercent, Kind, Lifecycle, ObjectId, ObjectSpec, ObjectUid, Pod,
    PodDisruptionBudget, PodPhase, Seen, StopReason, StringMap, UnhealthyPodEviction, World,
};

use super::{Checker, Violation, hundredths, identities};

impl Checker<'_> {
    pub(super) fn evictions(&mut self) {
        // Of each budget, whether all that went were beyond its protection for not being ready.
        let mut asked: BTreeMap<ObjectId, bool> = BTreeMap::new();
        for uid in self.touched.pods.clone() {
            let (before, after) = (self.before.pods.get(&uid), self.after.pods.get(&uid));
            let Some((before, after)) = before.zip(after) else { continue };
            if !before.is_active() || !is_evicted(after) {
                continue;
            }
            let after = Arc::clone(after);
            let node = after.node().and_then(|node| self.after.nodes.get(node));
            let is_drained = node.is_some_and(|node| node.draining_since().is_some());
            let is_allowed = is_asked(&after) || is_drained && !identities::is_daemon(&after);
            self.require(is_allowed, || Violation::EvictedUnasked { pod: uid });
            if has_begun(&after) {
                let budgets = covering(self.after, &after);
                let is_alone = budgets.len() < 2 || covering(self.before, &after).len() < 2;
                self.require(is_alone, || Violation::EvictedFromSeveralBudgets { pod: uid });
                for budget in budgets {
                    *asked.entry(budget).or_insert(true) &= after.ready_since().is_none();
                }
            }
        }
        for (budget, all_unhealthy) in asked {
            // What a budget asks for may have changed in this turn, before or after pods went.
            let is_kept = [self.before, self.after]
                .iter()
                .any(|world| self.is_kept(world, &budget, all_unhealthy));
            self.require(is_kept, || Violation::BudgetExceeded { budget });
        }
    }

    /// Whether a pod has not left by its workload's choice: one that was moved away in this turn left for
    /// another reason, which has rules of its own.
    pub(super) fn stayed(&self, pod: &Pod) -> bool {
        let was_active = self.before.pods.get(&pod.uid).is_some_and(|before| before.is_active());
        pod.is_active() || (was_active && is_evicted(pod))
    }

    /// Whether enough pods are healthy for a budget as it was in one of the two worlds. A pod that left in
    /// this turn for another reason may have done so after the eviction.
    fn is_kept(&self, asked: &World, id: &ObjectId, all_unhealthy: bool) -> bool {
        let Some(budget) = asked.objects.get(id).and_then(|row| row.as_budget()) else {
            return true;
        };
        if all_unhealthy && budget.unhealthy == UnhealthyPodEviction::AlwaysAllow {
            return true;
        }
        let mut healthy = 0;
        let mut pods: u64 = 0;
        let mut owners: BTreeSet<ObjectUid> = BTreeSet::new();
        let namespace = &id.key.namespace;
        for pod in self.after.pods.values().filter(|pod| pod.namespace == *namespace) {
            let Some(set) = self.after.replica_set_of(pod) else { continue };
            if !is_covered(budget, pod, &set.template.labels) {
                continue;
            }
            pods += 1;
            owners.insert(set.owner);
            let was_active =
                self.before.pods.get(&pod.uid).is_some_and(|before| before.is_active());
            let counts = pod.is_active() || (was_active && !is_evicted(pod));
            healthy += u64::from(counts && pod.ready_since().is_some());
        }
        let expected = match budget.limit {
            DisruptionLimit::MinAvailable(IntOrPercent::Int(_)) => Some(pods),
            DisruptionLimit::MinAvailable(_) | DisruptionLimit::MaxUnavailable(_) => {
                scale(asked, &owners)
            }
        };
        let Some(expected) = expected else { return false };
        // One that is not ready is beyond protection where others are ready, and not where none is.
        let is_any_left = !all_unhealthy || healthy > 0;
        is_any_left && expected > 0 && healthy >= needed(budget.limit, expected)
    }
}

/// How many of so many pods must be healthy.
fn needed(limit: DisruptionLimit, expected: u64) -> u64 {
    let share = |limit: IntOrPercent| {
        hundredths(limit, u32::try_from(expected).unwrap_or(u32::MAX)).div_ceil(100)
    };
    match limit {
        DisruptionLimit::MinAvailable(IntOrPercent::Int(pods)) => u64::from(pods),
        DisruptionLimit::MinAvailable(limit) => share(limit),
        DisruptionLimit::MaxUnavailable(limit) => expected.saturating_sub(share(limit)),
    }
}

/// How many pods these workloads ask for; nothing when one of them has no such number.
fn scale(world: &World, owners: &BTreeSet<ObjectUid>) -> Option<u64> {
    let objects = owners.iter().filter_map(|owner| world.workload_by_uid(*owner));
    let replicas = objects.map(|object| match &object.declared.spec {
        ObjectSpec::Deployment(spec) => Some(u64::from(spec.replicas)),
        ObjectSpec::StatefulSet(spec) => Some(u64::from(spec.replicas)),
        ObjectSpec::ReplicaSet(spec) => Some(u64::from(spec.replicas)),
        ObjectSpec::ReplicationController(spec) => Some(u64::from(spec.replicas)),
        ObjectSpec::Pod(_) => Some(0),
        _ => None,
    });
    replicas.sum()
}

fn covering(world: &World, pod: &Pod) -> Vec<ObjectId> {
    let Some(set) = world.replica_set_of(pod) else { return Vec::new() };
    let budgets = world.objects_of(Kind::PodDisruptionBudget);
    let budgets = budgets.filter(|row| row.declared.key.namespace == pod.namespace);
    let covering = budgets.filter(|row| {
        row.as_budget().is_some_and(|budget| is_covered(budget, pod, &set.template.labels))
    });
    covering.map(|row| row.declared.id()).collect()
}

fn is_covered(budget: &PodDisruptionBudget, pod: &Pod, labels: &StringMap) -> bool {
    let mut labels = labels.clone();
    labels.extend(pod.own_labels().into_iter().map(|(key, value)| (key.to_owned(), value)));
    budget.selector.as_ref().is_some_and(|selector| selector.matches(&labels))
}

/// Whether a pod leaves for its node's sake or at a person's wish.
pub(super) fn is_evicted(pod: &Pod) -> bool {
    matches!(leaves_for(pod), Some(StopReason::Evicted | StopReason::Asked))
}

fn is_asked(pod: &Pod) -> bool {
    leaves_for(pod) == Some(StopReason::Asked)
}

fn leaves_for(pod: &Pod) -> Option<StopReason> {
    match pod.lifecycle {
        Lifecycle::Active => None,
        Lifecycle::Draining { reason, .. } | Lifecycle::Stopping { reason, .. } => Some(reason),
    }
}

/// What has not begun can be no loss.
fn has_begun(pod: &Pod) -> bool {
    match &pod.seen {
        Seen::Absent => false,
        Seen::Known(status) => status.phase != PodPhase::Pending,
        Seen::Unknown { .. } => true,
    }
}
