//! What a container is made of: the image of the digest that its release has fixed, or what its image's name
//! stands for on this node, where nothing is or can be fixed.

use dugout_model::{AssignedPod, Container, EnvValue, ImageDigest, PullPolicy, takes_pin};

use super::{Action, ContainerMemory, ImageState};
use crate::runtime::ObservedContainer;

/// What the name of a container's image was found to stand for, before it was made.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FoundName {
    #[default]
    Nothing,
    /// An image that came from no registry, or whose digest the engine does not know.
    Local,
    Digest(ImageDigest),
}

/// What is to be done for the next container's image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ImageStep {
    /// It is made of this, as its pull policy has it.
    Use(String),
    /// The engine or the registry is asked what the name stands for.
    Find(String),
    /// What was found is told, and it is not said yet what holds for all.
    Await,
}

/// Decides for the container that follows `last`, the newest of its pod that is there.
pub(super) fn image_step(
    pod: &AssignedPod,
    wanted: &Container<EnvValue>,
    memory: &ContainerMemory,
    last: Option<&ObservedContainer>,
) -> ImageStep {
    let name = || wanted.image.clone();
    if let Some(last) = last {
        // A pod stays with what it began with: a restart after a crash needs neither registry nor server.
        let made_of = last.image_digest.as_ref();
        return ImageStep::Use(made_of.map_or_else(name, |digest| digest.reference(&wanted.image)));
    }
    let Some(pin) = pod.pin_of(&wanted.image).filter(|_| takes_pin(wanted)) else {
        return ImageStep::Use(name());
    };
    match (&pin.digest, &memory.found) {
        (Some(fixed), FoundName::Digest(found)) if found != fixed => {
            ImageStep::Find(fixed.reference(&wanted.image))
        }
        (Some(fixed), _) => ImageStep::Use(fixed.reference(&wanted.image)),
        (None, FoundName::Digest(_)) => ImageStep::Await,
        (None, FoundName::Local) => ImageStep::Use(name()),
        // One that was there before is not held up for what nobody knew when it was made.
        (None, FoundName::Nothing) if memory.next_attempt > 0 => ImageStep::Use(name()),
        (None, FoundName::Nothing) => ImageStep::Find(name()),
    }
}

/// The call that finds out what a name stands for.
pub(super) fn find(
    pod: &AssignedPod,
    wanted: &Container<EnvValue>,
    memory: &ContainerMemory,
    image: String,
) -> Action {
    let (pod, container) = (pod.uid, wanted.name.clone());
    match (wanted.pull_policy, memory.image) {
        (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, ImageState::Missing) => {
            Action::Pull { pod, container, image }
        }
        (PullPolicy::IfNotPresent | PullPolicy::Never, _) => Action::Find { pod, container, image },
    }
}

impl ContainerMemory {
    /// Its image is there, pulled or not.
    pub(super) fn note_found(&mut self, digest: Option<&ImageDigest>) {
        self.found = digest.cloned().map_or(FoundName::Local, FoundName::Digest);
    }

    /// What the image is that was found for it.
    pub(super) fn found_digest(&self) -> Option<&ImageDigest> {
        match &self.found {
            FoundName::Digest(digest) => Some(digest),
            FoundName::Nothing | FoundName::Local => None,
        }
    }
}
