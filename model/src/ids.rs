//! Every name and id, each a type of its own, so that one cannot be passed for another.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Makes a cheap-to-clone text name. Whether the text is valid is decided where it enters
/// (`manifest` for objects, the agent protocol for nodes), not here.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

/// Makes an id that is a UUID.
macro_rules! uid {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub Uuid);

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

name!(
    /// A Git object id of a commit, in lower-case hexadecimal.
    CommitSha
);
name!(
    /// The identity of one container engine. Agents that share an engine share its pod addresses.
    EngineId
);
name!(
    /// A Kubernetes namespace.
    NamespaceName
);
name!(
    /// The name of one agent in the cluster.
    NodeName
);
name!(
    /// `metadata.name` of an object.
    ObjectName
);
name!(
    /// The name of a source: one Git repository, branch and path.
    SourceName
);
name!(
    /// The identity of a resolved pod template, its configuration's content included.
    TemplateHash
);
name!(
    /// The identity of all that a commit declares.
    ContentHash
);

uid!(
    /// The cluster; made once, with the database.
    ClusterId
);
uid!(
    /// One run of a job.
    JobUid
);
uid!(
    /// A declared object, from its first appearance in Git until it leaves Git.
    ObjectUid
);
uid!(
    /// A pod. A pod is one shot: it never changes node; its replacement is another pod.
    PodUid
);
uid!(
    /// A replica set.
    ReplicaSetUid
);
uid!(
    /// The volume of a claim.
    VolumeUid
);

impl CommitSha {
    /// The first characters, as Git shows them.
    pub fn short(&self) -> &str {
        self.as_str().get(..8).unwrap_or(self.as_str())
    }
}

/// A stream of ids that a seed determines, so that a plan can be made again byte for byte.
#[derive(Clone, Debug)]
pub struct IdSource {
    state: u64,
}

impl IdSource {
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits (SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A version 4 UUID.
    pub fn next_uuid(&mut self) -> Uuid {
        let high = u128::from(self.next_u64());
        let low = u128::from(self.next_u64());
        uuid::Builder::from_u128((high << 64) | low)
            .with_version(uuid::Version::Random)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
    }

    /// Five characters for a pod's name, from the alphabet that Kubernetes uses (no vowels and no
    /// look-alikes).
    pub fn next_suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.next_u64();
        (0..5)
            .map(|_| {
                let index = (bits % ALPHABET.len() as u64) as usize;
                bits /= ALPHABET.len() as u64;
                char::from(ALPHABET[index])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_every_id() {
        let (mut a, mut b) = (IdSource::from_seed(7), IdSource::from_seed(7));
        assert_eq!(a.next_uuid(), b.next_uuid());
        assert_eq!(a.next_suffix(), b.next_suffix());
        assert_ne!(a.next_uuid(), a.next_uuid());
    }
}
