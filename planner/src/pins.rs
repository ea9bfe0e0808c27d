//! What the names of images stand for: what a node finds first for a release holds for all of it.
//!
//! A tag may move at any moment, and each node would run what it stood for when that one asked. So the
//! digest that is reported first is written into the release and into the replica sets that it made current,
//! and every node makes its containers of that. A set keeps it for as long as it is there: what is scaled,
//! healed or started again later gets what the others have, and so does a template that comes back. A new
//! template is of a new set, whose release says anew what its names stand for.
//!
//! Nothing is fixed for an image that is named by its digest, that is never pulled, or that its node has
//! from no registry.

use std::sync::Arc;

use dugout_model::{
    AssignedPin, Change, CommitSha, ImageDigest, ImagePins, ImagePull, Node, NodeReport, ObjectUid,
    Pod, PodStatus, PullGate, PullState, Release, ReleaseId, ReplicaSet, ReplicaSetUid,
    ResolvedTemplate, SourceName, Step, World, takes_pin,
};

use crate::draft::Draft;
use crate::gate;

/// What is fixed already for a set that is made now.
pub(crate) fn of_new_set(
    world: &World,
    (source, sha): (&SourceName, &CommitSha),
    owner: ObjectUid,
    template: &ResolvedTemplate,
) -> ImagePins {
    let release = release_of(world, source, sha).map(|release| &release.pins);
    // Runs that begin when the release is history go with those before.
    let others = world.replica_sets_of(owner).filter(|set| set.sha == *sha).map(|set| &set.pins);
    let known: Vec<&ImagePins> = release.into_iter().chain(others).collect();
    let names = template.all_containers().filter(|one| takes_pin(one)).map(|one| &one.image);
    let pins = names.filter_map(|image| {
        let digest = known.iter().find_map(|pins| pins.get(image))?;
        Some((image.clone(), digest.clone()))
    });
    pins.collect()
}

/// What the pods of a set are told of their images.
pub(crate) fn assigned(set: &ReplicaSet) -> Vec<AssignedPin> {
    let names = set.template.all_containers().filter(|one| takes_pin(one)).map(|one| &one.image);
    let mut pins: Vec<AssignedPin> = names
        .map(|image| AssignedPin { image: image.clone(), digest: set.pins.get(image).cloned() })
        .collect();
    pins.sort();
    pins.dedup();
    pins
}

/// Takes over what a node found for the images of a pod.
pub(crate) fn see_pod(draft: &mut Draft<'_>, pod: &Pod, status: &PodStatus) {
    let Some(set) = draft.world.replica_set_of(pod) else { return };
    let open = set
        .template
        .all_containers()
        .filter(|one| takes_pin(one) && !set.pins.contains_key(&one.image));
    let found = open.filter_map(|one| {
        let seen = status.all_containers().find(|seen| seen.name == one.name)?;
        Some((one.image.clone(), seen.image_digest.clone()?))
    });
    let found: Vec<(String, ImageDigest)> = found.collect();
    let uid = set.uid;
    for (image, digest) in found {
        fix_for_set(draft, uid, &image, digest);
    }
}

/// Takes over what a node found for the images that a release asked it for. One that goes back asks for
/// what earlier ones fixed, and fixes nothing.
pub(crate) fn see_images(draft: &mut Draft<'_>, node: &Node, report: &NodeReport) {
    let found = node.pulls.iter().filter(|pull| pull.digest.is_none()).filter_map(|pull| {
        let digest = gate::found_digest(report, pull)?;
        Some((pull.source.clone(), pull.release, pull.image.clone(), digest.clone()))
    });
    let found: Vec<(SourceName, ReleaseId, String, ImageDigest)> = found.collect();
    for (source, release, image, digest) in found {
        if gate::asks_for_new(&draft.world, &source, release) {
            fix_for_release(draft, release, &image, digest);
        }
    }
}

/// The release that made a set current, as long as the world has it.
fn release_of<'a>(
    world: &'a World,
    source: &SourceName,
    sha: &CommitSha,
) -> Option<&'a Arc<Release>> {
    let mut newest_first = world.releases.values().rev();
    newest_first.find(|release| release.source == *source && release.commit.sha == *sha)
}

/// Several pods may find something for one name before anybody is told: the first has said it.
fn fix_for_set(draft: &mut Draft<'_>, uid: ReplicaSetUid, image: &str, found: ImageDigest) {
    let Some(set) = draft.world.replica_sets.get(&uid) else { return };
    let release = release_of(&draft.world, &set.source, &set.sha).map(|release| release.id);
    let digest = match release {
        Some(release) => fix_for_release(draft, release, image, found),
        None => found,
    };
    put_pin(draft, uid, image, &digest);
}

/// Gives what holds for the release: what was found first.
fn fix_for_release(
    draft: &mut Draft<'_>,
    id: ReleaseId,
    image: &str,
    found: ImageDigest,
) -> ImageDigest {
    let Some(release) = draft.world.releases.get(&id).cloned() else { return found };
    if let Some(known) = release.pins.get(image) {
        return known.clone();
    }
    let mut next = (*release).clone();
    next.pins.insert(image.to_owned(), found.clone());
    draft.push(Change::PutRelease(Arc::new(next)));
    let (source, sha) = (&release.source, &release.commit.sha);
    draft.tell((source, sha), draft.now, Step::Pinned, format!("{image} is {found}"));
    // Once for each image of a release, so all sets may be looked at.
    let sets = draft.world.replica_sets.values();
    let own = sets.filter(|set| set.source == *source && set.sha == *sha);
    let own: Vec<ReplicaSetUid> = own.map(|set| set.uid).collect();
    for uid in own {
        put_pin(draft, uid, image, &found);
    }
    tell_asked(draft, id, image, &found);
    // Who runs another image of this name has yet to get it.
    if matches!(gate_of(&draft.world, source), Some(PullGate::Pulling { release, .. }) if release == id)
    {
        draft.dirty.choices.insert(source.clone());
        draft.dirty.sources.insert(source.clone());
    }
    found
}

fn gate_of(world: &World, source: &SourceName) -> Option<PullGate> {
    Some(world.sources.get(source)?.status.gate)
}

fn put_pin(draft: &mut Draft<'_>, uid: ReplicaSetUid, image: &str, digest: &ImageDigest) {
    let Some(set) = draft.world.replica_sets.get(&uid) else { return };
    let uses = set.template.all_containers().any(|one| one.image == image && takes_pin(one));
    if uses && !set.pins.contains_key(image) {
        let mut next = (**set).clone();
        next.pins.insert(image.to_owned(), digest.clone());
        draft.push(Change::PutReplicaSet(Arc::new(next)));
    }
}

/// The nodes that a release asked for an image by its name are asked for that very one. Whoever has it says
/// so with the next report.
fn tell_asked(draft: &mut Draft<'_>, release: ReleaseId, image: &str, digest: &ImageDigest) {
    let is_meant = |pull: &ImagePull| {
        pull.release == release && pull.image == image && gate::takes_digest(pull)
    };
    let nodes = draft.world.nodes.values();
    let asked: Vec<Arc<Node>> =
        nodes.filter(|node| node.pulls.iter().any(is_meant)).cloned().collect();
    for node in asked {
        let mut node = (*node).clone();
        for pull in node.pulls.iter_mut().filter(|pull| is_meant(pull)) {
            pull.digest = Some(digest.clone());
            if pull.state == PullState::Held {
                pull.state = PullState::Wanted { trouble: None };
            }
        }
        draft.push(Change::PutNode(Arc::new(node)));
    }
}
