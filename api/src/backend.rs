//! The port of the front door: what it needs from the rest of the control plane. Whoever runs the
//! engine implements it; this crate never learns how.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{
    CommitSha, Event, Foreseen, NamespaceName, OperatorRequest, PodUid, Problem, Release,
    SourceName, TimelineEntry, Timestamp, World,
};
use futures_util::Stream;
use tokio::sync::mpsc;

/// The future of one call. It must end by itself: the front door drops it after
/// [`crate::Limits::request_timeout`] (or `operation_timeout` for writes), which cancels the call.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// A stream of log bytes. Dropping it ends the stream at its origin.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BackendError>> + Send>>;

/// Everything the front door asks of the control plane.
pub trait Backend: Send + Sync + 'static {
    /// The newest read snapshot. Cheap: it is called once for each request.
    fn world(&self) -> Arc<World>;

    /// The time by the clock that stamps everything in the world, so that no age is off where somebody
    /// set the machine's.
    fn now(&self) -> Timestamp;

    /// Whether this server is the one that writes.
    fn leading(&self) -> Leading;

    /// The steps of one commit, or of the newest ones, oldest first; at most the `limit` newest.
    /// `sha_prefix` is lower-case hexadecimal of any length.
    fn timeline<'a>(
        &'a self,
        source: Option<&'a SourceName>,
        sha_prefix: Option<&'a str>,
        limit: u32,
    ) -> Call<'a, Vec<TimelineEntry>>;

    /// Releases, newest first; at most `limit`.
    fn releases<'a>(&'a self, source: Option<&'a SourceName>, limit: u32)
    -> Call<'a, Vec<Release>>;

    /// Events, newest first; at most `limit`. Without a namespace: all, those of objects that have
    /// no namespace included.
    fn events<'a>(
        &'a self,
        namespace: Option<&'a NamespaceName>,
        limit: u32,
    ) -> Call<'a, Vec<Event>>;

    /// What was wrong with the manifests of a revision: errors and notices, in the order of the
    /// files. `NotFound` when no revision of the source begins with the prefix.
    fn problems<'a>(
        &'a self,
        source: &'a SourceName,
        sha_prefix: &'a str,
    ) -> Call<'a, Vec<Problem>>;

    /// Does what an operator asks; returns when it is committed.
    fn operate(&self, request: OperatorRequest) -> Call<'_, ()>;

    /// Wakes the loop of one source, or of all, so that it looks at its remote now. Returns the
    /// sources that were woken.
    fn sync<'a>(&'a self, source: Option<&'a SourceName>) -> Call<'a, Vec<SourceName>>;

    /// Commits a revert to the source's repository and pushes it; where it cannot be reached, goes back
    /// all the same and pushes it later.
    fn rollback(&self, request: RollbackRequest) -> Call<'_, RollbackDone>;

    /// Tells what a commit would do; without a reference, the newest one of the source's branch.
    fn foresee<'a>(
        &'a self,
        source: &'a SourceName,
        reference: Option<String>,
    ) -> Call<'a, Foreseen>;

    /// The log of one container, from the node that runs it.
    fn logs(&self, request: LogsRequest) -> Call<'_, ByteStream>;

    /// A session with one container, from the node that runs it; begun when its agent has taken it up.
    fn session(&self, request: SessionRequest) -> Call<'_, Session>;

    /// Makes a token with which an agent may join, for ever or for so long. It is shown once.
    fn create_join_token(&self, valid_for: Option<Duration>) -> Call<'_, NewJoinToken>;

    /// Every token with which agents may join, by name; never the token itself.
    fn join_tokens(&self) -> Call<'_, Vec<JoinToken>>;

    /// Ends a token.
    fn revoke_join_token<'a>(&'a self, name: &'a str) -> Call<'a, ()>;
}

/// A token that was just made, and what it is called.
#[derive(Clone)]
pub struct NewJoinToken {
    pub name: String,
    pub token: String,
}

/// What may be told of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    pub name: String,
    pub created_at: Timestamp,
    /// Never, when absent.
    pub expires_at: Option<Timestamp>,
}

/// Whether this server is the one that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leading {
    Leads,
    /// Another server leads; `leader` is its address, where it is known.
    StandsBy {
        leader: Option<String>,
    },
    /// The database does not answer. What runs goes on; the snapshot shows the last known state.
    NoDatabase {
        message: String,
    },
}

/// Why the control plane could not do what was asked. `Display` is a sentence for the person who
/// asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("{what} was not found")]
    NotFound { what: String },
    /// What was asked does not fit the state of things, as `sentence` explains.
    #[error("{sentence}")]
    Conflict { sentence: String },
    /// Something that is needed does not answer now; trying again later may help.
    #[error("{what} is not available now; try again in a moment")]
    Unavailable { what: String },
    /// It will not be done, as `sentence` explains.
    #[error("{sentence}")]
    Refused { sentence: String },
    /// Another server leads.
    #[error("{}", not_leading(.leader.as_deref()))]
    NotLeading { leader: Option<String> },
    /// Our own fault. The cause goes to the log of the server.
    #[error("{what} failed inside the server; its log says why")]
    Failed {
        what: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The sentence that sends a person to the server that leads.
pub(crate) fn not_leading(leader: Option<&str>) -> String {
    match leader {
        Some(address) => format!("this server stands by; ask the leader at {address}"),
        None => "this server stands by, and the leader is not known yet; try again in a moment"
            .to_owned(),
    }
}

/// Which log, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsRequest {
    pub pod: PodUid,
    pub container: String,
    /// Stay and send what comes until the caller leaves.
    pub follow: bool,
    /// Only the last lines; all of them when absent.
    pub tail_lines: Option<u32>,
    /// Only what was written at or after this moment.
    pub since: Option<Timestamp>,
    /// Begin each line with its time in RFC 3339.
    pub timestamps: bool,
}

/// With which container, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    pub pod: PodUid,
    pub container: String,
    pub kind: SessionKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A command beside what runs there; not empty.
    Exec { command: Vec<String>, streams: SessionStreams },
    /// The container's own process.
    Attach { streams: SessionStreams },
    /// Its files, as an archive.
    Archive { action: ArchiveAction, path: String },
}

/// What is done with the files of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveAction {
    /// Only tells what is there.
    Look,
    Read,
    Write,
}

/// Which of a process's streams are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SessionStreams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// One terminal instead of three streams.
    pub tty: bool,
}

/// The messages of a session, in the framing of Kubernetes' `v5.channel.k8s.io`. The node's last one is
/// on the channel of the status; to drop this is to leave.
#[derive(Debug)]
pub struct Session {
    pub incoming: mpsc::Receiver<Bytes>,
    pub outgoing: mpsc::Sender<Bytes>,
}

/// The way back to an earlier commit, as a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackRequest {
    /// May be absent when there is only one source.
    pub source: Option<SourceName>,
    /// The commit whose content shall be back, by its first characters; without it, the last healthy
    /// one before the applied one.
    pub to: Option<String>,
    /// Goes into the message of the commit.
    pub reason: Option<String>,
}

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackDone {
    pub source: SourceName,
    pub branch: String,
    /// The commit whose content is back.
    pub to: CommitSha,
    pub on_branch: RollbackOnBranch,
}

/// What the branch has of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackOnBranch {
    /// A new commit, and those that it reverts, newest first.
    Pushed { commit: CommitSha, reverted: Vec<CommitSha> },
    /// Nothing yet, for this reason; the commit is pushed when it can be.
    Owed { why: String },
}
