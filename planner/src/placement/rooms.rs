//! The choice of a node, without going through all of them for each pod.
//!
//! The world keeps the nodes of each size in the order of their use. A node with no pod of the same
//! workload (a stranger) is the best there is, so the emptiest stranger of each size is a candidate, and
//! of these the one that the pod would fill least wins. Only where no stranger can take it does it go to
//! a node of its family: to the one with the fewest of its kind, and then with the most left.
//!
//! Room only shrinks while pods are placed. So what was found once for a replica set (no stranger has
//! room, this node is full, nobody can take it) holds for the others of it in the same turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    CapacityClass, Node, NodeFilter, NodeName, ObjectName, ObjectUid, ReplicaSet, ReplicaSetUid,
    Resources, Rights, Scheduling, TakenPort, Unschedulable, World, labels_contain, scarcest_use,
};

use crate::storage;

/// After so many nodes of the family were passed over in search of a stranger, the strangers get a list
/// of their own.
const PASSED_OVER_MAX: usize = 256;

/// How much a node of the family is preferred; the lowest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Pods of the same replica set there.
    siblings: u32,
    /// Pods of the same workload there.
    relatives: u32,
    /// The scarcest resource's use with the pod there, in millionths.
    use_after: u64,
    node: NodeName,
}

/// What is known of the nodes while pods are placed.
#[derive(Default)]
pub(crate) struct Rooms {
    /// Reserved for pods that are not in the world yet.
    promised: BTreeMap<NodeName, Resources>,
    /// The ports of nodes that those will have.
    promised_ports: BTreeMap<NodeName, Vec<TakenPort>>,
    /// The pods at work of the workloads that were asked for, by node.
    relatives: BTreeMap<ObjectUid, BTreeMap<NodeName, u32>>,
    searches: BTreeMap<ReplicaSetUid, Search>,
}

/// How far the search for nodes is for the pods of one replica set.
struct Search {
    needs: Needs,
    /// Its pods at work, by node.
    siblings: BTreeMap<NodeName, u32>,
    strangers: Strangers,
    /// The nodes of the family that may have room, the best first by what is known of them; looked at
    /// once no stranger has room.
    family: Option<BTreeSet<Score>>,
    /// Why nobody can take it.
    hopeless: Option<Unschedulable>,
}

/// What a pod of a replica set asks of a node.
#[derive(Clone, Copy)]
struct Needs {
    resources: Resources,
    rights: Rights,
    /// Most pods ask for no port of their node.
    has_host_ports: bool,
}

impl Needs {
    fn of(set: &ReplicaSet) -> Self {
        Self {
            resources: set.template.requests(),
            rights: set.template.rights(),
            has_host_ports: set.template.host_ports().next().is_some(),
        }
    }
}

/// The nodes without a pod of the workload.
enum Strangers {
    /// In the world's order, with those of the family passed over: how many so far.
    InOrder { passed_over: usize },
    /// The ones that may have room, by size, with the use that is known of them.
    Listed(BTreeMap<CapacityClass, BTreeSet<(u64, NodeName)>>),
    /// None has room.
    Full,
}

impl Rooms {
    /// The best node for a pod of a replica set, or how many nodes each filter removed.
    pub fn choose(&mut self, world: &World, set: &ReplicaSet) -> Result<NodeName, Unschedulable> {
        self.choose_for(world, set, None)
    }

    /// The same for the pod of this name: pods with claims go where the volumes of these are.
    pub fn choose_for(
        &mut self,
        world: &World,
        set: &ReplicaSet,
        pod: Option<&ObjectName>,
    ) -> Result<NodeName, Unschedulable> {
        if set.template.has_claims() {
            // A name that no pod has: what is the pods' own is not known yet.
            let claims = storage::Needs::of_pod(world, set, pod.unwrap_or(&set.name));
            return self.choose_with_claims(world, set, &claims);
        }
        let mut search = self.take_search(world, set);
        let found = self.search(world, set, &mut search);
        self.searches.insert(set.uid, search);
        found
    }

