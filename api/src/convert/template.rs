//! Pod templates, as declared and as resolved. The content of a secret never leaves here.

use std::collections::BTreeMap;

use dugout_model::{
    Container, ContainerResources, EnvContent, EnvSource, EnvValue, HttpGetAction, HttpScheme,
    NodeResource, NodeResourceKind, ObjectName, PodField, PodTemplate, Probe, ProbeAction,
    PullPolicy, ReplicaSet, ResolvedTemplate, ResourceField, ResourceFieldSelector, RestartPolicy,
    World,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{bytes, cpu, hash_label, int, list, port, seconds, some_text, strings};
use super::{lifecycle, security, volume};

/// What stands in the place of a secret's content.
pub(super) const REDACTED: &str = "(redacted)";

/// The template as Git declares it, with its references.
pub(super) fn declared(template: &PodTemplate) -> core::PodTemplateSpec {
    let declared = |declared: &Container<EnvSource>| {
        let mut result = container(declared);
        let env: Vec<_> = declared.env.iter().filter_map(env_var).collect();
        let env_from: Vec<_> = declared.env.iter().filter_map(env_from).collect();
        (result.env, result.env_from) = (list(env), list(env_from));
        result
    };
    let mut result = core::PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: strings(&template.annotations),
            labels: strings(&template.labels),
            ..ObjectMeta::default()
        }),
        spec: Some(core::PodSpec {
            containers: template.containers.iter().map(declared).collect(),
            init_containers: list(template.init_containers.iter().map(declared).collect()),
            node_selector: strings(&template.node_selector),
            restart_policy: Some(restart_policy(template.restart_policy).to_owned()),
            termination_grace_period_seconds: Some(seconds(template.termination_grace)),
            volumes: list(template.volumes.iter().map(volume::declared).collect()),
            image_pull_secrets: pull_secrets(&template.image_pull_secrets),
            ..core::PodSpec::default()
        }),
    };
    if let Some(spec) = &mut result.spec {
        security::add_to_pod(spec, template.security.as_deref(), template.names.as_deref());
    }
    result
}

/// The template of a replica set, configuration in place.
pub(super) fn resolved(world: &World, set: &ReplicaSet) -> core::PodTemplateSpec {
    core::PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: strings(&set.template.annotations),
            labels: Some(pod_labels(world, set)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(&set.template)),
    }
}

fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

/// The spec of a pod of this template.
pub(super) fn pod_spec(template: &ResolvedTemplate) -> core::PodSpec {
    let resolved = |resolved: &Container<EnvValue>| {
        let mut result = container(resolved);
        result.env = list(resolved.env.iter().map(env_value).collect());
        result
    };
    let mut spec = core::PodSpec {
        containers: template.containers.iter().map(resolved).collect(),
        init_containers: list(template.init_containers.iter().map(resolved).collect()),
        node_selector: strings(&template.node_selector),
        restart_policy: Some(restart_policy(template.restart_policy).to_owned()),
        termination_grace_period_seconds: Some(seconds(template.termination_grace)),
        volumes: list(template.volumes.iter().map(volume::resolved).collect()),
        image_pull_secrets: pull_secrets(&template.image_pull_secrets),
        ..core::PodSpec::default()
    };
    security::add_to_pod(&mut spec, template.security.as_deref(), template.names.as_deref());
    spec
}

/// By name; what they hold is never shown.
fn pull_secrets(names: &[ObjectName]) -> Option<Vec<core::LocalObjectReference>> {
    let reference = |name: &ObjectName| core::LocalObjectReference { name: name.to_string() };
    list(names.iter().map(reference).collect())
}

/// The labels of a replica set's pods.
pub(super) fn pod_labels(world: &World, set: &ReplicaSet) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(&set.template.labels);
    labels.extend(hash_label(world, set).map(|(key, hash)| (key.to_owned(), hash.to_owned())));
    labels
}

