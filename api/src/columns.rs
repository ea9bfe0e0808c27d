//! The columns of each resource's table, with Kubernetes' names and order, and the cells of a row.

mod limits;
mod storage;
mod workloads;

use std::collections::BTreeMap;

use dugout_model::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerStatus, Event, Node, Pod, Secret, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::convert::Object;
use crate::dugout::{Release, Source, TimelineEntry};
use crate::resource::Resource;
use crate::table::{Column, age_cell, since};

const NONE: &str = "<none>";

/// The columns of a resource: those with a `+` in front only in wide output.
pub(crate) fn definitions(resource: Resource) -> Vec<Column> {
    let names: &[&str] = match resource {
        Resource::Namespaces => &["Name", "Status", "Age"],
        Resource::LimitRanges => &["Name", "Created At"],
        Resource::ResourceQuotas => &["Name", "Request", "Limit", "Age"],
        Resource::Pods => &["Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node"],
        Resource::Services => {
            &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"]
        }
        Resource::ConfigMaps => &["Name", "Data", "Age"],
        Resource::Secrets => &["Name", "Type", "Data", "Age"],
        Resource::Nodes => &[
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "+Internal-IP",
            "+CPU",
            "+Memory",
            "+Container-Runtime",
        ],
        Resource::Events => &["Last Seen", "Type", "Reason", "Object", "Message", "+Name"],
        Resource::Deployments
        | Resource::StatefulSets
        | Resource::DaemonSets
        | Resource::ReplicaSets
        | Resource::ReplicationControllers
        | Resource::Jobs
        | Resource::CronJobs => workloads::names(resource),
        Resource::PodDisruptionBudgets => {
            &["Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"]
        }
        Resource::PersistentVolumeClaims
        | Resource::PersistentVolumes
        | Resource::StorageClasses => storage::names(resource),
        Resource::Sources => {
            &["Name", "Branch", "Head", "Applied", "Status", "+URL", "+Path", "+Message"]
        }
        Resource::Releases => {
            &["Name", "Source", "Commit", "Verdict", "Age", "Subject", "+Reason", "+Author"]
        }
        Resource::TimelineEntries => &["Time", "Source", "Commit", "Step", "Subject", "Message"],
    };
    names.iter().map(|name| column(name)).collect()
}

/// The cells of one row, in the order of its resource's columns.
pub(crate) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let age = age_cell(object.metadata().creation_timestamp.as_ref(), now);
    let name = Value::from(object.metadata().name.clone().unwrap_or_default());
    match object {
        Object::Namespace(_) => vec![name, "Active".into(), age],
        Object::LimitRange(range) => limits::limit_range_cells(name, range),
        Object::ResourceQuota(quota) => limits::quota_cells(name, quota, age),
        Object::Pod(pod) => pod_cells(name, pod, age, now),
        Object::Service(service) => service_cells(name, service, age),
        Object::ConfigMap(map) => vec![name, data_count(map).into(), age],
        Object::Secret(secret) => secret_cells(name, secret, age),
        Object::Node(node) => node_cells(name, node, age),
        Object::Event(event) => event_cells(name, event, now),
        Object::Deployment(deployment) => workloads::deployment_cells(name, deployment, age),
        Object::ReplicaSet(set) => workloads::replica_set_cells(name, set, age),
        Object::ReplicationController(controller) => {
            workloads::replication_controller_cells(name, controller, age)
        }
        Object::StatefulSet(set) => workloads::stateful_set_cells(name, set, age),
        Object::DaemonSet(set) => workloads::daemon_set_cells(name, set, age),
        Object::Job(job) => workloads::job_cells(name, job, age, now),
        Object::CronJob(cron_job) => workloads::cron_job_cells(name, cron_job, age, now),
        Object::PodDisruptionBudget(budget) => budget_cells(name, budget, age),
        Object::PersistentVolumeClaim(claim) => storage::claim_cells(name, claim, age),
        Object::PersistentVolume(volume) => storage::volume_cells(name, volume, age),
        Object::StorageClass(class) => storage::class_cells(name, class, age),
        Object::Source(source) => source_cells(name, source),
        Object::Release(release) => release_cells(name, release, age),
        Object::TimelineEntry(entry) => timeline_cells(entry),
    }
}

