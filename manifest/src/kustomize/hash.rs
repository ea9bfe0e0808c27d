//! The suffix of generated names: a hash of the content, byte for byte what the reference makes.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::edit::{Owned, entries, get, text_of};
use crate::yaml::{ScalarKind, Value};

/// How many characters a hash has.
const LENGTH: usize = 10;

/// The hash of a config map or a secret.
pub(super) fn suffix(node: &Owned) -> String {
    let kind = text_of(node, "kind").unwrap_or_default();
    let mut json = String::from("{");
    let mut member = |name: &str, value: String| {
        if json.len() > 1 {
            json.push(',');
        }
        write_text(&mut json, name);
        json.push(':');
        json.push_str(&value);
    };
    let map = |name: &str| get(node, name).map(json_of);
    // Members come in the order of their names; the name of the object has no part in it.
    if kind == "Secret" {
        member("data", map("data").unwrap_or_else(empty));
        member("kind", text_json(kind));
        member("name", empty());
        if let Some(value) = map("stringData") {
            member("stringData", value);
        }
        member("type", map("type").unwrap_or_else(empty));
    } else {
        if let Some(value) = map("binaryData") {
            member("binaryData", value);
        }
        member("data", map("data").unwrap_or_else(empty));
        member("kind", text_json(kind));
        member("name", empty());
    }
    json.push('}');
    // Letters and digits that could spell a word are replaced.
    hex::encode(Sha256::digest(json.as_bytes()))
        .chars()
        .take(LENGTH)
        .map(|digit| match digit {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

fn empty() -> String {
    "\"\"".to_owned()
}

fn text_json(text: &str) -> String {
    let mut json = String::new();
    write_text(&mut json, text);
    json
}

/// JSON with the keys of maps in order, as Go writes it.
fn json_of(node: &Owned) -> String {
    let mut json = String::new();
    write_json(&mut json, node);
    json
}

fn write_json(json: &mut String, node: &Owned) {
    match &node.value {
        Value::Scalar { text, kind } => match kind {
            ScalarKind::Null => json.push_str("null"),
            ScalarKind::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            ScalarKind::Int(number) => json.push_str(&number.to_string()),
            ScalarKind::Float => json.push_str(text),
            ScalarKind::Text => write_text(json, text),
        },
        Value::List(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_json(json, item);
            }
            json.push(']');
        }
        Value::Map(_) => {
            let mut sorted: Vec<_> = entries(node).iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            json.push('{');
            for (index, entry) in sorted.into_iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_text(json, &entry.key);
                json.push(':');
                write_json(json, &entry.node);
            }
            json.push('}');
        }
    }
}

/// A text as Go writes it: also what HTML would take for its own is escaped.
fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
                // Writing to a string does not fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
