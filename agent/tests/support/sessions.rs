//! The control plane's side of sessions with containers.

use dugout_wire::{ClientMessage, NodeMessage, SessionEnd};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::upgrade::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A client of a session.
pub struct Session {
    socket: Socket,
    /// What came and was not waited for yet.
    heard: String,
}

/// Everything that came until the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub end: SessionEnd,
}

impl ControlPlane {
    pub(super) fn accept_session(
        &self,
        id: Uuid,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let headers = request.headers();
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], wire::SESSION_SUBPROTOCOL);
        let accept = derive_accept_key(headers[SEC_WEBSOCKET_KEY].as_bytes());
        let waiting = self.inner.sessions.lock().unwrap().remove(&id).unwrap();
        tokio::spawn(async move {
            let upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
            waiting.send(socket).ok();
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .body(Full::default())
            .unwrap()
    }

    /// Asks the node for a session; the error is its sentence.
    pub async fn session(
        &self,
        pod: PodUid,
        container: &str,
        kind: wire::SessionKind,
    ) -> Result<Session, String> {
        let id = Uuid::new_v4();
        let (begun, begins) = oneshot::channel();
        let (refused, refusal) = oneshot::channel();
        self.inner.sessions.lock().unwrap().insert(id, begun);
        self.inner.waiting.lock().unwrap().insert(id, refused);
        let request = wire::SessionRequest { pod: pod.0, container: container.into(), kind };
        let kind = wire::StreamKind::Session(request);
        self.inner.stream.send_replace(Some(wire::StreamRequest { id, kind }));
        tokio::select! {
            socket = begins => Ok(Session { socket: socket.unwrap(), heard: String::new() }),
            refusal = refusal => Err(String::from_utf8_lossy(&refusal.unwrap().1).into_owned()),
        }
    }
}

impl Session {
    pub async fn say(&mut self, message: ClientMessage<'_>) {
        self.socket.send(Message::binary(message.to_bytes())).await.unwrap();
    }

    /// Reads to the end, in which everything must have come.
    pub async fn end(mut self) -> Heard {
        let (mut stdout, mut stderr) = (vec![], vec![]);
        loop {
            let message = self.socket.next().await.expect("an end comes first").unwrap();
            let message = message.into_data();
            match NodeMessage::parse(&message).unwrap() {
                NodeMessage::Stdout(bytes) => stdout.extend_from_slice(bytes),
                NodeMessage::Stderr(bytes) => stderr.extend_from_slice(bytes),
                NodeMessage::End(end) => return Heard { stdout, stderr, end },
            }
        }
    }

    /// Reads standard output until these words have come.
    pub async fn hear(&mut self, words: &str) {
        loop {
            if let Some(at) = self.heard.find(words) {
                self.heard.drain(..at + words.len());
                return;
            }
            let message = self.socket.next().await.expect("it goes on").unwrap().into_data();
            match NodeMessage::parse(&message).unwrap() {
                NodeMessage::Stdout(bytes) => self.heard += &String::from_utf8_lossy(bytes),
                other => panic!("{other:?} after {:?}", self.heard),
            }
        }
    }
}
