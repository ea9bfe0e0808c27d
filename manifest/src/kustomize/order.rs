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
    let rank: Box<dyn Fn(&str) -> (usize, usize)> = match order {
        Order::Fifo => return,
        Order::Default => Box::new(|kind| rank(kind, FIRST.iter().copied(), LAST.iter().copied())),
        Order::Legacy { first, last } => Box::new(|kind| {
            rank(kind, first.iter().map(String::as_str), last.iter().map(String::as_str))
        }),
    };
    resources.sort_by_cached_key(|resource| {
        let Id { of, name, .. } = resource.id();
        // What is not written comes after all that is.
        let or_last = |text: String| if text.is_empty() { "~".to_owned() } else { text };
        let namespace = or_last(resource.namespace().to_owned());
        (rank(&of.kind), or_last(of.group), of.version, of.kind.clone(), namespace, name)
    });
}

/// The named first ones, then all that are in no list, then the last ones.
fn rank<'a>(
    kind: &str,
    mut first: impl Iterator<Item = &'a str>,
    mut last: impl Iterator<Item = &'a str>,
) -> (usize, usize) {
    match (last.position(|one| one == kind), first.position(|one| one == kind)) {
        (Some(place), _) => (2, place),
        (None, Some(place)) => (0, place),
        (None, None) => (1, 0),
    }
}
