//! How far a declared Job is: a release waits for it to end, and fails with it.
//!
//! Work may take as long as it takes, within the Job's own `activeDeadlineSeconds`. But one of which no
//! pod begins (what it refers to is missing, no node has room, its volumes do not come) would keep its
//! release waiting for ever: it has the time to begin in that others have to make progress. One that
//! says how long it may make none is held to that also while it works.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, Completions, ContainerState, EventType, Job, JobState, Pod, PodStatus, Rollout,
    RolloutFailure, RolloutMilestone, RolloutState, Seen, StoredObject, Timestamp,
};

use super::pods::{at_work, not_before};
use crate::draft::Draft;
use crate::generations::Barrier;
use crate::records::Subject;
use crate::resolve::{self, MissingReference};
use crate::{WorkloadWait, gate, rollouts};

/// Keeps the rollout's state: a release waits for the job to end, and fails with it. Gives when its time is
/// over.
pub(super) fn judge(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    job: &Job,
    missing: &[MissingReference],
) -> Option<Timestamp> {
    let before = draft.world.rollouts.get(&object.uid).cloned();
    let pods = draft.world.job_pod_counts(job);
    let milestone = RolloutMilestone {
        updated: pods.active,
        ready: pods.ready,
        available: job.tally.succeeded,
        old: 0,
    };
    let state = match &job.state {
        JobState::Complete { .. } => RolloutState::Complete,
        JobState::Failed { reason, message, .. } => RolloutState::Failed {
            reason: RolloutFailure::JobFailed,
            message: format!("{}: {message}", reason.as_str()),
        },
        JobState::Running | JobState::Suspended => {
            explain(draft, object, job, missing);
            let before = before.filter(|before| before.generation == object.generation);
            let moved_at = match &before {
                Some(before) if before.milestone == milestone => before.progressed_at,
                _ => draft.now,
            };
            let overdue = time_without_progress(draft, object, job)
                .filter(|allowed| quiet_since(draft, job, moved_at) + *allowed <= draft.now);
            unfinished(draft, object, job, missing, before.as_deref(), overdue)
        }
    };
    put(draft, object, state, milestone);
    let allowed = time_without_progress(draft, object, job)?;
    let rollout = draft.world.rollouts.get(&object.uid)?;
    let is_open = matches!(rollout.state, RolloutState::Progressing | RolloutState::Waiting { .. });
    let deadline = quiet_since(draft, job, rollout.progressed_at) + allowed;
    (is_open && deadline > draft.now).then_some(deadline)
}

/// Since when nothing has moved: its counts, its beginning, its back-off, or one of its pods in the place of
/// another.
fn quiet_since(draft: &Draft<'_>, job: &Job, moved_at: Timestamp) -> Timestamp {
    let made_at = at_work(draft, job).into_iter().map(|pod| pod.created_at).max();
    let moments = [Some(moved_at), job.started_at, not_before(&job.tally), made_at];
    moments.into_iter().flatten().max().unwrap_or(moved_at)
}

/// How long a run may make no progress now, if that is bounded.
fn time_without_progress(draft: &Draft<'_>, object: &StoredObject, job: &Job) -> Option<Duration> {
    let is_backing_off = not_before(&job.tally).is_some_and(|at| at > draft.now);
    if job.state != JobState::Running || is_backing_off {
        return None;
    }
    let asked = object.declared.policy.progress_deadline;
    let is_at_work = || at_work(draft, job).iter().any(|pod| has_begun(pod));
    asked.or_else(|| (!is_at_work()).then(|| rollouts::progress_deadline(object)))
}

/// Whether a container of a pod has begun to do something.
fn has_begun(pod: &Pod) -> bool {
    let status = match &pod.seen {
        Seen::Absent => None,
        Seen::Known(status) => Some(status),
        Seen::Unknown { last, .. } => last.as_ref(),
    };
    status.into_iter().flat_map(PodStatus::all_containers).any(|container| {
        matches!(container.state, ContainerState::Running { .. } | ContainerState::Terminated(_))
            || container.restarts > 0
    })
}

/// Why it has come no further.
fn why_no_progress(
    draft: &Draft<'_>,
    job: &Job,
    missing: &[MissingReference],
    allowed: Duration,
) -> String {
    let seconds = allowed.as_secs();
    let pods = at_work(draft, job);
    let waiting = pods.iter().find_map(|pod| Some((pod, rollouts::why_not_available(pod)?)));
    let why = match (waiting, pods.first()) {
        _ if !missing.is_empty() => resolve::sentence(missing),
        (Some((pod, why)), _) => format!("Pod {}: {why}", pod.name),
        (None, Some(pod)) => format!("Pod {} has not ended", pod.name),
        (None, None) => "it has no pod".to_owned(),
    };
    format!("no progress for {seconds} s: {why}")
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
    overdue: Option<Duration>,
) -> RolloutState {
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
    } else if let Some(allowed) = overdue {
        let message = why_no_progress(draft, job, missing, allowed);
        draft.event(EventType::Warning, subject, "ProgressDeadlineExceeded", &message);
        RolloutState::Failed { reason: RolloutFailure::ProgressDeadlineExceeded, message }
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
