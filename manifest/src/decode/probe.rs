//! Probes.

use dugout_model::{ContainerPort, HttpScheme, PortRef, Probe, ProbeAction};

use super::container::read_texts;
use super::deployment::{INT32_MAX, seconds};
use super::service::read_port_ref;
use crate::reader::{Object, Value};

/// What a probe decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Startup,
    Readiness,
    Liveness,
}

pub(super) fn read(value: &Value<'_>, role: Role, ports: &[ContainerPort]) -> Option<Probe> {
    let probe = value.object()?;
    // Kubernetes takes zero for "not set" in all of them but the first.
    let number = |name, default| {
        probe
            .field(name)
            .filter(|value| !value.is_zero())
            .and_then(|value| value.u32(1, INT32_MAX))
            .unwrap_or(default)
    };
    let success_threshold = number("successThreshold", 1);
    if role != Role::Readiness && success_threshold != 1 {
        let message = "must be 1 for a liveness and a startup probe";
        probe.fail_at("successThreshold", message, "remove it");
    }
    let initial_delay =
        probe.field("initialDelaySeconds").and_then(|value| value.u32(0, INT32_MAX)).unwrap_or(0);
    let action = read_action(value, &probe, ports)?;
    Some(Probe {
        action,
        initial_delay: seconds(initial_delay),
        period: seconds(number("periodSeconds", 10)),
        timeout: seconds(number("timeoutSeconds", 1)),
        success_threshold,
        failure_threshold: number("failureThreshold", 3),
    })
}

fn read_action(
    value: &Value<'_>,
    probe: &Object<'_>,
    ports: &[ContainerPort],
) -> Option<ProbeAction> {
    match ["httpGet", "tcpSocket", "exec"].map(|name| probe.field(name)) {
        [Some(value), None, None] => read_http_get(&value.object()?, ports),
        [None, Some(value), None] => {
            let socket = value.object()?;
            let host = read_host(&socket);
            Some(ProbeAction::TcpSocket { host, port: read_port(&socket, ports)? })
        }
        [None, None, Some(value)] => {
            let exec = value.object()?;
            let command_value = exec.field("command")?;
            let command = read_texts(&command_value);
            if command.is_empty() {
                command_value.fail("must name a program");
            }
            Some(ProbeAction::Exec { command })
        }
        // An action that is refused was told as such.
        [None, None, None] if probe.has_errors() => None,
        _ => {
            value.fail("must have exactly one of httpGet, tcpSocket and exec");
            None
        }
    }
}

fn read_http_get(action: &Object<'_>, ports: &[ContainerPort]) -> Option<ProbeAction> {
    const SCHEMES: &[(&str, HttpScheme)] =
        &[("HTTP", HttpScheme::Http), ("HTTPS", HttpScheme::Https)];
    let path = action.field("path").and_then(|value| {
        let path = value.text()?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            value.fail("must be printable ASCII characters without spaces");
        }
        // Kubernetes puts a missing slash there itself.
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(format!("{slash}{path}"))
    });
    let scheme = action.field("scheme").and_then(|value| value.one_of(SCHEMES));
    let headers = action.field("httpHeaders").map(|value| value.each(read_header));
    let host = read_host(action);
    Some(ProbeAction::HttpGet {
        scheme: scheme.unwrap_or(HttpScheme::Http),
        host,
        port: read_port(action, ports)?,
        path: path.unwrap_or_else(|| "/".to_owned()),
        headers: headers.unwrap_or_default(),
    })
}

fn read_header(item: Value<'_>) -> Option<(String, String)> {
    let header = item.object()?;
    let name_value = header.field("name")?;
    let name = name_value.text()?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        name_value.fail(format!("{} is not the name of an HTTP header", name_value.quote(name)));
    }
    let text_value = header.field("value")?;
    let text = text_value.text()?;
    if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        text_value.fail("must be printable ASCII characters");
    }
    Some((name.to_owned(), text.to_owned()))
}

fn read_host(action: &Object<'_>) -> Option<String> {
    let value = action.field("host")?;
    let host = value.text()?;
    if host.is_empty() {
        return None;
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)) {
        value.fail(format!("{} is not the name or address of a host", value.quote(host)));
    }
    Some(host.to_owned())
}

/// The port, which the container must have when it is given by name.
fn read_port(action: &Object<'_>, ports: &[ContainerPort]) -> Option<PortRef> {
    let value = action.field("port")?;
    let port = read_port_ref(&value)?;
    if let PortRef::Name(name) = &port
        && !ports.iter().any(|port| port.name == *name)
    {
        let known: Vec<&str> =
            ports.iter().map(|port| port.name.as_str()).filter(|name| !name.is_empty()).collect();
        let hint = if known.is_empty() {
            "name the port in the container's ports".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        value.fail_with(format!("the container has no port named {}", value.quote(name)), hint);
    }
    Some(port)
}
