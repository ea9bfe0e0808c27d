//! Containers.

use dugout_model::{Container, ContainerPort, EnvSource, HostPort, PullPolicy, RestartPolicy};

use super::{env, lifecycle, probe, resources, security, service, volume};
use crate::image;
use crate::reader::{Object, Value};

const PULL_POLICIES: &[(&str, PullPolicy)] = &[
    ("Always", PullPolicy::Always),
    ("IfNotPresent", PullPolicy::IfNotPresent),
    ("Never", PullPolicy::Never),
];

pub(super) fn read(container: &Object<'_>) -> Container<EnvSource> {
    let text = |name| container.field(name).and_then(|value| value.text()).unwrap_or_default();
    let texts = |field| container.field(field).map(|value| read_texts(&value)).unwrap_or_default();
    let probe = |field| container.field(field).and_then(|value| probe::read(&value));
    let image = text("image");
    Container {
        name: text("name").to_owned(),
        image: image.to_owned(),
        pull_policy: container
            .field("imagePullPolicy")
            .and_then(|value| value.one_of(PULL_POLICIES))
            .unwrap_or_else(|| image::default_pull_policy(image)),
        command: texts("command"),
        args: texts("args"),
        working_dir: Some(text("workingDir")).filter(|path| !path.is_empty()).map(str::to_owned),
        env: env::read(container),
        resources: container
            .field("resources")
            .and_then(|value| value.object())
            .map(|object| resources::read(&object))
            .unwrap_or_default(),
        startup_probe: probe("startupProbe"),
        readiness_probe: probe("readinessProbe"),
        liveness_probe: probe("livenessProbe"),
        lifecycle: container.field("lifecycle").and_then(|value| lifecycle::read(&value)),
        restart_policy: None,
        mounts: volume::read_mounts(container),
        // The pod has a say in it.
        security: None,
        streams: security::read_streams(container),
        ports: container.field("ports").map(|value| read_ports(&value)).unwrap_or_default(),
    }
}

/// One of those that begin before the others.
pub(super) fn read_init(container: &Object<'_>) -> Container<EnvSource> {
    let policy = container.field("restartPolicy").and_then(|value| value.text());
    let is_sidecar = policy == Some("Always");
    let restart_policy = is_sidecar.then_some(RestartPolicy::Always);
    Container { restart_policy, ..read(container) }
}

pub(super) fn read_texts(value: &Value<'_>) -> Vec<String> {
    value.each(|item| item.text().map(str::to_owned))
}

fn read_ports(value: &Value<'_>) -> Vec<ContainerPort> {
    value.each(|value| {
        let port = value.object()?;
        let name = port.field("name").and_then(|value| value.text()).unwrap_or_default();
        let protocol = service::read_protocol(&port);
        let container_port = port.field("containerPort").and_then(|value| value.port())?;
        let host = port.field("hostPort").filter(|value| !value.is_zero());
        let address = port.field("hostIP").and_then(|value| value.text());
        let host = host.and_then(|value| value.port()).map(|number| HostPort {
            port: number,
            address: address.and_then(|text| text.parse().ok()),
        });
        Some(ContainerPort { name: name.to_owned(), container_port, protocol, host })
    })
}
