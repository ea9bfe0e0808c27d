//! From an assigned pod to what the engine is asked for. Pure.
//!
//! What every container gets: no restart policy (the agent restarts), a bounded log, a bounded number
//! of processes, the engine's default bridge; and, unless its manifest says otherwise and the node allows
//! it, no new privileges and Docker's default capabilities and seccomp profile.

mod ports;
mod security;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_model::{
    AssignedPod, Container, ContainerResources, EnvContent, EnvValue, NamespaceOwner, NodeName,
    NodePrivileges, NodeResource, NodeResourceKind, PodField, ResolvedTemplate, SecretValue,
    Streams, SubPath, VolumeMount,
};
use thiserror::Error;

use ports::Ports;
pub(crate) use security::check;

use crate::converge::FailureKind;
use crate::labels::{ContainerLabels, Owner, SANDBOX, claimed_volumes};
use crate::pause::SANDBOX_IMAGE;
use crate::policy::NodePolicy;
use crate::runtime::{
    ContainerSettings, ContainerSpec, EngineRestart, Execution, HOST_NETWORK, Limits, Namespaces,
    Network, PublishedPort,
};
use crate::volumes::Layout;

/// The most processes and threads in one container.
pub const PIDS_LIMIT: i64 = 4096;
/// The longest host name that Linux takes is 64 bytes; a DNS label has at most 63.
const MAX_HOSTNAME: usize = 63;

/// Why a container cannot be described to the engine. The sentence goes to the pod's status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error("the sandbox that the pod's containers share is not there")]
    NoSandbox,
    #[error("the pod has no container {container:?}")]
    NoSuchContainer { container: String },
    #[error(
        "environment variable {name}: the value must be UTF-8 text without a zero byte; mount it as a file, or encode it"
    )]
    EnvNotText { name: String },
    #[error("environment variable {name}: what the node has for pods is not known yet")]
    NodeUnknown { name: String },
    #[error("subPathExpr {expression:?}: the container has no variable for a $(NAME) in it")]
    NoVariable { expression: String },
    #[error("subPathExpr {expression:?} makes {path:?}, which must be a relative path without ..")]
    BadSubPath { expression: String, path: String },
    #[error(
        "node {node} does not allow {privileges}, which the pod asks for; start its agent with --allow, or place the pod elsewhere"
    )]
    NotAllowed { node: NodeName, privileges: NodePrivileges },
    #[error("{name:?} is no name of a volume or profile: it leads out of the agent's folder")]
    OutOfFolder { name: String },
}

impl SpecError {
    /// What it means for what is tried next.
    pub(crate) fn failure_kind(&self) -> FailureKind {
        match self {
            SpecError::NotAllowed { .. } => FailureKind::Configuration,
            _ => FailureKind::Permanent,
        }
    }
}

/// Where a container is made.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub owner: &'a Owner,
    /// What it joins where the pod's containers share one.
    pub sandbox: Option<&'a str>,
    pub volumes: &'a Layout,
    pub allocatable: Option<Allocatable>,
    pub policy: &'a NodePolicy,
}

/// What the node has for pods, once its engine has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocatable {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// Describes one container of a pod.
pub fn container_spec(
    pod: &AssignedPod,
    container: &str,
    attempt: u32,
    crashes: u32,
    place: &Place<'_>,
) -> Result<ContainerSpec, SpecError> {
    let Place { owner, sandbox, volumes, allocatable, .. } = *place;
    check(pod, &owner.node, place.policy)?;
    if container == SANDBOX {
        return Ok(sandbox_spec(owner, pod, attempt, crashes));
    }
    let Some(wanted) = pod.template.container(container) else {
        return Err(SpecError::NoSuchContainer { container: container.to_owned() });
    };
    let labels = ContainerLabels {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid,
        container: container.to_owned(),
        attempt,
        crashes,
        grace: pod.template.termination_grace,
        volumes: claimed_volumes(pod),
    };
    let namespaces = match (pod.template.shares_sandbox(), sandbox) {
        (false, _) => Namespaces::Own { hostname: security::hostname(pod, MAX_HOSTNAME) },
        (true, Some(sandbox)) => Namespaces::Joined { sandbox: sandbox.to_owned() },
        (true, None) => return Err(SpecError::NoSandbox),
    };
    let ports = Ports::of_container(&pod.template, wanted, &namespaces);
    let env = environment(pod, wanted, (&owner.node, allocatable))?;
    let parts = sub_paths_with(wanted, &env)?;
    let expand_all = |words: &[String]| words.iter().map(|word| expand(word, &env)).collect();
    Ok(ContainerSpec {
        name: labels.container_name(),
        exposed_ports: ports.exposed,
        published_ports: ports.published,
        isolation: security::isolation(pod, wanted, &namespaces, place),
        streams: wanted.streams,
        namespaces,
        image: wanted.image.clone(),
        entrypoint: expand_all(&wanted.command),
        command: expand_all(&wanted.args),
        working_dir: wanted.working_dir.clone(),
        stop_signal: wanted.lifecycle.as_deref().and_then(|one| one.stop_signal.clone()),
        labels: labels.to_map(owner),
        limits: limits_of(&wanted.resources),
        mounts: volumes.mounts(pod, wanted, &parts),
        env: env.into_iter().map(|(name, value)| (name, SecretValue::new(value))).collect(),
    })
}

