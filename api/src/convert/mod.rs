//! From the world to Kubernetes' types: pure functions, the only place where the serialised form of
//! an object is made.

mod batch;
mod config;
mod daemon_set;
mod declared_pods;
mod disruption;
mod dugout;
mod event;
mod lifecycle;
mod limits;
mod meta;
mod node;
mod pod;
mod security;
mod stateful_set;
mod storage;
mod template;
mod volume;
mod workload;

use dugout_model::{Timestamp, World};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Secret, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

pub(crate) use dugout::release_name;
pub(crate) use event::{NAMESPACE_OF_CLUSTER_EVENTS, Uids, event_name, event_namespace};
pub(crate) use meta::{hash_label, moment};
pub(crate) use pod::phase as pod_phase;

use crate::dugout::{Release, Source, TimelineEntry};

/// What a conversion looks at: one snapshot at one moment.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub world: &'a World,
    pub now: Timestamp,
}

/// One object in its serialised form.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Object {
    Namespace(Box<Namespace>),
    LimitRange(Box<LimitRange>),
    ResourceQuota(Box<ResourceQuota>),
    Pod(Box<Pod>),
    Service(Box<Service>),
    ConfigMap(Box<ConfigMap>),
    Secret(Box<Secret>),
    Node(Box<Node>),
    Event(Box<Event>),
    Deployment(Box<Deployment>),
    ReplicaSet(Box<ReplicaSet>),
    ReplicationController(Box<ReplicationController>),
    StatefulSet(Box<StatefulSet>),
    DaemonSet(Box<DaemonSet>),
    Job(Box<Job>),
    CronJob(Box<CronJob>),
    PodDisruptionBudget(Box<PodDisruptionBudget>),
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    PersistentVolume(Box<PersistentVolume>),
    StorageClass(Box<StorageClass>),
    Source(Box<Source>),
    Release(Box<Release>),
    TimelineEntry(Box<TimelineEntry>),
}

impl Object {
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Object::Namespace(object) => &object.metadata,
            Object::LimitRange(object) => &object.metadata,
            Object::ResourceQuota(object) => &object.metadata,
            Object::Pod(object) => &object.metadata,
            Object::Service(object) => &object.metadata,
            Object::ConfigMap(object) => &object.metadata,
            Object::Secret(object) => &object.metadata,
            Object::Node(object) => &object.metadata,
            Object::Event(object) => &object.metadata,
            Object::Deployment(object) => &object.metadata,
            Object::ReplicaSet(object) => &object.metadata,
            Object::ReplicationController(object) => &object.metadata,
            Object::StatefulSet(object) => &object.metadata,
            Object::DaemonSet(object) => &object.metadata,
            Object::Job(object) => &object.metadata,
            Object::CronJob(object) => &object.metadata,
            Object::PodDisruptionBudget(object) => &object.metadata,
            Object::PersistentVolumeClaim(object) => &object.metadata,
            Object::PersistentVolume(object) => &object.metadata,
            Object::StorageClass(object) => &object.metadata,
            Object::Source(object) => &object.metadata,
            Object::Release(object) => &object.metadata,
            Object::TimelineEntry(object) => &object.metadata,
        }
    }
}
