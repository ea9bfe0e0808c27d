//! What we show to a remote so that it lets us in.

use std::path::PathBuf;

use dugout_model::SecretValue;

/// Credentials of one remote. They never stand in a URL, and `Debug` shows no secret. No credential
/// helper is ever run.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For HTTP and for SSH with a password; for SSH the user in the URL comes first. `git` when
    /// neither names one.
    pub username: Option<String>,
    /// A password or a token.
    pub password: Option<SecretValue>,
    /// The only key that is tried. Without it: the SSH agent, then the usual files in `~/.ssh`.
    pub ssh_key: Option<SshKey>,
    /// The only file of known hosts that counts. Without it: `~/.ssh/known_hosts` and
    /// `/etc/ssh/ssh_known_hosts`. It should hold every type of key that the server has, as
    /// ssh-keyscan writes it.
    pub known_hosts: Option<PathBuf>,
}

/// A private key in a file.
#[derive(Clone, Debug)]
pub struct SshKey {
    pub path: PathBuf,
    pub passphrase: Option<SecretValue>,
}

impl Credentials {
    /// Reads the settings `DUGOUT_GIT_USERNAME`, `DUGOUT_GIT_PASSWORD`, `DUGOUT_GIT_SSH_KEY` (a file),
    /// `DUGOUT_GIT_SSH_PASSPHRASE` and `DUGOUT_GIT_KNOWN_HOSTS` (a file); empty counts as unset. Pass
    /// a reader of the environment.
    pub fn from_settings(read: impl Fn(&str) -> Option<String>) -> Credentials {
        let setting = |name| read(name).filter(|value| !value.is_empty());
        let secret = |name| setting(name).map(SecretValue::new);
        Credentials {
            username: setting("DUGOUT_GIT_USERNAME"),
            password: secret("DUGOUT_GIT_PASSWORD"),
            ssh_key: setting("DUGOUT_GIT_SSH_KEY").map(|path| SshKey {
                path: PathBuf::from(path),
                passphrase: secret("DUGOUT_GIT_SSH_PASSPHRASE"),
            }),
            known_hosts: setting("DUGOUT_GIT_KNOWN_HOSTS").map(PathBuf::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_secrets_never_shown() {
        let credentials = Credentials::from_settings(|name| match name {
            "DUGOUT_GIT_USERNAME" => Some(String::new()),
            "DUGOUT_GIT_PASSWORD" | "DUGOUT_GIT_SSH_PASSPHRASE" => Some("hunter2".to_owned()),
            "DUGOUT_GIT_SSH_KEY" => Some("/keys/deploy".to_owned()),
            _ => None,
        });
        assert_eq!(credentials.username, None);
        assert_eq!(credentials.password.as_ref().unwrap().expose(), b"hunter2");
        assert_eq!(credentials.ssh_key.as_ref().unwrap().path, PathBuf::from("/keys/deploy"));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
