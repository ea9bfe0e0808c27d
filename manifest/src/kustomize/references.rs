//! Which fields hold the name of another object, by the kind of that object.

use super::field_specs::Spec;

/// The fields that name objects of one kind.
pub(super) struct References {
    pub group: &'static str,
    pub kind: &'static str,
    /// Seen from the spec of a pod, wherever that is.
    pub in_pods: &'static [&'static str],
    pub fields: &'static [Spec<'static>],
}

/// Where the spec of a pod is.
pub(super) const POD_SPECS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

const fn field(group: &'static str, kind: &'static str, path: &'static str) -> Spec<'static> {
    Spec { group, version: "", kind, path, create: false }
}

const SCALERS: &[Spec<'static>] =
    &[field("", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name")];

const fn scaled(kind: &'static str) -> References {
    References { group: "", kind, in_pods: &[], fields: SCALERS }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const WEBHOOKS: &str = "admissionregistration.k8s.io";

pub(super) static REFERENCES: &[References] = &[
    scaled("Deployment"),
    scaled("ReplicationController"),
    scaled("ReplicaSet"),
    scaled("StatefulSet"),
    References {
        group: "",
        kind: "ConfigMap",
        in_pods: &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
        fields: &[
            field("", "Node", "spec/configSource/configMap"),
            field("", "Role", "rules/resourceNames"),
            field("", "ClusterRole", "rules/resourceNames"),
            field(
                "",
                "Ingress",
                "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap",
            ),
        ],
    },
    References {
        group: "",
        kind: "Secret",
        in_pods: &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
        fields: &[
            field("", "Ingress", "spec/tls/secretName"),
            field("", "Ingress", "metadata/annotations/ingress.kubernetes.io\\/auth-secret"),
            field("", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret"),
            field(
                "",
                "Ingress",
                "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret",
            ),
            field("", "ServiceAccount", "imagePullSecrets/name"),
            field("", "StorageClass", "parameters/secretName"),
            field("", "StorageClass", "parameters/adminSecretName"),
            field("", "StorageClass", "parameters/userSecretName"),
            field("", "StorageClass", "parameters/secretRef"),
            field("", "Role", "rules/resourceNames"),
            field("", "ClusterRole", "rules/resourceNames"),
            field("", "PersistentVolume", "spec/azureFile/secretName"),
        ],
    },
    References {
        group: "",
        kind: "Service",
        in_pods: &[],
        fields: &[
            field("apps", "StatefulSet", "spec/serviceName"),
            field("", "Ingress", "spec/rules/http/paths/backend/serviceName"),
            field("", "Ingress", "spec/backend/serviceName"),
            field("", "Ingress", "spec/rules/http/paths/backend/service/name"),
            field("", "Ingress", "spec/defaultBackend/service/name"),
            field("apiregistration.k8s.io", "APIService", "spec/service/name"),
            field(WEBHOOKS, "ValidatingWebhookConfiguration", "webhooks/clientConfig/service"),
            field(WEBHOOKS, "MutatingWebhookConfiguration", "webhooks/clientConfig/service"),
            field("", "HTTPRoute", "spec/rules/backendRefs/name"),
        ],
    },
    References {
        group: RBAC,
        kind: "Role",
        in_pods: &[],
        fields: &[field(RBAC, "RoleBinding", "roleRef/name")],
    },
    References {
        group: RBAC,
        kind: "ClusterRole",
        in_pods: &[],
        fields: &[
            field(RBAC, "RoleBinding", "roleRef/name"),
            field(RBAC, "ClusterRoleBinding", "roleRef/name"),
        ],
    },
    References {
        group: "",
        kind: "ServiceAccount",
        in_pods: &["serviceAccountName"],
        fields: &[
            field(RBAC, "RoleBinding", "subjects"),
            field(RBAC, "ClusterRoleBinding", "subjects"),
        ],
    },
    References {
        group: "",
        kind: "PersistentVolumeClaim",
        in_pods: &["volumes/persistentVolumeClaim/claimName"],
        fields: &[],
    },
    References {
        group: "",
        kind: "PersistentVolume",
        in_pods: &[],
        fields: &[
            field("", "PersistentVolumeClaim", "spec/volumeName"),
            field("", "ClusterRole", "rules/resourceNames"),
        ],
    },
    References {
        group: "storage.k8s.io",
        kind: "StorageClass",
        in_pods: &[],
        fields: &[
            field("", "PersistentVolume", "spec/storageClassName"),
            field("", "PersistentVolumeClaim", "spec/storageClassName"),
            field("", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"),
        ],
    },
    References {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        in_pods: &["priorityClassName"],
        fields: &[],
    },
];
