//! What changes of claims and of their volumes make dirty.

use dugout_model::{Kind, NodeName, ObjectId, ObjectKey, VolumeBinding};

use super::Draft;

impl Draft<'_> {
    /// A claim got a volume, or room came about; and its node may have to know.
    pub(super) fn mark_binding(&mut self, row: &VolumeBinding) {
        self.dirty.placement = true;
        self.dirty.assignments.extend(row.node().cloned());
    }

    /// The claims that an object asks for, or declares the volumes of.
    pub(super) fn mark_claims_of(&mut self, id: &ObjectId) {
        match id.kind {
            Kind::PersistentVolumeClaim => {
                self.dirty.claims.insert(id.key.clone());
            }
            Kind::StatefulSet => {
                // Which set a claim is of is in its name, which both may share with dashes.
                let of_sets = self.world.bindings_in(&id.key.namespace);
                let of_sets = of_sets.filter(|binding| binding.retention.is_some());
                let keys: Vec<ObjectKey> = of_sets.map(|binding| binding.claim.clone()).collect();
                self.dirty.claims.extend(keys);
            }
            Kind::PersistentVolume | Kind::StorageClass => {
                let keys = self.world.volume_bindings.values().map(|binding| binding.claim.clone());
                self.dirty.claims.extend(keys);
            }
            _ => {}
        }
    }

    /// The claims with a folder on a node.
    pub(super) fn mark_claims_on(&mut self, node: &NodeName) {
        let keys = self.world.bindings_on(node).map(|binding| binding.claim.clone());
        self.dirty.claims.extend(keys);
    }
}
