//! The pull gate, as stories: nothing leaves before every image is where it is needed.

use std::time::Duration;

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const STEP: Duration = Duration::from_millis(250);

fn recreated(image: &str) -> DeclaredObject {
    web_with(3, image, |web| web.strategy = Strategy::Recreate)
}

/// A cluster of three nodes with these objects, healthy.
fn healthy(objects: Vec<DeclaredObject>) -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    let sha = cluster.commit(objects);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster
}

/// How many pods have ever begun to leave.
fn left(cluster: &Cluster) -> usize {
    cluster.timeline.iter().filter(|entry| entry.step == Step::Draining).count()
}

#[test]
fn nothing_is_stopped_for_an_image_that_cannot_be_had_and_the_release_fails_at_once() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    let sha = cluster.commit(vec![recreated("web:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let reason = cluster.release(&sha).reason.clone().unwrap_or_default();
    assert_eq!(reason, "node a cannot have image web:missing: manifest unknown");
    assert_eq!(left(&cluster), 0);
    assert!(cluster.world.nodes.values().all(|node| node.pulls.is_empty()), "nobody tries on");
}

#[test]
fn one_workload_waits_for_the_images_of_another_that_has_its_turn_later() {
    let after_web = |image: &str| {
        let mut other = named("other", deployment("other", 1, image));
        other.policy.depends_on = [ObjectId::new(Kind::Deployment, "demo", "web")].into();
        other
    };
    let mut cluster = healthy(vec![recreated("web:1"), after_web("other:1")]);
    let sha = cluster.commit(vec![recreated("web:2"), after_web("other:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    assert_eq!(left(&cluster), 0);
    // One that is new and has no pods to tell where it will be.
    let mut hook = named("new", deployment("new", 1, "new:missing"));
    hook.policy.depends_on = [ObjectId::new(Kind::Deployment, "demo", "web")].into();
    let sha = cluster.commit(vec![recreated("web:2"), after_web("other:1"), hook]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    assert_eq!(left(&cluster), 0);
}

#[test]
fn what_left_git_stays_until_what_comes_can_be_had() {
    let mut cluster = healthy(vec![web(1, "web:1"), named("old", deployment("old", 1, "old:1"))]);
    let comes = |image: &str| vec![web(1, "web:1"), named("new", deployment("new", 1, image))];
    let sha = cluster.commit(comes("new:missing"));
    assert_eq!(left(&cluster), 0);
    cluster.run_for(seconds(3));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Reverted, 0));
    let sha = cluster.commit(comes("new:1"));
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Healthy, 1));
}

#[test]
fn what_needs_the_room_of_what_left_git_is_asked_for_too() {
    let large = |name: &str, image: &str| {
        let mut asked = deployment(name, 1, image);
        asked.template.containers[0].resources.cpu_request_millis = 3_000;
        named(name, asked)
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![large("old", "old:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let sha = cluster.commit(vec![large("new", "new:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Reverted, 0));
    let sha = cluster.commit(vec![large("new", "new:1")]);
    cluster.run_for(seconds(10));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Healthy, 1));
}

#[test]
fn the_gate_opens_when_the_last_node_has_its_image() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    let sha = cluster.commit(vec![recreated("web:2")]);
    cluster.agent("c").listens = false;
    cluster.run_for(seconds(5));
    assert_eq!(left(&cluster), 0);
    let source = SourceName::new(crate::harness::SOURCE);
    let awaited = cluster.world.awaited_images(&source);
    assert_eq!(awaited.as_deref(), Some("image web:2 is not on node c yet"));
    cluster.agent("c").listens = true;
    cluster.run_for(seconds(1));
    cluster.run_for(seconds(1));
    assert_eq!(left(&cluster), 3);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let ready = cluster.timeline.iter().filter(|entry| entry.step == Step::ImagesReady);
    assert_eq!(ready.count(), 2, "once for each release");
    assert!(cluster.world.nodes.values().all(|node| node.pulls.is_empty()));
}

#[test]
fn a_lost_node_does_not_hold_the_gate() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    cluster.agent("c").alive = false;
    cluster.commit(vec![recreated("web:2")]);
    cluster.run_for(seconds(5));
    assert_eq!(left(&cluster), 0);
    cluster.run_for(seconds(15));
    assert!(left(&cluster) >= 2);
}

#[test]
fn an_image_that_runs_there_already_is_not_asked_for() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    let changed = web_with(3, "web:1", |web| {
        web.strategy = Strategy::Recreate;
        web.template.annotations.insert("a".to_owned(), "b".to_owned());
    });
    cluster.commit(vec![changed]);
    assert_eq!(left(&cluster), 3, "at once");
}

