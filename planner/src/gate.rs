//! The pull gate: a release stops no pod before every image that it needs is on every node that was
//! chosen for it.
//!
//! New pods come beside the old ones as far as each strategy lets them, and pull as any pod does. But
//! until the gate opens, nothing leaves because of the release: one that cannot be fetched changes
//! nothing that serves, whatever the order of its workloads and the strategy of each, and fails with the
//! registry's words. Asked are, for each workload that has yet to get there, the nodes of its new pods and
//! those on which the others would be placed, were its old ones gone. They are asked anew when nodes came
//! or went meanwhile.
//!
//! A release that goes back has a gate as well: what serves is not stopped for what cannot be had any
//! more. But there each workload waits for its own images alone, and none of them fails the release: what
//! is healthy again needs nobody else, and there is nothing better to go to.
//!
//! An image that runs on a node already is not asked for, unless it is to be pulled always. One that a
//! new pod there pulls anyway is not asked for a second time; the pod's own news say when it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    AssignedImage, Change, GateScope, ImagePins, ImagePull, Kind, Node, NodeName, ObjectKey,
    ObjectUid, PullGate, PullPolicy, PullState, ReleaseId, Source, SourceName, Step, StoredObject,
    Timestamp, Verdict, World, takes_pin,
};

use self::foresight::{Coming, Foresight};
use self::seen::{assigned, images_by_node, is_same};
pub(crate) use self::seen::{found_digest, is_pulled_by, see, takes_digest};
use crate::draft::Draft;
use crate::{Work, order, pull_secrets, rollouts, way_back};

mod foresight;
mod seen;

/// How long the images of a release may take at least: as long as Kubernetes gives a Deployment without
/// progress. A workload that has a longer deadline gives it to all.
const DEADLINE: Duration = Duration::from_secs(600);

/// Asks the nodes for the images of each dirty source's release, or opens its gate when all are there.
/// Says whether that made new work for the stages before this one.
pub(crate) fn watch(draft: &mut Draft<'_>) -> bool {
    let mut is_more = false;
    for name in std::mem::take(&mut draft.dirty.gates) {
        if let Some(source) = draft.world.sources.get(&name).cloned() {
            is_more |= look_at(draft, &source);
        }
        let wake_at = deadline(&draft.world, &name).filter(|at| *at > draft.now);
        draft.done(Work::Source(name), wake_at);
    }
    is_more
}

fn look_at(draft: &mut Draft<'_>, source: &Source) -> bool {
    match source.status.gate {
        PullGate::Open | PullGate::Shut { .. } => false,
        PullGate::Unasked { release, scope } => {
            let asked = ask(draft, source, release);
            let gate = asked.gate(release, scope, draft.now);
            put_gate(draft, source, gate);
            (gate.is_open() || scope == GateScope::Workload) && wake_held(draft, &source.name)
        }
        PullGate::Pulling { release, scope, .. } => {
            let source = if draft.dirty.choices.remove(&source.name) {
                choose_anew(draft, source, release)
            } else {
                source.clone()
            };
            if !is_done(draft, &source, release) {
                return scope == GateScope::Workload && wake_served(draft, &source.name, release);
            }
            tell_done(draft, &source, release);
            open(draft, &source);
            way_back::give_fresh_deadlines(draft, &source.name);
            wake_all(draft, &source.name, release);
            true
        }
    }
}

/// Nodes came or went, or room did. What is asked for only now has time of its own, as long as all of it
/// takes no more than twice the time that there was.
fn choose_anew(draft: &mut Draft<'_>, source: &Source, release: ReleaseId) -> Source {
    let PullGate::Pulling { since, deadline, scope, .. } = source.status.gate else {
        return source.clone();
    };
    let asked = ask(draft, source, release);
    let latest = deadline.max(since + asked.longest * 2);
    let deadline =
        if asked.is_more { deadline.max(draft.now + asked.longest).min(latest) } else { deadline };
    let lacks_room = asked.lacking(scope).is_some();
    let gate = PullGate::Pulling { release, scope, since, deadline, lacks_room };
    if gate != source.status.gate {
        put_gate(draft, source, gate);
    }
    let mut source = source.clone();
    source.status.gate = gate;
    source
}

/// Whether the release of a source waits for all of its images.
pub(crate) fn is_closed(world: &World, source: &SourceName) -> bool {
    world.sources.get(source).is_some_and(|source| match source.status.gate {
        PullGate::Open | PullGate::Pulling { scope: GateScope::Workload, .. } => false,
        PullGate::Unasked { .. }
        | PullGate::Pulling { scope: GateScope::Release, .. }
        | PullGate::Shut { .. } => true,
    })
}

