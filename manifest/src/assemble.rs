//! From the files of a commit to what it declares: everything that only the whole can tell.

use std::collections::BTreeMap;

use dugout_model::{Problem, RevisionContent, Severity};

use crate::blob::{BlobObject, ParsedBlob};
use crate::decode::{DEFAULT_NAMESPACE, ForeignObject, Identity};
use crate::layout::Layout;
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
    let files: Vec<(&str, &ParsedBlob)> = files.into_iter().collect();
    let layout = Layout::of(files.iter().map(|(path, _)| *path));
    let mut whole = Whole { problems: layout.problems().collect(), ..Whole::default() };
    whole.has_unknown = !whole.problems.is_empty();
    for (path, blob) in files {
        if !layout.is_foreign(path) {
            whole.add(path, blob, policy);
        }
    }
    whole.check();
    whole.into_content()
}

/// One object and the file it is in.
#[derive(Clone, Copy)]
struct Member<'a> {
    path: &'a str,
    object: &'a BlobObject,
}

impl Member<'_> {
    fn place(&self) -> (&str, u32) {
        (self.path, self.object.place.line)
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
    fn add(&mut self, path: &'a str, blob: &'a ParsedBlob, policy: &Policy) {
        let content = &*blob.content;
        self.has_unknown |= content.has_unknown;
        self.problems.extend(
            content
                .problems
                .iter()
                .map(|problem| Problem { file: path.to_owned(), ..problem.clone() }),
        );
        for foreign in &content.foreign {
            self.add_foreign(path, foreign, policy);
        }
        for object in &content.objects {
            let new = Member { path, object };
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
    fn add_foreign(&mut self, path: &str, foreign: &ForeignObject, policy: &Policy) {
        let mut problem = Problem { file: path.to_owned(), ..foreign.problem.clone() };
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
            found.push(problem(first.path, place, Severity::Error, message, &hint));
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
        let mut objects: Vec<_> = self
            .members
            .values()
            .filter_map(|member| member.object.declared_in(member.path))
            .collect();
        // In the order in which kinds are applied.
        objects.sort_by_cached_key(|object| object.id());
        RevisionContent::Objects { objects, notices: self.problems }
    }
}

fn told_twice(first: &Member<'_>, again: &Member<'_>) -> Problem {
    let (file, line) = first.place();
    let message = format!("{} is declared for the second time", again.object.id);
    let hint = format!("the first is in {file}:{line}; keep one of them");
    problem(again.path, &again.object.place, Severity::Error, message, &hint)
}

fn problem(path: &str, place: &Place, severity: Severity, message: String, hint: &str) -> Problem {
    Problem {
        file: path.to_owned(),
        line: place.line,
        column: place.column,
        severity,
        field_path: place.field_path.clone(),
        message,
        hint: Some(hint.to_owned()),
    }
}
