//! The order of a release: who waits for whom, and what goes on meanwhile.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn waits(cluster: &Cluster, kind: Kind, name: &str) -> String {
    match cluster.rollout_of(kind, name) {
        RolloutState::Waiting { message } => message.clone(),
        other => panic!("{name} does not wait: {other:?}"),
    }
}

fn images_of(cluster: &Cluster, name: &str) -> Vec<String> {
    let named = cluster.named_images().into_iter();
    named.filter(|(pod, _)| pod.starts_with(name)).map(|(_, image)| image).collect()
}

#[test]
fn a_workload_begins_once_those_that_it_names_are_complete() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let needs_db = |image| after(web(1, image), [(Kind::StatefulSet, "db")]);
    let first = cluster.commit(vec![db(2, "db:1", |_| {}), needs_db("web:1")]);
    assert_eq!(waits(&cluster, Kind::Deployment, "web"), "waits for StatefulSet demo/db");
    cluster.run_for(seconds(2));
    assert!(images_of(&cluster, "web").is_empty());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&first), Verdict::Healthy);
    assert_eq!(cluster.events_with("Waiting").len(), 1);

    let second = cluster.commit(vec![db(2, "db:2", |_| {}), needs_db("web:2")]);
    cluster.run_for(seconds(3));
    assert_eq!(images_of(&cluster, "web"), ["web:1"], "what serves goes on");
    cluster.run_for(seconds(10));
    assert_eq!(images_of(&cluster, "web"), ["web:2"]);
    assert_eq!(cluster.verdict(&second), Verdict::Healthy);
}

#[test]
fn whoever_waits_heals_and_scales_with_what_it_has() {
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::Pod]
    {
        let mut cluster = Cluster::with_nodes(&["a"]);
        let asked = |tag: &str| match kind {
            Kind::StatefulSet => db(1, &format!("it:{tag}"), |_| {}),
            Kind::DaemonSet => logs(&format!("it:{tag}"), |_| {}),
            Kind::ReplicaSet => declared_set(1, &format!("it:{tag}")),
            Kind::Pod => bare("it", &format!("it:{tag}")),
            _ => web(1, &format!("it:{tag}")),
        };
        cluster.commit(vec![named("first", deployment("first", 1, "first:1")), asked("1")]);
        cluster.run_for(seconds(5));
        let first = named("first", deployment("first", 1, "first:unready"));
        let waiting = after(asked("2"), [(Kind::Deployment, "first")]);
        cluster.commit(vec![first, waiting]);
        cluster.run_for(seconds(3));

        let is_it = |pod: &Pod| !pod.name.as_str().starts_with("first");
        let pod = cluster.active().into_iter().find(|pod| is_it(pod)).expect("one that serves");
        cluster.world.apply(&Change::DeletePod(pod.uid));
        cluster.restart_engine();
        cluster.run_for(seconds(3));
        let images: Vec<String> = cluster
            .named_images()
            .into_iter()
            .filter(|(name, _)| !name.starts_with("first"))
            .map(|(_, image)| image)
            .collect();
        assert_eq!(images, ["it:1"], "{kind:?}");
    }
}

#[test]
fn a_chain_that_is_complete_at_once_begins_in_one_turn() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let link = |index: usize| {
        let own = format!("link-{index}");
        let object = named(&own, deployment(&own, 0, "web:1"));
        match index {
            0 => object,
            _ => after(object, [(Kind::Deployment, format!("link-{}", index - 1).as_str())]),
        }
    };
    // Written so that the last one's uid is the first.
    let sha = cluster.commit((0..40).rev().map(link).collect());
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn the_time_of_waiting_is_not_of_the_deadline() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let slow = named("slow", {
        let mut asked = deployment("slow", 1, "slow:1");
        asked.min_ready = seconds(50);
        asked
    });
    let quick = |image| {
        let object = web_with(1, image, |asked| asked.progress_deadline = seconds(10));
        after(object, [(Kind::Deployment, "slow")])
    };
    let sha = cluster.commit(vec![slow, quick("web:1")]);
    cluster.run_for(seconds(45));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_for(seconds(15));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_paused_workload_keeps_nobody_waiting() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let paused = named("paused", {
        let mut asked = deployment("paused", 1, "paused:1");
        asked.paused = true;
        asked
    });
    cluster.commit(vec![paused, after(web(1, "web:1"), [(Kind::Deployment, "paused")])]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.images(), ["web:1"]);
}

