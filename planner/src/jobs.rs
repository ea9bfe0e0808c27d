//! Jobs: a run makes pods until enough of them succeeded, or until it fails.
//!
//! A run (`Job` of the model) is a row of its own, and its pods are those of one replica set. A pod is
//! counted in the change of its row with which it ends, so that it counts exactly once, whatever
//! becomes of the row. A finished run never runs again; pods that ended stay for their logs.
//!
//! A declared Job's runs stay in the books, so that a commit which brings back what was done before
//! does not do it again. What is declared under the same name and asks for other work is another run.

mod failures;
mod pods;
mod rollout;

use std::cmp::Reverse;
use std::sync::Arc;

use dugout_model::{
    Change, Completions, EventType, Job, JobFailure, JobSpec, JobState, JobTally, JobUid,
    Lifecycle, ObjectId, ObjectName, ObjectUid, Pod, PodOutcome, PodStatus, RestartPolicy,
    Schedule, StopReason, StoredObject, StringMap, Timestamp,
};

use crate::draft::Draft;
use crate::generations::Barrier;
use crate::order::{self, Others};
use crate::records::Subject;
use crate::resolve::MissingReference;
use crate::{draining, generations, placement};

/// How many pods that ended a run keeps for their logs; the oldest go first.
const FINISHED_PODS_KEPT: usize = 100;
/// How many completed runs of earlier work a declared Job keeps in the books.
const EARLIER_JOBS_KEPT: usize = 10;

/// What a look at a run found.
#[derive(Default)]
pub(crate) struct Look {
    pub wake_at: Option<Timestamp>,
    missing: Vec<MissingReference>,
}

impl Look {
    fn at(wake_at: Option<Timestamp>) -> Self {
        Self { wake_at, missing: Vec::new() }
    }
}

/// One look at a Job that Git declares; gives when to look again.
pub(crate) fn run(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    spec: &JobSpec,
) -> Option<Timestamp> {
    let uid = match current(draft, object, spec) {
        Ok(uid) => uid,
        Err(others) => return wait(draft, object, others),
    };
    let look = advance(draft, uid);
    forget_earlier(draft, object.uid, uid);
    clear_orphans(draft, object.uid);
    let Some(job) = draft.world.jobs.get(&uid).cloned() else { return look.wake_at };
    let deadline = rollout::judge(draft, object, &job, &look.missing);
    look.wake_at.into_iter().chain(deadline).min()
}

/// Its run does not begin yet; one of what it was declared as before goes on.
fn wait(draft: &mut Draft<'_>, object: &StoredObject, others: Others) -> Option<Timestamp> {
    let jobs: Vec<JobUid> = draft.world.jobs_of(object.uid).map(|job| job.uid).collect();
    let wake_at = jobs.into_iter().filter_map(|job| advance(draft, job).wake_at).min();
    rollout::wait(draft, object, Barrier::Others(others));
    wake_at
}

/// Work that left Git: its runs are forgotten, and their pods leave like those of any workload.
///
/// While the release that removed it may go back, what was done stays in the books: it would be done
/// again else.
pub(crate) fn wind_down(draft: &mut Draft<'_>, owner: ObjectUid) {
    let may_come_back = draft.world.may_come_back(owner);
    let jobs = draft.world.jobs_of(owner);
    let jobs: Vec<JobUid> =
        jobs.filter(|job| !(may_come_back && job.is_complete())).map(|job| job.uid).collect();
    for job in jobs {
        draft.push(Change::DeleteJob(job));
    }
    if draft.world.schedules.contains_key(&owner) && !may_come_back {
        draft.push(Change::DeleteSchedule(owner));
    }
}

