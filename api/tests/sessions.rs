//! Sessions with containers, asked for as clients ask.

#![allow(clippy::expect_used, clippy::panic, reason = "what a helper expects is part of the test")]
#![allow(dead_code, reason = "the support is shared")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use dugout_api::{Access, Backend, Leading, Limits, router};
use dugout_model::SecretValue;
use futures_util::{SinkExt as _, StreamExt as _};
use support::Fake;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const TOKEN: &str = "an operator token";
const POD: &str = "/api/v1/namespaces/demo/pods/web-5d9c7b-aaaaa";

struct Door {
    address: SocketAddr,
    fake: Arc<Fake>,
}

/// What a call came to: a connection with its subprotocol, or a status with its words.
type Called = Result<(WebSocketStream<TcpStream>, String), (u16, String)>;

impl Door {
    async fn new() -> Self {
        Self::with(Fake::new(support::world()), Limits::default()).await
    }

    async fn with(fake: Fake, limits: Limits) -> Self {
        let fake = Arc::new(fake);
        let access = Access::new(SecretValue::new(TOKEN), []).expect("a long token");
        let backend: Arc<dyn Backend> = fake.clone();
        let router = router(backend, &Arc::new(access), limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, fake }
    }

    async fn call(&self, path: &str, headers: &[(&'static str, &str)]) -> Called {
        let url = format!("ws://{}{path}", self.address);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        match client_async(request, stream).await {
            Ok((socket, answer)) => {
                let protocol = answer.headers()["sec-websocket-protocol"].to_str();
                Ok((socket, protocol.expect("text").to_owned()))
            }
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// As an operator.
    async fn operate(&self, path: &str) -> Called {
        let bearer = format!("Bearer {TOKEN}");
        let protocols = "v5.channel.k8s.io, v4.channel.k8s.io";
        let headers = [("authorization", &*bearer), ("sec-websocket-protocol", protocols)];
        self.call(path, &headers).await
    }

    fn asked(&self) -> Vec<String> {
        self.fake.asked.lock().expect("no test panics in there").clone()
    }
}

/// Everything that comes until the connection is closed, with the code of its end.
async fn rest(socket: &mut WebSocketStream<TcpStream>) -> (Vec<Vec<u8>>, Option<u16>) {
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        match message.expect("it is closed in order") {
            Message::Binary(bytes) => messages.push(bytes.to_vec()),
            Message::Close(frame) => return (messages, frame.map(|frame| frame.code.into())),
            other => panic!("{other:?}"),
        }
    }
    (messages, None)
}

fn is_refused(called: Called, code: u16, part: &str) {
    let Err((status, words)) = called else { panic!("it is let through") };
    assert_eq!(status, code, "{words}");
    assert!(words.contains(part), "{words}");
}

#[tokio::test]
async fn a_session_passes_messages_on_and_closes_after_the_status() {
    let door = Door::new().await;
    let query = "command=sh&command=-c&stdin=true&stdout=true&stderr=true&tty=true&container=web";
    let (mut socket, protocol) =
        door.operate(&format!("{POD}/exec?{query}")).await.expect("opened");
    assert_eq!(protocol, "v5.channel.k8s.io");
    socket.send(Message::binary(&b"\x00hello"[..])).await.expect("sent");
    let message = socket.next().await.expect("an answer").expect("sound");
    assert_eq!(message.into_data(), &b"\x01hello"[..]);
    socket.send(Message::binary(&b"\xff\x00"[..])).await.expect("sent");
    let (messages, code) = rest(&mut socket).await;
    assert_eq!(messages, [b"\x03{\"status\":\"Success\"}"]);
    assert_eq!(code, Some(1000));
    let asked = door.asked()[0].clone();
    for part in ["container: \"web\"", "\"sh\", \"-c\"", "stderr: false, tty: true"] {
        assert!(asked.contains(part), "{asked}");
    }
}

#[tokio::test]
async fn a_node_that_goes_without_a_word_is_told_of() {
    let door = Door::new().await;
    let path = format!("{POD}/exec?command=ls&stdin=true");
    let (mut socket, _) = door.operate(&path).await.expect("opened");
    socket.send(Message::binary(&b"\x00die"[..])).await.expect("sent");
    let (messages, code) = rest(&mut socket).await;
    let words = String::from_utf8_lossy(&messages[0]).into_owned();
    assert!(words.starts_with('\u{3}') && words.contains("the node's agent ended"), "{words}");
    assert_eq!((messages.len(), code), (1, Some(1000)));
}

#[tokio::test]
async fn a_session_needs_the_token_even_on_this_machine() {
    let door = Door::new().await;
    let path = format!("{POD}/exec?command=ls&stdout=true");
    let protocols = ("sec-websocket-protocol", "v5.channel.k8s.io");
    is_refused(door.call(&path, &[protocols]).await, 401, "operator token");
    let wrong = ("authorization", "Bearer not the operator's");
    is_refused(door.call(&path, &[protocols, wrong]).await, 401, "not the operator token");
    assert!(door.asked().is_empty());
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_the_upgrade() {
    let door = Door::new().await;
    let exec = |query: &str| format!("{POD}/exec?{query}");
    for (path, code, part) in [
        (exec("stdout=true"), 400, "at least one command"),
        (exec("command=ls"), 400, "at least one of stdin"),
        (exec("command=ls&stdout=true&container=other"), 400, "it has: web"),
        (format!("{POD}/attach?stdout=true&stdin=true"), 400, "commit 'stdin: true'"),
        (format!("{POD}/attach?stdout=true&tty=true"), 400, "commit 'tty: true'"),
        (exec("command=ls&stdout=true").replace("aaaaa", "ccccc"), 400, "no node yet"),
        (exec("command=ls&stdout=true").replace("aaaaa", "nobody"), 404, "not found"),
    ] {
        is_refused(door.operate(&path).await, code, part);
    }
    let bearer = format!("Bearer {TOKEN}");
    let old = [("authorization", &*bearer), ("sec-websocket-protocol", "channel.k8s.io")];
    let path = exec("command=ls&stdout=true");
    is_refused(door.call(&path, &old).await, 400, "over a WebSocket alone");
    is_refused(door.call(&path, &old[..1]).await, 400, "over a WebSocket alone");
    assert!(door.asked().is_empty());
    let attached = door.operate(&format!("{POD}/attach?stdout=true")).await;
    assert!(attached.is_ok());
}

#[tokio::test]
async fn files_are_asked_for_by_what_is_done_with_them() {
    let door = Door::new().await;
    let path = "/apis/dugout.dev/v1/namespaces/demo/pods/web-5d9c7b-aaaaa/archive";
    assert!(door.operate(&format!("{path}?action=read&path=%2Fetc%2Fa%20b")).await.is_ok());
    let asked = door.asked()[0].clone();
    assert!(asked.contains("action: Read, path: \"/etc/a b\""), "{asked}");
    let operate = async |query: &str| door.operate(&format!("{path}?{query}")).await;
    is_refused(operate("action=delete&path=x").await, 400, "look, read or write");
    is_refused(operate("action=read&path=").await, 400, "path is the file");
    is_refused(operate("action=read").await, 400, "path");
    let protocols = ("sec-websocket-protocol", "v5.channel.k8s.io");
    let called = door.call(&format!("{path}?action=read&path=x"), &[protocols]).await;
    is_refused(called, 401, "operator token");
}

#[tokio::test]
async fn so_many_sessions_are_open_at_once_and_no_more() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let door = Door::with(Fake::new(support::world()), limits).await;
    let path = format!("{POD}/exec?command=ls&stdin=true");
    let (mut socket, _) = door.operate(&path).await.expect("opened");
    is_refused(door.operate(&path).await, 429, "1 sessions open");
    socket.send(Message::binary(&b"\xff\x00"[..])).await.expect("sent");
    rest(&mut socket).await;
    drop(socket);
    while door.operate(&path).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_lead_says_who_does() {
    let mut fake = Fake::new(support::world());
    fake.leading = Leading::StandsBy { leader: Some("http://10.0.0.1:7300".to_owned()) };
    let door = Door::with(fake, Limits::default()).await;
    let path = format!("{POD}/exec?command=ls&stdin=true");
    is_refused(door.operate(&path).await, 503, "10.0.0.1");
}
