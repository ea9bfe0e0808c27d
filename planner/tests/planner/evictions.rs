//! Nodes that are drained: who leaves, in which order, and what a disruption budget holds.

use std::collections::BTreeMap;

use dugout_model::*;
use dugout_planner::PodWait;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn drain(cluster: &mut Cluster, node: &str) {
    cluster.turn(&[Fact::Operator(OperatorRequest::Drain(NodeName::new(node)))]);
}

fn uncordon(cluster: &mut Cluster, node: &str) {
    cluster.turn(&[Fact::Operator(OperatorRequest::Uncordon(NodeName::new(node)))]);
}

/// Drains, and gives the fewest pods that were ready at any moment until nothing happened any more.
fn fewest_ready_while(cluster: &mut Cluster, node: &str) -> usize {
    drain(cluster, node);
    let mut fewest = cluster.ready();
    for _ in 0..60 {
        cluster.step(seconds(1));
        fewest = fewest.min(cluster.ready());
    }
    fewest
}

fn left_on(cluster: &Cluster, node: &str) -> Vec<String> {
    let node = NodeName::new(node);
    let pods = cluster.world.pods_to_drain(&node);
    pods.map(|pod| pod.name.to_string()).collect()
}

fn why(cluster: &Cluster, node: &str) -> Vec<String> {
    let name = NodeName::new(node);
    let row = &cluster.world.nodes[&name];
    let pods = cluster.world.pods_to_drain(&name);
    pods.map(|pod| cluster.world.drain_wait(row, pod).to_string()).collect()
}

/// Two nodes; what is committed is on the first alone, as the second was cordoned until it ran.
fn all_on_a(objects: Vec<DeclaredObject>) -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(NodeName::new("b")))]);
    cluster.commit(objects);
    cluster.run_for(seconds(20));
    uncordon(&mut cluster, "b");
    cluster
}

#[test]
fn the_only_replica_has_a_successor_that_serves_before_it_leaves() {
    let mut cluster = all_on_a(vec![web(1, "web:1")]);
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 1);
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 1)]));
    assert_eq!(left_on(&cluster, "a"), [""; 0]);
    assert_eq!(cluster.events_with("Draining").len(), 1);
    assert_eq!(cluster.events_with("Evicted").len(), 1);
    assert_eq!(cluster.events_with("Drained").len(), 1);
    assert_eq!(cluster.sizes("web"), [1]);
}

#[test]
fn many_replicas_move_without_one_less_serving_and_within_the_surge() {
    let mut cluster = all_on_a(vec![web(8, "web:1")]);
    drain(&mut cluster, "a");
    for _ in 0..60 {
        assert!(cluster.active().len() <= 10, "25 % of eight are two");
        assert!(cluster.ready() >= 8);
        cluster.step(seconds(1));
    }
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 8)]));
}

#[test]
fn without_a_surge_a_pod_leaves_first() {
    let no_surge = |deployment: &mut Deployment| {
        deployment.strategy = Strategy::RollingUpdate {
            max_surge: IntOrPercent::Int(0),
            max_unavailable: IntOrPercent::Int(1),
        };
    };
    let recreate = |deployment: &mut Deployment| deployment.strategy = Strategy::Recreate;
    for object in [web_with(1, "web:1", no_surge), web_with(1, "web:1", recreate)] {
        let mut cluster = all_on_a(vec![object]);
        assert_eq!(fewest_ready_while(&mut cluster, "a"), 0);
        assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 1)]));
    }
}

#[test]
fn a_pod_that_fits_nowhere_else_leaves_all_the_same() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 0);
    assert_eq!(cluster.spread(), BTreeMap::from([("nowhere".to_owned(), 1)]));
    uncordon(&mut cluster, "a");
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 1);
}

#[test]
fn a_successor_that_never_serves_takes_nobodys_place() {
    let mut cluster = all_on_a(vec![web(1, "web:1")]);
    cluster.agent("b").listens = false;
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 1);
    assert_eq!(why(&cluster, "a"), ["another pod has to serve in its place before it leaves"]);
    assert_eq!(cluster.active().len(), 2);
    uncordon(&mut cluster, "a");
    cluster.agent("b").listens = true;
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 1)]), "nothing has to move");
}

#[test]
fn a_budget_that_lets_none_go_is_kept_by_a_successor() {
    let budget = budget("web", DisruptionLimit::MaxUnavailable(IntOrPercent::Int(0)));
    let mut cluster = all_on_a(vec![web(2, "web:1"), budget]);
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 2);
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 2)]));
}

#[test]
fn a_budget_holds_and_says_so_and_never_gives_way() {
    let mut cluster = all_on_a(vec![declared_set(3, "set:1"), budget("set", min_available(3))]);
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 3);
    let held = "the disruption budget budget needs 3 healthy pods and has 3 currently";
    assert_eq!(why(&cluster, "a"), [held; 3]);
    assert!(cluster.report.pods.values().all(|wait| matches!(
        wait,
        PodWait::Eviction(DrainWait::Held(EvictionHold::Budget { .. }))
    )));
    assert_eq!(cluster.events_with("DisruptionBudget").len(), 3, "told once");
    cluster.run_for(seconds(600));
    assert_eq!(left_on(&cluster, "a").len(), 3);

    cluster.commit(vec![declared_set(3, "set:1"), budget("set", min_available(2))]);
    for _ in 0..60 {
        cluster.step(seconds(1));
        assert!(cluster.ready() >= 2);
    }
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 3)]));
}

