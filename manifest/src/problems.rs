//! The problems of one file, gathered while it is read; where the file lies is filled in later.

use dugout_model::{Problem, Severity};

use crate::yaml::Position;

/// How many problems of one file are kept; the rest are counted.
pub const PROBLEM_LIMIT: usize = 1000;

/// How much of a text of the file a message repeats.
const QUOTE_LIMIT: usize = 60;

#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    errors: usize,
    left_out: usize,
}

/// A moment in the telling of problems.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    found: usize,
    errors: usize,
    left_out: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.errors += 1;
        }
        if self.found.len() < PROBLEM_LIMIT {
            self.found.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds an error that is not about one field.
    pub(crate) fn error(&mut self, at: Position, message: impl Into<String>, hint: Option<&str>) {
        self.add(Problem {
            file: String::new(),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            field_path: String::new(),
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    /// How many errors there are, to tell later whether more came.
    pub(crate) fn error_count(&self) -> usize {
        self.errors
    }

    /// How far the telling has come.
    pub(crate) fn mark(&self) -> Mark {
        Mark { found: self.found.len(), errors: self.errors, left_out: self.left_out }
    }

    /// Since a mark, the problem that decides: the first error in the file, or without errors the first
    /// notice. The index is
    /// that of [`Self::into_list`], where the last one stands for all that are only counted.
    pub(crate) fn deciding_since(&self, mark: Mark) -> Option<u32> {
        let since = self.found.get(mark.found..).unwrap_or_default();
        let first = |severity: Severity| {
            let of_severity =
                since.iter().enumerate().filter(|(_, problem)| problem.severity == severity);
            let first = of_severity.min_by_key(|(_, problem)| (problem.line, problem.column));
            first.map(|(index, _)| mark.found + index)
        };
        let index = match first(Severity::Error) {
            Some(index) => Some(index),
            None if self.errors > mark.errors => Some(self.found.len()),
            None => first(Severity::Notice)
                .or_else(|| (self.left_out > mark.left_out).then_some(self.found.len())),
        };
        index.and_then(|index| u32::try_from(index).ok())
    }

    /// Whether further problems are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.left_out > 0
    }

    pub(crate) fn into_list(mut self) -> Vec<Problem> {
        if self.left_out > 0 {
            self.found.push(Problem {
                file: String::new(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                field_path: String::new(),
                message: format!("{} more problems of this file are not shown", self.left_out),
                hint: Some("mend the first ones and look again".to_owned()),
            });
        }
        self.found
    }
}

/// A text of the file inside quotes, cut when it is long, without line breaks.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_LIMIT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
