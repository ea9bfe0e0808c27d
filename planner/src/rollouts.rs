//! How far a rollout is: progressing, waiting, complete or failed.
//!
//! Progress is to reach what was not reached before: more new pods, more of them ready or available,
//! fewer old ones. A pod that flaps between ready and not ready makes none. `Complete` lasts until the
//! template or the workload changes; `Failed` lasts until then, or until it completes after all.
//! Neither touches a pod.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, ContainerState, EventType, ObjectId, ObjectSpec, Placement, Pod, PodCounts, ReplicaSet,
    Rollout, RolloutFailure, RolloutMilestone, RolloutState, StoredObject, Timestamp,
    WaitingReason,
};

use crate::draft::Draft;
use crate::generations::{self, Barrier, Current};
use crate::records::Subject;
use crate::{WorkloadWait, gate};

/// What a workload asks of its pods, all together.
#[derive(Clone, Copy)]
pub(crate) struct Aims {
    pub replicas: u32,
    /// How many of them shall have the current template.
    pub updated: u32,
    /// How many of them have ended well and so are done: they count as available.
    pub done: u32,
    pub min_ready: Duration,
    pub progress_deadline: Duration,
    pub paused: bool,
    /// How many earlier templates without pods are kept for a quick way back.
    pub revision_history_limit: u32,
}

impl Aims {
    /// How many pods are available that shall be, and how many shall be. Where all shall be new, old
    /// ones do not count.
    fn reached(&self, counts: &PodCounts) -> (u32, u32) {
        let is_whole = self.updated == self.replicas;
        let available = if is_whole { counts.updated_available } else { counts.available };
        (available + self.done, self.replicas)
    }
}

/// Kubernetes gives a Deployment ten minutes, and the other kinds for ever: a release could then
/// never fail. Unless they ask for something else, they get the same ten minutes.
pub(crate) fn progress_deadline(object: &StoredObject) -> Duration {
    match &object.declared.spec {
        ObjectSpec::Deployment(spec) => spec.progress_deadline,
        _ => object.declared.policy.progress_deadline.unwrap_or(Duration::from_secs(600)),
    }
}

/// What one look at a workload found.
struct Look<'a> {
    object: &'a StoredObject,
    aims: Aims,
    /// The replica set of the current template.
    current: Option<Arc<ReplicaSet>>,
    /// Its pods, as far as they are judged.
    counts: PodCounts,
    barrier: Option<&'a Barrier>,
    /// The template became the current one in this turn.
    is_renewed: bool,
    /// The gate of its release keeps it from going on.
    is_held: bool,
}

impl Look<'_> {
    /// Whether the time without progress counts. Who waits for others, or for the images of others, has
    /// a whole deadline once they are done.
    fn counts_down(&self) -> bool {
        self.is_going() && !self.is_held
    }

    /// Whether it is at work on what it is asked for.
    fn is_going(&self) -> bool {
        !self.aims.paused && !matches!(self.barrier, Some(Barrier::Others(_)))
    }
}

/// Ends one look at a workload: judges how far its rollout is by those of its pods that count, and
/// forgets earlier templates. Gives when to look again.
pub(crate) fn conclude(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    current: &Current,
    aims: Aims,
    is_judged: impl Fn(&Pod) -> bool,
) -> Option<Timestamp> {
    let set = current.uid.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
    let hash = set.as_ref().map(|set| &set.template_hash);
    let (min_ready, now) = (aims.min_ready, draft.now);
    let counts = draft.world.pod_counts_where(object.uid, hash, min_ready, now, is_judged);
    let is_renewed = current.is_renewed;
    let history_limit = aims.revision_history_limit;
    let barrier = current.barrier.as_ref();
    let is_held = draft.held.contains(&object.uid);
    let look = Look { object, aims, current: set, counts, barrier, is_renewed, is_held };
    let wake_at = judge(draft, &look);
    generations::forget(draft, object.uid, history_limit, current.uid);
    wake_at
}

/// Keeps the rollout's state; gives when to look again.
fn judge(draft: &mut Draft<'_>, look: &Look<'_>) -> Option<Timestamp> {
    let Look { object, counts, .. } = look;
    let before = draft.world.rollouts.get(&object.uid).cloned();
    let mut rollout = progress(draft.now, before.as_deref(), look, counts);
    rollout.state = state(draft, look, &rollout, counts);
    explain(draft, look, &rollout, counts);
    let wake_at = wake_at(draft, look, &rollout);
    if before.as_deref() != Some(&rollout) {
        if before.is_none_or(|before| before.state != rollout.state) {
            tell(draft, look, &rollout.state);
        }
        draft.push(Change::PutRollout(Arc::new(rollout)));
    }
    wake_at
}

