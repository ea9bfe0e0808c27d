//! Where a repository is: what a person writes, read strictly.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::LocationProblem;

/// A repository on this machine or behind a network transport that Dugout allows. It never holds a
/// password, so it may be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An absolute path.
    Local(PathBuf),
    Network {
        url: String,
        transport: Transport,
        host: String,
        /// Only when it is written.
        port: Option<u16>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Http,
    Https,
    Ssh,
}

impl Location {
    /// Reads a path, a `file:`, `http:`, `https:` or `ssh:` URL, or `user@host:path`.
    ///
    /// # Errors
    /// Every other transport is refused (`ext::` would run a command, `git:` proves nothing about
    /// the server), and so is a URL with a password in it.
    pub fn parse(text: &str) -> Result<Location, LocationProblem> {
        if text.is_empty() {
            return Err(LocationProblem::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(LocationProblem::ControlCharacter);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return parse_url(text, scheme, rest);
        }
        let before_slash = text.split('/').next().unwrap_or(text);
        match before_slash.split_once(':') {
            Some((scheme, rest)) if rest.starts_with(':') => {
                Err(LocationProblem::Transport { scheme: scheme.to_owned() })
            }
            Some(("file", _)) => local(&text["file:".len()..]),
            // A path that is there wins, as in Git.
            Some(_) if !Path::new(text).exists() => parse_scp_like(text),
            _ => local(text),
        }
    }

    /// The path, if the repository is on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        match self {
            Location::Local(path) => Some(path),
            Location::Network { .. } => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Local(path) => path.display().fmt(out),
            Location::Network { url, .. } => out.write_str(url),
        }
    }
}

fn parse_url(text: &str, scheme: &str, rest: &str) -> Result<Location, LocationProblem> {
    let transport = match scheme.to_ascii_lowercase().as_str() {
        "file" => {
            let path = match rest.split_once('/') {
                Some(("" | "localhost", _)) => rest.trim_start_matches("localhost"),
                _ => return Err(LocationProblem::FileHost { url: text.to_owned() }),
            };
            return local(&percent_decode(path).ok_or(LocationProblem::Malformed)?);
        }
        "http" => Transport::Http,
        "https" => Transport::Https,
        "ssh" | "git+ssh" | "ssh+git" => Transport::Ssh,
        other => return Err(LocationProblem::Transport { scheme: other.to_owned() }),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (user, server),
        None => ("", authority),
    };
    // Over HTTP a user name alone is often a token.
    if user.contains(':') || (transport != Transport::Ssh && !user.is_empty()) {
        return Err(LocationProblem::PasswordInUrl);
    }
    let (host, port) = split_port(server).ok_or(LocationProblem::Malformed)?;
    network(text, transport, user, host, port)
}

/// `user@host:path`, `host:path` or `user@[::1]:path`.
fn parse_scp_like(text: &str) -> Result<Location, LocationProblem> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) if !user.contains(['/', ':']) => (user, rest),
        // Git would take what is before the first colon for the host, and nobody means that.
        Some((user, rest)) if !user.contains('/') && rest.contains(':') => {
            return Err(LocationProblem::PasswordInUrl);
        }
        _ => ("", text),
    };
    let host = if let Some(bracketed) = rest.strip_prefix('[') {
        bracketed.split_once("]:").map(|(host, _)| host)
    } else {
        rest.split_once(':').map(|(host, _)| host)
    };
    let host = host.ok_or(LocationProblem::Malformed)?;
    network(text, Transport::Ssh, user, host, None)
}

fn network(
    text: &str,
    transport: Transport,
    user: &str,
    host: &str,
    port: Option<u16>,
) -> Result<Location, LocationProblem> {
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return Err(LocationProblem::Malformed);
    }
    Ok(Location::Network { url: text.to_owned(), transport, host: host.to_owned(), port })
}

fn split_port(server: &str) -> Option<(&str, Option<u16>)> {
    if let Some(bracketed) = server.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match server.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((server, None)),
    }
}

fn local(path: &str) -> Result<Location, LocationProblem> {
    if path.is_empty() {
        return Err(LocationProblem::Empty);
    }
    std::path::absolute(path).map(Location::Local).map_err(|_| LocationProblem::Malformed)
}

/// Undoes `%20` and the like; none if the result is no text or an escape is broken.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = tail else { return None };
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network_of(text: &str) -> (Transport, String, Option<u16>) {
        match Location::parse(text).unwrap() {
            Location::Network { transport, host, port, .. } => (transport, host, port),
            Location::Local(path) => panic!("{} is no network place", path.display()),
        }
    }

    #[test]
    fn every_allowed_form_is_read() {
        let local = |path: &str| Location::Local(PathBuf::from(path));
        assert_eq!(Location::parse("/srv/a repo"), Ok(local("/srv/a repo")));
        assert_eq!(Location::parse("file:///srv/a%20repo"), Ok(local("/srv/a repo")));
        assert_eq!(Location::parse("file://localhost/srv/a"), Ok(local("/srv/a")));
        assert_eq!(Location::parse("file:/srv/a"), Ok(local("/srv/a")));
        assert!(Location::parse("./here").unwrap().local_path().unwrap().is_absolute());
        assert_eq!(network_of("https://host/a.git"), (Transport::Https, "host".into(), None));
        assert_eq!(network_of("http://[::1]:81/a"), (Transport::Http, "::1".into(), Some(81)));
        assert_eq!(
            network_of("ssh://git@host:2222/a"),
            (Transport::Ssh, "host".into(), Some(2222))
        );
        assert_eq!(network_of("git@host:team/a.git"), (Transport::Ssh, "host".into(), None));
        assert_eq!(network_of("host:a"), (Transport::Ssh, "host".into(), None));
    }

    #[test]
    fn transports_that_run_commands_or_prove_nothing_are_refused() {
        for text in ["ext::sh -c true", "git://host/a", "fd::17", "ftp://host/a"] {
            let problem = Location::parse(text).unwrap_err();
            assert!(matches!(problem, LocationProblem::Transport { .. }), "{text}: {problem:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in ["https://me:hunter2@host/a", "me:hunter2@host:a"] {
            let problem = Location::parse(text).unwrap_err();
            assert_eq!(problem, LocationProblem::PasswordInUrl);
            assert!(!format!("{problem} {problem:?}").contains("hunter2"));
        }
    }

    #[test]
    fn broken_text_is_refused() {
        for text in ["", "https:///a", "ssh://-oProxyCommand=x/a", "-x@host:a", "http://h:99999/a"]
        {
            assert!(Location::parse(text).is_err(), "{text}");
        }
        assert!(Location::parse("/srv/a\nb").is_err());
        assert!(Location::parse("file://elsewhere/srv/a").is_err());
        assert!(Location::parse("file:///srv/%zz").is_err());
    }
}
