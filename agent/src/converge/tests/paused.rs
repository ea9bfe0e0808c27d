//! Pods that a person paused or stopped on their node.

use dugout_model::Pause;

use super::*;

fn paused(pause: Pause) -> Node {
    let mut node = one_pod();
    node.see(container(1, 0, running(100)));
    node.memory().pause = Some(pause);
    node
}

#[test]
fn a_pod_that_is_left_alone_is_not_healed_stopped_or_removed() {
    let mut node = paused(Pause::LeftAlone);
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().pause, Some(Pause::LeftAlone));
    node.memory().container("web").condemned =
        Some(Condemned { id: "id-1-0".into(), why: "liveness".into(), grace: None });
    assert_eq!(node.plan(), Plan::default());
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(5) };
    assert_eq!(node.plan(), Plan::default());
    let assigned = std::mem::take(&mut node.assignment.pods);
    assert_eq!(node.plan(), Plan::default());
    node.assignment.pods = assigned;
    node.assignment.pods[0].order = PodOrder::Run { draining: false };
    node.see(container(1, 0, exited(100, 101)));
    assert_eq!(node.plan(), Plan::default());
    let report = node.report();
    assert!(matches!(report.containers[0].state, ContainerState::Terminated(_)), "{report:?}");
    assert_eq!(report.phase, PodPhase::Running, "it has not ended for good");
    // What happened meanwhile is no crash, and what condemned it does not count.
    node.memory().resume();
    assert_eq!(node.plan().actions, [create(1, 0)]);
}

#[test]
fn what_condemned_a_container_before_it_was_resumed_does_not_count() {
    let mut node = paused(Pause::LeftAlone);
    node.memory().container("web").condemned =
        Some(Condemned { id: "id-1-0".into(), why: "liveness".into(), grace: None });
    node.memory().resume();
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_pod_that_is_stopped_stays_so_and_keeps_what_is_left_of_it() {
    let mut node = paused(Pause::Stopped);
    let grace = node.assignment.pods[0].template.termination_grace.as_secs();
    assert_eq!(node.plan().actions, [stop_action(0, grace, StopWhy::Ordered)]);
    node.succeed();
    node.see(container(1, 0, exited(100, 101)));
    assert_eq!(node.plan(), Plan::default());
    assert_eq!(node.report().phase, PodPhase::Running, "nobody shall replace it");
    // The order to go is no contradiction.
    let order = std::mem::replace(
        &mut node.assignment.pods[0].order,
        PodOrder::Stop { grace: Duration::from_secs(5) },
    );
    assert_eq!(node.plan().actions, [remove_action(0)]);
    node.assignment.pods[0].order = order;
    node.memory().resume();
    assert_eq!(node.plan().actions, [create(1, 0)]);
}

/// A pod whose container runs once, and is seen running.
fn once() -> Node {
    let mut template = template("web");
    template.restart_policy = RestartPolicy::Never;
    let mut node = Node::new(vec![pod(1, template)]);
    node.see(container(1, 0, running(100)));
    node
}

#[test]
fn an_end_while_a_person_keeps_it_stopped_is_not_the_end_of_its_work() {
    // While no agent ran, whoever stopped it or whatever removed it.
    for code in [0, 137] {
        let mut node = once();
        node.memory().pause = Some(Pause::Stopped);
        node.see(container(1, 0, exited_with(100, 101, code)));
        assert_eq!(node.report().phase, PodPhase::Running);
        node.memory().resume();
        assert_eq!(node.report().phase, PodPhase::Running);
        assert_eq!(node.plan().actions, [create(1, 0)]);
    }
    let mut node = once();
    node.memory().pause = Some(Pause::Stopped);
    node.memory().note_vanished("web", 0, at(101));
    node.memory().resume();
    assert_eq!(node.report().phase, PodPhase::Running);
}

#[test]
fn what_ends_by_itself_while_it_is_left_alone_is_told_when_it_is_resumed() {
    let mut node = once();
    node.memory().pause = Some(Pause::LeftAlone);
    node.see(container(1, 0, exited_with(100, 101, 3)));
    assert_eq!(node.report().phase, PodPhase::Running, "nothing follows from it yet");
    node.memory().resume();
    assert_eq!(node.report().phase, PodPhase::Failed);
    assert_eq!(node.plan(), Plan::default());
}

#[test]
fn a_job_that_somebody_stopped_has_not_ended() {
    let mut template = template("web");
    template.restart_policy = RestartPolicy::Never;
    let mut node = Node::new(vec![pod(1, template)]);
    node.see(container(1, 0, running(100)));
    node.memory().pause = Some(Pause::Stopped);
    node.succeed();
    node.see(container(1, 0, exited_with(100, 101, 0)));
    assert_eq!(node.report().phase, PodPhase::Running);
    node.memory().resume();
    assert_eq!(node.plan().actions, [create(1, 0)]);
}
