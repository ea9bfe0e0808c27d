//! What leaves Git goes once what comes serves, in the reverse order, and makes way where it must.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, seconds};

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
fn a_pod_whose_name_is_asked_for_serves_until_the_one_who_asks_may_begin() {
    let mut cluster = healthy(&["a"], vec![db(1, "db:1", |_| {})]);
    let mut slow = deployment("slow", 1, "slow:1");
    slow.min_ready = seconds(10);
    let spec = deployment("db", 1, "db:1");
    let bare = declare("db-0", ObjectSpec::Pod(Box::new(spec.template)));
    let was = cluster.active()[0].uid;
    let asked = vec![named("slow", slow), needing(bare, "slow")];
    let sha = cluster.commit_allowing(1, asked);
    cluster.run_in_steps(9, seconds(1));
    let is_there = |cluster: &Cluster| cluster.active().iter().any(|pod| pod.uid == was);
    assert!(is_there(&cluster), "nobody could use its name yet");
    cluster.run_in_steps(20, seconds(1));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert!(!is_there(&cluster));
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
    assert!(old.iter().all(|pod| behind(&cluster, 30080).contains(pod)));
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

/// What was changed once may be changed again before it is healthy.
#[test]
fn a_service_that_is_new_may_change_and_go_before_its_release_is_healthy() {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1")]);
    let mut extra = service("web", 30090);
    extra.key.name = ObjectName::new("api");
    cluster.commit(vec![app("web", "web:1"), app("slow", "slow:unready"), extra]);
    cluster.run_for(seconds(3));
    assert_eq!(behind(&cluster, 30090).len(), 1);
    let mut moved = service("web", 30091);
    moved.key.name = ObjectName::new("api");
    cluster.commit(vec![app("web", "web:1"), app("slow", "slow:unready"), moved]);
    cluster.run_for(seconds(3));
    assert_eq!((behind(&cluster, 30090).len(), behind(&cluster, 30091).len()), (1, 1));
    cluster.commit_allowing(1, vec![app("web", "web:1"), app("slow", "slow:unready")]);
    assert_eq!((behind(&cluster, 30090).len(), behind(&cluster, 30091).len()), (0, 1));
    let last = cluster.commit(vec![app("web", "web:1"), app("slow", "slow:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&last), Verdict::Healthy);
    assert_eq!((behind(&cluster, 30090).len(), behind(&cluster, 30091).len()), (0, 0));
}

#[test]
fn of_a_set_only_the_pods_whose_names_are_asked_for_go() {
    let mut cluster = healthy(&["a"], vec![db(3, "db:1", |_| {})]);
    let spec = deployment("db", 1, "db:unready");
    let bare = declare("db-0", ObjectSpec::Pod(Box::new(spec.template)));
    cluster.commit_allowing(1, vec![bare]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.names(), ["db-0", "db-1", "db-2"]);
    assert_eq!(serving(&cluster, "db"), 2, "db-0 is the new one");
}

#[test]
fn what_another_kind_makes_under_the_same_name_needs_nobodys_place() {
    let mut cluster = healthy(&["a"], vec![app("db", "db:1")]);
    let pods: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    cluster.commit_allowing(1, vec![db(1, "db:unready", |_| {})]);
    cluster.run_for(seconds(10));
    assert!(pods.iter().all(|uid| cluster.world.pods[uid].is_active()));
}

/// `front` needs `db`, and both leave; they come back before the commit without them is healthy.
#[test]
fn what_comes_back_before_it_is_gone_goes_on_as_it_is() {
    let all = |slow: &str| {
        let front = {
            let mut front = app("front", "front:1");
            front.policy.depends_on = Box::from([ObjectId::new(Kind::StatefulSet, "demo", "db")]);
            front
        };
        vec![db(2, "db:1", |_| {}), front, app("slow", slow)]
    };
    let mut cluster = healthy(&["a"], all("slow:1"));
    let pods: Vec<PodUid> = cluster
        .active()
        .iter()
        .filter(|pod| !pod.name.as_str().starts_with("slow"))
        .map(|pod| pod.uid)
        .collect();
    cluster.commit_allowing(2, vec![app("slow", "slow:unready")]);
    cluster.run_for(seconds(5));
    let back = cluster.commit(all("slow:1"));
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&back), Verdict::Healthy);
    assert!(pods.iter().all(|uid| cluster.world.pods[uid].is_active()), "nobody was stopped");
    assert_eq!(cluster.active().len(), 4);
}

/// The failed commit gave the node port of one service to another, and a third workload has to go back.
#[test]
fn on_the_way_back_a_node_port_sends_to_those_that_served_all_along() {
    let rest = |image: &str| named("rest", deployment("rest", 1, image));
    let mut cluster =
        healthy(&["a"], vec![app("web", "web:1"), service("web", 30080), rest("rest:1")]);
    let old = behind(&cluster, 30080);
    let edge = named("edge", {
        let mut asked = deployment("edge", 1, "edge:unready");
        asked.progress_deadline = seconds(10);
        asked
    });
    let bad = cluster.commit_allowing(
        1,
        vec![app("web", "web:1"), edge, service("edge", 30080), rest("rest:2")],
    );
    let mut is_back = false;
    for _ in 0..120 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        assert!(old.iter().all(|pod| behind(&cluster, 30080).contains(pod)));
        is_back |= cluster.verdict(&bad) == Verdict::Reverted
            && cluster.world.baselines_of(&SourceName::new(SOURCE)).next().is_some();
    }
    assert!(is_back, "a moment of the way back was seen");
    assert_eq!(behind(&cluster, 30080), old);
}

/// A release that failed is left as it is, and its workload gets there later.
#[test]
fn what_left_goes_when_everything_is_there_although_no_release_says_so() {
    let mut cluster = healthy(&["a"], vec![app("old", "web:1"), service("old", 30080)]);
    cluster.on_failure(OnFailure::Hold);
    let stuck = named("new", {
        let mut asked = deployment("new", 1, "web:2");
        asked.progress_deadline = seconds(10);
        asked.min_ready = seconds(30);
        asked
    });
    let bad = cluster.commit_allowing(2, vec![stuck, service("new", 30080)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&bad), Verdict::Failed);
    assert_eq!((serving(&cluster, "old"), behind(&cluster, 30080).len()), (1, 2));
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&bad), Verdict::Failed);
    assert_eq!((serving(&cluster, "old"), behind(&cluster, 30080).len()), (0, 1));
    // It may still be gone back to.
    cluster.on_failure(OnFailure::Revert);
    let worse = cluster.commit(vec![app("new", "web:missing"), service("new", 30080)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&worse), Verdict::Reverted);
    assert_eq!((serving(&cluster, "old"), serving(&cluster, "new")), (1, 0));
}

