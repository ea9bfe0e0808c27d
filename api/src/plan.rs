//! What a commit would do, in the words of the API: objects with the fields in which they differ, and
//! what starts and stops.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::{
    End, Forecast, Foreseen, Kind, NodeName, ObjectDifference, ObjectId, ObjectSpec, Obstacle,
    Outcome, PodsDifference, Secret, SourceDifference, StoredObject, World, compare,
};
use serde_json::Value;

use crate::convert::View;
use crate::dugout::{API_VERSION, PlanAnswer, PlannedField, PlannedObject, PlannedWorkload};

/// How many fields of one object are told; the object itself can be read in Git.
const MOST_FIELDS: usize = 100;
/// How many characters of a value are shown.
const LONGEST_VALUE: usize = 120;

pub(crate) fn answer(foreseen: &Foreseen) -> PlanAnswer {
    let Foreseen { source, commit, before, forecast } = foreseen;
    let (difference, outcome, message) = match &forecast.outcome {
        Outcome::Rejected { .. } => (SourceDifference::default(), "Rejected", None),
        Outcome::Applied { after, end, .. } => {
            let after: &World = after;
            let (outcome, message) = match end {
                End::Healthy => ("Healthy", None),
                End::Waiting => ("Waiting", None),
                End::Failed { reason } => ("Failed", Some(reason.clone())),
                End::Unknown => ("Unknown", None),
            };
            (compare(before, after, source), outcome, message)
        }
    };
    let applied = before.sources.get(source).and_then(|source| source.status.applied.as_ref());
    PlanAnswer {
        api_version: API_VERSION.to_owned(),
        kind: "PlanAnswer".to_owned(),
        source: source.to_string(),
        commit: commit.sha.to_string(),
        subject: commit.subject().to_owned(),
        applied: applied.map(ToString::to_string),
        outcome: outcome.to_owned(),
        message,
        obstacles: forecast.obstacles.iter().map(obstacle).collect(),
        problems: forecast.problems().iter().map(ToString::to_string).collect(),
        objects: objects(&difference, before, forecast),
        workloads: difference.pods.iter().map(|(id, pods)| workload(id, pods)).collect(),
        untouched_workloads: difference.untouched_workloads,
        untouched_pods: difference.untouched_pods,
    }
}

fn obstacle(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Held { reason } => format!("held: {reason}"),
        Obstacle::Suspended => "suspended: the source applies no commit".to_owned(),
        Obstacle::Quarantined => {
            "quarantined: it failed before and is not applied again by itself".to_owned()
        }
    }
}

fn objects(
    difference: &SourceDifference,
    before: &World,
    forecast: &Forecast,
) -> Vec<PlannedObject> {
    let Outcome::Applied { after, .. } = &forecast.outcome else { return Vec::new() };
    let planned = |(id, change): (&ObjectId, &ObjectDifference)| {
        let (word, fields) = match change {
            ObjectDifference::Added(_) => ("Added", Vec::new()),
            ObjectDifference::Removed(_) => ("Removed", Vec::new()),
            ObjectDifference::Orphaned(_) => ("Orphaned", Vec::new()),
            ObjectDifference::Changed { before: old, after: new } => {
                ("Changed", fields((before, old), (after, new)))
            }
        };
        PlannedObject {
            change: word.to_owned(),
            kind: id.kind.as_str().to_owned(),
            namespace: id.key.namespace.to_string(),
            name: id.key.name.to_string(),
            fields,
        }
    };
    difference.objects.iter().map(planned).collect()
}

fn workload(id: &ObjectId, pods: &PodsDifference) -> PlannedWorkload {
    let by_node = |counts: &BTreeMap<NodeName, usize>| -> BTreeMap<String, usize> {
        counts.iter().map(|(node, count)| (node.to_string(), *count)).collect()
    };
    let unplaced = pods.unplaced_because.as_ref().map(ToString::to_string);
    PlannedWorkload {
        kind: id.kind.as_str().to_owned(),
        namespace: id.key.namespace.to_string(),
        name: id.key.name.to_string(),
        pods_before: pods.before,
        pods_after: pods.after,
        pods_kept: pods.kept,
        started: by_node(&pods.started),
        stopped: by_node(&pods.stopped),
        pods_unplaced: pods.unplaced,
        waits: pods.waits.clone().or(unplaced),
    }
}

/// In what two states of an object differ.
fn fields(old: (&World, &StoredObject), new: (&World, &StoredObject)) -> Vec<PlannedField> {
    let mut found = Vec::new();
    if let (ObjectSpec::Secret(before), ObjectSpec::Secret(after)) =
        (&old.1.declared.spec, &new.1.declared.spec)
    {
        secret_fields(before, after, &mut found);
    }
    compare_values("", Some(&declared(old)), Some(&declared(new)), &mut found);
    found
}

/// What Git says of it, in Kubernetes' form.
fn declared((world, object): (&World, &StoredObject)) -> Value {
    let view = View { world, now: object.created_at };
    let mut value = serde_json::to_value(view.stored(object)).unwrap_or_default();
    let Some(fields) = value.as_object_mut() else { return value };
    fields.retain(|name, _| !matches!(name.as_str(), "status" | "metadata"));
    // Of a Job's run, not of what Git says.
    if object.declared.kind() == Kind::Job
        && let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("selector");
    }
    let marks =
        [("labels", &object.declared.labels), ("annotations", &object.declared.annotations)];
    for (name, marks) in marks {
        let marks = marks.iter().map(|(key, mark)| (key.to_owned(), Value::from(mark.as_str())));
        fields.insert(format!("metadata.{name}"), Value::Object(marks.collect()));
    }
    value
}

/// The keys whose content differs. The content itself is nobody's business.
fn secret_fields(before: &Secret, after: &Secret, found: &mut Vec<PlannedField>) {
    let keys: BTreeSet<&str> = before.data.keys().chain(after.data.keys()).collect();
    for key in keys {
        let (old, new) = (before.data.get(key), after.data.get(key));
        if old.is_some() && new.is_some() && old != new {
            let hidden = || Some("(hidden)".to_owned());
            found.push(PlannedField {
                path: format!("data.{key}"),
                before: hidden(),
                after: hidden(),
            });
        }
    }
}

fn compare_values(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<PlannedField>,
) {
    if before == after || found.len() >= MOST_FIELDS {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare_values(&path, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            compare_items(path, old, new, found);
        }
        _ => found.push(PlannedField {
            path: path.to_owned(),
            before: before.map(shown),
            after: after.map(shown),
        }),
    }
}

/// Items that have names are the same when their names are; others when their places are.
fn compare_items(path: &str, old: &[Value], new: &[Value], found: &mut Vec<PlannedField>) {
    let named = |items: &[Value]| -> Option<BTreeMap<String, Value>> {
        let named: BTreeMap<String, Value> = items
            .iter()
            .filter_map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone())))
            .collect();
        (named.len() == items.len()).then_some(named)
    };
    let placed = |items: &[Value]| -> BTreeMap<String, Value> {
        // Padded, so that the tenth is not before the second.
        items.iter().enumerate().map(|(at, item)| (format!("{at:>6}"), item.clone())).collect()
    };
    let (old, new) = match (named(old), named(new)) {
        (Some(old), Some(new)) => (old, new),
        _ => (placed(old), placed(new)),
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let path = format!("{path}[{}]", name.trim_start());
        compare_values(&path, old.get(name), new.get(name), found);
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
