//! Probes.

use dugout_model::{HttpGetAction, HttpScheme, Probe, ProbeAction};

use super::container::read_texts;
use super::deployment::{INT32_MAX, seconds};
use super::service::read_port_ref;
use crate::reader::{Object, Value};

pub(super) fn read(value: &Value<'_>) -> Option<Box<Probe>> {
    let probe = value.object()?;
    // Kubernetes takes zero for "not set" in all of them but the first.
    let number = |name, default| {
        probe
            .field(name)
            .filter(|value| !value.is_zero())
            .and_then(|value| value.u32(1, INT32_MAX))
            .unwrap_or(default)
    };
    let initial_delay =
        probe.field("initialDelaySeconds").and_then(|value| value.u32(0, INT32_MAX)).unwrap_or(0);
    Some(Box::new(Probe {
        initial_delay: seconds(initial_delay),
        period: seconds(number("periodSeconds", 10)),
        timeout: seconds(number("timeoutSeconds", 1)),
        success_threshold: number("successThreshold", 1),
        failure_threshold: number("failureThreshold", 3),
        termination_grace: probe
            .field("terminationGracePeriodSeconds")
            .and_then(|value| value.u32(1, INT32_MAX))
            .map(seconds),
        action: read_action(&probe)?,
    }))
}

fn read_action(probe: &Object<'_>) -> Option<ProbeAction> {
    if let Some(value) = probe.field("httpGet") {
        return read_http_get(&value.object()?).map(ProbeAction::HttpGet);
    }
    if let Some(value) = probe.field("grpc") {
        let grpc = value.object()?;
        let service = grpc.field("service").and_then(|value| value.text()).unwrap_or_default();
        let service = service.to_owned();
        return Some(ProbeAction::Grpc { port: grpc.field("port")?.port()?, service });
    }
    if let Some(value) = probe.field("tcpSocket") {
        let socket = value.object()?;
        let host = read_host(&socket);
        return Some(ProbeAction::TcpSocket { host, port: read_port_ref(&socket.field("port")?)? });
    }
    let exec = probe.field("exec")?.object()?;
    Some(ProbeAction::Exec { command: read_texts(&exec.field("command")?) })
}

pub(super) fn read_http_get(action: &Object<'_>) -> Option<HttpGetAction> {
    const SCHEMES: &[(&str, HttpScheme)] =
        &[("HTTP", HttpScheme::Http), ("HTTPS", HttpScheme::Https)];
    let path = action.field("path").and_then(|value| value.text()).map(|path| {
        // Kubernetes puts a missing slash there itself.
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{slash}{path}")
    });
    let scheme = action.field("scheme").and_then(|value| value.one_of(SCHEMES));
    let headers = action.field("httpHeaders").map(|value| value.each(read_header));
    let host = read_host(action);
    Some(HttpGetAction {
        scheme: scheme.unwrap_or(HttpScheme::Http),
        host,
        port: read_port_ref(&action.field("port")?)?,
        path: path.unwrap_or_else(|| "/".to_owned()),
        headers: headers.unwrap_or_default(),
    })
}

fn read_header(item: Value<'_>) -> Option<(String, String)> {
    let header = item.object()?;
    let name = header.field("name")?.text()?.to_owned();
    Some((name, header.field("value")?.text()?.to_owned()))
}

pub(super) fn read_host(action: &Object<'_>) -> Option<String> {
    let host = action.field("host")?.text()?;
    (!host.is_empty()).then(|| host.to_owned())
}
