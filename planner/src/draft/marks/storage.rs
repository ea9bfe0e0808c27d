//! What changes of claims and of their volumes make dirty.

use dugout_model::{
    NodeName, ObjectKey, ObjectSpec, SourceName, StoredObject, VolumeBinding, VolumeUid,
};

use super::Draft;

impl Draft<'_> {
    /// A claim got a volume, or room came about; and its node may have to know.
    pub(super) fn mark_binding(&mut self, row: &VolumeBinding) {
        self.dirty.placement = true;
        self.mark_room();
        self.dirty.assignments.extend(row.node().cloned());
    }

    /// Claims with a folder on its node may have waited for the room.
    pub(super) fn mark_gone_binding(&mut self, uid: VolumeUid) {
        let Some(old) = self.world.volume_bindings.get(&uid).cloned() else { return };
        self.mark_binding(&old);
        old.node().into_iter().for_each(|node| self.mark_claims_on(node));
    }

    /// The claims that an object asks for, or declares the volumes of.
    pub(super) fn mark_claims_of(&mut self, object: &StoredObject) {
        let key = &object.declared.key;
        match &object.declared.spec {
            ObjectSpec::PersistentVolumeClaim(_) => {
                self.dirty.claims.insert(key.clone());
            }
            ObjectSpec::StatefulSet(set) => {
                // Those as well that others had under these names.
                let templates = set.claim_templates.iter();
                let keys = templates
                    .flat_map(|template| self.world.bound_claims_of_template(key, &template.name));
                let keys: Vec<ObjectKey> = keys.cloned().collect();
                self.dirty.claims.extend(keys);
            }
            ObjectSpec::PersistentVolume(_) => {
                let bindings = self.world.bindings_of_volume(&key.name);
                let keys: Vec<ObjectKey> = bindings.map(|binding| binding.claim.clone()).collect();
                self.dirty.claims.extend(keys);
            }
            ObjectSpec::StorageClass(_) => {
                let of_class = self.world.volume_bindings.values();
                let of_class = of_class.filter(|binding| binding.class == key.name);
                let keys: Vec<ObjectKey> = of_class.map(|binding| binding.claim.clone()).collect();
                self.dirty.claims.extend(keys);
            }
            _ => {}
        }
    }

    /// The claims of a source: what left Git may be given up when its release is healthy.
    pub(super) fn mark_claims_from(&mut self, source: &SourceName) {
        let bindings = self.world.bindings_of_source(source);
        let keys: Vec<ObjectKey> = bindings.map(|binding| binding.claim.clone()).collect();
        self.dirty.claims.extend(keys);
    }

    /// The claims with a folder on a node, which may have waited for room there.
    pub(super) fn mark_claims_on(&mut self, node: &NodeName) {
        let keys = self.world.bindings_on(node).map(|binding| binding.claim.clone());
        self.dirty.claims.extend(keys);
    }
}
