//! What is done beside a container when it begins and before it ends.

use dugout_model::{ContainerLifecycle, LifecycleHandler};
use k8s_openapi::api::core::v1 as core;

use super::meta::{list, port, seconds};
use super::template::http_get;

pub(super) fn lifecycle(lifecycle: &ContainerLifecycle) -> core::Lifecycle {
    core::Lifecycle {
        post_start: lifecycle.post_start.as_ref().map(handler),
        pre_stop: lifecycle.pre_stop.as_ref().map(handler),
        stop_signal: lifecycle.stop_signal.clone(),
    }
}

fn handler(handler: &LifecycleHandler) -> core::LifecycleHandler {
    let mut result = core::LifecycleHandler::default();
    match handler {
        LifecycleHandler::Exec { command } => {
            result.exec = Some(core::ExecAction { command: list(command.clone()) });
        }
        LifecycleHandler::HttpGet(action) => result.http_get = Some(http_get(action)),
        LifecycleHandler::TcpSocket { host, port: number } => {
            result.tcp_socket =
                Some(core::TCPSocketAction { host: host.clone(), port: port(number) });
        }
        LifecycleHandler::Sleep(time) => {
            result.sleep = Some(core::SleepAction { seconds: seconds(*time) });
        }
    }
    result
}
