//! The independent check refuses what no plan may do. Each case is a change that the planner itself
//! would not make.

use std::sync::Arc;

use dugout_model::*;
use dugout_planner::{Plan, PlanReport, Violation, check};

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, seconds};

/// What the check says of these changes to a cluster.
pub(crate) fn violations(cluster: &Cluster, changes: Vec<Change>) -> Vec<Violation> {
    let mut after = cluster.world.clone();
    changes.iter().for_each(|change| after.apply(change));
    after.turn = after.turn.next();
    let plan = Plan {
        changes,
        after,
        wake_at: [].into(),
        processed: [].into(),
        report: PlanReport::default(),
    };
    check(&cluster.world, &plan)
}

/// Three pods of `web` that are ready, on two nodes, and room for one more.
fn running() -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(3, "web:1")]);
    cluster.run_for(seconds(3));
    cluster
}

fn put(pod: Pod) -> Change {
    Change::PutPod(Arc::new(pod))
}

fn any_pod(cluster: &Cluster) -> Pod {
    (*cluster.active()[0]).clone()
}

#[test]
fn a_pod_that_serves_is_not_forgotten() {
    let cluster = running();
    let pod = any_pod(&cluster).uid;
    let found = violations(&cluster, vec![Change::DeletePod(pod)]);
    assert!(found.contains(&Violation::ActivePodForgotten { pod }), "{found:?}");
    let node = cluster.world.pods[&pod].node().expect("placed").clone();
    assert!(found.contains(&Violation::GenerationNotRaised { node }), "{found:?}");
}

#[test]
fn a_pod_neither_moves_nor_comes_back() {
    let cluster = running();
    let mut pod = any_pod(&cluster);
    let elsewhere = if pod.node() == Some(&"a".into()) { "b" } else { "a" };
    pod.placement = Placement::On { node: elsewhere.into(), at: cluster.now };
    let found = violations(&cluster, vec![put(pod.clone())]);
    assert!(found.contains(&Violation::PodMoved { pod: pod.uid }), "{found:?}");

    let mut cluster = running();
    cluster.commit(vec![web(2, "web:1")]);
    let leaving = cluster.world.pods.values().find(|pod| !pod.is_active()).expect("one leaves");
    let back = Pod { lifecycle: Lifecycle::Active, ..(**leaving).clone() };
    let found = violations(&cluster, vec![put(back)]);
    assert!(found.contains(&Violation::LifecycleReversed { pod: leaving.uid }), "{found:?}");
}

#[test]
fn pods_go_only_to_nodes_that_are_there_and_fit() {
    let mut cluster = running();
    cluster.turn(&[Fact::Operator(OperatorRequest::Cordon("a".into()))]);
    let mut pod = any_pod(&cluster);
    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    pod.placement = Placement::On { node: "a".into(), at: cluster.now };
    let found = violations(&cluster, vec![put(pod.clone())]);
    let expected = Violation::PlacedOnUnfitNode { pod: pod.uid, node: "a".into() };
    assert!(found.contains(&expected), "{found:?}");

    // The other one is schedulable, and allows nothing that must be allowed.
    let mut set = (**cluster.world.replica_set_of(&pod).expect("it has one")).clone();
    let mut template = (*set.template).clone();
    let privilege = Privilege::Privileged;
    template.containers[0].security =
        Some(Box::new(ContainerSecurity { privilege, ..ContainerSecurity::default() }));
    set.template = std::sync::Arc::new(template);
    pod.placement = Placement::On { node: "b".into(), at: cluster.now };
    let rows = vec![Change::PutReplicaSet(set.into()), put(pod.clone())];
    let expected = Violation::PlacedOnUnfitNode { pod: pod.uid, node: "b".into() };
    let found = violations(&cluster, rows);
    assert!(found.contains(&expected), "{found:?}");

    pod.placement = Placement::On { node: "nowhere".into(), at: cluster.now };
    let found = violations(&cluster, vec![put(pod.clone())]);
    let expected = Violation::PodOnUnknownNode { pod: pod.uid, node: "nowhere".into() };
    assert!(found.contains(&expected), "{found:?}");

    let many = (1..200_u128).map(|number| {
        let mut pod = pod.clone();
        pod.uid = PodUid(uuid::Uuid::from_u128(number));
        pod.placement = Placement::On { node: "b".into(), at: cluster.now };
        put(pod)
    });
    let found = violations(&cluster, many.collect());
    assert!(found.contains(&Violation::NodeOverbooked { node: "b".into() }), "{found:?}");
    let is_surge = |found: &Violation| matches!(found, Violation::TooManyPods { most: 4, .. });
    assert!(found.iter().any(is_surge), "{found:?}");
}

