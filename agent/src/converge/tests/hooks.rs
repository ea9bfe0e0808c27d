//! Hooks after the start and before the stop.

use dugout_model::{ContainerLifecycle, LifecycleHandler};

use super::*;
use crate::converge::hooks::{BeforeStop, PostStart, PostStartStage, before_stop};

fn sleeping(seconds: u64) -> Option<LifecycleHandler> {
    Some(LifecycleHandler::Sleep(Duration::from_secs(seconds)))
}

/// `web`, which has hooks, `other`, and a sidecar that has a hook before its stop.
fn with_hooks() -> Node {
    let mut template = template("web");
    let plain = template.containers[0].clone();
    let lifecycle = |post_start, pre_stop| {
        Some(Box::new(ContainerLifecycle { post_start, pre_stop, stop_signal: None }))
    };
    template.containers[0].lifecycle = lifecycle(sleeping(1), sleeping(2));
    template.containers.push(Container { name: "other".into(), ..plain.clone() });
    template.init_containers.push(Container {
        name: "side".into(),
        restart_policy: Some(RestartPolicy::Always),
        lifecycle: lifecycle(sleeping(4), sleeping(3)),
        ..plain
    });
    let mut node = Node::new(vec![pod(1, template)]);
    node.see(of(crate::labels::SANDBOX, running(1)));
    node
}

fn of(name: &str, state: ObservedState) -> ObservedContainer {
    let mut one = container(1, 0, state);
    one.id = name.into();
    one.labels.container = name.into();
    one
}

fn end_hook(node: &mut Node, name: &str, started: u64, stage: PostStartStage) {
    let hook = PostStart { id: name.to_owned(), started_at: at(started), stage };
    node.memory().container(name).post_start = Some(hook);
}

fn next(node: &Node) -> Vec<String> {
    node.plan().actions.iter().map(|action| action.container().to_owned()).collect()
}

#[test]
fn what_comes_after_a_container_waits_for_its_hook_and_so_does_who_asks_for_it() {
    let mut node = with_hooks();
    node.see(of("side", running(2)));
    assert_eq!(next(&node), [""; 0], "the sidecar's hook has not ended");
    end_hook(&mut node, "side", 2, PostStartStage::UnderWay);
    assert_eq!(next(&node), [""; 0]);
    end_hook(&mut node, "side", 2, PostStartStage::Ended);
    assert_eq!(next(&node), ["web"]);
    node.see(of("web", running(3)));
    assert_eq!(next(&node), [""; 0]);
    assert_eq!(node.waiting(), WaitingReason::ContainerCreating);
    // Of an earlier run of the same container.
    end_hook(&mut node, "web", 2, PostStartStage::Ended);
    assert_eq!(next(&node), [""; 0]);
    end_hook(&mut node, "web", 3, PostStartStage::Ended);
    assert_eq!(next(&node), ["other"]);
    assert!(matches!(node.report().containers[0].state, ContainerState::Running { .. }));
}

#[test]
fn a_container_leaves_although_its_hook_has_not_ended() {
    let mut node = with_hooks();
    node.see(of("web", running(3)));
    end_hook(&mut node, "web", 3, PostStartStage::UnderWay);
    node.assignment.pods[0].order = PodOrder::Stop { grace: Duration::from_secs(4) };
    assert_eq!(next(&node), ["web"]);
}

fn hooks_of(node: &mut Node, targets: &[&str], why: StopWhy) -> Vec<(String, LifecycleHandler)> {
    let target = |name: &&str| StopTarget { container: (*name).into(), id: (*name).into() };
    let targets: Vec<StopTarget> = targets.iter().map(target).collect();
    let memory = node.memory().clone();
    let (pod, containers) = (&node.assignment.pods[0], node.observed.of_pod(uid(1)));
    let hooks = before_stop(pod, Some(&memory), containers, &targets, &why);
    hooks.into_iter().map(|BeforeStop { target, handler }| (target.container, handler)).collect()
}

#[test]
fn hooks_before_a_stop_run_together_and_once() {
    let mut node = with_hooks();
    for name in ["side", "web", "other"] {
        node.see(of(name, running(3)));
    }
    let sleep = |name: &str, seconds| (name.to_owned(), sleeping(seconds).unwrap());
    let both = [sleep("web", 2), sleep("side", 3)];
    assert_eq!(hooks_of(&mut node, &["web", "other"], StopWhy::Ordered), both);
    assert_eq!(hooks_of(&mut node, &[], StopWhy::PodEnded), [sleep("side", 3)]);
    // One that is made anew says nothing of the others.
    let unhealthy = StopWhy::Unhealthy("x".into());
    assert_eq!(hooks_of(&mut node, &["web"], unhealthy), [sleep("web", 2)]);
    assert_eq!(hooks_of(&mut node, &["web"], StopWhy::Superseded), []);
    node.memory().container("side").pre_stopped = Some("side".into());
    assert_eq!(hooks_of(&mut node, &["side"], StopWhy::Ordered), []);
    node.memory().container("side").pre_stopped = Some("an earlier one".into());
    assert_eq!(hooks_of(&mut node, &["side"], StopWhy::Ordered), [sleep("side", 3)]);
}

#[test]
fn a_probe_may_give_another_grace() {
    let mut node = one_pod();
    node.see(container(1, 0, running(1)));
    let grace = Some(Duration::from_secs(1));
    let condemned = Condemned { id: "id-1-0".into(), why: "liveness".into(), grace };
    node.memory().container("web").condemned = Some(condemned);
    assert_eq!(node.plan().actions, [stop_action(0, 1, StopWhy::Unhealthy("liveness".into()))]);
}
