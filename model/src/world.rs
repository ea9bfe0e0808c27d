//! The world: everything that the database holds and decisions need, in memory.
//!
//! It is made by applying changes to an empty world (at load, one per row) and changed only by
//! applying committed changes, so loading it again at any turn gives an equal world. Its maps share
//! structure: a clone is cheap, which makes a draft for planning and a snapshot for readers free.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::disruption::CoveredPods;
use crate::room::Rooms;
use crate::{
    Baseline, BaselineKey, CapacityClass, Change, ClusterId, EngineId, ImagePull, Job, JobUid,
    Kind, NamespaceName, Node, NodeName, ObjectId, ObjectName, ObjectUid, Pod, PodUid, PullState,
    Quarantine, Release, ReleaseId, ReplicaSet, ReplicaSetUid, Resources, Rollout, RolloutState,
    Schedule, Source, SourceName, StoredObject, Turn, Verdict,
};

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
    /// What the objects of each source were when it was last healthy, where they are not so now.
    pub baselines: OrdMap<BaselineKey, Arc<Baseline>>,
    /// Of each source: the open ones, the newest, and the newest healthy one. Older ones are history,
    /// which only the database keeps.
    pub releases: OrdMap<ReleaseId, Arc<Release>>,
    pub quarantine: OrdSet<Quarantine>,
    index: Index,
}

