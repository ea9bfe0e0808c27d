//! Daemon sets: one pod for each node whose labels the template's `nodeSelector` admits, and whose policy
//! allows what it asks for.
//!
//! A cordoned node keeps its pod and gets one: Kubernetes lets daemons tolerate that, for nothing else
//! can do their work there. A node that is lost is left alone until it is back: its pod is not moved,
//! not replaced, and no rollout waits for it, or one broken machine would fail every release.

mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    DaemonSet, DaemonSetUpdate, Node, NodeName, Pod, PodIdentity, ReplicaSetUid, Rights,
    StopReason, StoredObject, Timestamp, labels_contain,
};

use crate::draft::Draft;
use crate::rollouts::{self, Aims};
use crate::{draining, gate, generations, replica_sets};
use places::{Age, Daemon, Move, Place};

/// A look at a node may send a pod away that was never placed, and then make another in its place.
const ROUNDS: usize = 8;

/// One look at a daemon set that Git declares; gives when to look again.
pub(crate) fn roll_out(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    spec: &DaemonSet,
) -> Option<Timestamp> {
    let current = generations::current(draft, object, &spec.template, false);
    dismiss_unwanted(draft, object, spec);
    let nodes = ready_nodes(draft, spec);
    let template = current.or_before(draft, object.uid);
    for _ in 0..ROUNDS {
        let places = places(draft, object, spec, current.uid, &nodes);
        let mut moves = places::moves(&places, &spec.update, template.is_some());
        let is_leaving = |each: &Move| matches!(each, Move::Leave(_));
        if moves.iter().any(is_leaving) && gate::holds(draft, object.uid, &object.source) {
            moves.retain(|each| !is_leaving(each));
        }
        if moves.is_empty() {
            break;
        }
        for each in moves {
            perform(draft, template, each);
        }
    }
    generations::note_sizes(draft, object.uid);
    let is_judged = |pod: &Pod| node_of(pod).is_some_and(|node| nodes.binary_search(node).is_ok());
    let aims = aims(object, spec, nodes.len());
    rollouts::conclude(draft, object, &current, aims, is_judged)
}

fn aims(object: &StoredObject, spec: &DaemonSet, nodes: usize) -> Aims {
    let replicas = u32::try_from(nodes).unwrap_or(u32::MAX);
    Aims {
        replicas,
        updated: match spec.update {
            DaemonSetUpdate::OnDelete => 0,
            DaemonSetUpdate::RollingUpdate { .. } => replicas,
        },
        done: 0,
        min_ready: spec.min_ready,
        progress_deadline: rollouts::progress_deadline(object),
        paused: false,
        revision_history_limit: spec.revision_history_limit,
    }
}

/// The ready nodes that shall have a pod, by name.
pub(crate) fn ready_nodes(draft: &Draft<'_>, spec: &DaemonSet) -> Vec<NodeName> {
    let nodes = draft.world.nodes.values().filter(|node| node.is_ready());
    let rights = spec.template.rights();
    let admitted = nodes.filter(|node| admits(node, spec, rights));
    admitted.map(|node| node.name.clone()).collect()
}

/// Whether a node shall have a pod, ready or not.
fn admits(node: &Node, spec: &DaemonSet, rights: Rights) -> bool {
    labels_contain(&node.labels, &spec.template.node_selector) && node.allows(rights)
}

/// Sends the pods away whose node is gone or is not admitted any more, whether it is ready or not.
fn dismiss_unwanted(draft: &mut Draft<'_>, object: &StoredObject, spec: &DaemonSet) {
    let rights = spec.template.rights();
    for pod in generations::active_pods(draft, object.uid) {
        let node = node_of(&pod).and_then(|node| draft.world.nodes.get(node));
        let is_admitted = node.is_some_and(|node| admits(node, spec, rights));
        let is_there = node.is_some();
        if !(is_admitted || is_there && gate::holds(draft, object.uid, &object.source)) {
            draining::leave(draft, &pod, StopReason::Scaled);
        }
    }
}

fn node_of(pod: &Pod) -> Option<&NodeName> {
    match &pod.identity {
        PodIdentity::OnNode(node) => Some(node),
        PodIdentity::Any | PodIdentity::Ordinal(_) | PodIdentity::CompletionIndex(_) => None,
    }
}

/// What it has on each of these nodes.
fn places(
    draft: &Draft<'_>,
    object: &StoredObject,
    spec: &DaemonSet,
    current: Option<ReplicaSetUid>,
    nodes: &[NodeName],
) -> Vec<Place> {
    let mut by_node: BTreeMap<&NodeName, Vec<&Arc<Pod>>> = BTreeMap::new();
    for set in draft.world.replica_sets_of(object.uid) {
        for pod in draft.world.pods_of(set.uid) {
            if let Some(node) = node_of(pod) {
                by_node.entry(node).or_default().push(pod);
            }
        }
    }
    let daemon = |pod: &Arc<Pod>| Daemon {
        age: match current {
            Some(current) if pod.replica_set != current => Age::Outdated,
            Some(_) | None => Age::Current,
        },
        is_available: pod.is_available(spec.min_ready, draft.now),
        created_at: pod.created_at,
        pod: pod.uid,
    };
    let place = |node: &NodeName| {
        let here = by_node.get(node).map(Vec::as_slice).unwrap_or_default();
        let active = here.iter().filter(|pod| pod.is_active());
        Place {
            node: node.clone(),
            daemons: active.map(|pod| daemon(pod)).collect(),
            is_vacated: here.iter().all(|pod| pod.is_active()),
        }
    };
    nodes.iter().map(place).collect()
}

fn perform(draft: &mut Draft<'_>, template: Option<ReplicaSetUid>, each: Move) {
    match each {
        Move::Make(node) => {
            let set = template.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
            let Some(set) = set else { return };
            let pod = replica_sets::make_pod(draft, &set);
            draft.put_pod(Pod { identity: PodIdentity::OnNode(node), ..pod });
        }
        Move::Leave(pod) => {
            if let Some(pod) = draft.world.pods.get(&pod).cloned() {
                draining::leave(draft, &pod, StopReason::Scaled);
            }
        }
    }
}
