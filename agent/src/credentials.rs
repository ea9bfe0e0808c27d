//! Credentials for registries, and which of them an image is pulled with. Pure.
//!
//! They are matched as the kubelet does: a key is a host with or without the beginning of a path; each
//! label of the host may have wildcards; of several that match the most specific comes first, and the
//! others are tried after it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use dugout_model::{PullSecretFormat, SecretValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

/// Docker's own registry, whose images are written without it.
const DEFAULT_REGISTRY: &str = "docker.io";
/// As its credentials are written down.
const DEFAULT_REGISTRY_KEY: &str = "index.docker.io";

/// What a registry is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAuth {
    Login {
        username: String,
        password: SecretValue,
    },
    /// What a login became, to be exchanged for a token.
    IdentityToken(SecretValue),
    RegistryToken(SecretValue),
}

/// Why credentials cannot be read. It repeats nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CredentialsError {
    #[error("it is not the JSON of a Docker configuration (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the auth of {registry} is not a name and a password in base64")]
    BadAuth { registry: String },
    #[error("the entry of {registry} is not an object of texts")]
    BadEntry { registry: String },
}

/// Credentials by registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring(Vec<(String, RegistryAuth)>);

/// Docker's `config.json`.
#[derive(Default, Deserialize)]
pub(crate) struct ConfigFile {
    auths: Option<Entries>,
    /// A helper by registry.
    #[serde(rename = "credHelpers")]
    pub cred_helpers: Option<BTreeMap<String, String>>,
    /// The helper of all other registries.
    #[serde(rename = "credsStore")]
    pub creds_store: Option<String>,
}

type Entries = BTreeMap<String, Written>;

/// What stands for a registry. One that cannot be read is no reason to leave the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Entry(Entry),
    Nothing(()),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(alias = "identityToken")]
    identitytoken: Option<String>,
    #[serde(alias = "registryToken")]
    registrytoken: Option<String>,
}

impl Keyring {
    /// Adds what a pull secret holds.
    ///
    /// # Errors
    /// With the first entry that cannot be read, after all others were added; or where none can.
    pub fn add(
        &mut self,
        format: PullSecretFormat,
        content: &SecretValue,
    ) -> Result<(), CredentialsError> {
        match format {
            PullSecretFormat::ConfigJson => self.add_file(&read(content.expose())?),
            PullSecretFormat::Dockercfg => self.add_entries(&read(content.expose())?),
        }
    }

    pub(crate) fn add_file(&mut self, file: &ConfigFile) -> Result<(), CredentialsError> {
        file.auths.as_ref().map_or(Ok(()), |entries| self.add_entries(entries))
    }

    fn add_entries(&mut self, entries: &Entries) -> Result<(), CredentialsError> {
        let mut result = Ok(());
        for (registry, written) in entries {
            let found = match written {
                Written::Entry(entry) => auth_of(registry, entry),
                Written::Nothing(()) => Ok(None),
                Written::Other(_) => Err(CredentialsError::BadEntry { registry: registry.clone() }),
            };
            match found {
                Ok(auth) => self.0.extend(auth.map(|auth| (key_of(registry), auth))),
                Err(error) => result = result.and(Err(error)),
            }
        }
        // The longer of two that begin alike comes first.
        self.0.sort_by(|(one, _), (other, _)| other.cmp(one));
        result
    }

    /// What an image may be pulled with, in the order in which it is tried.
    pub fn lookup(&self, image: &str) -> Vec<RegistryAuth> {
        let name = full_name(image);
        let default = name
            .strip_prefix(DEFAULT_REGISTRY)
            .filter(|rest| rest.starts_with('/'))
            .map(|rest| format!("{DEFAULT_REGISTRY_KEY}{rest}"));
        let mut found = Vec::new();
        for name in [Some(name), default].into_iter().flatten() {
            for (_, auth) in self.0.iter().filter(|(key, _)| matches(key, &name)) {
                if !found.contains(auth) {
                    found.push(auth.clone());
                }
            }
        }
        found
    }
}

pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CredentialsError> {
    // The error's own words may repeat a value.
    serde_json::from_slice(bytes)
        .map_err(|error| CredentialsError::NotJson { line: error.line(), column: error.column() })
}

