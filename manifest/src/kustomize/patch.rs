//! Patches on their way to objects: found, read, told apart, and applied to what they mean.

use super::edit::{self, Fault, Owned, get, items, text_of, weigh};
use super::file::{PatchContent, PatchRule, Text};
use super::json_patch::{self, Failure, Operation};
use super::load::{Loader, Stop};
use super::resource::{Id, Resource, break_all};
use super::select::Matcher;
use super::strategic;
use crate::problems::quoted;
use crate::tree::Found;
use crate::yaml::{Position, Value};
use dugout_model::Severity;

/// The two kinds of patches.
enum Patch {
    Merge(Vec<Owned>),
    Json(Vec<Operation>),
}

/// How many comparisons of names the fitting of one pattern is worth.
const MATCH_WORK: usize = 50;

/// Applies one of `patches` or `patchesJson6902`.
pub(super) fn apply(
    resources: &mut Vec<Resource>,
    rule: &PatchRule,
    folder: &str,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let documents = match &rule.content {
        PatchContent::Path(path) => read_file(path, folder, loader)?,
        PatchContent::Inline(text) => loader.inline(&text.text, text.at)?,
    };
    let documents = documents.map(without_lists);
    let patch = documents.map(|documents| tell_apart(documents, rule.at));
    let patch = match patch {
        Some(Ok(patch)) => patch,
        failed => {
            failed.and_then(Result::err).into_iter().flatten().for_each(|fault| loader.tell(fault));
            return give_up(resources, rule, loader);
        }
    };
    match patch {
        Patch::Json(operations) => apply_json(resources, rule, &operations, loader),
        Patch::Merge(patches) if rule.target.is_some() && patches.len() > 1 => {
            loader.tell(
                Fault::new(rule.at, "a patch with a target may be one document alone")
                    .hint("give each document an entry of its own"),
            );
            give_up(resources, rule, loader)
        }
        Patch::Merge(patches) => patches
            .into_iter()
            .try_for_each(|patch| apply_merge(resources, Some(rule), patch, loader)),
    }
}

/// Remembers that a patch could not be applied.
fn give_up(
    resources: &mut [Resource],
    rule: &PatchRule,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let matcher = rule.target.as_ref().and_then(|target| loader.check(Matcher::new(target)));
    let Some(matcher) = matcher else {
        break_all(resources);
        return Ok(());
    };
    loader.work(resources.len().saturating_mul(MATCH_WORK), rule.at)?;
    break_all(resources.iter_mut().filter(|one| matcher.matches(one)));
    loader.has_missing |= rule.allow_name_change || rule.allow_kind_change;
    Ok(())
}

/// Applies one of `patchesStrategicMerge`: a path, or the patch itself.
pub(super) fn apply_strategic(
    resources: &mut Vec<Resource>,
    written: &Text,
    folder: &str,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let inline = written.text.contains('\n') || written.text.contains(": ");
    let documents = if inline {
        loader.inline(&written.text, written.at)?
    } else {
        read_file(written, folder, loader)?
    };
    if documents.is_none() {
        break_all(resources.iter_mut());
    }
    without_lists(documents.unwrap_or_default())
        .into_iter()
        .try_for_each(|patch| apply_merge(resources, None, patch, loader))
}

/// Patches with those of a `List` one by one.
fn without_lists(documents: Vec<Owned>) -> Vec<Owned> {
    let mut patches = Vec::with_capacity(documents.len());
    for document in documents {
        let is_list = text_of(&document, "kind").is_some_and(|kind| kind.ends_with("List"));
        match get(&document, "items").filter(|_| is_list) {
            Some(list) => patches.extend(items(list).iter().cloned()),
            None => patches.push(document),
        }
    }
    patches
}

fn read_file(
    path: &Text,
    folder: &str,
    loader: &mut Loader<'_>,
) -> Result<Option<Vec<Owned>>, Stop> {
    let found = loader.find(folder, &path.text, path.at)?;
    let Some((file, found)) = loader.check(found) else { return Ok(None) };
    match found {
        Found::File { .. } => loader.patches(&file, &found, path.at),
        _ => {
            let message = format!("there is no file {}", quoted(&path.text));
            loader.tell(
                Fault::new(path.at, message)
                    .hint("paths are seen from the folder of this kustomization"),
            );
            Ok(None)
        }
    }
}

