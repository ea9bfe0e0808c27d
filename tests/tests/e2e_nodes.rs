//! Several agents, end to end: also on one engine, each touching only its own.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::collections::BTreeMap;
use std::process::Command;

use dugout_tests::rig::{Rig, docker, dugout};
use dugout_tests::second_agent::SecondAgent;

fn second_is_ready(rig: &Rig) -> bool {
    let nodes = rig.dugout_ok(&["get", "nodes"]);
    nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
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
    rig.wait_for("the second node is ready", second_is_ready);
    rig.application.replicas = 4;
    let scaled = rig.commit_application("Four");
    rig.wait_for_verdict(&scaled, "healthy");
    rig.wait_for_ready(4);
    let spread = pods_per_node(&rig);
    assert_eq!(spread.get("first"), Some(&2), "{spread:?}");
    assert_eq!(spread.get("second"), Some(&2), "{spread:?}");
    let lost = containers_of(&rig, "second");
    assert_eq!(lost.len(), 2);
    let client = dugout_tests::http::client(true);
    let agent = format!("http://127.0.0.1:{}", second.metrics_port);
    let of_agent = |path: &str| dugout_tests::http::text(&client, &format!("{agent}{path}"));
    assert_eq!(of_agent("/healthz").as_deref(), Some("ok\n"));
    let metrics = of_agent("/metrics").expect("the agent shows its metrics");
    assert!(metrics.contains("dugout_agent_engine_up 1"), "{metrics}");
    assert!(metrics.contains("dugout_agent_pods 2"), "{metrics}");

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
fn a_node_that_is_deleted_is_forgotten_and_comes_back_as_a_new_one() {
    let (mut rig, mut second) = two_nodes_with_two_each("forgotten");
    let there = rig.dugout(&["node", "delete", "second"]);
    assert_eq!(there.status.code(), Some(1));
    let said = String::from_utf8_lossy(&there.stderr).into_owned();
    assert!(said.contains("node second is there, and its agent would join again"), "{said}");

    second.kill();
    rig.wait_for("the node is lost", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains("NotReady"))
    });
    let said = rig.dugout_ok(&["node", "delete", "second"]);
    assert!(said.contains("Node second is forgotten"), "{said}");
    assert!(!rig.dugout_ok(&["get", "nodes"]).contains("second"));
    rig.wait_for("all pods are on the first node", |rig| {
        pods_per_node(rig) == BTreeMap::from([("first".to_owned(), 4)])
    });
    assert_eq!(containers_of(&rig, "second").len(), 2, "nobody is there who could end them");

    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let _back = SecondAgent::start(&rig, &token);
    rig.wait_for("the agent is back and ended what is nobody's", |rig| {
        second_is_ready(rig) && containers_of(rig, "second").is_empty()
    });
}

