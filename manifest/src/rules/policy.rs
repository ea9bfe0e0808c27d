//! Budgets, autoscalers, quotas, limits and priorities.

use std::collections::BTreeSet;

use crate::decode::Part;
use crate::problems::quoted;
use crate::quantity::Quantity;
use crate::schema::{KINDS, SCOPES};
use crate::validate::{Context, View};

pub(crate) fn budget(spec: &View<'_>, _: &mut Context) {
    spec.exactly_one(&["minAvailable", "maxUnavailable"]);
}

/// Either version of an autoscaler.
pub(crate) fn autoscaler(spec: &View<'_>, context: &mut Context) {
    let lowest = spec.int("minReplicas").unwrap_or(1);
    if spec.int("maxReplicas").is_some_and(|highest| highest < lowest) {
        let message = format!("must be at least minReplicas, which is {lowest}");
        spec.fail_at("maxReplicas", &message, "raise it");
    }
    if lowest == 0 {
        let mut from_outside = false;
        spec.each("metrics", |metric| {
            from_outside |= matches!(metric.text("type"), Some("Object" | "External"));
        });
        if !from_outside {
            spec.fail_at(
                "minReplicas",
                "may be 0 with a metric of type Object or External alone",
                "no pod would be left to measure",
            );
        }
    }
    spec.within("scaleTargetRef", |target| {
        let kind = target.text("kind");
        let known = KINDS.iter().find(|entry| {
            Some(entry.kind) == kind
                && matches!(
                    entry.kind,
                    "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"
                )
        });
        if let (Some(entry), Some(name)) = (known, target.get("name")) {
            context.refer(entry.kind, &name, Part::Whole);
        }
    });
}

/// Which field goes with which type of a metric.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(crate) fn metric(metric: &View<'_>, _: &mut Context) {
    let chosen = metric.text("type");
    for (name, field) in METRICS {
        if chosen == Some(name) && !metric.has(field) {
            metric.fail_at(field, &format!("is required with type: {name}"), "write it");
        } else if chosen != Some(name) && metric.has(field) {
            metric.fail_at(
                field,
                &format!("belongs to type: {name}"),
                "remove it, or set the type",
            );
        }
    }
}

pub(crate) fn metric_target(target: &View<'_>, _: &mut Context) {
    const FIELDS: [(&str, &str); 3] = [
        ("Utilization", "averageUtilization"),
        ("Value", "value"),
        ("AverageValue", "averageValue"),
    ];
    let chosen = target.text("type");
    for (name, field) in FIELDS {
        if chosen == Some(name) && !target.has(field) {
            target.fail_at(field, &format!("is required with type: {name}"), "write it");
        }
    }
}

/// The highest value that is not Kubernetes' own.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

pub(crate) fn priority_class(class: &View<'_>, _: &mut Context) {
    let own = matches!(
        class
            .within("metadata", |metadata| metadata.text("name").map(str::to_owned))
            .flatten()
            .as_deref(),
        Some("system-node-critical" | "system-cluster-critical")
    );
    class.within("metadata", |metadata| {
        if !own && metadata.text("name").is_some_and(|name| name.starts_with("system-")) {
            metadata.fail_at("name", "must not begin with system-", "that is Kubernetes' own");
        }
    });
    if !own && class.int("value").is_some_and(|value| value > HIGHEST_PRIORITY) {
        class.fail_at("value", &format!("must be at most {HIGHEST_PRIORITY}"), "lower it");
    }
}

/// Resources that a quota may count without a domain in their name.
const COUNTED: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

pub(crate) fn quota(spec: &View<'_>, context: &mut Context) {
    check_conflicts(spec);
    let scopes = scopes_of(spec);
    let Some(hard) = spec.get("hard") else { return };
    let mut places = Vec::new();
    for entry in hard.entries().unwrap_or_default() {
        let name = &*entry.key;
        let value = hard.under_key(entry);
        places.push((name.into(), value.place()));
        let known = COUNTED.contains(&name)
            || name.contains('/')
            || name.starts_with("requests.hugepages-")
            || name.starts_with("hugepages-");
        if !known {
            let message = format!("{} is nothing that a quota counts", quoted(name));
            let hint = "write it as count/RESOURCE.GROUP, or with a domain";
            value.fail_key(message, Some(hint));
        }
        let quantity = value.as_written().and_then(|text| Quantity::parse(text).ok());
        if is_of_objects(name) && quantity.is_some_and(|quantity| !quantity.is_whole()) {
            value.fail_with("must be a whole number: objects are counted", "write one like 10");
        }
        for scope in &scopes {
            let (counted, what) = counted_in(scope);
            if known && !counted.contains(&name) {
                let message = format!("cannot be counted of the scope {scope}, which {what}");
                value.fail_key(message, Some("write a quota of its own for it"));
            }
        }
    }
    context.links.admission.get_or_insert_default().hard = places.into();
}

/// Whether a quota counts objects or devices under this name, and no amounts.
fn is_of_objects(name: &str) -> bool {
    const AMOUNTS: [&str; 6] =
        ["cpu", "memory", "ephemeral-storage", "storage", "limits.", "requests."];
    let is_amount = AMOUNTS.iter().any(|amount| match amount.strip_suffix('.') {
        Some(_) => name.starts_with(amount),
        None => name == *amount,
    });
    // The requests of one class of storage.
    !(is_amount || name.contains("hugepages-") || name.ends_with("requests.storage"))
}

