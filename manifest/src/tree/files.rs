//! A tree that is held in memory.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{ContentId, Found, Tree, TreeError, is_below};

/// Files by their paths, links among them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    by_path: BTreeMap<String, Content>,
}

#[derive(Clone, Debug)]
enum Content {
    File(Vec<u8>),
    Link(String),
}

impl Files {
    /// Adds a file, or takes the place of what was there.
    pub fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.by_path.insert(path.into(), Content::File(bytes.into()));
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.by_path.insert(path.into(), Content::Link(target.into()));
    }

    /// Removes a file or a link, if it is there.
    pub fn remove(&mut self, path: &str) {
        self.by_path.remove(path);
    }

    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// What is below a folder, with paths.
    fn below<'f>(&'f self, folder: &'f str) -> impl Iterator<Item = (&'f String, &'f Content)> {
        self.by_path.iter().filter(move |(path, _)| is_below(path, folder) && *path != folder)
    }

    fn id_of_folder(&self, folder: &str) -> ContentId {
        let mut hash = Sha256::new();
        for (path, content) in self.below(folder) {
            // No path holds a zero byte.
            hash.update(&path.as_bytes()[folder.len()..]);
            hash.update([0]);
            hash.update(content.id().0);
        }
        ContentId(hash.finalize().into())
    }
}

impl Content {
    fn id(&self) -> ContentId {
        let (mark, bytes) = match self {
            Content::File(bytes) => (0, bytes.as_slice()),
            Content::Link(target) => (1, target.as_bytes()),
        };
        ContentId(Sha256::new().chain_update([mark]).chain_update(bytes).finalize().into())
    }

    fn found(&self) -> Found {
        match self {
            Content::File(bytes) => Found::File { id: self.id(), size_bytes: bytes.len() as u64 },
            Content::Link(target) => Found::Link { target: target.clone() },
        }
    }
}

impl Tree for Files {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        if let Some(content) = self.by_path.get(path) {
            return Ok(content.found());
        }
        if path.is_empty() || self.below(path).next().is_some() {
            return Ok(Found::Folder { id: self.id_of_folder(path) });
        }
        Ok(Found::Nothing)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        let mut names: BTreeMap<String, Found> = BTreeMap::new();
        for (path, content) in self.below(folder) {
            let rest = path[folder.len()..].trim_start_matches('/');
            match rest.split_once('/') {
                None => drop(names.insert(rest.to_owned(), content.found())),
                Some((name, _)) if !names.contains_key(name) => {
                    let id = self.id_of_folder(&super::within(folder, name));
                    names.insert(name.to_owned(), Found::Folder { id });
                }
                Some(_) => {}
            }
        }
        Ok(names.into_iter().collect())
    }

    fn read(&self, path: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        match self.by_path.get(path) {
            Some(Content::File(bytes)) => Ok(bytes.clone()),
            _ => Err(format!("there is no file {path}").into()),
        }
    }
}
