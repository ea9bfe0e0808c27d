//! What a start waits for, in a sentence for the person who started it.

use std::time::Duration;

use dugout_model::{
    Availability, ContainerState, Placement, Pod, SourceCondition, SourceName, StoredObject,
    Timestamp, WaitingReason, World,
};
use tokio::time::Instant;

use crate::output::tell;

/// A start that is over before this says nothing of what it waits for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells what is waited for: when it takes long, and again when that has changed.
pub(super) struct Waits {
    next: Instant,
    told: String,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self { next: Instant::now() + PATIENCE, told: String::new() }
    }

    pub(super) fn tell(&mut self, world: &World, source: &SourceName, now: Timestamp) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PATIENCE;
        let waits = what_waits(world, source, now);
        if waits != self.told {
            tell!("Waiting   {waits}");
            self.told = waits;
        }
    }
}

fn what_waits(world: &World, source: &SourceName, now: Timestamp) -> String {
    let status = world.sources.get(source).map(|row| &row.status);
    if status.is_none_or(|status| status.condition == SourceCondition::Unread) {
        return "the repository is read for the first time".to_owned();
    }
    if world.newest_release(source).is_none_or(|release| {
        Some(&release.commit.sha) != status.and_then(|status| status.head.as_ref())
    }) {
        return "the commit's files are read".to_owned();
    }
    let mut objects = world.objects.values().filter(|object| object.source == *source);
    objects
        .find_map(|object| unavailable(world, object, now))
        .unwrap_or_else(|| "everything runs; the release is watched until it is healthy".to_owned())
}

/// What an object's pods wait for; `None` for one that has those it asks for, or has none.
fn unavailable(world: &World, object: &StoredObject, now: Timestamp) -> Option<String> {
    let Availability { desired, available } = world.availability(object, now)?;
    if available >= desired {
        return None;
    }
    let id = object.declared.id();
    let mut pods = world.replica_sets_of(object.uid).flat_map(|set| world.pods_of(set.uid));
    let why = pods.find_map(|pod| why_pod_waits(pod)).map(|why| format!("; {why}"));
    let why = why.unwrap_or_default();
    Some(format!("{id}: {available} of {desired} pods are available{why}"))
}

fn why_pod_waits(pod: &Pod) -> Option<String> {
    if let Placement::Waiting(why) = &pod.placement {
        return Some(format!("pod {}: {why}", pod.name));
    }
    pod.seen.known()?.all_containers().find_map(|container| match &container.state {
        ContainerState::Waiting {
            reason: WaitingReason::ContainerCreating | WaitingReason::PodInitializing,
            ..
        } => None,
        ContainerState::Waiting { reason, message } => {
            Some(format!("pod {}: {}: {message}", pod.name, reason.as_str()))
        }
        _ => None,
    })
}
