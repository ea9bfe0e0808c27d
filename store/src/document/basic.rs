//! The stored form of plain values: names as text, ids as UUIDs, moments as microseconds, secret and
//! binary bytes as base64, collections as collections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use dugout_model::{
    CommitSha, ContentHash, EngineId, ImageDigest, JobUid, NamespaceName, NodeName, ObjectName,
    ObjectUid, PodUid, ReleaseId, ReplicaSetUid, SecretValue, SortedMap, SourceName, TemplateHash,
    Timestamp, Turn, VolumeUid,
};

use super::Stored;

macro_rules! stored_as_itself {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            type Document = $type;

            fn to_document(&self) -> $type {
                self.clone()
            }

            fn from_document(document: $type) -> Self {
                document
            }
        }
    )*};
}

macro_rules! stored_as_text {
    ($($type:ident),*) => {$(
        impl Stored for $type {
            type Document = String;

            fn to_document(&self) -> String {
                self.as_str().to_owned()
            }

            fn from_document(document: String) -> Self {
                $type::new(document)
            }
        }
    )*};
}

macro_rules! stored_as_inner {
    ($($type:ident($inner:ty)),*) => {$(
        impl Stored for $type {
            type Document = $inner;

            fn to_document(&self) -> $inner {
                self.0
            }

            fn from_document(document: $inner) -> Self {
                $type(document)
            }
        }
    )*};
}

stored_as_itself!(String, bool, u16, u32, u64, i64, Duration, IpAddr, Uuid);
stored_as_text!(
    CommitSha,
    ContentHash,
    EngineId,
    ImageDigest,
    NamespaceName,
    NodeName,
    ObjectName,
    SourceName,
    TemplateHash
);
stored_as_inner!(
    JobUid(Uuid),
    ObjectUid(Uuid),
    PodUid(Uuid),
    ReplicaSetUid(Uuid),
    ReleaseId(u64),
    Turn(u64),
    VolumeUid(Uuid)
);

impl Stored for Timestamp {
    type Document = i64;

    fn to_document(&self) -> i64 {
        self.as_micros()
    }

    fn from_document(document: i64) -> Self {
        Timestamp::from_micros(document)
    }
}

/// Bytes, written as base64.
pub(crate) struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The decoder's own message could quote a byte of a secret.
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Base64).map_err(|_| D::Error::custom("bytes are not base64"))
    }
}

impl Stored for SecretValue {
    type Document = Base64;

    fn to_document(&self) -> Base64 {
        Base64(self.expose().to_vec())
    }

    fn from_document(document: Base64) -> Self {
        SecretValue::new(document.0)
    }
}

impl Stored for Vec<u8> {
    type Document = Base64;

    fn to_document(&self) -> Base64 {
        Base64(self.clone())
    }

    fn from_document(document: Base64) -> Self {
        document.0
    }
}

impl<T: Stored> Stored for Option<T> {
    type Document = Option<T::Document>;

    fn to_document(&self) -> Self::Document {
        self.as_ref().map(T::to_document)
    }

    fn from_document(document: Self::Document) -> Self {
        document.map(T::from_document)
    }
}

impl Stored for Arc<[u8]> {
    type Document = Base64;

    fn to_document(&self) -> Base64 {
        Base64(self.to_vec())
    }

    fn from_document(document: Base64) -> Self {
        document.0.into()
    }
}

impl<T: Stored> Stored for Arc<[T]> {
    type Document = Vec<T::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(Stored::to_document).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document.into_iter().map(Stored::from_document).collect()
    }
}

impl<T: Stored> Stored for Box<[T]> {
    type Document = Vec<T::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(T::to_document).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document.into_iter().map(T::from_document).collect()
    }
}

impl<T: Stored> Stored for Vec<T> {
    type Document = Vec<T::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(T::to_document).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document.into_iter().map(T::from_document).collect()
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    type Document = Vec<T::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(T::to_document).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document.into_iter().map(T::from_document).collect()
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V>
where
    K::Document: Ord,
{
    type Document = BTreeMap<K::Document, V::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(|(key, value)| (key.to_document(), value.to_document())).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document
            .into_iter()
            .map(|(key, value)| (K::from_document(key), V::from_document(value)))
            .collect()
    }
}

impl<V: Stored> Stored for SortedMap<V> {
    type Document = BTreeMap<String, V::Document>;

    fn to_document(&self) -> Self::Document {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_document())).collect()
    }

    fn from_document(document: Self::Document) -> Self {
        document.into_iter().map(|(key, value)| (key, V::from_document(value))).collect()
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    type Document = (A::Document, B::Document);

    fn to_document(&self) -> Self::Document {
        (self.0.to_document(), self.1.to_document())
    }

    fn from_document(document: Self::Document) -> Self {
        (A::from_document(document.0), B::from_document(document.1))
    }
}

impl Stored for Arc<str> {
    type Document = String;

    fn to_document(&self) -> String {
        self.to_string()
    }

    fn from_document(document: String) -> Self {
        document.into()
    }
}

impl<T: Stored> Stored for Arc<T> {
    type Document = T::Document;

    fn to_document(&self) -> Self::Document {
        T::to_document(self)
    }

    fn from_document(document: Self::Document) -> Self {
        Arc::new(T::from_document(document))
    }
}

impl<T: Stored> Stored for Box<T> {
    type Document = T::Document;

    fn to_document(&self) -> Self::Document {
        T::to_document(self)
    }

    fn from_document(document: Self::Document) -> Self {
        Box::new(T::from_document(document))
    }
}
