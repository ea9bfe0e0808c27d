//! What Dugout does with every field of the Kubernetes objects it reads, as tables.
//!
//! The tables are the only list of known fields: the reader finds unknown fields by them, decoders get
//! at a field only through them, and `docs/compatibility.md` is written from them.

mod kinds;
mod metadata;
mod pod;
mod service;
mod workload;

pub(crate) use kinds::{Handling, KINDS, KindEntry, REMOVED};
pub(crate) use metadata::{OBJECT_METADATA, TEMPLATE_METADATA};

/// The fields of one Kubernetes type.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The type's name in Kubernetes' reference.
    pub name: &'static str,
    /// All of them: what is not here does not exist. At most 64.
    pub fields: &'static [Field],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub support: Support,
    /// The type of the value, or of the items of the list that it is.
    pub inner: Option<&'static Schema>,
}

/// What Dugout does with a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    Acted {
        required: bool,
    },
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

/// A field that Dugout acts on.
pub(crate) const fn acted(name: &'static str) -> Field {
    Field { name, support: Support::Acted { required: false }, inner: None }
}

/// A field that Dugout acts on, and that must be there.
pub(crate) const fn required(name: &'static str) -> Field {
    Field { name, support: Support::Acted { required: true }, inner: None }
}

/// A field that has no effect here. Both `why` sentences follow the field's name and a colon.
pub(crate) const fn notice(name: &'static str, why: &'static str) -> Field {
    Field { name, support: Support::Notice { why, harmless: &[] }, inner: None }
}

/// A field that Dugout cannot honour.
pub(crate) const fn refused(name: &'static str, why: &'static str) -> Field {
    Field { name, support: Support::Refused { why, harmless: &[] }, inner: None }
}

impl Field {
    pub(crate) const fn of(mut self, inner: &'static Schema) -> Field {
        self.inner = Some(inner);
        self
    }

    /// Values that mean the same as leaving the field out. Empty lists, maps and null always do.
    pub(crate) const fn unless(mut self, values: &'static [&'static str]) -> Field {
        self.support = match self.support {
            Support::Notice { why, .. } => Support::Notice { why, harmless: values },
            Support::Refused { why, .. } => Support::Refused { why, harmless: values },
            acted => acted,
        };
        self
    }
}

impl Schema {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_the_name_that_was_meant() {
        let names = || ["replicas", "selector", "template", "minReadySeconds", "image"].into_iter();
        assert_eq!(nearest("replica", names()), Some("replicas"));
        assert_eq!(nearest("Replicas", names()), Some("replicas"));
        assert_eq!(nearest("min_ready_seconds", names()), Some("minReadySeconds"));
        assert_eq!(nearest("imgae", names()), Some("image"));
        assert_eq!(nearest("volumes", names()), None);
        assert_eq!(nearest(&"x".repeat(100_000), names()), None);
    }

    /// The reader keeps one bit for each field.
    #[test]
    fn tables_are_small_and_name_nothing_twice() {
        fn check(schema: &'static Schema) {
            let mut names: Vec<&str> = schema.fields.iter().map(|field| field.name).collect();
            assert!(names.len() <= 64, "{}", schema.name);
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", schema.name);
            schema.fields.iter().filter_map(|field| field.inner).for_each(check);
        }
        let mut kinds = Vec::new();
        for entry in KINDS {
            kinds.push((entry.api_version, entry.kind));
            if let Handling::Read { kind, schema } = &entry.handling {
                assert_eq!(kind.as_str(), entry.kind);
                check(schema);
            }
        }
        kinds.extend(REMOVED.iter().map(|removed| (removed.api_version, removed.kind)));
        kinds.sort_unstable();
        assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn edit_distance_counts_the_four_mistakes() {
        assert_eq!(edit_distance("image", "image"), 0);
        assert_eq!(edit_distance("imag", "image"), 1);
        assert_eq!(edit_distance("imagee", "image"), 1);
        assert_eq!(edit_distance("imafe", "image"), 1);
        assert_eq!(edit_distance("imgae", "image"), 1);
        assert_eq!(edit_distance("", "image"), 5);
    }
}
