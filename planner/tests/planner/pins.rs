//! What the names of images stand for, as stories: what is found first holds for all of a release.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::*;
use dugout_planner::{Violation, assignment};

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const WEB: &str = "web:1";

fn digest(number: u8) -> ImageDigest {
    ImageDigest::parse(&format!("sha256:{}", format!("{number:02x}").repeat(32))).expect("one")
}

/// The tag of `web:1` stands for this, whoever asks from now on.
fn moved(cluster: &mut Cluster, names: &[&str], number: u8) {
    for name in names {
        cluster.agent(name).finds.insert(WEB.to_owned(), digest(number));
    }
}

/// Three nodes, each of which finds something else for the name.
fn torn() -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        moved(&mut cluster, &[name], number as u8 + 1);
    }
    cluster
}

/// What the containers of each active pod are made of.
fn running(cluster: &Cluster) -> BTreeSet<Option<ImageDigest>> {
    let pods = cluster.active();
    let seen = pods.iter().filter_map(|pod| pod.seen.known());
    seen.flat_map(|status| &status.containers).map(|one| one.image_digest.clone()).collect()
}

fn only(number: u8) -> BTreeSet<Option<ImageDigest>> {
    [Some(digest(number))].into()
}

fn set(cluster: &Cluster) -> Arc<ReplicaSet> {
    let owner = cluster.deployment("web");
    Arc::clone(cluster.world.current_replica_set(owner).expect("a set"))
}

fn noted(replicas: u32, note: &str) -> DeclaredObject {
    web_with(replicas, WEB, |web| {
        web.template.annotations.insert("note".to_owned(), note.to_owned());
    })
}

#[test]
fn what_is_found_first_is_what_every_node_runs() {
    let mut cluster = torn();
    let sha = cluster.commit(vec![web(3, WEB)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let pins = cluster.release(&sha).pins.clone();
    let [(image, found)] = &pins.iter().collect::<Vec<_>>()[..] else { panic!("{pins:?}") };
    assert_eq!(*image, WEB);
    assert_eq!(running(&cluster), [Some((*found).clone())].into());
    assert_eq!(set(&cluster).pins, pins);
    let told = cluster.timeline.iter().filter(|entry| entry.step == Step::Pinned);
    let told: Vec<&str> = told.map(|entry| entry.message.as_str()).collect();
    assert_eq!(told, [format!("web:1 is {found}")]);
}

#[test]
fn who_comes_later_gets_what_the_others_have_and_a_new_template_what_there_is_now() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    moved(&mut cluster, &["a", "b"], 1);
    cluster.commit(vec![web(1, WEB)]);
    cluster.run_for(seconds(20));
    moved(&mut cluster, &["a", "b"], 2);
    let scaled = cluster.commit(vec![web(4, WEB)]);
    cluster.run_for(seconds(20));
    assert_eq!((cluster.ready(), running(&cluster)), (4, only(1)));
    assert!(cluster.release(&scaled).pins.is_empty(), "it asks for nothing new");
    // What is healed is no new template, either.
    cluster.agent("b").alive = false;
    cluster.run_for(seconds(60));
    cluster.join("c", "c");
    moved(&mut cluster, &["c"], 3);
    cluster.run_for(seconds(60));
    assert_eq!((cluster.ready(), running(&cluster)), (4, only(1)));
    let first = set(&cluster);

    let noted = cluster.commit(vec![noted(4, "x")]);
    moved(&mut cluster, &["c"], 2);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&noted), Verdict::Healthy);
    assert_eq!(running(&cluster), only(2));
    assert_eq!(cluster.release(&noted).pins[WEB], digest(2));

    // The template comes back, and with it what it ran.
    moved(&mut cluster, &["a", "c"], 4);
    cluster.commit(vec![web(4, WEB)]);
    cluster.run_for(seconds(60));
    assert_eq!(set(&cluster).uid, first.uid);
    assert_eq!((cluster.ready(), running(&cluster)), (4, only(1)));
}

#[test]
fn a_release_that_fails_goes_back_to_what_ran() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    moved(&mut cluster, &["a", "b"], 1);
    cluster.commit(vec![web_with(2, WEB, |web| web.strategy = Strategy::Recreate)]);
    cluster.run_for(seconds(20));
    moved(&mut cluster, &["a", "b"], 2);
    let failing = cluster.commit(vec![
        web_with(2, WEB, |web| {
            web.strategy = Strategy::Recreate;
            web.template.annotations.insert("note".to_owned(), "x".to_owned());
        }),
        named("other", deployment("other", 1, "other:unready")),
    ]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.release(&failing).pins[WEB], digest(2));
    cluster.run_for(seconds(90));
    assert_eq!(cluster.verdict(&failing), Verdict::Reverted);
    assert_eq!((cluster.ready(), running(&cluster)), (2, only(1)));
}

