//! Which objects a patch or a replacement means: patterns of names, and selectors of labels.

use regex::Regex;

use super::edit::Fault;
use super::file::{Selector, Text};
use super::resource::{NO_NAMESPACE, Resource};
use crate::problems::quoted;

/// How large a compiled pattern may be.
const PATTERN_LIMIT_BYTES: usize = 1 << 20;

/// A selector whose parts are regular expressions for the whole of a name, as a patch has it.
pub(super) struct Matcher {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    tags: TagMatcher,
}

impl Matcher {
    pub fn new(selector: &Selector) -> Result<Self, Fault> {
        Ok(Self {
            group: pattern(selector.group.as_ref())?,
            version: pattern(selector.version.as_ref())?,
            kind: pattern(selector.kind.as_ref())?,
            name: pattern(selector.name.as_ref())?,
            namespace: pattern(selector.namespace.as_ref())?,
            tags: TagMatcher::new(selector)?,
        })
    }

    /// A name and a namespace may be those that the object has, or those that it had in its file.
    pub fn matches(&self, resource: &Resource) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        let (current, original) = (resource.id(), resource.original_id());
        fits(&self.kind, &current.of.kind)
            && fits(&self.group, &current.of.group)
            && fits(&self.version, &current.of.version)
            && (fits(&self.name, &original.name) || fits(&self.name, &current.name))
            && (fits(&self.namespace, &original.namespace)
                || fits(&self.namespace, &current.namespace))
            && self.tags.matches(resource)
    }
}

fn pattern(text: Option<&Text>) -> Result<Option<Regex>, Fault> {
    let Some(Text { text, at }) = text else { return Ok(None) };
    regex::RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(PATTERN_LIMIT_BYTES)
        .build()
        .map(Some)
        .map_err(|_| Fault::new(*at, format!("{} is no regular expression", quoted(text))))
}

/// The exact names of a replacement's selector, which may be any that the object ever had.
pub(super) fn names_match(selector: &Selector, resource: &Resource) -> bool {
    resource.all_ids().any(|id| {
        let fits =
            |wanted: &Option<Text>, text: &str| wanted.as_ref().is_none_or(|one| one.text == text);
        let namespace = match id.namespace.as_str() {
            NO_NAMESPACE => "",
            namespace => namespace,
        };
        fits(&selector.group, &id.of.group)
            && fits(&selector.version, &id.of.version)
            && fits(&selector.kind, &id.of.kind)
            && fits(&selector.name, &id.name)
            && fits(&selector.namespace, namespace)
    })
}

/// Whether a selector says anything of names.
pub(super) fn has_names(selector: &Selector) -> bool {
    [&selector.group, &selector.version, &selector.kind, &selector.name, &selector.namespace]
        .iter()
        .any(|part| part.is_some())
}

/// Selectors of labels and annotations.
pub(super) struct TagMatcher {
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

/// One condition on a tag.
struct Requirement {
    key: String,
    test: Test,
}

enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl TagMatcher {
    pub fn new(selector: &Selector) -> Result<Self, Fault> {
        Ok(Self {
            labels: requirements(selector.labels.as_ref())?,
            annotations: requirements(selector.annotations.as_ref())?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    pub fn matches(&self, resource: &Resource) -> bool {
        let all = |requirements: &[Requirement], which: &str| {
            requirements.iter().all(|one| one.holds(resource.tag(which, &one.key)))
        };
        all(&self.labels, "labels") && all(&self.annotations, "annotations")
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_in = |values: &[String]| values.iter().any(|one| Some(one.as_str()) == value);
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => is_in(values),
            Test::NotIn(values) => !is_in(values),
        }
    }
}

/// Kubernetes' selectors as text: `a=b, c != d, e in (f, g), h notin (i), j, !k`.
fn requirements(text: Option<&Text>) -> Result<Vec<Requirement>, Fault> {
    let Some(Text { text, at }) = text else { return Ok(Vec::new()) };
    split_outside_brackets(text)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            requirement(part.trim()).ok_or_else(|| {
                let message = format!("{} is no selector", quoted(part));
                Fault::new(*at, message).hint("write as in app=web,tier in (a,b),!old")
            })
        })
        .collect()
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (index, character) in text.char_indices() {
        match character {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Option<Requirement> {
    let (key, test) = if let Some(key) = text.strip_prefix('!') {
        (key, Test::Absent)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else if let Some((head, values)) = text.split_once('(') {
        let values = values.strip_suffix(')')?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        match word {
            "in" => (key, Test::In(values)),
            "notin" => (key, Test::NotIn(values)),
            _ => return None,
        }
    } else {
        (text, Test::Exists)
    };
    let key = key.trim();
    let is_key = !key.is_empty() && !key.contains(char::is_whitespace);
    is_key.then(|| Requirement { key: key.to_owned(), test })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Position;

    #[test]
    fn selectors_are_read_as_kubectl_does() {
        let holds = |selector: &str, value: Option<&str>| {
            let text = Text { text: selector.to_owned(), at: Position::default() };
            requirements(Some(&text))
                .map(|all| all.iter().all(|one| one.holds(value)))
                .map_err(|fault| fault.message)
        };
        assert_eq!(holds("a=b", Some("b")), Ok(true));
        assert_eq!(holds("a == b", Some("c")), Ok(false));
        assert_eq!(holds("a!=b", None), Ok(true));
        assert_eq!(holds("a in (b, c), a", Some("c")), Ok(true));
        assert_eq!(holds("a notin (b,c)", Some("c")), Ok(false));
        assert_eq!(holds("!a", Some("c")), Ok(false));
        assert!(holds("a b", None).is_err());
        assert!(holds("a like (b)", None).is_err());
    }
}
