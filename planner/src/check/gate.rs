//! What the gate of a release must hold back.

use std::collections::BTreeSet;

use dugout_model::{
    BaselineRole, GateScope, Lifecycle, Pod, PodIdentity, PullGate, ReplicaSet, StopReason, World,
};

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
        let row = self.after.baseline_by_uid(set.owner);
        let is_kept = row.is_some_and(|row| row.role != BaselineRole::Leaving);
        let may_be_wanted = owner.is_some() || is_kept;
        let is_only_scaled =
            owner.and_then(|owner| owner.as_deployment()).is_some_and(|spec| spec.paused);
        let is_of_job = self.before.job_of(before).is_some();
        // A drained node's pod has its successor elsewhere, whatever the release is about.
        let serves = after.ready_since().is_some() && !self.before.is_displaced(before);
        let is_held = may_be_wanted
            && serves
            && !(is_only_scaled || is_of_job || self.is_beyond(before, &set))
            && self.is_closed(&set);
        self.require(!is_held, || Violation::StoppedBeforeImages { pod: after.uid });
    }

    /// Whether a pod is more than its set was to have, and the others stay: such is the successor of a
    /// drained node's pod while that one serves.
    fn is_beyond(&self, pod: &Pod, set: &ReplicaSet) -> bool {
        let active = self.after.pods_of(set.uid).filter(|pod| pod.is_active()).count();
        let had = self.before.replica_sets.get(&set.uid).map_or(0, |before| before.replicas);
        matches!(pod.identity, PodIdentity::Any) && active >= had as usize
    }

    /// Whether the gate of its source's release is closed to a pod of this set.
    fn is_closed(&mut self, set: &ReplicaSet) -> bool {
        let gate_in = |world: &World| Some(world.sources.get(&set.source)?.status.gate);
        match gate_in(self.after) {
            None | Some(PullGate::Open) => false,
            Some(PullGate::Pulling { release, scope: GateScope::Workload, .. }) => {
                // A node that came with this turn was not asked before it.
                let was_pulling = matches!(
                    gate_in(self.before),
                    Some(PullGate::Pulling { release: earlier, scope: GateScope::Workload, .. })
                        if earlier == release
                );
                let (before, after) = (self.before, self.after);
                let (awaited_before, awaited) = self
                    .awaited
                    .entry(release)
                    .or_insert_with(|| (before.awaited_by(release), after.awaited_by(release)));
                let uses = |world: &World, images: &BTreeSet<String>| {
                    world.workload_by_uid(set.owner).is_some_and(|owner| owner.uses_any(images))
                };
                uses(after, awaited) && (!was_pulling || uses(before, awaited_before))
            }
            Some(PullGate::Pulling { .. } | PullGate::Unasked { .. } | PullGate::Shut { .. }) => {
                true
            }
        }
    }
}
