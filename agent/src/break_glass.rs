//! What a person may do on the node itself, also while no control plane answers: list its pods, have the
//! agent leave one alone, stop one, and take that back.
//!
//! The agent that runs is asked, over a socket in its data directory that its user alone may use. Where
//! none runs, `local` does the same with what the directory and the labels of the containers say.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dugout_wire as wire;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub(crate) const SOCKET: &str = "agent.sock";
/// How long a client may take to ask, and to take the answer.
const CLIENT_DEADLINE: Duration = Duration::from_secs(2);
/// How long the agent may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A pause before the next try, when a connection cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_REQUEST_BYTES: u64 = 64 << 10;
/// A node has a hundred pods or so.
const LONGEST_ANSWER_BYTES: u64 = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    List,
    /// Leave it alone: no restart, no healing, no stop, whatever is assigned.
    Pause(Target),
    /// Stop its containers, and leave it so.
    Stop(Target),
    /// Tend it again.
    Resume(Target),
}

/// A pod, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name or its uid.
    pub pod: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    Pods(Vec<PodLine>),
    /// It is done, or begun; how the pod is now.
    Done(PodLine),
    /// It is not; a sentence.
    Refused(String),
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodLine {
    pub namespace: String,
    pub name: String,
    pub uid: Uuid,
    /// What the control plane asked for last; where no agent runs, nobody looks that up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<wire::Pause>,
    /// Without the sandbox.
    pub containers: Vec<ContainerLine>,
    /// How long it has to end when it is stopped.
    pub grace_seconds: u64,
    /// How fresh is what is said of its containers.
    #[serde(default, skip_serializing_if = "EngineState::answers")]
    pub engine: EngineState,
    /// What the engine is doing for it just now; that goes on, whatever is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
}

/// What the agent knows of its container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EngineState {
    #[default]
    Answers,
    /// Its containers have not been listed since the agent started: of none is known whether it is there.
    NotListed,
    /// It does not answer; what is known is what it said last.
    Away,
}

/// A call to the engine that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    pub call: Call,
    /// Since when.
    pub seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    Pull,
    /// An image is looked for.
    Find,
    Create,
    Start,
    Stop,
    /// Something that was changed by hand is put back.
    Correct,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    Run,
    Stop,
    /// It is the node's, and no longer assigned.
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerLine {
    pub name: String,
    pub id: String,
    pub running: bool,
    /// How often it was started again.
    pub restarts: u32,
}

impl PodLine {
    pub fn running(&self) -> usize {
        self.containers.iter().filter(|one| one.running).count()
    }

    /// Whether it is certain that nothing of it runs, or is about to.
    pub fn is_surely_stopped(&self) -> bool {
        self.engine == EngineState::Answers && self.in_flight.is_none() && self.running() == 0
    }
}

impl EngineState {
    fn answers(&self) -> bool {
        *self == EngineState::Answers
    }
}

impl Call {
    pub fn as_str(self) -> &'static str {
        match self {
            Call::Pull => "pull",
            Call::Find => "find",
            Call::Create => "create",
            Call::Start => "start",
            Call::Stop => "stop",
            Call::Correct => "correct",
            Call::Remove => "remove",
        }
    }

    /// What is being done to the pod.
    pub fn participle(self) -> &'static str {
        match self {
            Call::Pull => "pulled",
            Call::Find => "looked at",
            Call::Create => "created",
            Call::Start => "started",
            Call::Stop => "stopped",
            Call::Correct => "corrected",
            Call::Remove => "removed",
        }
    }
}

impl Order {
    pub fn as_str(self) -> &'static str {
        match self {
            Order::Run => "run",
            Order::Stop => "stop",
            Order::Remove => "remove",
        }
    }
}