/// The rollout as it was, moved on by what it has reached since; a new one when it is about something
/// else now.
fn progress(
    now: Timestamp,
    before: Option<&Rollout>,
    look: &Look<'_>,
    counts: &PodCounts,
) -> Rollout {
    let reached = RolloutMilestone {
        updated: counts.updated,
        ready: counts.updated_ready,
        available: counts.updated_available,
        old: counts.replicas - counts.updated,
    };
    let generation = look.object.generation;
    // A complete one whose configuration vanished begins anew, with a whole deadline.
    let lost_template =
        |before: &Rollout| before.state == RolloutState::Complete && look.current.is_none();
    let continues = |before: &&Rollout| {
        before.generation == generation && !look.is_renewed && !lost_template(before)
    };
    let Some(before) = before.filter(continues) else {
        return Rollout {
            workload: look.object.uid,
            generation,
            state: RolloutState::Progressing,
            progressed_at: now,
            milestone: reached,
        };
    };
    let mut rollout = before.clone();
    match before.state {
        // Its time does not count any more.
        RolloutState::Complete | RolloutState::Failed { .. } => return rollout,
        RolloutState::Progressing | RolloutState::Waiting { .. } => {}
    }
    let best = RolloutMilestone {
        updated: reached.updated.max(before.milestone.updated),
        ready: reached.ready.max(before.milestone.ready),
        available: reached.available.max(before.milestone.available),
        old: reached.old.min(before.milestone.old),
    };
    if best != before.milestone {
        rollout.milestone = best;
        rollout.progressed_at = now;
    }
    rollout
}

fn state(
    draft: &Draft<'_>,
    look: &Look<'_>,
    rollout: &Rollout,
    counts: &PodCounts,
) -> RolloutState {
    let is_complete = look.current.is_some()
        && counts.replicas == look.aims.replicas
        && counts.available + look.aims.done == look.aims.replicas
        && counts.updated >= look.aims.updated;
    match &rollout.state {
        _ if is_complete => RolloutState::Complete,
        RolloutState::Complete if look.current.is_some() => RolloutState::Complete,
        failed @ RolloutState::Failed { .. } => failed.clone(),
        RolloutState::Complete | RolloutState::Progressing | RolloutState::Waiting { .. } => {
            unfinished(draft, look, rollout, counts)
        }
    }
}

fn unfinished(
    draft: &Draft<'_>,
    look: &Look<'_>,
    rollout: &Rollout,
    counts: &PodCounts,
) -> RolloutState {
    if look.is_going()
        && !gate::tries_on(&draft.world, &look.object.source)
        && let Some(message) = unavailable_image(new_pods(draft, look))
    {
        return RolloutState::Failed { reason: RolloutFailure::ImageUnavailable, message };
    }
    if look.counts_down() && deadline(look, rollout) <= draft.now {
        let reason = RolloutFailure::ProgressDeadlineExceeded;
        let message = why_no_progress(draft, look, counts);
        return RolloutState::Failed { reason, message };
    }
    match look.barrier {
        None => RolloutState::Progressing,
        Some(barrier) => RolloutState::Waiting { message: barrier.to_string() },
    }
}

fn deadline(look: &Look<'_>, rollout: &Rollout) -> Timestamp {
    rollout.progressed_at + look.aims.progress_deadline
}

/// The active pods of the current template.
fn new_pods<'a>(draft: &'a Draft<'_>, look: &Look<'_>) -> impl Iterator<Item = &'a Arc<Pod>> {
    let sets = look.current.as_ref().map(|set| set.uid);
    let pods = sets.into_iter().flat_map(|uid| draft.world.pods_of(uid));
    pods.filter(|pod| pod.is_active())
}

/// The node's words on an image that cannot be had: waiting longer would not help.
pub(crate) fn unavailable_image<'a>(
    mut pods: impl Iterator<Item = &'a Arc<Pod>>,
) -> Option<String> {
    pods.find_map(|pod| {
        let mut containers = pod.seen.known()?.all_containers();
        containers.find_map(|container| match &container.state {
            ContainerState::Waiting {
                reason: WaitingReason::ErrImagePull | WaitingReason::ErrImageNeverPull,
                message,
            } => Some(format!("Pod {}: {message}", pod.name)),
            _ => None,
        })
    })
}

