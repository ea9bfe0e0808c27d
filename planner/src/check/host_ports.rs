//! Two pods never have one port of an engine's machine at a time.

use dugout_model::TakenPort;

use super::{Checker, Violation};

impl Checker<'_> {
    /// A pod that is placed finds every port of the node that it asks for free.
    pub(super) fn host_ports(&mut self) {
        for uid in self.touched.pods.clone() {
            let was_placed = self.before.pods.get(&uid).is_some_and(|pod| pod.node().is_some());
            let Some(pod) = self.after.pods.get(&uid).filter(|_| !was_placed) else { continue };
            let Some(node) = pod.node().and_then(|node| self.after.nodes.get(node)) else {
                continue;
            };
            let Some(set) = self.after.replica_set_of(pod) else { continue };
            let wanted: Vec<TakenPort> = set.template.host_ports().collect();
            if wanted.is_empty() {
                continue;
            }
            let others = self.after.host_ports_of(node).filter(|(other, _)| other.uid != uid);
            let is_free = |port: TakenPort| wanted.iter().all(|own| !own.conflicts_with(port));
            let are_free = others.map(|(_, port)| port).all(is_free);
            let node = node.name.clone();
            self.require(are_free, || Violation::HostPortTakenTwice { pod: uid, node });
        }
    }
}
