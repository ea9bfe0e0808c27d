//! One kustomization after the other: its resources, what it generates, its components, and then what it
//! does to all of them.

use std::collections::HashSet;

use super::edit::{self, Fault, Owned, get, items, text_of, weigh};
use super::file::{self, Behavior, Generator, Kustomization, ReplacementRule, Text, Var};
use super::generate;
use super::load::{Loader, Stop};
use super::resource::{Id, Resource, break_all};
use super::transform::{self, Affix};
use super::{patch, replace, vars};
use crate::problems::quoted;
use crate::tree::{Found, IS_SPECIAL, within};
use crate::yaml::Position;

/// How deep kustomizations may refer to each other.
const DEPTH_LIMIT: usize = 50;

/// The names that a kustomization file may have.
pub(crate) const FILE_NAMES: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The objects so far.
#[derive(Default)]
pub(super) struct Pile {
    pub resources: Vec<Resource>,
    pub vars: Vec<Var>,
    taken: HashSet<Id>,
}

impl Pile {
    fn push(&mut self, resource: Resource, loader: &mut Loader<'_>) {
        let id = resource.id();
        if self.taken.contains(&id) {
            let first = self.resources.iter().find(|one| one.id() == id).map(Resource::at);
            loader.tell(told_twice(&id, resource.at(), first, loader));
            return;
        }
        self.taken.insert(id);
        self.resources.push(resource);
    }

    /// After names may have changed.
    fn count_again(&mut self, loader: &mut Loader<'_>) {
        self.taken.clear();
        let mut twice = Vec::new();
        for resource in &self.resources {
            let id = resource.id();
            if self.taken.contains(&id) {
                twice.push((id, resource.at()));
            } else {
                self.taken.insert(id);
            }
        }
        for (id, at) in twice {
            let first = self.resources.iter().find(|one| one.id() == id).map(Resource::at);
            loader.tell(told_twice(&id, at, first, loader));
        }
    }
}

fn told_twice(id: &Id, at: Position, first: Option<Position>, loader: &Loader<'_>) -> Fault {
    let fault = Fault::new(at, format!("{id} comes together with another of that name"));
    match first {
        Some(first) => {
            let (file, line) = loader.lines.locate(first.line);
            let file = loader.shown(file);
            fault.hint(format!(
                "the first is in {file}:{line}; give each a name or a namespace of its own"
            ))
        }
        None => fault,
    }
}

/// Which kind of kustomization is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Any; it is not part of another.
    Any,
    Kustomization,
    Component,
}

/// Goes through the kustomizations of a rendering.
pub(super) struct Accumulator<'l, 't> {
    pub loader: &'l mut Loader<'t>,
    /// The folders of the kustomizations that are open, the outermost first.
    open: Vec<String>,
}

impl<'l, 't> Accumulator<'l, 't> {
    pub fn new(loader: &'l mut Loader<'t>) -> Self {
        Self { loader, open: Vec::new() }
    }

    /// Adds what the kustomization in a folder makes. A component works on what is there; another has
    /// a pile of its own, which is added. `at` is where the folder is named. Gives the kustomization.
    pub fn enter(
        &mut self,
        folder: &str,
        expected: Expected,
        at: Position,
        pile: &mut Pile,
    ) -> Result<Option<Kustomization>, Stop> {
        if self.open.iter().any(|open| open == folder) || self.open.len() >= DEPTH_LIMIT {
            let shown = |folder: &str| match self.loader.shown(folder) {
                path if path.is_empty() => ".".to_owned(),
                path => path,
            };
            let way: Vec<String> = self.open.iter().map(|one| shown(one)).collect();
            let message = format!(
                "the kustomizations refer to each other in a circle: {} → {}",
                way.join(" → "),
                shown(folder)
            );
            self.loader.tell(Fault::new(at, message).hint("take this line out"));
            self.loader.has_missing = true;
            return Ok(None);
        }
        self.loader.count_kustomization(at)?;
        let errors = self.loader.problems.error_count();
        let Some(kustomization) = self.read(folder, expected, at)? else {
            self.loader.has_missing = true;
            return Ok(None);
        };
        // With mistakes it is gone through for what else is wrong.
        let is_sound = self.loader.problems.error_count() == errors;
        self.loader.has_missing |= !is_sound;
        self.open.push(folder.to_owned());
        let done = if kustomization.is_component && expected == Expected::Component {
            self.apply(&kustomization, folder, is_sound, pile)
        } else {
            let mut own = Pile::default();
            self.apply(&kustomization, folder, is_sound, &mut own).map(|()| {
                for resource in own.resources {
                    pile.push(resource, self.loader);
                }
                vars::merge(&mut pile.vars, &own.vars, self.loader);
            })
        };
        self.open.pop();
        done.map(|()| Some(kustomization))
    }

