//! What is wrong with a manifest: where, what, and how to mend it.

use std::fmt;

/// One thing wrong with a file of a revision. A user's bad input is data, so this is a value beside
/// the result and not an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path inside the repository, with forward slashes.
    pub file: String,
    /// One-based; 0 when the problem is with the file as a whole.
    pub line: u32,
    /// One-based, in characters; 0 as for `line`.
    pub column: u32,
    pub severity: Severity,
    /// Where in the object, as `spec.template.spec.containers[0].image`; empty for the whole document.
    pub field_path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it, where something useful can be said.
    pub hint: Option<String>,
}

/// Whether a problem stops the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The revision is rejected.
    Error,
    /// Accepted, and it has no effect here; `--strict` makes it an error.
    Notice,
}

impl fmt::Display for Problem {
    /// `file:line:column: error: field: message (hint)`, which editors and terminals can jump to.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if self.line > 0 {
            write!(out, ":{}:{}", self.line, self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Notice => "notice",
        };
        write!(out, ": {severity}: ")?;
        if !self.field_path.is_empty() {
            write!(out, "{}: ", self.field_path)?;
        }
        write!(out, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(out, " ({hint})"),
            None => Ok(()),
        }
    }
}