fn tell_apart(mut documents: Vec<Owned>, at: Position) -> Result<Patch, Vec<Fault>> {
    let is_list = |node: &Owned| matches!(node.value, Value::List(_));
    match documents.as_slice() {
        [] => Err(vec![Fault::new(at, "the patch is empty")]),
        [one] if is_list(one) => Ok(Patch::Json(json_patch::read(one)?)),
        // A single operation without the list around it.
        [one] if get(one, "op").is_some() && get(one, "kind").is_none() => {
            let at = one.at;
            let list = documents.pop().into_iter().collect();
            Ok(Patch::Json(json_patch::read(&Owned { at, value: Value::List(list) })?))
        }
        all if all.iter().any(is_list) => {
            Err(vec![Fault::new(at, "operations and other patches cannot be in one file")])
        }
        _ => Ok(Patch::Merge(documents)),
    }
}

fn apply_json(
    resources: &mut [Resource],
    rule: &PatchRule,
    operations: &[Operation],
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let Some(target) = &rule.target else {
        loader.tell(
            Fault::new(rule.at, "operations need a target")
                .hint("add target with the kind and name of what they change"),
        );
        break_all(resources);
        return Ok(());
    };
    let Some(matcher) = loader.check(Matcher::new(target)) else {
        break_all(resources);
        return Ok(());
    };
    loader.work(resources.len().saturating_mul(MATCH_WORK), rule.at)?;
    let mut count = 0;
    for resource in resources.iter_mut().filter(|one| matcher.matches(one)) {
        count += 1;
        resource.remember();
        for operation in operations {
            let done = json_patch::apply(&mut resource.node, operation, &mut |weight, at| {
                loader.pay(weight, at)
            });
            match done {
                Ok(()) => {}
                Err(Failure::Stop(stop)) => return Err(stop),
                Err(Failure::Fault(fault)) => {
                    tell_broken(resource, fault, loader);
                    break;
                }
            }
        }
    }
    if count == 0 && !resources.iter().any(|one| one.is_broken) {
        tell_no_target(target.at, loader);
    }
    Ok(())
}

/// Tells what cannot be done to an object, if all before it was done.
fn tell_broken(resource: &mut Resource, fault: Fault, loader: &mut Loader<'_>) {
    if !resource.is_broken {
        let message = format!("{}: {}", resource.id(), fault.message);
        loader.tell(Fault { message, ..fault });
    }
    resource.is_broken = true;
}

/// The reference says nothing; most often it is a mistake.
fn tell_no_target(at: Position, loader: &mut Loader<'_>) {
    if loader.has_missing {
        return;
    }
    loader.problems.add(dugout_model::Problem {
        file: String::new(),
        line: at.line,
        column: at.column,
        severity: Severity::Notice,
        field_path: String::new(),
        message: "no object is what this target selects, so the patch has no effect".to_owned(),
        hint: None,
    });
}

