//! Problems as workflow commands, which GitHub shows at their lines in a change.

use std::fmt::Write as _;

use dugout_model::{Problem, Severity};

use super::sentence;

/// One line of a step's output. GitHub's documentation says which characters it would misread.
pub(super) fn annotation(problem: &Problem) -> String {
    let command = match problem.severity {
        Severity::Error => "error",
        Severity::Notice => "notice",
    };
    let mut text = format!("::{command} file={}", property(&problem.file));
    if problem.line > 0 {
        let _ = write!(text, ",line={},col={}", problem.line, problem.column);
    }
    let _ = writeln!(text, "::{}", data(&sentence(problem)));
    text
}

/// What GitHub asks to have escaped in a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// And in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_escapes_what_github_would_misread() {
        let problem = Problem {
            file: "apps/a,b:c%\n.yaml".to_owned(),
            line: 3,
            column: 7,
            severity: Severity::Error,
            field_path: "spec.replicas".to_owned(),
            message: "must be a whole number\r\nnot 50%, or: so".to_owned(),
            hint: Some("write 3".to_owned()),
        };
        assert_eq!(
            annotation(&problem),
            "::error file=apps/a%2Cb%3Ac%25%0A.yaml,line=3,col=7::spec.replicas: must be a whole \
             number%0D%0Anot 50%25, or: so (write 3)\n"
        );
        let whole = Problem { line: 0, column: 0, severity: Severity::Notice, ..problem };
        assert!(annotation(&whole).starts_with("::notice file=apps/a%2Cb%3Ac%25%0A.yaml::spec"));
    }
}
