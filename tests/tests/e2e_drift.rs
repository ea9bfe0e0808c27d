//! What somebody changes by hand on a container that runs, end to end.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::time::{Duration, Instant};

use dugout_tests::rig::{Rig, docker};

const MEMORY_BYTES: &str = "67108864";

/// Longer than it takes, and shorter than the list that would find it in the end.
const SOON: Duration = Duration::from_secs(5);

/// An application of one container, with a memory limit of 64 MiB and no other.
fn started(name: &str, arguments: &[&str]) -> Rig {
    let mut rig = Rig::without_commit(name);
    rig.application.replicas = 1;
    rig.application.container_extra =
        "            limits:\n              memory: 64Mi\n".to_owned();
    let first = rig.commit_application("One");
    rig.up(arguments);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(1);
    rig
}

fn only_container(rig: &Rig) -> Option<String> {
    let containers = rig.containers();
    (containers.len() == 1).then(|| containers[0].clone())
}

/// What the engine says of a container.
fn says(id: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, id])
}

fn serves(rig: &Rig) -> bool {
    rig.visit("/version").as_deref() == Some("1.0\n")
}

const PAUSED: &str = "{{.State.Paused}}";
const MEMORY: &str = "{{.HostConfig.Memory}}";
const RESTART: &str = "{{.HostConfig.RestartPolicy.Name}}";
const CPUS: &str = "{{.HostConfig.NanoCpus}}";
const NETWORKS: &str = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";

#[test]
fn what_is_changed_by_hand_is_put_back_at_once_and_told() {
    let mut rig = started("drift", &[]);
    let id = only_container(&rig).expect("one container runs");
    let changes: [(&[&str], &str, &str); 4] = [
        (&["pause"], PAUSED, "false"),
        (&["update", "--memory", "32m", "--memory-swap", "32m"], MEMORY, MEMORY_BYTES),
        (&["update", "--restart", "always"], RESTART, "no"),
        (&["network", "disconnect", "bridge"], NETWORKS, "bridge"),
    ];
    for (change, format, wanted) in changes {
        docker(&[change, &[id.as_str()]].concat());
        let changed = Instant::now();
        rig.wait_for(&format!("it is put back after {change:?}"), |rig| {
            says(&id, format) == wanted && serves(rig)
        });
        assert!(changed.elapsed() < SOON, "{change:?}: {:?}", changed.elapsed());
    }
    assert_eq!(only_container(&rig), Some(id.clone()), "it ran on");

    // No engine lifts a limit from what runs.
    docker(&["update", "--cpus", "0.5", &id]);
    rig.wait_for("another container serves, without a limit", |rig| {
        let other = only_container(rig).filter(|other| *other != id);
        other.is_some_and(|other| says(&other, CPUS) == "0") && serves(rig)
    });
    rig.wait_for("all of it is told", |rig| {
        let events = rig.dugout_ok(&["events"]);
        let told = |reason: &str| {
            events.lines().filter(|line| line.split_whitespace().any(|word| word == reason)).count()
        };
        told("Drifted") == 5 && told("DriftCorrected") == 5
    });
    let status = rig.dugout_ok(&["status"]);
    assert!(!status.contains("changed by hand"), "nothing is left: {status}");
}

#[test]
fn what_is_changed_by_hand_is_only_shown_where_that_is_the_policy() {
    let mut rig = started("drift-warn", &["--drift", "warn"]);
    let id = only_container(&rig).expect("one container runs");
    docker(&["update", "--memory", "32m", "--memory-swap", "32m", &id]);
    docker(&["pause", &id]);
    rig.wait_for("it is shown", |rig| {
        let status = rig.dugout_ok(&["status"]);
        status.contains("is paused") && status.contains("memory limit of 32 MiB")
    });
    let name = rig.pods()[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let described =
        rig.dugout_ok(&["describe", "pod", &name, "--namespace", &rig.application.namespace]);
    assert!(described.contains("container web is paused"), "{described}");
    let source = rig.dugout_ok(&["get", "sources", "--output", "json"]);
    assert!(source.contains("\"drift\": \"warn\""), "{source}");
    let metrics = rig.try_get("/metrics").unwrap_or_default();
    assert!(metrics.contains("dugout_pods_drifted{} 1\n"), "{metrics}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((says(&id, PAUSED), says(&id, MEMORY)), ("true".into(), "33554432".into()));

    // The policy may change while it lasts.
    rig.interrupt();
    rig.up(&[]);
    rig.wait_for("it is put back", |rig| {
        says(&id, PAUSED) == "false" && says(&id, MEMORY) == MEMORY_BYTES && serves(rig)
    });
    rig.wait_for("it is shown no more", |rig| {
        rig.try_get("/metrics").is_some_and(|text| text.contains("dugout_pods_drifted{} 0\n"))
    });
}
