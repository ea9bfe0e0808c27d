//! The first start, end to end: what a new user sees.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::rig::Rig;

#[test]
fn up_without_a_repository_makes_the_tutorial_and_detach_returns_when_it_is_healthy() {
    let rig = Rig::without_commit("tutorial");
    let data_dir = rig.data_dir();
    let listen = format!("127.0.0.1:{}", rig.port);
    let data = data_dir.to_string_lossy();
    let printed = rig.dugout_ok(&["up", "--detach", "--data-dir", &data, "--listen", &listen]);
    for word in
        ["Docker", "PostgreSQL", "dugout-demo", "healthy", "http://127.0.0.1:30080", "revert"]
    {
        assert!(printed.contains(word), "it does not say {word}:\n{printed}");
    }
    assert!(rig.folder().join("dugout-demo/.git").exists());
    let pods = rig.items("/api/v1/namespaces/demo/pods");
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(dugout_tests::rig::is_ready));
    let client = dugout_tests::http::client(true);
    let page = dugout_tests::http::text(&client, "http://127.0.0.1:30080/version");
    assert_eq!(page.as_deref(), Some("1.0\n"));

    let running = std::fs::read_to_string(data_dir.join("running.json")).expect("it runs");
    let running: serde_json::Value = serde_json::from_str(&running).expect("JSON");
    let cluster = running["cluster"].as_str().expect("it has a cluster").to_owned();
    let again = rig.dugout(&["up", "--data-dir", &data, "--listen", &listen]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("dugout down"));
    rig.dugout_ok(&["down", "--purge", "--data-dir", &data]);
    let left = dugout_tests::rig::docker(&[
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("label=dev.dugout.cluster={cluster}"),
    ]);
    assert_eq!(left, "", "no container of the cluster is left");
}

#[test]
fn detach_says_why_the_first_release_is_not_healthy() {
    let rig = Rig::without_commit("unhealthy");
    rig.repository.write("broken.yaml", "kind: Nonsense\n");
    rig.repository.commit("Broken");
    let data_dir = rig.data_dir();
    let repository = rig.repository.path.to_string_lossy().into_owned();
    let output = rig.dugout(&[
        "up",
        "--detach",
        "--repo",
        &repository,
        "--data-dir",
        &data_dir.to_string_lossy(),
        "--listen",
        &format!("127.0.0.1:{}", rig.port),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("rejected"), "{said}");
}

#[test]
fn a_missing_engine_and_a_missing_repository_are_said_at_once() {
    let rig = Rig::without_commit("missing");
    let data_dir = rig.data_dir();
    let data = data_dir.to_string_lossy();
    let output = rig.dugout(&["up", "--data-dir", &data, "--docker-host", "unix:///nowhere.sock"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("install Docker"));

    let output = rig.dugout(&[
        "up",
        "--detach",
        "--repo",
        "/no/such/repository",
        "--data-dir",
        &data,
        "--listen",
        &format!("127.0.0.1:{}", rig.port),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/repository"));
}

#[test]
fn validate_lists_every_problem_and_needs_no_server() {
    let rig = Rig::without_commit("validate");
    rig.repository.write("good.yaml", &rig.application.manifests());
    rig.dugout_ok(&["validate", "repository"]);
    rig.repository.write(
        "bad.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Bad_Name\ndta: {}\n",
    );
    let output = rig.dugout(&["validate", "repository"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("bad.yaml:4:"), "{said}");
    assert!(said.contains("bad.yaml:5:"), "{said}");
    assert_eq!(rig.dugout(&["validate"]).status.code(), Some(2), "usage");
}
