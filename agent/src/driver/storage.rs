//! The volumes of claims on this node: which there are, and that those go which are to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use dugout_model::{ClaimPlace, EventType, PodUid, Timestamp, VolumeUid};

use super::node::Node;
use crate::converge::volumes::Held;
use crate::events::reason;
use crate::runtime::ContainerRuntime;

/// What is known of the folders of claims.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// Absent while they are not found yet.
    pub held: Option<BTreeSet<VolumeUid>>,
    /// Counts what came and went: a look that began before says nothing of that.
    changes: u64,
    /// Those that are being removed, or could not be.
    leaving: BTreeMap<VolumeUid, Held>,
}

impl<R: ContainerRuntime> Node<R> {
    /// Looks which folders there are.
    pub(super) fn find_storage(&self) {
        if let Some(owner) = &self.owner {
            self.hands.find_storage(owner.clone(), self.storage.changes);
        }
    }

    pub(super) fn storage_found(&mut self, asked: u64, found: io::Result<BTreeSet<VolumeUid>>) {
        match found {
            Ok(_) if asked != self.storage.changes => self.find_storage(),
            Ok(held) => self.storage.held = Some(held),
            Err(error) => {
                self.storage.held = None;
                tracing::warn!(%error, "the folder of persistent volumes cannot be read");
            }
        }
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
