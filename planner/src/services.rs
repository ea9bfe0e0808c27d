//! Services: what the proxies of a node serve.
//!
//! A service that changes or leaves Git serves as it was as well until everything of its source is there
//! (its `Baseline`): a request finds the pods that are there, whether the old or the new ones, and what a
//! release may go back to has lost nothing. So it is, too, with a node port that goes from one service of
//! a source to another.

use std::collections::BTreeMap;

use dugout_model::{
    AssignedService, AssignedServicePort, Endpoint, EndpointPlace, Node, ObjectKey, Pod, PodUid,
    Protocol, Service, ServicePort, SourceName, StoredObject, StringMap, World,
};

/// The services with node ports and the pods that this node's proxies may send to, by key.
pub(crate) fn on_node(world: &World, node: &Node) -> Vec<AssignedService> {
    let asked = world.node_port_services().map(|row| &**row);
    let earlier: Vec<&StoredObject> = world.earlier_services().map(|row| &**row).collect();
    let owners = if earlier.is_empty() { BTreeMap::new() } else { owners(world) };
    let mut services: BTreeMap<&ObjectKey, Vec<Port>> = BTreeMap::new();
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
    let services = services.into_iter().map(|(key, ports)| AssignedService {
        key: key.clone(),
        ports: ports.into_iter().map(Port::assigned).collect(),
    });
    services.collect()
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

/// A node port with those behind it, by pod.
struct Port {
    service_port: ServicePort,
    node_port: u16,
    endpoints: BTreeMap<PodUid, Target>,
}

/// Where a pod is sent to.
struct Target {
    endpoint: Endpoint,
    /// Its template names this port.
    is_declared: bool,
}

impl Port {
    fn assigned(self) -> AssignedServicePort {
        let ServicePort { name, protocol, port, .. } = self.service_port;
        let endpoints = self.endpoints.into_values().map(|target| target.endpoint).collect();
        AssignedServicePort { name, protocol, port, node_port: self.node_port, endpoints }
    }
}

/// A port of a service, or more endpoints of one that is there. Of two forms that mean one pod, the one
/// holds whose target the pod has.
fn add(ports: &mut Vec<Port>, port: &ServicePort, node_port: u16, targets: Vec<Target>) {
    let key = (port.protocol, node_port);
    let known = ports.iter().position(|one| (one.service_port.protocol, one.node_port) == key);
    let index = known.unwrap_or_else(|| {
        let endpoints = BTreeMap::new();
        ports.push(Port { service_port: port.clone(), node_port, endpoints });
        ports.len() - 1
    });
    let Some(known) = ports.get_mut(index) else { return };
    for target in targets {
        let pod = target.endpoint.pod;
        let is_better = known
            .endpoints
            .get(&pod)
            .is_none_or(|earlier| target.is_declared && !earlier.is_declared);
        if is_better {
            known.endpoints.insert(pod, target);
        }
    }
}

/// Pods of other engines are not among them: their addresses are known there alone.
fn endpoints(
    world: &World,
    node: &Node,
    object: &StoredObject,
    service: &Service,
    port: &ServicePort,
) -> Vec<Target> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let peers = world.nodes_of_engine(&node.engine);
    let candidates = peers
        .flat_map(|peer| world.pods_on(&peer.name))
        .filter(|pod| pod.is_at_work() && pod.namespace == object.declared.key.namespace);
    let targets = candidates.filter_map(|pod| {
        let template = &world.replica_set_of(pod)?.template;
        if !is_selected(pod, &template.labels, &service.selector) {
            return None;
        }
        let mut containers = template.serving_containers();
        let target = containers.find_map(|each| each.port_number(&port.target_port))?;
        let mut declared = template.serving_containers().flat_map(|each| &each.ports);
        let is_declared = declared.any(|each| each.container_port == target);
        let endpoint = Endpoint { pod: pod.uid, port: target, place: place(pod, node)? };
        Some(Target { endpoint, is_declared })
    });
    targets.collect()
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
