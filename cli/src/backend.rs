//! The front door's port, answered by the reconciler in this process.

use std::sync::Arc;
use std::time::Duration;

use dugout_api::{
    ArchiveAction, Backend, BackendError, ByteStream, Call, JoinToken, Leading, LogsRequest,
    NewJoinToken, RollbackDone, RollbackOnBranch, RollbackRequest, Session, SessionKind,
    SessionRequest, SessionStreams,
};
use dugout_gitsync::Reverted;
use dugout_model::{
    Event, Foreseen, NamespaceName, NodeName, NoticedBy, OperatorRequest, PodUid, Problem, Release,
    SourceName, TimelineEntry, Timestamp, World,
};
use dugout_reconciler::{
    ForecastError, NotCommitted, OnBranch, Reconciler, Rollback, RollbackError, StreamRefused,
    Tokens,
};
use dugout_store::StoreError;
use dugout_wire::StreamKind;
use futures_util::StreamExt;

/// Connects `dugout-api` with `dugout-reconciler`, which do not know each other.
pub struct ControlPlaneBackend {
    reconciler: Reconciler,
}

impl ControlPlaneBackend {
    pub fn new(reconciler: Reconciler) -> Self {
        Self { reconciler }
    }

    /// The source that is meant: the named one, or the only one.
    fn source(&self, named: Option<&SourceName>) -> Result<SourceName, BackendError> {
        let mut names = self.reconciler.declarations().map(|declaration| &declaration.name);
        match (named, names.next(), names.next()) {
            (Some(name), ..) => Ok(name.clone()),
            (None, Some(only), None) => Ok(only.clone()),
            (None, ..) => Err(BackendError::Conflict {
                sentence: "there are several sources; name one".to_owned(),
            }),
        }
    }
}

impl Backend for ControlPlaneBackend {
    fn world(&self) -> Arc<World> {
        self.reconciler.world()
    }

    fn now(&self) -> Timestamp {
        self.reconciler.clock().now()
    }

    fn leading(&self) -> Leading {
        match self.reconciler.leading() {
            dugout_reconciler::Leading::Here => Leading::Leads,
            dugout_reconciler::Leading::Elsewhere { holder, .. } => {
                Leading::StandsBy { leader: Some(holder) }
            }
            dugout_reconciler::Leading::Nobody { reason } => {
                Leading::NoDatabase { message: reason.to_string() }
            }
        }
    }

