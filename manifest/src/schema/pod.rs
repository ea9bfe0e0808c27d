//! The fields of a pod and of what templates of pods are.

use super::container::{CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS};
use super::format::{LABEL, QUALIFIED_NAME, SUBDOMAIN};
use super::metadata::TEMPLATE_METADATA;
use super::placement::{AFFINITY, TOLERATION, TOPOLOGY_SPREAD_CONSTRAINT};
use super::security::{HOST_ALIAS, POD_DNS_CONFIG, POD_SECURITY_CONTEXT};
use super::value::{
    BOOL, INT32_MAX, INT32_MIN, LABELS, QUANTITIES, int, object, objects, text, words,
};
use super::volume::VOLUME;
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, notice, refused, table};
use crate::rules::{pod, security};

const HOST_NAMES: &str = "pods have no domain in Dugout: the engine resolves no names of pods";
const HOST_USERS: &str = "Docker gives users of their own to all containers of a node or to none";
const SERVICE_ACCOUNT: &str =
    "gives the imagePullSecrets of the account and no credentials for an API server";

const SPREAD: &str = "has no effect as a preference (whenUnsatisfiable: ScheduleAnyway; the other is refused): Dugout spreads pods evenly over the nodes that may run them";

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
        acted("affinity", object(&AFFINITY)),
        notice("topologySpreadConstraints", objects(&TOPOLOGY_SPREAD_CONSTRAINT), SPREAD),
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
        acted("hostNetwork", BOOL),
        acted("hostPID", BOOL),
        acted("hostIPC", BOOL),
        refused("hostUsers", BOOL, HOST_USERS).unless(&["true"]),
        acted("shareProcessNamespace", BOOL),
        acted("securityContext", object(&POD_SECURITY_CONTEXT)),
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
        acted("hostname", text(LABEL)),
        refused("hostnameOverride", text(SUBDOMAIN), HOST_NAMES),
        refused("subdomain", text(LABEL), HOST_NAMES),
        notice(
            "setHostnameAsFQDN",
            BOOL,
            "has no effect: without a subdomain the host name is all there is",
        )
        .unless(&["false"]),
        acted("hostAliases", objects(&HOST_ALIAS)).unique_by("ip"),
        acted("dnsConfig", object(&POD_DNS_CONFIG)),
        acted("dnsPolicy", words(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"])),
        acted("os", object(&POD_OS)),
        refused(
            "readinessGates",
            objects(&POD_READINESS_GATE),
            "readiness comes from the container's probes alone",
        ),
        notice("tolerations", objects(&TOLERATION), "has no effect: Dugout's nodes have no taints"),
        notice("serviceAccountName", text(SUBDOMAIN), SERVICE_ACCOUNT).unless(&["default"]),
        notice("serviceAccount", text(SUBDOMAIN), SERVICE_ACCOUNT).unless(&["default"]),
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
.with(&[pod::pod_spec, security::pod]);

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

pub(super) static LOCAL_OBJECT_REFERENCE: Schema =
    table("LocalObjectReference", &[acted("name", text(SUBDOMAIN)).required()]);
