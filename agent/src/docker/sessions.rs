//! Docker's side of sessions. Its connections are opened here and not by the client library, which
//! takes a terminal's bytes for heads of pieces when they look like them.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, ResizeExecOptions};
use bollard::models::ExecInspectResponse;
use bollard::query_parameters::{ResizeContainerTTYOptionsBuilder, WaitContainerOptionsBuilder};
use bytes::Bytes;
use dugout_wire as wire;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{DockerHost, DockerRuntime, QUICK, classify};
use crate::link::BoxError;
use crate::runtime::{PermanentKind, RuntimeError};
use crate::sessions::{InputEnd, Process, ProcessKind, SessionEngine};

/// How often the engine is asked for the end of a command that has closed its streams: at first, and later.
const END_LOOK: Duration = Duration::from_millis(20);
const LATE_END_LOOK: Duration = Duration::from_secs(1);
/// How long the engine may not answer before nobody waits for the end of a command any more. A restart of
/// it takes some seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How often a terminal is resized that its process has not opened yet.
const RESIZE_TRIES: u32 = 10;
const RESIZE_PAUSE: Duration = Duration::from_millis(50);
/// What an engine takes as the wish to leave a terminal. Kubernetes knows none, and the usual one
/// (Ctrl-P, Ctrl-Q) would keep back every Ctrl-P until the next key; so one that nobody types.
const DETACH_KEYS: &str = "ctrl-^,ctrl-_,ctrl-^,ctrl-_";
/// The longest words of an engine that refuses.
const REFUSAL_BYTES: usize = 64 * 1024;

impl SessionEngine for DockerRuntime {
    type Connection = TokioIo<Upgraded>;

    async fn make_command(
        &self,
        container: &str,
        request: &wire::ExecRequest,
    ) -> Result<Process, RuntimeError> {
        let streams = request.streams;
        let options = CreateExecOptions {
            attach_stdin: Some(streams.stdin),
            attach_stdout: Some(streams.stdout),
            attach_stderr: Some(streams.stderr && !streams.tty),
            tty: Some(streams.tty),
            detach_keys: Some(DETACH_KEYS.to_owned()),
            cmd: Some(request.command.clone()),
            ..CreateExecOptions::default()
        };
        let make = |docker: Docker| async move { docker.create_exec(container, options).await };
        let made = self.call("exec", QUICK, make).await?;
        let kind = ProcessKind::Command(made.id);
        Ok(Process { container: container.to_owned(), kind, streams, input_end: InputEnd::Told })
    }

    async fn own_process(
        &self,
        container: &str,
        streams: wire::SessionStreams,
    ) -> Result<Process, RuntimeError> {
        let operation = "attach";
        let look = |docker: Docker| async move { docker.inspect_container(container, None).await };
        let found = self.call(operation, QUICK, look).await?;
        if found.state.and_then(|state| state.running) != Some(true) {
            return Err(RuntimeError::Permanent {
                operation,
                kind: PermanentKind::Conflict,
                message: "the container does not run".to_owned(),
            });
        }
        // How its bytes come is the container's matter, whatever was asked for.
        let config = found.config.unwrap_or_default();
        let tty = config.tty == Some(true);
        let input_end = match config.stdin_once {
            Some(true) => InputEnd::Told,
            _ => InputEnd::Kept,
        };
        let streams = wire::SessionStreams { tty, ..streams };
        Ok(Process { container: container.to_owned(), kind: ProcessKind::Own, streams, input_end })
    }

    async fn connect(&self, process: &Process) -> Result<Self::Connection, RuntimeError> {
        let wire::SessionStreams { stdin, stdout, stderr, tty } = process.streams;
        let (operation, path, body) = match &process.kind {
            ProcessKind::Command(id) => {
                let body = format!(r#"{{"Detach":false,"Tty":{tty}}}"#);
                ("exec", format!("/exec/{id}/start"), body)
            }
            ProcessKind::Own => {
                let id = &process.container;
                let keys = DETACH_KEYS.replace('^', "%5E");
                let stderr = stderr && !tty;
                let query = format!(
                    "stream=1&stdin={stdin}&stdout={stdout}&stderr={stderr}&detachKeys={keys}"
                );
                ("attach", format!("/containers/{id}/attach?{query}"), String::new())
            }
        };
        let connecting = async {
            let version = self.client(operation).await?.client_version();
            let path = format!("/v{}.{}{path}", version.major_version, version.minor_version);
            let unavailable = |source| RuntimeError::EngineUnavailable { operation, source };
            match &self.host {
                DockerHost::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await;
                    let stream = stream.map_err(|error| unavailable(error.into()))?;
                    upgrade(operation, stream, &path, body).await
                }
                DockerHost::Tcp(address) => {
                    let address = address.trim_start_matches("http://").trim_end_matches('/');
                    let stream = TcpStream::connect(address).await;
                    let stream = stream.map_err(|error| unavailable(error.into()))?;
                    upgrade(operation, stream, &path, body).await
                }
            }
        };
        tokio::time::timeout(QUICK, connecting)
            .await
            .unwrap_or(Err(RuntimeError::Deadline { operation, after: QUICK }))
    }

