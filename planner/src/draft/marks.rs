//! What each change makes dirty: the stages that follow look at that, and at nothing else.

use std::sync::Arc;

use dugout_model::{
    Baseline, BaselineKey, Change, EngineId, Hook, Kind, Node, NodeName, ObjectId, ObjectName,
    ObjectSpec, ObjectUid, Pod, PullGate, ReplicaSet, RolloutState, ServiceType, Source,
    SourceName, StoredObject,
};

use super::Draft;
use crate::pruning;

mod storage;

impl Draft<'_> {
    pub(super) fn mark(&mut self, change: &Change) {
        self.dirty.evictions |= self.concerns_evictions(change);
        match change {
            Change::PutSource(row) => {
                self.dirty.sources.insert(row.name.clone());
                self.mark_opened(row);
                self.mark_pods_of(row);
                self.mark_settled(row);
            }
            Change::PutObject(row) => {
                // A service that takes another type or selector leaves places, too.
                self.mark_object_of(&row.declared.id());
                self.mark_object(row);
                self.mark_waiting(row);
                self.mark_claimed(row);
            }
            Change::DeleteObject(id) => self.mark_object_of(id),
            Change::PutRollout(row) => {
                self.mark_source_of(row.workload);
                if row.state == RolloutState::Complete {
                    self.mark_waiting_for(row.workload);
                }
            }
            Change::DeleteRollout(uid) => self.mark_source_of(*uid),
            Change::PutPod(row) => self.mark_new_pod(row),
            Change::DeletePod(uid) => {
                if let Some(old) = self.world.pods.get(uid).cloned() {
                    self.mark_gone_pod(&old);
                }
            }
            Change::PutNode(row) => self.mark_node(row),
            Change::DeleteNode(name) => {
                if let Some(known) = self.world.nodes.get(name).cloned() {
                    self.mark_gates(&known);
                }
                self.mark_engine_of(name);
                self.mark_daemon_sets();
                self.mark_choices();
                self.mark_claims_on(name);
                self.dirty.placement = true;
            }
            Change::PutRelease(row) => {
                self.dirty.sources.insert(row.source.clone());
            }
            // These change with their workload, which is being looked at, or with a pod of it.
            Change::PutJob(_)
            | Change::DeleteJob(_)
            | Change::PutSchedule(_)
            | Change::DeleteSchedule(_)
            | Change::DeleteReplicaSet(_) => {}
            Change::PutReplicaSet(row) => self.mark_pinned(row),
            Change::PutBaseline(row) => {
                self.mark_baseline(&row.key());
                self.mark_kept(row);
            }
            Change::DeleteBaseline(key) => {
                self.mark_baseline(key);
                self.mark_claims_from(&key.0);
            }
            Change::PutVolumeBinding(row) => self.mark_binding(row),
            Change::DeleteVolumeBinding(uid) => self.mark_gone_binding(*uid),
            Change::PutQuarantine(_)
            | Change::PutRevision(_)
            | Change::AppendTimeline(_)
            | Change::AppendEvent(_) => {}
        }
    }

    fn mark_new_pod(&mut self, row: &Pod) {
        if let Some(old) = self.world.pods.get(&row.uid).cloned() {
            self.mark_pod(&old);
            self.dirty.placement |= old.node() != row.node();
            if old.is_finished() != row.is_finished() {
                self.dirty.placement = true;
                self.dirty.claims.extend(self.world.claims_of(&old));
                self.mark_room();
                self.mark_awaiting(row);
            }
        }
        self.mark_pod(row);
    }

    fn mark_gone_pod(&mut self, old: &Pod) {
        self.mark_pod(old);
        self.mark_claimants(old);
        self.dirty.claims.extend(self.world.claims_of(old));
        self.dirty.placement = true;
        self.mark_room();
    }

    fn mark_node(&mut self, row: &Node) {
        if self.differs_in_events_alone(row) {
            return;
        }
        self.dirty.assignments.insert(row.name.clone());
        self.mark_gates(row);
        if self.differs_in_pulls_alone(row) {
            return;
        }
        self.mark_engine_of(&row.name);
        self.mark_peers(&row.engine);
        self.dirty.nodes.insert(row.name.clone());
        self.dirty.placement = true;
        self.mark_moved(row);
        self.mark_awaiting_lost(row);
        if self.world.nodes.get(&row.name).is_none_or(|old| old.storage_bytes != row.storage_bytes)
        {
            self.mark_claims_on(&row.name);
        }
        if self.differs_for_choices(row) {
            self.mark_choices();
        }
        if self.differs_for_daemons(row) {
            self.mark_daemon_sets();
        }
    }

    /// Whether pods of drained nodes may have waited for it.
    fn concerns_evictions(&self, change: &Change) -> bool {
        match change {
            Change::PutNode(row) => !self.differs_in_events_alone(row),
            // With a release that fails, those that waited for its rollouts wait no longer.
            Change::PutSource(_)
            | Change::PutRelease(_)
            | Change::PutObject(_)
            | Change::DeleteObject(_)
            | Change::PutRollout(_)
            | Change::DeleteRollout(_)
            | Change::PutReplicaSet(_)
            | Change::DeleteReplicaSet(_)
            | Change::PutPod(_)
            | Change::DeletePod(_)
            | Change::DeleteNode(_) => true,
            Change::PutJob(_)
            | Change::DeleteJob(_)
            | Change::PutSchedule(_)
            | Change::DeleteSchedule(_)
            | Change::PutVolumeBinding(_)
            | Change::DeleteVolumeBinding(_)
            | Change::PutBaseline(_)
            | Change::DeleteBaseline(_)
            | Change::PutQuarantine(_)
            | Change::PutRevision(_)
            | Change::AppendTimeline(_)
            | Change::AppendEvent(_) => false,
        }
    }

    /// Workloads whose pods have to leave a node, or need not any more.
    fn mark_moved(&mut self, row: &Node) {
        let known = self.world.nodes.get(&row.name);
        let is_drained = |node: &Node| node.is_ready() && node.draining_since().is_some();
        if known.is_some_and(|known| is_drained(known) != is_drained(row)) {
            let pods = self.world.pods_on(&row.name);
            let sets = pods.filter_map(|pod| self.world.replica_set_of(pod));
            let owners: Vec<ObjectUid> = sets.map(|set| set.owner).collect();
            self.dirty.workloads.extend(owners);
        }
    }

    /// Nothing is decided by which of a node's events are in the database.
    fn differs_in_events_alone(&self, row: &Node) -> bool {
        self.world
            .nodes
            .get(&row.name)
            .is_some_and(|known| Node { last_event: row.last_event, ..(**known).clone() } == *row)
    }

    fn differs_in_pulls_alone(&self, row: &Node) -> bool {
        self.world.nodes.get(&row.name).is_some_and(|known| {
            known.pulls != row.pulls
                && Node { pulls: row.pulls.clone(), ..(**known).clone() } == *row
        })
    }

    /// Whether another set of daemons belongs on a node, or may be started there.
    fn differs_for_daemons(&self, row: &Node) -> bool {
        self.world
            .nodes
            .get(&row.name)
            .is_none_or(|known| known.labels != row.labels || known.is_ready() != row.is_ready())
    }

    /// Whether pods may be placed on a node that could not be before, or the other way round.
    fn differs_for_choices(&self, row: &Node) -> bool {
        self.world.nodes.get(&row.name).is_none_or(|known| {
            known.is_ready() != row.is_ready()
                || known.is_schedulable() != row.is_schedulable()
                || known.labels != row.labels
                || known.capacity != row.capacity
                || known.storage_bytes != row.storage_bytes
        })
    }

    /// Which nodes were chosen for the images of releases is decided anew.
    fn mark_choices(&mut self) {
        self.mark_choices_where(|gate| matches!(gate, PullGate::Pulling { .. }));
    }

    /// Room came about somewhere, for which the gates of releases may have waited.
    fn mark_room(&mut self) {
        self.mark_choices_where(|gate| matches!(gate, PullGate::Pulling { lacks_room: true, .. }));
    }

    fn mark_choices_where(&mut self, is_meant: impl Fn(PullGate) -> bool) {
        let sources = self.world.sources.values().filter(|source| is_meant(source.status.gate));
        let names: Vec<SourceName> = sources.map(|source| source.name.clone()).collect();
        self.dirty.sources.extend(names.iter().cloned());
        self.dirty.choices.extend(names);
    }

    /// Which images a node has, and whether it is there, may be what releases wait for.
    fn mark_gates(&mut self, row: &Node) {
        self.awaited.clear();
        let known = self.world.nodes.get(&row.name).map(|known| &known.pulls);
        let pulls = row.pulls.iter().chain(known.into_iter().flatten());
        self.dirty.sources.extend(pulls.map(|pull| pull.source.clone()));
    }

    /// What left Git makes way once its gate is open.
    fn mark_opened(&mut self, source: &Source) {
        let known = self.world.sources.get(&source.name);
        let is_other = known.is_none_or(|known| known.status.gate != source.status.gate);
        self.dirty.placement |= is_other && !self.world.baselines.is_empty();
    }

    /// What left Git is given up when its source is healthy.
    fn mark_settled(&mut self, source: &Source) {
        let is_settled = |source: &Source| source.status.healthy == source.status.applied;
        let known = self.world.sources.get(&source.name);
        if is_settled(source) && known.is_none_or(|known| !is_settled(known)) {
            self.mark_claims_from(&source.name);
        }
    }

    /// The pods of a source go by its policy.
    fn mark_pods_of(&mut self, source: &Source) {
        if self.world.sources.get(&source.name).is_some_and(|old| old.drift != source.drift) {
            self.dirty.assignments.extend(self.world.nodes.keys().cloned());
        }
    }

    fn mark_daemon_sets(&mut self) {
        let sets = self.world.objects_of(Kind::DaemonSet).map(|object| object.uid);
        self.dirty.workloads.extend(sets);
    }

    fn mark_waiting_for(&mut self, workload: ObjectUid) {
        if let Some(object) = self.world.workload_by_uid(workload).cloned() {
            self.mark_waiting(&object);
        }
    }

    /// Those that may have waited for a workload, and what left Git and has a name that they ask for.
    fn mark_waiting(&mut self, object: &StoredObject) {
        let id = object.declared.id();
        let own = object.declared.policy.hook;
        let mut waiting: Vec<Arc<StoredObject>> = self.world.dependents_of(&id).cloned().collect();
        if own != Some(Hook::After) {
            let hooks = self.world.hooks_of(&object.source);
            waiting.extend(
                hooks.filter(|hook| hook.declared.policy.hook == Some(Hook::After)).cloned(),
            );
        }
        if own == Some(Hook::Before) {
            waiting.extend(self.world.unsettled_workloads_of(&object.source).cloned());
        }
        for row in waiting {
            self.dirty.woken.insert(row.uid);
            self.mark_claimed(&row);
        }
    }

    /// A pod's name is free again: what asks for a pod of exactly this name may have waited for it.
    fn mark_claimants(&mut self, pod: &Pod) {
        let claimants = pruning::claimants(&self.world, pod).map(|object| object.uid);
        self.dirty.woken.extend(claimants);
    }

    /// Pods whose names an object asks for: what left Git gives them back.
    fn mark_claimed(&mut self, object: &StoredObject) {
        let key = &object.declared.key;
        let names: Vec<ObjectName> = match &object.declared.spec {
            ObjectSpec::Pod(_) => vec![key.name.clone()],
            ObjectSpec::StatefulSet(spec) => {
                let ordinals = spec.first_ordinal..spec.first_ordinal.saturating_add(spec.replicas);
                ordinals.map(|ordinal| ObjectName::new(format!("{}-{ordinal}", key.name))).collect()
            }
            _ => return,
        };
        let pods = names.iter().flat_map(|name| self.world.pods_named(&key.namespace, name));
        let sets = pods.filter_map(|pod| self.world.replica_set_of(pod));
        let owners: Vec<ObjectUid> = sets.map(|set| set.owner).collect();
        self.dirty.woken.extend(owners);
    }

    /// What was kept for an object that does not come back any more goes, and with it what waited for its
    /// end; a service serves as it did only for as long as its baseline says so.
    fn mark_baseline(&mut self, key: &BaselineKey) {
        let Some(row) = self.world.baselines.get(key).cloned() else { return };
        self.mark_kept(&row);
        let awaiting: Vec<ObjectUid> = pruning::awaiting_end_of(&self.world, &row).collect();
        self.dirty.woken.extend(awaiting);
    }

    /// What is kept for an object that is not there any more may go now.
    fn mark_kept(&mut self, row: &Baseline) {
        let uids = row.forms().map(|form| form.uid);
        let gone: Vec<ObjectUid> =
            uids.filter(|uid| self.world.workload_by_uid(*uid).is_none()).collect();
        // What is in the way may make way now.
        self.dirty.placement |= !gone.is_empty();
        self.dirty.workloads.extend(gone);
        let mut services = row.forms().filter_map(|form| form.as_service());
        if services.any(|service| service.service_type == ServiceType::NodePort) {
            self.dirty.assignments.extend(self.world.nodes.keys().cloned());
        }
    }

    /// What left Git waits for others that left only as long as their nodes are there.
    fn mark_awaiting_lost(&mut self, row: &Node) {
        let known = self.world.nodes.get(&row.name);
        if known.is_none_or(|known| known.is_ready() == row.is_ready()) {
            return;
        }
        let sets = self.world.pods_on(&row.name).filter_map(|pod| self.world.replica_set_of(pod));
        let rows = sets.filter_map(|set| self.world.baseline_by_uid(set.owner));
        let awaiting = rows.flat_map(|row| pruning::awaiting_end_of(&self.world, row));
        let awaiting: Vec<ObjectUid> = awaiting.collect();
        self.dirty.woken.extend(awaiting);
    }

    /// The object as it was until now.
    fn mark_object_of(&mut self, id: &ObjectId) {
        if let Some(old) = self.world.objects.get(id).cloned() {
            self.mark_object(&old);
            self.mark_waiting(&old);
        }
    }

    fn mark_object(&mut self, object: &StoredObject) {
        self.mark_claims_of(object);
        let key = &object.declared.key;
        match &object.declared.spec {
            ObjectSpec::Pod(_)
            | ObjectSpec::ReplicaSet(_)
            | ObjectSpec::ReplicationController(_)
            | ObjectSpec::Deployment(_)
            | ObjectSpec::StatefulSet(_)
            | ObjectSpec::DaemonSet(_)
            | ObjectSpec::Job(_)
            | ObjectSpec::CronJob(_) => {
                self.dirty.workloads.insert(object.uid);
                self.dirty.sources.insert(object.source.clone());
            }
            ObjectSpec::ConfigMap(_) | ObjectSpec::Secret(_) => {
                self.mark_pulling(&object.declared.spec);
                let (kind, name) = (object.declared.kind(), &key.name);
                for workload in Kind::WORKLOADS {
                    let first = ObjectId::new(workload, key.namespace.as_str(), "");
                    let rows = self.world.objects.range(first..).map(|(_, row)| row);
                    let consumers = rows
                        .take_while(|row| {
                            row.declared.kind() == workload
                                && row.declared.key.namespace == key.namespace
                        })
                        .filter(|row| crate::resolve::uses(row, kind, name))
                        .map(|row| row.uid);
                    self.dirty.workloads.extend(consumers);
                }
            }
            ObjectSpec::Service(service) => {
                if service.service_type == ServiceType::NodePort {
                    self.dirty.assignments.extend(self.world.nodes.keys().cloned());
                    // Its ports are no pod's.
                    self.dirty.placement = true;
                }
            }
            ObjectSpec::StorageClass(_)
            | ObjectSpec::PersistentVolume(_)
            | ObjectSpec::PersistentVolumeClaim(_) => self.dirty.placement = true,
            // The reader of manifests has applied limits and quotas to what came with them.
            ObjectSpec::PodDisruptionBudget(_)
            | ObjectSpec::Namespace
            | ObjectSpec::LimitRange(_)
            | ObjectSpec::ResourceQuota(_) => {}
        }
    }

    /// Nodes are handed the secrets that they pull with, and nobody is restarted for one that changes.
    fn mark_pulling(&mut self, spec: &ObjectSpec) {
        if let ObjectSpec::Secret(secret) = spec
            && crate::pull_secrets::is_one(secret)
        {
            self.dirty.assignments.extend(self.world.nodes.keys().cloned());
        }
    }

    /// The nodes of a set's pods are told what its images are.
    fn mark_pinned(&mut self, row: &ReplicaSet) {
        let known = self.world.replica_sets.get(&row.uid);
        if known.is_some_and(|known| known.pins != row.pins) {
            let nodes = self.world.pods_of(row.uid).filter_map(|pod| pod.node().cloned());
            self.dirty.assignments.extend(nodes);
        }
    }

    /// What left Git may have waited for the end of this pod.
    fn mark_awaiting(&mut self, pod: &Pod) {
        let set = self.world.replica_set_of(pod);
        let row = set.and_then(|set| self.world.baseline_by_uid(set.owner));
        let awaiting = row.into_iter().flat_map(|row| pruning::awaiting_end_of(&self.world, row));
        let awaiting: Vec<ObjectUid> = awaiting.collect();
        self.dirty.woken.extend(awaiting);
    }

    fn mark_pod(&mut self, pod: &Pod) {
        if let Some(replica_set) = self.world.replica_sets.get(&pod.replica_set) {
            self.dirty.workloads.insert(replica_set.owner);
        }
        match pod.node() {
            Some(node) => {
                self.dirty.nodes.insert(node.clone());
                self.dirty.assignments.insert(node.clone());
                self.mark_engine_of(node);
            }
            None => self.dirty.placement = true,
        }
    }

    /// The nodes whose proxies may send to the pods of this one.
    fn mark_engine_of(&mut self, node: &NodeName) {
        if let Some(node) = self.world.nodes.get(node).cloned() {
            self.mark_peers(&node.engine);
        }
    }

    fn mark_peers(&mut self, engine: &EngineId) {
        let peers = self.world.nodes_of_engine(engine).map(|peer| peer.name.clone());
        self.dirty.assignments.extend(peers);
    }

    fn mark_source_of(&mut self, workload: ObjectUid) {
        if let Some(object) = self.world.workload_by_uid(workload) {
            self.dirty.sources.insert(object.source.clone());
        }
    }
}
