//! What the world can be asked about storage, and what is kept at hand for the answers.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::World;
use super::index::{add, take};
use crate::{
    BUILT_IN_CLASS, BindingState, BoundVolume, ClaimTemplate, Kind, NodeName, ObjectId, ObjectKey,
    ObjectName, ObjectSpec, Pod, PodIdentity, SourceName, StatefulSet, StorageClass, StoredObject,
    VolumeBinding, VolumePlace, VolumeUid,
};

/// The bindings by what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct VolumeIndex {
    by_claim: OrdMap<ObjectKey, OrdSet<VolumeUid>>,
    by_node: OrdMap<NodeName, OrdSet<VolumeUid>>,
    by_source: OrdMap<SourceName, OrdSet<VolumeUid>>,
    /// Those of declared volumes, by the volume's name.
    by_volume: OrdMap<ObjectName, OrdSet<VolumeUid>>,
    /// The same by the path on their nodes.
    by_path: OrdMap<String, OrdSet<VolumeUid>>,
    /// How many bytes of each node are set aside; wide enough for any number of volumes.
    reserved: OrdMap<NodeName, u128>,
}

impl VolumeIndex {
    fn set_reserved(&mut self, node: &NodeName, change: impl FnOnce(u128) -> u128) {
        match change(self.reserved.get(node).copied().unwrap_or(0)) {
            0 => self.reserved.remove(node),
            bytes => self.reserved.insert(node.clone(), bytes),
        };
    }
}

impl World {
    pub(super) fn put_volume_binding(&mut self, row: &Arc<VolumeBinding>) {
        self.delete_volume_binding(row.uid);
        self.volume_bindings.insert(row.uid, Arc::clone(row));
        add(&mut self.index.volumes.by_claim, &row.claim, row.uid);
        let index = &mut self.index.volumes;
        if let Some(source) = &row.source {
            add(&mut index.by_source, source, row.uid);
        }
        match &row.volume {
            BoundVolume::Provisioned { node } => {
                add(&mut index.by_node, node, row.uid);
                index.set_reserved(node, |bytes| bytes + u128::from(row.capacity_bytes));
            }
            BoundVolume::Declared { name, place } => {
                add(&mut index.by_volume, name, row.uid);
                add(&mut index.by_path, &place.source.normal_path(), row.uid);
            }
        }
    }

    pub(super) fn delete_volume_binding(&mut self, uid: VolumeUid) {
        let Some(old) = self.volume_bindings.remove(&uid) else { return };
        take(&mut self.index.volumes.by_claim, &old.claim, &uid);
        let index = &mut self.index.volumes;
        if let Some(source) = &old.source {
            take(&mut index.by_source, source, &uid);
        }
        match &old.volume {
            BoundVolume::Provisioned { node } => {
                take(&mut index.by_node, node, &uid);
                let own = u128::from(old.capacity_bytes);
                index.set_reserved(node, |bytes| bytes.saturating_sub(own));
            }
            BoundVolume::Declared { name, place } => {
                take(&mut index.by_volume, name, &uid);
                take(&mut index.by_path, &place.source.normal_path(), &uid);
            }
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

    /// The volume that a claim had last and that is kept for it: of several the one that was released last.
    pub fn released_of(&self, claim: &ObjectKey) -> Option<&Arc<VolumeBinding>> {
        let since = |binding: &VolumeBinding| match binding.state {
            BindingState::Released { since } => Some((since, binding.bound_at, binding.uid)),
            _ => None,
        };
        let kept = self.bindings_of(claim).filter(|binding| since(binding).is_some());
        kept.max_by_key(|binding| since(binding))
    }

    /// The claims with a volume whose names a template of a stateful set makes.
    pub fn bound_claims_of_template(
        &self,
        set: &ObjectKey,
        template: &ObjectName,
    ) -> impl Iterator<Item = &ObjectKey> {
        let prefix = format!("{template}-{}-", set.name);
        let namespace = set.namespace.clone();
        let first = ObjectKey { namespace: namespace.clone(), name: ObjectName::new(&prefix) };
        let named = self.index.volumes.by_claim.range(first..).map(|(key, _)| key);
        named
            .take_while(move |key| {
                key.namespace == namespace && key.name.as_str().starts_with(&prefix)
            })
            .filter(|key| split_ordinal(key.name.as_str()).is_some())
    }

    /// The bindings that a declared volume may not be given beside: those with its name, and those with its
    /// path on a node that it admits, too. To have another name does not make it another volume.
    pub fn bindings_at<'w>(
        &'w self,
        name: &ObjectName,
        place: &'w VolumePlace,
    ) -> impl Iterator<Item = &'w Arc<VolumeBinding>> {
        let index = &self.index.volumes;
        let same_name = index.by_volume.get(name).into_iter().flatten();
        let same_path = index.by_path.get(&place.source.normal_path()).into_iter().flatten();
        let same_path = same_path.filter_map(|uid| self.volume_bindings.get(uid));
        let overlapping = same_path.filter(move |binding| {
            let mut nodes = self.nodes.values();
            nodes.any(|node| place.admits(node) && binding.admits(node))
        });
        same_name.filter_map(|uid| self.volume_bindings.get(uid)).chain(overlapping)
    }

