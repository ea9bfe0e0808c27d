//! JSON patches (RFC 6902): operations on values at pointers.

use super::edit::{self, Fault, Owned, Weight, depth, items, same, text, text_of, weigh};
use super::load::Stop;
use crate::problems::quoted;
use crate::yaml::{DEPTH_LIMIT, Entry, Node, Position, Value};

/// One operation with what it needs.
#[derive(Debug)]
pub(super) struct Operation {
    pub at: Position,
    pub what: What,
    pub path: Pointer,
}

#[derive(Debug)]
pub(super) enum What {
    Add(Owned),
    Remove,
    Replace(Owned),
    Move(Pointer),
    Copy(Pointer),
    Test(Owned),
}

/// A JSON pointer (RFC 6901), its parts with `~0` and `~1` resolved.
#[derive(Debug)]
pub(super) struct Pointer {
    parts: Vec<String>,
    text: String,
    at: Position,
}

/// Why an operation was not done.
pub(super) enum Failure {
    Fault(Fault),
    Stop(Stop),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Failure::Stop(stop)
    }
}

/// Reads the operations of a patch, or tells everything that is wrong with them.
pub(super) fn read(patch: &Owned) -> Result<Vec<Operation>, Vec<Fault>> {
    let (mut operations, mut faults) = (Vec::new(), Vec::new());
    for item in items(patch) {
        match read_operation(item) {
            Ok(operation) => operations.push(operation),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(operations) } else { Err(faults) }
}

fn read_operation(node: &Owned) -> Result<Operation, Fault> {
    let fault = |message: String| Fault::new(node.at, message);
    for Entry { key, key_at, .. } in edit::entries(node) {
        if !matches!(&**key, "op" | "path" | "from" | "value") {
            let message = format!("an operation has no field {}", quoted(key));
            return Err(Fault::new(*key_at, message).hint("it has op, path, value and from"));
        }
    }
    let pointer = |name: &str| {
        let node = edit::get(node, name)
            .ok_or_else(|| fault(format!("{name} of this operation is missing")))?;
        read_pointer(text(node).unwrap_or_default(), node.at)
    };
    let value = || {
        edit::get(node, "value")
            .cloned()
            .ok_or_else(|| fault("value of this operation is missing".to_owned()))
    };
    let what = match text_of(node, "op") {
        Some("add") => What::Add(value()?),
        Some("remove") => What::Remove,
        Some("replace") => What::Replace(value()?),
        Some("move") => What::Move(pointer("from")?),
        Some("copy") => What::Copy(pointer("from")?),
        Some("test") => What::Test(value()?),
        Some(other) => return Err(fault(format!("there is no operation {}", quoted(other)))),
        None => return Err(fault("op of this operation is missing".to_owned())),
    };
    Ok(Operation { at: node.at, what, path: pointer("path")? })
}

fn read_pointer(written: &str, at: Position) -> Result<Pointer, Fault> {
    let parts = match written.strip_prefix('/') {
        Some(rest) => {
            rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
        }
        None if written.is_empty() => Vec::new(),
        None => {
            let message = format!("the path {} does not begin with /", quoted(written));
            return Err(Fault::new(at, message));
        }
    };
    Ok(Pointer { parts, text: written.to_owned(), at })
}

/// Does one operation to an object, paying for what it copies. An operation that fails changes nothing.
pub(super) fn apply(
    object: &mut Owned,
    operation: &Operation,
    pay: &mut dyn FnMut(Weight, Position) -> Result<(), Stop>,
) -> Result<(), Failure> {
    let path = &operation.path;
    match &operation.what {
        What::Add(value) => {
            pay(weigh(value), operation.at)?;
            add(object, path, value.clone())?;
        }
        What::Replace(value) => {
            pay(weigh(value), operation.at)?;
            replace(object, path, value.clone())?;
        }
        What::Remove => drop(remove(object, path)?),
        What::Copy(from) => {
            let value = find(object, from).ok_or_else(|| missing(from))?;
            pay(weigh(value), operation.at)?;
            let value = value.clone();
            add(object, path, value)?;
        }
        What::Move(from) => {
            if path.parts.len() > from.parts.len() && path.parts.starts_with(&from.parts) {
                let message = format!("{} cannot be moved into itself", quoted(&from.text));
                return Err(Fault::new(from.at, message).into());
            }
            let value = remove(object, from)?;
            add(object, path, value)?;
        }
        What::Test(value) => {
            let is_met = match find(object, path) {
                Some(found) => same(found, value),
                // A field that is not there is null, for the reference as well.
                None if value.is_null() && could_have(object, path) => true,
                None => return Err(missing(path).into()),
            };
            if !is_met {
                let message = format!("the value at {} is another", quoted(&path.text));
                return Err(Fault::new(operation.at, message).into());
            }
        }
    }
    Ok(())
}

fn missing(pointer: &Pointer) -> Fault {
    let message = format!("the object has no value at {}", quoted(&pointer.text));
    Fault::new(pointer.at, message)
}

fn find<'n>(object: &'n Owned, pointer: &Pointer) -> Option<&'n Owned> {
    find_parts(object, &pointer.parts)
}

