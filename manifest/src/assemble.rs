//! From the files of a commit to what it declares: everything that only the whole can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    DeclaredObject, DeclaredObjects, NamespaceName, Problem, RevisionContent, Severity,
};

use crate::blob::{BlobObject, Content, ParsedBlob};
use crate::coverage::Coverage;
use crate::decode::{DEFAULT_NAMESPACE, ForeignObject, Identity, TypeName};
use crate::lines::Lines;
use crate::problems::{PROBLEM_LIMIT, quoted};
use crate::reader::Place;

mod admission;
mod classes;
mod host_ports;
mod limits;
mod order;
mod quotas;
mod references;

pub(crate) use classes::class_of;

/// What a source says about its manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// API groups, as `cert-manager.io`, whose objects are for another program: they are left out with
    /// a notice. Objects of every other group that Dugout does not know are errors.
    pub skip_groups: Vec<String>,
}

/// What the files of a commit declare together, or everything that is wrong with them. Each file comes
/// with its path in the repository; the order of the files does not matter.
pub fn assemble<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a ParsedBlob)>,
    policy: &Policy,
) -> RevisionContent {
    let files: Vec<(Arc<str>, &ParsedBlob)> =
        files.into_iter().map(|(path, blob)| (path.into(), blob)).collect();
    let units = files.iter().map(|(path, blob)| Unit::File { path, content: &blob.content });
    Revision::new(units, Vec::new(), policy, &str::to_owned).into_content()
}

/// What the objects of one namespace say about each other, where everything could be read.
pub(crate) struct Checked {
    pub problems: Vec<Problem>,
    /// Whether its limits or service accounts fill in what its workloads do not say.
    pub has_defaults: bool,
    /// Its workloads as they are declared in it.
    pub workloads: Vec<Arc<DeclaredObject>>,
}

/// Checks the objects of one namespace, where everything could be read; `classes` gives those of storage that
/// the source declares.
pub(crate) fn check_namespace<'a>(
    units: impl IntoIterator<Item = Unit<'a>>,
    namespace: &NamespaceName,
    classes: impl FnOnce() -> BTreeSet<String>,
) -> Checked {
    let policy = Policy::default();
    let mut revision = Revision::new([], Vec::new(), &policy, &str::to_owned);
    for unit in units {
        let objects = unit.content().objects.iter();
        let members = objects.filter(|object| object.id.key.namespace == *namespace);
        revision.members.extend(members.map(|object| (&object.id, Member { unit, object })));
    }
    let mut found = Vec::new();
    revision.check_links(&mut found);
    revision.check_classes(classes, &mut found);
    revision.admit(&mut found);
    let workloads = revision.members.values().filter(|one| one.object.pod_facts().is_some());
    Checked {
        problems: found.into_iter().map(|told| told.problem).collect(),
        has_defaults: revision.members.values().any(|member| member.object.gives_defaults()),
        workloads: workloads.filter_map(|member| revision.declared(member)).collect(),
    }
}

/// Where objects came from together.
#[derive(Clone, Copy)]
pub(crate) enum Unit<'a> {
    File {
        path: &'a Arc<str>,
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
    /// The path of its file or folder.
    pub(crate) fn name(&self) -> &'a str {
        match self {
            Unit::File { path, .. } => path,
            Unit::Rendered { folder, .. } => folder,
        }
    }

    pub(crate) fn content(&self) -> &'a Content {
        match self {
            Unit::File { content, .. } | Unit::Rendered { content, .. } => content,
        }
    }

    /// A problem of the content with the file that it is in.
    pub(crate) fn own(&self, problem: &Problem) -> Problem {
        match self {
            Unit::File { path, .. } => Problem { file: path.to_string(), ..problem.clone() },
            Unit::Rendered { .. } => problem.clone(),
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
pub(crate) struct Member<'a> {
    pub unit: Unit<'a>,
    pub object: &'a BlobObject,
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

    fn namespace(&self) -> &'a str {
        self.object.id.key.namespace.as_str()
    }

    fn tell(&self, place: &Place, severity: Severity, message: String, hint: &str) -> Told<'a> {
        let (file, line) = self.unit.locate(place.line);
        let problem = Problem {
            file: file.to_owned(),
            line,
            column: place.column,
            severity,
            field_path: place.field_path.to_string(),
            message,
            hint: Some(hint.to_owned()),
        };
        Told { member: *self, problem }
    }
}

