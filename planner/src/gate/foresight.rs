//! Where the pods of a release's workloads will be, once those that its strategies replace are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, DaemonSetUpdate, IdSource, ImagePins, Lifecycle, NodeName, ObjectSpec, Placement, Pod,
    PodIdentity, PodTemplate, PodUid, ReplicaSet, ReplicaSetUid, Seen, SourceName,
    StatefulSetUpdate, StoredObject, TemplateHash, World,
};

use super::seen::present_images;
use crate::draft::Draft;
use crate::placement::Rooms;
use crate::resolve::resolve;
use crate::{daemon_sets, replica_sets, rollouts, storage};

/// How many pods a workload shall have, where it does not say so by node.
fn replicas_of(spec: &ObjectSpec) -> u32 {
    match spec {
        ObjectSpec::Deployment(spec) => spec.replicas,
        ObjectSpec::StatefulSet(spec) => spec.replicas,
        ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => spec.replicas,
        ObjectSpec::Job(spec) => spec.parallelism,
        ObjectSpec::Pod(_) => 1,
        // Its next run may be far away, and whatever is wrong with it is told then.
        ObjectSpec::CronJob(_)
        | ObjectSpec::DaemonSet(_)
        | ObjectSpec::Namespace
        | ObjectSpec::LimitRange(_)
        | ObjectSpec::ResourceQuota(_)
        | ObjectSpec::ConfigMap(_)
        | ObjectSpec::Secret(_)
        | ObjectSpec::Service(_)
        | ObjectSpec::StorageClass(_)
        | ObjectSpec::PersistentVolume(_)
        | ObjectSpec::PersistentVolumeClaim(_)
        | ObjectSpec::PodDisruptionBudget(_) => 0,
    }
}

/// Where the pods of workloads will be, once those of earlier templates are gone.
pub(super) struct Foresight {
    world: World,
    rooms: Rooms,
    /// Of the pods that were put where they will be.
    ids: IdSource,
    /// A workload would let pods go, and has no node for any of those that replace them: how long it may
    /// make no progress; of several the shortest.
    pub lacks_room: Option<Duration>,
}

impl Foresight {
    pub(super) fn of(draft: &Draft<'_>, source: &SourceName, going: &[Arc<StoredObject>]) -> Self {
        let mut world = draft.world.clone();
        // What left Git stays only for as long as the gate is closed: its room is for those that come.
        let forms = draft.world.baselines_of(source).flat_map(|row| row.forms());
        let gone = forms.filter(|form| draft.world.workload_by_uid(form.uid).is_none());
        for set in gone.flat_map(|form| draft.world.replica_sets_of(form.uid)) {
            for pod in draft.world.pods_of(set.uid) {
                world.apply(&Change::DeletePod(pod.uid));
            }
        }
        for object in going {
            let current = newest_set(&draft.world, object).map(|set| set.uid);
            let sets = draft.world.replica_sets_of(object.uid);
            let earlier = sets.filter(|set| Some(set.uid) != current);
            let pods = earlier.flat_map(|set| draft.world.pods_of(set.uid));
            for pod in pods.filter(|pod| !stays(&object.declared.spec, pod)) {
                world.apply(&Change::DeletePod(pod.uid));
            }
            // So does what fewer replicas let go, which waits for the gate as well.
            for pod in current.iter().flat_map(|set| surplus(draft, object, *set)) {
                world.apply(&Change::DeletePod(pod.uid));
            }
        }
        Self { world, rooms: Rooms::default(), ids: IdSource::from_seed(0), lacks_room: None }
    }

    /// The ready nodes of the pods that a workload has of its newest template, and of those to come.
    pub(super) fn nodes_for(
        &mut self,
        draft: &Draft<'_>,
        object: &StoredObject,
        template: &PodTemplate,
    ) -> Foreseen {
        let Some(set) =
            newest_set(&draft.world, object).or_else(|| to_come(draft, object, template))
        else {
            return Foreseen::default();
        };
        let pins = set.pins.clone();
        Foreseen { nodes: self.nodes_of(draft, object, &set), pins }
    }

