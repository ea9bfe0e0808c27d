//! The fields of a pod template, its container and its probes.

use super::{Schema, TEMPLATE_METADATA, acted, notice, refused, required};

const NO_VOLUMES: &str = "Dugout mounts no volumes; pass configuration by env and envFrom";
const NO_TERMINAL: &str = "Dugout attaches neither input nor a terminal to containers";
const HOST_NAMES: &str = "Dugout does not set up names inside a pod";
const LOCAL_MESSAGE: &str =
    "has no effect: Dugout reads exit codes and logs, and no termination message";
const ONE_CONTAINER: &str = "a pod has exactly one container in Dugout";
const ISOLATION: &str = "Dugout does not change a container's isolation; the pod would run with other rights than this asks for";
const PLACEMENT: &str = "Dugout places pods by nodeSelector, free CPU and memory, and spreads them evenly; the pod could land where this forbids it";

pub(super) static POD_TEMPLATE: Schema = Schema {
    name: "PodTemplateSpec",
    fields: &[acted("metadata").of(&TEMPLATE_METADATA), required("spec").of(&POD_SPEC)],
};

static POD_SPEC: Schema = Schema {
    name: "PodSpec",
    fields: &[
        required("containers").of(&CONTAINER),
        acted("terminationGracePeriodSeconds"),
        acted("nodeSelector"),
        acted("restartPolicy"),
        refused("initContainers", ONE_CONTAINER),
        refused(
            "ephemeralContainers",
            "ephemeral containers are added to running pods and cannot be declared",
        ),
        refused("volumes", NO_VOLUMES),
        refused("affinity", PLACEMENT),
        refused("topologySpreadConstraints", PLACEMENT),
        refused("nodeName", "pods are placed by Dugout; use nodeSelector"),
        refused("schedulerName", "there is one scheduler").unless(&["default-scheduler"]),
        refused("schedulingGates", "Dugout places pods at once"),
        refused("priority", "Dugout has no pod priorities").unless(&["0"]),
        refused("priorityClassName", "Dugout has no pod priorities"),
        refused("preemptionPolicy", "Dugout has no pod priorities")
            .unless(&["PreemptLowerPriority"]),
        refused("hostNetwork", ISOLATION).unless(&["false"]),
        refused("hostPID", ISOLATION).unless(&["false"]),
        refused("hostIPC", ISOLATION).unless(&["false"]),
        refused("hostUsers", ISOLATION).unless(&["true"]),
        refused("shareProcessNamespace", ONE_CONTAINER).unless(&["false"]),
        refused("securityContext", ISOLATION),
        refused("runtimeClassName", "containers run with the engine's default runtime"),
        refused("overhead", "containers run with the engine's default runtime"),
        refused("resources", "write the resources at the container"),
        refused("resourceClaims", "Dugout does not allocate devices"),
        refused(
            "imagePullSecrets",
            "Dugout pulls without credentials; load the image on the nodes or use a registry that they may read",
        ),
        refused("activeDeadlineSeconds", "a deployment's pods have no deadline"),
        refused("hostname", HOST_NAMES),
        refused("hostnameOverride", HOST_NAMES),
        refused("subdomain", HOST_NAMES),
        refused("setHostnameAsFQDN", HOST_NAMES).unless(&["false"]),
        refused("hostAliases", HOST_NAMES),
        refused("dnsConfig", "containers use the engine's name resolution"),
        refused("dnsPolicy", "containers use the engine's name resolution")
            .unless(&["ClusterFirst", "Default"]),
        refused("os", "nodes run Linux").unless(&["linux"]),
        refused("readinessGates", "readiness comes from the container's probes alone"),
        notice("tolerations", "has no effect: Dugout's nodes have no taints"),
        notice("serviceAccountName", "has no effect: pods get no credentials for an API server")
            .unless(&["default"]),
        notice("serviceAccount", "has no effect: pods get no credentials for an API server")
            .unless(&["default"]),
        notice(
            "automountServiceAccountToken",
            "has no effect: pods get no credentials for an API server",
        )
        .unless(&["false"]),
        notice("enableServiceLinks", "has no effect: Dugout sets no variables for services")
            .unless(&["false"]),
        refused("workloadRef", "Dugout schedules each pod for itself"),
        refused("schedulingGroup", "Dugout schedules each pod for itself"),
    ],
};

