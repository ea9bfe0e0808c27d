//! Sessions with containers: `exec` and `attach`, as Kubernetes offers them to its clients, and archives
//! of their files.
//!
//! A WebSocket with Kubernetes' subprotocol carries them. Its messages are the node's and the client's
//! own; here they are only passed on, so that each side slows the other, and bounded in time.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, FromRequestParts, Path, Request, State};
use axum::http::header::{FORWARDED, HeaderName, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use dugout_model::{Input, NamespaceName, ObjectName, Output, World};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Deserialize;
use tokio::time::Instant;

use crate::backend::{ArchiveAction, Session, SessionKind, SessionRequest, SessionStreams};
use crate::failure::{Failure, Reason};
use crate::logs::container;
use crate::operations::must_lead;
use crate::query::parameters;
use crate::routes::Api;

/// The subprotocols, best first: the fourth of Kubernetes cannot say that standard input has ended.
const SUBPROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The channel of a session's last message, which is a `Status`.
const STATUS_CHANNEL: u8 = 3;
/// The largest message.
const MESSAGE_BYTES: usize = 1 << 20;
/// Of each direction; more is read and written piece by piece.
const BUFFER_BYTES: usize = 16 << 10;
/// How long a session may be without a byte in either direction, as the kubelet has it.
const LONGEST_SILENCE: Duration = Duration::from_secs(4 * 60 * 60);
/// How much of what a client says of itself is written down.
const LONGEST_CLAIM: usize = 256;
/// How long a client may take over a refusal and its own farewell.
const FAREWELL: Duration = Duration::from_secs(5);
/// As much after a session: a client that was halted has not read the last bytes yet.
const LAST_BYTES: Duration = LONGEST_SILENCE;

/// The routes, without their guard.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/namespaces/{namespace}/pods/{name}/exec", get(exec).post(exec))
        .route("/api/v1/namespaces/{namespace}/pods/{name}/attach", get(attach).post(attach))
        .route("/apis/dugout.dev/v1/namespaces/{namespace}/pods/{name}/archive", get(archive))
}

type Place = Path<(String, String)>;

async fn exec(State(api): State<Api>, place: Place, request: Request) -> Result<Response, Failure> {
    let asked = Asked::parse(request.uri())?;
    if asked.command.is_empty() {
        return Err(Failure::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let kind = SessionKind::Exec { command: asked.command.clone(), streams: asked.streams };
    open(&api, place, request, asked.container, kind).await
}

async fn attach(
    State(api): State<Api>,
    place: Place,
    request: Request,
) -> Result<Response, Failure> {
    let asked = Asked::parse(request.uri())?;
    open(&api, place, request, asked.container, SessionKind::Attach { streams: asked.streams })
        .await
}

/// What `dugout cp` sends.
#[derive(Clone, Debug, Deserialize)]
struct ArchiveParameters {
    #[serde(default)]
    container: String,
    action: String,
    path: String,
}

async fn archive(
    State(api): State<Api>,
    place: Place,
    request: Request,
) -> Result<Response, Failure> {
    let ArchiveParameters { container, action, path } = parameters(request.uri())?;
    let action = match action.as_str() {
        "look" => ArchiveAction::Look,
        "read" => ArchiveAction::Read,
        "write" => ArchiveAction::Write,
        other => {
            let sentence = format!("action is look, read or write, not '{other}'");
            return Err(Failure::bad_request(sentence));
        }
    };
    if path.is_empty() || path.contains('\0') {
        return Err(Failure::bad_request("path is the file or folder in the container"));
    }
    open(&api, place, request, container, SessionKind::Archive { action, path }).await
}

/// What `kubectl exec` and `kubectl attach` may send.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    container: String,
    command: Vec<String>,
    streams: SessionStreams,
}

impl Asked {
    fn parse(uri: &Uri) -> Result<Self, Failure> {
        let given: Vec<(String, String)> = parameters(uri)?;
        let mut container = String::new();
        let mut command = Vec::new();
        let mut streams = SessionStreams::default();
        for (name, value) in given {
            match name.as_str() {
                "container" => container = value,
                "command" => command.push(value),
                "stdin" => streams.stdin = yes(&name, &value)?,
                "stdout" => streams.stdout = yes(&name, &value)?,
                "stderr" => streams.stderr = yes(&name, &value)?,
                "tty" => streams.tty = yes(&name, &value)?,
                _ => {}
            }
        }
        if !(streams.stdin || streams.stdout || streams.stderr) {
            return Err(Failure::bad_request(
                "you must specify at least one of stdin, stdout, stderr",
            ));
        }
        // A terminal has no second output.
        streams.stderr &= !streams.tty;
        Ok(Self { container, command, streams })
    }
}

fn yes(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(Failure::bad_request(format!("{name} is true or false, not '{value}'"))),
    }
}