#[test]
fn to_be_pulled_always_is_to_be_pulled_for_each_release() {
    let always = |note: &str| {
        web_with(3, "web:1", |web| {
            web.strategy = Strategy::Recreate;
            web.template.annotations.insert("a".to_owned(), note.to_owned());
            web.template.containers[0].pull_policy = PullPolicy::Always;
        })
    };
    let mut cluster = healthy(vec![always("1")]);
    for note in ["2", "3"] {
        let before = left(&cluster);
        cluster.commit(vec![always(note)]);
        cluster.step(STEP);
        assert_eq!(left(&cluster), before);
        cluster.run_for(seconds(20));
        assert_eq!(left(&cluster), before + 3);
    }
}

#[test]
fn what_a_new_pod_pulls_is_not_asked_for_beside_it() {
    let mut cluster = healthy(vec![web(1, "web:1")]);
    cluster.commit(vec![web(1, "web:2")]);
    let asked = |cluster: &Cluster| -> usize {
        let nodes = cluster.world.nodes.keys();
        let assignments = nodes.filter_map(|node| dugout_planner::assignment(&cluster.world, node));
        assignments.map(|assignment| assignment.images.len()).sum()
    };
    assert_eq!(asked(&cluster), 0);
}

#[test]
fn a_pull_without_an_end_fails_the_release() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    for node in ["a", "b", "c"] {
        cluster.agent(node).listens = false;
    }
    let sha = cluster.commit(vec![recreated("web:2")]);
    cluster.run_in_steps(59, seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_in_steps(2, seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let reason = cluster.release(&sha).reason.clone().unwrap_or_default();
    assert!(reason.contains("image web:2 is not on node a yet"), "{reason}");
    assert_eq!(left(&cluster), 0);
}

#[test]
fn a_newer_commit_asks_for_its_own_images_alone() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    for node in ["a", "b", "c"] {
        cluster.agent(node).listens = false;
    }
    cluster.commit(vec![recreated("web:2")]);
    cluster.commit(vec![recreated("web:3")]);
    let pulls: Vec<String> = cluster
        .world
        .nodes
        .values()
        .flat_map(|node| &node.pulls)
        .map(|pull| pull.image.clone())
        .collect();
    assert_eq!(pulls, ["web:3"; 3]);
}

/// A cluster in which the images of web:2 do not come.
fn waiting() -> Cluster {
    let mut cluster = healthy(vec![recreated("web:1")]);
    for node in ["a", "b", "c"] {
        cluster.agent(node).listens = false;
    }
    cluster.commit(vec![recreated("web:2")]);
    cluster
}

