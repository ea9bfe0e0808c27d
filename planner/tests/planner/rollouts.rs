//! Deployments from commit to verdict, as stories. Every turn of each is held against the rules in
//! the harness: the check accepts it, and planning again changes nothing.

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, seconds};
use std::time::Duration;

use dugout_model::*;
use dugout_planner::WorkloadWait;

#[test]
fn a_commit_runs_and_is_healthy_and_every_step_is_told_once() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![web(4, "web:1"), service("web", 30080)]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    assert_eq!(cluster.spread(), [("a".to_owned(), 2), ("b".to_owned(), 2)].into());

    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.rollout("web"), &RolloutState::Complete);
    let steps = cluster.steps(&sha);
    for (step, times) in [
        (Step::Noticed, 1),
        (Step::Fetched, 1),
        (Step::Validated, 1),
        (Step::Applied, 1),
        (Step::Scheduled, 4),
        (Step::Accepted, 4),
        (Step::Pulled, 4),
        (Step::Created, 4),
        (Step::Started, 4),
        (Step::Ready, 4),
        (Step::Healthy, 1),
    ] {
        assert_eq!(steps.iter().filter(|told| **told == step).count(), times, "{step:?}");
    }
    let source = &cluster.world.sources[&SourceName::new(SOURCE)];
    assert_eq!(source.status.healthy, Some(sha));
}

#[test]
fn a_quiet_cluster_changes_nothing_whatever_is_reported() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(3, "web:1")]);
    cluster.run_for(seconds(5));
    let turn = cluster.world.turn;
    cluster.run_for(seconds(120));
    assert_eq!(cluster.world.turn, turn);
}

#[test]
fn a_changed_image_rolls_without_losing_a_ready_pod() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(3, "web:1")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![web(3, "web:2")]);
    for _ in 0..60 {
        assert!(cluster.ready() >= 3, "25 % of 3 rounds down to nothing unavailable");
        assert!(cluster.active().len() <= 4, "25 % of 3 rounds up to one more");
        cluster.step(std::time::Duration::from_millis(250));
    }
    assert_eq!(cluster.images(), ["web:2"; 3]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.sizes("web"), [0, 3]);
    let steps = cluster.steps(&sha);
    for step in [Step::Draining, Step::Drained, Step::Stopped] {
        assert_eq!(steps.iter().filter(|told| **told == step).count(), 3, "{step:?}");
    }
}

#[test]
fn a_revert_uses_the_earlier_replica_set_again_with_a_higher_revision() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let first = cluster.world.replica_sets.values().next().expect("one set").clone();
    cluster.commit(vec![web(2, "web:2")]);
    cluster.run_for(seconds(10));
    let revert = cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
    let again = &cluster.world.replica_sets[&first.uid];
    assert_eq!((again.revision, again.replicas), (3, 2));
    assert_eq!(again.template, first.template);
    assert_eq!(again.sha, revert);
}

#[test]
fn an_image_that_cannot_be_had_fails_the_release_at_once_and_what_runs_stays() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(vec![web_with(10, "web:1", bounds_3_2)]);
    cluster.run_for(seconds(3));
    let broken = cluster.commit(vec![web_with(10, "web:missing", bounds_3_2)]);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.verdict(&broken), Verdict::Failed);
    let reason = cluster.release(&broken).reason.clone().expect("a reason");
    assert!(reason.contains("image web:missing is not to be had"), "{reason}");
    cluster.run_for(seconds(100));
    // Kubernetes would be at 8 and 5: here nothing leaves for an image that cannot be had.
    assert_eq!(cluster.sizes("web"), [10, 3]);
    assert_eq!(cluster.ready(), 10);

    // Read again, by a poll or after a restart, it is not applied again.
    let turn = cluster.world.turn;
    cluster.push(&broken, vec![web_with(10, "web:missing", bounds_3_2)]);
    assert_eq!(cluster.world.turn, turn);

    // Another commit goes on from there.
    let mended = cluster.commit(vec![web_with(10, "web:2", bounds_3_2)]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&mended), Verdict::Healthy);
    assert_eq!(cluster.verdict(&broken), Verdict::Failed);
    assert_eq!(cluster.images(), ["web:2"; 10]);
}

fn bounds_3_2(deployment: &mut Deployment) {
    deployment.strategy = Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(3),
        max_unavailable: IntOrPercent::Int(2),
    };
}

#[test]
fn pods_that_never_become_ready_fail_the_release_at_its_deadline() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![web(2, "web:unready")]);
    cluster.run_for(seconds(55));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    let reason = cluster.release(&sha).reason.clone().expect("a reason");
    assert!(reason.contains("container app is not ready"), "{reason}");
    assert_eq!(cluster.ready(), 2, "the earlier pods serve on");
    assert_eq!(cluster.events_with("ProgressDeadlineExceeded").len(), 1);
}