    fn read(
        &mut self,
        folder: &str,
        expected: Expected,
        at: Position,
    ) -> Result<Option<Kustomization>, Stop> {
        let mut files = Vec::new();
        for name in FILE_NAMES {
            let path = within(folder, name);
            match self.loader.find("", &path, at)? {
                Ok((path, found @ Found::File { .. })) => files.push((path, found)),
                Ok(_) => {}
                // It is a link.
                Err(fault) => {
                    self.loader.tell(fault);
                    return Ok(None);
                }
            }
        }
        let (path, found) = match files.as_slice() {
            [one] => one.clone(),
            [] => {
                let shown = quoted(&self.loader.shown(folder));
                let message = format!("there is no kustomization in the folder {shown}");
                let fault =
                    Fault::new(at, message).hint("name its files, or add a kustomization.yaml");
                self.loader.tell(fault);
                return Ok(None);
            }
            [(first, _), (second, _), ..] => {
                let (one, other) = (self.loader.shown(first), self.loader.shown(second));
                let message = format!("{one} and {other} are both kustomizations of one folder");
                let at = match self.open.is_empty() {
                    true => Position { line: self.loader.start_of(first, 0), column: 0 },
                    false => at,
                };
                self.loader.tell(Fault::new(at, message).hint("keep one of them"));
                return Ok(None);
            }
        };
        let Some(documents) = self.loader.documents(&path, &found, at)? else { return Ok(None) };
        let start = self.loader.start_of(&path, 0);
        let [root] = documents.as_slice() else {
            let at = documents.get(1).map_or(Position { line: start, column: 0 }, |node| node.at);
            let message = "a kustomization is one document, and not empty";
            self.loader.tell(Fault::new(at, message));
            return Ok(None);
        };
        let Some(kustomization) = file::read(root, &mut self.loader.problems) else {
            return Ok(None);
        };
        let shown = quoted(&self.loader.shown(folder));
        let fault = match (expected, kustomization.is_component) {
            (Expected::Component, false) => Fault::new(at, format!("{shown} is no component"))
                .hint("name it under resources, or set kind: Component in it"),
            (Expected::Kustomization, true) => {
                Fault::new(at, format!("{shown} is a component")).hint("name it under components")
            }
            _ => return Ok(Some(kustomization)),
        };
        self.loader.tell(fault);
        Ok(None)
    }

    fn apply(
        &mut self,
        kustomization: &Kustomization,
        folder: &str,
        is_sound: bool,
        pile: &mut Pile,
    ) -> Result<(), Stop> {
        for resource in &kustomization.resources {
            let is_there = self.add_resource(resource, folder, pile)?;
            self.loader.has_missing |= !is_there;
        }
        for generator in &kustomization.generators {
            self.generate(generator, folder, pile)?;
        }
        for component in &kustomization.components {
            if !self.add_component(component, folder, pile)? {
                self.loader.has_missing = true;
                break_all(&mut pile.resources);
            }
        }
        if !is_sound {
            break_all(&mut pile.resources);
        }
        self.transform(kustomization, folder, pile)?;
        pile.count_again(self.loader);
        for var in &kustomization.vars {
            self.loader.work(pile.resources.len(), var.name.at)?;
        }
        vars::bind(&kustomization.vars, &mut pile.resources, self.loader);
        vars::merge(&mut pile.vars, &kustomization.vars, self.loader);
        Ok(())
    }

