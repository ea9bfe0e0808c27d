//! The stored form of pod templates, declared and resolved.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use dugout_model::{
    Container, ContainerLifecycle, ContainerPort, ContainerResources, EnvContent, EnvSource,
    EnvValue, HostPort, HttpGetAction, HttpScheme, LifecycleHandler, NodeResource,
    NodeResourceKind, ObjectName, PodField, PodNames, PodSecurity, PodTemplate, PortRef, Probe,
    ProbeAction, Projection, Protocol, PullPolicy, ResolvedTemplate, ResourceField,
    ResourceFieldSelector, RestartPolicy, SecretValue, StringMap, Volume, VolumeFiles,
};

use super::Stored;
use super::mirror::mirror;
use super::security::{ContainerSecurityDocument, StreamsDocument};
use super::volume::VolumeMountDocument;

mirror! {
    struct PodTemplate as PodTemplateDocument {
        labels: StringMap,
        annotations: StringMap,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        init_containers: Vec<Container<EnvSource>>,
        containers: Vec<Container<EnvSource>>,
        #[serde(default, skip_serializing_if = "RestartPolicyDocument::is_always")]
        restart_policy: RestartPolicy,
        termination_grace: Duration,
        node_selector: StringMap,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volumes: Box<[Volume<Projection>]>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        image_pull_secrets: Box<[ObjectName]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        security: Option<Box<PodSecurity>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<Box<PodNames>>,
    }
}

mirror! {
    struct ResolvedTemplate as ResolvedTemplateDocument {
        labels: StringMap,
        annotations: StringMap,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        init_containers: Vec<Container<EnvValue>>,
        containers: Vec<Container<EnvValue>>,
        #[serde(default, skip_serializing_if = "RestartPolicyDocument::is_always")]
        restart_policy: RestartPolicy,
        termination_grace: Duration,
        node_selector: StringMap,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volumes: Box<[Volume<VolumeFiles>]>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        image_pull_secrets: Box<[ObjectName]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        security: Option<Box<PodSecurity>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        names: Option<Box<PodNames>>,
    }
}

mirror! {
    #[derive(Default)]
    #[serde(rename_all = "snake_case")]
    enum RestartPolicy as RestartPolicyDocument { #[default] Always, OnFailure, Never }
}

impl RestartPolicyDocument {
    fn is_always(&self) -> bool {
        matches!(self, Self::Always)
    }
}

/// Written out, because the macro knows no generic types.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainerDocument<Env> {
    name: String,
    image: String,
    pull_policy: PullPolicyDocument,
    command: Vec<String>,
    args: Vec<String>,
    working_dir: Option<String>,
    env: Vec<Env>,
    ports: Vec<ContainerPortDocument>,
    resources: ContainerResourcesDocument,
    startup_probe: Option<ProbeDocument>,
    readiness_probe: Option<ProbeDocument>,
    liveness_probe: Option<ProbeDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifecycle: Option<ContainerLifecycleDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart_policy: Option<RestartPolicyDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<VolumeMountDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    security: Option<ContainerSecurityDocument>,
    #[serde(default, skip_serializing_if = "StreamsDocument::is_default")]
    streams: StreamsDocument,
}

impl<Env: Stored> Stored for Container<Env> {
    type Document = ContainerDocument<Env::Document>;

    fn to_document(&self) -> Self::Document {
        let Container {
            name,
            image,
            pull_policy,
            command,
            args,
            working_dir,
            env,
            ports,
            resources,
            startup_probe,
            readiness_probe,
            liveness_probe,
            lifecycle,
            restart_policy,
            mounts,
            security,
            streams,
        } = self;
        ContainerDocument {
            name: name.to_document(),
            image: image.to_document(),
            pull_policy: pull_policy.to_document(),
            command: command.to_document(),
            args: args.to_document(),
            working_dir: working_dir.to_document(),
            env: env.to_document(),
            ports: ports.to_document(),
            resources: resources.to_document(),
            startup_probe: startup_probe.to_document(),
            readiness_probe: readiness_probe.to_document(),
            liveness_probe: liveness_probe.to_document(),
            lifecycle: lifecycle.to_document(),
            restart_policy: restart_policy.to_document(),
            mounts: mounts.to_document(),
            security: security.to_document(),
            streams: streams.to_document(),
        }
    }