/// What the pods of any scope are counted by.
const OF_PODS: &[&str] =
    &["cpu", "limits.cpu", "limits.memory", "memory", "pods", "requests.cpu", "requests.memory"];

/// What a quota may count of those in a scope.
fn counted_in(scope: &str) -> (&'static [&'static str], &'static str) {
    match scope {
        // They ask for nothing else.
        "BestEffort" => (&["pods"], "goes with pods alone"),
        "VolumeAttributesClass" => (
            &["count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"],
            "is one of claims",
        ),
        _ => (OF_PODS, "is one of pods: it goes with pods, cpu and memory"),
    }
}

/// The scopes that a quota names in either way.
fn scopes_of(spec: &View<'_>) -> Vec<String> {
    let mut scopes: Vec<String> = spec.texts("scopes").into_iter().map(str::to_owned).collect();
    spec.within("scopeSelector", |selector| {
        selector.each("matchExpressions", |one| {
            scopes.extend(one.text("scopeName").map(str::to_owned));
        });
    });
    scopes.retain(|scope| SCOPES.contains(&scope.as_str()));
    scopes
}

/// No pod is in both.
const OPPOSITES: [[&str; 2]; 2] =
    [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn check_conflicts(spec: &View<'_>) {
    let tell = |field: &'static str, scopes: &[&str]| {
        for [one, other] in OPPOSITES {
            if scopes.contains(&one) && scopes.contains(&other) {
                let message = format!("must not name both {one} and {other}");
                spec.fail_at(field, &message, "no pod is in both; write two quotas");
            }
        }
    };
    tell("scopes", &spec.texts("scopes"));
    let mut selected = Vec::new();
    spec.within("scopeSelector", |selector| {
        selector.each("matchExpressions", |one| {
            selected.extend(one.text("scopeName").map(str::to_owned));
        });
    });
    tell("scopeSelector", &selected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Only classes have names that one could choose from.
pub(crate) fn scope_requirement(requirement: &View<'_>, _: &mut Context) {
    let scope = requirement.text("scopeName").unwrap_or_default();
    let has_values = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
    let operator = requirement.text("operator");
    if SCOPES.contains(&scope) && !has_values && operator.is_some_and(|word| word != "Exists") {
        let message = format!("must be Exists with the scope {scope}");
        requirement.fail_at("operator", &message, "write Exists, or the opposite scope");
    }
}

/// From the least to the most, each at most the next.
const RISING: [&str; 4] = ["min", "defaultRequest", "default", "max"];

pub(crate) fn limit_range(item: &View<'_>, _: &mut Context) {
    if item.text("type") == Some("Pod") {
        for name in ["default", "defaultRequest"] {
            if item.is_filled(name) {
                item.fail_at(name, "must not be there with type: Pod", "remove it");
            }
        }
    }
    if item.text("type") == Some("PersistentVolumeClaim") {
        let bounded = ["min", "max"]
            .iter()
            .any(|name| item.members(name).iter().any(|entry| entry.key == "storage"));
        if !bounded {
            item.fail_at("max", "must bound storage with this type", "write {storage: 10Gi}");
        }
    }
    check_ratios(item);
    for (at, lower) in RISING.iter().enumerate() {
        for higher in &RISING[at + 1..] {
            check_pair(item, lower, higher);
        }
    }
}

/// A limit is never less than the request, and Dugout limits nothing else.
fn check_ratios(item: &View<'_>) {
    const NAME: &str = "maxLimitRequestRatio";
    let Some(value) = item.get(NAME) else { return };
    let is_of_claims = item.text("type") == Some("PersistentVolumeClaim");
    for entry in item.members(NAME) {
        let own = value.under_key(entry);
        if is_of_claims {
            own.fail_key("has no meaning for claims, which have no limits", Some("remove it"));
        } else if !matches!(&*entry.key, "cpu" | "memory") {
            let resource = quoted(&entry.key);
            let message =
                format!("{resource} is not supported: Dugout reserves and limits cpu and memory");
            own.fail_key(message, None);
        } else if own.as_written().and_then(amount).is_some_and(|ratio| ratio < 1000) {
            own.fail_with("must be at least 1", "a limit is never less than the request");
        }
    }
}

/// Each type stands in a range once, or two answers would be right.
pub(crate) fn limit_range_spec(spec: &View<'_>, _: &mut Context) {
    let mut types = BTreeSet::new();
    spec.each("limits", |item| {
        let Some(value) = item.get("type") else { return };
        let Some(text) = value.as_text() else { return };
        if !types.insert(text.to_owned()) {
            value.fail(format!("the type {} stands here twice", value.quote(text)));
        }
    });
}

fn check_pair(item: &View<'_>, lower: &'static str, higher: &'static str) {
    let Some(value) = item.get(lower) else { return };
    for entry in item.members(lower) {
        let own = value.under_key(entry);
        let other = item.members(higher).iter().find(|other| other.key == entry.key);
        let other = other.and_then(|other| amount(own.sibling(&other.node).as_written()?));
        if let (Some(low), Some(high)) = (own.as_written().and_then(amount), other)
            && low > high
        {
            own.fail_with(format!("is more than {higher}"), "lower it");
        }
    }
}

fn amount(text: &str) -> Option<u64> {
    Quantity::parse(text).ok()?.millis().ok()
}
