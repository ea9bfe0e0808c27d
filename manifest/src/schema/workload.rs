//! The fields of workloads: deployments and what selects pods.

use super::pod::POD_TEMPLATE;
use super::{Schema, acted, required};

pub(super) static DEPLOYMENT_SPEC: Schema = Schema {
    name: "DeploymentSpec",
    fields: &[
        acted("replicas"),
        required("selector").of(&LABEL_SELECTOR),
        required("template").of(&POD_TEMPLATE),
        acted("strategy").of(&DEPLOYMENT_STRATEGY),
        acted("minReadySeconds"),
        acted("progressDeadlineSeconds"),
        acted("revisionHistoryLimit"),
        acted("paused"),
    ],
};

static DEPLOYMENT_STRATEGY: Schema = Schema {
    name: "DeploymentStrategy",
    fields: &[acted("type"), acted("rollingUpdate").of(&ROLLING_UPDATE)],
};

static ROLLING_UPDATE: Schema = Schema {
    name: "RollingUpdateDeployment",
    fields: &[acted("maxSurge"), acted("maxUnavailable")],
};

static LABEL_SELECTOR: Schema = Schema {
    name: "LabelSelector",
    fields: &[acted("matchLabels"), acted("matchExpressions").of(&LABEL_REQUIREMENT)],
};

static LABEL_REQUIREMENT: Schema = Schema {
    name: "LabelSelectorRequirement",
    fields: &[required("key"), required("operator"), acted("values")],
};
