//! Daemon sets: one pod for each node whose labels the template's `nodeSelector` admits.
//!
//! A cordoned node keeps its pod and gets one: Kubernetes lets daemons tolerate that, for nothing else
//! can do their work there. A node that is lost is left alone until it is back: its pod is not moved,
//! not replaced, and no rollout waits for it, or one broken machine would fail every release.

mod places;

use std::sync::Arc;

use dugout_model::{
    DaemonSet, DaemonSetUpdate, NodeName, Pod, PodIdentity, ReplicaSetUid, StopReason,
    StoredObject, Timestamp, labels_contain,
};

use crate::draft::Draft;
use crate::rollouts::{self, Aims, Look};
use crate::{draining, generations, replica_sets};
use places::{Age, Daemon, Move, Place};

/// A look at a node may send a pod away that was never placed, and then make another in its place.
const ROUNDS: usize = 8;

/// One look at a daemon set that Git declares; gives when to look again.
pub(crate) fn roll_out(
    draft: &mut Draft<'_>,
    object: &StoredObject,
    spec: &DaemonSet,
) -> Option<Timestamp> {
    let (current, missing) = generations::current(draft, object, &spec.template, false);
    dismiss_unwanted(draft, object, spec);
    let nodes = ready_nodes(draft, spec);
    for _ in 0..ROUNDS {
        let places = nodes.iter().map(|node| place(draft, object, spec, current.uid, node));
        let places: Vec<Place> = places.collect();
        let moves = places::moves(&places, &spec.update, current.uid.is_some());
        if moves.is_empty() {
            break;
        }
        for each in moves {
            perform(draft, current.uid, each);
        }
    }
    generations::note_sizes(draft, object.uid);
    let current_set = current.uid.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
    let hash = current_set.as_ref().map(|set| &set.template_hash);
    let is_judged = |pod: &Pod| node_of(pod).is_some_and(|node| nodes.binary_search(node).is_ok());
    let look = Look {
        object,
        counts: draft.world.pod_counts_where(
            object.uid,
            hash,
            spec.min_ready,
            draft.now,
            is_judged,
        ),
        aims: aims(object, spec, nodes.len()),
        current: current_set,
        missing: &missing,
        is_renewed: current.is_renewed,
    };
    let wake_at = rollouts::judge(draft, &look);
    generations::forget(draft, object.uid, spec.revision_history_limit, current.uid);
    wake_at
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
    }
}

/// The ready nodes that shall have a pod, by name.
fn ready_nodes(draft: &Draft<'_>, spec: &DaemonSet) -> Vec<NodeName> {
    let nodes = draft.world.nodes.values().filter(|node| node.is_ready());
    let admitted = nodes.filter(|node| labels_contain(&node.labels, &spec.template.node_selector));
    admitted.map(|node| node.name.clone()).collect()
}

/// Sends the pods away whose node is gone or is not admitted any more, whether it is ready or not.
fn dismiss_unwanted(draft: &mut Draft<'_>, object: &StoredObject, spec: &DaemonSet) {
    for pod in generations::active_pods(draft, object.uid) {
        let node = node_of(&pod).and_then(|node| draft.world.nodes.get(node));
        let is_admitted =
            node.is_some_and(|node| labels_contain(&node.labels, &spec.template.node_selector));
        if !is_admitted {
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

fn place(
    draft: &Draft<'_>,
    object: &StoredObject,
    spec: &DaemonSet,
    current: Option<ReplicaSetUid>,
    node: &NodeName,
) -> Place {
    let sets = draft.world.replica_sets_of(object.uid);
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    let here: Vec<&Arc<Pod>> = pods.filter(|pod| node_of(pod) == Some(node)).collect();
    let active = here.iter().filter(|pod| pod.is_active());
    let daemons = active.map(|pod| Daemon {
        age: match current {
            Some(current) if pod.replica_set != current => Age::Outdated,
            Some(_) | None => Age::Current,
        },
        is_available: pod.is_available(spec.min_ready, draft.now),
        created_at: pod.created_at,
        pod: pod.uid,
    });
    Place {
        node: node.clone(),
        daemons: daemons.collect(),
        is_vacated: here.iter().all(|pod| pod.is_active()),
    }
}

fn perform(draft: &mut Draft<'_>, current: Option<ReplicaSetUid>, each: Move) {
    match each {
        Move::Make(node) => {
            let set = current.and_then(|uid| draft.world.replica_sets.get(&uid)).cloned();
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
