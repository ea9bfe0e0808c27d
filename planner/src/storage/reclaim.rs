//! What becomes of the volume of a claim that nobody asks for any more.
//!
//! Nothing happens while a pod that uses the claim may still run, nor while the release that took the claim
//! away may still go back. Then the policy of its class holds: the volume is kept for a claim of the
//! same name, or its node removes it.

use std::sync::Arc;

use dugout_model::{
    BindingState, BoundVolume, Change, ClaimRetention, EventType, Kind, NodeName, ObjectId,
    ObjectKey, ReclaimPolicy, VolumeBinding, World,
};

use super::needs::{Asked, Misfit, asked, kept_for, retention_of};
use super::{subject, volume_subject};
use crate::draft::Draft;

/// Looks at the volumes of the claims that something happened to. Room that comes about on the way makes others
/// dirty; each of these can only grow, so the loop ends.
pub(crate) fn reclaim(draft: &mut Draft<'_>) {
    while let Some(key) = draft.dirty.claims.pop_first() {
        let bindings: Vec<Arc<VolumeBinding>> = draft.world.bindings_of(&key).cloned().collect();
        for binding in bindings {
            look(draft, &key, &binding);
        }
        come_back(draft, &key);
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
        (Standing::Asked, BindingState::Released { .. }) => {}
        (Standing::Asked, _) => follow(draft, key, binding),
        (_, BindingState::Released { .. }) => forget_undeclared(draft, binding),
        (Standing::Gone, _) => let_go(draft, key, binding),
        (Standing::Kept, _) => follow_set(draft, key, binding),
    }
}

fn standing(world: &World, key: &ObjectKey, binding: &VolumeBinding) -> Standing {
    if asked(world, key).is_some() {
        return Standing::Asked;
    }
    let Some(retention) = binding.retention else { return Standing::Gone };
    let policy = match live_retention(world, key, binding) {
        Some(live) => live.when_scaled,
        None => retention.when_deleted,
    };
    match policy {
        ReclaimPolicy::Retain => Standing::Kept,
        ReclaimPolicy::Delete => Standing::Gone,
    }
}

/// What the stateful set says that a claim is of, if that is there. Another one whose claims could have the same
/// name has no say.
fn live_retention(
    world: &World,
    key: &ObjectKey,
    binding: &VolumeBinding,
) -> Option<ClaimRetention> {
    let mut makers = world.claim_makers(key);
    let (row, template, _) = makers.find(|(row, ..)| row.uid == binding.owner)?;
    Some(retention_of(row.as_stateful_set()?, template))
}

/// A claim that has no volume gets what is kept for it, if that is what it asks for; else it is told why not.
pub(super) fn come_back(draft: &mut Draft<'_>, key: &ObjectKey) {
    if draft.world.binding_of(key).is_some() {
        return;
    }
    let Some(Asked { row, claim, retention }) = asked(&draft.world, key) else { return };
    let Some((binding, misfit)) = kept_for(&draft.world, key, claim) else { return };
    if let Some(misfit) = misfit {
        let message = format!(
            "volume {} is kept for it and {}; ask for what it has, name another volume in volumeName, or remove its folder",
            binding.volume_name(),
            misfit.explain()
        );
        let is_told = draft.has_told(key, "VolumeMismatch");
        if !is_told && is_new_misfit(draft.before, key, misfit) {
            draft.event(EventType::Warning, subject(key), "VolumeMismatch", message);
        }
        return;
    }
    let (owner, source) = (row.uid, Some(row.source.clone()));
    let state = BindingState::Bound;
    let row = VolumeBinding { owner, source, retention, state, ..(**binding).clone() };
    let message = format!("bound to volume {} again", binding.volume_name());
    draft.event(EventType::Normal, subject(key), "VolumeBound", message);
    draft.push(Change::PutVolumeBinding(Arc::new(row.clone())));
    follow(draft, key, &row);
}

/// Whether that is news.
fn is_new_misfit(before: &World, key: &ObjectKey, misfit: Misfit) -> bool {
    let kept = asked(before, key).and_then(|asked| kept_for(before, key, asked.claim));
    kept.and_then(|(_, misfit)| misfit) != Some(misfit)
}

