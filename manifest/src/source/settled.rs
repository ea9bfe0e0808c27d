//! A source read again: where the last reading found plain manifests without an error, only what
//! changed since is looked at.
//!
//! What is here decides one thing: whether the next reading is without an error, too, and what it
//! declares then. At anything else (an error, a kustomization, a link, an ignore file) it gives up, and
//! the source is read whole. So every error is told by the one code that tells errors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dugout_model::{
    DeclaredObjects, Kind, NamespaceName, ObjectId, ObjectKey, Problem, RevisionContent, Severity,
};

use super::notices::Notices;
use super::walk::{BYTE_LIMIT, DEPTH_LIMIT, FILE_LIMIT, Listed, is_plain};
use super::{MANIFEST_LIMIT_BYTES, SourceCache, Whole};
use crate::assemble::{Policy, Unit, check_namespace};
use crate::blob::{BlobObject, ParsedBlob, parse_blob};
use crate::decode::{DEFAULT_NAMESPACE, Identity};
use crate::layout::is_manifest_path;
use crate::tree::{ContentId, Found, Tree, TreeError, within};

/// A source as it was read last.
pub(super) struct Settled {
    path: String,
    policy: Policy,
    folders: HashMap<String, Listed>,
    files: HashMap<Arc<str>, File>,
    bytes: u64,
    by_namespace: HashMap<NamespaceName, BTreeSet<Arc<str>>>,
    /// Objects that are there and that Dugout does not act on.
    others: HashSet<Identity>,
    node_ports: HashMap<u16, Identity>,
    notices: Notices,
    objects: DeclaredObjects,
}

struct File {
    id: ContentId,
    size_bytes: u64,
    blob: ParsedBlob,
}

/// The files and folders that differ from the last reading.
#[derive(Default)]
struct Differences {
    removed: Vec<String>,
    /// New files and changed ones, which are among the removed as well.
    added: Vec<(String, ContentId, u64)>,
    folders: Vec<(String, Option<Listed>)>,
}

/// The source cannot be followed by its differences: it is to be read whole.
struct ReadWhole;

type Followed<T> = Result<T, ReadWhole>;

impl Settled {
    /// Remembers a source that was read whole without an error, if it can be followed from here.
    /// Everything was checked; `linked` holds what objects said about each other then.
    pub fn of(
        path: &str,
        policy: &Policy,
        whole: Whole,
        objects: &DeclaredObjects,
        linked: BTreeMap<NamespaceName, Vec<Problem>>,
    ) -> Option<Self> {
        let Whole { walk, plain, .. } = whole;
        if !walk.is_plain || !walk.kustomizations.is_empty() || !walk.problems.is_empty() {
            return None;
        }
        let mut settled = Self {
            path: path.to_owned(),
            policy: policy.clone(),
            folders: walk.folders.into_iter().collect(),
            files: HashMap::with_capacity(plain.len()),
            bytes: 0,
            by_namespace: HashMap::new(),
            others: HashSet::new(),
            node_ports: HashMap::new(),
            notices: Notices::default(),
            objects: objects.clone(),
        };
        for (manifest, blob) in plain {
            let file = File { id: manifest.id, size_bytes: manifest.size_bytes, blob };
            settled.index_file(manifest.path, file, &mut BTreeSet::new()).ok()?;
        }
        for (namespace, notices) in linked {
            settled.notices.put_namespace(namespace, notices);
        }
        Some(settled)
    }

