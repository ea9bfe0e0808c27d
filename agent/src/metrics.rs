//! What the agent measures of itself, and of its node. All labels are bounded.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::usage::Usage;

/// Clones share the same figures.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    pub containers_started: Counter,
    pub container_restarts: Counter,
    pub engine_up: Gauge,
    pub pods: Gauge,
    pub containers: Gauge,
    pub paused_pods: Gauge,
    engine_calls: Family<EngineCall, Histogram>,
    pub generation: Gauge,
    probes: Family<ProbeLabels, Counter>,
    pub proxy_connections: Counter,
    pub proxy_open_connections: Gauge,
    pub proxy_refused: Counter,
    pub proxy_bytes_in: Counter,
    pub proxy_bytes_out: Counter,
    proxy_bytes: Family<Way, Counter>,
    pub events_dropped: Counter,
    pub sessions: Gauge,
    control_plane_requests: Family<Request, Counter>,
    pub images_removed: Counter,
    pub image_bytes_removed: Counter,
    pub usage: Usage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineCall {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    probe: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    request: &'static str,
    outcome: &'static str,
}

impl AgentMetrics {
    /// Makes the metrics and registers them as `dugout_agent_…`, what the node uses by the names of a kubelet.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        registry.register_collector(Box::new(metrics.usage.clone()));
        let registry = registry.sub_registry_with_prefix("dugout_agent");
        let Self {
            containers_started,
            container_restarts,
            engine_up,
            pods,
            containers,
            paused_pods,
            engine_calls,
            generation,
            probes,
            proxy_connections,
            proxy_open_connections,
            proxy_refused,
            proxy_bytes_in: _, // part of the family
            proxy_bytes_out: _,
            proxy_bytes,
            events_dropped,
            sessions,
            control_plane_requests,
            images_removed,
            image_bytes_removed,
            usage: _,
        } = metrics.clone();
        registry.register("containers_started", "Containers started", containers_started);
        registry.register(
            "container_restarts",
            "Containers started again after they ended",
            container_restarts,
        );
        registry.register("engine_up", "Whether the container engine answers", engine_up);
        register_pods(registry, pods, containers, paused_pods);
        registry.register_with_unit(
            "engine_call_duration",
            "Calls to the container engine by operation and outcome",
            Unit::Seconds,
            engine_calls,
        );
        registry.register("generation", "The generation of the accepted assignment", generation);
        registry.register("probes", "Tries of probes by kind and outcome", probes);
        registry.register(
            "proxy_connections",
            "Connections accepted on node ports",
            proxy_connections,
        );
        let help = "Connections through node ports that are open";
        registry.register("proxy_open_connections", help, proxy_open_connections);
        let help = "Connections closed because no endpoint could take them";
        registry.register("proxy_refused", help, proxy_refused);
        registry.register(
            "proxy_bytes",
            "Bytes carried by node ports: in to pods, out of them",
            proxy_bytes,
        );
        let help = "Events forgotten because the queue was full";
        registry.register("events_dropped", help, events_dropped);
        registry.register("sessions", "Sessions with containers that are open", sessions);
        registry.register(
            "control_plane_requests",
            "Requests to the control plane by kind and outcome",
            control_plane_requests,
        );
        register_images(registry, images_removed, image_bytes_removed);
        metrics
    }

    /// Metrics that nobody reads.
    pub fn unregistered() -> Self {
        let histogram: fn() -> Histogram =
            || Histogram::new([0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 30.0]);
        let proxy_bytes = Family::<Way, Counter>::default();
        let way = |direction| proxy_bytes.get_or_create(&Way { direction }).clone();
        Self {
            proxy_bytes_in: way("in"),
            proxy_bytes_out: way("out"),
            generation: Gauge::default(),
            containers_started: Counter::default(),
            container_restarts: Counter::default(),
            engine_up: Gauge::default(),
            pods: Gauge::default(),
            containers: Gauge::default(),
            paused_pods: Gauge::default(),
            engine_calls: Family::new_with_constructor(histogram),
            probes: Family::default(),
            proxy_connections: Counter::default(),
            proxy_open_connections: Gauge::default(),
            proxy_refused: Counter::default(),
            proxy_bytes,
            events_dropped: Counter::default(),
            sessions: Gauge::default(),
            control_plane_requests: Family::default(),
            images_removed: Counter::default(),
            image_bytes_removed: Counter::default(),
            usage: Usage::default(),
        }
    }

    pub fn engine_call(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        let labels = EngineCall { operation, outcome };
        self.engine_calls.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn probe(&self, probe: &'static str, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.probes.get_or_create(&ProbeLabels { probe, outcome }).inc();
    }

    pub fn control_plane_request(&self, request: &'static str, outcome: &'static str) {
        self.control_plane_requests.get_or_create(&Request { request, outcome }).inc();
    }
}

fn register_pods(registry: &mut Registry, pods: Gauge, containers: Gauge, paused_pods: Gauge) {
    registry.register("pods", "Pods in the accepted assignment", pods);
    let help = "Containers of pods that run, as far as the agent has seen it";
    registry.register("containers", help, containers);
    let help = "Pods that somebody told this agent to leave alone, or to keep stopped";
    registry.register("paused_pods", help, paused_pods);
}

fn register_images(registry: &mut Registry, images_removed: Counter, bytes_removed: Counter) {
    registry.register(
        "images_removed",
        "Images removed because their disk was full",
        images_removed,
    );
    registry.register_with_unit(
        "images_removed",
        "The size of the images that were removed",
        Unit::Bytes,
        bytes_removed,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_begins_with_the_agents_prefix() {
        let mut registry = Registry::default();
        let metrics = AgentMetrics::register(&mut registry);
        metrics.engine_call("start", "ok", Duration::from_millis(3));
        metrics.probe("readiness", true);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("dugout_agent_"), "{line}");
        }
        assert!(text.contains("dugout_agent_engine_call_duration_seconds_count"), "{text}");
    }
}
