//! Deployments and replica sets, with the counts and conditions of `apps/v1`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Deployment, IntOrPercent, ReplicaSet, Rollout, RolloutFailure, RolloutState, StoredObject,
    Strategy, Timestamp,
};
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::View;
use super::meta::{
    POD_TEMPLATE_HASH, int, of_replica_set, owner, pod_template_hash, selector, time, version,
};
use super::template::{declared, pod_labels, resolved};

impl View<'_> {
    pub(super) fn deployment(
        self,
        mut metadata: ObjectMeta,
        object: &StoredObject,
        spec: &Deployment,
    ) -> apps::Deployment {
        if let Some(current) = self.world.current_replica_set(object.uid) {
            let annotations = metadata.annotations.get_or_insert_default();
            *annotations = of_replica_set(std::mem::take(annotations), current);
            annotations.insert("dugout.dev/commit".to_owned(), object.sha.to_string());
        }
        apps::Deployment {
            metadata,
            spec: deployment_spec(spec),
            status: Some(self.deployment_status(object, spec)),
        }
    }

    pub fn replica_set(self, set: &ReplicaSet) -> apps::ReplicaSet {
        let owning = self.world.workload_by_uid(set.owner).map(Arc::as_ref);
        let spec = owning.and_then(|object| object.as_deployment());
        let mut wanted = spec.map(|spec| selector(&spec.selector)).unwrap_or_default();
        wanted
            .match_labels
            .get_or_insert_default()
            .insert(POD_TEMPLATE_HASH.to_owned(), pod_template_hash(set).to_owned());
        let min_ready = spec.map(|spec| spec.min_ready).unwrap_or_default();
        apps::ReplicaSet {
            metadata: ObjectMeta {
                annotations: Some(of_replica_set(BTreeMap::new(), set)),
                creation_timestamp: time(set.created_at),
                generation: Some(1),
                labels: Some(pod_labels(self.world, set)),
                name: Some(set.name.to_string()),
                namespace: Some(set.namespace.to_string()),
                owner_references: owning.map(|object| {
                    let name = &object.declared.key.name;
                    vec![owner("apps/v1", "Deployment", name, object.uid.to_string())]
                }),
                resource_version: version(self),
                uid: Some(set.uid.to_string()),
                ..ObjectMeta::default()
            },
            spec: apps::ReplicaSetSpec {
                min_ready_seconds: min_ready_seconds(min_ready),
                replicas: Some(int(set.replicas)),
                selector: wanted,
                template: Some(self.template(set, owning.zip(spec))),
            },
            status: Some(self.replica_set_status(set, min_ready)),
        }
    }

    /// The template of a set. Clients take the set whose template equals its deployment's for the new
    /// one, so while a deployment's own template is the one that its newest set was made of, that set
    /// shows it as Git declares it, with its references.
    fn template(
        self,
        set: &ReplicaSet,
        owning: Option<(&StoredObject, &Deployment)>,
    ) -> core::PodTemplateSpec {
        let of_newest = owning.filter(|(object, spec)| {
            let newest = self.world.current_replica_set(object.uid);
            let rollout = self.world.rollouts.get(&object.uid);
            newest.is_some_and(|newest| newest.uid == set.uid)
                && !spec.paused
                && rollout.is_some_and(|rollout| {
                    rollout.generation == object.generation
                        && !matches!(rollout.state, RolloutState::Waiting { .. })
                })
        });
        let Some((_, spec)) = of_newest else { return resolved(self.world, set) };
        let mut template = declared(&spec.template);
        template.metadata.get_or_insert_default().labels = Some(pod_labels(self.world, set));
        template
    }

    fn replica_set_status(self, set: &ReplicaSet, min_ready: Duration) -> apps::ReplicaSetStatus {
        let (mut replicas, mut ready, mut available, mut leaving) = (0, 0, 0, 0);
        for pod in self.world.pods_of(set.uid) {
            if pod.is_active() {
                replicas += 1;
                ready += i32::from(pod.ready_since().is_some());
                available += i32::from(pod.is_available(min_ready, self.now));
            } else {
                leaving += 1;
            }
        }
        apps::ReplicaSetStatus {
            available_replicas: Some(available),
            conditions: None,
            fully_labeled_replicas: Some(replicas),
            observed_generation: Some(1),
            ready_replicas: Some(ready),
            replicas,
            terminating_replicas: Some(leaving),
        }
    }

    fn deployment_status(self, object: &StoredObject, spec: &Deployment) -> apps::DeploymentStatus {
        let rollout = self.world.rollouts.get(&object.uid);
        let current = self.world.current_replica_set(object.uid);
        let hash = current.map(|set| &set.template_hash);
        let counts = self.world.pod_counts(object.uid, hash, spec.min_ready, self.now);
        let needed = spec.replicas.saturating_sub(max_unavailable(spec));
        let set_name = current.map_or("", |set| set.name.as_str());
        let mut conditions = vec![available(counts.available >= needed, object, rollout)];
        conditions.extend(rollout.map(|rollout| progressing(rollout, set_name)));
        apps::DeploymentStatus {
            available_replicas: Some(int(counts.available)),
            collision_count: None,
            conditions: Some(conditions),
            observed_generation: rollout.and_then(|rollout| i64::try_from(rollout.generation).ok()),
            ready_replicas: Some(int(counts.ready)),
            replicas: Some(int(counts.replicas)),
            terminating_replicas: Some(int(counts.leaving)),
            unavailable_replicas: Some(int(counts
                .replicas
                .max(spec.replicas)
                .saturating_sub(counts.available))),
            updated_replicas: Some(int(counts.updated)),
        }
    }
}

