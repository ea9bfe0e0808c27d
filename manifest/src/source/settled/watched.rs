//! The paths outside their folders that kustomizations depend on, as one tree of names, so that a look
//! for differences goes only into folders that are not the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entry;
use crate::source::is_same;
use crate::tree::{Found, Tree, TreeError, within};

/// How deep a watched path may lie, because the tree is gone through by recursion.
pub(super) const DEPTH_LIMIT: usize = 100;

/// Every watched path with what was there in the last commit.
pub(super) struct Watched {
    top: Spot,
}

/// One path on the way to watched ones, or a watched one itself. Each kustomization has a few, most of
/// them with one watcher and nothing below.
struct Spot {
    seen: Found,
    /// The folders of the kustomizations that asked for just this path, in order.
    watchers: Vec<Arc<str>>,
    below: BTreeMap<Box<str>, Box<Spot>>,
}

impl Spot {
    fn new(seen: Found) -> Self {
        Self { seen, watchers: Vec::new(), below: BTreeMap::new() }
    }
}

impl Watched {
    /// Nothing is watched yet in a commit.
    pub fn new(tree: &dyn Tree) -> Result<Self, TreeError> {
        Ok(Self { top: Spot::new(tree.find("")?) })
    }

    /// Watches a path of the commit that was looked at last, where `found` is. Whether that is possible.
    pub fn watch(
        &mut self,
        tree: &dyn Tree,
        path: &str,
        found: &Found,
        watcher: &Arc<str>,
    ) -> Result<bool, TreeError> {
        if names(path).count() > DEPTH_LIMIT {
            return Ok(false);
        }
        let mut spot = &mut self.top;
        let mut way = String::new();
        for name in names(path) {
            way = within(&way, name);
            if !spot.below.contains_key(name) {
                // Who asks only whether there is a folder may have seen one of an earlier commit.
                let is_as_found = way == path && !matches!(found, Found::Folder { .. });
                let seen = if is_as_found { found.clone() } else { tree.find(&way)? };
                spot.below.insert(name.into(), Box::new(Spot::new(seen)));
            }
            let Some(next) = spot.below.get_mut(name) else { return Ok(false) };
            spot = next;
        }
        if let Err(index) = spot.watchers.binary_search(watcher) {
            if spot.watchers.is_empty() {
                spot.watchers.reserve_exact(1);
            }
            spot.watchers.insert(index, Arc::clone(watcher));
        }
        Ok(true)
    }

    /// Does not watch a path any more for one who did.
    pub fn leave(&mut self, path: &str, watcher: &str) {
        let names: Vec<&str> = names(path).collect();
        leave(&mut self.top, &names, watcher);
    }

    /// Looks at the next commit. Gives everyone who would not find the same again.
    pub fn look(&mut self, tree: &dyn Tree) -> Result<BTreeSet<Arc<str>>, TreeError> {
        let mut concerned = BTreeSet::new();
        look(&mut self.top, tree, "", tree.find("")?, &mut concerned)?;
        Ok(concerned)
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn look(
    spot: &mut Spot,
    tree: &dyn Tree,
    path: &str,
    now: Found,
    concerned: &mut BTreeSet<Arc<str>>,
) -> Result<(), TreeError> {
    if spot.seen == now {
        return Ok(());
    }
    if !is_same(&spot.seen, &now) {
        concerned.extend(spot.watchers.iter().cloned());
    }
    if !spot.below.is_empty() {
        // Nothing is found below what is no folder, a link to one included.
        let entries = match now {
            Found::Folder { .. } => tree.list(path)?,
            _ => Vec::new(),
        };
        for (name, below) in &mut spot.below {
            let now = entry(&entries, name).cloned().unwrap_or(Found::Nothing);
            look(below, tree, &within(path, name), now, concerned)?;
        }
    }
    spot.seen = now;
    Ok(())
}

/// Leaves no spot behind that leads to no watcher.
fn leave(spot: &mut Spot, names: &[&str], watcher: &str) {
    let Some((first, rest)) = names.split_first() else {
        if let Ok(index) = spot.watchers.binary_search_by(|one| (**one).cmp(watcher)) {
            spot.watchers.remove(index);
        }
        return;
    };
    if let Some(next) = spot.below.get_mut(*first) {
        leave(next, rest, watcher);
        if next.watchers.is_empty() && next.below.is_empty() {
            spot.below.remove(*first);
        }
    }
}