#[test]
fn down_of_an_agents_folder_removes_its_containers_and_nothing_of_another_node() {
    let (mut rig, mut second) = two_nodes_with_two_each("node-down");
    both_ends_keep_alive(&mut rig, &second);

    let folder = rig.folder().join("second");
    let down = ["down", "--purge", "--data-dir", &folder.to_string_lossy()];
    let refused = rig.dugout(&down);
    assert_eq!(refused.status.code(), Some(1), "it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("still running, and nothing was changed"), "{said}");
    assert_eq!(containers_of(&rig, "second").len(), 2);

    let kept = containers_of(&rig, "first");
    second.kill();
    let said = rig.dugout_ok(&down);
    assert!(said.contains("Removed 2 containers of node second"), "{said}");
    assert!(containers_of(&rig, "second").is_empty());
    assert!(kept.iter().all(|id| containers_of(&rig, "first").contains(id)), "another node's stay");
    assert!(!folder.exists(), "its data is purged");
    rig.wait_for("the other node takes over", |rig| containers_of(rig, "first").len() == 4);
}

#[test]
fn down_of_up_leaves_the_nodes_of_other_agents_and_tells_of_them() {
    let (rig, mut second) = two_nodes_with_two_each("up-down");
    let kept = containers_of(&rig, "second");
    let data_dir = rig.data_dir();
    let said = rig.dugout_ok(&["down", "--data-dir", &data_dir.to_string_lossy()]);
    assert!(said.contains("Removed 2 containers."), "{said}");
    assert!(said.contains("Left 2 containers of node second"), "{said}");
    assert!(containers_of(&rig, "first").is_empty());
    assert_eq!(containers_of(&rig, "second"), kept);
    second.kill();
    let folder = rig.folder().join("second");
    rig.dugout_ok(&["down", "--data-dir", &folder.to_string_lossy()]);
    assert!(containers_of(&rig, "second").is_empty());
}

/// The node of `dugout up`, `first`, and another agent's, each with two pods.
fn two_nodes_with_two_each(name: &str) -> (Rig, SecondAgent) {
    let mut rig = Rig::new(name);
    let first = rig.repository.head();
    rig.up(&["--node-timeout", "3s", "--node-name", "first"]);
    rig.wait_for_verdict(&first, "healthy");
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let second = SecondAgent::start(&rig, &token);
    rig.wait_for("the second node is ready", second_is_ready);
    rig.application.replicas = 4;
    rig.commit_application("Four");
    rig.wait_for("both nodes run two", |rig| {
        ["first", "second"].iter().all(|node| containers_of(rig, node).len() == 2)
    });
    (rig, second)
}

/// A peer that vanished without a word is noticed by the kernel: each connection between an agent and
/// its server has the timer that asks whether the other end is still there, at both ends.
fn both_ends_keep_alive(rig: &mut Rig, agent: &SecondAgent) {
    let port = format!(":{}", rig.port);
    let timers = |process_id: u32, end: &str| -> Vec<bool> {
        let output = Command::new("ss")
            .args(["--no-header", "--tcp", "--numeric", "--options", "--processes"])
            .args(["state", "established", end, &port])
            .output()
            .expect("ss can be run; run `make setup`");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let of_process = text.lines().filter(|line| line.contains(&format!("pid={process_id},")));
        of_process.map(|line| line.contains("timer:(keepalive,")).collect()
    };
    // What is on its way just now shows the timer of its acknowledgement.
    rig.wait_for("both ends of every connection keep it alive", |rig| {
        let of_agent = timers(agent.process_id(), "dport");
        let of_server = timers(rig.process_id(), "sport");
        !of_agent.is_empty()
            && of_server.len() >= of_agent.len()
            && [of_agent, of_server].concat().into_iter().all(|kept| kept)
    });
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

#[test]
fn wrong_join_tokens_are_bounded_and_right_ones_of_others_are_not_concerned() {
    let mut rig = Rig::new("guesses");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let fresh = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let (stranger, neighbour) =
        (dugout_tests::http::from("127.0.0.2"), dugout_tests::http::from("127.0.0.3"));
    let register = |client: &dugout_tests::http::Client, token: &str| {
        client
            .post(rig.url("/agent/v1/nodes/stranger/register"))
            .bearer_auth(token)
            .header("Dugout-Protocol", "0")
            .send()
            .expect("the server answers")
    };
    let refused: Vec<_> =
        (0..60).map(|guess| register(&stranger, &format!("guess-{guess}"))).collect();
    assert_eq!(refused[0].status(), 401);
    let last = refused.last().expect("there are some");
    assert_eq!(last.status(), 429);
    let wait = last.headers()["retry-after"].to_str().expect("text");
    assert!((1..=60).contains(&wait.parse::<u64>().expect("whole seconds")), "{wait}");
    // A token that was not seen before is not even looked at from there, and is good from elsewhere: what
    // is said of it is about what was sent with it.
    assert_eq!(register(&stranger, &fresh).status(), 429);
    assert_eq!(register(&neighbour, &fresh).status(), 426);
    assert!(rig.dugout_ok(&["get", "nodes"]).contains("Ready"), "the agent that is there goes on");

    // A token that is revoked is refused at once, although it was just found good.
    let listed = rig.dugout_ok(&["token", "list"]);
    assert!(!listed.contains(&fresh), "{listed}");
    let name = listed.split_whitespace().find(|word| word.starts_with("join-"));
    let name = name.expect("the token has a name").to_owned();
    rig.dugout_ok(&["token", "revoke", &name]);
    assert_eq!(register(&neighbour, &fresh).status(), 401);
    assert!(!rig.dugout(&["token", "revoke", &name]).status.success(), "it is gone");
    let own = listed.split_whitespace().find(|word| word.starts_with("own-"));
    let own = own.expect("the server's own agent has one");
    assert!(!rig.dugout(&["token", "revoke", own]).status.success(), "it would be made anew");
    let brief = rig.dugout_ok(&["token", "create", "--valid-for", "100d"]).trim().to_owned();
    assert_eq!(register(&neighbour, &brief).status(), 426);
    assert!(rig.dugout_ok(&["token", "list"]).contains("in 99d"), "its end is told");
    let metrics = rig.try_get("/metrics").expect("the metrics answer");
    for reason in ["wrong", "too-many"] {
        let name = format!("dugout_join_tokens_refused_total{{reason=\"{reason}\"}}");
        assert!(metrics.contains(&name), "the metrics have no {name}:\n{metrics}");
    }
}

fn containers_of(rig: &Rig, node: &str) -> Vec<String> {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let node = format!("label=dev.dugout.node={node}");
    docker(&["ps", "--quiet", "--filter", &namespace, "--filter", &node])
        .lines()
        .map(str::to_owned)
        .collect()
}
