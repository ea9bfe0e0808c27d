//! Storage: which volume a claim gets, with the node of the first pod that uses it, and what becomes of it.
//!
//! A claim has nothing until a pod that uses it is placed; then it gets the declared volume that fits, or
//! a folder on the pod's node, for which room is set aside there. From then on the volume says where pods
//! that use the claim may go: a pod whose node is away waits for it, and never begins anew with nothing.
//! A volume goes only when its claim has left Git for good, nobody uses it, and its class says that it
//! goes. What a person or a release goes back from keeps its data. Nothing but a folder that an agent made for a claim is ever deleted.

mod going;
mod needs;
mod reclaim;

use std::sync::Arc;

use dugout_model::{
    AssignedClaim, BindingState, BoundVolume, Change, ClaimPlace, EventType, Kind, Node,
    NodeReport, ObjectId, ObjectKey, ObjectName, Pod, ReplicaSet, StoredObject, VolumeBinding,
    VolumeUid, World,
};

use crate::draft::Draft;
use crate::records::Subject;

pub(crate) use going::{data_lost_by, keep_data, keep_data_of, refused_removals};
pub(crate) use needs::Needs;
use needs::Volume;
pub(crate) use reclaim::{forget_unmade_on, reclaim};

/// Gives each claim of a pod that goes to a node the volume that was found for it there.
pub(crate) fn bind(draft: &mut Draft<'_>, pod: &Pod, set: &ReplicaSet, node: &Node) {
    let needs = Needs::of_pod(&draft.world, set, &pod.name);
    for key in needs.returning() {
        reclaim::come_back(draft, key);
    }
    // A node was chosen that has them all.
    let Ok(volumes) = needs.volumes_on(&draft.world, node) else { return };
    for Volume { wanted, found } in volumes {
        let uid = VolumeUid(draft.ids.next_uuid());
        let (volume, state) = match found {
            needs::Found::Declared { name, place } => {
                (BoundVolume::Declared { name, place }, BindingState::Bound)
            }
            needs::Found::Folder => {
                let node = node.name.clone();
                (BoundVolume::Provisioned { node }, BindingState::Provisioning)
            }
        };
        let binding = VolumeBinding {
            uid,
            claim: wanted.key,
            owner: wanted.owner,
            source: Some(wanted.source),
            retention: wanted.retention,
            class: wanted.class,
            capacity_bytes: wanted.capacity_bytes,
            access_modes: wanted.access_modes,
            reclaim: wanted.reclaim,
            volume,
            state,
            bound_at: draft.now,
        };
        let message = format!("bound to volume {} for Pod {}", binding.volume_name(), pod.name);
        draft.event(EventType::Normal, subject(&binding.claim), "VolumeBound", message);
        draft.push(Change::PutVolumeBinding(Arc::new(binding)));
    }
}

/// What a node says of the folders that it has.
pub(crate) fn see(draft: &mut Draft<'_>, node: &Node, report: &NodeReport, is_up_to_date: bool) {
    let Some(held) = &report.volumes else { return };
    let bindings: Vec<Arc<VolumeBinding>> = draft.world.bindings_on(&node.name).cloned().collect();
    for binding in bindings {
        let is_there = held.contains(&binding.uid);
        match binding.state {
            BindingState::Provisioning if is_there => {
                let message = format!("Successfully provisioned volume {}", binding.volume_name());
                let claim = subject(&binding.claim);
                draft.event(EventType::Normal, claim, "ProvisioningSucceeded", message);
                let state = BindingState::Bound;
                draft.push(Change::PutVolumeBinding(Arc::new(VolumeBinding {
                    state,
                    ..(*binding).clone()
                })));
            }
            BindingState::Deleting { .. } if !is_there && is_up_to_date => {
                let message = format!("removed from node {}", node.name);
                let volume = volume_subject(&binding);
                draft.event(EventType::Normal, volume, "VolumeDeleted", message);
                draft.push(Change::DeleteVolumeBinding(binding.uid));
            }
            BindingState::Released { .. } | BindingState::Bound if !is_there && is_up_to_date => {
                reclaim::forget_removed(draft, &binding);
            }
            BindingState::Provisioning if is_up_to_date => reclaim::forget_unmade(draft, &binding),
            BindingState::Provisioning
            | BindingState::Bound
            | BindingState::Released { .. }
            | BindingState::Deleting { .. } => {}
        }
    }
}

/// Tells of a claim that is new what it waits for.
pub(crate) fn tell_declared(draft: &mut Draft<'_>, object: &StoredObject) {
    let key = &object.declared.key;
    let is_claim = object.declared.kind() == Kind::PersistentVolumeClaim;
    if !is_claim || draft.world.bindings_of(key).next().is_some() {
        return;
    }
    let claim = subject(key);
    let message = "waiting for first consumer to be created before binding";
    draft.event(EventType::Normal, claim, "WaitForFirstConsumer", message);
}

/// Where a pod's node finds the volumes of its claims, in the order of its template.
pub(crate) fn assigned_claims(world: &World, pod: &Pod, set: &ReplicaSet) -> Vec<AssignedClaim> {
    let claims = set.template.claims().filter_map(|(volume, claim)| {
        let key =
            ObjectKey { namespace: pod.namespace.clone(), name: claim.claim.of_pod(&pod.name) };
        let binding = world.binding_of(&key)?;
        let place = match &binding.volume {
            BoundVolume::Provisioned { .. } => ClaimPlace::Provisioned {
                volume: binding.uid,
                is_new: binding.state == BindingState::Provisioning,
            },
            BoundVolume::Declared { place, .. } => ClaimPlace::Declared(place.source.clone()),
        };
        Some(AssignedClaim { volume: volume.to_owned(), place })
    });
    claims.collect()
}

/// The volumes whose folders a node is to remove, sorted.
pub(crate) fn deleted_on(world: &World, node: &Node) -> Vec<VolumeUid> {
    let leaving = world.bindings_on(&node.name);
    let leaving = leaving.filter(|one| matches!(one.state, BindingState::Deleting { .. }));
    leaving.map(|one| one.uid).collect()
}

/// The names of the pods with claims of their own that a stateful set has still to make.
pub(crate) fn names_to_come(world: &World, object: &StoredObject) -> Vec<ObjectName> {
    let Some(spec) = object.as_stateful_set().filter(|spec| !spec.claim_templates.is_empty())
    else {
        return Vec::new();
    };
    let key = &object.declared.key;
    let ordinals = spec.first_ordinal..spec.first_ordinal.saturating_add(spec.replicas);
    let names = ordinals.map(|ordinal| ObjectName::new(format!("{}-{ordinal}", key.name)));
    names
        .filter(|name| {
            let mut pods = world.pods_named(&key.namespace, name);
            !pods.any(|pod| pod.is_active() && pod.node().is_some())
        })
        .collect()
}

fn subject(claim: &ObjectKey) -> Subject {
    Subject::object(&ObjectId { kind: Kind::PersistentVolumeClaim, key: claim.clone() })
}

fn volume_subject(binding: &VolumeBinding) -> Subject {
    let name = binding.volume_name();
    Subject::object(&ObjectId::new(Kind::PersistentVolume, "", name.as_str()))
}
