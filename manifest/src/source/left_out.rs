//! Manifests that are not read, told to whoever asks for all there is to say of a folder: hidden ones, and those
//! beside a kustomization that no kustomization names.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{Problem, Severity};
use ignore::gitignore::Gitignore;

use super::walk::{IGNORE_FILE, IGNORE_LIMIT_BYTES, Listed};
use super::{Rendered, file_problem};
use crate::kustomize::FILE_NAMES;
use crate::layout::has_manifest_ending;
use crate::tree::{ContentId, Found, Tree, TreeError, parent, within};

/// How many files and folders are looked at.
const ENTRY_LIMIT: usize = 10_000;
/// How many bytes of a file are looked at; larger ones are taken for something else.
const FILE_LIMIT_BYTES: u64 = 1 << 20;
/// Folders within a hidden folder.
const DEPTH_LIMIT: usize = 10;
/// The repository's own.
const GIT_FOLDER: &str = ".git";

/// What is left out of the folders that were walked, and of those of kustomizations. What is read `plain` is not.
pub(super) fn left_out(
    tree: &dyn Tree,
    folders: &[(String, Listed)],
    renderings: &[(String, Arc<Rendered>)],
    plain: &[&str],
) -> Result<Vec<Problem>, TreeError> {
    let mut search = LeftOut { tree, entries: 0, ignores: HashMap::new(), problems: Vec::new() };
    for (folder, listed) in folders {
        search.hidden(folder, &listed.entries)?;
    }
    search.unnamed(renderings, plain)?;
    Ok(search.problems)
}

struct LeftOut<'t> {
    tree: &'t dyn Tree,
    entries: usize,
    /// By their folder; nothing where there is none.
    ignores: HashMap<String, Option<Gitignore>>,
    problems: Vec<Problem>,
}

impl LeftOut<'_> {
    /// Tells each hidden file or folder with manifests once.
    fn hidden(&mut self, folder: &str, entries: &[(String, Found)]) -> Result<(), TreeError> {
        for (name, found) in entries {
            if !name.starts_with('.') || name == GIT_FOLDER {
                continue;
            }
            let path = within(folder, name);
            let is_folder = matches!(found, Found::Folder { .. });
            if self.is_ignored(&path, is_folder)? {
                continue;
            }
            let Some(first) = self.first_manifest(&path, name, found, 0)? else { continue };
            let message = match is_folder {
                true => format!(
                    "is not read: its name begins with a dot, and there are manifests in it, as {}",
                    self.tree.shown(&first)
                ),
                false => "is not read: its name begins with a dot, and it is a manifest".to_owned(),
            };
            let hint = "rename it, or name it in .dugoutignore";
            self.problems.push(file_problem(&path, Severity::Notice, message, hint));
        }
        Ok(())
    }

    fn first_manifest(
        &mut self,
        path: &str,
        name: &str,
        found: &Found,
        depth: usize,
    ) -> Result<Option<String>, TreeError> {
        self.entries += 1;
        if self.entries > ENTRY_LIMIT || depth > DEPTH_LIMIT {
            return Ok(None);
        }
        match found {
            Found::File { id, size_bytes } => {
                let is_one = self.is_manifest(path, name, *id, *size_bytes)?;
                Ok(is_one.then(|| path.to_owned()))
            }
            Found::Folder { .. } => {
                for (name, found) in self.tree.list(path)? {
                    let inside = within(path, &name);
                    if let Some(first) = self.first_manifest(&inside, &name, &found, depth + 1)? {
                        return Ok(Some(first));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Whether a file looks like Kubernetes objects; it is not parsed for that.
    fn is_manifest(
        &self,
        path: &str,
        name: &str,
        id: ContentId,
        size_bytes: u64,
    ) -> Result<bool, TreeError> {
        if !has_manifest_ending(name) || size_bytes > FILE_LIMIT_BYTES {
            return Ok(false);
        }
        let bytes = self.tree.read(path, id)?;
        let text = String::from_utf8_lossy(&bytes);
        let has = |key: &str| {
            text.lines().any(|line| {
                let line = line.trim_start_matches([' ', '{', '-', ',', '\u{feff}']);
                let rest = line.strip_prefix('"').unwrap_or(line).strip_prefix(key);
                rest.is_some_and(|rest| rest.trim_start_matches('"').starts_with(':'))
            })
        };
        Ok(has("apiVersion") && has("kind"))
    }

    /// Tells manifests in folders of kustomizations that none of these has read. Where one has an error, it may
    /// not have come to what it names.
    fn unnamed(
        &mut self,
        renderings: &[(String, Arc<Rendered>)],
        plain: &[&str],
    ) -> Result<(), TreeError> {
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        let mut problems = renderings.iter().flat_map(|(_, one)| &one.content.problems);
        if problems.any(is_error) {
            return Ok(());
        }
        let read: BTreeSet<&str> =
            renderings.iter().flat_map(|(_, one)| one.inputs.files()).collect();
        let name_of = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let folders: BTreeSet<&str> = read
            .iter()
            .filter(|path| FILE_NAMES.contains(&name_of(path).as_str()))
            .map(|path| parent(path))
            .collect();
        for folder in folders {
            let entries = self.tree.list(folder)?;
            self.hidden(folder, &entries)?;
            for (name, found) in entries {
                let path = within(folder, &name);
                let Found::File { id, size_bytes } = found else { continue };
                self.entries += 1;
                if name.starts_with('.')
                    || read.contains(path.as_str())
                    || plain.contains(&path.as_str())
                    || self.entries > ENTRY_LIMIT
                    || !self.is_manifest(&path, &name, id, size_bytes)?
                    || self.is_ignored(&path, false)?
                {
                    continue;
                }
                let message = "is not read: no kustomization names it";
                let hint = "name it under resources, or in .dugoutignore";
                self.problems.push(file_problem(&path, Severity::Notice, message, hint));
            }
        }
        Ok(())
    }

    /// Whether an ignore file on the way names a path.
    fn is_ignored(&mut self, path: &str, is_folder: bool) -> Result<bool, TreeError> {
        let mut folder = parent(path);
        loop {
            let inside = path.get(folder.len()..).unwrap_or_default().trim_start_matches('/');
            if let Some(ignore) = self.ignore_of(folder)? {
                let matched = ignore.matched_path_or_any_parents(inside, is_folder);
                if !matched.is_none() {
                    return Ok(matched.is_ignore());
                }
            }
            if folder.is_empty() {
                return Ok(false);
            }
            folder = parent(folder);
        }
    }

    fn ignore_of(&mut self, folder: &str) -> Result<Option<&Gitignore>, TreeError> {
        if !self.ignores.contains_key(folder) {
            let path = within(folder, IGNORE_FILE);
            let ignore = match self.tree.find(&path)? {
                Found::File { id, size_bytes } if size_bytes <= IGNORE_LIMIT_BYTES => {
                    let bytes = self.tree.read(&path, id)?;
                    super::walk::patterns(&bytes, &mut |_, _| {})
                }
                _ => None,
            };
            self.ignores.insert(folder.to_owned(), ignore);
        }
        Ok(self.ignores.get(folder).and_then(Option::as_ref))
    }
}
