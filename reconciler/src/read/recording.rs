//! A commit's files that remembers which of them were used.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use dugout_manifest::{ContentId, Found, Tree, TreeError};

/// What was asked of a tree. Content that stands at several paths is read once; then all of them are used.
pub(super) struct Recording<'t> {
    tree: &'t dyn Tree,
    seen: RefCell<BTreeMap<String, Found>>,
    read: RefCell<BTreeSet<ContentId>>,
}

impl<'t> Recording<'t> {
    pub fn new(tree: &'t dyn Tree) -> Self {
        Self { tree, seen: RefCell::default(), read: RefCell::default() }
    }

    /// The files whose content was read, and the links on the way.
    pub fn into_used(self) -> BTreeSet<String> {
        let read = self.read.into_inner();
        let is_used = |found: &Found| match found {
            Found::File { id, .. } => read.contains(id),
            Found::Link { .. } => true,
            Found::Nothing
            | Found::Folder { .. }
            | Found::Foreign
            | Found::Special
            | Found::NoText => false,
        };
        let seen = self.seen.into_inner().into_iter();
        seen.filter(|(_, found)| is_used(found)).map(|(path, _)| path).collect()
    }
}

impl Tree for Recording<'_> {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        let found = self.tree.find(path)?;
        self.seen.borrow_mut().insert(path.to_owned(), found.clone());
        Ok(found)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        let listed = self.tree.list(folder)?;
        let mut seen = self.seen.borrow_mut();
        for (name, found) in &listed {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            seen.insert(path, found.clone());
        }
        Ok(listed)
    }

    fn read(&self, path: &str, id: ContentId) -> Result<Vec<u8>, TreeError> {
        self.read.borrow_mut().insert(id);
        self.tree.read(path, id)
    }

    fn shown(&self, path: &str) -> String {
        self.tree.shown(path)
    }
}
