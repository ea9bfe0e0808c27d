//! Services: what the proxies of a node serve.
//!
//! A service that changes or leaves Git serves as it was as well until everything of its source is there
//! (its `Baseline`): a request finds the pods that are there, whether the old or the new ones, and what a
//! release may go back to has lost nothing. So it is, too, with a node port that goes from one service of
//! a source to another.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::{
    AssignedService, AssignedServicePort, Endpoint, EndpointPlace, Node, ObjectKey, Pod, PodUid,
    Protocol, Service, ServicePort, SourceName, StoredObject, StringMap, World,
};

/// The services with node ports and the pods that this node's proxies may send to, by key.
pub(crate) fn on_node(world: &World, node: &Node) -> Vec<AssignedService> {
    let asked = world.node_port_services().map(|row| &**row);
    let earlier: Vec<&StoredObject> =
        world.earlier_services().filter_map(|row| row.before.as_deref()).collect();
    let owners = if earlier.is_empty() { BTreeMap::new() } else { owners(world) };
    let mut services: BTreeMap<&ObjectKey, Vec<AssignedServicePort>> = BTreeMap::new();
    // As it is asked for comes first.
    for object in asked.chain(earlier.iter().copied()) {
        let Some(service) = object.as_service() else { continue };
        for port in &service.ports {
            let Some(node_port) = port.node_port else { continue };
            let owner = owners.get(&(&object.source, port.protocol, node_port));
            let ports = services.entry(owner.copied().unwrap_or(&object.declared.key)).or_default();
            add(ports, port, node_port, endpoints(world, node, object, service, port));
        }
    }
    let services = services.into_iter();
    services.map(|(key, ports)| AssignedService { key: key.clone(), ports }).collect()
}

/// Whose the node ports of each source are now.
fn owners(world: &World) -> BTreeMap<(&SourceName, Protocol, u16), &ObjectKey> {
    let mut owners = BTreeMap::new();
    for object in world.node_port_services() {
        for port in object.as_service().into_iter().flat_map(|service| &service.ports) {
            if let Some(node_port) = port.node_port {
                let port = (&object.source, port.protocol, node_port);
                owners.entry(port).or_insert(&object.declared.key);
            }
        }
    }
    owners
}

/// A port of a service, or more endpoints of one that is there.
fn add(
    ports: &mut Vec<AssignedServicePort>,
    port: &ServicePort,
    node_port: u16,
    endpoints: Vec<Endpoint>,
) {
    let known =
        ports.iter_mut().find(|one| (one.protocol, one.node_port) == (port.protocol, node_port));
    let Some(known) = known else {
        let ServicePort { name, protocol, port, .. } = port.clone();
        ports.push(AssignedServicePort { name, protocol, port, node_port, endpoints });
        return;
    };
    let there: BTreeSet<PodUid> = known.endpoints.iter().map(|endpoint| endpoint.pod).collect();
    known.endpoints.extend(endpoints.into_iter().filter(|one| !there.contains(&one.pod)));
    known.endpoints.sort_by_key(|endpoint| endpoint.pod);
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
