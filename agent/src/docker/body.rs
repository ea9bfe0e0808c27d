//! What the engine is asked for to make a container.

mod security;

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, PortBinding, PortMap,
};
use dugout_model::{MountAccess, MountPropagation, NamespaceOwner};

pub(super) use self::security::{Looked, needs_image_user, user};
use super::settings::host_config;
use crate::runtime::{BindMount, ContainerSpec, Namespaces, PublishedPort};

/// Each container's log: this many files of this size.
const LOG_FILES: &str = "2";
const LOG_FILE_SIZE: &str = "10m";

pub(super) fn create_body(spec: &ContainerSpec, looked: &Looked) -> ContainerCreateBody {
    let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    let env = spec.env.iter().map(|(name, value)| {
        // The environment leaves for its container here. It was checked to be text.
        format!("{name}={}", String::from_utf8_lossy(value.expose()))
    });
    let log_options = HashMap::from([
        ("max-size".to_owned(), LOG_FILE_SIZE.to_owned()),
        ("max-file".to_owned(), LOG_FILES.to_owned()),
    ]);
    let joined = match &spec.namespaces {
        Namespaces::Own { .. } | Namespaces::Offered { .. } => None,
        Namespaces::Joined { sandbox } => Some(format!("container:{sandbox}")),
    };
    let mut body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        hostname: match &spec.namespaces {
            // On the node's network it has the node's name.
            Namespaces::Own { .. } | Namespaces::Offered { .. }
                if spec.isolation.network == NamespaceOwner::Host =>
            {
                None
            }
            Namespaces::Own { hostname } | Namespaces::Offered { hostname } => {
                Some(hostname.clone())
            }
            Namespaces::Joined { .. } => None,
        },
        entrypoint: some(&spec.entrypoint),
        cmd: some(&spec.command),
        working_dir: spec.working_dir.clone(),
        stop_signal: spec.stop_signal.clone(),
        env: Some(env.collect()),
        labels: Some(spec.labels.clone()),
        exposed_ports: some(&spec.exposed_ports),
        host_config: Some(HostConfig {
            network_mode: joined.clone(),
            port_bindings: bindings(&spec.published_ports),
            ipc_mode: match &spec.namespaces {
                Namespaces::Own { .. } => None,
                Namespaces::Offered { .. } => Some("shareable".to_owned()),
                Namespaces::Joined { .. } => joined,
            },
            init: Some(false),
            mounts: some_mounts(&spec.mounts),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(log_options),
            }),
            ..host_config(&spec.limits)
        }),
        ..ContainerCreateBody::default()
    };
    security::add(&mut body, spec, looked);
    body
}

fn bindings(ports: &[PublishedPort]) -> Option<PortMap> {
    let mut bindings = PortMap::new();
    for PublishedPort { port, at, address } in ports {
        let binding = PortBinding {
            host_ip: address.map(|address| address.to_string()),
            host_port: Some(at.to_string()),
        };
        bindings.entry(port.clone()).or_default().get_or_insert_default().push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

/// As mounts and not as binds: the engine then refuses a source that is not there instead of making a
/// folder of it.
fn some_mounts(mounts: &[BindMount]) -> Option<Vec<Mount>> {
    let mount = |mount: &BindMount| Mount {
        typ: Some(MountType::BIND),
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.access == MountAccess::ReadOnly),
        bind_options: Some(MountBindOptions {
            propagation: Some(match mount.propagation {
                MountPropagation::None => MountBindOptionsPropagationEnum::RPRIVATE,
                MountPropagation::HostToContainer => MountBindOptionsPropagationEnum::RSLAVE,
            }),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    };
    (!mounts.is_empty()).then(|| mounts.iter().map(mount).collect())
}
