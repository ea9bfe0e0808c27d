//! Pods, with the conditions and container statuses that Kubernetes' tools read.

use dugout_model::{
    COMPLETION_INDEX_LABEL, ContainerExit, ContainerState, ContainerStatus, Kind, Lifecycle,
    ObjectSpec, Pause, Placement, Pod, PodIdentity, PodPhase, PodStatus, ReplicaSet, Seen,
    StopReason, Timestamp,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::View;
use super::meta::{int, list, owner, seconds, some_text, time, version, with_commit};
use super::template::{pod_labels, pod_spec};
use crate::dugout::{DRIFTED_CONDITION, PAUSED_CONDITION};

impl View<'_> {
    pub fn pod(self, pod: &Pod) -> core::Pod {
        let set = self.world.replica_set_of(pod).map(AsRef::as_ref);
        let mut spec = set.map(|set| pod_spec(&set.template)).unwrap_or_default();
        spec.node_name = pod.node().map(ToString::to_string);
        if let Some(set) = set {
            (spec.hostname, spec.subdomain) = self.host_names(pod, set);
            // The claims of a stateful set's templates are the pod's own.
            for volume in spec.volumes.iter_mut().flatten() {
                let mut claims = set.template.claims();
                let claim = claims.find(|(name, _)| *name == volume.name);
                if let (Some((_, claim)), Some(source)) =
                    (claim, &mut volume.persistent_volume_claim)
                {
                    source.claim_name = claim.claim.of_pod(&pod.name).to_string();
                }
            }
        }
        core::Pod {
            metadata: self.pod_metadata(pod, set),
            spec: Some(spec),
            status: Some(self.pod_status(pod, set)),
        }
    }

    fn pod_metadata(self, pod: &Pod, set: Option<&ReplicaSet>) -> ObjectMeta {
        let (deleted_at, grace) = leaving(pod);
        let owner = set.and_then(|set| self.pod_owner(set));
        ObjectMeta {
            annotations: set.map(|set| {
                let mut annotations = with_commit(&set.template.annotations, set);
                if let PodIdentity::CompletionIndex(index) = pod.identity {
                    annotations.insert(COMPLETION_INDEX_LABEL.to_owned(), index.to_string());
                }
                annotations
            }),
            creation_timestamp: time(pod.created_at),
            deletion_grace_period_seconds: grace,
            deletion_timestamp: deleted_at.and_then(time),
            generate_name: owner.as_ref().map(|owner| format!("{}-", owner.name)),
            labels: set.map(|set| {
                let mut labels = pod_labels(self.world, set);
                let own_labels = pod.own_labels().into_iter();
                labels.extend(own_labels.map(|(key, value)| (key.to_owned(), value)));
                labels
            }),
            name: Some(pod.name.to_string()),
            namespace: Some(pod.namespace.to_string()),
            owner_references: owner.map(|owner| vec![owner]),
            resource_version: version(self),
            uid: Some(pod.uid.to_string()),
            ..ObjectMeta::default()
        }
    }

    /// What made the pods of a replica set, as Kubernetes has it; nothing for a bare pod.
    fn pod_owner(self, set: &ReplicaSet) -> Option<OwnerReference> {
        let object = self.world.workload_by_uid(set.owner).filter(|_| !set.is_of_job());
        let version = match object.map(|object| object.declared.kind()) {
            Some(Kind::Pod) => return None,
            Some(Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet) => "apps/v1",
            Some(Kind::ReplicationController) => "v1",
            _ => {
                let (version, kind) = match set.is_of_job() {
                    true => ("batch/v1", "Job"),
                    false => ("apps/v1", "ReplicaSet"),
                };
                return Some(owner(version, kind, &set.name, set.uid.to_string()));
            }
        };
        let object = object?;
        let (kind, name) = (object.declared.kind().as_str(), &object.declared.key.name);
        Some(owner(version, kind, name, object.uid.to_string()))
    }

    /// The name that the container itself sees, and the service whose domain it is in: of a pod of a
    /// stateful set.
    fn host_names(self, pod: &Pod, set: &ReplicaSet) -> (Option<String>, Option<String>) {
        let PodIdentity::Ordinal(_) = pod.identity else { return (None, None) };
        let object = self.world.workload_by_uid(set.owner);
        let service = object.and_then(|object| match &object.declared.spec {
            ObjectSpec::StatefulSet(spec) => some_text(&spec.service_name),
            _ => None,
        });
        (Some(pod.name.to_string()), service)
    }

    fn pod_status(self, pod: &Pod, set: Option<&ReplicaSet>) -> core::PodStatus {
        let last = last_status(pod);
        let (reason, message) = reason(pod);
        let address = last.and_then(|status| status.address).map(|address| address.to_string());
        let node = pod.node().and_then(|name| self.world.nodes.get(name));
        let statuses = |of: &[ContainerStatus]| {
            list(of.iter().map(|container| container_status(container, set)).collect())
        };
        core::PodStatus {
            conditions: Some(conditions(pod, last, set)),
            container_statuses: last.and_then(|last| statuses(&last.containers)),
            init_container_statuses: last.and_then(|last| statuses(&last.init_containers)),
            host_ip: node.and_then(|node| node.address).map(|address| address.to_string()),
            message,
            phase: Some(phase(pod).to_owned()),
            pod_ip: address.clone(),
            pod_ips: address.map(|ip| vec![core::PodIP { ip }]),
            qos_class: set.map(|set| qos_class(set).to_owned()),
            reason: reason.map(str::to_owned),
            start_time: match &pod.placement {
                Placement::On { at, .. } => time(*at),
                Placement::Waiting(_) => None,
            },
            ..core::PodStatus::default()
        }
    }
}

