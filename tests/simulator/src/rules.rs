//! What must hold at every moment, whatever fails: looked up in what really runs, not in what anybody
//! believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_model::{
    DaemonSet, DaemonSetUpdate, IntOrPercent, ObjectName, ObjectSpec, Pod, PodUid, ReplicaSetUid,
    StatefulSetUpdate, StoredObject, Strategy, TemplateHash, Timestamp, Verdict, World,
};

use crate::docker::FakeContainer;
use crate::node::Node;
use crate::scenario::REJECTED_IMAGE;

/// A rule that was broken, when, and what happened before.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    /// Seconds into the run.
    pub at_seconds: f64,
    pub rule: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
}

/// How long after a fault, a crash or a commit the promise of availability counts again.
const CALM: Duration = Duration::from_secs(40);

/// What the rules remember from moment to moment.
#[derive(Default)]
pub(crate) struct Rules {
    /// The last moment at which something failed or somebody asked for something else.
    pub disturbed_at: Timestamp,
    /// The node on which each pod ran first.
    ran_on: BTreeMap<PodUid, usize>,
}

impl Rules {
    /// Looks at everything that runs.
    pub fn look(&mut self, nodes: &[Node]) -> Result<(), String> {
        let mut names = BTreeMap::new();
        for (number, node) in nodes.iter().enumerate() {
            let mut running = BTreeSet::new();
            for container in node.engine.running() {
                let labels = &container.observed.labels;
                if *names.entry(labels.pod.as_str()).or_insert(labels.uid) != labels.uid {
                    return Err(format!("two pods with the name {} run", labels.pod));
                }
                if !running.insert((labels.uid, labels.container.as_str())) {
                    return Err(format!("pod {} runs a container twice on one node", labels.pod));
                }
                if *self.ran_on.entry(labels.uid).or_insert(number) != number {
                    return Err(format!("pod {} runs on a second node", labels.pod));
                }
                if container.image == REJECTED_IMAGE {
                    return Err("something of a rejected commit runs".to_owned());
                }
            }
        }
        Ok(())
    }

    /// A container is stopped by order while it serves: enough others must serve.
    pub fn stopped(
        &self,
        nodes: &[Node],
        world: &World,
        pod: PodUid,
        now: Timestamp,
    ) -> Result<(), String> {
        if now.since(self.disturbed_at) < CALM {
            return Ok(());
        }
        let owner = world.pods.get(&pod).and_then(|pod| world.replica_set_of(pod));
        let Some(owner) = owner.map(|set| set.owner) else { return Ok(()) };
        let Some(object) = world.object_by_uid(owner) else { return Ok(()) };
        let serving: Vec<_> = serving(nodes, world, &object.declared.key.name, now)
            .filter(|one| one.observed.labels.uid != pod)
            .map(|one| one.observed.labels.uid)
            .collect();
        let enough = match &object.declared.spec {
            ObjectSpec::DaemonSet(spec) => nodes_without(world, &serving) <= tolerated(spec),
            spec => serving.len() >= least(spec),
        };
        match enough {
            true => Ok(()),
            false => Err(format!(
                "{} has {} serving pods left by choice, and must keep more",
                object.declared.id(),
                serving.len()
            )),
        }
    }
}

/// How many pods must go on serving whatever is stopped by choice.
fn least(spec: &ObjectSpec) -> usize {
    let (replicas, unavailable) = match spec {
        ObjectSpec::Deployment(spec) => match spec.strategy {
            Strategy::Recreate => return 0,
            Strategy::RollingUpdate { max_unavailable, .. } => (spec.replicas, max_unavailable),
        },
        ObjectSpec::StatefulSet(spec) => match spec.update {
            StatefulSetUpdate::OnDelete => (spec.replicas, IntOrPercent::Int(0)),
            StatefulSetUpdate::RollingUpdate { max_unavailable, .. } => {
                (spec.replicas, max_unavailable)
            }
        },
        ObjectSpec::ReplicaSet(spec) => (spec.replicas, IntOrPercent::Int(0)),
        _ => return 0,
    };
    match unavailable {
        IntOrPercent::Int(unavailable) => replicas.saturating_sub(unavailable) as usize,
        IntOrPercent::Percent(_) => 0,
    }
}

