//! Sessions with containers: messages between a client and a node's agent, which upgrades a request of
//! its own. What they say is theirs; nothing of it is read here, and no more is kept than is on its way.

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use dugout_wire as wire;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
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
            let (to_node, from_node) = socket.split();
            pass_on(to_node, from_node, session).await;
            open.dec();
        })
}

async fn pass_on<E>(
    mut to_node: impl Sink<Message> + Unpin,
    mut from_node: impl Stream<Item = Result<Message, E>> + Unpin,
    session: Session,
) {
    let Session { mut incoming, outgoing } = session;
    let down = async {
        let mut takes = true;
        while let Some(bytes) = incoming.recv().await {
            // A node that takes no more has said its last words, which a slow client still has to read.
            takes = takes && to_node.send(Message::Binary(bytes)).await.is_ok();
        }
        // The client has gone.
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{sink, stream};

    use super::*;

    /// A node that has said all this, and closes when its client does.
    fn said(messages: u8) -> impl Stream<Item = Result<Message, Infallible>> + Unpin {
        let said = stream::iter((0..messages).map(|one| Ok(Message::Binary(vec![one].into()))));
        said.chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_reads_all_that_a_node_said_which_takes_no_more() {
        let (mut near, session) = Session::pair();
        let takes_nothing =
            sink::unfold((), |(), _: Message| std::future::ready(Err::<(), _>("closed")));
        let passing = tokio::spawn(pass_on(
            Box::pin(takes_nothing),
            said(3 * MESSAGES_IN_FLIGHT as u8),
            session,
        ));
        for number in 0..3 * MESSAGES_IN_FLIGHT as u8 {
            near.outgoing.send(Bytes::from_static(b"input")).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            assert_eq!(near.incoming.recv().await.unwrap(), [number][..]);
        }
        drop(near);
        passing.await.unwrap();
    }
}
