//! The order of a release: nothing new begins beside what it waits for.

use dugout_model::{Change, Hook, Kind, ObjectUid, RolloutState, StoredObject};

use super::{Checker, Violation};
use crate::Plan;

impl Checker<'_> {
    /// A template that becomes the current one, or a run that begins, has everything that its workload
    /// names. Where all of a source was healthy together before, it may come back in any order.
    pub(super) fn order(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let owner = match change {
                Change::PutReplicaSet(set) if self.is_renewed(set.uid, set.revision) => set.owner,
                Change::PutJob(job) if !self.before.jobs.contains_key(&job.uid) => job.owner,
                _ => continue,
            };
            if !self.is_schedule_in_place(owner) {
                self.has_what_it_waits_for(owner);
            }
        }
    }

    /// A schedule waits for others once: what is in place keeps its times, whatever rolls since.
    fn is_schedule_in_place(&self, owner: ObjectUid) -> bool {
        let object = self.after.workload_by_uid(owner);
        let rollout = self.before.rollouts.get(&owner);
        object.zip(rollout).is_some_and(|(object, rollout)| {
            object.declared.kind() == Kind::CronJob
                && rollout.generation == object.generation
                && rollout.state == RolloutState::Complete
        })
    }

    fn is_renewed(&self, set: dugout_model::ReplicaSetUid, revision: u64) -> bool {
        let before = self.before.replica_sets.get(&set);
        before.is_none_or(|before| before.revision != revision)
    }

    fn has_what_it_waits_for(&mut self, owner: ObjectUid) {
        let after = self.after;
        let Some(object) = after.workload_by_uid(owner) else { return };
        let status = after.sources.get(&object.source).map(|source| &source.status);
        if status.is_none_or(|status| status.applied == status.healthy) {
            return;
        }
        // The pods of a run come later than the run, and what it waited for may have changed by then.
        let is_older = after.jobs_of(owner).any(|job| self.before.jobs.contains_key(&job.uid));
        let named = object.declared.policy.depends_on.iter().filter_map(|id| after.objects.get(id));
        let is_asked_for = after.dependents_of(&object.declared.id()).next().is_some();
        let is_hook = object.declared.policy.hook.is_some();
        // Who is needed by others may be needed by a hook.
        let hooks = after.hooks_of(&object.source).filter(|_| !is_hook && !is_asked_for);
        let hooks = hooks.filter(|hook| hook.declared.policy.hook == Some(Hook::Before));
        let awaited: Vec<&StoredObject> = named.chain(hooks).map(|row| &**row).collect();
        for other in awaited {
            let is_there = other.orphaned || is_older || self.is_complete_or_paused(other);
            let (workload, awaited) = (object.declared.id(), other.declared.id());
            self.require(is_there, || Violation::BeganTooEarly { workload, awaited });
        }
    }

    fn is_complete_or_paused(&self, object: &StoredObject) -> bool {
        let rollout = self.after.rollouts.get(&object.uid);
        let is_complete = rollout.is_some_and(|rollout| {
            rollout.state == RolloutState::Complete && rollout.generation == object.generation
        });
        let is_paused = match &object.declared.spec {
            dugout_model::ObjectSpec::Deployment(deployment) => deployment.paused,
            dugout_model::ObjectSpec::Job(job) => job.suspended,
            _ => false,
        };
        is_complete || is_paused
    }
}
