//! Rules over claims and their volumes.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    BindingState, ClaimTemplate, Kind, NodeName, ObjectId, Pod, ReclaimPolicy, StoredObject,
    VolumeBinding,
};

use super::{Checker, Violation};

impl Checker<'_> {
    pub(super) fn storage(&mut self) {
        for uid in self.touched.pods.clone() {
            let was_placed = self.before.pods.get(&uid).is_some_and(|pod| pod.node().is_some());
            if let Some(pod) = self.after.pods.get(&uid).filter(|_| !was_placed).cloned() {
                self.claims_of(&pod);
            }
        }
        let mut receivers: BTreeSet<NodeName> = BTreeSet::new();
        for uid in self.touched.volumes.clone() {
            let before = self.before.volume_bindings.get(&uid).cloned();
            let after = self.after.volume_bindings.get(&uid).cloned();
            match (&before, &after) {
                (before, Some(after)) => {
                    self.binding(before.as_deref(), after);
                    let grew = before
                        .as_ref()
                        .is_none_or(|before| before.capacity_bytes < after.capacity_bytes);
                    receivers.extend(after.node().filter(|_| grew).cloned());
                }
                (Some(before), None) => self.given_up(before),
                (None, None) => {}
            }
        }
        for node in receivers {
            let capacity = self.after.nodes.get(&node).and_then(|row| row.storage_bytes);
            let fits = capacity.is_some_and(|most| self.after.storage_reserved_on(&node) <= most);
            self.require(fits, || Violation::StorageOverbooked { node });
        }
    }

    /// A pod that gets a node finds all its volumes there, and shares none that is for one pod.
    fn claims_of(&mut self, pod: &Arc<Pod>) {
        let Some(node) = pod.node() else { return };
        for claim in self.after.claims_of(pod) {
            let row = self.after.nodes.get(node);
            let binding = self.after.binding_of(&claim);
            let has_it = row.zip(binding).is_some_and(|(row, one)| one.admits(row));
            let is_shared = binding.is_some_and(|one| one.is_for_one_pod())
                && self.after.users_of(&claim).any(|user| user.uid != pod.uid);
            let (uid, node) = (pod.uid, node.clone());
            let taken = claim.clone();
            self.require(has_it, || Violation::WithoutVolume { pod: uid, node, claim });
            self.require(!is_shared, || Violation::ClaimTakenTwice { pod: uid, claim: taken });
        }
    }

    fn binding(&mut self, before: Option<&VolumeBinding>, after: &VolumeBinding) {
        let (volume, claim) = (after.uid, after.claim.clone());
        let held = self.after.bindings_of(&claim).filter(|one| one.is_held()).count();
        self.require(held <= 1, || Violation::TwoVolumes { claim });
        let Some(before) = before else { return };
        let is_same = before.claim == after.claim
            && before.volume == after.volume
            && (before.reclaim == after.reclaim || after.reclaim == ReclaimPolicy::Retain)
            && !matches!((before.state, after.state),
                (BindingState::Deleting { .. }, state) if state != before.state);
        self.require(is_same, || Violation::VolumeChanged { volume });
        if before.is_held() && !after.is_held() {
            self.given_up(after);
        }
        let is_deleted = matches!(after.state, BindingState::Deleting { .. });
        let may_go = !is_deleted || after.reclaim == ReclaimPolicy::Delete;
        self.require(may_go, || Violation::KeptVolumeDeleted { volume });
    }

    /// Nobody asks for the claim in Git, be it by itself or through a stateful set, what asked for it cannot come
    /// back with a release that fails, and no pod that uses it may still run. A volume that was never made may be
    /// forgotten whoever asks for it.
    fn given_up(&mut self, binding: &VolumeBinding) {
        // One that was let go before is nobody's, whatever is asked for now.
        let was_held = self.before.volume_bindings.get(&binding.uid);
        if was_held.is_some_and(|before| !before.is_held()) {
            return;
        }
        let claim = binding.claim.clone();
        let id = ObjectId { kind: Kind::PersistentVolumeClaim, key: claim.clone() };
        let is_asked = self.after.objects.contains_key(&id) || self.is_of_a_set(binding);
        let source = binding.source.as_ref().and_then(|source| self.after.sources.get(source));
        let is_open = source.is_some_and(|row| row.status.healthy != row.status.applied);
        let may_come_back = is_open || self.after.may_come_back(binding.owner);
        let was_made = was_held.is_none_or(|one| one.state != BindingState::Provisioning)
            || self.after.volume_bindings.contains_key(&binding.uid);
        // With another volume, it may be used elsewhere.
        let is_there = |pod: &Pod| binding.node().is_none_or(|node| pod.node() == Some(node));
        let is_used = self.after.users_of(&claim).any(|pod| is_there(pod));
        let is_wanted = was_made && (is_asked || may_come_back);
        let volume = binding.uid;
        self.require(!is_wanted && !is_used, || Violation::VolumeTaken { volume, claim });
    }

    /// Whether a stateful set asks for the claim of a volume: the one that it was made for, or, where that is not
    /// there, any whose claims have such names.
    fn is_of_a_set(&self, binding: &VolumeBinding) -> bool {
        let asks = |(row, _, ordinal): &(&Arc<StoredObject>, &ClaimTemplate, u32)| {
            row.as_stateful_set().is_some_and(|set| set.asks_for(*ordinal))
        };
        let mut own = self.after.claim_makers(&binding.claim);
        match own.find(|(row, ..)| row.uid == binding.owner) {
            Some(own) => asks(&own),
            None => self.after.claim_makers(&binding.claim).any(|one| asks(&one)),
        }
    }
}