/// Whether one of a source's workloads, which would let something go now, must keep it.
pub(crate) fn holds(draft: &mut Draft<'_>, workload: ObjectUid, source: &SourceName) -> bool {
    let gate = draft.world.sources.get(source).map(|source| source.status.gate);
    let is_held = match gate {
        Some(PullGate::Pulling { release, scope: GateScope::Workload, .. }) => {
            awaits(draft, release, workload)
        }
        _ => is_closed(&draft.world, source),
    };
    if is_held {
        draft.held.insert(workload);
    }
    is_held
}

/// Whether a workload uses an image that a release waits for. What came in this turn counts once the gate
/// was looked at, so that it does not matter which workloads are looked at before that.
fn awaits(draft: &mut Draft<'_>, release: ReleaseId, workload: ObjectUid) -> bool {
    let (before, world, served) = (draft.before, &draft.world, &draft.served);
    let awaited = draft.awaited.entry(release).or_insert_with(|| {
        let mut awaited = world.awaited_by(release);
        if !served.contains(&release) {
            awaited.extend(before.awaited_by(release));
        }
        awaited
    });
    world.workload_by_uid(workload).is_some_and(|object| object.uses_any(awaited))
}

/// Why the images of a source's release will not come, if that is so.
pub(crate) fn failure(draft: &Draft<'_>, source: &SourceName) -> Option<String> {
    let PullGate::Pulling { release, scope, since, deadline, .. } =
        draft.world.sources.get(source)?.status.gate
    else {
        return None;
    };
    let failing = match scope {
        GateScope::Release => Some(draft.world.nodes_failing_for(release)),
        GateScope::Workload => None,
    };
    for node in failing.into_iter().flatten() {
        for pull in of_release(node, release) {
            if let PullState::Failed { message } = &pull.state {
                let ImagePull { image, .. } = pull;
                return Some(format!("node {} cannot have image {image}: {message}", node.name));
            }
        }
    }
    (draft.now >= deadline).then(|| {
        let what = draft.world.awaited_images(source).unwrap_or_default();
        format!("no end of its pulls for {} s: {what}", deadline.since(since).as_secs())
    })
}

/// When the time of a source's pulls is over.
fn deadline(world: &World, source: &SourceName) -> Option<Timestamp> {
    match world.sources.get(source)?.status.gate {
        PullGate::Pulling { deadline, .. } => Some(deadline),
        PullGate::Open | PullGate::Unasked { .. } | PullGate::Shut { .. } => None,
    }
}

/// The release is not what its source wants any more: what it asked of the nodes is void, and what it
/// held back is looked at again.
pub(crate) fn give_up(draft: &mut Draft<'_>, source: &SourceName) {
    let Some(source) = draft.world.sources.get(source).cloned() else { return };
    match source.status.gate {
        PullGate::Open => {}
        PullGate::Unasked { release, .. }
        | PullGate::Pulling { release, .. }
        | PullGate::Shut { release } => {
            open(draft, &source);
            wake_all(draft, &source.name, release);
        }
    }
}

/// The release failed and stays as it is: nobody pulls for it any more, and what it held stays held. One
/// that asks for what was healthy goes on to try.
pub(crate) fn shut(draft: &mut Draft<'_>, source: &SourceName) {
    let Some(source) = draft.world.sources.get(source).cloned() else { return };
    if let PullGate::Unasked { release, scope: GateScope::Release }
    | PullGate::Pulling { release, scope: GateScope::Release, .. } = source.status.gate
    {
        drop_pulls(draft, release);
        put_gate(draft, &source, PullGate::Shut { release });
    }
}

/// Whether a release may be one of what was healthy: what cannot be had is then tried further.
pub(crate) fn tries_on(world: &World, source: &SourceName) -> bool {
    let gate = world.sources.get(source).map(|source| source.status.gate);
    matches!(
        gate,
        Some(
            PullGate::Unasked { scope: GateScope::Workload, .. }
                | PullGate::Pulling { scope: GateScope::Workload, .. }
        )
    )
}

/// Whether nothing is awaited any more, or nobody who waits is left.
fn is_done(draft: &Draft<'_>, source: &Source, release: ReleaseId) -> bool {
    let world = &draft.world;
    let PullGate::Pulling { scope, lacks_room, .. } = source.status.gate else { return false };
    let is_all_there =
        world.count_pulling_for(release) == 0 && world.nodes_failing_for(release).next().is_none();
    is_all_there && !lacks_room
        || scope == GateScope::Workload
            && world.unsettled_workloads_of(&source.name).next().is_none()
}

fn of_release(node: &Node, release: ReleaseId) -> impl Iterator<Item = &ImagePull> {
    node.pulls.iter().filter(move |pull| pull.release == release)
}