/// Kubernetes' phase. A pod whose containers are all gone has ended, well or badly.
pub(crate) fn phase(pod: &Pod) -> &'static str {
    match last_status(pod) {
        None => "Pending",
        Some(status) => match status.phase {
            PodPhase::Pending => "Pending",
            PodPhase::Running => "Running",
            PodPhase::Succeeded => "Succeeded",
            PodPhase::Failed => "Failed",
            PodPhase::Gone if status.containers.iter().all(ended_well) => "Succeeded",
            PodPhase::Gone => "Failed",
        },
    }
}

fn ended_well(container: &ContainerStatus) -> bool {
    matches!(&container.state, ContainerState::Terminated(exit) if exit.exit_code == 0)
}

/// The last news of a pod, also when it is too old to rely on.
fn last_status(pod: &Pod) -> Option<&PodStatus> {
    match &pod.seen {
        Seen::Absent => None,
        Seen::Unknown { last, .. } => last.as_ref(),
        Seen::Known(status) => Some(status),
    }
}

/// When a leaving pod is due to be gone, and the seconds it has for that.
fn leaving(pod: &Pod) -> (Option<Timestamp>, Option<i64>) {
    match &pod.lifecycle {
        Lifecycle::Active => (None, None),
        Lifecycle::Draining { since, deadline, .. } => {
            (Some(*deadline), Some(seconds(deadline.since(*since))))
        }
        Lifecycle::Stopping { since, grace, .. } => (Some(*since + *grace), Some(seconds(*grace))),
    }
}

/// The reason and message of the pod as a whole, where its containers do not say it.
fn reason(pod: &Pod) -> (Option<&'static str>, Option<String>) {
    if let Seen::Unknown { .. } = pod.seen {
        let message = "its node has not reported for longer than the node timeout; the pod may \
                       still run there";
        return (Some("NodeLost"), Some(message.to_owned()));
    }
    match &pod.lifecycle {
        Lifecycle::Draining { .. } => {
            let message = "it gets no new connections and is stopped when the open ones have ended";
            (Some("Draining"), Some(message.to_owned()))
        }
        Lifecycle::Active | Lifecycle::Stopping { .. } => (None, None),
    }
}

