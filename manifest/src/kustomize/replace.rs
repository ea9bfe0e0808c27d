//! Replacements: a value of one object is copied into fields of others.

use super::edit::{self, Fault, Owned, depth, get, items, map_node, set, text, text_node, weigh};
use super::file::{FieldOptions, Replacement, ReplacementTarget, Text};
use super::json_patch::Failure;
use super::load::{Loader, Stop};
use super::resource::Resource;
use super::select::{TagMatcher, has_names, names_match};
use crate::problems::quoted;
use crate::yaml::{DEPTH_LIMIT, Node, Position, ScalarKind, Value, resolve_plain};

/// The field that is meant where none is named.
pub(super) const DEFAULT_FIELD: &str = "metadata.name";

/// Copies a value wherever a replacement says.
pub(super) fn apply(
    resources: &mut [Resource],
    replacement: &Replacement,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    loader.work(
        resources.len().saturating_mul(1 + replacement.targets.len()),
        replacement.source.at,
    )?;
    let Some(value) = loader.check(source_value(resources, replacement)).flatten() else {
        return Ok(());
    };
    for target in &replacement.targets {
        let done = apply_target(resources, target, &value, loader);
        tell_failure(done, loader)?;
    }
    Ok(())
}

fn tell_failure(done: Result<(), Failure>, loader: &mut Loader<'_>) -> Result<(), Stop> {
    match done {
        Ok(()) => Ok(()),
        Err(Failure::Fault(fault)) => {
            loader.tell(fault);
            Ok(())
        }
        Err(Failure::Stop(stop)) => Err(stop),
    }
}

/// The value that is copied; nothing, and no fault, where an object may only seem to be without it.
fn source_value(resources: &[Resource], replacement: &Replacement) -> Result<Option<Owned>, Fault> {
    let source = &replacement.source;
    let mut found = resources.iter().filter(|one| names_match(source, one));
    let Some(first) = found.next() else {
        return Err(Fault::new(source.at, "no object is what this source selects").of_missing());
    };
    if let Some(second) = found.next() {
        let message = format!("the source selects {} and {}", first.id(), second.id());
        return Err(Fault::new(source.at, message).hint("select one by its name"));
    }
    let (path, at) = field_path(replacement.field_path.as_ref(), source.at);
    let value = lookup(&first.node, &steps(path)).filter(|value| !value.is_null());
    let Some(value) = value else {
        let fault = Fault::new(at, format!("{} has no field {}", first.id(), quoted(path)));
        return if first.is_broken { Ok(None) } else { Err(fault) };
    };
    let Some(delimiter) = &replacement.options.delimiter else { return Ok(Some(value.clone())) };
    let whole = text(value).ok_or_else(|| not_plain(at, path))?;
    let part = usize::try_from(replacement.options.index)
        .ok()
        .and_then(|index| whole.split(delimiter.as_str()).nth(index));
    let part = part.ok_or_else(|| {
        let index = replacement.options.index;
        Fault::new(at, format!("the value of {} has no part {index}", quoted(path)))
    })?;
    Ok(Some(text_node(part, value.at)))
}

fn field_path(path: Option<&Text>, at: Position) -> (&str, Position) {
    path.map_or((DEFAULT_FIELD, at), |path| (path.text.as_str(), path.at))
}

fn not_plain(at: Position, path: &str) -> Fault {
    Fault::new(at, format!("{} is no plain value, so a delimiter cannot split it", quoted(path)))
}

fn apply_target(
    resources: &mut [Resource],
    target: &ReplacementTarget,
    value: &Owned,
    loader: &mut Loader<'_>,
) -> Result<(), Failure> {
    let tags = TagMatcher::new(&target.select)?;
    let rejected: Vec<TagMatcher> =
        target.reject.iter().map(TagMatcher::new).collect::<Result<_, _>>()?;
    let default = Text { text: DEFAULT_FIELD.to_owned(), at: target.select.at };
    let paths = match target.field_paths.as_slice() {
        [] => std::slice::from_ref(&default),
        paths => paths,
    };
    for resource in resources {
        let rejects = target.reject.iter().zip(&rejected).any(|(reject, tags)| {
            (has_names(reject) && names_match(reject, resource))
                || (!tags.is_empty() && tags.matches(resource))
        });
        if rejects || !names_match(&target.select, resource) || !tags.matches(resource) {
            continue;
        }
        for path in paths {
            let done = set_field(&mut resource.node, path, &target.options, value, loader);
            let is_moot = resource.is_broken && matches!(done, Err(Failure::Fault(_)));
            if !is_moot {
                tell_failure(done, loader)?;
            }
        }
    }
    Ok(())
}

