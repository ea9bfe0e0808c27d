//! Stateful sets, with the counts and revisions of `apps/v1`.

use dugout_model::{
    ClaimName, PodManagement, PodTemplate, ReplicaSet, StatefulSet, StatefulSetUpdate,
    StoredObject, VolumeSource,
};
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{int, list, selector, some_text, time};
use super::template::declared;
use super::workload::{Progress, int_or_percent, min_ready_seconds, progress};
use super::{View, storage};

impl View<'_> {
    pub(super) fn stateful_set(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &StatefulSet,
    ) -> apps::StatefulSet {
        apps::StatefulSet {
            metadata,
            spec: stateful_set_spec(spec),
            status: Some(self.stateful_set_status(object, spec)),
        }
    }

    fn stateful_set_status(
        self,
        object: &StoredObject,
        spec: &StatefulSet,
    ) -> apps::StatefulSetStatus {
        let rollout = self.world.rollouts.get(&object.uid).map(AsRef::as_ref);
        let update = self.world.current_replica_set(object.uid).map(AsRef::as_ref);
        let hash = update.map(|set| &set.template_hash);
        let counts = self.world.pod_counts(object.uid, hash, spec.min_ready, self.now);
        let before = self.revision_before(object, update);
        let current = before.or(update);
        let current_pods = current.map_or(0, |set| self.active_pods(set));
        let name = |set: Option<&ReplicaSet>| set.map(|set| set.name.to_string());
        apps::StatefulSetStatus {
            available_replicas: Some(int(counts.available)),
            collision_count: Some(0),
            conditions: rollout.map(|rollout| vec![condition(progress(rollout))]),
            current_replicas: Some(int(current_pods)),
            current_revision: name(current),
            observed_generation: rollout.and_then(|rollout| i64::try_from(rollout.generation).ok()),
            ready_replicas: Some(int(counts.ready)),
            replicas: int(counts.replicas),
            update_revision: name(update),
            updated_replicas: Some(int(counts.updated)),
        }
    }

    /// Another template than the newest, if pods still have it: the one that most of them have.
    fn revision_before<'a>(
        &'a self,
        object: &StoredObject,
        update: Option<&ReplicaSet>,
    ) -> Option<&'a ReplicaSet> {
        let sets = self.world.replica_sets_of(object.uid).map(AsRef::as_ref);
        let others = sets.filter(|set| update.is_none_or(|update| set.uid != update.uid));
        let counted = others.map(|set| (self.active_pods(set), set.revision, set));
        let most = counted.filter(|(pods, ..)| *pods > 0).max_by_key(|(pods, at, _)| (*pods, *at));
        most.map(|(.., set)| set)
    }

    fn active_pods(self, set: &ReplicaSet) -> usize {
        self.world.pods_of(set.uid).filter(|pod| pod.is_active()).count()
    }
}

fn condition(progress: Progress) -> apps::StatefulSetCondition {
    apps::StatefulSetCondition {
        last_transition_time: time(progress.at),
        message: Some(progress.message),
        reason: Some(progress.reason.to_owned()),
        status: Some(progress.status.to_owned()),
        type_: Some("Progressing".to_owned()),
    }
}

/// What becomes of its claims, where it has any.
fn claim_retention(
    spec: &StatefulSet,
) -> Option<apps::StatefulSetPersistentVolumeClaimRetentionPolicy> {
    let retention = spec.claim_retention;
    (!spec.claim_templates.is_empty()).then(|| {
        apps::StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: Some(retention.when_deleted.as_str().to_owned()),
            when_scaled: Some(retention.when_scaled.as_str().to_owned()),
        }
    })
}

/// The template as it was written: the volumes of its claims are not among those of the pod.
fn template_of(spec: &StatefulSet) -> PodTemplate {
    let mut template = spec.template.clone();
    let mut volumes = template.volumes.into_vec();
    volumes.retain(|volume| {
        !matches!(&volume.source, VolumeSource::Claim(claim)
            if matches!(claim.claim, ClaimName::OfTemplate(_)))
    });
    template.volumes = volumes.into();
    template
}

fn stateful_set_spec(spec: &StatefulSet) -> apps::StatefulSetSpec {
    let strategy = match spec.update {
        StatefulSetUpdate::OnDelete => apps::StatefulSetUpdateStrategy {
            rolling_update: None,
            type_: Some("OnDelete".to_owned()),
        },
        StatefulSetUpdate::RollingUpdate { partition, max_unavailable } => {
            apps::StatefulSetUpdateStrategy {
                rolling_update: Some(apps::RollingUpdateStatefulSetStrategy {
                    max_unavailable: Some(int_or_percent(max_unavailable)),
                    partition: Some(int(partition)),
                }),
                type_: Some("RollingUpdate".to_owned()),
            }
        }
    };
    let management = match spec.pod_management {
        PodManagement::OrderedReady => "OrderedReady",
        PodManagement::Parallel => "Parallel",
    };
    apps::StatefulSetSpec {
        min_ready_seconds: min_ready_seconds(spec.min_ready),
        ordinals: (spec.first_ordinal > 0)
            .then(|| apps::StatefulSetOrdinals { start: Some(int(spec.first_ordinal)) }),
        pod_management_policy: Some(management.to_owned()),
        replicas: Some(int(spec.replicas)),
        revision_history_limit: Some(int(spec.revision_history_limit)),
        selector: selector(&spec.selector),
        service_name: some_text(&spec.service_name),
        template: declared(&template_of(spec)),
        update_strategy: Some(strategy),
        persistent_volume_claim_retention_policy: claim_retention(spec),
        volume_claim_templates: list(spec.claim_templates.iter().map(storage::template).collect()),
    }
}
