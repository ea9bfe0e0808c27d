//! Nodes that fall silent, come back, fill up and are cordoned.

use dugout_model::*;
use dugout_planner::{Ignored, PodWait};

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

#[test]
fn a_silent_node_loses_its_pods_to_the_others_and_is_fenced_when_it_returns() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(4, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(14));
    assert_eq!(cluster.spread(), [("a".to_owned(), 2), ("b".to_owned(), 2)].into());
    cluster.run_for(seconds(4));
    assert_eq!(cluster.spread(), [("b".to_owned(), 4)].into());
    assert_eq!(cluster.ready(), 4);
    assert_eq!(cluster.events_with("NodeNotReady").len(), 1);
    assert_eq!(cluster.events_with("NodeLost").len(), 2);
    assert_eq!(cluster.world.pods.len(), 6, "what may still run there is not forgotten");
    let turn = cluster.world.turn;
    cluster.run_for(seconds(600));
    assert_eq!(cluster.world.turn, turn, "a lost node costs nothing");

    cluster.agent("a").alive = true;
    cluster.run_for(seconds(5));
    assert_eq!(cluster.events_with("NodeReady").len(), 1);
    assert_eq!(cluster.world.pods.len(), 4, "its pods were stopped");
    assert_eq!(cluster.spread(), [("b".to_owned(), 4)].into());
}

#[test]
fn nothing_is_restarted_when_the_only_node_is_silent_for_a_while() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(3, "web:1")]);
    cluster.run_for(seconds(3));
    let pods: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.ready(), 0);
    let node = NodeName::new("a");
    assert_eq!(
        cluster.world.nodes[&node].condition,
        NodeCondition::NotReady {
            since: cluster.now - seconds(45),
            reason: NotReadyReason::AgentSilent
        }
    );
    cluster.restart_engine();
    assert!(matches!(
        cluster.report.pods[&pods[0]],
        PodWait::LostNode { ref node, .. } if node.as_str() == "a"
    ));
    cluster.agent("a").alive = true;
    cluster.run_for(seconds(3));
    assert_eq!(cluster.ready(), 3);
    assert_eq!(cluster.world.pods.keys().copied().collect::<Vec<_>>(), pods);
}

#[test]
fn a_silent_container_engine_counts_as_a_lost_node() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.agent("b").engine_answers = false;
    cluster.run_for(seconds(20));
    assert_eq!(cluster.spread(), [("a".to_owned(), 2)].into());
    let NodeCondition::NotReady { reason, .. } = cluster.world.nodes[&NodeName::new("b")].condition
    else {
        panic!("it is not ready")
    };
    assert_eq!(reason, NotReadyReason::EngineUnavailable);
    let turn = cluster.world.turn;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.world.turn, turn, "its reports say nothing new");
    cluster.agent("b").engine_answers = true;
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.pods.len(), 2);
}

#[test]
fn a_new_leader_gives_every_node_the_whole_timeout() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let pods = cluster.world.pods.clone();
    // The control plane was away for an hour.
    cluster.now = cluster.now + seconds(3600);
    cluster.restart_engine();
    cluster.run_for(seconds(20));
    assert_eq!(cluster.world.pods, pods);
    assert!(cluster.events_with("NodeNotReady").is_empty());
}

#[test]
fn a_node_without_contact_is_not_judged() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.contacts.clear();
    cluster.agents.clear();
    cluster.run_for(seconds(60));
    assert!(cluster.world.nodes.values().all(|node| node.is_ready()));
}

#[test]
fn pods_wait_with_a_reason_for_a_node_that_can_take_them() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let large = |replicas| {
        web_with(replicas, "web:1", |deployment| {
            deployment.template.containers[0].resources.cpu_request_millis = 3_000;
        })
    };
    let sha = cluster.commit(vec![large(3)]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.ready(), 2);
    let waiting = cluster.world.unplaced_pods().next().expect("one waits").clone();
    let Placement::Waiting(why) = &waiting.placement else { panic!("it waits") };
    assert_eq!(why.to_string(), "0 of 2 nodes can take it: 2 with too little CPU left");
    assert_eq!(cluster.events_with("FailedScheduling").len(), 1);
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);

    cluster.join("c", "engine-of-c");
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn the_first_node_takes_what_was_committed_before_it_came() {
    let mut cluster = Cluster::with_nodes(&[]);
    let sha = cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.unplaced_pods().count(), 2);
    cluster.join("a", "engine");
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn a_cordoned_node_takes_no_new_pods_and_keeps_its_own() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(NodeName::new("a")))]);
    cluster.commit(vec![web(6, "web:1")]);
    assert_eq!(cluster.spread(), [("a".to_owned(), 1), ("b".to_owned(), 5)].into());
    cluster.turn(&[Fact::Operator(OperatorRequest::Uncordon(NodeName::new("a")))]);
    cluster.commit(vec![web(8, "web:1")]);
    assert_eq!(cluster.spread(), [("a".to_owned(), 3), ("b".to_owned(), 5)].into());
}

