//! Whether nodes are there. What is known of a node's pods is only as good as its last word.
//!
//! A node without any contact is one that this leader has not heard of yet: that is ignorance, not
//! silence, so its condition stays as it is.

use std::sync::Arc;

use dugout_model::{
    Change, Contact, EventType, Node, NodeCondition, NodeName, NotReadyReason, Pod, Seen, Timestamp,
};

use crate::draft::Draft;
use crate::records::Subject;

/// Brings the condition of each dirty node up to date.
pub(crate) fn judge(draft: &mut Draft<'_>) {
    let names: Vec<NodeName> = draft.dirty.nodes.iter().cloned().collect();
    for name in names {
        let Some(node) = draft.world.nodes.get(&name).cloned() else { continue };
        if !draft.contacts.contains_key(&name) {
            continue;
        }
        match (&node.condition, lost_reason(draft, &name)) {
            (NodeCondition::Ready, Some(reason)) => lose(draft, &node, reason),
            (NodeCondition::NotReady { .. }, None) => regain(draft, &node),
            (NodeCondition::NotReady { since, reason: before }, Some(reason)) => {
                if *before != reason {
                    let condition = NodeCondition::NotReady { since: *since, reason };
                    set_condition(draft, &node, condition);
                }
            }
            (NodeCondition::Ready, None) => {}
        }
    }
}

/// Why a node counts as lost, if it does.
pub(crate) fn lost_reason(draft: &Draft<'_>, name: &NodeName) -> Option<NotReadyReason> {
    let Some(contact) = draft.contacts.get(name) else {
        return match draft.world.nodes.get(name)?.condition {
            NodeCondition::NotReady { reason, .. } => Some(reason),
            NodeCondition::Ready => None,
        };
    };
    let timeout = draft.settings.node_timeout;
    if draft.now.since(contact.last_report) >= timeout {
        Some(NotReadyReason::AgentSilent)
    } else if draft.now.since(contact.engine_answered) >= timeout {
        Some(NotReadyReason::EngineUnavailable)
    } else {
        None
    }
}

/// When a node's condition must be looked at again though nothing is heard.
pub(crate) fn wake_at(draft: &Draft<'_>, name: &NodeName) -> Option<Timestamp> {
    let node = draft.world.nodes.get(name)?;
    let timeout = draft.settings.node_timeout;
    match draft.contacts.get(name) {
        Some(Contact { last_report, engine_answered, .. }) => {
            let moments = [*last_report + timeout, *engine_answered + timeout];
            moments.into_iter().filter(|at| *at > draft.now).min()
        }
        None => node.is_ready().then(|| draft.now + timeout),
    }
}

fn lose(draft: &mut Draft<'_>, node: &Arc<Node>, reason: NotReadyReason) {
    set_condition(draft, node, NodeCondition::NotReady { since: draft.now, reason });
    let message = match reason {
        NotReadyReason::AgentSilent => "its agent does not report",
        NotReadyReason::EngineUnavailable => "its container engine does not answer",
    };
    draft.event(EventType::Warning, Subject::node(node), "NodeNotReady", message);
    let pods: Vec<Arc<Pod>> = draft.world.pods_on(&node.name).cloned().collect();
    for pod in pods {
        let last = match &pod.seen {
            Seen::Unknown { .. } => continue,
            Seen::Known(status) => Some(status.clone()),
            Seen::Absent => None,
        };
        let seen = Seen::Unknown { since: draft.now, last };
        draft.put_pod(Pod { seen, ..(*pod).clone() });
    }
}

/// The node is back. What it runs is known again with its report.
fn regain(draft: &mut Draft<'_>, node: &Arc<Node>) {
    set_condition(draft, node, NodeCondition::Ready);
    draft.event(EventType::Normal, Subject::node(node), "NodeReady", "it reports again");
}

fn set_condition(draft: &mut Draft<'_>, node: &Arc<Node>, condition: NodeCondition) {
    let node = Node { condition, ..(**node).clone() };
    // What waits for this node's acknowledgement may wait no longer.
    let peers: Vec<NodeName> =
        draft.world.nodes_of_engine(&node.engine).map(|peer| peer.name.clone()).collect();
    draft.dirty.nodes.extend(peers);
    draft.push(Change::PutNode(Arc::new(node)));
}
