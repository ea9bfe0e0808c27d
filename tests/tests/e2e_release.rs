//! Releases, end to end: a commit rolls, a revert takes it back, a bad commit changes nothing.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::load::Visitors;
use dugout_tests::rig::Rig;

/// The pod templates of the deployment's replica sets that have pods, as the API shows them.
fn current_templates(rig: &Rig) -> Vec<serde_json::Value> {
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets", rig.application.namespace);
    rig.items(&path)
        .into_iter()
        .filter(|replica_set| replica_set["spec"]["replicas"] != 0)
        .map(|replica_set| replica_set["spec"]["template"].clone())
        .collect()
}

#[test]
fn a_commit_rolls_without_a_dropped_request_and_a_revert_brings_the_same_template_back() {
    let mut rig = Rig::new("rolls");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for("the service answers", |rig| rig.visit("/version").as_deref() == Some("1.0\n"));
    let before = current_templates(&rig);

    let visitors = Visitors::start(rig.application.node_port);
    rig.application.image = "dugout-web:2.0".to_owned();
    rig.application.replicas = 3;
    let second = rig.commit_application("Web 2.0, three of them");
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(3);
    assert_eq!(rig.visit("/version").as_deref(), Some("2.0\n"));

    rig.repository.git(&["revert", "--no-edit", "HEAD"]);
    let third = rig.repository.head();
    rig.wait_for_verdict(&third, "healthy");
    rig.wait_for_ready(2);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
    assert_eq!(current_templates(&rig), before, "the template is the same, byte for byte");

    let visits = visitors.finish();
    assert!(visits.failures.is_empty(), "{visits:?}");
    assert!(visits.served > 100, "{visits:?}");

    let timeline = rig.dugout_ok(&["timeline", &second[..8]]);
    for step in
        ["noticed", "validated", "applied", "started", "ready", "draining", "stopped", "healthy"]
    {
        assert!(timeline.contains(step), "the timeline has no step {step}:\n{timeline}");
    }
    let history = rig.dugout_ok(&["history"]);
    assert_eq!(history.matches("healthy").count(), 3, "{history}");
}

#[test]
fn a_changed_config_map_rolls_its_consumers() {
    let mut rig = Rig::new("config");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let before = rig.containers();

    rig.application.greeting = "good evening".to_owned();
    let second = rig.commit_application("Another greeting");
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(2);
    assert!(rig.visit("/").is_some_and(|page| page.contains("good evening")));
    assert!(rig.containers().iter().all(|id| !before.contains(id)), "every pod is a new one");
}

#[test]
fn a_commit_that_changes_nothing_for_the_pods_touches_none() {
    let mut rig = Rig::new("nothing");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let before = rig.containers();
    rig.repository.write("README.md", "words\n");
    let second = rig.repository.commit("Only words");
    rig.wait_for_verdict(&second, "healthy");
    assert_eq!(rig.containers(), before);
}

#[test]
fn a_broken_manifest_changes_nothing_and_every_problem_is_listed() {
    let mut rig = Rig::new("broken");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let before = rig.containers();

    rig.repository.replace("apps/web.yaml", "replicas: 2", "replcas: 2");
    rig.repository.write("apps/more.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: [\n");
    let second = rig.repository.commit("Broken in two files");
    rig.wait_for_verdict(&second, "rejected");
    assert_eq!(rig.containers(), before);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));

    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("rejected"), "{status}");
    let line = rig.application.manifests().lines().position(|line| line.contains("replicas: 2"));
    let place = format!("apps/web.yaml:{}:", line.expect("it is there") + 1);
    assert!(status.contains(&place), "{place} in {status}");
    assert!(status.contains("apps/more.yaml:"), "{status}");
    assert!(status.contains("replcas"), "{status}");

    // A mended commit goes through.
    rig.repository.git(&["revert", "--no-edit", "HEAD"]);
    let third = rig.repository.head();
    rig.wait_for_verdict(&third, "healthy");
    assert_eq!(rig.containers(), before);
}

#[test]
fn an_image_that_does_not_exist_fails_the_release_and_the_last_good_one_serves() {
    let mut rig = Rig::new("image");
    let first = rig.repository.head();
    rig.up(&["--on-failure", "hold"]);
    rig.wait_for_verdict(&first, "healthy");
    let before = rig.containers();

    let registry = dugout_tests::registry::Registry::start();
    rig.application.image = format!("{}/nobody/nothing:1", registry.address());
    let second = rig.commit_application("An image that is not there");
    rig.wait_for_verdict(&second, "failed");
    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("nobody/nothing:1"), "{status}");
    assert!(rig.containers().iter().all(|id| before.contains(id)), "the old pods are still there");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));

    rig.application.image = "dugout-web:1.1".to_owned();
    let third = rig.commit_application("An image that is there");
    rig.wait_for_verdict(&third, "healthy");
    rig.wait_for_ready(2);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.1\n"));
}

