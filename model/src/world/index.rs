//! What can be computed from the rows of a world, kept at hand, and how each change moves it.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::storage::VolumeIndex;
use crate::disruption::CoveredPods;
use crate::room::Rooms;
use crate::{
    Baseline, BaselineKey, EngineId, ImagePull, Job, JobUid, Kind, NamespaceName, Node, NodeName,
    ObjectId, ObjectName, ObjectUid, Pod, PodUid, PullState, Release, ReleaseId, ReplicaSet,
    ReplicaSetUid, Resources, RolloutState, ServiceType, SourceName, StoredObject, Verdict, World,
};

/// What can be computed from the rows, kept at hand. Part of equality: a wrong index is a bug.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Index {
    /// Of every object that makes pods.
    pub(super) workload_by_uid: OrdMap<ObjectUid, Arc<StoredObject>>,
    /// What is kept of objects that are something else now, or nothing.
    pub(super) baseline_by_uid: OrdMap<ObjectUid, BaselineKey>,
    pub(super) jobs_by_owner: OrdMap<ObjectUid, OrdSet<JobUid>>,
    pub(super) replica_sets_by_owner: OrdMap<ObjectUid, OrdSet<ReplicaSetUid>>,
    pub(super) pods_by_replica_set: OrdMap<ReplicaSetUid, OrdSet<PodUid>>,
    pub(super) pods_by_node: OrdMap<NodeName, OrdSet<PodUid>>,
    pub(super) pods_by_name: OrdMap<(NamespaceName, ObjectName), OrdSet<PodUid>>,
    /// Pods that wait for a node.
    pub(super) unplaced: OrdSet<PodUid>,
    pub(super) nodes_by_engine: OrdMap<EngineId, OrdSet<NodeName>>,
    /// Nodes that are not ready.
    pub(super) lost_nodes: OrdSet<NodeName>,
    /// Ready nodes with images that a release wants and that are not there yet.
    pub(super) pulling: OrdMap<ReleaseId, OrdSet<NodeName>>,
    /// Ready nodes with images that a release wants and that cannot be had.
    pub(super) failing_pulls: OrdMap<ReleaseId, OrdSet<NodeName>>,
    pub(super) draining_nodes: OrdSet<NodeName>,
    /// The pods of each disruption budget.
    pub(super) covered: OrdMap<ObjectUid, CoveredPods>,
    pub(super) rooms: Rooms,
    /// Workloads whose rollout is not complete, or not judged yet.
    pub(super) unsettled_by_source: OrdMap<SourceName, OrdSet<ObjectId>>,
    /// Who names a workload as one to wait for.
    pub(super) dependents: OrdMap<ObjectId, OrdSet<ObjectId>>,
    pub(super) hooks_by_source: OrdMap<SourceName, OrdSet<ObjectId>>,
    /// Services of which nodes serve a port.
    pub(super) node_port_services: OrdSet<ObjectId>,
    /// Baselines that are such services.
    pub(super) earlier_services: OrdSet<BaselineKey>,
    /// Who named an object of the same source as one to wait for, among the baselines.
    pub(super) earlier_dependents: OrdMap<BaselineKey, OrdSet<ObjectId>>,
    pub(super) volumes: VolumeIndex,
}

impl Index {
    /// Where a node with this pull is found; nowhere once it has the image.
    fn of_pull(&mut self, pull: &ImagePull) -> Option<&mut OrdMap<ReleaseId, OrdSet<NodeName>>> {
        match pull.state {
            PullState::Wanted { .. } => Some(&mut self.pulling),
            PullState::Failed { .. } => Some(&mut self.failing_pulls),
            PullState::Held => None,
        }
    }
}

