//! What runs on, of each kind of workload: how much of it is there, and how far its rollout is.

use dugout_api::dugout::List;
use dugout_api::{Description, Resource};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::output::Grid;

/// One workload, whatever its kind.
pub(super) struct Workload {
    kind: Resource,
    namespace: String,
    name: String,
    /// How many pods it shall have.
    wanted: i32,
    ready: i32,
    /// How many have the newest template; absent for kinds that replace no pods because of it.
    updated: Option<i32>,
    available: i32,
    progress: Option<Progress>,
}

/// The condition `Progressing`.
struct Progress {
    status: String,
    reason: String,
    message: String,
}

/// Every workload of the kinds that run on, kind by kind.
pub(super) async fn read(
    client: &Client,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<Workload>> {
    let (deployments, stateful_sets, daemon_sets, replica_sets, controllers) = tokio::try_join!(
        list::<Deployment>(client, Resource::Deployments, namespace),
        list::<StatefulSet>(client, Resource::StatefulSets, namespace),
        list::<DaemonSet>(client, Resource::DaemonSets, namespace),
        list::<ReplicaSet>(client, Resource::ReplicaSets, namespace),
        list::<ReplicationController>(client, Resource::ReplicationControllers, namespace),
    )?;
    // The others belong to deployments, which tell of them.
    let declared = replica_sets.iter().filter(|set| set.metadata.owner_references.is_none());
    let mut workloads: Vec<Workload> = deployments.iter().map(Workload::from).collect();
    workloads.extend(stateful_sets.iter().map(Workload::from));
    workloads.extend(daemon_sets.iter().map(Workload::from));
    workloads.extend(declared.map(Workload::from));
    workloads.extend(controllers.iter().map(Workload::from));
    Ok(workloads)
}

async fn list<T: DeserializeOwned>(
    client: &Client,
    resource: Resource,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<T>> {
    let path = crate::commands::path(&resource.describe(), namespace, None);
    let list: List<T> = client.get(&path, &[]).await?;
    Ok(list.items)
}

/// A table for each kind of which there is something.
pub(super) fn tables(workloads: &[Workload]) -> Vec<Grid> {
    let of_one_kind = workloads.chunk_by(|one, next| one.kind == next.kind);
    of_one_kind.map(table).collect()
}

fn table(workloads: &[Workload]) -> Grid {
    let kind = workloads.first().map(|workload| workload.kind.describe().kind.to_uppercase());
    let kind = kind.unwrap_or_default();
    let mut grid =
        Grid::new(["NAMESPACE", kind.as_str(), "READY", "UPDATED", "AVAILABLE", "ROLLOUT"]);
    for workload in workloads {
        let of = |count: i32| format!("{count}/{}", workload.wanted);
        grid.row([
            workload.namespace.clone(),
            workload.name.clone(),
            of(workload.ready),
            workload.updated.map_or("-".to_owned(), of),
            of(workload.available),
            workload.rollout().to_owned(),
        ]);
    }
    grid
}

impl Workload {
    /// The rollout in one word.
    fn rollout(&self) -> &'static str {
        let Some(progress) = &self.progress else { return "pending" };
        match (progress.status.as_str(), progress.reason.as_str()) {
            (_, "NewReplicaSetAvailable" | "RolloutComplete") => "complete",
            ("False", _) => "failed",
            (_, "Waiting") => "pending",
            _ => "rolling",
        }
    }

    /// A sentence, if it is not on its way to what it shall be.
    pub(super) fn why_it_waits(&self) -> Option<String> {
        let Description { singular, .. } = self.kind.describe();
        let progress = self.progress.as_ref()?;
        let waits = progress.status == "False" || progress.reason == "Waiting";
        waits.then(|| format!("{singular} {}: {}", self.name, progress.message))
    }

    /// One of which nothing is known but its name.
    fn named(kind: Resource, metadata: &ObjectMeta) -> Self {
        Self {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            wanted: 0,
            ready: 0,
            updated: None,
            available: 0,
            progress: None,
        }
    }
}

/// Finds the condition in the list that each kind has as a type of its own.
macro_rules! progress {
    ($conditions:expr) => {{
        let text = |text: &dyn AsText| text.text();
        let found = $conditions.iter().flatten().find(|one| text(&one.type_) == "Progressing");
        found.map(|one| Progress {
            status: text(&one.status),
            reason: text(&one.reason),
            message: text(&one.message),
        })
    }};
}

/// Kubernetes has some of these texts as optional ones in some kinds.
trait AsText {
    fn text(&self) -> String;
}

impl AsText for String {
    fn text(&self) -> String {
        self.clone()
    }
}

impl AsText for Option<String> {
    fn text(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl From<&Deployment> for Workload {
    fn from(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        Self {
            wanted: deployment.spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            updated: Some(status.updated_replicas.unwrap_or(0)),
            available: status.available_replicas.unwrap_or(0),
            progress: progress!(status.conditions),
            ..Self::named(Resource::Deployments, &deployment.metadata)
        }
    }
}

impl From<&StatefulSet> for Workload {
    fn from(set: &StatefulSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        Self {
            wanted: set.spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            updated: Some(status.updated_replicas.unwrap_or(0)),
            available: status.available_replicas.unwrap_or(0),
            progress: progress!(status.conditions),
            ..Self::named(Resource::StatefulSets, &set.metadata)
        }
    }
}

impl From<&DaemonSet> for Workload {
    fn from(set: &DaemonSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        Self {
            wanted: status.desired_number_scheduled,
            ready: status.number_ready,
            updated: Some(status.updated_number_scheduled.unwrap_or(0)),
            available: status.number_available.unwrap_or(0),
            progress: progress!(status.conditions),
            ..Self::named(Resource::DaemonSets, &set.metadata)
        }
    }
}

impl From<&ReplicaSet> for Workload {
    fn from(set: &ReplicaSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        Self {
            wanted: set.spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            progress: progress!(status.conditions),
            ..Self::named(Resource::ReplicaSets, &set.metadata)
        }
    }
}

impl From<&ReplicationController> for Workload {
    fn from(controller: &ReplicationController) -> Self {
        let status = controller.status.clone().unwrap_or_default();
        Self {
            wanted: controller.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            progress: progress!(status.conditions),
            ..Self::named(Resource::ReplicationControllers, &controller.metadata)
        }
    }
}
