//! What the gate of a release must hold back.

use dugout_model::{Lifecycle, Pod, PullGate, SourceName, StopReason, World};

use super::{Checker, Violation};

impl Checker<'_> {
    /// A release lets nothing go that serves before its images are where they are needed.
    pub(super) fn gate(&mut self, before: &Pod, after: &Pod) {
        let Some(set) = self.after.replica_set_of(after) else { return };
        let owner = self.after.object_by_uid(set.owner);
        // Where the source was never healthy, what left Git cannot be wanted back.
        let may_be_wanted = owner.is_some() || self.after.may_come_back(set.owner);
        let is_only_scaled =
            owner.and_then(|owner| owner.as_deployment()).is_some_and(|spec| spec.paused);
        let is_let_go = before.is_active()
            && matches!(
                after.lifecycle,
                Lifecycle::Draining { reason: StopReason::Scaled | StopReason::OwnerRemoved, .. }
                    | Lifecycle::Stopping {
                        reason: StopReason::Scaled | StopReason::OwnerRemoved,
                        ..
                    }
            );
        let is_of_job = self.before.job_of(before).is_some();
        // A drained node's pod has its successor elsewhere, whatever the release is about.
        let serves = after.ready_since().is_some() && !self.before.is_displaced(before);
        let is_held =
            self.is_closed(&set.source) && may_be_wanted && !is_only_scaled && !is_of_job && serves;
        self.require(!(is_held && is_let_go), || Violation::StoppedBeforeImages { pod: after.uid });
    }

    /// Whether the gate of a source's release was closed through all of the turn: one that went back in it
    /// may have stopped something before.
    fn is_closed(&self, source: &SourceName) -> bool {
        let gate = self.after.sources.get(source).map(|source| source.status.gate);
        let release = match gate {
            None | Some(PullGate::Open) => return false,
            Some(
                PullGate::Unasked { release }
                | PullGate::Pulling { release, .. }
                | PullGate::Shut { release },
            ) => release,
        };
        let verdict = |world: &World| world.releases.get(&release).map(|row| row.verdict);
        let before = verdict(self.before);
        before.is_none() || before == verdict(self.after)
    }
}
