//! One session, from its start to its end.

use bytes::{Bytes, BytesMut};
use dugout_model::chain;
use dugout_wire as wire;
use dugout_wire::{ClientMessage, NodeMessage, SessionEnd};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::sync::Notify;

use super::output::Reader;
use super::{
    InputEnd, LAST_BYTES, LAST_OUTPUT, LONGEST_SESSION, Outgoing, Peer, Process, ProcessKind,
    SIGN_OF_LIFE, STUCK, SessionEngine,
};
use crate::runtime::RuntimeError;

/// How the bytes came to an end.
pub(super) enum Ended {
    /// What ran has ended: with this code, or with why nobody knows it.
    ByProcess(Result<i64, RuntimeError>),
    ByClient,
    /// For this reason.
    Early(String),
}

/// Carries a session and tells its client how it ended.
pub(super) async fn run<E: SessionEngine>(engine: &E, process: &Process, peer: Peer) {
    let Peer { mut incoming, mut outgoing } = peer;
    let exit_code = engine.exit_code(process);
    let ended = match engine.connect(process).await {
        Ok(connection) => {
            let ends = Ends { connection, exit_code };
            carry(engine, process, ends, &mut incoming, &mut outgoing).await
        }
        // It may begin all the same, when the engine comes to it.
        Err(error) if error.is_deadline() || error.is_engine_unavailable() => {
            Ended::Early(chain(&error))
        }
        Err(error) => {
            let end = SessionEnd::Failed(chain(&error));
            return tell_end(end, &mut incoming, &mut outgoing).await;
        }
    };
    let end = match ended {
        Ended::ByProcess(Ok(code)) => SessionEnd::Exited(code),
        Ended::ByClient => return engine.hang_up(process).await,
        // Of one whose end nobody saw it is not known that it ended.
        Ended::ByProcess(Err(error)) => {
            let end = SessionEnd::Failed(chain(&error));
            return end_early(engine, process, end, &mut incoming, &mut outgoing).await;
        }
        Ended::Early(why) => {
            let end = SessionEnd::Failed(why);
            return end_early(engine, process, end, &mut incoming, &mut outgoing).await;
        }
    };
    tell_end(end, &mut incoming, &mut outgoing).await;
}

/// Ends a command that may still run. One that is slow to end keeps nobody waiting for the reason.
async fn end_early<E: SessionEngine>(
    engine: &E,
    process: &Process,
    end: SessionEnd,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) {
    tokio::join!(tell_end(end, incoming, outgoing), engine.hang_up(process));
}

/// Says the last word of a session, and keeps its connection until the other side has closed it: one that
/// is closed here while input still comes is reset, and what a slow reader has not read yet is lost.
pub(super) async fn tell_end(
    end: SessionEnd,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) {
    let telling = async {
        outgoing.send(NodeMessage::End(end).to_bytes().into()).await?;
        loop {
            match tokio::time::timeout(SIGN_OF_LIFE, incoming.next()).await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // Nobody reads what comes after the end; but that it cannot be sent is seen.
                Err(_) => outgoing.send(NodeMessage::Stdout(b"").to_bytes().into()).await?,
            }
        }
        outgoing.close().await
    };
    // A client that has gone meanwhile needs no answer.
    let _ = tokio::time::timeout(LAST_BYTES, telling).await;
}

/// Where the end of a process is seen.
struct Ends<C> {
    connection: C,
    exit_code: BoxFuture<'static, Result<i64, RuntimeError>>,
}

async fn carry<E: SessionEngine>(
    engine: &E,
    process: &Process,
    ends: Ends<E::Connection>,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) -> Ended {
    let (reader, writer) = tokio::io::split(ends.connection);
    let stuck = Notify::new();
    let out = async {
        match carry_out(process, reader, ends.exit_code, outgoing, &stuck).await {
            Ok(code) => Ended::ByProcess(code),
            Err(ended) => ended,
        }
    };
    tokio::select! {
        ended = out => ended,
        ended = carry_in(engine, process, writer, incoming, &stuck) => ended,
        () = tokio::time::sleep(LONGEST_SESSION) => {
            let hours = LONGEST_SESSION.as_secs() / 3600;
            Ended::Early(format!("the session lasted {hours} hours, which is as long as one may"))
        }
    }
}

/// From the process to the client, until the process has ended and everything that it said is on its way.
///
/// The end of its streams is not its own: it may close them and go on. And the end of a container may
/// come without one of its streams.
async fn carry_out(
    process: &Process,
    mut from: ReadHalf<impl AsyncRead>,
    mut exit_code: BoxFuture<'static, Result<i64, RuntimeError>>,
    to: &mut Outgoing,
    stuck: &Notify,
) -> Result<Result<i64, RuntimeError>, Ended> {
    let mut reader = Reader::new(process.streams);
    let mut come = BytesMut::new();
    let mut code = None;
    loop {
        come.reserve(wire::SESSION_CHUNK_BYTES);
        let patience = if code.is_some() { LAST_OUTPUT } else { SIGN_OF_LIFE };
        tokio::select! {
            read = tokio::time::timeout(patience, from.read_buf(&mut come)) => match read {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    return Err(Ended::Early(format!("the container engine: {error}")));
                }
                Err(_) if code.is_some() => break,
                Err(_) => sign_of_life(to).await?,
            },
            // Of a command the end of its streams comes first, or the engine closes them soon after it.
            ended = &mut exit_code, if code.is_none() && process.kind == ProcessKind::Own => {
                code = Some(ended);
            }
            () = stuck.notified() => sign_of_life(to).await?,
        }
        loop {
            match reader.next(&mut come) {
                Ok(None) => break,
                Ok(Some(output)) => {
                    to.send(output.to_message()).await.map_err(|_| Ended::ByClient)?;
                }
                Err(error) => return Err(Ended::Early(error.to_string())),
            }
        }
    }
    if let Some(code) = code {
        return Ok(code);
    }
    loop {
        tokio::select! {
            code = &mut exit_code => return Ok(code),
            () = tokio::time::sleep(SIGN_OF_LIFE) => sign_of_life(to).await?,
            () = stuck.notified() => sign_of_life(to).await?,
        }
    }
}

/// What a client that has gone cannot be sent.
async fn sign_of_life(to: &mut Outgoing) -> Result<(), Ended> {
    let sign = NodeMessage::Stdout(b"").to_bytes();
    to.send(sign.into()).await.map_err(|_| Ended::ByClient)
}

/// From the client to the process. Never ends by itself: what runs decides when it has ended.
async fn carry_in<E: SessionEngine>(
    engine: &E,
    process: &Process,
    to: WriteHalf<impl AsyncWrite>,
    from: &mut BoxStream<'static, Bytes>,
    stuck: &Notify,
) -> Ended {
    let mut to = process.streams.stdin.then_some(to);
    while let Some(message) = from.next().await {
        match ClientMessage::parse(&message) {
            Ok(ClientMessage::Stdin(bytes)) => {
                // What does not read any more may still write.
                if let Some(open) = &mut to
                    && patiently(open.write_all(bytes), stuck).await.is_err()
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

/// Waits for what takes input, and says while it does not that the other direction is to be tried: that
/// the client has gone cannot be read behind input that nobody takes.
pub(super) async fn patiently<T>(taking: impl Future<Output = T>, stuck: &Notify) -> T {
    let mut taking = std::pin::pin!(taking);
    loop {
        match tokio::time::timeout(STUCK, &mut taking).await {
            Ok(taken) => return taken,
            Err(_) => stuck.notify_one(),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
