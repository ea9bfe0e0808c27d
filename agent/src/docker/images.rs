//! The images of an engine: how they are pulled, which there are, who uses them, whether they run here.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};
use dugout_model::{ImageDigest, SecretValue, repository};
use tokio::sync::Semaphore;

use super::{DockerRuntime, QUICK, SLOW};
use crate::credentials::{RegistryAuth, full_name, server_of};
use crate::image_gc::{DiskUse, HeldImage, ImageSurvey};
use crate::runtime::{FoundDigest, FoundImage, PermanentKind, RuntimeError};

impl DockerRuntime {
    pub(super) async fn survey(&self) -> Result<ImageSurvey, RuntimeError> {
        let options = ListImagesOptionsBuilder::new().all(false).build();
        let call = |docker: Docker| async move { docker.list_images(Some(options)).await };
        let images = self.call("list images", SLOW, call).await?;
        // After the images, so that a container that is made meanwhile is seen.
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let call = |docker: Docker| async move { docker.list_containers(Some(options)).await };
        let containers = self.call("list", SLOW, call).await?;
        let in_use: BTreeSet<String> =
            containers.into_iter().filter_map(|container| container.image_id).collect();
        let images = images
            .into_iter()
            .map(|image| HeldImage {
                id: image.id,
                tags: image.repo_tags.into_iter().filter(|tag| !tag.contains('<')).collect(),
                size_bytes: u64::try_from(image.size).unwrap_or(0),
            })
            .collect();
        Ok(ImageSurvey { images, in_use, disk: self.image_disk().await? })
    }

    /// How full the disk is that the engine keeps its images on, where it is this machine's.
    async fn image_disk(&self) -> Result<Option<DiskUse>, RuntimeError> {
        if !self.is_here() {
            return Ok(None);
        }
        let info = self.call("info", QUICK, |docker| async move { docker.info().await }).await?;
        let Some(folder) = info.docker_root_dir else { return Ok(None) };
        let Some(disk) =
            statistics(&self.disk_look, QUICK, move || rustix::fs::statvfs(folder)).await
        else {
            return Ok(None);
        };
        let total_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
        // What is kept for root is used to everybody else.
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok(Some(DiskUse { total_bytes, used_bytes: total_bytes.saturating_sub(free) }))
    }

    /// Removes an image under all its names; the engine refuses what a container uses.
    pub(super) async fn remove_held(&self, image: &HeldImage) -> Result<(), RuntimeError> {
        let names = match image.tags.is_empty() {
            true => std::slice::from_ref(&image.id),
            false => image.tags.as_slice(),
        };
        for name in names {
            self.fitting.forget(name);
            let call = |docker: Docker| async move {
                let options = None::<bollard::query_parameters::RemoveImageOptions>;
                docker.remove_image(name, options, None).await
            };
            match self.call("remove an image", SLOW, call).await {
                Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => {}
                other => other.map(drop)?,
            }
        }
        Ok(())
    }

