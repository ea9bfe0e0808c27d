//! Sessions with an engine in memory.

use std::sync::Mutex;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::sessions::ProcessKind;

const STREAMS: wire::SessionStreams =
    wire::SessionStreams { stdin: true, stdout: true, stderr: true, tty: false };
/// What a process takes before it reads.
const PIPE_BYTES: usize = 64;

/// One process, which a test plays.
struct Engine {
    connection: Mutex<Option<DuplexStream>>,
    /// None while it runs.
    code: watch::Sender<Option<i64>>,
    /// Nobody sees its end.
    loses_code: std::sync::atomic::AtomicBool,
    done: Mutex<Vec<String>>,
}

impl SessionEngine for Engine {
    type Connection = DuplexStream;

    async fn make_command(
        &self,
        _: &str,
        _: &wire::ExecRequest,
    ) -> Result<Process, crate::runtime::RuntimeError> {
        unreachable!("it is made")
    }

    async fn own_process(
        &self,
        _: &str,
        _: wire::SessionStreams,
    ) -> Result<Process, crate::runtime::RuntimeError> {
        unreachable!("it is made")
    }

    async fn connect(&self, _: &Process) -> Result<DuplexStream, crate::runtime::RuntimeError> {
        let operation = "exec";
        self.connection.lock().unwrap().take().ok_or_else(|| {
            crate::runtime::RuntimeError::Transient { operation, message: "no".into() }
        })
    }

    fn exit_code(
        &self,
        _: &Process,
    ) -> futures_util::future::BoxFuture<'static, Result<i64, crate::runtime::RuntimeError>> {
        let mut code = self.code.subscribe();
        if self.loses_code.load(std::sync::atomic::Ordering::Relaxed) {
            let (operation, message) = ("exec inspect", "no".to_owned());
            return Box::pin(std::future::ready(Err(crate::runtime::RuntimeError::Transient {
                operation,
                message,
            })));
        }
        Box::pin(async move {
            let code = code.wait_for(Option::is_some).await;
            Ok(code.ok().and_then(|code| *code).unwrap_or(-1))
        })
    }

    async fn resize(
        &self,
        _: &Process,
        size: wire::TerminalSize,
    ) -> Result<(), crate::runtime::RuntimeError> {
        self.done.lock().unwrap().push(format!("resize {}x{}", size.width, size.height));
        Ok(())
    }

    async fn hang_up(&self, _: &Process) {
        self.done.lock().unwrap().push("hang up".to_owned());
    }
}

/// A session that runs, from both of its ends.
struct Rig {
    engine: std::sync::Arc<Engine>,
    process: DuplexStream,
    to_node: mpsc::Sender<Bytes>,
    from_node: mpsc::Receiver<Bytes>,
    running: JoinHandle<()>,
}

impl Rig {
    /// With a command that ends with code 7 when its streams do.
    fn start(streams: wire::SessionStreams) -> Self {
        let (process, connection) = tokio::io::duplex(PIPE_BYTES);
        Self::with(streams, process, Some(connection), command(), Some(7))
    }

    /// With what ends when the test says so.
    fn running(kind: ProcessKind) -> Self {
        let (process, connection) = tokio::io::duplex(PIPE_BYTES);
        Self::with(STREAMS, process, Some(connection), kind, None)
    }

    fn with(
        streams: wire::SessionStreams,
        process: DuplexStream,
        connection: Option<DuplexStream>,
        kind: ProcessKind,
        code: Option<i64>,
    ) -> Self {
        let (done, code) = (Mutex::default(), watch::Sender::new(code));
        let engine =
            Engine { connection: Mutex::new(connection), code, loses_code: false.into(), done };
        let engine = std::sync::Arc::new(engine);
        let (to_node, incoming) = mpsc::channel(1);
        let (outgoing, from_node) = mpsc::channel::<Bytes>(1);
        let incoming = futures_util::stream::unfold(incoming, |mut incoming| async {
            incoming.recv().await.map(|message| (message, incoming))
        });
        let outgoing = futures_util::sink::unfold(outgoing, |outgoing, message| async {
            outgoing.send(message).await?;
            Ok::<_, mpsc::error::SendError<Bytes>>(outgoing)
        });
        let outgoing: Outgoing = Box::pin(outgoing.sink_map_err(Into::into));
        let peer = Peer { incoming: incoming.boxed(), outgoing };
        let input_end = InputEnd::Told;
        let asked = Process { container: "c".into(), kind, streams, input_end };
        let running = tokio::spawn({
            let engine = std::sync::Arc::clone(&engine);
            async move { run(engine.as_ref(), &asked, peer).await }
        });
        Self { engine, process, to_node, from_node, running }
    }

