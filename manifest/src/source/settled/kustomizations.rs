//! The kustomizations of a source from commit to commit: which of them stand by themselves, what those
//! make, and what all of that depends on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::shared::SharedNodes;
use super::watched::Watched;
use super::{Followed, Stop};
use crate::kustomize::ParsedTrees;
use crate::source::budget::Budget;
use crate::source::parts::{Node, Parts, Search};
use crate::source::{Rendered, SourceCache};
use crate::tree::{ContentId, Found, Tree, is_below};

/// How many kustomizations one may reach; a rendering goes through no more.
const REACH_LIMIT: usize = 1_000;

/// The topmost kustomizations of a source without an error.
pub(super) struct Kustomizations {
    by_folder: HashMap<Arc<str>, Kustomization>,
    /// How many of them reach a folder by what they and others refer to.
    referred: HashMap<String, usize>,
    /// How many renderings have read a file outside their folder.
    taken: HashMap<String, usize>,
    watched: Watched,
    shared: SharedNodes,
    budget: Budget,
}

struct Kustomization {
    /// Itself and every kustomization that it is made from, by whatever detour.
    reach: Vec<Arc<Node>>,
    /// What it makes, when no other refers to it.
    rendered: Option<Arc<Rendered>>,
}

/// What is not as it was in the commit before.
#[derive(Default)]
pub(super) struct Turn {
    /// The folders of renderings that go, and of those that come. A changed one does both.
    pub leaving: Vec<Arc<str>>,
    pub entering: Vec<(Arc<str>, Arc<Rendered>)>,
    /// The files of which a rendering has begun or ceased to be a reader.
    pub files: BTreeSet<String>,
}

impl Kustomization {
    /// The folders that it and others on the way refer to.
    fn referred(&self) -> BTreeSet<&String> {
        self.reach.iter().flat_map(|node| &node.folders).collect()
    }

    /// What it depends on outside its folder, which is as it was recorded.
    fn outside(&self, folder: &str) -> BTreeMap<&str, &Found> {
        let rendered = self.rendered.iter().flat_map(|rendered| &rendered.inputs.outside);
        self.reach
            .iter()
            .flat_map(|node| &node.inputs)
            .filter(|(path, _)| !is_below(path, folder))
            .chain(rendered)
            .map(|(path, found)| (path.as_str(), found))
            .collect()
    }
}

impl Kustomizations {
    /// Remembers what was read without an error.
    pub fn of(
        tree: &dyn Tree,
        folders: Vec<String>,
        mut search: Search,
        renderings: &[(String, Arc<Rendered>)],
    ) -> Result<Self, Stop> {
        let mut kustomizations = Self {
            by_folder: HashMap::with_capacity(folders.len()),
            referred: HashMap::new(),
            taken: HashMap::new(),
            watched: Watched::new(tree)?,
            shared: SharedNodes::default(),
            budget: Budget::default(),
        };
        let mut rendered: HashMap<&str, &Arc<Rendered>> =
            renderings.iter().map(|(folder, rendered)| (folder.as_str(), rendered)).collect();
        for folder in folders {
            let reach = kustomizations.reach(tree, &folder, &mut search)?;
            let rendered = rendered.remove(folder.as_str()).cloned();
            let kustomization = Kustomization { reach, rendered };
            kustomizations.count_references(&kustomization);
            if let Some(rendered) = &kustomization.rendered {
                kustomizations.count(rendered);
            }
            let folder: Arc<str> = folder.into();
            kustomizations.watch(tree, &folder, &kustomization)?;
            kustomizations.by_folder.insert(folder, kustomization);
        }
        for (folder, kustomization) in &kustomizations.by_folder {
            let is_unit = kustomizations.is_unit(folder, kustomization)?;
            if is_unit != kustomization.rendered.is_some() {
                return Err(Stop::ReadWhole);
            }
        }
        Ok(kustomizations)
    }

    /// Whether there is one at the top of the others in a folder.
    pub fn contains(&self, folder: &str) -> bool {
        self.by_folder.contains_key(folder)
    }

    pub fn len(&self) -> usize {
        self.by_folder.len()
    }

    /// Whether a rendering has read a file, which then is no manifest by itself.
    pub fn has_taken(&self, path: &str) -> bool {
        self.taken.contains_key(path)
    }

    /// What was rendered, by the folders of the kustomizations.
    pub fn renderings(&self) -> impl Iterator<Item = (String, Arc<Rendered>)> {
        self.by_folder.iter().filter_map(|(folder, kustomization)| {
            Some((folder.to_string(), Arc::clone(kustomization.rendered.as_ref()?)))
        })
    }