fn conditions(
    pod: &Pod,
    last: Option<&PodStatus>,
    set: Option<&ReplicaSet>,
) -> Vec<core::PodCondition> {
    let scheduled_at = match &pod.placement {
        Placement::Waiting(why) => {
            let mut scheduled = condition("PodScheduled", "False", pod.created_at);
            scheduled.reason = Some("Unschedulable".to_owned());
            scheduled.message = Some(why.to_string());
            return vec![scheduled];
        }
        Placement::On { at, .. } => *at,
    };
    let mut conditions =
        vec![condition("PodScheduled", "True", scheduled_at), initialized(last, set, scheduled_at)];
    for kind in ["ContainersReady", "Ready"] {
        conditions.push(readiness(kind, pod, last, scheduled_at));
    }
    conditions.extend(disruption(pod));
    conditions.extend(last.and_then(|last| drifted(last, scheduled_at)));
    conditions.extend(last.and_then(|last| paused(last.pause?, scheduled_at)));
    conditions
}

/// Why a pod was moved away, in the words of Kubernetes' eviction API.
fn disruption(pod: &Pod) -> Option<core::PodCondition> {
    let (since, reason) = match pod.lifecycle {
        Lifecycle::Draining { since, reason, .. } | Lifecycle::Stopping { since, reason, .. } => {
            (since, reason)
        }
        Lifecycle::Active => return None,
    };
    let message = match reason {
        StopReason::Evicted => "its node is drained",
        StopReason::Asked => "a person asked for it",
        StopReason::Scaled | StopReason::OwnerRemoved | StopReason::NodeLost => return None,
    };
    let mut target = condition("DisruptionTarget", "True", since);
    target.reason = Some("EvictionByEvictionAPI".to_owned());
    target.message = Some(message.to_owned());
    Some(target)
}

/// Our own, there only while it says something: what somebody changed by hand.
fn drifted(last: &PodStatus, scheduled_at: Timestamp) -> Option<core::PodCondition> {
    if last.drift.is_empty() {
        return None;
    }
    let mut drifted = condition(DRIFTED_CONDITION, "True", scheduled_at);
    drifted.reason = Some("ChangedByHand".to_owned());
    drifted.message = Some(last.drift.join("; "));
    Some(drifted)
}

/// Our own, there only while it says something: what a person told the agent of the pod's node.
fn paused(pause: Pause, scheduled_at: Timestamp) -> Option<core::PodCondition> {
    let (reason, message) = match pause {
        Pause::LeftAlone => {
            ("LeftAlone", "its node leaves it alone: it is not started, healed, changed or stopped")
        }
        Pause::Stopped => ("Stopped", "its node has stopped it, and does not start it"),
    };
    let mut paused = condition(PAUSED_CONDITION, "True", scheduled_at);
    paused.reason = Some(reason.to_owned());
    paused.message =
        Some(format!("{message}, until somebody resumes it there ('dugout agent resume')"));
    Some(paused)
}

/// Whether the containers that run before the others have all ended well.
fn initialized(
    last: Option<&PodStatus>,
    set: Option<&ReplicaSet>,
    scheduled_at: Timestamp,
) -> core::PodCondition {
    let init = last.map(|status| status.init_containers.as_slice()).unwrap_or_default();
    let incomplete: Vec<&str> = init
        .iter()
        .filter(|container| !ended_well(container) && !is_running_sidecar(container, set))
        .map(|container| container.name.as_str())
        .collect();
    if incomplete.is_empty() {
        let exits = init.iter().filter_map(|container| match &container.state {
            ContainerState::Terminated(exit) => Some(exit.finished_at),
            _ => None,
        });
        return condition("Initialized", "True", exits.max().unwrap_or(scheduled_at));
    }
    let mut waiting = condition("Initialized", "False", scheduled_at);
    waiting.reason = Some("ContainersNotInitialized".to_owned());
    waiting.message =
        Some(format!("containers with incomplete status: [{}]", incomplete.join(" ")));
    waiting
}

fn is_running_sidecar(container: &ContainerStatus, set: Option<&ReplicaSet>) -> bool {
    let mut sidecars = set.into_iter().flat_map(|set| set.template.sidecars());
    matches!(container.state, ContainerState::Running { .. })
        && sidecars.any(|sidecar| sidecar.name == container.name)
}

