//! The way back of a release that fails, end to end: everything as it was, and a revert commit that says
//! so, whatever is in its way.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::os::unix::fs::PermissionsExt;

use dugout_tests::load::Visitors;
use dugout_tests::registry::Registry;
use dugout_tests::rig::Rig;
use dugout_tests::served::Served;

/// Commits another count of replicas, a config map and an image that no registry has.
fn commit_broken(rig: &mut Rig, registry: &Registry) -> String {
    rig.application.image = format!("{}/nobody/nothing:1", registry.address());
    rig.application.replicas = 3;
    let namespace = &rig.application.namespace;
    let config = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n  namespace: {namespace}\ndata:\n  a: b\n"
    );
    rig.repository.write("apps/extra.yaml", &config);
    let sha = rig.commit_application("Three of what is not there");
    rig.application.image = "dugout-web:1.0".to_owned();
    rig.application.replicas = 2;
    sha
}

fn steps(rig: &Rig, sha: &str) -> Vec<String> {
    let timeline = rig.dugout_ok(&["timeline", sha, "--output", "json"]);
    let timeline: serde_json::Value = serde_json::from_str(&timeline).expect("it is JSON");
    let entries = timeline["items"].as_array().cloned().unwrap_or_default();
    entries.iter().filter_map(|entry| entry["step"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_release_that_fails_goes_back_by_itself_and_git_says_so() {
    let mut rig = Rig::new("back");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for("the service answers", |rig| rig.visit("/version").as_deref() == Some("1.0\n"));
    let before = rig.containers();
    let visitors = Visitors::start(rig.application.node_port);
    let registry = Registry::start();

    let bad = commit_broken(&mut rig, &registry);
    rig.wait_for_verdict(&bad, "reverted");
    rig.wait_for("a revert commit is on the branch", |rig| rig.repository.head() != bad);
    let revert = rig.repository.head();
    rig.wait_for_verdict(&revert, "healthy");

    let message = rig.repository.git(&["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("Dugout-Reverts: {bad}")), "{message}");
    assert!(message.contains("nobody/nothing:1"), "the reason is in it: {message}");
    assert_eq!(rig.repository.git(&["diff", "--stat", &first, "HEAD"]), "");
    assert_eq!(rig.repository.git(&["status", "--porcelain"]), "", "its files went along");
    assert_eq!(rig.containers(), before, "what served was never touched");
    let visits = visitors.finish();
    assert!(visits.failures.is_empty(), "{visits:?}");

    let steps = steps(&rig, &bad);
    for step in ["failed", "reverted", "restored", "revert-pushed"] {
        assert!(steps.iter().any(|told| told == step), "{step}: {steps:?}");
    }
    let release = rig.release(&bad).expect("the release is there");
    assert_eq!(release["status"]["revert"]["commit"], revert.as_str());
    let metrics = rig.try_get("/metrics").expect("the metrics can be read");
    for expected in [
        "dugout_restore_duration_seconds_count{source=\"default\"} 1",
        "dugout_lead_time_seconds_count{source=\"default\"} 2",
        "dugout_releases_total{source=\"default\",verdict=\"reverted\"} 1",
    ] {
        let (name, _) = expected.split_once('{').expect("it has labels");
        let told: Vec<&str> = metrics.lines().filter(|line| line.starts_with(name)).collect();
        assert!(told.contains(&expected), "{expected}: {told:?}");
    }

    // A person's next commit goes on from there.
    rig.application.image = "dugout-web:1.1".to_owned();
    let mended = rig.commit_application("An image that is there");
    rig.wait_for_verdict(&mended, "healthy");
    rig.wait_for("it is served", |rig| rig.visit("/version").as_deref() == Some("1.1\n"));
}

#[test]
fn while_the_git_server_is_down_the_way_back_does_not_wait_and_the_push_follows() {
    let mut served = Served::start("down", &["--poll-interval", "1s"]);
    let before = served.rig.containers();
    // It is never ready, so the server can go before the release fails.
    served.rig.application.spec_extra = "  progressDeadlineSeconds: 5\n".to_owned();
    served.rig.application.container_extra =
        "          env:\n            - name: FAIL_READY\n              value: \"1\"\n".to_owned();
    let bad = served.rig.commit_application("It is never ready");
    served.push(&[]);
    served.rig.wait_for_verdict(&bad, "rolling");
    served.stop();
    served.rig.wait_for_verdict(&bad, "reverted");
    served.rig.wait_for("the containers are those of before", |rig| rig.containers() == before);
    let status = served.rig.dugout_ok(&["status"]);
    assert!(status.contains("is to be pushed"), "{status}");

    // Nothing of it is lost with the process.
    served.rig.kill();
    let url = served.url.clone();
    served.rig.up_with(&["--repo", &url, "--poll-interval", "1s"]);
    served.serve_again();
    let bare = served.root.join("team.git");
    let head = |rig: &Rig| {
        rig.repository.git(&[
            "--git-dir",
            bare.to_str().expect("a plain path"),
            "rev-parse",
            "main",
        ])
    };
    served.rig.wait_for("the revert is pushed", |rig| head(rig) != bad);
    let revert = head(&served.rig);
    served.rig.wait_for_verdict(&revert, "healthy");
    assert_eq!(served.rig.containers(), before);
}

#[test]
fn where_the_branch_is_protected_the_revert_waits_on_a_branch_of_its_own() {
    let mut served = Served::start("protected", &["--poll-interval", "1s"]);
    let before = served.rig.containers();
    let registry = Registry::start();
    let bad = commit_broken(&mut served.rig, &registry);
    served.push(&[]);
    let bare = served.root.join("team.git");
    let hook = bare.join("hooks/update");
    std::fs::write(&hook, "#!/bin/sh\n[ $1 != refs/heads/main ]\n").expect("it can be written");
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).expect("it can be set");

    served.rig.wait_for_verdict(&bad, "reverted");
    served.rig.wait_for("it is told where the revert is", |rig| {
        rig.release(&bad).is_some_and(|release| release["status"]["revert"]["branch"].is_string())
    });
    let release = served.rig.release(&bad).expect("it is there");
    let source = release["spec"]["source"].as_str().expect("it has a source");
    let branch = format!("dugout/revert-{source}-{}", &bad[..8]);
    let status = served.rig.dugout_ok(&["status"]);
    assert!(status.contains(&branch), "{status}");
    let git_dir = bare.to_str().expect("a plain path");
    let parent =
        served.rig.repository.git(&["--git-dir", git_dir, "rev-parse", &format!("{branch}^")]);
    assert_eq!(parent, bad);
    assert_eq!(served.rig.containers(), before);
    assert_eq!(served.rig.visit("/version").as_deref(), Some("1.0\n"));
}

/// A workload that has its turn only when the application is complete.
fn write_follower(rig: &Rig, image: &str) {
    let namespace = &rig.application.namespace;
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: follower\n  namespace: {namespace}\n  \
         annotations:\n    dugout.dev/depends-on: Deployment/web\nspec:\n  selector:\n    matchLabels: {{app: \
         follower}}\n  template:\n    metadata:\n      labels: {{app: follower}}\n    spec:\n      containers:\n        \
         - name: follower\n          image: {image}\n"
    );
    rig.repository.write("apps/follower.yaml", &text);
}

#[test]
fn nothing_stops_before_every_image_can_be_had() {
    let mut rig = Rig::without_commit("gate");
    rig.application.strategy = "    type: Recreate\n".to_owned();
    let first = rig.commit_application("It is stopped before its successor starts");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for("the service answers", |rig| rig.visit("/version").as_deref() == Some("1.0\n"));
    let before = rig.containers();
    let visitors = Visitors::start(rig.application.node_port);
    let registry = Registry::start();

    // Its own image cannot be had, and then that of somebody who comes later.
    rig.application.image = format!("{}/nobody/nothing:1", registry.address());
    let missing = rig.commit_application("An image that is not there");
    rig.wait_for_verdict(&missing, "reverted");
    rig.wait_for("a revert commit is on the branch", |rig| rig.repository.head() != missing);
    rig.application.image = registry.push("dugout-web:1.1", "team/web:1.1");
    write_follower(&rig, &format!("{}/nobody/else:1", registry.address()));
    let later = rig.commit_application("A follower whose image is not there");
    rig.wait_for_verdict(&later, "reverted");
    rig.wait_for("a revert commit is on the branch", |rig| rig.repository.head() != later);
    let reason = rig.release(&later).expect("it is there")["status"]["reason"].clone();
    let reason = reason.as_str().unwrap_or_default();
    assert!(reason.contains("nobody/else:1"), "the registry's words: {reason}");
    let visits = visitors.finish();
    assert!(visits.failures.is_empty(), "{visits:?}");
    assert_eq!(rig.containers(), before, "what served was never touched");

    // With all of them there it goes on by itself.
    write_follower(&rig, "dugout-web:1.0");
    let good = rig.commit_application("Every image is there");
    rig.wait_for_verdict(&good, "healthy");
    rig.wait_for("it is served", |rig| rig.visit("/version").as_deref() == Some("1.1\n"));
    let told = steps(&rig, &good);
    let at = |step: &str| told.iter().position(|told| told == step);
    assert!(at("images-ready").is_some() && at("images-ready") < at("draining"), "{told:?}");
    dugout_tests::rig::docker(&["image", "rm", "--force", &rig.application.image]);
}
