//! The world: everything that the database holds and decisions need, in memory.
//!
//! It is made by applying changes to an empty world (at load, one per row) and changed only by
//! applying committed changes, so loading it again at any turn gives an equal world. Its maps share
//! structure: a clone is cheap, which makes a draft for planning and a snapshot for readers free.

mod index;
mod storage;

use std::mem::discriminant;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::disruption::CoveredPods;
use crate::{
    Baseline, BaselineKey, CapacityClass, Change, ClusterId, EngineId, Job, JobUid, Kind,
    NamespaceName, Node, NodeName, ObjectId, ObjectName, ObjectUid, Pod, PodUid, Quarantine,
    Release, ReleaseId, ReplicaSet, ReplicaSetUid, Resources, Rollout, Schedule, Source,
    SourceName, StoredObject, Turn, VolumeBinding, VolumeUid,
};
use index::Index;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub cluster: ClusterId,
    /// The last committed turn.
    pub turn: Turn,
    pub sources: OrdMap<SourceName, Arc<Source>>,
    pub objects: OrdMap<ObjectId, Arc<StoredObject>>,
    pub rollouts: OrdMap<ObjectUid, Arc<Rollout>>,
    pub jobs: OrdMap<JobUid, Arc<Job>>,
    /// By the cron job whose schedule it is.
    pub schedules: OrdMap<ObjectUid, Arc<Schedule>>,
    pub replica_sets: OrdMap<ReplicaSetUid, Arc<ReplicaSet>>,
    pub pods: OrdMap<PodUid, Arc<Pod>>,
    pub nodes: OrdMap<NodeName, Arc<Node>>,
    /// Which claim has which volume.
    pub volume_bindings: OrdMap<VolumeUid, Arc<VolumeBinding>>,
    /// What the objects of each source were before its last change, as long as that is not healthy.
    pub baselines: OrdMap<BaselineKey, Arc<Baseline>>,
    /// Of each source: the open ones, the newest, and the newest healthy one. Older ones are history,
    /// which only the database keeps.
    pub releases: OrdMap<ReleaseId, Arc<Release>>,
    pub quarantine: OrdSet<Quarantine>,
    index: Index,
}

impl World {
    pub fn empty(cluster: ClusterId) -> Self {
        Self {
            cluster,
            turn: Turn(0),
            sources: OrdMap::new(),
            objects: OrdMap::new(),
            rollouts: OrdMap::new(),
            jobs: OrdMap::new(),
            schedules: OrdMap::new(),
            replica_sets: OrdMap::new(),
            pods: OrdMap::new(),
            nodes: OrdMap::new(),
            volume_bindings: OrdMap::new(),
            baselines: OrdMap::new(),
            releases: OrdMap::new(),
            quarantine: OrdSet::new(),
            index: Index::default(),
        }
    }

    /// Applies changes, at most one for each row, with those of a kind together and sorted by their keys.
    ///
    /// A tree that is filled in the order of its keys splits a full leaf in the middle and never comes back
    /// to the half on the left: it ends half empty. Every second key first fills the leaves with the others.
    pub fn apply_all(&mut self, changes: &[Change]) {
        for kind in changes.chunk_by(|left, right| discriminant(left) == discriminant(right)) {
            let every_second = kind.iter().step_by(2);
            let others = kind.iter().skip(1).step_by(2);
            every_second.chain(others).for_each(|change| self.apply(change));
        }
    }

