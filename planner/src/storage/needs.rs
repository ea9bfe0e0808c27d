//! What the claims of a pod ask of a node: its volumes, or room for new ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    AccessMode, ClaimRetention, Kind, Node, NodeFilter, NodePrivilege, NodePrivileges, ObjectId,
    ObjectKey, ObjectName, ObjectSpec, ObjectUid, PersistentVolume, PersistentVolumeClaim,
    ReclaimPolicy, ReplicaSet, StorageClass, StoredObject, StringMap, VolumeBinding, VolumePlace,
    World,
};

/// What a pod's claims ask of a node.
#[derive(Default)]
pub(crate) struct Needs {
    /// Why it can be nowhere now, whatever the node.
    nowhere: Option<NodeFilter>,
    bound: Vec<Arc<VolumeBinding>>,
    unbound: Vec<Unbound>,
}

/// A claim that has no volume yet.
struct Unbound {
    key: ObjectKey,
    owner: ObjectUid,
    retention: Option<ClaimRetention>,
    class_name: ObjectName,
    /// The class, where volumes are made for it.
    class: Option<StorageClass>,
    claim: PersistentVolumeClaim,
}

/// A volume for a claim.
pub(super) struct Volume {
    pub wanted: Wanted,
    pub found: Found,
}

/// What its binding will say.
pub(super) struct Wanted {
    pub key: ObjectKey,
    pub owner: ObjectUid,
    pub retention: Option<ClaimRetention>,
    pub class: ObjectName,
    pub capacity_bytes: u64,
    pub access_modes: Box<[AccessMode]>,
    pub reclaim: ReclaimPolicy,
}

pub(super) enum Found {
    Declared {
        name: ObjectName,
        place: VolumePlace,
    },
    /// One that is to be made.
    Folder,
}

impl Needs {
    /// Of the pod of this name of a replica set.
    pub fn of_pod(world: &World, set: &ReplicaSet, pod: &ObjectName) -> Self {
        let names = set.template.claims().map(|(_, volume)| volume.claim.of_pod(pod));
        let mut needs = Self::default();
        let names: BTreeSet<ObjectName> = names.collect();
        for name in names {
            needs.add(world, ObjectKey { namespace: set.namespace.clone(), name }, pod);
        }
        needs
    }

    fn add(&mut self, world: &World, key: ObjectKey, pod: &ObjectName) {
        if let Some(binding) = world.binding_of(&key) {
            let is_used = || world.users_of(&key).any(|user| user.name != *pod);
            if binding.is_for_one_pod() && is_used() {
                self.nowhere = Some(NodeFilter::ClaimInUse);
            }
            return self.bound.push(Arc::clone(binding));
        }
        let Some((claim, owner, retention)) = asked(world, &key) else {
            self.nowhere = Some(NodeFilter::ClaimMissing);
            return;
        };
        let class_name = claim.class.clone().unwrap_or_else(|| world.default_storage_class());
        let class = world.storage_class(&class_name);
        // Declared volumes may have a class that is no object.
        let class = class.filter(StorageClass::provisions);
        let claim = claim.clone();
        self.unbound.push(Unbound { key, owner, retention, class_name, class, claim });
    }

    /// Why a node cannot take the pod, for the sake of its claims.
    pub fn refusal(&self, world: &World, node: &Node) -> Option<NodeFilter> {
        self.volumes_on(world, node).err()
    }