static CONTAINER: Schema = Schema {
    name: "Container",
    fields: &[
        required("name"),
        required("image"),
        acted("imagePullPolicy"),
        acted("command"),
        acted("args"),
        acted("workingDir"),
        acted("env").of(&ENV_VAR),
        acted("envFrom").of(&ENV_FROM),
        acted("ports").of(&CONTAINER_PORT),
        acted("resources").of(&RESOURCES),
        acted("startupProbe").of(&PROBE),
        acted("readinessProbe").of(&PROBE),
        acted("livenessProbe").of(&PROBE),
        refused(
            "lifecycle",
            "Dugout runs no hooks; a preStop sleep is not needed, because connections are drained before SIGTERM",
        ),
        refused("volumeMounts", NO_VOLUMES),
        refused("volumeDevices", NO_VOLUMES),
        refused("securityContext", ISOLATION),
        refused("resizePolicy", "changed resources always make a new pod"),
        refused("restartPolicy", "a deployment's container is always started again")
            .unless(&["Always"]),
        refused("restartPolicyRules", "a deployment's container is always started again"),
        refused("stdin", NO_TERMINAL).unless(&["false"]),
        refused("stdinOnce", NO_TERMINAL).unless(&["false"]),
        refused("tty", NO_TERMINAL).unless(&["false"]),
        notice("terminationMessagePath", LOCAL_MESSAGE).unless(&["/dev/termination-log"]),
        notice("terminationMessagePolicy", LOCAL_MESSAGE).unless(&["File"]),
    ],
};

static CONTAINER_PORT: Schema = Schema {
    name: "ContainerPort",
    fields: &[
        acted("name"),
        required("containerPort"),
        acted("protocol"),
        refused("hostPort", "use a service of type NodePort").unless(&["0"]),
        refused("hostIP", "use a service of type NodePort"),
    ],
};

static RESOURCES: Schema = Schema {
    name: "ResourceRequirements",
    fields: &[
        acted("requests"),
        acted("limits"),
        refused("claims", "Dugout does not allocate devices"),
    ],
};

static ENV_VAR: Schema = Schema {
    name: "EnvVar",
    fields: &[required("name"), acted("value"), acted("valueFrom").of(&ENV_VAR_SOURCE)],
};

static ENV_VAR_SOURCE: Schema = Schema {
    name: "EnvVarSource",
    fields: &[
        acted("configMapKeyRef").of(&KEY_SELECTOR),
        acted("secretKeyRef").of(&KEY_SELECTOR),
        acted("fieldRef").of(&FIELD_SELECTOR),
        refused("resourceFieldRef", "write the amount as a value"),
        refused("fileKeyRef", NO_VOLUMES),
    ],
};

static KEY_SELECTOR: Schema = Schema {
    name: "ConfigMapKeySelector, SecretKeySelector",
    fields: &[required("name"), required("key"), acted("optional")],
};

static FIELD_SELECTOR: Schema = Schema {
    name: "ObjectFieldSelector",
    fields: &[
        required("fieldPath"),
        refused("apiVersion", "field paths are those of v1").unless(&["v1"]),
    ],
};

static ENV_FROM: Schema = Schema {
    name: "EnvFromSource",
    fields: &[
        acted("prefix"),
        acted("configMapRef").of(&LOCAL_REFERENCE),
        acted("secretRef").of(&LOCAL_REFERENCE),
    ],
};

static LOCAL_REFERENCE: Schema = Schema {
    name: "ConfigMapEnvSource, SecretEnvSource",
    fields: &[required("name"), acted("optional")],
};

static PROBE: Schema = Schema {
    name: "Probe",
    fields: &[
        acted("httpGet").of(&HTTP_GET),
        acted("tcpSocket").of(&TCP_SOCKET),
        acted("exec").of(&EXEC),
        acted("initialDelaySeconds"),
        acted("periodSeconds"),
        acted("timeoutSeconds"),
        acted("successThreshold"),
        acted("failureThreshold"),
        refused("grpc", "use httpGet, tcpSocket or exec"),
        refused("terminationGracePeriodSeconds", "the pod's own grace period is used; set that"),
    ],
};

static HTTP_GET: Schema = Schema {
    name: "HTTPGetAction",
    fields: &[
        required("port"),
        acted("path"),
        acted("scheme"),
        acted("host"),
        acted("httpHeaders").of(&HTTP_HEADER),
    ],
};

static HTTP_HEADER: Schema =
    Schema { name: "HTTPHeader", fields: &[required("name"), required("value")] };

static TCP_SOCKET: Schema =
    Schema { name: "TCPSocketAction", fields: &[required("port"), acted("host")] };

static EXEC: Schema = Schema { name: "ExecAction", fields: &[required("command")] };