fn set_field(
    object: &mut Owned,
    path: &Text,
    options: &FieldOptions,
    value: &Owned,
    loader: &mut Loader<'_>,
) -> Result<(), Failure> {
    let steps = steps(&path.text);
    if steps.len() + depth(value) > DEPTH_LIMIT {
        let message = format!("values would nest deeper than {DEPTH_LIMIT} levels");
        return Err(Fault::new(path.at, message).into());
    }
    let mut count = 0;
    let create = options.create.then_some(path.at);
    let weight = weigh(value);
    visit(object, &steps, create, &mut |node| {
        count += 1;
        loader.pay(weight, path.at)?;
        put(node, options, value, path)?;
        Ok(())
    })?;
    if count == 0 {
        let message = format!("there is no field {} in a target", quoted(&path.text));
        let hint = match path.text.ends_with(".-") {
            true => "write the place in the list as a number; options.create: true adds at the end",
            false => "options.create: true makes it",
        };
        return Err(Fault::new(path.at, message).hint(hint).into());
    }
    Ok(())
}

/// Puts a value into a field. A field that is there keeps its type: a text stays a text. One that is made has
/// the type that its value has without quotes, also where only texts may be; then the tables tell it.
fn put(node: &mut Owned, options: &FieldOptions, value: &Owned, path: &Text) -> Result<(), Fault> {
    let mut new = value.clone();
    if let Some(delimiter) = &options.delimiter {
        let (Value::Scalar { text: old, .. }, Some(part)) = (&node.value, text(value)) else {
            return Err(not_plain(path.at, &path.text));
        };
        let mut parts: Vec<&str> = old.split(delimiter.as_str()).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, part),
            Ok(index) if index >= parts.len() => parts.push(part),
            Ok(index) => parts[index] = part,
        }
        new = text_node(parts.join(delimiter), value.at);
    }
    if let (Value::Scalar { kind: old, .. }, Value::Scalar { text, kind }) =
        (&node.value, &mut new.value)
    {
        *kind = match old {
            ScalarKind::Text => ScalarKind::Text,
            _ => resolve_plain(text),
        };
    }
    *node = new;
    Ok(())
}

/// One step of a field path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// A field, or a place in a list.
    Name(String),
    /// The items of a list with this value in this field; with no field, the items that are this value.
    Where(String, String),
    /// All items, or all fields.
    All,
}

/// Dots between names; a backslash before a dot keeps it, and so do brackets around it.
fn steps(path: &str) -> Vec<Step> {
    let mut parts = vec![String::new()];
    let (mut escaped, mut bracket) = (false, false);
    for character in path.chars() {
        let Some(last) = parts.last_mut() else { break };
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '[' if !escaped => {
                bracket = true;
                last.push('[');
            }
            ']' if !escaped => {
                bracket = false;
                last.push(']');
            }
            '.' if !escaped && !bracket => parts.push(String::new()),
            other => {
                if escaped && other != '.' {
                    last.push('\\');
                }
                last.push(other);
            }
        }
        escaped = false;
    }
    parts.into_iter().map(step).collect()
}

fn step(part: String) -> Step {
    if part == "*" {
        return Step::All;
    }
    match part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) {
        Some(inside) => match inside.split_once('=') {
            Some((field, value)) => Step::Where(field.to_owned(), value.to_owned()),
            // Brackets keep dots in a name.
            None => Step::Name(inside.to_owned()),
        },
        None => Step::Name(part),
    }
}

