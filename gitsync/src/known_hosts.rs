//! Looks a server's SSH key up in files in OpenSSH's `known_hosts` format.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What the files say about a host's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Known,
    /// Nothing names this key for this host.
    Unknown,
    Revoked,
}

const DEFAULT_PORT: u16 = 22;

/// Reads one file's text. Lines that are no entries are passed over, as OpenSSH does; certificate
/// authorities do not count, because libssh2 does not verify host certificates.
pub(crate) fn standing(text: &str, host: &str, port: Option<u16>, key: &[u8]) -> Standing {
    let name = match port {
        Some(port) if port != DEFAULT_PORT => format!("[{host}]:{port}"),
        _ => host.to_owned(),
    };
    let name = name.to_ascii_lowercase();
    let mut found = Standing::Unknown;
    for line in text.lines() {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let (Some(hosts), Some(_type), Some(encoded)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if hosts.starts_with('#') || !names(hosts, &name) {
            continue;
        }
        if STANDARD.decode(encoded).is_ok_and(|known| known == key) {
            match marker {
                None => found = Standing::Known,
                Some("@revoked") => return Standing::Revoked,
                Some(_) => {}
            }
        }
    }
    found
}

/// The key's type and fingerprint, as ssh prints them: `ssh-ed25519 SHA256:…`.
pub(crate) fn describe(key: &[u8]) -> String {
    let length = key.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
    let name = key.get(4..4 + length.min(64)).unwrap_or_default();
    let fingerprint = STANDARD_NO_PAD.encode(Sha256::digest(key));
    format!("{} SHA256:{fingerprint}", String::from_utf8_lossy(name))
}

/// Whether a comma-separated list of patterns names the host; a match with `!` excludes it.
fn names(patterns: &str, name: &str) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return hash_names(hashed, name);
    }
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `salt|hash`, where the hash is HMAC-SHA1 of the name with the salt as key.
fn hash_names(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
    mac.update(name.as_bytes());
    mac.verify_slice(&hash).is_ok()
}

/// `*` and `?`, without regard to case. Linear but for backing up to the last star.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut star = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern + 1, at_name));
                at_pattern += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&name[at_name]) => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => {
                let Some((after_star, taken)) = star else { return false };
                star = Some((after_star, taken + 1));
                (at_pattern, at_name) = (after_star, taken + 1);
            }
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x02xy";

    fn entry(hosts: &str) -> String {
        format!("{hosts} ssh-ed25519 {} a comment\n", STANDARD.encode(KEY))
    }

    #[test]
    fn plain_names_patterns_and_ports_are_understood() {
        let of = |hosts: &str, host, port| standing(&entry(hosts), host, port, KEY);
        assert_eq!(of("git.example", "git.example", None), Standing::Known);
        assert_eq!(of("git.example", "GIT.example", Some(22)), Standing::Known);
        assert_eq!(of("git.example", "git.example", Some(2222)), Standing::Unknown);
        assert_eq!(of("[git.example]:2222", "git.example", Some(2222)), Standing::Known);
        assert_eq!(of("a,*.example,b", "git.example", None), Standing::Known);
        assert_eq!(of("*.example,!git.example", "git.example", None), Standing::Unknown);
        assert_eq!(of("g?t.ex*le", "git.example", None), Standing::Known);
        assert_eq!(
            standing(&entry("git.example"), "git.example", None, b"other"),
            Standing::Unknown
        );
    }

    #[test]
    fn a_hashed_name_is_found() {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"a salt").unwrap();
        mac.update(b"git.example");
        let hash = STANDARD.encode(mac.finalize().into_bytes());
        let hosts = format!("|1|{}|{hash}", STANDARD.encode("a salt"));
        assert_eq!(standing(&entry(&hosts), "git.example", None, KEY), Standing::Known);
        assert_eq!(standing(&entry(&hosts), "other.example", None, KEY), Standing::Unknown);
    }

    #[test]
    fn a_revoked_key_is_revoked_wherever_it_stands() {
        let text = entry("git.example") + &entry("@revoked *");
        assert_eq!(standing(&text, "git.example", None, KEY), Standing::Revoked);
        let authority = entry("@cert-authority git.example");
        assert_eq!(standing(&authority, "git.example", None, KEY), Standing::Unknown);
    }

    #[test]
    fn garbage_is_passed_over() {
        let text = format!("# a comment here too\n\n|1|x\nword\n|1|%|% a b\n{}", entry("h"));
        assert_eq!(standing(&text, "h", None, KEY), Standing::Known);
        assert!(describe(KEY).starts_with("ssh-ed25519 SHA256:"));
        describe(b"\xff\xff\xff\xff");
    }
}