impl Request {
    /// What becomes of the pod that is named; none where only to look is asked for.
    pub(crate) fn change(&self) -> Option<(&Target, Option<dugout_model::Pause>)> {
        match self {
            Request::List => None,
            Request::Pause(target) => Some((target, Some(dugout_model::Pause::LeftAlone))),
            Request::Stop(target) => Some((target, Some(dugout_model::Pause::Stopped))),
            Request::Resume(target) => Some((target, None)),
        }
    }
}

/// The one pod that is meant; else a sentence.
pub(crate) fn find<'a>(pods: &'a [PodLine], target: &Target) -> Result<&'a PodLine, String> {
    let is_meant = |one: &&PodLine| {
        (one.name == target.pod || one.uid.to_string() == target.pod)
            && target.namespace.as_ref().is_none_or(|namespace| *namespace == one.namespace)
    };
    let found: Vec<&PodLine> = pods.iter().filter(is_meant).collect();
    let name = &target.pod;
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let place = target.namespace.as_ref().map(|one| format!(" in namespace {one}"));
            let place = place.unwrap_or_default();
            Err(format!("this node has no pod {name}{place}; 'dugout agent ps' lists those it has"))
        }
        several => {
            let which = several
                .iter()
                .map(|one| format!("{}/{} (uid {})", one.namespace, one.name, one.uid));
            let which = which.collect::<Vec<_>>().join(", ");
            Err(format!("{name} may be {which}; choose with -n, or by the uid"))
        }
    }
}

/// A request on its way to the driver.
#[derive(Debug)]
pub(crate) struct Operation {
    pub request: Request,
    pub answer: oneshot::Sender<Answer>,
}

/// Why the agent could not be asked.
#[derive(Debug, Error)]
pub enum AskError {
    #[error("the agent's socket {} cannot be used; it is its user's alone", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the agent did not answer within {} s", ANSWER_DEADLINE.as_secs())]
    Deadline,
    #[error("the agent is of another release, and what it answers is not understood")]
    Answer(#[source] serde_json::Error),
}

/// A path to the socket that is short enough for the kernel, however deep the folder is. It is good as long
/// as the folder is open.
fn short_path(folder: &Path) -> io::Result<(File, PathBuf)> {
    let open = File::open(folder)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd()));
    Ok((open, path))
}