/// The settings of a container that nobody changed by hand; absent for one that the template does not have.
pub fn container_settings(
    template: &ResolvedTemplate,
    container: &str,
) -> Option<ContainerSettings> {
    let limits = match container {
        SANDBOX => sandbox_limits(),
        name => limits_of(&template.container(name)?.resources),
    };
    let networks = match (template.shares_sandbox() && container != SANDBOX, template.network()) {
        // Those of its sandbox.
        (true, _) => BTreeSet::new(),
        (false, NamespaceOwner::Pod) => [Network::Default].into(),
        (false, NamespaceOwner::Host) => [Network::Other(HOST_NETWORK.to_owned())].into(),
    };
    let (restart, execution) = (EngineRestart::Never, Execution::Going);
    let ports = match container {
        SANDBOX => Ports::of_sandbox(template),
        _ if template.shares_sandbox() => Ports::default(),
        name => Ports::of_own(template, template.container(name)?),
    };
    let published_ports = ports.published.into_iter().map(PublishedPort::normalized).collect();
    Some(ContainerSettings { limits, restart, networks, published_ports, execution })
}

fn limits_of(resources: &ContainerResources) -> Limits {
    let shares = |request_millis: u64| signed((request_millis.saturating_mul(1024) / 1000).max(2));
    let nano = |millis: u64| signed(millis.saturating_mul(1_000_000));
    Limits {
        cpu_shares: (resources.cpu_request_millis > 0)
            .then(|| shares(resources.cpu_request_millis)),
        nano_cpus: resources.cpu_limit_millis.map(nano),
        cpu_set: None,
        memory_bytes: resources.memory_limit_bytes.map(signed),
        // No swap beyond the memory limit, as Kubernetes has it.
        memory_swap_bytes: resources.memory_limit_bytes.map(signed),
        pids_limit: Some(PIDS_LIMIT),
    }
}

fn sandbox_limits() -> Limits {
    Limits { cpu_shares: Some(2), pids_limit: Some(1), ..Limits::default() }
}