impl World {
    pub(super) fn put_object(&mut self, row: &Arc<StoredObject>) {
        let id = row.declared.id();
        let old = self.objects.get(&id).cloned();
        let is_indexed_alike = old.as_ref().is_some_and(|old| {
            let (before, after) = (&old.declared, &row.declared);
            old.uid == row.uid
                && old.source == row.source
                && before.policy.depends_on == after.policy.depends_on
                && before.policy.hook == after.policy.hook
                && before.spec.is_workload() == after.spec.is_workload()
        });
        if let Some(old) = old.filter(|_| !is_indexed_alike) {
            self.forget_object(&id, &old);
        }
        self.objects.insert(id.clone(), Arc::clone(row));
        if serves_node_ports(row) {
            self.index.node_port_services.insert(id.clone());
        } else if id.kind == Kind::Service {
            self.index.node_port_services.remove(&id);
        }
        if row.declared.spec.is_workload() {
            self.index.workload_by_uid.insert(row.uid, Arc::clone(row));
        }
        if !is_indexed_alike {
            self.index_object(row, &id);
        }
        if let Some(covered) = self.count_covered(row) {
            self.index.covered.insert(row.uid, covered);
        }
    }

    fn index_object(&mut self, row: &StoredObject, id: &ObjectId) {
        for needed in &row.declared.policy.depends_on {
            add(&mut self.index.dependents, needed, id.clone());
        }
        if row.declared.policy.hook.is_some() {
            add(&mut self.index.hooks_by_source, &row.source, id.clone());
        }
        self.index_rollout(row.uid);
    }

    pub(super) fn delete_object(&mut self, id: &ObjectId) {
        if let Some(old) = self.objects.remove(id) {
            self.forget_object(id, &old);
        }
    }

    fn forget_object(&mut self, id: &ObjectId, old: &StoredObject) {
        self.index.workload_by_uid.remove(&old.uid);
        self.index.covered.remove(&old.uid);
        if id.kind == Kind::Service {
            self.index.node_port_services.remove(id);
        }
        take(&mut self.index.unsettled_by_source, &old.source, id);
        take(&mut self.index.hooks_by_source, &old.source, id);
        for needed in &old.declared.policy.depends_on {
            take(&mut self.index.dependents, needed, id);
        }
    }

    /// Notes whether the rollout of a workload is complete.
    pub(super) fn index_rollout(&mut self, workload: ObjectUid) {
        let Some(object) = self.workload_by_uid(workload).cloned() else { return };
        let rollout = self.rollouts.get(&workload);
        if rollout.is_some_and(|rollout| rollout.state == RolloutState::Complete) {
            take(&mut self.index.unsettled_by_source, &object.source, &object.declared.id());
        } else {
            add(&mut self.index.unsettled_by_source, &object.source, object.declared.id());
        }
    }

    pub(super) fn put_baseline(&mut self, row: &Arc<Baseline>) {
        let key = row.key();
        self.delete_baseline(&key);
        self.baselines.insert(key.clone(), Arc::clone(row));
        for form in row.forms() {
            if serves_node_ports(form) {
                self.index.earlier_services.insert(key.clone());
            }
            for needed in &form.declared.policy.depends_on {
                let needed = (row.source.clone(), needed.clone());
                add(&mut self.index.earlier_dependents, &needed, row.object.clone());
            }
            self.index.baseline_by_uid.insert(form.uid, key.clone());
        }
    }

    pub(super) fn delete_baseline(&mut self, key: &BaselineKey) {
        let Some(row) = self.baselines.remove(key) else { return };
        self.index.earlier_services.remove(key);
        for form in row.forms() {
            for needed in &form.declared.policy.depends_on {
                let needed = (row.source.clone(), needed.clone());
                take(&mut self.index.earlier_dependents, &needed, &row.object);
            }
            if self.index.baseline_by_uid.get(&form.uid) == Some(key) {
                self.index.baseline_by_uid.remove(&form.uid);
            }
        }
    }

    pub(super) fn put_job(&mut self, row: &Arc<Job>) {
        self.delete_job(row.uid);
        self.jobs.insert(row.uid, Arc::clone(row));
        add(&mut self.index.jobs_by_owner, &row.owner, row.uid);
    }

    pub(super) fn delete_job(&mut self, uid: JobUid) {
        if let Some(old) = self.jobs.remove(&uid) {
            take(&mut self.index.jobs_by_owner, &old.owner, &uid);
        }
    }