fn auth_of(registry: &str, entry: &Entry) -> Result<Option<RegistryAuth>, CredentialsError> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(token) = filled(&entry.identitytoken) {
        return Ok(Some(RegistryAuth::IdentityToken(SecretValue::new(token))));
    }
    if let Some(token) = filled(&entry.registrytoken) {
        return Ok(Some(RegistryAuth::RegistryToken(SecretValue::new(token))));
    }
    if let Some(mut auth) = filled(&entry.auth) {
        // Who makes it with a program for mails breaks its lines.
        auth.retain(|letter| !letter.is_ascii_whitespace());
        let decoded = STANDARD.decode(&auth).or_else(|_| STANDARD_NO_PAD.decode(&auth)).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let bad = || CredentialsError::BadAuth { registry: registry.to_owned() };
        let text = text.ok_or_else(bad)?;
        let (username, password) = text.split_once(':').ok_or_else(bad)?;
        let password = SecretValue::new(password.trim_matches('\0'));
        return Ok(Some(RegistryAuth::Login { username: username.to_owned(), password }));
    }
    Ok(filled(&entry.username).map(|username| RegistryAuth::Login {
        username,
        password: SecretValue::new(entry.password.as_deref().unwrap_or_default()),
    }))
}

/// The host and the beginning of a path that an entry is for: it may be written as an address of one of
/// the registry's interfaces.
fn key_of(registry: &str) -> String {
    let bare = registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://"));
    let bare = bare.unwrap_or(registry);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = ["v1", "v2"].iter().fold(path, |path, version| {
        let rest = path.strip_prefix(version);
        rest.filter(|rest| rest.starts_with('/')).map_or(path, |rest| &rest[1..])
    });
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

/// The registry that an image is of; Docker's own where none is named.
pub(crate) fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => DEFAULT_REGISTRY,
    }
}

/// The registry's name as credential helpers know it.
pub(crate) fn server_of(image: &str) -> String {
    match registry_of(image) {
        DEFAULT_REGISTRY => format!("https://{DEFAULT_REGISTRY_KEY}/v1/"),
        registry => registry.to_owned(),
    }
}

/// An image's name with its registry.
pub(crate) fn full_name(image: &str) -> String {
    match registry_of(image) {
        DEFAULT_REGISTRY => {
            let path = image.strip_prefix(DEFAULT_REGISTRY);
            let path = path.and_then(|rest| rest.strip_prefix('/')).unwrap_or(image);
            let library = if path.contains('/') { "" } else { "library/" };
            format!("{DEFAULT_REGISTRY}/{library}{path}")
        }
        _ => image.to_owned(),
    }
}

fn matches(key: &str, name: &str) -> bool {
    let split = |text: &str| match text.split_once('/') {
        Some((host, path)) => (host.to_owned(), path.to_owned()),
        None => (text.to_owned(), String::new()),
    };
    let ((key_host, key_path), (host, path)) = (split(key), split(name));
    let port = |host: &str| host.rsplit_once(':').map(|(_, port)| port.to_owned());
    let labels = |host: &str| -> Vec<String> {
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        bare.split('.').map(str::to_owned).collect()
    };
    let (key_labels, own_labels) = (labels(&key_host), labels(&host));
    port(&key_host) == port(&host)
        && key_labels.len() == own_labels.len()
        && key_labels.iter().zip(&own_labels).all(|(glob, label)| glob_matches(glob, label))
        && path.starts_with(&key_path)
}