fn put_gate(draft: &mut Draft<'_>, source: &Source, gate: PullGate) {
    let mut source = source.clone();
    source.status.gate = gate;
    draft.push(Change::PutSource(Arc::new(source)));
}

fn drop_pulls(draft: &mut Draft<'_>, release: ReleaseId) {
    let nodes = draft.world.nodes.values();
    let asked = nodes.filter(|node| of_release(node, release).next().is_some());
    let asked: Vec<Arc<Node>> = asked.cloned().collect();
    for node in asked {
        let mut node = (*node).clone();
        node.pulls.retain(|pull| pull.release != release);
        draft.push(Change::PutNode(Arc::new(node)));
    }
}

fn open(draft: &mut Draft<'_>, source: &Source) {
    if let PullGate::Pulling { release, .. } = source.status.gate {
        drop_pulls(draft, release);
    }
    if !source.status.gate.is_open() {
        put_gate(draft, source, PullGate::Open);
    }
}

fn tell_done(draft: &mut Draft<'_>, source: &Source, release: ReleaseId) {
    let PullGate::Pulling { since, .. } = source.status.gate else { return };
    let row = draft.world.releases.get(&release).filter(|row| row.verdict == Verdict::Rolling);
    let Some(row) = row.cloned() else { return };
    let span = draft.now.since(since).as_secs_f64();
    let message = format!("every image is where it is needed, after {span:.1} s");
    draft.tell((&source.name, &row.commit.sha), draft.now, Step::ImagesReady, message);
}

/// Those that were held back in this turn are looked at again.
fn wake_held(draft: &mut Draft<'_>, source: &SourceName) -> bool {
    let own = take_held(draft, source);
    let is_any = !own.is_empty();
    draft.dirty.workloads.extend(own);
    is_any
}

/// Those whose last image came in this turn, or is awaited no more.
fn wake_served(draft: &mut Draft<'_>, source: &SourceName, release: ReleaseId) -> bool {
    let before = draft.before.awaited_by(release);
    let now = draft.world.awaited_by(release);
    let come: BTreeSet<String> = before.difference(&now).cloned().collect();
    if come.is_empty() || !draft.served.insert(release) {
        return false;
    }
    draft.awaited.remove(&release);
    let unsettled = draft.world.unsettled_workloads_of(source);
    let using = unsettled.filter(|object| object.uses_any(&come));
    let own = using.map(|object| object.uid).chain(daemon_sets_of(&draft.world, source));
    let own: Vec<ObjectUid> = own.collect();
    let is_any = !own.is_empty();
    draft.dirty.workloads.extend(own);
    is_any
}

fn take_held(draft: &mut Draft<'_>, source: &SourceName) -> BTreeSet<ObjectUid> {
    let held = std::mem::take(&mut draft.held);
    let (own, others) = held.into_iter().partition(|uid| source_of(draft, *uid) == Some(source));
    draft.held = others;
    own
}

fn source_of<'a>(draft: &'a Draft<'_>, workload: ObjectUid) -> Option<&'a SourceName> {
    match draft.world.workload_by_uid(workload) {
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
    woken.extend(daemon_sets_of(world, source));
    woken.extend(world.baselines_of(source).flat_map(|row| row.forms()).map(|form| form.uid));
    woken.extend(take_held(draft, source));
    draft.dirty.workloads.extend(woken);
}

/// One that is where it shall be may have kept a pod on a node that does not admit it any more.
fn daemon_sets_of<'a>(
    world: &'a World,
    source: &'a SourceName,
) -> impl Iterator<Item = ObjectUid> + 'a {
    let daemon_sets = world.objects_of(Kind::DaemonSet).filter(|object| object.source == *source);
    daemon_sets.map(|object| object.uid)
}

/// What the nodes were asked for.
struct Asked {
    is_any: bool,
    /// Something that was not asked for before.
    is_more: bool,
    /// How long it may take.
    longest: Duration,
    /// Pods that are to replace others would fit nowhere, which may last so long.
    lacks_room: Option<Duration>,
}

impl Asked {
    /// For how long room may be lacking, where that holds anything: what was healthy had room.
    fn lacking(&self, scope: GateScope) -> Option<Duration> {
        self.lacks_room.filter(|_| scope == GateScope::Release)
    }

    /// The gate of a release after its nodes were asked for the first time.
    fn gate(&self, release: ReleaseId, scope: GateScope, since: Timestamp) -> PullGate {
        let lacking = self.lacking(scope);
        let allowed = match lacking {
            _ if self.is_any => self.longest,
            Some(allowed) => allowed,
            None => return PullGate::Open,
        };
        let (deadline, lacks_room) = (since + allowed, lacking.is_some());
        PullGate::Pulling { release, scope, since, deadline, lacks_room }
    }
}

