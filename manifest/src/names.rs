//! Kubernetes' rules for names, labels and keys. Each gives the rule that was broken, as the end of a
//! sentence that begins with the name.

/// A DNS label: the name of a namespace, a container, a port of a service.
pub(crate) fn check_label(text: &str) -> Result<(), &'static str> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = |byte: u8| alphanumeric(byte) || byte == b'-';
    let ends = text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().last().is_some_and(alphanumeric);
    if text.len() <= 63 && ends && text.bytes().all(inside) {
        return Ok(());
    }
    Err(
        "must be 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
    )
}

/// The name of a service: a DNS label that begins with a letter.
pub(crate) fn check_service_name(text: &str) -> Result<(), &'static str> {
    if check_label(text).is_ok() && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Ok(());
    }
    Err(
        "must be 1 to 63 lower-case letters, digits and dashes, with a letter first and a letter or digit last",
    )
}

/// A DNS subdomain: the name of most objects.
pub(crate) fn check_subdomain(text: &str) -> Result<(), &'static str> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().next().is_some_and(alphanumeric)
            && part.bytes().last().is_some_and(alphanumeric)
            && part.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
    };
    if text.len() <= 253 && text.split('.').all(part) {
        return Ok(());
    }
    Err(
        "must be 1 to 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends of each part",
    )
}

/// The name of a container's port.
pub(crate) fn check_port_name(text: &str) -> Result<(), &'static str> {
    let lower = |byte: u8| byte.is_ascii_lowercase();
    let alphanumeric = |byte: u8| lower(byte) || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().last().is_some_and(alphanumeric);
    if text.len() <= 15
        && ends
        && text.bytes().any(lower)
        && text.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
        && !text.contains("--")
    {
        return Ok(());
    }
    Err(
        "must be 1 to 15 lower-case letters, digits and single dashes, with at least one letter and no dash at an end",
    )
}

/// The key of an annotation: Kubernetes allows upper case in its prefix, and only there.
pub(crate) fn check_annotation_key(text: &str) -> Result<(), &'static str> {
    match text.split_once('/') {
        Some((prefix, _)) if prefix.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            check_qualified_name(&text.to_ascii_lowercase())
        }
        _ => check_qualified_name(text),
    }
}

/// A name that becomes a part of a path, as those of roles, which may hold colons.
pub(crate) fn check_path_segment(text: &str) -> Result<(), &'static str> {
    if matches!(text, "." | "..") || text.contains(['/', '%']) {
        return Err("must not be . or .. and must not contain / or %");
    }
    Ok(())
}

/// A DNS name that may end with a dot, as in a search list.
pub(crate) fn check_dns_search(text: &str) -> Result<(), &'static str> {
    match text {
        "." => Ok(()),
        _ => check_subdomain(text.strip_suffix('.').unwrap_or(text)),
    }
}

/// The host of an ingress: a DNS name whose first part may be a star, and no address.
pub(crate) fn check_ingress_host(text: &str) -> Result<(), &'static str> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err("must be a DNS name, not an address");
    }
    match text.strip_prefix("*.") {
        Some(rest) if rest.contains('*') => Err("may have one star, as its whole first part"),
        Some(rest) => check_subdomain(rest),
        None => check_subdomain(text),
    }
}

/// The controller of an ingress class: a DNS name, a slash and a path.
pub(crate) fn check_controller(text: &str) -> Result<(), &'static str> {
    let sound = text.len() <= 250
        && text.split_once('/').is_some_and(|(domain, path)| {
            check_subdomain(domain).is_ok()
                && !path.is_empty()
                && path.split('/').all(is_label_text)
        });
    if sound { Ok(()) } else { Err("must be a DNS name, a slash and a path, as example.com/name") }
}

/// The name of a webhook: a DNS name of at least three parts.
pub(crate) fn check_webhook_name(text: &str) -> Result<(), &'static str> {
    check_subdomain(text)?;
    if text.split('.').count() >= 3 {
        return Ok(());
    }
    Err("must have at least three parts between dots, as name.example.com")
}

/// The key of a label or an annotation: a name with an optional DNS prefix.
///
/// # Errors
/// What is wrong with it.
pub fn check_qualified_name(text: &str) -> Result<(), &'static str> {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if check_subdomain(prefix).is_err() {
                return Err("must have a DNS name before its /, as in example.com/name");
            }
            name
        }
        None => text,
    };
    if is_label_text(name) {
        return Ok(());
    }
    Err(
        "must be 1 to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends, after an optional DNS name and /",
    )
}

/// The value of a label.
///
/// # Errors
/// What is wrong with it.
pub fn check_label_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || is_label_text(text) {
        return Ok(());
    }
    Err(
        "must be empty or up to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends",
    )
}

fn is_label_text(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().last().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || b"-._".contains(&byte))
}

/// A key in a config map or secret.
pub(crate) fn check_config_key(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=253).contains(&text.len())
        && text.bytes().all(allowed)
        && text != "."
        && !text.starts_with("..")
    {
        return Ok(());
    }
    Err(
        "must be 1 to 253 letters, digits, dashes, dots and underscores, and neither . nor begin with ..",
    )
}

/// The name of an environment variable.
pub(crate) fn check_variable(text: &str) -> Result<(), &'static str> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    if !text.is_empty() && text.bytes().all(printable) {
        return Ok(());
    }
    Err("must be printable ASCII characters other than =")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Result<(), &'static str>;

    fn all(check: Check, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_follow_kubernetes_rules() {
        let long = "a".repeat(64);
        all(check_label, &["a", "0", "web-1"], &["", "-a", "a-", "A", "a.b", "a_b", "ä", &long]);
        all(check_service_name, &["a", "web-1"], &["1web", "", "Web"]);
        all(check_subdomain, &["a.b", "web", "1.2", &long], &["", "a..b", ".a", "a.", "a.-b", "A"]);
        all(
            check_port_name,
            &["http", "h2", "a-b"],
            &["", "80", "a--b", "-a", "HTTP", "abcdefghijklmnop"],
        );
        all(
            check_qualified_name,
            &["app", "App_1", "example.com/app", "a/B.c"],
            &["", "/a", "a/", "a/b/c", "Example.com/a", "-a", &long],
        );
        all(check_label_value, &["", "a", "A.b_c-1"], &["-", "a b", "a/", "é", &long]);
        all(
            check_config_key,
            &["a", ".env", "A_b-c.d", "-"],
            &["", ".", "..", "..a", "a/b", "a b"],
        );
        all(check_annotation_key, &["Example.com/a", "a"], &["a/b/c", "/a"]);
        all(check_path_segment, &["system:node", "a.b"], &[".", "..", "a/b", "a%"]);
        all(check_dns_search, &["a.b.", "a", "."], &["", "a..", "A"]);
        all(check_ingress_host, &["a.b", "*.a.b"], &["*", "a.*.b", "10.0.0.1", "*.*.a", "A.b"]);
        all(check_controller, &["example.com/a", "k8s.io/ingress-nginx"], &["a", "a/", "/a"]);
        all(check_webhook_name, &["a.b.c"], &["a.b", "A.b.c"]);
        all(check_variable, &["A", "a.b-c", "my var"], &["", "A=B", "Ä", "a\n"]);
    }
}