    pub(super) fn put_replica_set(&mut self, row: &Arc<ReplicaSet>) {
        let known = self.replica_sets.get(&row.uid);
        let is_labelled_anew =
            known.is_none_or(|known| known.template.labels != row.template.labels);
        if is_labelled_anew {
            self.cover_pods_of(row.uid, CoveredPods::remove);
        }
        let old = self.replica_sets.insert(row.uid, Arc::clone(row));
        if is_labelled_anew {
            self.cover_pods_of(row.uid, CoveredPods::add);
        }
        if old.as_ref().is_none_or(|old| old.owner != row.owner) {
            if let Some(old) = &old {
                take(&mut self.index.replica_sets_by_owner, &old.owner, &row.uid);
            }
            add(&mut self.index.replica_sets_by_owner, &row.owner, row.uid);
        }
        self.ask_otherwise(row.uid, old.as_ref(), Some(row));
    }

    pub(super) fn delete_replica_set(&mut self, uid: ReplicaSetUid) {
        self.cover_pods_of(uid, CoveredPods::remove);
        if let Some(old) = self.replica_sets.remove(&uid) {
            take(&mut self.index.replica_sets_by_owner, &old.owner, &uid);
            self.ask_otherwise(uid, Some(&old), None);
        }
    }

    /// Notes that the pods of a replica set ask for something else than before.
    fn ask_otherwise(
        &mut self,
        uid: ReplicaSetUid,
        before: Option<&Arc<ReplicaSet>>,
        after: Option<&Arc<ReplicaSet>>,
    ) {
        let asks = |set: Option<&Arc<ReplicaSet>>| {
            set.map(|set| set.template.requests()).unwrap_or_default()
        };
        let (before, after) = (asks(before), asks(after));
        if before == after {
            return;
        }
        let pods: Vec<Arc<Pod>> = self.pods_of(uid).cloned().collect();
        for node in pods.iter().filter_map(|pod| room_taken_on(pod)) {
            let known = self.nodes.get(node);
            self.index.rooms.exchange(node, known, (before, after));
        }
    }

    pub(super) fn put_pod(&mut self, row: &Arc<Pod>) {
        // Most changes of a pod are news of its node, of which the indexes know nothing.
        let is_indexed_alike = self.pods.get(&row.uid).is_some_and(|old| {
            old.replica_set == row.replica_set
                && old.node() == row.node()
                && room_taken_on(old) == room_taken_on(row)
                && (&old.namespace, &old.name) == (&row.namespace, &row.name)
        });
        if is_indexed_alike {
            if let Some(old) = self.pods.insert(row.uid, Arc::clone(row)) {
                self.cover(&old, CoveredPods::remove);
                self.cover(row, CoveredPods::add);
            }
            return;
        }
        self.delete_pod(row.uid);
        self.pods.insert(row.uid, Arc::clone(row));
        add(&mut self.index.pods_by_replica_set, &row.replica_set, row.uid);
        add(&mut self.index.pods_by_name, &(row.namespace.clone(), row.name.clone()), row.uid);
        match row.node() {
            Some(node) => add(&mut self.index.pods_by_node, node, row.uid),
            None => {
                self.index.unplaced.insert(row.uid);
            }
        }
        self.change_room_of(row, |asks| (Resources::default(), asks));
        self.cover(row, CoveredPods::add);
    }

    /// Counts a pod in its disruption budgets, or counts it there no more.
    fn cover(&mut self, pod: &Pod, count: fn(&mut CoveredPods, &Pod)) {
        if self.index.covered.is_empty() {
            return;
        }
        for budget in self.budgets_to_count(pod) {
            if let Some(covered) = self.index.covered.get_mut(&budget) {
                count(covered, pod);
            }
        }
    }

    /// The same for every pod of a replica set.
    fn cover_pods_of(&mut self, set: ReplicaSetUid, count: fn(&mut CoveredPods, &Pod)) {
        if self.index.covered.is_empty() {
            return;
        }
        let pods: Vec<Arc<Pod>> = self.pods_of(set).cloned().collect();
        for pod in pods {
            self.cover(&pod, count);
        }
    }

    /// Adds what a pod asks for to its node, or takes it away.
    fn change_room_of(&mut self, pod: &Pod, change: fn(Resources) -> (Resources, Resources)) {
        let Some(node) = room_taken_on(pod) else { return };
        let Some(set) = self.replica_sets.get(&pod.replica_set) else { return };
        let asks = set.template.requests();
        self.index.rooms.exchange(node, self.nodes.get(node), change(asks));
    }

