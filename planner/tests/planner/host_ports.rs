//! Ports of nodes: no two pods of one engine have the same.

use std::sync::Arc;

use dugout_model::*;
use dugout_planner::{Plan, PlanReport, Violation, check};

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

/// A deployment whose pods take a port of their nodes.
fn on_port(name: &str, replicas: u32, port: u16) -> DeclaredObject {
    let mut asked = deployment(name, replicas, &format!("{name}:1"));
    asked.template.containers[0].ports[0].host = Some(HostPort { port, address: None });
    named(name, asked)
}

fn waits_for_ports(cluster: &Cluster) -> usize {
    let waits = |pod: &&Arc<Pod>| match &pod.placement {
        Placement::Waiting(why) => why.removed.contains_key(&NodeFilter::NoFreePorts),
        Placement::On { .. } => false,
    };
    cluster.world.pods.values().filter(waits).count()
}

#[test]
fn one_pod_of_a_node_has_a_port_of_it_and_others_wait_until_it_is_gone() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![on_port("web", 3, 8080)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 2, "{:?}", cluster.spread());
    assert_eq!(waits_for_ports(&cluster), 1);
    let told = cluster.events_with("FailedScheduling");
    let message = &told[0].message;
    assert!(message.contains("didn't have free ports for the requested pod ports"), "{message}");

    cluster.commit(vec![on_port("web", 1, 8080), on_port("api", 2, 9090), on_port("db", 1, 8080)]);
    cluster.run_for(seconds(60));
    assert_eq!((cluster.ready(), waits_for_ports(&cluster)), (4, 0), "{:?}", cluster.spread());
}

/// Nodes of one engine are one machine.
#[test]
fn nodes_of_one_engine_share_its_ports() {
    let mut cluster = Cluster::with_nodes(&[]);
    cluster.join("a", "one");
    cluster.join("b", "one");
    cluster.commit(vec![on_port("web", 2, 8080)]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.ready(), waits_for_ports(&cluster)), (1, 1));
}

#[test]
fn a_pod_is_not_placed_where_another_has_its_port() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![on_port("web", 2, 8080)]);
    cluster.run_for(seconds(5));
    let waiting = cluster.world.unplaced_pods().next().expect("one has no place");
    let placement = Placement::On { node: NodeName::new("a"), at: cluster.now };
    let change = Change::PutPod(Arc::new(Pod { placement, ..(**waiting).clone() }));
    let mut after = cluster.world.clone();
    after.apply(&change);
    after.turn = after.turn.next();
    let plan = Plan {
        changes: vec![change],
        after,
        wake_at: [].into(),
        processed: [].into(),
        report: PlanReport::default(),
    };
    let found = check(&cluster.world, &plan);
    let violation = Violation::HostPortTakenTwice { pod: waiting.uid, node: NodeName::new("a") };
    assert!(found.contains(&violation), "{found:?}");
}