    /// A volume for each claim that has none yet, on this node.
    pub(super) fn volumes_on(&self, world: &World, node: &Node) -> Result<Vec<Volume>, NodeFilter> {
        if let Some(why) = self.nowhere {
            return Err(why);
        }
        // An agent of an earlier release would not understand what it is told.
        let is_empty = self.bound.is_empty() && self.unbound.is_empty();
        let Some(capacity) = node.storage_bytes.or(is_empty.then_some(0)) else {
            return Err(NodeFilter::NoStorage);
        };
        if self.bound.iter().any(|binding| !binding.admits(node)) {
            return Err(NodeFilter::VolumeAffinity);
        }
        // A declared volume is a path of the node.
        let allowed = NodePrivileges::from_labels(&node.labels);
        let may_have_paths = allowed.contains(NodePrivilege::HostPath);
        if !may_have_paths && self.bound.iter().any(|binding| binding.node().is_none()) {
            return Err(NodeFilter::NotAllowed);
        }
        let mut free = capacity.saturating_sub(world.storage_reserved_on(&node.name));
        let (mut volumes, mut taken) = (Vec::new(), BTreeSet::new());
        for unbound in &self.unbound {
            if let Some((name, volume)) = unbound.declared(world, node, &taken) {
                taken.insert(name.clone());
                let found = Found::Declared { name, place: volume.place.clone() };
                let wanted = unbound.wanted(volume.capacity_bytes, ReclaimPolicy::Retain);
                let access_modes = volume.access_modes.clone();
                volumes.push(Volume { wanted: Wanted { access_modes, ..wanted }, found });
                continue;
            }
            let class = unbound.class.as_ref().ok_or(NodeFilter::NoVolume)?;
            if unbound.claim.volume_name.is_some() || unbound.claim.selector.is_some() {
                return Err(NodeFilter::NoVolume);
            }
            let bytes = unbound.claim.request_bytes;
            free = free.checked_sub(bytes).ok_or(NodeFilter::InsufficientStorage)?;
            let wanted = unbound.wanted(bytes, class.reclaim);
            volumes.push(Volume { wanted, found: Found::Folder });
        }
        Ok(volumes)
    }
}

impl Unbound {
    fn wanted(&self, capacity_bytes: u64, reclaim: ReclaimPolicy) -> Wanted {
        Wanted {
            key: self.key.clone(),
            owner: self.owner,
            retention: self.retention,
            class: self.class_name.clone(),
            capacity_bytes,
            access_modes: self.claim.access_modes.clone(),
            reclaim,
        }
    }

    /// The declared volume that fits best: one that is for this claim, else the smallest, then by name.
    fn declared<'w>(
        &self,
        world: &'w World,
        node: &Node,
        taken: &BTreeSet<ObjectName>,
    ) -> Option<(ObjectName, &'w PersistentVolume)> {
        let rows = world.objects_of(Kind::PersistentVolume).filter(|row| !row.orphaned);
        let fitting = rows.filter_map(|row| {
            let ObjectSpec::PersistentVolume(volume) = &row.declared.spec else { return None };
            let name = &row.declared.key.name;
            let fits = self.fits(name, &row.declared.labels, volume)
                && volume.place.admits(node)
                && NodePrivileges::from_labels(&node.labels).contains(NodePrivilege::HostPath)
                && !taken.contains(name)
                && !is_taken(world, name);
            fits.then_some((name, &**volume))
        });
        let best = fitting.min_by_key(|(name, volume)| {
            (volume.claim.is_none(), volume.capacity_bytes, (*name).clone())
        });
        best.map(|(name, volume)| (name.clone(), volume))
    }

    fn fits(&self, name: &ObjectName, labels: &StringMap, volume: &PersistentVolume) -> bool {
        let claim = &self.claim;
        let has_mode = |mode: &AccessMode| volume.access_modes.contains(mode);
        volume.claim.as_ref().is_none_or(|key| *key == self.key)
            && claim.volume_name.as_ref().is_none_or(|wanted| wanted == name)
            && volume.class == self.class_name
            && volume.capacity_bytes >= claim.request_bytes
            && claim.access_modes.iter().all(has_mode)
            && claim.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

/// Whether a declared volume is somebody's, or is kept with what somebody left in it.
fn is_taken(world: &World, name: &ObjectName) -> bool {
    world.volume_bindings.values().any(|binding| {
        matches!(&binding.volume, dugout_model::BoundVolume::Declared { name: own, .. } if own == name)
    })
}

/// What is asked for under a claim's name, by whom, and what becomes of it if that is a stateful set.
pub(super) fn asked<'w>(
    world: &'w World,
    key: &ObjectKey,
) -> Option<(&'w PersistentVolumeClaim, ObjectUid, Option<ClaimRetention>)> {
    let id = ObjectId { kind: Kind::PersistentVolumeClaim, key: key.clone() };
    let declared = world.objects.get(&id).map(Arc::as_ref);
    if let Some((row, claim)) = declared.and_then(|row: &StoredObject| Some((row, row.as_claim()?)))
    {
        return Some((claim, row.uid, None));
    }
    let (row, template, ordinal) = world.claim_template_of(key)?;
    let set = row.as_stateful_set().filter(|set| set.asks_for(ordinal))?;
    Some((&template.claim, row.uid, Some(set.claim_retention)))
}
