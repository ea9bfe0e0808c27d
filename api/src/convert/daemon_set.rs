//! Daemon sets, with the counts of `apps/v1`: of nodes, not of pods.

use dugout_model::{DaemonSet, DaemonSetUpdate, Pod, StoredObject};
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::View;
use super::meta::{int, selector, time};
use super::template::declared;
use super::workload::{Progress, int_or_percent, min_ready_seconds, progress};

impl View<'_> {
    pub(super) fn daemon_set(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &DaemonSet,
    ) -> apps::DaemonSet {
        apps::DaemonSet {
            metadata,
            spec: daemon_set_spec(spec),
            status: Some(self.daemon_set_status(object, spec)),
        }
    }

    fn daemon_set_status(self, object: &StoredObject, spec: &DaemonSet) -> apps::DaemonSetStatus {
        let rollout = self.world.rollouts.get(&object.uid).map(AsRef::as_ref);
        let current = self.world.current_replica_set(object.uid).map(|set| set.uid);
        let wanted = self.world.nodes_wanted_by(spec);
        let nodes = self.world.nodes_with_pods_of(object.uid, |_| true);
        let with = |is_counted: &dyn Fn(&Pod) -> bool| {
            self.world.nodes_with_pods_of(object.uid, is_counted).intersection(&wanted).count()
        };
        let is_updated = |pod: &Pod| current == Some(pod.replica_set);
        let available = with(&|pod| pod.is_available(spec.min_ready, self.now));
        apps::DaemonSetStatus {
            collision_count: None,
            conditions: rollout.map(|rollout| vec![condition(progress(rollout))]),
            current_number_scheduled: int(nodes.intersection(&wanted).count()),
            desired_number_scheduled: int(wanted.len()),
            number_available: Some(int(available)),
            number_misscheduled: int(nodes.difference(&wanted).count()),
            number_ready: int(with(&|pod| pod.ready_since().is_some())),
            number_unavailable: Some(int(wanted.len() - available)),
            observed_generation: rollout.and_then(|rollout| i64::try_from(rollout.generation).ok()),
            updated_number_scheduled: Some(int(with(&is_updated))),
        }
    }
}

fn condition(progress: Progress) -> apps::DaemonSetCondition {
    apps::DaemonSetCondition {
        last_transition_time: time(progress.at),
        message: Some(progress.message),
        reason: Some(progress.reason.to_owned()),
        status: Some(progress.status.to_owned()),
        type_: Some("Progressing".to_owned()),
    }
}

fn daemon_set_spec(spec: &DaemonSet) -> apps::DaemonSetSpec {
    let strategy = match spec.update {
        DaemonSetUpdate::OnDelete => apps::DaemonSetUpdateStrategy {
            rolling_update: None,
            type_: Some("OnDelete".to_owned()),
        },
        DaemonSetUpdate::RollingUpdate { max_surge, max_unavailable } => {
            apps::DaemonSetUpdateStrategy {
                rolling_update: Some(apps::RollingUpdateDaemonSet {
                    max_surge: Some(int_or_percent(max_surge)),
                    max_unavailable: Some(int_or_percent(max_unavailable)),
                }),
                type_: Some("RollingUpdate".to_owned()),
            }
        }
    };
    apps::DaemonSetSpec {
        min_ready_seconds: min_ready_seconds(spec.min_ready),
        revision_history_limit: Some(int(spec.revision_history_limit)),
        selector: selector(&spec.selector),
        template: declared(&spec.template),
        update_strategy: Some(strategy),
    }
}
