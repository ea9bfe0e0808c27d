//! What a person may do on a node's own machine while no control plane answers, end to end.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::process::{Command, Output};

use dugout_tests::images;
use dugout_tests::rig::{Rig, docker, dugout};
use dugout_tests::second_agent::SecondAgent;
use serde_json::Value;

/// Two pods on the second node: one that somebody looks after, and one beside it.
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: tended, namespace: NAMESPACE, labels: {app: tended}}
spec:
  nodeSelector: {side: second}
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, sleep, '100000']}
---
apiVersion: v1
kind: Pod
metadata: {name: beside, namespace: NAMESPACE, labels: {app: beside}}
spec:
  nodeSelector: {side: second}
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, sleep, '100000']}
";

/// What the second node is found by.
const LABEL: [&str; 2] = ["--label", "side=second"];

/// A break-glass command on the second node, which reaches no server.
fn on_the_node(rig: &Rig, arguments: &[&str]) -> Output {
    Command::new(dugout())
        .arg("agent")
        .args(arguments)
        .arg("--data-dir")
        .arg(rig.folder().join("second"))
        .env("HOME", rig.folder())
        .output()
        .expect("dugout can be run")
}

fn on_the_node_ok(rig: &Rig, arguments: &[&str]) -> String {
    let output = on_the_node(rig, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The line of a pod in the node's own list.
fn listed(rig: &Rig, pod: &str) -> Value {
    let text = on_the_node_ok(rig, &["ps", "--output", "json"]);
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let items = list["items"].as_array().expect("a list");
    items.iter().find(|one| one["name"] == pod).cloned().unwrap_or(Value::Null)
}

fn running(rig: &Rig, pod: &str) -> Option<String> {
    let pod = listed(rig, pod);
    let container = &pod["containers"][0];
    container["running"].as_bool()?.then(|| container["id"].as_str().map(str::to_owned))?
}

/// Kills the container of each pod, as a crash of both at once would.
fn crash(rig: &Rig, pods: [&str; 2]) -> [String; 2] {
    let ids = pods.map(|pod| running(rig, pod).unwrap_or_else(|| panic!("{pod} does not run")));
    for id in &ids {
        docker(&["kill", id]);
    }
    ids
}

#[test]
fn a_pod_is_paused_stopped_and_resumed_on_its_node_while_the_control_plane_is_dead() {
    let mut rig = Rig::new("break-glass");
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&["--node-name", "first", "--node-timeout", "1h"]);
    rig.wait_for_verdict(&first, "healthy");
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let mut second = SecondAgent::start_with(&rig, &token, &LABEL);
    rig.wait_for("the second node is ready", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
    });
    let namespace = rig.application.namespace.clone();
    rig.repository.write("apps/pods.yaml", &PODS.replace("NAMESPACE", &namespace));
    let sha = rig.repository.commit("Pods");
    rig.wait_for_verdict(&sha, "healthy");
    rig.kill();

    // Paused: what crashes beside it is healed, and it is not.
    let table = on_the_node_ok(&rig, &["ps"]);
    assert!(table.contains("tended") && table.contains("1/1"), "{table}");
    on_the_node_ok(&rig, &["pause", "tended"]);
    assert_eq!(listed(&rig, "tended")["pause"], "leftAlone");
    let [tended, _] = crash(&rig, ["tended", "beside"]);
    rig.wait_for("the other is healed", |rig| running(rig, "beside").is_some());
    assert_eq!(running(&rig, "tended"), None, "it is left alone");
    on_the_node_ok(&rig, &["resume", &format!("{namespace}/tended")]);
    rig.wait_for("it is healed", |rig| running(rig, "tended").is_some_and(|id| id != tended));

    // Stopped: at once, gracefully, and over a restart of the agent.
    on_the_node_ok(&rig, &["stop", "tended"]);
    assert_eq!(running(&rig, "tended"), None, "the command ends when the pod has");
    second.kill();
    let without = on_the_node_ok(&rig, &["ps", "--output", "wide"]);
    assert!(without.contains("stopped") && without.contains("beside"), "{without}");
    on_the_node_ok(&rig, &["stop", "beside"]);
    assert_eq!(running(&rig, "beside"), None, "also where no agent runs");
    let nobody = on_the_node(&rig, &["stop", "nobody"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(nobody.status.code() == Some(1) && said.contains("no pod nobody"), "{said}");

    on_the_node_ok(&rig, &["resume", "beside"]);
    second.start_again(&rig, &token, &LABEL);
    rig.wait_for("the agent answers", |rig| listed(rig, "beside")["order"] == "run");
    rig.wait_for("the one that was resumed runs", |rig| running(rig, "beside").is_some());
    assert_eq!(running(&rig, "tended"), None, "a stop outlives the agent");

    // What the control plane sees when it is back.
    rig.up(&["--node-name", "first", "--node-timeout", "1h"]);
    rig.wait_for("the pause is counted", |rig| {
        rig.try_get("/metrics").is_some_and(|text| text.contains("dugout_pods_paused{} 1\n"))
    });
    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("pod tended: is paused"), "{status}");
    let pod = rig.pods().into_iter().find(|pod| pod["metadata"]["name"] == "tended");
    let conditions = pod.map(|pod| pod["status"]["conditions"].to_string()).unwrap_or_default();
    assert!(conditions.contains("dugout.dev/Paused"), "{conditions}");
    on_the_node_ok(&rig, &["resume", "tended"]);
    rig.wait_for("it is as Git has it", |rig| {
        running(rig, "tended").is_some()
            && rig.try_get("/metrics").is_some_and(|text| text.contains("dugout_pods_paused{} 0\n"))
    });
    on_the_node_ok(&rig, &["pause", "beside"]);
    on_the_node_ok(&rig, &["resume", "beside"]);
    rig.wait_for("it is told as events", |rig| {
        let events = rig.dugout_ok(&["events"]);
        events.contains("Paused") && events.contains("Resumed")
    });
}
