//! The stored form of the world's rows: one mirror "document" type per model type, with conversions
//! both ways. The model derives no serde, so its types can change shape freely; what is on disk
//! changes only when a document here does.
//!
//! A mirror names every field of its model type and takes it apart exhaustively, so a new field of
//! the model does not compile until it is stored.

mod basic;
mod job;
mod mirror;
mod node;
mod object;
mod pod;
mod release;
mod rollout;
mod security;
mod storage;
mod template;
mod volume;
mod workload;

pub(crate) use pod::ReplicaSetHead;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text;

/// A model type that has a stored form.
pub(crate) trait Stored: Sized {
    type Document: Serialize + DeserializeOwned;

    fn to_document(&self) -> Self::Document;
    fn from_document(document: Self::Document) -> Self;
}

/// The stored text of a value, fit for a `jsonb` column.
pub(crate) fn encode<T: Stored>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&value.to_document()).map(text::escape_json)
}

/// The value behind a stored text.
pub(crate) fn decode<T: Stored>(json: String) -> Result<T, serde_json::Error> {
    serde_json::from_str(&text::unescape_json(json)).map(T::from_document)
}
