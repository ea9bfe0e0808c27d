//! The other workloads that run on beside Deployments: stateful sets, daemon sets, replica sets,
//! replication controllers and bare pods.

use dugout_model::{
    DaemonSet, DaemonSetUpdate, IntOrPercent, LabelSelector, PodManagement, PodTemplate,
    ReplicaSetSpec, StatefulSet, StatefulSetUpdate, StringMap,
};

use super::deployment::{
    INT32_MAX, empty_template, has_host_ports, read_int_or_percent, read_pod_spec, read_replicas,
    read_selector, read_template, seconds,
};
use super::metadata::read_labels;
use super::{policy, storage};
use crate::reader::Object;

/// How many templates of before are kept where a manifest does not say it.
const REVISION_HISTORY_LIMIT: u32 = 10;

const NONE: IntOrPercent = IntOrPercent::Int(0);
const ONE: IntOrPercent = IntOrPercent::Int(1);

pub(super) fn read_stateful_set(object: &Object<'_>) -> StatefulSet {
    let spec = object.field("spec").and_then(|value| value.object());
    let spec = spec.as_ref();
    let words =
        [("OrderedReady", PodManagement::OrderedReady), ("Parallel", PodManagement::Parallel)];
    let management = spec
        .and_then(|spec| spec.field("podManagementPolicy"))
        .and_then(|value| value.one_of(&words));
    let service_name = spec.and_then(|spec| spec.field("serviceName"));
    let first_ordinal = spec
        .and_then(|spec| spec.field("ordinals"))
        .and_then(|value| Some(number(&value.object()?, "start", 0)));
    let claim_templates = spec.map(storage::read_claim_templates).unwrap_or_default();
    StatefulSet {
        replicas: spec.map_or(0, read_replicas),
        selector: selector_of(spec),
        template: storage::with_claims(template_of(spec), &claim_templates),
        service_name: service_name
            .and_then(|value| value.text().map(str::to_owned))
            .unwrap_or_default(),
        first_ordinal: first_ordinal.unwrap_or(0),
        pod_management: management.unwrap_or(PodManagement::OrderedReady),
        update: spec.map_or(StatefulSetUpdate::OnDelete, read_stateful_set_update),
        min_ready: seconds(spec.map_or(0, |spec| number(spec, "minReadySeconds", 0))),
        revision_history_limit: spec.map_or(0, read_history_limit),
        claim_templates,
        claim_retention: spec.map(storage::read_claim_retention).unwrap_or_default(),
    }
}

fn read_stateful_set_update(spec: &Object<'_>) -> StatefulSetUpdate {
    let rolling = |details: Option<&Object<'_>>| StatefulSetUpdate::RollingUpdate {
        partition: details.map_or(0, |details| number(details, "partition", 0)),
        max_unavailable: share_of(details, "maxUnavailable", ONE),
    };
    read_update(spec, rolling).unwrap_or(StatefulSetUpdate::OnDelete)
}

pub(super) fn read_daemon_set(object: &Object<'_>) -> DaemonSet {
    let spec = object.field("spec").and_then(|value| value.object());
    let spec = spec.as_ref();
    let template = template_of(spec);
    let update = spec.map_or(DaemonSetUpdate::OnDelete, read_daemon_set_update);
    if let DaemonSetUpdate::RollingUpdate { max_surge, .. } = update
        && max_surge.rounded_up(1) > 0
        && has_host_ports(&template)
        && let Some(place) = spec.and_then(|spec| spec.field("updateStrategy"))
    {
        place.fail_with(
            "maxSurge must be 0 where pods have host ports: no node has them twice",
            "remove maxSurge; one of its pods goes before the next comes",
        );
    }
    DaemonSet {
        selector: selector_of(spec),
        template,
        update,
        min_ready: seconds(spec.map_or(0, |spec| number(spec, "minReadySeconds", 0))),
        revision_history_limit: spec.map_or(0, read_history_limit),
    }
}

