//! Looking at values without telling anything: what rules between fields do.

use dugout_model::Severity;

use super::{EMPTY_ITEM, Step, Value};
use crate::problems::quoted;
use crate::schema::Schema;
use crate::yaml::{Entry, Node, ScalarKind, Value as Tree};

impl<'s> Value<'s> {
    pub(crate) fn as_text(&self) -> Option<&'s str> {
        match &self.node.value {
            Tree::Scalar { text, kind: ScalarKind::Text } => Some(text),
            _ => None,
        }
    }

    /// A text or a number, as it is written.
    pub(crate) fn as_written(&self) -> Option<&'s str> {
        match &self.node.value {
            Tree::Scalar {
                text,
                kind: ScalarKind::Text | ScalarKind::Int(_) | ScalarKind::Float,
            } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self.node.value {
            Tree::Scalar { kind: ScalarKind::Int(number), .. } => Some(number),
            _ => None,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self.kind(), Some(ScalarKind::Int(_) | ScalarKind::Float))
    }

    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> Option<&'s [Entry<'s>]> {
        match &self.node.value {
            Tree::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is a list; nulls too.
    pub(crate) fn items(&self) -> Option<&'s [Node<'s>]> {
        match &self.node.value {
            Tree::List(items) => Some(items),
            _ => None,
        }
    }

    /// How many entries or items there are; nothing else has any.
    pub(crate) fn len(&self) -> usize {
        match &self.node.value {
            Tree::Map(entries) => entries.len(),
            Tree::List(items) => items.len(),
            Tree::Scalar { .. } => 0,
        }
    }

    /// The value under a field's name in this map.
    pub(crate) fn member<'v>(&'v self, name: &'v str, node: &'s Node<'s>) -> Value<'v> {
        let path = self.path.then(Step::Field(name));
        Value { node, path, report: self.report, inner: None, key_at: node.at }
    }

    /// The value under a key that the user chose.
    pub(crate) fn under_key<'v>(&'v self, entry: &'v Entry<'s>) -> Value<'v> {
        let Entry { key, key_at, node } = entry;
        let path = self.path.then(Step::Key(key));
        Value { node, path, report: self.report, inner: None, key_at: *key_at }
    }

    /// An item of this list.
    pub(crate) fn item<'v>(&'v self, index: usize, node: &'s Node<'s>) -> Value<'v> {
        let path = self.path.then(Step::Index(index));
        Value { node, path, report: self.report, inner: None, key_at: node.at }
    }

    /// The value as an object of a type.
    pub(crate) fn as_type(&self, schema: &'static Schema) -> Value<'s> {
        Value { inner: Some(schema), ..*self }
    }

    /// Another value at the same place.
    pub(crate) fn sibling(&self, node: &'s Node<'s>) -> Value<'s> {
        Value { node, ..*self }
    }

    /// Tells that an item of a list is null.
    pub(crate) fn fail_as_empty_item(&self) {
        self.fail_with(EMPTY_ITEM, "remove it or fill it in");
    }

    /// Tells something of a field at its name instead of at its value.
    pub(crate) fn tell_at_key(&self, entry: &Entry<'_>, severity: Severity, message: String) {
        self.report.tell(severity, entry.key_at, &self.path, message, None);
    }

    /// Tells that a field is not there.
    pub(crate) fn fail_as_missing(&self, name: &str, message: &str, hint: Option<String>) {
        let path = self.path.then(Step::Field(name));
        self.report.tell(Severity::Error, self.node.at, &path, message.to_owned(), hint);
    }

    /// Tells that a key of this map is no field; `nearest` gives the field that was meant.
    pub(crate) fn fail_as_unknown(
        &self,
        entry: &Entry<'_>,
        nearest: impl FnOnce() -> Option<&'static str>,
    ) {
        let message = format!("there is no field {} here", quoted(&entry.key));
        let nearest = if self.report.is_full() { None } else { nearest() };
        let hint = match &*entry.key {
            // What SOPS adds to a file when it encrypts it.
            "sops" => Some(ENCRYPTED.to_owned()),
            _ => nearest.map(|name| format!("did you mean {name}?")),
        };
        self.report.tell(Severity::Error, entry.key_at, &self.path, message, hint);
    }
}

const ENCRYPTED: &str = "the file is encrypted with SOPS, and Dugout does not decrypt it yet; leave it out with .dugoutignore";

/// A map as rules see it: a field of the wrong type is as if it were not there.
#[derive(Clone, Copy)]
pub(crate) struct View<'s> {
    value: Value<'s>,
    entries: &'s [Entry<'s>],
}

impl<'s> View<'s> {
    /// The value, if it is a map.
    pub(crate) fn of(value: Value<'s>) -> Option<Self> {
        Some(Self { value, entries: value.entries()? })
    }