/// Takes over what may change of a claim that has a volume: who asks for it, and for how much.
fn follow(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    let Some(Asked { row, claim, retention }) = asked(&draft.world, key) else { return };
    let (owner, source) = (row.uid, Some(row.source.clone()));
    let asked_bytes = claim.request_bytes;
    let mut row = VolumeBinding { owner, source, retention, ..binding.clone() };
    if let Some(node) = binding.node().filter(|_| asked_bytes > binding.capacity_bytes) {
        let capacity = draft.world.nodes.get(node).and_then(|node| node.storage_bytes);
        let free = capacity.unwrap_or(0).saturating_sub(draft.world.storage_reserved_on(node));
        if asked_bytes - binding.capacity_bytes <= free {
            row.capacity_bytes = asked_bytes;
            let message = format!("node {node} has set aside {asked_bytes} bytes for it");
            draft.event(EventType::Normal, subject(key), "VolumeResizeSuccessful", message);
        } else if draft.before.binding_of(key).is_some_and(|before| before.owner == owner)
            && is_changed(draft, key)
            && !draft.has_told(key, "VolumeResizeFailed")
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
    let Some(retention) = live_retention(&draft.world, key, binding) else { return };
    let row = VolumeBinding { retention: Some(retention), ..binding.clone() };
    if row != *binding {
        draft.push(Change::PutVolumeBinding(Arc::new(row)));
    }
}

/// Whether what the claim asks for became another in this turn.
fn is_changed(draft: &Draft<'_>, key: &ObjectKey) -> bool {
    let of = |world| asked(world, key).map(|asked| asked.claim.request_bytes);
    of(draft.before) != of(&draft.world)
}

/// The claim is gone.
fn let_go(draft: &mut Draft<'_>, key: &ObjectKey, binding: &VolumeBinding) {
    let is_used = draft.world.users_of(key).next().is_some();
    if is_used || may_be_wanted(&draft.world, binding) {
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
    match state {
        BindingState::Deleting { .. } => forget_with_node(draft, &row),
        _ => forget_undeclared(draft, &row),
    }
}

/// Whether the release that took a claim away may still go back, or has not shown yet that nobody misses it.
/// A source that never was healthy keeps no baseline to go back to, so both are asked.
fn may_be_wanted(world: &World, binding: &VolumeBinding) -> bool {
    let source = binding.source.as_ref().and_then(|source| world.sources.get(source));
    let is_open = source.is_some_and(|source| source.status.healthy != source.status.applied);
    is_open || world.may_come_back(binding.owner)
}

/// Forgets what is to be deleted on a node that a person deleted: nobody wants it back, and none is there to
/// remove it.
fn forget_with_node(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    if binding.node().is_some_and(|node| !draft.world.nodes.contains_key(node)) {
        draft.push(Change::DeleteVolumeBinding(binding.uid));
    }
}

/// Forgets a declared volume that nobody claims and whose declaration left Git. A folder that is kept stays known
/// while its node is away: it may come back with its disk.
fn forget_undeclared(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    let BoundVolume::Declared { name, .. } = &binding.volume else { return };
    let id = ObjectId::new(Kind::PersistentVolume, "", name.as_str());
    if !draft.world.objects.contains_key(&id) {
        draft.push(Change::DeleteVolumeBinding(binding.uid));
    }
}

/// Forgets a volume that nobody asks for or uses, and whose folder a person has removed. One that is kept for a
/// stateful set is as good as asked for: its pod would begin anew with nothing.
pub(super) fn forget_removed(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    let key = &binding.claim;
    let may_go = match binding.state {
        // It was given up already. What asks for it and does not fit waits for this, and its release with it.
        BindingState::Released { .. } => true,
        _ => {
            let is_gone = matches!(standing(&draft.world, key, binding), Standing::Gone);
            is_gone && !may_be_wanted(&draft.world, binding)
        }
    };
    if !may_go || draft.world.users_of(key).next().is_some() {
        return;
    }
    let message = "its folder is not on its node any more";
    draft.event(EventType::Normal, volume_subject(binding), "VolumeForgotten", message);
    draft.push(Change::DeleteVolumeBinding(binding.uid));
}

/// Forgets a volume whose folder was never made, once no pod is there that could make it: nothing is lost, and
/// its claim may be had elsewhere.
pub(super) fn forget_unmade(draft: &mut Draft<'_>, binding: &VolumeBinding) {
    if draft.world.users_of(&binding.claim).next().is_some() {
        return;
    }
    let message = "its folder was never made";
    draft.event(EventType::Normal, volume_subject(binding), "VolumeForgotten", message);
    draft.push(Change::DeleteVolumeBinding(binding.uid));
}

/// The same for those of a node that a person deletes: it never said that it has them.
pub(crate) fn forget_unmade_on(draft: &mut Draft<'_>, node: &NodeName) {
    let unmade = draft.world.bindings_on(node);
    let unmade = unmade.filter(|binding| binding.state == BindingState::Provisioning);
    let unmade: Vec<Arc<VolumeBinding>> = unmade.cloned().collect();
    unmade.iter().for_each(|binding| forget_unmade(draft, binding));
}