async fn open(
    api: &Api,
    Path((namespace, name)): Place,
    request: Request,
    named: String,
    kind: SessionKind,
) -> Result<Response, Failure> {
    let backend = api.backend();
    must_lead(backend)?;
    let (namespace, name) = (NamespaceName::new(namespace), ObjectName::new(name));
    let asked = find(&backend.world(), &namespace, &name, named, kind)?;
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = negotiated(upgrade, &parts.method)?;
    let place = api.gate().session()?;
    note(&asked, &namespace, &name, &Asker::of(&parts));
    let upgrade = upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES);
    match backend.session(asked).await {
        Ok(session) => Ok(upgrade.on_upgrade(|socket| async move {
            relay(socket, session).await;
            drop(place);
        })),
        // A client whose upgrade is refused tries another protocol, and would tell of that.
        Err(error) => {
            let message = failed(Failure::from(error));
            Ok(upgrade.on_upgrade(|socket| async move {
                let (mut to_client, mut from_client) = socket.split();
                bid_farewell(&mut to_client, &mut from_client, Some(message), FAREWELL).await;
            }))
        }
    }
}

/// Who asks, as far as one can tell.
struct Asker {
    /// The address that called: the client's, or that of the proxy before this server.
    address: String,
    /// Whom the proxy says it called for. Anybody may write that, so it stands beside the address.
    forwarded_for: String,
    user_agent: String,
}

impl Asker {
    fn of(parts: &Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        let said = |name: HeaderName| {
            let values = parts.headers.get_all(name).iter();
            let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
            texts.join(", ").chars().take(LONGEST_CLAIM).collect::<String>()
        };
        let forwarded = said(HeaderName::from_static("x-forwarded-for"));
        Self {
            address: peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string()),
            forwarded_for: if forwarded.is_empty() { said(FORWARDED) } else { forwarded },
            user_agent: said(USER_AGENT),
        }
    }
}

/// Who does what where: of a command its program alone, for arguments may be secret.
fn note(asked: &SessionRequest, namespace: &NamespaceName, pod: &ObjectName, asker: &Asker) {
    let Asker { address: operator, forwarded_for, user_agent } = asker;
    let container = &asked.container;
    match &asked.kind {
        SessionKind::Exec { command, .. } => {
            let program = command.first().map_or("", String::as_str);
            tracing::info!(
                operator, forwarded_for, user_agent, %namespace, %pod, container, program, "exec"
            );
        }
        SessionKind::Attach { streams } => {
            tracing::info!(
                operator, forwarded_for, user_agent, %namespace, %pod, container, stdin = streams.stdin, "attach"
            );
        }
        SessionKind::Archive { action: ArchiveAction::Look, .. } => {}
        SessionKind::Archive { action, path } => {
            tracing::info!(
                operator, forwarded_for, user_agent, %namespace, %pod, container, ?action, path, "copy"
            );
        }
    }
}

fn find(
    world: &World,
    namespace: &NamespaceName,
    name: &ObjectName,
    named: String,
    kind: SessionKind,
) -> Result<SessionRequest, Failure> {
    let pod = world
        .pods
        .values()
        .find(|pod| pod.namespace == *namespace && pod.name == *name)
        .ok_or_else(|| Failure::object_not_found("pods", name.as_str()))?;
    let container = container(world, pod, named)?;
    if pod.node().is_none() {
        return Err(Failure::bad_request(format!(
            "container \"{container}\" in pod \"{name}\" is waiting to start: the pod has no node yet"
        )));
    }
    if let SessionKind::Attach { streams } = &kind {
        let template = world.replica_set_of(pod).map(|set| &set.template);
        let declared = template
            .and_then(|template| template.all_containers().find(|one| one.name == container))
            .map(|one| one.streams)
            .unwrap_or_default();
        let missing = match (declared.input, declared.output) {
            (Input::Closed, _) if streams.stdin => Some("stdin"),
            (_, Output::Streams) if streams.tty => Some("tty"),
            _ => None,
        };
        if let Some(field) = missing {
            return Err(Failure::bad_request(format!(
                "container {container} of pod {name} has no {field}; commit '{field}: true' to its \
                 manifest, or attach without"
            )));
        }
    }
    Ok(SessionRequest { pod: pod.uid, container, kind })
}

/// The upgrade with the best subprotocol that both sides speak.
fn negotiated(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    method: &Method,
) -> Result<WebSocketUpgrade, Failure> {
    let sentence = "this is offered over a WebSocket alone, with the subprotocol v5.channel.k8s.io \
         or v4.channel.k8s.io: use 'dugout', or kubectl 1.31 or newer";
    let upgrade = upgrade.map_err(|_| Failure::bad_request(sentence))?.protocols(SUBPROTOCOLS);
    match upgrade.selected_protocol() {
        Some(_) if *method == Method::GET => Ok(upgrade),
        _ => Err(Failure::bad_request(sentence)),
    }
}

