//! Budgets, autoscalers, quotas and priorities.

use super::format::Format::Words;
use super::format::{LABEL, PATH_SEGMENT};
use super::metadata::LABEL_SELECTOR;
use super::value::{
    BOOL, INT32_MAX, INT32_MIN, QUANTITIES, QUANTITY, TEXT, TEXTS, int, int_or_percent, object,
    objects, text, texts, words,
};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, table};
use crate::rules::{metadata, policy};

/// The sets of pods and claims that a quota may be about.
pub(crate) const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

pub(super) static POD_DISRUPTION_BUDGET: Schema = table(
    "PodDisruptionBudget",
    &[
        API_VERSION,
        KIND,
        METADATA,
        acted("spec", object(&POD_DISRUPTION_BUDGET_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static POD_DISRUPTION_BUDGET_SPEC: Schema = table(
    "PodDisruptionBudgetSpec",
    &[
        acted("maxUnavailable", int_or_percent(100)),
        acted("minAvailable", int_or_percent(100)),
        acted("selector", object(&LABEL_SELECTOR)),
        acted("unhealthyPodEvictionPolicy", words(&["IfHealthyBudget", "AlwaysAllow"])),
    ],
)
.with(&[policy::budget]);

pub(super) static HORIZONTAL_POD_AUTOSCALER: Schema = table(
    "HorizontalPodAutoscaler",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("spec", object(&HORIZONTAL_POD_AUTOSCALER_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static HORIZONTAL_POD_AUTOSCALER_SPEC: Schema = table(
    "HorizontalPodAutoscalerSpec",
    &[
        checked("behavior", object(&HORIZONTAL_POD_AUTOSCALER_BEHAVIOR)),
        checked("maxReplicas", int(1, INT32_MAX)).required(),
        checked("metrics", objects(&METRIC_SPEC)),
        checked("minReplicas", int(0, INT32_MAX)),
        checked("scaleTargetRef", object(&SCALE_TARGET)).required(),
    ],
)
.with(&[policy::autoscaler]);

pub(super) static METRIC_SPEC: Schema = table(
    "MetricSpec",
    &[
        checked("containerResource", object(&CONTAINER_RESOURCE_METRIC_SOURCE)),
        checked("external", object(&EXTERNAL_METRIC_SOURCE)),
        checked("object", object(&OBJECT_METRIC_SOURCE)),
        checked("pods", object(&PODS_METRIC_SOURCE)),
        checked("resource", object(&RESOURCE_METRIC_SOURCE)),
        checked("type", words(&["ContainerResource", "External", "Object", "Pods", "Resource"]))
            .required(),
    ],
)
.with(&[policy::metric]);

pub(super) static CONTAINER_RESOURCE_METRIC_SOURCE: Schema = table(
    "ContainerResourceMetricSource",
    &[
        checked("container", text(LABEL)).required(),
        checked("name", TEXT).required(),
        checked("target", object(&METRIC_TARGET)).required(),
    ],
);

pub(super) static EXTERNAL_METRIC_SOURCE: Schema = table(
    "ExternalMetricSource",
    &[
        checked("metric", object(&METRIC_IDENTIFIER)).required(),
        checked("target", object(&METRIC_TARGET)).required(),
    ],
);

pub(super) static OBJECT_METRIC_SOURCE: Schema = table(
    "ObjectMetricSource",
    &[
        checked("describedObject", object(&SCALE_TARGET)).required(),
        checked("metric", object(&METRIC_IDENTIFIER)).required(),
        checked("target", object(&METRIC_TARGET)).required(),
    ],
);

pub(super) static PODS_METRIC_SOURCE: Schema = table(
    "PodsMetricSource",
    &[
        checked("metric", object(&METRIC_IDENTIFIER)).required(),
        checked("target", object(&METRIC_TARGET)).required(),
    ],
);

pub(super) static RESOURCE_METRIC_SOURCE: Schema = table(
    "ResourceMetricSource",
    &[checked("name", TEXT).required(), checked("target", object(&METRIC_TARGET)).required()],
);

pub(super) static METRIC_TARGET: Schema = table(
    "MetricTarget",
    &[
        checked("averageUtilization", int(1, INT32_MAX)),
        checked("averageValue", QUANTITY),
        checked("type", words(&["Utilization", "Value", "AverageValue"])).required(),
        checked("value", QUANTITY),
    ],
)
.with(&[policy::metric_target]);

pub(super) static METRIC_IDENTIFIER: Schema = table(
    "MetricIdentifier",
    &[checked("name", TEXT).required(), checked("selector", object(&LABEL_SELECTOR))],
);

pub(super) static SCALE_TARGET: Schema = table(
    "CrossVersionObjectReference",
    &[
        checked("apiVersion", TEXT),
        checked("kind", text(PATH_SEGMENT)).required(),
        checked("name", text(PATH_SEGMENT)).required(),
    ],
);

pub(super) static HORIZONTAL_POD_AUTOSCALER_BEHAVIOR: Schema = table(
    "HorizontalPodAutoscalerBehavior",
    &[
        checked("scaleDown", object(&HPA_SCALING_RULES)),
        checked("scaleUp", object(&HPA_SCALING_RULES)),
    ],
);

pub(super) static HPA_SCALING_RULES: Schema = table(
    "HPAScalingRules",
    &[
        checked("policies", objects(&HPA_SCALING_POLICY)),
        checked("selectPolicy", words(&["Max", "Min", "Disabled"])),
        checked("stabilizationWindowSeconds", int(0, 3_600)),
        checked("tolerance", QUANTITY),
    ],
);

pub(super) static HPA_SCALING_POLICY: Schema = table(
    "HPAScalingPolicy",
    &[
        checked("periodSeconds", int(1, 1_800)).required(),
        checked("type", words(&["Pods", "Percent"])).required(),
        checked("value", int(1, INT32_MAX)).required(),
    ],
);

pub(super) static HORIZONTAL_POD_AUTOSCALER_V1: Schema = table(
    "HorizontalPodAutoscaler in autoscaling/v1",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("spec", object(&HORIZONTAL_POD_AUTOSCALER_SPEC_V1)).required(),
        STATUS,
    ],
);

pub(super) static HORIZONTAL_POD_AUTOSCALER_SPEC_V1: Schema = table(
    "HorizontalPodAutoscalerSpec in autoscaling/v1",
    &[
        checked("maxReplicas", int(1, INT32_MAX)).required(),
        checked("minReplicas", int(0, INT32_MAX)),
        checked("scaleTargetRef", object(&SCALE_TARGET)).required(),
        checked("targetCPUUtilizationPercentage", int(1, INT32_MAX)),
    ],
)
.with(&[policy::autoscaler]);

pub(super) static PRIORITY_CLASS: Schema = table(
    "PriorityClass",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("description", TEXT),
        checked("globalDefault", BOOL),
        checked("preemptionPolicy", words(&["PreemptLowerPriority", "Never"])),
        checked("value", int(INT32_MIN, INT32_MAX)).required(),
    ],
)
.with(&[policy::priority_class]);

pub(super) static RESOURCE_QUOTA: Schema = table(
    "ResourceQuota",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&RESOURCE_QUOTA_SPEC)).required(), STATUS],
);

pub(super) static RESOURCE_QUOTA_SPEC: Schema = table(
    "ResourceQuotaSpec",
    &[
        acted("hard", QUANTITIES),
        acted("scopeSelector", object(&SCOPE_SELECTOR)),
        acted("scopes", texts(Words(SCOPES))).except("`VolumeAttributesClass`, which is refused"),
    ],
)
.with(&[policy::quota]);

pub(super) static SCOPE_SELECTOR: Schema = table(
    "ScopeSelector",
    &[acted("matchExpressions", objects(&SCOPED_RESOURCE_SELECTOR_REQUIREMENT))],
);

pub(super) static SCOPED_RESOURCE_SELECTOR_REQUIREMENT: Schema = table(
    "ScopedResourceSelectorRequirement",
    &[
        acted("operator", words(&["In", "NotIn", "Exists", "DoesNotExist"])).required(),
        acted("scopeName", words(SCOPES))
            .required()
            .except("`VolumeAttributesClass`, which is refused"),
        acted("values", TEXTS),
    ],
)
.with(&[metadata::requirement, policy::scope_requirement]);

pub(super) static LIMIT_RANGE: Schema = table(
    "LimitRange",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&LIMIT_RANGE_SPEC)).required()],
);

pub(super) static LIMIT_RANGE_SPEC: Schema =
    table("LimitRangeSpec", &[acted("limits", objects(&LIMIT_RANGE_ITEM))])
        .with(&[policy::limit_range_spec]);

pub(super) static LIMIT_RANGE_ITEM: Schema = table(
    "LimitRangeItem",
    &[
        acted("default", QUANTITIES),
        acted("defaultRequest", QUANTITIES),
        acted("max", QUANTITIES),
        acted("maxLimitRequestRatio", QUANTITIES),
        acted("min", QUANTITIES),
        acted("type", words(&["Pod", "Container", "PersistentVolumeClaim"])).required(),
    ],
)
.with(&[policy::limit_range]);