    /// What is known of the kustomization files.
    pub fn parts(&self) -> impl Iterator<Item = (ContentId, Arc<Parts>)> {
        let nodes = self.by_folder.values().flat_map(|kustomization| &kustomization.reach);
        nodes.filter_map(|node| node.file.clone())
    }

    /// Goes on to the next commit, in which the kustomizations of some folders are gone, and others are
    /// new or not as they were. What is made on the way is kept in `fresh`.
    pub fn follow(
        &mut self,
        tree: &dyn Tree,
        gone: &[String],
        differing: Vec<String>,
        fresh: &mut SourceCache,
    ) -> Result<Turn, Stop> {
        let mut dirty = self.watched.look(tree)?;
        dirty.extend(differing.into_iter().map(Arc::from));
        let mut turn = Turn::default();
        // The folders to which one more or one less refers than before.
        let mut touched = BTreeSet::new();
        for folder in gone {
            dirty.remove(folder.as_str());
            let Some((folder, old)) = self.by_folder.remove_entry(folder.as_str()) else {
                continue;
            };
            self.forget(&folder, &old, &mut touched);
            self.leave(&folder, old.rendered.as_ref(), &mut turn);
        }
        let before = self.search_again(tree, &dirty, &mut touched, fresh)?;
        let touched = touched.iter().filter_map(|folder| self.by_folder.get_key_value(&**folder));
        let concerned: BTreeSet<Arc<str>> =
            touched.map(|(folder, _)| Arc::clone(folder)).chain(dirty.iter().cloned()).collect();
        let mut parsed_trees = ParsedTrees::default();
        for folder in concerned {
            let Some(mut kustomization) = self.by_folder.remove(&folder) else { continue };
            self.unwatch(&folder, &kustomization);
            let is_unit = self.is_unit(&folder, &kustomization)?;
            let old = before.get(&folder).or(kustomization.rendered.as_ref()).cloned();
            let new = match &old {
                _ if !is_unit => None,
                Some(old) if !dirty.contains(&folder) || old.inputs.are_same(tree, &folder)? => {
                    Some(Arc::clone(old))
                }
                _ => Some(Arc::new(Rendered::make(tree, &folder, &mut parsed_trees)?)),
            };
            let is_kept = matches!((&old, &new), (Some(old), Some(new)) if Arc::ptr_eq(old, new));
            if !is_kept {
                self.leave(&folder, old.as_ref(), &mut turn);
                self.enter(&folder, new.as_ref(), &mut turn, fresh);
            }
            if self.budget.is_passed() {
                return Err(Stop::ReadWhole);
            }
            kustomization.rendered = new;
            self.watch(tree, &folder, &kustomization)?;
            self.by_folder.insert(folder, kustomization);
        }
        Ok(turn)
    }

    /// Finds anew what kustomizations refer to. Gives what they made before.
    fn search_again(
        &mut self,
        tree: &dyn Tree,
        folders: &BTreeSet<Arc<str>>,
        touched: &mut BTreeSet<String>,
        fresh: &mut SourceCache,
    ) -> Result<BTreeMap<Arc<str>, Arc<Rendered>>, Stop> {
        let mut known = HashMap::new();
        let mut before = BTreeMap::new();
        for folder in folders {
            let Some(old) = self.by_folder.remove(folder) else { continue };
            known.extend(old.reach.iter().filter_map(|node| node.file.clone()));
            self.forget(folder, &old, touched);
            before.extend(old.rendered.map(|rendered| (Arc::clone(folder), rendered)));
        }
        let mut search = Search::new(known);
        let searched = self.search(tree, folders, &mut search, touched);
        fresh.parts.extend(search.parts());
        searched.map(|()| before)
    }

    fn search(
        &mut self,
        tree: &dyn Tree,
        folders: &BTreeSet<Arc<str>>,
        search: &mut Search,
        touched: &mut BTreeSet<String>,
    ) -> Result<(), Stop> {
        for folder in folders {
            let new = Kustomization { reach: self.reach(tree, folder, search)?, rendered: None };
            touched.extend(new.referred().into_iter().cloned());
            self.count_references(&new);
            self.by_folder.insert(Arc::clone(folder), new);
        }
        Ok(())
    }

    /// Whether a kustomization is rendered by itself.
    fn is_unit(&self, folder: &str, kustomization: &Kustomization) -> Followed<bool> {
        let is_referred = self.referred.contains_key(folder);
        let is_component = kustomization.reach.first().is_some_and(|node| node.is_component());
        match is_component && !is_referred {
            // That nobody uses it is to be told.
            true => Err(Stop::ReadWhole),
            false => Ok(!is_referred),
        }
    }

