//! Which kinds exist, and what Dugout does with an object of each.

use dugout_model::Kind;

use super::format::Format;
use super::format::{LABEL, PATH_SEGMENT, SERVICE_NAME, SUBDOMAIN};
use super::{
    Schema, access, batch, config, extension, network, pod, policy, service, source, storage,
    workload,
};

#[derive(Debug)]
pub(crate) struct KindEntry {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub scope: Scope,
    /// What `metadata.name` must look like.
    pub name: Format,
    /// Absent when objects of the kind are not looked into: nobody keeps them in Git.
    pub schema: Option<&'static Schema>,
    pub handling: Handling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Namespaced,
    /// In no namespace.
    Cluster,
}

#[derive(Debug)]
pub(crate) enum Handling {
    Acted(Kind),
    /// Checked, and then refused; the words stand between "Dugout does not" and "yet". The hint may be
    /// empty.
    NotYet {
        what: &'static str,
        hint: &'static str,
    },
    /// Checked, and a notice says that it has no effect. The sentence follows "a Role ".
    Notice(&'static str),
    /// Never to be run. The sentence follows "Dugout does not support Node: ".
    Refused(&'static str),
    /// Its items are read as if each were a document.
    List,
}

/// An API version that Kubernetes itself no longer serves.
#[derive(Debug)]
pub(crate) struct Removed {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub instead: &'static str,
}

/// The entry of a kind in an API version.
pub(crate) fn find_kind(api_version: &str, kind: &str) -> Option<&'static KindEntry> {
    KINDS.iter().find(|entry| entry.kind == kind && entry.api_version == api_version)
}

const fn entry(
    api_version: &'static str,
    kind: &'static str,
    schema: &'static Schema,
    handling: Handling,
) -> KindEntry {
    let (scope, name) = (Scope::Namespaced, SUBDOMAIN);
    KindEntry { api_version, kind, scope, name, schema: Some(schema), handling }
}

const fn acted(
    api_version: &'static str,
    kind: &'static str,
    known: Kind,
    schema: &'static Schema,
) -> KindEntry {
    entry(api_version, kind, schema, Handling::Acted(known))
}

const fn not_yet(
    api_version: &'static str,
    kind: &'static str,
    schema: &'static Schema,
    what: &'static str,
    hint: &'static str,
) -> KindEntry {
    entry(api_version, kind, schema, Handling::NotYet { what, hint })
}

const fn no_effect(
    api_version: &'static str,
    kind: &'static str,
    schema: &'static Schema,
    why: &'static str,
) -> KindEntry {
    entry(api_version, kind, schema, Handling::Notice(why))
}

const fn never(
    api_version: &'static str,
    kind: &'static str,
    schema: &'static Schema,
    why: &'static str,
) -> KindEntry {
    entry(api_version, kind, schema, Handling::Refused(why))
}

/// A kind that is refused without a look inside.
const fn unread(api_version: &'static str, kind: &'static str, why: &'static str) -> KindEntry {
    KindEntry {
        api_version,
        kind,
        scope: Scope::Namespaced,
        name: SUBDOMAIN,
        schema: None,
        handling: Handling::Refused(why),
    }
}

impl KindEntry {
    const fn cluster(mut self) -> KindEntry {
        self.scope = Scope::Cluster;
        self
    }

