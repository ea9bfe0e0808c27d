//! Claims and their volumes, from commit to deletion, as stories.

mod kept;

use std::collections::BTreeSet;

use dugout_model::*;
use dugout_planner::assignment;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const GIB: u64 = 1 << 30;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text)
}

fn asks(bytes: u64) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        access_modes: [AccessMode::ReadWriteOnce].into(),
        class: None,
        request_bytes: bytes,
        selector: None,
        volume_name: None,
    }
}

/// The claim `data` with a change to it.
fn claim_with(change: impl FnOnce(&mut PersistentVolumeClaim)) -> DeclaredObject {
    let mut claim = asks(GIB);
    change(&mut claim);
    declare("data", ObjectSpec::PersistentVolumeClaim(Box::new(claim)))
}

fn claim() -> DeclaredObject {
    claim_with(|_| {})
}

fn class(class: &str, change: impl FnOnce(&mut StorageClass)) -> DeclaredObject {
    let mut spec = StorageClass { is_default: false, ..StorageClass::built_in() };
    change(&mut spec);
    let object = declare(class, ObjectSpec::StorageClass(spec));
    DeclaredObject { key: ObjectKey::new("", class), ..object }
}

fn volume_of(claim: ClaimName) -> Volume<Projection> {
    let access = MountAccess::ReadWrite;
    Volume { name: "data".to_owned(), source: VolumeSource::Claim(ClaimVolume { claim, access }) }
}

/// The deployment `web`, whose pods use the claim `data`.
fn user(replicas: u32, image: &str) -> DeclaredObject {
    web_with(replicas, image, |deployment| {
        deployment.template.volumes = [volume_of(ClaimName::Named(name("data")))].into();
    })
}

/// The stateful set `db`, each pod of which has a claim of its own.
fn db_with_claims(
    replicas: u32,
    image: &str,
    change: impl FnOnce(&mut StatefulSet),
) -> DeclaredObject {
    db(replicas, image, |spec| {
        spec.template.volumes = [volume_of(ClaimName::OfTemplate(name("data")))].into();
        spec.claim_templates = [ClaimTemplate {
            name: name("data"),
            labels: StringMap::new(),
            annotations: StringMap::new(),
            claim: asks(GIB),
        }]
        .into();
        change(spec);
    })
}

fn key(claim: &str) -> ObjectKey {
    ObjectKey::new("demo", claim)
}

/// The binding of a claim that is held.
fn held(cluster: &Cluster, claim: &str) -> VolumeBinding {
    (**cluster.world.binding_of(&key(claim)).expect("it has a volume")).clone()
}

fn node_of(cluster: &Cluster, pod: &str) -> Option<String> {
    let mut pods = cluster.world.pods.values();
    let pod = pods.find(|row| row.name.as_str() == pod && row.is_active())?;
    pod.node().map(ToString::to_string)
}

fn wait_of(cluster: &Cluster, pod: &str) -> String {
    let mut pods = cluster.world.pods.values();
    let pod = pods.find(|row| row.name.as_str().starts_with(pod) && row.node().is_none());
    match &pod.expect("a pod waits").placement {
        Placement::Waiting(why) => why.to_string(),
        Placement::On { .. } => unreachable!("it has no node"),
    }
}

fn no_data_lost(cluster: &Cluster) {
    let mut claims = BTreeSet::new();
    for agent in cluster.agents.values() {
        assert_eq!(agent.lost, BTreeSet::new(), "a folder that was made is there");
        for claim in agent.claims.values() {
            assert!(claims.insert(claim), "{claim} began anew beside its data");
        }
    }
}