    fn nodes_of(
        &mut self,
        draft: &Draft<'_>,
        object: &StoredObject,
        set: &Arc<ReplicaSet>,
    ) -> BTreeMap<NodeName, Coming> {
        let kept = self.nodes_of_kept(object, set.uid);
        let (mut nodes, mut placed) = (BTreeMap::new(), kept.len());
        for pod in self.world.pods_of(set.uid).filter(|pod| pod.is_active()) {
            let Some(name) = pod.node() else { continue };
            placed += 1;
            if self.world.nodes.get(name).is_some_and(|node| node.is_ready()) {
                let has = present_images(&draft.world, pod).into_iter();
                let has = has.map(|(image, _)| image.to_owned());
                nodes.insert(name.clone(), Coming::Placed(has.collect()));
            }
        }
        if let ObjectSpec::DaemonSet(spec) = &object.declared.spec {
            let ready = daemon_sets::ready_nodes(draft, spec);
            for node in ready.into_iter().filter(|node| !kept.contains(node)) {
                nodes.entry(node).or_insert(Coming::Foreseen);
            }
            return nodes;
        }
        // Those with claims of their own go where these are.
        let mut names = storage::names_to_come(&self.world, object).into_iter();
        for _ in placed..replicas_of(&object.declared.spec) as usize {
            let name = names.next();
            let Ok(node) = self.rooms.choose_for(&self.world, set, name.as_ref()) else {
                if nodes.is_empty() && replaces_any(&draft.world, &self.world, object, set.uid) {
                    let allowed = rollouts::progress_deadline(object);
                    self.lacks_room =
                        Some(self.lacks_room.map_or(allowed, |least| least.min(allowed)));
                }
                break;
            };
            self.place(draft, set, &node);
            nodes.entry(node).or_insert(Coming::Foreseen);
        }
        nodes
    }

    /// Puts a pod that is to come where it will be: the next choice then finds the nodes in their new order.
    fn place(&mut self, draft: &Draft<'_>, set: &Arc<ReplicaSet>, node: &NodeName) {
        if !self.world.replica_sets.contains_key(&set.uid) {
            self.world.apply(&Change::PutReplicaSet(Arc::clone(set)));
        }
        self.world.apply(&Change::PutPod(Arc::new(Pod {
            uid: PodUid(self.ids.next_uuid()),
            namespace: set.namespace.clone(),
            name: set.name.clone(),
            replica_set: set.uid,
            identity: PodIdentity::Any,
            created_at: draft.now,
            placement: Placement::On { node: node.clone(), at: draft.now },
            lifecycle: Lifecycle::Active,
            seen: Seen::Absent,
        })));
        self.rooms.placed(set, node);
    }

    /// Where a workload's pods of earlier templates stay, one entry for each.
    fn nodes_of_kept(&self, object: &StoredObject, newest: ReplicaSetUid) -> Vec<NodeName> {
        let earlier = self.world.replica_sets_of(object.uid).filter(|set| set.uid != newest);
        let pods = earlier.flat_map(|set| self.world.pods_of(set.uid));
        pods.filter(|pod| pod.is_active()).filter_map(|pod| pod.node().cloned()).collect()
    }
}

/// Whether a workload has pods that serve now and are gone in what is foreseen.
fn replaces_any(
    now: &World,
    foreseen: &World,
    object: &StoredObject,
    newest: ReplicaSetUid,
) -> bool {
    if matches!(object.declared.spec, ObjectSpec::Job(_)) {
        return false;
    }
    let earlier = now.replica_sets_of(object.uid).filter(|set| set.uid != newest);
    let mut pods = earlier.flat_map(|set| now.pods_of(set.uid));
    pods.any(|pod| pod.is_active() && !foreseen.pods.contains_key(&pod.uid) && has_served(pod))
}

