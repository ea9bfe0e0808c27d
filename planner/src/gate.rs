//! The pull gate: a release stops no pod before every image of what it touched is on every node that
//! was chosen for it.
//!
//! New pods come beside the old ones as far as each strategy lets them, and pull as any pod does. But
//! until the gate opens, nothing leaves because of the release: one that cannot be fetched changes
//! nothing that serves, whatever the order of its workloads, and fails with the registry's words.
//! Chosen are the nodes of each workload's pods when the release begins, and where it has none those on
//! which its pods would be placed.
//!
//! An image that runs on a node already is not asked for, unless it is to be pulled always. One that a
//! new pod there pulls anyway is not asked for a second time; the pod's own news say when it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    AssignedImage, Change, ContainerState, ImagePull, ImageReport, Node, NodeName, NodeReport,
    ObjectSpec, ObjectUid, Pod, PodStatus, PodTemplate, PullGate, PullPolicy, PullState, ReleaseId,
    ReplicaSet, ReplicaSetUid, Source, SourceName, Step, StoredObject, TemplateHash, Timestamp,
    WaitingReason, World, labels_contain,
};

use crate::draft::Draft;
use crate::generations;
use crate::placement::Rooms;
use crate::resolve::resolve;

/// How long the images of a release may take: as long as Kubernetes gives a Deployment without progress.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

/// Asks the nodes for the images of each dirty source's release, or opens its gate when all are there.
/// Says whether that made new work for the stages before this one.
pub(crate) fn watch(draft: &mut Draft<'_>) -> bool {
    let mut is_more = false;
    for name in draft.dirty.sources.clone() {
        let Some(source) = draft.world.sources.get(&name).cloned() else { continue };
        match source.status.gate {
            PullGate::Open => {}
            PullGate::Unasked { release } => {
                if ask(draft, release) {
                    let gate = PullGate::Pulling { release, since: draft.now };
                    put_gate(draft, &source, gate);
                } else {
                    put_gate(draft, &source, PullGate::Open);
                    is_more |= wake_held(draft, &name);
                }
            }
            PullGate::Pulling { release, since } => {
                if is_done(&draft.world, release) {
                    tell_done(draft, &source, release, since);
                    open(draft, &source);
                    wake_all(draft, &name, release);
                    is_more = true;
                }
            }
        }
    }
    is_more
}

/// Whether what a source's release no longer wants must stay for now.
pub(crate) fn is_closed(world: &World, source: &SourceName) -> bool {
    world.sources.get(source).is_some_and(|source| !source.status.gate.is_open())
}

/// The same for one of its workloads that would let something go now.
pub(crate) fn holds(draft: &mut Draft<'_>, workload: ObjectUid, source: &SourceName) -> bool {
    let is_closed = is_closed(&draft.world, source);
    if is_closed {
        draft.held.insert(workload);
    }
    is_closed
}

/// Why the images of a source's release will not come, if that is so.
pub(crate) fn failure(draft: &Draft<'_>, source: &SourceName) -> Option<String> {
    let PullGate::Pulling { release, since } = draft.world.sources.get(source)?.status.gate else {
        return None;
    };
    for node in draft.world.nodes_failing_for(release) {
        for pull in of_release(node, release) {
            if let PullState::Failed { message } = &pull.state {
                return Some(format!(
                    "node {} cannot have image {}: {message}",
                    node.name, pull.image
                ));
            }
        }
    }
    let is_late = draft.now >= since + DEADLINE;
    is_late.then(|| {
        let what = missing(&draft.world, release).unwrap_or_default();
        format!("no end of its pulls for {} s: {what}", DEADLINE.as_secs())
    })
}

/// When the time of a source's pulls is over.
pub(crate) fn deadline(world: &World, source: &SourceName) -> Option<Timestamp> {
    match world.sources.get(source)?.status.gate {
        PullGate::Pulling { since, .. } => Some(since + DEADLINE),
        PullGate::Open | PullGate::Unasked { .. } => None,
    }
}

