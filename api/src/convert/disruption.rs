//! Disruption budgets, with the numbers and the condition that Kubernetes' disruption controller gives.

use dugout_model::{
    BudgetStatus, DisruptionLimit, PodDisruptionBudget, StoredObject, UnhealthyPodEviction,
};
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};

use super::View;
use super::meta::{int, moment_or_epoch, selector};
use super::workload::int_or_percent;

impl View<'_> {
    pub(super) fn budget(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &PodDisruptionBudget,
    ) -> policy::PodDisruptionBudget {
        let (min_available, max_unavailable) = match spec.limit {
            DisruptionLimit::MinAvailable(pods) => (Some(int_or_percent(pods)), None),
            DisruptionLimit::MaxUnavailable(pods) => (None, Some(int_or_percent(pods))),
        };
        let unhealthy = match spec.unhealthy {
            UnhealthyPodEviction::IfHealthyBudget => None,
            UnhealthyPodEviction::AlwaysAllow => Some("AlwaysAllow".to_owned()),
        };
        let status = self.world.budget_status(object);
        policy::PodDisruptionBudget {
            metadata,
            spec: Some(policy::PodDisruptionBudgetSpec {
                max_unavailable,
                min_available,
                selector: spec.selector.as_ref().map(selector),
                unhealthy_pod_eviction_policy: unhealthy,
            }),
            status: status.map(|numbers| status_of(object, &numbers)),
        }
    }
}

fn status_of(object: &StoredObject, numbers: &BudgetStatus) -> policy::PodDisruptionBudgetStatus {
    let generation = i64::try_from(object.generation).ok();
    policy::PodDisruptionBudgetStatus {
        conditions: Some(vec![condition(object, numbers, generation)]),
        current_healthy: Some(int(numbers.current_healthy)),
        desired_healthy: Some(int(numbers.desired_healthy)),
        disrupted_pods: None,
        disruptions_allowed: Some(int(numbers.disruptions_allowed)),
        expected_pods: Some(int(numbers.expected_pods)),
        observed_generation: generation,
    }
}

/// Whether a pod may be moved away. Nothing keeps when that last changed: the time is the budget's own.
fn condition(object: &StoredObject, numbers: &BudgetStatus, generation: Option<i64>) -> Condition {
    let (status, reason, message) = match &numbers.no_scale {
        Some(workload) => (
            "False",
            "SyncFailed",
            format!("{workload} has no number of replicas; give a minAvailable that is a number"),
        ),
        None if numbers.disruptions_allowed > 0 => ("True", "SufficientPods", String::new()),
        None => ("False", "InsufficientPods", String::new()),
    };
    Condition {
        last_transition_time: Time(moment_or_epoch(object.created_at)),
        message,
        observed_generation: generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: "DisruptionAllowed".to_owned(),
    }
}
