//! Events, as `v1` Events that `kubectl describe` finds by the object they are about.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use dugout_model::{Event, Kind, World};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::View;
use super::meta::{moment, some_text, time, version};

/// Where events about things without a namespace are kept, as in Kubernetes.
pub(crate) const NAMESPACE_OF_CLUSTER_EVENTS: &str = "default";

/// The uids of everything that an event may be about.
#[derive(Debug, Default)]
pub struct Uids<'a>(HashMap<(&'a str, &'a str, &'a str), String>);

impl<'a> Uids<'a> {
    pub fn of(world: &'a World) -> Self {
        let mut uids = HashMap::new();
        for pod in world.pods.values() {
            let key = ("Pod", pod.namespace.as_str(), pod.name.as_str());
            uids.insert(key, pod.uid.to_string());
        }
        for set in world.replica_sets.values() {
            let key = ("ReplicaSet", set.namespace.as_str(), set.name.as_str());
            uids.insert(key, set.uid.to_string());
        }
        for (id, object) in &world.objects {
            let key = (Kind::as_str(id.kind), id.key.namespace.as_str(), id.key.name.as_str());
            uids.insert(key, object.uid.to_string());
        }
        // The pods of a declared Job name its run as their owner.
        for job in world.jobs.values() {
            let key = ("Job", job.namespace.as_str(), job.name.as_str());
            uids.insert(key, job.uid.to_string());
        }
        for node in world.nodes.values() {
            uids.insert(("Node", "", node.name.as_str()), node.instance.clone());
        }
        Self(uids)
    }

    /// Absent when the object is gone.
    pub fn get(&self, event: &Event) -> Option<String> {
        let key = (event.kind.as_str(), event.namespace.as_str(), event.name.as_str());
        self.0.get(&key).cloned()
    }
}

impl View<'_> {
    pub fn event(self, event: &Event, uid: Option<String>) -> core::Event {
        let at = time(event.at);
        core::Event {
            count: Some(1),
            event_time: moment(event.at).map(MicroTime),
            first_timestamp: at.clone(),
            involved_object: core::ObjectReference {
                api_version: Some(api_version(&event.kind).to_owned()),
                kind: Some(event.kind.clone()),
                name: Some(event.name.clone()),
                namespace: some_text(event.namespace.as_str()),
                uid,
                ..core::ObjectReference::default()
            },
            last_timestamp: at.clone(),
            message: Some(event.message.clone()),
            metadata: ObjectMeta {
                creation_timestamp: at,
                name: Some(event_name(event)),
                namespace: Some(event_namespace(event).to_owned()),
                resource_version: version(self),
                ..ObjectMeta::default()
            },
            reason: Some(event.reason.clone()),
            reporting_component: Some("dugout".to_owned()),
            source: Some(core::EventSource { component: Some("dugout".to_owned()), host: None }),
            type_: Some(event.event_type.as_str().to_owned()),
            ..core::Event::default()
        }
    }
}

pub(crate) fn event_namespace(event: &Event) -> &str {
    match event.namespace.as_str() {
        "" => NAMESPACE_OF_CLUSTER_EVENTS,
        namespace => namespace,
    }
}

/// The object's name, a dot, and a number that its content determines.
pub(crate) fn event_name(event: &Event) -> String {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    (event.at, &event.kind, &event.namespace, &event.reason, &event.message).hash(&mut hasher);
    format!("{}.{:016x}", event.name, hasher.finish())
}

/// FNV-1a: the same number in every process, unlike the standard hasher.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        "PodDisruptionBudget" => "policy/v1",
        "Source" | "Release" => "dugout.dev/v1",
        _ => "v1",
    }
}