fn column(name: &str) -> Column {
    let (name, priority) = match name.strip_prefix('+') {
        Some(name) => (name, 1),
        None => (name, 0),
    };
    let cell_type = match name {
        "Active"
        | "Desired"
        | "Current"
        | "Up-to-date"
        | "Available"
        | "Data"
        | "Allowed Disruptions" => "integer",
        _ => "string",
    };
    Column {
        name: name.to_owned(),
        cell_type: cell_type.to_owned(),
        format: if name == "Name" { "name".to_owned() } else { String::new() },
        description: String::new(),
        priority,
    }
}

fn pod_cells(name: Value, pod: &Pod, age: Value, now: Timestamp) -> Vec<Value> {
    let status = pod.status.as_ref();
    let containers: &[ContainerStatus] =
        status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let sidecars: Vec<&ContainerStatus> =
        init_statuses(pod).iter().filter(|status| is_sidecar(pod, &status.name)).collect();
    let total = pod.spec.as_ref().map_or(0, |spec| spec.containers.len()) + sidecars.len();
    let ready = containers.iter().chain(sidecars).filter(|container| container.ready).count();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    vec![
        name,
        format!("{ready}/{total}").into(),
        pod_status(pod).into(),
        restarts(pod, now).into(),
        age,
        status.and_then(|status| status.pod_ip.as_deref()).unwrap_or(NONE).into(),
        node.unwrap_or(NONE).into(),
    ]
}

/// The one word for a pod's state, chosen as `kubectl` does.
pub(crate) fn pod_status(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    match status.and_then(|status| status.reason.as_deref()) {
        Some("NodeLost") => return "Unknown".to_owned(),
        Some(reason) => return reason.to_owned(),
        None => {}
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    if let Some(initializing) = initializing(pod) {
        return initializing;
    }
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    let states =
        containers.unwrap_or_default().iter().filter_map(|container| container.state.as_ref());
    let mut why_not = states.filter_map(|state| {
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref()?.reason.clone())
    });
    let phase = || status.and_then(|status| status.phase.clone()).unwrap_or_default();
    why_not.next_back().unwrap_or_else(phase)
}

fn init_statuses(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default()
}

/// Whether a container that begins before the others runs on beside them.
fn is_sidecar(pod: &Pod, name: &str) -> bool {
    let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref());
    let mut init = init.unwrap_or_default().iter();
    init.any(|one| one.name == name && one.restart_policy.as_deref() == Some("Always"))
}

/// How far the containers are that run before the others, if they are not done.
fn initializing(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    if conditions.any(|one| one.type_ == "Initialized" && one.status == "True") {
        return None;
    }
    let of = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
    init_statuses(pod).iter().enumerate().find_map(|(done, container)| {
        let state = container.state.as_ref();
        let terminated = state.and_then(|state| state.terminated.as_ref());
        let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.as_deref());
        match (terminated, waiting) {
            (Some(end), _) if end.exit_code == 0 => None,
            (None, None) if container.started == Some(true) && is_sidecar(pod, &container.name) => {
                None
            }
            (Some(end), _) => Some(format!("Init:{}", end.reason.as_deref().unwrap_or("Error"))),
            (None, Some(reason)) if reason != "PodInitializing" => Some(format!("Init:{reason}")),
            (None, _) => Some(format!("Init:{done}/{of}")),
        }
    })
}