    fn from_document(document: Self::Document) -> Self {
        Container {
            name: document.name,
            image: document.image,
            pull_policy: Stored::from_document(document.pull_policy),
            command: document.command,
            args: document.args,
            working_dir: document.working_dir,
            env: Stored::from_document(document.env),
            ports: Stored::from_document(document.ports),
            resources: Stored::from_document(document.resources),
            startup_probe: Stored::from_document(document.startup_probe),
            readiness_probe: Stored::from_document(document.readiness_probe),
            liveness_probe: Stored::from_document(document.liveness_probe),
            lifecycle: Stored::from_document(document.lifecycle),
            restart_policy: Stored::from_document(document.restart_policy),
            mounts: Stored::from_document(document.mounts),
            security: Stored::from_document(document.security),
            streams: Stored::from_document(document.streams),
        }
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PullPolicy as PullPolicyDocument { Always, IfNotPresent, Never }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum EnvSource as EnvSourceDocument {
        Literal { name: String, value: String },
        ConfigMapKey { name: String, config_map: ObjectName, key: String, optional: bool },
        SecretKey { name: String, secret: ObjectName, key: String, optional: bool },
        Field { name: String, field: PodField },
        Resource { name: String, resource: ResourceFieldSelector },
        AllOfConfigMap { config_map: ObjectName, prefix: String, optional: bool },
        AllOfSecret { secret: ObjectName, prefix: String, optional: bool },
    }
}

mirror! {
    struct EnvValue as EnvValueDocument { name: String, content: EnvContent }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum EnvContent as EnvContentDocument {
        Text(text: String),
        Secret(secret: SecretValue),
        Field(field: PodField),
        NodeResource(resource: NodeResource),
    }
}

mirror! {
    struct ResourceFieldSelector as ResourceFieldSelectorDocument {
        container: Option<String>,
        field: ResourceField,
        divisor: u64,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum ResourceField as ResourceFieldDocument { CpuRequest, CpuLimit, MemoryRequest, MemoryLimit }
}

mirror! {
    struct NodeResource as NodeResourceDocument { kind: NodeResourceKind, divisor: u64 }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum NodeResourceKind as NodeResourceKindDocument { Cpu, Memory }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PodField as PodFieldDocument {
        Name,
        Namespace,
        Uid,
        NodeName,
        Label(key: String),
        Annotation(key: String),
    }
}

mirror! {
    struct ContainerPort as ContainerPortDocument {
        name: String,
        container_port: u16,
        protocol: Protocol,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<HostPort>,
    }
}

mirror! {
    struct HostPort as HostPortDocument { port: u16, address: Option<IpAddr> }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Protocol as ProtocolDocument { Tcp, Udp }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PortRef as PortRefDocument { Number(number: u16), Name(name: String) }
}

mirror! {
    struct ContainerResources as ContainerResourcesDocument {
        cpu_request_millis: u64,
        memory_request_bytes: u64,
        cpu_limit_millis: Option<u64>,
        memory_limit_bytes: Option<u64>,
    }
}

mirror! {
    struct Probe as ProbeDocument {
        action: ProbeAction,
        initial_delay: Duration,
        period: Duration,
        timeout: Duration,
        success_threshold: u32,
        failure_threshold: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        termination_grace: Option<Duration>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum ProbeAction as ProbeActionDocument {
        HttpGet(action: HttpGetAction),
        TcpSocket { host: Option<String>, port: PortRef },
        Exec { command: Vec<String> },
        Grpc { port: u16, service: String },
    }
}

mirror! {
    struct HttpGetAction as HttpGetActionDocument {
        scheme: HttpScheme,
        host: Option<String>,
        port: PortRef,
        path: String,
        headers: Vec<(String, String)>,
    }
}

mirror! {
    struct ContainerLifecycle as ContainerLifecycleDocument {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post_start: Option<LifecycleHandler>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre_stop: Option<LifecycleHandler>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_signal: Option<String>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum LifecycleHandler as LifecycleHandlerDocument {
        Exec { command: Vec<String> },
        HttpGet(action: HttpGetAction),
        TcpSocket { host: Option<String>, port: PortRef },
        Sleep(time: Duration),
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum HttpScheme as HttpSchemeDocument { Http, Https }
}
