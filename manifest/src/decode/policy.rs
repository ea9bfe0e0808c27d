//! Dugout's own annotations on an object.

use std::time::Duration;

use dugout_model::{Kind, ObjectPolicy, Prune};

use crate::reader::{Object, Value};
use crate::schema::nearest;

/// What begins the annotations that are Dugout's.
pub(super) const PREFIX: &str = "dugout.dev/";

const PRUNE: &str = "dugout.dev/prune";

const PROGRESS_DEADLINE: &str = "dugout.dev/progress-deadline-seconds";

/// All of them, with what each may be and what it says, for messages and the page of compatibility.
pub(crate) const ANNOTATIONS: [(&str, &str, &str); 2] = [
    (
        PRUNE,
        "`disabled` or `confirm`",
        "When the object leaves Git it stays, or the commit that removes it is held until a person \
         approves it",
    ),
    (
        PROGRESS_DEADLINE,
        "seconds, as `60`",
        "How long the rollout of a StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Pod may \
         make no progress before it counts as failed, as `progressDeadlineSeconds` of a Deployment; 600 \
         without it",
    ),
];

/// What Dugout writes into the objects that its API shows.
const SHOWN: [&str; 4] =
    ["dugout.dev/commit", "dugout.dev/source", "dugout.dev/file", "dugout.dev/orphaned"];

/// What an object's annotations ask of Dugout.
pub(super) fn read(metadata: &Object<'_>, kind: Kind) -> ObjectPolicy {
    let mut policy = ObjectPolicy::default();
    let Some(annotations) = metadata.field("annotations") else { return policy };
    annotations.each_entry(|key, value| match key {
        PRUNE => {
            let words = [("disabled", Prune::Disabled), ("confirm", Prune::Confirm)];
            policy.prune = one_of(&value, &words).unwrap_or_default();
        }
        PROGRESS_DEADLINE => policy.progress_deadline = read_deadline(&value, kind),
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

fn read_deadline(value: &Value<'_>, kind: Kind) -> Option<Duration> {
    let has_rollout = matches!(
        kind,
        Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::ReplicaSet
            | Kind::ReplicationController
            | Kind::Pod
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
