//! What a release takes away must still be there until everything that it brings is.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::{
    Assignment, Change, Kind, Lifecycle, NodeName, ObjectId, ObjectKey, ObjectSpec, ObjectUid, Pod,
    PodUid, Protocol, RolloutState, SourceName, StopReason, World,
};

use super::{Checker, Violation};
use crate::Plan;

impl Checker<'_> {
    /// A pod that serves and whose workload left Git goes last, unless something needs its place or name.
    pub(super) fn pruning(&mut self, before: &Pod, after: &Pod) {
        let is_let_go = before.is_active()
            && matches!(
                after.lifecycle,
                Lifecycle::Draining { reason: StopReason::OwnerRemoved, .. }
                    | Lifecycle::Stopping { reason: StopReason::OwnerRemoved, .. }
            );
        let Some(set) = self.after.replica_set_of(after).filter(|_| is_let_go).cloned() else {
            return;
        };
        let is_kept_for_something = self.after.workload_by_uid(set.owner).is_none()
            && serves_on(self.after, set.owner)
            && after.ready_since().is_some()
            && self.before.job_of(before).is_none();
        let is_well = !is_kept_for_something
            || !is_under_way(self.after, &set.source)
            || is_name_asked_for(self.after, after)
            || self.is_place_asked_for(&set.source);
        self.require(is_well, || Violation::PrunedTooEarly { pod: after.uid });
    }

    /// Nobody gives up what serves on before everything of its source is there.
    pub(super) fn baselines(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let key = match change {
                Change::PutBaseline(row) => row.key(),
                Change::DeleteBaseline(key) => key.clone(),
                _ => continue,
            };
            let Some(row) = self.before.baselines.get(&key) else { continue };
            let forms: Vec<ObjectUid> = row.serving_forms().map(|form| form.uid).collect();
            for uid in forms {
                let is_left = self.after.workload_by_uid(uid).is_none()
                    && self.after.replica_sets_of(uid).next().is_some();
                // Of more than two forms the last two are kept.
                let is_given_up = is_left
                    && !serves_on(self.after, uid)
                    && !self.after.objects.contains_key(&key.1);
                let source = self.after.sources.get(&key.0);
                let was_healthy = source.is_some_and(|row| row.status.healthy.is_some());
                let is_well = !is_given_up || !was_healthy || !is_under_way(self.after, &key.0);
                self.require(is_well, || Violation::GivenUpTooEarly { object: key.1.clone() });
            }
        }
    }

    /// Whether pods of the source wait for a node, now or until this turn.
    fn is_place_asked_for(&self, source: &SourceName) -> bool {
        [self.before, self.after].into_iter().any(|world| {
            world
                .unplaced_pods()
                .any(|pod| world.replica_set_of(pod).is_some_and(|set| set.source == *source))
        })
    }

    /// Whoever a service sent to and who still serves is sent to further, while a release is under way.
    pub(super) fn endpoints(&mut self, before: &Assignment, after: &Assignment) {
        if before.services == after.services || !self.is_engine_kept(&before.node) {
            return;
        }
        let mut still: BTreeMap<(Protocol, u16), BTreeSet<PodUid>> = BTreeMap::new();
        for port in after.services.iter().flat_map(|service| &service.ports) {
            let pods = still.entry((port.protocol, port.node_port)).or_default();
            pods.extend(port.endpoints.iter().map(|endpoint| endpoint.pod));
        }
        let ports = before
            .services
            .iter()
            .flat_map(|service| service.ports.iter().map(|port| (&service.key, port)));
        for (service, port) in ports {
            let still = still.get(&(port.protocol, port.node_port));
            for pod in port.endpoints.iter().map(|endpoint| endpoint.pod) {
                let is_lost = still.is_none_or(|still| !still.contains(&pod)) && self.serves(pod);
                let is_well = !is_lost || !self.is_service_under_way(service);
                let (node, service) = (&before.node, service.clone());
                self.require(is_well, || Violation::EndpointLost {
                    node: node.clone(),
                    service,
                    pod,
                });
            }
        }
    }

    fn serves(&self, pod: PodUid) -> bool {
        self.after.pods.get(&pod).is_some_and(|row| {
            row.is_active()
                && row.is_at_work()
                && row.ready_since().is_some()
                && row.node().is_some_and(|node| self.is_engine_kept(node))
        })
    }

    fn is_engine_kept(&self, node: &NodeName) -> bool {
        let engine_in = |world: &World| world.nodes.get(node).map(|node| node.engine.clone());
        engine_in(self.before) == engine_in(self.after)
    }

    /// Whether a service of the source changed once more than is kept: of its forms the first and the last
    /// before this one are.
    fn loses_a_form(&self, source: &SourceName) -> bool {
        self.before.baselines_of(source).any(|row| {
            let known = row.served.as_ref().filter(|form| form.declared.kind() == Kind::Service);
            let now = self.after.baselines.get(&row.key()).and_then(|row| row.served.as_ref());
            known.is_some_and(|known| now != Some(known))
        })
    }

    /// Whether what a service serves has to stay, by what is known of it.
    fn is_service_under_way(&self, key: &ObjectKey) -> bool {
        let id = ObjectId { kind: Kind::Service, key: key.clone() };
        let (before, after) = (self.before.objects.get(&id), self.after.objects.get(&id));
        let rows_of = |world: &World| -> Vec<SourceName> {
            let sources = world.sources.keys();
            let owned = sources
                .filter(|source| world.baselines.contains_key(&((*source).clone(), id.clone())));
            owned.cloned().collect()
        };
        let (rows_before, rows) = (rows_of(self.before), rows_of(self.after));
        let owners: BTreeSet<&SourceName> = rows_before
            .iter()
            .chain(&rows)
            .chain(before.iter().chain(&after).map(|object| &object.source))
            .collect();
        // What another owner gave up is not kept.
        let [source] = owners.into_iter().collect::<Vec<_>>()[..] else { return false };
        if self.loses_a_form(source) {
            return false;
        }
        // A source that was never healthy has nothing to keep.
        let row = self.after.sources.get(source);
        row.is_some_and(|row| row.status.healthy.is_some()) && is_under_way(self.after, source)
    }
}

