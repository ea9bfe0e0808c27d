//! Objects of every kind, made from the tables at random: nothing panics, whatever stands where.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::schema::value::Type;
use crate::schema::{KINDS, Schema};
use crate::{Policy, assemble, parse_blob};

/// What may stand where something else belongs. All are JSON, and so YAML.
const SCALARS: &[&str] = &[
    "null",
    "\"\"",
    "\"a\"",
    "\"A b\"",
    "\"80\"",
    "\"50%\"",
    "\"-1\"",
    "\"1Gi\"",
    "\"10.0.0.0/8\"",
    "\"None\"",
    "\"* * * * *\"",
    "\"a/b\"",
    "\"ä\"",
    "0",
    "1",
    "-1",
    "30000",
    "70000",
    "9223372036854775807",
    "1e400",
    "0.5",
    "true",
    "false",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[1]",
    "{\"a\": {}}",
    "{\"cpu\": \"1\", \"storage\": 1}",
];

/// Choices, taken one after the other.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.bytes.next().copied().map_or(0, usize::from)
    }

    fn scalar(&mut self) -> &'static str {
        SCALARS[self.next() % SCALARS.len()]
    }
}

fn write_object(text: &mut String, schema: &Schema, choices: &mut Choices<'_>, depth: usize) {
    text.push('{');
    let mut first = true;
    for field in schema.fields {
        // Few fields of each type, or objects would be all alike and large.
        if choices.bytes.len() == 0 || !choices.next().is_multiple_of(3) {
            continue;
        }
        let comma = if std::mem::take(&mut first) { "" } else { ", " };
        write!(text, "{comma}\"{}\": ", field.name).unwrap();
        write_value(text, &field.value, choices, depth);
    }
    text.push('}');
}

fn write_value(text: &mut String, value: &Type, choices: &mut Choices<'_>, depth: usize) {
    // One value in eight is of any other type.
    if depth == 0 || choices.next().is_multiple_of(8) {
        return text.push_str(choices.scalar());
    }
    match value {
        Type::Object(schema) => write_object(text, schema, choices, depth - 1),
        Type::Objects(schema) => {
            text.push('[');
            for index in 0..choices.next() % 3 {
                text.push_str(if index > 0 { ", " } else { "" });
                write_object(text, schema, choices, depth - 1);
            }
            text.push(']');
        }
        Type::ObjectMap(schema) => {
            text.push_str("{\"a\": ");
            write_object(text, schema, choices, depth - 1);
            text.push('}');
        }
        Type::Texts(_) | Type::Ints { .. } => {
            write!(text, "[{}, {}]", choices.scalar(), choices.scalar()).unwrap();
        }
        Type::TextMap { .. } | Type::Quantities => {
            write!(text, "{{\"a\": {}, \"/\": {}}}", choices.scalar(), choices.scalar()).unwrap();
        }
        Type::Text(_)
        | Type::Bool
        | Type::Int { .. }
        | Type::Mode
        | Type::Number
        | Type::Quantity
        | Type::IntOrPercent { .. }
        | Type::Port
        | Type::AnyMap
        | Type::Any => text.push_str(choices.scalar()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_object_of_any_kind_makes_it_panic(
        kind in 0..KINDS.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let entry = &KINDS[kind];
        let mut choices = Choices { bytes: bytes.iter() };
        let mut text = format!(
            "{{\"apiVersion\": \"{}\", \"kind\": \"{}\", \"metadata\": {{\"name\": \"a\"}}",
            entry.api_version, entry.kind
        );
        for field in entry.schema.map_or(&[][..], |schema| schema.fields) {
            if !matches!(field.name, "apiVersion" | "kind" | "metadata") {
                write!(text, ", \"{}\": ", field.name).unwrap();
                write_value(&mut text, &field.value, &mut choices, 12);
            }
        }
        text.push('}');
        let content = assemble([("a.json", &parse_blob(text.as_bytes()))], &Policy::default());
        let shown = format!("{content:?}");
        prop_assert!(!shown.contains("mistake in Dugout"), "{text}\n{shown}");
    }
}
