//! What a pod does on its node, end to end: what the same YAML does on Kubernetes.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::images;
use dugout_tests::rig::{Rig, docker};
use serde_json::Value;

/// A bare pod: `spec` is its specification, as a manifest has it.
fn pod(rig: &Rig, name: &str, spec: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
{spec}"
    )
}

/// A container that runs a script, as an entry of a list.
fn container(name: &str, script: &str) -> String {
    format!(
        "    - name: {name}
      image: dugout-busybox:1
      imagePullPolicy: Never
      command: [/bin/busybox, sh, -c, {script:?}]
"
    )
}

fn commit(rig: &Rig, name: &str, text: &str) -> String {
    rig.repository.write(&format!("apps/{name}.yaml"), text);
    rig.repository.commit(name)
}

/// The pod with this name, as the API has it.
fn seen(rig: &Rig, name: &str) -> Option<Value> {
    rig.pods().into_iter().find(|pod| pod["metadata"]["name"] == name)
}

fn has_phase(rig: &Rig, name: &str, phase: &str) -> bool {
    seen(rig, name).is_some_and(|pod| pod["status"]["phase"] == phase)
}

fn containers_of(rig: &Rig, pod: &str) -> Vec<String> {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let pod = format!("label=dev.dugout.pod={pod}");
    let listed = docker(&["ps", "-a", "--quiet", "--filter", &namespace, "--filter", &pod]);
    listed.lines().map(str::to_owned).collect()
}

fn started(name: &str) -> Rig {
    let mut rig = Rig::new(name);
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig
}

#[test]
fn a_pod_that_runs_once_and_is_removed_by_hand_failed_and_one_on_failure_runs_again() {
    let mut rig = started("policies");
    let task = |name: &str, policy: &str| {
        let main = container("task", "/bin/busybox sleep 1000");
        pod(&rig, name, &format!("  restartPolicy: {policy}\n  containers:\n{main}"))
    };
    rig.repository.write("apps/once.yaml", &task("once", "Never"));
    let both = commit(&rig, "until", &task("until", "OnFailure"));
    rig.wait_for_verdict(&both, "healthy");
    for name in ["once", "until"] {
        let running = containers_of(&rig, name);
        docker(&["rm", "--force", &running[0]]);
    }
    rig.wait_for("what runs once has failed", |rig| has_phase(rig, "once", "Failed"));
    rig.wait_for("what may fail runs again", |rig| {
        seen(rig, "until").is_some_and(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            container["restartCount"] == 1 && container["state"]["running"].is_object()
        })
    });
    assert_eq!(containers_of(&rig, "once"), [""; 0]);
}

#[test]
fn containers_that_run_first_are_seen_running_and_hold_up_the_others() {
    let mut rig = started("init");
    let init = container("wait", "/bin/busybox sleep 2") + &container("check", "echo checked");
    let main = container("main", "/bin/busybox sleep 1000");
    let text = pod(&rig, "late", &format!("  initContainers:\n{init}  containers:\n{main}"));
    let commit = commit(&rig, "late", &text);
    let namespace = rig.application.namespace.clone();
    rig.wait_for("the first is seen running", |rig| {
        rig.dugout_ok(&["get", "pods", "-n", &namespace]).contains("Init:0/2")
    });
    assert!(has_phase(&rig, "late", "Pending"));
    rig.wait_for_verdict(&commit, "healthy");
    assert!(has_phase(&rig, "late", "Running"));
    assert_eq!(containers_of(&rig, "late").len(), 3);
    let logs = rig.dugout_ok(&["logs", "late", "--container", "check", "-n", &namespace]);
    assert!(logs.contains("checked"), "{logs}");
}

#[test]
fn containers_of_a_pod_reach_each_other_at_the_loopback_address_and_leave_together() {
    let mut rig = started("several");
    let serve = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp/www";
    let ask = "until wget -q -O - http://127.0.0.1:8080/; do sleep 0.2; done; exec sleep 1000";
    let both = container("serve", serve) + &container("ask", ask);
    let text = pod(&rig, "both", &format!("  containers:\n{both}"));
    let declared = commit(&rig, "both", &text);
    rig.wait_for_verdict(&declared, "healthy");
    let namespace = rig.application.namespace.clone();
    let listed = rig.dugout_ok(&["get", "pods", "-n", &namespace]);
    let line = listed.lines().find(|line| line.starts_with("both")).unwrap_or_default();
    assert!(line.contains("2/2") && line.contains("Running"), "{listed}");
    rig.wait_for("one has asked the other", |rig| {
        rig.dugout_ok(&["logs", "both", "--container", "ask", "-n", &namespace]) == "hello\n"
    });
    rig.repository.git(&["rm", "--quiet", "apps/both.yaml"]);
    rig.repository.commit("Without it");
    rig.wait_for("nothing of it is left", |rig| containers_of(rig, "both").is_empty());
}

#[test]
fn a_job_completes_although_its_sidecar_would_run_for_ever() {
    let mut rig = started("sidecar");
    let namespace = rig.application.namespace.clone();
    let indent =
        |text: String| text.replace("\n    ", "\n          ").replacen("    -", "          -", 1);
    let side = indent(container("side", "while :; do sleep 1; done"))
        + "            restartPolicy: Always\n";
    let main = indent(container("main", "echo done"));
    let text = format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: work, namespace: {namespace}}}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      initContainers:
{side}      containers:
{main}"
    );
    let declared = commit(&rig, "work", &text);
    rig.wait_for_verdict(&declared, "healthy");
    rig.wait_for("the job is complete", |rig| {
        let jobs = rig.items(&format!("/apis/batch/v1/namespaces/{namespace}/jobs"));
        jobs.iter().any(|job| job["status"]["succeeded"] == 1)
    });
}