fn lookup<'n>(node: &'n Owned, steps: &[Step]) -> Option<&'n Owned> {
    steps.iter().try_fold(node, |node, step| match step {
        Step::Name(name) => match &node.value {
            Value::List(items) => items.get(name.parse::<usize>().ok()?),
            _ => get(node, name),
        },
        Step::Where(field, value) => items(node).iter().find(|item| is_where(item, field, value)),
        Step::All => None,
    })
}

/// The value at a path in which places in lists may stand in brackets behind a name, as `ports[0]`.
pub(super) fn lookup_indexed<'n>(node: &'n Owned, path: &str) -> Option<&'n Owned> {
    let mut all = Vec::new();
    for step in steps(path) {
        match &step {
            Step::Name(name) => {
                match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
                    Some((name, index)) if !name.is_empty() => {
                        all.extend([Step::Name(name.to_owned()), Step::Name(index.to_owned())]);
                    }
                    _ => all.push(step),
                }
            }
            _ => all.push(step),
        }
    }
    lookup(node, &all)
}

fn is_where(item: &Owned, field: &str, value: &str) -> bool {
    match field {
        "" => text(item) == Some(value),
        field => get(item, field).and_then(text) == Some(value),
    }
}

/// Calls `change` with all values that a path leads to; what is missing is made when it may be.
fn visit(
    node: &mut Owned,
    steps: &[Step],
    create: Option<Position>,
    change: &mut dyn FnMut(&mut Owned) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some((step, rest)) = steps.split_first() else { return change(node) };
    if let (true, Some(at)) = (node.is_null(), create) {
        *node = empty_for(step, at);
    }
    match (step, &mut node.value) {
        (Step::All, Value::List(items)) => {
            items.iter_mut().try_for_each(|item| visit(item, rest, create, change))
        }
        (Step::All, Value::Map(entries)) => {
            entries.iter_mut().try_for_each(|entry| visit(&mut entry.node, rest, create, change))
        }
        (Step::Where(field, value), Value::List(items)) => {
            if !items.iter().any(|item| is_where(item, field, value))
                && let Some(at) = create
            {
                items.push(item_where(field, value, at));
            }
            items
                .iter_mut()
                .filter(|item| is_where(item, field, value))
                .try_for_each(|item| visit(item, rest, create, change))
        }
        (Step::Name(name), Value::List(items)) => {
            let index: Option<usize> = name.parse().ok();
            if let (Some(index), Some(at)) = (index, create)
                && index == items.len()
            {
                items.push(null(at));
            }
            match index.and_then(|index| items.get_mut(index)) {
                Some(item) => visit(item, rest, create, change),
                None => Ok(()),
            }
        }
        (Step::Name(name), Value::Map(_)) => {
            if let (true, Some(at)) = (get(node, name).is_none(), create) {
                set(node, name, null(at));
            }
            match edit::get_mut(node, name) {
                Some(field) => visit(field, rest, create, change),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn null(at: Position) -> Owned {
    Node { at, value: Value::Scalar { text: "null".into(), kind: ScalarKind::Null } }
}

fn empty_for(step: &Step, at: Position) -> Owned {
    match step {
        Step::Name(_) | Step::All => map_node(at),
        Step::Where(..) => Node { at, value: Value::List(Vec::new()) },
    }
}

fn item_where(field: &str, value: &str, at: Position) -> Owned {
    if field.is_empty() {
        return text_node(value, at);
    }
    let mut item = map_node(at);
    set(&mut item, field, text_node(value, at));
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_dots_where_they_are_told_to() {
        let name = |name: &str| Step::Name(name.to_owned());
        assert_eq!(steps("a.b"), [name("a"), name("b")]);
        assert_eq!(steps("a.b\\.c/d"), [name("a"), name("b.c/d")]);
        assert_eq!(
            steps("a.[name=x.y].*.0"),
            [name("a"), Step::Where("name".to_owned(), "x.y".to_owned()), Step::All, name("0")]
        );
        assert_eq!(steps("a.[b.c]"), [name("a"), name("b.c")]);
    }
}
