//! The ports of a pod: which its engine knows of, and at which of its node they are reached. Pure.

use dugout_model::{
    Container, ContainerPort, EnvValue, NamespaceOwner, Protocol, ResolvedTemplate,
};

use crate::runtime::{Namespaces, PublishedPort};

/// What whoever has the network says of ports.
#[derive(Default)]
pub(super) struct Ports {
    pub exposed: Vec<String>,
    pub published: Vec<PublishedPort>,
}

impl Ports {
    /// Those of one container, unless it has the network of its sandbox.
    pub fn of_container(
        template: &ResolvedTemplate,
        container: &Container<EnvValue>,
        namespaces: &Namespaces,
    ) -> Self {
        match namespaces {
            Namespaces::Joined { .. } => Self::default(),
            Namespaces::Own { .. } | Namespaces::Offered { .. } => {
                Self::of_own(template, container)
            }
        }
    }

    /// Those of a container with a network of its own. One that runs to its end serves nobody, and its ports
    /// of the node may be another's by then.
    pub fn of_own(template: &ResolvedTemplate, container: &Container<EnvValue>) -> Self {
        let mut ports = Self::of(template, [container]);
        if template.serving_containers().all(|serving| serving.name != container.name) {
            ports.published.clear();
        }
        ports
    }

    /// Those of all containers that have a sandbox's network.
    pub fn of_sandbox(template: &ResolvedTemplate) -> Self {
        let mut ports = Self::of(template, template.serving_containers());
        ports.exposed.sort();
        ports.exposed.dedup();
        ports
    }

    fn of<'a>(
        template: &ResolvedTemplate,
        containers: impl IntoIterator<Item = &'a Container<EnvValue>>,
    ) -> Self {
        let all = containers.into_iter().flat_map(|container| &container.ports);
        let all: Vec<&ContainerPort> = all.collect();
        let exposed = all.iter().map(|port| engine_port(port)).collect();
        // On the node's network a port is the node's by itself.
        let is_published = template.network() == NamespaceOwner::Pod;
        let published = all.iter().filter(|_| is_published).filter_map(|port| {
            let host = port.host?;
            Some(PublishedPort { port: engine_port(port), at: host.port, address: host.address })
        });
        Self { exposed, published: published.collect() }
    }
}

/// In the engine's form, as `8080/tcp`.
fn engine_port(port: &ContainerPort) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.container_port)
}

#[cfg(test)]
mod tests {
    use dugout_model::{HostPort, PodSecurity};

    use super::*;
    use crate::testing;

    fn port(container_port: u16, host: Option<u16>) -> ContainerPort {
        let host = host.map(|port| HostPort { port, address: None });
        ContainerPort { name: String::new(), container_port, protocol: Protocol::Udp, host }
    }

    #[test]
    fn ports_are_published_where_the_network_is() {
        let mut template = testing::template("web");
        let mut second = template.containers[0].clone();
        template.containers[0].ports = vec![port(53, Some(5353)), port(54, None)];
        second.name = "second".to_owned();
        second.ports = vec![port(55, Some(5555)), port(54, None)];
        template.containers.push(second);
        let sandbox = Ports::of_sandbox(&template);
        assert_eq!(sandbox.exposed, ["53/udp", "54/udp", "55/udp"]);
        let published: Vec<u16> = sandbox.published.iter().map(|port| port.at).collect();
        assert_eq!(published, [5353, 5555]);
        let joined = Namespaces::Joined { sandbox: "abc".to_owned() };
        let own = Ports::of_container(&template, &template.containers[0], &joined);
        assert!(own.exposed.is_empty() && own.published.is_empty());
        let network = NamespaceOwner::Host;
        template.security = Some(Box::new(PodSecurity { network, ..PodSecurity::default() }));
        assert!(Ports::of_sandbox(&template).published.is_empty(), "they are the node's already");
    }
}
