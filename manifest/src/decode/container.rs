//! Containers.

use std::collections::BTreeSet;

use dugout_model::{Container, ContainerPort, EnvSource, PullPolicy};

use super::metadata::check;
use super::{Links, env, probe, resources, service};
use crate::reader::{Object, Value};
use crate::{image, names};

const PULL_POLICIES: &[(&str, PullPolicy)] = &[
    ("Always", PullPolicy::Always),
    ("IfNotPresent", PullPolicy::IfNotPresent),
    ("Never", PullPolicy::Never),
];

pub(super) fn read(container: &Object<'_>, links: &mut Links) -> Container<EnvSource> {
    let name = container.field("name").and_then(|value| {
        let name = value.text()?;
        check(&value, name, names::check_label(name));
        Some(name.to_owned())
    });
    let reference = container.field("image").and_then(|value| {
        let reference = value.text()?;
        if let Err(wrong) = image::check(reference) {
            value.fail(format!("{} {wrong}", value.quote(reference)));
        }
        Some(reference.to_owned())
    });
    let reference = reference.unwrap_or_default();
    let ports = container.field("ports").map(|value| read_ports(&value)).unwrap_or_default();
    let texts = |field| container.field(field).map(|value| read_texts(&value)).unwrap_or_default();
    let probe =
        |field, role| container.field(field).and_then(|value| probe::read(&value, role, &ports));
    Container {
        name: name.unwrap_or_default(),
        pull_policy: container
            .field("imagePullPolicy")
            .and_then(|value| value.one_of(PULL_POLICIES))
            .unwrap_or_else(|| image::default_pull_policy(&reference)),
        image: reference,
        command: texts("command"),
        args: texts("args"),
        working_dir: container.field("workingDir").and_then(|value| read_working_dir(&value)),
        env: env::read(container, links),
        resources: container
            .field("resources")
            .and_then(|value| value.object())
            .map(|object| resources::read(&object))
            .unwrap_or_default(),
        startup_probe: probe("startupProbe", probe::Role::Startup),
        readiness_probe: probe("readinessProbe", probe::Role::Readiness),
        liveness_probe: probe("livenessProbe", probe::Role::Liveness),
        ports,
    }
}

pub(super) fn read_texts(value: &Value<'_>) -> Vec<String> {
    value.each(|item| item.text().map(str::to_owned))
}

fn read_working_dir(value: &Value<'_>) -> Option<String> {
    let path = value.text()?;
    if path.is_empty() {
        return None;
    }
    if !path.starts_with('/') {
        value.fail(format!("must be an absolute path, not {}", value.quote(path)));
    }
    Some(path.to_owned())
}

fn read_ports(value: &Value<'_>) -> Vec<ContainerPort> {
    let mut seen = BTreeSet::new();
    value.each(|value| {
        let port = value.object()?;
        let name = port.field("name").and_then(|value| {
            let name = value.text()?;
            if !name.is_empty() {
                check(&value, name, names::check_port_name(name));
                if !seen.insert(name.to_owned()) {
                    value.fail(format!("the port name {} stands here twice", value.quote(name)));
                }
            }
            Some(name.to_owned())
        });
        let protocol = service::read_protocol(&port);
        let container_port = port.field("containerPort").and_then(|value| value.port())?;
        Some(ContainerPort { name: name.unwrap_or_default(), container_port, protocol })
    })
}
