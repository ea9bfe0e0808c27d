//! Volumes that pass from one pod to another: nothing is started on one that a container of a pod that is not
//! assigned any more still has. Pure.
//!
//! The control plane forgets the pods of a node that a person deleted, and may place others on their volumes as
//! soon as it joins again. Pods that are assigned together share a volume because they may.

use std::collections::BTreeMap;

use dugout_model::{AssignedPod, Assignment, PodUid};

use super::{Action, Input, Step};
use crate::labels::{SANDBOX, claimed_volumes};
use crate::runtime::{ObservedContainer, ObservedState};

/// A container that is not made or started yet, because its volume is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeWait {
    pub pod: PodUid,
    pub container: String,
    /// The pod that has it, as `namespace/name`.
    pub user: String,
}

/// The volumes that containers of pods have that are not assigned any more, and one such pod of each. One that
/// was made and not started may be on its way to run.
pub(super) fn former_users(input: &Input<'_>, assignment: &Assignment) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    let is_assigned = |uid: PodUid| assignment.pods.iter().any(|pod| pod.uid == uid);
    for (uid, containers) in input.observed.pods() {
        let may_write = |one: &&ObservedContainer| {
            !one.labels.volumes.is_empty() && !matches!(one.state, ObservedState::Exited { .. })
        };
        let mut writing = containers.iter().filter(may_write).peekable();
        if writing.peek().is_none() || is_assigned(uid) {
            continue;
        }
        for labels in writing.map(|one| &one.labels) {
            let user = format!("{}/{}", labels.namespace, labels.pod);
            users.extend(labels.volumes.iter().map(|volume| (volume.clone(), user.clone())));
        }
    }
    users
}

/// What a step of a pod has to wait for.
pub(super) fn wait(
    pod: &AssignedPod,
    step: &Step,
    former: &BTreeMap<String, String>,
) -> Option<VolumeWait> {
    let (Step::Act(Action::Create { container, .. }) | Step::Act(Action::Start { container, .. })) =
        step
    else {
        return None;
    };
    if former.is_empty() || pod.claims.is_empty() || container == SANDBOX {
        return None;
    }
    let user = claimed_volumes(pod).iter().find_map(|volume| former.get(volume).cloned())?;
    Some(VolumeWait { pod: pod.uid, container: container.clone(), user })
}