#[test]
fn two_workloads_of_a_release_run_one_image_of_one_name() {
    let mut cluster = torn();
    let sha = cluster.commit(vec![web(2, WEB), named("other", deployment("other", 2, WEB))]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(running(&cluster).len(), 1);
    // One that joins them later is of another release.
    let worker = named("worker", deployment("worker", 1, WEB));
    let first = running(&cluster);
    moved(&mut cluster, &["a", "b", "c"], 9);
    let later =
        cluster.commit(vec![web(2, WEB), named("other", deployment("other", 2, WEB)), worker]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.release(&later).pins[WEB], digest(9));
    assert_eq!(running(&cluster), first.into_iter().chain(only(9)).collect());
}

#[test]
fn the_gate_is_closed_until_every_node_has_that_very_image() {
    let always = |note: &str| {
        web_with(3, WEB, |web| {
            web.strategy = Strategy::Recreate;
            web.template.containers[0].pull_policy = PullPolicy::Always;
            web.template.annotations.insert("note".to_owned(), note.to_owned());
        })
    };
    let mut cluster = torn();
    cluster.commit(vec![always("x")]);
    cluster.run_for(seconds(20));
    let before = running(&cluster);
    for (name, number) in [("a", 4), ("b", 5), ("c", 6)] {
        moved(&mut cluster, &[name], number);
    }
    let sha = cluster.commit(vec![always("y")]);
    let mut is_told = false;
    for _ in 0..80 {
        cluster.run_for(std::time::Duration::from_millis(100));
        let pulls = cluster.world.nodes.values().flat_map(|node| &node.pulls);
        let digests: BTreeSet<_> = pulls.map(|pull| pull.digest.clone()).collect();
        is_told |= digests.len() == 1 && !digests.contains(&None);
        assert!(digests.len() <= 1, "{digests:?}");
    }
    assert!(is_told, "the nodes are asked for what was found first");
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(running(&cluster).len(), 1);
    assert!(running(&cluster).is_disjoint(&before));
}

#[test]
fn who_runs_another_of_the_name_is_asked_for_the_one_that_is_meant() {
    let noted = |note: &str| {
        web_with(2, WEB, |web| {
            web.strategy = Strategy::Recreate;
            web.template.annotations.insert("note".to_owned(), note.to_owned());
        })
    };
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    moved(&mut cluster, &["a", "b"], 1);
    cluster.commit(vec![noted("x")]);
    cluster.run_for(seconds(20));
    // Another workload of the release is the first to find out what the name stands for now.
    moved(&mut cluster, &["a", "b"], 2);
    let other = named("other", deployment("other", 1, WEB));
    let sha = cluster.commit(vec![noted("y"), other]);
    let mut asked = BTreeSet::new();
    for _ in 0..40 {
        cluster.run_for(std::time::Duration::from_millis(100));
        for node in cluster.world.nodes.values() {
            let meant = node.pulls.iter().filter(|pull| pull.digest == Some(digest(2)));
            asked.extend(meant.map(|_| node.name.to_string()));
        }
    }
    assert_eq!(asked, ["a".to_owned(), "b".to_owned()].into());
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), running(&cluster)), (Verdict::Healthy, only(2)));
}

#[test]
fn an_image_that_is_never_pulled_or_named_by_its_digest_is_what_it_is() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let by_digest = digest(7).reference(WEB);
    let never = |web: &mut Deployment| {
        web.template.containers[0].pull_policy = PullPolicy::Never;
        let named = Container { name: "named".to_owned(), ..container(&by_digest) };
        web.template.containers.push(named);
    };
    cluster.commit(vec![web_with(1, WEB, never)]);
    cluster.run_for(seconds(10));
    let told = assignment(&cluster.world, &NodeName::new("a")).expect("one");
    assert_eq!(told.pods[0].pins, []);
    assert!(set(&cluster).pins.is_empty());
}

#[test]
fn agents_of_before_run_what_they_find_and_the_others_go_on() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    moved(&mut cluster, &["b"], 1);
    let sha = cluster.commit(vec![web(2, WEB)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(running(&cluster), [None, Some(digest(1))].into());
}

#[test]
fn a_plan_that_moves_a_pin_is_refused() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    moved(&mut cluster, &["a"], 1);
    let sha = cluster.commit(vec![web(1, WEB)]);
    cluster.run_for(seconds(10));
    let mut row = (*set(&cluster)).clone();
    row.pins.insert(WEB.to_owned(), digest(2));
    let mut release = cluster.release(&sha).clone();
    release.pins.clear();
    let changes = vec![Change::PutReplicaSet(row.into()), Change::PutRelease(release.into())];
    let violation = Violation::PinMoved { image: WEB.to_owned() };
    let found = crate::checks::violations(&cluster, changes);
    assert_eq!(found.iter().filter(|one| **one == violation).count(), 2, "{found:?}");
}
