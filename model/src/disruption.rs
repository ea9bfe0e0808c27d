//! Disruption budgets: how many pods may be missing because somebody moves them away, in numbers as
//! Kubernetes' disruption controller and its eviction API have them.
//!
//! What a budget comes to is computed from the world and never stored. The world counts the pods of each
//! budget as they change, so that a question costs what the budget says and not how many pods there are.

use std::collections::BTreeSet;
use std::fmt;

use imbl::OrdMap;

use crate::{
    IntOrPercent, Kind, LabelSelector, ObjectId, ObjectKey, ObjectName, ObjectSpec, Pod, PodPhase,
    ReplicaSetUid, Seen, StoredObject, StringMap, World,
};

/// A `policy/v1` PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodDisruptionBudget {
    /// The pods of its namespace that it counts. An empty selector means all of them, none at all means
    /// no pod.
    pub selector: Option<LabelSelector>,
    pub limit: DisruptionLimit,
    pub unhealthy: UnhealthyPodEviction,
}

/// How many pods must stay. A percentage is of the pods that their workloads ask for, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisruptionLimit {
    MinAvailable(IntOrPercent),
    MaxUnavailable(IntOrPercent),
}

/// Whether a pod that is not ready may be moved away although the budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum UnhealthyPodEviction {
    /// When as many others are ready as must be.
    #[default]
    IfHealthyBudget,
    AlwaysAllow,
}

impl PodDisruptionBudget {
    fn covers(&self, labels: &StringMap) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// What a budget comes to now, as `status` of a PodDisruptionBudget has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetStatus {
    pub expected_pods: u32,
    /// Ready, and not leaving.
    pub current_healthy: u32,
    pub desired_healthy: u32,
    pub disruptions_allowed: u32,
    /// A workload with no number of replicas of which a percentage could be taken, where one is needed:
    /// nothing may go then.
    pub no_scale: Option<ObjectId>,
}

/// Why a pod may not be moved away now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionHold {
    /// Its budget is used up.
    Budget { budget: ObjectKey, needed: u32, healthy: u32 },
    /// Its budget asks for a share of what has no number of replicas.
    NoScale { budget: ObjectKey, workload: ObjectId },
    /// It is in more than one budget, which Kubernetes does not support either.
    SeveralBudgets(Vec<ObjectName>),
}

impl fmt::Display for EvictionHold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvictionHold::Budget { budget, needed, healthy } => write!(
                out,
                "the disruption budget {} needs {needed} healthy pods and has {healthy} currently",
                budget.name
            ),
            EvictionHold::NoScale { budget, workload } => write!(
                out,
                "the disruption budget {} counts pods of {workload}, which has no number of \
                 replicas; give it a minAvailable that is a number",
                budget.name
            ),
            EvictionHold::SeveralBudgets(budgets) => {
                let names: Vec<&str> = budgets.iter().map(ObjectName::as_str).collect();
                write!(
                    out,
                    "it is in more than one disruption budget ({}); leave it in one of them",
                    names.join(", ")
                )
            }
        }
    }
}

/// The pods that a budget covers, counted as they come, change and go.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct CoveredPods {
    healthy: u32,
    by_replica_set: OrdMap<ReplicaSetUid, u32>,
}

impl CoveredPods {
    pub fn add(&mut self, pod: &Pod) {
        self.healthy += u32::from(is_healthy(pod));
        let count = self.by_replica_set.get(&pod.replica_set).copied().unwrap_or(0);
        self.by_replica_set.insert(pod.replica_set, count + 1);
    }

    /// Takes out what was added before.
    pub fn remove(&mut self, pod: &Pod) {
        self.healthy = self.healthy.saturating_sub(u32::from(is_healthy(pod)));
        match self.by_replica_set.get(&pod.replica_set).copied() {
            None | Some(0 | 1) => self.by_replica_set.remove(&pod.replica_set),
            Some(count) => self.by_replica_set.insert(pod.replica_set, count - 1),
        };
    }

    fn pods(&self) -> u32 {
        self.by_replica_set.values().sum()
    }
}

fn is_healthy(pod: &Pod) -> bool {
    pod.is_active() && pod.ready_since().is_some()
}

/// Whether an eviction ends nothing that a budget could protect: it ended, leaves or has not begun.
fn is_beyond_budgets(pod: &Pod) -> bool {
    let has_begun = match &pod.seen {
        Seen::Absent => false,
        Seen::Known(status) => status.phase != PodPhase::Pending,
        Seen::Unknown { .. } => true,
    };
    !pod.is_at_work() || !has_begun
}

impl World {
    /// What a budget comes to now; absent for another kind of object.
    pub fn budget_status(&self, object: &StoredObject) -> Option<BudgetStatus> {
        self.budget_status_with(object, 0)
    }

    /// The same, as if so many more of its pods were healthy.
    fn budget_status_with(&self, object: &StoredObject, more: u32) -> Option<BudgetStatus> {
        let budget = object.as_budget()?;
        let covered = self.covered_by(object.uid).cloned().unwrap_or_default();
        let current_healthy = covered.healthy.saturating_add(more);
        let (expected_pods, desired_healthy) = match self.expected(budget, &covered) {
            Ok(numbers) => numbers,
            Err(workload) => {
                let pods = covered.pods();
                return Some(BudgetStatus {
                    expected_pods: pods,
                    current_healthy,
                    desired_healthy: pods,
                    disruptions_allowed: 0,
                    no_scale: Some(workload),
                });
            }
        };
        let allowed = if expected_pods == 0 { 0 } else { current_healthy };
        Some(BudgetStatus {
            expected_pods,
            current_healthy,
            desired_healthy,
            disruptions_allowed: allowed.saturating_sub(desired_healthy),
            no_scale: None,
        })
    }

