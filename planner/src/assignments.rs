//! What one node must run, as a pure function of the world. It is not stored: a node's row holds only
//! the turn that changed it last, its generation.

use std::sync::Arc;

use dugout_model::{
    AssignedImage, AssignedPod, AssignedPullSecret, AssignedService, AssignedServicePort,
    Assignment, COMPLETION_INDEX_LABEL, Change, Endpoint, EndpointPlace, EnvContent, EnvValue,
    ImagePull, Kind, Lifecycle, Node, NodeName, Pod, PodIdentity, PodOrder, ReplicaSet, Service,
    ServicePort, ServiceType, SharedTemplate, StoredObject, StringMap, VolumeUid, World,
};

use crate::draft::Draft;
use crate::{gate, pull_secrets, storage};

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
    let services = world
        .objects_of(Kind::Service)
        .filter_map(|object| assigned_service(world, row, object, object.as_service()?))
        .collect();
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

/// A service with node ports, and the pods that this node's proxies may send to.
fn assigned_service(
    world: &World,
    node: &Node,
    object: &StoredObject,
    service: &Service,
) -> Option<AssignedService> {
    if service.service_type != ServiceType::NodePort {
        return None;
    }
    let ports: Vec<AssignedServicePort> = service
        .ports
        .iter()
        .filter_map(|port| {
            Some(AssignedServicePort {
                name: port.name.clone(),
                protocol: port.protocol,
                port: port.port,
                node_port: port.node_port?,
                endpoints: endpoints(world, node, object, service, port),
            })
        })
        .collect();
    let key = object.declared.key.clone();
    (!ports.is_empty()).then_some(AssignedService { key, ports })
}

/// By pod uid. Pods of other engines are not among them: their addresses are known there alone.
fn endpoints(
    world: &World,
    node: &Node,
    object: &StoredObject,
    service: &Service,
    port: &ServicePort,
) -> Vec<Endpoint> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let peers = world.nodes_of_engine(&node.engine);
    let candidates = peers
        .flat_map(|peer| world.pods_on(&peer.name))
        .filter(|pod| pod.is_at_work() && pod.namespace == object.declared.key.namespace);
    let mut endpoints: Vec<Endpoint> = candidates
        .filter_map(|pod| {
            let template = &world.replica_set_of(pod)?.template;
            if !is_selected(pod, &template.labels, &service.selector) {
                return None;
            }
            let mut containers = template.serving_containers();
            let target = containers.find_map(|each| each.port_number(&port.target_port))?;
            Some(Endpoint { pod: pod.uid, port: target, place: place(pod, node)? })
        })
        .collect();
    endpoints.sort_by_key(|endpoint| endpoint.pod);
    endpoints
}

/// Whether a pod with these labels of its template, and with those of its own, has all of the selector's.
fn is_selected(pod: &Pod, labels: &StringMap, selector: &StringMap) -> bool {
    let own_labels = pod.own_labels();
    selector.iter().all(|(key, wanted)| {
        let own = own_labels.iter().find(|(own, _)| *own == key).map(|(_, value)| value);
        own.or_else(|| labels.get(key)) == Some(wanted)
    })
}

/// A node knows its own pods best, also when nobody else is there. Those of its peers serve when they
/// are ready by their last report.
fn place(pod: &Pod, node: &Node) -> Option<EndpointPlace> {
    if pod.node() == Some(&node.name) {
        return Some(EndpointPlace::Local);
    }
    pod.ready_since()?;
    let address = pod.seen.known()?.address?;
    Some(EndpointPlace::SameEngine { address })
}
