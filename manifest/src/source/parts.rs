//! Which kustomizations of a source stand by themselves, and which are parts of others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{Problem, Severity};

use super::{MANIFEST_LIMIT_BYTES, SourceCache, file_problem};
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

/// The kustomizations among `folders` that are rendered by themselves. One that another refers to is
/// not, and neither is a component.
pub(super) fn units(
    tree: &dyn Tree,
    folders: &[String],
    known: &HashMap<ContentId, Arc<Parts>>,
    cache: &mut SourceCache,
    problems: &mut Vec<Problem>,
) -> Result<Vec<String>, TreeError> {
    if let [only] = folders {
        return Ok(vec![only.clone()]);
    }
    let mut search = Search { tree, known, cache, referred: BTreeSet::new() };
    let mut reached = BTreeSet::new();
    for folder in folders {
        search.follow_parts(folder, &mut reached)?;
    }
    let mut units = Vec::new();
    reached.clear();
    let (referred, alone): (Vec<&String>, Vec<&String>) =
        folders.iter().partition(|folder| search.referred.contains(*folder));
    for folder in alone {
        search.follow_parts(folder, &mut reached)?;
        if search.parts(folder)?.is_some_and(|parts| parts.is_component) {
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
            search.follow_parts(folder, &mut reached)?;
            units.push(folder.clone());
        }
    }
    units.sort();
    Ok(units)
}

struct Search<'a> {
    tree: &'a dyn Tree,
    known: &'a HashMap<ContentId, Arc<Parts>>,
    cache: &'a mut SourceCache,
    /// Folders that some kustomization refers to.
    referred: BTreeSet<String>,
}

impl Search<'_> {
    /// Goes through everything that a kustomization refers to, and what that refers to.
    fn follow_parts(
        &mut self,
        folder: &str,
        reached: &mut BTreeSet<String>,
    ) -> Result<(), TreeError> {
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            if !reached.insert(folder.clone()) {
                continue;
            }
            let Some(parts) = self.parts(&folder)? else { continue };
            for path in &parts.paths {
                let Ok(path) = join(&folder, path) else { continue };
                let tree = self.tree;
                if let Ok((path, Found::Folder { .. })) =
                    follow(&path, &mut |path| tree.find(path))?
                    && path != folder
                {
                    self.referred.insert(path.clone());
                    open.push(path);
                }
            }
        }
        Ok(())
    }

    /// What the kustomization in a folder refers to; nothing when there is none.
    fn parts(&mut self, folder: &str) -> Result<Option<Arc<Parts>>, TreeError> {
        for name in FILE_NAMES {
            let path = within(folder, name);
            let tree = self.tree;
            let Ok((path, Found::File { id, size_bytes })) =
                follow(&path, &mut |path| tree.find(path))?
            else {
                continue;
            };
            if size_bytes > MANIFEST_LIMIT_BYTES {
                return Ok(None);
            }
            let parts = match self.cache.parts.get(&id).or_else(|| self.known.get(&id)) {
                Some(parts) => Arc::clone(parts),
                None => Arc::new(read(&self.tree.read(&path, id)?)),
            };
            self.cache.parts.insert(id, Arc::clone(&parts));
            return Ok(Some(parts));
        }
        Ok(None)
    }
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