/// Counts a pod if it ends with this change of its row.
pub(crate) fn count(draft: &mut Draft<'_>, pod: &Pod) {
    let Some(job) = draft.world.job_of(pod).filter(|job| !job.is_finished()).cloned() else {
        return;
    };
    let ended_before = draft.world.pods.get(&pod.uid).is_some_and(|before| end(before).is_some());
    let Some(end) = end(pod).filter(|_| !ended_before) else { return };
    let mut row = (*job).clone();
    match end {
        End::Succeeded => row.tally.succeed(&pod.identity),
        End::Failed | End::Disrupted => {
            let is_disrupted = end == End::Disrupted;
            if !is_disrupted {
                row.tally.failed_in_a_row = row.tally.failed_in_a_row.saturating_add(1);
                row.tally.last_failed_at = Some(draft.now);
            }
            match failures::judge(&row.spec.pod_failure_policy, pod, is_disrupted) {
                failures::Judgement::Ignored => {}
                failures::Judgement::Counts => {
                    row.tally.failed = row.tally.failed.saturating_add(1)
                }
                failures::Judgement::FailsJob { message } => {
                    row.tally.failed = row.tally.failed.saturating_add(1);
                    let reason = JobFailure::PodFailurePolicy;
                    row.state = JobState::Failed { at: draft.now, reason, message };
                }
            }
        }
    }
    put(draft, &job, row);
}

/// How a pod's part in its run ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
    /// It was given up with its node, or moved away from it.
    Disrupted,
}

/// A pod that was asked to leave did not fail, however it ended.
fn end(pod: &Pod) -> Option<End> {
    let is_disrupted = matches!(
        pod.lifecycle,
        Lifecycle::Draining { reason: StopReason::Evicted | StopReason::Asked, .. }
            | Lifecycle::Stopping {
                reason: StopReason::NodeLost | StopReason::Evicted | StopReason::Asked,
                ..
            }
    );
    match pod.outcome() {
        Some(PodOutcome::Succeeded) => Some(End::Succeeded),
        Some(PodOutcome::Failed) if pod.is_active() => Some(End::Failed),
        _ if is_disrupted => Some(End::Disrupted),
        _ => None,
    }
}

/// Finds or makes the run of what is declared now, or says for whom a new one has to wait.
fn current(draft: &mut Draft<'_>, object: &StoredObject, spec: &JobSpec) -> Result<JobUid, Others> {
    let known = draft.world.jobs_of(object.uid).find(|job| job.spec.asks_same_work(spec)).cloned();
    if let Some(known) = known {
        if *known.spec != *spec {
            let row = Job { spec: Arc::new(spec.clone()), ..(*known).clone() };
            put(draft, &known, row);
        }
        return Ok(known.uid);
    }
    if let Some(others) = order::waits_for(&draft.world, object) {
        return Err(others);
    }
    let declared = &object.declared;
    let marks = (declared.labels.clone(), declared.annotations.clone());
    Ok(begin(draft, object, declared.key.name.clone(), marks, spec, None))
}

/// A new run.
pub(crate) fn begin(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    name: ObjectName,
    (labels, annotations): (StringMap, StringMap),
    spec: &JobSpec,
    scheduled_at: Option<Timestamp>,
) -> JobUid {
    let uid = JobUid(draft.ids.next_uuid());
    let job = Job {
        uid,
        namespace: object.declared.key.namespace.clone(),
        name,
        labels,
        annotations,
        owner: object.uid,
        source: object.source.clone(),
        sha: draft.applied_sha(&object.source).unwrap_or_else(|| object.sha.clone()),
        scheduled_at,
        created_at: draft.now,
        started_at: None,
        spec: Arc::new(spec.clone()),
        state: JobState::Suspended,
        tally: JobTally::default(),
    };
    draft.push(Change::PutJob(Arc::new(job)));
    uid
}

/// Takes a run as far as it can go now.
pub(crate) fn advance(draft: &mut Draft<'_>, uid: JobUid) -> Look {
    if let Some(job) = draft.world.jobs.get(&uid).cloned() {
        if job.state == JobState::Running {
            give_up_lost(draft, &job);
        }
        bring_up_to_date(draft, uid);
    }
    let Some(job) = draft.world.jobs.get(&uid).cloned() else { return Look::default() };
    let look = match job.state {
        JobState::Running => pods::make_pods(draft, &job),
        JobState::Suspended => {
            dismiss(draft, &job, |pod| !pod.is_finished());
            Look::default()
        }
        JobState::Complete { at } | JobState::Failed { at, .. } => {
            Look::at(end_run(draft, &job, at))
        }
    };
    dismiss_old(draft, &job);
    look
}

