//! What a release takes away must still be there until everything that it brings is.

use dugout_model::{
    Assignment, BaselineRole, Kind, Lifecycle, ObjectId, ObjectKey, ObjectSpec, ObjectUid, Pod,
    RolloutState, SourceName, StopReason, World,
};

use super::{Checker, Violation};

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
            && is_kept(self.after, set.owner)
            && after.ready_since().is_some()
            && self.before.job_of(before).is_none();
        let may_go = || {
            !is_under_way(self.after, &set.source)
                || is_name_asked_for(self.after, after)
                || self.is_place_asked_for(&set.source)
        };
        let is_well = !is_kept_for_something || may_go();
        self.require(is_well, || Violation::PrunedTooEarly { pod: after.uid });
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
        for service in &before.services {
            if !self.is_service_under_way(&service.key) {
                continue;
            }
            for port in &service.ports {
                let still = after.services.iter().flat_map(|service| &service.ports);
                let still: Vec<_> = still
                    .filter(|one| (one.protocol, one.node_port) == (port.protocol, port.node_port))
                    .flat_map(|one| &one.endpoints)
                    .map(|endpoint| endpoint.pod)
                    .collect();
                for pod in port.endpoints.iter().map(|endpoint| endpoint.pod) {
                    let serves = self.after.pods.get(&pod).is_some_and(|row| {
                        row.is_active() && row.ready_since().is_some() && row.is_at_work()
                    });
                    let (node, service) = (before.node.clone(), service.key.clone());
                    self.require(!serves || still.contains(&pod), || Violation::EndpointLost {
                        node,
                        service,
                        pod,
                    });
                }
            }
        }
    }

    fn is_service_under_way(&self, key: &ObjectKey) -> bool {
        let id = ObjectId { kind: Kind::Service, key: key.clone() };
        let row_of = |world: &World| {
            let mut rows = world.earlier_services();
            rows.find(|row| row.object == id).map(|row| row.source.clone())
        };
        let (before, after) = (self.before.objects.get(&id), self.after.objects.get(&id));
        // Of three forms, the one between is not kept.
        if before != after && row_of(self.before).is_some() {
            return false;
        }
        let source = after.or(before).map(|row| row.source.clone()).or_else(|| row_of(self.after));
        // A source that was never healthy has nothing to keep.
        source.is_some_and(|source| {
            let row = self.after.sources.get(&source);
            row.is_some_and(|row| row.status.healthy.is_some()) && is_under_way(self.after, &source)
        })
    }
}

fn is_kept(world: &World, owner: ObjectUid) -> bool {
    world.baseline_by_uid(owner).is_some_and(|row| row.role != BaselineRole::Leaving)
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

fn is_name_asked_for(world: &World, pod: &Pod) -> bool {
    let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
    let set = name.rsplit_once('-').map_or(name, |(set, _)| set);
    world.objects.contains_key(&ObjectId::new(Kind::Pod, namespace, name))
        || world.objects.contains_key(&ObjectId::new(Kind::StatefulSet, namespace, set))
}