#[test]
fn a_pod_in_two_budgets_stays() {
    let others = [budget("set", min_available(0)), budget_named("more", "set", min_available(0))];
    let mut cluster = all_on_a([declared_set(1, "set:1")].into_iter().chain(others).collect());
    assert_eq!(fewest_ready_while(&mut cluster, "a"), 1);
    let why = why(&cluster, "a");
    assert!(why[0].contains("more than one disruption budget (budget, more)"), "{why:?}");
}

#[test]
fn a_pod_that_does_not_serve_is_no_loss() {
    let mut cluster = all_on_a(vec![web(2, "web:1")]);
    cluster.commit(vec![web(2, "web:1"), declared_set(1, "set:unready")]);
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(NodeName::new("a")))]);
    cluster.run_for(seconds(5));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(20));
    assert_eq!(left_on(&cluster, "a"), [""; 0]);
}

#[test]
fn each_kind_moves_in_its_own_way_and_daemons_stay() {
    let objects = vec![
        db(2, "db:1", |_| {}),
        logs("logs:1", |_| {}),
        declared_set(2, "set:1"),
        bare("tool", "tool:1"),
        job("job:1", |_| {}),
    ];
    let mut cluster = all_on_a(objects);
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 1)]));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(30));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 7)]));
    assert_eq!(left_on(&cluster, "a"), [""; 0]);
    let names = cluster.names();
    for name in ["db-0", "db-1", "tool"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    let job = cluster.world.jobs.values().next().unwrap();
    assert_eq!(job.tally.failed, 1, "a moved pod counts as disrupted");
}

#[test]
fn what_has_ended_stays_for_its_logs() {
    let mut cluster = all_on_a(vec![job("job:exits", |_| {})]);
    let names = cluster.names();
    drain(&mut cluster, "a");
    cluster.run_for(seconds(10));
    assert_eq!(cluster.names(), names);
    assert_eq!(cluster.events_with("Drained").len(), 1, "it holds nobody");
}

#[test]
fn the_rollout_under_way_ends_first() {
    let mut cluster = all_on_a(vec![web(4, "web:1")]);
    cluster.commit(vec![web(4, "web:2")]);
    drain(&mut cluster, "a");
    assert!(
        cluster.report.pods.values().any(|wait| *wait == PodWait::Eviction(DrainWait::Rollout))
    );
    for _ in 0..60 {
        cluster.step(seconds(1));
        assert!(cluster.ready() >= 3, "as the strategy asks");
    }
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 4)]));
    assert_eq!(cluster.images(), ["web:2"; 4]);
}

#[test]
fn a_commit_in_the_middle_of_a_drain_is_rolled_out_and_the_drain_goes_on() {
    let mut cluster = all_on_a(vec![web(4, "web:1")]);
    drain(&mut cluster, "a");
    cluster.step(seconds(1));
    let sha = cluster.commit(vec![web(4, "web:2")]);
    cluster.run_for(seconds(40));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 4)]));
}

#[test]
fn a_second_drain_while_the_successor_starts_takes_nobody_who_serves() {
    let mut cluster = all_on_a(vec![web(1, "web:1")]);
    cluster.join("c", "engine-of-c");
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(NodeName::new("c")))]);
    drain(&mut cluster, "a");
    cluster.step(seconds(1));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
    assert_eq!(cluster.ready(), 1, "the successor has yet to serve");
    uncordon(&mut cluster, "c");
    assert_eq!(fewest_ready_while(&mut cluster, "b"), 1);
    assert_eq!(cluster.spread(), BTreeMap::from([("c".to_owned(), 1)]));
}

#[test]
fn a_rollout_that_a_failed_release_stopped_keeps_no_node_from_being_drained() {
    let other = |image: &str| named("other", deployment("other", 1, image));
    let mut cluster = all_on_a(vec![web(1, "web:1"), other("other:1")]);
    cluster.on_failure(OnFailure::Hold);
    let sha = cluster.commit(vec![web(1, "web:missing"), other("other:2")]);
    cluster.run_for(seconds(5));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert_eq!(*cluster.rollout("other"), RolloutState::Progressing, "its gate is shut");
    assert_eq!(why(&cluster, "a"), [""; 0]);
}

#[test]
fn a_drain_that_waits_for_a_rollout_goes_on_when_the_release_fails() {
    let other = |image: &str| {
        let mut other = deployment("other", 1, image);
        other.progress_deadline = seconds(30);
        named("other", other)
    };
    let web = |image: &str| after(web(1, image), [(Kind::Deployment, "other")]);
    let mut cluster = all_on_a(vec![web("web:1"), other("other:1")]);
    cluster.on_failure(OnFailure::Hold);
    let sha = cluster.commit(vec![web("web:2"), other("other:unready")]);
    cluster.run_for(seconds(5));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    assert!(!left_on(&cluster, "a").is_empty(), "the rollout is under way");
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert!(matches!(cluster.rollout("web"), RolloutState::Waiting { .. }), "for ever");
    assert_eq!(why(&cluster, "a"), [""; 0]);
}

