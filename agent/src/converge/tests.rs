//! Worked cases of converging: what is there, and what follows.

use super::*;
use crate::testing::{self, *};
use dugout_model::{ContainerExit, ContainerState, PodPhase, RestartPolicy, WaitingReason};

mod drift;
mod hooks;
mod paused;
mod pins;
mod several;
mod takeover;

/// A node in memory whose engine does what it is told, for whole stories.
struct Node {
    assignment: Assignment,
    observed: Observed,
    memories: Memories,
    policy: NodePolicy,
    now: u64,
}

impl Node {
    fn new(pods: Vec<AssignedPod>) -> Self {
        Self {
            assignment: assignment(1, pods),
            observed: Observed::default(),
            memories: Memories::new(),
            policy: testing::policy(),
            now: 100,
        }
    }

    fn with_image_policy(policy: PullPolicy) -> Self {
        let mut template = template("web");
        template.containers[0].pull_policy = policy;
        Self::new(vec![pod(1, template)])
    }

    fn plan(&self) -> Plan {
        converge(Input {
            assignment: Some(&self.assignment),
            observed: &self.observed,
            memories: &self.memories,
            engine_known: true,
            policy: &self.policy,
            now: at(self.now),
        })
    }

    fn memory(&mut self) -> &mut PodMemory {
        let pod = &self.assignment.pods[0];
        self.memories
            .entry(uid(1))
            .or_insert_with(|| PodMemory::new(pod.namespace.clone(), pod.name.clone()))
    }

    fn see(&mut self, mut one: ObservedContainer) {
        let crashes = self.memory().container(&one.labels.container).crashes;
        one.labels.crashes = one.labels.crashes.max(crashes);
        let template = &self.assignment.pods[0].template;
        one.settings =
            crate::spec::container_settings(template, &one.labels.container).unwrap_or_default();
        let news = self.observed.put(one);
        let now = at(self.now);
        match news {
            Some(News::Appeared(one)) => {
                self.memory().note_appeared(&one.labels);
                if one.is_running() {
                    let policy = self.assignment.pods[0].template.restart_policy;
                    self.memory().note_running(&one.labels, policy);
                }
                if let ObservedState::Exited { started_at, exit } = &one.state {
                    let cause = ExitCause::Itself;
                    self.memory().note_exit(&one.id, &one.labels, *started_at, exit, cause, now);
                }
            }
            Some(News::Exited { id, labels, started_at, exit }) => {
                let cause = ExitCause::Itself;
                self.memory().note_exit(&id, &labels, started_at, &exit, cause, now);
            }
            _ => {}
        }
    }

    fn fail(&mut self, kind: FailureKind) {
        let action = self.plan().actions.remove(0);
        let policy = self.assignment.pods[0].template.containers[0].pull_policy;
        let now = at(self.now);
        self.memory().begin(action, now);
        let failure = Failure { kind, message: "no".into() };
        self.memory().end(&Outcome::Failed(failure), policy, now, now);
    }

    fn succeed(&mut self) {
        let action = self.plan().actions.remove(0);
        let policy = self.assignment.pods[0].template.containers[0].pull_policy;
        let now = at(self.now);
        self.memory().begin(action, now);
        self.memory().end(&Outcome::Done, policy, now, now);
    }

    fn report(&mut self) -> dugout_model::PodReport {
        pod_report(
            self.assignment.pods.first(),
            self.observed.of_pod(uid(1)),
            self.memories.get(&uid(1)),
            Health::default(),
            true,
        )
    }

    fn waiting(&mut self) -> WaitingReason {
        match &self.report().containers[0].state {
            ContainerState::Waiting { reason, .. } => *reason,
            other => panic!("not waiting: {other:?}"),
        }
    }
}

fn create(attempt: u32, crashes: u32) -> Action {
    Action::Create {
        pod: uid(1),
        container: "web".into(),
        image: "image:1".into(),
        attempt,
        crashes,
    }
}

fn pull() -> Action {
    Action::Pull { pod: uid(1), container: "web".into(), image: "image:1".into() }
}

fn start(attempt: u32) -> Action {
    Action::Start { pod: uid(1), container: "web".into(), id: format!("id-1-{attempt}") }
}

fn stop_action(attempt: u32, grace: u64, why: StopWhy) -> Action {
    let id = format!("id-1-{attempt}");
    let grace = Duration::from_secs(grace);
    let targets = vec![StopTarget { container: "web".into(), id }];
    Action::Stop { pod: uid(1), targets, grace, why }
}

fn remove_action(attempt: u32) -> Action {
    Action::Remove { pod: uid(1), container: "web".into(), id: format!("id-1-{attempt}") }
}

