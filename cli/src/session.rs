//! A session with a container, from the client's side: standard streams and the terminal on one side,
//! the server's WebSocket on the other.

use std::io;

use anyhow::{Context, bail};
use bytes::Bytes;
use dugout_wire::{
    ClientMessage, MAX_SESSION_MESSAGE_BYTES, NodeMessage, SESSION_CHUNK_BYTES, SessionEnd,
};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::terminal;

/// Pieces of standard input that wait to be sent.
const PIECES_AHEAD: usize = 4;

/// An open session.
pub struct Session {
    socket: WebSocketStream<Upgraded>,
}

/// Whose the keys of the terminal are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyboard {
    /// This machine's, as always.
    Local,
    /// The session's.
    Remote,
}

/// What is sent, piece by piece.
pub type Input = mpsc::Receiver<io::Result<Bytes>>;

/// Where it goes what a session says.
pub enum Output {
    /// This program's standard output and error.
    Standard,
    /// Standard output goes here, as long as somebody reads it.
    Pieces(mpsc::Sender<Bytes>),
}

impl Session {
    pub async fn new(connection: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_SESSION_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_SESSION_MESSAGE_BYTES));
        let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        Self { socket }
    }

    /// Sends what comes, then that it has ended, and hands on what is answered, to the end of the session.
    /// An error in what comes breaks the session off.
    pub async fn carry(self, input: Option<Input>, output: Output) -> anyhow::Result<SessionEnd> {
        let (to_node, from_node) = self.socket.split();
        tokio::select! {
            ended = show(from_node, output) => ended,
            error = say(to_node, input, Keyboard::Local) => Err(error),
        }
    }

    /// Joins the session with this program's standard streams until it ends.
    pub async fn talk(self, with_input: bool, keyboard: Keyboard) -> anyhow::Result<SessionEnd> {
        let (to_node, from_node) = self.socket.split();
        let raw = match keyboard {
            Keyboard::Remote => {
                Some(terminal::Raw::begin().context("the terminal cannot be handed over")?)
            }
            Keyboard::Local => None,
        };
        let input = with_input.then(read_input).transpose()?;
        let ended = tokio::select! {
            ended = show(from_node, Output::Standard) => ended,
            error = say(to_node, input, keyboard) => Err(error),
            name = ending_signal(), if raw.is_some() => Err(anyhow::anyhow!("ended by {name}")),
        };
        drop(raw);
        ended
    }
}

/// Writes what comes, to the end of the session.
async fn show(
    mut from: SplitStream<WebSocketStream<Upgraded>>,
    output: Output,
) -> anyhow::Result<SessionEnd> {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(message) = from.next().await {
        let message = match message.context("the connection to the server broke")? {
            Message::Binary(message) => message,
            Message::Close(_) => break,
            _ => continue,
        };
        let message = NodeMessage::parse(&message);
        match message.context("the server sent what this program does not understand")? {
            NodeMessage::Stdout(bytes) if let Output::Pieces(pieces) = &output => {
                if pieces.send(Bytes::copy_from_slice(bytes)).await.is_err() {
                    bail!("what came could not be taken");
                }
            }
            NodeMessage::Stdout(bytes) => {
                stdout.write_all(bytes).await?;
                stdout.flush().await?;
            }
            NodeMessage::Stderr(bytes) => {
                stderr.write_all(bytes).await?;
                stderr.flush().await?;
            }
            NodeMessage::End(end) => return Ok(end),
        }
    }
    bail!("the server ended the session without saying how; what was run may go on")
}

/// Sends what is typed and how large the terminal is. Returns only when the server cannot be written to.
async fn say(
    mut to: SplitSink<WebSocketStream<Upgraded>, Message>,
    mut input: Option<Input>,
    keyboard: Keyboard,
) -> anyhow::Error {
    let mut sizes = match keyboard {
        Keyboard::Remote => signal(SignalKind::window_change()).ok(),
        Keyboard::Local => None,
    };
    let mut size = sizes.as_ref().and_then(|_| terminal::size());
    loop {
        if let Some(size) = size.take()
            && let Err(error) = send(&mut to, ClientMessage::Resize(size)).await
        {
            return error;
        }
        let sent = tokio::select! {
            piece = next(&mut input) => match piece {
                Some(Ok(piece)) => send(&mut to, ClientMessage::Stdin(&piece)).await,
                Some(Err(error)) => return error.into(),
                None => {
                    input = None;
                    send(&mut to, ClientMessage::EndOfStdin).await
                }
            },
            () = changed(&mut sizes) => {
                size = terminal::size();
                Ok(())
            }
        };
        if let Err(error) = sent {
            return error;
        }
    }
}

async fn send(
    to: &mut SplitSink<WebSocketStream<Upgraded>, Message>,
    message: ClientMessage<'_>,
) -> anyhow::Result<()> {
    let sent = to.send(Message::Binary(message.to_bytes().into())).await;
    if sent.is_err() {
        // Whoever reads learns why, or still has the end of the session to read.
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// The next piece; never comes where there is no input.
async fn next(input: &mut Option<Input>) -> Option<io::Result<Bytes>> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

async fn changed(sizes: &mut Option<Signal>) {
    match sizes {
        Some(sizes) => {
            sizes.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The signal that ends this program, so that the terminal can be put back before.
async fn ending_signal() -> &'static str {
    let (Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
    }
}

/// Reads standard input on a thread that nobody waits for: a read of a terminal ends when somebody types.
fn read_input() -> anyhow::Result<Input> {
    let (pieces, waiting) = mpsc::channel(PIECES_AHEAD);
    let reading = move || {
        let mut buffer = vec![0; SESSION_CHUNK_BYTES];
        loop {
            match io::Read::read(&mut io::stdin().lock(), &mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let piece = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    if pieces.blocking_send(Ok(piece)).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not the end of the input: what reads it must not take it for whole.
                Err(error) => {
                    let _ = pieces.blocking_send(Err(error));
                    return;
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("standard input".to_owned());
    thread.spawn(reading).context("standard input cannot be read")?;
    Ok(waiting)
}