    /// An image, if it is there.
    ///
    /// # Errors
    /// Where it is for other machines.
    pub(super) async fn find(&self, image: &str) -> Result<Option<FoundImage>, RuntimeError> {
        match self.fit(image).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses to make a container of an image that is for other machines as if it were not there: a
    /// registry may have one for this machine by now.
    pub(super) async fn check_platform(&self, image: &str) -> Result<(), RuntimeError> {
        if self.fitting.contains(image) {
            return Ok(());
        }
        self.fit(image).await.map(drop).map_err(|error| match error {
            RuntimeError::Permanent { kind: PermanentKind::Invalid, message, .. } => {
                let (operation, kind) = ("create", PermanentKind::NotFound);
                RuntimeError::Permanent { operation, kind, message }
            }
            other => other,
        })
    }

    /// An image, if it is for this machine.
    pub(super) async fn fit(&self, image: &str) -> Result<FoundImage, RuntimeError> {
        let fit = self.look_whether_fit(image).await;
        match &fit {
            Ok(found) => {
                self.fitting.note(image);
                // A container may be made of it under this name.
                if let FoundDigest::Registry(digest) | FoundDigest::Unclear(digest) = &found.digest
                {
                    self.fitting.note(&digest.reference(image));
                }
            }
            Err(_) => self.fitting.forget(image),
        }
        fit
    }

    async fn look_whether_fit(&self, image: &str) -> Result<FoundImage, RuntimeError> {
        let call = |docker: Docker| async move { docker.inspect_image(image).await };
        let found = self.call("look for an image", QUICK, call).await?;
        let call = |docker: Docker| async move { docker.version().await };
        let engine = self.call("version", QUICK, call).await?;
        let (os, architecture) =
            (found.os.unwrap_or_default(), found.architecture.unwrap_or_default());
        let (own_os, own) = (engine.os.unwrap_or_default(), engine.arch.unwrap_or_default());
        if runs_on((&os, &architecture), (&own_os, &own)) {
            let digest = match digest_of(image, &found.repo_digests.unwrap_or_default()) {
                None => FoundDigest::Unknown,
                Some(digest) if self.names_all_images.load(Ordering::Relaxed) => {
                    FoundDigest::Unclear(digest)
                }
                Some(digest) => FoundDigest::Registry(digest),
            };
            return Ok(FoundImage { id: found.id.unwrap_or_default(), digest });
        }
        Err(RuntimeError::Permanent {
            operation: "pull",
            kind: PermanentKind::Invalid,
            message: format!(
                "the image is for {os}/{architecture}, and this node is {own_os}/{own}: push one for it, or choose other nodes with a nodeSelector"
            ),
        })
    }
}

/// The most images that are remembered to be for this machine.
const MOST_FITTING: usize = 4096;

/// The names of images that were seen to be for this machine, so that not every container that is made
/// asks for it.
#[derive(Debug, Default)]
pub(super) struct FittingImages(Mutex<HashSet<String>>);

impl FittingImages {
    fn contains(&self, image: &str) -> bool {
        self.held().contains(image)
    }

    fn note(&self, image: &str) {
        let mut held = self.held();
        if held.len() >= MOST_FITTING {
            held.clear();
        }
        held.insert(image.to_owned());
    }