/// What a source's release waits for, in words.
pub(crate) fn missing_of(world: &World, source: &SourceName) -> Option<String> {
    match world.sources.get(source)?.status.gate {
        PullGate::Pulling { release, .. } => missing(world, release),
        PullGate::Open | PullGate::Unasked { .. } => None,
    }
}

fn missing(world: &World, release: ReleaseId) -> Option<String> {
    let mut nodes = world.nodes_pulling_for(release);
    let first = nodes.next()?;
    let more = nodes.count();
    let image = of_release(first, release).find(|pull| pull.state == PullState::Wanted)?;
    let words = format!("image {} is not on node {} yet", image.image, first.name);
    Some(match more {
        0 => words,
        1 => format!("{words}, and 1 more node has not all"),
        more => format!("{words}, and {more} more nodes have not all"),
    })
}

/// The release is not what its source wants any more: what it asked of the nodes is void, and what it
/// held back is looked at again.
pub(crate) fn give_up(draft: &mut Draft<'_>, source: &SourceName) {
    let Some(source) = draft.world.sources.get(source).cloned() else { return };
    match source.status.gate {
        PullGate::Open => {}
        PullGate::Unasked { release } | PullGate::Pulling { release, .. } => {
            open(draft, &source);
            wake_all(draft, &source.name, release);
        }
    }
}

fn is_done(world: &World, release: ReleaseId) -> bool {
    world.nodes_pulling_for(release).next().is_none()
        && world.nodes_failing_for(release).next().is_none()
}

fn of_release(node: &Node, release: ReleaseId) -> impl Iterator<Item = &ImagePull> {
    node.pulls.iter().filter(move |pull| pull.release == release)
}

fn put_gate(draft: &mut Draft<'_>, source: &Source, gate: PullGate) {
    let mut source = source.clone();
    source.status.gate = gate;
    draft.push(Change::PutSource(Arc::new(source)));
}

fn open(draft: &mut Draft<'_>, source: &Source) {
    if let PullGate::Pulling { release, .. } = source.status.gate {
        let nodes = draft.world.nodes.values();
        let asked = nodes.filter(|node| of_release(node, release).next().is_some());
        let asked: Vec<Arc<Node>> = asked.cloned().collect();
        for node in asked {
            let mut node = (*node).clone();
            node.pulls.retain(|pull| pull.release != release);
            draft.push(Change::PutNode(Arc::new(node)));
        }
    }
    if !source.status.gate.is_open() {
        put_gate(draft, source, PullGate::Open);
    }
}

fn tell_done(draft: &mut Draft<'_>, source: &Source, release: ReleaseId, since: Timestamp) {
    let Some(row) = draft.world.releases.get(&release).cloned() else { return };
    let span = draft.now.since(since).as_secs_f64();
    let message = format!("every image is where it is needed, after {span:.1} s");
    draft.tell((&source.name, &row.commit.sha), draft.now, Step::ImagesReady, message);
}

/// Those that were held back in this turn are looked at again.
fn wake_held(draft: &mut Draft<'_>, source: &SourceName) -> bool {
    let held = std::mem::take(&mut draft.held);
    let (own, others) = held.into_iter().partition(|uid| source_of(draft, *uid) == Some(source));
    draft.held = others;
    let is_any = !own.is_empty();
    draft.dirty.workloads.extend::<BTreeSet<ObjectUid>>(own);
    is_any
}

fn source_of<'a>(draft: &'a Draft<'_>, workload: ObjectUid) -> Option<&'a SourceName> {
    match draft.world.object_by_uid(workload) {
        Some(object) => Some(&object.source),
        None => draft.world.replica_sets_of(workload).next().map(|set| &set.source),
    }
}

