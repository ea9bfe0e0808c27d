//! Workloads that end: jobs and cron jobs.

use super::format::{CRON, INDEXES, LABEL, QUALIFIED_NAME, SUBDOMAIN, TIME_ZONE};
use super::metadata::{LABEL_SELECTOR, TEMPLATE_METADATA};
use super::pod::POD_TEMPLATE_SPEC;
use super::value::{BOOL, COUNT, INT32_MAX, INT64_MAX, int, ints, object, objects, text, words};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, notice, refused, table};
use crate::rules::batch;

const BY_INDEX: &str = "Dugout counts the failures of all indexes together";
const OWN_PODS: &str = "a job's pods are those that it made";

pub(super) static JOB: Schema = table(
    "Job",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&JOB_SPEC)).required(), STATUS],
)
.with(&[batch::named_job]);

pub(super) static JOB_SPEC: Schema = table(
    "JobSpec",
    &[
        acted("activeDeadlineSeconds", int(0, INT64_MAX)),
        acted("backoffLimit", COUNT),
        refused("backoffLimitPerIndex", COUNT, BY_INDEX),
        acted("completionMode", words(&["NonIndexed", "Indexed"])),
        acted("completions", COUNT),
        refused("managedBy", text(QUALIFIED_NAME), "Dugout runs every job itself")
            .unless(&["kubernetes.io/job-controller"]),
        refused("manualSelector", BOOL, OWN_PODS).unless(&["false"]),
        refused("maxFailedIndexes", COUNT, BY_INDEX),
        acted("parallelism", COUNT),
        acted("podFailurePolicy", object(&POD_FAILURE_POLICY)),
        notice(
            "podReplacementPolicy",
            words(&["TerminatingOrFailed", "Failed"]),
            "has no effect: a pod whose node is lost is replaced at once, any other when it failed",
        )
        .unless(&["TerminatingOrFailed"]),
        refused(
            "scheduling",
            object(&JOB_SCHEDULING_CONFIGURATION),
            "Dugout places each pod of a job by itself",
        ),
        refused("selector", object(&LABEL_SELECTOR), OWN_PODS),
        refused(
            "successPolicy",
            object(&SUCCESS_POLICY),
            "Dugout completes a job when all of its completions succeeded",
        ),
        acted("suspend", BOOL),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
        acted("ttlSecondsAfterFinished", COUNT),
    ],
)
.with(&[batch::job]);

pub(super) static POD_FAILURE_POLICY: Schema =
    table("PodFailurePolicy", &[acted("rules", objects(&POD_FAILURE_POLICY_RULE)).required()]);

pub(super) static POD_FAILURE_POLICY_RULE: Schema = table(
    "PodFailurePolicyRule",
    &[
        acted("action", words(&["FailJob", "FailIndex", "Ignore", "Count"]))
            .except("`FailIndex`, which is refused")
            .required(),
        acted("onExitCodes", object(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
        acted("onPodConditions", objects(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN)),
    ],
)
.with(&[batch::failure_rule]);

pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Schema = table(
    "PodFailurePolicyOnExitCodesRequirement",
    &[
        acted("containerName", text(LABEL)),
        acted("operator", words(&["In", "NotIn"])).required(),
        acted("values", ints(0, INT32_MAX)).required(),
    ],
);

pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Schema = table(
    "PodFailurePolicyOnPodConditionsPattern",
    &[
        acted("status", words(&["True", "False", "Unknown"])),
        acted("type", text(QUALIFIED_NAME)).required(),
    ],
);

pub(super) static SUCCESS_POLICY: Schema =
    table("SuccessPolicy", &[checked("rules", objects(&SUCCESS_POLICY_RULE)).required()]);

pub(super) static SUCCESS_POLICY_RULE: Schema = table(
    "SuccessPolicyRule",
    &[checked("succeededCount", COUNT), checked("succeededIndexes", text(INDEXES))],
);

pub(super) static JOB_SCHEDULING_CONFIGURATION: Schema = table(
    "JobSchedulingConfiguration",
    &[
        checked("disruptionMode", object(&WORKLOAD_POD_GROUP_DISRUPTION_MODE)),
        checked("resourceClaims", objects(&WORKLOAD_POD_GROUP_RESOURCE_CLAIM)),
        checked("schedulingConstraints", object(&WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS)),
        checked("schedulingPolicy", object(&WORKLOAD_POD_GROUP_SCHEDULING_POLICY)),
    ],
);

pub(super) static WORKLOAD_POD_GROUP_DISRUPTION_MODE: Schema = table(
    "WorkloadPodGroupDisruptionMode",
    &[
        checked("all", object(&WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE)),
        checked("single", object(&WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE)),
    ],
);

pub(super) static WORKLOAD_POD_GROUP_ALL_DISRUPTION_MODE: Schema =
    table("WorkloadPodGroupAllDisruptionMode", &[]);

pub(super) static WORKLOAD_POD_GROUP_SINGLE_DISRUPTION_MODE: Schema =
    table("WorkloadPodGroupSingleDisruptionMode", &[]);

pub(super) static WORKLOAD_POD_GROUP_RESOURCE_CLAIM: Schema = table(
    "WorkloadPodGroupResourceClaim",
    &[
        checked("name", text(LABEL)).required(),
        checked("resourceClaimName", text(SUBDOMAIN)),
        checked("resourceClaimTemplateName", text(SUBDOMAIN)),
    ],
);

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_CONSTRAINTS: Schema = table(
    "WorkloadPodGroupSchedulingConstraints",
    &[checked("topology", objects(&TOPOLOGY_CONSTRAINT))],
);

pub(super) static TOPOLOGY_CONSTRAINT: Schema =
    table("TopologyConstraint", &[checked("key", text(QUALIFIED_NAME)).required()]);

pub(super) static WORKLOAD_POD_GROUP_SCHEDULING_POLICY: Schema = table(
    "WorkloadPodGroupSchedulingPolicy",
    &[
        checked("basic", object(&WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY)),
        checked("gang", object(&WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY)),
    ],
);

pub(super) static WORKLOAD_POD_GROUP_BASIC_SCHEDULING_POLICY: Schema =
    table("WorkloadPodGroupBasicSchedulingPolicy", &[]);

pub(super) static WORKLOAD_POD_GROUP_GANG_SCHEDULING_POLICY: Schema =
    table("WorkloadPodGroupGangSchedulingPolicy", &[checked("minCount", COUNT)]);

pub(super) static CRON_JOB: Schema = table(
    "CronJob",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&CRON_JOB_SPEC)).required(), STATUS],
)
.with(&[batch::cron_job]);

pub(super) static CRON_JOB_SPEC: Schema = table(
    "CronJobSpec",
    &[
        acted("concurrencyPolicy", words(&["Allow", "Forbid", "Replace"])),
        acted("failedJobsHistoryLimit", COUNT),
        acted("jobTemplate", object(&JOB_TEMPLATE_SPEC)).required(),
        acted("schedule", text(CRON)).required(),
        acted("startingDeadlineSeconds", int(0, INT64_MAX)),
        acted("successfulJobsHistoryLimit", COUNT),
        acted("suspend", BOOL),
        acted("timeZone", text(TIME_ZONE)),
    ],
);

pub(super) static JOB_TEMPLATE_SPEC: Schema = table(
    "JobTemplateSpec",
    &[acted("metadata", object(&TEMPLATE_METADATA)), acted("spec", object(&JOB_SPEC)).required()],
);
