//! The way out of a pod: nobody may lose a connection, and nothing may wait for ever.

use std::sync::Arc;

use dugout_model::*;
use dugout_planner::PodWait;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

/// One pod of `web`, running, and then no longer wanted.
fn leaving(cluster: &mut Cluster, connections: u32) -> Arc<Pod> {
    cluster.commit(vec![web(1, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    for agent in cluster.agents.values_mut() {
        agent.connections.insert(pod.uid, connections);
    }
    cluster.step(seconds(1));
    cluster.commit(vec![web(0, "web:1"), service("web", 30080)]);
    cluster.world.pods[&pod.uid].clone()
}

fn lifecycle(cluster: &Cluster, pod: &Pod) -> Lifecycle {
    cluster.world.pods[&pod.uid].lifecycle.clone()
}

#[test]
fn a_pod_leaves_the_endpoints_at_once_and_is_stopped_when_the_nodes_have_acknowledged_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let pod = leaving(&mut cluster, 0);
    let Lifecycle::Draining { since_turn, .. } = pod.lifecycle else { panic!("it drains") };
    assert_eq!(since_turn, cluster.world.turn);
    let assignment =
        dugout_planner::assignment(&cluster.world, &NodeName::new("a")).expect("it exists");
    assert_eq!(assignment.generation, since_turn);
    assert_eq!(assignment.pods[0].order, PodOrder::Run { draining: true });
    assert_eq!(assignment.services[0].ports[0].endpoints, []);

    cluster.step(seconds(4));
    assert_eq!(
        lifecycle(&cluster, &pod),
        Lifecycle::Stopping { since: cluster.now, grace: seconds(26), reason: StopReason::Scaled }
    );
    cluster.run_for(seconds(3));
    assert!(cluster.world.pods.is_empty());
}

#[test]
fn open_connections_hold_a_pod_until_they_end() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let pod = leaving(&mut cluster, 3);
    cluster.run_for(seconds(10));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    assert!(matches!(
        cluster.report.pods[&pod.uid],
        PodWait::Drain { unacknowledged: 0, connections: 3, .. }
    ));
    cluster.agent("a").connections.clear();
    cluster.step(seconds(1));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Stopping { .. }));
}

#[test]
fn a_connection_that_never_ends_holds_a_pod_for_half_of_its_grace() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let pod = leaving(&mut cluster, 1);
    cluster.run_for(seconds(14));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.step(seconds(1));
    let Lifecycle::Stopping { grace, .. } = lifecycle(&cluster, &pod) else { panic!("it stops") };
    assert_eq!(grace, seconds(15), "the other half is for what is under way at SIGTERM");
    let told = cluster.timeline.iter().find(|entry| entry.step == Step::Drained).expect("told");
    assert_eq!(told.message, "its time to drain is over with 1 connections open");
}

#[test]
fn a_node_that_does_not_acknowledge_holds_a_pod_for_half_of_its_grace() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.agent("a").listens = false;
    cluster.commit(vec![web(0, "web:1")]);
    let pod = cluster.world.pods.values().next().expect("it drains").clone();
    cluster.run_for(seconds(14));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.step(seconds(2));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Stopping { .. }));
}

