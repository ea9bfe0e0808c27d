//! What the files and renderings of a source declare together, kept up to date as they come and go.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dugout_model::{
    DeclaredObject, DeclaredObjects, Kind, NamespaceName, ObjectId, ObjectKey, Problem, Severity,
};

use super::{Followed, Stop};
use crate::assemble::{Checked, Policy, Unit, check_namespace, class_of, has_refused_group};
use crate::blob::{BlobObject, Content, ParsedBlob};
use crate::decode::{DEFAULT_NAMESPACE, Identity};
use crate::source::Rendered;
use crate::source::notices::Notices;
use crate::tree::ContentId;

/// The objects of a source without an error, and what it takes to tell whether it stays without one.
pub(super) struct Assembled {
    pub policy: Policy,
    /// By the path of the file, or of the folder of the kustomization.
    parts: HashMap<Arc<str>, Part>,
    /// The parts with objects in a namespace.
    by_namespace: HashMap<NamespaceName, BTreeSet<Arc<str>>>,
    /// Objects that are there and that Dugout does not act on.
    others: HashSet<Identity>,
    node_ports: HashMap<u16, Identity>,
    /// Some workload takes ports of its nodes, or did.
    has_host_ports: bool,
    /// The namespaces whose limits or service accounts fill in what workloads do not say, or did until now.
    with_defaults: HashSet<NamespaceName>,
    pub notices: Notices,
    pub objects: DeclaredObjects,
}

/// Where objects come from together.
pub(super) enum Part {
    File { id: ContentId, blob: ParsedBlob },
    Rendered(Arc<Rendered>),
}

impl Part {
    fn content(&self) -> &Content {
        match self {
            Part::File { blob, .. } => &blob.content,
            Part::Rendered(rendered) => &rendered.content,
        }
    }

    fn as_unit<'a>(&'a self, path: &'a Arc<str>) -> Unit<'a> {
        match self {
            Part::File { blob, .. } => Unit::File { path, content: &blob.content },
            Part::Rendered(rendered) => {
                Unit::Rendered { folder: path, content: &rendered.content, lines: &rendered.lines }
            }
        }
    }

    fn declared(&self, path: &Arc<str>, object: &BlobObject) -> Option<Arc<DeclaredObject>> {
        match self {
            Part::File { .. } => object.declared_in(path),
            Part::Rendered(_) => object.declared(),
        }
    }
}

impl Assembled {
    /// Remembers what was read without an error. Everything was checked; `linked` holds what objects said
    /// about each other then.
    pub fn of(
        parts: impl Iterator<Item = (Arc<str>, Part)>,
        policy: &Policy,
        objects: &DeclaredObjects,
        linked: BTreeMap<NamespaceName, Vec<Problem>>,
    ) -> Followed<Self> {
        let mut assembled = Self {
            policy: policy.clone(),
            parts: HashMap::with_capacity(parts.size_hint().0),
            by_namespace: HashMap::new(),
            others: HashSet::new(),
            node_ports: HashMap::new(),
            has_host_ports: false,
            with_defaults: HashSet::new(),
            notices: Notices::default(),
            objects: objects.clone(),
        };
        for (path, part) in parts {
            assembled.index(path, part, &mut BTreeSet::new())?;
        }
        for (namespace, notices) in linked {
            assembled.notices.put_namespace(namespace, notices);
        }
        Ok(assembled)
    }

    /// The content of a plain file that is among the parts.
    pub fn file(&self, path: &str) -> Option<ContentId> {
        match self.parts.get(path) {
            Some(Part::File { id, .. }) => Some(*id),
            _ => None,
        }
    }

    /// The parsed files, by the ids of their content.
    pub fn blobs(&self) -> impl Iterator<Item = (ContentId, &ParsedBlob)> {
        self.parts.values().filter_map(|part| match part {
            Part::File { id, blob } => Some((*id, blob)),
            Part::Rendered(_) => None,
        })
    }

