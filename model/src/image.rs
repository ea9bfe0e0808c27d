//! How images are named, and the digests that their tags stood for.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Container, PullPolicy};

/// What a tag stood for when a release first took it: a registry's name for one image and no other, as
/// `sha256:…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ImageDigest(Box<str>);

impl ImageDigest {
    /// The longest that is taken: of SHA-512, with room to spare.
    const MAX_BYTES: usize = 256;

    /// An algorithm and what it gives in hexadecimal digits, as the image specification writes it; `None`
    /// where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, encoded) = text.split_once(':')?;
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_digest = text.len() <= Self::MAX_BYTES
            && !algorithm.is_empty()
            && algorithm.bytes().all(is_word)
            && encoded.len() >= 32
            && encoded.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(text.into()))
    }

    /// One that was parsed when it came in.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The digest in a reference such as `web@sha256:…`.
    pub fn of_reference(reference: &str) -> Option<Self> {
        Self::parse(reference.split_once('@')?.1)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first digits, for people.
    pub fn short(&self) -> &str {
        const DIGITS: usize = 12;
        let at = self.0.find(':').map_or(0, |at| at + 1 + DIGITS);
        self.0.get(..at).unwrap_or(&self.0)
    }

    /// The image of this digest in the repository that a name with or without a tag is of.
    pub fn reference(&self, image: &str) -> String {
        format!("{}@{}", repository(image), self.0)
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The digests of images that are named otherwise, by the name as the manifest writes it.
pub type ImagePins = BTreeMap<String, ImageDigest>;

/// A name without its tag and digest.
pub fn repository(image: &str) -> &str {
    let bare = image.split('@').next().unwrap_or_default();
    match bare.rsplit_once(':') {
        // A port of the registry is followed by a path.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => bare,
    }
}

/// Whether what a container runs depends on when its image is asked for: one that is named by its digest is
/// always the same, and one that is never pulled is whatever its node has.
pub fn takes_pin<E>(container: &Container<E>) -> bool {
    container.pull_policy != PullPolicy::Never && !container.image.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_an_algorithm_and_digits_and_nothing_else() {
        let text = format!("sha256:{}", "0a".repeat(32));
        let digest = ImageDigest::parse(&text).unwrap();
        assert_eq!(digest.as_str(), text);
        assert_eq!(digest.short(), "sha256:0a0a0a0a0a0a");
        let long = format!("sha256:{}", "0".repeat(300));
        for bad in ["", "sha256:", "sha256:xyz", "latest", ":0000", &text[..20], &long] {
            assert_eq!(ImageDigest::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        let digest = ImageDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
        for (image, expected) in [
            ("web", "web"),
            ("web:1", "web"),
            ("team/web:1", "team/web"),
            ("r.example.com:5000/team/web", "r.example.com:5000/team/web"),
            ("r.example.com:5000/web:1", "r.example.com:5000/web"),
            ("web:1@sha256:11", "web"),
        ] {
            let reference = digest.reference(image);
            assert_eq!(reference, format!("{expected}@{digest}"));
            assert_eq!(ImageDigest::of_reference(&reference), Some(digest.clone()));
        }
    }
}
