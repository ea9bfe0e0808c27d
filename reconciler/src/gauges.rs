//! Sizes of the world, computed from the published snapshot when somebody scrapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    BindingState, ImagePull, JobState, NamespaceName, NodeCondition, NotReadyReason, Placement,
    Pod, PodPhase, PullState, Seen, SourceCondition, World,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::handle::{EngineHandle, Leading};
use crate::publish::Publisher;

/// Reads the published world at scrape time. A server that stands by says nothing of it: whoever adds up
/// over all servers would count everything twice.
struct WorldCollector {
    engine: EngineHandle,
    publisher: Arc<Publisher>,
    clock: Arc<dyn Clock>,
}

/// Registers the sizes of the world.
pub(crate) fn register(
    registry: &mut Registry,
    engine: &EngineHandle,
    publisher: &Arc<Publisher>,
    clock: &Arc<dyn Clock>,
) {
    registry.register_collector(Box::new(WorldCollector {
        engine: engine.clone(),
        publisher: Arc::clone(publisher),
        clock: Arc::clone(clock),
    }));
}

impl std::fmt::Debug for WorldCollector {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("WorldCollector")
    }
}

impl Collector for WorldCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if matches!(self.engine.leading(), Leading::Elsewhere { .. }) {
            return Ok(());
        }
        let world = self.publisher.world();
        pods(&world, &mut encoder)?;
        nodes(&world, &mut encoder)?;
        sources(&world, &mut encoder)?;
        workloads(&world, self.clock.as_ref(), &mut encoder)?;
        storage(&world, &mut encoder)?;
        jobs(&world, &mut encoder)
    }
}

fn pods(world: &World, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut by_phase: BTreeMap<&'static str, i64> =
        ["Pending", "Running", "Gone", "Unknown"].map(|phase| (phase, 0)).into();
    let (mut ready, mut unschedulable, mut drifted, mut paused) = (0, 0, 0, 0);
    for pod in world.pods.values() {
        *by_phase.entry(phase(pod)).or_default() += 1;
        ready += i64::from(pod.ready_since().is_some());
        unschedulable += i64::from(matches!(pod.placement, Placement::Waiting(_)));
        drifted += i64::from(pod.seen.known().is_some_and(|status| !status.drift.is_empty()));
        paused += i64::from(pod.seen.known().is_some_and(|status| status.pause.is_some()));
    }
    let rows =
        by_phase.into_iter().map(|(phase, count)| (vec![("phase", phase.to_owned())], count));
    gauges(encoder, "dugout_pods", "Pods by phase", rows)?;
    gauges(encoder, "dugout_pods_ready", "Pods that are ready", [(vec![], ready)])?;
    gauges(
        encoder,
        "dugout_pods_drifted",
        "Pods whose containers differ from their template by somebody's hand",
        [(vec![], drifted)],
    )?;
    gauges(
        encoder,
        "dugout_pods_paused",
        "Pods that somebody told their node to leave alone, or to keep stopped",
        [(vec![], paused)],
    )?;
    gauges(
        encoder,
        "dugout_pods_unschedulable",
        "Pods that no node can take",
        [(vec![], unschedulable)],
    )?;
    gauges(
        encoder,
        "dugout_pods_held_by_budget",
        "Pods that have to leave a node that is drained, and that a disruption budget holds",
        [(vec![], held_by_budgets(world))],
    )
}

fn held_by_budgets(world: &World) -> i64 {
    let pods = world.draining_nodes().flat_map(|node| {
        world.pods_to_drain(&node.name).filter(|pod| world.drain_wait(node, pod).is_held())
    });
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}

fn phase(pod: &Pod) -> &'static str {
    match &pod.seen {
        Seen::Absent => "Pending",
        Seen::Unknown { .. } => "Unknown",
        Seen::Known(status) => match status.phase {
            PodPhase::Pending => "Pending",
            PodPhase::Running => "Running",
            PodPhase::Succeeded => "Succeeded",
            PodPhase::Failed => "Failed",
            PodPhase::Gone => "Gone",
        },
    }
}

fn nodes(world: &World, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut by_condition: BTreeMap<&'static str, i64> =
        ["Ready", "AgentSilent", "EngineUnavailable"].map(|condition| (condition, 0)).into();
    let mut awaited = 0;
    for node in world.nodes.values() {
        let condition = match &node.condition {
            NodeCondition::Ready => "Ready",
            NodeCondition::NotReady { reason: NotReadyReason::AgentSilent, .. } => "AgentSilent",
            NodeCondition::NotReady { reason: NotReadyReason::EngineUnavailable, .. } => {
                "EngineUnavailable"
            }
        };
        *by_condition.entry(condition).or_default() += 1;
        // A node that is lost holds nobody up.
        let is_awaited = |pull: &&ImagePull| pull.state != PullState::Held && node.is_ready();
        awaited += node.pulls.iter().filter(is_awaited).count();
    }
    let awaited = i64::try_from(awaited).unwrap_or(i64::MAX);
    gauges(
        encoder,
        "dugout_images_awaited",
        "Images that releases wait for before they stop a pod, on all nodes",
        [(vec![], awaited)],
    )?;
    let rows = by_condition
        .into_iter()
        .map(|(condition, count)| (vec![("condition", condition.to_owned())], count));
    gauges(encoder, "dugout_nodes", "Nodes by condition", rows)
}

