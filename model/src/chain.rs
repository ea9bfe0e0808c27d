//! An error with its causes, in one line: for the log, and for sentences that people read.

/// The error and what caused it, each after a colon. A cause whose words end the error that it caused
/// is not told twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
    }

    impl std::error::Error for Link {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn every_cause_is_told_in_its_order() {
        let error = Link("no fetch", Some(Box::new(Link("no route", None))));
        assert_eq!(chain(&error), "no fetch: no route");
    }

    #[test]
    fn words_that_an_error_took_from_its_cause_are_told_once() {
        let error = Link(
            "no turn",
            Some(Box::new(Link("refused: disk full", Some(Box::new(Link("disk full", None)))))),
        );
        assert_eq!(chain(&error), "no turn: refused: disk full");
    }
}
