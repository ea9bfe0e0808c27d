//! The client's side of HTTP: requests to a server, and errors that say what to do.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use dugout_api::Table;
use reqwest::header::{
    ACCEPT, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE, WARNING,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Upgraded, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::arguments::ClientArguments;
use crate::data_dir::DataDir;
use crate::output::complain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the server's own bound, so that its sentence arrives.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// A server waits half a minute for the node.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(150);

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A connection to one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Token,
    /// Warnings of the server that were shown: the answers of one command may all carry the same.
    shown: Arc<Mutex<BTreeSet<String>>>,
}

/// The operator token, and how it came to us. One that was only found on this machine is sent to
/// this machine alone, and only where it is needed: it may be another server's.
#[derive(Clone)]
enum Token {
    Given(String),
    Found(String),
    Absent,
}

/// What a request needs the right for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Operate,
}

/// A mistake in how a command was called: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The server refused, with its own sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: u16,
    pub message: String,
}

/// The names between the slashes of a path.
pub type Segments<'a> = &'a [&'a str];
/// Names and values of a query.
pub type Query<'a> = &'a [(&'a str, String)];

impl Client {
    pub fn new(arguments: &ClientArguments) -> anyhow::Result<Self> {
        let base: Url = arguments
            .server
            .parse()
            .ok()
            .filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Usage(format!(
                    "'{}' is not a server's URL; give one as http://HOST:7300",
                    arguments.server
                ))
            })?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("dugout/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client cannot be made")?;
        Ok(Self { http, base, token: token(arguments)?, shown: Arc::default() })
    }

    /// Reads one JSON answer.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: Segments<'_>,
        query: Query<'_>,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::GET, path, query)?.timeout(READ_TIMEOUT);
        json(self.send(request).await?).await
    }

    /// Reads a list or one object as a table.
    pub async fn table(&self, path: Segments<'_>, query: Query<'_>) -> anyhow::Result<Table> {
        let request = self.request(Method::GET, path, query)?.timeout(READ_TIMEOUT);
        json(self.send(request.header(ACCEPT, TABLE)).await?).await
    }

    /// Opens a stream of bytes that may stay open for good.
    pub async fn stream(&self, path: Segments<'_>, query: Query<'_>) -> anyhow::Result<Response> {
        self.send(self.request(Method::GET, path, query)?).await
    }

    /// Opens a session with a container: bytes in both directions, framed as a WebSocket.
    pub async fn upgrade(&self, path: Segments<'_>, query: Query<'_>) -> anyhow::Result<Upgraded> {
        let key = generate_key();
        let request = self
            .request_as(Access::Operate, Method::GET, path, query)?
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_PROTOCOL, dugout_wire::SESSION_SUBPROTOCOL)
            .header(SEC_WEBSOCKET_KEY, &key);
        let answer = tokio::time::timeout(UPGRADE_TIMEOUT, request.send()).await;
        let response = answer
            .with_context(|| {
                format!("{} has not answered for {} s", self.base, UPGRADE_TIMEOUT.as_secs())
            })?
            .map_err(|error| self.unreachable(error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await.into());
        }
        let accept = derive_accept_key(key.as_bytes());
        if response.headers().get(SEC_WEBSOCKET_ACCEPT).is_none_or(|it| *it != accept) {
            bail!("what answers at {} is no Dugout server", self.base);
        }
        response.upgrade().await.context("the connection to the server broke")
    }

    /// Asks for an operation.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: Segments<'_>,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path, &[])?.timeout(OPERATION_TIMEOUT);
        json(self.send(request.json(body)).await?).await
    }

    /// What is not read is an operation.
    fn request(
        &self,
        method: Method,
        path: Segments<'_>,
        query: Query<'_>,
    ) -> anyhow::Result<RequestBuilder> {
        let access = if method == Method::GET { Access::Read } else { Access::Operate };
        self.request_as(access, method, path, query)
    }

    fn request_as(
        &self,
        access: Access,
        method: Method,
        path: Segments<'_>,
        query: Query<'_>,
    ) -> anyhow::Result<RequestBuilder> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => bail!("'{}' cannot have a path", self.base),
        }
        let request = self.http.request(method, url).query(query);
        Ok(match &self.token {
            Token::Given(token) => request.bearer_auth(token),
            Token::Found(token) if access == Access::Operate && self.is_local() => {
                request.bearer_auth(token)
            }
            Token::Found(_) | Token::Absent => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        for warning in response.headers().get_all(WARNING) {
            if let Ok(text) = warning.to_str() {
                self.warn(text.trim_start_matches("299 - ").trim_matches('"'));
            }
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await.into())
    }

    fn warn(&self, warning: &str) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.insert(warning.to_owned()) {
            complain!("Warning: {warning}");
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let base = self.base.as_str().trim_end_matches('/');
        let sentence = if error.is_timeout() {
            format!("the server at {base} does not answer in time")
        } else {
            format!(
                "no Dugout server answers at {base}: start one with 'dugout up', or name another \
                 with --server"
            )
        };
        // What lies between says in other words that a request was sent.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        anyhow::Error::msg(cause.to_string()).context(sentence)
    }

    fn is_local(&self) -> bool {
        let host = self.base.host_str().unwrap_or("").trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

fn token(arguments: &ClientArguments) -> anyhow::Result<Token> {
    if let Some(token) = std::env::var("DUGOUT_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Token::Given(token.trim().to_owned()));
    }
    if let Some(path) = &arguments.token_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the token file {} cannot be read", path.display()))?;
        return Ok(Token::Given(text.trim().to_owned()));
    }
    // It may well not be there, or not be ours to read: then we go without.
    let found = DataDir::choose(arguments.data_dir.as_deref())
        .ok()
        .and_then(|data_dir| std::fs::read_to_string(data_dir.operator_token()).ok());
    Ok(found.map_or(Token::Absent, |text| Token::Found(text.trim().to_owned())))
}

async fn json<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    response.json().await.context(
        "the server's answer is not what this program expects; do both have the same version?",
    )
}

async fn refused(response: Response) -> Refused {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let sentence = serde_json::from_str(&text)
        .ok()
        .and_then(|body: Value| body.get("message")?.as_str().map(str::to_owned));
    let message =
        sentence.unwrap_or_else(|| format!("the server answered {status}; is it a Dugout server?"));
    Refused { code: status.as_u16(), message }
}
