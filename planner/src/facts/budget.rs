//! The deletion budget: a commit that removes much of its source is held, never applied silently.
//! Whoever means it says so in the message of a commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{Commit, DeclaredObjects, ObjectId, Prune, SourceName, StoredObject, World};

/// Up to this many objects may leave with any commit that keeps others.
const ALWAYS_ALLOWED: usize = 3;

/// The share of its source's objects that a commit may remove.
const SHARE_PERCENT: usize = 30;

/// What begins the line in a commit's message that says how many objects it may remove.
const ALLOW_DELETE: &str = "Dugout-Allow-Delete:";

/// Why a revision is held, if it removes more than it may: more than its share of the source's
/// objects, all of them for nothing, or one that asks for a confirmation. A few that others take the
/// place of are no loss, and what asks to stay is not removed.
pub(super) fn excess(
    world: &World,
    source: &SourceName,
    commit: &Commit,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) -> Option<String> {
    let owned = |id: &ObjectId| world.objects.get(id).filter(|row| row.source == *source);
    let gone = in_question.iter().filter(|id| !objects.contains_key(*id)).filter_map(owned);
    let gone: Vec<&Arc<StoredObject>> =
        gone.filter(|row| row.declared.policy.prune != Prune::Disabled).collect();
    let removed = gone.len();
    // Only a commit that removes something has to know how much there is.
    if removed == 0 || removed <= allowed(commit) {
        return None;
    }
    let way_on = format!(
        "to apply it, run `dugout approve {}`, or push a commit whose message has the line \
         `{ALLOW_DELETE} {removed}`",
        commit.sha.short()
    );
    if let Some(row) = gone.iter().find(|row| row.declared.policy.prune == Prune::Confirm) {
        let object = row.declared.id();
        return Some(format!("it removes {object}, which asks for a confirmation; {way_on}"));
    }
    let all = world.objects.values().filter(|row| row.source == *source && !row.orphaned).count();
    let is_over_share = removed > ALWAYS_ALLOWED && removed * 100 > all * SHARE_PERCENT;
    (is_over_share || objects.is_empty())
        .then(|| format!("it removes {removed} of the {all} objects of its source; {way_on}"))
}

/// How many objects the message allows to remove; a line that holds no number allows none.
fn allowed(commit: &Commit) -> usize {
    let numbers = commit.message.lines().filter_map(|line| line.strip_prefix(ALLOW_DELETE));
    numbers.filter_map(|number| number.trim().parse().ok()).max().unwrap_or(0)
}
