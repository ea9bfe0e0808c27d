//! Pods with several containers: those that run first, those that run together, sidecars.

use super::*;
use crate::labels::SANDBOX;

/// A pod with two containers that run before `web`.
fn with_init(policy: RestartPolicy) -> Node {
    let mut node = job_like(policy);
    let pod = &mut node.assignment.pods[0];
    let mut template = (*pod.template).clone();
    for name in ["first", "second"] {
        let init = dugout_model::Container { name: name.into(), ..template.containers[0].clone() };
        template.init_containers.push(init);
    }
    pod.template = std::sync::Arc::new(template);
    node
}

fn of(name: &str, attempt: u32, state: ObservedState) -> ObservedContainer {
    let mut one = container(1, attempt, state);
    one.id = format!("id-{name}-{attempt}");
    one.labels.container = name.into();
    one
}

fn create_of(name: &str, attempt: u32, crashes: u32) -> Action {
    let image = if name == SANDBOX { crate::pause::SANDBOX_IMAGE } else { "image:1" }.into();
    Action::Create { pod: uid(1), container: name.into(), image, attempt, crashes }
}

#[test]
fn containers_that_run_first_do_so_one_after_the_other_before_the_others() {
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never] {
        let mut node = with_init(policy);
        assert_eq!(node.plan().actions, [create_of("first", 0, 0)]);
        node.see(of("first", 0, running(1)));
        assert_eq!(node.plan(), Plan::default());
        let report = node.report();
        assert_eq!(report.phase, PodPhase::Pending);
        assert!(matches!(report.init_containers[0].state, ContainerState::Running { .. }));
        assert_eq!(node.waiting(), WaitingReason::PodInitializing);
        node.see(of("first", 0, exited_with(1, 2, 0)));
        assert_eq!(node.plan().actions, [create_of("second", 0, 0)]);
        assert!(node.report().init_containers[0].ready);
        node.see(of("second", 0, exited_with(2, 3, 0)));
        assert_eq!(node.plan().actions, [create(0, 0)]);
        node.see(container(1, 0, running(3)));
        assert_eq!(node.plan(), Plan::default());
        assert_eq!(node.report().phase, PodPhase::Running);
    }
}

#[test]
fn one_that_runs_first_and_fails_is_tried_again_or_fails_the_pod() {
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure] {
        let mut node = with_init(policy);
        node.see(of("first", 0, exited_with(98, 99, 1)));
        assert_eq!(node.plan().actions, [create_of("first", 1, 1)]);
        node.see(of("first", 1, exited_with(99, 100, 1)));
        assert_eq!(node.plan(), Plan { wake_at: Some(at(110)), ..Plan::default() });
        let state = &node.report().init_containers[0].state;
        let looping = WaitingReason::CrashLoopBackOff;
        assert!(matches!(state, ContainerState::Waiting { reason, .. } if *reason == looping));
        assert_eq!(node.report().phase, PodPhase::Pending);
    }
    let mut node = with_init(RestartPolicy::Never);
    node.see(of("first", 0, exited_with(98, 99, 1)));
    node.now = 5_000;
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Failed);
}

#[test]
fn what_ran_first_does_not_run_again_for_a_restart_of_another() {
    let mut node = with_init(RestartPolicy::Always);
    // A restarted agent finds one of the others, and nothing of those that ran first.
    node.see(container(1, 4, exited(98, 99)));
    assert_eq!(node.plan().actions, [create(5, 1)]);
    let report = node.report();
    assert!(report.init_containers.iter().all(|one| one.ready));
    assert_eq!(report.phase, PodPhase::Running);
}

/// A pod with the containers `web` and `side`.
fn with_two(policy: RestartPolicy) -> Node {
    let mut node = job_like(policy);
    let pod = &mut node.assignment.pods[0];
    let mut template = (*pod.template).clone();
    let side = dugout_model::Container { name: "side".into(), ..template.containers[0].clone() };
    template.containers.push(side);
    pod.template = std::sync::Arc::new(template);
    node
}

fn made_at(seconds: u64, one: ObservedContainer) -> ObservedContainer {
    ObservedContainer { created_at: at(seconds), ..one }
}

fn stop_of(names: &[&str], grace: u64, why: StopWhy) -> Action {
    let target = |name: &&str| StopTarget { container: (*name).into(), id: format!("id-{name}-0") };
    let (targets, grace) = (names.iter().map(target).collect(), Duration::from_secs(grace));
    Action::Stop { pod: uid(1), targets, grace, why }
}