    /// The best of all nodes, one by one: each pod may have claims of its own.
    fn choose_with_claims(
        &mut self,
        world: &World,
        set: &ReplicaSet,
        claims: &storage::Needs,
    ) -> Result<NodeName, Unschedulable> {
        let search = self.take_search(world, set);
        let family = self.relatives.get(&set.owner);
        let (mut best, mut why) = (None::<Score>, Unschedulable::default());
        for node in world.nodes.values() {
            let refusal = self.refuses(world, node, set, search.needs);
            if let Some(filter) = refusal.or_else(|| claims.refusal(world, node)) {
                *why.removed.entry(filter).or_default() += 1;
                continue;
            }
            let used = self.reserved(world, node).plus(search.needs.resources);
            let of =
                |counts: &BTreeMap<NodeName, u32>| counts.get(&node.name).copied().unwrap_or(0);
            let score = Score {
                siblings: of(&search.siblings),
                relatives: family.map_or(0, of),
                use_after: scarcest_use(used, node.capacity),
                node: node.name.clone(),
            };
            if best.as_ref().is_none_or(|best| score < *best) {
                best = Some(score);
            }
        }
        self.searches.insert(set.uid, search);
        best.map(|best| best.node).ok_or(why)
    }

    /// This node for a daemon's pod, or why it cannot take it. A cordoned one takes it: nothing else
    /// can do its work there.
    pub fn choose_only(
        &self,
        world: &World,
        set: &ReplicaSet,
        pod: &ObjectName,
        node: &NodeName,
    ) -> Result<NodeName, Unschedulable> {
        let Some(row) = world.nodes.get(node) else { return Err(Unschedulable::default()) };
        let schedulable = Node { scheduling: Scheduling::Schedulable, ..(**row).clone() };
        let refusal = self.refuses(world, &schedulable, set, Needs::of(set)).or_else(|| {
            let claims = storage::Needs::of_pod(world, set, pod);
            claims.refusal(world, row).filter(|_| set.template.has_claims())
        });
        match refusal {
            None => Ok(node.clone()),
            Some(filter) => Err(Unschedulable { removed: BTreeMap::from([(filter, 1)]) }),
        }
    }

    /// Notes a pod of a replica set that goes to a node and is in the world from now on.
    pub fn placed(&mut self, set: &ReplicaSet, node: &NodeName) {
        if let Some(family) = self.relatives.get_mut(&set.owner) {
            *family.entry(node.clone()).or_default() += 1;
        }
        if let Some(search) = self.searches.get_mut(&set.uid) {
            *search.siblings.entry(node.clone()).or_default() += 1;
        }
    }

    /// Reserves a node's room for a pod of a replica set that is made later.
    pub fn promise(&mut self, set: &ReplicaSet, node: &NodeName) {
        let promised = self.promised.entry(node.clone()).or_default();
        *promised = promised.plus(set.template.requests());
        let ports: Vec<TakenPort> = set.template.host_ports().collect();
        if !ports.is_empty() {
            self.promised_ports.entry(node.clone()).or_default().extend(ports);
        }
        self.placed(set, node);
    }