#[test]
fn a_release_that_changes_no_pod_is_healthy_at_once() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let pods = cluster.world.pods.clone();
    let mut labelled = web(2, "web:1");
    labelled.labels.insert("team".to_owned(), "shop".to_owned());
    let sha = cluster.commit(vec![labelled, config("unused", "a", "b")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.release(&sha).touched.len(), 2);
    assert_eq!(cluster.world.pods, pods);
}

#[test]
fn a_newer_commit_supersedes_one_that_still_rolls() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(3, "web:1")]);
    cluster.run_for(seconds(3));
    let second = cluster.commit(vec![web(3, "web:unready")]);
    cluster.run_for(seconds(3));
    let third = cluster.commit(vec![web(3, "web:3")]);
    assert_eq!(cluster.verdict(&second), Verdict::Superseded);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&third), Verdict::Healthy);
    assert_eq!(cluster.images(), ["web:3"; 3]);
}

#[test]
fn changed_configuration_rolls_its_consumers_and_nobody_else() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let consumer = || {
        web_with(2, "web:1", |deployment| {
            deployment.template.containers[0].env.push(env_from_config("settings", "greeting"));
        })
    };
    let other = || named("other", deployment("other", 1, "other:1"));
    cluster.commit(vec![consumer(), other(), config("settings", "greeting", "hello")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![consumer(), other(), config("settings", "greeting", "bye")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.sizes("web"), [0, 2]);
    assert_eq!(cluster.sizes("other"), [1]);
    let current = cluster.world.current_replica_set(cluster.deployment("web")).expect("a set");
    assert_eq!(current.sha, sha);
}

#[test]
fn missing_configuration_is_waited_for_and_named_and_what_runs_stays() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let consumer = web_with(2, "web:2", |deployment| {
        deployment.template.containers[0].env.push(env_from_config("settings", "greeting"));
    });
    let waiting = cluster.commit(vec![consumer.clone()]);
    let RolloutState::Waiting { message } = cluster.rollout("web") else {
        panic!("it waits: {:?}", cluster.rollout("web"));
    };
    assert!(message.contains("ConfigMap demo/settings"), "{message}");
    assert_eq!(cluster.events_with("MissingReference").len(), 1);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&waiting), Verdict::Rolling);
    assert_eq!(cluster.images(), ["web:1"; 2]);

    let whole = cluster.commit(vec![consumer, config("settings", "greeting", "hello")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&whole), Verdict::Healthy);
    assert_eq!(cluster.images(), ["web:2"; 2]);
}

/// Found by the random clusters: the serving pods were the larger part, and the check refused the plan.
#[test]
fn a_surge_that_is_lowered_while_the_template_waits_takes_nothing_that_serves() {
    let web = |image, surge| {
        web_with(3, image, |deployment| {
            deployment.strategy = Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(surge),
                max_unavailable: IntOrPercent::Int(0),
            };
            deployment.template.containers[0].env = vec![env_from_config("settings", "greeting")];
        })
    };
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![config("settings", "greeting", "hello"), web("web:1", 2)]);
    cluster.run_for(seconds(5));
    cluster.commit(vec![config("settings", "greeting", "hello"), web("web:unready", 2)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.sizes("web"), [3, 2]);
    cluster.commit(vec![web("web:unready", 1)]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 3);
}

#[test]
fn recreate_starts_nothing_before_everything_old_is_gone() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let recreate =
        |image| web_with(3, image, |deployment| deployment.strategy = Strategy::Recreate);
    cluster.commit(vec![recreate("web:1")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![recreate("web:2")]);
    cluster.run_for(seconds(1) + Duration::from_millis(250));
    assert_eq!(cluster.active().len(), 0);
    let wait = cluster.report.workloads[&cluster.deployment("web")].clone();
    assert_eq!(wait, WorkloadWait::OldPodsLeaving { pods: 3 });
    cluster.run_for(seconds(10));
    assert_eq!(cluster.images(), ["web:2"; 3]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_recreate_that_lost_its_configuration_starts_nothing_beside_what_leaves() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = |replicas, image, strategy| {
        web_with(replicas, image, |deployment| {
            deployment.strategy = strategy;
            deployment.template.containers[0].env.push(env_from_config("settings", "greeting"));
        })
    };
    let settings = || config("settings", "greeting", "hello");
    let rolling = || Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(1),
        max_unavailable: IntOrPercent::Int(0),
    };
    cluster.commit(vec![asked(2, "web:1", rolling()), settings()]);
    cluster.run_for(seconds(3));
    cluster.commit(vec![asked(2, "web:unready", rolling()), settings()]);
    cluster.run_for(seconds(3));
    // Both templates have pods now, and the strategy changes under them.
    cluster.commit(vec![asked(2, "web:unready", Strategy::Recreate), settings()]);
    assert_eq!(cluster.sizes("web"), [0, 1]);
    cluster.commit(vec![asked(3, "web:unready", Strategy::Recreate)]);
    assert_eq!(cluster.sizes("web"), [0, 1], "the earlier ones are not gone yet");
    cluster.run_for(seconds(10));
    assert_eq!(cluster.sizes("web"), [0, 3]);
}

