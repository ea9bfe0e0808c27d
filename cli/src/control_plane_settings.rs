//! The settings of a control plane, from the arguments that `dugout up` and `dugout server` share and from
//! the environment.

use std::path::Path;

use anyhow::{Context, bail};
use dugout_gitsync::{Credentials, Location, check_branch, check_path};
use dugout_manifest::Policy;
use dugout_model::{SourceDeclaration, SourceName};
use dugout_reconciler::SourceConfig;
use dugout_webhook::Secrets;

use crate::arguments::ControlPlaneArguments;
use crate::control_plane::ControlPlaneSettings;
use crate::data_dir::DataDir;

/// The one source that the command line declares.
pub const SOURCE_NAME: &str = "default";

/// Puts the settings together; makes the operator token when there is none yet.
pub fn settings(
    arguments: &ControlPlaneArguments,
    repository_url: &str,
    data_dir: &DataDir,
) -> anyhow::Result<ControlPlaneSettings> {
    check_branch(&arguments.branch).context("--branch cannot be used")?;
    check_path(&arguments.path).context("--path cannot be used")?;
    Ok(ControlPlaneSettings {
        listen: arguments.listen,
        data_dir: data_dir.root().to_owned(),
        sources: vec![SourceConfig {
            declaration: SourceDeclaration {
                name: SourceName::new(SOURCE_NAME),
                url: repository_url.to_owned(),
                branch: arguments.branch.clone(),
                path: arguments.path.clone(),
                poll_interval: arguments.poll_interval,
                on_failure: arguments.on_failure,
                drift: arguments.drift,
            },
            location: location(repository_url)?,
            credentials: Credentials::from_settings(|name| std::env::var(name).ok()),
            policy: Policy { skip_groups: arguments.skip_groups.clone() },
        }],
        node_timeout: arguments.node_timeout,
        operator_token: data_dir.secret(&data_dir.operator_token(), random_token)?,
        host_names: arguments.host_names.clone(),
        webhook_secrets: webhook_secrets(arguments.webhook_secret_file.as_deref())?,
    })
}

/// 256 random bits in hexadecimal.
pub fn random_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The webhooks' secrets: from the file for every dialect, and from the environment. A file that is
/// there and empty is a mistake, not "no secret".
fn webhook_secrets(file: Option<&Path>) -> anyhow::Result<Secrets> {
    let Some(path) = file else {
        return Ok(Secrets::from_settings(|name| std::env::var(name).ok()));
    };
    let secret = std::fs::read_to_string(path)
        .with_context(|| format!("the webhook secret {} cannot be read", path.display()))?;
    let secret = secret.trim();
    if secret.is_empty() {
        bail!("the webhook secret {} is empty", path.display());
    }
    Ok(Secrets::from_settings(|name| match name {
        "DUGOUT_WEBHOOK_SECRET" => Some(secret.to_owned()),
        _ => std::env::var(name).ok(),
    }))
}

/// Reads where a repository is. What was given is not said again: it may hold a password.
pub fn location(url: &str) -> anyhow::Result<Location> {
    Location::parse(url).context("the address of the repository cannot be used")
}