    /// Adds what a path leads to; whether all of it could be had.
    fn add_resource(&mut self, path: &Text, folder: &str, pile: &mut Pile) -> Result<bool, Stop> {
        if let Some(fault) = remote(path) {
            self.loader.tell(fault);
            return Ok(false);
        }
        let found = self.loader.find(folder, &path.text, path.at)?;
        let Some((found_path, found)) = self.loader.check(found) else { return Ok(false) };
        match found {
            Found::Folder { .. } => {
                return Ok(self
                    .enter(&found_path, Expected::Kustomization, path.at, pile)?
                    .is_some());
            }
            Found::File { .. } => {
                let documents = self.loader.resources(&found_path, &found, path.at)?;
                let mut is_whole = documents.is_some();
                for node in documents.unwrap_or_default() {
                    is_whole &= self.add_document(node, pile);
                }
                return Ok(is_whole);
            }
            Found::Foreign => self.loader.tell(
                Fault::new(path.at, format!("{} is in another repository", quoted(&path.text)))
                    .hint("submodules are not read; commit the files here"),
            ),
            Found::Special => self
                .loader
                .tell(Fault::new(path.at, format!("{} {IS_SPECIAL}", quoted(&path.text)))),
            Found::Nothing | Found::Link { .. } | Found::NoText => self.loader.tell(
                Fault::new(path.at, format!("there is no file or folder {}", quoted(&path.text)))
                    .hint("paths are seen from the folder of this kustomization"),
            ),
        }
        Ok(false)
    }

    fn add_component(&mut self, path: &Text, folder: &str, pile: &mut Pile) -> Result<bool, Stop> {
        if let Some(fault) = remote(path) {
            self.loader.tell(fault);
            return Ok(false);
        }
        let found = self.loader.find(folder, &path.text, path.at)?;
        match self.loader.check(found) {
            Some((found_path, Found::Folder { .. })) => {
                return Ok(self.enter(&found_path, Expected::Component, path.at, pile)?.is_some());
            }
            Some(_) => self.loader.tell(
                Fault::new(path.at, format!("there is no folder {}", quoted(&path.text)))
                    .hint("a component is a folder with a kustomization of kind: Component"),
            ),
            None => {}
        }
        Ok(false)
    }

    /// Adds one document of a resource file, or the items of a list; whether that could be done.
    fn add_document(&mut self, node: Owned, pile: &mut Pile) -> bool {
        let kind = text_of(&node, "kind").unwrap_or_default();
        if kind.ends_with("List")
            && let Some(list) = get(&node, "items")
        {
            let list: Vec<Owned> = items(list).to_vec();
            let added = list.into_iter().map(|item| self.add_document(item, pile));
            // Not the first alone: each is added.
            return added.fold(true, |all, one| all & one);
        }
        let api_version = text_of(&node, "apiVersion").unwrap_or_default();
        let name = get(&node, "metadata").and_then(|metadata| text_of(metadata, "name"));
        let fault = if kind.is_empty() || api_version.is_empty() {
            Fault::new(node.at, "this is no Kubernetes object: apiVersion and kind are missing")
                .hint("patches go under patches, and values of charts cannot be used")
        } else if api_version.starts_with("kustomize.config.k8s.io/") {
            Fault::new(node.at, "a kustomization is named by its folder, not by its file")
        } else if name.is_none() {
            Fault::new(node.at, "metadata.name is missing")
        } else {
            pile.push(Resource::new(node), self.loader);
            return true;
        };
        self.loader.tell(fault);
        false
    }

    fn generate(
        &mut self,
        generator: &Generator,
        folder: &str,
        pile: &mut Pile,
    ) -> Result<(), Stop> {
        let made = generate::generate(generator, folder, self.loader)?;
        let is_broken = made.is_none();
        let mut new = made.unwrap_or_else(|| generate::bare(generator));
        new.is_broken = is_broken;
        self.loader.pay(weigh(&new.node), new.at())?;
        self.loader.work(pile.resources.len(), new.at())?;
        let id = new.id();
        let same: Vec<usize> = (0..pile.resources.len())
            .filter(|index| pile.resources[*index].all_ids().any(|one| one == id))
            .collect();
        let at = generator.name.at;
        let errors = self.loader.problems.error_count();
        match (same.as_slice(), generator.behavior) {
            ([], Behavior::Create) => pile.push(new, self.loader),
            ([], Behavior::Merge | Behavior::Replace) => {
                self.loader.tell(
                    Fault::new(at, format!("there is no {id} to merge with or to replace"))
                        .hint("a resource or a base must make it; or leave behavior out")
                        .of_missing(),
                );
                new.is_broken = true;
                pile.push(new, self.loader);
            }
            (_, Behavior::Create) => self.loader.tell(
                Fault::new(at, format!("{id} is there already"))
                    .hint("set behavior to merge or replace, or choose another name"),
            ),
            ([index], behavior) => {
                let old = &pile.resources[*index];
                let (own, others) = (weigh(&new.node), weigh(&old.node));
                self.loader.pay(others, at)?;
                self.loader.work(own.nodes.saturating_mul(others.nodes), at)?;
                let combined = generate::combine(old, new, behavior == Behavior::Merge);
                pile.resources[*index] = combined;
            }
            _ => self.loader.tell(Fault::new(at, format!("there is more than one {id}"))),
        }
        if is_broken || self.loader.problems.error_count() > errors {
            same.iter().for_each(|index| pile.resources[*index].is_broken = true);
        }
        Ok(())
    }

