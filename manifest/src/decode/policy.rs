//! Dugout's own annotations on an object.

use dugout_model::{ObjectPolicy, Prune};

use crate::reader::{Object, Value};
use crate::schema::nearest;

/// What begins the annotations that are Dugout's.
const PREFIX: &str = "dugout.dev/";

const PRUNE: &str = "dugout.dev/prune";

/// All of them, with what each may be and what it says, for messages and the page of compatibility.
pub(crate) const ANNOTATIONS: [(&str, &str, &str); 1] = [(
    PRUNE,
    "`disabled` or `confirm`",
    "When the object leaves Git it stays, or the commit that removes it is held until a person \
     approves it",
)];

/// What Dugout writes into the objects that its API shows.
const SHOWN: [&str; 4] =
    ["dugout.dev/commit", "dugout.dev/source", "dugout.dev/file", "dugout.dev/orphaned"];

/// What an object's annotations ask of Dugout.
pub(super) fn read(metadata: &Object<'_>) -> ObjectPolicy {
    let mut policy = ObjectPolicy::default();
    let Some(annotations) = metadata.field("annotations") else { return policy };
    annotations.each_entry(|key, value| match key {
        PRUNE => {
            let words = [("disabled", Prune::Disabled), ("confirm", Prune::Confirm)];
            policy.prune = one_of(&value, &words).unwrap_or_default();
        }
        _ if SHOWN.contains(&key) => {
            value.notice_with("has no effect: Dugout sets it when it shows an object", "remove it");
        }
        _ if key.starts_with(PREFIX) => {
            let known = ANNOTATIONS.map(|(name, ..)| name);
            let hint = match nearest(key, known.into_iter()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("there is {}", known.join(", ")),
            };
            value.fail_with("is no annotation of Dugout's", hint);
        }
        _ => {}
    });
    policy
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
