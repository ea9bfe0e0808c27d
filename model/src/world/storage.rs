//! What the world can be asked about storage, and what is kept at hand for the answers.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::World;
use super::index::{add, take};
use crate::{
    BUILT_IN_CLASS, ClaimTemplate, Kind, NamespaceName, NodeName, ObjectId, ObjectKey, ObjectName,
    ObjectSpec, Pod, PodIdentity, StatefulSet, StorageClass, StoredObject, VolumeBinding,
    VolumeUid,
};

/// The bindings by what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct VolumeIndex {
    by_claim: OrdMap<ObjectKey, OrdSet<VolumeUid>>,
    by_node: OrdMap<NodeName, OrdSet<VolumeUid>>,
}

impl World {
    pub(super) fn put_volume_binding(&mut self, row: &Arc<VolumeBinding>) {
        self.delete_volume_binding(row.uid);
        self.volume_bindings.insert(row.uid, Arc::clone(row));
        add(&mut self.index.volumes.by_claim, &row.claim, row.uid);
        if let Some(node) = row.node() {
            add(&mut self.index.volumes.by_node, node, row.uid);
        }
    }

    pub(super) fn delete_volume_binding(&mut self, uid: VolumeUid) {
        let Some(old) = self.volume_bindings.remove(&uid) else { return };
        take(&mut self.index.volumes.by_claim, &old.claim, &uid);
        if let Some(node) = old.node() {
            take(&mut self.index.volumes.by_node, node, &uid);
        }
    }

    /// The bindings of a claim: of those that it had and that are kept or on their way out as well.
    pub fn bindings_of(&self, claim: &ObjectKey) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let uids = self.index.volumes.by_claim.get(claim).into_iter().flatten();
        uids.filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// The volume that a claim has.
    pub fn binding_of(&self, claim: &ObjectKey) -> Option<&Arc<VolumeBinding>> {
        self.bindings_of(claim).find(|binding| binding.is_held())
    }

    /// The bindings of the claims of a namespace, by claim.
    pub fn bindings_in(
        &self,
        namespace: &NamespaceName,
    ) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let first = ObjectKey { namespace: namespace.clone(), name: ObjectName::new("") };
        let namespace = namespace.clone();
        let named = self.index.volumes.by_claim.range(first..);
        let named = named.take_while(move |(key, _)| key.namespace == namespace);
        named.flat_map(|(_, uids)| uids).filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// The bindings with a folder on a node, by uid.
    pub fn bindings_on(&self, node: &NodeName) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let uids = self.index.volumes.by_node.get(node).into_iter().flatten();
        uids.filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// How much of a node's storage is set aside, in bytes; until its folder is gone, each counts.
    pub fn storage_reserved_on(&self, node: &NodeName) -> u64 {
        self.bindings_on(node).fold(0, |sum, one| sum.saturating_add(one.capacity_bytes))
    }

    /// The keys of the claims that a pod uses.
    pub fn claims_of(&self, pod: &Pod) -> Vec<ObjectKey> {
        let Some(set) = self.replica_set_of(pod) else { return Vec::new() };
        let key = |name| ObjectKey { namespace: pod.namespace.clone(), name };
        set.template.claims().map(|(_, volume)| key(volume.claim.of_pod(&pod.name))).collect()
    }

    /// The pods that use a claim and may still run. One that waits for a node does not use it yet.
    pub fn users_of(&self, claim: &ObjectKey) -> impl Iterator<Item = &Arc<Pod>> {
        let (namespace, name) = (claim.namespace.clone(), claim.name.clone());
        let first = (namespace.clone(), ObjectName::new(""));
        let named = self.index.pods_by_name.range(first..);
        let named = named.take_while(move |((of, _), _)| *of == namespace);
        let pods = named.flat_map(|(_, uids)| uids).filter_map(|uid| self.pods.get(uid));
        pods.filter(move |pod| {
            let is_there = pod.node().is_some() && !pod.is_finished();
            is_there
                && self.replica_set_of(pod).is_some_and(|set| {
                    let mut claims = set.template.claims();
                    claims.any(|(_, volume)| volume.claim.of_pod(&pod.name) == name)
                })
        })
    }

    /// The stateful set and the template that make a claim of this name, with the ordinal of its pod.
    pub fn claim_template_of(
        &self,
        claim: &ObjectKey,
    ) -> Option<(&Arc<StoredObject>, &ClaimTemplate, u32)> {
        let (rest, ordinal) = claim.name.as_str().rsplit_once('-')?;
        let ordinal: u32 = ordinal.parse().ok().filter(|number: &u32| {
            // As it is written: a zero before it would be another name.
            number.to_string() == ordinal
        })?;
        // Both names may have dashes.
        rest.match_indices('-').find_map(|(at, _)| {
            let (template, set) = (rest.get(..at)?, rest.get(at + 1..)?);
            let id = ObjectId::new(Kind::StatefulSet, claim.namespace.as_str(), set);
            let object = self.objects.get(&id)?;
            let spec = object.as_stateful_set()?;
            let found = spec.claim_templates.iter().find(|one| one.name.as_str() == template)?;
            Some((object, found, ordinal))
        })
    }

    /// The class of this name, where one is declared or built in.
    pub fn storage_class(&self, name: &ObjectName) -> Option<StorageClass> {
        let id = ObjectId::new(Kind::StorageClass, "", name.as_str());
        match self.objects.get(&id).map(|row| &row.declared.spec) {
            Some(ObjectSpec::StorageClass(class)) => Some(class.clone()),
            _ => (name.as_str() == BUILT_IN_CLASS).then(StorageClass::built_in),
        }
    }

    /// The class of claims that name none: of several declared as default the newest, by name where they
    /// are of one age, as Kubernetes has it; else the one that is built in.
    pub fn default_storage_class(&self) -> ObjectName {
        let declared = self.objects_of(Kind::StorageClass).filter(
            |row| matches!(&row.declared.spec, ObjectSpec::StorageClass(class) if class.is_default),
        );
        let newest = declared.max_by(|left, right| {
            let by_age = left.created_at.cmp(&right.created_at);
            by_age.then_with(|| right.declared.key.name.cmp(&left.declared.key.name))
        });
        newest.map_or_else(|| ObjectName::new(BUILT_IN_CLASS), |row| row.declared.key.name.clone())
    }
}

impl StatefulSet {
    /// Whether it asks for a pod of this ordinal.
    pub fn asks_for(&self, ordinal: u32) -> bool {
        let asked = self.first_ordinal..self.first_ordinal.saturating_add(self.replicas);
        asked.contains(&ordinal)
    }
}

impl Pod {
    /// Its place in a stateful set.
    pub fn ordinal(&self) -> Option<u32> {
        match self.identity {
            PodIdentity::Ordinal(ordinal) => Some(ordinal),
            PodIdentity::Any | PodIdentity::OnNode(_) | PodIdentity::CompletionIndex(_) => None,
        }
    }
}