    async fn say(&self, message: ClientMessage<'_>) {
        self.to_node.send(message.to_bytes().into()).await.unwrap();
    }

    async fn hear(&mut self) -> Bytes {
        self.from_node.recv().await.expect("the session has not ended")
    }

    fn done(&self) -> Vec<String> {
        self.engine.done.lock().unwrap().clone()
    }
}

fn command() -> ProcessKind {
    ProcessKind::Command("exec".into())
}

/// How a session ended, by its last message.
fn end_of(message: &[u8]) -> SessionEnd {
    match NodeMessage::parse(message) {
        Ok(NodeMessage::End(end)) => end,
        other => panic!("not an end: {other:?}"),
    }
}

fn heard(message: &[u8]) -> NodeMessage<'_> {
    NodeMessage::parse(message).unwrap()
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways_and_the_exit_code_comes_last() {
    let mut rig = Rig::start(STREAMS);
    rig.say(ClientMessage::Stdin(b"question")).await;
    rig.say(ClientMessage::EndOfStdin).await;
    let mut asked = String::new();
    rig.process.read_to_string(&mut asked).await.unwrap();
    assert_eq!(asked, "question");
    rig.process.write_all(b"\x02\0\0\0\0\0\0\x06answer").await.unwrap();
    assert_eq!(heard(&rig.hear().await), NodeMessage::Stderr(b"answer"));
    rig.process.shutdown().await.unwrap();
    assert_eq!(end_of(&rig.hear().await), SessionEnd::Exited(7));
    drop(rig.to_node);
    rig.running.await.unwrap();
    assert!(rig.engine.done.lock().unwrap().is_empty(), "what ended by itself is not ended");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_what_it_ran() {
    let Rig { engine, process, to_node, from_node, running } = Rig::start(STREAMS);
    drop(to_node);
    running.await.unwrap();
    assert_eq!(*engine.done.lock().unwrap(), ["hang up"]);
    drop((process, from_node));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_written_to_has_left_even_if_nothing_is_said() {
    let Rig { engine, process, to_node, from_node, running } = Rig::start(STREAMS);
    drop(from_node);
    let began = tokio::time::Instant::now();
    running.await.unwrap();
    assert_eq!(*engine.done.lock().unwrap(), ["hang up"]);
    assert_eq!(began.elapsed(), SIGN_OF_LIFE);
    drop((process, to_node));
}

#[tokio::test(start_paused = true)]
async fn a_silent_session_says_that_it_lives_and_ends_after_a_day() {
    let mut rig = Rig::start(STREAMS);
    let began = tokio::time::Instant::now();
    assert_eq!(heard(&rig.hear().await), NodeMessage::Stdout(b""));
    let mut last = rig.hear().await;
    while heard(&last) == NodeMessage::Stdout(b"") {
        last = rig.hear().await;
    }
    let SessionEnd::Failed(why) = end_of(&last) else { panic!("it failed") };
    assert!(why.contains("24 hours"), "{why}");
    assert!(began.elapsed() >= LONGEST_SESSION);
    assert_eq!(rig.done(), ["hang up"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_read_slows_its_client() {
    let rig = Rig::start(STREAMS);
    let chunk = vec![b'x'; PIPE_BYTES];
    // One is in the pipe, one is being written, one waits.
    for _ in 0..3 {
        rig.say(ClientMessage::Stdin(&chunk)).await;
    }
    let more = rig.say(ClientMessage::Stdin(&chunk));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(5), more).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_standard_input_nothing_is_written_and_a_terminal_is_resized() {
    let streams = wire::SessionStreams { stdin: false, tty: true, ..STREAMS };
    let mut rig = Rig::start(streams);
    rig.say(ClientMessage::Stdin(b"lost")).await;
    rig.say(ClientMessage::Resize(wire::TerminalSize { width: 80, height: 24 })).await;
    rig.process.write_all(b"\x01 prompt").await.unwrap();
    assert_eq!(heard(&rig.hear().await), NodeMessage::Stdout(b"\x01 prompt"));
    rig.process.shutdown().await.unwrap();
    let mut written = Vec::new();
    assert_eq!(end_of(&rig.hear().await), SessionEnd::Exited(7));
    rig.process.read_to_end(&mut written).await.unwrap();
    assert!(written.is_empty());
    assert_eq!(rig.done(), ["resize 80x24"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_of_the_protocol_ends_the_session_with_a_sentence() {
    let mut rig = Rig::start(STREAMS);
    rig.to_node.send(Bytes::from_static(b"\x09")).await.unwrap();
    let SessionEnd::Failed(why) = end_of(&rig.hear().await) else { panic!("it failed") };
    assert!(why.contains("channel 9"), "{why}");
    assert_eq!(rig.done(), ["hang up"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_does_not_start_is_told() {
    let (process, _) = tokio::io::duplex(1);
    let mut rig = Rig::with(STREAMS, process, None, command(), None);
    let SessionEnd::Failed(why) = end_of(&rig.hear().await) else { panic!("it failed") };
    assert!(why.contains("exec: no"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_end_nobody_saw_is_ended() {
    let mut rig = Rig::running(command());
    // The session has not been polled yet.
    rig.engine.loses_code.store(true, std::sync::atomic::Ordering::Relaxed);
    rig.process.shutdown().await.unwrap();
    let SessionEnd::Failed(why) = end_of(&rig.hear().await) else { panic!("it failed") };
    assert!(why.contains("exec inspect: no"), "{why}");
    assert_eq!(rig.done(), ["hang up"]);
}

/// Hears signs of life for so long, and nothing else.
async fn lives(rig: &mut Rig, how_long: std::time::Duration) {
    let until = tokio::time::Instant::now() + how_long;
    while let Ok(message) = tokio::time::timeout_at(until, rig.hear()).await {
        assert_eq!(heard(&message), NodeMessage::Stdout(b""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_closes_its_outputs_goes_on_until_it_ends() {
    let mut rig = Rig::running(command());
    rig.process.write_all(b"\x01\0\0\0\0\0\0\x02so").await.unwrap();
    rig.process.shutdown().await.unwrap();
    assert_eq!(heard(&rig.hear().await), NodeMessage::Stdout(b"so"));
    lives(&mut rig, std::time::Duration::from_secs(3610)).await;
    rig.engine.code.send_replace(Some(5));
    assert_eq!(end_of(&rig.hear().await), SessionEnd::Exited(5));
    assert!(rig.done().is_empty());

    // It is still the client's, who may leave.
    let mut rig = Rig::running(command());
    rig.process.shutdown().await.unwrap();
    lives(&mut rig, std::time::Duration::from_secs(60 + 10)).await;
    drop(rig.to_node);
    rig.running.await.unwrap();
    assert_eq!(*rig.engine.done.lock().unwrap(), ["hang up"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_container_ends_a_session_also_where_its_streams_stay_open() {
    let mut rig = Rig::running(ProcessKind::Own);
    rig.engine.code.send_replace(Some(9));
    tokio::task::yield_now().await;
    rig.process.write_all(b"\x01\0\0\0\0\0\0\x04last").await.unwrap();
    assert_eq!(heard(&rig.hear().await), NodeMessage::Stdout(b"last"));
    assert_eq!(end_of(&rig.hear().await), SessionEnd::Exited(9));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_missed_also_behind_input_that_nobody_takes() {
    let Rig { engine, process, to_node, from_node, running } = Rig::running(command());
    let input = ClientMessage::Stdin(&[b'x'; 2 * PIPE_BYTES]).to_bytes();
    to_node.send(input.into()).await.unwrap();
    to_node.send(Bytes::from_static(b"\0more")).await.unwrap();
    let began = tokio::time::Instant::now();
    drop(from_node);
    running.await.unwrap();
    assert_eq!(*engine.done.lock().unwrap(), ["hang up"]);
    assert!(began.elapsed() <= STUCK, "{:?}", began.elapsed());
    drop((process, to_node));
}

#[tokio::test(start_paused = true)]
async fn the_connection_of_a_session_that_has_ended_is_its_readers_to_close() {
    let mut rig = Rig::start(STREAMS);
    rig.process.shutdown().await.unwrap();
    // A reader that is slower than any patience, while input still comes.
    for _ in 0..60 {
        rig.say(ClientMessage::Stdin(b"more")).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(!rig.running.is_finished());
    assert_eq!(end_of(&rig.hear().await), SessionEnd::Exited(7));
    drop(rig.to_node);
    rig.running.await.unwrap();
}
