//! Data that must not go, and claims that must not begin anew beside it.

use super::*;

fn all_of_class(policy: ReclaimPolicy) -> DeclaredObject {
    class("fast", move |class| class.reclaim = policy)
}

fn fast(claim: &mut PersistentVolumeClaim) {
    claim.class = Some(name("fast"));
}

/// The set `db` with claims of the class `fast`, which is given up with what is scaled away or deleted.
fn deleting_db(replicas: u32, image: &str) -> DeclaredObject {
    db_with_claims(replicas, image, |spec| {
        fast(&mut spec.claim_templates[0].claim);
        spec.claim_retention = ClaimRetention {
            when_deleted: ReclaimPolicy::Delete,
            when_scaled: ReclaimPolicy::Delete,
        };
    })
}

fn folders(cluster: &Cluster) -> usize {
    cluster.agents.values().map(|agent| agent.volumes.len()).sum()
}

/// A pod that uses a claim, as a deployment of the claim's name.
fn user_of(claim: &str) -> DeclaredObject {
    let mut deployment = deployment(claim, 1, "web:1");
    deployment.template.volumes = [volume_of(ClaimName::Named(name(claim)))].into();
    named(claim, deployment)
}

fn claim_named(claim: &str, bytes: u64) -> DeclaredObject {
    declare(claim, ObjectSpec::PersistentVolumeClaim(Box::new(asks(bytes))))
}

#[test]
fn what_a_node_cannot_see_or_a_set_keeps_is_not_forgotten() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let objects = |replicas| vec![db_with_claims(replicas, "db:1", |_| {})];
    cluster.commit([objects(3), vec![claim(), user(1, "web:1")]].concat());
    cluster.run_for(seconds(20));
    let claims = ["data-db-0", "data-db-1", "data-db-2", "data"];
    let before = claims.map(|claim| held(&cluster, claim).uid);
    cluster.commit(objects(1));
    cluster.run_for(seconds(20));
    assert!(matches!(
        cluster.world.volume_bindings[&before[3]].state,
        BindingState::Released { .. }
    ));
    // Its disk is away, and it says nothing of what it holds.
    cluster.agent("a").has_disk = false;
    cluster.run_for(seconds(20));
    assert_eq!(cluster.world.volume_bindings.len(), 4);
    cluster.agent("a").has_disk = true;
    // An agent of an earlier release took an empty folder for the truth: what a set keeps stays all the same.
    let used = BTreeSet::from([before[0]]);
    let folders = std::mem::replace(&mut cluster.agent("a").volumes, used);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.world.volume_bindings.len(), 3, "what was released was removed by a person");
    assert_eq!(cluster.events_with("VolumeForgotten").len(), 1);
    cluster.agent("a").volumes = folders;
    cluster.commit(objects(3));
    cluster.run_for(seconds(20));
    assert_eq!(cluster.ready(), 3);
    let now = [0, 1, 2].map(|index| held(&cluster, claims[index]).uid);
    assert_eq!(now, [before[0], before[1], before[2]]);
    no_data_lost(&cluster);
}

#[test]
fn a_set_finds_what_a_declared_claim_of_its_name_had() {
    let mut cluster = Cluster::with_nodes(&["a", "b", "c"]);
    cluster.commit(vec![claim_named("data-db-0", GIB), user_of("data-db-0")]);
    cluster.run_for(seconds(5));
    let before = held(&cluster, "data-db-0").uid;
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert!(cluster.world.binding_of(&key("data-db-0")).is_none(), "it was given up");
    cluster.commit(vec![web(1, "web:1"), db_with_claims(1, "db:1", |_| {})]);
    cluster.run_for(seconds(20));
    assert_eq!(held(&cluster, "data-db-0").uid, before);
    assert_eq!(cluster.ready(), 2);
    no_data_lost(&cluster);
}

