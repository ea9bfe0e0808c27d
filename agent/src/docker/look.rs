//! What must be known of the node and an image before a container with rights of its own is made.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use dugout_model::Profile;

use super::body::{Looked, needs_image_user, user};
use super::resolver::{self, Resolver};
use super::{DockerRuntime, QUICK};
use crate::pause::SANDBOX_IMAGE;
use crate::runtime::{ContainerSpec, PermanentKind, RuntimeError};

const OPERATION: &str = "create";
/// The largest seccomp profile that is read.
const PROFILE_MOST_BYTES: u64 = 1 << 20;

impl DockerRuntime {
    /// Looks it up; asks the engine nothing for most containers.
    pub(super) async fn look_before(&self, spec: &ContainerSpec) -> Result<Looked, RuntimeError> {
        if spec.image != SANDBOX_IMAGE {
            self.check_platform(&spec.image).await?;
        }
        let security = &spec.isolation.security;
        let image_user = match needs_image_user(security) {
            true => self.image_user(&spec.image).await?,
            false => String::new(),
        };
        let user = user(security, &image_user).map_err(refused)?;
        if security.app_armor.as_ref().is_some_and(|profile| *profile != Profile::Unconfined) {
            self.check_app_armor().await?;
        }
        let seccomp = match &spec.isolation.seccomp_file {
            Some(path) => Some(read_profile(path).await?),
            None => None,
        };
        let resolver = match resolver::needs_nodes(&spec.isolation.names) && self.is_here() {
            true => read_resolver().await?,
            false => Resolver::default(),
        };
        Ok(Looked { user, seccomp, resolver })
    }

    async fn image_user(&self, image: &str) -> Result<String, RuntimeError> {
        let call = |docker: bollard::Docker| async move { docker.inspect_image(image).await };
        let found = self.call("look for an image", QUICK, call).await?;
        Ok(found.config.and_then(|config| config.user).unwrap_or_default())
    }

    async fn check_app_armor(&self) -> Result<(), RuntimeError> {
        let call = |docker: bollard::Docker| async move { docker.info().await };
        let info = self.call("info", QUICK, call).await?;
        let options = info.security_options.unwrap_or_default();
        match options.iter().any(|option| option.contains("name=apparmor")) {
            true => Ok(()),
            false => Err(refused(
                "cannot enforce AppArmor: AppArmor is not enabled on the host".to_owned(),
            )),
        }
    }
}

async fn read_resolver() -> Result<Resolver, RuntimeError> {
    let read = match tokio::time::timeout(QUICK, tokio::task::spawn_blocking(resolver::read)).await
    {
        Ok(ended) => ended.map_err(io::Error::other).and_then(|read| read),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Resolver::default()),
        other => other.map_err(|error| {
            refused(format!("the node's resolver, to which the pod adds, cannot be read: {error}"))
        }),
    }
}

async fn read_profile(path: &Path) -> Result<String, RuntimeError> {
    let file = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        // To open a pipe would wait for who writes to it.
        if !std::fs::metadata(&file)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut text = String::new();
        File::open(file)?.take(PROFILE_MOST_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > PROFILE_MOST_BYTES {
            return Err(io::Error::other(format!("it has more than {PROFILE_MOST_BYTES} bytes")));
        }
        // A single word would be an engine's name for something else, as for no profile at all.
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)?;
        Ok(text)
    });
    let read = match tokio::time::timeout(QUICK, reading).await {
        Ok(ended) => ended.map_err(io::Error::other).and_then(|read| read),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    read.map_err(|error| {
        refused(format!("the seccomp profile {} cannot be read: {error}", path.display()))
    })
}

fn refused(message: String) -> RuntimeError {
    let kind = PermanentKind::Configuration;
    RuntimeError::Permanent { operation: OPERATION, kind, message }
}
