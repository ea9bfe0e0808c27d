//! The pods that a person means who names what makes them, or what leads to them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use dugout_api::dugout::List;
use dugout_api::{Description, Resource};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Place, one_pod, place};
use crate::client::{Client, Usage};

/// What is looked at of what makes pods.
#[derive(Deserialize)]
struct Owner {
    metadata: ObjectMeta,
}

/// The pod that is meant by its name, or by `TYPE/NAME` as kubectl has it: of a workload, or behind a
/// service, the first that is ready.
pub(super) async fn first_pod(
    client: &Client,
    namespace: Option<&str>,
    target: &str,
) -> anyhow::Result<Place> {
    let Some((word, name)) = target.split_once('/') else {
        return one_pod(client, namespace, target).await;
    };
    let pods = match Resource::named(word) {
        Some(Resource::Pods) => return one_pod(client, namespace, name).await,
        Some(Resource::Services) => pods_behind(client, namespace, name).await?,
        Some(workload) if makes_pods(workload) => {
            pods_of(client, namespace, workload, name).await?
        }
        _ => {
            let message = format!(
                "a container is of a pod, and found as POD, deployment/NAME, statefulset/NAME, \
                 service/NAME and the like, not by a '{word}'"
            );
            return Err(Usage(message).into());
        }
    };
    best(pods)
        .and_then(place)
        .ok_or_else(|| anyhow::anyhow!("{target} has no pod that runs; 'dugout status' says why"))
}

/// Whether its pods are its own, and may be had by its name.
pub(super) fn makes_pods(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Deployments
            | Resource::ReplicaSets
            | Resource::ReplicationControllers
            | Resource::StatefulSets
            | Resource::DaemonSets
            | Resource::Jobs
    )
}

/// The first that is ready and stays; else the first that runs.
fn best(pods: Vec<Pod>) -> Option<Pod> {
    let rank = |pod: &Pod| {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let is_ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let runs = status.and_then(|status| status.phase.as_deref()) == Some("Running");
        (!(is_ready && runs), pod.metadata.deletion_timestamp.is_some(), pod.metadata.name.clone())
    };
    let running = pods.into_iter().filter(|pod| {
        pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
    });
    running.min_by_key(rank)
}

/// The object of this kind with this name; without a namespace, in whichever it is.
async fn named<T: DeserializeOwned>(
    client: &Client,
    namespace: Option<&str>,
    resource: Resource,
    name: &str,
) -> anyhow::Result<T> {
    let Description { plural, .. } = resource.describe();
    let query = [("fieldSelector", format!("metadata.name={name}"))];
    let path = super::path(&resource.describe(), namespace, None);
    let mut list: List<T> = client.get(&path, &query).await?;
    match list.items.len() {
        1 => Ok(list.items.remove(0)),
        0 => bail!("{plural} \"{name}\" not found; 'dugout get {plural}' lists them"),
        _ => Err(Usage(format!(
            "{plural} named {name} are in several namespaces; choose one with -n"
        ))
        .into()),
    }
}

/// The pods of a workload that have a node, also those that ended.
pub(super) async fn pods_of(
    client: &Client,
    namespace: Option<&str>,
    workload: Resource,
    name: &str,
) -> anyhow::Result<Vec<Pod>> {
    let owner: Owner = named(client, namespace, workload, name).await?;
    let namespace = owner.metadata.namespace.unwrap_or_default();
    let mut owners: BTreeSet<String> = owner.metadata.uid.into_iter().collect();
    if workload == Resource::Deployments {
        owners = replica_sets_of(client, &namespace, &owners).await?;
    }
    let path = super::path(&Resource::Pods.describe(), Some(&namespace), None);
    let list: List<Pod> = client.get(&path, &[]).await?;
    let owned = list.items.into_iter().filter(|pod| is_owned(&pod.metadata, &owners));
    let pods: Vec<Pod> = owned.filter(has_node).collect();
    if pods.is_empty() {
        let Description { singular, .. } = workload.describe();
        bail!("{singular} {name} has no pod that was started; 'dugout status' says why");
    }
    Ok(pods)
}

/// The pods that a service selects.
async fn pods_behind(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> anyhow::Result<Vec<Pod>> {
    let service: Service = named(client, namespace, Resource::Services, name).await?;
    let selector: BTreeMap<String, String> =
        service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    if selector.is_empty() {
        bail!("service {name} selects no pods: it has no selector");
    }
    let namespace = service.metadata.namespace.unwrap_or_default();
    let words: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let path = super::path(&Resource::Pods.describe(), Some(&namespace), None);
    let list: List<Pod> = client.get(&path, &[("labelSelector", words.join(","))]).await?;
    Ok(list.items)
}

/// The uids of the replica sets that a deployment owns.
async fn replica_sets_of(
    client: &Client,
    namespace: &str,
    owners: &BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    let path = super::path(&Resource::ReplicaSets.describe(), Some(namespace), None);
    let list: List<Owner> = client.get(&path, &[]).await?;
    let owned = list.items.into_iter().filter(|set| is_owned(&set.metadata, owners));
    Ok(owned.filter_map(|set| set.metadata.uid).collect())
}

/// Labels alone do not tell whose a pod is.
fn is_owned(metadata: &ObjectMeta, owners: &BTreeSet<String>) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owners.contains(&owner.uid))
}

fn has_node(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, phase: &str, ready: &str, leaves: bool) -> Pod {
        let condition = serde_json::json!({"type": "Ready", "status": ready});
        let mut metadata = serde_json::json!({"name": name});
        if leaves {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let status = serde_json::json!({"phase": phase, "conditions": [condition]});
        serde_json::from_value(serde_json::json!({"metadata": metadata, "status": status})).unwrap()
    }

    #[test]
    fn the_first_pod_that_is_ready_and_stays_is_meant() {
        let chosen = |pods: &[Pod]| best(pods.to_vec()).and_then(|pod| pod.metadata.name);
        let (leaves, ready) =
            (pod("a", "Running", "True", true), pod("d", "Running", "True", false));
        let (unready, pending) =
            (pod("b", "Running", "False", false), pod("c", "Pending", "False", false));
        let all = [leaves.clone(), unready.clone(), pending.clone(), ready];
        assert_eq!(chosen(&all).as_deref(), Some("d"));
        assert_eq!(chosen(&[unready.clone(), leaves]).as_deref(), Some("a"));
        assert_eq!(chosen(&[pending.clone(), unready]).as_deref(), Some("b"));
        assert_eq!(chosen(&[pending]), None);
    }
}