#[test]
fn several_containers_share_a_sandbox_that_runs_before_them() {
    let mut node = with_two(RestartPolicy::Always);
    assert_eq!(node.plan().actions, [create_of(SANDBOX, 0, 0)]);
    node.see(of(SANDBOX, 0, ObservedState::Created));
    let id = format!("id-{SANDBOX}-0");
    assert_eq!(node.plan().actions, [Action::Start { pod: uid(1), container: SANDBOX.into(), id }]);
    node.see(of(SANDBOX, 0, running(10)));
    assert_eq!(node.report().phase, PodPhase::Pending);
    assert_eq!(node.plan().actions, [create_of("web", 0, 0)]);
    node.see(of("web", 0, running(11)));
    assert_eq!(node.plan().actions, [create_of("side", 0, 0)]);
    node.see(of("side", 0, running(12)));
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().containers.len(), 2);

    // It leaves: the containers together, then the sandbox, at once.
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
    assert_eq!(node.plan().actions, [stop_of(&["side", "web"], 4, StopWhy::Ordered)]);
    for name in ["side", "web"] {
        node.see(of(name, 0, exited(11, 20)));
    }
    assert_eq!(node.plan().actions, [stop_of(&[SANDBOX], 0, StopWhy::Ordered)]);
}

#[test]
fn a_new_sandbox_means_new_containers() {
    let both = || {
        let mut node = with_two(RestartPolicy::Always);
        node.see(of(SANDBOX, 0, running(10)));
        node.see(of("web", 0, running(11)));
        node.see(of("side", 0, running(11)));
        node
    };
    // It ended: what shared it is stopped, then it is made anew.
    let mut node = both();
    node.see(of(SANDBOX, 0, exited(10, 20)));
    let together = stop_of(&["side", "web"], 7, StopWhy::SandboxChanged);
    assert_eq!(node.plan().actions, std::slice::from_ref(&together));
    for name in ["side", "web"] {
        node.see(of(name, 0, exited(11, 21)));
    }
    assert_eq!(node.plan().actions, [create_of(SANDBOX, 1, 1)]);
    node.see(made_at(22, of(SANDBOX, 1, running(22))));
    assert_eq!(node.plan().actions, [create_of("web", 1, 1)]);

    // Somebody started it again: its network is another one.
    let mut node = both();
    node.see(of(SANDBOX, 0, running(30)));
    assert_eq!(node.plan().actions, [together]);

    // What was made for the last one cannot be started.
    let mut node = with_two(RestartPolicy::Always);
    node.see(made_at(5, of("web", 0, ObservedState::Created)));
    node.see(made_at(9, of(SANDBOX, 1, running(10))));
    let id = "id-web-0".to_owned();
    let removed = Action::Remove { pod: uid(1), container: "web".into(), id };
    assert_eq!(node.plan().actions, [removed]);
}

/// Found by a simulated cluster: a job was complete though none of its pods had done its work.
#[test]
fn what_is_stopped_for_a_new_sandbox_has_not_done_its_work_however_it_ends() {
    for (policy, phase) in
        [(RestartPolicy::Never, PodPhase::Failed), (RestartPolicy::OnFailure, PodPhase::Running)]
    {
        let mut node = with_two(policy);
        node.see(of(SANDBOX, 0, running(10)));
        for name in ["web", "side"] {
            node.see(of(name, 0, running(11)));
            let labels = of(name, 0, running(11)).labels;
            node.memory().note_running(&labels, policy);
        }
        node.see(of(SANDBOX, 0, exited(10, 20)));
        let stop = node.plan().actions.remove(0);
        node.memory().begin(stop, at(20));
        for name in ["web", "side"] {
            node.see(of(name, 0, exited_with(11, 21, 0)));
        }
        assert_eq!(node.report().phase, phase, "{policy:?}");
    }
}

#[test]
fn the_sandbox_of_a_pod_that_ended_is_stopped_and_not_made_again() {
    let mut node = with_two(RestartPolicy::Never);
    node.see(of(SANDBOX, 0, running(10)));
    node.see(of("web", 0, exited_with(11, 20, 0)));
    assert_eq!(node.plan().actions, [create_of("side", 0, 0)]);
    node.see(of("side", 0, exited_with(11, 21, 0)));
    assert_eq!(node.report().phase, PodPhase::Succeeded);
    assert_eq!(node.plan().actions, [stop_of(&[SANDBOX], 0, StopWhy::PodEnded)]);
    node.see(of(SANDBOX, 0, exited_with(10, 22, 137)));
    node.now = 5_000;
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Succeeded);
}