    /// Goes on to the next reading; gives the objects that may differ. Nothing when the source is to be
    /// read whole; then this is of no more use.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn follow(
        &mut self,
        tree: &dyn Tree,
        path: &str,
        policy: &Policy,
        known: &SourceCache,
        cache: &mut SourceCache,
    ) -> Result<Option<BTreeSet<ObjectId>>, TreeError> {
        if self.path != path || self.policy != *policy {
            return Ok(None);
        }
        let Found::Folder { id } = tree.find(path)? else { return Ok(None) };
        let mut differences = Differences::default();
        if !self.compare(tree, path, id, &mut differences)? {
            return Ok(None);
        }
        let mut added = Vec::with_capacity(differences.added.len());
        for (path, id, size_bytes) in differences.added {
            let blob = match known.blobs.get(&id) {
                Some(blob) => blob.clone(),
                None => parse_blob(&tree.read(&path, id)?),
            };
            cache.blobs.insert(id, blob.clone());
            added.push((path, File { id, size_bytes, blob }));
        }
        let followed = self.apply(&differences.removed, added);
        for (path, listed) in differences.folders {
            match listed {
                Some(listed) => self.folders.insert(path, listed),
                None => self.folders.remove(&path),
            };
        }
        Ok(followed.ok())
    }

    /// The objects that the source declares.
    pub fn objects(&self) -> DeclaredObjects {
        self.objects.clone()
    }

    /// What the source declares.
    pub fn content(&self) -> RevisionContent {
        RevisionContent::Objects {
            objects: self.objects.clone(),
            notices: self.notices.listed(&self.path),
        }
    }

    /// The parsed files, by the ids of their content.
    pub fn blobs(&self) -> impl Iterator<Item = (ContentId, &ParsedBlob)> {
        self.files.values().map(|file| (file.id, &file.blob))
    }

    /// Looks through a folder for what differs; whether all of that can be followed.
    fn compare(
        &self,
        tree: &dyn Tree,
        path: &str,
        id: ContentId,
        differences: &mut Differences,
    ) -> Result<bool, TreeError> {
        let old = self.folders.get(path);
        if old.is_some_and(|old| old.id == id) {
            return Ok(true);
        }
        let entries = tree.list(path)?;
        let is_deep = path.split('/').count() > DEPTH_LIMIT;
        let is_wide = self.folders.len() + differences.folders.len() > FILE_LIMIT;
        if !is_plain(&entries) || is_deep || is_wide {
            return Ok(false);
        }
        let before: &[(String, Found)] = old.map(|old| &*old.entries).unwrap_or_default();
        for (name, found) in before {
            if entry(&entries, name) != Some(found) {
                self.leaves(path, name, found, &entries, differences);
            }
        }
        for (name, found) in &entries {
            if entry(before, name) == Some(found) {
                continue;
            }
            let path = within(path, name);
            let is_followed = match found {
                _ if name.starts_with('.') => true,
                Found::Folder { id } => self.compare(tree, &path, *id, differences)?,
                Found::File { size_bytes, .. } if *size_bytes > MANIFEST_LIMIT_BYTES => {
                    !is_manifest_path(name)
                }
                Found::File { id, size_bytes } => {
                    if is_manifest_path(name) {
                        differences.added.push((path, *id, *size_bytes));
                    }
                    true
                }
                _ => false,
            };
            if !is_followed {
                return Ok(false);
            }
        }
        let listed = Listed { id, entries: entries.into() };
        differences.folders.push((path.to_owned(), Some(listed)));
        Ok(true)
    }

    /// An entry that is not there any more as it was. A folder that is still one is compared.
    fn leaves(
        &self,
        folder: &str,
        name: &str,
        found: &Found,
        now: &[(String, Found)],
        differences: &mut Differences,
    ) {
        let path = within(folder, name);
        match found {
            Found::File { .. } if self.files.contains_key(path.as_str()) => {
                differences.removed.push(path);
            }
            Found::Folder { .. } if !matches!(entry(now, name), Some(Found::Folder { .. })) => {
                let entries = self.folders.get(&path).map(|listed| Arc::clone(&listed.entries));
                for (name, found) in entries.iter().flat_map(|entries| entries.iter()) {
                    self.leaves(&path, name, found, &[], differences);
                }
                differences.folders.push((path, None));
            }
            _ => {}
        }
    }

    fn apply(
        &mut self,
        removed: &[String],
        added: Vec<(String, File)>,
    ) -> Followed<BTreeSet<ObjectId>> {
        let (mut dirty, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for path in removed {
            self.remove_file(path, &mut dirty, &mut changed)?;
        }
        for (path, file) in added {
            self.add_file(path.into(), file, &mut dirty, &mut changed)?;
        }
        if self.files.len() > FILE_LIMIT || self.bytes > BYTE_LIMIT {
            return Err(ReadWhole);
        }
        for namespace in dirty {
            self.check(&namespace)?;
        }
        Ok(changed)
    }

    fn remove_file(
        &mut self,
        path: &str,
        dirty: &mut BTreeSet<NamespaceName>,
        changed: &mut BTreeSet<ObjectId>,
    ) -> Followed<()> {
        let Some((path, file)) = self.files.remove_entry(path) else { return Err(ReadWhole) };
        self.bytes -= file.size_bytes;
        for object in &file.blob.content.objects {
            dirty.insert(concerned_by(&object.id)?);
            if let Some(files) = self.by_namespace.get_mut(&object.id.key.namespace) {
                files.remove(&path);
            }
            match object_id(&object.id) {
                Some(id) => {
                    self.objects.remove(&id);
                    changed.insert(id);
                }
                None => {
                    self.others.remove(&object.id);
                }
            }
            for port in node_ports(object) {
                self.node_ports.remove(&port);
            }
        }
        self.notices.take_file(&path);
        Ok(())
    }

    fn add_file(
        &mut self,
        path: Arc<str>,
        file: File,
        dirty: &mut BTreeSet<NamespaceName>,
        changed: &mut BTreeSet<ObjectId>,
    ) -> Followed<()> {
        for object in &file.blob.content.objects {
            let Some(id) = object_id(&object.id) else { continue };
            let declared = object.declared_in(&path).ok_or(ReadWhole)?;
            if self.objects.insert(id.clone(), declared).is_some() {
                return Err(ReadWhole);
            }
            changed.insert(id);
        }
        self.index_file(path, file, dirty)
    }

    /// Remembers a file whose objects are among the declared ones, if it has no error and no other file
    /// has one of its names or ports.
    fn index_file(
        &mut self,
        path: Arc<str>,
        file: File,
        dirty: &mut BTreeSet<NamespaceName>,
    ) -> Followed<()> {
        let content = Arc::clone(&file.blob.content);
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if content.has_unknown
            || !content.foreign.is_empty()
            || content.problems.iter().any(is_error)
        {
            return Err(ReadWhole);
        }
        for object in &content.objects {
            if object_id(&object.id).is_none() && !self.others.insert(object.id.clone()) {
                return Err(ReadWhole);
            }
            self.index_ports(object)?;
            dirty.insert(concerned_by(&object.id)?);
            let files = self.by_namespace.entry(object.id.key.namespace.clone()).or_default();
            files.insert(Arc::clone(&path));
        }
        self.notices.put_file(&path, &content);
        self.bytes += file.size_bytes;
        self.files.insert(path, file);
        Ok(())
    }

    fn index_ports(&mut self, object: &BlobObject) -> Followed<()> {
        for port in node_ports(object) {
            let before = self.node_ports.insert(port, object.id.clone());
            if before.is_some_and(|other| other != object.id) {
                return Err(ReadWhole);
            }
        }
        Ok(())
    }

    /// Checks what the objects of one namespace say about each other.
    fn check(&mut self, namespace: &NamespaceName) -> Followed<()> {
        self.notices.take_namespace(namespace);
        let files = match self.by_namespace.get(namespace) {
            Some(files) if !files.is_empty() => files,
            _ => {
                self.by_namespace.remove(namespace);
                return Ok(());
            }
        };
        let declared = ObjectId::new(Kind::Namespace, "", namespace.as_str());
        if namespace.as_str() != DEFAULT_NAMESPACE && !self.objects.contains_key(&declared) {
            return Err(ReadWhole);
        }
        let units = files.iter().filter_map(|path| {
            let file = self.files.get(path)?;
            Some(Unit::File { path, content: &file.blob.content })
        });
        let found = check_namespace(units, namespace);
        if found.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(ReadWhole);
        }
        self.notices.put_namespace(namespace.clone(), found);
        Ok(())
    }
}

/// What a folder holds under a name.
fn entry<'a>(entries: &'a [(String, Found)], name: &str) -> Option<&'a Found> {
    let index = entries.binary_search_by(|entry| entry.0.as_str().cmp(name)).ok()?;
    entries.get(index).map(|entry| &entry.1)
}

/// The namespace whose objects are concerned when an object comes or goes.
fn concerned_by(id: &Identity) -> Followed<NamespaceName> {
    let ObjectKey { namespace, name } = &id.key;
    match (namespace.as_str(), id.kind) {
        ("", "Namespace") => Ok(NamespaceName::new(name.as_str())),
        // Of the whole cluster: it may concern every namespace.
        ("", _) => Err(ReadWhole),
        _ => Ok(namespace.clone()),
    }
}

/// The object's id, if Dugout acts on its kind.
fn object_id(id: &Identity) -> Option<ObjectId> {
    Kind::parse(id.kind).map(|kind| ObjectId { kind, key: id.key.clone() })
}

fn node_ports(object: &BlobObject) -> impl Iterator<Item = u16> {
    let service = object.links.service.iter();
    service.flat_map(|service| service.node_ports.iter().map(|(port, _)| *port))
}
