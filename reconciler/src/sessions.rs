//! Sessions with containers: messages between a client and a node's agent, which upgrades a request of
//! its own. What they say is theirs; nothing of it is read here, and no more is kept than is on its way.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use dugout_wire as wire;
use futures_util::{SinkExt as _, StreamExt as _};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

/// How many messages may be on their way in each direction. A further one slows its writer.
const MESSAGES_IN_FLIGHT: usize = 4;

/// Of each direction; more is read and written piece by piece.
const BUFFER_BYTES: usize = 16 << 10;

/// One end of a session. Each direction ends when the other end drops its half.
#[derive(Debug)]
pub struct Session {
    pub incoming: mpsc::Receiver<Bytes>,
    pub outgoing: mpsc::Sender<Bytes>,
}

impl Session {
    /// Both ends.
    pub(crate) fn pair() -> (Self, Self) {
        let (to_one, incoming_of_one) = mpsc::channel(MESSAGES_IN_FLIGHT);
        let (to_other, incoming_of_other) = mpsc::channel(MESSAGES_IN_FLIGHT);
        (
            Self { incoming: incoming_of_one, outgoing: to_other },
            Self { incoming: incoming_of_other, outgoing: to_one },
        )
    }
}

/// Upgrades an agent's request and passes messages on until either side has gone.
pub(crate) fn upgrade(request: WebSocketUpgrade, session: Session, open: Gauge) -> Response {
    request
        .protocols([wire::SESSION_SUBPROTOCOL])
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(wire::MAX_SESSION_MESSAGE_BYTES)
        .max_frame_size(wire::MAX_SESSION_MESSAGE_BYTES)
        .on_upgrade(|socket| async move {
            open.inc();
            pass_on(socket, session).await;
            open.dec();
        })
}

async fn pass_on(socket: WebSocket, session: Session) {
    let Session { mut incoming, outgoing } = session;
    let (mut to_node, mut from_node) = socket.split();
    let down = async {
        while let Some(bytes) = incoming.recv().await {
            if to_node.send(Message::Binary(bytes)).await.is_err() {
                break;
            }
        }
        // The client has gone, or the node.
        let _ = to_node.close().await;
    };
    let up = async {
        loop {
            let message = tokio::select! {
                () = outgoing.closed() => break,
                message = from_node.next() => message,
            };
            match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if outgoing.send(bytes).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            }
        }
    };
    tokio::select! {
        () = down => {}
        () = up => {}
    }
}
