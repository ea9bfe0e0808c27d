//! The order in which objects are shown: as they come, or by what depends on what, as kubectl does.

use super::file::Order;
use super::resource::{Id, Resource};

/// Kinds that come before all others, in this order.
const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come after all others.
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

pub(super) fn sort(resources: &mut [Resource], order: &Order) {
    let (first, last): (Vec<&str>, Vec<&str>) = match order {
        Order::Fifo => return,
        Order::Default => (FIRST.to_vec(), LAST.to_vec()),
        Order::Legacy { first, last } => {
            (first.iter().map(String::as_str).collect(), last.iter().map(String::as_str).collect())
        }
    };
    resources.sort_by_cached_key(|resource| {
        let Id { of, name, .. } = resource.id();
        // What is not written comes after all that is.
        let or_last = |text: String| if text.is_empty() { "~".to_owned() } else { text };
        let namespace = or_last(resource.namespace().to_owned());
        let rank = rank(&of.kind, &first, &last);
        (rank, or_last(of.group), of.version, of.kind, namespace, name)
    });
}

/// The named first ones, then all that are in no list, then the last ones.
fn rank(kind: &str, first: &[&str], last: &[&str]) -> (usize, usize) {
    let place = |list: &[&str]| list.iter().position(|one| *one == kind);
    match (place(last), place(first)) {
        (Some(place), _) => (2, place),
        (None, Some(place)) => (0, place),
        (None, None) => (1, 0),
    }
}