    /// Applies one change. Applying it again does nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutSource(row) => {
                self.sources.insert(row.name.clone(), Arc::clone(row));
            }
            Change::PutObject(row) => self.put_object(row),
            Change::DeleteObject(id) => self.delete_object(id),
            Change::PutRollout(row) => {
                self.rollouts.insert(row.workload, Arc::clone(row));
                self.index_rollout(row.workload);
            }
            Change::DeleteRollout(uid) => {
                self.rollouts.remove(uid);
                self.index_rollout(*uid);
            }
            Change::PutJob(row) => self.put_job(row),
            Change::DeleteJob(uid) => self.delete_job(*uid),
            Change::PutSchedule(row) => {
                self.schedules.insert(row.cron_job, Arc::clone(row));
            }
            Change::DeleteSchedule(cron_job) => {
                self.schedules.remove(cron_job);
            }
            Change::PutReplicaSet(row) => self.put_replica_set(row),
            Change::DeleteReplicaSet(uid) => self.delete_replica_set(*uid),
            Change::PutPod(row) => self.put_pod(row),
            Change::DeletePod(uid) => self.delete_pod(*uid),
            Change::PutNode(row) => self.put_node(row),
            Change::DeleteNode(name) => self.delete_node(name),
            Change::PutVolumeBinding(row) => self.put_volume_binding(row),
            Change::DeleteVolumeBinding(uid) => self.delete_volume_binding(*uid),
            Change::PutBaseline(row) => self.put_baseline(row),
            Change::DeleteBaseline(key) => self.delete_baseline(key),
            Change::PutRelease(row) => self.put_release(row),
            Change::PutQuarantine(row) => {
                self.quarantine.insert(row.clone());
            }
            Change::PutRevision(_) | Change::AppendTimeline(_) | Change::AppendEvent(_) => {}
        }
    }

    /// The object with this uid, if it is one that makes pods.
    pub fn workload_by_uid(&self, uid: ObjectUid) -> Option<&Arc<StoredObject>> {
        self.index.workload_by_uid.get(&uid)
    }

    /// The objects of one kind, by key.
    pub fn objects_of(&self, kind: Kind) -> impl Iterator<Item = &Arc<StoredObject>> {
        let first = ObjectId::new(kind, "", "");
        self.objects.range(first..).take_while(move |(id, _)| id.kind == kind).map(|(_, row)| row)
    }

    /// The services of which nodes serve a port, by key.
    pub fn node_port_services(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        self.index.node_port_services.iter().filter_map(|id| self.objects.get(id))
    }

    /// The workloads of a source whose rollout is not complete or not judged yet, by key.
    pub fn unsettled_workloads_of(
        &self,
        source: &SourceName,
    ) -> impl Iterator<Item = &Arc<StoredObject>> {
        let ids = self.index.unsettled_by_source.get(source).into_iter().flatten();
        ids.filter_map(|id| self.objects.get(id))
    }

    /// The workloads that name this one as one to wait for, by key.
    pub fn dependents_of(&self, id: &ObjectId) -> impl Iterator<Item = &Arc<StoredObject>> {
        let ids = self.index.dependents.get(id).into_iter().flatten();
        ids.filter_map(|id| self.objects.get(id))
    }

    /// The jobs of a source that come before or after everything else, by key.
    pub fn hooks_of(&self, source: &SourceName) -> impl Iterator<Item = &Arc<StoredObject>> {
        let ids = self.index.hooks_by_source.get(source).into_iter().flatten();
        ids.filter_map(|id| self.objects.get(id))
    }

    /// The runs of a Job or CronJob, by uid.
    pub fn jobs_of(&self, owner: ObjectUid) -> impl Iterator<Item = &Arc<Job>> {
        self.index
            .jobs_by_owner
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.jobs.get(uid))
    }

    /// The run that a pod belongs to.
    pub fn job_of(&self, pod: &Pod) -> Option<&Arc<Job>> {
        self.jobs.get(&JobUid(pod.replica_set.0))
    }

    /// The replica sets of a workload, by uid.
    pub fn replica_sets_of(&self, owner: ObjectUid) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.index
            .replica_sets_by_owner
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.replica_sets.get(uid))
    }

    /// The pods of a replica set, by uid.
    pub fn pods_of(&self, replica_set: ReplicaSetUid) -> impl Iterator<Item = &Arc<Pod>> {
        self.index
            .pods_by_replica_set
            .get(&replica_set)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.pods.get(uid))
    }

    /// The pods placed on a node, by uid.
    pub fn pods_on(&self, node: &NodeName) -> impl Iterator<Item = &Arc<Pod>> {
        self.index.pods_by_node.get(node).into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// The pods of this name: one at most, for a name is free again only when its pod is gone.
    pub fn pods_named(
        &self,
        namespace: &NamespaceName,
        name: &ObjectName,
    ) -> impl Iterator<Item = &Arc<Pod>> {
        let uids = self.index.pods_by_name.get(&(namespace.clone(), name.clone()));
        uids.into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// The pods that wait for a node, by uid.
    pub fn unplaced_pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.index.unplaced.iter().filter_map(|uid| self.pods.get(uid))
    }

    /// The nodes whose agents share a container engine, by name.
    pub fn nodes_of_engine(&self, engine: &EngineId) -> impl Iterator<Item = &Arc<Node>> {
        self.index
            .nodes_by_engine
            .get(engine)
            .into_iter()
            .flatten()
            .filter_map(|name| self.nodes.get(name))
    }

    /// The ready nodes on which a release waits for images.
    pub fn nodes_pulling_for(&self, release: ReleaseId) -> impl Iterator<Item = &Arc<Node>> {
        let names = self.index.pulling.get(&release).into_iter().flatten();
        names.filter_map(|name| self.nodes.get(name))
    }

    /// How many these are.
    pub fn count_pulling_for(&self, release: ReleaseId) -> usize {
        self.index.pulling.get(&release).map_or(0, OrdSet::len)
    }

    /// The ready nodes that cannot have an image that a release wants.
    pub fn nodes_failing_for(&self, release: ReleaseId) -> impl Iterator<Item = &Arc<Node>> {
        let names = self.index.failing_pulls.get(&release).into_iter().flatten();
        names.filter_map(|name| self.nodes.get(name))
    }

    /// The nodes that are not ready, by name.
    pub fn lost_nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.index.lost_nodes.iter().filter_map(|name| self.nodes.get(name))
    }

    /// The nodes that people drain, by name.
    pub fn draining_nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.index.draining_nodes.iter().filter_map(|name| self.nodes.get(name))
    }

    /// The pods of a namespace, by name.
    pub fn pods_in(&self, namespace: &NamespaceName) -> impl Iterator<Item = &Arc<Pod>> {
        let first = (namespace.clone(), ObjectName::new(""));
        let namespace = namespace.clone();
        let named = self.index.pods_by_name.range(first..);
        let named = named.take_while(move |((of, _), _)| *of == namespace);
        named.flat_map(|(_, uids)| uids).filter_map(|uid| self.pods.get(uid))
    }

    pub(crate) fn covered_by(&self, budget: ObjectUid) -> Option<&CoveredPods> {
        self.index.covered.get(&budget)
    }

    /// What the pods of a node have reserved: all that were placed there and have not ended, also those
    /// that leave.
    pub fn reserved_on(&self, node: &NodeName) -> Resources {
        self.index.rooms.reserved_on(node)
    }

    /// The sizes of nodes that there are.
    pub fn capacity_classes(&self) -> impl Iterator<Item = CapacityClass> {
        self.index.rooms.classes()
    }

    /// The nodes of a size with the use of their scarcest resource in millionths, the least used first,
    /// then by name.
    pub fn emptiest_nodes(&self, class: CapacityClass) -> impl Iterator<Item = (u64, &Arc<Node>)> {
        let names = self.index.rooms.emptiest(class);
        names.filter_map(|(used, name)| Some((used, self.nodes.get(name)?)))
    }

    /// What is kept of an object with this uid, which is something else now, or nothing.
    pub fn baseline_by_uid(&self, object: ObjectUid) -> Option<&Arc<Baseline>> {
        self.index.baseline_by_uid.get(&object).and_then(|key| self.baselines.get(key))
    }

    /// Whether an object that is gone may come back, with a release that fails.
    pub fn may_come_back(&self, object: ObjectUid) -> bool {
        self.baseline_by_uid(object).is_some_and(|row| {
            row.role.is_gone_back_to() && row.before.as_ref().is_some_and(|row| row.uid == object)
        })
    }

    /// The services as they were, in all forms that nodes still serve beside what is asked for, by source.
    pub fn earlier_services(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        let rows = self.index.earlier_services.iter().filter_map(|key| self.baselines.get(key));
        rows.flat_map(|row| row.serving_forms())
    }

    /// Those of the baselines of a source that named an object as one to wait for.
    pub fn earlier_dependents_of(
        &self,
        source: &SourceName,
        object: &ObjectId,
    ) -> impl Iterator<Item = &Arc<Baseline>> {
        let ids = self.index.earlier_dependents.get(&(source.clone(), object.clone()));
        let keys = ids.into_iter().flatten().map(|id| (source.clone(), id.clone()));
        keys.filter_map(|key| self.baselines.get(&key))
    }

    /// What the objects of a source were before its last change, as long as that is not healthy.
    pub fn baselines_of(&self, source: &SourceName) -> impl Iterator<Item = &Arc<Baseline>> {
        let first = (source.clone(), ObjectId::new(Kind::ALL[0], "", ""));
        let source = source.clone();
        self.baselines
            .range(first..)
            .map(|(_, row)| row)
            .take_while(move |row| row.source == source)
    }

    /// The newest release of a source.
    pub fn newest_release(&self, source: &SourceName) -> Option<&Arc<Release>> {
        self.releases.iter().rev().map(|(_, row)| row).find(|row| row.source == *source)
    }

    /// The template, owner and labels behind a pod; absent once its replica set is gone.
    pub fn replica_set_of(&self, pod: &Pod) -> Option<&Arc<ReplicaSet>> {
        self.replica_sets.get(&pod.replica_set)
    }
}

#[cfg(test)]
mod tests;
