//! What every object has: metadata, times, quantities.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::{
    Job, Kind, LabelOperator, LabelSelector, ObjectName, PortRef, ReplicaSet, StoredObject,
    StringMap, Timestamp, World, show_bytes, show_millis,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff;

use super::View;

/// The label that tells the pods of one replica set from those of another.
pub(crate) const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The same of stateful sets and daemon sets.
const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";

const COMMIT: &str = "dugout.dev/commit";
const SOURCE: &str = "dugout.dev/source";
/// On what left Git and stays.
const ORPHANED: &str = "dugout.dev/orphaned";
const FILE: &str = "dugout.dev/file";
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The metadata of an object that Git declares.
pub(super) fn of_object(view: View<'_>, object: &StoredObject) -> ObjectMeta {
    let declared = &object.declared;
    let mut annotations = BTreeMap::from(&declared.annotations);
    annotations.insert(COMMIT.to_owned(), object.sha.to_string());
    annotations.insert(SOURCE.to_owned(), object.source.to_string());
    if object.orphaned {
        annotations.insert(ORPHANED.to_owned(), "true".to_owned());
    }
    let origin = &declared.origin;
    annotations.insert(FILE.to_owned(), format!("{}:{}", origin.file, origin.line));
    ObjectMeta {
        annotations: Some(annotations),
        creation_timestamp: time(object.created_at),
        generation: i64::try_from(object.generation).ok(),
        labels: strings(&declared.labels),
        name: Some(declared.key.name.to_string()),
        namespace: some_text(declared.key.namespace.as_str()),
        resource_version: version(view),
        uid: Some(object.uid.to_string()),
        ..ObjectMeta::default()
    }
}

/// Annotations of what a replica set stands for.
pub(super) fn of_replica_set(
    mut annotations: BTreeMap<String, String>,
    set: &ReplicaSet,
) -> BTreeMap<String, String> {
    annotations.insert(COMMIT.to_owned(), set.sha.to_string());
    annotations.insert(REVISION.to_owned(), set.revision.to_string());
    annotations
}

/// Annotations of a run of a job.
pub(super) fn of_run(job: &Job) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from(&job.annotations);
    annotations.insert(COMMIT.to_owned(), job.sha.to_string());
    annotations.insert(SOURCE.to_owned(), job.source.to_string());
    let scheduled_at = job.scheduled_at.and_then(moment);
    annotations.extend(scheduled_at.map(|at| (SCHEDULED_AT.to_owned(), at.to_string())));
    annotations
}

pub(super) fn with_commit(annotations: &StringMap, set: &ReplicaSet) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from(annotations);
    annotations.insert(COMMIT.to_owned(), set.sha.to_string());
    annotations
}

pub(super) fn owner(
    api_version: &str,
    kind: &str,
    name: &ObjectName,
    uid: String,
) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        block_owner_deletion: Some(true),
        controller: Some(true),
        kind: kind.to_owned(),
        name: name.to_string(),
        uid,
    }
}

/// The short hash in a replica set's name, which its pods carry as a label.
pub(crate) fn pod_template_hash(set: &ReplicaSet) -> &str {
    set.name.as_str().rsplit_once('-').map_or(set.name.as_str(), |(_, hash)| hash)
}

/// Kubernetes' version of every object: the turn of the snapshot.
pub(super) fn version(view: View<'_>) -> Option<String> {
    Some(view.world.turn.0.to_string())
}

/// The label by which pods of one template are told from those of another, if their kind has one.
pub(crate) fn hash_label<'a>(
    world: &World,
    set: &'a ReplicaSet,
) -> Option<(&'static str, &'a str)> {
    if set.is_of_job() {
        return None;
    }
    match world.workload_by_uid(set.owner).map(|object| object.declared.kind()) {
        Some(Kind::Deployment) | None => Some((POD_TEMPLATE_HASH, pod_template_hash(set))),
        Some(Kind::StatefulSet) => Some((CONTROLLER_REVISION_HASH, set.name.as_str())),
        Some(Kind::DaemonSet) => Some((CONTROLLER_REVISION_HASH, pod_template_hash(set))),
        Some(_) => None,
    }
}

pub(super) fn time(at: Timestamp) -> Option<Time> {
    moment(at).map(Time)
}

/// Absent when the moment is outside the calendar.
pub(crate) fn moment(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok()
}

/// The moment, or the beginning of the epoch where a value is required.
pub(super) fn moment_or_epoch(at: Timestamp) -> jiff::Timestamp {
    moment(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

pub(super) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn strings(map: &StringMap) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.into())
}

pub(super) fn list<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// A count, as Kubernetes has it.
pub(super) fn int(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

pub(super) fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// CPU in thousandths of a core, in the shortest form.
pub(super) fn cpu(millis: u64) -> Quantity {
    Quantity(show_millis(millis))
}

/// Bytes, in the largest binary unit that is exact.
pub(super) fn bytes(count: u64) -> Quantity {
    Quantity(show_bytes(count))
}

pub(super) fn port(port: &PortRef) -> IntOrString {
    match port {
        PortRef::Number(number) => IntOrString::Int(i32::from(*number)),
        PortRef::Name(name) => IntOrString::String(name.clone()),
    }
}

pub(super) fn selector(selector: &LabelSelector) -> meta::LabelSelector {
    let expressions = selector
        .match_expressions
        .iter()
        .map(|requirement| {
            let (operator, values) = match &requirement.operator {
                LabelOperator::In(values) => ("In", Some(values.clone())),
                LabelOperator::NotIn(values) => ("NotIn", Some(values.clone())),
                LabelOperator::Exists => ("Exists", None),
                LabelOperator::DoesNotExist => ("DoesNotExist", None),
            };
            meta::LabelSelectorRequirement {
                key: requirement.key.clone(),
                operator: operator.to_owned(),
                values,
            }
        })
        .collect();
    meta::LabelSelector {
        match_expressions: list(expressions),
        match_labels: strings(&selector.match_labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_and_short() {
        assert_eq!(cpu(2000).0, "2");
        assert_eq!(cpu(250).0, "250m");
        assert_eq!(cpu(0).0, "0");
        assert_eq!(bytes(0).0, "0");
        assert_eq!(bytes(64 << 20).0, "64Mi");
        assert_eq!(bytes(1536 << 20).0, "1536Mi");
        assert_eq!(bytes(1 << 30).0, "1Gi");
        assert_eq!(bytes(1000).0, "1000");
    }
}
