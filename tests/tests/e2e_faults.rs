//! Faults, end to end: what is killed comes back, and nothing that served stops because of it.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::time::Duration;

use dugout_tests::load::Visitors;
use dugout_tests::rig::{Rig, docker};

fn started_rig(name: &str) -> Rig {
    let mut rig = Rig::new(name);
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);
    rig
}

#[test]
fn a_killed_container_and_a_removed_one_come_back_and_the_events_say_so() {
    let mut rig = started_rig("heals");
    let before = rig.containers();
    docker(&["kill", &before[0]]);
    rig.wait_for("another container took the killed one's place", |rig| {
        let now = rig.containers();
        now.len() == 2 && !now.contains(&before[0])
    });
    rig.wait_for_ready(2);
    docker(&["rm", "--force", &before[1]]);
    rig.wait_for("another container took the removed one's place", |rig| {
        let now = rig.containers();
        now.len() == 2 && !now.contains(&before[1])
    });
    rig.wait_for_ready(2);
    let events = rig.dugout_ok(&["events", "-n", &rig.application.namespace]);
    assert!(events.contains("was killed from outside"), "{events}");
    assert!(events.contains("was removed from outside"), "{events}");
    let restarts: i64 = rig
        .pods()
        .iter()
        .filter_map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_i64())
        .sum();
    assert!(restarts >= 2, "both restarts are counted: {restarts}");
}

#[test]
fn a_container_that_keeps_crashing_is_backed_off_from_and_says_so() {
    let mut rig = started_rig("crash");
    rig.application.container_extra =
        "          env:\n            - name: PORT\n              value: nonsense\n".to_owned();
    rig.commit_application("It crashes");
    rig.wait_for("the new pod is in CrashLoopBackOff", |rig| {
        rig.pods().iter().any(|pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == "CrashLoopBackOff"
        })
    });
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
}

#[test]
fn ctrl_c_leaves_the_containers_and_the_next_start_adopts_them() {
    let mut rig = started_rig("adopt");
    let before = rig.containers();
    assert!(rig.interrupt(), "Ctrl-C is a good end");
    assert_eq!(rig.containers(), before, "the workloads do not depend on the control plane");
    rig.up(&[]);
    rig.wait_for_ready(2);
    assert!(rig.hang_up(), "so is a closed terminal");
    rig.up(&[]);
    rig.wait_for_ready(2);
    assert_eq!(rig.containers(), before, "nothing was restarted");
    rig.wait_for("the service answers again", |rig| rig.visit("/version").is_some());
    let history = rig.dugout_ok(&["history"]);
    assert_eq!(history.matches("healthy").count(), 1, "no second release of the commit: {history}");
}

#[test]
fn a_process_killed_at_any_moment_of_a_rollout_converges() {
    let mut rig = started_rig("sigkill");
    // One pod after the other, each for a second: a rollout is longer than the longest wait.
    rig.application.spec_extra = "  minReadySeconds: 1\n".to_owned();
    for (round, wait_millis) in [0_u64, 60, 150, 300, 500, 800, 1_300].into_iter().enumerate() {
        rig.application.greeting = format!("round {round}");
        rig.application.image = format!("dugout-web:{}", ["1.1", "2.0", "1.0"][round % 3]);
        let sha = rig.commit_application(&format!("Round {round}"));
        rig.wait_for_verdict(&sha, "rolling");
        std::thread::sleep(Duration::from_millis(wait_millis));
        let release = rig.release(&sha).expect("it was there");
        rig.kill();
        assert_eq!(release["status"]["verdict"], "rolling", "killed too late in round {round}");
        assert!(rig.containers().len() >= 2, "containers depend on no process, round {round}");
        rig.up(&[]);
        rig.wait_for_verdict(&sha, "healthy");
        rig.wait_for_ready(2);
        assert_eq!(rig.containers().len(), 2, "no orphan is left in round {round}");
        assert!(rig.visit("/").is_some_and(|page| page.contains(&format!("round {round}"))));
    }
}

#[test]
fn postgres_killed_and_back_loses_nothing() {
    let mut rig = started_rig("postgres");
    let before = rig.containers();
    let postmaster = std::fs::read_to_string(rig.data_dir().join("postgres/data/postmaster.pid"))
        .expect("the private PostgreSQL runs")
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .expect("its file names its process");
    dugout_tests::rig::signal(postmaster, rustix::process::Signal::KILL);
    // A commit made while the database is away is applied when it is back.
    let visitors = Visitors::start(rig.application.node_port);
    rig.application.image = "dugout-web:1.1".to_owned();
    let second = rig.commit_application("While the database is away");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"), "the service goes on");
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(2);
    assert!(rig.containers().iter().all(|id| !before.contains(id)));
    let visits = visitors.finish();
    assert!(visits.failures.is_empty(), "{visits:?}");
    let history = rig.dugout_ok(&["history"]);
    assert_eq!(history.matches("healthy").count(), 2, "{history}");
}

#[test]
fn down_removes_everything_it_made_and_nothing_else() {
    let mut rig = started_rig("down");
    assert!(!rig.containers().is_empty());
    let foreign = docker(&[
        "run",
        "--detach",
        "--label",
        "dev.dugout.cluster=another",
        "--label",
        "dev.dugout.namespace=elsewhere",
        "dugout-web:1.0",
    ]);
    let data_dir = rig.data_dir();
    let data_dir = data_dir.to_string_lossy();
    let printed = rig.dugout_ok(&["down", "--data-dir", &data_dir]);
    assert!(printed.contains("Stopped"), "{printed}");
    assert!(rig.containers().is_empty());
    let others = docker(&["ps", "--no-trunc", "--quiet"]);
    assert!(others.contains(&foreign), "a container that is not ours was touched");
    docker(&["rm", "--force", &foreign]);
    assert!(rig.repository.path.join("apps/web.yaml").exists());
    assert!(rig.data_dir().exists(), "without --purge the data stays");
    rig.kill();
    rig.dugout_ok(&["down", "--purge", "--data-dir", &data_dir]);
    assert!(!rig.data_dir().exists());
}
