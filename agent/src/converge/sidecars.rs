//! Sidecars: they begin before a pod's containers and end after them, the last first. Pure.

use dugout_model::{AssignedPod, ResolvedTemplate};

use super::{Grace, Step, StopWhy, stop};
use crate::runtime::ObservedContainer;

pub(super) fn is_one(template: &ResolvedTemplate, container: &str) -> bool {
    template.sidecars().any(|sidecar| sidecar.name == container)
}

/// The running sidecar that began last.
pub(super) fn last_running<'a>(
    template: &ResolvedTemplate,
    containers: &'a [ObservedContainer],
) -> Option<&'a ObservedContainer> {
    template.sidecars().rev().find_map(|sidecar| {
        let mut running = containers.iter().filter(|one| one.is_running());
        running.find(|one| one.labels.container == sidecar.name)
    })
}

/// The pod's containers have ended for good: its sidecars end, too, in what is left of one grace together.
pub(super) fn end(pod: &AssignedPod, containers: &[ObservedContainer], grace: Grace) -> Step {
    match last_running(&pod.template, containers) {
        Some(last) => stop(pod.uid, last, grace.left.min(grace.whole), StopWhy::PodEnded),
        None => Step::Nothing,
    }
}