    pub(super) fn delete_pod(&mut self, uid: PodUid) {
        let Some(old) = self.pods.remove(&uid) else { return };
        self.change_room_of(&old, |asks| (asks, Resources::default()));
        self.cover(&old, CoveredPods::remove);
        take(&mut self.index.pods_by_replica_set, &old.replica_set, &uid);
        take(&mut self.index.pods_by_name, &(old.namespace.clone(), old.name.clone()), &uid);
        match old.node() {
            Some(node) => take(&mut self.index.pods_by_node, node, &uid),
            None => {
                self.index.unplaced.remove(&uid);
            }
        }
    }

    pub(super) fn put_node(&mut self, row: &Arc<Node>) {
        let is_indexed_alike = self.nodes.get(&row.name).is_some_and(|old| {
            old.engine == row.engine
                && old.capacity == row.capacity
                && old.is_ready() == row.is_ready()
                && old.pulls == row.pulls
                && old.draining_since() == row.draining_since()
        });
        if is_indexed_alike {
            self.nodes.insert(row.name.clone(), Arc::clone(row));
            return;
        }
        self.delete_node(&row.name);
        self.nodes.insert(row.name.clone(), Arc::clone(row));
        add(&mut self.index.nodes_by_engine, &row.engine, row.name.clone());
        self.index.rooms.insert(row);
        if !row.is_ready() {
            self.index.lost_nodes.insert(row.name.clone());
            return;
        }
        for pull in &row.pulls {
            if let Some(index) = self.index.of_pull(pull) {
                add(index, &pull.release, row.name.clone());
            }
        }
        if row.draining_since().is_some() {
            self.index.draining_nodes.insert(row.name.clone());
        }
    }

    pub(super) fn delete_node(&mut self, name: &NodeName) {
        if let Some(old) = self.nodes.remove(name) {
            take(&mut self.index.nodes_by_engine, &old.engine, name);
            self.index.rooms.remove(&old);
            self.index.lost_nodes.remove(name);
            for pull in &old.pulls {
                if let Some(index) = self.index.of_pull(pull) {
                    take(index, &pull.release, name);
                }
            }
            self.index.draining_nodes.remove(name);
        }
    }

    /// Keeps of the row's source what [`World::releases`] promises.
    pub(super) fn put_release(&mut self, row: &Arc<Release>) {
        self.releases.insert(row.id, Arc::clone(row));
        let of_source = || self.releases.values().filter(|other| other.source == row.source);
        let newest = of_source().map(|other| other.id).max();
        let healthy = of_source()
            .filter(|other| other.verdict == Verdict::Healthy)
            .map(|other| other.id)
            .max();
        let history: Vec<ReleaseId> = of_source()
            .filter(|other| !other.verdict.is_open())
            .map(|other| other.id)
            .filter(|id| Some(*id) != newest && Some(*id) != healthy)
            .collect();
        for id in history {
            self.releases.remove(&id);
        }
    }
}

/// The node on which a pod takes room.
fn room_taken_on(pod: &Pod) -> Option<&NodeName> {
    pod.node().filter(|_| !pod.is_finished())
}

/// Adds a member to an index entry.
pub(super) fn add<K: Ord + Clone, V: Ord + Clone>(
    index: &mut OrdMap<K, OrdSet<V>>,
    key: &K,
    member: V,
) {
    match index.get_mut(key) {
        Some(members) => {
            members.insert(member);
        }
        None => {
            index.insert(key.clone(), OrdSet::unit(member));
        }
    }
}

fn serves_node_ports(object: &StoredObject) -> bool {
    let service = object.as_service();
    service.is_some_and(|service| service.service_type == ServiceType::NodePort)
}

/// Takes a member out of an index entry, and the entry with its last member.
pub(super) fn take<K: Ord + Clone, V: Ord + Clone>(
    index: &mut OrdMap<K, OrdSet<V>>,
    key: &K,
    member: &V,
) {
    // Looked at first: to change nothing costs nothing.
    if !index.get(key).is_some_and(|members| members.contains(member)) {
        return;
    }
    if index.get(key).is_some_and(|members| members.len() == 1) {
        index.remove(key);
    } else if let Some(members) = index.get_mut(key) {
        members.remove(member);
    }
}
