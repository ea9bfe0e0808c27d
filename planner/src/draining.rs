//! A pod's way out, in the order that drops no connection.
//!
//! 1. It leaves every endpoint list, and goes on running: `Draining`.
//! 2. Every ready node on its engine acknowledges a list without it, and its requests end. A node
//!    whose assignment has not changed since never sent to it.
//! 3. It is told to stop, with what is left of its grace: `Stopping`. The grace counts from the first
//!    step, so a connection that never ends cannot hold it.
//! 4. Its node says that it is gone, and its row goes.
//!
//! A pod that cannot have served (it has no address, or its node is lost) begins with step 3; one that
//! was never placed, or was made in this very turn, is simply forgotten: no node has heard of it. There
//! is no way back: what is wanted again is another pod.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Change, Lifecycle, Node, NodeName, Pod, PodStatus, Step, StopReason, Timestamp, Turn,
};

use crate::draft::Draft;
use crate::{PodWait, Work, nodes};

/// What a container gets between SIGTERM and SIGKILL even when draining took all of its grace, unless
/// its grace is shorter. Kubernetes gives the same two seconds to a preStop hook that overran.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Draining may take this part of a pod's grace: one half. A connection that is kept and always busy
/// ends only when the server is told to stop, and what is under way then needs time, too.
const DRAIN_SHARE: u32 = 2;

/// Sends an active pod on its way out.
pub(crate) fn leave(draft: &mut Draft<'_>, pod: &Pod, reason: StopReason) {
    if !pod.is_active() {
        return;
    }
    let told = pod.node().filter(|_| draft.before.pods.contains_key(&pod.uid));
    let Some(node) = told.cloned() else {
        draft.push(Change::DeletePod(pod.uid));
        return;
    };
    let grace = grace_of(draft, pod);
    let node_is_ready = draft.world.nodes.get(&node).is_some_and(|node| node.is_ready());
    let serves = !pod.is_finished() && pod.seen.known().is_some_and(may_serve);
    let lifecycle = if node_is_ready && serves {
        if let Some(replica_set) = draft.replica_set_of(pod) {
            let now = draft.now;
            draft.tell_leaving(pod, &replica_set, now, Step::Draining, because(reason));
        }
        Lifecycle::Draining {
            since: draft.now,
            since_turn: draft.turn,
            deadline: draft.now + grace / DRAIN_SHARE,
            reason,
        }
    } else {
        Lifecycle::Stopping { since: draft.now, grace, reason }
    };
    draft.put_pod(Pod { lifecycle, ..pod.clone() });
}

/// Takes the pods that leave each dirty node a step further, and says when to look again.
pub(crate) fn advance(draft: &mut Draft<'_>) {
    for name in std::mem::take(&mut draft.dirty.nodes) {
        let leaving: Vec<Arc<Pod>> =
            draft.world.pods_on(&name).filter(|pod| !pod.is_active()).cloned().collect();
        let mut wake_at = nodes::wake_at(draft, &name);
        for pod in leaving {
            match pod.lifecycle {
                Lifecycle::Active => {}
                Lifecycle::Draining { since, since_turn, deadline, reason } => {
                    let drain_of = Draining { since, since_turn, deadline, reason };
                    if drain(draft, &pod, &name, drain_of) == Progress::Waits {
                        wake_at = Some(wake_at.map_or(deadline, |at| at.min(deadline)));
                    }
                }
                Lifecycle::Stopping { .. } => {
                    draft.report.pods.insert(pod.uid, PodWait::Gone { node: name.clone() });
                }
            }
        }
        draft.done(Work::Node(name), wake_at);
    }
}

/// How far a draining pod's leaving is, as [`Lifecycle::Draining`] has it.
struct Draining {
    since: Timestamp,
    since_turn: Turn,
    deadline: Timestamp,
    reason: StopReason,
}

#[derive(PartialEq)]
enum Progress {
    Waits,
    Drained,
}

fn drain(
    draft: &mut Draft<'_>,
    pod: &Pod,
    node: &NodeName,
    Draining { since, since_turn, deadline, reason }: Draining,
) -> Progress {
    let (unacknowledged, connections) = senders(draft, pod, node, since_turn);
    let is_over = deadline <= draft.now;
    if (unacknowledged > 0 || connections > 0) && !is_over {
        let wait = PodWait::Drain { unacknowledged, connections, deadline };
        draft.report.pods.insert(pod.uid, wait);
        return Progress::Waits;
    }
    if let Some(replica_set) = draft.replica_set_of(pod) {
        let message = match (unacknowledged, connections) {
            (0, 0) => String::new(),
            (0, open) => format!("its time to drain is over with {open} connections open"),
            (nodes, _) => format!("its time to drain is over and {nodes} nodes have not answered"),
        };
        let now = draft.now;
        draft.tell_leaving(pod, &replica_set, now, Step::Drained, message);
    }
    let whole = grace_of(draft, pod);
    let left = (since + whole).since(draft.now);
    let grace = whole_milliseconds(left.max(LEAST_GRACE.min(whole)));
    let lifecycle = Lifecycle::Stopping { since: draft.now, grace, reason };
    draft.put_pod(Pod { lifecycle, ..pod.clone() });
    Progress::Drained
}

/// How many nodes may still open connections to a draining pod, and how many are open.
fn senders(draft: &Draft<'_>, pod: &Pod, node: &NodeName, since_turn: Turn) -> (u32, u32) {
    let Some(own) = draft.world.nodes.get(node) else { return (0, 0) };
    let (mut unacknowledged, mut connections) = (0, 0);
    for peer in draft.world.nodes_of_engine(&own.engine).filter(|peer| peer.is_ready()) {
        let contact = draft.contacts.get(&peer.name);
        let acknowledged = contact.is_some_and(|contact| contact.acknowledged >= since_turn);
        unacknowledged += u32::from(!acknowledged && must_acknowledge(draft, peer, since_turn));
        connections +=
            contact.and_then(|contact| contact.connections.get(&pod.uid)).copied().unwrap_or(0);
    }
    (unacknowledged, connections)
}

/// Whether a node's assignment changed with or after the turn in which the pod left the lists. In that
/// turn itself it is not settled yet which ones change.
fn must_acknowledge(draft: &Draft<'_>, node: &Node, since_turn: Turn) -> bool {
    node.generation >= since_turn || since_turn == draft.turn
}

/// Whether somebody may have a connection to it.
fn may_serve(status: &PodStatus) -> bool {
    status.address.is_some() || status.ready_since.is_some()
}

fn grace_of(draft: &Draft<'_>, pod: &Pod) -> Duration {
    draft.world.replica_set_of(pod).map_or(LEAST_GRACE, |set| set.template.termination_grace)
}

/// Rounded up, for that is how finely graces are stored and sent.
fn whole_milliseconds(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
}

fn because(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Scaled => "another takes its place, or fewer are wanted",
        StopReason::OwnerRemoved => "its workload left Git",
        StopReason::NodeLost => "its node is lost",
        StopReason::Evicted => "its node is drained",
        StopReason::Asked => "a person asked for it",
    }
}
