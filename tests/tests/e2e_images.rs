//! What the tag of an image stands for, end to end: found once for a release, with a real registry.

#![allow(clippy::expect_used, reason = "a failure here fails the test")]

use std::collections::BTreeSet;
use std::process::Command;

use dugout_tests::registry::Registry;
use dugout_tests::rig::{Rig, docker, is_ready};
use dugout_tests::second_agent::SecondAgent;

/// What the containers of all pods are made of.
fn running(rig: &Rig) -> BTreeSet<String> {
    let pods = rig.pods();
    let statuses = pods.iter().filter_map(|pod| pod["status"]["containerStatuses"].as_array());
    let ids = statuses.flatten().filter_map(|status| status["imageID"].as_str());
    ids.map(str::to_owned).collect()
}

fn nodes(rig: &Rig) -> BTreeSet<String> {
    let pods = rig.pods();
    let names = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str());
    names.map(str::to_owned).collect()
}

fn until_all_run(rig: &mut Rig, count: usize, image: &str) {
    rig.wait_for("every pod runs this image", |rig| {
        let pods = rig.pods();
        pods.len() == count
            && pods.iter().all(is_ready)
            && running(rig) == [image.to_owned()].into()
    });
}

/// Takes the names away that a test gave to images, where they are still there.
fn forget(names: &[&str]) {
    for name in names {
        let _ = Command::new("docker").args(["image", "rm", name]).output();
    }
}

#[test]
fn every_node_runs_what_the_first_found_though_the_tag_moves() {
    let mut rig = Rig::without_commit("pins");
    let registry = Registry::start();
    let image = registry.push("dugout-web:1.0", "team/web:1");
    let repository = image.trim_end_matches(":1").to_owned();
    rig.application.image.clone_from(&image);
    rig.application.replicas = 1;
    let first = rig.commit_application("One");
    rig.up(&["--node-name", "first"]);
    rig.wait_for_verdict(&first, "healthy");
    let pinned = running(&rig).pop_first().expect("a pod runs");
    assert!(pinned.starts_with(&format!("{repository}@sha256:")), "{pinned}");
    let release = rig.release(&first).expect("the release is there");
    let digest = pinned.split_once('@').expect("a digest").1;
    assert_eq!(release["status"]["pins"][&image], digest, "{release}");
    let timeline = rig.dugout_ok(&["timeline", &first]);
    assert!(timeline.contains(&format!("{image} is {digest}")), "{timeline}");

    // The tag moves, and the engine has what it stands for now.
    registry.push("dugout-web:1.1", "team/web:1");
    docker(&["pull", "--quiet", &image]);
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let second = SecondAgent::start(&rig, &token);
    rig.wait_for("the second node is ready", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
    });
    rig.application.replicas = 2;
    let scaled = rig.commit_application("Two");
    rig.wait_for_verdict(&scaled, "healthy");
    until_all_run(&mut rig, 2, &pinned);
    assert_eq!(nodes(&rig).len(), 2);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));

    // A new template takes what the tag stands for now.
    rig.application.greeting = "moved".to_owned();
    let moved = rig.commit_application("Another greeting");
    rig.wait_for_verdict(&moved, "healthy");
    let release = rig.release(&moved).expect("the release is there");
    let other = release["status"]["pins"][&image].as_str().expect("it is pinned").to_owned();
    let other = format!("{repository}@{other}");
    assert_ne!(other, pinned);
    until_all_run(&mut rig, 2, &other);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.1\n"));

    // And the one that comes back brings what it was.
    rig.repository.git(&["revert", "--no-edit", "HEAD"]);
    let back = rig.repository.head();
    rig.wait_for_verdict(&back, "healthy");
    until_all_run(&mut rig, 2, &pinned);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
    // Its containers go by its folder, which is in the rig's.
    drop(second);
    drop(rig);
    forget(&[&image, &pinned, &other]);
}

#[test]
fn an_image_that_no_registry_has_is_used_as_it_is() {
    let mut rig = Rig::new("local-image");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let release = rig.release(&first).expect("the release is there");
    assert!(release["status"]["pins"].is_null(), "{release}");
    assert_eq!(running(&rig).len(), 1);
    assert!(running(&rig).iter().all(|id| id.starts_with("sha256:")), "{:?}", running(&rig));
}