fn apply_merge(
    resources: &mut Vec<Resource>,
    rule: Option<&PatchRule>,
    mut patch: Owned,
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    let chosen = match rule.and_then(|rule| rule.target.as_ref()) {
        Some(_) if !has_identity(&patch) => {
            loader.tell(
                Fault::new(
                    patch.at,
                    "a patch must have kind and metadata.name, also with a target",
                )
                .hint("the target chooses the objects, so write any name"),
            );
            return rule.map_or(Ok(()), |rule| give_up(resources, rule, loader));
        }
        Some(target) => {
            let Some(matcher) = loader.check(Matcher::new(target)) else {
                break_all(resources.iter_mut());
                return Ok(());
            };
            loader.work(resources.len().saturating_mul(MATCH_WORK), target.at)?;
            let chosen = (0..resources.len()).filter(|index| matcher.matches(&resources[*index]));
            let chosen: Vec<usize> = chosen.collect();
            if chosen.is_empty() && !resources.iter().any(|one| one.is_broken) {
                tell_no_target(target.at, loader);
            }
            chosen
        }
        None => {
            loader.work(resources.len(), patch.at)?;
            loader.check(meant_by(&patch, resources)).into_iter().collect()
        }
    };
    let (keep_name, keep_kind) =
        rule.map_or((true, true), |rule| (!rule.allow_name_change, !rule.allow_kind_change));
    strip_identity(&mut patch, keep_name, keep_kind);
    let mut deleted = Vec::new();
    for index in chosen {
        let resource = &mut resources[index];
        let weight = weigh(&patch);
        loader.pay(weight, patch.at)?;
        loader.work(weight.nodes.saturating_mul(weigh(&resource.node).nodes), patch.at)?;
        if !(keep_name && keep_kind) {
            resource.remember();
        }
        let at = resource.node.at;
        let object = std::mem::replace(&mut resource.node, edit::map_node(at));
        match strategic::apply(object.clone(), &patch) {
            Ok(Some(node)) => resource.node = node,
            Ok(None) => deleted.push(index),
            Err(fault) => {
                resource.node = object;
                tell_broken(resource, fault, loader);
            }
        }
    }
    let mut index = 0;
    resources.retain(|_| {
        index += 1;
        !deleted.contains(&(index - 1))
    });
    Ok(())
}

fn has_identity(patch: &Owned) -> bool {
    let is_filled = |node: Option<&Owned>, key| {
        node.and_then(|node| text_of(node, key)).is_some_and(|text| !text.is_empty())
    };
    is_filled(Some(patch), "kind") && is_filled(get(patch, "metadata"), "name")
}

/// The object that a patch without a target names; it may have had the name before.
fn meant_by(patch: &Owned, resources: &[Resource]) -> Result<usize, Fault> {
    if items(patch).is_empty() && edit::entries(patch).is_empty() {
        return Err(Fault::new(patch.at, "a patch must be a map, or a list of operations"));
    }
    let id = Resource::new(patch.clone()).id();
    let Id { of, name, .. } = &id;
    if of.kind.is_empty() || name.is_empty() {
        return Err(Fault::new(patch.at, "a patch without a target must have kind and name")
            .hint("add apiVersion, kind and metadata.name of the object, or a target"));
    }
    let mut fitting =
        (0..resources.len()).filter(|index| resources[*index].all_ids().any(|one| one == id));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            let message =
                format!("the patch may mean {} or {}", resources[one].id(), resources[other].id());
            Err(Fault::new(patch.at, message).hint("add its namespace, or a target"))
        }
        (None, _) => Err(no_such_object(patch, &id, resources)),
    }
}

fn no_such_object(patch: &Owned, id: &Id, resources: &[Resource]) -> Fault {
    let fault = Fault::new(patch.at, format!("there is no {id} that this patch could change"));
    let near = resources
        .iter()
        .flat_map(Resource::all_ids)
        .find(|one| one.name == id.name && one.of.kind == id.of.kind);
    match near {
        Some(near) if near.of != id.of => {
            let group = if near.of.group.is_empty() { "" } else { "/" };
            fault.hint(format!("it is in {}{group}{}", near.of.group, near.of.version))
        }
        Some(near) => fault.hint(format!("there is {near}")),
        None => fault
            .hint("the resources above must bring it; names are those before this patch")
            .of_missing(),
    }
}

/// Takes out of a patch what it says of who the object is: only with leave may that change.
fn strip_identity(patch: &mut Owned, keep_name: bool, keep_kind: bool) {
    edit::remove(patch, "apiVersion");
    if keep_kind || text_of(patch, "kind").is_none() {
        edit::remove(patch, "kind");
    }
    if let Some(metadata) = edit::get_mut(patch, "metadata") {
        edit::remove(metadata, "namespace");
        if keep_name || text_of(metadata, "name").is_none() {
            edit::remove(metadata, "name");
        }
    }
}
