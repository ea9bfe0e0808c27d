//! Image references: whether one is well formed, and what pull policy follows from it.

use dugout_model::PullPolicy;

/// The policy of an image whose manifest names none: images without a tag, or with `latest`, may
/// change, all others are taken as they are.
pub(crate) fn default_pull_policy(reference: &str) -> PullPolicy {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    match (tag_of(name), digest) {
        (Some("latest"), _) | (None, None) => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    }
}

/// What follows the colon in the last part.
fn tag_of(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map(|(_, tag)| tag)
}

/// Checks `[host[:port]/]path[:tag][@digest]`. Gives what is wrong, as the end of a sentence.
pub(crate) fn check(reference: &str) -> Result<(), &'static str> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("has a malformed digest; it is an algorithm, a colon and hexadecimal digits");
    }
    let tag = tag_of(name);
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "has a malformed tag; a tag is up to 128 letters, digits, dashes, dots and underscores",
        );
    }
    let path = match tag {
        Some(tag) => &name[..name.len() - tag.len() - 1],
        None => name,
    };
    let path = match path.split_once('/') {
        Some((host, rest)) if is_host(host) => rest,
        _ => path,
    };
    if path.len() > 255 || !path.split('/').all(is_path_part) {
        return Err(
            "is not a well-formed image name; it is lower-case parts between slashes, then a colon and a tag",
        );
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
            && (32..=128).contains(&hex.len())
            && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

/// Whether the first part is a host and not a part of the path, by the engines' rule.
fn is_host(text: &str) -> bool {
    let host = text == "localhost"
        || text.contains(['.', ':', '['])
        || text.bytes().any(|byte| byte.is_ascii_uppercase());
    host && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// Letters and digits, with single dots, one or two underscores or any number of dashes between.
fn is_path_part(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().last().is_some_and(alphanumeric);
    ends && text
        .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
        .all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_references_pass_and_others_do_not() {
        let digest = format!("web@sha256:{}", "a".repeat(64));
        for good in [
            "web",
            "web:1.0",
            "team/web:v1_2-x",
            "localhost/web",
            "registry.example:5000/a/b:x",
            "a--b/c__d",
            &digest,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "Web",
            "web:",
            "web:a b",
            " web",
            "web@sha256:1",
            "a//b",
            "/a",
            "a/",
            "http://example/web",
            "web:1:2",
            "we b",
            "${IMAGE}",
            "web___x",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_may_change_is_always_pulled() {
        let digest = format!("web@sha256:{}", "a".repeat(64));
        assert_eq!(default_pull_policy("web"), PullPolicy::Always);
        assert_eq!(default_pull_policy("web:latest"), PullPolicy::Always);
        assert_eq!(default_pull_policy("registry:5000/web"), PullPolicy::Always);
        assert_eq!(default_pull_policy("web:1.0"), PullPolicy::IfNotPresent);
        assert_eq!(default_pull_policy(&digest), PullPolicy::IfNotPresent);
    }
}