    const fn named(mut self, name: Format) -> KindEntry {
        self.name = name;
        self
    }
}

const fn removed(api_version: &'static str, kind: &'static str, instead: &'static str) -> Removed {
    Removed { api_version, kind, instead }
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const NETWORKING: &str = "networking.k8s.io/v1";
const STORAGE: &str = "storage.k8s.io/v1";
const ADMISSION: &str = "admissionregistration.k8s.io/v1";
const RESOURCE: &str = "resource.k8s.io/v1";
const FLOW: &str = "flowcontrol.apiserver.k8s.io/v1";
const AUTHORIZATION: &str = "authorization.k8s.io/v1";
const AUTHENTICATION: &str = "authentication.k8s.io/v1";

const NO_API_CREDENTIALS: &str = "has no effect: pods get no credentials for an API server";
const ONLY_PULL_SECRETS: &str = "gives its imagePullSecrets to pods and nothing else: pods get no credentials for an API server";
const NO_CUSTOM_RESOURCES: &str = "has no effect: Dugout has no custom resources";
const ENDPOINTS: &str = "take endpoints from Git";
const INGRESS: &str = "serve Ingresses";
const AUTOSCALE: &str = "scale workloads by itself";
const NO_WEBHOOKS: &str = "it calls no admission webhooks";
const NO_POLICIES: &str = "it evaluates no admission policies";
const NO_DEVICES: &str = "it does not allocate devices";
const KUSTOMIZE: &str = "it is read from a file named kustomization.yaml; rename this one";
const SERVER_SIDE: &str = "it is about a Kubernetes API server itself";
const QUESTION: &str = "it is a question to an API server, and cannot be declared";

pub(crate) static KINDS: &[KindEntry] = &[
    acted("v1", "Namespace", Kind::Namespace, &config::NAMESPACE).cluster().named(LABEL),
    acted("v1", "LimitRange", Kind::LimitRange, &policy::LIMIT_RANGE),
    acted("v1", "ResourceQuota", Kind::ResourceQuota, &policy::RESOURCE_QUOTA),
    acted("v1", "ConfigMap", Kind::ConfigMap, &config::CONFIG_MAP),
    acted("v1", "Secret", Kind::Secret, &config::SECRET),
    acted("v1", "Service", Kind::Service, &service::SERVICE).named(SERVICE_NAME),
    acted("apps/v1", "Deployment", Kind::Deployment, &workload::DEPLOYMENT),
    acted("apps/v1", "StatefulSet", Kind::StatefulSet, &workload::STATEFUL_SET),
    acted("apps/v1", "DaemonSet", Kind::DaemonSet, &workload::DAEMON_SET),
    acted("apps/v1", "ReplicaSet", Kind::ReplicaSet, &workload::REPLICA_SET),
    acted(
        "v1",
        "ReplicationController",
        Kind::ReplicationController,
        &workload::REPLICATION_CONTROLLER,
    ),
    acted("v1", "Pod", Kind::Pod, &pod::POD),
    acted("batch/v1", "Job", Kind::Job, &batch::JOB),
    acted("batch/v1", "CronJob", Kind::CronJob, &batch::CRON_JOB),
    acted(
        "policy/v1",
        "PodDisruptionBudget",
        Kind::PodDisruptionBudget,
        &policy::POD_DISRUPTION_BUDGET,
    ),
    acted(
        "v1",
        "PersistentVolumeClaim",
        Kind::PersistentVolumeClaim,
        &storage::PERSISTENT_VOLUME_CLAIM,
    ),
    acted("v1", "PersistentVolume", Kind::PersistentVolume, &storage::PERSISTENT_VOLUME).cluster(),
    acted(STORAGE, "StorageClass", Kind::StorageClass, &storage::STORAGE_CLASS).cluster(),
    not_yet(NETWORKING, "Ingress", &network::INGRESS, INGRESS, "use a service of type NodePort"),
    not_yet(
        NETWORKING,
        "IngressClass",
        &network::INGRESS_CLASS,
        INGRESS,
        "use a service of type NodePort",
    )
    .cluster(),
    not_yet(
        NETWORKING,
        "NetworkPolicy",
        &network::NETWORK_POLICY,
        "filter traffic",
        "nothing would be closed",
    ),
    not_yet(
        "v1",
        "Endpoints",
        &service::ENDPOINTS,
        ENDPOINTS,
        "they are the ready pods that a service selects",
    ),
    not_yet(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &service::ENDPOINT_SLICE,
        ENDPOINTS,
        "they are the ready pods that a service selects",
    ),
    not_yet(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        &policy::HORIZONTAL_POD_AUTOSCALER,
        AUTOSCALE,
        "the number of replicas is what Git says",
    ),
    not_yet(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        &policy::HORIZONTAL_POD_AUTOSCALER_V1,
        AUTOSCALE,
        "the number of replicas is what Git says",
    ),
    not_yet(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        &policy::PRIORITY_CLASS,
        "place pods by priority",
        "",
    )
    .cluster(),
    not_yet(
        "dugout.dev/v1",
        "Source",
        &source::SOURCE,
        "follow sources that are declared in Git",
        "give them on the command line",
    ),
    no_effect("v1", "ServiceAccount", &access::SERVICE_ACCOUNT, ONLY_PULL_SECRETS),
    no_effect(RBAC, "Role", &access::ROLE, NO_API_CREDENTIALS).named(PATH_SEGMENT),
    no_effect(RBAC, "RoleBinding", &access::ROLE_BINDING, NO_API_CREDENTIALS).named(PATH_SEGMENT),
    no_effect(RBAC, "ClusterRole", &access::CLUSTER_ROLE, NO_API_CREDENTIALS)
        .cluster()
        .named(PATH_SEGMENT),
    no_effect(RBAC, "ClusterRoleBinding", &access::CLUSTER_ROLE_BINDING, NO_API_CREDENTIALS)
        .cluster()
        .named(PATH_SEGMENT),
    no_effect(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &extension::CUSTOM_RESOURCE_DEFINITION,
        NO_CUSTOM_RESOURCES,
    )
    .cluster(),
    no_effect(
        "v1",
        "PodTemplate",
        &pod::POD_TEMPLATE,
        "has no effect: nothing runs a template that stands alone",
    ),
    never(
        "node.k8s.io/v1",
        "RuntimeClass",
        &extension::RUNTIME_CLASS,
        "containers run with the engine's default runtime",
    )
    .cluster(),
    never(STORAGE, "CSIDriver", &storage::CSI_DRIVER, "it uses no drivers of Kubernetes").cluster(),
    never(
        "apiregistration.k8s.io/v1",
        "APIService",
        &extension::API_SERVICE,
        "its API cannot be extended",
    )
    .cluster(),
    never(
        ADMISSION,
        "MutatingWebhookConfiguration",
        &extension::MUTATING_WEBHOOK_CONFIGURATION,
        NO_WEBHOOKS,
    )
    .cluster(),
    never(
        ADMISSION,
        "ValidatingWebhookConfiguration",
        &extension::VALIDATING_WEBHOOK_CONFIGURATION,
        NO_WEBHOOKS,
    )
    .cluster(),
    KindEntry {
        api_version: "v1",
        kind: "List",
        scope: Scope::Cluster,
        name: SUBDOMAIN,
        schema: None,
        handling: Handling::List,
    },
    unread("v1", "Node", "nodes are the agents that join"),
    unread("v1", "Event", "events are recorded by Dugout and cannot be declared"),
    unread("events.k8s.io/v1", "Event", "events are recorded by Dugout and cannot be declared"),
    unread("v1", "Binding", "pods are placed by Dugout"),
    unread("v1", "ComponentStatus", "a status is seen, not declared"),
    unread("apps/v1", "ControllerRevision", "revisions are recorded by Dugout"),
    unread("coordination.k8s.io/v1", "Lease", "it has no leases"),
    unread(STORAGE, "VolumeAttachment", "it attaches no volumes of Kubernetes' drivers"),
    unread(STORAGE, "VolumeAttributesClass", "it uses no drivers of Kubernetes"),
    unread(STORAGE, "CSINode", "it uses no drivers of Kubernetes"),
    unread(STORAGE, "CSIStorageCapacity", "it uses no drivers of Kubernetes"),
    unread("policy/v1", "Eviction", "drain a node to move its pods"),
    unread("autoscaling/v1", "Scale", "write the replicas in the workload itself"),
    unread(NETWORKING, "IPAddress", SERVER_SIDE),
    unread(NETWORKING, "ServiceCIDR", SERVER_SIDE),
    unread(ADMISSION, "ValidatingAdmissionPolicy", NO_POLICIES),
    unread(ADMISSION, "ValidatingAdmissionPolicyBinding", NO_POLICIES),
    unread(ADMISSION, "MutatingAdmissionPolicy", NO_POLICIES),
    unread(ADMISSION, "MutatingAdmissionPolicyBinding", NO_POLICIES),
    unread(RESOURCE, "DeviceClass", NO_DEVICES),
    unread(RESOURCE, "ResourceClaim", NO_DEVICES),
    unread(RESOURCE, "ResourceClaimTemplate", NO_DEVICES),
    unread(RESOURCE, "ResourceSlice", NO_DEVICES),
    unread(FLOW, "FlowSchema", SERVER_SIDE),
    unread(FLOW, "PriorityLevelConfiguration", SERVER_SIDE),
    unread("certificates.k8s.io/v1", "CertificateSigningRequest", SERVER_SIDE),
    unread(AUTHENTICATION, "TokenReview", QUESTION),
    unread(AUTHENTICATION, "SelfSubjectReview", QUESTION),
    unread(AUTHORIZATION, "SubjectAccessReview", QUESTION),
    unread(AUTHORIZATION, "SelfSubjectAccessReview", QUESTION),
    unread(AUTHORIZATION, "SelfSubjectRulesReview", QUESTION),
    unread(AUTHORIZATION, "LocalSubjectAccessReview", QUESTION),
    unread("kustomize.config.k8s.io/v1beta1", "Kustomization", KUSTOMIZE),
    unread("kustomize.config.k8s.io/v1alpha1", "Component", KUSTOMIZE),
];

pub(crate) static REMOVED: &[Removed] = &[
    removed("extensions/v1beta1", "Deployment", "apps/v1"),
    removed("apps/v1beta1", "Deployment", "apps/v1"),
    removed("apps/v1beta2", "Deployment", "apps/v1"),
    removed("extensions/v1beta1", "DaemonSet", "apps/v1"),
    removed("apps/v1beta2", "DaemonSet", "apps/v1"),
    removed("extensions/v1beta1", "ReplicaSet", "apps/v1"),
    removed("apps/v1beta2", "ReplicaSet", "apps/v1"),
    removed("apps/v1beta1", "StatefulSet", "apps/v1"),
    removed("apps/v1beta2", "StatefulSet", "apps/v1"),
    removed("apps/v1beta1", "ControllerRevision", "apps/v1"),
    removed("apps/v1beta2", "ControllerRevision", "apps/v1"),
    removed("extensions/v1beta1", "Ingress", NETWORKING),
    removed("networking.k8s.io/v1beta1", "Ingress", NETWORKING),
    removed("networking.k8s.io/v1beta1", "IngressClass", NETWORKING),
    removed("extensions/v1beta1", "NetworkPolicy", NETWORKING),
    removed("batch/v1beta1", "CronJob", "batch/v1"),
    removed("batch/v2alpha1", "CronJob", "batch/v1"),
    removed("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
    removed("autoscaling/v2beta1", "HorizontalPodAutoscaler", "autoscaling/v2"),
    removed("autoscaling/v2beta2", "HorizontalPodAutoscaler", "autoscaling/v2"),
    removed("rbac.authorization.k8s.io/v1alpha1", "Role", RBAC),
    removed("rbac.authorization.k8s.io/v1alpha1", "RoleBinding", RBAC),
    removed("rbac.authorization.k8s.io/v1alpha1", "ClusterRole", RBAC),
    removed("rbac.authorization.k8s.io/v1alpha1", "ClusterRoleBinding", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "Role", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "RoleBinding", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "ClusterRole", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", RBAC),
    removed("storage.k8s.io/v1beta1", "StorageClass", STORAGE),
    removed("storage.k8s.io/v1beta1", "CSIDriver", STORAGE),
    removed("storage.k8s.io/v1beta1", "VolumeAttachment", STORAGE),
    removed("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"),
    removed("scheduling.k8s.io/v1alpha1", "PriorityClass", "scheduling.k8s.io/v1"),
    removed("scheduling.k8s.io/v1beta1", "PriorityClass", "scheduling.k8s.io/v1"),
    removed("node.k8s.io/v1beta1", "RuntimeClass", "node.k8s.io/v1"),
    removed("coordination.k8s.io/v1beta1", "Lease", "coordination.k8s.io/v1"),
    removed("events.k8s.io/v1beta1", "Event", "events.k8s.io/v1"),
    removed("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration", ADMISSION),
    removed("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", ADMISSION),
    removed("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    removed("apiregistration.k8s.io/v1beta1", "APIService", "apiregistration.k8s.io/v1"),
];

/// Kinds that Kubernetes removed without a successor of the same name.
pub(crate) static GONE: &[(&str, &str, &str)] = &[
    ("extensions/v1beta1", "PodSecurityPolicy", "write a securityContext in each pod"),
    ("policy/v1beta1", "PodSecurityPolicy", "write a securityContext in each pod"),
];
