//! The identity of everything that a commit declares: a hash over its objects, whatever they are and
//! wherever in its files they stand.
//!
//! It is taken over the form in which the types print themselves for debugging, so no field can be
//! forgotten. Only secrets print nothing of their content; that is added. If a later version prints
//! something otherwise, the same content has another identity, and is tried once more; no harm is done.

use std::fmt::{self, Write};

use dugout_model::{ContentHash, DeclaredObject, ObjectSpec};
use sha2::{Digest, Sha256};

/// SHA-256 over objects in the order of their identities, in hexadecimal.
pub(crate) fn hash<'a>(objects: impl Iterator<Item = &'a DeclaredObject>) -> ContentHash {
    let mut sink = Sink(Sha256::new());
    for object in objects {
        sink.object(object);
    }
    ContentHash::new(hex::encode(sink.0.finalize()))
}

struct Sink(Sha256);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Sink {
    fn object(&mut self, object: &DeclaredObject) {
        let DeclaredObject { key, labels, annotations, spec, policy, written: _, origin: _ } =
            object;
        self.print(&(key, labels, annotations, policy));
        self.print(spec);
        if let ObjectSpec::Secret(secret) = spec {
            for value in secret.data.values() {
                let bytes = value.expose();
                self.print(&bytes.len());
                self.0.update(bytes);
            }
        }
    }

    fn print(&mut self, value: &dyn fmt::Debug) {
        // This sink takes everything. Lines do not run into each other: texts are printed with escapes.
        let _ = writeln!(self, "{value:?}");
    }
}

#[cfg(test)]
mod tests {

    use dugout_model::{ObjectKey, ObjectPolicy, Origin, Secret, SecretValue, StringMap};

    use super::*;

    fn secret(value: &str, line: u32) -> DeclaredObject {
        DeclaredObject {
            key: ObjectKey::new("demo", "keys"),
            labels: StringMap::default(),
            annotations: StringMap::default(),
            policy: ObjectPolicy::default(),
            written: None,
            origin: Origin { file: "keys.yaml".into(), line },
            spec: ObjectSpec::Secret(Secret {
                secret_type: "Opaque".to_owned(),
                data: [("key".to_owned(), SecretValue::new(value))].into_iter().collect(),
                immutable: false,
            }),
        }
    }

    #[test]
    fn a_secret_counts_and_where_it_stands_does_not() {
        let of = |value, line| hash([&secret(value, line)].into_iter());
        assert_eq!(of("one", 1), of("one", 2));
        assert_ne!(of("one", 1), of("two", 1));
    }
}
