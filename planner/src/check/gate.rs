//! What the gate of a release must hold back.

use dugout_model::{Lifecycle, Pod, PodIdentity, ReplicaSet, SourceName, StopReason};

use super::{Checker, Violation};

impl Checker<'_> {
    /// A release lets nothing go that serves before its images are where they are needed.
    pub(super) fn gate(&mut self, before: &Pod, after: &Pod) {
        let is_let_go = before.is_active()
            && matches!(
                after.lifecycle,
                Lifecycle::Draining { reason: StopReason::Scaled | StopReason::OwnerRemoved, .. }
                    | Lifecycle::Stopping {
                        reason: StopReason::Scaled | StopReason::OwnerRemoved,
                        ..
                    }
            );
        let Some(set) = self.after.replica_set_of(after).filter(|_| is_let_go).cloned() else {
            return;
        };
        let owner = self.after.workload_by_uid(set.owner);
        // Where the source was never healthy, what left Git cannot be wanted back.
        let may_be_wanted = owner.is_some() || self.after.may_come_back(set.owner);
        let is_only_scaled =
            owner.and_then(|owner| owner.as_deployment()).is_some_and(|spec| spec.paused);
        let is_of_job = self.before.job_of(before).is_some();
        // A drained node's pod has its successor elsewhere, whatever the release is about.
        let serves = after.ready_since().is_some() && !self.before.is_displaced(before);
        let is_held = self.is_closed(&set.source)
            && may_be_wanted
            && serves
            && !(is_only_scaled || is_of_job || self.is_beyond(before, &set));
        self.require(!is_held, || Violation::StoppedBeforeImages { pod: after.uid });
    }

    /// Whether a pod is more than its set was to have, and the others stay: such is the successor of a
    /// drained node's pod while that one serves.
    fn is_beyond(&self, pod: &Pod, set: &ReplicaSet) -> bool {
        let active = self.after.pods_of(set.uid).filter(|pod| pod.is_active()).count();
        let had = self.before.replica_sets.get(&set.uid).map_or(0, |before| before.replicas);
        matches!(pod.identity, PodIdentity::Any) && active >= had as usize
    }

    /// Whether the gate of a source's release is closed.
    fn is_closed(&self, source: &SourceName) -> bool {
        self.after.sources.get(source).is_some_and(|source| !source.status.gate.is_open())
    }
}
