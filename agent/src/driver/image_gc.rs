//! Images go when their disk fills up: looked for every few minutes, removed, told of.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{EventType, Timestamp};

use super::node::Node;
use crate::events::reason;
use crate::image_gc::{
    HeldImage, ImageGcPolicy, ImageSurvey, PulledImage, PulledImages, Removal, note_use, removal,
};
use crate::pulled_images::PulledStore;
use crate::runtime::{ContainerRuntime, RuntimeError};

/// When is looked first: an agent that was started anew may have been away for long.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often after that. A disk does not fill up within a look or two, or its images are not to blame.
const LOOK_EVERY: Duration = Duration::from_secs(5 * 60);

/// What a driver begins with.
pub(crate) struct ImageGcStart {
    policy: ImageGcPolicy,
    store: PulledStore,
    pulled: PulledImages,
}

impl ImageGcStart {
    pub fn new(folder: &Path, policy: ImageGcPolicy) -> Self {
        let (store, pulled) = PulledStore::open(folder);
        Self { policy, store, pulled }
    }
}

pub(super) struct ImageGc {
    policy: ImageGcPolicy,
    store: Arc<PulledStore>,
    pulled: PulledImages,
    version: u64,
    look_at: Option<Timestamp>,
    is_looking: bool,
}

impl From<ImageGcStart> for ImageGc {
    fn from(start: ImageGcStart) -> Self {
        let ImageGcStart { policy, store, pulled } = start;
        let store = Arc::new(store);
        Self { policy, store, pulled, version: 0, look_at: None, is_looking: false }
    }
}

/// Images that were to go, with what became of each.
pub(crate) type Removed = Vec<(HeldImage, Result<(), RuntimeError>)>;

impl<R: ContainerRuntime> Node<R> {
    /// Looks when it is time, and says when that is.
    pub(super) fn collect_images(&mut self) -> Option<Timestamp> {
        let (now, knows) = (self.now, self.assignment.is_some() && self.engine.answers);
        let gc = self.image_gc.as_mut()?;
        let at = *gc.look_at.get_or_insert(now + FIRST_LOOK);
        if at > now || gc.is_looking || !knows {
            return (!gc.is_looking).then_some(at.max(now + Duration::from_secs(1)));
        }
        gc.is_looking = true;
        self.hands.survey_images();
        None
    }

    pub(super) fn image_pulled(&mut self, name: String, id: String) {
        let used_at = self.wall;
        let Some(gc) = self.image_gc.as_mut() else { return };
        let fresh = || PulledImage { names: Default::default(), used_at };
        let image = gc.pulled.entry(id).or_insert_with(fresh);
        image.names.insert(name);
        image.used_at = used_at;
        self.write_pulled();
    }

    pub(super) fn images_surveyed(&mut self, survey: Result<ImageSurvey, RuntimeError>) {
        let (now, wall) = (self.now, self.wall);
        let (Some(gc), Some(assignment)) = (self.image_gc.as_mut(), self.assignment.clone()) else {
            return;
        };
        gc.is_looking = false;
        gc.look_at = Some(now + LOOK_EVERY);
        let Ok(survey) = survey else { return };
        note_use(&mut gc.pulled, &survey, &assignment, wall);
        let removal = removal(&gc.policy, &survey, &gc.pulled, &assignment, wall);
        self.write_pulled();
        self.tell_want(&removal);
        if !removal.images.is_empty() {
            self.hands.remove_images(removal.images);
        }
    }

    /// Says that images alone cannot make enough room.
    fn tell_want(&mut self, removal: &Removal) {
        let freed: u64 = removal.images.iter().map(|image| image.size_bytes).sum();
        if freed < removal.wanted_bytes {
            let message = format!(
                "the disk of the images is full, and {} MiB more would have to go than may: make room on it, or raise the marks",
                (removal.wanted_bytes - freed) >> 20
            );
            self.node_event(EventType::Warning, reason::FREE_DISK_SPACE_FAILED, message);
        }
    }

    pub(super) fn images_removed(&mut self, removed: Removed) {
        for (image, result) in removed {
            let name = image.tags.first().unwrap_or(&image.id);
            match result {
                Ok(()) => {
                    self.metrics.images_removed.inc();
                    self.metrics.image_bytes_removed.inc_by(image.size_bytes);
                    let size = image.size_bytes >> 20;
                    let message = format!("removed image {name} ({size} MiB) to make room");
                    self.node_event(EventType::Normal, reason::IMAGE_REMOVED, message);
                }
                Err(error) => {
                    let message = format!("image {name} cannot be removed to make room: {error}");
                    self.node_event(EventType::Warning, reason::FREE_DISK_SPACE_FAILED, message);
                }
            }
        }
    }

    fn write_pulled(&mut self) {
        let Some(gc) = self.image_gc.as_mut() else { return };
        gc.version += 1;
        let (store, version, pulled) = (Arc::clone(&gc.store), gc.version, gc.pulled.clone());
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = store.write(version, &pulled) {
                tracing::warn!(%error, "which images were pulled cannot be written");
            }
        }));
    }
}
