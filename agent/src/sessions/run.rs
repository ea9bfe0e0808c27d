//! One session, from its start to its end.

use bytes::{Bytes, BytesMut};
use dugout_model::chain;
use dugout_wire as wire;
use dugout_wire::{ClientMessage, NodeMessage, SessionEnd};
use futures_util::stream::BoxStream;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};

use super::output::Reader;
use super::{
    InputEnd, LAST_BYTES, LONGEST_SESSION, Outgoing, Peer, Process, SIGN_OF_LIFE, SessionEngine,
};

/// How the bytes came to an end.
pub(super) enum Ended {
    /// What ran has closed its streams.
    ByProcess,
    ByClient,
    /// For this reason.
    Early(String),
}

/// Carries a session and tells its client how it ended.
pub(super) async fn run<E: SessionEngine>(engine: &E, process: &Process, peer: Peer) {
    let Peer { mut incoming, mut outgoing } = peer;
    let exit_code = engine.exit_code(process);
    let ended = match engine.connect(process).await {
        Ok(connection) => carry(engine, process, connection, &mut incoming, &mut outgoing).await,
        Err(error) => Ended::Early(chain(&error)),
    };
    let end = match ended {
        Ended::ByProcess => match exit_code.await {
            Ok(code) => SessionEnd::Exited(code),
            Err(error) => SessionEnd::Failed(chain(&error)),
        },
        Ended::ByClient => return engine.hang_up(process).await,
        Ended::Early(why) => {
            engine.hang_up(process).await;
            SessionEnd::Failed(why)
        }
    };
    tell_end(end, &mut incoming, &mut outgoing).await;
}

/// Says the last word of a session.
pub(super) async fn tell_end(
    end: SessionEnd,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) {
    // A client that has gone meanwhile needs no answer.
    let _ = outgoing.send(NodeMessage::End(end).to_bytes().into()).await;
    let _ = outgoing.close().await;
    // A connection that is dropped with bytes unread is reset, and the last message lost with it.
    let rest = async { while incoming.next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_BYTES, rest).await;
}

async fn carry<E: SessionEngine>(
    engine: &E,
    process: &Process,
    connection: E::Connection,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) -> Ended {
    let (reader, writer) = tokio::io::split(connection);
    tokio::select! {
        ended = carry_out(process, reader, outgoing) => ended,
        ended = carry_in(engine, process, writer, incoming) => ended,
        () = tokio::time::sleep(LONGEST_SESSION) => {
            let hours = LONGEST_SESSION.as_secs() / 3600;
            Ended::Early(format!("the session lasted {hours} hours, which is as long as one may"))
        }
    }
}

/// From the process to the client.
async fn carry_out(
    process: &Process,
    mut from: ReadHalf<impl AsyncRead>,
    to: &mut Outgoing,
) -> Ended {
    let mut reader = Reader::new(process.streams);
    let mut come = BytesMut::new();
    loop {
        come.reserve(wire::SESSION_CHUNK_BYTES);
        let reading = from.read_buf(&mut come);
        match tokio::time::timeout(SIGN_OF_LIFE, reading).await {
            Ok(Ok(0)) => return Ended::ByProcess,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Ended::Early(format!("the container engine: {error}")),
            Err(_) => {
                let sign = NodeMessage::Stdout(b"").to_bytes();
                if to.send(sign.into()).await.is_err() {
                    return Ended::ByClient;
                }
            }
        }
        loop {
            match reader.next(&mut come) {
                Ok(None) => break,
                Ok(Some(output)) => {
                    if to.send(output.to_message()).await.is_err() {
                        return Ended::ByClient;
                    }
                }
                Err(error) => return Ended::Early(error.to_string()),
            }
        }
    }
}

/// From the client to the process. Never ends by itself: what runs decides when it has ended.
async fn carry_in<E: SessionEngine>(
    engine: &E,
    process: &Process,
    to: WriteHalf<impl AsyncWrite>,
    from: &mut BoxStream<'static, Bytes>,
) -> Ended {
    let mut to = process.streams.stdin.then_some(to);
    while let Some(message) = from.next().await {
        match ClientMessage::parse(&message) {
            Ok(ClientMessage::Stdin(bytes)) => {
                // What does not read any more may still write.
                if let Some(open) = &mut to
                    && open.write_all(bytes).await.is_err()
                {
                    to = None;
                }
            }
            Ok(ClientMessage::EndOfStdin) => {
                if let Some(mut open) = to.take()
                    && process.input_end == InputEnd::Told
                {
                    // As before.
                    let _ = open.shutdown().await;
                }
            }
            Ok(ClientMessage::Resize(size)) => {
                if let Err(error) = engine.resize(process, size).await {
                    tracing::debug!(error = %chain(&error), "a terminal cannot be resized");
                }
            }
            Err(error) => return Ended::Early(format!("the client sent {error}")),
        }
    }
    Ended::ByClient
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
