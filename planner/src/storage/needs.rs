//! What the claims of a pod ask of a node: its volumes, or room for new ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    AccessMode, ClaimRetention, ClaimTemplate, Kind, Node, NodeFilter, NodePrivilege,
    NodePrivileges, ObjectId, ObjectKey, ObjectName, ObjectSpec, ObjectUid, PersistentVolume,
    PersistentVolumeClaim, Prune, ReclaimPolicy, ReplicaSet, SourceName, StatefulSet, StorageClass,
    StoredObject, StringMap, VolumeBinding, VolumePlace, World,
};

/// What a pod's claims ask of a node.
#[derive(Default)]
pub(crate) struct Needs {
    /// Why it can be nowhere now, whatever the node.
    nowhere: Option<NodeFilter>,
    bound: Vec<Arc<VolumeBinding>>,
    /// Those of the claims of bound volumes that were given up, and are kept.
    returning: Vec<ObjectKey>,
    unbound: Vec<Unbound>,
}

/// A claim that has no volume yet.
struct Unbound {
    key: ObjectKey,
    owner: ObjectUid,
    source: SourceName,
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
    pub source: SourceName,
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
        let binding = match world.binding_of(&key) {
            Some(binding) => Arc::clone(binding),
            None => match self.find(world, &key) {
                Some(binding) => binding,
                None => return,
            },
        };
        let is_used = || world.users_of(&key).any(|user| user.name != *pod);
        if binding.is_for_one_pod() && is_used() {
            self.nowhere = Some(NodeFilter::ClaimInUse);
        }
        self.bound.push(binding);
    }

    /// What a claim without a volume had before, and gets again. Else it is noted that it needs one.
    fn find(&mut self, world: &World, key: &ObjectKey) -> Option<Arc<VolumeBinding>> {
        let Some(asked) = asked(world, key) else {
            self.nowhere = Some(NodeFilter::ClaimMissing);
            return None;
        };
        match kept_for(world, key, asked.claim) {
            Some((binding, None)) => {
                self.returning.push(key.clone());
                return Some(Arc::clone(binding));
            }
            // It never begins anew with nothing beside what it had.
            Some((_, Some(_))) => self.nowhere = Some(NodeFilter::ReleasedVolume),
            None => {}
        }
        let Asked { row, claim, retention } = asked;
        let class_name = claim.class.clone().unwrap_or_else(|| world.default_storage_class());
        let class = world.storage_class(&class_name);
        // Declared volumes may have a class that is no object.
        let class = class.filter(StorageClass::provisions);
        self.unbound.push(Unbound {
            key: key.clone(),
            owner: row.uid,
            source: row.source.clone(),
            retention,
            class_name,
            class,
            claim: claim.clone(),
        });
        None
    }

    /// The claims that get again what is kept for them.
    pub(super) fn returning(&self) -> &[ObjectKey] {
        &self.returning
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
        let (mut volumes, mut taken) = (Vec::new(), Taken::default());
        for unbound in &self.unbound {
            if let Some((name, volume)) = unbound.declared(world, node, &taken) {
                taken.add(&name, volume);
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
            source: self.source.clone(),
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
        taken: &Taken,
    ) -> Option<(ObjectName, &'w PersistentVolume)> {
        let rows = world.objects_of(Kind::PersistentVolume).filter(|row| !row.orphaned);
        let fitting = rows.filter_map(|row| {
            let ObjectSpec::PersistentVolume(volume) = &row.declared.spec else { return None };
            let name = &row.declared.key.name;
            let fits = self.fits(name, &row.declared.labels, volume)
                && volume.place.admits(node)
                && NodePrivileges::from_labels(&node.labels).contains(NodePrivilege::HostPath)
                && !taken.contains(name, volume)
                && world.bindings_at(name, &volume.place).next().is_none();
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

/// The declared volumes that other claims of the same pod take, by name and by path.
#[derive(Default)]
struct Taken {
    names: BTreeSet<ObjectName>,
    paths: BTreeSet<String>,
}

impl Taken {
    fn add(&mut self, name: &ObjectName, volume: &PersistentVolume) {
        self.names.insert(name.clone());
        self.paths.insert(volume.place.source.normal_path());
    }

    fn contains(&self, name: &ObjectName, volume: &PersistentVolume) -> bool {
        self.names.contains(name) || self.paths.contains(&volume.place.source.normal_path())
    }
}

/// What is asked for under a claim's name.
#[derive(Clone, Copy)]
pub(super) struct Asked<'w> {
    /// The declared claim, or the stateful set.
    pub row: &'w StoredObject,
    pub claim: &'w PersistentVolumeClaim,
    /// What becomes of it if that is a stateful set.
    pub retention: Option<ClaimRetention>,
}

pub(super) fn asked<'w>(world: &'w World, key: &ObjectKey) -> Option<Asked<'w>> {
    let id = ObjectId { kind: Kind::PersistentVolumeClaim, key: key.clone() };
    let declared = world.objects.get(&id).map(Arc::as_ref);
    if let Some((row, claim)) = declared.and_then(|row: &StoredObject| Some((row, row.as_claim()?)))
    {
        return Some(Asked { row, claim, retention: None });
    }
    let (row, template, ordinal) = world.claim_maker(key)?;
    let set = row.as_stateful_set().filter(|set| set.asks_for(ordinal))?;
    let retention = Some(retention_of(set, template));
    Some(Asked { row, claim: &template.claim, retention })
}

/// What becomes of the claims of a template: those of one that asks not to be pruned stay.
pub(super) fn retention_of(set: &StatefulSet, template: &ClaimTemplate) -> ClaimRetention {
    match template.prune() {
        Prune::Disabled => ClaimRetention::default(),
        Prune::Enabled | Prune::Confirm => set.claim_retention,
    }
}

/// Why a volume that is kept for a claim is not what the claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Class,
    AccessModes,
    Size,
}

impl Misfit {
    pub fn explain(self) -> &'static str {
        match self {
            Misfit::Class => "has another StorageClass",
            Misfit::AccessModes => "lacks an access mode",
            Misfit::Size => "is smaller, and its class does not let it grow",
        }
    }
}

/// The volume that is kept for a claim which has none, and why it does not fit. A claim that names another
/// volume asks for that one.
pub(super) fn kept_for<'w>(
    world: &'w World,
    key: &ObjectKey,
    claim: &PersistentVolumeClaim,
) -> Option<(&'w Arc<VolumeBinding>, Option<Misfit>)> {
    let binding = world.released_of(key)?;
    if claim.volume_name.as_ref().is_some_and(|name| *name != binding.volume_name()) {
        return None;
    }
    // Whoever names no class means the one that was the default when the claim was made.
    let is_other_class = claim.class.as_ref().is_some_and(|class| *class != binding.class)
        || (claim.selector.is_some() && binding.node().is_some());
    let may_grow = || {
        let class = world.storage_class(&binding.class);
        binding.node().is_some() && class.is_some_and(|class| class.is_expandable)
    };
    let has_modes = claim.access_modes.iter().all(|mode| binding.access_modes.contains(mode));
    let misfit = if is_other_class {
        Some(Misfit::Class)
    } else if !has_modes {
        Some(Misfit::AccessModes)
    } else if claim.request_bytes > binding.capacity_bytes && !may_grow() {
        Some(Misfit::Size)
    } else {
        None
    };
    Some((binding, misfit))
}
