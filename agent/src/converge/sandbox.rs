//! The sandbox of a pod with several containers: it runs before them, and they are made anew when it is
//! not the one that they share any more. Pure.

use std::time::Duration;

use super::{Action, ContainerMemory, PodView, Step, StopWhy, remove, stop, stop_all, tidy};
use crate::labels::SANDBOX;
use crate::pause::SANDBOX_IMAGE;
use crate::runtime::{ObservedContainer, ObservedState};

/// What must happen before a container of the pod can be made; `None` when nothing must.
pub(super) fn provide(view: &PodView<'_>, containers: &[ObservedContainer]) -> Option<Step> {
    let pod = view.pod.uid;
    let mut attempts = containers.iter().filter(|one| one.labels.is_sandbox()).rev();
    let current = attempts.next();
    let others = || containers.iter().filter(|one| !one.labels.is_sandbox());
    if view.has_ended() {
        return Some(match current.filter(|one| one.is_running()) {
            Some(sandbox) if others().all(|one| !one.is_running()) => {
                stop(pod, sandbox, Duration::ZERO, StopWhy::PodEnded)
            }
            _ => return None,
        });
    }
    match current.map(|one| &one.state) {
        Some(ObservedState::Running { started_at }) => {
            let older = |one: &&ObservedContainer| match &one.state {
                ObservedState::Running { started_at: at } => at < started_at,
                _ => false,
            };
            let stale: Vec<_> = others().filter(older).collect();
            if !stale.is_empty() {
                let grace = view.pod.template.termination_grace;
                return Some(stop_all(pod, &stale, grace, StopWhy::SandboxChanged));
            }
            let made_before = current.map(|one| one.created_at);
            let unusable = others().find(|one| {
                one.state == ObservedState::Created && Some(one.created_at) < made_before
            });
            if let Some(unusable) = unusable {
                return Some(remove(pod, unusable));
            }
            match tidy(pod, attempts) {
                Step::Nothing => None,
                step => Some(step),
            }
        }
        _ if view.draining => Some(Step::Nothing),
        state => Some(renew(
            view,
            current.filter(|_| state == Some(&ObservedState::Created)),
            containers,
        )),
    }
}

/// Starts the sandbox that was made, or makes another, once nothing runs that shared the last one.
fn renew(
    view: &PodView<'_>,
    made: Option<&ObservedContainer>,
    containers: &[ObservedContainer],
) -> Step {
    let pod = view.pod.uid;
    let left: Vec<_> = containers.iter().filter(|one| one.is_running()).collect();
    if !left.is_empty() {
        let grace = view.pod.template.termination_grace;
        return stop_all(pod, &left, grace, StopWhy::SandboxChanged);
    }
    let container = SANDBOX.to_owned();
    if let Some(made) = made {
        return Step::Act(Action::Start { pod, container, id: made.id.clone() });
    }
    let fresh = ContainerMemory::default();
    let memory = view.memory_of(SANDBOX).unwrap_or(&fresh);
    if let Some(until) = memory.restart_at.filter(|until| *until > view.now) {
        return Step::Wait(until);
    }
    let attempts = containers.iter().filter(|one| one.labels.is_sandbox());
    let after_last = attempts.map(|one| one.labels.attempt.saturating_add(1)).max().unwrap_or(0);
    let attempt = memory.next_attempt.max(after_last);
    let image = SANDBOX_IMAGE.to_owned();
    Step::Act(Action::Create { pod, container, image, attempt, crashes: memory.crashes })
}
