//! The credentials that pulls are made with: of the pull secrets of a pod, or of a release.

use dugout_model::{AssignedPullSecret, Assignment, EventType, ObjectKey, PodUid};

use super::node::Node;
use crate::credentials::{Keyring, RegistryAuth};
use crate::events::reason;
use crate::runtime::ContainerRuntime;

impl<R: ContainerRuntime> Node<R> {
    /// For an image of a pod. Of a secret that is not there or cannot be read its events tell, and the pull
    /// goes without it.
    pub(super) fn auths_for_pod(&mut self, uid: PodUid, image: &str) -> Vec<RegistryAuth> {
        let Some(assignment) = self.assignment.clone() else { return Vec::new() };
        let Some(pod) = self.assigned(uid) else { return Vec::new() };
        let names = pod.template.image_pull_secrets.iter();
        let keys: Vec<ObjectKey> = names
            .map(|name| ObjectKey { namespace: pod.namespace.clone(), name: name.clone() })
            .collect();
        let mut keyring = Keyring::default();
        for key in keys {
            let secret = find(&assignment, &key);
            let why = match secret.map(|secret| keyring.add(secret.format, &secret.content)) {
                Some(Ok(())) => continue,
                Some(Err(error)) => error.to_string(),
                None => "there is none that holds credentials for registries".to_owned(),
            };
            let message =
                format!("pull secret {}: {why}; image {image} is pulled without it", key.name);
            self.pod_event(uid, EventType::Warning, reason::FAILED_PULL_SECRET, message);
        }
        keyring.lookup(image)
    }
}

/// For an image that a release wants here. What is wrong with a secret is told where a pod names it.
pub(super) fn auths_for_image(assignment: &Assignment, image: &str) -> Vec<RegistryAuth> {
    let mut keyring = Keyring::default();
    let is_for = |secret: &&AssignedPullSecret| secret.images.iter().any(|one| one == image);
    for secret in assignment.pull_secrets.iter().filter(is_for) {
        let _ = keyring.add(secret.format, &secret.content);
    }
    keyring.lookup(image)
}

fn find<'a>(assignment: &'a Assignment, key: &ObjectKey) -> Option<&'a AssignedPullSecret> {
    assignment.pull_secrets.iter().find(|secret| secret.key == *key)
}
