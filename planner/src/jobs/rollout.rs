//! How far a declared Job is: a release waits for it to end, and fails with it.

use std::sync::Arc;

use dugout_model::{
    Change, Completions, EventType, Job, JobState, Rollout, RolloutFailure, RolloutMilestone,
    RolloutState, StoredObject,
};

use super::pods::{at_work, not_before};
use crate::draft::Draft;
use crate::generations::Barrier;
use crate::records::Subject;
use crate::resolve::{self, MissingReference};
use crate::{WorkloadWait, gate, rollouts};

/// Keeps the rollout's state: a release waits for the job to end, and fails with it.
pub(super) fn judge(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    job: &Job,
    missing: &[MissingReference],
) {
    let before = draft.world.rollouts.get(&object.uid).cloned();
    let state = match &job.state {
        JobState::Complete { .. } => RolloutState::Complete,
        JobState::Failed { reason, message, .. } => RolloutState::Failed {
            reason: RolloutFailure::JobFailed,
            message: format!("{}: {message}", reason.as_str()),
        },
        JobState::Running | JobState::Suspended => {
            explain(draft, object, job, missing);
            unfinished(draft, object, job, missing, before.as_deref())
        }
    };
    let pods = draft.world.job_pod_counts(job);
    let milestone = RolloutMilestone {
        updated: pods.active,
        ready: pods.ready,
        available: job.tally.succeeded,
        old: 0,
    };
    put(draft, object, state, milestone);
}

/// Keeps that the run of what is declared now has not begun.
pub(super) fn wait(draft: &mut Draft<'_>, object: &StoredObject, barrier: Barrier) {
    let message = barrier.to_string();
    let before = draft.world.rollouts.get(&object.uid).map(|before| before.state.clone());
    let state = RolloutState::Waiting { message: message.clone() };
    if before.as_ref() != Some(&state) {
        let subject = Subject::object(&object.declared.id());
        rollouts::tell_waiting(draft, subject, Some(&barrier), &message);
    }
    put(draft, object, state, RolloutMilestone::default());
    draft.report.workloads.insert(object.uid, WorkloadWait::from(barrier));
}

/// Puts the rollout's row if it says something new.
fn put(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    state: RolloutState,
    milestone: RolloutMilestone,
) {
    let is_known = draft.world.rollouts.get(&object.uid).is_some_and(|before| {
        before.generation == object.generation
            && before.state == state
            && before.milestone == milestone
    });
    if !is_known {
        draft.push(Change::PutRollout(Arc::new(Rollout {
            workload: object.uid,
            generation: object.generation,
            state,
            progressed_at: draft.now,
            milestone,
        })));
    }
}

fn unfinished(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    job: &Job,
    missing: &[MissingReference],
    before: Option<&Rollout>,
) -> RolloutState {
    let before = before.filter(|before| before.generation == object.generation);
    // An image that is tried again now and then is no reason to take it back.
    if let Some(failed @ RolloutState::Failed { .. }) = before.map(|before| &before.state) {
        return failed.clone();
    }
    let subject = Subject::object(&object.declared.id());
    let image = rollouts::unavailable_image(at_work(draft, job).iter())
        .filter(|_| !gate::tries_on(&draft.world, &object.source));
    if let Some(message) = image {
        draft.event(EventType::Warning, subject, "ImageUnavailable", &message);
        RolloutState::Failed { reason: RolloutFailure::ImageUnavailable, message }
    } else if missing.is_empty() {
        RolloutState::Progressing
    } else {
        let message = resolve::sentence(missing);
        let state = RolloutState::Waiting { message: message.clone() };
        if before.is_none_or(|before| before.state != state) {
            rollouts::tell_waiting(draft, subject, None, &message);
        }
        state
    }
}

fn explain(draft: &mut Draft<'_>, object: &StoredObject, job: &Job, missing: &[MissingReference]) {
    let wait = if job.state == JobState::Suspended {
        WorkloadWait::Paused
    } else if !missing.is_empty() {
        WorkloadWait::MissingReferences(missing.to_vec())
    } else if let Some(until) = not_before(&job.tally).filter(|at| *at > draft.now) {
        WorkloadWait::BackOff { failed: job.tally.failed_in_a_row, until }
    } else {
        let wanted = match job.spec.completions {
            Completions::Any => 1,
            Completions::Count(all) | Completions::Indexed(all) => all,
        };
        WorkloadWait::NotCompleted { succeeded: job.tally.succeeded, wanted }
    };
    draft.report.workloads.insert(object.uid, wait);
}