#[test]
fn an_image_is_pulled_from_a_registry() {
    let mut rig = Rig::without_commit("pull");
    let registry = dugout_tests::registry::Registry::start();
    rig.application.image = registry.push("dugout-web:1.1", "team/web:1.1");
    let first = rig.commit_application("An image from a registry");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.1\n"));
    dugout_tests::rig::docker(&["image", "rm", "--force", &rig.application.image]);
}

#[test]
fn a_probe_that_never_passes_fails_the_release_and_the_last_good_one_serves() {
    let mut rig = Rig::new("probe");
    rig.up(&["--on-failure", "hold"]);
    let first = rig.repository.head();
    rig.wait_for_verdict(&first, "healthy");

    // Only what can never be ready has a short deadline: a slow machine must not fail the others.
    rig.application.spec_extra = "  progressDeadlineSeconds: 5\n".to_owned();
    rig.application.container_extra =
        "          env:\n            - name: FAIL_READY\n              value: \"1\"\n".to_owned();
    let second = rig.commit_application("It is never ready");
    rig.wait_for_verdict(&second, "failed");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
    let release = rig.release(&second).expect("the release is there");
    assert!(
        release["status"]["reason"].as_str().is_some_and(|reason| reason.contains("web")),
        "{release}"
    );

    rig.repository.git(&["revert", "--no-edit", "HEAD"]);
    let third = rig.repository.head();
    rig.wait_for_verdict(&third, "healthy");
    rig.wait_for_ready(2);
}

#[test]
fn a_newer_commit_overtakes_a_stuck_one() {
    let mut rig = Rig::new("overtake");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.application.container_extra =
        "          env:\n            - name: FAIL_READY\n              value: \"1\"\n".to_owned();
    let second = rig.commit_application("It is never ready");
    rig.wait_for_verdict(&second, "rolling");
    rig.application.container_extra = String::new();
    rig.application.image = "dugout-web:1.1".to_owned();
    let third = rig.commit_application("It is");
    rig.wait_for_verdict(&third, "healthy");
    rig.wait_for_ready(2);
    rig.wait_for_verdict(&second, "superseded");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.1\n"));
}

#[test]
fn what_left_git_leaves_the_machine_once_somebody_says_that_it_is_meant() {
    let mut rig = Rig::new("prune");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.repository.git(&["rm", "--quiet", "apps/web.yaml"]);
    rig.repository.write("README.md", "nothing runs\n");
    let held = rig.repository.commit("Nothing");
    rig.wait_for_verdict(&held, "held");
    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("Dugout-Allow-Delete:"), "{status}");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"), "nothing of it was applied");

    rig.repository.write("README.md", "nothing runs, and that is meant\n");
    rig.repository.commit("Nothing, and that is meant\n\nDugout-Allow-Delete: 9");
    rig.wait_for("no pod and no container is left", |rig| {
        rig.pods().is_empty() && rig.containers().is_empty()
    });
    assert_eq!(rig.visit("/version"), None);
}

#[test]
fn a_commit_that_is_held_passes_with_a_persons_approval() {
    let mut rig = Rig::new("approve");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.repository.git(&["rm", "--quiet", "apps/web.yaml"]);
    rig.repository.write("README.md", "nothing runs\n");
    let held = rig.repository.commit("Nothing");
    rig.wait_for_verdict(&held, "held");
    let other = rig.dugout(&["approve", &first]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && said.contains(&held[..8]), "{said}");

    rig.dugout_ok(&["approve", &held[..8]]);
    rig.wait_for_verdict(&held, "healthy");
    rig.wait_for("no container is left", |rig| rig.containers().is_empty());
    let again = rig.dugout(&["approve", &held]);
    assert!(!again.status.success(), "nothing waits any more");
}

#[test]
fn rollback_commits_a_revert_in_the_repository_and_applies_it() {
    let mut rig = Rig::new("rollback");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.application.image = "dugout-web:2.0".to_owned();
    let second = rig.commit_application("Web 2.0");
    rig.wait_for_verdict(&second, "healthy");

    rig.dugout_ok(&["rollback", "--reason", "it is ugly"]);
    let third = rig.repository.head();
    assert_ne!(third, second);
    let message = rig.repository.git(&["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("Dugout-Reverts: {second}")), "{message}");
    assert!(message.contains("Dugout-Reason: it is ugly"), "{message}");
    assert_eq!(rig.repository.git(&["diff", &first, &third]), "", "the content is the earlier one");
    assert_eq!(rig.repository.git(&["status", "--porcelain"]), "", "the work tree follows");
    rig.wait_for_verdict(&third, "healthy");
    rig.wait_for_ready(2);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
}
