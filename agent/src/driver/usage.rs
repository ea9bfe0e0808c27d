//! Which containers run, and what is to be read of each when somebody asks what they use.

use super::node::Node;
use crate::runtime::{ContainerRuntime, HOST_NETWORK, Network, ObservedContainer, ObservedState};
use crate::usage::{ContainerName, Measured, MeasuredContainers, Scope};

impl<R: ContainerRuntime> Node<R> {
    /// Tells it where it is another than before.
    pub(super) fn tell_measured(&self) {
        let measured = self.metrics.usage.measured();
        let running = self.observed.pods().flat_map(|(_, all)| all);
        let running = running.filter(|one| one.is_running() && !is_empty(one));
        let running = running.filter_map(|one| Some((&one.id, one.process.as_ref()?.id)));
        let mut told: Vec<(&String, u32)> =
            measured.values().map(|one| (&one.id, one.process_id)).collect();
        let mut running: Vec<(&String, u32)> = running.collect();
        told.sort_unstable();
        running.sort_unstable();
        if told != running {
            let running = self.running();
            let containers = running.values().filter(|one| one.scope != Scope::Network).count();
            self.metrics.containers.set(i64::try_from(containers).unwrap_or(i64::MAX));
            self.metrics.usage.measure(running);
        }
    }

    fn running(&self) -> MeasuredContainers {
        let mut running = MeasuredContainers::new();
        for (_, containers) in self.observed.pods() {
            let has_sandbox =
                containers.iter().any(|one| one.is_running() && one.labels.is_sandbox());
            for one in containers {
                let Some((name, measured)) = self.measured(one, has_sandbox) else { continue };
                // A pod that leaves may be there beside another one of its name.
                let other = running.get(&name).map(|other: &Measured| other.started_at);
                if other.is_none_or(|other| other < measured.started_at) {
                    running.insert(name, measured);
                }
            }
        }
        running
    }

    fn measured(
        &self,
        one: &ObservedContainer,
        has_sandbox: bool,
    ) -> Option<(ContainerName, Measured)> {
        let ObservedState::Running { started_at } = one.state else { return None };
        if is_empty(one) {
            return None;
        }
        let process = one.process.as_ref()?;
        let scope = match (one.labels.is_sandbox(), has_sandbox || is_on_host(one)) {
            (true, _) => Scope::Network,
            (false, true) => Scope::Container,
            (false, false) => Scope::ContainerAndNetwork,
        };
        let template = self.assigned(one.labels.uid).map(|pod| &pod.template);
        let image = template.and_then(|template| template.container(&one.labels.container));
        let image = image.map(|container| container.image.clone());
        let name = ContainerName {
            namespace: one.labels.namespace.clone(),
            pod: one.labels.pod.clone(),
            container: one.labels.container.clone(),
        };
        let measured = Measured {
            id: one.id.clone(),
            process_id: process.id,
            image: image.or_else(|| one.image_id.clone()).unwrap_or_default(),
            started_at,
            layer: process.layer.clone(),
            scope,
        };
        Some((name, measured))
    }
}

/// Whether it is in the network of its node, which is not a pod's.
fn is_on_host(one: &ObservedContainer) -> bool {
    one.settings.networks.iter().any(|network| match network {
        Network::Default => false,
        Network::Other(name) => name == HOST_NETWORK,
    })
}

/// Whether there is nothing to read of it.
fn is_empty(one: &ObservedContainer) -> bool {
    one.labels.is_sandbox() && is_on_host(one)
}
