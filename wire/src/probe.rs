//! Probes, and the actions that they share with hooks.

use std::time::Duration;

use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::template::micros;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub action: ProbeAction,
    pub initial_delay_micros: u64,
    pub period_micros: u64,
    pub timeout_micros: u64,
    pub success_threshold: u32,
    pub failure_threshold: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_micros: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeAction {
    HttpGet(HttpGetAction),
    TcpSocket {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        port: PortRef,
    },
    Exec {
        command: Vec<String>,
    },
    Grpc {
        port: u16,
        service: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpGetAction {
    pub scheme: HttpScheme,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub port: PortRef,
    pub path: String,
    pub headers: Vec<Header>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpScheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PortRef {
    Number(u16),
    Name(String),
}

impl From<&model::Probe> for Probe {
    fn from(value: &model::Probe) -> Self {
        let model::Probe {
            action,
            initial_delay,
            period,
            timeout,
            success_threshold,
            failure_threshold,
            termination_grace,
        } = value;
        Self {
            action: action.into(),
            termination_grace_micros: termination_grace.map(micros),
            initial_delay_micros: micros(*initial_delay),
            period_micros: micros(*period),
            timeout_micros: micros(*timeout),
            success_threshold: *success_threshold,
            failure_threshold: *failure_threshold,
        }
    }
}

impl From<Probe> for model::Probe {
    fn from(value: Probe) -> Self {
        let Probe {
            action,
            initial_delay_micros,
            period_micros,
            timeout_micros,
            success_threshold,
            failure_threshold,
            termination_grace_micros,
        } = value;
        Self {
            action: action.into(),
            termination_grace: termination_grace_micros.map(Duration::from_micros),
            initial_delay: Duration::from_micros(initial_delay_micros),
            period: Duration::from_micros(period_micros),
            timeout: Duration::from_micros(timeout_micros),
            success_threshold,
            failure_threshold,
        }
    }
}

impl From<&model::ProbeAction> for ProbeAction {
    fn from(value: &model::ProbeAction) -> Self {
        match value {
            model::ProbeAction::HttpGet(action) => Self::HttpGet(action.into()),
            model::ProbeAction::TcpSocket { host, port } => {
                Self::TcpSocket { host: host.clone(), port: port.into() }
            }
            model::ProbeAction::Exec { command } => Self::Exec { command: command.clone() },
            model::ProbeAction::Grpc { port, service } => {
                Self::Grpc { port: *port, service: service.clone() }
            }
        }
    }
}

impl From<ProbeAction> for model::ProbeAction {
    fn from(value: ProbeAction) -> Self {
        match value {
            ProbeAction::HttpGet(action) => Self::HttpGet(action.into()),
            ProbeAction::TcpSocket { host, port } => Self::TcpSocket { host, port: port.into() },
            ProbeAction::Exec { command } => Self::Exec { command },
            ProbeAction::Grpc { port, service } => Self::Grpc { port, service },
        }
    }
}

impl From<&model::HttpGetAction> for HttpGetAction {
    fn from(value: &model::HttpGetAction) -> Self {
        let model::HttpGetAction { scheme, host, port, path, headers } = value;
        Self {
            scheme: (*scheme).into(),
            host: host.clone(),
            port: port.into(),
            path: path.clone(),
            headers: headers
                .iter()
                .map(|(name, value)| Header { name: name.clone(), value: value.clone() })
                .collect(),
        }
    }
}

impl From<HttpGetAction> for model::HttpGetAction {
    fn from(value: HttpGetAction) -> Self {
        let HttpGetAction { scheme, host, port, path, headers } = value;
        Self {
            scheme: scheme.into(),
            host,
            port: port.into(),
            path,
            headers: headers.into_iter().map(|Header { name, value }| (name, value)).collect(),
        }
    }
}

impl From<model::HttpScheme> for HttpScheme {
    fn from(value: model::HttpScheme) -> Self {
        match value {
            model::HttpScheme::Http => HttpScheme::Http,
            model::HttpScheme::Https => HttpScheme::Https,
        }
    }
}

impl From<HttpScheme> for model::HttpScheme {
    fn from(value: HttpScheme) -> Self {
        match value {
            HttpScheme::Http => model::HttpScheme::Http,
            HttpScheme::Https => model::HttpScheme::Https,
        }
    }
}

impl From<&model::PortRef> for PortRef {
    fn from(value: &model::PortRef) -> Self {
        match value {
            model::PortRef::Number(number) => PortRef::Number(*number),
            model::PortRef::Name(name) => PortRef::Name(name.clone()),
        }
    }
}

impl From<PortRef> for model::PortRef {
    fn from(value: PortRef) -> Self {
        match value {
            PortRef::Number(number) => model::PortRef::Number(number),
            PortRef::Name(name) => model::PortRef::Name(name),
        }
    }
}