    /// Parts go and others come, a changed one does both. Gives the objects that differ.
    pub fn replace(
        &mut self,
        leaving: &[Arc<str>],
        entering: Vec<(Arc<str>, Part)>,
    ) -> Followed<BTreeSet<ObjectId>> {
        let before = self.objects.clone();
        let (mut dirty, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for path in leaving {
            self.remove(path, &mut dirty, &mut changed)?;
        }
        for (path, part) in entering {
            self.add(path, part, &mut dirty, &mut changed)?;
        }
        for namespace in dirty {
            self.check(&namespace, &mut changed)?;
        }
        changed.retain(|id| before.get(id) != self.objects.get(id));
        Ok(changed)
    }

    fn remove(
        &mut self,
        path: &str,
        dirty: &mut BTreeSet<NamespaceName>,
        changed: &mut BTreeSet<ObjectId>,
    ) -> Followed<()> {
        let Some((path, part)) = self.parts.remove_entry(path) else { return Err(Stop::ReadWhole) };
        for object in &part.content().objects {
            if brings_class(object) {
                return Err(Stop::ReadWhole);
            }
            dirty.extend(concerned_by(&object.id));
            if let Some(paths) = self.by_namespace.get_mut(&object.id.key.namespace) {
                paths.remove(&path);
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
        match &part {
            Part::File { .. } => self.notices.take_file(&path, &self.policy),
            Part::Rendered(_) => self.notices.take_rendering(part.as_unit(&path), &self.policy),
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: Arc<str>,
        part: Part,
        dirty: &mut BTreeSet<NamespaceName>,
        changed: &mut BTreeSet<ObjectId>,
    ) -> Followed<()> {
        for object in &part.content().objects {
            // They are held against those of all namespaces.
            let takes_ports = self.has_host_ports && node_ports(object).next().is_some();
            if takes_ports || has_host_ports(object) || brings_class(object) {
                return Err(Stop::ReadWhole);
            }
            let Some(id) = object_id(&object.id) else { continue };
            let declared = part.declared(&path, object).ok_or(Stop::ReadWhole)?;
            if self.objects.insert(id.clone(), declared).is_some() {
                return Err(Stop::ReadWhole);
            }
            changed.insert(id);
        }
        self.index(path, part, dirty)
    }

    /// Remembers a part whose objects are among the declared ones, if it has no error and no other part
    /// has one of its names or ports.
    fn index(
        &mut self,
        path: Arc<str>,
        part: Part,
        dirty: &mut BTreeSet<NamespaceName>,
    ) -> Followed<()> {
        let content = part.content();
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if content.has_unknown
            || has_refused_group(content, &self.policy)
            || content.problems.iter().any(is_error)
        {
            return Err(Stop::ReadWhole);
        }
        for object in &content.objects {
            if object_id(&object.id).is_none() && !self.others.insert(object.id.clone()) {
                return Err(Stop::ReadWhole);
            }
            self.index_ports(object)?;
            self.has_host_ports |= has_host_ports(object);
            dirty.extend(concerned_by(&object.id));
            let namespace = &object.id.key.namespace;
            if object.gives_defaults() {
                self.with_defaults.insert(namespace.clone());
            }
            if !namespace.as_str().is_empty() {
                let paths = self.by_namespace.entry(namespace.clone()).or_default();
                paths.insert(Arc::clone(&path));
            }
        }
        match &part {
            Part::File { blob, .. } => {
                self.notices.put_file(&path, &blob.content, &self.policy);
            }
            Part::Rendered(_) => self.notices.put_rendering(part.as_unit(&path), &self.policy),
        }
        self.parts.insert(path, part);
        Ok(())
    }

    fn index_ports(&mut self, object: &BlobObject) -> Followed<()> {
        for port in node_ports(object) {
            let before = self.node_ports.insert(port, object.id.clone());
            if before.is_some_and(|other| other != object.id) {
                return Err(Stop::ReadWhole);
            }
        }
        Ok(())
    }

    /// Checks what the objects of one namespace say about each other, and fills in what its limits do.
    fn check(
        &mut self,
        namespace: &NamespaceName,
        changed: &mut BTreeSet<ObjectId>,
    ) -> Followed<()> {
        self.notices.take_namespace(namespace);
        let paths = match self.by_namespace.get(namespace) {
            Some(paths) if !paths.is_empty() => paths,
            _ => {
                self.by_namespace.remove(namespace);
                self.with_defaults.remove(namespace);
                return Ok(());
            }
        };
        let declared = ObjectId::new(Kind::Namespace, "", namespace.as_str());
        if namespace.as_str() != DEFAULT_NAMESPACE && !self.objects.contains_key(&declared) {
            return Err(Stop::ReadWhole);
        }
        let units = paths.iter().filter_map(|path| Some(self.parts.get(path)?.as_unit(path)));
        let Checked { problems, has_defaults, workloads } =
            check_namespace(units, namespace, || self.classes());
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Stop::ReadWhole);
        }
        self.notices.put_namespace(namespace.clone(), problems);
        if self.with_defaults.contains(namespace) {
            self.put_filled(workloads, changed);
        }
        if !has_defaults {
            self.with_defaults.remove(namespace);
        }
        Ok(())
    }

    /// The classes of storage that are declared.
    fn classes(&self) -> BTreeSet<String> {
        let from = |kind| ObjectId::new(kind, "", "");
        let of_kind = |kind| {
            let rest = self.objects.range(from(kind)..);
            rest.take_while(move |(id, _)| id.kind == kind).map(|(_, object)| object)
        };
        let objects = of_kind(Kind::StorageClass).chain(of_kind(Kind::PersistentVolume));
        objects.filter_map(|object| class_of(object).map(str::to_owned)).collect()
    }

    /// Takes over workloads with what their namespace fills in now. Those in which nothing
    /// is another are the same shared values as before.
    fn put_filled(
        &mut self,
        workloads: Vec<Arc<DeclaredObject>>,
        changed: &mut BTreeSet<ObjectId>,
    ) {
        for declared in workloads {
            let id = declared.id();
            if self.objects.get(&id).is_none_or(|known| !Arc::ptr_eq(known, &declared)) {
                self.objects.insert(id.clone(), declared);
                changed.insert(id);
            }
        }
    }
}

/// The namespace whose objects are concerned when an object comes or goes. None refers to one of the whole
/// cluster but to its namespace, so of all others it is enough that none is declared twice.
fn concerned_by(id: &Identity) -> Option<NamespaceName> {
    let ObjectKey { namespace, name } = &id.key;
    match (namespace.as_str(), id.kind) {
        ("", "Namespace") => Some(NamespaceName::new(name.as_str())),
        ("", _) => None,
        _ => Some(namespace.clone()),
    }
}

/// The object's id, if Dugout acts on its kind.
fn object_id(id: &Identity) -> Option<ObjectId> {
    Kind::parse(id.kind).map(|kind| ObjectId { kind, key: id.key.clone() })
}

fn node_ports(object: &BlobObject) -> impl Iterator<Item = u16> {
    let service = object.links.service.iter();
    service.flat_map(|service| service.node_ports.iter().map(|port| port.number))
}

/// Whether it asks for ports of its nodes, which no other may have there.
fn has_host_ports(object: &BlobObject) -> bool {
    object.links.pods.as_ref().is_some_and(|pods| pods.host_ports().is_some())
}

/// Whether claims anywhere may be of its class.
fn brings_class(object: &BlobObject) -> bool {
    matches!(object.id.kind, "StorageClass" | "PersistentVolume")
}
