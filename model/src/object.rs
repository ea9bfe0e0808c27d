//! What was asked: the objects that Git declares, holding exactly what Dugout acts on.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    CommitSha, ContainerResources, CronJob, DaemonSet, Deployment, JobSpec, LimitRange,
    NamespaceName, ObjectName, ObjectUid, PersistentVolume, PersistentVolumeClaim,
    PodDisruptionBudget, PodTemplate, ReplicaSetSpec, ResourceQuota, SecretValue, SortedMap,
    SourceName, StatefulSet, StorageClass, Timestamp,
};

/// Labels or annotations.
pub type StringMap = SortedMap<String>;

/// The kinds of object that Git may declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Namespace,
    LimitRange,
    ResourceQuota,
    ConfigMap,
    Secret,
    Service,
    StorageClass,
    PersistentVolume,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    Pod,
    ReplicaSet,
    ReplicationController,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl Kind {
    /// Every kind, in the order in which they are applied.
    pub const ALL: [Kind; 18] = [
        Kind::Namespace,
        Kind::LimitRange,
        Kind::ResourceQuota,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::Service,
        Kind::StorageClass,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
        Kind::PodDisruptionBudget,
        Kind::Pod,
        Kind::ReplicaSet,
        Kind::ReplicationController,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
    ];

    /// The kinds that make pods.
    pub const WORKLOADS: [Kind; 8] = [
        Kind::Pod,
        Kind::ReplicaSet,
        Kind::ReplicationController,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
    ];

    /// The name in a manifest's `kind` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::LimitRange => "LimitRange",
            Kind::ResourceQuota => "ResourceQuota",
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
            Kind::Service => "Service",
            Kind::StorageClass => "StorageClass",
            Kind::PersistentVolume => "PersistentVolume",
            Kind::PersistentVolumeClaim => "PersistentVolumeClaim",
            Kind::PodDisruptionBudget => "PodDisruptionBudget",
            Kind::Pod => "Pod",
            Kind::ReplicaSet => "ReplicaSet",
            Kind::ReplicationController => "ReplicationController",
            Kind::Deployment => "Deployment",
            Kind::StatefulSet => "StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::Job => "Job",
            Kind::CronJob => "CronJob",
        }
    }

    /// The kind with this name, if Dugout knows it.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The name of an object inside its kind. A namespace itself has an empty `namespace`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: NamespaceName,
    pub name: ObjectName,
}

impl ObjectKey {
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self { namespace: NamespaceName::new(namespace), name: ObjectName::new(name) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.as_str().is_empty() {
            write!(out, "{}", self.name)
        } else {
            write!(out, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Kind and key together: what is unique in a cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId {
    pub kind: Kind,
    pub key: ObjectKey,
}

impl ObjectId {
    pub fn new(kind: Kind, namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self { kind, key: ObjectKey::new(namespace, name) }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind.as_str(), self.key)
    }
}

/// Where an object stands in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path inside the repository; objects of one file share it.
    pub file: Arc<str>,
    /// One-based line of the document's first field.
    pub line: u32,
}

/// One object as a revision declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredObject {
    pub key: ObjectKey,
    pub labels: StringMap,
    pub annotations: StringMap,
    /// What some of the annotations ask of Dugout.
    pub policy: ObjectPolicy,
    /// With what its namespace gives to pods that say nothing filled in.
    pub spec: ObjectSpec,
    /// Where something was filled in.
    pub written: Option<Box<WrittenTemplate>>,
    pub origin: Origin,
}

/// What a manifest itself says of its pods where its namespace filled something in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenTemplate {
    /// In the order of its containers, those that run first before the others.
    pub resources: Box<[ContainerResources]>,
    pub image_pull_secrets: Box<[ObjectName]>,
}

impl WrittenTemplate {
    /// What a template says as long as nothing is filled in.
    pub fn of(template: &PodTemplate) -> Self {
        Self {
            resources: template.all_containers().map(|container| container.resources).collect(),
            image_pull_secrets: template.image_pull_secrets.clone(),
        }
    }
}

/// What an object's annotations ask of Dugout.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ObjectPolicy {
    pub prune: Prune,
    /// How long a rollout may make no progress, for the kinds that have no field for it.
    pub progress_deadline: Option<Duration>,
    /// Workloads of the same source without which nothing new of this one begins, in order.
    pub depends_on: Box<[ObjectId]>,
    pub hook: Option<Hook>,
}

/// Where in a release a Job has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Whatever it does not need itself begins once it is complete.
    Before,
    /// It begins once all other workloads of its source are where they shall be.
    After,
}

/// What becomes of an object that leaves Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Prune {
    #[default]
    Enabled,
    /// It stays.
    Disabled,
    /// The commit is held until a person approves it.
    Confirm,
}

