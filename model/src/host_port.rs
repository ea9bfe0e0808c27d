//! Ports of a node that pods take: no two pods of one engine have the same.

use std::net::IpAddr;

use crate::{Container, EnvValue, Node, Pod, Protocol, ResolvedTemplate, World};

/// The port of its node through which a container's port is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub port: u16,
    /// The only one of the node's addresses; every one without it.
    pub address: Option<IpAddr>,
}

/// A port of a node with its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TakenPort {
    pub host: HostPort,
    pub protocol: Protocol,
}

impl TakenPort {
    /// Whether only one of them can be had.
    pub fn conflicts_with(self, other: TakenPort) -> bool {
        let everywhere = |port: TakenPort| port.host.address.is_none_or(|ip| ip.is_unspecified());
        self.protocol == other.protocol
            && self.host.port == other.host.port
            && (everywhere(self) || everywhere(other) || self.host.address == other.host.address)
    }
}

impl ResolvedTemplate {
    /// The ports of its node that a pod has for as long as it runs.
    pub fn host_ports(&self) -> impl Iterator<Item = TakenPort> {
        self.serving_containers().flat_map(Container::<EnvValue>::host_ports)
    }
}

impl<Env> Container<Env> {
    fn host_ports(&self) -> impl Iterator<Item = TakenPort> {
        let ports = self.ports.iter();
        ports.filter_map(|port| Some(TakenPort { host: port.host?, protocol: port.protocol }))
    }
}

impl World {
    /// The ports that the proxies of every node have for services.
    pub fn node_ports(&self) -> impl Iterator<Item = TakenPort> {
        let services = self.node_port_services().filter_map(|row| row.as_service());
        services.flat_map(|service| &service.ports).filter_map(|port| {
            let host = HostPort { port: port.node_port?, address: None };
            Some(TakenPort { host, protocol: port.protocol })
        })
    }

    /// The pods that have ports of a node's engine, or get them: also those that leave, until they ended. Nodes
    /// of one engine share its ports.
    pub fn host_ports_of(&self, node: &Node) -> impl Iterator<Item = (&Pod, TakenPort)> {
        let peers = self.nodes_of_engine(&node.engine);
        let pods = peers.flat_map(|peer| self.pods_on(&peer.name));
        pods.filter(|pod| !pod.is_finished()).flat_map(|pod| {
            let set = self.replica_set_of(pod);
            let ports = set.into_iter().flat_map(|set| set.template.host_ports());
            ports.map(move |port| (&**pod, port))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_conflict_where_their_addresses_meet() {
        let port = |port, address: Option<&str>, protocol| TakenPort {
            host: HostPort { port, address: address.map(|text| text.parse().unwrap()) },
            protocol,
        };
        let all = port(80, None, Protocol::Tcp);
        let one = port(80, Some("10.0.0.1"), Protocol::Tcp);
        assert!(all.conflicts_with(all) && all.conflicts_with(one) && one.conflicts_with(all));
        assert!(one.conflicts_with(port(80, Some("0.0.0.0"), Protocol::Tcp)));
        assert!(!one.conflicts_with(port(80, Some("10.0.0.2"), Protocol::Tcp)));
        assert!(!all.conflicts_with(port(80, None, Protocol::Udp)));
        assert!(!all.conflicts_with(port(81, None, Protocol::Tcp)));
    }
}
