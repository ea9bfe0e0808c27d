//! The volumes of this node's pods: which there are, and that they go.

use std::io;

use dugout_model::{EventType, PodUid, Timestamp, WaitingReason};

use super::node::Node;
use crate::converge::volumes::{Held, unneeded};
use crate::converge::{Input, VolumeWait};
use crate::events::reason;
use crate::labels::SANDBOX;
use crate::runtime::ContainerRuntime;
use crate::spec::sub_paths;
use crate::volumes::Preparation;

impl<R: ContainerRuntime> Node<R> {
    /// What must be there before a container is made or started; that it is there is noted.
    ///
    /// # Errors
    /// When its mounts cannot be described.
    pub(super) fn volumes_for(
        &mut self,
        uid: PodUid,
        container: &str,
    ) -> Result<Option<Preparation>, String> {
        let Some(owner) = self.owner.as_ref().filter(|_| container != SANDBOX) else {
            return Ok(None);
        };
        let pod = self.assigned(uid).filter(|pod| !pod.template.volumes.is_empty());
        let Some(pod) = pod else { return Ok(None) };
        let Some(wanted) = pod.template.container(container) else { return Ok(None) };
        let node = (&owner.node, self.allocatable());
        let sub_paths = sub_paths(pod, wanted, node).map_err(|error| error.to_string())?;
        let layout = self.hands.volume_layout(owner);
        let preparation = layout.preparation(pod, wanted, &sub_paths, (&owner.node, self.wall));
        let preparation =
            preparation.map(|made| Preparation { allocatable: self.allocatable(), ..made });
        if preparation.is_some() {
            self.held_volumes.entry(uid).or_default();
        }
        Ok(preparation)
    }

    /// Tells once why a container is not made or started yet.
    pub(super) fn note_volume_wait(&mut self, wait: VolumeWait) {
        let VolumeWait { pod, container, user } = wait;
        let message = format!(
            "a volume of its claims is still in use here by pod {user}, which is not assigned to this node any more; it waits until that has ended"
        );
        let Some(memory) = self.memories.get_mut(&pod) else { return };
        let waiting = Some((WaitingReason::ContainerCreating, message.clone()));
        let memory = memory.container(&container);
        if memory.waiting != waiting {
            memory.waiting = waiting;
            self.pod_event(pod, EventType::Warning, reason::FAILED_MOUNT, message);
        }
    }

    pub(super) fn volumes_found(&mut self, found: io::Result<Vec<PodUid>>) {
        match found {
            Ok(pods) => {
                for pod in pods {
                    self.held_volumes.entry(pod).or_default();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the folder of the volumes cannot be read; what pods left there stays");
            }
        }
    }

    pub(super) fn volumes_removed(&mut self, pod: PodUid, result: io::Result<()>) {
        let Err(error) = result else {
            self.held_volumes.remove(&pod);
            return;
        };
        let Some(held) = self.held_volumes.get_mut(&pod) else { return };
        *held = held.stuck(self.now);
        // A trouble that lasts is told ever more rarely.
        if held.failures().is_power_of_two() {
            let message = format!("the volumes of pod {pod} cannot be removed: {error}");
            self.node_event(EventType::Warning, reason::FAILED_UNMOUNT, message);
        }
    }

    /// Begins to remove the volumes that nobody needs any more.
    pub(super) fn remove_volumes(&mut self) -> Option<Timestamp> {
        let owner = self.owner.clone()?;
        let assignment = self.assignment.clone();
        let input = Input {
            assignment: assignment.as_deref(),
            observed: &self.observed,
            memories: &self.memories,
            engine_known: self.engine.answers,
            policy: &self.policy,
            now: self.now,
        };
        let (pods, wake_at) = unneeded(input, &self.held_volumes);
        for pod in pods {
            let failures = self.held_volumes.get(&pod).map_or(0, |held| held.failures());
            self.held_volumes.insert(pod, Held::Leaving { failures });
            self.hands.remove_volumes(owner.clone(), pod);
        }
        wake_at
    }
}