/// A pod with the sidecars `proxy`, which has a startup probe, and `logs` before `web`.
fn with_sidecars(policy: RestartPolicy) -> Node {
    let mut node = job_like(policy);
    let pod = &mut node.assignment.pods[0];
    let mut template = (*pod.template).clone();
    let sidecar = |name: &str| dugout_model::Container {
        name: name.into(),
        restart_policy: Some(RestartPolicy::Always),
        ..template.containers[0].clone()
    };
    let action = dugout_model::ProbeAction::Exec { command: vec!["check".into()] };
    let startup_probe = Some(Box::new(dugout_model::Probe {
        action,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 1,
        termination_grace: None,
    }));
    let proxy = dugout_model::Container { startup_probe, ..sidecar("proxy") };
    template.init_containers = vec![proxy, sidecar("logs")];
    pod.template = std::sync::Arc::new(template);
    node.see(of(SANDBOX, 0, running(1)));
    node
}

/// All of them run.
fn with_running_sidecars(policy: RestartPolicy) -> Node {
    let mut node = with_sidecars(policy);
    for name in ["proxy", "logs", "web"] {
        node.see(of(name, 0, running(2)));
    }
    node
}

#[test]
fn sidecars_start_in_order_each_when_the_one_before_has_started() {
    let mut node = with_sidecars(RestartPolicy::Never);
    assert_eq!(node.plan().actions, [create_of("proxy", 0, 0)]);
    node.see(of("proxy", 0, running(2)));
    assert_eq!(node.plan(), Plan::default(), "its startup probe has not passed");
    node.memory().container("proxy").started = Some("id-proxy-0".into());
    assert_eq!(node.plan().actions, [create_of("logs", 0, 0)]);
    node.see(of("logs", 0, running(3)));
    assert_eq!(node.plan().actions, [create_of("web", 0, 0)]);
    node.see(of("web", 0, running(4)));
    assert_eq!(node.plan(), Plan::default());
    // Whatever holds for the pod, a sidecar is always started again.
    node.see(of("proxy", 0, exited_with(2, 5, 0)));
    assert_eq!(node.plan().actions, [create_of("proxy", 1, 1)]);
    assert_eq!(node.report().phase, PodPhase::Running);
}

#[test]
fn sidecars_end_after_the_others_the_last_first_and_do_not_keep_a_pod_from_ending() {
    for (code, phase) in [(0, PodPhase::Succeeded), (3, PodPhase::Failed)] {
        let mut node = with_running_sidecars(RestartPolicy::Never);
        node.see(of("web", 0, exited_with(2, 10, code)));
        assert_eq!(node.report().phase, PodPhase::Running);
        assert_eq!(node.plan().actions, [stop_of(&["logs"], 7, StopWhy::PodEnded)]);
        node.succeed();
        node.now += 4;
        node.see(of("logs", 0, exited_with(2, 11, 143)));
        // They have one grace together.
        assert_eq!(node.plan().actions, [stop_of(&["proxy"], 3, StopWhy::PodEnded)]);
        node.see(of("proxy", 0, exited_with(2, 12, 137)));
        let report = node.report();
        assert_eq!(report.phase, phase, "how its sidecars ended does not matter");
        let ended = |one: &dugout_model::ContainerStatus| {
            matches!(one.state, ContainerState::Terminated(_))
        };
        assert!(report.init_containers.iter().all(ended));
        assert_eq!(node.plan().actions, [stop_of(&[SANDBOX], 0, StopWhy::PodEnded)]);
        node.see(of(SANDBOX, 0, exited_with(1, 13, 137)));
        node.now = 5_000;
        assert_eq!(node.plan(), Plan::default());
    }
}

#[test]
fn a_pod_that_leaves_stops_its_sidecars_last_in_what_is_left_of_its_grace() {
    let mut node = with_running_sidecars(RestartPolicy::Always);
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(10) };
    assert_eq!(node.plan().actions, [stop_of(&["web"], 10, StopWhy::Ordered)]);
    node.succeed();
    node.now += 6;
    node.see(of("web", 0, exited(2, 106)));
    assert_eq!(node.plan().actions, [stop_of(&["logs"], 4, StopWhy::Ordered)]);
    node.now += 4;
    node.see(of("logs", 0, exited(2, 110)));
    assert_eq!(node.plan().actions, [stop_of(&["proxy"], 2, StopWhy::Ordered)]);
    node.see(of("proxy", 0, exited(2, 112)));
    assert_eq!(node.plan().actions, [stop_of(&[SANDBOX], 0, StopWhy::Ordered)]);
}
