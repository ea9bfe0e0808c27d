//! Cron jobs: a run for each time of the schedule, and none twice.
//!
//! What the schedule has come to is a row of its own (`Schedule` of the model), so that it outlives
//! the runs, and an engine that starts again. Of several times that were missed, only the last is
//! worth a run; one later than the starting deadline is worth none.

use std::cmp::Reverse;
use std::sync::Arc;

use dugout_model::{
    Change, ConcurrencyPolicy, CronJob, EventType, Job, JobUid, ObjectName, ObjectSpec, Rollout,
    RolloutMilestone, RolloutState, Schedule, StoredObject, Timestamp,
};

use crate::draft::Draft;
use crate::jobs;
use crate::order::{self, Others};
use crate::records::Subject;
use crate::timetable::{MINUTE_MICROS, Timetable};

/// One look at a CronJob that Git declares; gives when to look again.
pub(crate) fn keep(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    cron_job: &CronJob,
) -> Option<Timestamp> {
    let mut wake_at = advance_all(draft, object);
    let timetable = Timetable::of(&cron_job.schedule, cron_job.time_zone.as_deref());
    let barrier = barrier(draft, object);
    let may_start = !cron_job.suspended && barrier.is_none();
    if let Some(timetable) = timetable.as_ref().filter(|_| may_start) {
        if let Some(uid) = start_due(draft, object, cron_job, timetable) {
            wake_at.extend(jobs::advance(draft, uid).wake_at);
        }
        wake_at.extend(timetable.next_after(draft.now));
    }
    forget(draft, object, cron_job.successful_history_limit, Job::is_complete);
    forget(draft, object, cron_job.failed_history_limit, |job| !job.is_complete());
    jobs::clear_orphans(draft, object.uid);
    judge(draft, object, timetable.is_some(), barrier);
    wake_at.into_iter().min()
}

/// A schedule that was gone and goes by the same identity, because something of it is left, begins now: what
/// it had come to is forgotten, and the times between were nobody's. One that may still come back with its
/// release has what it had come to, and makes up for the last time that it missed.
pub(crate) fn come_back(draft: &mut Draft<'_>, object: &StoredObject) {
    let is_old = object.created_at < draft.now;
    let is_schedule = matches!(object.declared.spec, ObjectSpec::CronJob(_));
    if is_schedule && is_old && !draft.world.may_come_back(object.uid) {
        draft.push(Change::PutSchedule(Arc::new(Schedule {
            cron_job: object.uid,
            last_scheduled_at: draft.now,
            last_succeeded_at: None,
        })));
    }
}

fn advance_all(draft: &mut Draft<'_>, object: &StoredObject) -> Vec<Timestamp> {
    let jobs: Vec<JobUid> = draft.world.jobs_of(object.uid).map(|job| job.uid).collect();
    jobs.into_iter().filter_map(|job| jobs::advance(draft, job).wake_at).collect()
}

/// Starts the run whose time has come, unless the one before forbids it.
fn start_due(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    cron_job: &CronJob,
    timetable: &Timetable,
) -> Option<JobUid> {
    let schedule = draft.world.schedules.get(&object.uid).cloned();
    let dealt_with = schedule.as_ref().map_or(object.created_at, |known| known.last_scheduled_at);
    let earliest = cron_job.starting_deadline.map(|allowed| draft.now - allowed);
    let after = earliest.map_or(dealt_with, |earliest| dealt_with.max(earliest));
    let scheduled_at = timetable.last_between(after, draft.now)?;
    let running: Vec<Arc<Job>> =
        draft.world.jobs_of(object.uid).filter(|job| !job.is_finished()).cloned().collect();
    match cron_job.concurrency {
        ConcurrencyPolicy::Allow => {}
        // It starts when that one is done, if it is not too late then.
        ConcurrencyPolicy::Forbid if !running.is_empty() => return None,
        ConcurrencyPolicy::Forbid => {}
        ConcurrencyPolicy::Replace => {
            for job in running {
                let message =
                    format!("Job {} is not done, and its successor takes its place", job.name);
                let subject = Subject::object(&object.declared.id());
                draft.event(EventType::Normal, subject, "SuccessfulDelete", message);
                draft.push(Change::DeleteJob(job.uid));
            }
        }
    }
    draft.push(Change::PutSchedule(Arc::new(Schedule {
        cron_job: object.uid,
        last_scheduled_at: scheduled_at,
        last_succeeded_at: schedule.and_then(|known| known.last_succeeded_at),
    })));
    start(draft, object, cron_job, scheduled_at)
}

/// One run for each minute at most: its name is made of it.
fn start(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    cron_job: &CronJob,
    scheduled_at: Timestamp,
) -> Option<JobUid> {
    let minutes = scheduled_at.as_micros().div_euclid(MINUTE_MICROS);
    let name = ObjectName::new(format!("{}-{minutes}", object.declared.key.name));
    if draft.world.jobs_of(object.uid).any(|job| job.name == name) {
        return None;
    }
    let message = format!("made Job {name}");
    let subject = Subject::object(&object.declared.id());
    draft.event(EventType::Normal, subject, "SuccessfulCreate", message);
    let marks = (cron_job.job_labels.clone(), cron_job.job_annotations.clone());
    Some(jobs::begin(draft, object, name, marks, &cron_job.job, Some(scheduled_at)))
}

/// Forgets the oldest finished runs of a sort beyond its limit.
fn forget(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    limit: u32,
    is_of_sort: impl Fn(&Job) -> bool,
) {
    let jobs = draft.world.jobs_of(object.uid);
    let mut finished: Vec<Arc<Job>> =
        jobs.filter(|job| job.is_finished() && is_of_sort(job)).cloned().collect();
    finished.sort_by_key(|job| Reverse((job.scheduled_at, job.uid)));
    for job in finished.into_iter().skip(limit as usize) {
        draft.push(Change::DeleteJob(job.uid));
    }
}

/// Whom a new schedule waits for. Once it was in place, only another one waits again.
fn barrier(draft: &Draft<'_>, object: &StoredObject) -> Option<Others> {
    let is_in_place = order::is_settled(&draft.world, object);
    if is_in_place { None } else { order::waits_for(&draft.world, object) }
}

/// A schedule is in place as soon as it is known: no release waits for its time to come.
fn judge(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    is_understood: bool,
    barrier: Option<Others>,
) {
    let state = if let Some(others) = barrier {
        RolloutState::Waiting { message: others.to_string() }
    } else if is_understood {
        RolloutState::Complete
    } else {
        let message = "its schedule or time zone cannot be understood".to_owned();
        RolloutState::Waiting { message }
    };
    let before = draft.world.rollouts.get(&object.uid);
    let is_known = before
        .is_some_and(|before| before.generation == object.generation && before.state == state);
    if !is_known {
        draft.push(Change::PutRollout(Arc::new(Rollout {
            workload: object.uid,
            generation: object.generation,
            state,
            progressed_at: draft.now,
            milestone: RolloutMilestone::default(),
        })));
    }
}