#[test]
fn a_rollout_takes_no_pod_that_must_serve() {
    let cluster = running();
    let pod = any_pod(&cluster);
    let lifecycle = Lifecycle::Draining {
        since: cluster.now,
        since_turn: cluster.world.turn.next(),
        deadline: cluster.now,
        reason: StopReason::Scaled,
    };
    let found = violations(&cluster, vec![put(Pod { lifecycle, ..pod })]);
    let is_loss = |found: &Violation| {
        matches!(found, Violation::TooFewAvailable { available: 2, least: 3, .. })
    };
    assert!(found.iter().any(is_loss), "{found:?}");
}

#[test]
fn rows_follow_what_they_refer_to() {
    let cluster = running();
    let mut pod = any_pod(&cluster);
    let replica_set = pod.replica_set;
    let found = violations(&cluster, vec![Change::DeleteReplicaSet(replica_set)]);
    let expected = Violation::ReplicaSetRemovedUnderPods { replica_set };
    assert!(found.contains(&expected), "{found:?}");

    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    pod.replica_set = ReplicaSetUid(uuid::Uuid::from_u128(2));
    let found = violations(&cluster, vec![put(pod.clone())]);
    assert!(found.contains(&Violation::PodWithoutReplicaSet { pod: pod.uid }), "{found:?}");
}

#[test]
fn a_verdict_is_final_and_release_numbers_grow() {
    let cluster = running();
    let healthy = (**cluster.releases.values().next().expect("one release")).clone();
    let release = healthy.id;
    let failed = Release { verdict: Verdict::Failed, ..healthy.clone() };
    let found = violations(&cluster, vec![Change::PutRelease(Arc::new(failed))]);
    assert!(found.contains(&Violation::VerdictChanged { release }), "{found:?}");
    let earlier = Release { id: ReleaseId(0), ..healthy };
    let found = violations(&cluster, vec![Change::PutRelease(Arc::new(earlier))]);
    assert!(found.contains(&Violation::ReleaseIdReused { release: ReleaseId(0) }), "{found:?}");
}

