//! What can happen, in the order of simulated time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dugout_agent::converge::images::ImageAction;
use dugout_agent::converge::{Action, Sequence};
use dugout_model::{AssignedImage, AssignedPod, Fact, SharedAssignment, Timestamp};

/// Which life of a process an event belongs to: what was begun for an earlier one is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life(pub u64);

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The scenario's next commit is read.
    Commit(usize),
    /// A server begins to lead.
    ServerStart,
    /// Work of the server may be due.
    ServerDue(Life),
    /// The source's loop looks at the branch.
    SourceLooks(Life),
    /// Word of a node reaches whoever leads.
    Arrives {
        node: usize,
        life: Life,
        fact: Box<Fact>,
    },
    /// An assignment reaches a node.
    Assigned {
        node: usize,
        life: Life,
        assignment: SharedAssignment,
    },
    AgentStart(usize),
    /// An agent's regular report and poll.
    AgentBeat(usize, Life),
    /// Something is due on a node by time alone.
    AgentWake(usize, Life),
    /// A call to a container engine takes effect and is answered.
    Called {
        node: usize,
        life: Life,
        call: Box<Call>,
    },
    /// An effect for an image is answered.
    Fetched {
        node: usize,
        life: Life,
        fetch: Box<Fetch>,
    },
    /// A list of all containers is answered.
    Listed {
        node: usize,
        life: Life,
        asked: Sequence,
    },
    /// A container ends by itself.
    Ends {
        node: usize,
        container: String,
        started_at: Timestamp,
        exit_code: i64,
    },
    Fault,
    /// A node that was cut off or dark is back.
    NodeBack(usize),
    /// Somebody drains a node.
    Drain,
    /// Somebody lets pods onto a node again that is drained.
    Uncordon(usize),
    FaultsEnd,
}

/// A call to a container engine that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub action: Action,
    /// What it was begun for; absent for a pod that is no longer assigned.
    pub pod: Option<AssignedPod>,
    pub answer: Answer,
}

/// An effect for an image that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub asked: AssignedImage,
    pub action: ImageAction,
    pub answer: Answer,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Given,
    /// It has its effect, and the answer is lost.
    Lost,
    /// It has no effect.
    Refused,
}

/// When a process is to be woken next: only the earliest of its moments is in the queue.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Timestamp>);

impl Alarm {
    /// Asks to be woken; gives the moment when it must be put into the queue.
    pub fn set(&mut self, at: Timestamp) -> Option<Timestamp> {
        let is_earlier = self.0.is_none_or(|set| at < set);
        is_earlier.then(|| *self.0.insert(at))
    }

    /// A moment from the queue has come; whether it is the one that still counts.
    pub fn rings(&mut self, now: Timestamp) -> bool {
        self.0.take_if(|set| *set <= now).is_some()
    }
}

struct Entry {
    at: Timestamp,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, for the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What is to happen.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    number: u64,
}

impl Queue {
    pub fn push(&mut self, at: Timestamp, event: Event) {
        self.number += 1;
        self.heap.push(Entry { at, number: self.number, event });
    }

    pub fn pop_before(&mut self, end: Timestamp) -> Option<(Timestamp, Event)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}
