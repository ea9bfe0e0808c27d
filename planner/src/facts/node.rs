//! Nodes that join, and what a person asks for them.

use std::sync::Arc;

use dugout_model::{
    Change, EventType, ImagePull, Node, NodeCondition, NodeName, NodeRegistration, Pod, PullState,
    Scheduling, StopReason, Turn,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::{Ignored, draining, storage};

/// An agent joins or comes back. What it must run is decided by its name, so it keeps its pods.
pub(super) fn joined(draft: &mut Draft<'_>, registration: &NodeRegistration) {
    let NodeRegistration {
        name,
        instance,
        labels,
        capacity,
        storage_bytes,
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
        storage_bytes: *storage_bytes,
        engine: engine.clone(),
        engine_version: engine_version.clone(),
        agent_version: agent_version.clone(),
        address: *address,
        condition: known.map_or(NodeCondition::Ready, |node| node.condition.clone()),
        scheduling: known.map_or(Scheduling::Schedulable, |node| node.scheduling),
        pulls: known.map(|node| pulls_of(node, instance)).unwrap_or_default(),
        generation: known.map_or(Turn(0), |node| node.generation),
        last_event: known.and_then(|node| node.last_event),
        joined_at: known.map_or(draft.now, |node| node.joined_at),
    };
    draft.dirty.nodes.insert(name.clone());
    // What its proxies had open is open no more, and pods of every node on its engine may have waited for it.
    let engines = known.map(|known| &known.engine).into_iter().chain([engine]);
    let peers = engines.flat_map(|engine| draft.world.nodes_of_engine(engine));
    let peers: Vec<NodeName> = peers.map(|peer| peer.name.clone()).collect();
    draft.dirty.nodes.extend(peers);
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

/// What a person asks for. None of it touches desired state. To cordon a node that is drained ends the
/// drain and leaves it cordoned.
pub(super) fn schedule(draft: &mut Draft<'_>, name: &NodeName, scheduling: Scheduling) {
    let Some(known) = draft.world.nodes.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownNode { node: name.clone() });
        return;
    };
    let is_drained_further =
        known.draining_since().is_some() && matches!(scheduling, Scheduling::Draining { .. });
    if known.scheduling == scheduling || is_drained_further {
        return;
    }
    draft.push(Change::PutNode(Arc::new(Node { scheduling, ..(*known).clone() })));
    let (reason, message) = match scheduling {
        Scheduling::Schedulable => ("NodeSchedulable", "it takes new pods again"),
        Scheduling::Cordoned => ("NodeNotSchedulable", "it takes no new pods"),
        Scheduling::Draining { .. } => {
            ("Draining", "it takes no new pods, and those that it has leave")
        }
    };
    draft.event(EventType::Normal, Subject::node(&known), reason, message);
}

/// Forgets a node that is not there, with what it ran: by a person's word nothing of that runs any more, so
/// what may exist once alone can be made anew elsewhere.
pub(super) fn delete(draft: &mut Draft<'_>, name: &NodeName) {
    let Some(known) = draft.world.nodes.get(name).cloned() else {
        draft.report.ignored.push(Ignored::UnknownNode { node: name.clone() });
        return;
    };
    if !known.is_silent() {
        draft.report.ignored.push(Ignored::NodeIsThere { node: name.clone() });
        return;
    }
    let pods: Vec<Arc<Pod>> = draft.world.pods_on(name).cloned().collect();
    for pod in &pods {
        // A job counts it as given up with its node.
        draining::leave(draft, pod, StopReason::NodeLost);
        draft.push(Change::DeletePod(pod.uid));
    }
    storage::forget_unmade_on(draft, name);
    let message = match pods.len() {
        0 => "a person deleted it".to_owned(),
        1 => "a person deleted it, with the pod that it had".to_owned(),
        count => format!("a person deleted it, with the {count} pods that it had"),
    };
    draft.event(EventType::Normal, Subject::node(&known), "RemovingNode", message);
    draft.push(Change::DeleteNode(name.clone()));
}