#[test]
fn fewer_replicas_take_those_of_the_drained_node_first() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let limit = DisruptionLimit::MaxUnavailable(IntOrPercent::Int(0));
    let paused = |deployment: &mut Deployment| {
        deployment.strategy = Strategy::RollingUpdate {
            max_surge: IntOrPercent::Int(0),
            max_unavailable: IntOrPercent::Int(1),
        };
    };
    cluster.commit(vec![web_with(4, "web:1", paused), budget("web", limit)]);
    cluster.run_for(seconds(20));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)]));
    let sha = cluster.commit(vec![web_with(2, "web:1", paused), budget("web", limit)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "a budget holds no commit");
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 2)]));
}

#[test]
fn the_drain_outlives_the_leader_and_the_agent() {
    let mut cluster = all_on_a(vec![web(3, "web:1"), budget("web", min_available(3))]);
    drain(&mut cluster, "a");
    cluster.restart_engine();
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    assert!(cluster.world.nodes[&NodeName::new("a")].draining_since().is_some());
    cluster.run_for(seconds(40));
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 3)]));
}

#[test]
fn a_node_that_is_lost_while_it_is_drained_is_left_alone() {
    let mut cluster = all_on_a(vec![db(1, "db:1", |_| {}), web(2, "web:1")]);
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    drain(&mut cluster, "a");
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    let name = NodeName::new("a");
    let node = &cluster.world.nodes[&name];
    let waits = cluster.world.pods_to_drain(&name).map(|pod| cluster.world.drain_wait(node, pod));
    assert!(waits.collect::<Vec<_>>().contains(&DrainWait::NodeLost), "its stateful pod");
    cluster.agent("a").alive = true;
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), BTreeMap::from([("b".to_owned(), 3)]));
}

#[test]
fn to_cordon_a_node_that_is_drained_ends_the_drain() {
    let mut cluster = all_on_a(vec![declared_set(2, "set:1"), budget("set", min_available(2))]);
    drain(&mut cluster, "a");
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(NodeName::new("a")))]);
    cluster.commit(vec![declared_set(2, "set:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.spread(), BTreeMap::from([("a".to_owned(), 2)]));
}

fn evict(cluster: &mut Cluster, pod: PodUid) {
    cluster.turn(&[Fact::Operator(OperatorRequest::Evict(pod))]);
}

#[test]
fn a_pod_starts_anew_when_a_person_asks_for_it() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let objects = vec![web(2, "web:1"), db(1, "db:1", |_| {}), logs("logs:1", |_| {})];
    let sha = cluster.commit(objects);
    cluster.run_for(seconds(10));
    let before: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
    assert_eq!((before.len(), cluster.verdict(&sha)), (5, Verdict::Healthy));
    for pod in &before {
        evict(&mut cluster, *pod);
        evict(&mut cluster, *pod);
    }
    assert_eq!(cluster.events_with("Evicted").len(), 5, "to ask twice is to ask once");
    cluster.run_for(seconds(20));
    assert_eq!((cluster.world.pods.len(), cluster.ready()), (5, 5));
    assert!(before.iter().all(|pod| !cluster.world.pods.contains_key(pod)));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_budget_holds_a_pod_also_when_a_person_asks_for_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1"), budget("web", min_available(1))]);
    cluster.run_for(seconds(5));
    let pods: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
    let asked: Vec<Fact> =
        pods.iter().map(|pod| Fact::Operator(OperatorRequest::Evict(*pod))).collect();
    cluster.turn(&asked);
    let stay = pods.iter().filter(|pod| cluster.world.pods[*pod].is_active()).count();
    assert_eq!(stay, 1, "only one may go at a time");
}

/// Its successor has another name and does not serve yet: nobody would make another of it.
#[test]
fn what_left_git_serves_on_a_drained_node_until_its_release_does_or_fails() {
    for (image, on_failure) in [("new:1", OnFailure::Revert), ("new:unready", OnFailure::Hold)] {
        let mut cluster = all_on_a(vec![web(1, "web:1")]);
        cluster.on_failure(on_failure);
        let mut coming = deployment("site", 1, image);
        coming.min_ready = seconds(4);
        coming.progress_deadline = seconds(30);
        let sha = cluster.commit_allowing(1, vec![named("site", coming)]);
        drain(&mut cluster, "a");
        cluster.run_in_steps(4, seconds(1));
        assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
        assert_eq!(
            why(&cluster, "a"),
            ["its workload left Git, and goes when what comes with the release serves"],
        );
        assert!(cluster.ready() > 0);
        cluster.run_in_steps(60, seconds(1));
        assert_ne!(cluster.verdict(&sha), Verdict::Rolling, "{image}");
        assert_eq!(left_on(&cluster, "a"), [""; 0], "{image}");
    }
}
