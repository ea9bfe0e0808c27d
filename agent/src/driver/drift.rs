//! What somebody changed by hand: that it is told, and what a correction came to.

use std::sync::Arc;

use dugout_model::{AssignedPod, Drift, EventType, PodOrder, PodUid};

use super::node::Node;
use crate::converge::drift::{self, Difference, DriftMemory};
use crate::converge::{Action, Failure, FailureKind, Outcome, StopWhy};
use crate::events::reason;
use crate::runtime::{ContainerRuntime, ObservedContainer};

impl<R: ContainerRuntime> Node<R> {
    /// Tells what differs that did not, and what does not differ any more.
    pub(super) fn note_drift(&mut self) {
        let Some(assignment) = self.assignment.as_ref().map(Arc::clone) else { return };
        let stays = |pod: &&AssignedPod| matches!(pod.order, PodOrder::Run { .. });
        for pod in assignment.pods.iter().filter(stays) {
            let seen: Vec<(String, Vec<Difference>)> =
                drift::of_running(pod, self.observed.of_pod(pod.uid))
                    .map(|one| (one.container.labels.container.clone(), one.differences))
                    .filter(|(name, differences)| !self.is_told(pod.uid, name, differences))
                    .collect();
            for (container, differences) in seen {
                self.tell_drift(pod, &container, differences);
            }
        }
    }

    fn drift_memory(&self, pod: PodUid, container: &str) -> Option<&DriftMemory> {
        let memory = self.memories.get(&pod)?.containers.get(container)?;
        Some(&memory.drift)
    }

    fn is_told(&self, pod: PodUid, container: &str, differences: &[Difference]) -> bool {
        self.drift_memory(pod, container).map_or(&[][..], |memory| &memory.told) == differences
    }

    fn tell_drift(&mut self, pod: &AssignedPod, container: &str, differences: Vec<Difference>) {
        let Some(memory) = self.memories.get_mut(&pod.uid) else { return };
        let memory = &mut memory.container(container).drift;
        let name = drift::described(container);
        if differences.is_empty() {
            *memory = DriftMemory::default();
            let message = format!("{name} is as its template has it again");
            return self.pod_event(pod.uid, EventType::Normal, reason::DRIFT_CORRECTED, message);
        }
        let fresh = differences.iter().filter(|one| !memory.told.contains(one));
        let fresh: Vec<String> = fresh.map(ToString::to_string).collect();
        memory.told = differences;
        if fresh.is_empty() {
            return;
        }
        // What is new is tried at once, whatever failed before.
        (memory.failures, memory.not_before) = (0, None);
        let then = match pod.drift {
            Drift::Correct => "it is put back",
            Drift::Warn => "it is left so, as the policy of its source says",
        };
        let message = format!("{name} {}; {then}", fresh.join(", "));
        self.pod_event(pod.uid, EventType::Warning, reason::DRIFTED, message);
    }

    /// A correction was made. One that the engine took and that changed nothing has failed, and waits as
    /// one that it refused.
    pub(super) fn corrected(
        &mut self,
        action: &Action,
        seen: Option<&ObservedContainer>,
    ) -> Outcome {
        let Action::Correct { pod, container, correction, .. } = action else {
            return Outcome::Done;
        };
        let running = seen.filter(|one| one.is_running());
        let next = self.assigned(*pod).zip(running);
        let next = next.and_then(|(pod, one)| drift::next_correction(pod, one));
        if next.as_ref() != Some(correction) {
            return Outcome::Done;
        }
        let message = "the container engine took it, and nothing changed".to_owned();
        if is_told_again(self.failures_of(action)) {
            let name = drift::described(container);
            let text = format!("{name} cannot be put back: {message}");
            self.pod_event(*pod, EventType::Warning, reason::FAILED, text);
        }
        Outcome::Failed(Failure { kind: FailureKind::Permanent, message })
    }

    /// Whether a container of a pod is being stopped because of what was changed: that is no crash.
    pub(super) fn is_renewed(&self, pod: PodUid) -> bool {
        self.memories.get(&pod).is_some_and(|memory| {
            matches!(&memory.in_flight, Some(Action::Stop { why: StopWhy::Drifted(_), .. }))
        })
    }

    /// How often in a row an action failed before.
    pub(super) fn failures_of(&self, action: &Action) -> u32 {
        match action {
            Action::Correct { pod, container, .. } => {
                self.drift_memory(*pod, container).map_or(0, |memory| memory.failures)
            }
            other => self.memories.get(&other.pod()).map_or(0, |memory| memory.retry.failures),
        }
    }
}

/// A trouble that lasts is told ever more rarely.
pub(super) fn is_told_again(failures: u32) -> bool {
    failures == 0 || failures.is_power_of_two()
}