/// Whether it is a loss when it goes; of one on a node that is not there that is not known.
fn has_served(pod: &Pod) -> bool {
    match &pod.seen {
        Seen::Absent => false,
        Seen::Known(status) => status.ready_since.is_some(),
        Seen::Unknown { last, .. } => {
            last.as_ref().is_some_and(|status| status.ready_since.is_some())
        }
    }
}

/// The pods of a workload's newest template that are more than it shall have.
fn surplus(draft: &Draft<'_>, object: &StoredObject, set: ReplicaSetUid) -> Vec<Arc<Pod>> {
    let spec = &object.declared.spec;
    let pods = draft.world.pods_of(set).filter(|pod| pod.is_active()).cloned();
    match spec {
        ObjectSpec::Deployment(_)
        | ObjectSpec::ReplicaSet(_)
        | ObjectSpec::ReplicationController(_) => {
            let pods: Vec<Arc<Pod>> = pods.collect();
            let count = pods.len().saturating_sub(replicas_of(spec) as usize);
            let mut ordered = replica_sets::least_useful_first(draft, pods, Duration::ZERO);
            ordered.truncate(count);
            ordered
        }
        ObjectSpec::StatefulSet(spec) => {
            let end = spec.first_ordinal.saturating_add(spec.replicas);
            pods.filter(|pod| matches!(pod.identity, PodIdentity::Ordinal(own) if own >= end))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a pod of an earlier template is left to be by the strategy of its workload.
fn stays(spec: &ObjectSpec, pod: &Pod) -> bool {
    match spec {
        ObjectSpec::ReplicaSet(_) | ObjectSpec::ReplicationController(_) => true,
        ObjectSpec::DaemonSet(spec) => spec.update == DaemonSetUpdate::OnDelete,
        ObjectSpec::StatefulSet(spec) => {
            let PodIdentity::Ordinal(ordinal) = pod.identity else { return false };
            let kept = match spec.update {
                StatefulSetUpdate::OnDelete => spec.replicas,
                StatefulSetUpdate::RollingUpdate { partition, .. } => partition.min(spec.replicas),
            };
            ordinal < spec.first_ordinal.saturating_add(kept)
        }
        _ => false,
    }
}

/// What is foreseen for a workload.
#[derive(Default)]
pub(super) struct Foreseen {
    /// By node.
    pub nodes: BTreeMap<NodeName, Coming>,
    /// What is fixed of the images of its newest template.
    pub pins: ImagePins,
}

/// What there is of a workload's newest template on a node.
pub(super) enum Coming {
    /// A pod with these images.
    Placed(BTreeSet<String>),
    /// A pod that is still to be made or placed.
    Foreseen,
}

/// The replica set of a workload's template, where that has become the current one.
fn newest_set(world: &World, object: &StoredObject) -> Option<Arc<ReplicaSet>> {
    let template = object.declared.spec.pod_template()?;
    let resolved = resolve(world, &object.declared.key.namespace, template).ok()?;
    let hash = crate::hash::template_hash(&resolved);
    world.replica_sets_of(object.uid).find(|set| set.template_hash == hash).cloned()
}

/// A replica set as it will be made for a workload that waits for others.
fn to_come(
    draft: &Draft<'_>,
    object: &StoredObject,
    template: &PodTemplate,
) -> Option<Arc<ReplicaSet>> {
    let namespace = &object.declared.key.namespace;
    let template = resolve(&draft.world, namespace, template).ok()?;
    Some(Arc::new(ReplicaSet {
        uid: ReplicaSetUid(object.uid.0),
        namespace: namespace.clone(),
        name: object.declared.key.name.clone(),
        owner: object.uid,
        source: object.source.clone(),
        template: Arc::new(template),
        template_hash: TemplateHash::new(""),
        revision: 0,
        replicas: 0,
        sha: object.sha.clone(),
        created_at: draft.now,
        pins: ImagePins::new(),
    }))
}
