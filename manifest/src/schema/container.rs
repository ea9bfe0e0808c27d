//! The fields of a container, its environment, ports, probes and hooks.

use super::format::{
    ABSOLUTE_PATH, CONFIG_KEY, DEVICE_PATH, FIELD_PATH, HEADER_NAME, HEADER_VALUE, HOST, IMAGE, IP,
    LABEL, MOUNT_PATH, PORT_NAME, RELATIVE_PATH, SIGNAL, SUBDOMAIN, URL_PATH, VARIABLE,
};
use super::security::SECURITY_CONTEXT;
use super::value::{
    BOOL, COUNT, INT32_MAX, INT64_MAX, PORT, QUANTITIES, QUANTITY, TEXT, TEXTS, int, ints, object,
    objects, text, words,
};
use super::{Schema, acted, checked, notice, refused, table};
use crate::rules::{container, env};

const OWN_POLICY: &str =
    "a container follows its pod's restartPolicy; Always makes a sidecar of one of initContainers";
const LOCAL_MESSAGE: &str =
    "has no effect: Dugout reads exit codes and logs, and no termination message";

pub(super) static CONTAINER: Schema = table(
    "Container",
    &[
        acted("name", text(LABEL)).required(),
        acted("image", text(IMAGE)).required(),
        acted("imagePullPolicy", words(&["Always", "IfNotPresent", "Never"])),
        acted("command", TEXTS),
        acted("args", TEXTS),
        acted("workingDir", text(ABSOLUTE_PATH)),
        acted("env", objects(&ENV_VAR)),
        acted("envFrom", objects(&ENV_FROM_SOURCE)),
        acted("ports", objects(&CONTAINER_PORT)).unique_by("name"),
        acted("resources", object(&RESOURCE_REQUIREMENTS)),
        acted("startupProbe", object(&PROBE)),
        acted("readinessProbe", object(&PROBE)),
        acted("livenessProbe", object(&PROBE)),
        acted("lifecycle", object(&LIFECYCLE)),
        acted("volumeMounts", objects(&VOLUME_MOUNT)).unique_by("mountPath"),
        refused(
            "volumeDevices",
            objects(&VOLUME_DEVICE),
            "Dugout binds no claims yet, and only a claim can be a device",
        )
        .unique_by("devicePath"),
        acted("securityContext", object(&SECURITY_CONTEXT)),
        refused(
            "resizePolicy",
            objects(&CONTAINER_RESIZE_POLICY),
            "changed resources always make a new pod",
        )
        .unique_by("resourceName"),
        refused("restartPolicy", words(&["Always", "OnFailure", "Never"]), OWN_POLICY)
            .unless(&["Always"]),
        refused("restartPolicyRules", objects(&CONTAINER_RESTART_RULE), OWN_POLICY),
        acted("stdin", BOOL),
        acted("stdinOnce", BOOL),
        acted("tty", BOOL),
        notice("terminationMessagePath", TEXT, LOCAL_MESSAGE).unless(&["/dev/termination-log"]),
        notice(
            "terminationMessagePolicy",
            words(&["File", "FallbackToLogsOnError"]),
            LOCAL_MESSAGE,
        )
        .unless(&["File"]),
    ],
)
.with(&[container::container]);

pub(super) static EPHEMERAL_CONTAINER: Schema = table(
    "EphemeralContainer",
    &[
        checked("args", TEXTS),
        checked("command", TEXTS),
        checked("env", objects(&ENV_VAR)),
        checked("envFrom", objects(&ENV_FROM_SOURCE)),
        checked("image", text(IMAGE)).required(),
        checked("imagePullPolicy", words(&["Always", "IfNotPresent", "Never"])),
        checked("lifecycle", object(&LIFECYCLE)),
        checked("livenessProbe", object(&PROBE)),
        checked("name", text(LABEL)).required(),
        checked("ports", objects(&CONTAINER_PORT)),
        checked("readinessProbe", object(&PROBE)),
        checked("resizePolicy", objects(&CONTAINER_RESIZE_POLICY)),
        checked("resources", object(&RESOURCE_REQUIREMENTS)),
        checked("restartPolicy", words(&["Always", "OnFailure", "Never"])),
        checked("restartPolicyRules", objects(&CONTAINER_RESTART_RULE)),
        checked("securityContext", object(&SECURITY_CONTEXT)),
        checked("startupProbe", object(&PROBE)),
        checked("stdin", BOOL),
        checked("stdinOnce", BOOL),
        checked("targetContainerName", text(LABEL)),
        checked("terminationMessagePath", TEXT),
        checked("terminationMessagePolicy", words(&["File", "FallbackToLogsOnError"])),
        checked("tty", BOOL),
        checked("volumeDevices", objects(&VOLUME_DEVICE)),
        checked("volumeMounts", objects(&VOLUME_MOUNT)).unique_by("mountPath"),
        checked("workingDir", text(ABSOLUTE_PATH)),
    ],
)
.with(&[container::container]);

