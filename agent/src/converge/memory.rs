//! What an agent remembers of a pod between two looks: back-off, the state of its image, the call
//! under way. Pure; it can be lost at any time, and labels restore what matters of it.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::{
    ContainerExit, ImageDigest, NamespaceName, ObjectName, Pause, PodMilestones, PodUid,
    PullPolicy, RestartPolicy, Timestamp, WaitingReason,
};

use crate::backoff::{CRASH_FORGOTTEN_AFTER, PERMANENT, TRANSIENT, crash_loop_wait};
use crate::converge::drift::{DriftMemory, Renewal};
use crate::converge::hooks::PostStart;
use crate::converge::{Action, Attempt, FoundName, Observed, Stage, StopWhy, Stopping};
use crate::labels::{ContainerLabels, SANDBOX};
use crate::runtime::ObservedContainer;

/// The exit code of a container that is gone without anybody having seen its end: as of one that was
/// killed, which is what Kubernetes says then.
const UNKNOWN_EXIT: i64 = 137;

/// The memories of all pods.
pub type Memories = BTreeMap<PodUid, PodMemory>;

/// Of what an earlier life had begun and is not there any more, the end is noted: nobody else tells.
pub fn note_lost(memories: &mut Memories, observed: &Observed, at: Timestamp) {
    for (uid, memory) in memories {
        let containers = observed.of_pod(*uid);
        for (name, attempt) in memory.attempts() {
            let is_it = |one: &ObservedContainer| {
                one.labels.container == name && one.labels.attempt == attempt.number
            };
            if !containers.iter().any(is_it) {
                memory.note_vanished(&name, attempt.number, at);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodMemory {
    pub namespace: NamespaceName,
    pub name: ObjectName,
    /// The engine call under way; a pod has at most one.
    pub in_flight: Option<Action>,
    /// When the newest engine call began, whether it is under way or not.
    pub call_began_at: Option<Timestamp>,
    pub retry: Retry,
    pub milestones: PodMilestones,
    /// Since when it is being stopped by order, or because its containers have ended for good.
    pub stopping_since: Option<Timestamp>,
    pub containers: BTreeMap<String, ContainerMemory>,
    /// What a person told this agent to do with it.
    pub pause: Option<Pause>,
}

/// When the next call for a pod may be made, after failures.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Retry {
    pub not_before: Option<Timestamp>,
    pub failures: u32,
    pub failed: Failed,
}

/// What failed, and so has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Failed {
    /// A step towards a pod that runs. It does not keep the pod from leaving.
    #[default]
    Coming,
    /// A step of a pod that leaves.
    Leaving,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContainerMemory {
    pub image: ImageState,
    pub found: FoundName,
    pub next_attempt: u32,
    /// Crashes in a row, for the back-off.
    pub crashes: u32,
    /// Not started again before this moment.
    pub restart_at: Option<Timestamp>,
    pub last_exit: Option<ContainerExit>,
    /// The newest attempt, once it was begun.
    pub attempt: Option<Attempt>,
    /// The container whose exit was counted last: an exit counts once.
    pub counted_exit: Option<String>,
    /// To be killed and started again, and why: a probe gave it up.
    pub condemned: Option<Condemned>,
    /// The container whose startup probe has passed.
    pub started: Option<String>,
    pub post_start: Option<PostStart>,
    /// The container whose hook before the stop has ended.
    pub pre_stopped: Option<String>,
    pub drift: DriftMemory,
    /// What to show while it does not run.
    pub waiting: Option<(WaitingReason, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    pub id: String,
    pub why: String,
    /// How long it has to end; without one as long as its pod says.
    pub grace: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ImageState {
    #[default]
    Unknown,
    /// The engine said that it has no such image.
    Missing,
    /// Pulled, and not used yet.
    JustPulled,
    Present,
}

/// How an engine call for a pod ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// An image is there, with what its registry calls it where that is known.
    Found {
        digest: Option<ImageDigest>,
    },
    /// The engine did not answer at all: nothing is learned about the pod.
    EngineUnavailable,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The image or container is not there.
    NotFound,
    /// Trying again soon will not help.
    Permanent,
    /// It may work at the next try.
    Transient,
    /// What is asked for contradicts the image or what the node allows. Trying again soon will not help.
    Configuration,
    /// A volume of the pod cannot be had now. The engine was not asked.
    NoVolumes,
}

/// Why a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCause {
    /// By itself, or killed because a probe failed: it counts as a crash.
    Itself,
    /// Someone killed it through the engine, or the engine itself went away: it is started again at
    /// once and does not count.
    Outside,
}

impl Outcome {
    pub fn is_done(&self) -> bool {
        matches!(self, Outcome::Done | Outcome::Found { .. })
    }
}

impl ContainerMemory {
    /// How its newest attempt ended, if it is not started again, as the restart policy has it. What
    /// became of the container since does not matter.
    pub fn final_exit(&self, policy: RestartPolicy) -> Option<&ContainerExit> {
        self.newest_attempt()?.final_exit(policy)
    }

    fn newest_attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref().filter(|attempt| self.is_newest(attempt.number))
    }

    fn is_newest(&self, attempt: u32) -> bool {
        attempt.saturating_add(1) == self.next_attempt
    }

    /// The newest attempt is begun or stopped, unless it has ended.
    fn enter(&mut self, stage: Stage) {
        let Some(number) = self.next_attempt.checked_sub(1) else { return };
        let has_ended = |attempt: &&Attempt| matches!(attempt.stage, Stage::Ended { .. });
        if self.newest_attempt().filter(has_ended).is_none() {
            self.attempt = Some(Attempt { number, stage });
        }
    }

    /// The newest attempt was not begun after all.
    fn forget_begin(&mut self) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.stage == Stage::Begun) {
            self.attempt = None;
        }
    }

    /// The newest attempt ended. The first end counts.
    fn enter_end(&mut self, exit: &ContainerExit, given_up: bool, pause: Option<Pause>) {
        let after = match self.newest_attempt().map(|attempt| &attempt.stage) {
            // Whoever stopped it: a person wanted that, and it runs again when he resumes it.
            _ if pause == Some(Pause::Stopped) => Some(Stopping::Ordered),
            Some(Stage::Stopping(why)) => Some(*why),
            _ => given_up.then_some(Stopping::GivenUp),
        };
        let mut exit = exit.clone();
        // What was given up has failed, also when it took that for a reason to end well.
        if after == Some(Stopping::GivenUp) && exit.exit_code == 0 {
            exit.exit_code = UNKNOWN_EXIT;
        }
        self.enter(Stage::Ended { exit, after });
    }
}

