//! Which kustomizations of a source stand by themselves, and which are parts of others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{Problem, Severity};

use super::{MANIFEST_LIMIT_BYTES, file_problem};
use crate::blob::text_of;
use crate::kustomize::{FILE_NAMES, parts_of};
use crate::problems::Problems;
use crate::tree::{ContentId, Found, Tree, TreeError, follow, join, within};
use crate::yaml::{Document, Documents};

/// What a kustomization file refers to, as it is written.
#[derive(Default)]
pub(crate) struct Parts {
    pub paths: Vec<String>,
    pub is_component: bool,
}

/// What the kustomization in a folder refers to, and what that was told from.
pub(super) struct Node {
    /// The kustomization's file; absent when there is none that can be read.
    pub file: Option<(ContentId, Arc<Parts>)>,
    /// The other folders that it refers to.
    pub folders: Vec<String>,
    /// Every path that was asked for, with what was there.
    pub inputs: Vec<(String, Found)>,
}

impl Node {
    pub fn is_component(&self) -> bool {
        self.file.as_ref().is_some_and(|(_, parts)| parts.is_component)
    }
}

/// A search through the kustomizations of one commit.
#[derive(Default)]
pub(super) struct Search {
    /// What is known of kustomization files, from earlier commits as well.
    known: HashMap<ContentId, Arc<Parts>>,
    nodes: HashMap<String, Arc<Node>>,
}

impl Search {
    pub fn new(known: HashMap<ContentId, Arc<Parts>>) -> Self {
        Self { known, nodes: HashMap::new() }
    }

    /// What was learned of the kustomization files that were met.
    pub fn parts(&self) -> impl Iterator<Item = (ContentId, Arc<Parts>)> {
        self.nodes.values().filter_map(|node| node.file.clone())
    }

    /// The kustomization in a folder.
    pub fn node(&mut self, tree: &dyn Tree, folder: &str) -> Result<Arc<Node>, TreeError> {
        if let Some(node) = self.nodes.get(folder) {
            return Ok(Arc::clone(node));
        }
        let mut inputs = BTreeMap::new();
        let mut look = |path: &str| {
            let found = tree.find(path)?;
            inputs.insert(path.to_owned(), found.clone());
            Ok(found)
        };
        let file = self.file(tree, folder, &mut look)?;
        let mut folders = Vec::new();
        for path in file.iter().flat_map(|(_, parts)| &parts.paths) {
            let Ok(path) = join(folder, path) else { continue };
            if let Ok((path, Found::Folder { .. })) = follow(&path, &mut look)?
                && path != folder
            {
                folders.push(path);
            }
        }
        let inputs = inputs.into_iter().collect();
        let node = Arc::new(Node { file, folders, inputs });
        self.nodes.insert(folder.to_owned(), Arc::clone(&node));
        Ok(node)
    }

    fn file(
        &mut self,
        tree: &dyn Tree,
        folder: &str,
        look: &mut dyn FnMut(&str) -> Result<Found, TreeError>,
    ) -> Result<Option<(ContentId, Arc<Parts>)>, TreeError> {
        for name in FILE_NAMES {
            let Ok((path, Found::File { id, size_bytes })) = follow(&within(folder, name), look)?
            else {
                continue;
            };
            if size_bytes > MANIFEST_LIMIT_BYTES {
                return Ok(None);
            }
            let parts = match self.known.get(&id) {
                Some(parts) => Arc::clone(parts),
                None => Arc::new(read(&tree.read(&path, id)?)),
            };
            self.known.insert(id, Arc::clone(&parts));
            return Ok(Some((id, parts)));
        }
        Ok(None)
    }

    /// Goes through everything that a kustomization refers to, and what that refers to. `visit` says
    /// whether to go on.
    pub fn follow_parts(
        &mut self,
        tree: &dyn Tree,
        folder: &str,
        reached: &mut BTreeSet<String>,
        visit: &mut dyn FnMut(&Arc<Node>) -> bool,
    ) -> Result<(), TreeError> {
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            if !reached.insert(folder.clone()) {
                continue;
            }
            let node = self.node(tree, &folder)?;
            if !visit(&node) {
                return Ok(());
            }
            open.extend(node.folders.iter().cloned());
        }
        Ok(())
    }
}

/// The kustomizations among `folders` that are rendered by themselves. One that another refers to is
/// not, and neither is a component.
pub(super) fn units(
    tree: &dyn Tree,
    folders: &[String],
    search: &mut Search,
    problems: &mut Vec<Problem>,
) -> Result<Vec<String>, TreeError> {
    if let [only] = folders {
        return Ok(vec![only.clone()]);
    }
    let mut referred = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for folder in folders {
        search.follow_parts(tree, folder, &mut reached, &mut |node| {
            referred.extend(node.folders.iter().cloned());
            true
        })?;
    }
    let mut units = Vec::new();
    reached.clear();
    let (referred, alone): (Vec<&String>, Vec<&String>) =
        folders.iter().partition(|folder| referred.contains(*folder));
    for folder in alone {
        search.follow_parts(tree, folder, &mut reached, &mut |_| true)?;
        if search.node(tree, folder)?.is_component() {
            let hint = "name it under components of a kustomization";
            let message =
                "is not read: it is a component, and no kustomization of the source uses it";
            problems.push(file_problem(folder, Severity::Notice, message, hint));
        } else {
            units.push(folder.clone());
        }
    }
    // Kustomizations that refer to each other in a circle are told when one of them is rendered.
    for folder in referred {
        if !reached.contains(folder) {
            search.follow_parts(tree, folder, &mut reached, &mut |_| true)?;
            units.push(folder.clone());
        }
    }
    units.sort();
    Ok(units)
}

/// What can be told of a kustomization file; its mistakes are told when it is rendered.
fn read(bytes: &[u8]) -> Parts {
    let mut problems = Problems::default();
    let document = text_of(bytes).ok().and_then(|text| Documents::of(text).next(&mut problems));
    match document {
        Some(Document::Tree(root)) => {
            let (paths, is_component) = parts_of(&root);
            Parts { paths, is_component }
        }
        _ => Parts::default(),
    }
}
