//! Daemon sets from commit to verdict, as stories.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const STEP: Duration = Duration::from_millis(250);

fn running() -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    let sha = cluster.commit(vec![logs("logs:1", |_| {})]);
    assert_eq!(cluster.spread(), spread(&["a", "b", "c"]));
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster
}

/// One pod on each of these.
fn spread(nodes: &[&str]) -> BTreeMap<String, usize> {
    nodes.iter().map(|node| ((*node).to_owned(), 1)).collect()
}

#[test]
fn every_node_gets_one_also_one_that_joins_or_is_cordoned() {
    let mut cluster = running();
    assert!(cluster.names().iter().all(|name| name.starts_with("logs-") && name.len() == 10));
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon("a".into()))]);
    cluster.join("d", "engine-of-d");
    assert_eq!(cluster.spread(), spread(&["a", "b", "c", "d"]));
    let sha = cluster.commit(vec![logs("logs:2", |_| {})]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.spread(), spread(&["a", "b", "c", "d"]), "the cordoned one keeps its own");
    assert_eq!(cluster.images(), ["logs:2"; 4]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn only_nodes_that_the_template_admits_have_one() {
    let select = |name: &'static str| {
        move |spec: &mut DaemonSet| {
            spec.template.node_selector = StringMap::from([("name".to_owned(), name.to_owned())]);
        }
    };
    let mut cluster = running();
    let sha = cluster.commit(vec![logs("logs:1", select("b"))]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.spread(), spread(&["b"]));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);

    let mut registration = cluster.agent("b").registration();
    registration.labels = StringMap::new();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    assert!(cluster.active().is_empty(), "its node lost the label");
    let nobody = cluster.commit(vec![logs("logs:1", select("nobody"))]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&nobody), Verdict::Healthy, "on no node, as it was asked");
}

#[test]
fn only_nodes_whose_policy_allows_it_have_one() {
    let privileged = |image: &str| {
        logs(image, |spec| {
            spec.template.containers[0].security = Some(Box::new(ContainerSecurity {
                privilege: Privilege::Privileged,
                ..ContainerSecurity::default()
            }));
        })
    };
    let allow = |cluster: &mut Cluster, node: &str, allowed: &[NodePrivilege]| {
        cluster.agent(node).allowed = Some(allowed.iter().copied().collect());
        let registration = cluster.agent(node).registration();
        cluster.turn(&[Fact::NodeJoined(registration)]);
    };
    let mut cluster = running();
    allow(&mut cluster, "a", &[]);
    allow(&mut cluster, "b", &[NodePrivilege::Privileged]);
    let sha = cluster.commit(vec![privileged("logs:2")]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), spread(&["b"]));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "no rollout waits for the others");
    let mut objects = cluster.world.objects.values();
    let spec = objects.find_map(|object| match &object.declared.spec {
        ObjectSpec::DaemonSet(spec) => Some(spec),
        _ => None,
    });
    let wanted = cluster.world.nodes_wanted_by(spec.expect("it is declared"));
    assert_eq!(wanted, [&"b".into()].into(), "what is told of it counts them no more");
    allow(&mut cluster, "a", &[NodePrivilege::Privileged]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.spread(), spread(&["a", "b"]));
}

#[test]
fn without_a_surge_one_leaves_before_the_next_comes() {
    let mut cluster = running();
    let sha = cluster.commit(vec![logs("logs:2", |_| {})]);
    for _ in 0..80 {
        assert!(cluster.ready() >= 2);
        assert!(cluster.world.pods.len() <= 3, "never two on a node");
        cluster.step(STEP);
    }
    assert_eq!(cluster.images(), ["logs:2"; 3]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn with_a_surge_no_node_is_ever_without_one() {
    let mut cluster = running();
    let sha = cluster.commit(vec![logs("logs:2", |spec| {
        spec.update = DaemonSetUpdate::RollingUpdate {
            max_surge: IntOrPercent::Int(1),
            max_unavailable: IntOrPercent::Int(0),
        };
    })]);
    for _ in 0..80 {
        assert!(cluster.ready() >= 3);
        cluster.step(STEP);
    }
    assert_eq!(cluster.spread(), spread(&["a", "b", "c"]));
    assert_eq!(cluster.images(), ["logs:2"; 3]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn left_to_people_an_update_touches_no_pod() {
    let mut cluster = running();
    let before = cluster.active();
    let sha = cluster.commit(vec![logs("logs:2", |spec| spec.update = DaemonSetUpdate::OnDelete)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.active(), before);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_lost_node_keeps_its_pod_and_no_release_waits_for_it() {
    let mut cluster = running();
    cluster.agent("c").alive = false;
    cluster.run_for(seconds(30));
    assert_eq!(cluster.spread(), spread(&["a", "b", "c"]), "it is not moved");
    let sha = cluster.commit(vec![logs("logs:2", |_| {})]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.images(), ["logs:1", "logs:2", "logs:2"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster.agent("c").alive = true;
    cluster.run_for(seconds(10));
    assert_eq!(cluster.images(), ["logs:2"; 3], "back again, it is brought up to date");
    assert_eq!(cluster.spread(), spread(&["a", "b", "c"]));
}

#[test]
fn a_pod_that_does_not_fit_on_its_node_waits_with_the_reason() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![logs("logs:1", |spec| {
        spec.template.containers[0].resources.cpu_request_millis = 5_000;
    })]);
    cluster.run_for(seconds(3));
    let waiting = cluster.world.unplaced_pods().next().expect("one waits").clone();
    let Placement::Waiting(why) = &waiting.placement else { panic!("it waits") };
    assert_eq!(why.to_string(), "0 of 1 nodes can take it: 1 with too little CPU left");
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
}