    /// The bindings of what a source asks for or asked for.
    pub fn bindings_of_source(
        &self,
        source: &SourceName,
    ) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let uids = self.index.volumes.by_source.get(source).into_iter().flatten();
        uids.filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// The bindings of the declared volume of this name.
    pub fn bindings_of_volume(
        &self,
        name: &ObjectName,
    ) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let uids = self.index.volumes.by_volume.get(name).into_iter().flatten();
        uids.filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// The bindings with a folder on a node, by uid.
    pub fn bindings_on(&self, node: &NodeName) -> impl Iterator<Item = &Arc<VolumeBinding>> {
        let uids = self.index.volumes.by_node.get(node).into_iter().flatten();
        uids.filter_map(|uid| self.volume_bindings.get(uid))
    }

    /// How much of a node's storage is set aside, in bytes; until its folder is gone, each counts.
    pub fn storage_reserved_on(&self, node: &NodeName) -> u64 {
        let bytes = self.index.volumes.reserved.get(node).copied().unwrap_or(0);
        u64::try_from(bytes).unwrap_or(u64::MAX)
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

    /// The stateful sets and their templates that make a claim of this name, with the ordinal of its pod. Both
    /// names may have dashes, so there may be several.
    pub fn claim_makers(
        &self,
        claim: &ObjectKey,
    ) -> impl Iterator<Item = (&Arc<StoredObject>, &ClaimTemplate, u32)> {
        let split = split_ordinal(claim.name.as_str());
        split.into_iter().flat_map(move |(rest, ordinal)| {
            rest.match_indices('-').filter_map(move |(at, _)| {
                let (template, set) = (rest.get(..at)?, rest.get(at + 1..)?);
                let id = ObjectId::new(Kind::StatefulSet, claim.namespace.as_str(), set);
                let object = self.objects.get(&id)?;
                let spec = object.as_stateful_set()?;
                let found =
                    spec.claim_templates.iter().find(|one| one.name.as_str() == template)?;
                Some((object, found, ordinal))
            })
        })
    }

    /// The one of them that the claim is of: that which its volume was made for, else one that asks for it.
    pub fn claim_maker(
        &self,
        claim: &ObjectKey,
    ) -> Option<(&Arc<StoredObject>, &ClaimTemplate, u32)> {
        let owner = self.binding_of(claim).map(|binding| binding.owner);
        self.claim_makers(claim).min_by_key(|(row, _, ordinal)| {
            let is_asked = row.as_stateful_set().is_some_and(|set| set.asks_for(*ordinal));
            (owner != Some(row.uid), !is_asked)
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

/// What stands before the ordinal in the name of a claim or pod of a stateful set, and the ordinal.
fn split_ordinal(name: &str) -> Option<(&str, u32)> {
    let (rest, ordinal) = name.rsplit_once('-')?;
    // As it is written: a zero before it would be another name.
    let number = ordinal.parse::<u32>().ok().filter(|number| number.to_string() == ordinal)?;
    Some((rest, number))
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
