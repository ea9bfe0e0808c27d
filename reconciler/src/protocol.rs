//! The agent protocol's server: agents register, wait for their assignment, report, and serve
//! streams. Every request carries a join token.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dugout_model::{Fact, NodeName, Turn};
use dugout_wire::{self as wire, ErrorBody, paths};
use futures_util::StreamExt;
use uuid::Uuid;

use crate::handle::{EngineHandle, NotCommitted};
use crate::metrics::ProtocolMetrics;
use crate::publish::Publisher;
use crate::sessions;
use crate::streams::{StreamBroker, StreamRefused};
use crate::tokens::{TokenCheck, Tokens};

/// How long agents are told to let a long-poll wait.
const POLL_WAIT: Duration = Duration::from_secs(25);

/// How often an agent reports at least, as a share of the node timeout.
const REPORTS_PER_TIMEOUT: u32 = 5;

/// How long an agent may take to send a message and have it committed.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(30);

/// The largest sentence with which an agent may refuse a stream.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

#[derive(Clone)]
pub struct Protocol {
    pub engine: EngineHandle,
    pub publisher: Arc<Publisher>,
    pub streams: StreamBroker,
    pub tokens: Tokens,
    pub metrics: ProtocolMetrics,
    pub node_timeout: Duration,
    /// Set at the first report that is committed.
    pub reported: Arc<tokio::sync::watch::Sender<bool>>,
}

/// Why an agent's request was refused.
enum Refusal {
    UnknownNode,
    NameTaken { name: NodeName },
    NotUnderstood(String),
    NotCommitted(NotCommitted),
    StreamGone,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::UnknownNode => refuse(
                StatusCode::NOT_FOUND,
                "this node is not registered here, or another agent took its name: register",
            ),
            Refusal::NameTaken { name } => refuse(
                StatusCode::CONFLICT,
                format!(
                    "another agent is alive under the name {name}; give this one another with --name"
                ),
            ),
            Refusal::NotUnderstood(why) => refuse(StatusCode::BAD_REQUEST, why),
            Refusal::NotCommitted(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
            Refusal::StreamGone => {
                refuse(StatusCode::NOT_FOUND, "nobody waits for this stream any more")
            }
        }
    }
}

fn refuse(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(ErrorBody { message: message.into() })).into_response()
}

/// The routes under `/agent/v1`. Serve them with connection information, or all callers count as one.
pub fn router(protocol: Protocol) -> Router {
    let register = post(register).layer(DefaultBodyLimit::max(wire::MAX_REGISTRATION_BYTES));
    let report = post(report).layer(DefaultBodyLimit::max(wire::MAX_REPORT_BYTES));
    // A log that is followed has no largest size; it is passed on piece by piece.
    let stream = post(stream).layer(DefaultBodyLimit::disable());
    Router::new()
        .route(paths::REGISTER_ROUTE, register)
        .route(paths::REPORT_ROUTE, report)
        .layer(middleware::from_fn(within_deadline))
        .route(paths::ASSIGNMENT_ROUTE, get(assignment))
        .route(paths::STREAMS_ROUTE, get(next_stream))
        .route(paths::STREAM_ROUTE, stream)
        .route(paths::SESSION_ROUTE, get(session))
        .layer(middleware::from_fn_with_state(protocol.clone(), authenticate))
        .with_state(protocol)
}

/// No request without a join token reaches a handler.
async fn authenticate(State(protocol): State<Protocol>, request: Request, next: Next) -> Response {
    let Some(token) = bearer(request.headers()) else {
        protocol.metrics.token_refused("missing");
        return refuse(StatusCode::UNAUTHORIZED, "a join token is needed: Authorization: Bearer …");
    };
    match protocol.tokens.check(token, peer_of(&request)).await {
        TokenCheck::Good if speaks_our_version(request.headers()) => next.run(request).await,
        TokenCheck::Good => refuse(
            StatusCode::UPGRADE_REQUIRED,
            format!(
                "this server speaks version {} of the agent protocol; run an agent of its release",
                wire::PROTOCOL_VERSION
            ),
        ),
        TokenCheck::Bad => {
            protocol.metrics.token_refused("wrong");
            refuse(
                StatusCode::UNAUTHORIZED,
                "this join token is not valid here; make one with `dugout token create`",
            )
        }
        TokenCheck::TooMany(wait) => {
            protocol.metrics.token_refused("too-many");
            come_back(wait)
        }
        TokenCheck::CannotTell => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the token cannot be checked while the database does not answer; try again",
        ),
    }
}

/// Refuses without looking at the token: whole seconds, and at least one.
fn come_back(wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1_000).max(1).to_string();
    let message = format!(
        "too many join tokens that are not valid came from your address, or from all together; \
         come back in {seconds} s"
    );
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, message);
    if let Ok(seconds) = seconds.parse() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn peer_of(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// Ends a request whose body comes too slowly.
async fn within_deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(MESSAGE_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refuse(
            StatusCode::REQUEST_TIMEOUT,
            format!("the message did not come within {} s", MESSAGE_DEADLINE.as_secs()),
        ),
    }
}

