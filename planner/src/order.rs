//! The order of a release: who begins nothing new before somebody else is done.
//!
//! A workload waits for those that it names (`dugout.dev/depends-on`). Every workload waits for the jobs
//! that come before everything (`dugout.dev/hook: before`), but for what such a job needs itself; and
//! the jobs that come after everything wait for all the others.
//!
//! To wait is to begin nothing new: a template that is the current one already goes on rolling, and what
//! serves is scaled and healed with the template that it has. A failure ends the waiting, for it fails
//! the release. Nobody waits while a release goes back: all of it was healthy together before.

use std::collections::BTreeSet;
use std::fmt;

use dugout_model::{Hook, ObjectId, ObjectSpec, RolloutState, StoredObject, World};

/// How many of those that are waited for a sentence names.
const NAMED: usize = 5;

/// Those that a workload waits for; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Others(Vec<ObjectId>);

impl fmt::Display for Others {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().take(NAMED).map(ToString::to_string).collect();
        write!(out, "waits for {}", named.join(", "))?;
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

/// Those that are not where they shall be and without which a workload may begin nothing new.
pub(crate) fn waits_for(world: &World, object: &StoredObject) -> Option<Others> {
    if is_as_it_was(world, object) {
        return None;
    }
    let mut others: BTreeSet<ObjectId> = awaited(world, object)
        .filter(|other| !is_settled(world, other))
        .map(|other| other.declared.id())
        .collect();
    if hook_of(object) == Some(Hook::After) {
        let unsettled = world.unsettled_workloads_of(&object.source);
        let before = unsettled.filter(|other| hook_of(other) != Some(Hook::After));
        others
            .extend(before.filter(|other| !is_settled(world, other)).map(|row| row.declared.id()));
    }
    (!others.is_empty()).then(|| Others(others.into_iter().collect()))
}

/// Those that a workload waits for by name, and the hooks before it, wherever they are by now.
pub(crate) fn awaited<'a>(
    world: &'a World,
    object: &'a StoredObject,
) -> impl Iterator<Item = &'a StoredObject> {
    let named = object.declared.policy.depends_on.iter();
    let named = named.filter_map(|id| world.objects.get(id)).map(|row| &**row);
    let hooks = world.hooks_of(&object.source).map(|row| &**row);
    let before = hooks.filter(|hook| hook_of(hook) == Some(Hook::Before));
    let before = before.filter(|_| !is_before_the_hooks(world, object));
    named.chain(before)
}

/// Whether a workload is where it shall be, so that nobody has to wait for it. One that Git asks to
/// pause does what it was asked.
pub(crate) fn is_settled(world: &World, object: &StoredObject) -> bool {
    let rollout = world.rollouts.get(&object.uid);
    is_paused(object)
        || rollout.is_some_and(|rollout| {
            rollout.generation == object.generation && rollout.state == RolloutState::Complete
        })
}

pub(crate) fn is_paused(object: &StoredObject) -> bool {
    match &object.declared.spec {
        ObjectSpec::Deployment(deployment) => deployment.paused,
        ObjectSpec::Job(job) => job.suspended,
        _ => false,
    }
}

/// Whether everything that its source asks for was healthy together before.
fn is_as_it_was(world: &World, object: &StoredObject) -> bool {
    world.sources.get(&object.source).is_some_and(|source| {
        source.status.applied.is_some() && source.status.applied == source.status.healthy
    })
}

/// Whether it is a hook before everything, or something that such a hook needs, by whatever detour.
fn is_before_the_hooks(world: &World, object: &StoredObject) -> bool {
    let hooks = world.hooks_of(&object.source);
    let mut next: Vec<&StoredObject> =
        hooks.filter(|hook| hook_of(hook) == Some(Hook::Before)).map(|row| &**row).collect();
    let mut seen = BTreeSet::new();
    while let Some(each) = next.pop() {
        if each.uid == object.uid {
            return true;
        }
        if seen.insert(each.uid) {
            let needed = each.declared.policy.depends_on.iter();
            next.extend(needed.filter_map(|id| world.objects.get(id)).map(|row| &**row));
        }
    }
    false
}

/// What was kept though it left Git is no hook any more.
pub(crate) fn hook_of(object: &StoredObject) -> Option<Hook> {
    object.declared.policy.hook.filter(|_| !object.orphaned)
}
