//! The container engine killed and back, end to end.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::time::Duration;

use dugout_tests::images;
use dugout_tests::private_engine::PrivateEngine;
use dugout_tests::rig::Rig;

#[test]
fn the_container_engine_killed_and_back_heals_and_says_what_happened() {
    let mut engine = PrivateEngine::start();
    images::make(Some(&engine.host()));
    let mut rig = Rig::new("engine");
    let first = rig.repository.head();
    rig.up(&["--docker-host", &engine.host(), "--node-timeout", "3s"]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);

    engine.kill();
    rig.wait_for("the node says that its engine is away", |rig| {
        rig.dugout_ok(&["get", "nodes"]).contains("NotReady")
    });
    assert!(rig.is_running(), "the control plane goes on");
    assert_eq!(
        rig.visit("/version").as_deref(),
        Some("1.0\n"),
        "what ran serves without its engine"
    );
    // A commit made meanwhile is seen, and waits.
    rig.application.image = "dugout-web:1.1".to_owned();
    let second = rig.commit_application("While the engine is away");
    rig.wait_for_verdict(&second, "rolling");
    std::thread::sleep(Duration::from_secs(1));

    engine.run();
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(2);
    rig.wait_for("the new version serves", |rig| rig.visit("/version").as_deref() == Some("1.1\n"));
    let (_, containers) = engine.docker(&["ps", "--all", "--quiet"]);
    assert_eq!(containers.lines().count(), 2, "no orphan is left: {containers}");
    let events = rig.dugout_ok(&["events"]);
    assert!(events.contains("NodeNotReady") && events.contains("NodeReady"), "{events}");
}

#[test]
fn an_engine_that_is_stopped_in_order_and_started_again_serves_again() {
    let mut engine = PrivateEngine::start();
    images::make(Some(&engine.host()));
    let mut rig = Rig::new("stopped-engine");
    let first = rig.repository.head();
    rig.up(&["--docker-host", &engine.host(), "--node-timeout", "3s"]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);

    engine.stop();
    rig.wait_for("the node says that its engine is away", |rig| {
        rig.dugout_ok(&["get", "nodes"]).contains("NotReady")
    });
    assert!(rig.visit("/version").is_none(), "its containers ended with it");

    engine.run();
    rig.wait_for_ready(2);
    rig.wait_for("it serves again", |rig| rig.visit("/version").as_deref() == Some("1.0\n"));
    let (_, running) = engine.docker(&["ps", "--quiet"]);
    assert_eq!(running.lines().count(), 2, "{running}");
    let events = rig.dugout_ok(&["events"]);
    let stopped = events.matches("was stopped with the container engine").count();
    assert_eq!(stopped, 2, "what the engine stopped itself is told so: {events}");
    assert!(!events.contains("from outside"), "{events}");
    let history = rig.dugout_ok(&["history"]);
    assert_eq!(history.matches("healthy").count(), 1, "no second release: {history}");
}
