//! What is done beside a container when it begins and before it ends, and how it is told to end.

use std::time::Duration;

use crate::{HttpGetAction, PortRef};

/// A container's `lifecycle`, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContainerLifecycle {
    /// Run once right after the start. The container counts as running when this has ended; where it
    /// fails, the container is stopped and has failed.
    pub post_start: Option<LifecycleHandler>,
    /// Run before the stop signal, within the grace period. Where it fails, the stop goes on.
    pub pre_stop: Option<LifecycleHandler>,
    /// The name of a signal, as `SIGQUIT`; without one that of the image.
    pub stop_signal: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleHandler {
    /// Has failed where the command does not end with code 0.
    Exec {
        command: Vec<String>,
    },
    /// Has failed where no answer comes; its status does not matter.
    HttpGet(HttpGetAction),
    /// Kubernetes takes it and fails it each time that it is to run.
    TcpSocket {
        host: Option<String>,
        port: PortRef,
    },
    Sleep(Duration),
}
