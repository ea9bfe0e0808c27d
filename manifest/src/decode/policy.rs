//! Dugout's own annotations on an object.

use std::collections::BTreeSet;
use std::time::Duration;

use dugout_model::{Hook, Kind, ObjectId, ObjectKey, ObjectPolicy, Prune};

use super::{Links, Part, Reference};
use crate::reader::{Object, Value};
use crate::schema::nearest;

/// What begins the annotations that are Dugout's.
pub(super) const PREFIX: &str = "dugout.dev/";

const PRUNE: &str = dugout_model::PRUNE_ANNOTATION;
const PRUNE_WORDS: [(&str, Prune); 2] =
    [("disabled", Prune::Disabled), ("confirm", Prune::Confirm)];

const PROGRESS_DEADLINE: &str = "dugout.dev/progress-deadline-seconds";

const DEPENDS_ON: &str = "dugout.dev/depends-on";

const HOOK: &str = "dugout.dev/hook";

/// What has a rollout that comes to an end: one can wait for it. A schedule is in place at once.
fn awaited() -> impl Iterator<Item = Kind> {
    Kind::WORKLOADS.into_iter().filter(|kind| *kind != Kind::CronJob)
}

/// All of them, with what each may be and what it says, for messages and the page of compatibility.
pub(crate) const ANNOTATIONS: [(&str, &str, &str); 4] = [
    (
        PRUNE,
        "`disabled` or `confirm`",
        "When the object leaves Git it stays, or the commit that removes it is held until a person \
         approves it",
    ),
    (
        PROGRESS_DEADLINE,
        "seconds, as `60`",
        "How long the rollout of a StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Pod or \
         Job may make no progress before it counts as failed, as `progressDeadlineSeconds` of a Deployment; \
         600 without it, for a Job until one of its pods has begun",
    ),
    (
        DEPENDS_ON,
        "workloads of the same source and namespace, as `StatefulSet/db, Job/migrate`",
        "A workload begins nothing new before the rollouts of these are complete; until then what it has \
         goes on as it is. A circle is an error",
    ),
    (
        HOOK,
        "`before` or `after`",
        "Of a Job. `before`: no other workload of the source begins anything new before the Job is \
         complete, but those that the Job depends on. `after`: the Job begins once all other workloads \
         are complete. What a hook asks for may change, and then it runs again; its release fails with it",
    ),
];

/// What Dugout writes into the objects that its API shows.
const SHOWN: [&str; 4] =
    ["dugout.dev/commit", "dugout.dev/source", "dugout.dev/file", "dugout.dev/orphaned"];

/// What an object's annotations ask of Dugout; notes whom they name.
pub(super) fn read(
    metadata: &Object<'_>,
    kind: Kind,
    object: &ObjectKey,
    links: &mut Links,
) -> ObjectPolicy {
    let mut policy = ObjectPolicy::default();
    let Some(annotations) = metadata.field("annotations") else { return policy };
    annotations.each_entry(|key, value| match key {
        PRUNE => policy.prune = one_of(&value, &PRUNE_WORDS).unwrap_or_default(),
        PROGRESS_DEADLINE => policy.progress_deadline = read_deadline(&value, kind),
        DEPENDS_ON => policy.depends_on = read_dependencies(&value, kind, object, links),
        HOOK => policy.hook = read_hook(&value, kind),
        _ if SHOWN.contains(&key) => {
            value.notice_with("has no effect: Dugout sets it when it shows an object", "remove it");
        }
        _ if key.starts_with(PREFIX) => {
            let known = ANNOTATIONS.map(|(name, ..)| name);
            let hint = match nearest(key, known.into_iter()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("there are {}", known.join(", ")),
            };
            value.fail_with("is no annotation of Dugout's", hint);
        }
        _ => {}
    });
    policy
}

/// Checks what the annotations of a claim template say of the pruning of its claims.
pub(super) fn check_prune(annotations: &Value<'_>) {
    annotations.each_entry(|key, value| {
        if key == PRUNE {
            one_of(&value, &PRUNE_WORDS);
        }
    });
}

fn read_deadline(value: &Value<'_>, kind: Kind) -> Option<Duration> {
    let has_rollout = matches!(
        kind,
        Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::ReplicaSet
            | Kind::ReplicationController
            | Kind::Pod
            | Kind::Job
    );
    if !has_rollout {
        let hint = match kind {
            Kind::Deployment => "write spec.progressDeadlineSeconds",
            _ => "remove it",
        };
        value.fail_with(format!("has no meaning for a {}", kind.as_str()), hint);
        return None;
    }
    let text = value.text()?;
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        let message = format!("must be a number of seconds above 0, not {}", value.quote(text));
        value.fail_with(message, "write it as text, as \"60\"");
    }
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

fn read_dependencies(
    value: &Value<'_>,
    kind: Kind,
    object: &ObjectKey,
    links: &mut Links,
) -> Box<[ObjectId]> {
    if !Kind::WORKLOADS.contains(&kind) {
        let message = format!("a {} has no rollout that could wait", kind.as_str());
        value.fail_with(message, "remove it");
        return Box::default();
    }
    let mut named = BTreeSet::new();
    let items = value.text().unwrap_or_default().split(',').map(str::trim);
    for item in items.filter(|item| !item.is_empty()) {
        let Some((kind, name)) = read_workload(item) else {
            let message = format!("{} is no workload that one could wait for", value.quote(item));
            let kinds = awaited().map(Kind::as_str).collect::<Vec<_>>().join(", ");
            value.fail_with(message, format!("write Kind/name, as Job/migrate, of {kinds}"));
            continue;
        };
        if named.insert(ObjectId::new(kind, object.namespace.as_str(), name)) {
            links.references.push(Reference {
                kind: kind.as_str(),
                name: name.to_owned(),
                part: Part::Rollout,
                can_be_optional: false,
                place: value.place(),
            });
        }
    }
    named.into_iter().collect()
}

/// A workload of the same namespace as `Kind/name`.
fn read_workload(text: &str) -> Option<(Kind, &str)> {
    let (kind, name) = text.split_once('/')?;
    let kind = awaited().find(|known| known.as_str() == kind)?;
    (!name.is_empty() && !name.contains('/')).then_some((kind, name))
}

fn read_hook(value: &Value<'_>, kind: Kind) -> Option<Hook> {
    if kind != Kind::Job {
        value.fail_with(format!("a {} is no hook", kind.as_str()), "a Job can be one");
        return None;
    }
    one_of(value, &[("before", Hook::Before), ("after", Hook::After)])
}

/// The meaning of a word. The tables know an annotation as any text.
fn one_of<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
    let text = value.text()?;
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        value.fail(format!("must be {}, not {}", words.join(" or "), value.quote(text)));
    }
    known.map(|(_, meaning)| *meaning)
}
