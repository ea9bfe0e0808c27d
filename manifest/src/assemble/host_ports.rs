//! Ports of nodes that no node has twice: what can never run because of another object, or of its own kind.

use std::collections::BTreeMap;

use dugout_model::{HOSTNAME_LABEL, Severity, StringMap};

use super::{Member, Revision, Told};
use crate::decode::{HostPortFacts, NodePort, Spread};

/// So many others that have a port are held against each that asks for it.
const COMPARED: usize = 200;

/// One port of a workload.
#[derive(Clone, Copy)]
struct Use<'a> {
    member: Member<'a>,
    facts: &'a HostPortFacts,
    port: &'a NodePort,
}

impl<'a> Revision<'a> {
    /// Tells workloads that have no node, as others have their ports on each that they may be on. Whoever
    /// might find another node is not told.
    pub(super) fn check_host_ports(&self, found: &mut Vec<Told<'a>>) {
        let mut uses: BTreeMap<u16, Vec<Use<'a>>> = BTreeMap::new();
        for member in self.members.values() {
            let Some(pods) = &member.object.links.pods else { continue };
            let Some(facts) = pods.host_ports() else { continue };
            if facts.spread == Spread::Pods(0) {
                continue;
            }
            for port in &facts.ports {
                uses.entry(port.number).or_default().push(Use { member: *member, facts, port });
            }
            check_replicas(member, facts, found);
        }
        if uses.is_empty() {
            return;
        }
        self.check_ports_of_services(&uses, found);
        for mut uses in uses.into_values() {
            uses.sort_by_key(|one| {
                (one.member.place(), one.port.place.line, one.port.place.column)
            });
            self.check_port(&uses, found);
        }
    }

    /// Every node serves the node ports of every service.
    fn check_ports_of_services(
        &self,
        uses: &BTreeMap<u16, Vec<Use<'a>>>,
        found: &mut Vec<Told<'a>>,
    ) {
        for member in self.members.values() {
            let Some(service) = &member.object.links.service else { continue };
            for port in &service.node_ports {
                let NodePort { number, place, .. } = port;
                for one in uses.get(number).into_iter().flatten().take(COMPARED) {
                    if !one.port.conflicts_with(port) {
                        continue;
                    }
                    let (file, line) = member.unit.locate(place.line);
                    let file = (self.shown)(file);
                    let message = format!(
                        "port {number} of the nodes is taken by {} on every node: no pod could run",
                        member.object.id
                    );
                    let hint = format!("see {file}:{line}; choose another port for one of them");
                    found.push(one.member.tell(&one.port.place, Severity::Error, message, &hint));
                }
            }
        }
    }

    /// The uses of one port, in the order of their places.
    fn check_port(&self, uses: &[Use<'a>], found: &mut Vec<Told<'a>>) {
        for (index, one) in uses.iter().enumerate() {
            let before = uses.iter().take(index.min(COMPARED));
            let Some(other) = before.into_iter().find(|other| excludes(one, other)) else {
                continue;
            };
            let (file, line) = other.member.unit.locate(other.port.place.line);
            let file = (self.shown)(file);
            let message = format!(
                "port {}/{} of the node is asked for by {} as well, which is to be on the same nodes: not all of \
                 their pods can run",
                one.port.number, one.port.protocol, other.member.object.id
            );
            let hint = format!("see {file}:{line}; choose another port, or other nodes");
            found.push(one.member.tell(&one.port.place, Severity::Error, message, &hint));
        }
    }
}

/// More pods than one, each with the same port, on one node.
fn check_replicas<'a>(member: &Member<'a>, facts: &HostPortFacts, found: &mut Vec<Told<'a>>) {
    let (Spread::Pods(count), Some(port)) = (facts.spread, facts.ports.first()) else { return };
    let Some(name) = facts.node_selector.get(HOSTNAME_LABEL) else { return };
    if count > 1 {
        let message = format!(
            "{count} pods are to be on the node {name}, and it has port {}/{} once",
            port.number, port.protocol
        );
        let hint = "write replicas: 1, or let them be on several nodes";
        found.push(member.tell(&port.place, Severity::Error, message, hint));
    }
}

/// Whether pods of one are on every node where pods of the other may be, with the same port. Two of one workload
/// are its own affair.
fn excludes(one: &Use<'_>, other: &Use<'_>) -> bool {
    if one.member.object.id == other.member.object.id || !one.port.conflicts_with(other.port) {
        return false;
    }
    let covers = |one: &Use<'_>, other: &Use<'_>| {
        one.facts.spread == Spread::EveryNode
            && is_within(&one.facts.node_selector, &other.facts.node_selector)
    };
    covers(one, other) || covers(other, one) || are_on_one_node(one.facts, other.facts)
}

/// Whether every label that the first asks for the second asks for, too.
fn is_within(few: &StringMap, many: &StringMap) -> bool {
    few.iter().all(|(key, value)| many.get(key).is_some_and(|other| other == value))
}

/// Whether both stay on the same node for good.
fn are_on_one_node(one: &HostPortFacts, other: &HostPortFacts) -> bool {
    let stays = |facts: &HostPortFacts| facts.spread != Spread::UntilTheEnd;
    let name = |facts: &HostPortFacts| facts.node_selector.get(HOSTNAME_LABEL).cloned();
    stays(one) && stays(other) && name(one).is_some() && name(one) == name(other)
}
