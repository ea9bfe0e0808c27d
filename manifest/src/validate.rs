//! The walk over a document by its table: everything that a strict API server would refuse.
//!
//! A field whose table entry is a notice or a refusal is told as such, and checked inside all the same.
//! What Dugout cannot do with an acceptable value is the decoders' to tell.

use std::collections::BTreeSet;

use dugout_model::Severity;

use crate::decode::{Links, Part, Reference};
use crate::problems::quoted;
use crate::quantity::{NoQuantity, Quantity};
use crate::reader::Value;
pub(crate) use crate::reader::View;
use crate::schema::format::Format;
use crate::schema::value::Type;
use crate::schema::{Field, Schema, Support};
use crate::yaml::Entry;

/// What is noted on the way.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// What the object says of others.
    pub links: Links,
    /// Volumes that pods get beside those of their template: the claims of a stateful set.
    pub claim_volumes: Vec<String>,
    /// The name of a stateful set, which its pods' names begin with.
    pub stateful_set: Option<String>,
}

impl Context {
    /// Notes that an object needs the object that a value names.
    pub(crate) fn refer(&mut self, kind: &'static str, name: &Value<'_>, part: Part) {
        if let Some(text) = name.as_text() {
            self.refer_to(kind, text, part, name);
        }
    }

    /// Notes that an object needs another, or a part of it; a problem with that is told at `at`.
    pub(crate) fn refer_to(&mut self, kind: &'static str, name: &str, part: Part, at: &Value<'_>) {
        self.note(kind, name, part, at, false);
    }

    /// The same where `optional: true` could stand.
    pub(crate) fn refer_unless_optional(
        &mut self,
        kind: &'static str,
        name: &str,
        part: Part,
        at: &Value<'_>,
    ) {
        self.note(kind, name, part, at, true);
    }

    fn note(
        &mut self,
        kind: &'static str,
        name: &str,
        part: Part,
        at: &Value<'_>,
        can_be_optional: bool,
    ) {
        if !name.is_empty() {
            let (name, place) = (name.to_owned(), at.place());
            self.links.references.push(Reference { kind, name, part, can_be_optional, place });
        }
    }
}

/// Whether it is told what Dugout does with a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    Told,
    /// The whole is refused or without effect, which was told.
    Known,
}

/// Checks a value that must be an object of this type.
pub(crate) fn validate(
    value: &Value<'_>,
    schema: &'static Schema,
    effects: Effects,
    context: &mut Context,
) {
    let Some(view) = View::of(*value) else {
        value.fail(format!("must be a map, not {}", value.describe()));
        return;
    };
    for rule in schema.rules {
        rule(&view, context);
    }
    // One bit for each field that is there; a table has at most 64.
    let mut present = 0_u64;
    for entry in value.entries().unwrap_or_default() {
        match schema.position(&entry.key) {
            Some(_) if entry.node.is_null() => {}
            Some(index) => {
                present |= 1 << index;
                let field = &schema.fields[index];
                check_field(&value.member(field.name, &entry.node), entry, field, effects, context);
            }
            None => value.fail_as_unknown(entry, || schema.nearest(&entry.key)),
        }
    }
    for (index, field) in schema.fields.iter().enumerate() {
        if field.required && present & (1 << index) == 0 {
            value.fail_as_missing(field.name, "is required", None);
        }
    }
}

fn check_field(
    value: &Value<'_>,
    entry: &Entry<'_>,
    field: &'static Field,
    effects: Effects,
    context: &mut Context,
) {
    let (severity, why, harmless) = match field.support {
        Support::Acted | Support::Checked => return check_value(value, field, effects, context),
        Support::Notice { why, harmless } => (Severity::Notice, why, harmless),
        Support::Refused { why, harmless } => (Severity::Error, why, harmless),
    };
    if effects == Effects::Told && !value.is_harmless(harmless) {
        let message = match severity {
            Severity::Notice => why.to_owned(),
            Severity::Error => format!("is not supported: {why}"),
        };
        value.tell_at_key(entry, severity, message);
    }
    check_value(value, field, Effects::Known, context);
}

fn check_value(value: &Value<'_>, field: &'static Field, effects: Effects, context: &mut Context) {
    match field.value {
        Type::Any => {}
        Type::AnyMap => {
            if value.entries().is_none() {
                value.fail(format!("must be a map, not {}", value.describe()));
            }
        }
        Type::Text(format) => check_text(value, format, field.required),
        Type::Texts(format) => {
            each_item(value, field.required, |item| check_text(item, format, false))
        }
        Type::TextMap { keys, values } => check_text_map(value, keys, values),
        Type::Bool => {
            value.boolean();
        }
        Type::Int { lowest, highest } => {
            value.int(lowest, highest);
        }
        Type::Ints { lowest, highest } => {
            each_item(value, field.required, |item| {
                item.int(lowest, highest);
            });
        }
        Type::Mode => check_mode(value),
        Type::Number => {
            if !value.is_number() {
                value.fail(format!("must be a number, not {}", value.describe()));
            }
        }
        Type::Quantity => check_quantity(value),
        Type::Quantities => check_quantities(value),
        Type::IntOrPercent { highest_percent } => check_int_or_percent(value, highest_percent),
        Type::Port => check_port(value),
        Type::Object(schema) => validate(value, schema, effects, context),
        Type::Objects(schema) => {
            each_item(value, field.required, |item| validate(item, schema, effects, context));
            if !field.unique_by.is_empty() {
                check_unique(value, field.unique_by);
            }
        }
        Type::ObjectMap(schema) => value.each_entry(|_, item| {
            if !item.is_null() {
                validate(&item, schema, effects, context);
            }
        }),
    }
}