/// The files and kustomizations of a revision, joined and checked.
pub(crate) struct Revision<'a> {
    units: Vec<Unit<'a>>,
    /// How many of the problems were found on the way to the units; they are the first.
    found_before: usize,
    policy: &'a Policy,
    /// How messages write a path.
    shown: &'a dyn Fn(&str) -> String,
    /// The first of each id, in the order of files and lines.
    members: BTreeMap<&'a Identity, Member<'a>>,
    problems: Vec<Problem>,
    /// The workloads of namespaces that fill something in, with that.
    admitted: BTreeMap<&'a Identity, Arc<DeclaredObject>>,
    /// What objects say about each other, in the order of the search.
    told: Vec<Told<'a>>,
    /// Something could not be read, so nothing can be said to be missing.
    has_unknown: bool,
}

/// A problem of one object that only the whole can tell.
pub(crate) struct Told<'a> {
    pub member: Member<'a>,
    pub problem: Problem,
}

impl<'a> Revision<'a> {
    /// Joins what was read, with problems that were found on the way to it.
    pub(crate) fn new(
        units: impl IntoIterator<Item = Unit<'a>>,
        problems: Vec<Problem>,
        policy: &'a Policy,
        shown: &'a dyn Fn(&str) -> String,
    ) -> Self {
        let mut revision = Self {
            units: units.into_iter().collect(),
            found_before: problems.len(),
            policy,
            shown,
            members: BTreeMap::new(),
            admitted: BTreeMap::new(),
            has_unknown: problems.iter().any(|problem| problem.severity == Severity::Error),
            problems,
            told: Vec::new(),
        };
        for index in 0..revision.units.len() {
            revision.add(revision.units[index]);
        }
        revision.check();
        revision
    }

    /// What becomes of each document.
    pub(crate) fn coverage(&self) -> Coverage {
        Coverage::of(
            &self.units,
            self.problems.get(..self.found_before).unwrap_or_default(),
            &self.told,
            self.policy,
        )
    }

