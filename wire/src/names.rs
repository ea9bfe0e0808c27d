//! Names that enter through the protocol.

use std::net::IpAddr;

use dugout_model::{ImageDigest, NodeName};

use crate::WireError;

/// The longest node name: it becomes a label value and part of container names.
const MAX_NODE_NAME: usize = 63;

/// A node name: a DNS subdomain, as Kubernetes asks, of at most 63 characters.
pub fn parse_node_name(text: &str) -> Result<NodeName, WireError> {
    let refuse = |rule| Err(WireError::NodeName { text: text.to_owned(), rule });
    if text.is_empty() || text.len() > MAX_NODE_NAME {
        return refuse("it must have 1 to 63 characters");
    }
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
    };
    if !text.bytes().all(allowed) {
        return refuse("only a-z, 0-9, '-' and '.' may be in it");
    }
    let whole = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if !text.split('.').all(whole) {
        return refuse("each part between dots must begin and end with a letter or a digit");
    }
    Ok(NodeName::new(text))
}

/// An IP address in a field of a message.
pub(crate) fn parse_address(field: &'static str, text: &str) -> Result<IpAddr, WireError> {
    text.parse().map_err(|_| WireError::Address { field, text: text.to_owned() })
}

/// The digest of an image in a field of a message.
pub(crate) fn parse_digest(
    field: &'static str,
    text: Option<String>,
) -> Result<Option<ImageDigest>, WireError> {
    let parse = |text: String| ImageDigest::parse(&text).ok_or(WireError::Digest { field, text });
    text.map(parse).transpose()
}

pub(crate) fn digest_text(digest: Option<&ImageDigest>) -> Option<String> {
    digest.map(|digest| digest.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_subdomain_is_a_node_name() {
        for name in ["a", "node-1", "host.example", "0", &"a".repeat(63)] {
            assert_eq!(parse_node_name(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_rule() {
        for name in ["", "-a", "a-", "a..b", "A", "a/b", "ä", "a b", "../x", &"a".repeat(64)] {
            assert!(parse_node_name(name).is_err(), "{name:?}");
        }
    }
}