    fn count_references(&mut self, kustomization: &Kustomization) {
        for folder in kustomization.referred() {
            *self.referred.entry(folder.clone()).or_default() += 1;
        }
    }

    fn count(&mut self, rendered: &Rendered) {
        for path in rendered.inputs.files_outside() {
            *self.taken.entry(path.to_owned()).or_default() += 1;
        }
        self.budget.put(rendered);
    }

    /// Takes back all that a kustomization counts for.
    fn forget(&mut self, folder: &str, old: &Kustomization, touched: &mut BTreeSet<String>) {
        for other in old.referred() {
            count_off(&mut self.referred, other);
            touched.insert(other.clone());
        }
        self.unwatch(folder, old);
    }

    fn watch(
        &mut self,
        tree: &dyn Tree,
        folder: &Arc<str>,
        kustomization: &Kustomization,
    ) -> Result<(), Stop> {
        for (path, found) in kustomization.outside(folder) {
            if !self.watched.watch(tree, path, found, folder)? {
                return Err(Stop::ReadWhole);
            }
        }
        Ok(())
    }

    fn unwatch(&mut self, folder: &str, kustomization: &Kustomization) {
        for path in kustomization.outside(folder).into_keys() {
            self.watched.leave(path, folder);
        }
    }

    fn leave(&mut self, folder: &Arc<str>, old: Option<&Arc<Rendered>>, turn: &mut Turn) {
        let Some(old) = old else { return };
        for path in old.inputs.files_outside() {
            count_off(&mut self.taken, path);
            turn.files.insert(path.to_owned());
        }
        self.budget.take(old);
        turn.leaving.push(Arc::clone(folder));
    }

    /// A kustomization with everything that it is made from, itself first.
    fn reach(
        &mut self,
        tree: &dyn Tree,
        folder: &str,
        search: &mut Search,
    ) -> Result<Vec<Arc<Node>>, Stop> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        search.follow_parts(tree, folder, &mut BTreeSet::new(), &mut |node| {
            nodes.push(self.shared.share(Arc::clone(node)));
            nodes.len() <= REACH_LIMIT
        })?;
        let is_circle = nodes.iter().any(|node| node.folders.iter().any(|other| other == folder));
        if is_circle || nodes.len() > REACH_LIMIT {
            return Err(Stop::ReadWhole);
        }
        nodes.shrink_to_fit();
        Ok(nodes)
    }

    fn enter(
        &mut self,
        folder: &Arc<str>,
        new: Option<&Arc<Rendered>>,
        turn: &mut Turn,
        fresh: &mut SourceCache,
    ) {
        let Some(new) = new else { return };
        self.count(new);
        turn.files.extend(new.inputs.files_outside().map(str::to_owned));
        fresh.renderings.insert(folder.to_string(), Arc::clone(new));
        turn.entering.push((Arc::clone(folder), Arc::clone(new)));
    }
}

fn count_off(counts: &mut HashMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::assemble::Policy;
    use crate::source::read_revision;
    use crate::tree::Files;

    /// How many nodes a followed source holds.
    fn held(cache: &SourceCache) -> usize {
        let kustomizations = &cache.settled.as_ref().unwrap().kustomizations;
        let nodes = kustomizations.by_folder.values().flat_map(|one| &one.reach);
        nodes.map(Arc::as_ptr).collect::<BTreeSet<_>>().len()
    }

    /// However often kustomizations and their base change one after the other, the base is held once.
    #[test]
    fn what_kustomizations_are_made_from_is_held_once() {
        let mut files = Files::default();
        let map = |value: usize| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{a: 'v{value}'}}\n"
            )
        };
        let overlay = |number: usize, edition: usize| {
            let text = format!("resources: [../../base]\nnamePrefix: o{number}-\n#{edition}\n");
            (format!("apps/o{number}/kustomization.yaml"), text)
        };
        files.add("base/kustomization.yaml", "resources: [map.yaml]\n");
        files.add("base/map.yaml", map(0));
        for number in 0..8 {
            let (path, text) = overlay(number, 0);
            files.add(path, text);
        }
        let mut cache = SourceCache::default();
        let policy = Policy::default();
        read_revision(&files, "apps", &policy, &mut cache).unwrap();
        assert_eq!(held(&cache), 9);
        for edition in 1..200 {
            let (path, text) = overlay(edition % 8, edition);
            files.add(path, text);
            if edition % 3 == 0 {
                files.add("base/map.yaml", map(edition));
            }
            let reading = read_revision(&files, "apps", &policy, &mut cache).unwrap();
            assert!(reading.was_followed);
            assert_eq!(held(&cache), 9, "after {edition} changes");
        }
    }
}
