//! Strategic merge patches: maps merge field by field, lists by Kubernetes' keys, and directives say
//! what cannot be said by a value.
//!
//! Unlike the reference, which leaves them in the object, `$retainKeys`, `$setElementOrder` and
//! `$deleteFromPrimitiveList` do here what they do to an API server.

use super::edit::{self, Fault, Owned, get, items, same, text};
use super::merge_keys::{MergeRule, MergeType, merge_type};
use super::resource::Type;
use crate::problems::quoted;
use crate::yaml::{Entry, Node, Value};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// What `$patch` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Merges a patch into an object; nothing is left when the patch deletes it.
pub(super) fn apply(object: Owned, patch: &Owned) -> Result<Option<Owned>, Fault> {
    let rule = merge_type(&Type::of(&object)).map(MergeRule::Fields);
    merge(Some(object), patch, rule)
}

fn merge(
    target: Option<Owned>,
    patch: &Owned,
    rule: Option<MergeRule>,
) -> Result<Option<Owned>, Fault> {
    if patch.is_null() {
        return Ok(None);
    }
    let Some(target) = target.filter(|target| !target.is_null()) else {
        return added(patch, rule);
    };
    match (&target.value, &patch.value) {
        (Value::Map(_), Value::Map(_)) => merge_map(target, patch, rule),
        (Value::List(_), Value::List(_)) => merge_list(target, patch, rule).map(Some),
        (Value::Scalar { .. }, Value::Scalar { .. }) => Ok(Some(patch.clone())),
        _ => {
            let message =
                format!("the patch has {} here, the object {}", what(patch), what(&target));
            Err(Fault::new(patch.at, message))
        }
    }
}

/// A value of a patch for which the object has none: directives and nulls in it are gone.
fn added(patch: &Owned, rule: Option<MergeRule>) -> Result<Option<Owned>, Fault> {
    match &patch.value {
        Value::Map(_) => {
            let empty = Node { at: patch.at, value: Value::Map(Vec::new()) };
            match directive(patch)? {
                Directive::Delete => Ok(None),
                Directive::Merge | Directive::Replace => merge_fields(empty, patch, rule).map(Some),
            }
        }
        Value::List(_) if matches!(rule, Some(MergeRule::Items(..))) => {
            let empty = Node { at: patch.at, value: Value::List(Vec::new()) };
            merge_list(empty, patch, rule).map(Some)
        }
        _ => Ok(Some(patch.clone())),
    }
}

fn merge_map(
    target: Owned,
    patch: &Owned,
    rule: Option<MergeRule>,
) -> Result<Option<Owned>, Fault> {
    match directive(patch)? {
        Directive::Delete => Ok(None),
        Directive::Replace => {
            let empty = Node { at: patch.at, value: Value::Map(Vec::new()) };
            merge_fields(empty, patch, rule).map(Some)
        }
        Directive::Merge => merge_fields(target, patch, rule).map(Some),
    }
}

fn merge_fields(mut target: Owned, patch: &Owned, rule: Option<MergeRule>) -> Result<Owned, Fault> {
    let of = match rule {
        Some(MergeRule::Fields(of) | MergeRule::Items(_, of)) => Some(of),
        _ => None,
    };
    retain(&mut target, patch);
    for Entry { key, node, .. } in edit::entries(patch) {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            delete_from(&mut target, list, node);
        }
    }
    for entry in edit::entries(patch).iter().filter(|entry| !entry.key.starts_with('$')) {
        merge_field(&mut target, entry, of)?;
    }
    for Entry { key, node, .. } in edit::entries(patch) {
        if let Some(list) = key.strip_prefix(SET_ORDER) {
            let rule = of.and_then(|of| of.rule(list));
            if let Some(found) = edit::get_mut(&mut target, list) {
                set_order(found, node, rule);
            }
        }
    }
    Ok(target)
}

fn merge_field(
    target: &mut Owned,
    patch: &Entry<'static>,
    of: Option<&'static MergeType>,
) -> Result<(), Fault> {
    let Value::Map(entries) = &mut target.value else { return Ok(()) };
    let rule = of.and_then(|of| of.rule(&patch.key));
    let Some(index) = entries.iter().position(|entry| entry.key == patch.key) else {
        if let Some(node) = merge(None, &patch.node, rule)? {
            entries.push(Entry { key: patch.key.clone(), key_at: patch.key_at, node });
        }
        return Ok(());
    };
    let at = entries[index].node.at;
    let old = std::mem::replace(&mut entries[index].node, edit::map_node(at));
    match merge(Some(old), &patch.node, rule)? {
        Some(node) => entries[index].node = node,
        None => drop(entries.remove(index)),
    }
    Ok(())
}