/// Absent where a pod counts at once.
pub(super) fn min_ready_seconds(span: Duration) -> Option<i32> {
    (!span.is_zero()).then(|| int(span.as_secs()))
}

fn deployment_spec(spec: &Deployment) -> apps::DeploymentSpec {
    let strategy = match &spec.strategy {
        Strategy::Recreate => {
            apps::DeploymentStrategy { rolling_update: None, type_: Some("Recreate".to_owned()) }
        }
        Strategy::RollingUpdate { max_surge, max_unavailable } => apps::DeploymentStrategy {
            rolling_update: Some(apps::RollingUpdateDeployment {
                max_surge: Some(int_or_percent(*max_surge)),
                max_unavailable: Some(int_or_percent(*max_unavailable)),
            }),
            type_: Some("RollingUpdate".to_owned()),
        },
    };
    apps::DeploymentSpec {
        min_ready_seconds: min_ready_seconds(spec.min_ready),
        paused: spec.paused.then_some(true),
        progress_deadline_seconds: Some(int(spec.progress_deadline.as_secs())),
        replicas: Some(int(spec.replicas)),
        revision_history_limit: Some(int(spec.revision_history_limit)),
        selector: LabelSelector::clone(&selector(&spec.selector)),
        strategy: Some(strategy),
        template: declared(&spec.template),
    }
}

pub(super) fn int_or_percent(value: IntOrPercent) -> IntOrString {
    match value {
        IntOrPercent::Int(number) => IntOrString::Int(int(number)),
        IntOrPercent::Percent(share) => IntOrString::String(format!("{share}%")),
    }
}

/// How many replicas may be missing before the deployment counts as not available.
fn max_unavailable(spec: &Deployment) -> u32 {
    let replicas = u64::from(spec.replicas);
    let resolve = |value: IntOrPercent, round_up: bool| match value {
        IntOrPercent::Int(number) => u64::from(number),
        IntOrPercent::Percent(share) if round_up => (replicas * u64::from(share)).div_ceil(100),
        IntOrPercent::Percent(share) => replicas * u64::from(share) / 100,
    };
    match &spec.strategy {
        Strategy::Recreate => 0,
        Strategy::RollingUpdate { max_surge, max_unavailable } => {
            let unavailable = resolve(*max_unavailable, false);
            let at_least = u64::from(unavailable == 0 && resolve(*max_surge, true) == 0);
            u32::try_from(unavailable.max(at_least).min(replicas)).unwrap_or(spec.replicas)
        }
    }
}

fn available(
    enough: bool,
    object: &StoredObject,
    rollout: Option<&std::sync::Arc<Rollout>>,
) -> apps::DeploymentCondition {
    let (status, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let at = rollout.map_or(object.created_at, |rollout| rollout.progressed_at);
    condition("Available", status, reason, message.to_owned(), at)
}

fn progressing(rollout: &Rollout, set: &str) -> apps::DeploymentCondition {
    let mut progress = progress(rollout);
    match rollout.state {
        RolloutState::Progressing => {
            progress.reason = "ReplicaSetUpdated";
            progress.message = format!("ReplicaSet \"{set}\" is progressing.");
        }
        RolloutState::Complete => {
            progress.reason = "NewReplicaSetAvailable";
            progress.message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        }
        RolloutState::Waiting { .. } | RolloutState::Failed { .. } => {}
    }
    condition("Progressing", progress.status, progress.reason, progress.message, progress.at)
}

/// How far a workload's rollout is, as its condition `Progressing` says it.
pub(super) struct Progress {
    pub status: &'static str,
    pub reason: &'static str,
    pub message: String,
    pub at: Timestamp,
}

pub(super) fn progress(rollout: &Rollout) -> Progress {
    let (status, reason, message) = match &rollout.state {
        RolloutState::Progressing => {
            ("True", "Progressing", "its pods are on the way to what Git asks for".to_owned())
        }
        RolloutState::Waiting { message } => ("True", "Waiting", message.clone()),
        RolloutState::Complete => {
            ("True", "RolloutComplete", "its pods are as Git asks for".to_owned())
        }
        RolloutState::Failed { reason, message } => {
            let reason = match reason {
                RolloutFailure::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
                RolloutFailure::ImageUnavailable => "ImageUnavailable",
                RolloutFailure::JobFailed => "JobFailed",
            };
            ("False", reason, message.clone())
        }
    };
    Progress { status, reason, message, at: rollout.progressed_at }
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    at: Timestamp,
) -> apps::DeploymentCondition {
    apps::DeploymentCondition {
        last_transition_time: time(at),
        last_update_time: time(at),
        message: Some(message),
        reason: Some(reason.to_owned()),
        status: Some(status.to_owned()),
        type_: Some(kind.to_owned()),
    }
}
