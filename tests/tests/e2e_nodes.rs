//! Several agents, end to end: also on one engine, each touching only its own.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use dugout_tests::rig::{Rig, docker, dugout};

/// A second agent of a rig's cluster, on the same engine.
struct SecondAgent {
    process: Child,
}

impl SecondAgent {
    fn start(rig: &Rig, token: &str) -> Self {
        let process = Command::new(dugout())
            .args(["agent", "--server", &rig.url(""), "--token", token, "--name", "second"])
            .arg("--data-dir")
            .arg(rig.folder().join("second"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dugout can be started");
        Self { process }
    }

    fn kill(&mut self) {
        self.process.kill().expect("the agent can be killed");
        self.process.wait().expect("the agent ends");
    }
}

impl Drop for SecondAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pods_per_node(rig: &Rig) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for pod in rig.pods() {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("none").to_owned();
        *counts.entry(node).or_default() += 1;
    }
    counts
}

#[test]
fn two_agents_on_one_engine_share_the_work_and_one_takes_over_from_the_other() {
    let mut rig = Rig::new("nodes");
    let first = rig.repository.head();
    rig.up(&["--node-timeout", "3s", "--node-name", "first"]);
    rig.wait_for_verdict(&first, "healthy");
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let mut second = SecondAgent::start(&rig, &token);
    rig.wait_for("the second node is ready", |rig| {
        rig.dugout_ok(&["get", "nodes"]).lines().any(|line| {
            line.contains("second") && line.contains("Ready") && !line.contains("NotReady")
        })
    });
    rig.application.replicas = 4;
    let scaled = rig.commit_application("Four");
    rig.wait_for_verdict(&scaled, "healthy");
    rig.wait_for_ready(4);
    let spread = pods_per_node(&rig);
    assert_eq!(spread.get("first"), Some(&2), "{spread:?}");
    assert_eq!(spread.get("second"), Some(&2), "{spread:?}");
    let lost = containers_of(&rig, "second");
    assert_eq!(lost.len(), 2);

    second.kill();
    rig.wait_for("four pods are ready on the first node", |rig| {
        let on_first = rig
            .pods()
            .iter()
            .filter(|pod| pod["spec"]["nodeName"] == "first" && dugout_tests::rig::is_ready(pod))
            .count();
        on_first == 4
    });
    assert_eq!(containers_of(&rig, "second"), lost, "the first agent touches only its own");

    let _back = SecondAgent::start(&rig, &token);
    rig.wait_for("the returned agent removed what was replaced", |rig| {
        containers_of(rig, "second").is_empty() && rig.pods().len() == 4
    });
    assert_eq!(containers_of(&rig, "first").len(), 4);
}

#[test]
fn an_agent_with_a_wrong_token_is_refused_with_a_sentence() {
    let mut rig = Rig::new("token");
    rig.up(&[]);
    let output = Command::new("timeout")
        .args(["20", &dugout().to_string_lossy(), "agent", "--server", &rig.url("")])
        .args(["--token", "wrong", "--name", "stranger", "--data-dir"])
        .arg(rig.folder().join("stranger"))
        .output()
        .expect("dugout can be run");
    assert_eq!(output.status.code(), Some(1), "it ends by itself");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("token"), "{said}");
    assert!(!rig.dugout_ok(&["get", "nodes"]).contains("stranger"));
}

fn containers_of(rig: &Rig, node: &str) -> Vec<String> {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let node = format!("label=dev.dugout.node={node}");
    docker(&["ps", "--quiet", "--filter", &namespace, "--filter", &node])
        .lines()
        .map(str::to_owned)
        .collect()
}
