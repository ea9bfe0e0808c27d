//! Workloads that end: jobs and cron jobs.

use super::format::{CRON, INDEXES, LABEL, QUALIFIED_NAME, SUBDOMAIN, TIME_ZONE};
use super::metadata::{LABEL_SELECTOR, TEMPLATE_METADATA};
use super::pod::POD_TEMPLATE_SPEC;
use super::value::{BOOL, COUNT, INT32_MAX, INT64_MAX, int, ints, object, objects, text, words};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, checked, table};
use crate::rules::batch;

pub(super) static JOB: Schema = table(
    "Job",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&JOB_SPEC)).required(), STATUS],
);

pub(super) static JOB_SPEC: Schema = table(
    "JobSpec",
    &[
        checked("activeDeadlineSeconds", int(0, INT64_MAX)),
        checked("backoffLimit", COUNT),
        checked("backoffLimitPerIndex", COUNT),
        checked("completionMode", words(&["NonIndexed", "Indexed"])),
        checked("completions", COUNT),
        checked("managedBy", text(QUALIFIED_NAME)),
        checked("manualSelector", BOOL),
        checked("maxFailedIndexes", COUNT),
        checked("parallelism", COUNT),
        checked("podFailurePolicy", object(&POD_FAILURE_POLICY)),
        checked("podReplacementPolicy", words(&["TerminatingOrFailed", "Failed"])),
        checked("scheduling", object(&JOB_SCHEDULING_CONFIGURATION)),
        checked("selector", object(&LABEL_SELECTOR)),
        checked("successPolicy", object(&SUCCESS_POLICY)),
        checked("suspend", BOOL),
        checked("template", object(&POD_TEMPLATE_SPEC)).required(),
        checked("ttlSecondsAfterFinished", COUNT),
    ],
)
.with(&[batch::job]);

pub(super) static POD_FAILURE_POLICY: Schema =
    table("PodFailurePolicy", &[checked("rules", objects(&POD_FAILURE_POLICY_RULE)).required()]);

pub(super) static POD_FAILURE_POLICY_RULE: Schema = table(
    "PodFailurePolicyRule",
    &[
        checked("action", words(&["FailJob", "FailIndex", "Ignore", "Count"])).required(),
        checked("onExitCodes", object(&POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT)),
        checked("onPodConditions", objects(&POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN)),
    ],
)
.with(&[batch::failure_rule]);

pub(super) static POD_FAILURE_POLICY_ON_EXIT_CODES_REQUIREMENT: Schema = table(
    "PodFailurePolicyOnExitCodesRequirement",
    &[
        checked("containerName", text(LABEL)),
        checked("operator", words(&["In", "NotIn"])).required(),
        checked("values", ints(0, INT32_MAX)).required(),
    ],
);

pub(super) static POD_FAILURE_POLICY_ON_POD_CONDITIONS_PATTERN: Schema = table(
    "PodFailurePolicyOnPodConditionsPattern",
    &[
        checked("status", words(&["True", "False", "Unknown"])),
        checked("type", text(QUALIFIED_NAME)).required(),
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
    &[API_VERSION, KIND, METADATA, checked("spec", object(&CRON_JOB_SPEC)).required(), STATUS],
)
.with(&[batch::cron_job]);

pub(super) static CRON_JOB_SPEC: Schema = table(
    "CronJobSpec",
    &[
        checked("concurrencyPolicy", words(&["Allow", "Forbid", "Replace"])),
        checked("failedJobsHistoryLimit", COUNT),
        checked("jobTemplate", object(&JOB_TEMPLATE_SPEC)).required(),
        checked("schedule", text(CRON)).required(),
        checked("startingDeadlineSeconds", int(0, INT64_MAX)),
        checked("successfulJobsHistoryLimit", COUNT),
        checked("suspend", BOOL),
        checked("timeZone", text(TIME_ZONE)),
    ],
);

pub(super) static JOB_TEMPLATE_SPEC: Schema = table(
    "JobTemplateSpec",
    &[
        checked("metadata", object(&TEMPLATE_METADATA)),
        checked("spec", object(&JOB_SPEC)).required(),
    ],
);
