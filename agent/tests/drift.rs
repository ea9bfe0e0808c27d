//! What somebody changes by hand, against a real Docker engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use dugout_agent::runtime::Execution;
use dugout_model::*;
use support::{Rig, probe, running_id};

const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";
const SERVE: &str =
    "mkdir -p /srv && echo hello > /srv/index.html && exec httpd -f -p 8080 -h /srv";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_gets_its_network_back_and_nothing_restarts() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SERVE);
    let pod = rig.pods.get_mut(&uid).unwrap();
    let mut template = (*pod.template).clone();
    let command = ["/bin/busybox", "sh", "-c", SLEEP];
    template.containers.push(Container { name: "side".into(), ..support::container(&command) });
    template.containers[0].readiness_probe =
        probe(ProbeAction::TcpSocket { host: None, port: PortRef::Number(8080) });
    pod.template = Arc::new(template);
    rig.assign();
    rig.until_running(uid).await;
    let label = format!("label=dev.dugout.uid={}", uid.0);
    let sandbox = "label=dev.dugout.container=POD";
    let filters = ["ps", "--quiet", "--no-trunc", "--filter", &label, "--filter", sandbox];
    let id = rig.docker_command(&filters);
    rig.docker_command(&["network", "disconnect", "bridge", id.trim()]);
    rig.until_event("DriftCorrected", 0).await;
    let back = |pod: &PodReport| pod.ready && pod.address.is_some() && pod.drift.is_empty();
    let report = rig.until_pod(uid, "it is reached again", back).await;
    assert!(report.containers.iter().all(|one| one.restarts == 0), "{report:?}");
    assert_eq!(rig.docker_command(&filters), id);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_to_its_end_is_not_ended_for_a_limit() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SLEEP);
    let pod = rig.pods.get_mut(&uid).unwrap();
    let restart_policy = RestartPolicy::Never;
    pod.template = Arc::new(ResolvedTemplate { restart_policy, ..(*pod.template).clone() });
    rig.assign();
    let id = running_id(&rig.until_running(uid).await).unwrap();
    rig.docker_command(&["update", "--cpus", "0.5", &id]);
    rig.until_pod(uid, "it is shown", |pod| !pod.drift.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(rig.inspect(&id).await.unwrap().is_running());
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_while_the_agent_was_away_is_put_back() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SLEEP);
    rig.assign();
    let id = running_id(&rig.until_running(uid).await).unwrap();
    rig.stop_agent().await;
    rig.docker_command(&["pause", &id]);
    rig.start_agent();
    rig.until_event("DriftCorrected", 0).await;
    let seen = rig.inspect(&id).await.unwrap();
    assert_eq!(seen.settings.execution, Execution::Going);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_of_an_image_committed_from_ours_is_not_ours_and_what_is_renamed_is() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SLEEP);
    rig.assign();
    let id = running_id(&rig.until_running(uid).await).unwrap();
    rig.docker_command(&["rename", &id, "dugout-agent-test-renamed"]);
    let image = format!("dugout-agent-test-committed:{}", uid.0);
    rig.docker_command(&["commit", &id, &image]);
    let copy = rig.docker_command(&["run", "--detach", "--init", &image]).trim().to_owned();
    assert!(rig.inspect(&copy).await.is_none(), "its labels are its image's");
    assert!(rig.inspect(&id).await.is_some());
    // Also by an agent that has never seen either.
    rig.stop_agent().await;
    rig.start_agent();
    rig.until_event("Adopted", 0).await;
    let report = rig.until_running(uid).await;
    assert_eq!(running_id(&report), Some(id.clone()));
    rig.order(uid, PodOrder::Stop { grace: Duration::from_secs(2) });
    rig.assign();
    rig.until_pod(uid, "gone", |pod| pod.phase == PodPhase::Gone).await;
    rig.local.remove_everything(rig.plane.cluster()).await.unwrap();
    let running = rig.docker_command(&["ps", "--quiet", "--no-trunc"]);
    assert!(running.contains(&copy) && !running.contains(&id), "{running}");
    rig.docker_command(&["rm", "--force", &copy]);
    rig.finish_without(&[&image]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swap_that_nobody_asked_for_is_taken_away_again() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SLEEP);
    rig.change_container(uid, |container| {
        container.resources.memory_limit_bytes = Some(64 << 20);
    });
    rig.assign();
    let id = running_id(&rig.until_running(uid).await).unwrap();
    if rig.docker_command(&["info", "--format", "{{.SwapLimit}}"]).trim() != "true" {
        // Then no swap is ever seen, and nothing may be told of it.
        assert_eq!(rig.inspect(&id).await.unwrap().settings.limits.memory_swap_bytes, None);
        return rig.finish().await;
    }
    rig.docker_command(&["update", "--memory-swap", "128m", &id]);
    rig.until_event("DriftCorrected", 0).await;
    let format = ["inspect", "--format", "{{.HostConfig.MemorySwap}}", &id];
    assert_eq!(rig.docker_command(&format).trim(), (64 << 20).to_string());
    rig.finish().await;
}
