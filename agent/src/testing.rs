//! Small values for the tests of this crate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use uuid::Uuid;

use crate::labels::{ContainerLabels, Owner};
use crate::policy::NodePolicy;
use crate::runtime::{ObservedContainer, ObservedState};
use crate::spec::container_settings;
use crate::volumes::Layout;

pub fn owner() -> Owner {
    Owner { cluster: ClusterId(Uuid::from_u128(77)), node: NodeName::new("node-a") }
}

pub fn layout() -> Layout {
    Layout::new(Path::new("/data/volumes"), Path::new("/data/storage"), owner().cluster)
}

pub fn policy() -> NodePolicy {
    NodePolicy::new(NodePrivileges::of_any_node(), Path::new("/data"))
}

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000_000) + Duration::from_secs(seconds)
}

pub fn template(container: &str) -> ResolvedTemplate {
    ResolvedTemplate {
        labels: StringMap::from([("app".to_owned(), "web".to_owned())]),
        annotations: StringMap::new(),
        containers: vec![Container {
            name: container.to_owned(),
            image: "image:1".into(),
            pull_policy: PullPolicy::IfNotPresent,
            command: vec![],
            args: vec![],
            working_dir: None,
            env: vec![],
            ports: vec![],
            resources: ContainerResources::default(),
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            lifecycle: None,
            restart_policy: None,
            mounts: Box::default(),
            security: None,
            streams: dugout_model::Streams::default(),
        }],
        init_containers: vec![],
        restart_policy: RestartPolicy::Always,
        termination_grace: Duration::from_secs(7),
        node_selector: StringMap::new(),
        volumes: Box::default(),
        image_pull_secrets: Box::default(),
        security: None,
        names: None,
    }
}

pub fn uid(number: u128) -> PodUid {
    PodUid(Uuid::from_u128(number))
}

pub fn pod(number: u128, template: ResolvedTemplate) -> AssignedPod {
    AssignedPod {
        uid: uid(number),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new(format!("web-{number}")),
        replica_set: ReplicaSetUid(Uuid::from_u128(5)),
        template: Arc::new(template),
        order: PodOrder::Run { draining: false },
        drift: Drift::Correct,
        claims: Vec::new(),
        pins: Vec::new(),
    }
}

pub fn assignment(generation: u64, pods: Vec<AssignedPod>) -> Assignment {
    Assignment {
        cluster: owner().cluster,
        node: owner().node,
        generation: Turn(generation),
        pods,
        services: vec![],
        images: vec![],
        pull_secrets: Vec::new(),
        deleted_volumes: Vec::new(),
    }
}

pub fn container(number: u128, attempt: u32, state: ObservedState) -> ObservedContainer {
    ObservedContainer {
        id: format!("id-{number}-{attempt}"),
        labels: ContainerLabels {
            namespace: NamespaceName::new("demo"),
            pod: ObjectName::new(format!("web-{number}")),
            uid: uid(number),
            container: "web".into(),
            attempt,
            crashes: 0,
            grace: Duration::from_secs(9),
            volumes: Vec::new(),
        },
        image_id: Some("sha256:1".into()),
        image_digest: None,
        state,
        settings: container_settings(&template("web"), "web").unwrap(),
        address: Some("172.17.0.5".parse().unwrap()),
        created_at: at(0),
        process: None,
    }
}

pub fn running(since: u64) -> ObservedState {
    ObservedState::Running { started_at: at(since) }
}

pub fn exited(started: u64, finished: u64) -> ObservedState {
    exited_with(started, finished, 1)
}

pub fn exited_with(started: u64, finished: u64, exit_code: i64) -> ObservedState {
    ObservedState::Exited {
        started_at: at(started),
        exit: ContainerExit { exit_code, oom_killed: false, finished_at: at(finished) },
    }
}