/// Everything of a container but its environment.
fn container<Env>(container: &Container<Env>) -> core::Container {
    let ports = container
        .ports
        .iter()
        .map(|port| core::ContainerPort {
            container_port: i32::from(port.container_port),
            host_ip: port.host.and_then(|host| host.address).map(|address| address.to_string()),
            host_port: port.host.map(|host| i32::from(host.port)),
            name: some_text(&port.name),
            protocol: Some(port.protocol.as_str().to_owned()),
        })
        .collect();
    let policy = match container.pull_policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    };
    let mut result = core::Container {
        args: list(container.args.clone()),
        command: list(container.command.clone()),
        image: Some(container.image.clone()),
        image_pull_policy: Some(policy.to_owned()),
        lifecycle: container.lifecycle.as_deref().map(lifecycle::lifecycle),
        liveness_probe: container.liveness_probe.as_deref().map(probe),
        name: container.name.clone(),
        ports: list(ports),
        readiness_probe: container.readiness_probe.as_deref().map(probe),
        resources: Some(resources(&container.resources)),
        restart_policy: container.restart_policy.map(|policy| restart_policy(policy).to_owned()),
        startup_probe: container.startup_probe.as_deref().map(probe),
        volume_mounts: list(container.mounts.iter().map(volume::mount).collect()),
        working_dir: container.working_dir.clone(),
        ..core::Container::default()
    };
    security::add_to_container(&mut result, container);
    result
}

fn resources(resources: &ContainerResources) -> core::ResourceRequirements {
    let amounts = |cpu_millis: Option<u64>, memory: Option<u64>| {
        let cpu = cpu_millis.map(|millis| ("cpu".to_owned(), cpu(millis)));
        let memory = memory.map(|count| ("memory".to_owned(), bytes(count)));
        let amounts: std::collections::BTreeMap<_, _> = cpu.into_iter().chain(memory).collect();
        (!amounts.is_empty()).then_some(amounts)
    };
    let some = |amount: u64| (amount > 0).then_some(amount);
    core::ResourceRequirements {
        claims: None,
        limits: amounts(resources.cpu_limit_millis, resources.memory_limit_bytes),
        requests: amounts(some(resources.cpu_request_millis), some(resources.memory_request_bytes)),
    }
}

fn probe(probe: &Probe) -> core::Probe {
    let mut result = core::Probe {
        failure_threshold: Some(int(probe.failure_threshold)),
        initial_delay_seconds: Some(int(probe.initial_delay.as_secs())),
        period_seconds: Some(int(probe.period.as_secs())),
        success_threshold: Some(int(probe.success_threshold)),
        timeout_seconds: Some(int(probe.timeout.as_secs())),
        termination_grace_period_seconds: probe.termination_grace.map(seconds),
        ..core::Probe::default()
    };
    match &probe.action {
        ProbeAction::HttpGet(action) => result.http_get = Some(http_get(action)),
        ProbeAction::TcpSocket { host, port: number } => {
            result.tcp_socket =
                Some(core::TCPSocketAction { host: host.clone(), port: port(number) });
        }
        ProbeAction::Exec { command } => {
            result.exec = Some(core::ExecAction { command: list(command.clone()) });
        }
        ProbeAction::Grpc { port, service } => {
            result.grpc = Some(core::GRPCAction {
                port: i32::from(*port),
                service: Some(service.clone()),
                ..core::GRPCAction::default()
            });
        }
    }
    result
}

pub(super) fn http_get(action: &HttpGetAction) -> core::HTTPGetAction {
    let headers = action.headers.iter();
    let headers =
        headers.map(|(name, value)| core::HTTPHeader { name: name.clone(), value: value.clone() });
    let scheme = match action.scheme {
        HttpScheme::Http => "HTTP",
        HttpScheme::Https => "HTTPS",
    };
    core::HTTPGetAction {
        host: action.host.clone(),
        http_headers: list(headers.collect()),
        path: Some(action.path.clone()),
        port: port(&action.port),
        scheme: Some(scheme.to_owned()),
        ..core::HTTPGetAction::default()
    }
}

