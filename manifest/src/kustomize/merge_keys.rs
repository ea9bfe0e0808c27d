//! By which keys the lists of Kubernetes' own types are merged. What is in no table is replaced whole.
//!
//! Source: the `x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key` and
//! `x-kubernetes-list-map-keys` of Kubernetes' OpenAPI description.

use super::resource::Type;

/// The fields of a type of which merging has to know.
pub(super) struct MergeType {
    fields: &'static [(&'static str, MergeRule)],
}

/// How the value of a field is merged.
#[derive(Clone, Copy)]
pub(super) enum MergeRule {
    /// Field by field.
    Fields(&'static MergeType),
    /// Item by item, those with equal keys with each other.
    Items(&'static [&'static str], &'static MergeType),
    /// As a set of plain values.
    Set,
}

impl MergeType {
    pub fn rule(&self, field: &str) -> Option<MergeRule> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, rule)| *rule)
    }
}

use MergeRule::{Fields, Items, Set};

const fn of(fields: &'static [(&'static str, MergeRule)]) -> MergeType {
    MergeType { fields }
}

static PLAIN: MergeType = of(&[]);

static METADATA: MergeType =
    of(&[("finalizers", Set), ("ownerReferences", Items(&["uid"], &PLAIN))]);

static CONTAINER: MergeType = of(&[
    ("env", Items(&["name"], &PLAIN)),
    ("ports", Items(&["containerPort", "protocol"], &PLAIN)),
    ("resources", Fields(&RESOURCES)),
    ("volumeDevices", Items(&["devicePath"], &PLAIN)),
    ("volumeMounts", Items(&["mountPath"], &PLAIN)),
]);

static RESOURCES: MergeType = of(&[("claims", Items(&["name"], &PLAIN))]);

static POD_SPEC: MergeType = of(&[
    ("containers", Items(&["name"], &CONTAINER)),
    ("ephemeralContainers", Items(&["name"], &CONTAINER)),
    ("hostAliases", Items(&["ip"], &PLAIN)),
    ("imagePullSecrets", Items(&["name"], &PLAIN)),
    ("initContainers", Items(&["name"], &CONTAINER)),
    ("resourceClaims", Items(&["name"], &PLAIN)),
    ("schedulingGates", Items(&["name"], &PLAIN)),
    ("topologySpreadConstraints", Items(&["topologyKey", "whenUnsatisfiable"], &PLAIN)),
    ("volumes", Items(&["name"], &PLAIN)),
]);

static POD: MergeType = of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&POD_SPEC))]);

static WORKLOAD_SPEC: MergeType = of(&[("template", Fields(&POD))]);
static WORKLOAD: MergeType =
    of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&WORKLOAD_SPEC))]);

static JOB_TEMPLATE: MergeType =
    of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&WORKLOAD_SPEC))]);
static CRON_JOB_SPEC: MergeType = of(&[("jobTemplate", Fields(&JOB_TEMPLATE))]);
static CRON_JOB: MergeType =
    of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&CRON_JOB_SPEC))]);

static POD_TEMPLATE: MergeType = of(&[("metadata", Fields(&METADATA)), ("template", Fields(&POD))]);

static SERVICE_SPEC: MergeType = of(&[("ports", Items(&["port", "protocol"], &PLAIN))]);
static SERVICE: MergeType = of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&SERVICE_SPEC))]);

static SERVICE_ACCOUNT: MergeType =
    of(&[("metadata", Fields(&METADATA)), ("secrets", Items(&["name"], &PLAIN))]);

static WEBHOOKS: MergeType =
    of(&[("metadata", Fields(&METADATA)), ("webhooks", Items(&["name"], &PLAIN))]);

static NODE_SPEC: MergeType = of(&[("podCIDRs", Set)]);
static NODE: MergeType = of(&[("metadata", Fields(&METADATA)), ("spec", Fields(&NODE_SPEC))]);

static OTHER: MergeType = of(&[("metadata", Fields(&METADATA))]);

/// How objects of a type are merged; nothing for types that are not Kubernetes' own, whose lists are
/// all replaced.
pub(super) fn merge_type(of: &Type) -> Option<&'static MergeType> {
    let found = match (of.group.as_str(), of.kind.as_str()) {
        ("", "Pod") => &POD,
        ("", "PodTemplate") => &POD_TEMPLATE,
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => &WORKLOAD,
        ("batch", "CronJob") => &CRON_JOB,
        ("", "Service") => &SERVICE,
        ("", "ServiceAccount") => &SERVICE_ACCOUNT,
        ("", "Node") => &NODE,
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => &WEBHOOKS,
        (group, _) if is_own(group) => &OTHER,
        _ => return None,
    };
    Some(found)
}

/// Whether a group is Kubernetes' own.
fn is_own(group: &str) -> bool {
    matches!(group, "" | "apps" | "autoscaling" | "batch" | "policy")
        || group.ends_with(".k8s.io") && group.matches('.').count() == 2
}
