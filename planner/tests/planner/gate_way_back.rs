//! The gate of what was healthy and comes back, as stories: each workload waits for its own images alone.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, seconds};

const NODES: [&str; 3] = ["a", "b", "c"];

/// A deployment that stops what it has before anything new, whose image is pulled each time.
fn api(image: &str) -> DeclaredObject {
    let mut asked = deployment("api", 1, image);
    asked.template.containers[0].pull_policy = PullPolicy::Always;
    asked.strategy = Strategy::Recreate;
    named("api", asked)
}

fn recreated(image: &str) -> DeclaredObject {
    web_with(3, image, |web| {
        web.strategy = Strategy::Recreate;
        web.progress_deadline = seconds(5);
    })
}

/// A release that failed because web:unready never became ready, and the way back of it, on which api:1
/// cannot be had.
fn going_back() -> (Cluster, CommitSha) {
    let mut cluster = Cluster::with_nodes(&NODES);
    let good = cluster.commit(vec![api("api:1"), recreated("web:1")]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&good), Verdict::Healthy);
    let bad = cluster.commit(vec![api("api:2"), recreated("web:unready")]);
    for node in NODES {
        cluster.agent(node).refuses = Some("api:1".to_owned());
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    (cluster, bad)
}

fn awaited(cluster: &Cluster) -> Option<String> {
    cluster.world.awaited_images(&SourceName::new(SOURCE))
}

#[test]
fn who_has_its_images_goes_back_although_another_cannot() {
    let (mut cluster, _) = going_back();
    assert_eq!(cluster.images(), ["api:2", "web:1", "web:1", "web:1"]);
    let told = awaited(&cluster).unwrap_or_default();
    assert!(told.starts_with("image api:1 cannot be had on node "), "{told}");
    assert!(told.ends_with(": manifest unknown"), "{told}");
    for node in NODES {
        cluster.agent(node).refuses = None;
    }
    cluster.run_for(seconds(20));
    assert_eq!(awaited(&cluster), None);
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1", "web:1"]);
}

#[test]
fn the_revert_commit_does_not_fail_for_what_cannot_be_had() {
    let (mut cluster, bad) = going_back();
    let message = format!("Take it back\n\nDugout-Reverts: {bad}");
    let good = vec![api("api:1"), recreated("web:1")];
    let revert = cluster.commit_with_message(good, &message);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&revert), Verdict::Rolling);
    assert_eq!(cluster.images(), ["api:2", "web:1", "web:1", "web:1"], "what serves goes on");
    for node in NODES {
        cluster.agent(node).refuses = None;
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
}

#[test]
fn without_an_end_the_revert_commit_fails_and_tries_on() {
    let (mut cluster, bad) = going_back();
    let message = format!("Take it back\n\nDugout-Reverts: {bad}");
    let good = vec![api("api:1"), recreated("web:1")];
    let revert = cluster.commit_with_message(good, &message);
    cluster.run_in_steps(61, seconds(10));
    assert_eq!(cluster.verdict(&revert), Verdict::Failed);
    for node in NODES {
        cluster.agent(node).refuses = None;
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1", "web:1"]);
}

#[test]
fn nor_does_it_fail_for_what_a_new_pod_cannot_have() {
    let rolled = |image: &str| named("api", deployment("api", 1, image));
    let mut cluster = Cluster::with_nodes(&NODES);
    cluster.commit(vec![rolled("api:1"), recreated("web:1")]);
    cluster.run_for(seconds(20));
    let bad = cluster.commit(vec![rolled("api:2"), recreated("web:unready")]);
    for node in NODES {
        cluster.agent(node).refuses = Some("api:1".to_owned());
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    let message = format!("Take it back\n\nDugout-Reverts: {bad}");
    let revert = cluster.commit_with_message(vec![rolled("api:1"), recreated("web:1")], &message);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&revert), Verdict::Rolling);
    assert!(cluster.images().contains(&"api:2".to_owned()), "what serves goes on");
    for node in NODES {
        cluster.agent(node).refuses = None;
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
}