fn env_var(source: &EnvSource) -> Option<core::EnvVar> {
    let from = |name: &String, value_from| {
        Some(core::EnvVar { name: name.clone(), value: None, value_from: Some(value_from) })
    };
    match source {
        EnvSource::Literal { name, value } => Some(literal(name, value)),
        EnvSource::ConfigMapKey { name, config_map, key, optional } => from(
            name,
            core::EnvVarSource {
                config_map_key_ref: Some(core::ConfigMapKeySelector {
                    key: key.clone(),
                    name: config_map.to_string(),
                    optional: optional.then_some(true),
                }),
                ..core::EnvVarSource::default()
            },
        ),
        EnvSource::SecretKey { name, secret, key, optional } => from(
            name,
            core::EnvVarSource {
                secret_key_ref: Some(core::SecretKeySelector {
                    key: key.clone(),
                    name: secret.to_string(),
                    optional: optional.then_some(true),
                }),
                ..core::EnvVarSource::default()
            },
        ),
        EnvSource::Field { name, field } => from(name, field_source(field)),
        EnvSource::Resource { name, resource } => from(name, resource_source(resource)),
        EnvSource::AllOfConfigMap { .. } | EnvSource::AllOfSecret { .. } => None,
    }
}

fn env_from(source: &EnvSource) -> Option<core::EnvFromSource> {
    match source {
        EnvSource::AllOfConfigMap { config_map, prefix, optional } => Some(core::EnvFromSource {
            config_map_ref: Some(core::ConfigMapEnvSource {
                name: config_map.to_string(),
                optional: optional.then_some(true),
            }),
            prefix: some_text(prefix),
            secret_ref: None,
        }),
        EnvSource::AllOfSecret { secret, prefix, optional } => Some(core::EnvFromSource {
            config_map_ref: None,
            prefix: some_text(prefix),
            secret_ref: Some(core::SecretEnvSource {
                name: secret.to_string(),
                optional: optional.then_some(true),
            }),
        }),
        EnvSource::Literal { .. }
        | EnvSource::ConfigMapKey { .. }
        | EnvSource::SecretKey { .. }
        | EnvSource::Field { .. }
        | EnvSource::Resource { .. } => None,
    }
}

fn env_value(value: &EnvValue) -> core::EnvVar {
    match &value.content {
        EnvContent::Text(text) => literal(&value.name, text),
        EnvContent::Secret(_) => literal(&value.name, REDACTED),
        EnvContent::Field(field) => core::EnvVar {
            name: value.name.clone(),
            value: None,
            value_from: Some(field_source(field)),
        },
        EnvContent::NodeResource(NodeResource { kind, divisor }) => {
            let field = match kind {
                NodeResourceKind::Cpu => ResourceField::CpuLimit,
                NodeResourceKind::Memory => ResourceField::MemoryLimit,
            };
            let selector = ResourceFieldSelector { container: None, field, divisor: *divisor };
            let source = resource_source(&selector);
            core::EnvVar { name: value.name.clone(), value: None, value_from: Some(source) }
        }
    }
}

fn resource_source(selector: &ResourceFieldSelector) -> core::EnvVarSource {
    core::EnvVarSource {
        resource_field_ref: Some(resource_selector(selector)),
        ..core::EnvVarSource::default()
    }
}

pub(super) fn resource_selector(selector: &ResourceFieldSelector) -> core::ResourceFieldSelector {
    let ResourceFieldSelector { container, field, divisor } = selector;
    let resource = match field {
        ResourceField::CpuRequest => "requests.cpu",
        ResourceField::CpuLimit => "limits.cpu",
        ResourceField::MemoryRequest => "requests.memory",
        ResourceField::MemoryLimit => "limits.memory",
    };
    let divisor = match field.of_node() {
        NodeResourceKind::Cpu => cpu(*divisor),
        NodeResourceKind::Memory => bytes(*divisor),
    };
    core::ResourceFieldSelector {
        container_name: container.clone(),
        divisor: Some(divisor),
        resource: resource.to_owned(),
    }
}

fn literal(name: &str, value: &str) -> core::EnvVar {
    core::EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn field_source(field: &PodField) -> core::EnvVarSource {
    core::EnvVarSource {
        field_ref: Some(field_selector(field_path(field))),
        ..core::EnvVarSource::default()
    }
}

pub(super) fn field_selector(field_path: String) -> core::ObjectFieldSelector {
    core::ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path }
}

pub(super) fn field_path(field: &PodField) -> String {
    match field {
        PodField::Name => "metadata.name".to_owned(),
        PodField::Namespace => "metadata.namespace".to_owned(),
        PodField::Uid => "metadata.uid".to_owned(),
        PodField::NodeName => "spec.nodeName".to_owned(),
        PodField::Label(key) => format!("metadata.labels['{key}']"),
        PodField::Annotation(key) => format!("metadata.annotations['{key}']"),
    }
}
