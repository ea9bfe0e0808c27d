//! The fields of a pod and of what templates of pods are.

use super::container::{CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS};
use super::format::{DNS_SEARCH, IP, LABEL, QUALIFIED_NAME, SUBDOMAIN, SYSCTL_NAME};
use super::metadata::TEMPLATE_METADATA;
use super::placement::{AFFINITY, TOLERATION, TOPOLOGY_SPREAD_CONSTRAINT};
use super::value::{
    BOOL, FREE_TEXT, INT32_MAX, INT32_MIN, LABELS, QUANTITIES, TEXT, int, ints, object, objects,
    text, texts, words,
};
use super::volume::VOLUME;
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, notice, refused, table};
use crate::rules::pod;

const HOST_NAMES: &str = "Dugout does not set up names inside a pod";
const OWN_PROCESSES: &str = "each container of a pod sees its own processes alone in Dugout";
const ISOLATION: &str = "Dugout does not change a container's isolation; the pod would run with other rights than this asks for";
const PLACEMENT: &str = "Dugout places pods by nodeSelector, free CPU and memory, and spreads them evenly; the pod could land where this forbids it";

pub(super) static POD: Schema = table(
    "Pod",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&POD_SPEC)).required(), STATUS],
)
.with(&[pod::pod]);

pub(super) static POD_TEMPLATE: Schema = table(
    "PodTemplate",
    &[API_VERSION, KIND, METADATA, checked("template", object(&POD_TEMPLATE_SPEC)).required()],
);

pub(super) static POD_TEMPLATE_SPEC: Schema = table(
    "PodTemplateSpec",
    &[acted("metadata", object(&TEMPLATE_METADATA)), acted("spec", object(&POD_SPEC)).required()],
);

