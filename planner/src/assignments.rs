//! What one node must run, as a pure function of the world. It is not stored: a node's row holds only
//! the turn that changed it last, its generation.

use std::sync::Arc;

use dugout_model::{
    AssignedImage, AssignedPod, AssignedPullSecret, AssignedService, Assignment,
    COMPLETION_INDEX_LABEL, Change, EnvContent, EnvValue, ImagePull, Lifecycle, Node, NodeName,
    Pod, PodIdentity, PodOrder, ReplicaSet, SharedTemplate, VolumeUid, World,
};

use crate::draft::Draft;
use crate::{gate, pins, pull_secrets, services, storage};

/// Gives a new generation to each node whose assignment became another in this turn.
pub(crate) fn publish(draft: &mut Draft<'_>) {
    for name in std::mem::take(&mut draft.dirty.assignments) {
        let Some(node) = draft.world.nodes.get(&name).cloned() else { continue };
        if content(draft.before, &name) != content(&draft.world, &name) {
            let node = Node { generation: draft.turn, ..(*node).clone() };
            draft.push(Change::PutNode(Arc::new(node)));
        }
    }
}

/// Everything that a node must run; absent when there is no such node.
pub fn assignment(world: &World, node: &NodeName) -> Option<Assignment> {
    let row = world.nodes.get(node)?;
    let Content { pods, services, images, pull_secrets, deleted_volumes } = content(world, node)?;
    Some(Assignment {
        cluster: world.cluster,
        node: node.clone(),
        generation: row.generation,
        pods,
        services,
        images,
        pull_secrets,
        deleted_volumes,
    })
}

/// An assignment without its generation.
#[derive(PartialEq, Eq)]
struct Content {
    pods: Vec<AssignedPod>,
    services: Vec<AssignedService>,
    images: Vec<AssignedImage>,
    pull_secrets: Vec<AssignedPullSecret>,
    deleted_volumes: Vec<VolumeUid>,
}

fn content(world: &World, node: &NodeName) -> Option<Content> {
    let row = world.nodes.get(node)?;
    let pods = world.pods_on(node).filter_map(|pod| assigned_pod(world, pod)).collect();
    let services = services::on_node(world, row);
    let pull_secrets = pull_secrets::of_node(world, row);
    let deleted_volumes = storage::deleted_on(world, row);
    Some(Content { pods, services, images: images(world, row), pull_secrets, deleted_volumes })
}

/// What the node shall have although no pod there pulls it, sorted. What it has by now is still named, so
/// that each image costs no assignment of its own.
fn images(world: &World, node: &Node) -> Vec<AssignedImage> {
    let is_pulled = |pull: &ImagePull| {
        world.pods_on(&node.name).any(|pod| gate::is_pulled_by(world, pod, pull))
    };
    let alone = node.pulls.iter().filter(|pull| !is_pulled(pull));
    let asked = alone.map(|pull| AssignedImage {
        release: pull.release,
        image: pull.image.clone(),
        policy: pull.policy,
        digest: pull.digest.clone(),
    });
    let mut images: Vec<AssignedImage> = asked.collect();
    images.sort();
    images
}

fn assigned_pod(world: &World, pod: &Pod) -> Option<AssignedPod> {
    let set = world.replica_set_of(pod)?;
    Some(AssignedPod {
        uid: pod.uid,
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        replica_set: set.uid,
        template: template_of(pod, set),
        order: match pod.lifecycle {
            // What ended is kept and not started again, even by a node that lost its disk.
            Lifecycle::Active => PodOrder::Run { draining: pod.is_finished() },
            Lifecycle::Draining { .. } => PodOrder::Run { draining: true },
            Lifecycle::Stopping { grace, .. } => PodOrder::Stop { grace },
        },
        drift: world.sources.get(&set.source).map(|source| source.drift).unwrap_or_default(),
        claims: storage::assigned_claims(world, pod, set),
        pins: pins::assigned(set),
    })
}

/// The template of a pod's replica set, with what is the pod's own: its labels, and an index of a job in
/// the two other ways that Kubernetes has.
fn template_of(pod: &Pod, set: &ReplicaSet) -> SharedTemplate {
    let own_labels = pod.own_labels();
    if own_labels.is_empty() {
        return Arc::clone(&set.template);
    }
    let mut template = (*set.template).clone();
    template.labels.extend(own_labels.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let PodIdentity::CompletionIndex(index) = pod.identity else {
        return Arc::new(template);
    };
    template.annotations.insert(COMPLETION_INDEX_LABEL.to_owned(), index.to_string());
    for container in template.init_containers.iter_mut().chain(&mut template.containers) {
        container.env.push(EnvValue {
            name: "JOB_COMPLETION_INDEX".to_owned(),
            content: EnvContent::Text(index.to_string()),
        });
    }
    Arc::new(template)
}
