//! Services.

use dugout_model::{PortRef, Protocol, Service, ServicePort, ServiceType};

use super::metadata::read_labels;
use crate::reader::{Object, Value};
use crate::rules::service::NODE_PORTS;
use crate::yaml::ScalarKind;

pub(super) fn read(object: &Object<'_>) -> Service {
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
        && service_type.is_some()
        && let Some(spec) = object.field("spec")
    {
        spec.notice("a service without a selector has no pods, and nothing answers at it");
    }
    let ports = spec
        .field("ports")
        .map(|value| value.each(|value| read_port(&value.object()?, service_type)))
        .unwrap_or_default();
    Service { service_type: service_type.unwrap_or(ServiceType::ClusterIp), selector, ports }
}

/// The type; nothing when it is one that is not served, which is then told.
fn read_type(object: &Object<'_>, spec: &Object<'_>) -> Option<ServiceType> {
    const NOT_REACHABLE: &str =
        "a service of type ClusterIP has no effect: nothing listens at an address of the cluster";
    const HINT: &str = "use type NodePort to reach its pods";
    let Some(value) = spec.field("type").filter(|value| value.as_text() != Some("")) else {
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
        _ => None,
    }
}

fn read_port(port: &Object<'_>, service_type: Option<ServiceType>) -> Option<ServicePort> {
    let name = port.field("name").and_then(|value| value.text()).unwrap_or_default().to_owned();
    let protocol = read_protocol(port);
    let number = port.field("port").and_then(|value| value.port())?;
    let target_port = match port.field("targetPort") {
        Some(value) => read_port_ref(&value)?,
        None => PortRef::Number(number),
    };
    let node_port = read_node_port(port, service_type, protocol);
    Some(ServicePort { name, protocol, port: number, target_port, node_port })
}

fn read_node_port(
    port: &Object<'_>,
    service_type: Option<ServiceType>,
    protocol: Protocol,
) -> Option<u16> {
    let value = port.field("nodePort").filter(|value| !value.is_zero());
    if service_type? == ServiceType::ClusterIp {
        return None;
    }
    if protocol == Protocol::Udp {
        port.fail_at(
            "protocol",
            "UDP is not supported on node ports: the proxy serves TCP",
            "use TCP",
        );
        return None;
    }
    let (lowest, highest) = (*NODE_PORTS.start(), *NODE_PORTS.end());
    let Some(value) = value else {
        let message = "is required for a service of type NodePort: Git decides which port it is";
        port.fail_at("nodePort", message, &format!("choose one from {lowest} to {highest}"));
        return None;
    };
    value.int(lowest, highest).and_then(|number| u16::try_from(number).ok())
}

/// `protocol`, TCP by default.
pub(super) fn read_protocol(port: &Object<'_>) -> Protocol {
    let Some(value) = port.field("protocol") else { return Protocol::Tcp };
    match value.as_text() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => {
            value.fail_with("SCTP is not supported: Dugout knows TCP and UDP", "use TCP");
            Protocol::Tcp
        }
        _ => Protocol::Tcp,
    }
}

/// A container's port by number or by name.
pub(super) fn read_port_ref(value: &Value<'_>) -> Option<PortRef> {
    if matches!(value.kind(), Some(ScalarKind::Int(_))) {
        return value.port().map(PortRef::Number);
    }
    value.text().map(|name| PortRef::Name(name.to_owned()))
}
