//! Streams from a node to a reader (logs), over the agent's own outbound connection: a reader asks,
//! the request waits for the agent's long-poll, and the agent posts the bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dugout_model::NodeName;
use dugout_wire::{StreamKind, StreamRequest};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

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
    /// Streams whose bytes an agent may post, by id.
    open: HashMap<Uuid, Offer>,
}

/// A reader that waits for its stream.
struct Offer {
    chunks: mpsc::Sender<Chunk>,
    claimed: oneshot::Sender<()>,
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
        self.enqueue(node, StreamRequest { id, kind }, Offer { chunks, claimed })?;
        // However this ends, also by being dropped, nothing of the request stays behind.
        let _withdraw = Withdraw { broker: self, node, id };
        match tokio::time::timeout(ANSWER_DEADLINE, taken_up).await {
            Ok(Ok(())) => Ok(receiver),
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
        let offer = self.lock().open.remove(&id)?;
        offer.claimed.send(()).ok()?;
        Some(offer.chunks)
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
}