fn serves_on(world: &World, owner: ObjectUid) -> bool {
    world.baseline_by_uid(owner).is_some_and(|row| row.serves(owner))
}

/// Whether something that a source asks for is not there.
fn is_under_way(world: &World, source: &SourceName) -> bool {
    world.unsettled_workloads_of(source).any(|object| {
        let is_complete = world
            .rollouts
            .get(&object.uid)
            .is_some_and(|rollout| rollout.state == RolloutState::Complete);
        let is_paused = match &object.declared.spec {
            ObjectSpec::Deployment(deployment) => deployment.paused,
            ObjectSpec::Job(job) => job.suspended,
            _ => false,
        };
        !is_complete && !is_paused
    })
}

/// Whether an object asks for a pod of this name: a bare one, or one of its ordinals.
fn is_name_asked_for(world: &World, pod: &Pod) -> bool {
    let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
    let is_ordinal_of_a_set = || {
        let (set, ordinal) = name.rsplit_once('-')?;
        let ordinal: u32 = ordinal.parse().ok()?;
        let set = world.objects.get(&ObjectId::new(Kind::StatefulSet, namespace, set))?;
        let ObjectSpec::StatefulSet(spec) = &set.declared.spec else { return None };
        let beyond = spec.first_ordinal.saturating_add(spec.replicas);
        Some(spec.first_ordinal <= ordinal && ordinal < beyond)
    };
    world.objects.contains_key(&ObjectId::new(Kind::Pod, namespace, name))
        || is_ordinal_of_a_set() == Some(true)
}
