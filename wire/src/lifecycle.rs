//! What is done beside a container when it begins and before it ends.

use std::time::Duration;

use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::probe::{HttpGetAction, PortRef};
use crate::template::micros;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerLifecycle {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_start: Option<LifecycleHandler>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<LifecycleHandler>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LifecycleHandler {
    Exec {
        command: Vec<String>,
    },
    HttpGet(HttpGetAction),
    TcpSocket {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        port: PortRef,
    },
    #[serde(rename_all = "camelCase")]
    Sleep {
        time_micros: u64,
    },
}

impl From<&model::ContainerLifecycle> for ContainerLifecycle {
    fn from(value: &model::ContainerLifecycle) -> Self {
        let model::ContainerLifecycle { post_start, pre_stop, stop_signal } = value;
        Self {
            post_start: post_start.as_ref().map(Into::into),
            pre_stop: pre_stop.as_ref().map(Into::into),
            stop_signal: stop_signal.clone(),
        }
    }
}

impl From<ContainerLifecycle> for model::ContainerLifecycle {
    fn from(value: ContainerLifecycle) -> Self {
        let ContainerLifecycle { post_start, pre_stop, stop_signal } = value;
        Self {
            post_start: post_start.map(Into::into),
            pre_stop: pre_stop.map(Into::into),
            stop_signal,
        }
    }
}

impl From<&model::LifecycleHandler> for LifecycleHandler {
    fn from(value: &model::LifecycleHandler) -> Self {
        match value {
            model::LifecycleHandler::Exec { command } => Self::Exec { command: command.clone() },
            model::LifecycleHandler::HttpGet(action) => Self::HttpGet(action.into()),
            model::LifecycleHandler::TcpSocket { host, port } => {
                Self::TcpSocket { host: host.clone(), port: port.into() }
            }
            model::LifecycleHandler::Sleep(time) => Self::Sleep { time_micros: micros(*time) },
        }
    }
}

impl From<LifecycleHandler> for model::LifecycleHandler {
    fn from(value: LifecycleHandler) -> Self {
        match value {
            LifecycleHandler::Exec { command } => Self::Exec { command },
            LifecycleHandler::HttpGet(action) => Self::HttpGet(action.into()),
            LifecycleHandler::TcpSocket { host, port } => {
                Self::TcpSocket { host, port: port.into() }
            }
            LifecycleHandler::Sleep { time_micros } => {
                Self::Sleep(Duration::from_micros(time_micros))
            }
        }
    }
}
