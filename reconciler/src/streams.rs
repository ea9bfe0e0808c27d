//! Streams from a node to a reader (logs), and sessions, over the agent's own outbound connection: a
//! reader asks, the request waits for the agent's long-poll, and the agent posts the bytes or comes for
//! its end of the session.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dugout_model::NodeName;
use dugout_wire::{SessionRequest, StreamKind, StreamRequest};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use crate::sessions::Session;

/// How many requests may wait for one node.
const WAITING_PER_NODE: usize = 64;

/// How long a request waits for its node's agent to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How many chunks may be on their way from an agent to a slow reader.
const CHUNKS_IN_FLIGHT: usize = 16;

/// A piece of a stream, or why there is none.
pub type Chunk = Result<Bytes, StreamRefused>;

/// Why a stream could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamRefused {
    #[error("{sentence}")]
    ByNode { sentence: String },
    #[error("node {node} has too many requests waiting; try again")]
    TooMany { node: NodeName },
    #[error("the agent on node {node} did not answer within {} seconds", ANSWER_DEADLINE.as_secs())]
    NoAnswer { node: NodeName },
}

/// Matches readers with agents.
#[derive(Clone, Default)]
pub struct StreamBroker {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: HashMap<NodeName, NodeQueue>,
    /// What an agent may take up, by id.
    open: HashMap<Uuid, Offer>,
}

/// Somebody who waits for an agent.
enum Offer {
    /// For the bytes that it posts.
    Stream { chunks: mpsc::Sender<Chunk>, claimed: oneshot::Sender<()> },
    /// For it to take its end of a session, or to refuse it.
    Session { session: Session, answer: oneshot::Sender<Result<(), StreamRefused>> },
}

/// There while a request waits or an agent listens, and no longer: nodes come and go.
#[derive(Default)]
struct NodeQueue {
    waiting: VecDeque<StreamRequest>,
    wake: Arc<Notify>,
    listeners: usize,
}

impl StreamBroker {
    /// Asks a node for a stream and waits until its agent takes the request up.
    pub async fn open(
        &self,
        node: &NodeName,
        kind: StreamKind,
    ) -> Result<mpsc::Receiver<Chunk>, StreamRefused> {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let (chunks, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let (claimed, taken_up) = oneshot::channel();
        self.enqueue(node, StreamRequest { id, kind }, Offer::Stream { chunks, claimed })?;
        // However this ends, also by being dropped, nothing of the request stays behind.
        let _withdraw = Withdraw { broker: self, node, id };
        match tokio::time::timeout(ANSWER_DEADLINE, taken_up).await {
            Ok(Ok(())) => Ok(receiver),
            Ok(Err(_)) | Err(_) => Err(StreamRefused::NoAnswer { node: node.clone() }),
        }
    }

    /// Asks a node for a session and waits until its agent takes it up.
    pub async fn open_session(
        &self,
        node: &NodeName,
        request: SessionRequest,
    ) -> Result<Session, StreamRefused> {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let (near, session) = Session::pair();
        let (answer, answered) = oneshot::channel();
        let kind = StreamKind::Session(request);
        self.enqueue(node, StreamRequest { id, kind }, Offer::Session { session, answer })?;
        // As above.
        let _withdraw = Withdraw { broker: self, node, id };
        match tokio::time::timeout(ANSWER_DEADLINE, answered).await {
            Ok(Ok(answer)) => answer.map(|()| near),
            Ok(Err(_)) | Err(_) => Err(StreamRefused::NoAnswer { node: node.clone() }),
        }
    }

    /// The next request for a node, waited for at most `wait`.
    pub async fn next(&self, node: &NodeName, wait: Duration) -> Option<StreamRequest> {
        let deadline = tokio::time::Instant::now() + wait;
        let wake = {
            let mut state = self.lock();
            let queue = state.nodes.entry(node.clone()).or_default();
            queue.listeners += 1;
            Arc::clone(&queue.wake)
        };
        let _listening = Listening { broker: self, node };
        loop {
            let request = self.lock().nodes.get_mut(node)?.waiting.pop_front();
            if request.is_some() {
                return request;
            }
            // `notify_one` keeps its permit when nobody waits yet, so nothing is missed in between.
            tokio::time::timeout_at(deadline, wake.notified()).await.ok()?;
        }
    }

    /// Where an agent's bytes for a stream go; absent when the reader has gone.
    pub fn claim(&self, id: Uuid) -> Option<mpsc::Sender<Chunk>> {
        match self.lock().open.remove(&id)? {
            Offer::Stream { chunks, claimed } => claimed.send(()).ok().map(|()| chunks),
            Offer::Session { .. } => None,
        }
    }

    /// An agent's end of a session; absent when the client has gone.
    pub fn claim_session(&self, id: Uuid) -> Option<Session> {
        match self.lock().open.remove(&id)? {
            Offer::Session { session, answer } => answer.send(Ok(())).ok().map(|()| session),
            Offer::Stream { .. } => None,
        }
    }

    /// Where the sentence goes with which an agent refuses a session; absent when it is none, or its
    /// client has gone.
    pub fn refuse_session(&self, id: Uuid) -> Option<oneshot::Sender<Result<(), StreamRefused>>> {
        let mut state = self.lock();
        match state.open.remove(&id)? {
            Offer::Session { answer, .. } => Some(answer),
            stream @ Offer::Stream { .. } => {
                state.open.insert(id, stream);
                None
            }
        }
    }

    fn enqueue(
        &self,
        node: &NodeName,
        request: StreamRequest,
        offer: Offer,
    ) -> Result<(), StreamRefused> {
        let mut state = self.lock();
        let queue = state.nodes.entry(node.clone()).or_default();
        if queue.waiting.len() >= WAITING_PER_NODE {
            return Err(StreamRefused::TooMany { node: node.clone() });
        }
        let id = request.id;
        queue.waiting.push_back(request);
        queue.wake.notify_one();
        state.open.insert(id, offer);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes a node's queue, and forgets it when nobody needs it any more.
    fn leave(&mut self, node: &NodeName, change: impl FnOnce(&mut NodeQueue)) {
        if let Some(queue) = self.nodes.get_mut(node) {
            change(queue);
            if queue.listeners == 0 && queue.waiting.is_empty() {
                self.nodes.remove(node);
            }
        }
    }
}

/// An agent that waits for requests, also one whose connection ends meanwhile.
struct Listening<'a> {
    broker: &'a StreamBroker,
    node: &'a NodeName,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.broker.lock().leave(self.node, |queue| queue.listeners -= 1);
    }
}

