//! Disruption budgets.

use dugout_model::{DisruptionLimit, IntOrPercent, PodDisruptionBudget, UnhealthyPodEviction};

use super::deployment::{read_int_or_percent, read_selector};
use crate::reader::Object;

pub(super) fn read(object: &Object<'_>) -> PodDisruptionBudget {
    let spec = object.field("spec").and_then(|value| value.object());
    let Some(spec) = spec else { return empty() };
    let number = |name| spec.field(name).and_then(|value| read_int_or_percent(&value));
    // The rules have told it when both are there, or none.
    let (least, most) = (number("minAvailable"), number("maxUnavailable"));
    let least = least.map(DisruptionLimit::MinAvailable);
    let limit = least.or(most.map(DisruptionLimit::MaxUnavailable));
    let selector = spec.field("selector").and_then(|value| read_selector(&value));
    if selector.is_none()
        && let Some(spec) = object.field("spec")
    {
        spec.notice_with(
            "a disruption budget without a selector counts no pod and holds nothing",
            "write a selector; an empty one, {}, counts all pods of the namespace",
        );
    }
    let words = [
        ("IfHealthyBudget", UnhealthyPodEviction::IfHealthyBudget),
        ("AlwaysAllow", UnhealthyPodEviction::AlwaysAllow),
    ];
    let unhealthy = spec.field("unhealthyPodEvictionPolicy");
    let unhealthy = unhealthy.and_then(|value| value.one_of(&words)).unwrap_or_default();
    PodDisruptionBudget { selector, limit: limit.unwrap_or(NONE), unhealthy }
}

const NONE: DisruptionLimit = DisruptionLimit::MinAvailable(IntOrPercent::Int(0));

/// Stands in where an error was told.
fn empty() -> PodDisruptionBudget {
    PodDisruptionBudget { selector: None, limit: NONE, unhealthy: UnhealthyPodEviction::default() }
}