/// How many nodes may be without a serving daemon because of an update.
fn tolerated(spec: &DaemonSet) -> usize {
    match spec.update {
        DaemonSetUpdate::RollingUpdate { max_unavailable: IntOrPercent::Int(number), .. } => {
            number as usize
        }
        DaemonSetUpdate::RollingUpdate { .. } | DaemonSetUpdate::OnDelete => usize::MAX,
    }
}

/// The ready nodes on which none of these pods is.
fn nodes_without(world: &World, serving: &[PodUid]) -> usize {
    let pods = serving.iter().filter_map(|uid| world.pods.get(uid));
    let with: BTreeSet<_> = pods.filter_map(|pod| pod.node()).collect();
    world.nodes.values().filter(|node| node.is_ready() && !with.contains(&node.name)).count()
}

/// The serving containers of a workload, whatever their template.
fn serving<'a>(
    nodes: &'a [Node],
    world: &'a World,
    name: &'a ObjectName,
    now: Timestamp,
) -> impl Iterator<Item = &'a FakeContainer> {
    let of_name = move |one: &&FakeContainer| {
        let set =
            world.pods.get(&one.observed.labels.uid).and_then(|pod| world.replica_set_of(pod));
        set.and_then(|set| world.object_by_uid(set.owner))
            .is_some_and(|object| object.declared.key.name == *name)
    };
    nodes
        .iter()
        .flat_map(|node| node.engine.running())
        .filter(move |one| one.is_ready(now))
        .filter(of_name)
}

/// What runs for each workload: the identity of its templates, and how many serve of each.
pub(crate) type State = BTreeMap<String, BTreeMap<TemplateHash, usize>>;

/// Whether everything is as it was asked, with nothing beside it; and what that is.
pub(crate) fn settled(nodes: &[Node], world: &World, now: Timestamp) -> Result<State, String> {
    let mut state = State::new();
    let mut expected = BTreeSet::new();
    for object in world.objects.values().filter(|object| object.declared.spec.is_workload()) {
        let name = object.declared.id().to_string();
        let Some(current) = world.current_replica_set(object.uid) else {
            return Err(format!("{name} has no template"));
        };
        let pods = pods_asked_for(world, object, current.uid);
        expected.extend(pods.iter().map(|pod| pod.uid));
        let serving = nodes
            .iter()
            .flat_map(|node| node.engine.running())
            .filter(|one| one.is_ready(now))
            .filter(|one| pods.iter().any(|pod| pod.uid == one.observed.labels.uid))
            .count();
        let asked = replicas(&object.declared.spec, nodes.len());
        if serving != asked || pods.len() != serving {
            let rows = pods.len();
            return Err(format!("{name}: {asked} asked, {rows} pods, {serving} serve"));
        }
        state.entry(name).or_default().insert(current.template_hash.clone(), serving);
    }
    if let Some(pod) = world.pods.values().find(|pod| !expected.contains(&pod.uid)) {
        return Err(format!("pod {} is left over in the books", pod.name));
    }
    let all = nodes.iter().flat_map(|node| node.engine.containers.values());
    let running = all.filter(|one| one.observed.is_running());
    if let Some(orphan) = { running }.find(|one| !expected.contains(&one.observed.labels.uid)) {
        return Err(format!("container {} is an orphan", orphan.observed.id));
    }
    match world.releases.values().next_back() {
        Some(newest) if newest.verdict == Verdict::Healthy => Ok(state),
        newest => Err(format!("the newest release is {:?}", newest.map(|newest| newest.verdict))),
    }
}

/// The pods that a workload may have in the end: those of its newest template. A replica set keeps those
/// of earlier ones.
fn pods_asked_for<'a>(
    world: &'a World,
    object: &StoredObject,
    current: ReplicaSetUid,
) -> Vec<&'a Pod> {
    let keeps_all = matches!(object.declared.spec, ObjectSpec::ReplicaSet(_));
    let sets = world.replica_sets_of(object.uid);
    let sets = sets.filter(|set| keeps_all || set.uid == current);
    sets.flat_map(|set| world.pods_of(set.uid)).map(AsRef::as_ref).collect()
}

/// How many pods a workload asks for.
fn replicas(spec: &ObjectSpec, nodes: usize) -> usize {
    match spec {
        ObjectSpec::Deployment(spec) => spec.replicas as usize,
        ObjectSpec::StatefulSet(spec) => spec.replicas as usize,
        ObjectSpec::ReplicaSet(spec) => spec.replicas as usize,
        ObjectSpec::DaemonSet(_) => nodes,
        _ => 1,
    }
}