/// The count, and how long ago the last one was: of the containers that run first while they do.
fn restarts(pod: &Pod, now: Timestamp) -> String {
    let status = pod.status.as_ref();
    let containers = match initializing(pod) {
        Some(_) => init_statuses(pod),
        None => status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default(),
    };
    let sidecars = init_statuses(pod).iter().filter(|status| is_sidecar(pod, &status.name));
    let sidecars = sidecars.filter(|_| initializing(pod).is_none());
    let containers: Vec<&ContainerStatus> = containers.iter().chain(sidecars).collect();
    let count: i32 = containers.iter().map(|container| container.restart_count).sum();
    let ends = containers.iter().filter_map(|container| {
        container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()
    });
    match ends.max() {
        Some(last) if count > 0 => format!("{count} ({} ago)", crate::age::age(since(last, now))),
        _ => count.to_string(),
    }
}

fn service_cells(name: Value, service: &Service, age: Value) -> Vec<Value> {
    let Some(spec) = &service.spec else { return vec![name] };
    let ports: Vec<String> = spec
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            match port.node_port {
                Some(node_port) => format!("{}:{node_port}/{protocol}", port.port),
                None => format!("{}/{protocol}", port.port),
            }
        })
        .collect();
    vec![
        name,
        spec.type_.clone().unwrap_or_default().into(),
        spec.cluster_ip.as_deref().unwrap_or(NONE).into(),
        spec.external_name.as_deref().unwrap_or(NONE).into(),
        or_none(ports.join(",")).into(),
        age,
        pairs(spec.selector.as_ref()).into(),
    ]
}

fn data_count(map: &ConfigMap) -> usize {
    map.data.as_ref().map_or(0, BTreeMap::len) + map.binary_data.as_ref().map_or(0, BTreeMap::len)
}

fn secret_cells(name: Value, secret: &Secret, age: Value) -> Vec<Value> {
    let secret_type = secret.type_.clone().unwrap_or_default();
    vec![name, secret_type.into(), secret.data.as_ref().map_or(0, BTreeMap::len).into(), age]
}

fn node_cells(name: Value, node: &Node, age: Value) -> Vec<Value> {
    let status = node.status.as_ref();
    let info = status.and_then(|status| status.node_info.as_ref());
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    let mut state = if ready { "Ready".to_owned() } else { "NotReady".to_owned() };
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        state.push_str(",SchedulingDisabled");
    }
    let address = status
        .and_then(|status| status.addresses.as_ref())
        .and_then(|all| all.iter().find(|one| one.type_ == "InternalIP"));
    let amount = |what: &str| {
        let amounts = status.and_then(|status| status.capacity.as_ref());
        amounts.and_then(|all| all.get(what)).map_or("", |amount| amount.0.as_str()).to_owned()
    };
    vec![
        name,
        state.into(),
        NONE.into(),
        age,
        info.map_or("", |info| info.kubelet_version.as_str()).into(),
        address.map_or(NONE, |address| address.address.as_str()).into(),
        amount("cpu").into(),
        amount("memory").into(),
        info.map_or("", |info| info.container_runtime_version.as_str()).into(),
    ]
}

fn budget_cells(name: Value, budget: &PodDisruptionBudget, age: Value) -> Vec<Value> {
    let spec = budget.spec.as_ref();
    let shown = |number: Option<&IntOrString>| match number {
        None => Value::from("N/A"),
        Some(IntOrString::Int(number)) => number.to_string().into(),
        Some(IntOrString::String(share)) => share.clone().into(),
    };
    vec![
        name,
        shown(spec.and_then(|spec| spec.min_available.as_ref())),
        shown(spec.and_then(|spec| spec.max_unavailable.as_ref())),
        budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0).into(),
        age,
    ]
}

fn event_cells(name: Value, event: &Event, now: Timestamp) -> Vec<Value> {
    let about = &event.involved_object;
    let kind = about.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
    let object = format!("{kind}/{}", about.name.as_deref().unwrap_or_default());
    vec![
        age_cell(event.last_timestamp.as_ref(), now),
        event.type_.clone().unwrap_or_default().into(),
        event.reason.clone().unwrap_or_default().into(),
        object.into(),
        event.message.clone().unwrap_or_default().into(),
        name,
    ]
}

