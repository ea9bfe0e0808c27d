//! Which kinds exist, and what Dugout does with an object of each.

use dugout_model::Kind;

use super::service::SERVICE_SPEC;
use super::workload::DEPLOYMENT_SPEC;
use super::{OBJECT_METADATA, Schema, acted, notice, required};

#[derive(Debug)]
pub(crate) struct KindEntry {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub handling: Handling,
}

#[derive(Debug)]
pub(crate) enum Handling {
    Read {
        kind: Kind,
        schema: &'static Schema,
    },
    /// Accepted, and a notice says that it has no effect. The sentence follows "a Role ".
    Notice(&'static str),
    /// The sentence follows "Dugout does not run a StatefulSet: ".
    Refused(&'static str),
}

/// An API version that Kubernetes itself no longer serves.
#[derive(Debug)]
pub(crate) struct Removed {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub instead: &'static str,
}

const fn read(
    api_version: &'static str,
    kind: &'static str,
    known: Kind,
    schema: &'static Schema,
) -> KindEntry {
    KindEntry { api_version, kind, handling: Handling::Read { kind: known, schema } }
}

const fn no_effect(api_version: &'static str, kind: &'static str, why: &'static str) -> KindEntry {
    KindEntry { api_version, kind, handling: Handling::Notice(why) }
}

const fn refused(api_version: &'static str, kind: &'static str, why: &'static str) -> KindEntry {
    KindEntry { api_version, kind, handling: Handling::Refused(why) }
}

const fn removed(api_version: &'static str, kind: &'static str, instead: &'static str) -> Removed {
    Removed { api_version, kind, instead }
}

const NO_API_CREDENTIALS: &str = "has no effect: pods get no credentials for an API server";
const USE_DEPLOYMENT: &str = "write a Deployment, which is the workload that it runs";
const NO_STORAGE: &str = "it mounts no volumes";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

pub(crate) static KINDS: &[KindEntry] = &[
    read("v1", "Namespace", Kind::Namespace, &NAMESPACE),
    read("v1", "ConfigMap", Kind::ConfigMap, &CONFIG_MAP),
    read("v1", "Secret", Kind::Secret, &SECRET),
    read("v1", "Service", Kind::Service, &SERVICE),
    read("apps/v1", "Deployment", Kind::Deployment, &DEPLOYMENT),
    no_effect("v1", "ServiceAccount", NO_API_CREDENTIALS),
    no_effect(RBAC, "Role", NO_API_CREDENTIALS),
    no_effect(RBAC, "RoleBinding", NO_API_CREDENTIALS),
    no_effect(RBAC, "ClusterRole", NO_API_CREDENTIALS),
    no_effect(RBAC, "ClusterRoleBinding", NO_API_CREDENTIALS),
    refused("v1", "Pod", USE_DEPLOYMENT),
    refused("v1", "ReplicationController", USE_DEPLOYMENT),
    refused("apps/v1", "ReplicaSet", USE_DEPLOYMENT),
    refused("apps/v1", "StatefulSet", USE_DEPLOYMENT),
    refused("apps/v1", "DaemonSet", USE_DEPLOYMENT),
    refused("batch/v1", "Job", "it runs nothing to completion"),
    refused("batch/v1", "CronJob", "it runs nothing to completion"),
    refused("v1", "List", "write its items as documents, each after a line with ---"),
    refused("v1", "PersistentVolume", NO_STORAGE),
    refused("v1", "PersistentVolumeClaim", NO_STORAGE),
    refused("storage.k8s.io/v1", "StorageClass", NO_STORAGE),
    refused("storage.k8s.io/v1", "CSIDriver", NO_STORAGE),
    refused("storage.k8s.io/v1", "VolumeAttachment", NO_STORAGE),
    refused("v1", "Endpoints", "endpoints are the ready pods that a service selects"),
    refused(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "endpoints are the ready pods that a service selects",
    ),
    refused("networking.k8s.io/v1", "Ingress", "use a service of type NodePort"),
    refused("networking.k8s.io/v1", "IngressClass", "use services of type NodePort"),
    refused(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "it does not filter traffic, so nothing would be closed",
    ),
    refused("policy/v1", "PodDisruptionBudget", "use maxUnavailable of the Deployment"),
    refused("autoscaling/v2", "HorizontalPodAutoscaler", "the number of replicas is what Git says"),
    refused("autoscaling/v1", "HorizontalPodAutoscaler", "the number of replicas is what Git says"),
    refused("scheduling.k8s.io/v1", "PriorityClass", "it has no pod priorities"),
    refused("node.k8s.io/v1", "RuntimeClass", "containers run with the engine's default runtime"),
    refused("v1", "ResourceQuota", "it has no quotas, so nothing would be limited"),
    refused("v1", "LimitRange", "it has no default limits; write them at each container"),
    refused("v1", "PodTemplate", USE_DEPLOYMENT),
    refused("v1", "Node", "nodes are the agents that join"),
    refused("v1", "Event", "events are recorded by Dugout and cannot be declared"),
    refused("apiextensions.k8s.io/v1", "CustomResourceDefinition", "it has no custom resources"),
    refused("apiregistration.k8s.io/v1", "APIService", "its API cannot be extended"),
    refused(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "it calls no admission webhooks",
    ),
    refused(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "it calls no admission webhooks",
    ),
    refused(
        "kustomize.config.k8s.io/v1beta1",
        "Kustomization",
        "it is read from a file named kustomization.yaml; rename this one",
    ),
    refused(
        "kustomize.config.k8s.io/v1alpha1",
        "Component",
        "it is read from a file named kustomization.yaml; rename this one",
    ),
];

pub(crate) static REMOVED: &[Removed] = &[
    removed("extensions/v1beta1", "Deployment", "apps/v1"),
    removed("apps/v1beta1", "Deployment", "apps/v1"),
    removed("apps/v1beta2", "Deployment", "apps/v1"),
    removed("extensions/v1beta1", "DaemonSet", "apps/v1"),
    removed("apps/v1beta2", "DaemonSet", "apps/v1"),
    removed("extensions/v1beta1", "ReplicaSet", "apps/v1"),
    removed("apps/v1beta1", "StatefulSet", "apps/v1"),
    removed("apps/v1beta2", "StatefulSet", "apps/v1"),
    removed("extensions/v1beta1", "Ingress", "networking.k8s.io/v1"),
    removed("networking.k8s.io/v1beta1", "Ingress", "networking.k8s.io/v1"),
    removed("networking.k8s.io/v1beta1", "IngressClass", "networking.k8s.io/v1"),
    removed("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io/v1"),
    removed("batch/v1beta1", "CronJob", "batch/v1"),
    removed("batch/v2alpha1", "CronJob", "batch/v1"),
    removed("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
    removed("autoscaling/v2beta1", "HorizontalPodAutoscaler", "autoscaling/v2"),
    removed("autoscaling/v2beta2", "HorizontalPodAutoscaler", "autoscaling/v2"),
    removed("rbac.authorization.k8s.io/v1beta1", "Role", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "RoleBinding", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "ClusterRole", RBAC),
    removed("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", RBAC),
    removed("storage.k8s.io/v1beta1", "StorageClass", "storage.k8s.io/v1"),
    removed("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"),
    removed("scheduling.k8s.io/v1beta1", "PriorityClass", "scheduling.k8s.io/v1"),
    removed("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    removed("apiregistration.k8s.io/v1beta1", "APIService", "apiregistration.k8s.io/v1"),
];

const STATUS: &str = "has no effect: a status is seen, not declared; remove it";

const IMMUTABLE: &str = "has no effect: a commit may change it, and what uses it is rolled";

static NAMESPACE: Schema = Schema {
    name: "Namespace",
    fields: &[
        required("apiVersion"),
        required("kind"),
        required("metadata").of(&OBJECT_METADATA),
        acted("spec").of(&NAMESPACE_SPEC),
        notice("status", STATUS),
    ],
};

static NAMESPACE_SPEC: Schema = Schema {
    name: "NamespaceSpec",
    fields: &[notice("finalizers", "has no effect: Dugout has no finalizers")],
};

static CONFIG_MAP: Schema = Schema {
    name: "ConfigMap",
    fields: &[
        required("apiVersion"),
        required("kind"),
        required("metadata").of(&OBJECT_METADATA),
        acted("data"),
        acted("binaryData"),
        notice("immutable", IMMUTABLE).unless(&["false"]),
    ],
};

static SECRET: Schema = Schema {
    name: "Secret",
    fields: &[
        required("apiVersion"),
        required("kind"),
        required("metadata").of(&OBJECT_METADATA),
        acted("type"),
        acted("data"),
        acted("stringData"),
        notice("immutable", IMMUTABLE).unless(&["false"]),
    ],
};

static SERVICE: Schema = Schema {
    name: "Service",
    fields: &[
        required("apiVersion"),
        required("kind"),
        required("metadata").of(&OBJECT_METADATA),
        required("spec").of(&SERVICE_SPEC),
        notice("status", STATUS),
    ],
};

static DEPLOYMENT: Schema = Schema {
    name: "Deployment",
    fields: &[
        required("apiVersion"),
        required("kind"),
        required("metadata").of(&OBJECT_METADATA),
        required("spec").of(&DEPLOYMENT_SPEC),
        notice("status", STATUS),
    ],
};
