//! Replica sets and bare pods that Git declares, as stories.

use std::time::Duration;

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

#[test]
fn a_replica_set_has_as_many_pods_as_asked_and_a_new_template_is_for_new_ones() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![declared_set(3, "set:1")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert!(cluster.names().iter().all(|name| name.starts_with("set-") && name.len() == 9));

    let before = cluster.active();
    let sha = cluster.commit(vec![declared_set(3, "set:2")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.active(), before);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster.commit(vec![declared_set(4, "set:2")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.images(), ["set:1", "set:1", "set:1", "set:2"]);
    cluster.commit(vec![declared_set(0, "set:2")]);
    cluster.run_for(seconds(5));
    assert!(cluster.world.pods.is_empty());
    assert_eq!(cluster.world.replica_sets.len(), 1, "earlier templates are of no use");
}

#[test]
fn a_replica_set_with_a_broken_template_is_mended_by_the_next_commit() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(vec![declared_set(2, "set:1")]);
    cluster.run_for(seconds(3));
    let broken = cluster.commit(vec![declared_set(3, "set:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&broken), Verdict::Failed);
    let mended = cluster.commit(vec![declared_set(3, "set:2")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.images(), ["set:1", "set:1", "set:2"]);
    assert_eq!(cluster.verdict(&mended), Verdict::Healthy);
}

#[test]
fn a_pod_that_serves_is_kept_though_its_node_did_not_say_since_when() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![declared_set(1, "set:1")]);
    cluster.run_for(seconds(3));
    let mut pod = (*cluster.active()[0]).clone();
    let Seen::Known(status) = &mut pod.seen else { panic!("its node told of it") };
    status.milestones = PodMilestones::default();
    cluster.world.apply(&Change::PutPod(std::sync::Arc::new(pod.clone())));
    cluster.commit(vec![declared_set(1, "set:2")]);
    assert_eq!(cluster.active()[0].uid, pod.uid);
}

#[test]
fn a_pod_of_a_replica_set_moves_from_a_lost_node() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![declared_set(2, "set:1")]);
    cluster.run_for(seconds(3));
    cluster.commit(vec![declared_set(2, "set:2")]);
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), [("b".to_owned(), 2)].into());
    assert_eq!(cluster.ready(), 2);
    assert_eq!(cluster.images(), ["set:1", "set:2"], "what comes anew has the new template");
}

#[test]
fn a_bare_pod_has_its_name_and_comes_anew_with_another_template() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![bare("tool", "tool:1")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.names(), ["tool"]);

    let sha = cluster.commit(vec![bare("tool", "tool:2")]);
    for _ in 0..20 {
        assert_eq!(cluster.names().len(), 1, "never two of a name");
        cluster.step(Duration::from_millis(250));
    }
    assert_eq!(cluster.images(), ["tool:2"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster.commit_allowing(1, vec![web(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.images(), ["web:1"]);
}

#[test]
fn a_bare_pod_waits_for_its_lost_node() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![bare("tool", "tool:1")]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    let node = pod.node().expect("placed").to_string();
    cluster.agent(&node).alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.active().iter().map(|each| each.uid).collect::<Vec<_>>(), [pod.uid]);
    cluster.agent(&node).alive = true;
    cluster.run_for(seconds(3));
    assert_eq!(cluster.ready(), 1);
}

#[test]
fn a_bare_pod_that_ended_well_is_done_and_stays() {
    let mut object = bare("tool", "tool:exits");
    if let ObjectSpec::Pod(template) = &mut object.spec {
        template.restart_policy = RestartPolicy::Never;
    }
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![object]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.rollout_of(Kind::Pod, "tool"), &RolloutState::Complete);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.names(), ["tool"]);
}

#[test]
fn two_that_ask_for_one_name_do_not_both_get_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![db(1, "db:1", |_| {}), bare("db-0", "tool:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.names(), ["db-0"]);
    cluster.commit_allowing(1, vec![bare("db-0", "tool:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.images(), ["tool:1"]);
}