impl PodMemory {
    pub fn new(namespace: NamespaceName, name: ObjectName) -> Self {
        Self {
            namespace,
            name,
            in_flight: None,
            call_began_at: None,
            retry: Retry::default(),
            milestones: PodMilestones::default(),
            stopping_since: None,
            containers: BTreeMap::new(),
            pause: None,
        }
    }

    /// It is tended again: nothing that happened meanwhile counts, and nothing waits.
    pub fn resume(&mut self) {
        self.pause = None;
        self.stopping_since = None;
        self.retry = Retry::default();
        for container in self.containers.values_mut() {
            container.condemned = None;
            container.restart_at = None;
            container.crashes = 0;
        }
    }

    pub fn container(&mut self, name: &str) -> &mut ContainerMemory {
        self.containers.entry(name.to_owned()).or_default()
    }

    /// A container of this pod was seen for the first time, ours of a moment ago or of an earlier life.
    pub fn note_appeared(&mut self, labels: &ContainerLabels) {
        let memory = self.container(&labels.container);
        if labels.attempt.saturating_add(1) >= memory.next_attempt {
            memory.next_attempt = labels.attempt.saturating_add(1);
            memory.crashes = labels.crashes;
        }
        if memory.image == ImageState::Unknown {
            memory.image = ImageState::Present;
        }
    }

    /// A container ended. Returns the wait before its restart when that is a back-off.
    pub fn note_exit(
        &mut self,
        id: &str,
        labels: &ContainerLabels,
        started_at: Timestamp,
        exit: &ContainerExit,
        cause: ExitCause,
        now: Timestamp,
    ) -> Option<Duration> {
        let pause = self.pause;
        let memory = self.container(&labels.container);
        if memory.counted_exit.as_deref() == Some(id)
            || labels.attempt.saturating_add(1) < memory.next_attempt
        {
            return None;
        }
        memory.counted_exit = Some(id.to_owned());
        memory.last_exit = Some(exit.clone());
        let given_up = memory.condemned.take().is_some_and(|condemned| condemned.id == id);
        memory.enter_end(exit, given_up, pause);
        if cause == ExitCause::Outside {
            memory.restart_at = None;
            return None;
        }
        if exit.finished_at.since(started_at) >= CRASH_FORGOTTEN_AFTER {
            memory.crashes = 0;
        }
        memory.crashes = memory.crashes.saturating_add(1);
        let wait = crash_loop_wait(memory.crashes);
        // The engine's clock may be ahead of ours; the wait is never longer than it says.
        memory.restart_at = Some((exit.finished_at + wait).min(now + wait));
        (!wait.is_zero()).then_some(wait)
    }