    fn forget(&self, image: &str) {
        self.held().remove(image);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at a disk, where no earlier look still hangs: one that hung would take a thread each time.
async fn statistics<T: Send + 'static, E: Send + 'static>(
    place: &Arc<Semaphore>,
    deadline: Duration,
    look: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Option<T> {
    let place = Arc::clone(place).try_acquire_owned().ok()?;
    let looking = tokio::task::spawn_blocking(move || {
        let _place = place;
        look()
    });
    tokio::time::timeout(deadline, looking).await.ok()?.ok()?.ok()
}

/// What an engine calls an image of this name among those of all repositories. One that its registry had
/// under several digests is the same under each.
fn digest_of(image: &str, all: &[String]) -> Option<ImageDigest> {
    if let Some(named) = ImageDigest::of_reference(image) {
        return Some(named);
    }
    let of = |name: &str| repository(&full_name(name)).to_owned();
    let own = of(image);
    let mut own = all.iter().filter(|name| of(name) == own);
    own.find_map(|name| ImageDigest::of_reference(name))
}

/// What the registry called the image, where a pull says so.
pub(super) fn pulled_digest(status: &str) -> Option<ImageDigest> {
    ImageDigest::parse(status.strip_prefix("Digest: ")?.trim())
}

/// The engine calls it a failure of its own when a registry does not let it in.
pub(super) fn refused_by_registry(error: RuntimeError) -> RuntimeError {
    match error {
        RuntimeError::Transient { operation, message } if is_refusal(&message) => {
            RuntimeError::Permanent { operation, kind: PermanentKind::Unauthorized, message }
        }
        other => other,
    }
}

/// Whether a registry says that it does not know or does not trust who asks.
fn is_refusal(message: &str) -> bool {
    const WORDS: [&str; 7] = [
        "no basic auth credentials",
        "unauthorized",
        "authentication required",
        "authorization failed",
        "insufficient_scope",
        "incorrect username or password",
        "forbidden",
    ];
    let message = message.to_ascii_lowercase();
    // What the engine itself may not do is said so of files.
    let is_denied = message.replace("permission denied", "").contains("denied");
    is_denied || WORDS.iter().any(|words| message.contains(words))
}

/// What the engine shows the registry. The credentials leave for it here.
pub(super) fn docker_credentials(auth: &RegistryAuth, image: &str) -> DockerCredentials {
    let text = |secret: &SecretValue| Some(String::from_utf8_lossy(secret.expose()).into_owned());
    let mut credentials =
        DockerCredentials { serveraddress: Some(server_of(image)), ..DockerCredentials::default() };
    match auth {
        RegistryAuth::Login { username, password } => {
            credentials.username = Some(username.clone());
            credentials.password = text(password);
        }
        RegistryAuth::IdentityToken(token) => credentials.identitytoken = text(token),
        RegistryAuth::RegistryToken(token) => credentials.registrytoken = text(token),
    }
    credentials
}

/// What is not said is not held against it.
fn runs_on((os, architecture): (&str, &str), (own_os, own): (&str, &str)) -> bool {
    let same = |asked: &str, own: &str| asked.is_empty() || own.is_empty() || asked == own;
    same(os, own_os)
        && (same(architecture, own)
            || matches!((architecture, own), ("386", "amd64") | ("arm", "arm64")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_does_not_let_in_is_told_from_one_that_is_away() {
        for message in [
            "Head \"https://r.example.com/v2/a/manifests/1\": denied: denied",
            "error from registry: denied",
            "unexpected status from HEAD request to https://r.example.com/v2/a: 403 Forbidden",
            "pull access denied, insufficient_scope: authorization failed",
            "Get \"https://r.example.com/v2/\": unauthorized: incorrect username or password",
            "denied: Your authorization token has expired. Reauthenticate and try again.",
        ] {
            assert!(is_refusal(message), "{message}");
        }
        for message in [
            "open /var/lib/docker/tmp/x: permission denied",
            "dial tcp 192.0.2.1:443: connect: connection refused",
            "received unexpected HTTP status: 503 Service Unavailable",
        ] {
            assert!(!is_refusal(message), "{message}");
        }
    }

    #[test]
    fn a_digest_is_that_of_the_images_own_repository() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let all = [
            format!("mirror.example.com/web@{}", digest("1")),
            format!("web@{}", digest("2")),
            format!("r.example.com:5000/web@{}", digest("3")),
        ];
        let of = |image: &str| digest_of(image, &all).map(|found| found.to_string());
        assert_eq!(of("web:1"), Some(digest("2")));
        assert_eq!(of("library/web"), Some(digest("2")));
        assert_eq!(of("r.example.com:5000/web:1"), Some(digest("3")));
        assert_eq!(of("other:1"), None);
        assert_eq!(of(&format!("other@{}", digest("4"))), Some(digest("4")));
        let told = format!("Digest: {}", digest("5"));
        assert_eq!(pulled_digest(&told), ImageDigest::parse(&digest("5")));
        assert_eq!(pulled_digest("Pulling from web"), None);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_looked_at_once() {
        let place = Arc::new(Semaphore::new(1));
        let (ends, hangs) = std::sync::mpsc::channel::<()>();
        let look = move || hangs.recv().map_err(drop);
        assert_eq!(statistics(&place, Duration::from_millis(50), look).await, None);
        assert_eq!(statistics(&place, QUICK, || Ok::<_, ()>(7)).await, None);
        ends.send(()).unwrap();
        while place.available_permits() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(statistics(&place, QUICK, || Ok::<_, ()>(7)).await, Some(7));
    }

    #[test]
    fn an_image_of_another_architecture_is_told_from_one_that_runs() {
        let here = ("linux", "amd64");
        for fits in [here, ("linux", "386"), ("", "")] {
            assert!(runs_on(fits, here), "{fits:?}");
        }
        for other in [("linux", "arm64"), ("windows", "amd64")] {
            assert!(!runs_on(other, here), "{other:?}");
        }
    }
}