impl DeclaredObject {
    pub fn kind(&self) -> Kind {
        self.spec.kind()
    }

    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind(), key: self.key.clone() }
    }

    /// Whether both ask for the same thing; where the text stands does not matter.
    pub fn asks_same(&self, other: &DeclaredObject) -> bool {
        self.key == other.key
            && self.labels == other.labels
            && self.annotations == other.annotations
            && self.policy == other.policy
            && self.spec == other.spec
    }

    /// The template of its pods as its manifest has it, without what its namespace filled in.
    pub fn written_template(&self) -> Option<Cow<'_, PodTemplate>> {
        let template = self.spec.pod_template()?;
        let Some(written) = &self.written else { return Some(Cow::Borrowed(template)) };
        let mut template = template.clone();
        let containers = template.init_containers.iter_mut().chain(&mut template.containers);
        for (container, resources) in containers.zip(&written.resources) {
            container.resources = *resources;
        }
        template.image_pull_secrets.clone_from(&written.image_pull_secrets);
        Some(Cow::Owned(template))
    }
}

/// The part that differs by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectSpec {
    Namespace,
    LimitRange(LimitRange),
    ResourceQuota(Box<ResourceQuota>),
    ConfigMap(ConfigMap),
    Secret(Secret),
    Service(Service),
    StorageClass(StorageClass),
    PersistentVolume(Box<PersistentVolume>),
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    PodDisruptionBudget(Box<PodDisruptionBudget>),
    /// A pod that nothing but Git asks for.
    Pod(Box<PodTemplate>),
    ReplicaSet(Box<ReplicaSetSpec>),
    /// The old name of a replica set, with the same meaning.
    ReplicationController(Box<ReplicaSetSpec>),
    Deployment(Box<Deployment>),
    StatefulSet(Box<StatefulSet>),
    DaemonSet(Box<DaemonSet>),
    Job(Box<JobSpec>),
    CronJob(Box<CronJob>),
}

impl ObjectSpec {
    pub fn kind(&self) -> Kind {
        match self {
            ObjectSpec::Namespace => Kind::Namespace,
            ObjectSpec::LimitRange(_) => Kind::LimitRange,
            ObjectSpec::ResourceQuota(_) => Kind::ResourceQuota,
            ObjectSpec::ConfigMap(_) => Kind::ConfigMap,
            ObjectSpec::Secret(_) => Kind::Secret,
            ObjectSpec::Service(_) => Kind::Service,
            ObjectSpec::StorageClass(_) => Kind::StorageClass,
            ObjectSpec::PersistentVolume(_) => Kind::PersistentVolume,
            ObjectSpec::PersistentVolumeClaim(_) => Kind::PersistentVolumeClaim,
            ObjectSpec::PodDisruptionBudget(_) => Kind::PodDisruptionBudget,
            ObjectSpec::Pod(_) => Kind::Pod,
            ObjectSpec::ReplicaSet(_) => Kind::ReplicaSet,
            ObjectSpec::ReplicationController(_) => Kind::ReplicationController,
            ObjectSpec::Deployment(_) => Kind::Deployment,
            ObjectSpec::StatefulSet(_) => Kind::StatefulSet,
            ObjectSpec::DaemonSet(_) => Kind::DaemonSet,
            ObjectSpec::Job(_) => Kind::Job,
            ObjectSpec::CronJob(_) => Kind::CronJob,
        }
    }

    /// What its pods are made from; absent for what makes none.
    pub fn pod_template(&self) -> Option<&PodTemplate> {
        match self {
            ObjectSpec::Namespace
            | ObjectSpec::LimitRange(_)
            | ObjectSpec::ResourceQuota(_)
            | ObjectSpec::ConfigMap(_)
            | ObjectSpec::Secret(_)
            | ObjectSpec::Service(_)
            | ObjectSpec::StorageClass(_)
            | ObjectSpec::PersistentVolume(_)
            | ObjectSpec::PersistentVolumeClaim(_)
            | ObjectSpec::PodDisruptionBudget(_) => None,
            ObjectSpec::Pod(template) => Some(template),
            ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
                Some(&spec.template)
            }
            ObjectSpec::Deployment(spec) => Some(&spec.template),
            ObjectSpec::StatefulSet(spec) => Some(&spec.template),
            ObjectSpec::DaemonSet(spec) => Some(&spec.template),
            ObjectSpec::Job(spec) => Some(&spec.template),
            ObjectSpec::CronJob(spec) => Some(&spec.job.template),
        }
    }

    /// The same, to be changed.
    pub fn pod_template_mut(&mut self) -> Option<&mut PodTemplate> {
        match self {
            ObjectSpec::Namespace
            | ObjectSpec::LimitRange(_)
            | ObjectSpec::ResourceQuota(_)
            | ObjectSpec::ConfigMap(_)
            | ObjectSpec::Secret(_)
            | ObjectSpec::Service(_)
            | ObjectSpec::StorageClass(_)
            | ObjectSpec::PersistentVolume(_)
            | ObjectSpec::PersistentVolumeClaim(_)
            | ObjectSpec::PodDisruptionBudget(_) => None,
            ObjectSpec::Pod(template) => Some(template),
            ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => {
                Some(&mut spec.template)
            }
            ObjectSpec::Deployment(spec) => Some(&mut spec.template),
            ObjectSpec::StatefulSet(spec) => Some(&mut spec.template),
            ObjectSpec::DaemonSet(spec) => Some(&mut spec.template),
            ObjectSpec::Job(spec) => Some(&mut spec.template),
            ObjectSpec::CronJob(spec) => Some(&mut spec.job.template),
        }
    }

    /// Whether it makes pods.
    pub fn is_workload(&self) -> bool {
        self.pod_template().is_some()
    }
}