fn merge_list(target: Owned, patch: &Owned, rule: Option<MergeRule>) -> Result<Owned, Fault> {
    let at = target.at;
    let Value::List(old) = target.value else { return Ok(patch.clone()) };
    match rule {
        Some(MergeRule::Items(keys, _)) => {
            let merged = merge_items(old, patch, keys, rule)?;
            Ok(Node { at, value: Value::List(merged) })
        }
        Some(MergeRule::Set) => {
            let mut merged = items(patch).to_vec();
            merged.extend(old.into_iter().filter(|one| !contains(items(patch), one)));
            Ok(Node { at, value: Value::List(merged) })
        }
        Some(MergeRule::Fields(_)) | None => Ok(patch.clone()),
    }
}

/// As in the reference, the items of the patch come first, in its order; of lists with several keys,
/// those that are new, and the others stay where they are.
fn merge_items(
    old: Vec<Owned>,
    patch: &Owned,
    keys: &[&str],
    rule: Option<MergeRule>,
) -> Result<Vec<Owned>, Fault> {
    let mut old: Vec<Option<Owned>> = old.into_iter().map(Some).collect();
    for item in items(patch).iter().filter(|item| is_only_directive(item)) {
        if directive(item)? != Directive::Merge {
            old.clear();
        }
    }
    let stays = keys.len() > 1;
    let mut merged = Vec::with_capacity(old.len() + items(patch).len());
    for item in items(patch).iter().filter(|item| !is_only_directive(item)) {
        let deletes = matches!(item.value, Value::Map(_)) && directive(item)? == Directive::Delete;
        let place = old
            .iter()
            .position(|one| one.as_ref().is_some_and(|one| are_same_item(one, item, keys)));
        let found = place.and_then(|place| old[place].take());
        if deletes {
            continue;
        }
        let item = merge(found, item, rule_of_item(rule))?;
        match place {
            Some(place) if stays => old[place] = item,
            _ => merged.extend(item),
        }
    }
    merged.extend(old.into_iter().flatten());
    Ok(merged)
}

fn rule_of_item(rule: Option<MergeRule>) -> Option<MergeRule> {
    match rule {
        Some(MergeRule::Items(_, of)) => Some(MergeRule::Fields(of)),
        _ => None,
    }
}

/// Whether two items are the same thing: equal in each key that both have, and in one at least.
fn are_same_item(a: &Owned, b: &Owned, keys: &[&str]) -> bool {
    let mut shared = 0;
    for key in keys {
        if let (Some(a), Some(b)) = (get(a, key).and_then(text), get(b, key).and_then(text)) {
            if a != b {
                return false;
            }
            shared += 1;
        }
    }
    shared > 0
}

fn is_only_directive(item: &Owned) -> bool {
    matches!(edit::entries(item), [only] if only.key == PATCH)
}

fn directive(patch: &Owned) -> Result<Directive, Fault> {
    let Some(node) = get(patch, PATCH) else { return Ok(Directive::Merge) };
    match text(node) {
        Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        other => {
            let message = format!("$patch cannot be {}", quoted(other.unwrap_or("empty")));
            Err(Fault::new(node.at, message).hint("it is merge, replace or delete"))
        }
    }
}

/// `$retainKeys` names the fields that stay.
fn retain(target: &mut Owned, patch: &Owned) {
    let Some(keys) = get(patch, RETAIN_KEYS) else { return };
    if let Value::Map(entries) = &mut target.value {
        entries.retain(|entry| items(keys).iter().any(|key| text(key) == Some(&entry.key)));
    }
}

fn delete_from(target: &mut Owned, list: &str, values: &Owned) {
    if let Some(Node { value: Value::List(list), .. }) = edit::get_mut(target, list) {
        list.retain(|one| !contains(items(values), one));
    }
}

/// `$setElementOrder` brings the items that it names into its order; the others follow in theirs.
fn set_order(list: &mut Owned, order: &Owned, rule: Option<MergeRule>) {
    let Value::List(list) = &mut list.value else { return };
    let place = |item: &Owned| {
        items(order)
            .iter()
            .position(|wanted| match rule {
                Some(MergeRule::Items(keys, _)) => are_same_item(wanted, item, keys),
                _ => same(wanted, item),
            })
            .unwrap_or(usize::MAX)
    };
    list.sort_by_cached_key(place);
}

fn contains(list: &[Owned], value: &Owned) -> bool {
    list.iter().any(|one| same(one, value))
}

fn what(node: &Owned) -> &'static str {
    match node.value {
        Value::Scalar { .. } => "a plain value",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
