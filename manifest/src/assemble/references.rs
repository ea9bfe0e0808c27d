//! What objects of a revision say about each other: whom they need, whom they select, what they take.

use std::collections::BTreeMap;

use dugout_model::{ObjectSpec, PortRef, Severity};

use super::{Member, Revision, Told};
use crate::decode::{Identity, NodePort, Part, PodFacts, Reference, ServiceFacts, is_of_ordinals};
use crate::reader::Place;

/// How many names a hint lists.
const LISTED: usize = 12;

impl<'a> Revision<'a> {
    pub(super) fn check_links(&self, found: &mut Vec<Told<'a>>) {
        let mut node_ports = BTreeMap::new();
        for member in self.members.values() {
            for reference in &member.object.links.references {
                self.check_reference(member, reference, found);
            }
            if let Some(service) = &member.object.links.service {
                check_node_ports(member, service, &mut node_ports, self.shown, found);
            }
        }
        self.check_claim_names(found);
        self.check_host_ports(found);
        self.check_order(found);
        if !self.has_unknown {
            self.check_services(found);
        }
    }

    /// Two stateful sets must not make claims of the same names: `a-b` of set `c` and `a` of set `b-c` do.
    fn check_claim_names(&self, found: &mut Vec<Told<'a>>) {
        let mut makers: BTreeMap<(&str, String), (String, String)> = BTreeMap::new();
        for member in self.members.values().filter(|one| one.object.id.kind == "StatefulSet") {
            let Some(declared) = member.declared() else { continue };
            let ObjectSpec::StatefulSet(spec) = &declared.spec else { continue };
            let set = &declared.key.name;
            for template in spec.claim_templates.iter().map(|claim| &claim.name) {
                let key = (member.namespace(), format!("{template}-{set}"));
                let own = (template.to_string(), set.to_string());
                let other = makers.entry(key).or_insert_with(|| own.clone());
                if *other == own {
                    continue;
                }
                let message = format!(
                    "its claims of template {template} would have the names of those of template {} of StatefulSet {}",
                    other.0, other.1
                );
                let hint = "give the set or the template another name";
                found.push(member.tell(&member.object.place, Severity::Error, message, hint));
            }
        }
    }

    fn check_reference(
        &self,
        member: &Member<'a>,
        reference: &Reference,
        found: &mut Vec<Told<'a>>,
    ) {
        let Reference { kind, name, part, can_be_optional, place } = reference;
        let namespace = member.namespace();
        let mut tell = |message: String, hint: &str| {
            found.push(member.tell(place, Severity::Error, message, hint));
        };
        let Some(target) = self.find(kind, namespace, name) else {
            if !self.has_unknown && !self.is_made_by_a_set(kind, namespace, name) {
                let message = format!("there is no {kind} {name} in namespace {namespace}");
                tell(message, &self.name_hint(kind, namespace, *can_be_optional));
            }
            return;
        };
        match part {
            Part::Whole | Part::Rollout => {}
            Part::Key(key) => {
                // Without the object's content nothing can be said about its keys.
                let Some(declared) = target.declared() else { return };
                if has_key(&declared.spec, key) {
                    return;
                }
                let hint = match some_keys(&declared.spec) {
                    known if known.is_empty() => {
                        "it has no keys; add it, or set optional: true".to_owned()
                    }
                    known => format!("it has {}", known.join(", ")),
                };
                tell(format!("the {kind} {name} has no key {key}"), &hint);
            }
            Part::Port(port) => {
                let Some(service) = &target.object.links.service else { return };
                if service.is_external || has_port(service, port) {
                    return;
                }
                let shown = match port {
                    PortRef::Name(name) => format!("named {name:?}"),
                    PortRef::Number(number) => number.to_string(),
                };
                tell(format!("the Service {name} has no port {shown}"), &ports_hint(service));
            }
        }
    }

    /// Whether it is a claim that a stateful set makes for one of its pods. Which pods it has may change.
    fn is_made_by_a_set(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let Some((rest, ordinal)) = name.rsplit_once('-') else { return false };
        let is_ordinal = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
        if kind != "PersistentVolumeClaim" || !is_ordinal {
            return false;
        }
        rest.match_indices('-').any(|(at, _)| {
            let (Some(template), Some(set)) = (rest.get(..at), rest.get(at + 1..)) else {
                return false;
            };
            let declared = self.find("StatefulSet", namespace, set).and_then(Member::declared);
            declared.is_some_and(|object| match &object.spec {
                ObjectSpec::StatefulSet(set) => {
                    set.claim_templates.iter().any(|claim| claim.name.as_str() == template)
                }
                // It is of another kind, as its name says.
                _ => false,
            })
        })
    }

    /// What there is instead of a missing object.
    fn name_hint(&self, kind: &'static str, namespace: &str, can_be_optional: bool) -> String {
        let first = Identity { kind, key: dugout_model::ObjectKey::new(namespace, "") };
        let names: Vec<&str> = self
            .members
            .range::<&Identity, _>(&first..)
            .take_while(|(id, _)| id.kind == kind && id.key.namespace.as_str() == namespace)
            .map(|(id, _)| id.key.name.as_str())
            .take(LISTED)
            .collect();
        let add = if can_be_optional { "add it, or set optional: true" } else { "add it" };
        match names.is_empty() {
            true => add.to_owned(),
            false => format!("there are {}; {add}", names.join(", ")),
        }
    }