    fn exit_code(&self, process: &Process) -> BoxFuture<'static, Result<i64, RuntimeError>> {
        let operation = "wait";
        let Some(docker) = self.held().clone() else {
            let message = "the container engine has not answered yet".to_owned();
            return Box::pin(async { Err(RuntimeError::Transient { operation, message }) });
        };
        match &process.kind {
            ProcessKind::Command(id) => Box::pin(command_exit_code(docker, id.clone())),
            ProcessKind::Own => {
                let container = process.container.clone();
                // Waits from now on, whenever it is asked.
                let waiting = tokio::spawn(container_exit_code(docker, container));
                let waiting = AbortOnDropHandle::new(waiting);
                Box::pin(async move {
                    waiting.await.unwrap_or_else(|error| {
                        Err(RuntimeError::Transient { operation, message: error.to_string() })
                    })
                })
            }
        }
    }

    async fn resize(
        &self,
        process: &Process,
        size: wire::TerminalSize,
    ) -> Result<(), RuntimeError> {
        let wire::TerminalSize { width, height } = size;
        if !process.streams.tty || width == 0 || height == 0 {
            return Ok(());
        }
        let mut tries = 1;
        loop {
            let resize = |docker: Docker| async move {
                match &process.kind {
                    ProcessKind::Command(id) => {
                        docker.resize_exec(id, ResizeExecOptions { width, height }).await
                    }
                    ProcessKind::Own => {
                        let options = ResizeContainerTTYOptionsBuilder::new();
                        let options = options.w(width.into()).h(height.into()).build();
                        docker.resize_container_tty(&process.container, options).await
                    }
                }
            };
            match self.call("resize", QUICK, resize).await {
                Err(error) if !error.is_deadline() && tries < RESIZE_TRIES => {
                    tries += 1;
                    tokio::time::sleep(RESIZE_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn hang_up(&self, process: &Process) {
        if let ProcessKind::Command(id) = &process.kind
            && !self.hang_up_command(&process.container, id).await
        {
            tracing::warn!(
                container = process.container,
                "a command whose client has gone could not be ended; it may still run"
            );
        }
    }
}

/// Asks the engine for a connection of bytes.
async fn upgrade(
    operation: &'static str,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
    body: String,
) -> Result<TokioIo<Upgraded>, RuntimeError> {
    let unavailable = |source: BoxError| RuntimeError::EngineUnavailable { operation, source };
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unavailable(error.into()))?;
    // Ends with the connection, or hands it over.
    tokio::spawn(driver.with_upgrades());
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, "docker")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| unavailable(error.into()))?;
    let answer = sender.send_request(request).await.map_err(|error| unavailable(error.into()))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = hyper::upgrade::on(answer).await;
        return upgraded.map(TokioIo::new).map_err(|error| unavailable(error.into()));
    }
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status_code = answer.status().as_u16();
    let words = Limited::new(answer.into_body(), REFUSAL_BYTES).collect().await;
    let words = words.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = match serde_json::from_slice::<Refusal>(&words) {
        Ok(refusal) => refusal.message,
        Err(_) => format!("the container engine answered {status_code}"),
    };
    Err(classify(operation, BollardError::DockerResponseServerError { status_code, message }))
}

/// The code of a command whose streams have ended. It may have closed them itself and go on, for as long as
/// a session may last. An engine that does not answer for a moment is asked again.
async fn command_exit_code(docker: Docker, exec: String) -> Result<i64, RuntimeError> {
    exit_code_of(|| async {
        let state = docker.inspect_exec(&exec).await;
        state.map_err(|error| classify("exec inspect", error))
    })
    .await
}

async fn exit_code_of<L>(mut look: impl FnMut() -> L) -> Result<i64, RuntimeError>
where
    L: Future<Output = Result<ExecInspectResponse, RuntimeError>>,
{
    let mut pause = END_LOOK;
    let mut silent_since: Option<Instant> = None;
    loop {
        match look().await {
            Ok(state) => {
                silent_since = None;
                if let (Some(false), Some(code)) = (state.running, state.exit_code) {
                    return Ok(code);
                }
            }
            Err(error) if error.may_pass() => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LONGEST_SILENCE {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LATE_END_LOOK);
    }
}

/// The code with which a container ends, or has ended since it was looked at: each of its starts is another
/// container.
async fn container_exit_code(docker: Docker, container: String) -> Result<i64, RuntimeError> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    match docker.wait_container(&container, Some(options)).next().await {
        Some(Ok(ended)) => Ok(ended.status_code),
        Some(Err(BollardError::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(classify("wait", error)),
        None => Err(RuntimeError::Transient {
            operation: "wait",
            message: "the container engine did not say how the container ended".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiccup() -> RuntimeError {
        RuntimeError::Transient { operation: "exec inspect", message: "no".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_code_of_a_command_outlives_an_engine_that_is_silent_for_a_moment() {
        let running = ExecInspectResponse { running: Some(true), ..Default::default() };
        let ended =
            ExecInspectResponse { running: Some(false), exit_code: Some(3), ..Default::default() };
        let mut answers = vec![Err(hiccup()), Ok(running), Err(hiccup()), Ok(ended)].into_iter();
        let code = exit_code_of(|| std::future::ready(answers.next().expect("an answer"))).await;
        assert_eq!(code.expect("its code"), 3);

        let began = Instant::now();
        assert!(exit_code_of(|| std::future::ready(Err(hiccup()))).await.is_err());
        assert!(began.elapsed() >= LONGEST_SILENCE && began.elapsed() < 2 * LONGEST_SILENCE);
    }
}
