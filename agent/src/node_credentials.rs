//! The node's own credentials for registries: Docker's `config.json` of whoever runs the agent, and the
//! helpers that it names. They are asked for where no pull secret is for an image.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dugout_model::SecretValue;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::credentials::{ConfigFile, Keyring, RegistryAuth, read, registry_of, server_of};

const FILE: &str = "config.json";
const MOST_FILE_BYTES: u64 = 1 << 20;
const MOST_ANSWER_BYTES: u64 = 1 << 16;
/// A helper may ask another machine.
const HELPER_DEADLINE: Duration = Duration::from_secs(10);
/// What a helper says for a name when what it hands out is a token.
const TOKEN_USER: &str = "<token>";

#[derive(Clone, Debug, Default)]
pub(crate) struct NodeCredentials {
    /// Docker's folder; without one there are none.
    folder: Option<PathBuf>,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl NodeCredentials {
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The folder that Docker's own command line uses.
    pub fn of_this_user() -> Self {
        let own = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
        Self::in_folder(own.or_else(home))
    }

    /// What an image may be pulled with. Whatever is wrong is logged, and the pull goes without.
    pub async fn lookup(&self, image: &str) -> Vec<RegistryAuth> {
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(FILE)) else {
            return Vec::new();
        };
        match self.find(&path, image).await {
            Ok(found) => found,
            Err(why) => {
                tracing::warn!(path = %path.display(), image, why, "no credentials of the node's");
                Vec::new()
            }
        }
    }

    async fn find(&self, path: &Path, image: &str) -> Result<Vec<RegistryAuth>, String> {
        let Some(bytes) = read_file(path).await.map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        let file: ConfigFile = read(&bytes).map_err(|error| error.to_string())?;
        let server = server_of(image);
        let mut helpers = [server.as_str(), registry_of(image)].into_iter();
        let by_registry = file.cred_helpers.as_ref();
        let helper = helpers.find_map(|registry| by_registry?.get(registry));
        let everyones = file.creds_store.as_ref().filter(|store| !store.is_empty());
        if let Some(helper) = helper.or(everyones) {
            return Ok(ask(helper, &server).await?.into_iter().collect());
        }
        let mut keyring = Keyring::default();
        if let Err(error) = keyring.add_file(&file) {
            tracing::warn!(path = %path.display(), %error, "one of the node's credentials");
        }
        Ok(keyring.lookup(image))
    }
}

async fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        use io::Read as _;
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(MOST_FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    });
    reading.await.map_err(io::Error::other).and_then(|read| read)
}

/// Asks a helper for the credentials of a registry. One that has none says so by its exit code.
async fn ask(helper: &str, server: &str) -> Result<Option<RegistryAuth>, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !helper.bytes().all(is_plain) {
        return Err("the name of the credential helper is none".to_owned());
    }
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let asking = async {
        if let Some(mut stdin) = stdin {
            match stdin.write_all(server.as_bytes()).await {
                // It answers whatever it is asked, and has ended.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                other => other?,
            }
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MOST_ANSWER_BYTES).read_to_end(&mut answer).await?;
        }
        Ok::<_, io::Error>((child.wait().await?, answer))
    };
    let ended = tokio::time::timeout(HELPER_DEADLINE, asking).await;
    let ended = ended
        .map_err(|_| format!("{program} did not answer within {} s", HELPER_DEADLINE.as_secs()))?;
    let (status, answer) = ended.map_err(|error| format!("{program}: {error}"))?;
    if !status.success() {
        return Ok(None);
    }
    let HelperAnswer { username, secret } =
        read(&answer).map_err(|_| format!("{program} gave no credentials that can be read"))?;
    let secret = SecretValue::new(secret);
    Ok(Some(match username.as_str() {
        TOKEN_USER => RegistryAuth::IdentityToken(secret),
        _ => RegistryAuth::Login { username, password: secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_nodes_file_is_read_anew_and_what_is_wrong_with_it_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let node = NodeCredentials::in_folder(Some(folder.path().to_owned()));
        assert_eq!(node.lookup("r.io/x").await, []);
        let file = folder.path().join(FILE);
        std::fs::write(&file, r#"{"auths":{"r.io":{"username":"me","password":"x"}}}"#).unwrap();
        assert_eq!(node.lookup("r.io/x").await.len(), 1);
        assert_eq!(node.lookup("other.io/x").await, []);
        for wrong in ["{", r#"{"credsStore":"../../bin/x"}"#, r#"{"credsStore":"dugout-absent"}"#] {
            std::fs::write(&file, wrong).unwrap();
            assert_eq!(node.lookup("r.io/x").await, []);
        }
    }
}