/// Takes a request back when its reader stops waiting.
struct Withdraw<'a> {
    broker: &'a StreamBroker,
    node: &'a NodeName,
    id: Uuid,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let mut state = self.broker.lock();
        state.open.remove(&self.id);
        state.leave(self.node, |queue| queue.waiting.retain(|request| request.id != self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> StreamKind {
        StreamKind::Logs(dugout_wire::LogsRequest {
            pod: Uuid::from_u128(1),
            container: None,
            follow: false,
            tail_lines: None,
            since_micros: None,
            timestamps: false,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_reaches_the_agent_that_listens_and_nothing_of_it_stays() {
        let broker = StreamBroker::default();
        let node = NodeName::new("one");
        let agent = async {
            let request = broker.next(&node, Duration::from_secs(25)).await.unwrap();
            broker.claim(request.id).unwrap().send(Ok(Bytes::from_static(b"line"))).await.unwrap();
        };
        let (opened, ()) = tokio::join!(broker.open(&node, log()), agent);
        assert_eq!(opened.unwrap().recv().await.unwrap().unwrap(), "line");
        assert!(broker.lock().nodes.is_empty());
        assert!(broker.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_gone_leaves_nothing_behind() {
        let broker = StreamBroker::default();
        let node = NodeName::new("gone");
        assert!(broker.next(&node, Duration::from_secs(25)).await.is_none());
        let refused = broker.open(&node, log()).await.unwrap_err();
        assert!(matches!(refused, StreamRefused::NoAnswer { .. }));
        // A connection that is cut while its agent listens.
        let cut = tokio::time::timeout(Duration::from_secs(1), broker.next(&node, ANSWER_DEADLINE));
        assert!(cut.await.is_err());
        assert!(broker.lock().nodes.is_empty());
        assert!(broker.lock().open.is_empty());
    }

    fn exec() -> SessionRequest {
        let streams =
            dugout_wire::SessionStreams { stdin: true, stdout: true, stderr: true, tty: false };
        let kind = dugout_wire::SessionKind::Attach(streams);
        SessionRequest { pod: Uuid::from_u128(1), container: "web".into(), kind }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_connects_both_ends_and_is_refused_with_the_nodes_words() {
        let broker = StreamBroker::default();
        let node = NodeName::new("one");
        let agent = async {
            let request = broker.next(&node, Duration::from_secs(25)).await.unwrap();
            assert!(broker.refuse_session(Uuid::nil()).is_none());
            let mut session = broker.claim_session(request.id).unwrap();
            let asked = session.incoming.recv().await.unwrap();
            session.outgoing.send(asked).await.unwrap();
            assert!(broker.claim_session(request.id).is_none(), "it is taken up once");
        };
        let client = async {
            let mut session = broker.open_session(&node, exec()).await.unwrap();
            session.outgoing.send(Bytes::from_static(b"x")).await.unwrap();
            assert_eq!(session.incoming.recv().await.unwrap(), "x");
            assert!(session.incoming.recv().await.is_none(), "the other end is dropped");
        };
        tokio::join!(client, agent);
        let refusing = async {
            let request = broker.next(&node, Duration::from_secs(25)).await.unwrap();
            let refused = StreamRefused::ByNode { sentence: "no".to_owned() };
            broker.refuse_session(request.id).unwrap().send(Err(refused)).unwrap();
        };
        let (refused, ()) = tokio::join!(broker.open_session(&node, exec()), refusing);
        assert_eq!(refused.unwrap_err().to_string(), "no");
        let nobody = broker.open_session(&node, exec()).await.unwrap_err();
        assert!(matches!(nobody, StreamRefused::NoAnswer { .. }));
        assert!(broker.lock().nodes.is_empty() && broker.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_no_stream_and_a_stream_no_session() {
        let broker = StreamBroker::default();
        let node = NodeName::new("one");
        let agent = async {
            let request = broker.next(&node, Duration::from_secs(25)).await.unwrap();
            assert!(broker.refuse_session(request.id).is_none());
            assert!(broker.claim(request.id).is_some(), "it is still there");
        };
        let (opened, ()) = tokio::join!(broker.open(&node, log()), agent);
        assert!(opened.is_ok());
    }
}
