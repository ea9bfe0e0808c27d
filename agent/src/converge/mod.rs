//! Converging: from what was assigned, what is there and what is remembered to what to do next.
//!
//! Pure: no I/O, no clock, no randomness. Asking again with the same input gives the same answer, and
//! a pod with a call under way gets no further one.
//!
//! Of each container the newest attempt counts. One ended attempt is kept beside it, for its log.

mod attempt;
pub mod drift;
pub mod hooks;
pub mod images;
mod memory;
mod observed;
mod pins;
mod sandbox;
mod sidecars;
mod status;
mod takeover;
#[cfg(test)]
mod tests;
pub mod volumes;

use std::collections::BTreeSet;
use std::time::Duration;

use dugout_model::{
    AssignedPod, Assignment, Container, EnvValue, Pause, PodOrder, PodUid, PullPolicy, Timestamp,
};

pub use attempt::{Attempt, Stage, Stopping};
pub use memory::{
    Condemned, ContainerMemory, ExitCause, Failed, Failure, FailureKind, ImageState, Memories,
    Outcome, PodMemory, Retry, note_lost,
};
pub use observed::{FullList, News, Observed, Overtaken, Sequence};
pub use pins::FoundName;
pub use status::{Health, address_of, pod_report};
pub use takeover::VolumeWait;

use crate::policy::NodePolicy;
use crate::runtime::{Correction, ObservedContainer, ObservedState};

/// One engine call for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Pull {
        pod: PodUid,
        container: String,
        image: String,
    },
    /// Looks whether the engine has an image, and which that is; no registry is asked.
    Find {
        pod: PodUid,
        container: String,
        image: String,
    },
    Create {
        pod: PodUid,
        container: String,
        /// What it is made of.
        image: String,
        attempt: u32,
        crashes: u32,
    },
    Start {
        pod: PodUid,
        container: String,
        id: String,
    },
    /// Stops containers of the pod at the same time.
    Stop {
        pod: PodUid,
        targets: Vec<StopTarget>,
        grace: Duration,
        why: StopWhy,
    },
    /// Puts back what somebody changed on a container that runs.
    Correct {
        pod: PodUid,
        container: String,
        id: String,
        correction: Correction,
    },
    Remove {
        pod: PodUid,
        container: String,
        id: String,
    },
}

/// A container that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopTarget {
    pub container: String,
    pub id: String,
}

/// Why a container is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// Its pod was told to stop.
    Ordered,
    /// It is ours and no longer assigned.
    NotAssigned,
    /// A probe gave it up; it will be started again.
    Unhealthy(String),
    /// Somebody changed what cannot be put back while it runs; it will be made anew.
    Drifted(String),
    /// A newer attempt of it exists.
    Superseded,
    /// It had ended for good, and someone else started it again.
    Finished,
    /// The sandbox that it shared is gone, or was started anew.
    SandboxChanged,
    /// It is the sandbox, or runs beside the others, and these have ended for good.
    PodEnded,
}

impl Action {
    /// The name of the container that it is about, or of the first.
    pub fn container(&self) -> &str {
        match self {
            Action::Pull { container, .. }
            | Action::Find { container, .. }
            | Action::Create { container, .. }
            | Action::Start { container, .. }
            | Action::Correct { container, .. }
            | Action::Remove { container, .. } => container,
            Action::Stop { targets, .. } => {
                targets.first().map_or("", |target| target.container.as_str())
            }
        }
    }

    /// Whether the engine is asked to stop, remove or start this container.
    pub fn concerns(&self, id: &str) -> bool {
        match self {
            Action::Pull { .. }
            | Action::Find { .. }
            | Action::Create { .. }
            | Action::Correct { .. } => false,
            Action::Start { id: other, .. } | Action::Remove { id: other, .. } => other == id,
            Action::Stop { .. } => self.stops(id),
        }
    }

    /// Whether the engine is asked to stop this container.
    pub fn stops(&self, id: &str) -> bool {
        matches!(self, Action::Stop { targets, .. } if targets.iter().any(|one| one.id == id))
    }