    fn add(&mut self, unit: Unit<'a>) {
        let content = unit.content();
        self.has_unknown |= content.has_unknown;
        self.problems.extend(content.problems.iter().map(|problem| unit.own(problem)));
        let foreign = foreign_problems(unit, self.policy);
        self.has_unknown |= foreign.iter().any(|problem| problem.severity == Severity::Error);
        self.problems.extend(foreign);
        for object in &content.objects {
            let new = Member { unit, object };
            match self.members.get(&object.id) {
                None => {
                    self.members.insert(&object.id, new);
                }
                Some(other) => {
                    let (first, again) =
                        if other.place() <= new.place() { (*other, new) } else { (new, *other) };
                    self.told.push(told_twice(&first, &again, self.shown));
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
        self.check_links(&mut found);
        if let Some(classes) = self.own_classes().filter(|_| !self.has_unknown) {
            self.check_classes(|| classes, &mut found);
        }
        self.admit(&mut found);
        self.told.extend(found);
    }

    /// What a member declares in its namespace.
    fn declared(&self, member: &Member<'a>) -> Option<Arc<DeclaredObject>> {
        match self.admitted.get(&member.object.id) {
            Some(admitted) => Some(Arc::clone(admitted)),
            None => member.declared(),
        }
    }

    /// Tells each namespace that is used and not declared once, at its first use.
    fn check_namespaces(&self, found: &mut Vec<Told<'a>>) {
        let mut uses: BTreeMap<&str, Vec<&Member<'a>>> = BTreeMap::new();
        for member in self.members.values() {
            let namespace = member.namespace();
            if !namespace.is_empty() && namespace != DEFAULT_NAMESPACE {
                uses.entry(namespace).or_default().push(member);
            }
        }
        for (namespace, mut members) in uses {
            if self.find("Namespace", "", namespace).is_some() {
                continue;
            }
            members.sort_by_key(|member| member.place());
            let Some(first) = members.first() else { continue };
            let place = first.object.namespace_place();
            let more = match members.len() {
                1 => String::new(),
                2 => ", which 1 more object is in".to_owned(),
                count => format!(", which {} more objects are in", count - 1),
            };
            let message = format!("no Namespace {namespace} is declared{more}");
            let hint = format!(
                "add a document with apiVersion: v1, kind: Namespace and metadata.name: {namespace}"
            );
            found.push(first.tell(&place, Severity::Error, message, &hint));
        }
    }

    fn find(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Member<'a>> {
        let key = dugout_model::ObjectKey::new(namespace, name);
        self.members.get(&Identity { kind, key })
    }

    /// The notices that objects of a namespace are to each other, as [`check_namespace`] finds them.
    pub(crate) fn notices_by_namespace(&self) -> BTreeMap<NamespaceName, Vec<Problem>> {
        let mut notices: BTreeMap<NamespaceName, Vec<Problem>> = BTreeMap::new();
        for Told { member, problem } in &self.told {
            if problem.severity == Severity::Notice {
                let namespace = member.object.id.key.namespace.clone();
                notices.entry(namespace).or_default().push(problem.clone());
            }
        }
        notices
    }

    pub(crate) fn into_content(mut self) -> RevisionContent {
        let told = std::mem::take(&mut self.told);
        self.problems.extend(told.into_iter().map(|told| told.problem));
        self.problems.sort();
        self.problems.dedup();
        if self.problems.iter().any(|problem| problem.severity == Severity::Error) {
            return RevisionContent::Problems(self.problems);
        }
        let declared = || self.members.values().filter_map(|member| self.declared(member));
        let objects = declared().map(|declared| (declared.id(), declared));
        // Keys that come in their order leave each node of the tree half empty, which every second one
        // of them then fills.
        let mut objects: DeclaredObjects = objects.step_by(2).collect();
        objects.extend(declared().map(|declared| (declared.id(), declared)).skip(1).step_by(2));
        RevisionContent::Objects { objects, notices: self.problems }
    }
}

/// What there is to say about the objects of a unit that are of groups that Dugout does not know. The first
/// are told one by one, and the rest together.
pub(crate) fn foreign_problems(unit: Unit<'_>, policy: &Policy) -> Vec<Problem> {
    let all = &unit.content().foreign;
    let (told, rest) = all.split_at_checked(PROBLEM_LIMIT).unwrap_or((all, &[]));
    let mut problems: Vec<Problem> =
        told.iter().map(|foreign| foreign_problem(unit, foreign, policy)).collect();
    for severity in [Severity::Error, Severity::Notice] {
        let mut of_severity =
            rest.iter().filter(|foreign| foreign_severity(foreign, policy) == severity);
        let Some(first) = of_severity.next() else { continue };
        let count = 1 + of_severity.count();
        let problem = foreign_problem(unit, first, policy);
        let message = format!("{count} more objects of groups that Dugout does not know follow");
        problems.push(Problem { message, field_path: String::new(), ..problem });
    }
    problems
}

/// Whether a unit has an object of a group that is neither known nor skipped.
pub(crate) fn has_refused_group(content: &Content, policy: &Policy) -> bool {
    content.foreign.iter().any(|one| foreign_severity(one, policy) == Severity::Error)
}

/// An object of a group that Dugout does not know: skipped if the source says so.
pub(crate) fn foreign_problem(unit: Unit<'_>, foreign: &ForeignObject, policy: &Policy) -> Problem {
    let TypeName { api_version, kind } = &*foreign.type_name;
    let group = foreign.group();
    let severity = foreign_severity(foreign, policy);
    let (message, hint) = match severity {
        Severity::Error => {
            let (kind, api_version) = (quoted(kind), quoted(api_version));
            let message =
                format!("{kind} of {api_version} is a custom resource, and Dugout has none");
            let hint = format!("move it out of the source's path, or skip the group {group}");
            (message, Some(hint))
        }
        Severity::Notice => (format!("{kind} has no effect: the source skips {group}"), None),
    };
    let Place { line, column, field_path } = &foreign.place;
    let (file, line) = unit.locate(*line);
    Problem {
        file: file.to_owned(),
        line,
        column: *column,
        severity,
        field_path: field_path.to_string(),
        message,
        hint,
    }
}

fn foreign_severity(foreign: &ForeignObject, policy: &Policy) -> Severity {
    let is_skipped = policy.skip_groups.iter().any(|group| group == foreign.group());
    if is_skipped { Severity::Notice } else { Severity::Error }
}

fn told_twice<'a>(
    first: &Member<'a>,
    again: &Member<'a>,
    shown: &dyn Fn(&str) -> String,
) -> Told<'a> {
    let (file, line) = first.place();
    let file = shown(file);
    let message = format!("{} is declared for the second time", again.object.id);
    let hint = match (first.unit, again.unit) {
        (Unit::Rendered { folder: one, .. }, Unit::Rendered { folder: other, .. })
            if one != other =>
        {
            let (one, other) = (shown(one), shown(other));
            format!(
                "the kustomizations {one} and {other} both make it, from {file}:{line}; give each a \
                 namespace or a prefix of its own, or give the source the path of one of them"
            )
        }
        _ => format!("the first is in {file}:{line}; keep one of them"),
    };
    again.tell(&again.object.place, Severity::Error, message, &hint)
}
