//! Who may send to whom.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn endpoints(cluster: &Cluster, node: &str) -> Vec<Endpoint> {
    let assignment =
        dugout_planner::assignment(&cluster.world, &NodeName::new(node)).expect("the node exists");
    let [service] = assignment.services.as_slice() else { panic!("one service") };
    assert_eq!(service.ports[0].node_port, 30080);
    service.ports[0].endpoints.clone()
}

#[test]
fn a_node_sends_to_its_own_pods_and_to_ready_ones_on_its_engine() {
    let mut cluster = Cluster::with_nodes(&[]);
    cluster.join("a", "shared");
    cluster.join("b", "shared");
    cluster.join("c", "another");
    cluster.commit(vec![web(3, "web:1"), service("web", 30080)]);
    let local = |endpoints: &[Endpoint]| {
        endpoints.iter().filter(|endpoint| endpoint.place == EndpointPlace::Local).count()
    };
    for node in ["a", "b", "c"] {
        let endpoints = endpoints(&cluster, node);
        assert_eq!((endpoints.len(), local(&endpoints)), (1, 1), "{node} before any is ready");
        assert_eq!(endpoints[0].port, 8080);
    }
    cluster.run_for(seconds(3));
    for (node, expected) in [("a", 2), ("b", 2), ("c", 1)] {
        let endpoints = endpoints(&cluster, node);
        assert_eq!(
            (endpoints.len(), local(&endpoints)),
            (expected, 1),
            "{node} when all are ready"
        );
    }
}

#[test]
fn a_service_that_changes_reaches_every_node_with_a_new_generation() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(1, "web:1"), service("web", 30080)]);
    cluster.run_for(seconds(3));
    let idle = cluster.world.nodes[&NodeName::new("b")].generation;
    cluster.commit(vec![web(1, "web:1"), service("web", 30081)]);
    let turn = cluster.world.turn;
    assert!(cluster.world.nodes.values().all(|node| node.generation == turn));
    assert!(turn > idle);
    cluster.commit(vec![web(1, "web:1"), service("web", 30081), config("c", "a", "b")]);
    assert!(cluster.world.nodes.values().all(|node| node.generation == turn));
}

#[test]
fn a_service_may_mean_one_pod_of_a_stateful_set() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let mut service = service("db", 30080);
    let ObjectSpec::Service(spec) = &mut service.spec else { panic!("a service") };
    spec.selector.insert("statefulset.kubernetes.io/pod-name".to_owned(), "db-1".to_owned());
    cluster.commit(vec![db(2, "db:1", |_| {}), service]);
    cluster.run_for(seconds(10));
    let node = NodeName::new("a");
    let assignment = dugout_planner::assignment(&cluster.world, &node).expect("the node exists");
    let meant = assignment.pods.iter().find(|pod| pod.name.as_str() == "db-1").expect("a pod");
    let ordinal = meant.template.labels.get("apps.kubernetes.io/pod-index");
    assert_eq!(ordinal.map(String::as_str), Some("1"));
    let endpoints = endpoints(&cluster, "a");
    assert_eq!(endpoints.iter().map(|each| each.pod).collect::<Vec<_>>(), [meant.uid]);
}