#[test]
fn a_claim_gets_its_volume_with_its_first_pod_and_keeps_it() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![claim()]);
    cluster.run_for(seconds(3));
    assert!(cluster.world.volume_bindings.is_empty(), "nobody uses it");
    assert_eq!(cluster.events_with("WaitForFirstConsumer").len(), 1);

    let sha = cluster.commit(vec![claim(), user(2, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let first = held(&cluster, "data");
    assert_eq!(first.state, BindingState::Bound);
    assert_eq!(cluster.events_with("ProvisioningSucceeded").len(), 1);
    let node = first.node().expect("it is made").clone();
    let nodes: BTreeSet<_> = cluster.world.pods.values().filter_map(|pod| pod.node()).collect();
    assert_eq!(nodes, BTreeSet::from([&node]), "its pods go where it is");

    let sha = cluster.commit(vec![claim(), user(2, "web:2")]);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(held(&cluster, "data").uid, first.uid);
    let told = assignment(&cluster.world, &node).expect("the node is there");
    let place = ClaimPlace::Provisioned { volume: first.uid, is_new: false };
    assert_eq!(told.pods[0].claims[0].place, place);
    no_data_lost(&cluster);
}

#[test]
fn a_pod_waits_for_the_node_of_its_volume_and_returns_to_it() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![claim(), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let node = held(&cluster, "data").node().expect("it is made").to_string();
    let other = if node == "a" { "b" } else { "a" };
    cluster.agent(&node).alive = false;
    cluster.run_for(seconds(120));
    assert!(cluster.world.pods_on(&NodeName::new(other)).next().is_none(), "none begins anew");

    // A pod that is made meanwhile says why it waits.
    cluster.commit(vec![claim(), user(2, "web:1")]);
    cluster.run_for(seconds(5));
    let wait = wait_of(&cluster, "web");
    assert!(wait.contains("1 with a volume node affinity conflict"), "{wait}");
    assert!(wait.contains("1 not ready"), "{wait}");

    cluster.agent(&node).alive = true;
    cluster.run_for(seconds(30));
    assert_eq!(cluster.ready(), 2);
    no_data_lost(&cluster);
}

#[test]
fn a_claim_that_fits_on_no_node_waits_and_room_is_counted_once() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.agent("a").storage_bytes = Some(3 * GIB);
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.commit(vec![db_with_claims(3, "db:1", |spec| {
        spec.claim_templates[0].claim.request_bytes = 2 * GIB;
    })]);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.ready(), 1);
    let wait = wait_of(&cluster, "db-1");
    assert_eq!(wait, "0 of 1 nodes can take it: 1 without enough free storage");
    cluster.agent("a").storage_bytes = Some(6 * GIB);
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.ready(), 3);
    assert_eq!(cluster.world.storage_reserved_on(&NodeName::new("a")), 6 * GIB);
}

#[test]
fn an_agent_of_an_earlier_release_gets_no_pod_with_claims() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.agent("a").storage_bytes = None;
    let registration = cluster.agent("a").registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.commit(vec![claim(), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert!(wait_of(&cluster, "web").contains("earlier release"));
}

#[test]
fn a_stateful_set_keeps_its_claims_over_rolls_and_scaling() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![db_with_claims(3, "db:1", |_| {})]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let volumes = || ["data-db-0", "data-db-1", "data-db-2"];
    let of = |cluster: &Cluster| volumes().map(|claim| held(cluster, claim).uid);
    let nodes = |cluster: &Cluster| ["db-0", "db-1", "db-2"].map(|pod| node_of(cluster, pod));
    let (first, places) = (of(&cluster), nodes(&cluster));

    let sha = cluster.commit(vec![db_with_claims(3, "db:2", |_| {})]);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!((of(&cluster), nodes(&cluster)), (first, places.clone()));

    cluster.commit(vec![db_with_claims(1, "db:2", |_| {})]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.ready(), 1);
    assert_eq!(of(&cluster), first, "they stay for the set");
    cluster.commit(vec![db_with_claims(3, "db:2", |_| {})]);
    cluster.run_for(seconds(30));
    assert_eq!((of(&cluster), nodes(&cluster)), (first, places.clone()));

    // The set leaves Git and comes back as another object.
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(60));
    assert_eq!(of(&cluster), first);
    cluster.commit(vec![web(1, "web:1"), db_with_claims(3, "db:2", |_| {})]);
    cluster.run_for(seconds(30));
    assert_eq!((of(&cluster), nodes(&cluster)), (first, places));
    no_data_lost(&cluster);
}

fn deletes(class: &mut StorageClass) {
    class.reclaim = ReclaimPolicy::Delete;
}