fn find_parts<'n>(object: &'n Owned, parts: &[String]) -> Option<&'n Owned> {
    parts.iter().try_fold(object, |node, part| match &node.value {
        Value::Map(_) => edit::get(node, part),
        Value::List(items) => items.get(index(part, items.len())?),
        Value::Scalar { .. } => None,
    })
}

/// Whether a pointer leads to a field of a map, which may be absent.
fn could_have(object: &Owned, pointer: &Pointer) -> bool {
    let Some((_, above)) = pointer.parts.split_last() else { return false };
    find_parts(object, above).is_some_and(|parent| matches!(parent.value, Value::Map(_)))
}

fn find_mut<'n>(object: &'n mut Owned, parts: &[String]) -> Option<&'n mut Owned> {
    let mut node = object;
    for part in parts {
        node = match &mut node.value {
            Value::Map(entries) => &mut entries.iter_mut().find(|entry| entry.key == *part)?.node,
            Value::List(items) => {
                let index = index(part, items.len())?;
                items.get_mut(index)?
            }
            Value::Scalar { .. } => return None,
        };
    }
    Some(node)
}

/// A place in a list; negative ones count from the end.
fn index(part: &str, length: usize) -> Option<usize> {
    match part.strip_prefix('-') {
        Some(back) => length.checked_sub(back.parse::<usize>().ok().filter(|back| *back > 0)?),
        None => part.parse().ok(),
    }
}

fn add(object: &mut Owned, path: &Pointer, value: Owned) -> Result<(), Fault> {
    if path.parts.len() + depth(&value) > DEPTH_LIMIT {
        let message = format!("values would nest deeper than {DEPTH_LIMIT} levels");
        return Err(Fault::new(path.at, message));
    }
    let Some((last, folders)) = path.parts.split_last() else {
        *object = value;
        return Ok(());
    };
    let parent = find_mut(object, folders).ok_or_else(|| {
        missing(path).hint("add what is above it first; / inside a key is written ~1")
    })?;
    match &mut parent.value {
        Value::List(items) => {
            let place = match last.as_str() {
                "-" => Some(items.len()),
                part => index(part, items.len() + 1).filter(|place| *place <= items.len()),
            };
            let place = place.ok_or_else(|| {
                let message = format!("{} is no place in a list of {}", quoted(last), items.len());
                Fault::new(path.at, message).hint("- adds at the end")
            })?;
            items.insert(place, value);
            Ok(())
        }
        // A field that is null counts as absent, also for what is put into it.
        Value::Map(_) => {
            edit::set(parent, last, value);
            Ok(())
        }
        Value::Scalar { .. } => Err(missing(path).hint("what is above it is a plain value")),
    }
}

/// The reference takes a field that is missing for one to add, and so do we.
fn replace(object: &mut Owned, path: &Pointer, value: Owned) -> Result<(), Fault> {
    let Some((_, folders)) = path.parts.split_last() else {
        *object = value;
        return Ok(());
    };
    if let Some(found) = find_mut(object, &path.parts) {
        if path.parts.len() + depth(&value) > DEPTH_LIMIT {
            let message = format!("values would nest deeper than {DEPTH_LIMIT} levels");
            return Err(Fault::new(path.at, message));
        }
        *found = value;
        return Ok(());
    }
    match find_mut(object, folders) {
        Some(Node { value: Value::Map(_), .. }) => add(object, path, value),
        _ => Err(missing(path)),
    }
}

fn remove(object: &mut Owned, path: &Pointer) -> Result<Owned, Fault> {
    let gone = || missing(path);
    let (last, folders) = path.parts.split_last().ok_or_else(|| {
        Fault::new(path.at, "the whole object cannot be removed by an operation")
            .hint("use a strategic merge patch with $patch: delete")
    })?;
    let parent = find_mut(object, folders).ok_or_else(gone)?;
    match &mut parent.value {
        Value::Map(_) => edit::remove(parent, last).map(|entry| entry.node).ok_or_else(gone),
        Value::List(items) => {
            let place = index(last, items.len()).filter(|place| *place < items.len());
            place.map(|place| items.remove(place)).ok_or_else(gone)
        }
        Value::Scalar { .. } => Err(gone()),
    }
}