    pub(crate) fn value(&self) -> &Value<'s> {
        &self.value
    }

    fn node(&self, name: &str) -> Option<&'s Node<'s>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (!entry.node.is_null()).then_some(&entry.node)
    }

    /// A field that has a value.
    pub(crate) fn get<'v>(&'v self, name: &'static str) -> Option<Value<'v>> {
        Some(self.value.member(name, self.node(name)?))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.node(name).is_some()
    }

    /// Whether a field holds something: no empty text, list or map, and not zero.
    pub(crate) fn is_filled(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| match &node.value {
            Tree::Map(entries) => !entries.is_empty(),
            Tree::List(items) => !items.is_empty(),
            Tree::Scalar { kind: ScalarKind::Int(0), .. } => false,
            Tree::Scalar { text, .. } => !text.is_empty(),
        })
    }

    /// The text of a field; an empty one is as good as none.
    pub(crate) fn text(&self, name: &str) -> Option<&'s str> {
        match &self.node(name)?.value {
            Tree::Scalar { text, kind: ScalarKind::Text } if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A field that is a text or a number and not empty, as it is written.
    pub(crate) fn written(&self, name: &str) -> Option<&'s str> {
        match &self.node(name)?.value {
            Tree::Scalar { text, .. } if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        match self.node(name)?.value {
            Tree::Scalar { kind: ScalarKind::Int(number), .. } => Some(number),
            _ => None,
        }
    }

    /// Whether a field is the boolean `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.boolean(name) == Some(true)
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        match self.node(name)?.value {
            Tree::Scalar { kind: ScalarKind::Bool(value), .. } => Some(value),
            _ => None,
        }
    }

    /// The texts in a list.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'s str> {
        let items = match self.node(name).map(|node| &node.value) {
            Some(Tree::List(items)) => items.as_slice(),
            _ => &[],
        };
        items
            .iter()
            .filter_map(|item| match &item.value {
                Tree::Scalar { text, kind: ScalarKind::Text } => Some(&**text),
                _ => None,
            })
            .collect()
    }

    /// The entries of a field that is a map.
    pub(crate) fn members(&self, name: &str) -> &'s [Entry<'s>] {
        match self.node(name).map(|node| &node.value) {
            Some(Tree::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// The texts in a map.
    pub(crate) fn pairs(&self, name: &str) -> impl Iterator<Item = (&'s str, &'s str)> + use<'s> {
        self.members(name).iter().filter_map(|entry| match &entry.node.value {
            Tree::Scalar { text, kind: ScalarKind::Text } => Some((&*entry.key, &**text)),
            _ => None,
        })
    }

    /// Calls `look` with a field that is a map.
    pub(crate) fn within<T>(
        &self,
        name: &'static str,
        look: impl FnOnce(&View<'_>) -> T,
    ) -> Option<T> {
        let value = self.get(name)?;
        Some(look(&View::of(value)?))
    }

    /// Calls `look` with each map in a list.
    pub(crate) fn each(&self, name: &'static str, mut look: impl FnMut(&View<'_>)) {
        let Some(list) = self.get(name) else { return };
        for (index, node) in list.items().unwrap_or_default().iter().enumerate() {
            if let Some(view) = View::of(list.item(index, node)) {
                look(&view);
            }
        }
    }

    /// How many items or entries a field has.
    pub(crate) fn count(&self, name: &'static str) -> usize {
        self.get(name).map_or(0, |value| value.len())
    }

    /// Tells an error of the map as a whole.
    pub(crate) fn fail(&self, message: impl Into<String>) {
        self.value.fail(message);
    }

    pub(crate) fn fail_with(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.value.fail_with(message, hint);
    }

    /// Tells an error of a field, at its value or where it is missing.
    pub(crate) fn fail_at(&self, name: &'static str, message: &str, hint: &str) {
        match self.get(name) {
            Some(value) => value.fail_with(message, hint),
            None => self.value.fail_as_missing(name, message, Some(hint.to_owned())),
        }
    }

    /// Tells that a required field is not there.
    pub(crate) fn fail_missing(&self, name: &'static str) {
        self.value.fail_as_missing(name, "is required", None);
    }

    /// The fields of these that have a value.
    pub(crate) fn present(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.has(name)).collect()
    }

    /// Tells unless exactly one of these fields has a value.
    pub(crate) fn exactly_one(&self, names: &[&'static str]) {
        let present = self.present(names);
        if present.len() == 1 {
            return;
        }
        let known = match names {
            [head @ .., last] if !head.is_empty() => format!("{} and {last}", head.join(", ")),
            _ => names.join(", "),
        };
        let message = format!("must have exactly one of {known}");
        match present.as_slice() {
            [] => self.fail(message),
            several => self.fail_with(message, format!("here are {}", several.join(", "))),
        }
    }
}
