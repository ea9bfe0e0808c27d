//! A source read again: where the last reading found no error, only what changed since is looked at.
//!
//! What is here decides one thing: whether the next reading is without an error, too, and what it
//! declares then. It gives up, and the source is read whole, where that cannot be told from what differs:
//! - something is wrong, or has passed a limit;
//! - outside of kustomizations there is an ignore file, a chart, a link, or what is neither file nor folder;
//! - a kustomization is at the top of the source, is in a circle with others, or is a component that none
//!   uses;
//! - the source has another path or policy than before.
//!
//! So every error is told by the one code that tells errors.
//!
//! `differences` finds the files and the kustomizations that are not as they were; `kustomizations`
//! knows which of those are rendered by themselves, with `watched` for what they read elsewhere and `shared`
//! for what several are made from;
//! `assembled` holds what all of it declares.

mod assembled;
mod differences;
mod kustomizations;
mod shared;
mod watched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{DeclaredObjects, NamespaceName, ObjectId, Problem, RevisionContent};

use self::assembled::{Assembled, Part};
use self::differences::{Differences, manifest};
use self::kustomizations::Kustomizations;
use super::walk::{BYTE_LIMIT, ENTRY_LIMIT, FILE_LIMIT, Listed};
use super::{MANIFEST_LIMIT_BYTES, SourceCache, Whole};
use crate::assemble::Policy;
use crate::blob::parse_blob;
use crate::tree::{ContentId, Found, Tree, TreeError, parent};

/// A source as it was read last.
pub(super) struct Settled {
    path: String,
    /// The folders outside kustomizations.
    folders: HashMap<String, Listed>,
    /// How many files and folders are in them.
    entries: usize,
    /// How many manifests are in them, and how many bytes those have.
    manifests: usize,
    bytes: u64,
    kustomizations: Kustomizations,
    assembled: Assembled,
}

/// Why a source is not followed further.
enum Stop {
    /// It cannot be followed by its differences: it is to be read whole.
    ReadWhole,
    /// The commit cannot be read.
    Broken(TreeError),
}

type Followed<T> = Result<T, Stop>;

impl From<TreeError> for Stop {
    fn from(error: TreeError) -> Self {
        Stop::Broken(error)
    }
}