#[test]
fn a_node_selector_binds_a_pod_to_the_nodes_with_its_labels() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web_with(3, "web:1", |deployment| {
        deployment.template.node_selector.insert("name".to_owned(), "b".to_owned());
    })]);
    assert_eq!(cluster.spread(), [("b".to_owned(), 3)].into());
}

#[test]
fn a_pod_goes_only_where_the_node_allows_what_it_asks_for() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.agent("b").allowed = Some(NodePrivileges::default());
    let registration = cluster.agent("b").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    let with_host_path = web_with(2, "web:1", |deployment| {
        let path = HostPath { path: "/srv".to_owned(), path_type: HostPathType::Any };
        let source = VolumeSource::HostPath(path);
        deployment.template.volumes = [Volume { name: "srv".to_owned(), source }].into();
        deployment.template.containers[0].mounts = [VolumeMount {
            volume: "srv".to_owned(),
            path: "/srv".to_owned(),
            access: MountAccess::ReadOnly,
            sub_path: None,
            propagation: MountPropagation::None,
        }]
        .into();
    });
    cluster.commit(vec![with_host_path]);
    let only_a = [("a".to_owned(), 2)].into();
    assert_eq!(cluster.spread(), only_a, "a host path is allowed where nobody says otherwise");

    let privileged = web_with(2, "web:2", |deployment| {
        deployment.template.containers[0].security = Some(Box::new(ContainerSecurity {
            privilege: Privilege::Privileged,
            ..ContainerSecurity::default()
        }));
    });
    cluster.commit(vec![privileged]);
    let waiting = cluster.world.unplaced_pods().next().expect("one waits").clone();
    let Placement::Waiting(why) = &waiting.placement else { panic!("it waits") };
    let reason = "2 that do not allow what the pod asks for (see --allow of dugout agent";
    let said = why.to_string();
    assert!(said.starts_with(&format!("0 of 2 nodes can take it: {reason}")), "{said}");

    cluster.agent("b").allowed = Some([NodePrivilege::Privileged].into_iter().collect());
    let registration = cluster.agent("b").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    assert!(cluster.world.unplaced_pods().next().is_none(), "its new policy is heeded at once");
    cluster.run_for(seconds(10));
    assert_eq!(cluster.images(), ["web:2"; 2]);
}

#[test]
fn an_agent_that_knows_no_policy_gets_no_pod_with_a_security_context() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.agent("b").allowed = Some(NodePrivileges::default());
    let registration = cluster.agent("b").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    // It asks for less than everybody has, and an agent that drops that unread would give it more.
    let careful = web_with(2, "web:1", |deployment| {
        deployment.template.containers[0].security =
            Some(Box::new(ContainerSecurity { user: Some(7), ..ContainerSecurity::default() }));
    });
    cluster.commit(vec![careful]);
    assert_eq!(cluster.spread(), [("b".to_owned(), 2)].into());
}

#[test]
fn scaling_down_takes_from_the_crowd_first_also_if_its_pods_are_older() {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    for node in ["a", "b"] {
        cluster.turn(&[Fact::Operator(OperatorRequest::Cordon(node.into()))]);
    }
    cluster.commit(vec![web(4, "web:1")]);
    cluster.run_for(seconds(3));
    for node in ["a", "b"] {
        cluster.turn(&[Fact::Operator(OperatorRequest::Uncordon(node.into()))]);
    }
    cluster.commit(vec![web(6, "web:1")]);
    cluster.run_for(seconds(3));
    let spread = |a: usize, b: usize, c: usize| {
        [("a".to_owned(), a), ("b".to_owned(), b), ("c".to_owned(), c)].into()
    };
    assert_eq!(cluster.spread(), spread(1, 1, 4));
    cluster.commit(vec![web(3, "web:1")]);
    assert_eq!(cluster.spread(), spread(1, 1, 1));
}

#[test]
fn room_that_becomes_free_goes_to_a_pod_that_waits() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let large = |name: &str| {
        let mut large = deployment(name, 1, "large:1");
        large.template.containers[0].resources.memory_request_bytes = 5 << 30;
        named(name, large)
    };
    cluster.commit(vec![large("first")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![large("second")]);
    assert_eq!(cluster.world.unplaced_pods().count(), 1);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}

#[test]
fn an_agent_that_lost_its_disk_runs_its_pods_again() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.agent("a").lose_disk();
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.ready(), 2);
    assert_eq!(cluster.world.pods.len(), 2);
}