/// The container that holds what the others of its pod share. It does nothing, and ends when it is killed.
fn sandbox_spec(owner: &Owner, pod: &AssignedPod, attempt: u32, crashes: u32) -> ContainerSpec {
    let labels = ContainerLabels {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid,
        container: SANDBOX.to_owned(),
        attempt,
        crashes,
        grace: Duration::ZERO,
        volumes: Vec::new(),
    };
    let ports = Ports::of_sandbox(&pod.template);
    let hostname = security::hostname(pod, MAX_HOSTNAME);
    let namespaces = Namespaces::Offered { hostname };
    ContainerSpec {
        name: labels.container_name(),
        isolation: security::of_sandbox(pod, &namespaces),
        streams: Streams::default(),
        namespaces,
        image: SANDBOX_IMAGE.to_owned(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        working_dir: None,
        stop_signal: None,
        env: Vec::new(),
        labels: labels.to_map(owner),
        exposed_ports: ports.exposed,
        published_ports: ports.published,
        limits: sandbox_limits(),
        mounts: Vec::new(),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The environment by name: a later entry wins over an earlier one, and `$(NAME)` is replaced by what
/// stands before it.
fn environment(
    pod: &AssignedPod,
    container: &Container<EnvValue>,
    (node, allocatable): (&NodeName, Option<Allocatable>),
) -> Result<BTreeMap<String, String>, SpecError> {
    let mut env = BTreeMap::new();
    for EnvValue { name, content } in &container.env {
        let value = match content {
            EnvContent::Text(text) => expand(text, &env),
            EnvContent::Secret(secret) => match std::str::from_utf8(secret.expose()) {
                Ok(text) => text.to_owned(),
                Err(_) => return Err(SpecError::EnvNotText { name: name.clone() }),
            },
            EnvContent::Field(field) => field_value(field, pod, node),
            EnvContent::NodeResource(NodeResource { kind, divisor }) => {
                let Some(node) = allocatable else {
                    return Err(SpecError::NodeUnknown { name: name.clone() });
                };
                amount_of(&NodeResource { kind: *kind, divisor: *divisor }, node)
            }
        };
        if value.contains('\0') {
            return Err(SpecError::EnvNotText { name: name.clone() });
        }
        env.insert(name.clone(), value);
    }
    Ok(env)
}

/// What the node has of a resource, in whole divisors.
pub(crate) fn amount_of(resource: &NodeResource, node: Allocatable) -> String {
    let amount = match resource.kind {
        NodeResourceKind::Cpu => node.cpu_millis,
        NodeResourceKind::Memory => node.memory_bytes,
    };
    amount.div_ceil(resource.divisor.max(1)).to_string()
}

pub(crate) fn field_value(field: &PodField, pod: &AssignedPod, node: &NodeName) -> String {
    match field {
        PodField::Name => pod.name.to_string(),
        PodField::Namespace => pod.namespace.to_string(),
        PodField::Uid => pod.uid.to_string(),
        PodField::NodeName => node.to_string(),
        PodField::Label(key) => pod.template.labels.get(key).cloned().unwrap_or_default(),
        PodField::Annotation(key) => pod.template.annotations.get(key).cloned().unwrap_or_default(),
    }
}

/// The part of its volume that each of a container's mounts shows, with its variables filled in.
pub(crate) fn sub_paths(
    pod: &AssignedPod,
    container: &Container<EnvValue>,
    node: (&NodeName, Option<Allocatable>),
) -> Result<Vec<Option<String>>, SpecError> {
    sub_paths_with(container, &environment(pod, container, node)?)
}

fn sub_paths_with(
    container: &Container<EnvValue>,
    env: &BTreeMap<String, String>,
) -> Result<Vec<Option<String>>, SpecError> {
    let sub_path = |mount: &VolumeMount| match &mount.sub_path {
        None => Ok(None),
        Some(SubPath::Fixed(path)) => Ok(Some(path.clone())),
        Some(SubPath::Expanded(expression)) => expanded_path(expression, env).map(Some),
    };
    container.mounts.iter().map(sub_path).collect()
}

fn expanded_path(expression: &str, env: &BTreeMap<String, String>) -> Result<String, SpecError> {
    let path = expand(expression, env);
    // What is not known stays as it is written, and so does what two dollars hide.
    if expand(&expression.replace("$$", ""), env).contains("$(") {
        return Err(SpecError::NoVariable { expression: expression.to_owned() });
    }
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(SpecError::BadSubPath { expression: expression.to_owned(), path });
    }
    Ok(path)
}

/// Replaces `$(NAME)` as Kubernetes does: an unknown name stays as it is written, `$$` is one `$`.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let reference = from.strip_prefix("$(").and_then(|inside| inside.split_once(')'));
        match reference {
            Some((name, after)) if env.contains_key(name) => {
                out.push_str(&env[name]);
                rest = after;
            }
            _ => {
                out.push('$');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use dugout_model::{
        EmptyDir, HostPath, HostPathType, MountAccess, MountPropagation, Volume, VolumeSource,
    };

    use super::*;
    use crate::testing;

    fn spec_of(pod: &AssignedPod, attempt: u32, crashes: u32) -> Result<ContainerSpec, SpecError> {
        let (owner, volumes, policy) = (testing::owner(), testing::layout(), testing::policy());
        let place = Place {
            owner: &owner,
            sandbox: None,
            volumes: &volumes,
            allocatable: Some(Allocatable { cpu_millis: 4000, memory_bytes: (8 << 30) + 1 }),
            policy: &policy,
        };
        container_spec(pod, "web", attempt, crashes, &place)
    }

    fn env_of(env: Vec<EnvValue>) -> Result<Vec<(String, String)>, SpecError> {
        let mut template = testing::template("web");
        template.containers[0].env = env;
        let pod = testing::pod(1, template);
        spec_of(&pod, 0, 0).map(|spec| {
            spec.env
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8(value.expose().to_vec()).unwrap()))
                .collect()
        })
    }

    fn text(name: &str, value: &str) -> EnvValue {
        EnvValue { name: name.into(), content: EnvContent::Text(value.into()) }
    }

    #[test]
    fn references_are_replaced_by_what_stands_before_them() {
        let env = env_of(vec![
            text("A", "1"),
            text("B", "$(A)-$(C)-$$(A)-$A-$("),
            text("C", "late"),
            text("A", "2"),
        ])
        .unwrap();
        let expected = [("A", "2"), ("B", "1-$(C)-$(A)-$A-$("), ("C", "late")];
        assert_eq!(env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_pods_own_fields_are_filled_in() {
        let field =
            |name: &str, field| EnvValue { name: name.into(), content: EnvContent::Field(field) };
        let of_node = |name: &str, kind, divisor| EnvValue {
            name: name.into(),
            content: EnvContent::NodeResource(NodeResource { kind, divisor }),
        };
        let env = env_of(vec![
            field("LABEL", PodField::Label("app".into())),
            field("NAME", PodField::Name),
            field("NODE", PodField::NodeName),
            of_node("CPUS", NodeResourceKind::Cpu, 1000),
            of_node("MIB", NodeResourceKind::Memory, 1 << 20),
        ])
        .unwrap();
        let values: Vec<&str> = env.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["4", "web", "8193", "web-1", "node-a"]);
    }

    #[test]
    fn a_value_that_is_not_text_is_refused_and_not_shown() {
        let secret = EnvContent::Secret(SecretValue::new([0xff, 0xfe]));
        let error = env_of(vec![EnvValue { name: "KEY".into(), content: secret }]).unwrap_err();
        assert_eq!(error, SpecError::EnvNotText { name: "KEY".into() });
    }

    fn mounting(mounts: Vec<VolumeMount>) -> AssignedPod {
        let mut template = testing::template("web");
        template.containers[0].env = vec![text("NAME", "a b")];
        template.containers[0].mounts = mounts.into();
        let empty = VolumeSource::EmptyDir(EmptyDir::Disk);
        let host = HostPath { path: "/srv/data".to_owned(), path_type: HostPathType::Directory };
        template.volumes = [("empty", empty), ("host", VolumeSource::HostPath(host))]
            .map(|(name, source)| Volume { name: name.to_owned(), source })
            .into();
        testing::pod(1, template)
    }

    fn mount(volume: &str, path: &str, sub_path: Option<SubPath>) -> VolumeMount {
        VolumeMount {
            volume: volume.to_owned(),
            path: path.to_owned(),
            access: MountAccess::ReadOnly,
            sub_path,
            propagation: MountPropagation::HostToContainer,
        }
    }

    #[test]
    fn a_mount_is_the_volumes_own_place_or_that_of_a_part_of_it() {
        let pod = mounting(vec![
            mount("host", "/data", None),
            mount("empty", "cache", None),
            mount("host", "/one", Some(SubPath::Expanded("x/$(NAME)".to_owned()))),
        ]);
        let spec = spec_of(&pod, 0, 0).unwrap();
        let folder = testing::layout().pod(pod.uid);
        let sources: Vec<_> = spec.mounts.iter().map(|one| one.source.clone()).collect();
        let part = folder.join("parts/web/2");
        assert_eq!(sources, ["/srv/data".into(), folder.join("volumes/empty"), part.clone()]);
        let targets: Vec<_> = spec.mounts.iter().map(|one| one.target.as_str()).collect();
        assert_eq!(targets, ["/data", "/cache", "/one"]);
        assert!(spec.mounts.iter().all(|one| one.access == MountAccess::ReadOnly));

        let container = &pod.template.containers[0];
        let sub_paths = sub_paths(&pod, container, (&testing::owner().node, None)).unwrap();
        let node = testing::owner().node;
        let when = (&node, testing::at(0));
        let wanted = testing::layout().preparation(&pod, container, &sub_paths, when).unwrap();
        let [only] = wanted.parts.as_slice() else { panic!("{:?}", wanted.parts) };
        assert_eq!((only.path.as_str(), &only.target), ("x/a b", &part));
        let pod = mounting(Vec::new());
        let container = &pod.template.containers[0];
        assert_eq!(testing::layout().preparation(&pod, container, &[], when), None, "none is used");
    }

    #[test]
    fn a_part_is_relative_and_all_its_variables_are_known() {
        for bad in ["/$(NAME)", "../$(NAME)", "a/$(OTHER)"] {
            let pod = mounting(vec![mount("empty", "/x", Some(SubPath::Expanded(bad.to_owned())))]);
            assert!(spec_of(&pod, 0, 0).is_err(), "{bad}");
        }
        let literal = SubPath::Expanded("a/$$(OTHER)".to_owned());
        let pod = mounting(vec![mount("empty", "/x", Some(literal))]);
        let sub_paths =
            sub_paths(&pod, &pod.template.containers[0], (&testing::owner().node, None));
        assert_eq!(sub_paths.unwrap(), [Some("a/$(OTHER)".to_owned())]);
    }

    #[test]
    fn resources_become_the_engines_units() {
        let mut template = testing::template("web");
        template.containers[0].resources = dugout_model::ContainerResources {
            cpu_request_millis: 500,
            memory_request_bytes: 1,
            cpu_limit_millis: Some(1500),
            memory_limit_bytes: Some(64 << 20),
        };
        let pod = testing::pod(1, template);
        let spec = spec_of(&pod, 2, 1).unwrap();
        let expected = Limits {
            cpu_shares: Some(512),
            nano_cpus: Some(1_500_000_000),
            cpu_set: None,
            memory_bytes: Some(64 << 20),
            memory_swap_bytes: Some(64 << 20),
            pids_limit: Some(PIDS_LIMIT),
        };
        assert_eq!(spec.limits, expected);
        assert!(spec.name.ends_with("_2"));
    }
}
