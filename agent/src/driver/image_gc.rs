//! Images go when their disk fills up: looked for every few minutes, removed, told of.
//!
//! They go one after the other, and each is chosen by what is assigned when its turn comes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{EventType, Timestamp};

use super::node::Node;
use crate::events::reason;
use crate::image_gc::{
    HeldImage, ImageGcPolicy, ImageSurvey, PulledImage, PulledImages, has_name, note_use,
    superfluous, wanted_bytes,
};
use crate::pulled_images::PulledStore;
use crate::runtime::{ContainerRuntime, RuntimeError};

/// When is looked first: an agent that was started anew may have been away for long.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often after that. A disk does not fill up within a look or two, or its images are not to blame.
/// After a removal it is looked sooner: how much room it made is only known then.
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
    stage: Stage,
}

/// What is under way.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Waiting,
    Looking,
    Removing(Round),
}

/// Images go until there is room.
#[derive(Debug)]
struct Round {
    /// Without what was tried already.
    survey: ImageSurvey,
    wanted_bytes: u64,
    freed_bytes: u64,
    /// The one whose turn it is.
    image: HeldImage,
}

impl From<ImageGcStart> for ImageGc {
    fn from(start: ImageGcStart) -> Self {
        let ImageGcStart { policy, store, pulled } = start;
        let store = Arc::new(store);
        Self { policy, store, pulled, version: 0, look_at: None, stage: Stage::Waiting }
    }
}

impl ImageGc {
    /// What is under way for a former owner ends unheard.
    pub fn begin_anew(&mut self) {
        self.look_at = None;
        self.stage = Stage::Waiting;
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// Looks when it is time, and says when that is.
    pub(super) fn collect_images(&mut self) -> Option<Timestamp> {
        let (now, knows) = (self.now, self.assignment.is_some() && self.engine.answers);
        let gc = self.image_gc.as_mut()?;
        let at = *gc.look_at.get_or_insert(now + FIRST_LOOK);
        if !matches!(gc.stage, Stage::Waiting) {
            return None;
        }
        if at > now || !knows {
            return Some(at.max(now + Duration::from_secs(1)));
        }
        gc.stage = Stage::Looking;
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

    /// Whether this agent pulled an image.
    pub(super) fn has_pulled(&self, id: &str) -> bool {
        self.image_gc.as_ref().is_some_and(|gc| gc.pulled.contains_key(id))
    }

    pub(super) fn images_surveyed(&mut self, survey: Result<ImageSurvey, RuntimeError>) {
        let (now, wall) = (self.now, self.wall);
        let (Some(gc), Some(assignment)) = (self.image_gc.as_mut(), self.assignment.clone()) else {
            return;
        };
        gc.stage = Stage::Waiting;
        gc.look_at = Some(now + LOOK_EVERY);
        let Ok(survey) = survey else { return };
        note_use(&mut gc.pulled, &survey, &assignment, wall);
        let wanted_bytes = wanted_bytes(&gc.policy, &survey);
        self.write_pulled();
        self.remove_next(survey, wanted_bytes, 0);
    }

    /// Removes the image that may go by what is assigned now, or says that there is none.
    fn remove_next(&mut self, survey: ImageSurvey, wanted_bytes: u64, freed_bytes: u64) {
        let (Some(gc), Some(assignment)) = (self.image_gc.as_mut(), self.assignment.as_ref())
        else {
            return;
        };
        if freed_bytes >= wanted_bytes {
            return;
        }
        let mut all = superfluous(&gc.policy, &survey, &gc.pulled, assignment, self.wall);
        if all.is_empty() {
            let message = format!(
                "the disk of the images is full, and {} MiB more would have to go than may: make room on it, or raise the marks",
                (wanted_bytes - freed_bytes) >> 20
            );
            return self.node_event(EventType::Warning, reason::FREE_DISK_SPACE_FAILED, message);
        }
        let image = all.swap_remove(0);
        self.hands.remove_image(image.clone());
        gc.stage = Stage::Removing(Round { survey, wanted_bytes, freed_bytes, image });
    }

    /// Whether an image of this name is being removed: whether the node has it is only known after that.
    pub(super) fn is_being_removed(&self, name: &str) -> bool {
        let stage = self.image_gc.as_ref().map(|gc| &gc.stage);
        matches!(stage, Some(Stage::Removing(round)) if has_name(&round.image, name))
    }

    pub(super) fn image_removed(&mut self, result: Result<(), RuntimeError>) {
        let now = self.now;
        let Some(gc) = self.image_gc.as_mut() else { return };
        let Stage::Removing(round) = std::mem::take(&mut gc.stage) else { return };
        let Round { mut survey, wanted_bytes, mut freed_bytes, image } = round;
        // Also one that cannot go: the next has its turn.
        survey.images.retain(|other| other.id != image.id);
        let name = image.tags.first().unwrap_or(&image.id);
        match result {
            Ok(()) => {
                gc.look_at = Some(now + FIRST_LOOK);
                freed_bytes = freed_bytes.saturating_add(image.size_bytes);
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
        self.remove_next(survey, wanted_bytes, freed_bytes);
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