/// Everything that may have been held back since the release began.
fn wake_all(draft: &mut Draft<'_>, source: &SourceName, release: ReleaseId) {
    let world = &draft.world;
    let mut woken: BTreeSet<ObjectUid> = match world.releases.get(&release) {
        Some(row) => {
            let touched = row.touched.iter().filter_map(|id| world.objects.get(id));
            touched.map(|object| object.uid).collect()
        }
        // It failed, and a later one that waits or was rejected is the newest now.
        None => {
            let own = world.objects.values().filter(|object| object.source == *source);
            own.map(|object| object.uid).collect()
        }
    };
    woken.extend(world.unsettled_workloads_of(source).map(|object| object.uid));
    let before = world.baselines_of(source).filter_map(|row| row.before.as_ref());
    woken.extend(before.map(|before| before.uid));
    draft.dirty.workloads.extend(woken);
    draft.held.clear();
}

/// Asks the nodes for what a release needs; whether that was anything.
fn ask(draft: &mut Draft<'_>, release: ReleaseId) -> bool {
    let Some(row) = draft.world.releases.get(&release).cloned() else { return false };
    let mut wanted: BTreeMap<NodeName, BTreeSet<AssignedImage>> = BTreeMap::new();
    for id in &row.touched {
        let Some(object) = draft.world.objects.get(id).cloned() else { continue };
        let Some(template) = object.declared.spec.pod_template() else { continue };
        for node in chosen(draft, &object, template) {
            for (image, policy) in images_of(template) {
                if policy == PullPolicy::Always || !runs_on(draft, &object, &node, image) {
                    let image = image.to_owned();
                    let asked = AssignedImage { release, image, policy };
                    wanted.entry(node.clone()).or_default().insert(asked);
                }
            }
        }
    }
    let is_any = !wanted.is_empty();
    for (name, images) in wanted {
        let Some(node) = draft.world.nodes.get(&name).cloned() else { continue };
        let mut node = (*node).clone();
        node.pulls.extend(images.into_iter().map(|AssignedImage { release, image, policy }| {
            let (source, state) = (row.source.clone(), PullState::Wanted);
            ImagePull { source, release, asked_at: draft.now, image, policy, state }
        }));
        draft.push(Change::PutNode(Arc::new(node)));
    }
    is_any
}

fn images_of(template: &PodTemplate) -> impl Iterator<Item = (&str, PullPolicy)> {
    template.all_containers().map(|container| (container.image.as_str(), container.pull_policy))
}

/// The ready nodes on which a workload's images are needed.
fn chosen(draft: &Draft<'_>, object: &StoredObject, template: &PodTemplate) -> BTreeSet<NodeName> {
    let pods = generations::active_pods(draft, object.uid);
    let nodes: BTreeSet<NodeName> = pods.iter().filter_map(|pod| pod.node()).cloned().collect();
    if pods.is_empty() {
        return foreseen(draft, object, template);
    }
    let is_ready =
        |name: &NodeName| draft.world.nodes.get(name).is_some_and(|node| node.is_ready());
    nodes.into_iter().filter(is_ready).collect()
}

/// Where the pods of a workload without any would be placed.
fn foreseen(
    draft: &Draft<'_>,
    object: &StoredObject,
    template: &PodTemplate,
) -> BTreeSet<NodeName> {
    let world = &draft.world;
    let pods = match &object.declared.spec {
        ObjectSpec::DaemonSet(_) => {
            let ready = world.nodes.values().filter(|node| node.is_ready());
            let admitted =
                ready.filter(|node| labels_contain(&node.labels, &template.node_selector));
            return admitted.map(|node| node.name.clone()).collect();
        }
        ObjectSpec::Deployment(spec) => spec.replicas,
        ObjectSpec::StatefulSet(spec) => spec.replicas,
        ObjectSpec::ReplicaSet(spec) | ObjectSpec::ReplicationController(spec) => spec.replicas,
        ObjectSpec::Job(spec) => spec.parallelism,
        _ => 1,
    };
    let namespace = &object.declared.key.namespace;
    let Ok(template) = resolve(world, namespace, template) else { return BTreeSet::new() };
    let set = ReplicaSet {
        uid: ReplicaSetUid(object.uid.0),
        namespace: namespace.clone(),
        name: object.declared.key.name.clone(),
        owner: object.uid,
        source: object.source.clone(),
        template: Arc::new(template),
        template_hash: TemplateHash::new(""),
        revision: 0,
        replicas: pods,
        sha: object.sha.clone(),
        created_at: draft.now,
    };
    let mut rooms = Rooms::default();
    let mut nodes = BTreeSet::new();
    for _ in 0..pods {
        let Ok(node) = rooms.choose(world, &set) else { break };
        rooms.promise(&set, &node);
        nodes.insert(node);
        if nodes.len() == world.nodes.len() {
            break;
        }
    }
    nodes
}

