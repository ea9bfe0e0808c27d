//! Stateful sets from commit to verdict, as stories.

use std::time::Duration;

use dugout_model::*;
use dugout_planner::PodWait;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const STEP: Duration = Duration::from_millis(250);

fn running(replicas: u32) -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![db(replicas, "db:1", |_| {})]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster
}

/// The image of each active pod, by ordinal.
fn images(cluster: &Cluster) -> Vec<String> {
    cluster.named_images().into_iter().map(|(_, image)| image).collect()
}

#[test]
fn its_pods_come_one_after_another_with_names_of_their_own() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![db(3, "db:1", |spec| spec.first_ordinal = 5)]);
    assert_eq!(cluster.names(), ["db-5"]);
    for _ in 0..40 {
        assert!(cluster.active().len() <= cluster.ready() + 1, "each waits for those before");
        cluster.step(STEP);
    }
    assert_eq!(cluster.names(), ["db-5", "db-6", "db-7"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let turn = cluster.world.turn;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.world.turn, turn);
}

#[test]
fn in_parallel_they_come_and_go_together() {
    let parallel = |spec: &mut StatefulSet| spec.pod_management = PodManagement::Parallel;
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![db(3, "db:1", parallel)]);
    assert_eq!(cluster.names(), ["db-0", "db-1", "db-2"]);
    cluster.run_for(seconds(3));
    cluster.commit(vec![db(0, "db:1", parallel)]);
    assert!(cluster.active().is_empty());
}

#[test]
fn scaled_down_the_highest_is_gone_before_the_next_leaves() {
    let mut cluster = running(4);
    let sha = cluster.commit(vec![db(1, "db:1", |_| {})]);
    for _ in 0..60 {
        let leaving = cluster.world.pods.values().filter(|pod| !pod.is_active());
        assert!(leaving.count() <= 1);
        cluster.step(STEP);
    }
    assert_eq!(cluster.names(), ["db-0"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn an_update_replaces_one_at_a_time_from_the_highest_down() {
    let mut cluster = running(3);
    let sha = cluster.commit(vec![db(3, "db:2", |_| {})]);
    let mut order: Vec<String> = Vec::new();
    for _ in 0..120 {
        assert!(cluster.ready() >= 2, "one at a time");
        for (name, image) in cluster.named_images() {
            if image == "db:2" && !order.contains(&name) {
                order.push(name);
            }
        }
        cluster.step(STEP);
    }
    assert_eq!(order, ["db-2", "db-1", "db-0"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn below_the_partition_the_earlier_template_stays_and_comes_again() {
    let partition = |spec: &mut StatefulSet| {
        spec.update = StatefulSetUpdate::RollingUpdate {
            partition: 2,
            max_unavailable: IntOrPercent::Int(1),
        };
    };
    let mut cluster = running(3);
    let sha = cluster.commit(vec![db(3, "db:2", partition)]);
    cluster.run_for(seconds(20));
    assert_eq!(images(&cluster), ["db:1", "db:1", "db:2"]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);

    cluster.commit(vec![db(1, "db:2", partition)]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![db(3, "db:2", partition)]);
    cluster.run_for(seconds(20));
    assert_eq!(images(&cluster), ["db:1", "db:1", "db:2"], "also when it is made anew");
}

#[test]
fn left_to_people_an_update_touches_no_pod_and_is_complete() {
    let on_delete = |spec: &mut StatefulSet| spec.update = StatefulSetUpdate::OnDelete;
    let mut cluster = running(2);
    let before = cluster.active();
    let sha = cluster.commit(vec![db(2, "db:2", on_delete)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.active(), before);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster.commit(vec![db(3, "db:2", on_delete)]);
    cluster.run_for(seconds(5));
    assert_eq!(images(&cluster), ["db:1", "db:1", "db:2"]);
}

#[test]
fn a_broken_update_goes_back_without_waiting_for_it() {
    let mut cluster = running(3);
    let broken = cluster.commit(vec![db(3, "db:unready", |_| {})]);
    cluster.run_for(seconds(20));
    assert_eq!(images(&cluster), ["db:1", "db:1", "db:unready"]);
    cluster.run_in_steps(60, seconds(10));
    assert_eq!(cluster.verdict(&broken), Verdict::Reverted, "after ten minutes");
    cluster.run_for(seconds(20));
    assert_eq!(images(&cluster), ["db:1"; 3]);
}

#[test]
fn a_broken_first_pod_is_mended_by_the_next_commit() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![db(3, "db:unready", |_| {})]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![db(3, "db:2", |_| {})]);
    cluster.run_for(seconds(20));
    assert_eq!(images(&cluster), ["db:2"; 3]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_pod_on_a_lost_node_is_not_made_anew_elsewhere() {
    let mut cluster = running(2);
    let pods: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.world.pods.keys().copied().collect::<Vec<_>>(), pods);
    assert_eq!(cluster.ready(), 1);
    cluster.restart_engine();
    let expected = PodWait::NodeReturn { node: "a".into() };
    assert!(cluster.report.pods.values().any(|wait| *wait == expected), "{:?}", cluster.report);

    // A new template does not make a second one either.
    cluster.commit(vec![db(2, "db:2", |_| {})]);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.names(), ["db-0", "db-1"]);
    cluster.agent("a").alive = true;
    cluster.run_for(seconds(30));
    assert_eq!(images(&cluster), ["db:2"; 2]);
    assert_eq!(cluster.ready(), 2);
}

#[test]
fn removed_and_added_again_it_waits_for_the_names_of_its_pods() {
    let mut cluster = running(2);
    cluster.commit_allowing(1, vec![web(1, "web:1")]);
    let sha = cluster.commit(vec![web(1, "web:1"), db(2, "db:2", |_| {})]);
    let count = |cluster: &Cluster| cluster.names().iter().filter(|name| *name == "db-0").count();
    assert_eq!(count(&cluster), 1, "the earlier one is leaving");
    for _ in 0..80 {
        assert!(count(&cluster) <= 1);
        cluster.step(STEP);
    }
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(images(&cluster), ["db:2", "db:2", "web:1"]);
}

#[test]
fn it_leaves_with_its_last_pod() {
    let mut cluster = running(2);
    cluster.commit_allowing(1, vec![web(1, "web:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(images(&cluster), ["web:1"]);
    assert_eq!(cluster.world.replica_sets.len(), 1);
    assert_eq!(cluster.world.rollouts.len(), 1);
}

#[test]
fn the_annotation_sets_how_long_it_may_make_no_progress() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let mut object = db(1, "db:unready", |_| {});
    object.policy.progress_deadline = Some(seconds(20));
    let sha = cluster.commit(vec![object]);
    cluster.run_for(seconds(15));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
}
