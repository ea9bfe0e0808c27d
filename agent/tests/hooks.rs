//! Hooks and the graces of probes against a real Docker engine: one behaviour each.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::time::{Duration, Instant};

use dugout_model::*;
use support::{Rig, probe, running_id, waiting};

/// Ends with a code that says what came first, told by a signal that is not the usual one.
const WITNESS: &str = "trap 'test -f /before && exit 5; exit 9' USR1; trap 'exit 8' TERM; while :; do sleep 1 & wait; done";

fn shell(script: &str) -> Vec<String> {
    ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec()
}

fn run(script: &str) -> Option<LifecycleHandler> {
    Some(LifecycleHandler::Exec { command: shell(script) })
}

fn set(container: &mut Container<EnvValue>, lifecycle: ContainerLifecycle) {
    container.lifecycle = Some(Box::new(lifecycle));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_runs_once_its_hook_after_the_start_has_ended_and_fails_with_it() {
    let mut rig = Rig::start().await;
    let slow = rig.add(WITNESS);
    let failing = rig.add(WITNESS);
    rig.change_container(slow, |container| {
        let post_start = run("until test -f /go; do sleep 0.1; done");
        set(container, ContainerLifecycle { post_start, ..ContainerLifecycle::default() });
    });
    rig.change_container(failing, |container| {
        let post_start = run("echo no luck; exit 3");
        set(container, ContainerLifecycle { post_start, ..ContainerLifecycle::default() });
    });
    rig.assign();
    let report = rig
        .until_pod(slow, "its hook runs", |pod| {
            assert!(!pod.ready);
            waiting(pod).is_some_and(|(_, message)| message.contains("postStart"))
        })
        .await;
    assert_eq!(waiting(&report).unwrap().0, WaitingReason::ContainerCreating);
    rig.until_event("FailedPostStartHook", 0).await;
    let restarted = |pod: &PodReport| pod.containers[0].restarts > 0;
    let report = rig.until_pod(failing, "made anew", restarted).await;
    assert_eq!(report.containers[0].last_exit.as_ref().unwrap().exit_code, 8);
    // What it said may be a secret.
    let told = |text: &str| rig.plane.events().iter().any(|event| event.message.contains(text));
    assert!(told("the command ended with code 3") && !told("no luck"));

    // A restarted agent does not run it again.
    let id = report_id(&rig, slow).await;
    rig.docker_command(&["exec", &id, "/bin/busybox", "touch", "/go"]);
    let report = rig.until_running(slow).await;
    assert_eq!(running_id(&report).unwrap(), id);
    rig.docker_command(&["exec", &id, "/bin/busybox", "rm", "/go"]);
    rig.stop_agent().await;
    rig.start_agent();
    rig.assign();
    rig.until_running(slow).await;
    rig.finish().await;
}

async fn report_id(rig: &Rig, uid: PodUid) -> String {
    let report = rig.until_pod(uid, "it is made", |pod| pod.containers[0].container_id.is_some());
    report.await.containers[0].container_id.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hook_before_a_stop_comes_before_the_signal_and_its_failure_holds_up_nothing() {
    let mut rig = Rig::start().await;
    let pod = rig.add(WITNESS);
    rig.change_container(pod, |container| {
        let lifecycle = ContainerLifecycle {
            post_start: None,
            pre_stop: run("touch /before; exit 4"),
            stop_signal: Some("SIGUSR1".into()),
        };
        set(container, lifecycle);
        container.liveness_probe = probe(ProbeAction::Exec { command: shell("test ! -f /ill") });
    });
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    rig.docker_command(&["exec", &id, "/bin/busybox", "touch", "/ill"]);
    let restarted = |pod: &PodReport| pod.containers[0].restarts > 0;
    let report = rig.until_pod(pod, "made anew", restarted).await;
    assert_eq!(report.containers[0].last_exit.as_ref().unwrap().exit_code, 5);
    rig.until_event("FailedPreStopHook", 0).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_sleeps_delays_the_signal_within_the_grace() {
    let mut rig = Rig::start().await;
    let pod = rig.add("trap 'exit 0' TERM; while :; do sleep 1 & wait; done");
    rig.change_container(pod, |container| {
        let pre_stop = Some(LifecycleHandler::Sleep(Duration::from_secs(60)));
        set(container, ContainerLifecycle { pre_stop, ..ContainerLifecycle::default() });
    });
    rig.assign();
    rig.until_running(pod).await;
    let began = Instant::now();
    rig.order(pod, PodOrder::Stop { grace: Duration::from_secs(2) });
    rig.assign();
    rig.until_pod(pod, "gone", |pod| pod.phase == PodPhase::Gone).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_before_a_stop_that_still_runs_is_not_begun_beside_itself_by_a_restarted_agent() {
    let mut rig = Rig::start().await;
    // Its end says whether the hook was begun once.
    let pod = rig.add(
        "trap 'test $(wc -l < /begun) = 1 && exit 5; exit 9' TERM; while :; do sleep 1 & wait; done",
    );
    rig.change_container(pod, |container| {
        let pre_stop = run("echo begun >> /begun; until test -f /go; do sleep 0.1; done");
        set(container, ContainerLifecycle { pre_stop, ..ContainerLifecycle::default() });
    });
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    let mut command = std::process::Command::new("docker");
    let ending = command.args(["--host", &support::docker_host(), "wait", &id]);
    let ending = ending.stdout(std::process::Stdio::piped()).spawn().expect("install docker.io");
    rig.order(pod, PodOrder::Stop { grace: Duration::from_secs(600) });
    rig.assign();
    rig.until_event("Killing", 0).await;
    rig.docker_command(&[
        "exec",
        &id,
        "/bin/busybox",
        "sh",
        "-c",
        "until test -f /begun; do sleep 0.1; done",
    ]);
    rig.stop_agent().await;
    rig.start_agent();
    rig.until_event("Killing", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.docker_command(&["exec", &id, "/bin/busybox", "touch", "/go"]);
    rig.until_pod(pod, "gone", |pod| pod.phase == PodPhase::Gone).await;
    let ended = ending.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), "5");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_with_a_grace_of_its_own_does_not_wait_for_the_pods() {
    let mut rig = Rig::start().await;
    let pod = rig.add("trap '' TERM; while :; do sleep 1; done");
    rig.change_container(pod, |container| {
        let liveness = probe(ProbeAction::Exec { command: shell("test ! -f /ill") });
        let termination_grace = Some(Duration::from_secs(1));
        container.liveness_probe =
            liveness.map(|probe| Box::new(Probe { termination_grace, ..*probe }));
    });
    let assigned = rig.pods.get_mut(&pod).unwrap();
    let mut template = (*assigned.template).clone();
    template.termination_grace = Duration::from_secs(600);
    assigned.template = std::sync::Arc::new(template);
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    rig.docker_command(&["exec", &id, "/bin/busybox", "touch", "/ill"]);
    rig.until_pod(pod, "made anew", |pod| pod.containers[0].restarts > 0).await;
    rig.finish().await;
}
