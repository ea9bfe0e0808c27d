//! What leaves Git goes once what comes serves, in the reverse order, and makes way where it must.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn app(name: &str, image: &str) -> DeclaredObject {
    named(name, deployment(name, 1, image))
}

/// A workload that needs much of a node.
fn large(name: &str, cpu_millis: u64) -> DeclaredObject {
    let mut asked = deployment(name, 1, &format!("{name}:1"));
    asked.template.containers[0].resources.cpu_request_millis = cpu_millis;
    named(name, asked)
}

fn needing(mut object: DeclaredObject, needed: &str) -> DeclaredObject {
    let id = ObjectId::new(Kind::Deployment, "demo", needed);
    object.policy.depends_on = Box::from([id]);
    object
}

fn healthy(nodes: &[&str], objects: Vec<DeclaredObject>) -> Cluster {
    let mut cluster = Cluster::with_nodes(nodes);
    let sha = cluster.commit(objects);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster
}

/// The pods of a workload that serve, by the label of its name.
fn serving(cluster: &Cluster, name: &str) -> usize {
    let pods = cluster.active();
    pods.iter()
        .filter(|pod| pod.ready_since().is_some())
        .filter(|pod| {
            let set = cluster.world.replica_set_of(pod);
            set.is_some_and(|set| set.template.labels.get("app").is_some_and(|app| app == name))
        })
        .count()
}

/// The pods behind a node port.
fn behind(cluster: &Cluster, node_port: u16) -> Vec<PodUid> {
    let node = NodeName::new("a");
    let assignment = dugout_planner::assignment(&cluster.world, &node).expect("the node exists");
    let ports = assignment.services.iter().flat_map(|service| &service.ports);
    let endpoints =
        ports.filter(|port| port.node_port == node_port).flat_map(|port| &port.endpoints);
    endpoints.map(|endpoint| endpoint.pod).collect()
}

#[test]
fn a_workload_with_another_name_serves_before_the_one_that_left_goes() {
    let mut cluster = healthy(&["a"], vec![app("old", "web:1")]);
    let sha = cluster.commit_allowing(1, vec![app("new", "web:1")]);
    for _ in 0..40 {
        assert!(serving(&cluster, "old") + serving(&cluster, "new") > 0, "somebody serves");
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
    }
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!((serving(&cluster, "old"), serving(&cluster, "new")), (0, 1));
    assert_eq!(cluster.world.baselines.len(), 0, "nothing is kept of what is gone");
    assert_eq!(cluster.world.replica_sets.len(), 1);
}

#[test]
fn what_left_and_does_not_serve_goes_without_waiting() {
    let mut cluster = healthy(&["a"], vec![app("old", "web:1"), app("other", "web:1")]);
    cluster.commit(vec![app("old", "web:unready"), app("other", "web:1")]);
    cluster.run_for(seconds(3));
    cluster.commit_allowing(1, vec![app("other", "web:unready")]);
    cluster.run_for(seconds(5));
    // The one of the healthy commit is what may be gone back to.
    assert_eq!(serving(&cluster, "old"), 1);
    assert_eq!(cluster.images(), ["web:1", "web:1", "web:unready"]);
}

#[test]
fn what_left_is_there_to_be_gone_back_to() {
    let mut cluster = healthy(&["a"], vec![app("old", "web:1")]);
    let pods: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    let bad = cluster.commit_allowing(1, vec![app("new", "web:unready")]);
    for _ in 0..320 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        assert_eq!(serving(&cluster, "old"), 1);
    }
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    let now: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    assert_eq!(now, pods, "the same pod, and nothing of the other");
}

#[test]
fn what_a_failed_release_added_serves_until_what_it_replaced_is_back() {
    let first = vec![app("old", "web:1"), app("other", "other:1"), service("old", 30080)];
    let mut cluster = healthy(&["a"], first);
    // The old one leaves to make way, and then the release fails by another workload.
    let mut moved = service("new", 30080);
    moved.key.name = ObjectName::new("old");
    let stuck = named("other", {
        let mut asked = deployment("other", 1, "other:unready");
        asked.progress_deadline = seconds(20);
        asked
    });
    let bad = cluster.commit_allowing(1, vec![large("new", 3_750), moved, stuck]);
    cluster.run_for(seconds(12));
    assert_eq!((serving(&cluster, "old"), serving(&cluster, "new")), (0, 1), "it made way");
    for _ in 0..100 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        if cluster.verdict(&bad) == Verdict::Reverted && serving(&cluster, "old") == 1 {
            break;
        }
        // There is room for one of the two only.
        assert!(!behind(&cluster, 30080).is_empty() || serving(&cluster, "new") == 0);
    }
    cluster.run_for(seconds(5));
    assert_eq!((serving(&cluster, "old"), serving(&cluster, "new")), (1, 0));
    assert_eq!(cluster.world.baselines.len(), 0);
}

