//! From the files of a commit to what it declares: everything that only the whole can tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{DeclaredObject, NamespaceName, Problem, RevisionContent, Severity};

use crate::blob::{BlobObject, Content, ParsedBlob};
use crate::decode::{DEFAULT_NAMESPACE, ForeignObject, Identity};
use crate::lines::Lines;
use crate::reader::Place;

mod references;

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
    let units = files.into_iter().map(|(path, blob)| Unit::File { path, content: &blob.content });
    assemble_units(units, Vec::new(), policy)
}

/// The same for files and kustomizations, with problems that were found on the way to them.
pub(crate) fn assemble_units<'a>(
    units: impl IntoIterator<Item = Unit<'a>>,
    problems: Vec<Problem>,
    policy: &Policy,
) -> RevisionContent {
    let has_unknown = problems.iter().any(|problem| problem.severity == Severity::Error);
    let mut whole = Whole { problems, has_unknown, ..Whole::default() };
    for unit in units {
        whole.add(unit, policy);
    }
    whole.check();
    whole.into_content()
}

/// What the objects of one namespace say about each other, where everything could be read.
pub(crate) fn check_namespace<'a>(
    units: impl IntoIterator<Item = Unit<'a>>,
    namespace: &NamespaceName,
) -> Vec<Problem> {
    let mut whole = Whole::default();
    for unit in units {
        let objects = unit.content().objects.iter();
        let members = objects.filter(|object| object.id.key.namespace == *namespace);
        whole.members.extend(members.map(|object| (&object.id, Member { unit, object })));
    }
    let mut found = Vec::new();
    whole.check_links(&mut found);
    found
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

    /// A problem of the content with the file that it is in.
    pub(crate) fn own(&self, problem: &Problem) -> Problem {
        match self {
            Unit::File { path, .. } => Problem { file: (*path).to_owned(), ..problem.clone() },
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

    fn namespace(&self) -> &str {
        self.object.id.key.namespace.as_str()
    }
}

#[derive(Default)]
struct Whole<'a> {
    /// The first of each id, in the order of files and lines.
    members: BTreeMap<&'a Identity, Member<'a>>,
    problems: Vec<Problem>,
    /// Something could not be read, so nothing can be said to be missing.
    has_unknown: bool,
}

impl<'a> Whole<'a> {
    fn add(&mut self, unit: Unit<'a>, policy: &Policy) {
        let content = unit.content();
        self.has_unknown |= content.has_unknown;
        self.problems.extend(content.problems.iter().map(|problem| unit.own(problem)));
        for foreign in &content.foreign {
            self.add_foreign(unit, foreign, policy);
        }
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

    /// An object of a group that Dugout does not know: skipped if the source says so.
    fn add_foreign(&mut self, unit: Unit<'a>, foreign: &ForeignObject, policy: &Policy) {
        let mut problem = unit.own(&foreign.problem);
        if policy.skip_groups.contains(&foreign.group) {
            problem.severity = Severity::Notice;
            problem.message =
                format!("{} has no effect: the source skips {}", foreign.kind, foreign.group);
            problem.hint = None;
        } else {
            self.has_unknown = true;
        }
        self.problems.push(problem);
    }

    fn check(&mut self) {
        let mut found = Vec::new();
        if !self.has_unknown {
            self.check_namespaces(&mut found);
        }
        self.check_links(&mut found);
        self.problems.extend(found);
    }

    /// Tells each namespace that is used and not declared once, at its first use.
    fn check_namespaces(&self, found: &mut Vec<Problem>) {
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

    fn find(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Member<'a>> {
        let key = dugout_model::ObjectKey::new(namespace, name);
        self.members.get(&Identity { kind, key })
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
