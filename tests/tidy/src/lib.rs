//! The rules of the house that a program can check: sizes, purity, the rooms' arrows, dead files,
//! dead links, and names that dashboards rely on.

//!
//! A package of its own: it needs none of the rooms, so it is quick, and it runs when one of them does
//! not build.

#![cfg(test)]

mod dashboards;
mod data;
mod rooms;
mod source;
mod tokens;
mod tree;

/// Fails with every place that breaks a rule, and what to do about it.
fn report(places: &[String], remedy: &str) {
    assert!(places.is_empty(), "\n{}\n{} to mend: {remedy}\n", places.join("\n"), places.len());
}
