//! Deployments and what selects their pods.

use std::time::Duration;

use dugout_model::{
    Container, Deployment, EnvSource, HostPort, IntOrPercent, LabelOperator, LabelRequirement,
    LabelSelector, NamespaceOwner, ObjectName, PodSecurity, PodTemplate, RestartPolicy, Strategy,
};

use super::metadata::{read_annotations, read_labels, read_own_labels};
use super::{container, security, volume};
use crate::reader::{Object, Value};
use crate::yaml::ScalarKind;

/// The largest number that Kubernetes takes where it counts or waits.
pub(super) const INT32_MAX: u32 = 2_147_483_647;

/// More replicas than this are taken for a typing mistake.
pub(super) const REPLICA_LIMIT: u32 = 10_000;

const QUARTER: IntOrPercent = IntOrPercent::Percent(25);

pub(super) fn read(object: &Object<'_>) -> Deployment {
    let spec = object.field("spec").and_then(|value| value.object());
    let Some(spec) = spec else { return empty() };
    let number = |name, lowest, highest, default| {
        spec.field(name).and_then(|value| value.u32(lowest, highest)).unwrap_or(default)
    };
    let min_ready = number("minReadySeconds", 0, INT32_MAX, 0);
    let progress_deadline = number("progressDeadlineSeconds", 0, INT32_MAX, 600);
    let template = spec
        .field("template")
        .and_then(|value| value.object())
        .map_or_else(empty_template, |template| read_template(&template));
    let selector =
        spec.field("selector").and_then(|value| read_selector(&value)).unwrap_or_default();
    let deployment = Deployment {
        replicas: read_replicas(&spec),
        selector,
        template,
        strategy: spec.field("strategy").map_or(rolling(QUARTER, QUARTER), |value| {
            value.object().map_or(Strategy::Recreate, |strategy| read_strategy(&strategy))
        }),
        min_ready: seconds(min_ready),
        progress_deadline: seconds(progress_deadline),
        revision_history_limit: number("revisionHistoryLimit", 0, INT32_MAX, 10),
        paused: spec.field("paused").and_then(|value| value.boolean()).unwrap_or(false),
    };
    check_room_for_ports(&spec, &deployment);
    deployment
}

/// Tells a rollout for which a node has to have the ports of two pods at a time.
fn check_room_for_ports(spec: &Object<'_>, deployment: &Deployment) {
    let Strategy::RollingUpdate { max_surge, max_unavailable } = deployment.strategy else {
        return;
    };
    let replicas = deployment.replicas;
    let comes_first =
        max_unavailable.rounded_down(replicas) == 0 && max_surge.rounded_up(replicas) > 0;
    let place = spec.field("strategy").or_else(|| spec.field("template"));
    if let Some(place) = place.filter(|_| comes_first && has_host_ports(&deployment.template)) {
        place.notice_with(
            "a pod has to come before one may go, and no node has their host ports twice: a rollout waits \
             for a node without one of these pods",
            "write type: Recreate, or maxSurge: 0",
        );
    }
}

/// Whether its pods take ports of their nodes.
pub(super) fn has_host_ports(template: &PodTemplate) -> bool {
    let sidecars = template.init_containers.iter().filter(|container| container.is_sidecar());
    let mut serving = sidecars.chain(&template.containers);
    serving.any(|container| container.ports.iter().any(|port| port.host.is_some()))
}

/// Stands in where an error was told.
fn empty() -> Deployment {
    Deployment {
        replicas: 0,
        selector: LabelSelector::default(),
        template: empty_template(),
        strategy: Strategy::Recreate,
        min_ready: Duration::ZERO,
        progress_deadline: Duration::ZERO,
        revision_history_limit: 0,
        paused: false,
    }
}

pub(super) fn empty_template() -> PodTemplate {
    PodTemplate {
        labels: Default::default(),
        annotations: Default::default(),
        init_containers: Vec::new(),
        containers: Vec::new(),
        restart_policy: RestartPolicy::Always,
        termination_grace: Duration::ZERO,
        node_selector: Default::default(),
        volumes: Box::default(),
        image_pull_secrets: Box::default(),
        security: None,
        names: None,
    }
}

fn rolling(max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Strategy {
    Strategy::RollingUpdate { max_surge, max_unavailable }
}

pub(super) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn read_strategy(strategy: &Object<'_>) -> Strategy {
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Recreate,
        RollingUpdate,
    }
    let words = [("RollingUpdate", Type::RollingUpdate), ("Recreate", Type::Recreate)];
    let chosen = strategy
        .field("type")
        .and_then(|value| value.one_of(&words))
        .unwrap_or(Type::RollingUpdate);
    let details = strategy.field("rollingUpdate");
    if chosen == Type::Recreate {
        return Strategy::Recreate;
    }
    let Some(details) = details.and_then(|value| value.object()) else {
        return rolling(QUARTER, QUARTER);
    };
    let max_surge =
        details.field("maxSurge").and_then(|value| read_int_or_percent(&value)).unwrap_or(QUARTER);
    let max_unavailable = details
        .field("maxUnavailable")
        .and_then(|value| read_int_or_percent(&value))
        .unwrap_or(QUARTER);
    rolling(max_surge, max_unavailable)
}

pub(super) fn read_int_or_percent(value: &Value<'_>) -> Option<IntOrPercent> {
    if matches!(value.kind(), Some(ScalarKind::Int(_))) {
        return value.u32(0, INT32_MAX).map(IntOrPercent::Int);
    }
    value.text()?.strip_suffix('%')?.parse().ok().map(IntOrPercent::Percent)
}

