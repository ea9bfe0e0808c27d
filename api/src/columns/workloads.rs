//! The columns of workloads: how much of each is there, and what it is made from.

use std::time::Duration;

use dugout_model::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ReplicationController;
use serde_json::Value;

use super::{NONE, containers, or_none, pairs, selector};
use crate::resource::Resource;
use crate::table::since;

/// The columns of a kind of workload; none of what is another kind.
pub(super) fn names(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Deployments => &[
            "Name",
            "Ready",
            "Up-to-date",
            "Available",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        Resource::StatefulSets => &["Name", "Ready", "Age", "+Containers", "+Images"],
        Resource::DaemonSets => &[
            "Name",
            "Desired",
            "Current",
            "Ready",
            "Up-to-date",
            "Available",
            "Node Selector",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        Resource::ReplicaSets | Resource::ReplicationControllers => {
            &["Name", "Desired", "Current", "Ready", "Age", "+Containers", "+Images", "+Selector"]
        }
        Resource::Jobs => &[
            "Name",
            "Status",
            "Completions",
            "Duration",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        Resource::CronJobs => &[
            "Name",
            "Schedule",
            "Timezone",
            "Suspend",
            "Active",
            "Last Schedule",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        _ => &[],
    }
}

pub(super) fn deployment_cells(name: Value, deployment: &Deployment, age: Value) -> Vec<Value> {
    let spec = &deployment.spec;
    let status = deployment.status.clone().unwrap_or_default();
    let ready = status.ready_replicas.unwrap_or(0);
    let (containers, images) = containers(spec.template.spec.as_ref().map(|pod| &pod.containers));
    vec![
        name,
        format!("{ready}/{}", spec.replicas.unwrap_or(1)).into(),
        status.updated_replicas.unwrap_or(0).into(),
        status.available_replicas.unwrap_or(0).into(),
        age,
        containers.into(),
        images.into(),
        selector(&spec.selector).into(),
    ]
}

pub(super) fn replica_set_cells(name: Value, set: &ReplicaSet, age: Value) -> Vec<Value> {
    let status = set.status.clone().unwrap_or_default();
    let pod = set.spec.template.as_ref().and_then(|template| template.spec.as_ref());
    let (containers, images) = containers(pod.map(|pod| &pod.containers));
    vec![
        name,
        set.spec.replicas.unwrap_or(0).into(),
        status.replicas.into(),
        status.ready_replicas.unwrap_or(0).into(),
        age,
        containers.into(),
        images.into(),
        selector(&set.spec.selector).into(),
    ]
}

pub(super) fn replication_controller_cells(
    name: Value,
    controller: &ReplicationController,
    age: Value,
) -> Vec<Value> {
    let (spec, status) = (
        controller.spec.clone().unwrap_or_default(),
        controller.status.clone().unwrap_or_default(),
    );
    let pod = spec.template.as_ref().and_then(|template| template.spec.as_ref());
    let (containers, images) = containers(pod.map(|pod| &pod.containers));
    vec![
        name,
        spec.replicas.unwrap_or(0).into(),
        status.replicas.into(),
        status.ready_replicas.unwrap_or(0).into(),
        age,
        containers.into(),
        images.into(),
        pairs(spec.selector.as_ref()).into(),
    ]
}

pub(super) fn stateful_set_cells(name: Value, set: &StatefulSet, age: Value) -> Vec<Value> {
    let spec = &set.spec;
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let (containers, images) = containers(spec.template.spec.as_ref().map(|pod| &pod.containers));
    let ready = format!("{ready}/{}", spec.replicas.unwrap_or(1));
    vec![name, ready.into(), age, containers.into(), images.into()]
}

pub(super) fn daemon_set_cells(name: Value, set: &DaemonSet, age: Value) -> Vec<Value> {
    let (spec, status) = (&set.spec, set.status.clone().unwrap_or_default());
    let pod = spec.template.spec.as_ref();
    let (containers, images) = containers(pod.map(|pod| &pod.containers));
    vec![
        name,
        status.desired_number_scheduled.into(),
        status.current_number_scheduled.into(),
        status.number_ready.into(),
        status.updated_number_scheduled.unwrap_or(0).into(),
        status.number_available.unwrap_or(0).into(),
        pairs(pod.and_then(|pod| pod.node_selector.as_ref())).into(),
        age,
        containers.into(),
        images.into(),
        selector(&spec.selector).into(),
    ]
}

pub(super) fn job_cells(name: Value, job: &Job, age: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (job.spec.clone().unwrap_or_default(), job.status.as_ref());
    let condition = status.and_then(|status| status.conditions.as_ref()?.first());
    let succeeded = status.and_then(|status| status.succeeded).unwrap_or(0);
    let completions = match (spec.completions, spec.parallelism.unwrap_or(1)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let ended_at = status
        .and_then(|status| status.completion_time.clone())
        .or_else(|| condition.filter(|one| one.type_ == "Failed")?.last_transition_time.clone());
    let duration = status.and_then(|status| status.start_time.as_ref()).map(|started| {
        let until_now = since(started, now);
        crate::age::age(
            until_now.saturating_sub(ended_at.map_or(Duration::ZERO, |at| since(&at, now))),
        )
    });
    let (containers, images) = containers(spec.template.spec.as_ref().map(|pod| &pod.containers));
    vec![
        name,
        condition.map_or("Running", |condition| condition.type_.as_str()).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        age,
        containers.into(),
        images.into(),
        spec.selector.as_ref().map_or(NONE.to_owned(), selector).into(),
    ]
}

pub(super) fn cron_job_cells(
    name: Value,
    cron_job: &CronJob,
    age: Value,
    now: Timestamp,
) -> Vec<Value> {
    let (spec, status) = (cron_job.spec.clone(), cron_job.status.as_ref());
    let pods = spec.job_template.spec.as_ref().and_then(|job| job.template.spec.as_ref());
    let (containers, images) = containers(pods.map(|pod| &pod.containers));
    let last = status.and_then(|status| status.last_schedule_time.as_ref());
    let active = status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len);
    vec![
        name,
        spec.schedule.into(),
        or_none(spec.time_zone.unwrap_or_default()).into(),
        if spec.suspend == Some(true) { "True" } else { "False" }.into(),
        active.into(),
        last.map_or(NONE.to_owned(), |last| crate::age::age(since(last, now))).into(),
        age,
        containers.into(),
        images.into(),
        NONE.into(),
    ]
}
