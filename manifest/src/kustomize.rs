//! Kustomizations rendered in process: no binary, no network, nothing executed, and every value of an
//! object still knows the file and the line that a person has to edit.
//!
//! `load` gets files and counts what they cost; `placement` finds where texts inside them stand. `accumulate` goes through the kustomizations, with
//! `file` for what they ask, `generate`, `patch` (`strategic`, `json_patch`, `select`), `transform` and
//! `replace` for what they do. At the end `hash` and `names` give generated objects their names and
//! write changed names wherever they are said.
//!
//! A mistake does not hide others: what else is asked for is done, and objects are checked but for those that
//! the mistake keeps from being what they should. Nothing is told that may only follow from it.
//!
//! The result is meant to equal that of `kubectl kustomize`; `tests/kustomize` holds what that prints.
//! Where it differs it does so on purpose: directives of strategic merge patches that the reference
//! leaves in the object are obeyed, ports merge as an API server merges them, `tagSuffix` is added once,
//! files may be named anywhere in the repository, and a JSON patch may be one operation without a list.
//! Refused, where the reference does it, are plugins (`generators`, `transformers`, `validators`), charts, and
//! what would change the rules of rendering: `configurations` (further fields for names, images, labels and
//! variables) and `openapi` (further keys of lists). What they do to fields can be said with `patches`,
//! `replacements` and the `fields` of `labels`. A variable that nobody says, which the reference tells in its log,
//! and a patch that finds no object are notices.

mod accumulate;
mod edit;
mod field_specs;
mod file;
mod generate;
mod hash;
mod json_patch;
mod load;
mod merge_keys;
mod names;
mod order;
mod patch;
mod placement;
mod references;
mod replace;
mod resource;
pub(crate) mod schema;
mod select;
mod strategic;
mod transform;
mod vars;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::accumulate::{Accumulator, Expected, Pile};
use self::load::{Loader, Stop};
use self::resource::Resource;
use crate::lines::Lines;
use crate::problems::Problems;
use crate::tree::{Found, Tree, TreeError};
use crate::yaml::{Node, Position};

pub(crate) use self::accumulate::FILE_NAMES;
pub(crate) use self::edit::Weight;
pub(crate) use self::load::{BYTE_LIMIT, KUSTOMIZATION_LIMIT, NODE_LIMIT, ParsedTrees};

/// What came of a kustomization.
pub(crate) struct Rendering {
    /// The objects. When there are errors, only those that are as they would be without them.
    pub objects: Vec<Node<'static>>,
    /// What the objects cost.
    pub weight: Weight,
    /// With numbers of `lines`.
    pub problems: Problems,
    pub lines: Lines,
    /// Every path that was asked for, with what was there: when all are the same, so is the result.
    pub inputs: BTreeMap<String, Found>,
}

/// Renders the kustomization in a folder.
///
/// # Errors
/// When the commit cannot be read. What is wrong with the files is in the result.
pub(crate) fn render(
    tree: &dyn Tree,
    folder: &str,
    parsed: &mut ParsedTrees,
) -> Result<Rendering, TreeError> {
    let mut loader = Loader::new(tree, parsed);
    let objects = match render_all(&mut loader, folder) {
        Ok(objects) => objects,
        Err(Stop::Limit) => Vec::new(),
        Err(Stop::Broken(error)) => return Err(error),
    };
    let Loader { problems, lines, inputs, .. } = loader;
    let mut weight = Weight::default();
    objects.iter().for_each(|object| weight.add(edit::weigh(object)));
    Ok(Rendering { objects, weight, problems, lines, inputs })
}

fn render_all(loader: &mut Loader<'_>, folder: &str) -> Result<Vec<Node<'static>>, Stop> {
    let mut pile = Pile::default();
    let mut accumulator = Accumulator::new(loader);
    let at = Position::default();
    let Some(root) = accumulator.enter(folder, Expected::Any, at, &mut pile)? else {
        return Ok(Vec::new());
    };
    let Pile { mut resources, vars, .. } = pile;
    add_hashes(&mut resources);
    names::fix(&mut resources, loader);
    vars::resolve(&mut resources, &vars, loader)?;
    resources.iter_mut().for_each(|one| vars::annotations_as_texts(&mut one.node));
    resources.retain(|resource| !accumulate::is_local(resource) && !resource.is_broken);
    order::sort(&mut resources, &root.order);
    Ok(resources.into_iter().map(|resource| resource.node).collect())
}

fn add_hashes(resources: &mut [Resource]) {
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.name(), hash::suffix(&resource.node));
        resource.remember();
        transform::rename(resource, &name);
    }
}

/// The paths that a kustomization names as its parts, as far as they can be told without rendering, and
/// whether it is a component.
pub(crate) fn parts_of(root: &Node<'_>) -> (Vec<String>, bool) {
    let root = edit::to_owned(root, 0);
    let is_component = edit::text_of(&root, "kind") == Some("Component");
    (accumulate::folders_named(&root), is_component)
}