fn source_cells(name: Value, source: &Source) -> Vec<Value> {
    let status = &source.status;
    let condition = status.conditions.first();
    let mut state = status.condition.clone();
    if status.suspended {
        state.push_str(",Suspended");
    }
    vec![
        name,
        source.spec.branch.clone().into(),
        status.head.as_deref().map_or(NONE, short).into(),
        status.applied.as_deref().map_or(NONE, short).into(),
        state.into(),
        source.spec.url.clone().into(),
        or_none(source.spec.path.clone()).into(),
        condition.map(|condition| condition.message.clone()).unwrap_or_default().into(),
    ]
}

fn release_cells(name: Value, release: &Release, age: Value) -> Vec<Value> {
    let (spec, status) = (&release.spec, &release.status);
    vec![
        name,
        spec.source.clone().into(),
        short(&spec.sha).into(),
        status.verdict.clone().into(),
        age,
        spec.message.lines().next().unwrap_or("").into(),
        or_none(status.reason.clone().unwrap_or_default()).into(),
        spec.author.clone().into(),
    ]
}

fn timeline_cells(entry: &TimelineEntry) -> Vec<Value> {
    vec![
        entry.at.to_string().into(),
        entry.source.clone().into(),
        short(&entry.commit).into(),
        entry.step.clone().into(),
        or_none(entry.subject.clone()).into(),
        entry.message.clone().into(),
    ]
}

fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

fn containers(containers: Option<&Vec<Container>>) -> (String, String) {
    let each = || containers.into_iter().flatten();
    let names: Vec<&str> = each().map(|container| container.name.as_str()).collect();
    let images: Vec<&str> = each().filter_map(|container| container.image.as_deref()).collect();
    (names.join(","), images.join(","))
}

fn selector(selector: &LabelSelector) -> String {
    let mut terms: Vec<String> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for requirement in selector.match_expressions.iter().flatten() {
        let values = requirement.values.as_deref().unwrap_or_default().join(",");
        terms.push(match requirement.operator.as_str() {
            "In" => format!("{} in ({values})", requirement.key),
            "NotIn" => format!("{} notin ({values})", requirement.key),
            "Exists" => requirement.key.clone(),
            _ => format!("!{}", requirement.key),
        });
    }
    or_none(terms.join(","))
}

fn pairs(map: Option<&BTreeMap<String, String>>) -> String {
    let terms: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    or_none(terms.join(","))
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_whose_first_containers_are_not_done_reads_as_kubectl_prints_it() {
        let word = |init: Value| {
            let pod = json!({
                "spec": {"containers": [], "initContainers": [{"name": "a"}, {"name": "b"}]},
                "status": {
                    "phase": "Pending",
                    "initContainerStatuses": init,
                    "containerStatuses": [status(json!({"waiting": {"reason": "PodInitializing"}}))],
                },
            });
            pod_status(&serde_json::from_value(pod).unwrap())
        };
        fn status(state: Value) -> Value {
            json!({"name": "", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state})
        }
        let done = || status(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
        let failed = || status(json!({"terminated": {"exitCode": 1, "reason": "Error"}}));
        let running = || status(json!({"running": {}}));
        let waiting = |reason: &str| status(json!({"waiting": {"reason": reason}}));
        for (init, expected) in [
            (json!([waiting("PodInitializing"), waiting("PodInitializing")]), "Init:0/2"),
            (json!([running(), waiting("PodInitializing")]), "Init:0/2"),
            (json!([done(), running()]), "Init:1/2"),
            (json!([done(), waiting("CrashLoopBackOff")]), "Init:CrashLoopBackOff"),
            (json!([failed(), waiting("PodInitializing")]), "Init:Error"),
            (json!([done(), done()]), "PodInitializing"),
        ] {
            assert_eq!(word(init), expected);
        }
    }
}