fn each_item(value: &Value<'_>, required: bool, mut check: impl FnMut(&Value<'_>)) {
    let Some(items) = value.items() else {
        value.fail(format!("must be a list, not {}", value.describe()));
        return;
    };
    if required && items.is_empty() {
        value.fail("must not be empty");
    }
    for (index, node) in items.iter().enumerate() {
        let item = value.item(index, node);
        if node.is_null() {
            item.fail_as_empty_item();
        } else {
            check(&item);
        }
    }
}

fn check_text(value: &Value<'_>, format: Format, required: bool) {
    let Some(text) = value.text() else { return };
    match format {
        Format::Free => {}
        _ if text.is_empty() && required => value.fail("must not be empty"),
        Format::Any => {}
        Format::Words(words) if text.is_empty() || words.contains(&text) => {}
        Format::Words(words) => {
            let message = format!("{} is not one of {}", value.quote(text), words.join(", "));
            match crate::schema::nearest(text, words.iter().copied()) {
                Some(word) => value.fail_with(message, format!("did you mean {word}?")),
                None => value.fail(message),
            }
        }
        // Kubernetes takes the empty text for "not set".
        Format::Rule { .. } | Format::Private { .. } if text.is_empty() => {}
        Format::Private { check, .. } => {
            if let Err(broken) = check(text) {
                value.fail(format!("the value {broken}"));
            }
        }
        Format::Rule { check, .. } => {
            if let Err(broken) = check(text) {
                value.fail(format!("{} {broken}", value.quote(text)));
            }
        }
    }
}

fn check_text_map(value: &Value<'_>, keys: Format, values: Format) {
    value.each_entry(|key, item| {
        if let Format::Rule { check, .. } = keys
            && let Err(broken) = check(key)
        {
            item.fail_key(format!("the key {} {broken}", quoted(key)), None);
        }
        if !item.is_null() {
            check_text(&item, values, false);
        }
    });
}

fn check_quantity(value: &Value<'_>) {
    let Some(text) = value.number_or_text() else { return };
    match Quantity::parse(text).and_then(Quantity::units) {
        Ok(_) => {}
        Err(NoQuantity::Malformed) => {
            let message = format!("{} is not a quantity", value.quote(text));
            value.fail_with(message, "write one like 250m, 0.5, 128Mi or 1Gi");
        }
        Err(NoQuantity::Negative) => {
            value.fail(format!("must not be negative, as {} is", value.quote(text)));
        }
        Err(NoQuantity::TooLarge) => value.fail(format!("{} is too large", value.quote(text))),
    }
}

fn check_quantities(value: &Value<'_>) {
    value.each_entry(|key, item| {
        if let Err(broken) = crate::names::check_qualified_name(key) {
            item.fail_key(format!("the key {} {broken}", quoted(key)), None);
        }
        if item.is_null() {
            item.fail_with(
                "must be a quantity, not empty",
                "write one like 250m, 0.5, 128Mi or 1Gi",
            );
        } else {
            check_quantity(&item);
        }
    });
}

fn check_int_or_percent(value: &Value<'_>, highest_percent: u32) {
    if value.is_number() {
        value.int(0, i32::MAX.into());
        return;
    }
    let Some(text) = value.text() else { return };
    let percent = text
        .strip_suffix('%')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u32>().ok());
    match percent {
        Some(percent) if percent <= highest_percent => {}
        Some(_) => value.fail(format!("must be at most {highest_percent}%, not {text}")),
        None => value.fail_with(
            format!("must be a whole number or a percentage, not {}", value.quote(text)),
            "write 1 or \"25%\"",
        ),
    }
}

/// Nine bits. Who forgets the zero that makes a number octal means another.
fn check_mode(value: &Value<'_>) {
    const HIGHEST: i64 = 0o777;
    match value.as_int() {
        Some(number) if !(0..=HIGHEST).contains(&number) => value.fail_with(
            format!("must be between 0 and 0777 in octal, which is {HIGHEST}, not {number}"),
            "write it with a zero before it, as 0644",
        ),
        _ => drop(value.int(0, HIGHEST)),
    }
}

fn check_port(value: &Value<'_>) {
    if value.is_number() {
        value.port();
        return;
    }
    let Some(name) = value.text() else { return };
    if name.parse::<u16>().is_ok() {
        value.fail_with("a port number must not be in quotes", format!("write {name}"));
    } else if let Err(broken) = crate::names::check_port_name(name) {
        value.fail(format!("{} {broken}", value.quote(name)));
    }
}

/// Tells items that say the same in one field.
fn check_unique(value: &Value<'_>, name: &'static str) {
    let mut seen = BTreeSet::new();
    for (index, node) in value.items().unwrap_or_default().iter().enumerate() {
        let item = value.item(index, node);
        let Some(view) = View::of(item) else { continue };
        if let Some(text) = view.text(name)
            && !seen.insert(text)
            && let Some(field) = view.get(name)
        {
            field.fail(format!("the {name} {} stands here twice", field.quote(text)));
        }
    }
}