    /// How many pods there shall be and how many must be healthy; or the workload that does not say.
    fn expected(
        &self,
        budget: &PodDisruptionBudget,
        covered: &CoveredPods,
    ) -> Result<(u32, u32), ObjectId> {
        match budget.limit {
            DisruptionLimit::MinAvailable(IntOrPercent::Int(pods)) => Ok((covered.pods(), pods)),
            DisruptionLimit::MinAvailable(share @ IntOrPercent::Percent(_)) => {
                let scale = self.scale_of(covered)?;
                Ok((scale, share.rounded_up(scale)))
            }
            DisruptionLimit::MaxUnavailable(limit) => {
                let scale = self.scale_of(covered)?;
                Ok((scale, scale.saturating_sub(limit.rounded_up(scale))))
            }
        }
    }

    /// The sum of what the workloads of these pods ask for. A bare pod has none and counts nothing.
    fn scale_of(&self, covered: &CoveredPods) -> Result<u32, ObjectId> {
        let sets = covered.by_replica_set.keys().filter_map(|uid| self.replica_sets.get(uid));
        let owners: BTreeSet<_> = sets.map(|set| set.owner).collect();
        let mut scale: u32 = 0;
        for owner in owners.into_iter().filter_map(|owner| self.workload_by_uid(owner)) {
            let replicas = match &owner.declared.spec {
                ObjectSpec::Deployment(spec) => spec.replicas,
                ObjectSpec::StatefulSet(spec) => spec.replicas,
                ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
                    spec.replicas
                }
                ObjectSpec::Pod(_) => 0,
                _ => return Err(owner.declared.id()),
            };
            scale = scale.saturating_add(replicas);
        }
        Ok(scale)
    }

    /// The budgets that cover a pod, by name.
    pub fn budgets_of(&self, pod: &Pod) -> Vec<&StoredObject> {
        let mut budgets = self.budgets_in(pod.namespace.as_str()).peekable();
        // Most namespaces have none, and a pod changes often.
        if budgets.peek().is_none() {
            return Vec::new();
        }
        let Some(labels) = self.labels_of(pod) else { return Vec::new() };
        let covering =
            budgets.filter(|row| row.as_budget().is_some_and(|budget| budget.covers(&labels)));
        covering.map(AsRef::as_ref).collect()
    }

    /// Whether a pod may be moved away from its node now, as Kubernetes' eviction API would answer.
    ///
    /// # Errors
    ///
    /// Why it has to stay for now.
    pub fn may_evict(&self, pod: &Pod) -> Result<(), EvictionHold> {
        self.may_evict_with(pod, 0)
    }

    /// The same, as if so many more pods of its budget were healthy: what comes of a replacement.
    ///
    /// # Errors
    ///
    /// Why it would have to stay also then.
    pub fn may_evict_with(&self, pod: &Pod, more: u32) -> Result<(), EvictionHold> {
        if is_beyond_budgets(pod) {
            return Ok(());
        }
        let budgets = self.budgets_of(pod);
        let row = match budgets.as_slice() {
            [] => return Ok(()),
            [row] => *row,
            several => {
                let names = several.iter().map(|row| row.declared.key.name.clone());
                return Err(EvictionHold::SeveralBudgets(names.collect()));
            }
        };
        let Some((budget, status)) = row.as_budget().zip(self.budget_status_with(row, more)) else {
            return Ok(());
        };
        let (needed, healthy) = (status.desired_healthy, status.current_healthy);
        let goes_unhealthy = match budget.unhealthy {
            UnhealthyPodEviction::AlwaysAllow => true,
            UnhealthyPodEviction::IfHealthyBudget => needed > 0 && healthy >= needed,
        };
        if status.disruptions_allowed > 0 || (!is_healthy(pod) && goes_unhealthy) {
            return Ok(());
        }
        let budget = row.declared.key.clone();
        Err(match status.no_scale {
            Some(workload) => EvictionHold::NoScale { budget, workload },
            None => EvictionHold::Budget { budget, needed, healthy },
        })
    }

    /// The labels of a pod: those of its template and its own. Absent while its replica set is not known.
    fn labels_of(&self, pod: &Pod) -> Option<StringMap> {
        let mut labels = self.replica_set_of(pod)?.template.labels.clone();
        labels.extend(pod.own_labels().into_iter().map(|(key, value)| (key.to_owned(), value)));
        Some(labels)
    }

    /// The budgets of a namespace, by name.
    fn budgets_in(&self, namespace: &str) -> impl Iterator<Item = &std::sync::Arc<StoredObject>> {
        let first = ObjectId::new(Kind::PodDisruptionBudget, namespace, "");
        let end = first.key.namespace.clone();
        let rows = self.objects.range(first..);
        rows.take_while(move |(id, _)| {
            id.kind == Kind::PodDisruptionBudget && id.key.namespace == end
        })
        .map(|(_, row)| row)
    }

    /// The budgets that a pod is to be counted in.
    pub(crate) fn budgets_to_count(&self, pod: &Pod) -> Vec<crate::ObjectUid> {
        self.budgets_of(pod).into_iter().map(|row| row.uid).collect()
    }

    /// Counts the pods of a budget anew.
    pub(crate) fn count_covered(&self, object: &StoredObject) -> Option<CoveredPods> {
        let budget = object.as_budget()?;
        let mut covered = CoveredPods::default();
        for pod in self.pods_in(&object.declared.key.namespace) {
            if self.labels_of(pod).is_some_and(|labels| budget.covers(&labels)) {
                covered.add(pod);
            }
        }
        Some(covered)
    }
}

#[cfg(test)]
mod tests;
