//! The notices of a source: all are counted, and the first are listed, so that a commit costs what it
//! changes also where every file has one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dugout_model::{NamespaceName, Problem, RevisionContent, Severity};

use super::file_problem;
use crate::assemble::{Policy, Unit, foreign_problems};
use crate::blob::Content;

/// How many notices of a revision are listed; more than a person reads in one go. Errors always are.
pub const NOTICE_LIMIT: usize = 100;

/// Every notice of a source that is followed, by what it is about and in order.
#[derive(Default)]
pub(super) struct Notices {
    /// The files that have some of their own, which stand in what was parsed of them.
    files: BTreeMap<Arc<str>, Arc<Content>>,
    /// How many those are together.
    of_files: usize,
    /// What the objects of a namespace are to each other.
    by_namespace: HashMap<NamespaceName, Vec<Arc<Problem>>>,
    /// Those of the namespaces and of renderings, each with how often it is told: what several
    /// kustomizations share is told of one place.
    sorted: BTreeMap<Arc<Problem>, usize>,
}

impl Notices {
    /// Adds a file that nothing is said about.
    pub fn put_file(&mut self, path: &Arc<str>, content: &Arc<Content>, policy: &Policy) {
        let count = count_distinct(path, content, policy);
        if count > 0 {
            self.of_files += count;
            self.files.insert(Arc::clone(path), Arc::clone(content));
        }
    }

    pub fn take_file(&mut self, path: &str, policy: &Policy) {
        if let Some((path, content)) = self.files.remove_entry(path) {
            self.of_files -= count_distinct(&path, &content, policy);
        }
    }

    /// Adds what there is to say about a namespace that nothing is said about.
    pub fn put_namespace(&mut self, namespace: NamespaceName, notices: Vec<Problem>) {
        if notices.is_empty() {
            return;
        }
        let notices: Vec<Arc<Problem>> = notices.into_iter().map(Arc::new).collect();
        for notice in &notices {
            self.count(Arc::clone(notice));
        }
        self.by_namespace.insert(namespace, notices);
    }

    /// Takes back what was said about a namespace.
    pub fn take_namespace(&mut self, namespace: &NamespaceName) {
        for notice in self.by_namespace.remove(namespace).unwrap_or_default() {
            self.count_off(&notice);
        }
    }

    /// Adds what a kustomization makes.
    pub fn put_rendering(&mut self, unit: Unit<'_>, policy: &Policy) {
        for notice in all_of(unit, policy) {
            self.count(Arc::new(notice));
        }
    }

    pub fn take_rendering(&mut self, unit: Unit<'_>, policy: &Policy) {
        for notice in all_of(unit, policy) {
            self.count_off(&notice);
        }
    }

    fn count(&mut self, notice: Arc<Problem>) {
        *self.sorted.entry(notice).or_default() += 1;
    }

    fn count_off(&mut self, notice: &Problem) {
        if let Some(count) = self.sorted.get_mut(notice) {
            *count -= 1;
            if *count == 0 {
                self.sorted.remove(notice);
            }
        }
    }

    /// The first notices in order, and how many there are when not all are among them.
    pub fn listed(&self, source_path: &str, policy: &Policy) -> Vec<Problem> {
        let others = self.sorted.keys().take(NOTICE_LIMIT);
        let mut listed: Vec<Problem> = others.map(|notice| Problem::clone(notice)).collect();
        let mut of_files = Vec::new();
        // Notices are in the order of their files, so the first are those of the first files.
        for (path, content) in &self.files {
            if of_files.len() >= NOTICE_LIMIT {
                break;
            }
            let mut own = all_of(Unit::File { path, content }, policy);
            own.sort();
            own.dedup();
            of_files.extend(own);
        }
        listed.extend(of_files);
        listed.sort();
        listed.truncate(NOTICE_LIMIT);
        tell_rest(&mut listed, self.of_files + self.sorted.len(), source_path);
        listed
    }
}

/// How many different notices a file has.
fn count_distinct(path: &Arc<str>, content: &Arc<Content>, policy: &Policy) -> usize {
    if content.problems.is_empty() && content.foreign.is_empty() {
        return 0;
    }
    all_of(Unit::File { path, content }, policy).into_iter().collect::<BTreeSet<_>>().len()
}

/// All notices of a file or a rendering by itself.
fn all_of(unit: Unit<'_>, policy: &Policy) -> Vec<Problem> {
    let mut all: Vec<Problem> =
        unit.content().problems.iter().map(|problem| unit.own(problem)).collect();
    all.extend(foreign_problems(unit, policy));
    all
}

/// A revision's content with no more than the first notices.
pub(super) fn listed(content: RevisionContent, source_path: &str) -> RevisionContent {
    match content {
        RevisionContent::Objects { objects, notices } => {
            RevisionContent::Objects { objects, notices: first_of(notices, source_path) }
        }
        RevisionContent::Problems(problems) => {
            RevisionContent::Problems(first_of(problems, source_path))
        }
    }
}

fn first_of(mut problems: Vec<Problem>, source_path: &str) -> Vec<Problem> {
    let mut count = 0;
    problems.retain(|problem| {
        let is_notice = problem.severity == Severity::Notice;
        count += usize::from(is_notice);
        !is_notice || count <= NOTICE_LIMIT
    });
    tell_rest(&mut problems, count, source_path);
    problems.shrink_to_fit();
    problems
}

/// Adds how many notices there are, if they are more than are listed.
fn tell_rest(problems: &mut Vec<Problem>, count: usize, source_path: &str) {
    if count <= NOTICE_LIMIT {
        return;
    }
    let path = if source_path.is_empty() { "." } else { source_path };
    let message = format!("the source has {count} notices; the first {NOTICE_LIMIT} are listed");
    let hint = "`dugout validate` lists all of them";
    problems.push(file_problem(path, Severity::Notice, message, hint));
    problems.sort();
}