fn speaks_our_version(headers: &HeaderMap) -> bool {
    headers.get(wire::PROTOCOL_HEADER).is_some_and(|version| version == wire::PROTOCOL_VERSION_TEXT)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

async fn register(
    State(protocol): State<Protocol>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, Refusal> {
    let registration = parse::<wire::Registration>(&body)?.into_model(node_name(&name)?)?;
    let world = protocol.publisher.world();
    if let Some(known) = world.nodes.get(&registration.name)
        && known.instance != registration.instance
        && known.is_ready()
    {
        return Err(Refusal::NameTaken { name: registration.name });
    }
    protocol
        .engine
        .submit(vec![Fact::NodeJoined(registration)])
        .await
        .map_err(Refusal::NotCommitted)?;
    let answer = wire::Registered {
        cluster: world.cluster.0,
        report_interval_ms: millis(protocol.node_timeout / REPORTS_PER_TIMEOUT),
        poll_wait_ms: millis(POLL_WAIT),
    };
    Ok(axum::Json(answer).into_response())
}

async fn assignment(
    State(protocol): State<Protocol>,
    Path(name): Path<String>,
    Query(query): Query<wire::AssignmentQuery>,
) -> Result<Response, Refusal> {
    let node = node_name(&name)?;
    known(&protocol, &node, &query.instance)?;
    let mut generation = protocol.publisher.generation(&node).ok_or(Refusal::UnknownNode)?;
    let held = query.held.map(Turn);
    let differs = generation.wait_for(|current| Some(*current) != held);
    let wait = Duration::from_millis(query.wait_ms.min(wire::MAX_WAIT_MS));
    if !matches!(tokio::time::timeout(wait, differs).await, Ok(Ok(_))) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let world = protocol.publisher.world();
    let assignment = dugout_planner::assignment(&world, &node).ok_or(Refusal::UnknownNode)?;
    Ok(axum::Json(wire::Assignment::from(&assignment)).into_response())
}

async fn report(
    State(protocol): State<Protocol>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<StatusCode, Refusal> {
    let report = parse::<wire::Report>(&body)?.into_model(node_name(&name)?)?;
    known(&protocol, &report.node, &report.instance)?;
    protocol
        .engine
        .submit(vec![Fact::Report(Box::new(report))])
        .await
        .map_err(Refusal::NotCommitted)?;
    protocol.reported.send_if_modified(|reported| !std::mem::replace(reported, true));
    Ok(StatusCode::NO_CONTENT)
}

async fn next_stream(
    State(protocol): State<Protocol>,
    Path(name): Path<String>,
    Query(query): Query<wire::StreamsQuery>,
) -> Result<Response, Refusal> {
    let node = node_name(&name)?;
    known(&protocol, &node, &query.instance)?;
    let wait = Duration::from_millis(query.wait_ms.min(wire::MAX_WAIT_MS));
    match protocol.streams.next(&node, wait).await {
        Some(request) => Ok(axum::Json(request).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn stream(
    State(protocol): State<Protocol>,
    Path(id): Path<Uuid>,
    Query(query): Query<wire::StreamQuery>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    if query.status == wire::StreamStatus::Error
        && let Some(mut answer) = protocol.streams.refuse_session(id)
    {
        let sentence = tokio::select! {
            () = answer.closed() => return Err(Refusal::StreamGone),
            sentence = sentence_of(body) => sentence,
        };
        // A client that has gone needs no answer.
        let _ = answer.send(Err(StreamRefused::ByNode { sentence }));
        return Ok(StatusCode::NO_CONTENT);
    }
    let chunks = protocol.streams.claim(id).ok_or(Refusal::StreamGone)?;
    if query.status == wire::StreamStatus::Error {
        let sentence = tokio::select! {
            () = chunks.closed() => return Err(Refusal::StreamGone),
            sentence = sentence_of(body) => sentence,
        };
        // A reader that has gone needs no answer.
        let _ = chunks.send(Err(StreamRefused::ByNode { sentence })).await;
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut pieces = body.into_data_stream();
    loop {
        // A reader that goes away ends the agent's post, also while no byte flows.
        let piece = tokio::select! {
            () = chunks.closed() => return Err(Refusal::StreamGone),
            piece = pieces.next() => piece,
        };
        match piece {
            Some(Ok(bytes)) => chunks.send(Ok(bytes)).await.map_err(|_| Refusal::StreamGone)?,
            Some(Err(_)) | None => return Ok(StatusCode::NO_CONTENT),
        }
    }
}

async fn session(
    State(protocol): State<Protocol>,
    Path(id): Path<Uuid>,
    request: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let session = protocol.streams.claim_session(id).ok_or(Refusal::StreamGone)?;
    Ok(sessions::upgrade(request, session, protocol.metrics.sessions.clone()))
}

/// Why an agent refuses a stream, if it comes whole and in time.
async fn sentence_of(body: Body) -> String {
    let sentence = axum::body::to_bytes(body, REFUSAL_BYTES_MAX);
    match tokio::time::timeout(MESSAGE_DEADLINE, sentence).await {
        Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(Err(_)) | Err(_) => "the node's agent refused, and why did not arrive".to_owned(),
    }
}

/// Refuses an agent whose name is not registered, or is registered for another instance.
fn known(protocol: &Protocol, node: &NodeName, instance: &str) -> Result<(), Refusal> {
    let world = protocol.publisher.world();
    match world.nodes.get(node) {
        Some(row) if row.instance == instance => Ok(()),
        _ => {
            // A server that has not loaded anything yet, or stands by, cannot tell who is known.
            protocol.engine.refuse_unless_leading().map_err(Refusal::NotCommitted)?;
            Err(Refusal::UnknownNode)
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::NotUnderstood(format!("the message does not parse: {error}")))
}

fn node_name(text: &str) -> Result<NodeName, Refusal> {
    Ok(wire::parse_node_name(text)?)
}

impl From<wire::WireError> for Refusal {
    fn from(error: wire::WireError) -> Self {
        Refusal::NotUnderstood(error.to_string())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_stalls_is_not_waited_for_longer_than_any_message() {
        let stalled = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        let sentence = sentence_of(Body::from_stream(stalled));
        let sentence = tokio::time::timeout(MESSAGE_DEADLINE * 2, sentence).await;
        assert!(sentence.is_ok_and(|sentence| sentence.contains("did not arrive")));
    }
}
