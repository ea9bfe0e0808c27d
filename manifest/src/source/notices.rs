//! The notices of a source: all are counted, and the first are listed, so that a commit costs what it
//! changes also where every file has one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dugout_model::{NamespaceName, Problem, RevisionContent, Severity};

use super::file_problem;

/// How many notices of a revision are listed; more than a person reads in one go. Errors always are.
pub const NOTICE_LIMIT: usize = 100;

/// Every notice of a source that is followed, by what it is about and in order.
#[derive(Default)]
pub(super) struct Notices {
    by_subject: HashMap<About, Vec<Arc<Problem>>>,
    /// Each with how many subjects have it.
    sorted: BTreeMap<Arc<Problem>, usize>,
}

/// What a notice is about, so that it goes when that changes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum About {
    File(Arc<str>),
    Namespace(NamespaceName),
}

impl Notices {
    /// Adds what there is to say about a subject that nothing is said about.
    pub fn put(&mut self, about: About, notices: Vec<Problem>) {
        if notices.is_empty() {
            return;
        }
        let notices: Vec<Arc<Problem>> = notices.into_iter().map(Arc::new).collect();
        for notice in &notices {
            *self.sorted.entry(Arc::clone(notice)).or_default() += 1;
        }
        self.by_subject.insert(about, notices);
    }

    /// Takes back what was said about a subject.
    pub fn take(&mut self, about: &About) {
        for notice in self.by_subject.remove(about).unwrap_or_default() {
            if let Some(count) = self.sorted.get_mut(&notice) {
                *count -= 1;
                if *count == 0 {
                    self.sorted.remove(&notice);
                }
            }
        }
    }

    /// The first notices in order, and how many there are when not all are among them.
    pub fn listed(&self, source_path: &str) -> Vec<Problem> {
        let first = self.sorted.keys().take(NOTICE_LIMIT);
        let mut listed: Vec<Problem> = first.map(|notice| Problem::clone(notice)).collect();
        tell_rest(&mut listed, self.sorted.len(), source_path);
        listed
    }
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