    fn timeline<'a>(
        &'a self,
        source: Option<&'a SourceName>,
        sha_prefix: Option<&'a str>,
        limit: u32,
    ) -> Call<'a, Vec<TimelineEntry>> {
        Box::pin(async move {
            let source = self.source(source)?;
            self.reconciler
                .store()
                .timeline(&source, sha_prefix, limit)
                .await
                .map_err(|error| from_store("the timeline", error))
        })
    }

    fn releases<'a>(
        &'a self,
        source: Option<&'a SourceName>,
        limit: u32,
    ) -> Call<'a, Vec<Release>> {
        Box::pin(async move {
            let releases = self.reconciler.store().releases(source, limit).await;
            releases.map_err(|error| from_store("the releases", error))
        })
    }

    fn events<'a>(
        &'a self,
        namespace: Option<&'a NamespaceName>,
        limit: u32,
    ) -> Call<'a, Vec<Event>> {
        Box::pin(async move {
            let events = self.reconciler.store().events(namespace, limit).await;
            let mut events = events.map_err(|error| from_store("the events", error))?;
            // The store tells them as they happened, the front door newest first.
            events.reverse();
            Ok(events)
        })
    }

    fn problems<'a>(
        &'a self,
        source: &'a SourceName,
        sha_prefix: &'a str,
    ) -> Call<'a, Vec<Problem>> {
        Box::pin(async move {
            let revision = self.reconciler.store().revision(source, sha_prefix).await;
            match revision.map_err(|error| from_store("the revision", error))? {
                Some(revision) => Ok(revision.problems),
                None => Err(BackendError::NotFound { what: format!("commit {sha_prefix}") }),
            }
        })
    }

    fn operate(&self, request: OperatorRequest) -> Call<'_, ()> {
        Box::pin(async move { self.reconciler.operate(request).await.map_err(from_engine) })
    }

    fn sync<'a>(&'a self, source: Option<&'a SourceName>) -> Call<'a, Vec<SourceName>> {
        Box::pin(async move {
            if !self.reconciler.ring(source, NoticedBy::Operator) {
                let what = source.map_or("a source".to_owned(), |name| format!("source {name}"));
                return Err(BackendError::NotFound { what });
            }
            Ok(self
                .reconciler
                .declarations()
                .map(|declaration| declaration.name.clone())
                .filter(|name| source.is_none_or(|wanted| wanted == name))
                .collect())
        })
    }

    fn rollback(&self, request: RollbackRequest) -> Call<'_, RollbackDone> {
        Box::pin(async move {
            let RollbackRequest { source, to, reason } = request;
            let done = self.reconciler.rollback(Rollback { source, to, reason }).await;
            let done = done.map_err(from_rollback)?;
            Ok(RollbackDone {
                source: done.source,
                branch: done.branch,
                to: done.to,
                on_branch: match done.on_branch {
                    OnBranch::Pushed(Reverted { commit, reverts, .. }) => {
                        RollbackOnBranch::Pushed { commit, reverted: reverts }
                    }
                    OnBranch::Owed { why } => RollbackOnBranch::Owed { why },
                },
            })
        })
    }

    fn foresee<'a>(
        &'a self,
        source: &'a SourceName,
        reference: Option<String>,
    ) -> Call<'a, Foreseen> {
        Box::pin(async move {
            let foreseen = self.reconciler.foresee(source, reference).await;
            foreseen.map_err(|error| from_forecast(&error))
        })
    }

    fn logs(&self, request: LogsRequest) -> Call<'_, ByteStream> {
        Box::pin(async move {
            let world = self.reconciler.world();
            let node = node_of(&world, request.pod, "has no log yet: it waits for a node")?;
            let kind = StreamKind::Logs(dugout_wire::LogsRequest {
                pod: request.pod.0,
                container: Some(request.container),
                follow: request.follow,
                tail_lines: request.tail_lines.map(u64::from),
                since_micros: request.since.map(dugout_model::Timestamp::as_micros),
                timestamps: request.timestamps,
            });
            let chunks = self.reconciler.open_stream(node, kind).await.map_err(from_stream)?;
            let stream = futures_util::stream::unfold(chunks, |mut chunks| async {
                chunks.recv().await.map(|chunk| (chunk, chunks))
            });
            let stream: ByteStream = Box::pin(stream.map(|chunk| chunk.map_err(from_stream)));
            Ok(stream)
        })
    }

    fn session(&self, request: SessionRequest) -> Call<'_, Session> {
        Box::pin(async move {
            let world = self.reconciler.world();
            let node = node_of(&world, request.pod, "waits for a node")?;
            let request = session_request(request);
            let session = self.reconciler.open_session(node, request).await.map_err(from_stream)?;
            let dugout_reconciler::Session { incoming, outgoing } = session;
            Ok(Session { incoming, outgoing })
        })
    }

    fn create_join_token(&self, valid_for: Option<Duration>) -> Call<'_, NewJoinToken> {
        Box::pin(async move {
            let made = self.reconciler.tokens().create(valid_for).await;
            let made = made.map_err(|error| from_store("the join token", error))?;
            Ok(NewJoinToken { name: made.name, token: made.token })
        })
    }

    fn join_tokens(&self) -> Call<'_, Vec<JoinToken>> {
        Box::pin(async move {
            let tokens = self.reconciler.tokens().list().await;
            let tokens = tokens.map_err(|error| from_store("the join tokens", error))?;
            let told = tokens.into_iter().map(|token| JoinToken {
                name: token.name,
                created_at: token.created_at,
                expires_at: token.expires_at,
            });
            Ok(told.collect())
        })
    }

    fn revoke_join_token<'a>(&'a self, name: &'a str) -> Call<'a, ()> {
        Box::pin(async move {
            if Tokens::is_own(name) {
                return Err(BackendError::Refused {
                    sentence: format!(
                        "{name} is the token of an agent in a server's own process, which would \
                         make it anew"
                    ),
                });
            }
            let was_there = self.reconciler.tokens().revoke(name).await;
            if was_there.map_err(|error| from_store("the join token", error))? {
                Ok(())
            } else {
                Err(BackendError::NotFound { what: format!("join token {name}") })
            }
        })
    }
}