#[test]
fn a_hook_before_lets_only_what_it_needs_begin_first() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let revision = |tag: &str| {
        let migrate = hook("migrate", &format!("{tag}:exits"), Hook::Before);
        vec![
            db(1, "db:1", |_| {}),
            after(migrate, [(Kind::StatefulSet, "db")]),
            web(1, &format!("web:{tag}")),
        ]
    };
    let first = cluster.commit(revision("1"));
    assert_eq!(cluster.images(), ["db:1"]);
    assert_eq!(waits(&cluster, Kind::Job, "migrate"), "waits for StatefulSet demo/db");
    assert_eq!(waits(&cluster, Kind::Deployment, "web"), "waits for Job demo/migrate");
    cluster.run_for(seconds(2));
    assert!(cluster.world.jobs.len() == 1 && images_of(&cluster, "web").is_empty());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&first), Verdict::Healthy);

    let second = cluster.commit(revision("2"));
    assert_eq!(images_of(&cluster, "web"), ["web:1"]);
    cluster.run_for(seconds(8));
    assert_eq!(images_of(&cluster, "web"), ["web:2"]);
    assert_eq!(cluster.verdict(&second), Verdict::Healthy);
}

#[test]
fn a_hook_before_that_fails_takes_the_release_back_before_anything_of_it_began() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let before = cluster.active();
    let migrate = hook("migrate", "migrate:missing", Hook::Before);
    let sha = cluster.commit(vec![migrate, web(2, "web:2")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let pods = |pods: Vec<std::sync::Arc<Pod>>| pods.iter().map(|pod| pod.uid).collect::<Vec<_>>();
    assert_eq!(pods(cluster.active()), pods(before));
    assert!(
        !cluster.world.replica_sets.values().any(|set| {
            set.template.containers.iter().any(|container| container.image == "web:2")
        })
    );
}

#[test]
fn with_the_policy_hold_who_waited_for_what_failed_does_not_begin() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let migrate = hook("migrate", "migrate:missing", Hook::Before);
    let sha = cluster.commit(vec![migrate, web(1, "web:2")]);
    cluster.run_for(seconds(3));
    cluster.restart_engine();
    cluster.run_for(seconds(300));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert_eq!(images_of(&cluster, "web"), ["web:1"]);
}

#[test]
fn a_release_goes_back_at_once_and_in_no_order() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let revision = |db_image: &str, web_image: &str, more: &str| {
        vec![
            db(1, db_image, |_| {}),
            after(web(1, web_image), [(Kind::StatefulSet, "db")]),
            after(named("last", deployment("last", 1, more)), [(Kind::Deployment, "web")]),
        ]
    };
    cluster.commit(revision("db:1", "web:1", "last:1"));
    cluster.run_for(seconds(8));
    let sha = cluster.commit(revision("db:2", "web:2", "last:missing"));
    while cluster.verdict(&sha) == Verdict::Rolling {
        cluster.step(seconds(1) / 4);
    }
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let newest = cluster.world.current_replica_set(cluster.deployment("web")).expect("one");
    assert_eq!(newest.template.containers[0].image, "web:1", "it does not wait for the database");
    cluster.run_for(seconds(8));
    assert_eq!(cluster.images(), ["db:1", "last:1", "web:1"]);
}

#[test]
fn a_hook_after_begins_when_all_others_are_complete() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let smoke = |tag: &str| hook("smoke", &format!("{tag}:exits"), Hook::After);
    let first = cluster.commit(vec![smoke("1"), web(1, "web:1"), db(1, "db:1", |_| {})]);
    assert_eq!(
        waits(&cluster, Kind::Job, "smoke"),
        "waits for Deployment demo/web, StatefulSet demo/db"
    );
    assert!(cluster.world.jobs.is_empty());
    cluster.run_for(seconds(8));
    assert_eq!(cluster.verdict(&first), Verdict::Healthy);

    // The whole release fails with it.
    cluster.agent("a").exits_with = 1;
    let mut failing = hook("smoke", "2:exits", Hook::After);
    let ObjectSpec::Job(spec) = &mut failing.spec else { panic!("a hook is a job") };
    spec.backoff_limit = 0;
    let second = cluster.commit(vec![failing, web(1, "web:2"), db(1, "db:1", |_| {})]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&second), Verdict::Reverted);
    assert_eq!(images_of(&cluster, "web"), ["web:1"]);
}

#[test]
fn a_schedule_is_not_in_place_before_the_hooks() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster
        .commit(vec![hook("migrate", "1:exits", Hook::Before), cron_job("tick:exits", |_| {})]);
    assert_eq!(waits(&cluster, Kind::CronJob, "tick"), "waits for Job demo/migrate");
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_changed_config_map_rolls_in_order_too() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let revision = |value: &str| {
        let mut first = deployment("first", 1, "first:1");
        first.template.containers[0].env.push(env_from_config("shared", "key"));
        let second = web_with(1, "web:1", |asked| {
            asked.template.containers[0].env.push(env_from_config("shared", "key"))
        });
        vec![
            config("shared", "key", value),
            named("first", first),
            after(second, [(Kind::Deployment, "first")]),
        ]
    };
    cluster.commit(revision("1"));
    cluster.run_for(seconds(6));
    cluster.commit(revision("2"));
    assert_eq!(waits(&cluster, Kind::Deployment, "web"), "waits for Deployment demo/first");
    cluster.run_for(seconds(6));
    assert_eq!(cluster.rollout("web"), &RolloutState::Complete);
}