/// What can be computed from the rows, kept at hand. Part of equality: a wrong index is a bug.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Index {
    object_by_uid: OrdMap<ObjectUid, ObjectId>,
    /// What a baseline may bring back.
    baseline_by_uid: OrdMap<ObjectUid, BaselineKey>,
    jobs_by_owner: OrdMap<ObjectUid, OrdSet<JobUid>>,
    replica_sets_by_owner: OrdMap<ObjectUid, OrdSet<ReplicaSetUid>>,
    pods_by_replica_set: OrdMap<ReplicaSetUid, OrdSet<PodUid>>,
    pods_by_node: OrdMap<NodeName, OrdSet<PodUid>>,
    pods_by_name: OrdMap<(NamespaceName, ObjectName), OrdSet<PodUid>>,
    /// Pods that wait for a node.
    unplaced: OrdSet<PodUid>,
    nodes_by_engine: OrdMap<EngineId, OrdSet<NodeName>>,
    /// Nodes that are not ready.
    lost_nodes: OrdSet<NodeName>,
    /// Ready nodes with images that a release wants and that are not there yet.
    pulling: OrdMap<ReleaseId, OrdSet<NodeName>>,
    /// Ready nodes with images that a release wants and that cannot be had.
    failing_pulls: OrdMap<ReleaseId, OrdSet<NodeName>>,
    draining_nodes: OrdSet<NodeName>,
    /// The pods of each disruption budget.
    covered: OrdMap<ObjectUid, CoveredPods>,
    rooms: Rooms,
    /// Workloads whose rollout is not complete, or not judged yet.
    unsettled_by_source: OrdMap<SourceName, OrdSet<ObjectId>>,
    /// Who names a workload as one to wait for.
    dependents: OrdMap<ObjectId, OrdSet<ObjectId>>,
    hooks_by_source: OrdMap<SourceName, OrdSet<ObjectId>>,
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
            baselines: OrdMap::new(),
            releases: OrdMap::new(),
            quarantine: OrdSet::new(),
            index: Index::default(),
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
            Change::PutBaseline(row) => self.put_baseline(row),
            Change::DeleteBaseline(key) => self.delete_baseline(key),
            Change::PutRelease(row) => self.put_release(row),
            Change::PutQuarantine(row) => {
                self.quarantine.insert(row.clone());
            }
            Change::PutRevision(_) | Change::AppendTimeline(_) | Change::AppendEvent(_) => {}
        }
    }

    pub fn object_by_uid(&self, uid: ObjectUid) -> Option<&Arc<StoredObject>> {
        self.objects.get(self.index.object_by_uid.get(&uid)?)
    }

    /// The objects of one kind, by key.
    pub fn objects_of(&self, kind: Kind) -> impl Iterator<Item = &Arc<StoredObject>> {
        let first = ObjectId::new(kind, "", "");
        self.objects.range(first..).take_while(move |(id, _)| id.kind == kind).map(|(_, row)| row)
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

    /// Whether an object that is gone may come back, with a release that fails.
    pub fn may_come_back(&self, object: ObjectUid) -> bool {
        self.index.baseline_by_uid.contains_key(&object)
    }

    /// What the objects of a source were when it was last healthy, where they are not so now.
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

    fn put_object(&mut self, row: &Arc<StoredObject>) {
        let id = row.declared.id();
        self.delete_object(&id);
        self.objects.insert(id.clone(), Arc::clone(row));
        for needed in &row.declared.policy.depends_on {
            add(&mut self.index.dependents, needed, id.clone());
        }
        if row.declared.policy.hook.is_some() {
            add(&mut self.index.hooks_by_source, &row.source, id.clone());
        }
        self.index.object_by_uid.insert(row.uid, id);
        self.index_rollout(row.uid);
        if let Some(covered) = self.count_covered(row) {
            self.index.covered.insert(row.uid, covered);
        }
    }

    fn delete_object(&mut self, id: &ObjectId) {
        if let Some(old) = self.objects.remove(id) {
            self.index.object_by_uid.remove(&old.uid);
            self.index.covered.remove(&old.uid);
            take(&mut self.index.unsettled_by_source, &old.source, id);
            take(&mut self.index.hooks_by_source, &old.source, id);
            for needed in &old.declared.policy.depends_on {
                take(&mut self.index.dependents, needed, id);
            }
        }
    }

    /// Notes whether the rollout of a workload is complete.
    fn index_rollout(&mut self, workload: ObjectUid) {
        let Some(object) = self.object_by_uid(workload).cloned() else { return };
        if !object.declared.spec.is_workload() {
            return;
        }
        let rollout = self.rollouts.get(&workload);
        if rollout.is_some_and(|rollout| rollout.state == RolloutState::Complete) {
            take(&mut self.index.unsettled_by_source, &object.source, &object.declared.id());
        } else {
            add(&mut self.index.unsettled_by_source, &object.source, object.declared.id());
        }
    }

    fn put_baseline(&mut self, row: &Arc<Baseline>) {
        self.delete_baseline(&row.key());
        self.baselines.insert(row.key(), Arc::clone(row));
        if let Some(before) = &row.before {
            self.index.baseline_by_uid.insert(before.uid, row.key());
        }
    }

    fn delete_baseline(&mut self, key: &BaselineKey) {
        let old = self.baselines.remove(key);
        if let Some(before) = old.as_ref().and_then(|old| old.before.as_ref())
            && self.index.baseline_by_uid.get(&before.uid) == Some(key)
        {
            self.index.baseline_by_uid.remove(&before.uid);
        }
    }

    fn put_job(&mut self, row: &Arc<Job>) {
        self.delete_job(row.uid);
        self.jobs.insert(row.uid, Arc::clone(row));
        add(&mut self.index.jobs_by_owner, &row.owner, row.uid);
    }

    fn delete_job(&mut self, uid: JobUid) {
        if let Some(old) = self.jobs.remove(&uid) {
            take(&mut self.index.jobs_by_owner, &old.owner, &uid);
        }
    }

    fn put_replica_set(&mut self, row: &Arc<ReplicaSet>) {
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
        if let Some(old) = &old {
            take(&mut self.index.replica_sets_by_owner, &old.owner, &row.uid);
        }
        add(&mut self.index.replica_sets_by_owner, &row.owner, row.uid);
        self.ask_otherwise(row.uid, old.as_ref(), Some(row));
    }

    fn delete_replica_set(&mut self, uid: ReplicaSetUid) {
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

    fn put_pod(&mut self, row: &Arc<Pod>) {
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

    fn delete_pod(&mut self, uid: PodUid) {
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

    fn put_node(&mut self, row: &Arc<Node>) {
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

    fn delete_node(&mut self, name: &NodeName) {
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
    fn put_release(&mut self, row: &Arc<Release>) {
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
fn add<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, OrdSet<V>>, key: &K, member: V) {
    let mut members = index.get(key).cloned().unwrap_or_default();
    members.insert(member);
    index.insert(key.clone(), members);
}

/// Takes a member out of an index entry, and the entry with its last member.
fn take<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, OrdSet<V>>, key: &K, member: &V) {
    let Some(mut members) = index.get(key).cloned() else { return };
    members.remove(member);
    if members.is_empty() {
        index.remove(key);
    } else {
        index.insert(key.clone(), members);
    }
}

#[cfg(test)]
mod tests;