    pub fn pod(&self) -> PodUid {
        match self {
            Action::Pull { pod, .. }
            | Action::Find { pod, .. }
            | Action::Create { pod, .. }
            | Action::Start { pod, .. }
            | Action::Stop { pod, .. }
            | Action::Correct { pod, .. }
            | Action::Remove { pod, .. } => *pod,
        }
    }
}

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `None` until one was accepted: then nothing is known to be superfluous.
    pub assignment: Option<&'a Assignment>,
    pub observed: &'a Observed,
    pub memories: &'a Memories,
    /// Whether the engine answers and all its containers have been listed since it began to.
    pub engine_known: bool,
    /// What the node allows.
    pub policy: &'a NodePolicy,
    pub now: Timestamp,
}

/// What to do now, and when to ask again if nothing else happens.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub wake_at: Option<Timestamp>,
    /// What would be made or started, did not containers of other pods have its volumes.
    pub waits: Vec<VolumeWait>,
}

/// Decides for the whole node. At most one action for each pod.
pub fn converge(input: Input<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(assignment) = input.assignment else { return plan };
    if !input.engine_known {
        return plan;
    }
    let former = takeover::former_users(&input, assignment);
    for pod in &assignment.pods {
        let step = converge_pod(&input, pod.uid, Some(pod));
        match takeover::wait(pod, &step, &former) {
            Some(wait) => plan.waits.push(wait),
            None => plan.take(step),
        }
    }
    let assigned: BTreeSet<PodUid> = assignment.pods.iter().map(|pod| pod.uid).collect();
    for (uid, _) in input.observed.pods() {
        if !assigned.contains(&uid) {
            plan.take(converge_pod(&input, uid, None));
        }
    }
    plan
}

/// The next thing to do for a pod.
enum Step {
    Nothing,
    Wait(Timestamp),
    Act(Action),
}

impl Step {
    /// Both, where neither is an action that keeps the other from being one.
    fn or_sooner(self, other: Step) -> Step {
        match (self, other) {
            (Step::Nothing, other) => other,
            (Step::Wait(one), Step::Wait(other)) => Step::Wait(one.min(other)),
            (Step::Wait(_), act @ Step::Act(_)) => act,
            (this, _) => this,
        }
    }
}

impl Plan {
    fn take(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Wait(until) => {
                self.wake_at = Some(self.wake_at.map_or(until, |earlier| earlier.min(until)));
            }
            Step::Act(action) => self.actions.push(action),
        }
    }
}

fn converge_pod(input: &Input<'_>, uid: PodUid, pod: Option<&AssignedPod>) -> Step {
    let memory = input.memories.get(&uid);
    if memory.is_some_and(|memory| memory.in_flight.is_some()) {
        return Step::Nothing;
    }
    let containers = input.observed.of_pod(uid);
    match (memory.and_then(|memory| memory.pause), pod) {
        (Some(Pause::LeftAlone), _) => return Step::Nothing,
        (Some(Pause::Stopped), Some(pod)) if matches!(pod.order, PodOrder::Run { .. }) => {
            return keep_stopped(pod, memory, containers, input.now);
        }
        (Some(Pause::Stopped) | None, _) => {}
    }
    let retry = memory.map(|memory| &memory.retry);
    let wait = retry.and_then(|retry| retry.not_before).filter(|until| *until > input.now);
    let leaving_failed = retry.is_some_and(|retry| retry.failed == Failed::Leaving);
    match (pod, wait) {
        (Some(pod @ AssignedPod { order: PodOrder::Run { draining }, .. }), wait) => {
            let view =
                PodView { pod, memory, draining: *draining, policy: input.policy, now: input.now };
            match wait {
                // What was changed by hand on a container does not wait for another's start.
                Some(until) => Step::Wait(until).or_sooner(drift::correct(&view, containers)),
                None => run(&view, containers),
            }
        }
        (_, Some(until)) if leaving_failed => Step::Wait(until),
        (Some(pod @ AssignedPod { order: PodOrder::Stop { grace }, .. }), _) => {
            let grace = Grace::of(*grace, memory, input.now);
            leave(uid, Some(pod), containers, Some(grace), StopWhy::Ordered)
        }
        (None, _) => leave(uid, None, containers, None, StopWhy::NotAssigned),
    }
}

