//! YAML as kubectl reads it: a tree per document, with a line and a column at every node.
//!
//! The grammar is `granit-parser`'s; what stands here is what kubectl adds to it or forbids: YAML 1.1
//! booleans and numbers, merge keys, unique text keys, and limits that no file can get past.

use std::borrow::Cow;

mod compose;
mod json;
mod merge;
mod scalar;

pub(crate) use compose::{Dialect, Document, Documents};
pub(crate) use scalar::resolve_plain;

/// The largest file that is read.
pub const FILE_LIMIT_BYTES: usize = 32 << 20;
/// How many documents one file may hold.
pub const DOCUMENT_LIMIT: usize = 50_000;
/// How deep values may nest; nothing in Kubernetes comes near it.
pub const DEPTH_LIMIT: usize = 100;
/// How many values one document may hold.
pub const NODE_LIMIT: usize = 500_000;
/// How many bytes a file has for each value of a document at least, if those are more than
/// [`FEW_NODES`]: a value takes memory also where it is written with one letter. Manifests have 12 and
/// more.
pub(crate) const BYTES_PER_NODE: usize = 6;
/// So many values any document may hold.
pub(crate) const FEW_NODES: usize = 20_000;
/// How many values aliases and merge keys may copy, in one document.
pub const COPIED_NODE_LIMIT: usize = 20_000;
/// How many bytes of text aliases and merge keys may copy, in one document.
pub const COPIED_BYTE_LIMIT: usize = 1 << 20;

/// A place in a file, both one-based; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub line: u32,
    pub column: u32,
}

/// One value. Where it came by an alias, its position is that of the anchor's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node<'a> {
    pub at: Position,
    pub value: Value<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Scalar {
        /// As written, quotes and escapes resolved.
        text: Cow<'a, str>,
        kind: ScalarKind,
    },
    List(Vec<Node<'a>>),
    /// In the order of the file; each key once.
    Map(Vec<Entry<'a>>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    pub key: Cow<'a, str>,
    pub key_at: Position,
    pub node: Node<'a>,
}

/// What a scalar is, by kubectl's reading of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScalarKind {
    Null,
    Bool(bool),
    /// Also when it is written as a float, as `3.0`.
    Int(i64),
    /// A fraction, or a whole number that is too large.
    Float,
    Text,
}

impl Node<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar { kind: ScalarKind::Null, .. })
    }
}

#[cfg(test)]
mod tests;
