//! Services.

use dugout_model::{PortRef, Protocol, Service, ServicePort, ServiceType};

use super::metadata::read_labels;
use crate::problems::quoted;
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
    let selects_pods = !matches!(service_type, None | Some(ServiceType::ExternalName(_)));
    if selector.is_empty()
        && selects_pods
        && let Some(spec) = object.field("spec")
    {
        spec.notice("a service without a selector has no pods, and nothing answers at it");
    }
    let ports = spec
        .field("ports")
        .map(|value| value.each(|value| read_port(&value.object()?, service_type.as_ref())))
        .unwrap_or_default();
    Service { service_type: service_type.unwrap_or(ServiceType::ClusterIp), selector, ports }
}

/// The type; nothing when it is one that is not served, which is then told.
fn read_type(object: &Object<'_>, spec: &Object<'_>) -> Option<ServiceType> {
    let headless = read_cluster_ip(spec);
    let external_name = spec.field("externalName").and_then(|value| value.text());
    let written = spec.field("type").filter(|value| value.as_text() != Some(""));
    let service_type = match written.as_ref().map_or(Some("ClusterIP"), Value::text)? {
        "ClusterIP" if headless => ServiceType::Headless,
        "ClusterIP" => ServiceType::ClusterIp,
        "NodePort" => ServiceType::NodePort,
        "ExternalName" => ServiceType::ExternalName(external_name?.to_owned()),
        "LoadBalancer" => {
            if let Some(value) = written {
                value.fail_with("services of type LoadBalancer are not supported", "use NodePort");
            }
            return None;
        }
        _ => return None,
    };
    let place = written.or_else(|| object.field("spec"));
    if let (Some(value), Some((message, hint))) = (place, without_effect(&service_type)) {
        value.notice_with(message, hint);
    }
    read_not_ready(spec, &service_type);
    Some(service_type)
}

/// What to say of a service that nothing reaches yet, and what to do instead.
fn without_effect(service_type: &ServiceType) -> Option<(&'static str, String)> {
    match service_type {
        ServiceType::ClusterIp => Some((
            "a service of type ClusterIP has no effect: nothing listens at an address of the cluster",
            "use type NodePort to reach its pods".to_owned(),
        )),
        ServiceType::Headless => Some((
            "a headless service has no effect: names of services and of their pods are not resolved",
            "add a service of type NodePort to reach its pods".to_owned(),
        )),
        ServiceType::NodePort => None,
        ServiceType::ExternalName(name) => Some((
            "a service of type ExternalName has no effect: names of services are not resolved",
            format!("let its clients use {}", quoted(name)),
        )),
    }
}

/// Whether the address of the cluster is `None`; any other is told.
fn read_cluster_ip(spec: &Object<'_>) -> bool {
    const CHOSEN: &str = "cannot be chosen: Dugout gives services no address of the cluster";
    let one = spec.field("clusterIP");
    let headless = one.as_ref().and_then(Value::as_text) == Some("None");
    let address = one.filter(|value| !matches!(value.as_text(), Some("None" | "")));
    if let Some(value) = &address {
        value.fail_with(CHOSEN, "remove it");
    }
    if let Some(value) = spec.field("clusterIPs") {
        value.each(|item| {
            if address.is_none() && item.as_text() != Some("None") {
                item.fail_with(CHOSEN, "remove it");
            }
            Some(())
        });
    }
    headless
}

/// A node port serves ready pods only; elsewhere the field has as little effect as the service.
fn read_not_ready(spec: &Object<'_>, service_type: &ServiceType) {
    let Some(value) = spec.field("publishNotReadyAddresses") else { return };
    if value.boolean() != Some(true) {
        return;
    }
    match service_type {
        ServiceType::NodePort => {
            value.fail_with("is not supported: only ready pods get connections", "remove it");
        }
        _ => value.notice("has no effect: names of services and of their pods are not resolved"),
    }
}

fn read_port(port: &Object<'_>, service_type: Option<&ServiceType>) -> Option<ServicePort> {
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
    service_type: Option<&ServiceType>,
    protocol: Protocol,
) -> Option<u16> {
    let value = port.field("nodePort").filter(|value| !value.is_zero());
    if *service_type? != ServiceType::NodePort {
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