/// What is left for sidecars when the others took the pod's whole grace, as Kubernetes has it.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// How long a pod that leaves has to end.
#[derive(Clone, Copy)]
struct Grace {
    whole: Duration,
    left: Duration,
}

impl Grace {
    fn of(whole: Duration, memory: Option<&PodMemory>, now: Timestamp) -> Self {
        let since = memory.and_then(|memory| memory.stopping_since);
        let spent = since.map_or(Duration::ZERO, |since| now.since(since));
        Self { whole, left: whole.saturating_sub(spent).max(LEAST_GRACE) }
    }
}

/// Stops what runs of a pod that a person has stopped. What is left of it stays, for who wants to look.
fn keep_stopped(
    pod: &AssignedPod,
    memory: Option<&PodMemory>,
    containers: &[ObservedContainer],
    now: Timestamp,
) -> Step {
    let retry = memory.and_then(|memory| memory.retry.not_before).filter(|until| *until > now);
    let grace = Grace::of(pod.template.termination_grace, memory, now);
    match (stop_running(pod.uid, Some(pod), containers, Some(grace), StopWhy::Ordered), retry) {
        (Some(_), Some(until)) => Step::Wait(until),
        (Some(stop), None) => stop,
        (None, _) => Step::Nothing,
    }
}

/// Stops what runs, the sidecars after the others and the sandbox last, then removes what is left.
fn leave(
    uid: PodUid,
    pod: Option<&AssignedPod>,
    containers: &[ObservedContainer],
    grace: Option<Grace>,
    why: StopWhy,
) -> Step {
    let rest = || containers.first().map_or(Step::Nothing, |one| remove(uid, one));
    stop_running(uid, pod, containers, grace, why).unwrap_or_else(rest)
}

/// Nothing where nothing runs.
fn stop_running(
    uid: PodUid,
    pod: Option<&AssignedPod>,
    containers: &[ObservedContainer],
    grace: Option<Grace>,
    why: StopWhy,
) -> Option<Step> {
    let is_late = |one: &ObservedContainer| {
        one.labels.is_sandbox()
            || pod.is_some_and(|pod| sidecars::is_one(&pod.template, &one.labels.container))
    };
    let running: Vec<_> = containers.iter().filter(|one| one.is_running()).collect();
    let first: Vec<_> = running.iter().filter(|one| !is_late(one)).copied().collect();
    if !first.is_empty() {
        let longest = first.iter().map(|one| one.labels.grace).max().unwrap_or_default();
        return Some(stop_all(uid, &first, grace.map_or(longest, |grace| grace.whole), why));
    }
    if let (Some(pod), Some(grace)) = (pod, grace)
        && let Some(last) = sidecars::last_running(&pod.template, containers)
    {
        return Some(stop(uid, last, grace.left.min(grace.whole), why));
    }
    running.first().map(|sandbox| stop(uid, sandbox, Duration::ZERO, why))
}

struct PodView<'a> {
    pod: &'a AssignedPod,
    memory: Option<&'a PodMemory>,
    draining: bool,
    policy: &'a NodePolicy,
    now: Timestamp,
}