/// Asks the agent that uses this data directory; none where no agent does.
///
/// # Errors
/// When there is one that cannot be asked.
pub async fn ask(folder: &Path, request: &Request) -> Result<Option<Answer>, AskError> {
    let failed = |source| AskError::Socket { path: folder.join(SOCKET), source };
    let asking = async {
        let (_open, path) = match short_path(folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut connection = match UnixStream::connect(path).await {
            Ok(connection) => connection,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        // Plain data, which JSON always has a form for.
        let mut line = serde_json::to_vec(request).unwrap_or_default();
        line.push(b'\n');
        connection.write_all(&line).await.map_err(failed)?;
        let mut answer = Vec::new();
        let mut limited = connection.take(LONGEST_ANSWER_BYTES);
        limited.read_to_end(&mut answer).await.map_err(failed)?;
        serde_json::from_slice(&answer).map(Some).map_err(AskError::Answer)
    };
    tokio::time::timeout(ANSWER_DEADLINE, asking).await.unwrap_or(Err(AskError::Deadline))
}

/// Listens in the data directory, which is this agent's alone.
pub(crate) fn listen(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_open, short) = short_path(folder)?;
    let listener = UnixListener::bind(short)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers, one after the other, for as long as the agent runs.
pub(crate) async fn serve(listener: UnixListener, driver: mpsc::Sender<Operation>) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => answer(connection, &driver).await,
            Err(error) => {
                tracing::debug!(%error, "a connection of a person on this node cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(connection: UnixStream, driver: &mpsc::Sender<Operation>) {
    // Before the socket had its mode, anybody who may enter the folder could connect.
    let own = rustix::process::geteuid().as_raw();
    if !connection.peer_cred().is_ok_and(|peer| [0, own].contains(&peer.uid())) {
        return;
    }
    let (reader, mut writer) = connection.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST_BYTES));
    let reading = tokio::time::timeout(CLIENT_DEADLINE, reader.read_line(&mut line)).await;
    if !matches!(reading, Ok(Ok(1..))) {
        return;
    }
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let (sender, answer) = oneshot::channel();
            if driver.send(Operation { request, answer: sender }).await.is_err() {
                return;
            }
            match answer.await {
                Ok(answer) => answer,
                Err(_) => return,
            }
        }
        Err(error) => Answer::Refused(format!("this agent does not know what was asked: {error}")),
    };
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    let writing = async {
        writer.write_all(&bytes).await?;
        writer.shutdown().await
    };
    // Who has gone needs no answer.
    let _ = tokio::time::timeout(CLIENT_DEADLINE, writing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, uid: u128) -> PodLine {
        PodLine {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: Uuid::from_u128(uid),
            order: Some(Order::Run),
            pause: None,
            containers: vec![],
            grace_seconds: 30,
            engine: EngineState::Answers,
            in_flight: None,
        }
    }

    #[test]
    fn a_pod_is_stopped_once_nothing_of_it_runs_or_is_about_to_as_far_as_the_engine_knows() {
        let none = pod("a", "web", 1);
        assert!(none.is_surely_stopped());
        for engine in [EngineState::NotListed, EngineState::Away] {
            assert!(!PodLine { engine, ..none.clone() }.is_surely_stopped(), "{engine:?}");
        }
        let in_flight = Some(InFlight { call: Call::Start, seconds: 0 });
        assert!(!PodLine { in_flight, ..none.clone() }.is_surely_stopped());
        let line = ContainerLine { name: "c".into(), id: "1".into(), running: true, restarts: 0 };
        assert!(!PodLine { containers: vec![line], ..none.clone() }.is_surely_stopped());
        // What an agent of before this said is understood.
        let text = serde_json::to_string(&none).unwrap();
        assert!(!text.contains("engine") && !text.contains("inFlight"), "{text}");
        assert_eq!(serde_json::from_str::<PodLine>(&text).unwrap(), none);
    }

    #[test]
    fn a_pod_is_meant_by_its_name_or_its_uid() {
        let pods = [pod("a", "web", 1), pod("b", "web", 2), pod("b", "db", 3)];
        let find = |namespace: Option<&str>, pod: &str| {
            let target = Target { namespace: namespace.map(str::to_owned), pod: pod.to_owned() };
            find(&pods, &target).map(|one| one.uid.as_u128())
        };
        assert_eq!(find(None, "db"), Ok(3));
        assert_eq!(find(Some("b"), "web"), Ok(2));
        assert_eq!(find(None, &Uuid::from_u128(1).to_string()), Ok(1));
        assert!(find(None, "web").is_err_and(|why| why.contains("a/web") && why.contains("b/web")));
        assert!(find(Some("a"), "db").is_err_and(|why| why.contains("no pod db")));
    }

    #[tokio::test]
    async fn the_agent_is_asked_over_a_socket_that_is_its_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        // Deeper than a socket's path may be long.
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        assert_eq!(ask(&deep, &Request::List).await.unwrap(), None);
        let (sender, mut operations) = mpsc::channel::<Operation>(1);
        let serving = tokio::spawn(serve(listen(&deep).unwrap(), sender));
        assert_eq!(fs::metadata(deep.join(SOCKET)).unwrap().permissions().mode() & 0o777, 0o600);
        let driving = async {
            let operation = operations.recv().await.unwrap();
            assert_eq!(operation.request, Request::List);
            operation.answer.send(Answer::Pods(vec![pod("a", "web", 1)])).unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&deep, &Request::List), driving);
        assert_eq!(answer.unwrap(), Some(Answer::Pods(vec![pod("a", "web", 1)])));
        // What is left of an agent that was killed is none, and the next one listens again.
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert_eq!(ask(&deep, &Request::List).await.unwrap(), None);
        listen(&deep).unwrap();
    }
}
