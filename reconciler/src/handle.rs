//! How everybody else reaches the engine: hand in facts, and learn when they are durable.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{Fact, Timestamp, Turn};
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::Delivery;

/// How long a sender waits for its facts to be committed; shorter than agents wait for an answer.
const COMMIT_DEADLINE: Duration = Duration::from_secs(8);

/// Who may write, as this server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leading {
    /// This server's engine runs.
    Here,
    /// Another server leads.
    Elsewhere { holder: String, since: Timestamp },
    /// The database does not answer, for this reason; what was published last stays visible.
    Nobody { reason: Arc<str> },
}

/// Facts were not committed. They are not lost as long as whoever saw them looks again, which is
/// what every source loop and every agent does.
#[derive(Debug, thiserror::Error)]
pub enum NotCommitted {
    #[error("another server ({holder}) leads this cluster; ask that one")]
    Elsewhere { holder: String },
    #[error("the control plane has no database at the moment: {reason}")]
    NoDatabase { reason: Arc<str> },
    #[error("the control plane did not commit in time; try again")]
    Deadline,
    #[error("no sound plan follows from this; nothing was changed, and the server's log says why")]
    Refused,
}

/// A sender of facts; cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    inbox: mpsc::Sender<Delivery>,
    leading: watch::Receiver<Leading>,
}

impl EngineHandle {
    pub(crate) fn new(inbox: mpsc::Sender<Delivery>, leading: watch::Receiver<Leading>) -> Self {
        Self { inbox, leading }
    }

    pub fn leading(&self) -> Leading {
        self.leading.borrow().clone()
    }

    /// Returns when this server leads; false when it will not any more, as it shuts down.
    pub(crate) async fn until_leading(&self) -> bool {
        self.leading.clone().wait_for(|leading| *leading == Leading::Here).await.is_ok()
    }

    /// Hands in facts and waits until a turn with them is committed.
    pub async fn submit(&self, facts: Vec<Fact>) -> Result<Turn, NotCommitted> {
        self.refuse_unless_leading()?;
        let (done, committed) = oneshot::channel();
        let delivery = Delivery { facts, done: Some(done) };
        let commit = async {
            // The inbox closes only at shutdown.
            self.inbox.send(delivery).await.map_err(|_| NotCommitted::Deadline)?;
            match committed.await {
                Ok(turn) => Ok(turn),
                // The engine dropped the answer: it ended, or it refused the facts.
                Err(_) => {
                    self.refuse_unless_leading()?;
                    Err(NotCommitted::Refused)
                }
            }
        };
        tokio::time::timeout(COMMIT_DEADLINE, commit).await.unwrap_or(Err(NotCommitted::Deadline))
    }

    /// Says who leads instead, when it is not this server.
    pub(crate) fn refuse_unless_leading(&self) -> Result<(), NotCommitted> {
        match self.leading() {
            Leading::Here => Ok(()),
            Leading::Elsewhere { holder, .. } => Err(NotCommitted::Elsewhere { holder }),
            Leading::Nobody { reason } => Err(NotCommitted::NoDatabase { reason }),
        }
    }
}