impl PodView<'_> {
    fn memory_of(&self, container: &str) -> Option<&ContainerMemory> {
        self.memory.and_then(|memory| memory.containers.get(container))
    }

    /// Whether containers that run before the others are done with: all ended well, or one of the others
    /// was made already, whatever became of those before.
    fn is_initialized(&self, containers: &[ObservedContainer]) -> bool {
        self.pod.template.containers.iter().any(|one| {
            self.memory_of(&one.name).is_some_and(|memory| memory.next_attempt > 0)
                || containers.iter().any(|seen| seen.labels.container == one.name)
        })
    }

    /// Whether a container runs that had ended for good: someone else started it.
    fn runs_again(&self, one: &ObservedContainer) -> bool {
        let name = &one.labels.container;
        let policy = self.pod.template.restart_policy_of(name);
        let memory = self.memory_of(name);
        one.is_running()
            && !one.labels.is_sandbox()
            && memory.is_some_and(|memory| memory.final_exit(policy).is_some())
    }

    /// Whether its containers ended for good, or one that runs before the others did without success.
    fn has_ended(&self) -> bool {
        let template = &self.pod.template;
        let exit = |one: &Container<EnvValue>| {
            self.memory_of(&one.name)?.final_exit(template.restart_policy_of(&one.name))
        };
        template.containers.iter().all(|one| exit(one).is_some())
            || template
                .init_containers
                .iter()
                .any(|one| exit(one).is_some_and(|exit| exit.exit_code != 0))
    }

    /// Whether a container runs and its hook after the start has not ended: the next comes after that.
    fn waits_for_hook(
        &self,
        wanted: &Container<EnvValue>,
        containers: &[ObservedContainer],
    ) -> bool {
        let current = containers.iter().rev().find(|one| one.labels.container == wanted.name);
        current.is_some_and(|one| {
            one.is_running() && !hooks::is_up(wanted, self.memory_of(&wanted.name), one)
        })
    }

    /// Whether the next may begin: it ended well, or is a sidecar that has started.
    fn is_done_with(&self, init: &Container<EnvValue>, containers: &[ObservedContainer]) -> bool {
        let memory = self.memory_of(&init.name);
        if init.is_sidecar() {
            let current = containers.iter().rev().find(|one| one.labels.container == init.name);
            let started = memory.and_then(|memory| memory.started.as_deref());
            return current.filter(|one| hooks::is_up(init, memory, one)).is_some_and(|one| {
                init.startup_probe.is_none() || started == Some(one.id.as_str())
            });
        }
        let policy = self.pod.template.restart_policy_of(&init.name);
        let exit = memory.and_then(|memory| memory.final_exit(policy));
        exit.is_some_and(|exit| exit.exit_code == 0)
    }
}

fn run(view: &PodView<'_>, containers: &[ObservedContainer]) -> Step {
    match run_containers(view, containers) {
        act @ Step::Act(_) => act,
        // What was changed by hand comes after what does not run.
        rest => rest.or_sooner(drift::correct(view, containers)),
    }
}

fn run_containers(view: &PodView<'_>, containers: &[ObservedContainer]) -> Step {
    if view.pod.template.shares_sandbox()
        && let Some(step) = sandbox::provide(view, containers)
    {
        return step;
    }
    let grace = view.pod.template.termination_grace;
    if let Some(again) = containers.iter().find(|one| view.runs_again(one)) {
        return stop(view.pod.uid, again, grace, StopWhy::Finished);
    }
    if view.has_ended() {
        return sidecars::end(view.pod, containers, Grace::of(grace, view.memory, view.now));
    }
    let is_initialized = view.is_initialized(containers);
    let mut wait: Option<Timestamp> = None;
    let mut later = |step| match step {
        Step::Nothing => None,
        Step::Wait(until) => {
            wait = Some(wait.map_or(until, |earlier| earlier.min(until)));
            None
        }
        act @ Step::Act(_) => Some(act),
    };
    let mut is_next = true;
    for init in &view.pod.template.init_containers {
        let is_done = view.is_done_with(init, containers);
        let runs = init.is_sidecar() || !(is_done || is_initialized);
        if runs && let Some(act) = later(run_container(view, init, containers)) {
            return act;
        }
        if !is_done && !is_initialized {
            is_next = false;
            break;
        }
    }
    for wanted in view.pod.template.containers.iter().filter(|_| is_next) {
        if let Some(act) = later(run_container(view, wanted, containers)) {
            return act;
        }
        if view.waits_for_hook(wanted, containers) {
            break;
        }
    }
    wait.map_or(Step::Nothing, Step::Wait)
}