fn one_pod() -> Node {
    Node::new(vec![pod(1, template("web"))])
}

#[test]
fn a_new_pod_is_made_then_started_without_asking_for_its_image() {
    let mut node = one_pod();
    assert_eq!(node.plan().actions, [create(0, 0)]);
    node.see(container(1, 0, ObservedState::Created));
    assert_eq!(node.plan().actions, [start(0)]);
    node.see(container(1, 0, running(100)));
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_pod_with_a_call_under_way_gets_no_other() {
    let mut node = one_pod();
    node.memory().begin(create(0, 0), at(100));
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn without_an_accepted_assignment_or_a_list_nothing_is_touched() {
    let mut node = one_pod();
    node.see(container(9, 0, running(1)));
    let input = Input {
        assignment: None,
        observed: &node.observed,
        memories: &node.memories,
        engine_known: true,
        policy: &node.policy,
        now: at(1),
    };
    assert_eq!(converge(input), Plan::default());
    let input = Input { assignment: Some(&node.assignment), engine_known: false, ..input };
    assert_eq!(converge(input), Plan::default());
}

#[test]
fn a_running_container_is_adopted_untouched() {
    let mut node = one_pod();
    node.see(container(1, 4, running(1)));
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().containers[0].restarts, 4);
}

#[test]
fn an_image_that_is_missing_is_pulled_when_needed() {
    let mut node = one_pod();
    node.fail(FailureKind::NotFound);
    assert_eq!(node.plan().actions, [pull()]);
    node.succeed();
    assert_eq!(node.plan().actions, [create(0, 0)]);
    // Pulled, and the engine still does not have it: not in a spin.
    node.fail(FailureKind::NotFound);
    assert_eq!(node.waiting(), WaitingReason::CreateContainerError);
    assert_eq!(node.plan().wake_at, Some(at(110)));
}

#[test]
fn always_pulls_once_for_a_pod_and_never_pulls_not_at_all() {
    let mut node = Node::with_image_policy(PullPolicy::Always);
    assert_eq!(node.plan().actions, [pull()]);
    node.succeed();
    assert_eq!(node.plan().actions, [create(0, 0)]);
    node.see(container(1, 0, exited(1, 2)));
    assert_eq!(node.plan().actions, [create(1, 1)]);

    let mut node = Node::with_image_policy(PullPolicy::Never);
    node.fail(FailureKind::NotFound);
    assert_eq!(node.waiting(), WaitingReason::ErrImageNeverPull);
    assert_eq!(node.plan().wake_at, Some(at(110)));
}

#[test]
fn a_pull_that_is_refused_backs_off_and_a_hiccup_is_tried_soon() {
    let mut node = Node::with_image_policy(PullPolicy::Always);
    for wait in [10, 20, 40] {
        node.fail(FailureKind::Permanent);
        assert_eq!(node.waiting(), WaitingReason::ErrImagePull);
        assert_eq!(node.plan(), Plan { wake_at: Some(at(node.now + wait)), ..Plan::default() });
        node.now += wait;
    }
    let mut node = Node::with_image_policy(PullPolicy::Always);
    node.fail(FailureKind::Transient);
    assert_eq!(node.waiting(), WaitingReason::Pulling);
    assert_eq!(node.plan().wake_at, Some(at(100) + Duration::from_millis(200)));
}

#[test]
fn a_crashing_container_restarts_at_once_and_then_backs_off() {
    let mut node = one_pod();
    for (attempt, wait) in [(0, 0), (1, 10), (2, 20), (3, 40)] {
        node.see(container(1, attempt, running(node.now)));
        node.now += 1;
        node.see(container(1, attempt, exited(node.now - 1, node.now)));
        if wait > 0 {
            let until = Some(at(node.now + wait));
            assert_eq!(node.plan(), Plan { wake_at: until, ..Plan::default() });
            assert_eq!(node.waiting(), WaitingReason::CrashLoopBackOff);
        }
        node.now += wait;
        assert_eq!(node.plan().actions, [create(attempt + 1, attempt + 1)]);
    }
}

#[test]
fn ten_minutes_of_running_wipe_the_slate() {
    let mut node = one_pod();
    node.now = 14;
    node.see(container(1, 0, exited(10, 12)));
    node.see(container(1, 1, exited(12, 14)));
    assert!(node.plan().actions.is_empty());
    node.now = 700;
    node.see(container(1, 2, exited(100, 700)));
    assert_eq!(node.plan().actions, [create(3, 1)]);
}

#[test]
fn a_restarted_agent_goes_on_with_the_back_off_of_the_labels() {
    let mut node = one_pod();
    let mut one = container(1, 5, exited(98, 99));
    one.labels.crashes = 3;
    node.see(one);
    assert_eq!(node.plan().wake_at, Some(at(99 + 40)));
}

#[test]
fn a_container_killed_from_outside_or_removed_heals_at_once() {
    let mut node = one_pod();
    let one = container(1, 2, running(1));
    node.see(one.clone());
    let exit = ContainerExit { exit_code: 137, oom_killed: false, finished_at: at(50) };
    let now = at(50);
    node.memory().note_exit(&one.id, &one.labels, at(1), &exit, ExitCause::Outside, now);
    node.observed.put(container(1, 2, exited(1, 50)));
    assert_eq!(node.plan().actions, [create(3, 0)]);

    let mut node = one_pod();
    node.see(one.clone());
    node.observed.vanished(&one.id);
    node.memory().note_vanished("web", one.labels.attempt, at(50));
    assert_eq!(node.plan().actions, [create(3, 0)]);
}

#[test]
fn an_ended_attempt_is_kept_for_its_log_and_older_ones_are_removed() {
    let mut node = one_pod();
    for attempt in 0..2 {
        node.see(container(1, attempt, exited(1, 2)));
    }
    node.see(container(1, 2, running(3)));
    assert_eq!(node.plan().actions, [remove_action(0)]);
    node.observed.removed("id-1-0");
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_condemned_container_is_stopped_with_its_grace_and_counts_as_a_crash() {
    let mut node = one_pod();
    node.see(container(1, 0, running(1)));
    let condemned = Condemned { id: "id-1-0".into(), why: "liveness".into(), grace: None };
    node.memory().container("web").condemned = Some(condemned);
    let why = StopWhy::Unhealthy("liveness".into());
    assert_eq!(node.plan().actions, [stop_action(0, 7, why)]);
    node.see(container(1, 0, exited(1, 99)));
    assert_eq!(node.plan().actions, [create(1, 1)]);
}

#[test]
fn a_draining_pod_keeps_running_and_is_not_restarted() {
    let mut node = one_pod();
    node.assignment.pods[0].order = PodOrder::Run { draining: true };
    assert_eq!(node.plan(), Plan::default());
    node.see(container(1, 0, ObservedState::Created));
    assert_eq!(node.plan(), Plan::default());
    node.see(container(1, 0, running(1)));
    assert_eq!(node.plan(), Plan::default());
    node.see(container(1, 0, exited(1, 2)));
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_stopped_pod_is_gone_only_when_nothing_of_it_is_left() {
    let mut node = one_pod();
    node.see(container(1, 0, exited(1, 2)));
    node.see(container(1, 1, running(3)));
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
    assert_eq!(node.plan().actions, [stop_action(1, 4, StopWhy::Ordered)]);
    node.see(container(1, 1, exited(3, 99)));
    assert_eq!(node.plan().actions, [remove_action(0)]);
    node.observed.removed("id-1-0");
    assert_eq!(node.report().phase, PodPhase::Running);
    assert_eq!(node.plan().actions, [remove_action(1)]);
    node.observed.removed("id-1-1");
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Gone);
}

#[test]
fn a_pod_that_is_not_assigned_is_stopped_with_the_grace_of_its_labels() {
    let mut node = Node::new(vec![]);
    node.observed.put(container(1, 0, running(3)));
    assert_eq!(node.plan().actions, [stop_action(0, 9, StopWhy::NotAssigned)]);
}

#[test]
fn a_refused_start_shows_why_and_is_tried_again_rarely() {
    let mut node = one_pod();
    node.see(container(1, 0, ObservedState::Created));
    node.fail(FailureKind::Permanent);
    assert_eq!(node.waiting(), WaitingReason::CreateContainerError);
    assert_eq!(node.plan().wake_at, Some(at(110)));
    node.now = 110;
    assert_eq!(node.plan().actions, [start(0)]);
}

#[test]
fn a_pod_says_that_the_engine_does_not_answer() {
    let node = one_pod();
    let pod = node.assignment.pods.first();
    let report = pod_report(pod, &[], None, Health::default(), false);
    assert!(matches!(
        report.containers[0].state,
        ContainerState::Waiting { reason: WaitingReason::EngineUnavailable, .. }
    ));
    let mut stopping = node.assignment.pods[0].clone();
    stopping.order = PodOrder::Stop { grace: Duration::ZERO };
    let report = pod_report(Some(&stopping), &[], None, Health::default(), false);
    assert_ne!(report.phase, PodPhase::Gone);
}

fn job_like(policy: RestartPolicy) -> Node {
    let mut template = template("web");
    template.restart_policy = policy;
    Node::new(vec![pod(1, template)])
}

#[test]
fn a_container_that_ended_for_good_is_left_as_it_is() {
    for (policy, code, phase) in [
        (RestartPolicy::Never, 0, PodPhase::Succeeded),
        (RestartPolicy::Never, 3, PodPhase::Failed),
        (RestartPolicy::OnFailure, 0, PodPhase::Succeeded),
    ] {
        let mut node = job_like(policy);
        node.see(container(1, 0, exited_with(9, 10, code)));
        node.now = 5_000;
        assert_eq!(node.plan(), Plan::default(), "{policy:?} after {code}");
        let report = node.report();
        assert_eq!(report.phase, phase);
        let state = &report.containers[0].state;
        assert!(matches!(state, ContainerState::Terminated(exit) if exit.exit_code == code));
    }
}

#[test]
fn a_pod_that_is_told_to_go_does_not_wait_for_what_it_could_not_begin() {
    let mut node = one_pod();
    node.see(container(1, 0, ObservedState::Created));
    node.fail(FailureKind::Permanent);
    assert_eq!(node.plan().actions, []);
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
    assert_eq!(node.plan().actions, [remove_action(0)]);
    // What could not be removed waits as everything does that fails.
    node.fail(FailureKind::Transient);
    assert_eq!(node.plan().actions, []);
    assert!(node.plan().wake_at.is_some());
}

#[test]
fn on_failure_a_container_is_started_again_until_it_ends_well() {
    let mut node = job_like(RestartPolicy::OnFailure);
    node.see(container(1, 0, exited_with(9, 10, 1)));
    assert_eq!(node.plan().actions, [create(1, 1)]);
    assert_eq!(node.report().phase, PodPhase::Running);
    node.see(container(1, 1, exited_with(11, 12, 0)));
    node.now = 5_000;
    assert_eq!(
        node.plan().actions.iter().filter(|one| matches!(one, Action::Create { .. })).count(),
        0
    );
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

#[test]
fn what_ended_for_good_and_was_then_removed_by_somebody_does_not_run_again() {
    let mut node = job_like(RestartPolicy::Never);
    let ended = container(1, 0, exited_with(9, 10, 0));
    let id = ended.id.clone();
    node.see(ended);
    node.observed.vanished(&id);
    node.now = 5_000;
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

#[test]
fn a_pod_that_ended_leaves_when_it_is_told_to() {
    let mut node = job_like(RestartPolicy::Never);
    node.see(container(1, 0, exited_with(9, 10, 0)));
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(30) };
    let removes = |action: &Action| matches!(action, Action::Remove { .. });
    assert!(node.plan().actions.iter().all(removes) && !node.plan().actions.is_empty());
}

#[test]
fn what_a_probe_gave_up_failed_though_it_ended_with_code_0() {
    let mut node = job_like(RestartPolicy::OnFailure);
    let running = container(1, 0, running(9));
    let condemned =
        Condemned { id: running.id.clone(), why: "does not answer".into(), grace: None };
    node.see(running);
    node.memory().container("web").condemned = Some(condemned);
    node.see(container(1, 0, exited_with(9, 10, 0)));
    assert_eq!(node.plan().actions, [create(1, 1)]);
    assert_eq!(node.report().phase, PodPhase::Running);
}

#[test]
fn a_success_stays_when_only_an_earlier_failure_is_left_of_the_pod() {
    let mut node = job_like(RestartPolicy::OnFailure);
    node.see(container(1, 0, exited_with(9, 10, 1)));
    let succeeded = container(1, 1, exited_with(11, 12, 0));
    let id = succeeded.id.clone();
    node.see(succeeded);
    node.observed.vanished(&id);
    node.now = 5_000;
    assert_eq!(node.plan(), Plan::default());
    let report = node.report();
    assert_eq!(report.phase, PodPhase::Succeeded);
    let state = &report.containers[0].state;
    assert!(matches!(state, ContainerState::Terminated(exit) if exit.exit_code == 0));
}

#[test]
fn what_is_removed_while_it_runs_failed_whether_or_not_its_end_was_seen() {
    for was_seen in [true, false] {
        let mut node = job_like(RestartPolicy::Never);
        let one = container(1, 0, running(9));
        node.see(one.clone());
        if was_seen {
            node.see(container(1, 0, exited_with(9, 10, 137)));
        }
        node.observed.vanished(&one.id);
        node.memory().note_vanished("web", 0, at(10));
        node.now = 5_000;
        assert_eq!(node.plan(), Plan::default(), "its end was seen: {was_seen}");
        assert_eq!(node.report().phase, PodPhase::Failed);
        let state = &node.report().containers[0].state;
        assert!(matches!(state, ContainerState::Terminated(exit) if exit.exit_code == 137));
    }
    let mut node = job_like(RestartPolicy::OnFailure);
    let one = container(1, 0, running(9));
    node.see(one.clone());
    node.observed.vanished(&one.id);
    node.memory().note_vanished("web", 0, at(10));
    assert_eq!(node.plan().actions, [create(1, 0)]);
}

#[test]
fn what_was_never_started_and_is_removed_is_made_again() {
    let mut node = job_like(RestartPolicy::Never);
    let one = container(1, 0, ObservedState::Created);
    node.see(one.clone());
    node.observed.vanished(&one.id);
    node.memory().note_vanished("web", 0, at(10));
    assert_eq!(node.plan().actions, [create(1, 0)]);
}

#[test]
fn a_start_that_was_refused_began_nothing() {
    let mut node = job_like(RestartPolicy::Never);
    node.see(container(1, 0, ObservedState::Created));
    node.fail(FailureKind::NotFound);
    node.observed.vanished("id-1-0");
    node.memory().note_vanished("web", 0, at(100));
    node.now = 5_000;
    assert_eq!(node.plan().actions, [create(1, 0)]);
}

#[test]
fn a_container_that_is_told_to_stop_did_not_succeed_by_ending_well() {
    for policy in [RestartPolicy::Never, RestartPolicy::OnFailure] {
        let mut node = job_like(policy);
        node.see(container(1, 0, running(9)));
        node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
        assert_eq!(node.plan().actions, [stop_action(0, 4, StopWhy::Ordered)]);
        node.succeed();
        node.see(container(1, 0, exited_with(9, 101, 0)));
        assert_eq!(node.report().phase, PodPhase::Running);
        assert_eq!(node.plan().actions, [remove_action(0)]);
    }
    // One that had ended before keeps what it earned.
    let mut node = job_like(RestartPolicy::Never);
    node.see(container(1, 0, exited_with(9, 10, 0)));
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

#[test]
fn what_ended_for_good_and_is_started_by_hand_is_stopped_and_keeps_its_end() {
    let mut node = job_like(RestartPolicy::Never);
    node.see(container(1, 0, exited_with(9, 10, 0)));
    let again = container(1, 0, running(20));
    node.observed.put(again.clone());
    node.memory().note_running(&again.labels, RestartPolicy::Never);
    assert_eq!(node.report().phase, PodPhase::Succeeded);
    assert_eq!(node.plan().actions, [stop_action(0, 7, StopWhy::Finished)]);
    node.succeed();
    node.see(container(1, 0, exited_with(20, 30, 143)));
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

#[test]
fn a_failed_container_that_is_started_by_hand_before_its_time_runs_on() {
    let mut node = job_like(RestartPolicy::OnFailure);
    node.see(container(1, 0, exited_with(9, 10, 1)));
    let again = container(1, 0, running(20));
    node.observed.put(again.clone());
    node.memory().note_running(&again.labels, RestartPolicy::OnFailure);
    assert_eq!(node.plan(), Plan::default());
    node.see(container(1, 0, exited_with(20, 30, 0)));
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

#[test]
fn a_restarted_agent_knows_what_it_knew_of_an_end() {
    // Ended for good, then removed by somebody while the agent was away.
    let mut before = job_like(RestartPolicy::Never);
    before.see(container(1, 0, exited_with(9, 10, 3)));
    let attempts = before.memory().attempts();
    let mut node = job_like(RestartPolicy::Never);
    node.memory().restore(attempts);
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Failed);

    // Given up by a probe, and ended well while the agent was away.
    let mut before = job_like(RestartPolicy::OnFailure);
    before.see(container(1, 0, running(9)));
    let condemned = Condemned { id: "id-1-0".into(), why: "does not answer".into(), grace: None };
    before.memory().container("web").condemned = Some(condemned);
    before.succeed();
    let attempts = before.memory().attempts();
    let mut node = job_like(RestartPolicy::OnFailure);
    node.memory().restore(attempts);
    node.see(container(1, 0, exited_with(9, 10, 0)));
    assert_eq!(node.plan().actions, [create(1, 1)]);

    // Started, and gone.
    let mut before = job_like(RestartPolicy::Never);
    before.see(container(1, 0, ObservedState::Created));
    before.succeed();
    let attempts = before.memory().attempts();
    let mut node = job_like(RestartPolicy::Never);
    node.memory().restore(attempts);
    node.memory().note_vanished("web", 0, at(50));
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Failed);
}
