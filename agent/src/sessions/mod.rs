//! Sessions with containers: somebody runs a command in one, or talks with what runs in it.
//!
//! The link brings a request and, once the engine has made what is asked for, a peer: messages of the
//! client and a way back. Nothing is queued here: a client that reads slowly slows the command, and a
//! command that reads slowly slows the client.

mod archive;
mod output;
mod run;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dugout_model::chain;
use dugout_wire as wire;
use futures_util::Sink;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(crate) use archive::ArchiveEngine;

use crate::driver::Directory;
use crate::link::BoxError;
use crate::logs::container_of;
use crate::metrics::AgentMetrics;
use crate::runtime::RuntimeError;

/// Sessions at once; a further one is refused with a sentence.
const MOST_SESSIONS: usize = 16;
/// How long a session may last.
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(24 * 60 * 60);
/// After how long a silent session says that it lives: before what lies between forgets it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(25);
/// How long the other side may take to close a session that has ended: as long as the server lets a
/// silent one be, for a reader that was halted has not read the last bytes yet.
const LAST_BYTES: Duration = Duration::from_secs(4 * 60 * 60);
/// How long nothing more may come of what a container said before its end.
const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// After how long input that is not taken lets the other direction be tried, to see whether the client
/// is still there.
const STUCK: Duration = Duration::from_secs(1);

/// What sessions need of a container engine.
pub(crate) trait SessionEngine: Send + Sync + 'static {
    type Connection: AsyncRead + AsyncWrite + Send + 'static;

    /// Makes a command in a container that runs; it starts when it is connected to.
    fn make_command(
        &self,
        container: &str,
        request: &wire::ExecRequest,
    ) -> impl Future<Output = Result<Process, RuntimeError>> + Send;

    /// The container's own process.
    fn own_process(
        &self,
        container: &str,
        streams: wire::SessionStreams,
    ) -> impl Future<Output = Result<Process, RuntimeError>> + Send;

    /// Starts a command, or joins the container's own process, and gives its streams.
    fn connect(
        &self,
        process: &Process,
    ) -> impl Future<Output = Result<Self::Connection, RuntimeError>> + Send;

    /// Gives the code with which it ends, whenever that is. Called before the connection is made, so that
    /// no end is missed; a command's is waited for when its streams have ended.
    fn exit_code(&self, process: &Process) -> BoxFuture<'static, Result<i64, RuntimeError>>;

    fn resize(
        &self,
        process: &Process,
        size: wire::TerminalSize,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Ends a command whose client has gone, as a terminal that is closed does, and all that it has begun
    /// in its session; also one that begins only now. The container's own process goes on.
    fn hang_up(&self, process: &Process) -> impl Future<Output = ()> + Send;
}

/// What a session is held with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub container: String,
    pub kind: ProcessKind,
    pub streams: wire::SessionStreams,
    pub input_end: InputEnd,
}

/// What the end of a client's input is to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// It learns of it.
    Told,
    /// Nothing: others may still say something to it. Docker would also stop to hand on its output.
    Kept,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProcessKind {
    /// With the engine's id for it.
    Command(String),
    Own,
}

/// The other end of a session.
pub(crate) struct Peer {
    /// Ends when the client has gone.
    pub incoming: BoxStream<'static, Bytes>,
    pub outgoing: Outgoing,
}

pub(crate) type Outgoing = Pin<Box<dyn Sink<Bytes, Error = BoxError> + Send>>;

/// A session that waits for its peer.
pub(crate) type Opened = Box<dyn FnOnce(Peer) -> BoxFuture<'static, ()> + Send>;

/// Where sessions come from.
pub(crate) trait SessionSource: Send + Sync {
    /// Prepares a session. The error is a sentence.
    fn open(&self, request: wire::SessionRequest) -> BoxFuture<'static, Result<Opened, String>>;
}

pub(crate) struct Sessions<E> {
    engine: Arc<E>,
    directory: watch::Receiver<Arc<Directory>>,
    metrics: AgentMetrics,
    room: Arc<Semaphore>,
}

impl<E> Sessions<E> {
    pub fn new(
        engine: &Arc<E>,
        directory: watch::Receiver<Arc<Directory>>,
        metrics: &AgentMetrics,
    ) -> Self {
        let room = Arc::new(Semaphore::new(MOST_SESSIONS));
        Self { engine: Arc::clone(engine), directory, metrics: metrics.clone(), room }
    }
}

impl<E: SessionEngine + ArchiveEngine> SessionSource for Sessions<E> {
    fn open(&self, request: wire::SessionRequest) -> BoxFuture<'static, Result<Opened, String>> {
        let directory = Arc::clone(&self.directory.borrow());
        let found = container_of(&directory, request.pod_uid(), Some(&request.container));
        let place = OpenSession::begin(self.metrics.clone(), &self.room);
        let engine = Arc::clone(&self.engine);
        Box::pin(async move {
            let (container, place) = (found?, place?);
            let made = match request.kind {
                wire::SessionKind::Exec(exec) => engine.make_command(&container, &exec).await,
                wire::SessionKind::Attach(streams) => engine.own_process(&container, streams).await,
                wire::SessionKind::Archive(archive) => {
                    let opened: Opened = Box::new(move |peer| {
                        Box::pin(async move {
                            archive::run(engine.as_ref(), &container, &archive, peer).await;
                            drop(place);
                        })
                    });
                    return Ok(opened);
                }
            };
            let process = made.map_err(|error| chain(&error))?;
            let opened: Opened = Box::new(move |peer| {
                Box::pin(async move {
                    run::run(engine.as_ref(), &process, peer).await;
                    drop(place);
                })
            });
            Ok(opened)
        })
    }
}

/// Takes a place and counts while it lives.
struct OpenSession {
    metrics: AgentMetrics,
    _place: OwnedSemaphorePermit,
}

impl OpenSession {
    fn begin(metrics: AgentMetrics, room: &Arc<Semaphore>) -> Result<Self, String> {
        let place = Arc::clone(room).try_acquire_owned();
        let place =
            place.map_err(|_| format!("this node serves {MOST_SESSIONS} sessions already"))?;
        metrics.sessions.inc();
        Ok(Self { metrics, _place: place })
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.metrics.sessions.dec();
    }
}