fn run_container(
    view: &PodView<'_>,
    wanted: &Container<EnvValue>,
    containers: &[ObservedContainer],
) -> Step {
    let fresh = ContainerMemory::default();
    let memory = view.memory_of(&wanted.name).unwrap_or(&fresh);
    let mut attempts = containers.iter().filter(|one| one.labels.container == wanted.name).rev();
    // What ended for good stays so, also when somebody removes what is left of it.
    let policy = view.pod.template.restart_policy_of(&wanted.name);
    let stays_away = view.draining || memory.final_exit(policy).is_some();
    let Some(current) = attempts.next() else {
        return if stays_away { Step::Nothing } else { make(view, wanted, memory, None) };
    };
    let pod = view.pod.uid;
    match &current.state {
        ObservedState::Created if view.draining => Step::Nothing,
        ObservedState::Created => {
            Step::Act(Action::Start { pod, container: wanted.name.clone(), id: current.id.clone() })
        }
        ObservedState::Running { .. } => {
            if let Some(condemned) = &memory.condemned
                && condemned.id == current.id
            {
                let why = StopWhy::Unhealthy(condemned.why.clone());
                let grace = condemned.grace.unwrap_or(view.pod.template.termination_grace);
                return stop(pod, current, grace, why);
            }
            tidy(pod, attempts)
        }
        ObservedState::Exited { .. } if stays_away => Step::Nothing,
        ObservedState::Exited { .. } => match memory.restart_at {
            Some(until) if until > view.now => Step::Wait(until),
            _ => make(view, wanted, memory, Some(current)),
        },
        ObservedState::Removing if stays_away => Step::Nothing,
        ObservedState::Removing => make(view, wanted, memory, Some(current)),
    }
}

/// Makes the next attempt of a container, after its image.
fn make(
    view: &PodView<'_>,
    wanted: &Container<EnvValue>,
    memory: &ContainerMemory,
    last: Option<&ObservedContainer>,
) -> Step {
    let pod = view.pod.uid;
    let container = wanted.name.clone();
    let image = match pins::image_step(view.pod, wanted, memory, last) {
        pins::ImageStep::Use(image) => image,
        pins::ImageStep::Find(image) => {
            return Step::Act(pins::find(view.pod, wanted, memory, image));
        }
        pins::ImageStep::Await => return Step::Nothing,
    };
    let must_pull = match (wanted.pull_policy, memory.image) {
        (PullPolicy::Never, _) | (_, ImageState::JustPulled) => false,
        (_, ImageState::Missing) => true,
        // A pod is one shot, so it pulls once: a restart after a crash needs no registry.
        (PullPolicy::Always, ImageState::Unknown) => last.is_none(),
        (PullPolicy::Always | PullPolicy::IfNotPresent, _) => false,
    };
    if must_pull {
        return Step::Act(Action::Pull { pod, container, image });
    }
    let after_last = last.map_or(0, |last| last.labels.attempt.saturating_add(1));
    let attempt = memory.next_attempt.max(after_last);
    Step::Act(Action::Create { pod, container, image, attempt, crashes: memory.crashes })
}

/// Clears away older attempts: any that still run, and all but the newest of those that ended.
fn tidy<'a>(pod: PodUid, mut older: impl Iterator<Item = &'a ObservedContainer>) -> Step {
    let Some(newest) = older.next() else { return Step::Nothing };
    if newest.is_running() {
        return stop(pod, newest, newest.labels.grace, StopWhy::Superseded);
    }
    if matches!(newest.state, ObservedState::Created | ObservedState::Removing) {
        return remove(pod, newest);
    }
    match older.next() {
        Some(one) if one.is_running() => stop(pod, one, one.labels.grace, StopWhy::Superseded),
        Some(one) => remove(pod, one),
        None => Step::Nothing,
    }
}

fn stop(pod: PodUid, one: &ObservedContainer, grace: Duration, why: StopWhy) -> Step {
    stop_all(pod, &[one], grace, why)
}

fn stop_all(pod: PodUid, all: &[&ObservedContainer], grace: Duration, why: StopWhy) -> Step {
    let target = |one: &&ObservedContainer| StopTarget {
        container: one.labels.container.clone(),
        id: one.id.clone(),
    };
    Step::Act(Action::Stop { pod, targets: all.iter().map(target).collect(), grace, why })
}

fn remove(pod: PodUid, one: &ObservedContainer) -> Step {
    Step::Act(Action::Remove { pod, container: one.labels.container.clone(), id: one.id.clone() })
}
