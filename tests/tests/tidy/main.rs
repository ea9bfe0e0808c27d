//! The rules of the house that a program can check: sizes, purity, the rooms' arrows, dead files,
//! dead links, and names that dashboards rely on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod data;
mod rooms;
mod source;
mod tokens;
mod tree;

/// Fails with every place that breaks a rule, and what to do about it.
fn report(places: &[String], remedy: &str) {
    assert!(places.is_empty(), "\n{}\n{} to mend: {remedy}\n", places.join("\n"), places.len());
}