#[test]
fn the_runs_of_a_job_that_left_go_without_waiting() {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1"), cron_job("tick:1", |_| {})]);
    cluster.run_for(seconds(62));
    assert_eq!(cluster.images(), ["tick:1", "web:1"]);
    cluster.commit_allowing(1, vec![app("web", "web:unready")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.images(), ["web:1", "web:unready"]);
}

#[test]
fn one_that_served_and_just_does_not_is_still_gone_back_to() {
    let mut cluster = healthy(&["a"], vec![app("old", "web:1")]);
    let pod = cluster.active()[0].uid;
    cluster.commit_allowing(1, vec![app("new", "web:unready")]);
    cluster.run_for(seconds(3));
    let Seen::Known(status) = cluster.world.pods[&pod].seen.clone() else { panic!("it is known") };
    let mut row = (*cluster.world.pods[&pod]).clone();
    row.seen = Seen::Known(PodStatus { ready_since: None, ..status });
    cluster.world.apply(&Change::PutPod(std::sync::Arc::new(row)));
    cluster.restart_engine();
    assert!(cluster.world.pods[&pod].is_active());
}

/// A source that leaves what fails as it is, of which everything came to be there after the failure.
fn there_without_a_release(mut last: DeclaredObject) -> Cluster {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1"), app("kept", "kept:1")]);
    cluster.on_failure(OnFailure::Hold);
    let ObjectSpec::Deployment(asked) = &mut last.spec else { panic!("a deployment") };
    asked.progress_deadline = seconds(10);
    asked.min_ready = seconds(20);
    let failed = cluster.commit(vec![last, app("kept", "kept:1")]);
    cluster.run_for(seconds(40));
    assert_eq!(cluster.verdict(&failed), Verdict::Failed);
    assert_eq!((serving(&cluster, "web"), serving(&cluster, "kept")), (1, 1));
    cluster
}

#[test]
fn what_came_to_be_there_after_a_failure_waits_for_the_images_of_what_replaces_it() {
    let mut cluster = there_without_a_release(app("web", "web:2"));
    cluster.agent("a").refuses = Some("new:1".to_owned());
    cluster.commit_allowing(1, vec![app("new", "new:1"), app("kept", "kept:1")]);
    for _ in 0..60 {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
        assert_eq!(serving(&cluster, "web"), 1);
    }
}

#[test]
fn what_a_failed_commit_touched_may_become_an_orphan() {
    let mut orphan = app("web", "web:2");
    orphan.policy.prune = Prune::Disabled;
    let mut cluster = there_without_a_release(orphan);
    let removal = cluster.commit_allowing(1, vec![app("kept", "kept:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&removal), Verdict::Healthy);
    assert_eq!(serving(&cluster, "web"), 1);
}

#[test]
fn what_an_overtaken_commit_brought_serves_until_what_replaces_it_does() {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1")]);
    cluster.commit(vec![app("web", "web:1"), app("api", "api:1"), app("slow", "slow:unready")]);
    cluster.run_for(seconds(5));
    assert_eq!(serving(&cluster, "api"), 1);
    let last = cluster.commit_allowing(2, vec![app("web", "web:1"), app("api-two", "api:1")]);
    while cluster.verdict(&last) == Verdict::Rolling {
        assert!(serving(&cluster, "api") + serving(&cluster, "api-two") > 0);
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
    }
    cluster.run_for(seconds(5));
    assert_eq!((serving(&cluster, "api"), serving(&cluster, "api-two")), (0, 1));
}

#[test]
fn what_comes_back_with_more_replicas_is_complete_when_they_are_there() {
    let web = |replicas| named("web", deployment("web", replicas, "web:1"));
    let mut cluster = healthy(&["a"], vec![web(1), app("slow", "slow:1")]);
    cluster.commit(vec![web(3), app("slow", "slow:unready")]);
    cluster.run_for(seconds(5));
    cluster.commit_allowing(1, vec![app("slow", "slow:unready")]);
    cluster.run_for(seconds(5));
    let back = cluster.commit(vec![web(6), app("slow", "slow:1")]);
    while cluster.verdict(&back) == Verdict::Rolling {
        cluster.run_in_steps(1, std::time::Duration::from_millis(250));
    }
    assert_eq!((cluster.verdict(&back), serving(&cluster, "web")), (Verdict::Healthy, 6));
}

#[test]
fn work_that_was_done_is_not_done_again_when_a_person_takes_its_removal_back() {
    let mut cluster = healthy(&["a"], vec![app("web", "web:1"), job("job:exits", |_| {})]);
    cluster.commit_allowing(1, vec![app("web", "web:unready")]);
    cluster.run_for(seconds(10));
    let back = cluster.commit(vec![app("web", "web:1"), job("job:exits", |_| {})]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&back), Verdict::Healthy);
    assert_eq!(cluster.world.jobs.len(), 1);
    assert!(cluster.images().iter().all(|image| image == "web:1"), "{:?}", cluster.images());
}

#[test]
fn a_port_that_becomes_another_reaches_old_and_new_pods_each_on_its_own() {
    let port = |number: u16, image: &str| {
        let mut asked = deployment("web", 1, image);
        asked.template.containers[0].ports[0].container_port = number;
        let mut service = service("web", 30080);
        let ObjectSpec::Service(spec) = &mut service.spec else { panic!("a service") };
        spec.ports[0].target_port = PortRef::Number(number);
        vec![named("web", asked), service]
    };
    let mut cluster = healthy(&["a"], port(8080, "web:1"));
    cluster.commit(port(9090, "web:2"));
    let node = NodeName::new("a");
    let assignment = dugout_planner::assignment(&cluster.world, &node).expect("the node exists");
    let endpoints = &assignment.services[0].ports[0].endpoints;
    let mut targets: Vec<u16> = endpoints.iter().map(|endpoint| endpoint.port).collect();
    targets.sort_unstable();
    assert_eq!(targets, [8080, 9090]);
}