/// A pod on a lost node is given up when another node can take what replaces it.
fn give_up_lost(draft: &mut Draft<'_>, job: &Job) {
    if let Some(set) = draft.world.replica_sets.get(&job.replica_set()).cloned() {
        let pods = pods::at_work(draft, job);
        placement::give_up_lost(draft, &set, pods);
    }
}

/// Brings the state of a run that is not finished up to date.
fn bring_up_to_date(draft: &mut Draft<'_>, uid: JobUid) {
    let Some(job) = draft.world.jobs.get(&uid).filter(|job| !job.is_finished()).cloned() else {
        return;
    };
    let mut row = (*job).clone();
    if has_enough(draft, &job) {
        row.state = JobState::Complete { at: draft.now };
    } else if let Some((reason, message)) = failure(draft, &job) {
        row.state = JobState::Failed { at: draft.now, reason, message };
    } else if job.spec.suspended {
        (row.state, row.started_at) = (JobState::Suspended, None);
    } else {
        row.state = JobState::Running;
        row.started_at.get_or_insert(draft.now);
    }
    put(draft, &job, row);
}

fn has_enough(draft: &Draft<'_>, job: &Job) -> bool {
    match job.spec.completions {
        Completions::Count(wanted) | Completions::Indexed(wanted) => job.tally.succeeded >= wanted,
        Completions::Any => {
            let mut pods = draft.world.pods_of(job.replica_set());
            job.tally.succeeded > 0 && pods.all(|pod| end(pod).is_some())
        }
    }
}

/// Why a run fails, if it does.
fn failure(draft: &Draft<'_>, job: &Job) -> Option<(JobFailure, String)> {
    let (limit, failed) = (job.spec.backoff_limit, job.tally.failed);
    if failed > limit {
        let message = format!("{failed} of its pods failed, and its back-off limit is {limit}");
        return Some((JobFailure::BackoffLimitExceeded, message));
    }
    let restarts = restarts(draft, job);
    if restarts > 0 && restarts >= limit {
        let message =
            format!("its containers were started again {restarts} times; the limit is {limit}");
        return Some((JobFailure::BackoffLimitExceeded, message));
    }
    let allowed = job.spec.active_deadline?;
    (job.started_at? + allowed <= draft.now).then(|| {
        let message = format!("it was active longer than the {} s it may be", allowed.as_secs());
        (JobFailure::DeadlineExceeded, message)
    })
}

/// How often containers were started again on their nodes: each is a failure in another form.
fn restarts(draft: &Draft<'_>, job: &Job) -> u32 {
    if job.spec.template.restart_policy != RestartPolicy::OnFailure {
        return 0;
    }
    let pods = pods::at_work(draft, job);
    let containers =
        pods.iter().filter_map(|pod| pod.seen.known()).flat_map(PodStatus::all_containers);
    containers.fold(0, |sum, container| sum.saturating_add(container.restarts))
}

/// A finished run: what still works leaves at once, what ended leaves when its time is over.
fn end_run(draft: &mut Draft<'_>, job: &Job, finished_at: Timestamp) -> Option<Timestamp> {
    dismiss(draft, job, |pod| !pod.is_finished());
    let gone_at = finished_at + job.spec.ttl_after_finished?;
    if gone_at > draft.now {
        return Some(gone_at);
    }
    if job.scheduled_at.is_some() {
        draft.push(Change::DeleteJob(job.uid));
    } else {
        clear(draft, job.replica_set());
    }
    None
}

