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

/// Nodes with their engines that allow the ports of pods.
fn cluster_of(nodes: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::with_nodes(&[]);
    for (name, engine) in nodes {
        cluster.join(name, engine);
        allow(&mut cluster, name, &[NodePrivilege::HostPort]);
    }
    cluster
}

fn allow(cluster: &mut Cluster, node: &str, allowed: &[NodePrivilege]) {
    cluster.agent(node).allowed = Some(allowed.iter().copied().collect());
    let registration = cluster.agent(node).registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
}

/// Who may push takes no port of a machine whose owner did not give it.
#[test]
fn a_node_gives_its_ports_where_it_says_so() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![on_port("web", 1, 53)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 0, "an agent of before would give it no port");
    allow(&mut cluster, "a", &[NodePrivilege::HostPath]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 0);
    allow(&mut cluster, "a", &[NodePrivilege::HostPort]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 1);
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
    let mut cluster = cluster_of(&[("a", "a"), ("b", "b")]);
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
    let mut cluster = cluster_of(&[("a", "one"), ("b", "one")]);
    cluster.commit(vec![on_port("web", 2, 8080)]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.ready(), waits_for_ports(&cluster)), (1, 1));
}

#[test]
fn a_pod_is_not_placed_where_another_has_its_port() {
    let mut cluster = cluster_of(&[("a", "a")]);
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

/// No node has a port for the old pod and the new one, so one has to go first.
#[test]
fn an_image_changes_on_one_node_where_a_pod_may_go_before_the_next_comes() {
    let none_first = Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(0),
        max_unavailable: IntOrPercent::Int(1),
    };
    for strategy in [Strategy::Recreate, none_first] {
        let asked = |image: &str| {
            let mut object = on_port("web", 1, 8080);
            if let ObjectSpec::Deployment(web) = &mut object.spec {
                web.strategy = strategy.clone();
                web.template.containers[0].image = image.to_owned();
            }
            object
        };
        let mut cluster = cluster_of(&[("a", "a")]);
        for image in ["web:1", "web:2"] {
            let sha = cluster.commit(vec![asked(image)]);
            cluster.run_for(seconds(60));
            assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "{image} with {strategy:?}");
        }
    }
}

#[test]
fn a_port_that_the_nodes_serve_for_a_service_is_no_pods() {
    let mut cluster = cluster_of(&[("a", "a")]);
    cluster.commit(vec![service("db", 30080), on_port("web", 1, 30080)]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.ready(), waits_for_ports(&cluster)), (0, 1));
    cluster.commit(vec![service("db", 30081), on_port("web", 1, 30080)]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.ready(), waits_for_ports(&cluster)), (1, 0));
}
