//! What is done when a container begins and before it ends.

use dugout_model::{ContainerLifecycle, LifecycleHandler};

use super::container::read_texts;
use super::deployment::{INT32_MAX, seconds};
use super::probe::{read_host, read_http_get};
use super::service::read_port_ref;
use crate::reader::{Object, Value};

/// Absent where it says nothing.
pub(super) fn read(value: &Value<'_>) -> Option<Box<ContainerLifecycle>> {
    let lifecycle = value.object()?;
    let handler = |name| lifecycle.field(name).and_then(|value| read_handler(&value.object()?));
    let read = ContainerLifecycle {
        post_start: handler("postStart"),
        pre_stop: handler("preStop"),
        stop_signal: lifecycle
            .field("stopSignal")
            .and_then(|value| value.text())
            .filter(|signal| !signal.is_empty())
            .map(str::to_owned),
    };
    (read != ContainerLifecycle::default()).then(|| Box::new(read))
}

fn read_handler(handler: &Object<'_>) -> Option<LifecycleHandler> {
    if let Some(value) = handler.field("exec") {
        let command = read_texts(&value.object()?.field("command")?);
        return Some(LifecycleHandler::Exec { command });
    }
    if let Some(value) = handler.field("httpGet") {
        return read_http_get(&value.object()?).map(LifecycleHandler::HttpGet);
    }
    if let Some(value) = handler.field("tcpSocket") {
        let socket = value.object()?;
        let host = read_host(&socket);
        let port = read_port_ref(&socket.field("port")?)?;
        return Some(LifecycleHandler::TcpSocket { host, port });
    }
    let sleep = handler.field("sleep")?.object()?;
    Some(LifecycleHandler::Sleep(seconds(sleep.field("seconds")?.u32(0, INT32_MAX)?)))
}