#[test]
fn what_left_makes_way_where_there_is_room_nowhere_else() {
    let mut cluster = healthy(&["a"], vec![large("old", 3_000), app("small", "small:1")]);
    let sha = cluster.commit_allowing(1, vec![large("new", 3_000), app("small", "small:1")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!((serving(&cluster, "old"), serving(&cluster, "new")), (0, 1));
}

#[test]
fn what_left_stays_where_its_room_would_not_be_enough() {
    let mut cluster = healthy(&["a"], vec![large("old", 3_000)]);
    cluster.commit_allowing(1, vec![large("new", 30_000)]);
    for _ in 0..200 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        assert_eq!(serving(&cluster, "old"), 1);
    }
}

#[test]
fn only_those_whose_room_is_needed_make_way() {
    let mut cluster = healthy(&["a", "b"], vec![large("one", 3_000), large("two", 3_000)]);
    let sha = cluster.commit_allowing(2, vec![large("new", 3_000)]);
    let mut fewest = 2;
    for _ in 0..40 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        if cluster.verdict(&sha) == Verdict::Rolling {
            fewest = fewest.min(serving(&cluster, "one") + serving(&cluster, "two"));
        }
    }
    assert_eq!(fewest, 1);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(serving(&cluster, "one") + serving(&cluster, "two"), 0);
}

#[test]
fn a_pod_whose_name_is_asked_for_goes() {
    let mut cluster = healthy(&["a"], vec![db(1, "db:1", |_| {})]);
    let spec = deployment("db", 1, "db:1");
    let bare = declare("db-0", ObjectSpec::Pod(Box::new(spec.template)));
    let sha = cluster.commit_allowing(1, vec![bare]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.names(), ["db-0"]);
}

#[test]
fn what_others_needed_goes_after_them() {
    let store = app("store", "store:1");
    let between = needing(app("between", "between:1"), "store");
    let front = needing(app("front", "front:1"), "between");
    let mut cluster = healthy(&["a"], vec![store, between, front, config("stays", "a", "b")]);
    cluster.commit_allowing(3, vec![config("stays", "a", "b")]);
    let mut order = Vec::new();
    for _ in 0..60 {
        for name in ["store", "between", "front"] {
            if serving(&cluster, name) == 0 && !order.contains(&name) {
                order.push(name);
            }
        }
        let there = |name: &str| {
            let sets = cluster.world.replica_sets.values();
            sets.filter(|set| set.template.labels.get("app").is_some_and(|app| app == name)).count()
        };
        assert!(there("front") == 0 || serving(&cluster, "between") == 1);
        assert!(there("between") == 0 || serving(&cluster, "store") == 1);
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
    }
    assert_eq!(order, ["front", "between", "store"]);
    assert_eq!(cluster.world.baselines.len(), 0);
}

#[test]
fn what_others_needed_does_not_wait_for_a_node_that_is_gone() {
    let store = named("store", {
        let mut asked = deployment("store", 1, "store:1");
        asked.template.node_selector.insert("name".to_owned(), "a".to_owned());
        asked
    });
    let front = needing(
        named("front", {
            let mut asked = deployment("front", 1, "front:1");
            asked.template.node_selector.insert("name".to_owned(), "b".to_owned());
            asked
        }),
        "store",
    );
    let mut cluster = healthy(&["a", "b"], vec![store, front, config("stays", "a", "b")]);
    cluster.agent("b").listens = false;
    cluster.commit_allowing(2, vec![config("stays", "a", "b")]);
    cluster.run_for(seconds(3));
    assert_eq!(serving(&cluster, "store"), 1, "it waits");
    cluster.agent("b").alive = false;
    cluster.run_for(seconds(30));
    assert_eq!(serving(&cluster, "store"), 0);
}

#[test]
fn a_service_that_changes_sends_to_the_old_pods_until_the_release_is_healthy() {
    let mut cluster = healthy(&["a"], vec![app("blue", "web:1"), service("blue", 30080)]);
    let mut moved = service("green", 30080);
    moved.key.name = ObjectName::new("blue");
    let sha = cluster.commit_allowing(1, vec![app("green", "web:2"), moved]);
    while cluster.verdict(&sha) == Verdict::Rolling {
        let ready = |uid: &PodUid| cluster.world.pods[uid].ready_since().is_some();
        assert!(behind(&cluster, 30080).iter().any(ready), "somebody answers");
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
    }
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let green: Vec<PodUid> = cluster
        .world
        .pods_of(
            cluster.world.replica_sets_of(cluster.deployment("green")).next().expect("set").uid,
        )
        .map(|pod| pod.uid)
        .collect();
    assert_eq!(behind(&cluster, 30080), green);
}

#[test]
fn a_service_that_left_or_gave_its_port_away_serves_until_the_release_is_healthy() {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1"), service("web", 30080)]);
    let old: Vec<PodUid> = behind(&cluster, 30080);
    // The image does not come, so nothing may change for anybody.
    let another = named("other", deployment("other", 1, "other:missing"));
    let bad =
        cluster.commit_allowing(1, vec![app("web", "web:1"), another, service("other", 30080)]);
    assert_eq!(cluster.verdict(&bad), Verdict::Rolling);
    assert_eq!(behind(&cluster, 30080), old);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    assert_eq!(behind(&cluster, 30080), old);

    let good = cluster.commit_allowing(
        1,
        vec![app("web", "web:1"), app("other", "other:1"), service("other", 30080)],
    );
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&good), Verdict::Healthy);
    let other = behind(&cluster, 30080);
    assert_eq!(other.len(), 1);
    assert_ne!(other, old);
}
