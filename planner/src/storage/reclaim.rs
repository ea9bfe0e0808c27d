//! What becomes of the volume of a claim that nobody asks for any more.
//!
//! Nothing happens while a pod that uses the claim may still run, nor while the release that took the claim
//! away may still go back. Then the policy of its class holds: the volume is kept for a claim of the
//! same name, or its node removes it.

use std::sync::Arc;

use dugout_model::{
    BindingState, Change, EventType, ObjectKey, ReclaimPolicy, VolumeBinding, World,
};

use super::needs::asked;
use super::{subject, volume_subject};
use crate::draft::Draft;

/// Looks at the volumes of the claims that something happened to.
pub(crate) fn reclaim(draft: &mut Draft<'_>) {
    for key in std::mem::take(&mut draft.dirty.claims) {
        let bindings: Vec<Arc<VolumeBinding>> = draft.world.bindings_of(&key).cloned().collect();
        for binding in bindings {
            look(draft, &key, &binding);
        }
    }
}

/// How a claim stands.
enum Standing {
    /// Something asks for it.
    Asked,
    /// A stateful set made it, which does not ask for it now, and it stays for the set.
    Kept,
    Gone,
}

fn look(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    match (standing(&draft.world, key, binding), binding.state) {
        (_, BindingState::Deleting { .. }) => forget_with_node(draft, binding),
        (Standing::Asked, BindingState::Released { .. }) => come_back(draft, key, binding),
        (Standing::Asked, _) => follow(draft, key, binding),
        (Standing::Gone, BindingState::Released { .. }) => forget_with_node(draft, binding),
        (Standing::Gone, _) => let_go(draft, key, binding),
        (Standing::Kept, _) => follow_set(draft, key, binding),
    }
}

fn standing(world: &World, key: &ObjectKey, binding: &VolumeBinding) -> Standing {
    if asked(world, key).is_some() {
        return Standing::Asked;
    }
    let Some(retention) = binding.retention else { return Standing::Gone };
    let live = world.claim_template_of(key).and_then(|(row, ..)| row.as_stateful_set());
    let policy = match live {
        Some(set) => set.claim_retention.when_scaled,
        None => retention.when_deleted,
    };
    match policy {
        ReclaimPolicy::Retain => Standing::Kept,
        ReclaimPolicy::Delete => Standing::Gone,
    }
}

/// The claim is there again, and gets what it had, if that is what it asks for.
fn come_back(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    if draft.world.binding_of(key).is_some() {
        return;
    }
    let Some((claim, owner, retention)) = asked(&draft.world, key) else { return };
    let class = claim.class.clone().unwrap_or_else(|| draft.world.default_storage_class());
    let fits = class == binding.class
        && claim.request_bytes <= binding.capacity_bytes
        && claim.access_modes.iter().all(|mode| binding.access_modes.contains(mode));
    if !fits {
        return;
    }
    let row = VolumeBinding { owner, retention, state: BindingState::Bound, ..binding.clone() };
    let message = format!("bound to volume {} again", binding.volume_name());
    draft.event(EventType::Normal, subject(key), "VolumeBound", message);
    draft.push(Change::PutVolumeBinding(Arc::new(row)));
}

/// Takes over what may change of a claim that has a volume: who asks for it, and for how much.
fn follow(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    let Some((claim, owner, retention)) = asked(&draft.world, key) else { return };
    let asked_bytes = claim.request_bytes;
    let mut row = VolumeBinding { owner, retention, ..binding.clone() };
    if let Some(node) = binding.node().filter(|_| asked_bytes > binding.capacity_bytes) {
        let capacity = draft.world.nodes.get(node).and_then(|node| node.storage_bytes);
        let free = capacity.unwrap_or(0).saturating_sub(draft.world.storage_reserved_on(node));
        if asked_bytes - binding.capacity_bytes <= free {
            row.capacity_bytes = asked_bytes;
            let message = format!("node {node} has set aside {asked_bytes} bytes for it");
            draft.event(EventType::Normal, subject(key), "VolumeResizeSuccessful", message);
        } else if draft.before.binding_of(key).is_some_and(|before| before.owner == owner)
            && is_changed(draft, key)
        {
            let message = format!(
                "node {node} has {free} bytes left, too few for it to grow to {asked_bytes}"
            );
            draft.event(EventType::Warning, subject(key), "VolumeResizeFailed", message);
        }
    }
    if row != *binding {
        draft.push(Change::PutVolumeBinding(Arc::new(row)));
    }
}

/// Takes over what a stateful set says now of the claims that it does not ask for.
fn follow_set(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    let live = draft.world.claim_template_of(key);
    let live = live.and_then(|(row, ..)| Some((row.uid, row.as_stateful_set()?.claim_retention)));
    let Some((owner, retention)) = live else { return };
    let row = VolumeBinding { owner, retention: Some(retention), ..binding.clone() };
    if row != *binding {
        draft.push(Change::PutVolumeBinding(Arc::new(row)));
    }
}

/// Whether what the claim asks for became another in this turn.
fn is_changed(draft: &Draft<'_>, key: &ObjectKey) -> bool {
    let of = |world| asked(world, key).map(|(claim, ..)| claim.request_bytes);
    of(draft.before) != of(&draft.world)
}

/// The claim is gone.
fn let_go(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    let is_used = draft.world.users_of(key).next().is_some();
    if is_used || draft.world.may_come_back(binding.owner) {
        return;
    }
    let since = draft.now;
    let is_folder = binding.node().is_some();
    let state = match binding.reclaim {
        ReclaimPolicy::Delete if is_folder => BindingState::Deleting { since },
        ReclaimPolicy::Delete | ReclaimPolicy::Retain => BindingState::Released { since },
    };
    let (reason, message) = match state {
        BindingState::Deleting { .. } => {
            ("VolumeDeleting", format!("its claim {key} is gone, and its class deletes"))
        }
        _ => ("VolumeReleased", format!("its claim {key} is gone; what is in it stays")),
    };
    draft.event(EventType::Normal, volume_subject(binding), reason, message);
    let row = VolumeBinding { state, ..binding.clone() };
    draft.push(Change::PutVolumeBinding(Arc::new(row.clone())));
    forget_with_node(draft, &row);
}

/// Forgets what nobody claims on a node that a person deleted, or whose declaration left Git: nothing is
/// there that could be told of.
fn forget_with_node(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    use dugout_model::{BoundVolume, Kind, ObjectId};
    let is_there = match &binding.volume {
        BoundVolume::Provisioned { node } => draft.world.nodes.contains_key(node),
        BoundVolume::Declared { name, .. } => {
            let id = ObjectId::new(Kind::PersistentVolume, "", name.as_str());
            draft.world.objects.contains_key(&id)
        }
    };
    if !is_there {
        draft.push(Change::DeleteVolumeBinding(binding.uid));
    }
}

/// Forgets a volume that nobody asks for or uses, and whose folder a person has removed.
pub(super) fn forget_removed(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    let key = &binding.claim;
    let is_asked = matches!(standing(&draft.world, key, binding), Standing::Asked);
    let is_used = draft.world.users_of(key).next().is_some();
    if is_asked || is_used || draft.world.may_come_back(binding.owner) {
        return;
    }
    let message = "its folder is not on its node any more, and no claim asks for it";
    draft.event(EventType::Normal, volume_subject(binding), "VolumeForgotten", message);
    draft.push(Change::DeleteVolumeBinding(binding.uid));
}
