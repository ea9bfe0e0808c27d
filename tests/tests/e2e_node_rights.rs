//! What reaches beyond a pod, end to end: it runs only on a node that was told to allow it.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::images;
use dugout_tests::rig::{Rig, docker};
use dugout_tests::second_agent::SecondAgent;
use serde_json::Value;

/// A pod for each right: its name, what it asks for (of the pod, and of its container), the word of
/// `--allow`, and what Docker is then asked for.
const RIGHTS: [(&str, &str, &str, &str, &str); 7] = [
    (
        "privileged",
        "",
        "      securityContext: {privileged: true}\n",
        "{{.HostConfig.Privileged}}",
        "true",
    ),
    ("host-pid", "  hostPID: true\n", "", "{{.HostConfig.PidMode}}", "host"),
    ("host-ipc", "  hostIPC: true\n", "", "{{.HostConfig.IpcMode}}", "host"),
    (
        "capability",
        "",
        "      securityContext: {capabilities: {add: [SYS_TIME]}}\n",
        "{{.HostConfig.CapAdd}}",
        "SYS_TIME",
    ),
    (
        "host-path",
        "  volumes: [{name: etc, hostPath: {path: /etc, type: Directory}}]\n",
        "      volumeMounts: [{name: etc, mountPath: /host, readOnly: true}]\n",
        "{{json .Mounts}}",
        "/host",
    ),
    ("host-network", "  hostNetwork: true\n", "", "{{.HostConfig.NetworkMode}}", "host"),
    (
        "host-port",
        "",
        "      ports: [{containerPort: 80, hostPort: 28417, hostIP: 127.0.0.1}]\n",
        "{{json .HostConfig.PortBindings}}",
        "28417",
    ),
];

const ALL: &str = "privileged,hostPID,hostIPC,hostNetwork,hostPort,capabilities,hostPath";

fn manifest(rig: &Rig) -> String {
    let namespace = &rig.application.namespace;
    let pod = |(name, of_pod, of_container, ..): &(&str, &str, &str, &str, &str)| {
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
{of_pod}  containers:
    - name: main
      image: dugout-busybox:1
      imagePullPolicy: Never
      command: [/bin/busybox, sleep, '100000']
{of_container}---
"
        )
    };
    RIGHTS.iter().map(pod).collect()
}

fn seen(rig: &Rig, name: &str) -> Option<Value> {
    rig.pods().into_iter().find(|pod| pod["metadata"]["name"] == name)
}

/// Why a pod has no node; nothing when it has one.
fn unscheduled(rig: &Rig, name: &str) -> Option<String> {
    let pod = seen(rig, name)?;
    let conditions = pod["status"]["conditions"].as_array()?;
    let scheduled = conditions.iter().find(|one| one["type"] == "PodScheduled")?;
    (scheduled["status"] == "False").then(|| scheduled["message"].to_string())
}

fn container_of(rig: &Rig, pod: &str) -> String {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let pod = format!("label=dev.dugout.pod={pod}");
    let container = "label=dev.dugout.container=main";
    let filters = ["--filter", &namespace, "--filter", &pod, "--filter", container];
    docker(&[&["ps", "--quiet"][..], &filters].concat()).trim().to_owned()
}

fn second_is_ready(rig: &Rig) -> bool {
    let nodes = rig.dugout_ok(&["get", "nodes"]);
    nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
}

#[test]
fn what_reaches_beyond_a_pod_waits_for_a_node_that_allows_it() {
    let mut rig = Rig::new("rights");
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&["--node-name", "first", "--allow", "none"]);
    rig.wait_for_verdict(&first, "healthy");
    let manifest = manifest(&rig);
    rig.repository.write("apps/rights.yaml", &manifest);
    let sha = rig.repository.commit("Rights");
    rig.wait_for("every pod waits, and says why", |rig| {
        RIGHTS.iter().all(|(name, ..)| {
            unscheduled(rig, name)
                .is_some_and(|why| why.contains("do not allow what the pod asks for"))
        })
    });
    let waiting = rig.dugout_ok(&["status"]);
    assert!(waiting.contains("pod privileged: ") && waiting.contains("--allow"), "{waiting}");
    assert!(RIGHTS.iter().all(|(name, ..)| container_of(&rig, name).is_empty()));

    // A node with all rights but one takes all pods but one.
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let but_one = ALL.replace("privileged,", "");
    let mut second = SecondAgent::start_with(&rig, &token, &["--allow", &but_one]);
    rig.wait_for("the second node is ready", second_is_ready);
    let runs_there = |rig: &Rig, name: &str| {
        seen(rig, name).is_some_and(|pod| {
            pod["spec"]["nodeName"] == "second" && dugout_tests::rig::is_ready(&pod)
        })
    };
    rig.wait_for("the others run", |rig| {
        RIGHTS.iter().filter(|(name, ..)| *name != "privileged").all(|one| runs_there(rig, one.0))
    });
    assert!(unscheduled(&rig, "privileged").is_some());

    second.kill();
    second.start_again(&rig, &token, &["--allow", ALL]);
    rig.wait_for_verdict(&sha, "healthy");
    for (name, _, _, format, part) in RIGHTS {
        assert!(runs_there(&rig, name), "{name}");
        let asked = docker(&["inspect", "--format", format, &container_of(&rig, name)]);
        assert!(asked.contains(part), "{name}: {asked}");
    }

    // The agent keeps to its policy itself: what is assigned already is not started again beyond it.
    second.kill();
    second.start_again(&rig, &token, &["--allow", &but_one]);
    rig.wait_for("the node is back", second_is_ready);
    let refused = container_of(&rig, "privileged");
    docker(&["kill", &refused, &container_of(&rig, "host-pid")]);
    rig.wait_for("it waits with the reason", |rig| {
        seen(rig, "privileged").is_some_and(|pod| {
            let state = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            state["reason"] == "CreateContainerConfigError"
                && state["message"].as_str().is_some_and(|why| why.contains("privileged"))
        })
    });
    rig.wait_for("the other is started again", |rig| !container_of(rig, "host-pid").is_empty());
    assert_eq!(container_of(&rig, "privileged"), "");
}