#[test]
fn a_claim_that_leaves_git_takes_its_data_along_only_where_its_class_says_so() {
    for policy in [ReclaimPolicy::Retain, ReclaimPolicy::Delete] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        let fast = || class("fast", |class| class.reclaim = policy);
        let claim = || claim_with(|claim| claim.class = Some(name("fast")));
        cluster.commit(vec![fast(), claim(), user(1, "web:1")]);
        cluster.run_for(seconds(5));
        let volume = held(&cluster, "data").uid;
        cluster.commit(vec![fast(), web(1, "web:2")]);
        for _ in 0..20 {
            if cluster.world.users_of(&key("data")).next().is_some() {
                assert!(cluster.agent("a").volumes.contains(&volume), "a pod uses it");
            }
            cluster.step(seconds(1));
        }
        let is_there = cluster.agent("a").volumes.contains(&volume);
        assert_eq!(is_there, policy == ReclaimPolicy::Retain);
        let row = cluster.world.volume_bindings.get(&volume);
        assert_eq!(row.is_some(), policy == ReclaimPolicy::Retain);

        let sha = cluster.commit(vec![fast(), claim(), user(1, "web:1")]);
        cluster.run_for(seconds(30));
        assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
        let again = held(&cluster, "data").uid;
        assert_eq!(again == volume, policy == ReclaimPolicy::Retain, "what was kept is back");
        no_data_lost(&cluster);
    }
}

#[test]
fn nothing_is_deleted_before_the_release_that_lets_it_go_is_healthy() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let fast = || class("fast", deletes);
    let claim = || claim_with(|claim| claim.class = Some(name("fast")));
    cluster.commit(vec![fast(), claim(), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let volume = held(&cluster, "data").uid;
    let sha = cluster.commit(vec![fast(), web(1, "web:unready")]);
    cluster.run_for(seconds(200));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    assert_eq!(held(&cluster, "data").uid, volume);
    assert!(cluster.agent("a").volumes.contains(&volume));
    assert_eq!(cluster.ready(), 1);
}

#[test]
fn a_set_that_says_so_deletes_the_claims_of_pods_that_are_scaled_away() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let set = |replicas| {
        db_with_claims(replicas, "db:1", |spec| {
            spec.claim_templates[0].claim.class = Some(name("fast"));
            spec.claim_retention.when_scaled = ReclaimPolicy::Delete;
        })
    };
    cluster.commit(vec![class("fast", deletes), set(2)]);
    cluster.run_for(seconds(10));
    let (kept, gone) = (held(&cluster, "data-db-0").uid, held(&cluster, "data-db-1").uid);
    cluster.commit(vec![class("fast", deletes), set(1)]);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.agent("a").volumes, BTreeSet::from([kept]));
    assert!(!cluster.world.volume_bindings.contains_key(&gone));
    // The set itself is deleted: its claims are retained.
    cluster.commit(vec![class("fast", deletes), web(1, "web:1")]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.agent("a").volumes, BTreeSet::from([kept]));
}

