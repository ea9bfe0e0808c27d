//! What nodes say of the images that releases asked them for, and what their pods show of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dugout_model::{
    AssignedImage, Change, ContainerState, ContainerStatus, ImageDigest, ImagePull, ImageReport,
    Node, NodeName, NodeReport, ObjectUid, Pod, PodStatus, PullPolicy, PullState, WaitingReason,
    World,
};

use crate::draft::Draft;
use crate::pins;

/// Whether an image that is there is the one of this name that is meant. What is not known is not held
/// against it.
pub(super) fn is_same(
    (name, has): (&str, Option<&ImageDigest>),
    image: &str,
    digest: Option<&ImageDigest>,
) -> bool {
    name == image && (has.is_none() || digest.is_none() || has == digest)
}

/// An image by its name, with its digest where that is known.
pub(super) type PresentImage<'a> = (&'a str, Option<&'a ImageDigest>);

/// The images that a workload's pods have on each node.
pub(super) fn images_by_node(
    world: &World,
    workload: ObjectUid,
) -> BTreeMap<NodeName, BTreeSet<PresentImage<'_>>> {
    let mut images: BTreeMap<NodeName, BTreeSet<PresentImage<'_>>> = BTreeMap::new();
    for pod in world.replica_sets_of(workload).flat_map(|set| world.pods_of(set.uid)) {
        if let Some(node) = pod.node() {
            images.entry(node.clone()).or_default().extend(present_images(world, pod));
        }
    }
    images
}

/// The images that a pod has on its node, by its last news.
pub(super) fn present_images<'a>(world: &'a World, pod: &'a Pod) -> Vec<PresentImage<'a>> {
    let (Some(set), Some(status)) = (world.replica_set_of(pod), pod.seen.known()) else {
        return Vec::new();
    };
    let containers = set.template.all_containers();
    let present = containers.filter_map(|container| {
        let seen = present(status, &container.name)?;
        Some((container.image.as_str(), seen.image_digest.as_ref()))
    });
    present.collect()
}

/// The status of a container that was made, for which its image must be there.
fn present<'a>(status: &'a PodStatus, container: &str) -> Option<&'a ContainerStatus> {
    let mut containers = status.all_containers().filter(|one| one.name == container);
    containers.find(|one| match &one.state {
        ContainerState::Running { .. } | ContainerState::Terminated(_) => true,
        ContainerState::Waiting { reason, .. } => {
            matches!(
                reason,
                WaitingReason::CrashLoopBackOff
                    | WaitingReason::CreateContainerError
                    | WaitingReason::CreateContainerConfigError
            )
        }
    })
}

pub(super) fn assigned(pull: &ImagePull) -> AssignedImage {
    let ImagePull { release, image, policy, digest, .. } = pull;
    AssignedImage {
        release: *release,
        image: image.clone(),
        policy: *policy,
        digest: digest.clone(),
    }
}

/// What a node says of an image that it was asked for; by its name alone where it was not told the digest
/// yet, or has an agent of an earlier release.
fn told<'a>(report: &'a NodeReport, pull: &ImagePull) -> Option<&'a ImageReport> {
    let images = report.images.as_ref()?;
    let asked = assigned(pull);
    images.get(&asked).or_else(|| images.get(&AssignedImage { digest: None, ..asked }))
}

/// The digest that a node found for an image that it was asked for by its name.
pub(crate) fn found_digest<'a>(
    report: &'a NodeReport,
    pull: &ImagePull,
) -> Option<&'a ImageDigest> {
    match told(report, pull).filter(|_| takes_digest(pull))? {
        ImageReport::Held { digest } => digest.as_ref(),
        ImageReport::Pulling { .. } | ImageReport::Failed { .. } => None,
    }
}

/// Whether it is open what its name stands for.
pub(crate) fn takes_digest(pull: &ImagePull) -> bool {
    pull.digest.is_none() && pull.policy != PullPolicy::Never && !pull.image.contains('@')
}

/// Takes over what a node says of its images, and what its pods show of them.
pub(crate) fn see(draft: &mut Draft<'_>, report: &NodeReport) {
    let Some(node) = draft.world.nodes.get(&report.node).cloned() else { return };
    pins::see_images(draft, &node, report);
    let Some(node) = draft.world.nodes.get(&report.node).cloned() else { return };
    if node.pulls.iter().all(|pull| pull.state == PullState::Held) {
        return;
    }
    let mut pulls = node.pulls.clone();
    for pull in &mut pulls {
        let told = report.images.as_ref().map(|_| told(report, pull));
        pull.state = match told {
            _ if pull.state == PullState::Held => PullState::Held,
            // An agent of an earlier release pulls when it starts a pod, as ever.
            None => PullState::Held,
            Some(Some(ImageReport::Held { digest }))
                if is_same((&pull.image, digest.as_ref()), &pull.image, pull.digest.as_ref()) =>
            {
                PullState::Held
            }
            Some(Some(ImageReport::Failed { message })) => {
                PullState::Failed { message: message.clone() }
            }
            Some(Some(ImageReport::Pulling { .. }) | None) if is_shown(draft, &node, pull) => {
                PullState::Held
            }
            // It has another that went by this name.
            Some(Some(ImageReport::Held { .. })) => pull.state.clone(),
            Some(Some(ImageReport::Pulling { trouble })) => {
                PullState::Wanted { trouble: trouble.clone() }
            }
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
            && present_images(world, pod)
                .into_iter()
                .any(|has| is_same(has, &pull.image, pull.digest.as_ref()))
    })
}

/// Whether a pod pulls this image in its course, so that its node need not be asked to.
pub(crate) fn is_pulled_by(world: &World, pod: &Pod, pull: &ImagePull) -> bool {
    let Some(set) = world.replica_set_of(pod) else { return false };
    // What runs before the others may take long, and they pull only then.
    let is_first = match set.template.init_containers.first() {
        Some(first) => first.image == pull.image,
        None => set.template.all_containers().any(|one| one.image == pull.image),
    };
    let is_meant = match (set.pins.get(&pull.image), &pull.digest) {
        (Some(own), Some(asked)) => own == asked,
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    };
    pod.is_active() && pod.created_at >= pull.asked_at && is_first && is_meant
}
