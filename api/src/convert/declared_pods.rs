//! Replica sets, replication controllers and bare pods that Git declares.

use dugout_model::{PodCounts, PodTemplate, ReplicaSetSpec, RolloutState, StoredObject};
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::View;
use super::meta::{int, selector, strings, time};
use super::template::declared;
use super::workload::{Progress, min_ready_seconds, progress};

impl View<'_> {
    pub(super) fn declared_replica_set(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &ReplicaSetSpec,
    ) -> apps::ReplicaSet {
        let counts = self.declared_counts(object, spec);
        apps::ReplicaSet {
            metadata,
            spec: apps::ReplicaSetSpec {
                min_ready_seconds: min_ready_seconds(spec.min_ready),
                replicas: Some(int(spec.replicas)),
                selector: selector(&spec.selector),
                template: Some(declared(&spec.template)),
            },
            status: Some(apps::ReplicaSetStatus {
                available_replicas: Some(int(counts.available)),
                conditions: self.progress_of(object).map(|progress| {
                    vec![apps::ReplicaSetCondition {
                        last_transition_time: time(progress.at),
                        message: Some(progress.message),
                        reason: Some(progress.reason.to_owned()),
                        status: Some(progress.status.to_owned()),
                        type_: Some("Progressing".to_owned()),
                    }]
                }),
                fully_labeled_replicas: Some(int(counts.replicas)),
                observed_generation: self.observed_generation(object),
                ready_replicas: Some(int(counts.ready)),
                replicas: int(counts.replicas),
                terminating_replicas: Some(int(counts.leaving)),
            }),
        }
    }

    pub(super) fn replication_controller(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &ReplicaSetSpec,
    ) -> core::ReplicationController {
        let counts = self.declared_counts(object, spec);
        core::ReplicationController {
            metadata,
            spec: Some(core::ReplicationControllerSpec {
                min_ready_seconds: min_ready_seconds(spec.min_ready),
                replicas: Some(int(spec.replicas)),
                selector: strings(&spec.selector.match_labels),
                template: Some(declared(&spec.template)),
            }),
            status: Some(core::ReplicationControllerStatus {
                available_replicas: Some(int(counts.available)),
                conditions: self.progress_of(object).map(|progress| {
                    vec![core::ReplicationControllerCondition {
                        last_transition_time: time(progress.at),
                        message: Some(progress.message),
                        reason: Some(progress.reason.to_owned()),
                        status: progress.status.to_owned(),
                        type_: "Progressing".to_owned(),
                    }]
                }),
                fully_labeled_replicas: Some(int(counts.replicas)),
                observed_generation: self.observed_generation(object),
                ready_replicas: Some(int(counts.ready)),
                replicas: int(counts.replicas),
            }),
        }
    }

    /// A bare pod that Git asks for and that is not made yet, and why.
    pub(super) fn awaited_pod(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        template: &PodTemplate,
    ) -> core::Pod {
        let rollout = self.world.rollouts.get(&object.uid);
        let message = rollout.and_then(|rollout| match &rollout.state {
            RolloutState::Waiting { message } | RolloutState::Failed { message, .. } => {
                Some(message.clone())
            }
            RolloutState::Progressing | RolloutState::Complete => None,
        });
        core::Pod {
            metadata,
            spec: declared(template).spec,
            status: Some(core::PodStatus {
                message,
                phase: Some("Pending".to_owned()),
                ..core::PodStatus::default()
            }),
        }
    }

    fn declared_counts(self, object: &StoredObject, spec: &ReplicaSetSpec) -> PodCounts {
        self.world.pod_counts(object.uid, None, spec.min_ready, self.now)
    }

    fn progress_of(self, object: &StoredObject) -> Option<Progress> {
        self.world.rollouts.get(&object.uid).map(|rollout| progress(rollout))
    }

    fn observed_generation(self, object: &StoredObject) -> Option<i64> {
        let rollout = self.world.rollouts.get(&object.uid)?;
        i64::try_from(rollout.generation).ok()
    }
}
