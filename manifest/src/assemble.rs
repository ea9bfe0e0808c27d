//! From the files of a commit to what it declares: everything that only the whole can tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    DeclaredObject, Deployment, Kind, ObjectId, ObjectSpec, PortRef, Problem, RevisionContent,
    Service, Severity, labels_contain,
};

use crate::blob::{BlobObject, Content, ParsedBlob};
use crate::decode::{DEFAULT_NAMESPACE, Reference};
use crate::lines::Lines;
use crate::reader::Place;

/// What the files of a commit declare together, or everything that is wrong with them. Each file comes
/// with its path in the repository; the order of the files does not matter.
pub fn assemble<'a>(files: impl IntoIterator<Item = (&'a str, &'a ParsedBlob)>) -> RevisionContent {
    let units = files.into_iter().map(|(path, blob)| Unit::File { path, content: &blob.content });
    assemble_units(units, Vec::new())
}

/// The same for files and kustomizations, with problems that were found on the way to them.
pub(crate) fn assemble_units<'a>(
    units: impl IntoIterator<Item = Unit<'a>>,
    problems: Vec<Problem>,
) -> RevisionContent {
    let has_unknown = problems.iter().any(|problem| problem.severity == Severity::Error);
    let mut whole = Whole { problems, has_unknown, ..Whole::default() };
    for unit in units {
        whole.add(unit);
    }
    whole.check();
    whole.into_content()
}

/// Where objects came from together.
#[derive(Clone, Copy)]
pub(crate) enum Unit<'a> {
    File {
        path: &'a str,
        content: &'a Content,
    },
    /// What the kustomization in a folder makes; the lines lead back to its files.
    Rendered {
        folder: &'a str,
        content: &'a Content,
        lines: &'a Lines,
    },
}

impl<'a> Unit<'a> {
    fn content(&self) -> &'a Content {
        match self {
            Unit::File { content, .. } | Unit::Rendered { content, .. } => content,
        }
    }

    /// The file and its line behind the line of a place.
    fn locate(&self, line: u32) -> (&'a str, u32) {
        match self {
            Unit::File { path, .. } => (path, line),
            Unit::Rendered { lines, .. } => lines.locate(line),
        }
    }
}

/// One object and what it is in.
#[derive(Clone, Copy)]
struct Member<'a> {
    unit: Unit<'a>,
    object: &'a BlobObject,
}

impl<'a> Member<'a> {
    fn place(&self) -> (&'a str, u32) {
        self.unit.locate(self.object.place.line)
    }

    fn declared(&self) -> Option<Arc<DeclaredObject>> {
        match self.unit {
            Unit::File { path, .. } => self.object.declared_in(path),
            Unit::Rendered { .. } => self.object.declared(),
        }
    }
}

#[derive(Default)]
struct Whole<'a> {
    /// The first of each id, in the order of files and lines.
    members: BTreeMap<&'a ObjectId, Member<'a>>,
    problems: Vec<Problem>,
    /// Something could not be read, so nothing can be said to be missing.
    has_unknown: bool,
    has_refused: bool,
}

impl<'a> Whole<'a> {
    fn add(&mut self, unit: Unit<'a>) {
        let content = unit.content();
        self.has_unknown |= content.has_unknown;
        self.has_refused |= content.has_refused;
        self.problems.extend(content.problems.iter().map(|problem| match unit {
            Unit::File { path, .. } => Problem { file: path.to_owned(), ..problem.clone() },
            Unit::Rendered { .. } => problem.clone(),
        }));
        for object in &content.objects {
            let new = Member { unit, object };
            match self.members.get(&object.id) {
                None => {
                    self.members.insert(&object.id, new);
                }
                Some(other) => {
                    let (first, again) =
                        if other.place() <= new.place() { (*other, new) } else { (new, *other) };
                    self.problems.push(told_twice(&first, &again));
                    self.members.insert(&object.id, first);
                }
            }
        }
    }

    fn check(&mut self) {
        let mut found = Vec::new();
        if !self.has_unknown {
            self.check_namespaces(&mut found);
        }
        let mut node_ports = BTreeMap::new();
        for member in self.members.values() {
            self.check_references(member, &mut found);
            check_node_ports(member, &mut node_ports, &mut found);
        }
        if !self.has_unknown && !self.has_refused {
            self.check_services(&mut found);
        }
        self.problems.extend(found);
    }

