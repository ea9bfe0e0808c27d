//! Sessions over the agent's own connection: the node calls the control plane and upgrades the request
//! to a WebSocket, whose messages go to the client and come from it.

use std::time::Duration;

use bytes::Bytes;
use dugout_model::chain;
use dugout_wire as wire;
use dugout_wire::paths;
use futures_util::{SinkExt as _, StreamExt as _, future};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use super::Link;
use super::http::{BoxError, NoAnswer, Server};
use super::streams::post_refusal;
use crate::sessions::Peer;

/// How long the control plane may take to upgrade.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);
/// Of each direction; more is read and written piece by piece.
const BUFFER_BYTES: usize = 16 * 1024;

impl Link {
    pub(super) fn begin_session(&self, id: uuid::Uuid, request: wire::SessionRequest) {
        let server = self.server.clone();
        let opening = self.sessions.open(request);
        tokio::spawn(async move {
            match opening.await {
                Err(sentence) => post_refusal(&server, id, sentence).await,
                Ok(opened) => match connect(&server, id).await {
                    Ok(peer) => opened(peer).await,
                    // Nothing has begun, and there is nobody to tell.
                    Err(error) => {
                        tracing::debug!(%id, error = %chain(&error), "a session found no peer");
                    }
                },
            }
        });
    }
}

async fn connect(server: &Server, id: uuid::Uuid) -> Result<Peer, NoAnswer> {
    let (path, key) = (paths::session(id), generate_key());
    let accept = derive_accept_key(key.as_bytes());
    let upgrading = server.upgrade(&path, &key, &accept);
    let connection = tokio::time::timeout(UPGRADE_DEADLINE, upgrading)
        .await
        .map_err(|_| NoAnswer::Deadline(UPGRADE_DEADLINE))??;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(wire::MAX_SESSION_MESSAGE_BYTES))
        .max_frame_size(Some(wire::MAX_SESSION_MESSAGE_BYTES));
    let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
    let (outgoing, incoming) = socket.split();
    let incoming = incoming
        .take_while(|message| future::ready(message.is_ok()))
        .filter_map(|message| {
            future::ready(match message {
                Ok(Message::Binary(bytes)) => Some(bytes),
                _ => None,
            })
        })
        .boxed();
    let outgoing = outgoing
        .with(|bytes: Bytes| future::ready(Ok::<_, WebSocketError>(Message::Binary(bytes))))
        .sink_map_err(BoxError::from);
    Ok(Peer { incoming, outgoing: Box::pin(outgoing) })
}