#[test]
fn an_unrelated_commit_does_not_open_it() {
    let mut cluster = waiting();
    let sha = cluster.commit(vec![recreated("web:2"), config("other", "a", "b")]);
    cluster.run_for(seconds(5));
    assert_eq!(left(&cluster), 0);
    for node in ["a", "b", "c"] {
        cluster.agent(node).listens = true;
    }
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_changed_config_map_waits_for_the_images_of_what_it_rolls() {
    let asked = |value: &str| {
        let web = web_with(3, "web:1", |web| {
            web.strategy = Strategy::Recreate;
            web.template.containers[0].pull_policy = PullPolicy::Always;
            web.template.containers[0].env.push(env_from_config("settings", "greeting"));
        });
        vec![web, config("settings", "greeting", value)]
    };
    let mut cluster = healthy(asked("1"));
    for node in ["a", "b", "c"] {
        cluster.agent(node).listens = false;
    }
    cluster.commit(asked("2"));
    cluster.run_for(seconds(5));
    assert_eq!(left(&cluster), 0);
}

#[test]
fn the_nodes_to_which_it_goes_are_asked() {
    let on = |node: &str, image: &str| {
        web_with(3, image, |web| {
            web.strategy = Strategy::Recreate;
            web.template.node_selector = StringMap::from([("name".to_owned(), node.to_owned())]);
        })
    };
    let mut cluster = healthy(vec![on("a", "web:1")]);
    cluster.agent("b").listens = false;
    cluster.commit(vec![on("b", "web:2")]);
    cluster.run_for(seconds(3));
    assert_eq!(left(&cluster), 0);
    let asked = |node: &str| cluster.world.nodes[&NodeName::new(node)].pulls.len();
    assert_eq!((asked("a"), asked("b"), asked("c")), (0, 1, 0));
}

#[test]
fn what_failed_and_is_left_as_it_is_stops_nothing_later() {
    let mut cluster = healthy(vec![recreated("web:1")]);
    cluster.on_failure(OnFailure::Hold);
    let sha = cluster.commit(vec![recreated("web:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert!(cluster.world.nodes.values().all(|node| node.pulls.is_empty()), "nobody pulls on");
    cluster.run_for(seconds(100));
    assert_eq!(left(&cluster), 0);
    let sha = cluster.commit(vec![recreated("web:2")]);
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Healthy, 3));
}

#[test]
fn who_waits_for_the_images_of_others_has_a_whole_deadline() {
    let quick = |image: &str| {
        let mut quick = deployment("quick", 1, image);
        quick.progress_deadline = seconds(10);
        named("quick", quick)
    };
    let mut cluster = healthy(vec![recreated("web:1"), quick("quick:1")]);
    let slow = |cluster: &mut Cluster, listens| {
        let with_web: Vec<NodeName> =
            cluster.world.pods.values().filter_map(|pod| pod.node().cloned()).collect();
        for node in with_web.iter().skip(1) {
            cluster.agent(node.as_str()).listens = listens;
        }
    };
    let sha = cluster.commit(vec![recreated("web:2"), quick("quick:2")]);
    cluster.run_for(seconds(1));
    slow(&mut cluster, false);
    cluster.run_for(seconds(30));
    slow(&mut cluster, true);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn fewer_replicas_need_no_image() {
    let always = |replicas: u32| {
        web_with(replicas, "web:1", |web| {
            web.template.containers[0].pull_policy = PullPolicy::Always;
        })
    };
    let mut cluster = healthy(vec![always(3)]);
    cluster.commit(vec![always(1)]);
    assert_eq!(left(&cluster), 2, "at once");
}

#[test]
fn what_makes_no_pods_needs_no_image() {
    let paused = web_with(2, "web:missing", |web| web.paused = true);
    let cron = cron_job("job:missing", |_| {});
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![paused, cron]);
    cluster.run_for(seconds(2));
    assert!(cluster.world.nodes.values().all(|node| node.pulls.is_empty()));
}

#[test]
fn nodes_that_came_or_went_are_chosen_anew() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon("b".into()))]);
    cluster.commit(vec![recreated("web:1")]);
    cluster.run_for(seconds(5));
    cluster.agent("a").listens = false;
    cluster.commit(vec![recreated("web:2")]);
    cluster.run_for(seconds(3));
    let asked = |cluster: &Cluster| {
        let nodes = ["a", "b"].map(|name| &cluster.world.nodes[&NodeName::new(name)]);
        nodes.map(|node| node.pulls.len())
    };
    assert_eq!(asked(&cluster), [1, 0]);
    let by_operator = [OperatorRequest::Cordon("a".into()), OperatorRequest::Uncordon("b".into())];
    cluster.turn(&by_operator.map(Fact::Operator));
    assert_eq!((asked(&cluster), left(&cluster)), ([0, 1], 0));
    cluster.run_for(seconds(3));
    assert_eq!(left(&cluster), 3, "with the images where they will be");
}

#[test]
fn what_a_strategy_leaves_alone_needs_no_image() {
    let partitioned = |image: &str, partition: u32| {
        db(3, image, |db| {
            let max_unavailable = IntOrPercent::Int(1);
            db.update = StatefulSetUpdate::RollingUpdate { partition, max_unavailable };
        })
    };
    let by_people = |image: &str| logs(image, |logs| logs.update = DaemonSetUpdate::OnDelete);
    let all = |image: &str, partition: u32| {
        vec![partitioned(image, partition), by_people(image), declared_set(2, image)]
    };
    let mut cluster = healthy(all("web:1", 0));
    let asked = |cluster: &Cluster| -> usize {
        cluster.world.nodes.values().map(|node| node.pulls.len()).sum()
    };
    cluster.commit(all("web:2", 3));
    assert_eq!(asked(&cluster), 0);
    cluster.commit(all("web:3", 2));
    assert_eq!(asked(&cluster), 1, "for the pod with ordinal 2");
}

#[test]
fn what_comes_after_a_sidecar_is_asked_for() {
    let with_sidecar = |image: &str| {
        web_with(1, image, |web| {
            let restart_policy = Some(RestartPolicy::Always);
            let mut sidecar = Container { restart_policy, ..container("proxy:1") };
            sidecar.name = "proxy".to_owned();
            web.template.init_containers.push(sidecar);
        })
    };
    let mut cluster = healthy(vec![web(1, "web:1")]);
    cluster.commit(vec![with_sidecar("web:2")]);
    let nodes = cluster.world.nodes.keys();
    let assignments = nodes.filter_map(|node| dugout_planner::assignment(&cluster.world, node));
    let asked: Vec<String> =
        assignments.flat_map(|assignment| assignment.images).map(|asked| asked.image).collect();
    assert_eq!(asked, ["web:2"], "its pod pulls it only when the sidecar runs");
}

