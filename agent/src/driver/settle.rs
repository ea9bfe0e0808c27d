//! Settling: after something happened, everything that follows from it is begun.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{EventType, PodOrder, PodUid, PullPolicy, Timestamp};

use super::hands::Job;
use super::node::Node;
use crate::converge::{Action, Failure, FailureKind, Input, Outcome, converge};
use crate::events::reason;
use crate::labels::Owner;
use crate::runtime::{ContainerRuntime, ContainerSpec, ObservedContainer};
use crate::spec::{Place, SpecError, check, container_spec};
use crate::volumes::Preparation;

/// How often the connections of leaving pods are counted.
const COUNT_CONNECTIONS_EVERY: Duration = Duration::from_millis(100);

impl<R: ContainerRuntime> Node<R> {
    /// Begins what is to be done now and says when to come again if nothing happens before.
    pub(super) fn settle(&mut self) -> Option<Timestamp> {
        self.apply_pauses();
        self.list_when_due();
        self.give_up_pulls();
        // What has started decides what may begin.
        self.run_post_start_hooks();
        self.sync_probes();
        self.note_drift();
        let converge_at = self.converge();
        self.slots.clear();
        let images_at = self.fetch_images();
        let collect_at = self.collect_images();
        let volumes_at = self.remove_volumes();
        let storage_at = self.remove_storage();
        let look_at = self.find_storage_when_due();
        self.write_records();
        self.probe_when_due();
        self.feed_proxy();
        let publish_at = self.publish();
        self.forget_what_left();
        let count_at = self.someone_leaves().then(|| self.now + COUNT_CONNECTIONS_EVERY);
        let engine_at = self.engine.wake_at();
        [
            converge_at,
            engine_at,
            images_at,
            collect_at,
            volumes_at,
            storage_at,
            look_at,
            self.probes.next_at(),
            publish_at,
            count_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn converge(&mut self) -> Option<Timestamp> {
        let owner = self.owner.clone()?;
        let assignment = self.assignment.clone();
        let plan = converge(Input {
            assignment: assignment.as_deref(),
            observed: &self.observed,
            memories: &self.memories,
            engine_known: self.engine.answers,
            policy: &self.policy,
            now: self.now,
        });
        for wait in plan.waits {
            self.note_volume_wait(wait);
        }
        let mut wake_at = plan.wake_at;
        for action in plan.actions {
            if !self.begin(&owner, action) {
                wake_at = Some(self.now);
            }
        }
        wake_at
    }

    /// Begins an action. False when it failed before it began: then it has its wait already.
    fn begin(&mut self, owner: &Owner, action: Action) -> bool {
        let uid = action.pod();
        let job = match &action {
            Action::Pull { image, .. } => {
                Job::Pull { image: image.clone(), auths: self.auths_for_pod(uid, image) }
            }
            Action::Find { image, .. } => Job::Find { image: image.clone() },
            Action::Create { container, image, attempt, crashes, .. } => {
                let Some(pod) = self.assigned(uid) else { return true };
                let sandbox = self.sandbox_of(uid);
                let layout = self.hands.volume_layout(owner);
                let allocatable = self.allocatable();
                let policy = &self.policy;
                let place = Place { owner, sandbox, volumes: &layout, allocatable, policy };
                let spec = container_spec(pod, container, *attempt, *crashes, &place);
                let spec = spec.map(|spec| ContainerSpec { image: image.clone(), ..spec });
                match self.create_job(uid, container, spec) {
                    Ok(job) => job,
                    Err(failure) => {
                        self.fail(uid, action, failure);
                        return false;
                    }
                }
            }
            Action::Start { id, container, .. } => match self.may_start(uid, container) {
                Ok(volumes) => Job::Start { id: id.clone(), volumes },
                Err(failure) => {
                    self.fail(uid, action, failure);
                    return false;
                }
            },
            Action::Stop { targets, grace, why, .. } => {
                for target in targets {
                    self.tell_stop(uid, &target.container, why);
                }
                let ids = targets.iter().map(|target| target.id.clone()).collect();
                let hooks = self.pre_stop_hooks(uid, targets, *grace, why);
                Job::Stop { ids, hooks, grace: *grace }
            }
            Action::Correct { id, correction, .. } => {
                Job::Correct { id: id.clone(), correction: correction.clone() }
            }
            Action::Remove { id, .. } => Job::Remove { id: id.clone() },
        };
        let now = self.now;
        let Some(memory) = self.memories.get_mut(&uid) else { return true };
        let is_pull = matches!(job, Job::Pull { .. });
        let is_first_try = memory.retry.failures == 0;
        memory.begin(action, now);
        if let Job::Pull { image, .. } = &job
            && is_first_try
        {
            let message = format!("pulling image {image}");
            self.pod_event(uid, EventType::Normal, reason::PULLING, message);
        }
        let record = match job {
            Job::Start { .. } | Job::Stop { .. } => self.record_before_call(uid),
            _ => None,
        };
        let slot = self.slots.remove(&uid).filter(|_| matches!(job, Job::Start { .. }));
        let handle = self.hands.act(uid, owner.clone(), job, slot, record);
        if is_pull {
            self.pulls.insert(uid, handle);
        }
        true
    }

    fn create_job(
        &mut self,
        uid: PodUid,
        container: &str,
        spec: Result<ContainerSpec, SpecError>,
    ) -> Result<Job, Failure> {
        let spec = spec
            .map_err(|error| Failure { kind: error.failure_kind(), message: error.to_string() })?;
        let volumes = self.volumes_for(uid, container);
        let volumes =
            volumes.map_err(|message| Failure { kind: FailureKind::Permanent, message })?;
        Ok(Job::Create { spec: Box::new(spec), volumes })
    }

    /// What a container's start needs, if the node allows it: it may have been made when the node's policy
    /// was another.
    fn may_start(&mut self, uid: PodUid, container: &str) -> Result<Option<Preparation>, Failure> {
        if let Some(pod) = self.assigned(uid) {
            check(pod, &self.name, &self.policy).map_err(|error| Failure {
                kind: error.failure_kind(),
                message: error.to_string(),
            })?;
        }
        let volumes = self.volumes_for(uid, container);
        volumes.map_err(|message| Failure { kind: FailureKind::Permanent, message })
    }

    /// The newest sandbox of a pod.
    fn sandbox_of(&self, uid: PodUid) -> Option<&str> {
        let containers = self.observed.of_pod(uid).iter().rev();
        containers.filter(|one| one.labels.is_sandbox()).map(|one| one.id.as_str()).next()
    }

    /// Notes an action that cannot even be asked for.
    fn fail(&mut self, uid: PodUid, action: Action, failure: Failure) {
        let (now, wall) = (self.now, self.wall);
        self.pod_event(uid, EventType::Warning, reason::FAILED, failure.message.clone());
        if let Some(memory) = self.memories.get_mut(&uid) {
            memory.begin(action, now);
            memory.end(&Outcome::Failed(failure), PullPolicy::IfNotPresent, now, wall);
        }
    }

    /// A pod that leaves does not wait for its image.
    fn give_up_pulls(&mut self) {
        let leaving: Vec<PodUid> = self
            .pulls
            .keys()
            .filter(|uid| {
                let order = self.assigned(**uid).map(|pod| pod.order);
                !matches!(order, Some(PodOrder::Run { draining: false }))
            })
            .copied()
            .collect();
        for uid in leaving {
            if let Some(pull) = self.pulls.remove(&uid) {
                pull.abort();
            }
            if let Some(memory) = self.memories.get_mut(&uid)
                && matches!(memory.in_flight, Some(Action::Pull { .. }))
            {
                memory.in_flight = None;
            }
        }
    }

    fn feed_proxy(&mut self) {
        let Some(assignment) = self.assignment.clone() else { return };
        let local = self.local_pods();
        if self.published.proxied.as_ref().is_some_and(|(proxied, pods)| {
            // Not its generation: one that was not whole is taken over anew.
            Arc::ptr_eq(proxied, &assignment) && *pods == local
        }) {
            return;
        }
        self.proxy.apply(&assignment, &local);
        self.published.proxied = Some((assignment, local));
    }

    fn someone_leaves(&self) -> bool {
        self.assignment.as_ref().is_some_and(|assignment| {
            let mut pods = assignment.pods.iter();
            pods.any(|pod| {
                let containers = self.observed.of_pod(pod.uid);
                pod.order == PodOrder::Run { draining: true }
                    && containers.iter().any(ObservedContainer::is_running)
            })
        }) || !self.published.foreign_connections.is_empty()
    }

    /// Forgets pods that are neither assigned nor there.
    fn forget_what_left(&mut self) {
        let Some(assignment) = self.assignment.clone() else { return };
        let observed = &self.observed;
        self.memories.retain(|uid, memory| {
            memory.in_flight.is_some()
                || !observed.of_pod(*uid).is_empty()
                || assignment.pods.iter().any(|pod| pod.uid == *uid)
        });
        self.forget_pauses();
    }
}
