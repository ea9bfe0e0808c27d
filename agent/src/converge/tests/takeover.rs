//! Volumes that pass from a pod that is not assigned any more to another.

use dugout_model::{AssignedClaim, ClaimPlace, Pause, PersistentVolumeSource, VolumeUid};
use uuid::Uuid;

use super::*;

/// Pod 1 with this claim, beside a container of pod 9 with the volume of the same claim.
fn with_former(place: ClaimPlace, state: ObservedState) -> Node {
    let mut node = one_pod();
    let claim = AssignedClaim { volume: "data".to_owned(), place };
    node.assignment.pods[0].claims = vec![claim];
    let mut former = container(9, 0, state);
    former.labels.volumes = crate::labels::claimed_volumes(&node.assignment.pods[0]);
    node.observed.put(former);
    node
}

fn folder() -> ClaimPlace {
    ClaimPlace::Provisioned { volume: VolumeUid(Uuid::from_u128(7)), is_new: false }
}

fn of_pod_1(plan: &Plan) -> Vec<Action> {
    plan.actions.iter().filter(|action| action.pod() == uid(1)).cloned().collect()
}

#[test]
fn nothing_is_started_on_a_volume_that_an_unassigned_pod_still_has() {
    let path = PersistentVolumeSource::Local { path: "/disks/1".to_owned() };
    for place in [folder(), ClaimPlace::Declared(path)] {
        for state in [running(1), ObservedState::Created, ObservedState::Removing] {
            let node = with_former(place.clone(), state);
            let plan = node.plan();
            assert_eq!(of_pod_1(&plan), []);
            let wait = VolumeWait {
                pod: uid(1),
                container: "web".to_owned(),
                user: "demo/web-9".to_owned(),
            };
            assert_eq!(plan.waits, [wait]);
        }
        let mut node = with_former(place, running(1));
        assert!(node.plan().actions.iter().any(|action| action.pod() == uid(9)), "it leaves");
        // What was made before waits for its start as well.
        node.see(container(1, 0, ObservedState::Created));
        assert_eq!(of_pod_1(&node.plan()), []);
        let mut ended = container(9, 0, exited(1, 2));
        ended.labels.volumes = crate::labels::claimed_volumes(&node.assignment.pods[0]);
        node.observed.put(ended);
        assert_eq!(of_pod_1(&node.plan()), [start(0)]);
    }
}

#[test]
fn a_pod_that_is_left_alone_keeps_its_volume_to_itself() {
    let mut node = with_former(folder(), running(1));
    let memory = node.memory().clone();
    node.memories.insert(uid(9), PodMemory { pause: Some(Pause::LeftAlone), ..memory });
    let plan = node.plan();
    assert_eq!((plan.actions, plan.waits.len()), (vec![], 1));
}

#[test]
fn pods_that_are_assigned_share_a_volume_and_other_volumes_are_no_hindrance() {
    let mut node = with_former(folder(), running(1));
    node.assignment.pods.push(pod(9, template("web")));
    assert_eq!(of_pod_1(&node.plan()), [create(0, 0)]);
    let other = ClaimPlace::Provisioned { volume: VolumeUid(Uuid::from_u128(8)), is_new: false };
    let mut node = with_former(folder(), running(1));
    node.assignment.pods[0].claims[0].place = other;
    assert_eq!(of_pod_1(&node.plan()), [create(0, 0)]);
}
