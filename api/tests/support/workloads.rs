//! A world with the kinds of workload that choose pod by pod, each with the pods that it has.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;

use super::{START, deployment, map, object, pod, pod_status, replica_set, uuid, world};

pub fn world_of_workloads() -> World {
    with_workloads(world())
}

/// A stateful set in the middle of an update, a daemon set of which one node lacks its pod, and a
/// replica set, a replication controller and two bare pods, one of which is not made yet.
pub fn with_workloads(mut world: World) -> World {
    let declared = ReplicaSetSpec {
        replicas: 2,
        selector: deployment().selector,
        template: deployment().template,
        min_ready: Duration::ZERO,
    };
    let bare = || Box::new(deployment().template);
    let objects = [
        (600, "db", ObjectSpec::StatefulSet(Box::new(stateful_set()))),
        (601, "logs", ObjectSpec::DaemonSet(Box::new(daemon_set()))),
        (602, "set", ObjectSpec::ReplicaSet(Box::new(declared.clone()))),
        (603, "old", ObjectSpec::ReplicationController(Box::new(declared))),
        (604, "tool", ObjectSpec::Pod(bare())),
        (605, "awaited", ObjectSpec::Pod(bare())),
    ];
    for (number, name, spec) in objects {
        world.apply(&Change::PutObject(Arc::new(object(number, name, spec))));
        world.apply(&Change::PutRollout(Arc::new(rollout(number))));
    }
    let sets = [
        set(700, 600, "db-aaaaaaaaaa", 1),
        set(701, 600, "db-bbbbbbbbbb", 2),
        set(702, 601, "logs-cccccccccc", 1),
        set(703, 602, "set-dddddddddd", 1),
        set(704, 603, "old-eeeeeeeeee", 1),
        set(705, 604, "tool-ffffffffff", 1),
    ];
    for set in sets {
        world.apply(&Change::PutReplicaSet(Arc::new(set)));
    }
    for pod in pods_of_workloads() {
        world.apply(&Change::PutPod(Arc::new(pod)));
    }
    world
}

/// Of the stateful set two, of each other kind one.
pub fn pods_of_workloads() -> Vec<Pod> {
    let on_node = PodIdentity::OnNode(NodeName::new("alpha"));
    vec![
        one(20, 700, "db-0", PodIdentity::Ordinal(0)),
        one(21, 701, "db-1", PodIdentity::Ordinal(1)),
        one(22, 702, "logs-ccccc", on_node),
        one(23, 703, "set-ddddd", PodIdentity::Any),
        one(24, 704, "old-eeeee", PodIdentity::Any),
        one(25, 705, "tool", PodIdentity::Any),
    ]
}

fn one(number: u128, set: u128, name: &str, identity: PodIdentity) -> Pod {
    let state = ContainerState::Running { started_at: START + Duration::from_secs(1) };
    let on = Placement::On { node: NodeName::new("alpha"), at: START };
    let seen = Seen::Known(pod_status(state, true));
    Pod {
        name: ObjectName::new(name),
        replica_set: ReplicaSetUid(uuid(set)),
        identity,
        ..pod(number, "", on, Lifecycle::Active, seen)
    }
}

fn set(number: u128, owner: u128, name: &str, revision: u64) -> ReplicaSet {
    ReplicaSet {
        uid: ReplicaSetUid(uuid(number)),
        name: ObjectName::new(name),
        owner: ObjectUid(uuid(owner)),
        template_hash: TemplateHash::new(name),
        revision,
        ..replica_set()
    }
}

fn rollout(workload: u128) -> Rollout {
    let state = match workload {
        600 => RolloutState::Progressing,
        601 => RolloutState::Failed {
            reason: RolloutFailure::ProgressDeadlineExceeded,
            message: "it made no progress for 600 s".to_owned(),
        },
        605 => RolloutState::Waiting { message: "config map settings is missing".to_owned() },
        _ => RolloutState::Complete,
    };
    Rollout {
        workload: ObjectUid(uuid(workload)),
        generation: 1,
        state,
        progressed_at: START + Duration::from_secs(2),
        milestone: RolloutMilestone::default(),
    }
}

fn stateful_set() -> StatefulSet {
    StatefulSet {
        replicas: 2,
        selector: deployment().selector,
        template: deployment().template,
        service_name: "db".to_owned(),
        first_ordinal: 0,
        pod_management: PodManagement::OrderedReady,
        update: StatefulSetUpdate::RollingUpdate {
            partition: 0,
            max_unavailable: IntOrPercent::Int(1),
        },
        min_ready: Duration::ZERO,
        revision_history_limit: 10,
        claim_templates: Box::default(),
        claim_retention: ClaimRetention::default(),
    }
}

fn daemon_set() -> DaemonSet {
    let node_selector = map(&[("zone", "north")]);
    DaemonSet {
        selector: deployment().selector,
        template: PodTemplate { node_selector, ..deployment().template },
        update: DaemonSetUpdate::RollingUpdate {
            max_surge: IntOrPercent::Int(0),
            max_unavailable: IntOrPercent::Percent(10),
        },
        min_ready: Duration::from_secs(3),
        revision_history_limit: 10,
    }
}
