//! What a push says it is about: enough to wake the right sources, and never believed beyond that.

use dugout_model::SourceDeclaration;
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

    /// Which of these sources should look. Errs towards yes: looking once too often costs a moment, once
    /// too few costs a poll interval. So hosts are not compared (they have aliases), only the last two parts
    /// of the path; a source on this machine is always a candidate (it may be a mirror of anything), and
    /// when no source has the repository's name, it may be another spelling of any of them.
    pub fn concerned<S>(
        &self,
        sources: impl IntoIterator<Item = S>,
        declaration: impl Fn(&S) -> &SourceDeclaration,
    ) -> Vec<S> {
        let mut sources: Vec<S> = sources.into_iter().collect();
        if sources.iter().any(|source| self.names(&declaration(source).url)) {
            sources.retain(|source| {
                let url = &declaration(source).url;
                self.names(url) || is_local(url)
            });
        }
        sources.retain(|source| self.is_on(&declaration(source).branch));
        sources
    }

    fn names(&self, url: &str) -> bool {
        self.repositories.iter().any(|name| tail(name) == tail(url))
    }

    /// What is no full name is taken for a branch's: whoever writes a payload by hand may leave it short.
    fn is_on(&self, branch: &str) -> bool {
        let Some(reference) = self.reference.as_deref() else { return true };
        match reference.strip_prefix("refs/") {
            Some(full) => full.strip_prefix("heads/") == Some(branch),
            None => reference == branch,
        }
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
    use std::time::Duration;

    use dugout_model::{Drift, OnFailure, SourceName};

    use super::*;

    const GITHUB: &[u8] = br#"{"ref":"refs/heads/main","after":"1481a2de7b2a7d02428ad93446ab166be7793fbb",
        "repository":{"id":17,"full_name":"Codertocat/Hello-World","owner":{"login":"Codertocat"},
        "html_url":"https://github.com/Codertocat/Hello-World","ssh_url":"git@github.com:Codertocat/Hello-World.git",
        "clone_url":"https://github.com/Codertocat/Hello-World.git"},"commits":[]}"#;

    /// The sources at these URLs, on this branch, that a push concerns.
    fn concerned<'u>(hint: &PushHint, urls: &[&'u str], branch: &str) -> Vec<&'u str> {
        let sources = urls.iter().map(|url| (*url, declaration(url, branch)));
        let picked = hint.concerned(sources, |(_, declaration)| declaration);
        picked.into_iter().map(|(url, _)| url).collect()
    }

    fn declaration(url: &str, branch: &str) -> SourceDeclaration {
        SourceDeclaration {
            name: SourceName::new("any"),
            url: url.to_owned(),
            branch: branch.to_owned(),
            path: String::new(),
            poll_interval: Duration::from_secs(60),
            on_failure: OnFailure::default(),
            drift: Drift::default(),
        }
    }

    const SPELLINGS: [&str; 7] = [
        "https://github.com/Codertocat/Hello-World",
        "https://github.com/codertocat/hello-world.git/",
        "git@github.com:Codertocat/Hello-World.git",
        "ssh://git@an-alias:22/Codertocat/Hello-World.git",
        "/srv/mirror.git",
        "file:///srv/mirror.git",
        "./dugout-demo",
    ];
    const OTHERS: [&str; 2] =
        ["https://github.com/Codertocat/Other", "git@github.com:Someone/Hello-World.git"];

    #[test]
    fn a_push_concerns_the_sources_of_its_repository_and_branch() {
        let hint = PushHint::read(GITHUB);
        assert_eq!(hint.reference.as_deref(), Some("refs/heads/main"));
        let all = [&SPELLINGS[..], &OTHERS].concat();
        assert_eq!(concerned(&hint, &all, "main"), SPELLINGS);
        assert_eq!(concerned(&hint, &all, "other"), [""; 0]);
    }

    #[test]
    fn a_push_to_a_repository_that_none_has_the_name_of_concerns_all_on_its_branch() {
        let hint = PushHint::read(GITHUB);
        let all = [OTHERS[0], OTHERS[1], "/srv/mirror.git"];
        assert_eq!(concerned(&hint, &all, "main"), all);
        assert_eq!(concerned(&hint, &all, "other"), [""; 0]);
    }

    #[test]
    fn a_tag_concerns_no_branch_of_the_same_name() {
        let hint = PushHint::read(br#"{"ref":"refs/tags/main"}"#);
        assert_eq!(concerned(&hint, &["/srv/a"], "main"), [""; 0]);
    }

    #[test]
    fn a_branch_may_be_named_in_short() {
        let hint = PushHint::read(br#"{"ref":"main"}"#);
        assert_eq!(concerned(&hint, &["/srv/a"], "main"), ["/srv/a"]);
        assert_eq!(concerned(&hint, &["/srv/a"], "other"), [""; 0]);
    }

    #[test]
    fn what_says_nothing_concerns_everything() {
        let deep = "[".repeat(100_000);
        for body in ["", "{}", "[]", "null", "payload=%7B%7D", r#"{"ref":7}"#, "\u{0}", &deep] {
            let hint = PushHint::read(body.as_bytes());
            assert_eq!(hint, PushHint::default(), "{:.20}", body);
            assert_eq!(concerned(&hint, &OTHERS, "any"), OTHERS);
        }
    }

    #[test]
    fn a_repository_may_be_named_in_one_word_of_text() {
        let hint = PushHint::read(br#"{"repository":"https://host/team/app.git"}"#);
        let urls = ["git@host:team/app.git", "git@host:team/other.git"];
        assert_eq!(concerned(&hint, &urls, "main"), urls[..1]);
    }
}
