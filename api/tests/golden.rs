//! Every kind of object in its serialised form, against files that a person can read. Run with
//! `UPDATE_GOLDEN=1` to write them anew after a change that is meant.

#![allow(clippy::expect_used, reason = "what a helper expects is part of the test")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use dugout_api::{Object, View};
use dugout_model::{Change, Kind, ObjectId, ObjectKey, ReplicaSetUid};

fn check(name: &str, object: &Object) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let text = serde_json::to_string_pretty(object).expect("JSON") + "\n";
    assert!(!text.contains("hunter2"), "a secret leaked into {name}");
    assert!(!text.contains("aHVudGVyMg"), "a secret leaked into {name}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

fn check_stored(name: &str, id: &ObjectId) {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    check(name, &view.stored(&world.objects[id]));
}

#[test]
fn a_namespace() {
    check_stored("namespace", &ObjectId::new(Kind::Namespace, "", "demo"));
}

#[test]
fn a_config_map() {
    check_stored("configmap", &ObjectId::new(Kind::ConfigMap, "demo", "web-config"));
}

#[test]
fn a_secret_shows_its_keys_and_nothing_of_their_content() {
    check_stored("secret", &ObjectId::new(Kind::Secret, "demo", "web-secret"));
}

#[test]
fn a_service() {
    check_stored("service", &ObjectId::new(Kind::Service, "demo", "web"));
}

#[test]
fn a_deployment_in_the_middle_of_a_rollout() {
    check_stored("deployment", &ObjectId::new(Kind::Deployment, "demo", "web"));
}

#[test]
fn a_replica_set_shows_resolved_configuration_without_secrets() {
    let mut world = support::world();
    let mut newer = support::replica_set();
    (newer.uid, newer.revision) = (ReplicaSetUid(uuid::Uuid::from_u128(1)), newer.revision + 1);
    world.apply(&Change::PutReplicaSet(Arc::new(newer)));
    let view = View { world: &world, now: support::now() };
    check("replicaset", &Object::ReplicaSet(Box::new(view.replica_set(&support::replica_set()))));
}

/// By this `kubectl describe` tells a deployment's new replica set from its old ones.
#[test]
fn the_newest_replica_set_shows_the_template_of_its_deployment() {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    let id = ObjectId::new(Kind::Deployment, "demo", "web");
    let deployment = serde_json::to_value(view.stored(&world.objects[&id])).expect("JSON");
    let set = view.replica_set(&support::replica_set());
    let mut template = serde_json::to_value(set.spec.template).expect("JSON");
    let labels = template["metadata"]["labels"].as_object_mut().expect("labels");
    assert!(labels.remove("pod-template-hash").is_some());
    assert_eq!(template, deployment["spec"]["template"]);
}

#[test]
fn pods_that_are_ready_crashing_waiting_draining_and_unknown() {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    let names = ["pod-ready", "pod-crashing", "pod-waiting", "pod-draining", "pod-unknown"];
    for (name, pod) in names.iter().zip(support::pods()) {
        check(name, &Object::Pod(Box::new(view.pod(&pod))));
    }
}

#[test]
fn nodes_that_are_ready_and_silent() {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    for (name, node) in ["node-ready", "node-silent"].iter().zip(world.nodes.values()) {
        check(name, &Object::Node(Box::new(view.node(node))));
    }
}

#[test]
fn an_event() {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    let event = &support::events()[1];
    check("event", &Object::Event(Box::new(view.event(event, Some("the-uid".to_owned())))));
}

#[test]
fn a_source_a_release_and_a_step() {
    let world = support::world();
    let view = View { world: &world, now: support::now() };
    let source = world.sources.values().next().expect("a source");
    check("source", &Object::Source(Box::new(view.source(source))));
    let release = support::release(dugout_model::Verdict::Rejected);
    let problems = [support::problem()];
    check("release", &Object::Release(Box::new(view.release(&release, Some(&problems)))));
    let (source, release) = support::reverted();
    check("source_that_owes_a_revert", &Object::Source(Box::new(view.source(&source))));
    check("release_that_went_back", &Object::Release(Box::new(view.release(&release, None))));
    let step = &support::timeline()[2];
    check("timelineentry", &Object::TimelineEntry(Box::new(view.timeline_entry(step))));
}

#[test]
fn a_job_of_git_and_the_runs_of_a_cron_job() {
    let world = support::jobs::world_of_jobs();
    let view = View { world: &world, now: support::now() };
    for (name, kind) in [("migrate", Kind::Job), ("nightly", Kind::CronJob)] {
        let file = kind.as_str().to_ascii_lowercase();
        let id = ObjectId::new(kind, "demo", name);
        check(&file, &view.stored(&world.objects[&id]));
    }
    let runs: Vec<_> =
        world.jobs.values().filter(|job| job.scheduled_at.is_some()).cloned().collect();
    for (name, run) in ["job-running", "job-failed"].iter().zip(runs) {
        check(name, &Object::Job(Box::new(view.job(&run))));
    }
    check("pod-ended", &Object::Pod(Box::new(view.pod(&support::jobs::ended_pod()))));
}

#[test]
fn limits_and_a_quota_with_what_is_declared() {
    let world = support::with_limits(support::world());
    let view = View { world: &world, now: support::now() };
    for (kind, name) in [(Kind::LimitRange, "limitrange"), (Kind::ResourceQuota, "resourcequota")] {
        let id = ObjectId::new(kind, "demo", "web");
        check(name, &view.stored(&world.objects[&id]));
    }
}

#[test]
fn a_disruption_budget_with_what_it_comes_to() {
    let world = support::with_budget(support::world());
    let view = View { world: &world, now: support::now() };
    let id = ObjectId::new(Kind::PodDisruptionBudget, "demo", "web");
    check("poddisruptionbudget", &view.stored(&world.objects[&id]));
}

#[test]
fn claims_volumes_and_classes() {
    let world = support::storage::with_storage(support::world());
    let view = View { world: &world, now: support::now() };
    for (file, kind, namespace, name) in [
        ("persistentvolumeclaim-pending", Kind::PersistentVolumeClaim, "demo", "waits"),
        ("persistentvolumeclaim-bound", Kind::PersistentVolumeClaim, "demo", "data"),
        ("persistentvolume-declared", Kind::PersistentVolume, "", "disk"),
        ("storageclass", Kind::StorageClass, "", "fast"),
    ] {
        check(file, &view.stored(&world.objects[&ObjectId::new(kind, namespace, name)]));
    }
    let made = world.binding_of(&ObjectKey::new("demo", "data")).expect("it has a volume");
    check("persistentvolume", &Object::PersistentVolume(Box::new(view.made_volume(made))));
}

#[test]
fn the_kinds_that_choose_pod_by_pod_and_their_pods() {
    let world = support::workloads::world_of_workloads();
    let view = View { world: &world, now: support::now() };
    let objects = [
        ("statefulset", Kind::StatefulSet, "db"),
        ("daemonset", Kind::DaemonSet, "logs"),
        ("replicaset-declared", Kind::ReplicaSet, "set"),
        ("replicationcontroller", Kind::ReplicationController, "old"),
        ("pod-awaited", Kind::Pod, "awaited"),
    ];
    for (file, kind, name) in objects {
        check(file, &view.stored(&world.objects[&ObjectId::new(kind, "demo", name)]));
    }
    let pods = support::workloads::pods_of_workloads();
    for (file, name) in
        [("pod-stateful", "db-1"), ("pod-daemon", "logs-ccccc"), ("pod-bare", "tool")]
    {
        let pod = pods.iter().find(|pod| pod.name.as_str() == name).expect("a pod");
        check(file, &Object::Pod(Box::new(view.pod(pod))));
    }
}
