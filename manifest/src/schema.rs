//! Every field of the Kubernetes objects that teams write, and what Dugout does with each, as tables.
//!
//! The tables are the only list of known fields. `validate` walks a document by them and finds unknown
//! fields, wrong values and what is missing; decoders get at a field only through them; and
//! `docs/compatibility.md` is written from them. A test compares them with Kubernetes' own types.

mod access;
mod batch;
mod config;
mod container;
mod extension;
pub(crate) mod format;
mod kinds;
mod metadata;
mod network;
mod placement;
mod pod;
mod policy;
mod remote_volume;
mod security;
mod service;
mod source;
mod storage;
#[cfg(test)]
mod tests;
pub(crate) mod value;
mod volume;
mod workload;

pub(crate) use kinds::{GONE, Handling, KINDS, KindEntry, REMOVED, Scope, find_kind};
pub(crate) use placement::PLACEMENT;
pub(crate) use policy::SCOPES;

use crate::validate::{Context, View};
use metadata::OBJECT_METADATA;
use value::{Type, object, words};

/// The fields of one Kubernetes type.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The type's name in Kubernetes' reference.
    pub name: &'static str,
    /// All of them: what is not here does not exist. At most 64.
    pub fields: &'static [Field],
    /// What fields say about each other. They run before the fields are looked at.
    pub rules: &'static [Rule],
}

/// Tells what is wrong between the fields of an object, and notes what it says about other objects.
/// A value of the wrong type counts as absent: the table tells it.
pub(crate) type Rule = fn(&View<'_>, &mut Context);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub value: Type,
    /// It must be there, and texts and lists must not be empty.
    pub required: bool,
    /// Items of the list must differ in this field; empty where they need not.
    pub unique_by: &'static str,
    pub support: Support,
    /// Of a field that is acted on: which of its values are not, for a person to read. Empty for most.
    pub except: &'static str,
}

/// What Dugout does with a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    /// Only ever part of something that is refused or without effect, which is told of that.
    Checked,
    Acted,
    /// Accepted, and a notice says that it has no effect.
    Notice {
        why: &'static str,
        harmless: &'static [&'static str],
    },
    /// An error, because leaving it out would change what the object means.
    Refused {
        why: &'static str,
        harmless: &'static [&'static str],
    },
}

pub(crate) const fn table(name: &'static str, fields: &'static [Field]) -> Schema {
    Schema { name, fields, rules: &[] }
}

const fn field(name: &'static str, value: Type, support: Support) -> Field {
    Field { name, value, required: false, unique_by: "", support, except: "" }
}

/// A field that is checked, and means nothing of its own to Dugout yet.
pub(crate) const fn checked(name: &'static str, value: Type) -> Field {
    field(name, value, Support::Checked)
}

/// A field that Dugout acts on.
pub(crate) const fn acted(name: &'static str, value: Type) -> Field {
    field(name, value, Support::Acted)
}

/// A field that has no effect here. Both `why` sentences follow the field's name and a colon.
pub(crate) const fn notice(name: &'static str, value: Type, why: &'static str) -> Field {
    field(name, value, Support::Notice { why, harmless: &[] })
}

/// A field that Dugout cannot honour.
pub(crate) const fn refused(name: &'static str, value: Type, why: &'static str) -> Field {
    field(name, value, Support::Refused { why, harmless: &[] })
}

/// What every object begins with. Both words are read before its table is chosen.
const API_VERSION: Field = acted("apiVersion", value::TEXT).required();
const KIND: Field = acted("kind", value::TEXT).required();
const METADATA: Field = acted("metadata", object(&OBJECT_METADATA)).required();
const STATUS: Field =
    notice("status", Type::AnyMap, "has no effect: a status is seen, not declared; remove it");

impl Field {
    pub(crate) const fn required(mut self) -> Field {
        self.required = true;
        self
    }

    /// No two items of the list may have the same text in this field.
    const fn unique_by(mut self, name: &'static str) -> Field {
        self.unique_by = name;
        self
    }

    /// Names the values that its decoder refuses.
    const fn except(mut self, values: &'static str) -> Field {
        self.except = values;
        self
    }

    /// Values that mean the same as leaving the field out. Empty lists, maps and null always do.
    const fn unless(mut self, values: &'static [&'static str]) -> Field {
        self.support = match self.support {
            Support::Notice { why, .. } => Support::Notice { why, harmless: values },
            Support::Refused { why, .. } => Support::Refused { why, harmless: values },
            other => other,
        };
        self
    }
}

impl Schema {
    const fn with(mut self, rules: &'static [Rule]) -> Schema {
        self.rules = rules;
        self
    }

    /// The place of a field in the table.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The known field whose name is nearest to a wrong one, if one is near.
    pub(crate) fn nearest(&self, wrong: &str) -> Option<&'static str> {
        nearest(wrong, self.fields.iter().map(|field| field.name))
    }
}

/// The name that a typing mistake most likely meant.
pub(crate) fn nearest(
    wrong: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // Longer than any name: not worth the comparing.
    if wrong.len() > 64 {
        return None;
    }
    let folded = wrong.to_ascii_lowercase().replace(['-', '_'], "");
    let limit = (wrong.chars().count() / 3).max(1);
    names
        .map(|name| {
            let distance = if name.to_ascii_lowercase() == folded {
                0
            } else {
                edit_distance(&folded, &name.to_ascii_lowercase())
            };
            (distance, name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// How many characters must be added, removed, replaced or swapped with their neighbour.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let mut best = (last[column] + usize::from(a != b))
                .min(last[column + 1] + 1)
                .min(line[column] + 1);
            let swapped = row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut last, line);
    }
    last[to.len()]
}