#[test]
fn a_claim_waits_beside_a_volume_that_is_not_what_it_asks_for() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let fixed = || class("fixed", |class| class.is_expandable = false);
    let sized = |bytes| {
        claim_with(move |claim| {
            (claim.class, claim.request_bytes) = (Some(name("fixed")), bytes);
        })
    };
    cluster.commit(vec![fixed(), sized(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let first = held(&cluster, "data").uid;
    cluster.commit(vec![fixed(), web(1, "web:1")]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fixed(), sized(2 * GIB), user(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert!(wait_of(&cluster, "web").contains("a released volume is kept"));
    let told = cluster.events_with("VolumeMismatch");
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("is smaller"), "{}", told[0].message);
    no_data_lost(&cluster);
    // Asking for what it has is one way on.
    cluster.commit(vec![fixed(), sized(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert_eq!((held(&cluster, "data").uid, cluster.ready()), (first, 1));

    // Removing its folder is another.
    cluster.commit(vec![fixed(), web(1, "web:1")]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fixed(), sized(2 * GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    cluster.agent("a").remove_folders(&[first]);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.ready(), 1);
    assert_ne!(held(&cluster, "data").uid, first);
    no_data_lost(&cluster);
}

#[test]
fn a_claim_without_a_class_gets_its_volume_back_whatever_the_default_is_by_then() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sized = |bytes| claim_with(move |claim| claim.request_bytes = bytes);
    cluster.commit(vec![sized(GIB), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let first = held(&cluster, "data").uid;
    let other = || class("other", |class| class.is_default = true);
    cluster.commit(vec![other(), web(1, "web:1")]);
    cluster.run_for(seconds(20));
    // Its class may grow, so more is no hindrance.
    cluster.commit(vec![other(), sized(2 * GIB), user(1, "web:1")]);
    cluster.run_for(seconds(20));
    let again = held(&cluster, "data");
    assert_eq!((again.uid, again.capacity_bytes), (first, 2 * GIB));
    no_data_lost(&cluster);
}

#[test]
fn of_several_volumes_the_one_that_was_released_last_comes_back() {
    // The uids are random: over several pairs any other order shows.
    for pair in 0..6 {
        let mut cluster = Cluster::with_nodes(&["a"]);
        for _ in 0..pair {
            cluster.new_sha();
            cluster.turn(&[]);
            cluster.restart_engine();
            cluster.commit(vec![web(1, "web:0")]);
        }
        cluster.commit(vec![claim(), user(1, "web:1")]);
        cluster.run_for(seconds(5));
        let first = held(&cluster, "data").uid;
        cluster.commit(vec![web(1, "web:1")]);
        cluster.run_for(seconds(20));
        let other = |claim: &mut PersistentVolumeClaim| {
            claim.volume_name = Some(name("disk"));
            claim.class = Some(name("disks"));
        };
        // A claim that names another volume asks for that one.
        let disk = || declared("disk", GIB, "a");
        cluster.commit(vec![disk(), claim_with(other), user(1, "web:1")]);
        cluster.run_for(seconds(20));
        let second = held(&cluster, "data").uid;
        assert_ne!(first, second);
        cluster.commit(vec![disk(), web(1, "web:1")]);
        cluster.run_for(seconds(20));
        cluster.commit(vec![disk(), claim(), user(1, "web:1")]);
        cluster.run_for(seconds(20));
        assert_eq!(held(&cluster, "data").uid, second, "pair {pair}");
    }
}

#[test]
fn a_set_has_no_say_over_the_claims_of_another_with_names_alike() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let set = |set: &str, template: &str, replicas, image: &str| {
        let mut object = db_with_claims(replicas, image, |spec| {
            spec.claim_templates[0].name = name(template);
            spec.template.volumes = [volume_of(ClaimName::OfTemplate(name(template)))].into();
            fast(&mut spec.claim_templates[0].claim);
            spec.claim_retention.when_scaled = ReclaimPolicy::Delete;
        });
        object.key = key(set);
        object
    };
    let fast = || all_of_class(ReclaimPolicy::Delete);
    let elder = |image: &str| set("c", "a-b", 3, image);
    cluster.commit(vec![fast(), elder("db:1")]);
    cluster.run_for(seconds(20));
    let before = held(&cluster, "a-b-c-1").uid;
    cluster.commit(vec![fast(), elder("db:1"), set("b-c", "a", 1, "db:1")]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fast(), elder("db:2"), set("b-c", "a", 1, "db:1")]);
    cluster.run_for(seconds(60));
    assert_eq!(held(&cluster, "a-b-c-1").uid, before);
    assert!(cluster.agent("a").volumes.contains(&before));
}

#[test]
fn a_declared_volume_that_a_claim_has_keeps_its_name_and_its_path_is_nobody_elses() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let on_disks = |claim: &mut PersistentVolumeClaim| claim.class = Some(name("disks"));
    let disk = |volume: &str| {
        let mut object = declared(volume, 2 * GIB, "a");
        let ObjectSpec::PersistentVolume(spec) = &mut object.spec else { unreachable!() };
        spec.place.source = PersistentVolumeSource::Local { path: "/disks/1/".to_owned() };
        object
    };
    cluster.commit(vec![disk("disk1"), claim_with(on_disks), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![disk("fast-1"), claim_with(on_disks), user(1, "web:1")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected);
    let why = cluster.release(&sha).reason.clone().expect("it says why");
    assert!(why.contains("PersistentVolumeClaim demo/data has it"), "{why}");

    // Under a second name it is the same volume.
    let other = || {
        let mut asked = asks(GIB);
        on_disks(&mut asked);
        declare("other", ObjectSpec::PersistentVolumeClaim(Box::new(asked)))
    };
    let both = vec![disk("disk1"), disk("fast-1"), claim_with(on_disks), user(1, "web:1")];
    cluster.commit([both, vec![other(), user_of("other")]].concat());
    cluster.run_for(seconds(5));
    assert!(wait_of(&cluster, "other").contains("without available persistent volumes to bind"));
    // Once its claim is gone it may go.
    cluster.commit_allowing(9, vec![disk("disk1"), web(1, "web:1")]);
    cluster.run_for(seconds(20));
    let sha = cluster.commit_allowing(9, vec![disk("fast-1"), other(), user_of("other")]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(held(&cluster, "other").volume_name(), name("fast-1"));
}

#[test]
fn a_commit_that_deletes_the_data_of_a_sets_claims_is_held() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let fast = || all_of_class(ReclaimPolicy::Delete);
    cluster.commit(vec![fast(), deleting_db(10, "db:1")]);
    cluster.run_for(seconds(60));
    assert_eq!(folders(&cluster), 10);
    let sha = cluster.commit(vec![fast(), deleting_db(1, "db:1")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Held);
    let why = cluster.release(&sha).reason.clone().expect("it says why");
    assert!(why.contains("9 of them claims of stateful sets with their data"), "{why}");
    let sha = cluster.commit(vec![fast(), web(1, "web:1")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Held);
    let sha = cluster.commit_allowing(9, vec![fast(), deleting_db(1, "db:1")]);
    cluster.run_for(seconds(60));
    assert_eq!((cluster.verdict(&sha), folders(&cluster)), (Verdict::Healthy, 1));
    // And with the set, whose own removal is one more.
    cluster.commit_allowing(2, vec![fast(), web(1, "web:1")]);
    cluster.run_for(seconds(60));
    assert_eq!(folders(&cluster), 0);
}

#[test]
fn the_annotation_of_a_template_is_that_of_its_claims() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let fast = || all_of_class(ReclaimPolicy::Delete);
    let db = |replicas, prune: &str| {
        let mut object = deleting_db(replicas, "db:1");
        let ObjectSpec::StatefulSet(spec) = &mut object.spec else { unreachable!() };
        let annotation = (PRUNE_ANNOTATION.to_owned(), prune.to_owned());
        spec.claim_templates[0].annotations = StringMap::from([annotation]);
        object
    };
    cluster.commit(vec![fast(), db(2, "confirm")]);
    cluster.run_for(seconds(20));
    let sha = cluster.commit(vec![fast(), db(1, "confirm")]);
    assert_eq!(cluster.verdict(&sha), Verdict::Held);

    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![fast(), db(2, "disabled")]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fast(), db(1, "disabled")]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fast(), web(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert_eq!(folders(&cluster), 2);
}

#[test]
fn what_is_gone_back_from_keeps_its_data() {
    let fast = || all_of_class(ReclaimPolicy::Delete);
    let first = || vec![fast(), web(1, "web:1")];
    let claimed = || claim_with(|claim| claim.class = Some(name("fast")));
    let second = |image: &str| vec![fast(), claimed(), user(1, image), deleting_db(1, "db:1")];
    for goes_by_itself in [true, false] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(first());
        cluster.run_for(seconds(10));
        let image = if goes_by_itself { "web:unready" } else { "web:2" };
        let sha = cluster.commit(second(image));
        cluster.run_for(seconds(if goes_by_itself { 300 } else { 20 }));
        if goes_by_itself {
            assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
        } else {
            assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
            cluster.commit_with_message(first(), &format!("Back\n\nDugout-Reverts: {sha}"));
        }
        cluster.run_for(seconds(60));
        assert_eq!(folders(&cluster), 2, "by itself: {goes_by_itself}");
        assert!(!cluster.events_with("VolumeRetained").is_empty());
    }
}

#[test]
fn a_source_that_never_was_healthy_deletes_nothing() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let fast = || all_of_class(ReclaimPolicy::Delete);
    let claimed = || claim_with(|claim| claim.class = Some(name("fast")));
    let never = || named("never", deployment("never", 1, "web:unready"));
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(vec![fast(), claimed(), user(1, "web:1"), never()]);
    cluster.run_for(seconds(20));
    cluster.commit(vec![fast(), web(1, "web:1"), never()]);
    cluster.run_for(seconds(60));
    assert_eq!(folders(&cluster), 1);
    let sha = cluster.commit(vec![fast(), web(1, "web:1")]);
    cluster.run_for(seconds(30));
    assert_eq!((cluster.verdict(&sha), folders(&cluster)), (Verdict::Healthy, 0));
}

#[test]
fn what_was_released_on_a_node_that_is_deleted_is_found_when_it_joins_again() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![claim(), user(1, "web:1")]);
    cluster.run_for(seconds(5));
    let before = held(&cluster, "data");
    let node = before.node().expect("it is made").clone();
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(20));
    cluster.agent(node.as_str()).alive = false;
    cluster.run_for(seconds(60));
    cluster.turn(&[Fact::Operator(OperatorRequest::DeleteNode(node.clone()))]);
    cluster.run_for(seconds(5));
    cluster.agent(node.as_str()).alive = true;
    let registration = cluster.agent(node.as_str()).registration();
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.commit(vec![claim(), user(1, "web:1")]);
    cluster.run_for(seconds(30));
    assert_eq!(held(&cluster, "data").uid, before.uid);
    no_data_lost(&cluster);
}

#[test]
fn a_volume_that_was_never_made_ties_nobody_to_its_node() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    for node in ["a", "b"] {
        cluster.agent(node).has_disk = false;
    }
    cluster.commit(vec![claim(), user(1, "web:1")]);
    cluster.step(seconds(1));
    let first = held(&cluster, "data");
    let node = first.node().expect("it is made").clone();
    assert_eq!(first.state, BindingState::Provisioning);
    for node in ["a", "b"] {
        cluster.agent(node).has_disk = true;
    }
    cluster.agent(node.as_str()).alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(held(&cluster, "data").uid, first.uid, "it may have been made");
    cluster.turn(&[Fact::Operator(OperatorRequest::DeleteNode(node.clone()))]);
    cluster.run_for(seconds(30));
    assert_ne!(held(&cluster, "data").node(), Some(&node));
    assert_eq!(cluster.ready(), 1);
}

#[test]
fn a_claim_grows_when_room_comes_and_may_take_back_what_it_did_not_get() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let resize = |cluster: &mut Cluster, bytes| {
        cluster.agent("a").storage_bytes = Some(bytes);
        let registration = cluster.agent("a").registration();
        cluster.turn(&[Fact::NodeJoined(registration)]);
    };
    resize(&mut cluster, 4 * GIB);
    let sized = |bytes| claim_with(move |claim| claim.request_bytes = bytes);
    let other = || vec![claim_named("other", 2 * GIB), user_of("other")];
    cluster.commit([vec![sized(GIB), user(1, "web:1")], other()].concat());
    cluster.run_for(seconds(5));
    cluster.commit([vec![sized(3 * GIB), user(1, "web:1")], other()].concat());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.events_with("VolumeResizeFailed").len(), 1);
    assert_eq!(held(&cluster, "data").capacity_bytes, GIB);
    let sha = cluster.commit([vec![sized(2 * GIB), user(1, "web:1")], other()].concat());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(held(&cluster, "data").capacity_bytes, 2 * GIB);
    let sha = cluster.commit([vec![sized(GIB), user(1, "web:1")], other()].concat());
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected, "it has more");

    cluster.commit([vec![sized(3 * GIB), user(1, "web:1")], other()].concat());
    cluster.run_for(seconds(5));
    assert_eq!(held(&cluster, "data").capacity_bytes, 2 * GIB);
    resize(&mut cluster, 5 * GIB);
    cluster.run_for(seconds(1));
    assert_eq!(held(&cluster, "data").capacity_bytes, 3 * GIB);

    // The folder of another goes, and its room is had.
    cluster.commit([vec![sized(4 * GIB), user(1, "web:1")], other()].concat());
    cluster.run_for(seconds(5));
    let gone = held(&cluster, "other").uid;
    cluster.commit(vec![sized(4 * GIB), user(1, "web:1")]);
    cluster.run_for(seconds(20));
    assert_eq!(held(&cluster, "data").capacity_bytes, 3 * GIB);
    cluster.agent("a").remove_folders(&[gone]);
    cluster.run_for(seconds(5));
    assert_eq!(held(&cluster, "data").capacity_bytes, 4 * GIB);
}
