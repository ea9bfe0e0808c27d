//! Services.

use std::collections::BTreeSet;

use dugout_model::{PortRef, Protocol, Service, ServicePort, ServiceType};

use super::Links;
use super::metadata::{check, read_labels};
use crate::names;
use crate::reader::{Object, Value};
use crate::yaml::ScalarKind;

/// The ports of the nodes that services may take.
const NODE_PORTS: (i64, i64) = (30_000, 32_767);

/// The protocols of ports, in services and containers.
pub(super) const PROTOCOLS: &[(&str, Protocol)] = &[("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];

pub(super) fn read(object: &Object<'_>, links: &mut Links) -> Service {
    let spec = object.field("spec").and_then(|value| value.object());
    let Some(spec) = spec else {
        return Service {
            service_type: ServiceType::ClusterIp,
            selector: Default::default(),
            ports: Vec::new(),
        };
    };
    let service_type = read_type(object, &spec);
    let selector = spec.field("selector").map(|value| read_labels(&value)).unwrap_or_default();
    if selector.is_empty()
        && let Some(spec) = object.field("spec")
    {
        spec.notice("a service without a selector has no pods, and nothing answers at it");
    }
    let mut ports = Vec::new();
    if let Some(value) = spec.field("ports") {
        ports = value.each(|value| read_port(&value.object()?, service_type, links));
        check_ports(&value, &ports);
    }
    Service { service_type: service_type.unwrap_or(ServiceType::ClusterIp), selector, ports }
}

/// The type; nothing when it is one that is not served, which is then told.
fn read_type(object: &Object<'_>, spec: &Object<'_>) -> Option<ServiceType> {
    const NOT_REACHABLE: &str =
        "a service of type ClusterIP has no effect: nothing listens at an address of the cluster";
    const HINT: &str = "use type NodePort to reach its pods";
    let Some(value) = spec.field("type") else {
        if let Some(spec) = object.field("spec") {
            spec.notice_with(NOT_REACHABLE, HINT);
        }
        return Some(ServiceType::ClusterIp);
    };
    match value.text()? {
        "ClusterIP" => {
            value.notice_with(NOT_REACHABLE, HINT);
            Some(ServiceType::ClusterIp)
        }
        "NodePort" => Some(ServiceType::NodePort),
        other @ ("LoadBalancer" | "ExternalName") => {
            value.fail_with(format!("services of type {other} are not supported"), "use NodePort");
            None
        }
        other => {
            value.fail(format!("{} is not one of ClusterIP, NodePort", value.quote(other)));
            None
        }
    }
}

fn read_port(
    port: &Object<'_>,
    service_type: Option<ServiceType>,
    links: &mut Links,
) -> Option<ServicePort> {
    let name = port.field("name").and_then(|value| {
        let name = value.text()?;
        if !name.is_empty() {
            check(&value, name, names::check_label(name));
        }
        Some(name.to_owned())
    });
    let protocol = read_protocol(port);
    let number = port.field("port").and_then(|value| value.port());
    let target = port.field("targetPort");
    let target_port = match target {
        Some(value) => read_port_ref(&value),
        None => number.map(PortRef::Number),
    };
    let node_port = read_node_port(port, service_type, protocol, links);
    links.target_ports.push(target.map_or_else(|| port.place(), |value| value.place()));
    Some(ServicePort {
        name: name.unwrap_or_default(),
        protocol,
        // Zero stands in where an error was told; the object is not handed out then.
        port: number.unwrap_or_default(),
        target_port: target_port.unwrap_or(PortRef::Number(0)),
        node_port,
    })
}

fn read_node_port(
    port: &Object<'_>,
    service_type: Option<ServiceType>,
    protocol: Protocol,
    links: &mut Links,
) -> Option<u16> {
    let (lowest, highest) = NODE_PORTS;
    let value = port.field("nodePort").filter(|value| !value.is_zero());
    match (service_type?, value) {
        (ServiceType::ClusterIp, None) => None,
        (ServiceType::ClusterIp, Some(value)) => {
            value.fail_with("a service of type ClusterIP has no node port", "set type: NodePort");
            None
        }
        (ServiceType::NodePort, _) if protocol == Protocol::Udp => {
            port.fail_at(
                "protocol",
                "UDP is not supported on node ports: the proxy serves TCP",
                "use TCP",
            );
            None
        }
        (ServiceType::NodePort, None) => {
            let message =
                "is required for a service of type NodePort: Git decides which port it is";
            port.fail_at("nodePort", message, &format!("choose one from {lowest} to {highest}"));
            None
        }
        (ServiceType::NodePort, Some(value)) => {
            let number =
                value.int(lowest, highest).and_then(|number| u16::try_from(number).ok())?;
            links.node_ports.push((number, value.place()));
            Some(number)
        }
    }
}

fn check_ports(value: &Value<'_>, ports: &[ServicePort]) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    if ports.is_empty() {
        value.fail("a service must have at least one port");
    }
    for port in ports {
        if port.name.is_empty() && ports.len() > 1 {
            value.fail(format!("port {} must have a name, because there are several", port.port));
        }
        if !port.name.is_empty() && !names.insert(&port.name) {
            value.fail(format!("the port name {} stands here twice", value.quote(&port.name)));
        }
        if port.port > 0 && !numbers.insert((port.port, port.protocol)) {
            let protocol = port.protocol.as_str();
            value.fail(format!("port {}/{protocol} stands here twice", port.port));
        }
    }
}

/// `protocol`, TCP by default.
pub(super) fn read_protocol(port: &Object<'_>) -> Protocol {
    port.field("protocol").and_then(|value| value.one_of(PROTOCOLS)).unwrap_or(Protocol::Tcp)
}

/// A container's port by number or by name.
pub(super) fn read_port_ref(value: &Value<'_>) -> Option<PortRef> {
    if matches!(value.kind(), Some(ScalarKind::Int(_))) {
        return value.port().map(PortRef::Number);
    }
    let name = value.text()?;
    if name.parse::<u16>().is_ok() {
        value.fail_with("a port number must not be in quotes", format!("write {name}"));
        return None;
    }
    check(value, name, names::check_port_name(name));
    Some(PortRef::Name(name.to_owned()))
}