    /// A container that someone else started runs, or one of an earlier life. How it ends counts, unless
    /// it had ended for good: then it is to be stopped, and its end is the one that it had.
    pub fn note_running(&mut self, labels: &ContainerLabels, policy: RestartPolicy) {
        let memory = self.container(&labels.container);
        memory.condemned = None;
        if memory.is_newest(labels.attempt) && memory.final_exit(policy).is_none() {
            memory.counted_exit = None;
            memory.attempt = Some(Attempt { number: labels.attempt, stage: Stage::Begun });
        }
    }

    /// A container was removed by someone else. If it had begun it ended, and nobody knows how: that is
    /// a failure, with the exit code that Kubernetes gives it. Where it is started again, that is at once.
    pub fn note_vanished(&mut self, container: &str, attempt: u32, wall: Timestamp) {
        let pause = self.pause;
        let memory = self.container(container);
        if !memory.is_newest(attempt) {
            return;
        }
        memory.restart_at = None;
        let given_up = memory.condemned.take().is_some();
        if let Some(Stage::Begun | Stage::Stopping(_)) =
            memory.newest_attempt().map(|attempt| &attempt.stage)
        {
            let exit =
                ContainerExit { exit_code: UNKNOWN_EXIT, oom_killed: false, finished_at: wall };
            memory.enter_end(&exit, given_up, pause);
            memory.last_exit = Some(exit);
        }
    }

    /// What must be known of its containers after a restart of the agent.
    pub fn attempts(&self) -> BTreeMap<String, Attempt> {
        let containers = self.containers.iter();
        let containers = containers.filter(|(name, _)| *name != SANDBOX);
        let newest = containers.filter_map(|(name, memory)| Some((name, memory.newest_attempt()?)));
        newest.map(|(name, attempt)| (name.clone(), attempt.clone())).collect()
    }

    /// Takes over what an earlier life knew.
    pub fn restore(&mut self, attempts: BTreeMap<String, Attempt>) {
        for (name, attempt) in attempts {
            let memory = self.container(&name);
            memory.next_attempt = attempt.number.saturating_add(1);
            if let Stage::Ended { exit, .. } = &attempt.stage {
                memory.last_exit = Some(exit.clone());
            }
            memory.attempt = Some(attempt);
        }
    }

    /// An engine call for this pod began.
    pub fn begin(&mut self, action: Action, now: Timestamp) {
        self.call_began_at = Some(now);
        if let Action::Pull { container, .. } = &action {
            let words = (WaitingReason::Pulling, String::new());
            self.container(container).waiting = Some(words);
        }
        match &action {
            Action::Start { container, .. } => self.container(container).enter(Stage::Begun),
            Action::Stop { targets, why, .. } => {
                if matches!(why, StopWhy::Ordered | StopWhy::PodEnded) {
                    self.stopping_since.get_or_insert(now);
                }
                let stage = match why {
                    StopWhy::Ordered | StopWhy::NotAssigned => Stopping::Ordered,
                    StopWhy::Unhealthy(_) | StopWhy::SandboxChanged => Stopping::GivenUp,
                    StopWhy::Drifted(_) => {
                        for target in targets {
                            self.container(&target.container).drift.renewal = Renewal::Tried;
                        }
                        Stopping::GivenUp
                    }
                    StopWhy::Superseded | StopWhy::Finished | StopWhy::PodEnded => {
                        return self.in_flight = Some(action);
                    }
                };
                for target in targets {
                    self.container(&target.container).enter(Stage::Stopping(stage));
                }
            }
            _ => {}
        }
        self.in_flight = Some(action);
    }