#[test]
fn all_agents_of_an_engine_must_have_let_go_of_a_pod() {
    let mut cluster = Cluster::with_nodes(&[]);
    cluster.join("a", "shared");
    cluster.join("b", "shared");
    cluster.join("c", "another");
    cluster.commit(vec![web(1, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    let home = pod.node().expect("placed").to_string();
    let peer = match home.as_str() {
        "a" => "b",
        "b" => "a",
        other => panic!("the first node by name is chosen, not {other}"),
    };
    cluster.agent(peer).listens = false;
    cluster.commit(vec![web(0, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(5));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.agent(peer).listens = true;
    cluster.agent(peer).connections.insert(pod.uid, 1);
    cluster.run_for(seconds(5));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.agent(peer).connections.clear();
    cluster.run_for(seconds(5));
    assert!(cluster.world.pods.is_empty());
}

#[test]
fn a_new_leader_knows_no_acknowledgement_and_waits_for_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let pod = leaving(&mut cluster, 0);
    cluster.restart_engine();
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.run_for(seconds(4));
    assert!(cluster.world.pods.is_empty());
}

#[test]
fn a_pod_that_never_served_is_stopped_or_forgotten_without_draining() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![
        web(1, "web:missing"),
        named("picky", {
            let mut picky = deployment("picky", 1, "picky:1");
            picky.template.node_selector.insert("name".to_owned(), "nowhere".to_owned());
            picky
        }),
    ]);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.world.pods.len(), 2);
    cluster.commit_allowing(9, vec![]);
    let left: Vec<_> = cluster.world.pods.values().collect();
    assert_eq!(left.len(), 1, "the one without a node is forgotten");
    assert!(matches!(
        left[0].lifecycle,
        Lifecycle::Stopping { reason: StopReason::OwnerRemoved, .. }
    ));
    cluster.run_for(seconds(2));
    assert!(cluster.world.pods.is_empty());
    assert!(!cluster.timeline.iter().any(|entry| entry.step == Step::Draining));
}

#[test]
fn an_agent_that_is_lost_holds_no_pod_of_its_engine() {
    let mut cluster = Cluster::with_nodes(&[]);
    cluster.join("a", "shared");
    cluster.join("b", "shared");
    cluster.commit(vec![web(1, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    let peer = if pod.node() == Some(&"a".into()) { "b" } else { "a" };
    cluster.agent(peer).alive = false;
    cluster.commit(vec![web(0, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(10));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Draining { .. }));
    cluster.run_for(seconds(8));
    assert!(cluster.world.pods.is_empty(), "its silence is over the timeout, not the pod's grace");
}

#[test]
fn the_last_acknowledgement_is_enough_whoever_gives_it() {
    let mut cluster = Cluster::with_nodes(&[]);
    cluster.join("a", "shared");
    cluster.join("b", "shared");
    cluster.commit(vec![web(1, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    let (home, peer) = if pod.node() == Some(&"a".into()) { ("a", "b") } else { ("b", "a") };
    cluster.agent(peer).listens = false;
    cluster.commit(vec![web(0, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    cluster.agent(home).alive = false;
    cluster.agent(peer).listens = true;
    cluster.run_for(seconds(1));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Stopping { .. }));
}

#[test]
fn the_end_of_draining_needs_no_report() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = |replicas| {
        web_with(replicas, "web:1", |deployment| {
            deployment.template.termination_grace = seconds(10);
        })
    };
    cluster.commit(vec![asked(1)]);
    cluster.run_for(seconds(3));
    cluster.agent("a").alive = false;
    cluster.commit(vec![asked(0)]);
    cluster.step(seconds(4));
    let pod = cluster.world.pods.values().next().expect("it drains").clone();
    assert!(matches!(pod.lifecycle, Lifecycle::Draining { .. }));
    cluster.step(seconds(1));
    assert!(matches!(lifecycle(&cluster, &pod), Lifecycle::Stopping { .. }));
}

#[test]
fn a_report_from_before_the_order_does_not_end_a_pod() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.agent("a").listens = false;
    cluster.commit(vec![web(1, "web:1")]);
    cluster.commit(vec![web(0, "web:1")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.world.pods.len(), 1, "the agent may be about to start it");
    cluster.agent("a").listens = true;
    cluster.run_for(seconds(3));
    assert!(cluster.world.pods.is_empty());
}

#[test]
fn an_agent_that_starts_anew_has_acknowledged_nothing() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let node = NodeName::new("a");
    assert!(cluster.contacts[&node].acknowledged > Turn(0));
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    assert_eq!(cluster.contacts[&node].acknowledged, Turn(0));
}