#[test]
fn reports_of_another_instance_or_an_unknown_node_are_passed_over() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(2, "web:1")]);
    cluster.run_for(seconds(3));
    let report = |node: &str, instance: &str| {
        Fact::Report(Box::new(NodeReport {
            node: NodeName::new(node),
            instance: instance.to_owned(),
            acknowledged: Turn(0),
            engine_answers: true,
            pods: [].into(),
            images: None,
            volumes: None,
            events: Vec::new(),
            first_event: None,
        }))
    };
    let turn = cluster.world.turn;
    cluster.turn(&[report("a", "impostor"), report("nobody", "instance")]);
    assert_eq!(cluster.world.turn, turn);
    assert_eq!(
        cluster.report.ignored,
        [
            Ignored::OtherInstance { node: "a".into(), instance: "impostor".to_owned() },
            Ignored::UnknownNode { node: "nobody".into() },
        ]
    );
}

/// A report of node a whose agent numbers its events.
fn report_with_events(run: u128, first: u64, messages: &[&str]) -> Fact {
    let event = |message: &&str| Event {
        at: Timestamp::default(),
        event_type: EventType::Normal,
        kind: "Node".to_owned(),
        namespace: NamespaceName::new(""),
        name: "a".to_owned(),
        reason: "Told".to_owned(),
        message: (*message).to_owned(),
    };
    Fact::Report(Box::new(NodeReport {
        node: NodeName::new("a"),
        instance: "instance-of-a".to_owned(),
        acknowledged: Turn(0),
        engine_answers: true,
        pods: [].into(),
        images: None,
        volumes: None,
        events: messages.iter().map(event).collect(),
        first_event: (!messages.is_empty())
            .then(|| EventNumber { run: uuid::Uuid::from_u128(run), number: first }),
    }))
}

#[test]
fn an_event_that_comes_again_is_told_once_also_after_a_restart_of_the_server() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.turn(&[report_with_events(1, 1, &["one", "two"])]);
    cluster.restart_engine();
    // The answer was lost: the agent sends them again, with what happened since.
    cluster.turn(&[report_with_events(1, 1, &["one", "two", "three"])]);
    // The same twice in one turn.
    let again = report_with_events(1, 3, &["three", "four"]);
    cluster.turn(&[again.clone(), again]);
    // Another start of the agent counts anew; its registration forgets nothing.
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.turn(&[report_with_events(1, 4, &["four"]), report_with_events(2, 1, &["five"])]);
    let told: Vec<String> =
        cluster.events_with("Told").iter().map(|event| event.message.clone()).collect();
    assert_eq!(told, ["one", "two", "three", "four", "five"]);

    let turn = cluster.world.turn;
    cluster.turn(&[report_with_events(2, 1, &["five"]), report_with_events(2, 0, &[])]);
    assert_eq!(cluster.world.turn, turn, "nothing new is not written");
}

#[test]
fn a_recreate_goes_on_beside_pods_that_were_replaced_with_their_node() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let recreate =
        |image| web_with(2, image, |deployment| deployment.strategy = Strategy::Recreate);
    cluster.commit(vec![recreate("web:1")]);
    cluster.run_for(seconds(3));
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    let sha = cluster.commit(vec![recreate("web:2")]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.images(), ["web:2"; 2]);
}

#[test]
fn a_node_that_will_not_come_back_is_deleted_and_what_may_exist_once_starts_elsewhere() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![db(2, "db:1", |_| {}), web(2, "web:1"), logs("logs:1", |_| {})]);
    cluster.run_for(seconds(10));
    let delete = [Fact::Operator(OperatorRequest::DeleteNode("a".into()))];
    cluster.turn(&delete);
    assert_eq!(cluster.world.nodes.len(), 2, "it is there");
    let is_there = Ignored::NodeIsThere { node: "a".into() };
    assert_eq!(cluster.report.ignored, [is_there]);

    cluster.agent("a").alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(cluster.ready(), 4, "a pod of the set waits for its node");
    cluster.turn(&delete);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.world.nodes.len(), 1);
    assert_eq!(cluster.spread(), [("b".to_owned(), 5)].into());
    assert_eq!(cluster.ready(), 5);
    assert_eq!(cluster.world.pods.len(), 5, "nothing is left of what it ran");
    assert_eq!(cluster.events_with("RemovingNode").len(), 1);

    // It was alive after all: it joins as a new node, and what it ran is nobody's.
    cluster.agent("a").alive = true;
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.spread(), [("a".to_owned(), 1), ("b".to_owned(), 5)].into());
    assert_eq!(cluster.ready(), 6, "with a daemon on it");
}