/// Asks the nodes for what a release needs, and no others any more.
fn ask(draft: &mut Draft<'_>, source: &Source, release: ReleaseId) -> Asked {
    let source = &source.name;
    let unsettled = draft.world.unsettled_workloads_of(source);
    let going: Vec<Arc<StoredObject>> =
        unsettled.filter(|object| !order::is_paused(object)).cloned().collect();
    let mut wanted: BTreeMap<NodeName, BTreeMap<AssignedImage, BTreeSet<ObjectKey>>> =
        BTreeMap::new();
    let mut foresight = Foresight::of(draft, source, &going);
    let mut longest = DEADLINE;
    let fixed = fixed_by(&draft.world, source, release);
    for object in &going {
        let Some(template) = object.declared.spec.pod_template() else { continue };
        longest = longest.max(rollouts::progress_deadline(object));
        let there = images_by_node(&draft.world, object.uid);
        let foreseen = foresight.nodes_for(draft, object, template);
        for (node, pods) in foreseen.nodes {
            for container in template.all_containers() {
                let (image, policy) = (&container.image, container.pull_policy);
                let digest = foreseen.pins.get(image).or_else(|| fixed.get(image));
                let digest = digest.filter(|_| takes_pin(container));
                let is_there = match &pods {
                    // Such a pod pulls for itself, and what it has it has.
                    Coming::Placed(has) => has.contains(image),
                    Coming::Foreseen => {
                        let there = there.get(&node).into_iter().flatten();
                        let runs = there.copied().any(|has| is_same(has, image, digest));
                        policy != PullPolicy::Always && runs
                    }
                };
                if !is_there {
                    let (image, digest) = (image.clone(), digest.cloned());
                    let asked = AssignedImage { release, image, policy, digest };
                    let names = &template.image_pull_secrets;
                    let keys = pull_secrets::keys(&object.declared.key.namespace, names);
                    let images = wanted.entry(node.clone()).or_default();
                    images.entry(asked).or_default().extend(keys);
                }
            }
        }
    }
    let is_any = !wanted.is_empty();
    let is_more = put_pulls(draft, source, release, wanted);
    Asked { is_any, is_more, longest, lacks_room: foresight.lacks_room }
}

/// What the names of a release's images stand for, where it is one that asks for something new.
fn fixed_by(world: &World, source: &SourceName, release: ReleaseId) -> ImagePins {
    let row = world.releases.get(&release).filter(|_| asks_for_new(world, source, release));
    row.map(|row| row.pins.clone()).unwrap_or_default()
}

/// Whether a source's gate is that of a release which asks for something new.
pub(crate) fn asks_for_new(world: &World, source: &SourceName, release: ReleaseId) -> bool {
    let gate = world.sources.get(source).map(|source| source.status.gate);
    matches!(
        gate,
        Some(
            PullGate::Unasked { release: own, scope: GateScope::Release }
                | PullGate::Pulling { release: own, scope: GateScope::Release, .. }
        ) if own == release
    )
}

/// Writes what a release wants of each node. What was asked before keeps what is known of it. Says whether
/// anything is asked for that was not.
fn put_pulls(
    draft: &mut Draft<'_>,
    source: &SourceName,
    release: ReleaseId,
    mut wanted: BTreeMap<NodeName, BTreeMap<AssignedImage, BTreeSet<ObjectKey>>>,
) -> bool {
    let mut is_more = false;
    let nodes = draft.world.nodes.values();
    let asked_before = nodes.filter(|node| of_release(node, release).next().is_some());
    for name in asked_before.map(|node| node.name.clone()).collect::<Vec<_>>() {
        wanted.entry(name).or_default();
    }
    for (name, images) in wanted {
        let Some(node) = draft.world.nodes.get(&name).cloned() else { continue };
        let (earlier, mut pulls): (Vec<ImagePull>, Vec<ImagePull>) =
            node.pulls.iter().cloned().partition(|pull| pull.release == release);
        pulls.extend(images.into_iter().map(|(asked, keys)| {
            let pull_secrets = keys.into_iter().collect();
            let known = earlier.iter().find(|pull| assigned(pull) == asked);
            let AssignedImage { release, image, policy, digest } = asked;
            is_more |= known.is_none();
            let (asked_at, state) = match known {
                Some(known) => (known.asked_at, known.state.clone()),
                None => (draft.now, PullState::Wanted { trouble: None }),
            };
            let source = source.clone();
            ImagePull { source, release, asked_at, image, policy, digest, pull_secrets, state }
        }));
        if pulls != node.pulls {
            draft.push(Change::PutNode(Arc::new(Node { pulls, ..(*node).clone() })));
        }
    }
    is_more
}
