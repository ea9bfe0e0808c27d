//! What failed is not tried again under another name: a commit that declares just what a failed one did
//! is held. One that differs in anything is tried, and so is one that a person approves.

use std::collections::BTreeSet;

use dugout_model::{Commit, DeclaredObjects, FailedContent, ObjectId, Source, World};

use crate::content;

/// Why a revision is held, if all of it failed before. One that changes nothing is not: there is nothing
/// to keep away.
pub(super) fn failure(
    world: &World,
    source: &Source,
    commit: &Commit,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) -> Option<String> {
    let failed = &source.status.failed_contents;
    // Only where something failed is there anything to compare.
    if failed.is_empty() {
        return None;
    }
    if !in_question.iter().any(|id| is_changed(world, id, objects)) {
        return None;
    }
    let content = content::hash(objects.values().map(|object| &**object));
    let failed = failed.iter().rev().find(|failed| failed.content == content)?;
    Some(sentence(failed, commit))
}

fn is_changed(world: &World, id: &ObjectId, objects: &DeclaredObjects) -> bool {
    match (world.objects.get(id), objects.get(id)) {
        (Some(now), Some(next)) => now.orphaned || !now.declared.asks_same(next),
        (Some(now), None) => !now.orphaned,
        (None, next) => next.is_some(),
    }
}

fn sentence(failed: &FailedContent, commit: &Commit) -> String {
    let FailedContent { sha, reason, .. } = failed;
    format!(
        "it declares the same as {}, which failed: {reason}; commit something else, or run \
         `dugout approve {}` to try it again",
        sha.short(),
        commit.sha.short()
    )
}