    /// Tells each namespace that is used and not declared once, at its first use.
    fn check_namespaces(&self, found: &mut Vec<Problem>) {
        let mut uses: BTreeMap<&str, Vec<&Member<'a>>> = BTreeMap::new();
        for member in self.members.values() {
            let namespace = member.object.id.key.namespace.as_str();
            if !namespace.is_empty() && namespace != DEFAULT_NAMESPACE {
                uses.entry(namespace).or_default().push(member);
            }
        }
        for (namespace, mut members) in uses {
            if self.members.contains_key(&ObjectId::new(Kind::Namespace, "", namespace)) {
                continue;
            }
            members.sort_by_key(|member| member.place());
            let Some(first) = members.first() else { continue };
            let place = first.object.namespace_place.as_ref().unwrap_or(&first.object.place);
            let more = match members.len() {
                1 => String::new(),
                2 => ", which 1 more object is in".to_owned(),
                count => format!(", which {} more objects are in", count - 1),
            };
            let message = format!("no Namespace {namespace} is declared{more}");
            let hint = format!(
                "add a document with apiVersion: v1, kind: Namespace and metadata.name: {namespace}"
            );
            found.push(problem(first.unit, place, Severity::Error, message, &hint));
        }
    }

    fn check_references(&self, member: &Member<'a>, found: &mut Vec<Problem>) {
        for reference in &member.object.links.references {
            let Reference { kind, name, key, place } = reference;
            let namespace = member.object.id.key.namespace.as_str();
            let kind_name = kind.as_str();
            let Some(target) = self.members.get(&ObjectId::new(*kind, namespace, name)) else {
                if !self.has_unknown {
                    let message =
                        format!("there is no {kind_name} {name} in namespace {namespace}");
                    let hint = self.name_hint(*kind, namespace);
                    found.push(problem(member.unit, place, Severity::Error, message, &hint));
                }
                continue;
            };
            // Without the object's content nothing can be said about its keys.
            let Some(declared) = target.declared() else { continue };
            if let Some(key) = key
                && !has_key(&declared.spec, key)
            {
                let message = format!("the {kind_name} {name} has no key {key}");
                let hint = match some_keys(&declared.spec) {
                    known if known.is_empty() => {
                        "it has no keys; add it, or set optional: true".to_owned()
                    }
                    known => format!("it has {}", known.join(", ")),
                };
                found.push(problem(member.unit, place, Severity::Error, message, &hint));
            }
        }
    }

    /// What there is instead of a missing object.
    fn name_hint(&self, kind: Kind, namespace: &str) -> String {
        let first = ObjectId::new(kind, namespace, "");
        let names: Vec<&str> = self
            .members
            .range::<&ObjectId, _>(&first..)
            .take_while(|(id, _)| id.kind == kind && id.key.namespace.as_str() == namespace)
            .map(|(id, _)| id.key.name.as_str())
            .take(LISTED)
            .collect();
        match names.is_empty() {
            true => "add it, or set optional: true".to_owned(),
            false => format!("there are {}; add it, or set optional: true", names.join(", ")),
        }
    }

    /// Notices services that select nothing, or whose port no selected pod has.
    fn check_services(&self, found: &mut Vec<Problem>) {
        let mut deployments = Deployments::default();
        for member in self.of_kind(Kind::Deployment) {
            match member.declared() {
                Some(declared) => deployments.add(declared),
                // It may be what a service means.
                None => return,
            }
        }
        for member in self.of_kind(Kind::Service) {
            let Some(declared) = member.declared() else { continue };
            let ObjectSpec::Service(service) = &declared.spec else { continue };
            if !service.selector.is_empty() {
                let selected = deployments.selected(declared.key.namespace.as_str(), service);
                check_targets(member, service, &selected, found);
            }
        }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Member<'a>> {
        self.members.values().filter(move |member| member.object.id.kind == kind)
    }

    fn into_content(mut self) -> RevisionContent {
        self.problems.sort();
        self.problems.dedup();
        if self.problems.iter().any(|problem| problem.severity == Severity::Error) {
            return RevisionContent::Problems(self.problems);
        }
        let objects = self.members.values().filter_map(|member| member.declared());
        let objects = objects.map(|declared| (declared.id(), declared)).collect();
        RevisionContent::Objects { objects, notices: self.problems }
    }
}

fn told_twice(first: &Member<'_>, again: &Member<'_>) -> Problem {
    let (file, line) = first.place();
    let message = format!("{} is declared for the second time", again.object.id);
    let hint = match (first.unit, again.unit) {
        (Unit::Rendered { folder: one, .. }, Unit::Rendered { folder: other, .. })
            if one != other =>
        {
            format!(
                "the kustomizations {one} and {other} both make it, from {file}:{line}; give each a \
                 namespace or a prefix of its own, or give the source the path of one of them"
            )
        }
        _ => format!("the first is in {file}:{line}; keep one of them"),
    };
    problem(again.unit, &again.object.place, Severity::Error, message, &hint)
}

