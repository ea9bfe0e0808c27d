//! Nodes that are drained, end to end: no request is lost, and a disruption budget holds.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::time::Duration;

use dugout_tests::load::Visitors;
use dugout_tests::rig::{Rig, is_ready};
use dugout_tests::second_agent::SecondAgent;

/// Everything runs on `first`; then `second` joins.
fn everything_on_the_first(rig: &mut Rig) -> SecondAgent {
    let head = rig.repository.head();
    rig.up(&["--node-name", "first"]);
    rig.wait_for_verdict(&head, "healthy");
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let second = SecondAgent::start(rig, &token);
    rig.wait_for("the second node is ready", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
    });
    second
}

fn nodes_of_ready_pods(rig: &Rig) -> Vec<String> {
    let pods = rig.pods().into_iter().filter(is_ready);
    pods.map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or("none").to_owned()).collect()
}

fn visit(visitors: &Visitors, requests: u64) {
    let before = visitors.served();
    while visitors.served() < before + requests {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_only_replica_moves_from_node_to_node_and_no_request_fails() {
    let mut rig = Rig::without_commit("drain");
    rig.application.replicas = 1;
    rig.commit_application("One");
    let _second = everything_on_the_first(&mut rig);
    assert_eq!(nodes_of_ready_pods(&rig), ["first"]);

    let visitors = Visitors::start(rig.application.node_port);
    visit(&visitors, 100);
    let said = rig.dugout_ok(&["node", "drain", "first", "--timeout", "60s"]);
    assert!(said.contains("Node first takes no new pods, and those that it has leave."), "{said}");
    assert!(said.contains("another pod has to serve in its place"), "{said}");
    assert!(said.contains("Node first is drained."), "{said}");
    assert_eq!(nodes_of_ready_pods(&rig), ["second"]);
    assert!(rig.dugout_ok(&["status"]).contains("drained: no pod is left on it"));

    rig.dugout_ok(&["node", "uncordon", "first"]);
    rig.dugout_ok(&["node", "drain", "second", "--no-wait"]);
    rig.wait_for("the pod is back", |rig| {
        rig.pods().len() == 1 && nodes_of_ready_pods(rig) == ["first"]
    });
    visit(&visitors, 100);
    let visits = visitors.finish();
    assert_eq!(visits.failures, [""; 0], "of {} requests", visits.served);
    let events = rig.dugout_ok(&["events"]);
    for reason in ["Draining", "Evicted", "Drained", "NodeSchedulable"] {
        assert!(events.contains(reason), "{reason} is not among\n{events}");
    }
}

fn name_of_pod(rig: &Rig) -> String {
    rig.pods()[0]["metadata"]["name"].as_str().expect("a pod has a name").to_owned()
}

/// A replica set of one pod, and a budget that keeps so many.
fn one_that_stays(namespace: &str, least: u32) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: keep, namespace: {namespace}}}
spec: {{minAvailable: {least}, selector: {{matchLabels: {{app: set}}}}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: set, namespace: {namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: set}}}}
  template:
    metadata: {{labels: {{app: set}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers: [{{name: web, image: 'dugout-web:1.0', imagePullPolicy: IfNotPresent}}]
"
    )
}

#[test]
fn a_budget_holds_a_drain_and_says_so_until_it_lets_go() {
    let mut rig = Rig::without_commit("held");
    let namespace = rig.application.namespace.clone();
    let manifests = |least: u32| one_that_stays(&namespace, least);
    rig.repository.write("apps/set.yaml", &manifests(1));
    rig.repository.commit("One that stays");
    let _second = everything_on_the_first(&mut rig);
    let budgets = rig.dugout_ok(&["get", "pdb", "-n", &namespace]);
    assert!(budgets.contains("ALLOWED DISRUPTIONS"), "{budgets}");

    let held = rig.dugout(&["node", "drain", "first", "--timeout", "3s"]);
    assert_eq!(held.status.code(), Some(1), "it did not end in time");
    let sentence = "the disruption budget keep needs 1 healthy pods and has 1 currently";
    let said = String::from_utf8_lossy(&held.stdout).into_owned();
    assert!(said.contains(sentence), "{said}");
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(said.contains("1 pod is left, and the drain goes on"), "{said}");
    for told in [&["status"][..], &["describe", "node", "first"], &["events"]] {
        let text = rig.dugout_ok(told).replace('\n', " ");
        assert!(text.contains("the disruption budget keep"), "{told:?}: {text}");
    }
    let metrics = rig.try_get("/metrics").expect("the metrics answer");
    assert!(metrics.contains("dugout_pods_held_by_budget{} 1"), "{metrics}");
    assert_eq!(nodes_of_ready_pods(&rig), ["first"]);
    let pod = name_of_pod(&rig);
    let held = rig.dugout(&["restart", &pod]);
    assert_eq!(held.status.code(), Some(1), "the budget holds it here, too");
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(said.contains("it would violate the pod's disruption budget"), "{said}");

    // The drain is in the database: it goes on where somebody else leads.
    rig.kill();
    rig.up(&["--node-name", "first"]);
    rig.repository.write("apps/set.yaml", &manifests(0));
    rig.repository.commit("It may go");
    rig.wait_for("the pod has moved", |rig| {
        rig.pods().len() == 1 && nodes_of_ready_pods(rig) == ["second"]
    });
    rig.dugout_ok(&["node", "uncordon", "first"]);
    let nodes = rig.dugout_ok(&["get", "nodes"]);
    assert!(!nodes.contains("SchedulingDisabled"), "{nodes}");

    let pod = name_of_pod(&rig);
    let said = rig.dugout_ok(&["restart", &pod]);
    assert!(said.contains("leaves, and another takes its place"), "{said}");
    rig.wait_for("another pod is there", |rig| {
        rig.pods().len() == 1 && nodes_of_ready_pods(rig).len() == 1 && name_of_pod(rig) != pod
    });
}
