//! What stands in the files of a volume. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use dugout_model::{AssignedPod, FileContent, FileField, NodeName, StringMap, VolumeFile};

use super::writer::Payload;
use super::{VolumeProblem, group};
use crate::spec::{Allocatable, amount_of, field_value};

pub(super) fn of<'a>(
    files: &'a [VolumeFile],
    pod: &AssignedPod,
    (node, allocatable): (&NodeName, Option<Allocatable>),
    group: Option<u32>,
) -> Result<Vec<Payload<'a>>, VolumeProblem> {
    let payload = |file: &'a VolumeFile| {
        let mode = match group {
            Some(_) => group::readable(file.mode),
            None => file.mode,
        };
        let bytes = match &file.content {
            FileContent::Plain(bytes) => Cow::Borrowed(&**bytes),
            // They leave for their consumer here.
            FileContent::Secret(secret) => Cow::Borrowed(secret.expose()),
            FileContent::Field(field) => Cow::Owned(text_of(field, pod, node).into_bytes()),
            FileContent::NodeResource(resource) => {
                let node = allocatable.ok_or(VolumeProblem::NodeUnknown)?;
                Cow::Owned(amount_of(resource, node).into_bytes())
            }
        };
        Ok(Payload { path: &file.path, mode, bytes })
    };
    files.iter().map(payload).collect()
}

fn text_of(field: &FileField, pod: &AssignedPod, node: &NodeName) -> String {
    match field {
        FileField::Labels => lines(&pod.template.labels),
        FileField::Annotations => lines(&pod.template.annotations),
        FileField::One(field) => field_value(field, pod, node),
    }
}

/// As Kubernetes writes them: `key="value"` by key, with no line break at the end.
fn lines(map: &StringMap) -> String {
    let lines: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// In quotes, with the escapes of the language in which Kubernetes is written.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            control if control.is_ascii_control() => {
                // Writing to a text does not fail.
                let _ = write!(out, "\\x{:02x}", u32::from(control));
            }
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_a_line_each_and_quoted() {
        let map: StringMap = [
            ("b".to_owned(), "two\nlines \"quoted\" \\ \u{1}\u{85}é".to_owned()),
            ("a".to_owned(), String::new()),
        ]
        .into_iter()
        .collect();
        let text = lines(&map);
        assert_eq!(text, "a=\"\"\nb=\"two\\nlines \\\"quoted\\\" \\\\ \\x01\\u0085é\"");
        assert_eq!(lines(&StringMap::new()), "");
    }
}