pub(super) static CONTAINER_PORT: Schema = table(
    "ContainerPort",
    &[
        acted("name", text(PORT_NAME)),
        acted("containerPort", int(1, 65_535)).required(),
        acted("protocol", words(&["TCP", "UDP", "SCTP"])).except("`SCTP`, which is refused"),
        acted("hostPort", int(0, 65_535)),
        acted("hostIP", text(IP)),
    ],
);

pub(super) static CONTAINER_RESIZE_POLICY: Schema = table(
    "ContainerResizePolicy",
    &[
        checked("resourceName", words(&["cpu", "memory"])).required(),
        checked("restartPolicy", words(&["NotRequired", "RestartContainer"])).required(),
    ],
);

pub(super) static CONTAINER_RESTART_RULE: Schema = table(
    "ContainerRestartRule",
    &[
        checked("action", words(&["Restart", "RestartAllContainers"])).required(),
        checked("exitCodes", object(&CONTAINER_RESTART_RULE_ON_EXIT_CODES)).required(),
    ],
);

pub(super) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Schema = table(
    "ContainerRestartRuleOnExitCodes",
    &[
        checked("operator", words(&["In", "NotIn"])).required(),
        checked("values", ints(0, INT32_MAX)).required(),
    ],
);

pub(super) static RESOURCE_REQUIREMENTS: Schema = table(
    "ResourceRequirements",
    &[
        acted("requests", QUANTITIES),
        acted("limits", QUANTITIES),
        refused("claims", objects(&RESOURCE_CLAIM), "Dugout does not allocate devices"),
    ],
)
.with(&[container::resources]);

pub(super) static RESOURCE_CLAIM: Schema =
    table("ResourceClaim", &[checked("name", text(LABEL)).required(), checked("request", TEXT)]);

pub(super) static ENV_VAR: Schema = table(
    "EnvVar",
    &[
        acted("name", text(VARIABLE)).required(),
        acted("value", TEXT),
        acted("valueFrom", object(&ENV_VAR_SOURCE)),
    ],
)
.with(&[env::variable]);

pub(super) static ENV_VAR_SOURCE: Schema = table(
    "EnvVarSource",
    &[
        acted("configMapKeyRef", object(&CONFIG_MAP_KEY_SELECTOR)),
        acted("secretKeyRef", object(&SECRET_KEY_SELECTOR)),
        acted("fieldRef", object(&OBJECT_FIELD_SELECTOR)),
        acted("resourceFieldRef", object(&RESOURCE_FIELD_SELECTOR)),
        refused(
            "fileKeyRef",
            object(&FILE_KEY_SELECTOR),
            "Dugout reads no variables from files; use a config map or a secret",
        ),
    ],
)
.with(&[env::source]);

pub(super) static CONFIG_MAP_KEY_SELECTOR: Schema = table(
    "ConfigMapKeySelector",
    &[
        acted("name", text(SUBDOMAIN)).required(),
        acted("key", text(CONFIG_KEY)).required(),
        acted("optional", BOOL),
    ],
)
.with(&[env::config_map_key]);

pub(super) static SECRET_KEY_SELECTOR: Schema = table(
    "SecretKeySelector",
    &[
        acted("name", text(SUBDOMAIN)).required(),
        acted("key", text(CONFIG_KEY)).required(),
        acted("optional", BOOL),
    ],
)
.with(&[env::secret_key]);

pub(super) static FILE_KEY_SELECTOR: Schema = table(
    "FileKeySelector",
    &[
        checked("key", text(VARIABLE)).required(),
        checked("optional", BOOL),
        checked("path", text(RELATIVE_PATH)).required(),
        checked("volumeName", text(LABEL)).required(),
    ],
);

pub(super) static OBJECT_FIELD_SELECTOR: Schema = table(
    "ObjectFieldSelector",
    &[
        acted("fieldPath", text(FIELD_PATH)).required(),
        refused("apiVersion", words(&["v1"]), "field paths are those of v1").unless(&["v1"]),
    ],
);

pub(super) static RESOURCE_FIELD_SELECTOR: Schema = table(
    "ResourceFieldSelector",
    &[
        acted("containerName", text(LABEL)),
        acted("divisor", QUANTITY),
        acted("resource", TEXT)
            .required()
            .except("`ephemeral-storage` and `hugepages-SIZE`, which are refused"),
    ],
)
.with(&[env::resource_field]);