pub(super) fn read_replicas(spec: &Object<'_>) -> u32 {
    let Some(value) = spec.field("replicas") else { return 1 };
    let replicas = value.u32(0, INT32_MAX).unwrap_or(1);
    if replicas > REPLICA_LIMIT {
        value.fail(format!("must be between 0 and {REPLICA_LIMIT}, not {replicas}"));
    }
    replicas
}

/// The template of a workload of this kind, which the rules have held against what it may ask.
pub(super) fn read_template(template: &Object<'_>) -> PodTemplate {
    let metadata = template.field("metadata").and_then(|value| value.object());
    let map = |name, read: fn(&Value<'_>) -> _| {
        metadata
            .as_ref()
            .and_then(|metadata| metadata.field(name).map(|value| read(&value)))
            .unwrap_or_default()
    };
    let (labels, annotations) =
        (map("labels", read_own_labels), map("annotations", read_annotations));
    let empty = PodTemplate { labels, annotations, ..empty_template() };
    match template.field("spec").and_then(|value| value.object()) {
        Some(spec) => read_pod_spec(&spec, empty),
        None => empty,
    }
}

/// What is made of a pod's spec, with the labels and annotations that were read already.
pub(super) fn read_pod_spec(spec: &Object<'_>, empty: PodTemplate) -> PodTemplate {
    let grace = spec
        .field("terminationGracePeriodSeconds")
        .and_then(|value| value.u32(0, INT32_MAX))
        .unwrap_or(30);
    let (security, rights) = security::read_pod(spec);
    let containers = spec
        .field("containers")
        .map(|value| {
            value.each(|value| Some(with_rights(&value.object()?, container::read, &rights)))
        })
        .unwrap_or_default();
    let init_containers = spec
        .field("initContainers")
        .map(|value| {
            value.each(|value| Some(with_rights(&value.object()?, container::read_init, &rights)))
        })
        .unwrap_or_default();
    let (containers, init_containers) = match security.as_deref() {
        Some(PodSecurity { network: NamespaceOwner::Host, .. }) => {
            (on_host(containers), on_host(init_containers))
        }
        _ => (containers, init_containers),
    };
    // It is that of every node, or it was refused.
    let _ = spec.field("os").and_then(|value| value.object());
    read_wishes(spec);
    PodTemplate {
        init_containers,
        containers,
        restart_policy: read_restart_policy(spec),
        termination_grace: seconds(grace),
        node_selector: spec
            .field("nodeSelector")
            .map(|value| read_labels(&value))
            .unwrap_or_default(),
        volumes: volume::read(spec),
        image_pull_secrets: read_pull_secrets(spec),
        security,
        names: security::read_names(spec),
        ..empty
    }
}

/// What a pod says of where it would like to be. What it demands was refused.
fn read_wishes(spec: &Object<'_>) {
    let affinity = spec.field("affinity").and_then(|value| value.object());
    for name in ["nodeAffinity", "podAffinity", "podAntiAffinity"] {
        let _ = affinity.as_ref().and_then(|affinity| affinity.field(name)?.object());
    }
}

/// Containers on their node's network, whose ports are ports of the node.
fn on_host(mut containers: Vec<Container<EnvSource>>) -> Vec<Container<EnvSource>> {
    for port in containers.iter_mut().flat_map(|container| &mut container.ports) {
        port.host.get_or_insert(HostPort { port: port.container_port, address: None });
    }
    containers
}

fn read_pull_secrets(spec: &Object<'_>) -> Box<[ObjectName]> {
    let name = |value: Value<'_>| Some(ObjectName::new(value.object()?.field("name")?.text()?));
    let secrets = spec.field("imagePullSecrets").map(|value| value.each(name));
    secrets.unwrap_or_default().into()
}

/// A container with the rights that it has in its pod.
fn with_rights(
    container: &Object<'_>,
    read: fn(&Object<'_>) -> Container<EnvSource>,
    of_pod: &security::Rights,
) -> Container<EnvSource> {
    Container { security: security::read_container(container, of_pod), ..read(container) }
}

fn read_restart_policy(spec: &Object<'_>) -> RestartPolicy {
    let words = [
        ("Always", RestartPolicy::Always),
        ("OnFailure", RestartPolicy::OnFailure),
        ("Never", RestartPolicy::Never),
    ];
    let chosen = spec.field("restartPolicy").and_then(|value| value.one_of(&words));
    chosen.unwrap_or_default()
}

pub(super) fn read_selector(value: &Value<'_>) -> Option<LabelSelector> {
    let selector = value.object()?;
    let match_labels =
        selector.field("matchLabels").map(|value| read_labels(&value)).unwrap_or_default();
    let match_expressions = selector
        .field("matchExpressions")
        .map(|value| value.each(|item| read_requirement(&item.object()?)))
        .unwrap_or_default();
    Some(LabelSelector { match_labels, match_expressions })
}

pub(super) fn read_requirement(requirement: &Object<'_>) -> Option<LabelRequirement> {
    let key = requirement.field("key")?.text()?.to_owned();
    let values =
        requirement.field("values").map(|value| container::read_texts(&value)).unwrap_or_default();
    let operator = match requirement.field("operator")?.text()? {
        "In" => LabelOperator::In(values),
        "NotIn" => LabelOperator::NotIn(values),
        "Exists" => LabelOperator::Exists,
        "DoesNotExist" => LabelOperator::DoesNotExist,
        _ => return None,
    };
    Some(LabelRequirement { key, operator })
}
