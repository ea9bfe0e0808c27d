//! Nodes that join, and what a person asks for.

use std::sync::Arc;

use dugout_model::{
    Change, EventType, ImagePull, Node, NodeCondition, NodeName, NodeRegistration, PullState, Turn,
};

use crate::Ignored;
use crate::draft::Draft;
use crate::records::Subject;

/// An agent joins or comes back. What it must run is decided by its name, so it keeps its pods.
pub(super) fn joined(draft: &mut Draft<'_>, registration: &NodeRegistration) {
    let NodeRegistration {
        name,
        instance,
        labels,
        capacity,
        engine,
        engine_version,
        agent_version,
        address,
    } = registration;
    let known = draft.world.nodes.get(name).cloned();
    let known = known.as_ref();
    let node = Node {
        name: name.clone(),
        instance: instance.clone(),
        labels: labels.clone(),
        capacity: *capacity,
        engine: engine.clone(),
        engine_version: engine_version.clone(),
        agent_version: agent_version.clone(),
        address: *address,
        condition: known.map_or(NodeCondition::Ready, |node| node.condition.clone()),
        unschedulable: known.is_some_and(|node| node.unschedulable),
        pulls: known.map(|node| pulls_of(node, instance)).unwrap_or_default(),
        generation: known.map_or(Turn(0), |node| node.generation),
        last_event: known.and_then(|node| node.last_event),
        joined_at: known.map_or(draft.now, |node| node.joined_at),
    };
    draft.dirty.nodes.insert(name.clone());
    if known.is_none_or(|known| **known != node) {
        if known.is_none_or(|known| known.instance != node.instance) {
            let message = format!("agent {agent_version} on engine {engine_version}");
            draft.event(EventType::Normal, Subject::node(&node), "RegisteredNode", message);
        }
        draft.push(Change::PutNode(Arc::new(node)));
    }
}

/// What is wanted of it still. Another agent under its name may have another disk.
fn pulls_of(known: &Node, instance: &str) -> Vec<ImagePull> {
    let mut pulls = known.pulls.clone();
    if known.instance != instance {
        pulls.iter_mut().for_each(|pull| pull.state = PullState::Wanted { trouble: None });
    }
    pulls
}

/// What a person asks for. None of it touches desired state.
pub(super) fn cordon(draft: &mut Draft<'_>, name: &NodeName, unschedulable: bool) {
    let Some(known) = draft.world.nodes.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownNode { node: name.clone() });
        return;
    };
    if known.unschedulable == unschedulable {
        return;
    }
    let mut node = (*known).clone();
    node.unschedulable = unschedulable;
    draft.push(Change::PutNode(Arc::new(node)));
    let (reason, message) = if unschedulable {
        ("NodeNotSchedulable", "it takes no new pods")
    } else {
        ("NodeSchedulable", "it takes new pods again")
    };
    draft.event(EventType::Normal, Subject::node(&known), reason, message);
}