pub(super) static ENV_FROM_SOURCE: Schema = table(
    "EnvFromSource",
    &[
        acted("prefix", text(VARIABLE)),
        acted("configMapRef", object(&CONFIG_MAP_ENV_SOURCE)),
        acted("secretRef", object(&SECRET_ENV_SOURCE)),
    ],
)
.with(&[env::set]);

pub(super) static CONFIG_MAP_ENV_SOURCE: Schema = table(
    "ConfigMapEnvSource",
    &[acted("name", text(SUBDOMAIN)).required(), acted("optional", BOOL)],
)
.with(&[env::config_map]);

pub(super) static SECRET_ENV_SOURCE: Schema =
    table("SecretEnvSource", &[acted("name", text(SUBDOMAIN)).required(), acted("optional", BOOL)])
        .with(&[env::secret]);

pub(super) static PROBE: Schema = table(
    "Probe",
    &[
        acted("httpGet", object(&HTTP_GET_ACTION)),
        acted("tcpSocket", object(&TCP_SOCKET_ACTION)),
        acted("exec", object(&EXEC_ACTION)),
        acted("initialDelaySeconds", COUNT),
        acted("periodSeconds", COUNT),
        acted("timeoutSeconds", COUNT),
        acted("successThreshold", COUNT),
        acted("failureThreshold", COUNT),
        acted("grpc", object(&GRPC_ACTION)),
        acted("terminationGracePeriodSeconds", int(1, INT64_MAX)),
    ],
)
.with(&[container::probe]);

pub(super) static HTTP_GET_ACTION: Schema = table(
    "HTTPGetAction",
    &[
        acted("port", PORT).required(),
        acted("path", text(URL_PATH)),
        acted("scheme", words(&["HTTP", "HTTPS"])),
        acted("host", text(HOST)),
        acted("httpHeaders", objects(&HTTP_HEADER)),
        refused("protocol", TEXT, "probes speak HTTP/1.1").unless(&["HTTP1", "HTTP/1.1"]),
    ],
);

pub(super) static HTTP_HEADER: Schema = table(
    "HTTPHeader",
    &[acted("name", text(HEADER_NAME)).required(), acted("value", text(HEADER_VALUE)).required()],
);

pub(super) static TCP_SOCKET_ACTION: Schema =
    table("TCPSocketAction", &[acted("port", PORT).required(), acted("host", text(HOST))]);

pub(super) static EXEC_ACTION: Schema = table("ExecAction", &[acted("command", TEXTS).required()]);

pub(super) static GRPC_ACTION: Schema = table(
    "GRPCAction",
    &[
        acted("port", int(1, 65_535)).required(),
        acted("service", TEXT),
        refused("mode", TEXT, "the probe speaks plain gRPC without TLS"),
    ],
);

pub(super) static SLEEP_ACTION: Schema =
    table("SleepAction", &[acted("seconds", int(0, INT32_MAX)).required()]);

pub(super) static LIFECYCLE: Schema = table(
    "Lifecycle",
    &[
        acted("postStart", object(&LIFECYCLE_HANDLER)),
        acted("preStop", object(&LIFECYCLE_HANDLER)),
        acted("stopSignal", text(SIGNAL)),
    ],
);

pub(super) static LIFECYCLE_HANDLER: Schema = table(
    "LifecycleHandler",
    &[
        acted("exec", object(&EXEC_ACTION)),
        acted("httpGet", object(&HTTP_GET_ACTION)),
        acted("sleep", object(&SLEEP_ACTION)),
        notice(
            "tcpSocket",
            object(&TCP_SOCKET_ACTION),
            "fails each time that it is to run, as on Kubernetes: after a start the container is stopped; before a stop nothing is done",
        ),
    ],
)
.with(&[container::hook]);

pub(super) static VOLUME_MOUNT: Schema = table(
    "VolumeMount",
    &[
        acted("name", text(LABEL)).required(),
        acted("mountPath", text(MOUNT_PATH)).required(),
        acted("readOnly", BOOL),
        acted("subPath", text(RELATIVE_PATH)),
        acted("subPathExpr", text(RELATIVE_PATH)),
        acted("mountPropagation", words(&["None", "HostToContainer", "Bidirectional"]))
            .except("`Bidirectional`, which is refused"),
        refused(
            "recursiveReadOnly",
            words(&["Disabled", "IfPossible", "Enabled"]),
            "the engine makes what is mounted below read-only where it can, and Dugout cannot ask for more",
        )
        .unless(&["Disabled", "IfPossible"]),
        refused("bindMountOptions", TEXTS, "it is behind a feature gate of Kubernetes, and Dugout does not have it"),
    ],
)
.with(&[container::mount]);

pub(super) static VOLUME_DEVICE: Schema = table(
    "VolumeDevice",
    &[checked("devicePath", text(DEVICE_PATH)).required(), checked("name", text(LABEL)).required()],
);