impl Settled {
    /// Remembers a source that was read whole without an error, if it can be followed from here.
    /// Everything was checked; `linked` holds what objects said about each other then.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn of(
        tree: &dyn Tree,
        path: &str,
        policy: &Policy,
        whole: Whole,
        objects: &DeclaredObjects,
        linked: BTreeMap<NamespaceName, Vec<Problem>>,
    ) -> Result<Option<Self>, TreeError> {
        possible(Self::remember(tree, path, policy, whole, objects, linked))
    }

    fn remember(
        tree: &dyn Tree,
        path: &str,
        policy: &Policy,
        whole: Whole,
        objects: &DeclaredObjects,
        linked: BTreeMap<NamespaceName, Vec<Problem>>,
    ) -> Followed<Self> {
        let Whole { walk, search, plain, renderings, problems } = whole;
        let folders: HashMap<String, Listed> = walk.folders.into_iter().collect();
        if !walk.is_plain || !problems.is_empty() || !folders.contains_key(path) {
            return Err(Stop::ReadWhole);
        }
        let entries = folders.values().map(|listed| listed.entries.len()).sum();
        let found = folders.values().flat_map(|listed| listed.entries.iter());
        let sizes = found.filter_map(|(name, found)| manifest(name, found)).map(|(_, size)| size);
        let (manifests, bytes) =
            sizes.fold((0, 0), |(count, bytes), size_bytes| (count + 1, bytes + size_bytes));
        let kustomizations = Kustomizations::of(tree, walk.kustomizations, search, &renderings)?;
        let files = plain
            .into_iter()
            .map(|(manifest, blob)| (manifest.path, Part::File { id: manifest.id, blob }));
        let rendered = renderings
            .into_iter()
            .map(|(folder, rendered)| (folder.into(), Part::Rendered(rendered)));
        let assembled = Assembled::of(files.chain(rendered), policy, objects, linked)?;
        let path = path.to_owned();
        Ok(Self { path, folders, entries, manifests, bytes, kustomizations, assembled })
    }

    /// Goes on to the next reading; gives the objects that differ. Nothing when the source is to be read
    /// whole; then this is of no more use but to be given back. What is read is added to `fresh`.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn follow(
        &mut self,
        tree: &dyn Tree,
        path: &str,
        policy: &Policy,
        fresh: &mut SourceCache,
    ) -> Result<Option<BTreeSet<ObjectId>>, TreeError> {
        if self.path != path || self.assembled.policy != *policy {
            return Ok(None);
        }
        possible(self.follow_differences(tree, fresh))
    }

    fn follow_differences(
        &mut self,
        tree: &dyn Tree,
        fresh: &mut SourceCache,
    ) -> Followed<BTreeSet<ObjectId>> {
        let differences = self.compare(tree)?;
        let Differences { mut files, folders, gone, differing, came, went } = differences;
        for (path, listed) in folders {
            self.entries += listed.as_ref().map_or(0, |listed| listed.entries.len());
            let before = match listed {
                Some(listed) => self.folders.insert(path, listed),
                None => self.folders.remove(&path),
            };
            self.entries -= before.map_or(0, |listed| listed.entries.len());
        }
        self.manifests = (self.manifests + came.manifests).saturating_sub(went.manifests);
        self.bytes = (self.bytes + came.bytes).saturating_sub(went.bytes);
        let has_many = self.manifests > FILE_LIMIT || self.entries > ENTRY_LIMIT;
        if has_many || self.bytes > BYTE_LIMIT {
            return Err(Stop::ReadWhole);
        }
        let turn = self.kustomizations.follow(tree, &gone, differing, fresh)?;
        files.extend(turn.files);
        let mut leaving = turn.leaving;
        let mut entering = Vec::new();
        for path in files {
            self.follow_file(tree, path, fresh, &mut leaving, &mut entering)?;
        }
        let rendered = turn.entering.into_iter();
        entering.extend(rendered.map(|(folder, rendered)| (folder, Part::Rendered(rendered))));
        self.assembled.replace(&leaving, entering)
    }

    /// A file that may have come, gone or changed, or that a kustomization may read now or no more.
    fn follow_file(
        &self,
        tree: &dyn Tree,
        path: String,
        fresh: &mut SourceCache,
        leaving: &mut Vec<Arc<str>>,
        entering: &mut Vec<(Arc<str>, Part)>,
    ) -> Followed<()> {
        let before = self.assembled.file(&path);
        let now = self.manifest_at(&path).filter(|_| !self.kustomizations.has_taken(&path));
        if before == now.map(|(id, _)| id) {
            return Ok(());
        }
        let path: Arc<str> = path.into();
        if before.is_some() {
            leaving.push(Arc::clone(&path));
        }
        let Some((id, size_bytes)) = now else { return Ok(()) };
        if size_bytes > MANIFEST_LIMIT_BYTES {
            return Err(Stop::ReadWhole);
        }
        let blob = parse_blob(&tree.read(&path, id)?);
        fresh.blobs.insert(id, blob.clone());
        entering.push((path, Part::File { id, blob }));
        Ok(())
    }

    /// The manifest at a path outside kustomizations, with its size in bytes.
    fn manifest_at(&self, path: &str) -> Option<(ContentId, u64)> {
        let name = path.rsplit('/').next().unwrap_or(path);
        manifest(name, entry(&self.folders.get(parent(path))?.entries, name)?)
    }

    /// The objects that the source declares.
    pub fn objects(&self) -> DeclaredObjects {
        self.assembled.objects.clone()
    }

    /// What the source declares.
    pub fn content(&self) -> RevisionContent {
        RevisionContent::Objects {
            objects: self.assembled.objects.clone(),
            notices: self.assembled.notices.listed(&self.path, &self.assembled.policy),
        }
    }

    /// Leaves everything that was read to a cache.
    pub fn give_back(&self, cache: &mut SourceCache) {
        cache.blobs.extend(self.assembled.blobs().map(|(id, blob)| (id, blob.clone())));
        cache.renderings.extend(self.kustomizations.renderings());
        cache.parts.extend(self.kustomizations.parts());
    }
}

/// What was followed, or nothing where it cannot be.
fn possible<T>(followed: Followed<T>) -> Result<Option<T>, TreeError> {
    match followed {
        Ok(value) => Ok(Some(value)),
        Err(Stop::ReadWhole) => Ok(None),
        Err(Stop::Broken(error)) => Err(error),
    }
}

/// What a folder holds under a name.
fn entry<'a>(entries: &'a [(String, Found)], name: &str) -> Option<&'a Found> {
    let index = entries.binary_search_by(|entry| entry.0.as_str().cmp(name)).ok()?;
    entries.get(index).map(|entry| &entry.1)
}