fn why_no_progress(draft: &Draft<'_>, look: &Look<'_>, counts: &PodCounts) -> String {
    let span = look.aims.progress_deadline.as_secs();
    if let Some(barrier) = look.barrier {
        return format!("no progress for {span} s: it {barrier}");
    }
    let (available, desired) = look.aims.reached(counts);
    let found =
        format!("no progress for {span} s: {available} of {desired} new pods are available");
    match new_pods(draft, look).find_map(|pod| Some((pod, why_not_available(pod)?))) {
        Some((pod, why)) => format!("{found}; Pod {}: {why}", pod.name),
        None => found,
    }
}

pub(crate) fn why_not_available(pod: &Pod) -> Option<String> {
    if let Placement::Waiting(why) = &pod.placement {
        return Some(why.to_string());
    }
    let mut containers = pod.seen.known()?.all_containers();
    let container = containers.find(|container| !container.ready)?;
    let name = &container.name;
    Some(match &container.state {
        ContainerState::Waiting { reason, message } => {
            format!("container {name} waits: {}: {message}", reason.as_str())
        }
        ContainerState::Running { .. } => format!("container {name} is not ready"),
        ContainerState::Terminated(exit) => {
            format!("container {name} ended with exit code {}", exit.exit_code)
        }
    })
}

/// The next moment at which time alone changes something: a pod becomes available, or the deadline
/// passes.
fn wake_at(draft: &Draft<'_>, look: &Look<'_>, rollout: &Rollout) -> Option<Timestamp> {
    let counts_down = match rollout.state {
        RolloutState::Progressing | RolloutState::Waiting { .. } => look.counts_down(),
        RolloutState::Complete | RolloutState::Failed { .. } => false,
    };
    let deadline = counts_down.then(|| deadline(look, rollout));
    let available = draft
        .world
        .replica_sets_of(look.object.uid)
        .flat_map(|set| draft.world.pods_of(set.uid))
        .filter(|pod| pod.is_active())
        .filter_map(|pod| pod.ready_since())
        .map(|since| since + look.aims.min_ready);
    available.filter(|at| *at > draft.now).chain(deadline).min()
}

/// Says in the report what the workload waits for.
fn explain(draft: &mut Draft<'_>, look: &Look<'_>, rollout: &Rollout, counts: &PodCounts) {
    let (available, desired) = look.aims.reached(counts);
    let wait = if let Some(barrier) = look.barrier {
        WorkloadWait::from(barrier.clone())
    } else if look.aims.paused {
        WorkloadWait::Paused
    } else if look.is_held {
        WorkloadWait::Images
    } else if available < desired || rollout.state != RolloutState::Complete {
        WorkloadWait::NotAvailable { available, desired }
    } else {
        return;
    };
    draft.report.workloads.entry(look.object.uid).or_insert(wait);
}

/// Tells of a state that was entered.
fn tell(draft: &mut Draft<'_>, look: &Look<'_>, state: &RolloutState) {
    let subject = Subject::object(&look.object.declared.id());
    match state {
        RolloutState::Progressing => {}
        RolloutState::Waiting { message } => tell_waiting(draft, subject, look.barrier, message),
        RolloutState::Complete => {
            draft.event(
                EventType::Normal,
                subject,
                "RolloutComplete",
                "all of its pods are new and available",
            );
        }
        RolloutState::Failed { reason, message } => {
            tell_failed(draft, &look.object.declared.id(), *reason, message);
        }
    }
}

/// Tells that a workload failed.
pub(crate) fn tell_failed(
    draft: &mut Draft<'_>,
    workload: &ObjectId,
    reason: RolloutFailure,
    message: &str,
) {
    let reason = match reason {
        RolloutFailure::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
        RolloutFailure::ImageUnavailable => "ImageUnavailable",
        RolloutFailure::JobFailed => "JobFailed",
    };
    draft.event(EventType::Warning, Subject::object(workload), reason, message);
}

/// To wait for others is as it shall be; to wait for what is not there is not.
pub(crate) fn tell_waiting(
    draft: &mut Draft<'_>,
    subject: Subject,
    barrier: Option<&Barrier>,
    message: &str,
) {
    let (event_type, reason) = match barrier {
        Some(Barrier::Others(_)) => (EventType::Normal, "Waiting"),
        Some(Barrier::References(_)) | None => (EventType::Warning, "MissingReference"),
    };
    draft.event(event_type, subject, reason, message);
}