/// How many names a hint lists.
const LISTED: usize = 12;

fn has_key(spec: &ObjectSpec, key: &str) -> bool {
    match spec {
        ObjectSpec::ConfigMap(map) => {
            map.data.contains_key(key) || map.binary_data.contains_key(key)
        }
        ObjectSpec::Secret(secret) => secret.data.contains_key(key),
        _ => false,
    }
}

/// The first keys, for a hint.
fn some_keys(spec: &ObjectSpec) -> Vec<&str> {
    let keys: Vec<&String> = match spec {
        ObjectSpec::ConfigMap(map) => {
            map.data.keys().chain(map.binary_data.keys()).take(LISTED).collect()
        }
        ObjectSpec::Secret(secret) => secret.data.keys().take(LISTED).collect(),
        _ => Vec::new(),
    };
    keys.into_iter().map(String::as_str).collect()
}

/// The deployments by each label of their pods, so that a service finds its own without looking at all.
#[derive(Default)]
struct Deployments {
    all: Vec<Arc<DeclaredObject>>,
    /// By namespace, key and value: places in `all`.
    by_label: BTreeMap<(String, String, String), Vec<usize>>,
}

impl Deployments {
    fn add(&mut self, declared: Arc<DeclaredObject>) {
        let ObjectSpec::Deployment(deployment) = &declared.spec else { return };
        for (key, value) in &deployment.template.labels {
            let namespace = declared.key.namespace.to_string();
            let label = (namespace, key.clone(), value.clone());
            self.by_label.entry(label).or_default().push(self.all.len());
        }
        self.all.push(declared);
    }

    fn selected(&self, namespace: &str, service: &Service) -> Vec<&Deployment> {
        let candidates = |(key, value): (&String, &String)| {
            let label = (namespace.to_owned(), key.clone(), value.clone());
            self.by_label.get(&label).map(Vec::as_slice).unwrap_or_default()
        };
        let fewest = service.selector.iter().map(candidates).min_by_key(|places| places.len());
        fewest
            .unwrap_or_default()
            .iter()
            .filter_map(|place| match &self.all.get(*place)?.spec {
                ObjectSpec::Deployment(deployment) => Some(&**deployment),
                _ => None,
            })
            .filter(|deployment| labels_contain(&deployment.template.labels, &service.selector))
            .collect()
    }
}

/// Two services cannot listen on one port of the nodes.
fn check_node_ports<'a>(
    member: &Member<'a>,
    taken: &mut BTreeMap<u16, (&'a ObjectId, &'a str, u32)>,
    found: &mut Vec<Problem>,
) {
    for (port, place) in &member.object.links.node_ports {
        let (file, line) = member.unit.locate(place.line);
        let own = (&member.object.id, file, line);
        match taken.get(port) {
            None => {
                taken.insert(*port, own);
            }
            Some((other, file, line)) => {
                let message = format!("port {port} of the nodes is taken by {other}");
                let hint = format!("see {file}:{line}; choose another from 30000 to 32767");
                found.push(problem(member.unit, place, Severity::Error, message, &hint));
            }
        }
    }
}

fn check_targets(
    member: &Member<'_>,
    service: &Service,
    selected: &[&Deployment],
    found: &mut Vec<Problem>,
) {
    if selected.is_empty() {
        let message = "the selector matches no pod that is declared in this namespace".to_owned();
        let hint = "compare it with the labels of the pod templates";
        found.push(problem(member.unit, &member.object.place, Severity::Notice, message, hint));
        return;
    }
    for (port, place) in service.ports.iter().zip(&member.object.links.target_ports) {
        let PortRef::Name(name) = &port.target_port else { continue };
        let exists = selected.iter().any(|deployment| {
            let mut ports = deployment.template.containers.iter().flat_map(|one| &one.ports);
            ports.any(|candidate| candidate.name == *name)
        });
        if !exists {
            let message = format!("no selected pod has a port named {name:?}");
            let hint = "name the port in the container's ports, or use its number";
            found.push(problem(member.unit, place, Severity::Notice, message, hint));
        }
    }
}

fn problem(
    unit: Unit<'_>,
    place: &Place,
    severity: Severity,
    message: String,
    hint: &str,
) -> Problem {
    let (file, line) = unit.locate(place.line);
    Problem {
        file: file.to_owned(),
        line,
        column: place.column,
        severity,
        field_path: place.field_path.clone(),
        message,
        hint: Some(hint.to_owned()),
    }
}