pub(super) static POD_SPEC: Schema = table(
    "PodSpec",
    &[
        acted("containers", objects(&CONTAINER)).required().unique_by("name"),
        acted("terminationGracePeriodSeconds", int(0, INT32_MAX)),
        acted("nodeSelector", LABELS),
        acted("restartPolicy", words(&["Always", "OnFailure", "Never"])),
        acted("initContainers", objects(&CONTAINER)).unique_by("name"),
        refused(
            "ephemeralContainers",
            objects(&EPHEMERAL_CONTAINER),
            "ephemeral containers are added to running pods and cannot be declared",
        )
        .unique_by("name"),
        acted("volumes", objects(&VOLUME)).unique_by("name"),
        refused("affinity", object(&AFFINITY), PLACEMENT),
        refused("topologySpreadConstraints", objects(&TOPOLOGY_SPREAD_CONSTRAINT), PLACEMENT),
        refused("nodeName", text(SUBDOMAIN), "pods are placed by Dugout; use nodeSelector"),
        refused("schedulerName", text(QUALIFIED_NAME), "there is one scheduler")
            .unless(&["default-scheduler"]),
        refused("schedulingGates", objects(&POD_SCHEDULING_GATE), "Dugout places pods at once")
            .unique_by("name"),
        refused("priority", int(INT32_MIN, INT32_MAX), "Dugout has no pod priorities")
            .unless(&["0"]),
        refused("priorityClassName", text(SUBDOMAIN), "Dugout has no pod priorities"),
        refused(
            "preemptionPolicy",
            words(&["PreemptLowerPriority", "Never"]),
            "Dugout has no pod priorities",
        )
        .unless(&["PreemptLowerPriority"]),
        refused("hostNetwork", BOOL, ISOLATION).unless(&["false"]),
        refused("hostPID", BOOL, ISOLATION).unless(&["false"]),
        refused("hostIPC", BOOL, ISOLATION).unless(&["false"]),
        refused("hostUsers", BOOL, ISOLATION).unless(&["true"]),
        refused("shareProcessNamespace", BOOL, OWN_PROCESSES).unless(&["false"]),
        refused("securityContext", object(&POD_SECURITY_CONTEXT), ISOLATION),
        refused(
            "runtimeClassName",
            text(SUBDOMAIN),
            "containers run with the engine's default runtime",
        ),
        refused("overhead", QUANTITIES, "containers run with the engine's default runtime"),
        refused(
            "resources",
            object(&RESOURCE_REQUIREMENTS),
            "write the resources at the container",
        ),
        refused("resourceClaims", objects(&POD_RESOURCE_CLAIM), "Dugout does not allocate devices")
            .unique_by("name"),
        acted("imagePullSecrets", objects(&LOCAL_OBJECT_REFERENCE)),
        refused(
            "activeDeadlineSeconds",
            int(1, INT32_MAX),
            "pods have no deadline in Dugout; a Job may have one",
        ),
        refused("hostname", text(LABEL), HOST_NAMES),
        refused("hostnameOverride", text(SUBDOMAIN), HOST_NAMES),
        refused("subdomain", text(LABEL), HOST_NAMES),
        refused("setHostnameAsFQDN", BOOL, HOST_NAMES).unless(&["false"]),
        refused("hostAliases", objects(&HOST_ALIAS), HOST_NAMES),
        refused(
            "dnsConfig",
            object(&POD_DNS_CONFIG),
            "containers use the engine's name resolution",
        ),
        refused(
            "dnsPolicy",
            words(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
            "containers use the engine's name resolution",
        )
        .unless(&["ClusterFirst", "Default"]),
        acted("os", object(&POD_OS)),
        refused(
            "readinessGates",
            objects(&POD_READINESS_GATE),
            "readiness comes from the container's probes alone",
        ),
        notice("tolerations", objects(&TOLERATION), "has no effect: Dugout's nodes have no taints"),
        notice(
            "serviceAccountName",
            text(SUBDOMAIN),
            "has no effect: pods get no credentials for an API server",
        )
        .unless(&["default"]),
        notice(
            "serviceAccount",
            text(SUBDOMAIN),
            "has no effect: pods get no credentials for an API server",
        )
        .unless(&["default"]),
        notice(
            "automountServiceAccountToken",
            BOOL,
            "has no effect: pods get no credentials for an API server",
        )
        .unless(&["false"]),
        notice("enableServiceLinks", BOOL, "has no effect: Dugout sets no variables for services")
            .unless(&["false"]),
        refused(
            "schedulingGroup",
            object(&POD_SCHEDULING_GROUP),
            "Dugout schedules each pod for itself",
        ),
        refused(
            "evictionResponders",
            objects(&EVICTION_RESPONDER),
            "nobody is asked before a pod goes",
        )
        .unique_by("name"),
    ],
)
.with(&[pod::pod_spec]);

pub(super) static POD_DNS_CONFIG: Schema = table(
    "PodDNSConfig",
    &[
        checked("nameservers", texts(IP)),
        checked("options", objects(&POD_DNS_CONFIG_OPTION)),
        checked("searches", texts(DNS_SEARCH)),
    ],
);

pub(super) static POD_DNS_CONFIG_OPTION: Schema =
    table("PodDNSConfigOption", &[checked("name", TEXT).required(), checked("value", TEXT)]);

pub(super) static HOST_ALIAS: Schema = table(
    "HostAlias",
    &[checked("hostnames", texts(SUBDOMAIN)), checked("ip", text(IP)).required()],
);

pub(super) static POD_OS: Schema = table(
    "PodOS",
    &[refused("name", words(&["linux", "windows"]), "nodes run Linux")
        .unless(&["linux"])
        .required()],
);

pub(super) static POD_READINESS_GATE: Schema =
    table("PodReadinessGate", &[checked("conditionType", text(QUALIFIED_NAME)).required()]);

pub(super) static POD_RESOURCE_CLAIM: Schema = table(
    "PodResourceClaim",
    &[
        checked("name", text(LABEL)).required(),
        checked("resourceClaimName", text(SUBDOMAIN)),
        checked("resourceClaimTemplateName", text(SUBDOMAIN)),
    ],
);

pub(super) static POD_SCHEDULING_GATE: Schema =
    table("PodSchedulingGate", &[checked("name", text(QUALIFIED_NAME)).required()]);

pub(super) static POD_SCHEDULING_GROUP: Schema =
    table("PodSchedulingGroup", &[checked("podGroupName", text(SUBDOMAIN))]);

pub(super) static EVICTION_RESPONDER: Schema = table(
    "EvictionResponder",
    &[
        checked("name", text(QUALIFIED_NAME)).required(),
        checked("priority", int(INT32_MIN, INT32_MAX)).required(),
    ],
);

pub(super) static POD_SECURITY_CONTEXT: Schema = table(
    "PodSecurityContext",
    &[
        checked("appArmorProfile", object(&APP_ARMOR_PROFILE)),
        checked("fsGroup", int(0, INT32_MAX)),
        checked("fsGroupChangePolicy", words(&["OnRootMismatch", "Always"])),
        checked("runAsGroup", int(0, INT32_MAX)),
        checked("runAsNonRoot", BOOL),
        checked("runAsUser", int(0, INT32_MAX)),
        checked("seLinuxChangePolicy", words(&["Recursive", "MountOption"])),
        checked("seLinuxOptions", object(&SE_LINUX_OPTIONS)),
        checked("seccompProfile", object(&SECCOMP_PROFILE)),
        checked("supplementalGroups", ints(0, INT32_MAX)),
        checked("supplementalGroupsPolicy", words(&["Merge", "Strict"])),
        checked("sysctls", objects(&SYSCTL)).unique_by("name"),
        checked("windowsOptions", object(&WINDOWS_SECURITY_CONTEXT_OPTIONS)),
    ],
);

pub(super) static SYSCTL: Schema = table(
    "Sysctl",
    &[checked("name", text(SYSCTL_NAME)).required(), checked("value", FREE_TEXT).required()],
);

pub(super) static SE_LINUX_OPTIONS: Schema = table(
    "SELinuxOptions",
    &[checked("level", TEXT), checked("role", TEXT), checked("type", TEXT), checked("user", TEXT)],
);

pub(super) static SECCOMP_PROFILE: Schema = table(
    "SeccompProfile",
    &[
        checked("localhostProfile", TEXT),
        checked("type", words(&["Localhost", "RuntimeDefault", "Unconfined"])).required(),
    ],
)
.with(&[pod::profile]);

pub(super) static APP_ARMOR_PROFILE: Schema = table(
    "AppArmorProfile",
    &[
        checked("localhostProfile", TEXT),
        checked("type", words(&["Localhost", "RuntimeDefault", "Unconfined"])).required(),
    ],
)
.with(&[pod::profile]);

pub(super) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Schema = table(
    "WindowsSecurityContextOptions",
    &[
        checked("gmsaCredentialSpec", TEXT),
        checked("gmsaCredentialSpecName", TEXT),
        checked("hostProcess", BOOL),
        checked("runAsUserName", TEXT),
    ],
);

pub(super) static LOCAL_OBJECT_REFERENCE: Schema =
    table("LocalObjectReference", &[acted("name", text(SUBDOMAIN)).required()]);
