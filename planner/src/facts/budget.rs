//! The deletion budget: a commit that removes much of its source is held, never applied silently.
//! Whoever means it says so in the message of a commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    Commit, DeclaredObjects, Kind, ObjectId, Prune, SourceName, StoredObject, VolumeBinding, World,
};

use crate::storage::data_lost_by;

/// Up to this many objects may leave with any commit that keeps others.
const ALWAYS_ALLOWED: usize = 3;

/// The share of its source's objects that a commit may remove.
const SHARE_PERCENT: usize = 30;

/// What begins the line in a commit's message that says how many objects it may remove.
const ALLOW_DELETE: &str = "Dugout-Allow-Delete:";

/// Why a revision is held, if it removes more than it may, be it objects or the data of claims: more than its share of the source's
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
    let data = data_lost(world, source, objects, in_question);
    let removed = gone.len() + data.len();
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
    if let Some((binding, _)) = data.iter().find(|(_, prune)| *prune == Prune::Confirm) {
        let claim = &binding.claim;
        return Some(format!(
            "it deletes the data of PersistentVolumeClaim {claim}, whose template asks for a confirmation; {way_on}"
        ));
    }
    let all = world.objects.values().filter(|row| row.source == *source && !row.orphaned).count();
    // A claim that a stateful set makes counts as one that is declared.
    let made = world.bindings_of_source(source).filter(|one| one.retention.is_some()).count();
    let all = all + made;
    let is_over_share = removed > ALWAYS_ALLOWED && removed * 100 > all * SHARE_PERCENT;
    let with_data = match data.len() {
        0 => String::new(),
        count => format!(", {count} of them claims of stateful sets with their data"),
    };
    (is_over_share || objects.is_empty()).then(|| {
        format!("it removes {removed} of the {all} objects of its source{with_data}; {way_on}")
    })
}

/// The data of claims that stateful sets make, which goes because fewer pods are asked for or the set leaves. A
/// declared claim is an object, and counted as that.
fn data_lost<'w>(
    world: &'w World,
    source: &SourceName,
    objects: &DeclaredObjects,
    in_question: &BTreeSet<ObjectId>,
) -> Vec<(&'w Arc<VolumeBinding>, Prune)> {
    let sets = in_question.iter().filter(|id| id.kind == Kind::StatefulSet);
    let sets = sets.filter_map(|id| Some((id, world.objects.get(id)?)));
    let sets = sets.filter(|(id, row)| {
        let stays = !objects.contains_key(*id) && row.declared.policy.prune == Prune::Disabled;
        row.source == *source && !stays
    });
    sets.flat_map(|(id, row)| data_lost_by(world, row, objects.get(id).map(|next| &**next)))
        .collect()
}

/// How many objects the message allows to remove; a line that holds no number allows none.
fn allowed(commit: &Commit) -> usize {
    let numbers = commit.message.lines().filter_map(|line| line.strip_prefix(ALLOW_DELETE));
    numbers.filter_map(|number| number.trim().parse().ok()).max().unwrap_or(0)
}