#[test]
fn only_one_pod_has_a_claim_that_is_for_one() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let claim = claim_with(|claim| claim.access_modes = [AccessMode::ReadWriteOncePod].into());
    cluster.commit(vec![claim, user(2, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.ready(), 1);
    let wait = wait_of(&cluster, "web");
    assert!(wait.contains("ReadWriteOncePod"), "{wait}");
}

fn declared(volume: &str, bytes: u64, node: &str) -> DeclaredObject {
    let expression = LabelRequirement {
        key: HOSTNAME_LABEL.to_owned(),
        operator: LabelOperator::In(vec![node.to_owned()]),
    };
    let labels = LabelSelector { match_expressions: vec![expression], ..LabelSelector::default() };
    let nodes = NodeAffinity { terms: [NodeTerm { labels, names: Box::default() }].into() };
    let spec = PersistentVolume {
        capacity_bytes: bytes,
        access_modes: [AccessMode::ReadWriteOnce].into(),
        class: name("disks"),
        claim: None,
        place: VolumePlace {
            source: PersistentVolumeSource::Local { path: format!("/disks/{volume}") },
            nodes: Some(nodes),
        },
    };
    let object = declare(volume, ObjectSpec::PersistentVolume(Box::new(spec)));
    DeclaredObject { key: ObjectKey::new("", volume), ..object }
}

#[test]
fn a_declared_volume_that_fits_best_is_taken_and_belongs_to_one_claim() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let disks = || {
        vec![
            declared("large", 100 * GIB, "a"),
            declared("small", GIB / 2, "a"),
            declared("right", 2 * GIB, "b"),
        ]
    };
    let on_disks = |claim: &mut PersistentVolumeClaim| claim.class = Some(name("disks"));
    let mut objects = disks();
    objects.extend([claim_with(on_disks), user(1, "web:1")]);
    cluster.commit(objects.clone());
    cluster.run_for(seconds(5));
    // Both nodes have one that is large enough; the pod's node decides.
    let binding = held(&cluster, "data");
    let taken = binding.volume_name();
    let node = cluster.active()[0].node().expect("placed").to_string();
    assert_eq!(taken.as_str(), if node == "a" { "large" } else { "right" });
    let told = assignment(&cluster.world, &NodeName::new(&*node)).expect("the node is there");
    let source = PersistentVolumeSource::Local { path: format!("/disks/{taken}") };
    assert_eq!(told.pods[0].claims[0].place, ClaimPlace::Declared(source));

    // A pod with another claim gets what is left, and a third one nothing.
    objects.extend(["one", "two"].map(|claim| {
        let mut asked = asks(GIB);
        on_disks(&mut asked);
        declare(claim, ObjectSpec::PersistentVolumeClaim(Box::new(asked)))
    }));
    for one in ["one", "two"] {
        let mut deployment = deployment(one, 1, "web:1");
        deployment.template.volumes = [volume_of(ClaimName::Named(name(one)))].into();
        objects.push(named(one, deployment));
    }
    cluster.commit(objects);
    cluster.run_for(seconds(5));
    let (has, lacks) = match cluster.world.binding_of(&key("one")) {
        Some(_) => ("one", "two"),
        None => ("two", "one"),
    };
    assert_ne!(held(&cluster, has).volume_name(), taken);
    assert!(cluster.world.binding_of(&key(lacks)).is_none());
    let wait = wait_of(&cluster, lacks);
    assert!(wait.contains("2 without available persistent volumes to bind"), "{wait}");
}

#[test]
fn a_volume_on_a_node_that_is_deleted_is_not_begun_anew() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![db_with_claims(1, "db:1", |_| {})]);
    cluster.run_for(seconds(5));
    let node = held(&cluster, "data-db-0").node().expect("it is made").clone();
    cluster.agent(node.as_str()).alive = false;
    cluster.run_for(seconds(60));
    cluster.turn(&[Fact::Operator(OperatorRequest::DeleteNode(node.clone()))]);
    cluster.run_for(seconds(60));
    assert!(wait_of(&cluster, "db-0").contains("volume node affinity conflict"));
    // It comes back with its disk, under its name.
    cluster.agent(node.as_str()).alive = true;
    let registration = cluster.agent(node.as_str()).registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.run_for(seconds(30));
    assert_eq!(node_of(&cluster, "db-0"), Some(node.to_string()));
    no_data_lost(&cluster);
}

#[test]
fn a_claim_may_grow_and_not_shrink() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sized = |bytes| claim_with(move |claim| claim.request_bytes = bytes);
    cluster.commit(vec![sized(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![sized(2 * GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(held(&cluster, "data").capacity_bytes, 2 * GIB);
    let sha = cluster.commit(vec![sized(GIB), user(1, "web:1")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected);

    let mut cluster = Cluster::with_nodes(&["a"]);
    let fixed = || class("fixed", |class| class.is_expandable = false);
    let of_fixed = |bytes| {
        claim_with(move |claim| {
            (claim.class, claim.request_bytes) = (Some(name("fixed")), bytes);
        })
    };
    cluster.commit(vec![fixed(), of_fixed(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![fixed(), of_fixed(2 * GIB), user(1, "web:1")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected, "its class does not allow it");

    // One that has no volume yet may ask for less: else nothing would ever come of it.
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![sized(1000 * GIB)]);
    let sha = cluster.commit(vec![sized(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
}
