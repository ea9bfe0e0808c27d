//! What of the memories is on disk, and what of it must be written anew.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::{AssignedPod, PodUid, RestartPolicy};

use super::node::Node;
use crate::records::{PodRecord, Version};
use crate::runtime::ContainerRuntime;

/// The records as they were last handed to the disk.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pods: BTreeMap<PodUid, PodRecord>,
    /// Of an earlier life, until their pods' memories begin.
    inherited: BTreeMap<PodUid, PodRecord>,
    version: Version,
}

impl Recorded {
    pub fn begin_with(&mut self, inherited: BTreeMap<PodUid, PodRecord>) {
        self.pods.clone_from(&inherited);
        self.inherited = inherited;
    }

    /// What an earlier life wrote of a pod, once.
    pub fn inherit(&mut self, pod: PodUid) -> Option<PodRecord> {
        self.inherited.remove(&pod)
    }

    /// Takes a record over as handed to the disk, if it says something new.
    fn take(&mut self, pod: PodUid, record: &PodRecord) -> Option<Version> {
        if self.pods.get(&pod).map_or(record.is_empty(), |known| known == record) {
            return None;
        }
        match record.is_empty() {
            true => drop(self.pods.remove(&pod)),
            false => drop(self.pods.insert(pod, record.clone())),
        }
        self.version.0 += 1;
        Some(self.version)
    }
}

impl<R: ContainerRuntime> Node<R> {
    /// What must be on disk of a pod before the engine is asked for more.
    pub(super) fn record_before_call(&mut self, pod: PodUid) -> Option<(Version, PodRecord)> {
        let record = record_of(self.assigned(pod)?, self)?;
        let version = self.recorded.take(pod, &record)?;
        Some((version, record))
    }

    /// Writes what became known of pods, and removes what is known of those that are no longer
    /// assigned.
    pub(super) fn write_records(&mut self) {
        let Some(assignment) = self.assignment.clone() else { return };
        let mut left: BTreeSet<PodUid> = self.recorded.pods.keys().copied().collect();
        for pod in &assignment.pods {
            left.remove(&pod.uid);
            if let Some(record) = record_of(pod, self) {
                self.write_record(pod.uid, record);
            }
        }
        for pod in left {
            if self.observed.of_pod(pod).is_empty() {
                self.write_record(pod, PodRecord::new());
            }
        }
    }

    fn write_record(&mut self, pod: PodUid, record: PodRecord) {
        if let Some(version) = self.recorded.take(pod, &record) {
            self.hands.write_record(pod, version, record);
        }
    }
}

/// What must outlive the containers of a pod: nothing where all are always started again.
fn record_of<R>(pod: &AssignedPod, node: &Node<R>) -> Option<PodRecord> {
    match pod.template.restart_policy {
        RestartPolicy::Always => None,
        RestartPolicy::OnFailure | RestartPolicy::Never => {
            node.memories.get(&pod.uid).map(|memory| memory.attempts())
        }
    }
}
