//! Looking into trees that are owned, and changing them; every new value says where it came from.

use std::borrow::Cow;

use crate::yaml::{Entry, Node, Position, ScalarKind, Value};

/// A tree that borrows from no file.
pub(super) type Owned = Node<'static>;

/// A mistake at a place.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: Position,
    pub message: String,
    pub hint: Option<String>,
    /// Something is missing, which it may only seem to be where another fault kept an object away.
    pub is_of_missing: bool,
}

impl Fault {
    pub fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None, is_of_missing: false }
    }

    pub fn of_missing(mut self) -> Self {
        self.is_of_missing = true;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A scalar as the reference reads it in resources and patches, where only `true` and `false` are
/// booleans, and the other words of YAML 1.1 are texts.
fn kind_in_resources(text: &str, kind: ScalarKind) -> ScalarKind {
    match kind {
        ScalarKind::Bool(_) if !matches!(text.to_ascii_lowercase().as_str(), "true" | "false") => {
            ScalarKind::Text
        }
        kind => kind,
    }
}

/// Reads all scalars of a resource or a patch as the reference does.
pub(super) fn as_resource(node: &mut Owned) {
    match &mut node.value {
        Value::Scalar { text, kind } => *kind = kind_in_resources(text, *kind),
        Value::List(items) => items.iter_mut().for_each(as_resource),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| as_resource(&mut entry.node)),
    }
}

/// A copy that owns its texts, with lines moved by `lines`.
pub(super) fn to_owned(node: &Node<'_>, lines: u32) -> Owned {
    let moved = |at: Position| Position { line: at.line.saturating_add(lines), ..at };
    let value = match &node.value {
        Value::Scalar { text, kind } => {
            Value::Scalar { text: Cow::Owned(text.to_string()), kind: *kind }
        }
        Value::List(items) => Value::List(items.iter().map(|item| to_owned(item, lines)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| Entry {
                    key: Cow::Owned(entry.key.to_string()),
                    key_at: moved(entry.key_at),
                    node: to_owned(&entry.node, lines),
                })
                .collect(),
        ),
    };
    Node { at: moved(node.at), value }
}

pub(super) fn text_node(text: impl Into<String>, at: Position) -> Owned {
    Node { at, value: Value::Scalar { text: Cow::Owned(text.into()), kind: ScalarKind::Text } }
}

pub(super) fn int_node(number: i64, at: Position) -> Owned {
    let text = Cow::Owned(number.to_string());
    Node { at, value: Value::Scalar { text, kind: ScalarKind::Int(number) } }
}

pub(super) fn bool_node(value: bool, at: Position) -> Owned {
    let text = Cow::Owned(value.to_string());
    Node { at, value: Value::Scalar { text, kind: ScalarKind::Bool(value) } }
}

pub(super) fn map_node(at: Position) -> Owned {
    Node { at, value: Value::Map(Vec::new()) }
}

pub(super) fn entry(key: impl Into<String>, node: Owned) -> Entry<'static> {
    Entry { key: Cow::Owned(key.into()), key_at: node.at, node }
}

pub(super) fn entries(node: &Owned) -> &[Entry<'static>] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

pub(super) fn items(node: &Owned) -> &[Owned] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

pub(super) fn get<'n>(node: &'n Owned, key: &str) -> Option<&'n Owned> {
    entries(node).iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

pub(super) fn get_mut<'n>(node: &'n mut Owned, key: &str) -> Option<&'n mut Owned> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
        }
        _ => None,
    }
}

/// The text of a scalar, of whatever kind; nothing for null.
pub(super) fn text(node: &Owned) -> Option<&str> {
    match &node.value {
        Value::Scalar { kind: ScalarKind::Null, .. } => None,
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The text of a field.
pub(super) fn text_of<'n>(node: &'n Owned, key: &str) -> Option<&'n str> {
    get(node, key).and_then(text)
}

/// Sets a field; one that is there keeps its place and the place of its key.
pub(super) fn set(node: &mut Owned, key: &str, value: Owned) {
    if node.is_null() {
        node.value = Value::Map(Vec::new());
        node.at = value.at;
    }
    let Value::Map(entries) = &mut node.value else { return };
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.node = value,
        None => entries.push(entry(key, value)),
    }
}

pub(super) fn remove(node: &mut Owned, key: &str) -> Option<Entry<'static>> {
    let Value::Map(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index))
}

/// The map at a field, made when it is missing or null; nothing when something else is there.
pub(super) fn map_at<'n>(node: &'n mut Owned, key: &str, at: Position) -> Option<&'n mut Owned> {
    if get(node, key).is_none_or(Node::is_null) {
        set(node, key, map_node(at));
    }
    get_mut(node, key).filter(|node| matches!(node.value, Value::Map(_)))
}

/// What a value costs in values and bytes, so that copies can be paid for.
pub(super) fn weigh(node: &Owned) -> Weight {
    let mut weight = Weight { nodes: 1, bytes: 0 };
    match &node.value {
        Value::Scalar { text, .. } => weight.bytes = text.len(),
        Value::List(items) => items.iter().for_each(|item| weight.add(weigh(item))),
        Value::Map(entries) => entries.iter().for_each(|entry| {
            weight.bytes += entry.key.len();
            weight.add(weigh(&entry.node));
        }),
    }
    weight
}

/// How deep a value nests; 1 for a scalar.
pub(super) fn depth(node: &Owned) -> usize {
    let deepest = match &node.value {
        Value::Scalar { .. } => None,
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|entry| depth(&entry.node)).max(),
    };
    1 + deepest.unwrap_or(0)
}

/// What values cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub nodes: usize,
    pub bytes: usize,
}

impl Weight {
    pub fn add(&mut self, other: Weight) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Takes back what was added.
    pub fn take(&mut self, other: Weight) {
        self.nodes = self.nodes.saturating_sub(other.nodes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

fn float(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

/// Whether two values mean the same, wherever they stand and whatever the order of their keys.
pub(super) fn same(a: &Owned, b: &Owned) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar { text: a, kind: ka }, Value::Scalar { text: b, kind: kb }) => {
            match (ka, kb) {
                (ScalarKind::Null, ScalarKind::Null) => true,
                (ScalarKind::Bool(a), ScalarKind::Bool(b)) => a == b,
                (ScalarKind::Int(a), ScalarKind::Int(b)) => a == b,
                (ScalarKind::Text, ScalarKind::Text) => a == b,
                (ScalarKind::Float, ScalarKind::Float) => {
                    a == b || matches!((float(a), float(b)), (Some(a), Some(b)) if a == b)
                }
                _ => false,
            }
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(own), Value::Map(others)) => {
            own.len() == others.len()
                && own.iter().all(|entry| get(b, &entry.key).is_some_and(|b| same(&entry.node, b)))
        }
        _ => false,
    }
}