fn from_store(what: &str, error: StoreError) -> BackendError {
    match error {
        StoreError::Unavailable { .. } | StoreError::TooSlow { .. } => {
            BackendError::Unavailable { what: what.to_owned() }
        }
        StoreError::AmbiguousCommit { .. } => {
            BackendError::Conflict { sentence: error.to_string() }
        }
        error => BackendError::Failed { what: what.to_owned(), source: Box::new(error) },
    }
}

fn from_engine(error: NotCommitted) -> BackendError {
    match error {
        NotCommitted::Elsewhere { holder } => BackendError::NotLeading { leader: Some(holder) },
        NotCommitted::NoDatabase { .. } | NotCommitted::Deadline => {
            BackendError::Unavailable { what: "the database".to_owned() }
        }
        NotCommitted::Refused => BackendError::Refused { sentence: error.to_string() },
    }
}

/// Where a pod is, or what is to be said of one that is nowhere.
fn node_of<'a>(world: &'a World, pod: PodUid, nowhere: &str) -> Result<&'a NodeName, BackendError> {
    let pod = world
        .pods
        .get(&pod)
        .ok_or_else(|| BackendError::NotFound { what: format!("pod {pod}") })?;
    pod.node()
        .ok_or_else(|| BackendError::Conflict { sentence: format!("pod {} {nowhere}", pod.name) })
}

fn session_request(request: SessionRequest) -> dugout_wire::SessionRequest {
    let streams = |streams: SessionStreams| {
        let SessionStreams { stdin, stdout, stderr, tty } = streams;
        dugout_wire::SessionStreams { stdin, stdout, stderr, tty }
    };
    let kind = match request.kind {
        SessionKind::Exec { command, streams: wanted } => {
            let streams = streams(wanted);
            dugout_wire::SessionKind::Exec(dugout_wire::ExecRequest { command, streams })
        }
        SessionKind::Attach { streams: wanted } => {
            dugout_wire::SessionKind::Attach(streams(wanted))
        }
        SessionKind::Archive { action, path } => {
            let action = match action {
                ArchiveAction::Look => dugout_wire::ArchiveAction::Look,
                ArchiveAction::Read => dugout_wire::ArchiveAction::Read,
                ArchiveAction::Write => dugout_wire::ArchiveAction::Write,
            };
            dugout_wire::SessionKind::Archive(dugout_wire::ArchiveRequest { action, path })
        }
    };
    dugout_wire::SessionRequest { pod: request.pod.0, container: request.container, kind }
}

fn from_stream(error: StreamRefused) -> BackendError {
    match error {
        StreamRefused::ByNode { sentence } => BackendError::Conflict { sentence },
        StreamRefused::TooMany { node } | StreamRefused::NoAnswer { node } => {
            BackendError::Unavailable { what: format!("node {node}") }
        }
    }
}

fn from_forecast(error: &ForecastError) -> BackendError {
    match error {
        ForecastError::UnknownSource { source_name } => {
            BackendError::NotFound { what: format!("source {source_name}") }
        }
        // What a person can mend stands in the causes.
        error => BackendError::Conflict { sentence: dugout_model::chain(error) },
    }
}

fn from_rollback(error: RollbackError) -> BackendError {
    match error {
        RollbackError::UnknownSource { source_name } => {
            BackendError::NotFound { what: format!("source {source_name}") }
        }
        RollbackError::WhichSource | RollbackError::NothingHealthy { .. } => {
            BackendError::Conflict { sentence: error.to_string() }
        }
        RollbackError::History(error) => from_store("the history of releases", error),
        // What a person can mend stands in the causes: a conflict, a dirty work tree, a protected branch.
        error => BackendError::Conflict { sentence: dugout_model::chain(&error) },
    }
}