/// `*` stands for any characters, `?` for one.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where the last star stands, and how much it has taken.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, seen) = (place + 1, taken + 1);
            }
        }
    }
    glob[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(keys: &[&str]) -> Keyring {
        let entries: Vec<String> =
            keys.iter().map(|key| format!(r#""{key}": {{"username": "{key}"}}"#)).collect();
        let content = SecretValue::new(format!(r#"{{"auths": {{{}}}}}"#, entries.join(",")));
        let mut keyring = Keyring::default();
        keyring.add(PullSecretFormat::ConfigJson, &content).unwrap();
        keyring
    }

    fn found(keys: &[&str], image: &str) -> Vec<String> {
        let name = |auth| match auth {
            RegistryAuth::Login { username, .. } => username,
            other => panic!("{other:?}"),
        };
        keyring(keys).lookup(image).into_iter().map(name).collect()
    }

    #[test]
    fn the_most_specific_of_what_matches_comes_first() {
        let keys = ["r.example.com", "https://r.example.com/team", "r.example.com/team/app"];
        let found = |image| found(&keys, image);
        let all = ["r.example.com/team/app", "https://r.example.com/team", "r.example.com"];
        assert_eq!(found("r.example.com/team/app:1"), all);
        assert_eq!(found("r.example.com/team/other"), all[1..]);
        assert_eq!(found("r.example.com/x@sha256:ab"), all[2..]);
        assert_eq!(found("r.example.com:5000/team/app"), [""; 0], "another port");
        assert_eq!(found("other.example.com/team/app"), [""; 0]);
    }

    #[test]
    fn labels_of_a_host_may_have_wildcards() {
        let keys = ["*.example.com", "*-eu.k?.example.com:5000"];
        assert_eq!(found(&keys, "r.example.com/x"), ["*.example.com"]);
        assert_eq!(found(&keys, "a-eu.k8.example.com:5000/x"), ["*-eu.k?.example.com:5000"]);
        for image in ["r.k8.example.com/x", "a-us.k8.example.com:5000/x", "example.com/x"] {
            assert_eq!(found(&keys, image), [""; 0], "{image}");
        }
    }

    #[test]
    fn an_image_without_a_registry_is_of_dockers_own() {
        let key = format!("https://{DEFAULT_REGISTRY_KEY}/v1/");
        let key = key.as_str();
        let full = format!("{DEFAULT_REGISTRY}/team/app");
        for image in ["nginx", "nginx:1", "team/app", &full] {
            assert_eq!(found(&[key, "r.example.com"], image), [key], "{image}");
            assert_eq!(server_of(image), key);
        }
        let part = format!("{DEFAULT_REGISTRY}/library");
        assert_eq!(found(&[&part], "nginx"), [part]);
    }

    #[test]
    fn each_way_to_write_credentials_is_read_and_none_is_repeated() {
        let read = |format, text: &str| {
            let mut keyring = Keyring::default();
            keyring.add(format, &SecretValue::new(text)).map(|()| keyring.lookup("r.io/x"))
        };
        let login =
            RegistryAuth::Login { username: "me".to_owned(), password: SecretValue::new("a:b") };
        let (json, cfg) = (PullSecretFormat::ConfigJson, PullSecretFormat::Dockercfg);
        assert_eq!(
            read(json, r#"{"auths":{"r.io":{"auth":"bWU6YTpi"}}}"#),
            Ok(vec![login.clone()])
        );
        assert_eq!(read(cfg, r#"{"r.io":{"username":"me","password":"a:b"}}"#), Ok(vec![login]));
        let token = RegistryAuth::IdentityToken(SecretValue::new("t"));
        assert_eq!(read(json, r#"{"auths":{"r.io":{"identitytoken":"t"}}}"#), Ok(vec![token]));
        assert_eq!(read(json, r#"{"auths":{"r.io":{}}}"#), Ok(vec![]));
        let broken = r#"{"auths":{"r.io":{"auth":"bWU6\r\nYTpi\n"}},"credHelpers":null}"#;
        assert_eq!(read(json, broken).map(|found| found.len()), Ok(1));
        for nothing in [r#"{"auths":null}"#, r#"{"auths":{"r.io":null}}"#, "{}"] {
            assert_eq!(read(json, nothing), Ok(vec![]), "{nothing}");
        }
        for wrong in [r#"{"auths":"hunter2"}"#, r#"{"auths":{"r.io":{"auth":"hunter2"}}}"#] {
            let error = read(json, wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_read_spoils_no_other() {
        for bad in [r#"{"auth":"%"}"#, r#"{"username":["me"]}"#, "7", r#""text""#] {
            let text =
                format!(r#"{{"auths":{{"a.io":{bad},"r.io":{{"username":"me"}},"z.io":{bad}}}}}"#);
            let mut keyring = Keyring::default();
            let added = keyring.add(PullSecretFormat::ConfigJson, &SecretValue::new(text));
            assert!(added.unwrap_err().to_string().contains("of a.io is not"), "{bad}");
            assert_eq!(keyring.lookup("r.io/x").len(), 1, "{bad}");
        }
    }
}