#[test]
fn nothing_of_a_quarantined_revision_is_applied() {
    let mut cluster = running();
    let sha = cluster.commit(vec![web(3, "web:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let id = ObjectId::new(Kind::ConfigMap, "demo", "settings");
    let object = StoredObject {
        uid: ObjectUid(uuid::Uuid::from_u128(1)),
        source: SOURCE.into(),
        sha,
        generation: 1,
        created_at: cluster.now,
        orphaned: false,
        declared: Arc::new(config("settings", "a", "b")),
    };
    let found = violations(&cluster, vec![Change::PutObject(Arc::new(object))]);
    assert_eq!(found, [Violation::QuarantinedObject { object: id }]);
}

#[test]
fn a_release_that_is_told_to_have_gone_back_is_back_whole() {
    let mut cluster = running();
    let sha = cluster.commit(vec![web(3, "web:unready")]);
    cluster.run_for(seconds(3));
    let release = cluster.release(&sha).clone();
    let told = Release { verdict: Verdict::Reverted, ..release.clone() };
    let keys: Vec<_> = cluster.world.baselines.keys().cloned().collect();
    let forget = keys.into_iter().map(Change::DeleteBaseline);
    let incomplete = Violation::WayBackIncomplete { release: release.id };
    let found = violations(&cluster, vec![Change::PutRelease(Arc::new(told.clone()))]);
    assert!(found.contains(&incomplete), "{found:?}");
    let changes = forget.chain([Change::PutRelease(Arc::new(told))]).collect();
    let found = violations(&cluster, changes);
    assert!(found.contains(&incomplete), "its object is still the new one: {found:?}");
}

#[test]
fn a_generation_changes_only_with_what_a_node_must_run() {
    let cluster = running();
    let node = (*cluster.world.nodes[&NodeName::new("a")]).clone();
    let raised = Node { generation: cluster.world.turn.next(), ..node };
    let found = violations(&cluster, vec![Change::PutNode(Arc::new(raised))]);
    assert_eq!(found, [Violation::GenerationRaisedForNothing { node: "a".into() }]);
}

#[test]
fn the_turn_and_the_changes_must_be_in_the_world_after() {
    let cluster = running();
    let pod = any_pod(&cluster).uid;
    let plan = Plan {
        changes: vec![Change::DeletePod(pod)],
        after: cluster.world.clone(),
        wake_at: [].into(),
        processed: [].into(),
        report: PlanReport::default(),
    };
    let (after, expected) = (cluster.world.turn, cluster.world.turn.next());
    assert_eq!(
        check(&cluster.world, &plan),
        [Violation::WrongTurn { after, expected }, Violation::NotApplied { index: 0 }]
    );
}

/// An indexed job with two of its three indexes at work.
fn working() -> (Cluster, Job, Pod) {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:1", |spec| {
        (spec.completions, spec.parallelism) = (Completions::Indexed(3), 2);
    })]);
    cluster.run_for(seconds(3));
    let row = (**cluster.world.jobs.values().next().expect("a job")).clone();
    let mut pod = any_pod(&cluster);
    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    (cluster, row, pod)
}

#[test]
fn a_job_has_no_more_pods_than_may_work_nor_two_on_one_index() {
    let (cluster, row, pod) = working();
    let PodIdentity::CompletionIndex(index) = pod.identity else { panic!("it has an index") };
    let found = violations(&cluster, vec![put(pod)]);
    let expected = Violation::TooManyJobPods { job: row.uid, active: 3, most: 2 };
    assert!(found.contains(&expected), "{found:?}");
    assert!(found.contains(&Violation::IndexTakenTwice { job: row.uid, index }), "{found:?}");
}

#[test]
fn no_pod_of_a_finished_job_begins_and_it_stays_finished() {
    let (mut cluster, row, mut pod) = working();
    let done = Job { state: JobState::Complete { at: cluster.now }, ..row.clone() };
    let done = Change::PutJob(Arc::new(done));
    pod.identity = PodIdentity::CompletionIndex(2);
    let found = violations(&cluster, vec![done.clone(), put(pod.clone())]);
    let expected = Violation::PodOfIdleJob { pod: pod.uid, job: row.uid };
    assert!(found.contains(&expected), "{found:?}");

    cluster.world.apply(&done);
    let found = violations(&cluster, vec![Change::PutJob(Arc::new(row.clone()))]);
    assert_eq!(found, [Violation::FinishedJobChanged { job: row.uid }]);
}

#[test]
fn an_ordinal_and_a_name_belong_to_one_pod() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![db(1, "db:1", |_| {})]);
    cluster.run_for(seconds(3));
    let mut pod = any_pod(&cluster);
    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    let found = violations(&cluster, vec![put(pod)]);
    let workload = ObjectId::new(Kind::StatefulSet, "demo", "db");
    let expected = Violation::OrdinalTakenTwice { workload, ordinal: 0 };
    assert!(found.contains(&expected), "{found:?}");
    let expected = Violation::NameTakenTwice { namespace: "demo".into(), name: "db-0".into() };
    assert!(found.contains(&expected), "{found:?}");
}

