//! What a push says it is about: enough to wake the right sources, and never believed beyond that.

use serde::Deserialize;

/// Which sources a push may concern. Empty fields mean that it did not say.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PushHint {
    /// The full name, as `refs/heads/main`.
    pub reference: Option<String>,
    /// URLs and names of the repository, as the sender writes them.
    pub repositories: Vec<String>,
}

impl PushHint {
    /// Reads GitHub's push payload, or anything with the same `ref` and `repository`. What cannot be
    /// read gives an empty hint, which concerns every source.
    pub fn read(body: &[u8]) -> PushHint {
        let Ok(payload) = serde_json::from_slice::<Payload>(body) else {
            return PushHint::default();
        };
        let names = match payload.repository {
            None => Vec::new(),
            Some(Repository::Name(name)) => vec![Some(name)],
            Some(Repository::Fields(fields)) => {
                vec![
                    fields.clone_url,
                    fields.ssh_url,
                    fields.git_url,
                    fields.html_url,
                    fields.full_name,
                ]
            }
        };
        PushHint {
            reference: payload.reference,
            repositories: names.into_iter().flatten().filter(|name| !name.is_empty()).collect(),
        }
    }

    /// Whether a source should look. Errs towards yes: looking once too often costs a moment, once too
    /// few costs a poll interval. So hosts are not compared (they have aliases), only the last two parts
    /// of the path, and a source on this machine is always concerned (it may be a mirror of anything).
    pub fn may_concern(&self, url: &str, branch: &str) -> bool {
        let on_branch = self
            .reference
            .as_deref()
            .is_none_or(|reference| reference.strip_prefix("refs/heads/") == Some(branch));
        on_branch
            && (self.repositories.is_empty()
                || is_local(url)
                || self.repositories.iter().any(|name| tail(name) == tail(url)))
    }
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    reference: Option<String>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Repository {
    Name(String),
    Fields(Box<Fields>),
}

#[derive(Deserialize)]
struct Fields {
    clone_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
    html_url: Option<String>,
    full_name: Option<String>,
}

fn is_local(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, _)) => scheme.eq_ignore_ascii_case("file"),
        // `user@host:path` has a colon before its first slash.
        None => !url.split('/').next().unwrap_or(url).contains(':'),
    }
}

/// Owner and name: the last two parts of the path, in lower case, without `.git`.
fn tail(url: &str) -> Vec<String> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts = path.rsplit(['/', ':']).filter(|part| !part.is_empty());
    parts.take(2).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &[u8] = br#"{"ref":"refs/heads/main","after":"1481a2de7b2a7d02428ad93446ab166be7793fbb",
        "repository":{"id":17,"full_name":"Codertocat/Hello-World","owner":{"login":"Codertocat"},
        "html_url":"https://github.com/Codertocat/Hello-World","ssh_url":"git@github.com:Codertocat/Hello-World.git",
        "clone_url":"https://github.com/Codertocat/Hello-World.git"},"commits":[]}"#;

    #[test]
    fn a_push_concerns_the_sources_of_its_repository_and_branch() {
        let hint = PushHint::read(GITHUB);
        assert_eq!(hint.reference.as_deref(), Some("refs/heads/main"));
        for url in [
            "https://github.com/Codertocat/Hello-World",
            "https://github.com/codertocat/hello-world.git/",
            "git@github.com:Codertocat/Hello-World.git",
            "ssh://git@an-alias:22/Codertocat/Hello-World.git",
            "/srv/mirror.git",
            "file:///srv/mirror.git",
            "./dugout-demo",
        ] {
            assert!(hint.may_concern(url, "main"), "{url}");
            assert!(!hint.may_concern(url, "other"), "{url}");
        }
        for url in ["https://github.com/Codertocat/Other", "git@github.com:Someone/Hello-World.git"]
        {
            assert!(!hint.may_concern(url, "main"), "{url}");
        }
    }

    #[test]
    fn a_tag_concerns_no_branch_of_the_same_name() {
        let hint = PushHint::read(br#"{"ref":"refs/tags/main"}"#);
        assert!(!hint.may_concern("/srv/a", "main"));
    }

    #[test]
    fn what_says_nothing_concerns_everything() {
        let deep = "[".repeat(100_000);
        for body in ["", "{}", "[]", "null", "payload=%7B%7D", r#"{"ref":7}"#, "\u{0}", &deep] {
            let hint = PushHint::read(body.as_bytes());
            assert_eq!(hint, PushHint::default(), "{:.20}", body);
            assert!(hint.may_concern("https://host/a/b", "any"));
        }
    }

    #[test]
    fn a_repository_may_be_named_in_one_word_of_text() {
        let hint = PushHint::read(br#"{"repository":"https://host/team/app.git"}"#);
        assert!(hint.may_concern("git@host:team/app.git", "main"));
        assert!(!hint.may_concern("git@host:team/other.git", "main"));
    }
}
