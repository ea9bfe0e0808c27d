//! Workloads that run on: deployments, replica sets, stateful sets, daemon sets.

use super::format::SERVICE_NAME;
use super::metadata::LABEL_SELECTOR;
use super::pod::POD_TEMPLATE_SPEC;
use super::storage::CLAIM_TEMPLATE;
use super::value::{BOOL, COUNT, LABELS, int_or_percent, object, objects, text, words};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, table};
use crate::rules::workload;

pub(super) static DEPLOYMENT: Schema = table(
    "Deployment",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&DEPLOYMENT_SPEC)).required(), STATUS],
);

pub(super) static DEPLOYMENT_SPEC: Schema = table(
    "DeploymentSpec",
    &[
        acted("replicas", COUNT),
        acted("selector", object(&LABEL_SELECTOR)).required(),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
        acted("strategy", object(&DEPLOYMENT_STRATEGY)),
        acted("minReadySeconds", COUNT),
        acted("progressDeadlineSeconds", COUNT),
        acted("revisionHistoryLimit", COUNT),
        acted("paused", BOOL),
    ],
)
.with(&[workload::deployment]);

pub(super) static DEPLOYMENT_STRATEGY: Schema = table(
    "DeploymentStrategy",
    &[
        acted("type", words(&["RollingUpdate", "Recreate"])),
        acted("rollingUpdate", object(&ROLLING_UPDATE_DEPLOYMENT)),
    ],
);

pub(super) static ROLLING_UPDATE_DEPLOYMENT: Schema = table(
    "RollingUpdateDeployment",
    &[acted("maxSurge", int_or_percent(u32::MAX)), acted("maxUnavailable", int_or_percent(100))],
);

pub(super) static REPLICA_SET: Schema = table(
    "ReplicaSet",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&REPLICA_SET_SPEC)).required(), STATUS],
);

pub(super) static REPLICA_SET_SPEC: Schema = table(
    "ReplicaSetSpec",
    &[
        acted("minReadySeconds", COUNT),
        acted("replicas", COUNT),
        acted("selector", object(&LABEL_SELECTOR)).required(),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
    ],
)
.with(&[workload::replica_set]);

pub(super) static REPLICATION_CONTROLLER: Schema = table(
    "ReplicationController",
    &[
        API_VERSION,
        KIND,
        METADATA,
        acted("spec", object(&REPLICATION_CONTROLLER_SPEC)).required(),
        STATUS,
    ],
);

pub(super) static REPLICATION_CONTROLLER_SPEC: Schema = table(
    "ReplicationControllerSpec",
    &[
        acted("minReadySeconds", COUNT),
        acted("replicas", COUNT),
        acted("selector", LABELS),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
    ],
)
.with(&[workload::replication_controller]);

pub(super) static STATEFUL_SET: Schema = table(
    "StatefulSet",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&STATEFUL_SET_SPEC)).required(), STATUS],
)
.with(&[workload::stateful_set_name]);

pub(super) static STATEFUL_SET_SPEC: Schema = table(
    "StatefulSetSpec",
    &[
        acted("minReadySeconds", COUNT),
        acted("ordinals", object(&STATEFUL_SET_ORDINALS)),
        acted(
            "persistentVolumeClaimRetentionPolicy",
            object(&STATEFUL_SET_PERSISTENT_VOLUME_CLAIM_RETENTION_POLICY),
        ),
        acted("podManagementPolicy", words(&["OrderedReady", "Parallel"])),
        acted("replicas", COUNT),
        acted("revisionHistoryLimit", COUNT),
        acted("selector", object(&LABEL_SELECTOR)).required(),
        acted("serviceName", text(SERVICE_NAME)),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
        acted("updateStrategy", object(&STATEFUL_SET_UPDATE_STRATEGY)),
        acted("volumeClaimTemplates", objects(&CLAIM_TEMPLATE)),
    ],
)
.with(&[workload::stateful_set]);

pub(super) static STATEFUL_SET_UPDATE_STRATEGY: Schema = table(
    "StatefulSetUpdateStrategy",
    &[
        acted("rollingUpdate", object(&ROLLING_UPDATE_STATEFUL_SET_STRATEGY)),
        acted("type", words(&["RollingUpdate", "OnDelete"])),
    ],
);

pub(super) static ROLLING_UPDATE_STATEFUL_SET_STRATEGY: Schema = table(
    "RollingUpdateStatefulSetStrategy",
    &[acted("maxUnavailable", int_or_percent(100)), acted("partition", COUNT)],
);

pub(super) static STATEFUL_SET_ORDINALS: Schema =
    table("StatefulSetOrdinals", &[acted("start", COUNT)]);

pub(super) static STATEFUL_SET_PERSISTENT_VOLUME_CLAIM_RETENTION_POLICY: Schema = table(
    "StatefulSetPersistentVolumeClaimRetentionPolicy",
    &[
        acted("whenDeleted", words(&["Retain", "Delete"])),
        acted("whenScaled", words(&["Retain", "Delete"])),
    ],
);

pub(super) static DAEMON_SET: Schema = table(
    "DaemonSet",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&DAEMON_SET_SPEC)).required(), STATUS],
);

pub(super) static DAEMON_SET_SPEC: Schema = table(
    "DaemonSetSpec",
    &[
        acted("minReadySeconds", COUNT),
        acted("revisionHistoryLimit", COUNT),
        acted("selector", object(&LABEL_SELECTOR)).required(),
        acted("template", object(&POD_TEMPLATE_SPEC)).required(),
        acted("updateStrategy", object(&DAEMON_SET_UPDATE_STRATEGY)),
    ],
)
.with(&[workload::daemon_set]);

pub(super) static DAEMON_SET_UPDATE_STRATEGY: Schema = table(
    "DaemonSetUpdateStrategy",
    &[
        acted("rollingUpdate", object(&ROLLING_UPDATE_DAEMON_SET)),
        acted("type", words(&["RollingUpdate", "OnDelete"])),
    ],
);

pub(super) static ROLLING_UPDATE_DAEMON_SET: Schema = table(
    "RollingUpdateDaemonSet",
    &[acted("maxSurge", int_or_percent(100)), acted("maxUnavailable", int_or_percent(100))],
);