#[test]
fn min_ready_seconds_hold_the_next_step() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let careful = |image| {
        web_with(2, image, |deployment| {
            deployment.min_ready = seconds(10);
            deployment.strategy = Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(1),
                max_unavailable: IntOrPercent::Int(0),
            };
        })
    };
    let first = cluster.commit(vec![careful("web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 2);
    assert_eq!(cluster.verdict(&first), Verdict::Rolling, "ready is not available yet");
    cluster.run_for(seconds(8));
    assert_eq!(cluster.verdict(&first), Verdict::Healthy);

    cluster.commit(vec![careful("web:2")]);
    cluster.run_for(seconds(9));
    assert_eq!(cluster.images(), ["web:1", "web:1", "web:2"]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.images(), ["web:2"; 2]);
}

#[test]
fn a_paused_deployment_only_scales_and_does_not_hold_its_release() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let paused = web_with(4, "web:2", |deployment| deployment.paused = true);
    let sha = cluster.commit(vec![paused]);
    cluster.run_for(seconds(100));
    assert_eq!(cluster.images(), ["web:1"; 4]);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster.commit(vec![web(4, "web:2")]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.images(), ["web:2"; 4]);
}

#[test]
fn scaling_to_nothing_and_back_keeps_the_template() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    for replicas in [3, 0, 5, 1] {
        let sha = cluster.commit(vec![web(replicas, "web:1")]);
        cluster.run_for(seconds(5));
        assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "{replicas}");
        assert_eq!(cluster.sizes("web"), [replicas]);
        assert_eq!(cluster.world.pods.len(), replicas as usize);
    }
}

#[test]
fn replica_sets_beyond_the_history_limit_are_forgotten() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    for version in 1..=5 {
        let image = format!("web:v{version}");
        let limited = web_with(1, &image, |deployment| deployment.revision_history_limit = 2);
        cluster.commit(vec![limited]);
        cluster.run_for(seconds(6));
    }
    assert_eq!(cluster.sizes("web"), [0, 0, 1]);
}

#[test]
fn a_deployment_that_leaves_git_leaves_nothing_behind() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1"), config("settings", "a", "b")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![config("settings", "a", "b")]);
    assert_eq!(cluster.active().len(), 0);
    assert_eq!(cluster.world.pods.len(), 2, "they drain and stop first");
    cluster.run_for(seconds(5));
    assert!(cluster.world.pods.is_empty());
    assert!(cluster.world.replica_sets.is_empty());
    assert!(cluster.world.rollouts.is_empty());
    let steps = cluster.steps(&sha);
    assert_eq!(steps.iter().filter(|step| **step == Step::Stopped).count(), 2);
}

#[test]
fn flapping_between_ready_and_not_is_no_progress() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![web_with(1, "web:flaps", |deployment| {
        deployment.min_ready = seconds(10);
    })]);
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
}

#[test]
fn a_template_is_remembered_while_a_pod_of_it_still_leaves() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = |image| web_with(1, image, |deployment| deployment.revision_history_limit = 0);
    cluster.commit(vec![asked("web:1")]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].uid;
    cluster.agent("a").connections.insert(pod, 1);
    let sha = cluster.commit(vec![asked("web:2")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "what leaves does not hold the verdict");
    assert_eq!(cluster.sizes("web"), [0, 1]);
    cluster.agent("a").connections.clear();
    cluster.run_for(seconds(5));
    assert_eq!(cluster.sizes("web"), [1]);
}

#[test]
fn more_replicas_of_a_new_template_are_not_first_made_of_the_old_one() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.commit(vec![web(8, "web:2")]);
    assert_eq!(cluster.sizes("web"), [2, 8], "8 and a surge of 2 may be, 2 are");
    cluster.run_for(seconds(10));
    assert_eq!(cluster.images(), ["web:2"; 8]);
}

#[test]
fn scaling_to_a_single_set_in_the_middle_of_a_rollout_is_done_in_one_turn() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = |replicas, surge| {
        web_with(replicas, "web:1", |deployment| {
            deployment.strategy = Strategy::RollingUpdate {
                max_surge: IntOrPercent::Int(surge),
                max_unavailable: IntOrPercent::Int(0),
            };
            let container = &mut deployment.template.containers[0];
            container.env.push(env_from_config("settings", "greeting"));
        })
    };
    cluster.commit(vec![asked(1, 0), config("settings", "greeting", "0")]);
    cluster.commit(vec![asked(4, 1), config("settings", "greeting", "1")]);
    cluster.step(Duration::from_millis(250));
    // The rollout cannot go on without its configuration, and the shares of 2 leave one set.
    cluster.commit(vec![asked(1, 1)]);
    assert_eq!(cluster.active().len(), 1);
}