    /// The engine call under way ended. `now` is for decisions, `wall` for people.
    pub fn end(&mut self, outcome: &Outcome, policy: PullPolicy, now: Timestamp, wall: Timestamp) {
        let Some(action) = self.in_flight.take() else { return };
        match outcome {
            Outcome::Done => self.succeeded(&action, None, wall),
            Outcome::Found { digest } => self.succeeded(&action, digest.as_ref(), wall),
            Outcome::EngineUnavailable => {}
            Outcome::Failed(failure) => self.failed(&action, failure, policy, now),
        }
    }

    fn succeeded(&mut self, action: &Action, digest: Option<&ImageDigest>, wall: Timestamp) {
        match action {
            // It is no milestone of the pod.
            Action::Create { container, .. } | Action::Start { container, .. }
                if container == SANDBOX =>
            {
                self.container(SANDBOX).waiting = None;
                self.retry = Retry::default();
            }
            // Failures are forgotten only when the container runs, so that an image that is pulled
            // and still not there does not spin.
            Action::Pull { container, .. } => {
                self.milestones.pulled_at.get_or_insert(wall);
                let memory = self.container(container);
                memory.image = ImageState::JustPulled;
                memory.note_found(digest);
                memory.waiting = None;
            }
            Action::Find { container, .. } => {
                let memory = self.container(container);
                memory.image = ImageState::Present;
                memory.note_found(digest);
                memory.waiting = None;
            }
            Action::Create { container, .. } => {
                self.milestones.created_at.get_or_insert(wall);
                let memory = self.container(container);
                memory.image = ImageState::Present;
                memory.waiting = None;
            }
            Action::Start { container, .. } => {
                self.milestones.started_at.get_or_insert(wall);
                self.container(container).waiting = None;
                self.retry = Retry::default();
            }
            Action::Stop { .. } | Action::Remove { .. } => self.retry = Retry::default(),
            // What is put back is seen, and forgotten then.
            Action::Correct { .. } => {}
        }
    }

    fn failed(&mut self, action: &Action, failure: &Failure, policy: PullPolicy, now: Timestamp) {
        if let Action::Start { container, .. } = action
            && failure.kind != FailureKind::Transient
        {
            // It surely did not begin.
            self.container(container).forget_begin();
        }
        let permanent = matches!(
            failure.kind,
            FailureKind::NotFound | FailureKind::Permanent | FailureKind::Configuration
        );
        let backoff = if permanent { PERMANENT } else { TRANSIENT };
        if let Action::Correct { container, .. } = action {
            // Whatever else the pod needs does not wait for it.
            let drift = &mut self.container(container).drift;
            drift.failures = drift.failures.saturating_add(1);
            drift.not_before = Some(now + backoff.after(drift.failures));
            return;
        }
        let words = failure.message.clone();
        let waiting = match action {
            Action::Create { container, .. } if failure.kind == FailureKind::NotFound => {
                let memory = self.container(container);
                let just_pulled = memory.image == ImageState::JustPulled;
                memory.image = ImageState::Missing;
                match policy {
                    PullPolicy::Never => (WaitingReason::ErrImageNeverPull, words),
                    _ if just_pulled => (WaitingReason::CreateContainerError, words),
                    // Now it is known that it must be pulled: at once.
                    _ => return,
                }
            }
            Action::Find { container, .. } if failure.kind == FailureKind::NotFound => {
                self.container(container).image = ImageState::Missing;
                return;
            }
            Action::Pull { .. } if permanent => (WaitingReason::ErrImagePull, words),
            Action::Pull { .. } => (WaitingReason::Pulling, words),
            Action::Create { .. } | Action::Start { .. }
                if failure.kind == FailureKind::Configuration =>
            {
                (WaitingReason::CreateContainerConfigError, words)
            }
            Action::Create { .. } | Action::Start { .. } if permanent => {
                (WaitingReason::CreateContainerError, words)
            }
            _ => (WaitingReason::ContainerCreating, words),
        };
        if let Action::Pull { container, .. }
        | Action::Find { container, .. }
        | Action::Create { container, .. }
        | Action::Start { container, .. } = action
        {
            self.container(container).waiting = Some(waiting);
        }
        self.retry.failed = match action {
            Action::Stop { .. } | Action::Remove { .. } => Failed::Leaving,
            _ => Failed::Coming,
        };
        self.retry.failures = self.retry.failures.saturating_add(1);
        self.retry.not_before = Some(now + backoff.after(self.retry.failures));
    }
}
