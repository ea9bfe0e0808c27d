//! The first start, end to end: what a new user sees.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::process::Command;

use dugout_tests::private_engine::PrivateEngine;
use dugout_tests::rig::Rig;
use dugout_tests::{images, postgres_image};

#[test]
fn up_without_a_repository_makes_the_tutorial_and_detach_returns_when_it_is_healthy() {
    // Its node port and its images are everybody's: here they have an engine and a network to themselves.
    let engine = PrivateEngine::start();
    let rig = Rig::without_commit("tutorial");
    let data_dir = rig.data_dir();
    let listen = format!("127.0.0.1:{}", rig.port);
    let (data, host) = (data_dir.to_string_lossy(), engine.host());
    let up = ["up", "--data-dir", &data, "--listen", &listen, "--docker-host", &host];
    let printed = rig.dugout_ok(&[&up[..], &["--detach"]].concat());
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

    // Nobody told Git a name here, and the tutorial's first commit works all the same.
    let commit = Command::new("git")
        .current_dir(rig.folder().join("dugout-demo"))
        .args(["-c", "user.useConfigOnly=true", "commit", "--quiet", "--allow-empty"])
        .args(["--message", "First"])
        .env("HOME", rig.folder())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git can be run");
    assert!(commit.status.success(), "{}", String::from_utf8_lossy(&commit.stderr));

    let again = rig.dugout(&up);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("dugout down"));
    rig.dugout_ok(&["down", "--data-dir", &data]);
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]).1, "", "no container is left");
    assert_eq!(engine.docker(&["images", "--quiet"]).1.lines().count(), 3, "the images are kept");

    // One whose name went to a newer one; the engine makes it of an empty archive.
    let archive = rig.folder().join("empty.tar");
    std::fs::write(&archive, [0; 1024]).expect("an archive can be written");
    let label = "LABEL dev.dugout.made-image=true";
    engine.docker(&["import", "--change", label, &archive.to_string_lossy()]);
    assert_eq!(engine.docker(&["images", "--quiet"]).1.lines().count(), 4);
    // Another name that somebody gave to one of them stays.
    engine.docker(&["tag", "dugout-web:1.1", "kept:1"]);
    let purged = rig.dugout_ok(&["down", "--purge", "--data-dir", &data]);
    assert!(purged.contains("dugout-web:2.0"), "{purged}");
    let (_, left) = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(left, "kept:1", "the images that were made are gone");
    assert!(!data_dir.exists());
}

#[test]
fn without_an_installed_postgresql_one_is_started_from_its_image_and_keeps_its_data() {
    const IMAGE: &str = "postgres:16-alpine";
    let engine = PrivateEngine::start();
    images::make(Some(&engine.host()));
    let mut rig = Rig::new("image");
    let first = rig.repository.head();
    let data_dir = rig.data_dir();
    let (data, host) = (data_dir.to_string_lossy(), engine.host());
    let container = || {
        let of_postgres = ["ps", "--all", "--quiet", "--filter", "label=dev.dugout.role=postgres"];
        engine.docker(&of_postgres).1
    };

    postgres_image::make(&engine, "elsewhere:1");
    postgres_image::hide_installed();
    let output = rig.dugout(&["up", "--data-dir", &data, "--docker-host", &host]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    for words in
        ["no PostgreSQL server", "apt-get install postgresql", "from the image postgres:16-alpine"]
    {
        assert!(said.contains(words), "no {words}: {said}");
    }

    engine.docker(&["tag", "elsewhere:1", IMAGE]);
    rig.up(&["--docker-host", &host]);
    rig.wait_for_verdict(&first, "healthy");
    let printed = rig.printed();
    assert!(printed.contains(&format!("PostgreSQL in a container ({IMAGE})")), "{printed}");
    assert_eq!(container().lines().count(), 1);

    // An orderly end removes it and a crash leaves it; what it holds stays.
    assert!(rig.interrupt());
    assert_eq!(container(), "");
    rig.up(&["--docker-host", &host]);
    let made = container();
    rig.kill();
    rig.up(&["--docker-host", &host]);
    rig.wait_for_verdict(&first, "healthy");
    assert_eq!(container(), made, "it still ran");
    let history = rig.dugout_ok(&["history"]);
    assert_eq!(history.matches("healthy").count(), 1, "one release, as before: {history}");
    // One that stopped is made anew, as its port may be another program's by now.
    rig.kill();
    engine.docker(&["stop", &made]);
    rig.up(&["--docker-host", &host]);
    assert_ne!(container(), made);
    assert_eq!(container().lines().count(), 1);

    rig.dugout_ok(&["down", "--data-dir", &data]);
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]).1, "", "no container is left");
    assert_ne!(engine.docker(&["volume", "ls", "--quiet"]).1, "", "its data may be wanted again");
    rig.kill();
    rig.dugout_ok(&["down", "--purge", "--data-dir", &data]);
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]).1, "");
    assert_eq!(engine.docker(&["volume", "ls", "--quiet"]).1, "", "its data are gone");
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
fn a_node_port_that_another_program_has_is_said_where_it_would_be_opened() {
    let rig = Rig::new("held");
    let node_port = rig.application.node_port;
    let _held = std::net::TcpListener::bind(("0.0.0.0", node_port)).expect("the port is free");
    let output = rig.dugout(&[
        "up",
        "--detach",
        "--repo",
        &rig.repository.path.to_string_lossy(),
        "--data-dir",
        &rig.data_dir().to_string_lossy(),
        "--listen",
        &format!("127.0.0.1:{}", rig.port),
    ]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find(|line| line.contains(&format!(":{node_port}")));
    assert!(line.is_some_and(|line| line.contains("NOT there")), "{printed}");
    assert_eq!(output.status.code(), Some(1), "a script must learn it too");
}

#[test]
fn a_start_that_takes_long_says_what_it_waits_for() {
    let mut rig = Rig::without_commit("waits");
    rig.application.image = "dugout-nowhere:1.0".to_owned();
    rig.commit_application("An image that is not there");
    rig.up(&[]);
    rig.wait_for("what is waited for", |rig| {
        let printed = rig.printed();
        let line = printed.lines().find(|line| line.contains("0 of 2 pods are available"));
        line.is_some_and(|line| line.starts_with("Waiting") && line.contains("; pod web-"))
    });
}

#[test]
fn a_start_without_a_free_port_makes_nothing() {
    let rig = Rig::without_commit("taken");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    let data_dir = rig.data_dir();
    let output =
        rig.dugout(&["up", "--data-dir", &data_dir.to_string_lossy(), "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(!rig.folder().join("dugout-demo").exists());
    assert!(!data_dir.join("postgres").exists());
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
