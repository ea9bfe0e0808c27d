//! Which files and kustomizations of a source are not as they were: folders that are the same are not
//! looked into.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Followed, Settled, Stop};
use crate::layout::is_manifest_path;
use crate::source::walk::{DEPTH_LIMIT, FILE_LIMIT, Listed, has_kustomization, is_plain};
use crate::tree::{ContentId, Found, Tree, within};

/// What differs from the last reading.
#[derive(Default)]
pub(super) struct Differences {
    /// The manifests outside kustomizations that came, went or changed.
    pub files: BTreeSet<String>,
    /// The folders outside kustomizations, with what they hold now; nothing of those that are none now.
    pub folders: Vec<(String, Option<Listed>)>,
    /// The folders that have no kustomization any more.
    pub gone: Vec<String>,
    /// The folders of kustomizations that are new, or that are not as they were.
    pub differing: Vec<String>,
    pub came: Amount,
    pub went: Amount,
}

/// How much of manifests.
#[derive(Default)]
pub(super) struct Amount {
    pub manifests: usize,
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, size_bytes: u64) {
        self.manifests += 1;
        self.bytes = self.bytes.saturating_add(size_bytes);
    }
}

impl Settled {
    /// Finds what differs, if all of that can be followed.
    pub(super) fn compare(&self, tree: &dyn Tree) -> Followed<Differences> {
        let mut differences = Differences::default();
        match tree.find(&self.path)? {
            Found::Folder { id } => self.compare_folder(tree, &self.path, id, &mut differences)?,
            _ => return Err(Stop::ReadWhole),
        }
        Ok(differences)
    }

    fn compare_folder(
        &self,
        tree: &dyn Tree,
        path: &str,
        id: ContentId,
        differences: &mut Differences,
    ) -> Followed<()> {
        let old = self.folders.get(path);
        if old.is_some_and(|old| old.id == id) {
            return Ok(());
        }
        let entries = tree.list(path)?;
        if has_kustomization(&entries) {
            return self.compare_kustomization(path, differences);
        }
        let is_deep = path.split('/').count() > DEPTH_LIMIT;
        let is_wide = self.folders.len() + differences.folders.len() > FILE_LIMIT;
        if !is_plain(&entries) || is_deep || is_wide {
            return Err(Stop::ReadWhole);
        }
        if self.kustomizations.contains(path) {
            differences.gone.push(path.to_owned());
        }
        let before: &[(String, Found)] = old.map(|old| &*old.entries).unwrap_or_default();
        // Both are in the order of their names.
        let mut before = before.iter().peekable();
        for (name, found) in &entries {
            while let Some((gone, was)) = before.next_if(|(other, _)| other < name) {
                self.leaves(path, gone, was, differences);
            }
            let was = before.next_if(|(other, _)| other == name).map(|(_, was)| was);
            if was == Some(found) {
                continue;
            }
            match (was, found) {
                // It is compared below.
                (None, _) | (Some(Found::Folder { .. }), Found::Folder { .. }) => {}
                (Some(was), _) => self.leaves(path, name, was, differences),
            }
            if !name.starts_with('.') {
                self.comes(tree, path, name, found, differences)?;
            }
        }
        for (gone, was) in before {
            self.leaves(path, gone, was, differences);
        }
        let listed = Listed { id, entries: entries.into() };
        differences.folders.push((path.to_owned(), Some(listed)));
        Ok(())
    }

    /// A folder in which there is a kustomization now.
    fn compare_kustomization(&self, path: &str, differences: &mut Differences) -> Followed<()> {
        let count = self.kustomizations.len() + differences.differing.len();
        if path == self.path || count > FILE_LIMIT {
            return Err(Stop::ReadWhole);
        }
        // Before, its files may have been manifests by themselves.
        self.leaves_folder(path, differences);
        differences.differing.push(path.to_owned());
        Ok(())
    }

    /// An entry that was not there before as it is.
    fn comes(
        &self,
        tree: &dyn Tree,
        folder: &str,
        name: &str,
        found: &Found,
        differences: &mut Differences,
    ) -> Followed<()> {
        let path = within(folder, name);
        if let Found::Folder { id } = found {
            return self.compare_folder(tree, &path, *id, differences);
        }
        if let Some((_, size_bytes)) = manifest(name, found) {
            differences.came.add(size_bytes);
            differences.files.insert(path);
        }
        Ok(())
    }

    /// An entry that is not there any more as it was.
    fn leaves(&self, folder: &str, name: &str, found: &Found, differences: &mut Differences) {
        let path = within(folder, name);
        if let Some((_, size_bytes)) = manifest(name, found) {
            differences.went.add(size_bytes);
            differences.files.insert(path);
        } else if let Found::Folder { .. } = found {
            if self.kustomizations.contains(&path) {
                differences.gone.push(path);
            } else {
                self.leaves_folder(&path, differences);
            }
        }
    }

    /// Everything in a folder that was one outside kustomizations.
    fn leaves_folder(&self, path: &str, differences: &mut Differences) {
        let Some(listed) = self.folders.get(path) else { return };
        let entries = Arc::clone(&listed.entries);
        for (name, found) in entries.iter() {
            self.leaves(path, name, found, differences);
        }
        differences.folders.push((path.to_owned(), None));
    }
}

/// The content and the size in bytes of an entry of a folder that is a manifest.
pub(super) fn manifest(name: &str, found: &Found) -> Option<(ContentId, u64)> {
    match found {
        Found::File { id, size_bytes } if !name.starts_with('.') && is_manifest_path(name) => {
            Some((*id, *size_bytes))
        }
        _ => None,
    }
}