/// A `v1` ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConfigMap {
    pub data: StringMap,
    pub binary_data: SortedMap<Vec<u8>>,
    pub immutable: bool,
}

/// A `v1` Secret; `stringData` is already merged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// `Opaque` when the manifest names none.
    pub secret_type: String,
    pub data: SortedMap<SecretValue>,
    pub immutable: bool,
}

/// A `v1` Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub service_type: ServiceType,
    /// Pods whose labels hold every pair; a service with an empty selector has no endpoints.
    pub selector: StringMap,
    pub ports: Vec<ServicePort>,
}

/// How a service is reached. What Kubernetes says in two fields, `type` and `clusterIP`, is one choice here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceType {
    ClusterIp,
    /// Of type ClusterIP with the cluster address `None`: its name means its pods, and nothing stands
    /// between.
    Headless,
    NodePort,
    /// Its name means another DNS name, which may end with a dot. A selector has no meaning then.
    ExternalName(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// May be empty when the service has only one port.
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    /// The container port, by number or by name; defaults to `port`.
    pub target_port: PortRef,
    /// The port on every node, for a service of type NodePort. Git must name it, so that a deployment
    /// never depends on the order in which objects appeared.
    pub node_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        }
    }
}

/// A container's port, by number or by the name it has in the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRef {
    Number(u16),
    Name(String),
}

/// `matchLabels` and `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LabelSelector {
    pub match_labels: StringMap,
    pub match_expressions: Vec<LabelRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    pub key: String,
    pub operator: LabelOperator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels satisfy every requirement. An empty selector matches everything.
    pub fn matches(&self, labels: &StringMap) -> bool {
        labels_contain(labels, &self.match_labels)
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                match &requirement.operator {
                    LabelOperator::In(values) => value.is_some_and(|value| values.contains(value)),
                    LabelOperator::NotIn(values) => {
                        value.is_none_or(|value| !values.contains(value))
                    }
                    LabelOperator::Exists => value.is_some(),
                    LabelOperator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// Whether `labels` holds every pair of `wanted`.
pub fn labels_contain(labels: &StringMap, wanted: &StringMap) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A declared object with what Dugout keeps beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    pub uid: ObjectUid,
    pub source: SourceName,
    /// The commit that last changed it.
    pub sha: CommitSha,
    /// Grows by one each time what it asks for changes.
    pub generation: u64,
    pub created_at: Timestamp,
    /// It left Git, and stays because it had asked for that.
    pub orphaned: bool,
    /// Shared with the revision that it came with.
    pub declared: Arc<DeclaredObject>,
}

impl StoredObject {
    /// Whether a container of its pods uses one of these images.
    pub fn uses_any(&self, images: &BTreeSet<String>) -> bool {
        let template = self.declared.spec.pod_template();
        template.is_some_and(|template| {
            template.all_containers().any(|container| images.contains(&container.image))
        })
    }

    pub fn as_deployment(&self) -> Option<&Deployment> {
        match &self.declared.spec {
            ObjectSpec::Deployment(deployment) => Some(deployment),
            _ => None,
        }
    }

    pub fn as_budget(&self) -> Option<&PodDisruptionBudget> {
        match &self.declared.spec {
            ObjectSpec::PodDisruptionBudget(budget) => Some(budget),
            _ => None,
        }
    }

    pub fn as_claim(&self) -> Option<&PersistentVolumeClaim> {
        match &self.declared.spec {
            ObjectSpec::PersistentVolumeClaim(claim) => Some(claim),
            _ => None,
        }
    }

    pub fn as_stateful_set(&self) -> Option<&StatefulSet> {
        match &self.declared.spec {
            ObjectSpec::StatefulSet(set) => Some(set),
            _ => None,
        }
    }

    pub fn as_service(&self) -> Option<&Service> {
        match &self.declared.spec {
            ObjectSpec::Service(service) => Some(service),
            _ => None,
        }
    }
}
