//! The volumes of claims on this node: which there are, and that those go which are to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use dugout_model::{ClaimPlace, EventType, PodUid, Timestamp, VolumeUid};
use tokio::sync::watch;

use super::node::Node;
use crate::converge::volumes::Held;
use crate::events::reason;
use crate::runtime::ContainerRuntime;
use crate::volumes::{FoundStorage, StorageError};

/// How often the folders are looked at when nothing else asks for it: a person may remove one.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How often while nothing is known of them: their disk may come.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What is known of the folders of claims.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// Absent while they are not found yet, or cannot be.
    pub held: Option<BTreeSet<VolumeUid>>,
    /// When they are looked at next; absent until they were for the first time.
    look_at: Option<Timestamp>,
    is_looking: bool,
    /// Whether something came about during the look that is under way.
    is_stale: bool,
    /// Why nothing is known, as it was told last.
    trouble: String,
    /// Where it is told how much there is.
    capacity: Option<watch::Sender<u64>>,
    /// Counts what came and went: a look that began before says nothing of that.
    changes: u64,
    /// Those that are being removed, or could not be.
    leaving: BTreeMap<VolumeUid, Held>,
}

impl Storage {
    pub fn tell_capacity(&mut self, capacity: watch::Sender<u64>) {
        self.capacity = Some(capacity);
    }

    /// What was known is another owner's.
    pub fn begin_anew(&mut self) {
        let capacity = self.capacity.take();
        *self = Self { capacity, ..Self::default() };
    }

    /// The control plane is told when there is storage and was none, or the other way round. What a disk
    /// holds may change a little with every look.
    fn capacity_is(&self, bytes: u64) {
        let Some(capacity) = &self.capacity else { return };
        capacity.send_if_modified(|known| {
            let is_news = (*known == 0) != (bytes == 0);
            if is_news {
                *known = bytes;
            }
            is_news
        });
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// Looks which folders there are, after the look that is under way.
    pub(super) fn find_storage(&mut self) {
        let Some(owner) = &self.owner else { return };
        let is_under_way = self.storage.is_looking;
        self.storage.is_stale = is_under_way;
        if !is_under_way {
            self.storage.is_looking = true;
            self.hands.find_storage(owner.clone(), self.storage.changes);
        }
    }

    /// Looks again when it is time, and says when that is.
    pub(super) fn find_storage_when_due(&mut self) -> Option<Timestamp> {
        if self.storage.look_at.is_some_and(|at| at <= self.now) {
            self.find_storage();
        }
        self.storage.look_at.filter(|_| !self.storage.is_looking)
    }

    pub(super) fn storage_found(&mut self, asked: u64, found: Result<FoundStorage, StorageError>) {
        self.storage.is_looking = false;
        self.storage.look_at = Some(self.now + LOOK_EVERY);
        match found {
            Ok(_) if self.storage.is_stale || asked != self.storage.changes => {
                return self.find_storage();
            }
            Ok(found) => {
                self.storage.held = Some(found.volumes);
                self.storage.capacity_is(found.capacity_bytes);
                if !std::mem::take(&mut self.storage.trouble).is_empty() {
                    let message = "the storage folder is there again".to_owned();
                    self.node_event(EventType::Normal, reason::STORAGE_AVAILABLE, message);
                }
                return;
            }
            // A look of a former owner ends soon, or is too late: then nothing is known already.
            Err(StorageError::Busy) => {}
            Err(error) => {
                self.storage.held = None;
                self.storage.capacity_is(0);
                let message = error.to_string();
                if self.storage.trouble != message {
                    self.storage.trouble.clone_from(&message);
                    self.node_event(EventType::Warning, reason::STORAGE_UNAVAILABLE, message);
                }
            }
        }
        self.storage.look_at = Some(self.now + LOOK_AGAIN_AFTER);
    }

    /// A container of a pod was made or started: what it mounts is there.
    pub(super) fn note_storage_of(&mut self, pod: PodUid) {
        let claims = self.assigned(pod).map(|pod| pod.claims.clone()).unwrap_or_default();
        for claim in claims {
            let ClaimPlace::Provisioned { volume, .. } = claim.place else { continue };
            // A look that is under way may have come too early to see it.
            if self.storage.held.as_mut().is_none_or(|held| held.insert(volume)) {
                self.storage.changes += 1;
            }
        }
    }

    pub(super) fn storage_removed(&mut self, volume: VolumeUid, result: io::Result<()>) {
        let Err(error) = result else {
            self.storage.changes += 1;
            self.storage.leaving.remove(&volume);
            if let Some(held) = &mut self.storage.held {
                held.remove(&volume);
            }
            return;
        };
        let Some(held) = self.storage.leaving.get_mut(&volume) else { return };
        *held = held.stuck(self.now);
        // A trouble that lasts is told ever more rarely.
        if held.failures().is_power_of_two() {
            let message = format!("persistent volume pvc-{volume} cannot be removed: {error}");
            self.node_event(EventType::Warning, reason::FAILED_DELETE, message);
        }
    }

    /// Begins to remove the volumes that are to be deleted, but for those that a pod here still has.
    pub(super) fn remove_storage(&mut self) -> Option<Timestamp> {
        let (owner, assignment) = (self.owner.clone()?, self.assignment.clone()?);
        let held = self.storage.held.clone()?;
        let claims = assignment.pods.iter().flat_map(|pod| &pod.claims);
        let used: BTreeSet<VolumeUid> = claims
            .filter_map(|claim| match claim.place {
                ClaimPlace::Provisioned { volume, .. } => Some(volume),
                ClaimPlace::Declared(_) => None,
            })
            .collect();
        self.storage.leaving.retain(|volume, _| assignment.deleted_volumes.contains(volume));
        let mut wake_at = None::<Timestamp>;
        for volume in assignment.deleted_volumes.iter().filter(|volume| held.contains(volume)) {
            let known = self.storage.leaving.get(volume).copied().unwrap_or_default();
            match known {
                _ if used.contains(volume) => {}
                Held::Leaving { .. } => {}
                Held::Stuck { not_before, .. } if not_before > self.now => {
                    wake_at = Some(wake_at.map_or(not_before, |earlier| earlier.min(not_before)));
                }
                Held::Kept | Held::Stuck { .. } => {
                    let failures = known.failures();
                    self.storage.leaving.insert(*volume, Held::Leaving { failures });
                    self.hands.remove_storage(owner.clone(), *volume);
                }
            }
        }
        wake_at
    }
}