/// A pod on its way out by choice.
fn drained(cluster: &Cluster, pod: Pod) -> Change {
    let lifecycle = Lifecycle::Draining {
        since: cluster.now,
        since_turn: cluster.world.turn.next(),
        deadline: cluster.now,
        reason: StopReason::Scaled,
    };
    put(Pod { lifecycle, ..pod })
}

#[test]
fn a_stateful_set_keeps_all_that_serve_but_one() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![db(3, "db:1", |_| {})]);
    cluster.run_for(seconds(8));
    let leave = |pods: usize| {
        let pods = cluster.active().into_iter().take(pods);
        violations(&cluster, pods.map(|pod| drained(&cluster, (*pod).clone())).collect())
    };
    assert_eq!(losses(&leave(1)), []);
    assert_eq!(losses(&leave(2)), [(1, 2)]);
}

/// How many stay available where too few do, and how many must.
fn losses(found: &[Violation]) -> Vec<(u32, u32)> {
    let loss = |found: &Violation| match found {
        Violation::TooFewAvailable { available, least, .. } => Some((*available, *least)),
        _ => None,
    };
    found.iter().filter_map(loss).collect()
}

#[test]
fn a_replica_set_keeps_as_many_that_serve_as_asked() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![declared_set(2, "set:1")]);
    cluster.run_for(seconds(3));
    let pod = drained(&cluster, any_pod(&cluster));
    assert_eq!(losses(&violations(&cluster, vec![pod])), [(1, 2)]);
}

#[test]
fn a_daemon_is_alone_on_its_node_and_on_no_other() {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    cluster.commit(vec![logs("logs:1", |_| {})]);
    cluster.run_for(seconds(3));
    let workload = ObjectId::new(Kind::DaemonSet, "demo", "logs");
    let mut pod = any_pod(&cluster);
    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    pod.name = "logs-again".into();
    let node = pod.node().expect("placed").clone();
    let found = violations(&cluster, vec![put(pod.clone())]);
    let expected = Violation::TooManyDaemons { workload, node };
    assert!(found.contains(&expected), "{found:?}");

    pod.identity = PodIdentity::OnNode("elsewhere".into());
    let found = violations(&cluster, vec![put(pod.clone())]);
    let is_elsewhere = |found: &Violation| matches!(found, Violation::DaemonElsewhere { .. });
    assert!(found.iter().any(is_elsewhere), "{found:?}");

    let leave = |pods: usize| {
        let pods = cluster.active().into_iter().take(pods);
        violations(&cluster, pods.map(|pod| drained(&cluster, (*pod).clone())).collect())
    };
    let is_taken = |found: &Violation| matches!(found, Violation::DaemonTaken { .. });
    assert!(!leave(1).iter().any(is_taken));
    assert!(leave(2).iter().any(is_taken));
}

#[test]
fn a_replica_set_has_no_more_pods_than_asked() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![declared_set(1, "set:1")]);
    cluster.run_for(seconds(3));
    let mut pod = any_pod(&cluster);
    pod.uid = PodUid(uuid::Uuid::from_u128(1));
    pod.name = "set-again".into();
    let found = violations(&cluster, vec![put(pod)]);
    let workload = ObjectId::new(Kind::ReplicaSet, "demo", "set");
    let expected = Violation::TooManyPods { workload, active: 2, most: 1 };
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn nothing_new_begins_beside_what_it_waits_for() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let first = named("first", deployment("first", 1, "first:unready"));
    cluster.commit(vec![first, after(web(1, "web:1"), [(Kind::Deployment, "first")])]);
    let owner = cluster.deployment("web");
    let (workload, awaited) =
        (web(1, "web:1").id(), named("first", deployment("first", 1, "first:1")).id());
    let of_first = cluster.world.current_replica_set(cluster.deployment("first")).expect("one");
    let set = ReplicaSet {
        uid: ReplicaSetUid(owner.0),
        name: ObjectName::new("web-1"),
        owner,
        ..(**of_first).clone()
    };
    let found = violations(&cluster, vec![Change::PutReplicaSet(Arc::new(set))]);
    assert!(found.contains(&Violation::BeganTooEarly { workload, awaited }), "{found:?}");
}

