//! Images that a release wants here before anybody needs them: looked for, pulled, told of.

use std::collections::BTreeMap;

use dugout_model::{AssignedImage, EventType, ImageDigest, ImageReport, Timestamp};

use super::credentials::auths_for_image;
use super::hands::failure_of;
use super::node::Node;
use crate::converge::Failure;
use crate::converge::images::{ImageAction, ImageKey, ImageOutcome, ImageStep, image_step};
use crate::events::reason;
use crate::runtime::{ContainerRuntime, FoundDigest, FoundImage, RuntimeError};

impl<R: ContainerRuntime> Node<R> {
    /// Begins what is to be done for images, and says when to come again.
    pub(super) fn fetch_images(&mut self) -> Option<Timestamp> {
        let assignment = self.assignment.clone()?;
        self.images.set_asked(&assignment.images);
        self.image_pulls.retain(|key, pull| {
            let is_wanted = self.images.contains(key);
            if !is_wanted {
                pull.abort();
            }
            is_wanted
        });
        if !self.engine.answers {
            return None;
        }
        let mut wake_at: Option<Timestamp> = None;
        for asked in &assignment.images {
            if self.is_being_removed(&asked.image) {
                continue;
            }
            let Some(memory) = self.images.get_mut(asked) else { continue };
            match image_step(asked, memory, self.now) {
                ImageStep::Nothing => {}
                ImageStep::Wait(at) => {
                    wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
                }
                ImageStep::Act(action) => {
                    memory.begin();
                    if action == ImageAction::Pull && memory.failures == 0 {
                        let message = format!("pulling image {} for a release", asked.image);
                        self.node_event(EventType::Normal, reason::PULLING, message);
                    }
                    let auths = auths_for_image(&assignment, &asked.image);
                    let handle = self.hands.fetch_image(asked.clone(), action, auths);
                    self.image_pulls.insert(ImageKey::from(asked), handle);
                }
            }
        }
        wake_at
    }

    /// The engine said what became of an image.
    pub(super) fn image_fetched(
        &mut self,
        asked: &AssignedImage,
        action: ImageAction,
        result: Result<Option<FoundImage>, RuntimeError>,
    ) {
        self.image_pulls.remove(&ImageKey::from(asked));
        let outcome = match result {
            Ok(Some(found)) => ImageOutcome::Present { digest: self.digest_of(found) },
            Ok(None) => ImageOutcome::Absent,
            Err(error) if error.is_engine_unavailable() => {
                self.engine_lost(&error);
                ImageOutcome::EngineUnavailable
            }
            Err(error) => ImageOutcome::Failed(failure_of(&error)),
        };
        let Some(memory) = self.images.get_mut(asked) else { return };
        let failures = memory.failures;
        memory.end(asked, outcome.clone(), self.now);
        match outcome {
            ImageOutcome::Present { .. } if action == ImageAction::Pull => {
                let message = format!("image {} is here", asked.image);
                self.node_event(EventType::Normal, reason::PULLED, message);
            }
            // A trouble that lasts is told ever more rarely.
            ImageOutcome::Failed(Failure { message, .. })
                if failures == 0 || failures.is_power_of_two() =>
            {
                let message = format!("image {} cannot be pulled: {message}", asked.image);
                self.node_event(EventType::Warning, reason::FAILED, message);
            }
            _ => {}
        }
    }

    /// What its registry calls an image, where it is sure to have come from one.
    pub(super) fn digest_of(&self, found: FoundImage) -> Option<ImageDigest> {
        match found.digest {
            FoundDigest::Unknown => None,
            FoundDigest::Registry(digest) => Some(digest),
            FoundDigest::Unclear(digest) => Some(digest).filter(|_| self.has_pulled(&found.id)),
        }
    }

    pub(super) fn image_reports(&self) -> BTreeMap<AssignedImage, ImageReport> {
        self.assignment
            .as_ref()
            .map(|assignment| self.images.reports(&assignment.images))
            .unwrap_or_default()
    }
}