fn sources(world: &World, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    const CONDITIONS: [&str; 7] = [
        "Unread",
        "Readable",
        "Unreachable",
        "BranchMissing",
        "PathMissing",
        "Corrupt",
        "NotPlanned",
    ];
    let rows = world.sources.values().flat_map(|source| {
        let now = match &source.status.condition {
            SourceCondition::Unread => "Unread",
            SourceCondition::Readable => "Readable",
            SourceCondition::Unreachable { .. } => "Unreachable",
            SourceCondition::BranchMissing => "BranchMissing",
            SourceCondition::PathMissing => "PathMissing",
            SourceCondition::Corrupt { .. } => "Corrupt",
            SourceCondition::NotPlanned { .. } => "NotPlanned",
        };
        CONDITIONS.map(|condition| {
            let labels =
                vec![("source", source.name.to_string()), ("condition", condition.to_owned())];
            (labels, i64::from(condition == now))
        })
    });
    gauges(encoder, "dugout_source_condition", "1 for the condition a source is in", rows)
}

fn workloads(
    world: &World,
    clock: &dyn Clock,
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    let now = clock.now();
    let (mut desired, mut available) = (Vec::new(), Vec::new());
    for object in world.objects.values() {
        let Some(pods) = world.availability(object, now) else { continue };
        let id = object.declared.id();
        let labels = vec![
            ("kind", id.kind.as_str().to_owned()),
            ("namespace", id.key.namespace.to_string()),
            ("name", id.key.name.to_string()),
        ];
        desired.push((labels.clone(), i64::from(pods.desired)));
        available.push((labels, i64::from(pods.available)));
    }
    gauges(encoder, "dugout_workload_replicas", "Pods that a workload asks for", desired)?;
    gauges(
        encoder,
        "dugout_workload_replicas_available",
        "Pods of a workload that are available",
        available,
    )
}

fn storage(world: &World, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut by_state: BTreeMap<&'static str, i64> =
        ["Pending", "Bound", "Released", "Deleting"].map(|state| (state, 0)).into();
    for binding in world.volume_bindings.values() {
        let state = match binding.state {
            BindingState::Provisioning => "Pending",
            BindingState::Bound => "Bound",
            BindingState::Released { .. } => "Released",
            BindingState::Deleting { .. } => "Deleting",
        };
        *by_state.entry(state).or_default() += 1;
    }
    let rows =
        by_state.into_iter().map(|(state, count)| (vec![("state", state.to_owned())], count));
    gauges(encoder, "dugout_persistent_volumes", "Volumes of claims, by state", rows)?;
    let cut = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let nodes = || {
        let with_storage = world.nodes.values().filter(|node| node.storage_bytes.is_some());
        with_storage.map(|node| (node, vec![("node", node.name.to_string())]))
    };
    let capacity = nodes().map(|(node, labels)| (labels, cut(node.storage_bytes.unwrap_or(0))));
    gauges(
        encoder,
        "dugout_node_storage_capacity_bytes",
        "How much storage claims may have on a node",
        capacity,
    )?;
    let reserved =
        nodes().map(|(node, labels)| (labels, cut(world.storage_reserved_on(&node.name))));
    gauges(
        encoder,
        "dugout_node_storage_reserved_bytes",
        "How much storage of a node is set aside for claims",
        reserved,
    )
}

fn jobs(world: &World, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let mut by_state: BTreeMap<(&NamespaceName, &'static str), i64> = BTreeMap::new();
    for job in world.jobs.values() {
        for state in ["Running", "Suspended", "Complete", "Failed"] {
            *by_state.entry((&job.namespace, state)).or_default() += 0;
        }
        let state = match job.state {
            JobState::Running => "Running",
            JobState::Suspended => "Suspended",
            JobState::Complete { .. } => "Complete",
            JobState::Failed { .. } => "Failed",
        };
        *by_state.entry((&job.namespace, state)).or_default() += 1;
    }
    let rows = by_state.into_iter().map(|((namespace, state), count)| {
        (vec![("namespace", namespace.to_string()), ("state", state.to_owned())], count)
    });
    gauges(encoder, "dugout_jobs", "Jobs that are kept, by state", rows)
}

type Labels = Vec<(&'static str, String)>;

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, i64)>,
) -> std::fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
