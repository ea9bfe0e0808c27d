//! How much of a repository Dugout understands: what becomes of each document, counted by kind.

use std::collections::BTreeMap;

use dugout_model::{Problem, Severity};

use crate::assemble::{Policy, Told, Unit, foreign_problem};
use crate::blob::BlobObject;
use crate::decode::TypeName;

/// Every document, item of a list and rendered kustomization by its kind, and every path that is not
/// read although it seems to be meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub kinds: BTreeMap<KindName, Tally>,
}

/// What a document says it is, as it is written. Both are empty for a path that is not read, and for a
/// document that cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindName {
    pub kind: String,
    pub api_version: String,
}

/// What became of the documents of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Acted on in full.
    pub understood: usize,
    /// Accepted, and something of them has no effect here.
    pub noticed: usize,
    pub refused: usize,
    /// Of the notices, the first of its object that comes first in the files.
    pub first_notice: Option<Problem>,
    /// Of the errors, the same.
    pub first_error: Option<Problem>,
}

/// What became of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Understood,
    Noticed,
    Refused,
}

impl Coverage {
    /// `before` is what was found on the way to the units, and `told` what objects say about each other.
    pub(crate) fn of(
        units: &[Unit<'_>],
        before: &[Problem],
        told: &[Told<'_>],
        policy: &Policy,
    ) -> Self {
        let told = Reasons::of(told);
        let mut coverage = Self::default();
        for problem in before {
            coverage.add(KindName::new(&TypeName::default()), Some(problem.clone()));
        }
        for unit in units {
            let content = unit.content();
            let reason = |index: Option<u32>| {
                let index = usize::try_from(index?).ok()?;
                content.problems.get(index).map(|problem| unit.own(problem))
            };
            for object in &content.objects {
                let own = reason(object.reason());
                let whole = told.get(*unit, object).cloned();
                coverage.add(KindName::of_object(object), more_severe(own, whole));
            }
            for foreign in &content.foreign {
                let problem = foreign_problem(*unit, foreign, policy);
                coverage.add(KindName::new(&foreign.type_name), Some(problem));
            }
            for other in &content.others {
                coverage.add(KindName::new(&other.type_name), reason(other.reason));
            }
        }
        coverage
    }

    fn add(&mut self, name: KindName, reason: Option<Problem>) {
        self.kinds.entry(name).or_default().add(reason);
    }

    /// How many documents had an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.kinds.values().map(|tally| tally.count(outcome)).sum()
    }

    /// How many documents there are.
    pub fn total(&self) -> usize {
        [Outcome::Understood, Outcome::Noticed, Outcome::Refused]
            .into_iter()
            .map(|outcome| self.count(outcome))
            .sum()
    }
}

impl KindName {
    fn new(TypeName { api_version, kind }: &TypeName) -> Self {
        Self { kind: kind.clone(), api_version: api_version.clone() }
    }

    fn of_object(object: &BlobObject) -> Self {
        Self { kind: object.id.kind.to_owned(), api_version: object.kind.api_version.to_owned() }
    }
}

impl Tally {
    fn add(&mut self, reason: Option<Problem>) {
        let Some(reason) = reason else {
            self.understood += 1;
            return;
        };
        let (count, first) = match reason.severity {
            Severity::Error => (&mut self.refused, &mut self.first_error),
            Severity::Notice => (&mut self.noticed, &mut self.first_notice),
        };
        *count += 1;
        if first.as_ref().is_none_or(|first| reason < *first) {
            *first = Some(reason);
        }
    }

    /// How many documents of the kind had an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        match outcome {
            Outcome::Understood => self.understood,
            Outcome::Noticed => self.noticed,
            Outcome::Refused => self.refused,
        }
    }
}

/// Of what objects say about each other, the problem that decides for each.
struct Reasons<'t> {
    /// Equal files share their content, so an object is told by its file, too.
    by_object: BTreeMap<(&'t str, *const BlobObject), &'t Problem>,
}

impl<'t> Reasons<'t> {
    fn of(told: &'t [Told<'t>]) -> Self {
        let mut by_object: BTreeMap<_, &Problem> = BTreeMap::new();
        for Told { member, problem } in told {
            let first = by_object
                .entry((member.unit.name(), std::ptr::from_ref(member.object)))
                .or_insert(problem);
            if (problem.severity, problem) < (first.severity, *first) {
                *first = problem;
            }
        }
        Self { by_object }
    }

    fn get(&self, unit: Unit<'_>, object: &BlobObject) -> Option<&'t Problem> {
        self.by_object.get(&(unit.name(), std::ptr::from_ref(object))).copied()
    }
}

/// An error before a notice, and then what comes first.
fn more_severe(one: Option<Problem>, other: Option<Problem>) -> Option<Problem> {
    one.into_iter().chain(other).min_by(|a, b| (a.severity, a).cmp(&(b.severity, b)))
}
