//! Lists of objects in one document.

use super::{Decoded, Findings, TypeName, decode_value, type_name_of};
use crate::reader::{Report, Value};
use crate::schema::{find_kind, nearest};
use crate::yaml::{Entry, Node, ScalarKind, Value as Tree};

/// Whether it is a list of one kind, as API servers give it.
pub(super) fn is_list_of_known(api_version: &str, kind: &str) -> bool {
    kind.strip_suffix("List").is_some_and(|kind| find_kind(api_version, kind).is_some())
}

pub(super) fn decode_list(value: &Value<'_>, report: &Report, found: &mut Findings<'_>) {
    for entry in value.entries().unwrap_or_default() {
        if !matches!(&*entry.key, "apiVersion" | "kind" | "metadata" | "items") {
            value.fail_as_unknown(entry, || {
                nearest(&entry.key, ["apiVersion", "kind", "metadata", "items"].into_iter())
            });
        }
    }
    let items = value.entries().unwrap_or_default().iter().find(|entry| entry.key == "items");
    let Some(entry) = items.filter(|entry| !entry.node.is_null()) else { return };
    let list = value.member("items", &entry.node);
    let Some(items) = list.items() else {
        list.fail(format!("must be a list, not {}", list.describe()));
        return found.push(Decoded::Unknown(type_name_of(value)));
    };
    let TypeName { api_version, kind } = type_name_of(value);
    let type_of_list = match kind.strip_suffix("List") {
        None | Some("") => None,
        Some(kind) => Some(TypeName::new(&api_version, kind)),
    };
    for (index, node) in items.iter().enumerate() {
        let item = list.item(index, node);
        if node.is_null() {
            item.fail_as_empty_item();
            continue;
        }
        match type_of_list.as_ref().and_then(|of| with_type_of_list(node, of)) {
            Some(typed) => decode_value(&list.item(index, &typed), report, found),
            None => decode_value(&item, report, found),
        }
    }
}

/// An item of a list of one kind that leaves out what it is, with that filled in, as kubectl reads it.
fn with_type_of_list<'n>(node: &Node<'n>, of: &TypeName) -> Option<Node<'n>> {
    let Tree::Map(entries) = &node.value else { return None };
    if entries.iter().any(|entry| matches!(&*entry.key, "apiVersion" | "kind")) {
        return None;
    }
    let at = node.at;
    let entry = |key: &'static str, text: &str| {
        let value = Tree::Scalar { text: text.to_owned().into(), kind: ScalarKind::Text };
        Entry { key: key.into(), key_at: at, node: Node { at, value } }
    };
    let own = [entry("apiVersion", &of.api_version), entry("kind", &of.kind)];
    Some(Node { at, value: Tree::Map(own.into_iter().chain(entries.iter().cloned()).collect()) })
}