fn read_daemon_set_update(spec: &Object<'_>) -> DaemonSetUpdate {
    let rolling = |details: Option<&Object<'_>>| DaemonSetUpdate::RollingUpdate {
        max_surge: share_of(details, "maxSurge", NONE),
        max_unavailable: share_of(details, "maxUnavailable", ONE),
    };
    read_update(spec, rolling).unwrap_or(DaemonSetUpdate::OnDelete)
}

pub(super) fn read_replica_set(object: &Object<'_>) -> ReplicaSetSpec {
    let spec = object.field("spec").and_then(|value| value.object());
    let spec = spec.as_ref();
    ReplicaSetSpec {
        replicas: spec.map_or(0, read_replicas),
        selector: selector_of(spec),
        template: template_of(spec),
        min_ready: seconds(spec.map_or(0, |spec| number(spec, "minReadySeconds", 0))),
    }
}

/// Its selector is a plain map, and the template's labels where it is left out.
pub(super) fn read_replication_controller(object: &Object<'_>) -> ReplicaSetSpec {
    let spec = object.field("spec").and_then(|value| value.object());
    let spec = spec.as_ref();
    let template = template_of(spec);
    let written = spec.and_then(|spec| spec.field("selector")).map(|value| read_labels(&value));
    let written = written.filter(|labels: &StringMap| !labels.is_empty());
    ReplicaSetSpec {
        replicas: spec.map_or(0, read_replicas),
        selector: LabelSelector {
            match_labels: written.unwrap_or_else(|| template.labels.clone()),
            match_expressions: Vec::new(),
        },
        template,
        min_ready: seconds(spec.map_or(0, |spec| number(spec, "minReadySeconds", 0))),
    }
}

/// A bare pod; its labels and annotations are those of the object. What steers Dugout is no part of the
/// pod: another word there makes no other pod.
pub(super) fn read_pod(
    object: &Object<'_>,
    labels: &StringMap,
    annotations: &StringMap,
) -> PodTemplate {
    let own = annotations.iter().filter(|(key, _)| !key.starts_with(policy::PREFIX));
    let annotations = own.map(|(key, value)| (key, value.clone())).collect();
    let empty = PodTemplate { labels: labels.clone(), annotations, ..empty_template() };
    match object.field("spec").and_then(|value| value.object()) {
        Some(spec) => read_pod_spec(&spec, empty),
        None => empty,
    }
}

/// What `updateStrategy` says: nothing with OnDelete, or else what its details of a rolling update are.
fn read_update<T>(spec: &Object<'_>, rolling: impl FnOnce(Option<&Object<'_>>) -> T) -> Option<T> {
    let strategy = spec.field("updateStrategy").and_then(|value| value.object());
    let strategy = strategy.as_ref();
    let is_rolling = [("RollingUpdate", true), ("OnDelete", false)];
    let chosen = strategy
        .and_then(|strategy| strategy.field("type"))
        .and_then(|value| value.one_of(&is_rolling));
    let details = strategy.and_then(|strategy| strategy.field("rollingUpdate"));
    let details = details.and_then(|value| value.object());
    chosen.unwrap_or(true).then(|| rolling(details.as_ref()))
}

fn number(object: &Object<'_>, name: &'static str, default: u32) -> u32 {
    object.field(name).and_then(|value| value.u32(0, INT32_MAX)).unwrap_or(default)
}

fn read_history_limit(spec: &Object<'_>) -> u32 {
    number(spec, "revisionHistoryLimit", REVISION_HISTORY_LIMIT)
}

fn share_of(
    details: Option<&Object<'_>>,
    name: &'static str,
    default: IntOrPercent,
) -> IntOrPercent {
    let value = details.and_then(|details| details.field(name));
    value.and_then(|value| read_int_or_percent(&value)).unwrap_or(default)
}

fn selector_of(spec: Option<&Object<'_>>) -> LabelSelector {
    let value = spec.and_then(|spec| spec.field("selector"));
    value.and_then(|value| read_selector(&value)).unwrap_or_default()
}

fn template_of(spec: Option<&Object<'_>>) -> PodTemplate {
    let template = spec.and_then(|spec| spec.field("template")).and_then(|value| value.object());
    template.map_or_else(empty_template, |template| read_template(&template))
}