    /// Tells services that select nothing, or whose port no selected pod has.
    fn check_services(&self, found: &mut Vec<Told<'a>>) {
        let mut workloads = Workloads::default();
        for member in self.members.values() {
            if let Some(pods) = &member.object.links.pods {
                workloads.add(member.namespace(), pods);
            }
        }
        for member in self.members.values() {
            let Some(service) = &member.object.links.service else { continue };
            if !service.selector.is_empty() && !service.is_external {
                let selected = workloads.selected(member.namespace(), service);
                check_targets(member, service, &selected, found);
            }
        }
    }
}

fn has_key(spec: &ObjectSpec, key: &str) -> bool {
    match spec {
        ObjectSpec::ConfigMap(map) => {
            map.data.contains_key(key) || map.binary_data.contains_key(key)
        }
        ObjectSpec::Secret(secret) => secret.data.contains_key(key),
        _ => false,
    }
}

/// The first keys, for a hint.
fn some_keys(spec: &ObjectSpec) -> Vec<&str> {
    match spec {
        ObjectSpec::ConfigMap(map) => {
            map.data.keys().chain(map.binary_data.keys()).take(LISTED).collect()
        }
        ObjectSpec::Secret(secret) => secret.data.keys().take(LISTED).collect(),
        _ => Vec::new(),
    }
}

fn has_port(service: &ServiceFacts, port: &PortRef) -> bool {
    service.ports.iter().any(|(name, number)| match port {
        PortRef::Name(wanted) => name == wanted,
        PortRef::Number(wanted) => number == wanted,
    })
}

fn ports_hint(service: &ServiceFacts) -> String {
    let known: Vec<String> = service
        .ports
        .iter()
        .take(LISTED)
        .map(|(name, number)| match name.is_empty() {
            true => number.to_string(),
            false => format!("{number} named {name}"),
        })
        .collect();
    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
}

/// Workloads by each label of their pods, so that a service finds its own without looking at all.
#[derive(Default)]
struct Workloads<'a> {
    all: Vec<&'a PodFacts>,
    /// By namespace, key and value: places in `all`.
    by_label: BTreeMap<(&'a str, &'a str, &'a str), Vec<usize>>,
    /// Those of each namespace whose pods have labels that their template does not have.
    with_ordinals: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Workloads<'a> {
    fn add(&mut self, namespace: &'a str, pods: &'a PodFacts) {
        for (key, value) in &pods.labels {
            self.by_label.entry((namespace, key, value)).or_default().push(self.all.len());
        }
        if pods.ordinals().is_some() {
            self.with_ordinals.entry(namespace).or_default().push(self.all.len());
        }
        self.all.push(pods);
    }

    fn selected(&self, namespace: &str, service: &ServiceFacts) -> Vec<&'a PodFacts> {
        let of_templates = service.selector.iter().filter(|(key, _)| !is_of_ordinals(key));
        let fewest = of_templates
            .map(|(key, value)| self.by_label.get(&(namespace, key, value.as_str())))
            .min_by_key(|places| places.map_or(0, Vec::len))
            .unwrap_or_else(|| self.with_ordinals.get(namespace));
        fewest
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .filter_map(|place| self.all.get(*place).copied())
            .filter(|pods| service.selector.iter().all(|(key, value)| pods.has_label(key, value)))
            .collect()
    }
}

/// Where a port of the nodes was taken first.
type Taken<'a> = BTreeMap<u16, (&'a Identity, &'a str, u32)>;

/// Two services cannot listen on one port of the nodes.
fn check_node_ports<'a>(
    member: &Member<'a>,
    service: &'a ServiceFacts,
    taken: &mut Taken<'a>,
    shown: &dyn Fn(&str) -> String,
    found: &mut Vec<Told<'a>>,
) {
    for NodePort { number: port, place, .. } in &service.node_ports {
        let (file, line) = member.unit.locate(place.line);
        let own = (&member.object.id, file, line);
        match taken.get(port) {
            None => {
                taken.insert(*port, own);
            }
            // Twice in one service, its own rule tells it.
            Some((other, ..)) if *other == &member.object.id => {}
            Some((other, file, line)) => {
                let message = format!("port {port} of the nodes is taken by {other}");
                let file = shown(file);
                let hint = format!("see {file}:{line}; choose another from 30000 to 32767");
                found.push(member.tell(place, Severity::Error, message, &hint));
            }
        }
    }
}

fn check_targets<'a>(
    member: &Member<'a>,
    service: &ServiceFacts,
    selected: &[&PodFacts],
    found: &mut Vec<Told<'a>>,
) {
    let mut tell = |place: &Place, severity, message: String, hint: &str| {
        found.push(member.tell(place, severity, message, hint));
    };
    if selected.is_empty() {
        let message = "the selector matches no pod that is declared in this namespace".to_owned();
        let hint = "compare it with the labels of the pod templates";
        return tell(&member.object.place, Severity::Notice, message, hint);
    }
    for (name, place) in &service.named_targets {
        if !selected.iter().any(|pods| pods.port_names.contains(name)) {
            let message = format!("no selected pod has a port named {name:?}");
            let hint = "name the port in the container's ports, or use its number";
            tell(place, Severity::Error, message, hint);
        }
    }
}
