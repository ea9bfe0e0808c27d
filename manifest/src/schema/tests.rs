//! The tables against themselves, and against Kubernetes' own types.

use std::collections::BTreeSet;

use super::*;

mod random;
mod upstream;

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

#[test]
fn edit_distance_counts_the_four_mistakes() {
    assert_eq!(edit_distance("image", "image"), 0);
    assert_eq!(edit_distance("imag", "image"), 1);
    assert_eq!(edit_distance("imagee", "image"), 1);
    assert_eq!(edit_distance("imafe", "image"), 1);
    assert_eq!(edit_distance("imgae", "image"), 1);
    assert_eq!(edit_distance("", "image"), 5);
}

/// Calls `look` with each table that can be reached, once.
fn each_table(mut look: impl FnMut(&'static Schema)) {
    let mut waiting: Vec<&Schema> = KINDS.iter().filter_map(|entry| entry.schema).collect();
    let mut seen = BTreeSet::new();
    while let Some(schema) = waiting.pop() {
        if seen.insert(schema.name) {
            look(schema);
            waiting.extend(schema.fields.iter().filter_map(|field| field.value.schema()));
        }
    }
}

/// The walk keeps one bit for each field.
#[test]
fn tables_are_small_and_name_nothing_twice() {
    each_table(|schema| {
        let mut names: Vec<&str> = schema.fields.iter().map(|field| field.name).collect();
        assert!(names.len() <= 64, "{}", schema.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", schema.name);
    });
    let mut kinds: Vec<_> = KINDS.iter().map(|entry| (entry.api_version, entry.kind)).collect();
    kinds.extend(REMOVED.iter().map(|removed| (removed.api_version, removed.kind)));
    kinds.extend(GONE.iter().map(|(version, kind, _)| (*version, *kind)));
    kinds.sort_unstable();
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]));
    for entry in KINDS {
        if let Handling::Acted(kind) = entry.handling {
            assert_eq!(kind.as_str(), entry.kind);
        }
    }
}

/// What Dugout acts on is told field by field: none may only be checked, or it would be ignored.
#[test]
fn every_field_of_what_is_acted_on_has_an_outcome() {
    fn check(schema: &'static Schema, path: &str, seen: &mut BTreeSet<&'static str>) {
        if !seen.insert(schema.name) {
            return;
        }
        for field in schema.fields {
            let path = format!("{path}.{}", field.name);
            match field.support {
                Support::Checked => panic!("{path} is acted on and has no outcome"),
                Support::Acted => {
                    if let Some(inner) = field.value.schema() {
                        check(inner, &path, seen);
                    }
                }
                Support::Notice { .. } | Support::Refused { .. } => {}
            }
        }
    }
    let mut seen = BTreeSet::new();
    for entry in KINDS {
        if let (Handling::Acted(_), Some(schema)) = (&entry.handling, entry.schema) {
            check(schema, entry.kind, &mut seen);
        }
    }
    assert!(seen.contains("Probe"), "{seen:?}");
}