/// Whether a pod of a workload runs on a node with an image.
fn runs_on(draft: &Draft<'_>, object: &StoredObject, node: &NodeName, image: &str) -> bool {
    let sets = draft.world.replica_sets_of(object.uid);
    let pods = sets.flat_map(|set| draft.world.pods_of(set.uid));
    pods.filter(|pod| pod.node() == Some(node))
        .any(|pod| present_images(&draft.world, pod).contains(&image))
}

/// The images that a pod has on its node, by its last news.
fn present_images<'a>(world: &'a World, pod: &Pod) -> Vec<&'a str> {
    let (Some(set), Some(status)) = (world.replica_set_of(pod), pod.seen.known()) else {
        return Vec::new();
    };
    let containers = set.template.all_containers();
    let present = containers.filter(|container| is_present(status, &container.name));
    present.map(|container| container.image.as_str()).collect()
}

/// Whether a container was made, for which its image must be there.
fn is_present(status: &PodStatus, container: &str) -> bool {
    let mut containers = status.all_containers().filter(|one| one.name == container);
    containers.any(|one| match &one.state {
        ContainerState::Running { .. } | ContainerState::Terminated(_) => true,
        ContainerState::Waiting { reason, .. } => *reason == WaitingReason::CrashLoopBackOff,
    })
}

/// Takes over what a node says of its images, and what its pods show of them.
pub(crate) fn see(draft: &mut Draft<'_>, report: &NodeReport) {
    let Some(node) = draft.world.nodes.get(&report.node).cloned() else { return };
    if node.pulls.iter().all(|pull| pull.state == PullState::Held) {
        return;
    }
    let mut pulls = node.pulls.clone();
    for pull in &mut pulls {
        let asked =
            AssignedImage { release: pull.release, image: pull.image.clone(), policy: pull.policy };
        let told = report.images.as_ref().map(|images| images.get(&asked));
        pull.state = match told {
            _ if pull.state == PullState::Held => PullState::Held,
            // An agent of an earlier release pulls when it starts a pod, as ever.
            None | Some(Some(ImageReport::Held)) => PullState::Held,
            Some(Some(ImageReport::Failed { message })) => {
                PullState::Failed { message: message.clone() }
            }
            Some(Some(ImageReport::Pulling) | None) if is_shown(draft, &node, pull) => {
                PullState::Held
            }
            Some(Some(ImageReport::Pulling)) => PullState::Wanted,
            Some(None) => pull.state.clone(),
        };
    }
    if pulls != node.pulls {
        draft.push(Change::PutNode(Arc::new(Node { pulls, ..(*node).clone() })));
    }
}

/// Whether pods on a node show that an image is there. To be pulled always means to be pulled for this
/// release.
fn is_shown(draft: &Draft<'_>, node: &Node, pull: &ImagePull) -> bool {
    let world = &draft.world;
    world.pods_on(&node.name).any(|pod| {
        (pull.policy != PullPolicy::Always || is_pulled_by(world, pod, pull))
            && present_images(world, pod).contains(&pull.image.as_str())
    })
}

/// Whether a pod pulls this image in its course, so that its node need not be asked to.
pub(crate) fn is_pulled_by(world: &World, pod: &Pod, pull: &ImagePull) -> bool {
    let Some(set) = world.replica_set_of(pod) else { return false };
    // What runs before the others may take long, and they pull only then.
    pod.is_active()
        && pod.created_at >= pull.asked_at
        && set.template.init_containers.iter().all(|init| init.is_sidecar())
        && set.template.all_containers().any(|one| one.image == pull.image)
}