#[test]
fn a_daemon_that_was_held_leaves_when_the_gate_opens() {
    let logs = || {
        logs("logs:1", |logs| {
            let label = ("dugout.dev/allow-privileged".to_owned(), "true".to_owned());
            logs.template.node_selector = StringMap::from([label]);
        })
    };
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let allow = |cluster: &mut Cluster, allowed: Option<NodePrivileges>| {
        cluster.agent("b").allowed = allowed;
        let registration = cluster.agent("b").registration();
        cluster.turn(&[Fact::NodeJoined(registration)]);
    };
    allow(&mut cluster, Some(NodePrivileges::from_iter([NodePrivilege::Privileged])));
    cluster.commit(vec![recreated("web:1"), logs()]);
    cluster.run_for(seconds(20));
    for node in ["a", "b"] {
        cluster.agent(node).listens = false;
    }
    cluster.commit(vec![recreated("web:2"), logs()]);
    allow(&mut cluster, None);
    let daemons =
        |cluster: &Cluster| cluster.images().iter().filter(|image| *image == "logs:1").count();
    assert_eq!(daemons(&cluster), 1);
    for node in ["a", "b"] {
        cluster.agent(node).listens = true;
    }
    cluster.run_for(seconds(20));
    assert_eq!(daemons(&cluster), 0);
}

#[test]
fn it_stays_closed_when_the_last_node_that_is_awaited_is_lost() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let one = |image: &str, node: &str| {
        web_with(1, image, |web| {
            web.strategy = Strategy::Recreate;
            if node != "any" {
                let name = ("name".to_owned(), node.to_owned());
                web.template.node_selector = StringMap::from([name]);
            }
        })
    };
    cluster.commit(vec![one("web:1", "a")]);
    cluster.run_for(seconds(5));
    cluster.agent("b").listens = false;
    cluster.commit(vec![one("web:missing", "b")]);
    cluster.run_for(seconds(3));
    cluster.agent("b").alive = false;
    cluster.run_for(seconds(30));
    assert_eq!(left(&cluster), 0, "nobody was asked who could have said that it is missing");
    let source = SourceName::new(crate::harness::SOURCE);
    let awaited = cluster.world.awaited_images(&source).unwrap_or_default();
    assert!(awaited.starts_with("no node that is there has room for pods"), "{awaited}");
    // Another node will do, and says at once that there is no such image.
    let sha = cluster.commit(vec![one("web:missing", "any")]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Reverted, 0));
}

#[test]
fn while_no_node_is_there_nothing_is_let_go() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![recreated("web:1")]);
    cluster.run_for(seconds(5));
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    let sha = cluster.commit(vec![recreated("web:missing")]);
    cluster.run_for(seconds(20));
    let leaving =
        |cluster: &Cluster| cluster.world.pods.values().filter(|pod| !pod.is_active()).count();
    assert_eq!((cluster.verdict(&sha), leaving(&cluster)), (Verdict::Rolling, 0));
    cluster.agent("a").alive = true;
    cluster.run_for(seconds(10));
    assert_eq!((cluster.verdict(&sha), leaving(&cluster)), (Verdict::Reverted, 0));
}

#[test]
fn what_would_fit_nowhere_takes_nobodys_place_until_there_is_room() {
    let large = |image: &str, cpu_millis: u64| {
        web_with(1, image, |web| {
            web.strategy = Strategy::Recreate;
            web.template.containers[0].resources.cpu_request_millis = cpu_millis;
        })
    };
    let other = || {
        let mut asked = deployment("other", 1, "other:1");
        asked.template.containers[0].resources.cpu_request_millis = 2_000;
        named("other", asked)
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![large("web:1", 1_000), other()]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![large("web:2", 3_000), other()]);
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Rolling, 0));
    cluster.join("b", "engine-of-b");
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Healthy, 1));
    // Without room until the deadline it fails, and all goes on as it was.
    let sha = cluster.commit(vec![large("web:3", 100_000), other()]);
    cluster.run_in_steps(61, seconds(10));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Reverted, 1));
}

#[test]
fn the_room_of_fewer_replicas_is_foreseen() {
    let sized = |name: &str, image: &str, replicas: u32, cpu_millis: u64| {
        let mut asked = deployment(name, replicas, image);
        asked.strategy = Strategy::Recreate;
        asked.template.containers[0].resources.cpu_request_millis = cpu_millis;
        named(name, asked)
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![sized("many", "many:1", 3, 1_000), sized("grows", "grows:1", 1, 500)]);
    cluster.run_for(seconds(5));
    let sha = cluster
        .commit(vec![sized("many", "many:1", 1, 1_000), sized("grows", "grows:2", 1, 2_500)]);
    cluster.run_for(seconds(20));
    assert_eq!((cluster.verdict(&sha), left(&cluster)), (Verdict::Healthy, 3));
}
