//! Ports of nodes: what one pod may not have twice, and what is noted of them for others.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::decode::{HostPortFacts, NodePort, RarePodFacts, Spread};
use crate::reader::Value;
use crate::validate::{Context, View};

const SERVING_LISTS: [&str; 2] = ["containers", "initContainers"];

/// Two containers cannot have one port of the node.
pub(super) fn check(spec: &View<'_>) {
    let on_host = spec.is_true("hostNetwork");
    let mut taken = TakenPorts::default();
    for list in super::pod::CONTAINER_LISTS {
        spec.each(list, |container| {
            let ends = is_ended(list, container);
            container.each("ports", |port| {
                let inner = port.int("containerPort");
                let outer = port.int("hostPort").filter(|outer| *outer != 0);
                if on_host && outer.is_some() && inner.is_some() && inner != outer {
                    port.fail_at(
                        "hostPort",
                        "must be equal to containerPort with hostNetwork: true",
                        "remove it",
                    );
                }
                let Some((number, value)) = port_of_node(port, on_host) else { return };
                if ends && !on_host {
                    value.notice_with(
                        "has no effect: the container ends before its pod serves",
                        "remove it, or set restartPolicy: Always",
                    );
                }
                let protocol = port.text("protocol").unwrap_or("TCP");
                let address = port.text("hostIP").and_then(|text| text.parse().ok());
                if !ends && !taken.take(number, protocol, address) {
                    value
                        .fail(format!("port {number}/{protocol} of the node is taken by this pod"));
                }
            });
        });
    }
}

/// It ends before those begin that serve, and the next one of its kind.
fn is_ended(list: &str, container: &View<'_>) -> bool {
    list == "initContainers" && container.text("restartPolicy") != Some("Always")
}

/// The port of the node behind one of a container, and where it is written. On the node's network each port is
/// the node's.
fn port_of_node<'v>(port: &'v View<'_>, on_host: bool) -> Option<(i64, Value<'v>)> {
    let outer = port.int("hostPort").filter(|outer| *outer != 0);
    let (field, number) = match outer {
        None if on_host => ("containerPort", port.int("containerPort")),
        _ => ("hostPort", outer),
    };
    Some((number?, port.get(field)?))
}

/// Ports of a node by number, protocol and address; none for all of its addresses.
#[derive(Default)]
struct TakenPorts(BTreeSet<(i64, String, Option<IpAddr>)>);

impl TakenPorts {
    /// Whether it was free, at this address or at all of them.
    fn take(&mut self, number: i64, protocol: &str, address: Option<IpAddr>) -> bool {
        let address = address.filter(|address| !address.is_unspecified());
        let everywhere = (number, protocol.to_owned(), None);
        let next = self.0.range(everywhere.clone()..).next();
        let is_anywhere = next.is_some_and(|next| (next.0, &*next.1) == (number, protocol));
        let is_taken = self.0.contains(&everywhere) || address.is_none() && is_anywhere;
        self.0.insert((number, protocol.to_owned(), address)) && !is_taken
    }
}

/// The ports of nodes that the pods of a template have for as long as they run; nothing where they have none.
pub(super) fn note(template: &View<'_>) -> Option<Box<RarePodFacts>> {
    template.within("spec", |spec| {
        let on_host = spec.is_true("hostNetwork");
        let mut ports = Vec::new();
        for list in SERVING_LISTS {
            spec.each(list, |container| {
                if is_ended(list, container) {
                    return;
                }
                container.each("ports", |port| {
                    let Some((number, value)) = port_of_node(port, on_host) else { return };
                    let Ok(number) = u16::try_from(number) else { return };
                    let protocol = port.text("protocol").unwrap_or("TCP").to_owned();
                    let address = port.text("hostIP").and_then(|text| text.parse::<IpAddr>().ok());
                    let address = address.filter(|address| !address.is_unspecified());
                    ports.push(NodePort { number, protocol, address, place: value.place() });
                });
            });
        }
        let selector = spec.pairs("nodeSelector");
        let node_selector =
            selector.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let facts = HostPortFacts { ports: ports.into(), node_selector, spread: Spread::Pods(1) };
        (!facts.ports.is_empty())
            .then(|| Box::new(RarePodFacts { host_ports: Some(facts), ..RarePodFacts::default() }))
    })?
}

/// Says how many pods there are at one time.
pub(super) fn note_spread(context: &mut Context, spread: Spread) {
    let rare = context.links.pods.as_mut().and_then(|pods| pods.rare.as_mut());
    if let Some(ports) = rare.and_then(|rare| rare.host_ports.as_mut()) {
        ports.spread = spread;
    }
}