fn readiness(
    kind: &str,
    pod: &Pod,
    last: Option<&PodStatus>,
    scheduled_at: Timestamp,
) -> core::PodCondition {
    if let Seen::Unknown { since, .. } = &pod.seen {
        let mut unknown = condition(kind, "Unknown", *since);
        unknown.reason = Some("NodeLost".to_owned());
        return unknown;
    }
    if let Some(since) = pod.ready_since() {
        return condition(kind, "True", since);
    }
    let unready: Vec<&str> = last
        .into_iter()
        .flat_map(|status| &status.containers)
        .filter(|container| !container.ready)
        .map(|container| container.name.as_str())
        .collect();
    let mut not_ready = condition(kind, "False", scheduled_at);
    not_ready.reason = Some("ContainersNotReady".to_owned());
    not_ready.message = Some(format!("containers with unready status: [{}]", unready.join(" ")));
    not_ready
}

fn condition(kind: &str, status: &str, since: Timestamp) -> core::PodCondition {
    core::PodCondition {
        last_transition_time: time(since),
        status: status.to_owned(),
        type_: kind.to_owned(),
        ..core::PodCondition::default()
    }
}

fn container_status(status: &ContainerStatus, set: Option<&ReplicaSet>) -> core::ContainerStatus {
    let image = set
        .and_then(|set| set.template.container(&status.name))
        .map(|container| container.image.clone());
    let digest = status.image_digest.as_ref().zip(image.as_ref());
    let image_id = match digest {
        // As Kubernetes names what was pulled.
        Some((digest, image)) => Some(digest.reference(image)),
        None => status.image_id.clone(),
    };
    let running = matches!(status.state, ContainerState::Running { .. });
    core::ContainerStatus {
        container_id: status.container_id.as_ref().map(|id| format!("docker://{id}")),
        image: image.unwrap_or_default(),
        image_id: image_id.unwrap_or_default(),
        last_state: status.last_exit.as_ref().map(terminated),
        name: status.name.clone(),
        ready: status.ready,
        restart_count: int(status.restarts),
        started: Some(running),
        state: Some(state(&status.state)),
        ..core::ContainerStatus::default()
    }
}

fn state(state: &ContainerState) -> core::ContainerState {
    match state {
        ContainerState::Waiting { reason, message } => core::ContainerState {
            waiting: Some(core::ContainerStateWaiting {
                message: (!message.is_empty()).then(|| message.clone()),
                reason: Some(reason.as_str().to_owned()),
            }),
            ..core::ContainerState::default()
        },
        ContainerState::Running { started_at } => core::ContainerState {
            running: Some(core::ContainerStateRunning { started_at: time(*started_at) }),
            ..core::ContainerState::default()
        },
        ContainerState::Terminated(exit) => terminated(exit),
    }
}

fn terminated(exit: &ContainerExit) -> core::ContainerState {
    let reason = match exit {
        ContainerExit { oom_killed: true, .. } => "OOMKilled",
        ContainerExit { exit_code: 0, .. } => "Completed",
        ContainerExit { .. } => "Error",
    };
    core::ContainerState {
        terminated: Some(core::ContainerStateTerminated {
            exit_code: i32::try_from(exit.exit_code).unwrap_or(-1),
            finished_at: time(exit.finished_at),
            reason: Some(reason.to_owned()),
            ..core::ContainerStateTerminated::default()
        }),
        ..core::ContainerState::default()
    }
}

/// Kubernetes' class of service, from what the containers reserve and may use.
fn qos_class(set: &ReplicaSet) -> &'static str {
    let resources = || set.template.all_containers().map(|container| container.resources);
    if resources().all(|of| of == dugout_model::ContainerResources::default()) {
        return "BestEffort";
    }
    let guaranteed = resources().all(|of| {
        of.cpu_limit_millis == Some(of.cpu_request_millis)
            && of.memory_limit_bytes == Some(of.memory_request_bytes)
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
