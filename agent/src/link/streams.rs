//! Streams: somebody asks this node for bytes, and the node posts them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{PodUid, chain};
use dugout_wire as wire;
use dugout_wire::paths;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, StatusCode};
use tokio::sync::Semaphore;

use super::http::{Ask, Body, BoxError, Client, Server};
use super::{ANSWER_DEADLINE, Link, Retry, SMALL_ANSWER, SessionOver, words};
use crate::runtime::{LogOptions, RuntimeError};

/// Streams at once; a further one is refused with a sentence.
const MOST_STREAMS: usize = 32;
/// How long the first bytes may take before the stream counts as begun.
const FIRST_BYTES: Duration = Duration::from_millis(200);

/// Where logs come from.
pub(crate) trait LogSource: Send + Sync {
    /// The log of a container of a pod; its only one when it is not named. The error is a sentence.
    fn open(
        &self,
        pod: PodUid,
        container: Option<String>,
        options: LogOptions,
    ) -> BoxFuture<'static, Result<BoxStream<'static, Result<Bytes, RuntimeError>>, String>>;
}

impl Link {
    pub(super) async fn serve_streams(&self, session: &wire::Registered) -> SessionOver {
        let mut client = Client::new(self.server.clone());
        let mut retry = Retry::new();
        let room = Arc::new(Semaphore::new(MOST_STREAMS));
        let wait = session.poll_wait_ms.min(wire::MAX_WAIT_MS);
        let path = paths::streams(self.node());
        let instance = &self.registration.instance;
        let ask = Ask {
            method: Method::GET,
            path: format!("{path}?instance={instance}&wait_ms={wait}"),
            body: Bytes::new(),
            deadline: Duration::from_millis(wait) + ANSWER_DEADLINE,
            limit: SMALL_ANSWER,
        };
        loop {
            match self.ask(&mut client, "streams", &ask).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    match serde_json::from_slice::<wire::StreamRequest>(&answer.body) {
                        Ok(request) => {
                            retry = Retry::new();
                            self.begin_stream(request, &room);
                            continue;
                        }
                        Err(error) => retry.complain("streams", &error.to_string()),
                    }
                }
                Ok(answer) if answer.status == StatusCode::NO_CONTENT => {
                    retry = Retry::new();
                    continue;
                }
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return SessionOver,
                Ok(answer) => retry.complain("streams", &words(&answer)),
                Err(error) => retry.complain("streams", &chain(&error)),
            }
            retry.pause().await;
        }
    }

    fn begin_stream(&self, request: wire::StreamRequest, room: &Arc<Semaphore>) {
        let wire::StreamRequest { id, kind } = request;
        let request = match kind {
            wire::StreamKind::Session(request) => return self.begin_session(id, request),
            wire::StreamKind::Logs(request) => request,
        };
        let (server, logs) = (self.server.clone(), Arc::clone(&self.logs));
        let permit = Arc::clone(room).try_acquire_owned();
        tokio::spawn(async move {
            let opened = match &permit {
                Ok(_) => open(logs.as_ref(), request).await,
                Err(_) => Err(format!("this node serves {MOST_STREAMS} streams already")),
            };
            post(&server, id, opened).await;
            drop(permit);
        });
    }
}

type Chunks = BoxStream<'static, Result<Bytes, RuntimeError>>;

async fn open(logs: &dyn LogSource, request: wire::LogsRequest) -> Result<Chunks, String> {
    let options = LogOptions {
        follow: request.follow,
        tail_lines: request.tail_lines,
        since: request.since(),
        timestamps: request.timestamps,
    };
    let pod = request.pod_uid();
    let mut chunks = logs.open(pod, request.container, options).await?;
    // An error is known at once; a log that is followed and silent begins without bytes.
    match tokio::time::timeout(FIRST_BYTES, chunks.next()).await {
        Ok(Some(Err(error))) => Err(chain(&error)),
        Ok(Some(Ok(first))) => Ok(stream::once(async { Ok(first) }).chain(chunks).boxed()),
        Ok(None) => Ok(stream::empty().boxed()),
        Err(_) => Ok(chunks),
    }
}

/// Says why there is nothing.
pub(super) async fn post_refusal(server: &Server, id: uuid::Uuid, sentence: String) {
    post(server, id, Err(sentence)).await;
}

async fn post(server: &Server, id: uuid::Uuid, opened: Result<Chunks, String>) {
    let (status, body): (_, Body) = match opened {
        Ok(chunks) => {
            let frames = chunks.map_ok(Frame::data).map_err(BoxError::from);
            (wire::StreamStatus::Ok, StreamBody::new(frames).boxed_unsync())
        }
        Err(sentence) => {
            let body = Full::new(Bytes::from(sentence));
            (wire::StreamStatus::Error, body.map_err(|never| match never {}).boxed_unsync())
        }
    };
    let path = format!("{}?status={}", paths::stream(id), status.as_str());
    // A reader that has gone ends the post; there is nobody to tell.
    if let Err(error) = server.post_stream(&path, body).await {
        tracing::debug!(%id, error = %chain(&error), "a stream ended early");
    }
}