/// The last message of a session that could not be carried to its end.
fn failed(failure: Failure) -> Message {
    let status: Status = failure.status();
    let mut message = vec![STATUS_CHANNEL];
    // A status is plain data, which JSON always has a form for.
    message.extend(serde_json::to_vec(&status).unwrap_or_default());
    Message::Binary(message.into())
}

/// How a session ended for this server.
enum Ended {
    /// The node has said so.
    ByNode,
    ByClient,
    /// Somebody else has to say so.
    Early(Failure),
}

async fn relay(socket: WebSocket, session: Session) {
    let (mut to_client, mut from_client) = socket.split();
    let Session { incoming, outgoing } = session;
    let activity = Activity::default();
    let ended = tokio::select! {
        ended = to_the_client(incoming, &mut to_client, &activity) => ended,
        () = to_the_node(&mut from_client, outgoing, &activity) => Ended::ByClient,
        () = activity.silence() => Ended::Early(Failure::new(
            Reason::Timeout,
            format!("nothing was said for {} hours", LONGEST_SILENCE.as_secs() / 3600),
        )),
    };
    let last = match ended {
        Ended::ByNode => None,
        Ended::ByClient => return,
        Ended::Early(failure) => Some(failed(failure)),
    };
    bid_farewell(&mut to_client, &mut from_client, last, LAST_BYTES).await;
}

async fn to_the_client(
    mut from: tokio::sync::mpsc::Receiver<Bytes>,
    to: &mut SplitSink<WebSocket, Message>,
    activity: &Activity,
) -> Ended {
    while let Some(bytes) = from.recv().await {
        let last = bytes.first() == Some(&STATUS_CHANNEL);
        if bytes.len() > 1 {
            activity.note();
        }
        if to.send(Message::Binary(bytes)).await.is_err() {
            return Ended::ByClient;
        }
        if last {
            return Ended::ByNode;
        }
    }
    Ended::Early(Failure::new(
        Reason::InternalError,
        "the connection to the node's agent ended; what was run there may go on",
    ))
}

async fn to_the_node(
    from: &mut SplitStream<WebSocket>,
    to: tokio::sync::mpsc::Sender<Bytes>,
    activity: &Activity,
) {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(bytes) => {
                activity.note();
                if to.send(bytes).await.is_err() {
                    // The node is gone, and whoever listens to it learns it as well.
                    std::future::pending::<()>().await;
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Text(_) | Message::Close(_) => return,
        }
    }
}

/// Ends a connection so that the last message arrives: one that is dropped with bytes unread is reset.
async fn bid_farewell(
    to: &mut SplitSink<WebSocket, Message>,
    from: &mut SplitStream<WebSocket>,
    last: Option<Message>,
    patience: Duration,
) {
    let farewell = async {
        if let Some(last) = last {
            to.send(last).await?;
        }
        let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
        to.send(Message::Close(Some(close))).await?;
        while let Some(Ok(_)) = from.next().await {}
        Ok::<(), axum::Error>(())
    };
    // A client that has gone meanwhile needs no farewell.
    let _ = tokio::time::timeout(patience, farewell).await;
}

/// When something was said last.
struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns when nothing was said for too long.
    async fn silence(&self) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let until = last + LONGEST_SILENCE;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Asked, String> {
        let uri: Uri = format!("/exec?{query}").parse().expect("a URI");
        Asked::parse(&uri).map_err(|failure| failure.message)
    }

    #[test]
    fn what_kubectl_asks_for_is_understood() {
        let asked = parse(
            "command=sh&command=-c&command=echo+a%26b&container=web&stdin=true&stdout=true&tty=true&stderr=true&x=y",
        );
        let streams = SessionStreams { stdin: true, stdout: true, stderr: false, tty: true };
        let command = ["sh", "-c", "echo a&b"].map(str::to_owned).to_vec();
        assert_eq!(asked, Ok(Asked { container: "web".into(), command, streams }));
        assert!(parse("stdout=perhaps").is_err_and(|why| why.contains("stdout is true or false")));
        for nothing in ["command=ls", "command=ls&stdout=false"] {
            assert!(parse(nothing).is_err_and(|why| why.contains("at least one of")), "{nothing}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_byte() {
        let activity = Activity::default();
        let began = Instant::now();
        let later = async {
            tokio::time::sleep(LONGEST_SILENCE / 2).await;
            activity.note();
        };
        tokio::join!(activity.silence(), later);
        assert_eq!(began.elapsed(), LONGEST_SILENCE / 2 * 3);
    }
}