    /// Notes that a pod of a replica set is no longer at work on a node.
    pub fn forget_sibling(&mut self, set: &ReplicaSet, node: &NodeName) {
        let siblings = self.searches.get_mut(&set.uid).map(|search| &mut search.siblings);
        for counts in siblings.into_iter().chain(self.relatives.get_mut(&set.owner)) {
            if let Some(count) = counts.get_mut(node) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// The search for a replica set's nodes as far as it is.
    fn take_search(&mut self, world: &World, set: &ReplicaSet) -> Search {
        self.relatives
            .entry(set.owner)
            .or_insert_with(|| by_node(world, world.replica_sets_of(set.owner).map(|set| set.uid)));
        self.searches.remove(&set.uid).unwrap_or_else(|| Search {
            needs: Needs::of(set),
            siblings: by_node(world, [set.uid]),
            strangers: Strangers::InOrder { passed_over: 0 },
            family: None,
            hopeless: None,
        })
    }

    fn search(
        &self,
        world: &World,
        set: &ReplicaSet,
        search: &mut Search,
    ) -> Result<NodeName, Unschedulable> {
        if let Some(why) = &search.hopeless {
            return Err(why.clone());
        }
        if let Some(stranger) = self.stranger(world, set, search) {
            return Ok(stranger);
        }
        search.strangers = Strangers::Full;
        if let Some(relative) = self.relative(world, set, search) {
            return Ok(relative);
        }
        let why = self.why_nobody(world, set, search.needs);
        search.hopeless = Some(why.clone());
        Err(why)
    }

    /// The best of the emptiest strangers of each size.
    fn stranger(&self, world: &World, set: &ReplicaSet, search: &mut Search) -> Option<NodeName> {
        if let Strangers::InOrder { passed_over } = &search.strangers
            && *passed_over > PASSED_OVER_MAX
        {
            search.strangers = Strangers::Listed(self.list_strangers(world, set));
        }
        let needs = search.needs;
        let mut best: Option<(u64, NodeName)> = None;
        let mut consider = |node: &Node| {
            let after =
                scarcest_use(self.reserved(world, node).plus(needs.resources), node.capacity);
            let candidate = (after, node.name.clone());
            if best.as_ref().is_none_or(|best| candidate < *best) {
                best = Some(candidate);
            }
        };
        match &mut search.strangers {
            Strangers::InOrder { passed_over } => {
                for class in world.capacity_classes() {
                    let found = world.emptiest_nodes(class).map(|(_, node)| node).find(|node| {
                        let suits = !self.is_family(set, &node.name)
                            && self.refuses(world, node, set, needs).is_none();
                        *passed_over += usize::from(!suits);
                        suits
                    });
                    found.into_iter().for_each(|node| consider(node));
                }
            }
            Strangers::Listed(classes) => {
                for listed in classes.values_mut() {
                    if let Some(node) = self.first_listed(world, set, needs, listed) {
                        consider(&node);
                    }
                }
            }
            Strangers::Full => {}
        }
        best.map(|(_, node)| node)
    }

    fn list_strangers(
        &self,
        world: &World,
        set: &ReplicaSet,
    ) -> BTreeMap<CapacityClass, BTreeSet<(u64, NodeName)>> {
        let needs = Needs::of(set);
        let strangers = |class| {
            let suits = |node: &Node| {
                !self.is_family(set, &node.name) && self.refuses(world, node, set, needs).is_none()
            };
            let nodes = world.emptiest_nodes(class).filter(|(_, node)| suits(node));
            (class, nodes.map(|(used, node)| (used, node.name.clone())).collect())
        };
        world.capacity_classes().map(strangers).collect()
    }

    /// The emptiest of the listed ones that still suits. What does not any more leaves the list; one
    /// that other pods have filled since takes its new place in it.
    fn first_listed(
        &self,
        world: &World,
        set: &ReplicaSet,
        needs: Needs,
        listed: &mut BTreeSet<(u64, NodeName)>,
    ) -> Option<Arc<Node>> {
        while let Some((known, name)) = listed.first() {
            let (known, name) = (*known, name.clone());
            let node = world.nodes.get(&name).filter(|node| {
                !self.is_family(set, &name) && self.refuses(world, node, set, needs).is_none()
            });
            let used = node.map(|node| scarcest_use(self.reserved(world, node), node.capacity));
            if used == Some(known) {
                return node.cloned();
            }
            listed.pop_first();
            if let Some(used) = used {
                listed.insert((used, name));
            }
        }
        None
    }

    /// The best node of the family that has room.
    fn relative(&self, world: &World, set: &ReplicaSet, search: &mut Search) -> Option<NodeName> {
        let family = self.relatives.get(&set.owner)?;
        let (siblings, needs) = (&search.siblings, search.needs);
        let score = |name: &NodeName| {
            let node = world.nodes.get(name)?;
            if self.refuses(world, node, set, needs).is_some() {
                return None;
            }
            Some(Score {
                siblings: siblings.get(name).copied().unwrap_or(0),
                relatives: family.get(name).copied().unwrap_or(0),
                use_after: scarcest_use(
                    self.reserved(world, node).plus(needs.resources),
                    node.capacity,
                ),
                node: name.clone(),
            })
        };
        let ordered =
            search.family.get_or_insert_with(|| family.keys().filter_map(score).collect());
        // What is known of a node may be too good by now, never too bad.
        while let Some(known) = ordered.pop_first() {
            let now = score(&known.node);
            let is_best = now.as_ref() == Some(&known);
            ordered.extend(now);
            if is_best {
                return Some(known.node);
            }
        }
        None
    }

    /// How many nodes each filter removed.
    fn why_nobody(&self, world: &World, set: &ReplicaSet, needs: Needs) -> Unschedulable {
        let mut why = Unschedulable::default();
        for node in world.nodes.values() {
            if let Some(filter) = self.refuses(world, node, set, needs) {
                *why.removed.entry(filter).or_default() += 1;
            }
        }
        why
    }

    fn is_family(&self, set: &ReplicaSet, node: &NodeName) -> bool {
        let family = self.relatives.get(&set.owner);
        family.and_then(|family| family.get(node)).is_some_and(|count| *count > 0)
    }

    fn reserved(&self, world: &World, node: &Node) -> Resources {
        let promised = self.promised.get(&node.name).copied().unwrap_or_default();
        world.reserved_on(&node.name).plus(promised)
    }

    /// The first reason why the node cannot take a pod.
    fn refuses(
        &self,
        world: &World,
        node: &Node,
        set: &ReplicaSet,
        needs: Needs,
    ) -> Option<NodeFilter> {
        if !node.is_ready() {
            return Some(NodeFilter::NotReady);
        }
        if !node.is_schedulable() {
            return Some(NodeFilter::Cordoned);
        }
        if !labels_contain(&node.labels, &set.template.node_selector) {
            return Some(NodeFilter::NodeSelector);
        }
        if !node.allows(needs.rights) {
            return Some(NodeFilter::NotAllowed);
        }
        let left = node.capacity.minus(self.reserved(world, node));
        let rules = [
            (needs.resources.cpu_millis > left.cpu_millis, NodeFilter::InsufficientCpu),
            (needs.resources.memory_bytes > left.memory_bytes, NodeFilter::InsufficientMemory),
            (needs.resources.pods > left.pods, NodeFilter::TooManyPods),
        ];
        let refused = rules.into_iter().find(|(refused, _)| *refused).map(|(_, filter)| filter);
        let lacks_ports = || needs.has_host_ports && !self.has_free_ports(world, node, set);
        refused.or_else(|| lacks_ports().then_some(NodeFilter::NoFreePorts))
    }

    /// Whether nobody has a port of the node that a pod of the replica set asks for.
    fn has_free_ports(&self, world: &World, node: &Node, set: &ReplicaSet) -> bool {
        let peers = world.nodes_of_engine(&node.engine);
        let promised = peers.filter_map(|peer| self.promised_ports.get(&peer.name)).flatten();
        let of_pods = world.host_ports_of(node).map(|(_, port)| port).chain(promised.copied());
        let taken = of_pods.chain(world.node_ports());
        let wanted: Vec<TakenPort> = set.template.host_ports().collect();
        let is_free = |port: TakenPort| wanted.iter().all(|own| !own.conflicts_with(port));
        taken.into_iter().all(is_free)
    }
}

fn by_node(
    world: &World,
    sets: impl IntoIterator<Item = ReplicaSetUid>,
) -> BTreeMap<NodeName, u32> {
    let mut counts = BTreeMap::new();
    for set in sets {
        let pods = world.pods_of(set).filter(|pod| pod.is_at_work());
        for pod in pods {
            if let Some(node) = pod.node() {
                *counts.entry(node.clone()).or_default() += 1;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests;