/// The first pod of a cluster as if it were moved away now.
fn evicted(cluster: &Cluster, nth: usize) -> Pod {
    let reason = StopReason::Evicted;
    let lifecycle = Lifecycle::Stopping { since: cluster.now, grace: seconds(1), reason };
    Pod { lifecycle, ..(*cluster.active()[nth]).clone() }
}

/// Three pods of a replica set on the only node, which is drained while a budget holds them all.
fn held_by_budgets(budgets: Vec<DeclaredObject>) -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(budgets.into_iter().chain([declared_set(3, "set:1")]).collect());
    cluster.run_for(seconds(3));
    cluster.turn(&[Fact::Operator(OperatorRequest::Drain("a".into()))]);
    assert_eq!(cluster.ready(), 3);
    cluster
}

#[test]
fn no_more_pods_are_moved_away_than_a_budget_lets_go() {
    let cluster = held_by_budgets(vec![budget("set", min_available(3))]);
    let budget = ObjectId::new(Kind::PodDisruptionBudget, "demo", "budget");
    let found = violations(&cluster, vec![put(evicted(&cluster, 0))]);
    assert!(found.contains(&Violation::BudgetExceeded { budget: budget.clone() }), "{found:?}");

    // One may go, and two at a time are too many.
    let mut row = (*cluster.world.objects[&budget]).clone();
    let mut declared = (*row.declared).clone();
    let ObjectSpec::PodDisruptionBudget(spec) = &mut declared.spec else { unreachable!() };
    spec.limit = DisruptionLimit::MaxUnavailable(IntOrPercent::Percent(10));
    row.declared = Arc::new(declared);
    let mut relaxed = Cluster::with_nodes(&[]);
    relaxed.world = cluster.world.clone();
    relaxed.world.apply(&Change::PutObject(Arc::new(row)));
    let of_budget = |pods: &[usize]| {
        let changes = pods.iter().map(|nth| put(evicted(&relaxed, *nth))).collect();
        let found = violations(&relaxed, changes);
        found.contains(&Violation::BudgetExceeded { budget: budget.clone() })
    };
    assert!(!of_budget(&[0]), "a tenth of three is one, rounded up");
    assert!(of_budget(&[0, 1]));
}

#[test]
fn a_budget_that_lets_nothing_go_lets_nothing_go() {
    let one = DisruptionLimit::MaxUnavailable(IntOrPercent::Int(1));
    let without_number = vec![bare("tool", "tool:1"), budget("tool", one)];
    let none_ready = vec![declared_set(1, "set:unready"), budget("set", min_available(0))];
    for objects in [without_number, none_ready] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(objects);
        cluster.run_for(seconds(3));
        cluster.turn(&[Fact::Operator(OperatorRequest::Drain("a".into()))]);
        let budget = ObjectId::new(Kind::PodDisruptionBudget, "demo", "budget");
        let found = violations(&cluster, vec![put(evicted(&cluster, 0))]);
        assert!(found.contains(&Violation::BudgetExceeded { budget }), "{found:?}");
    }
}

#[test]
fn a_pod_in_two_budgets_is_not_moved_away() {
    let budgets = ["one", "two"].map(|name| budget_named(name, "set", min_available(0)));
    let cluster = held_by_budgets(budgets.into());
    let pod = evicted(&cluster, 0);
    let found = violations(&cluster, vec![put(pod.clone())]);
    assert!(found.contains(&Violation::EvictedFromSeveralBudgets { pod: pod.uid }), "{found:?}");
}

#[test]
fn nothing_is_moved_away_that_nobody_drains() {
    let cluster = running();
    let pod = evicted(&cluster, 0);
    let found = violations(&cluster, vec![put(pod.clone())]);
    assert!(found.contains(&Violation::EvictedUnasked { pod: pod.uid }), "{found:?}");
}