    /// What the kustomization does to the objects, in the order of the reference.
    fn transform(
        &mut self,
        kustomization: &Kustomization,
        folder: &str,
        pile: &mut Pile,
    ) -> Result<(), Stop> {
        let resources = &mut pile.resources;
        for written in &kustomization.merge_patches {
            patch::apply_strategic(resources, written, folder, self.loader)?;
        }
        for rule in &kustomization.patches {
            patch::apply(resources, rule, folder, self.loader)?;
        }
        if let Some(namespace) = &kustomization.namespace {
            transform::namespace(resources, namespace, self.loader)?;
        }
        if let Some(prefix) = &kustomization.name_prefix {
            transform::affix(resources, prefix, Affix::Prefix);
        }
        if let Some(suffix) = &kustomization.name_suffix {
            transform::affix(resources, suffix, Affix::Suffix);
        }
        for rule in &kustomization.labels {
            transform::labels(resources, rule, self.loader)?;
        }
        transform::annotations(resources, &kustomization.annotations, self.loader)?;
        for rule in &kustomization.json_patches {
            patch::apply(resources, rule, folder, self.loader)?;
        }
        for rule in &kustomization.replicas {
            transform::replicas(resources, rule, self.loader);
        }
        for rule in &kustomization.images {
            self.loader.work(resources.len().saturating_mul(100), rule.name.at)?;
            transform::image(resources, rule, self.loader);
        }
        let errors = self.loader.problems.error_count();
        for rule in &kustomization.replacements {
            self.replace(rule, folder, resources)?;
        }
        if self.loader.problems.error_count() > errors {
            break_all(resources);
        }
        Ok(())
    }

    fn replace(
        &mut self,
        rule: &ReplacementRule,
        folder: &str,
        resources: &mut [Resource],
    ) -> Result<(), Stop> {
        let path = match rule {
            ReplacementRule::Inline(replacement) => {
                return replace::apply(resources, replacement, self.loader);
            }
            ReplacementRule::Path(path) => path,
        };
        let found = self.loader.find(folder, &path.text, path.at)?;
        let Some((file, found)) = self.loader.check(found) else { return Ok(()) };
        let documents = self.loader.documents(&file, &found, path.at)?;
        for document in documents.unwrap_or_default() {
            for replacement in file::read_replacements(&document, &mut self.loader.problems) {
                replace::apply(resources, &replacement, self.loader)?;
            }
        }
        Ok(())
    }
}

/// Why a path is not one of this repository.
fn remote(path: &Text) -> Option<Fault> {
    let text = &path.text;
    let is_remote = text.contains("://")
        || text.contains("?ref=")
        || text.starts_with("git@")
        || ["github.com/", "gitlab.com/", "bitbucket.org/", "github.com:"]
            .iter()
            .any(|host| text.starts_with(host));
    is_remote.then(|| {
        Fault::new(path.at, format!("{} is in another place", quoted(text))).hint(
            "everything that a commit means must be in the commit; copy it into the repository",
        )
    })
}

/// Whether an object is for tools alone and is not to be applied.
pub(super) fn is_local(resource: &Resource) -> bool {
    resource
        .tag("annotations", "config.kubernetes.io/local-config")
        .is_some_and(|value| value != "false")
}

/// The folders that a kustomization names, without rendering anything: as far as they can be told.
pub(super) fn folders_named(root: &Owned) -> Vec<String> {
    ["resources", "bases", "components"]
        .iter()
        .filter_map(|field| edit::get(root, field))
        .flat_map(|list| items(list))
        .filter_map(|item| edit::text(item).map(str::to_owned))
        .collect()
}