/// Sends those of its pods away that are chosen.
fn dismiss(draft: &mut Draft<'_>, job: &Job, is_chosen: impl Fn(&Pod) -> bool) {
    let pods = draft.world.pods_of(job.replica_set());
    let chosen: Vec<Arc<Pod>> = pods.filter(|pod| is_chosen(pod)).cloned().collect();
    for pod in chosen {
        draining::leave(draft, &pod, StopReason::Scaled);
    }
}

/// Sends the oldest pods that ended away when there are too many of them.
fn dismiss_old(draft: &mut Draft<'_>, job: &Job) {
    let pods = draft.world.pods_of(job.replica_set());
    let mut ended: Vec<Arc<Pod>> =
        pods.filter(|pod| pod.is_active() && pod.is_finished()).cloned().collect();
    let surplus = ended.len().saturating_sub(FINISHED_PODS_KEPT);
    ended.sort_by_key(|pod| (pod.created_at, pod.uid));
    for pod in ended.into_iter().take(surplus) {
        draining::leave(draft, &pod, StopReason::Scaled);
    }
}

/// Runs of what the Job was declared as before: the completed ones stay in the books, up to a limit.
fn forget_earlier(draft: &mut Draft<'_>, owner: ObjectUid, current: JobUid) {
    let mut earlier: Vec<Arc<Job>> =
        draft.world.jobs_of(owner).filter(|job| job.uid != current).cloned().collect();
    earlier.sort_by_key(|job| Reverse((job.is_complete(), job.finished_at(), job.uid)));
    for (place, job) in earlier.iter().enumerate() {
        if place >= EARLIER_JOBS_KEPT || !job.is_complete() {
            draft.push(Change::DeleteJob(job.uid));
        }
        clear(draft, job.replica_set());
    }
}

/// Clears what forgotten runs have left behind.
pub(crate) fn clear_orphans(draft: &mut Draft<'_>, owner: ObjectUid) {
    for set in generations::oldest_first(draft, owner) {
        if !draft.world.jobs.contains_key(&JobUid(set.uid.0)) {
            clear(draft, set.uid);
        }
    }
}

/// Sends every pod of a replica set away; it goes with the last of them.
fn clear(draft: &mut Draft<'_>, set: dugout_model::ReplicaSetUid) {
    let pods: Vec<Arc<Pod>> = draft.world.pods_of(set).cloned().collect();
    for pod in pods {
        draining::leave(draft, &pod, StopReason::Scaled);
    }
    if draft.world.replica_sets.contains_key(&set) && draft.world.pods_of(set).next().is_none() {
        draft.push(Change::DeleteReplicaSet(set));
    }
}

/// Puts a run's row if it differs, and tells of a state that was entered.
fn put(draft: &mut Draft<'_>, before: &Job, job: Job) {
    if *before == job {
        return;
    }
    if before.state != job.state {
        tell(draft, &job);
        note_success(draft, &job);
    }
    draft.push(Change::PutJob(Arc::new(job)));
}

/// A CronJob remembers when one of its runs last completed.
fn note_success(draft: &mut Draft<'_>, job: &Job) {
    let JobState::Complete { at } = job.state else { return };
    if let Some(schedule) = draft.world.schedules.get(&job.owner).cloned() {
        let row = Schedule { last_succeeded_at: Some(at), ..(*schedule).clone() };
        draft.push(Change::PutSchedule(Arc::new(row)));
    }
}

fn tell(draft: &mut Draft<'_>, job: &Job) {
    let subject = Subject::object(&ObjectId::new(
        dugout_model::Kind::Job,
        job.namespace.as_str(),
        job.name.as_str(),
    ));
    match &job.state {
        JobState::Running => {}
        JobState::Suspended => {
            draft.event(EventType::Normal, subject, "Suspended", "it is suspended");
        }
        JobState::Complete { .. } => {
            draft.event(EventType::Normal, subject, "Completed", "it is complete");
        }
        JobState::Failed { reason, message, .. } => {
            draft.event(EventType::Warning, subject, reason.as_str(), message);
        }
    }
}
