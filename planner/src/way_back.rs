//! The way back of a release that failed: everything that differs from what was last healthy is put
//! back in the turn in which it failed, from the rows that were kept for that (`Baseline`). It needs
//! neither Git nor the network.
//!
//! Then Git owes the truth: a commit on the branch that takes the failed one back. The source's loop
//! makes and pushes it while the branch still ends with the failed commit. It arrives as any commit
//! does, and finds everything as it asks for.
//!
//! Nothing loops: what fails while it equals what was healthy has nothing to go back to.

use std::sync::Arc;

use dugout_model::{
    Baseline, BaselineRole, Change, Commit, CommitSha, EventType, GateScope, Kind, NotPushed,
    ObjectId, ObjectUid, OnFailure, OwedRevert, PullGate, Release, RevertOutcome, Rollout,
    RolloutState, Source, SourceName, Step, StoredObject,
};

use crate::draft::Draft;
use crate::facts::takes_back_commit;
use crate::records::Subject;
use crate::{gate, pruning, storage};

/// Keeps what an object is that changes or goes: the first time to be gone back to, and later for as long as
/// it may serve.
pub(crate) fn remember(draft: &mut Draft<'_>, source: &Source, object: &ObjectId) {
    // Without a healthy release there is nothing to go back to.
    let Some(healthy) = source.status.healthy.clone() else { return };
    let key = (source.name.clone(), object.clone());
    let current = draft.world.objects.get(object).cloned();
    let current = current.filter(|current| current.source == source.name);
    let known = draft.world.baselines.get(&key).cloned();
    let row = match known {
        Some(known) if known.role.is_gone_back_to() && known.sha == healthy => {
            let served = current.filter(|current| has_served_otherwise(&known, current));
            if served.is_none() {
                return;
            }
            Baseline { served, ..(*known).clone() }
        }
        known => {
            let served = known.and_then(|known| known.served.clone());
            let (source, object) = key;
            let role = BaselineRole::Healthy;
            Baseline { source, object, role, sha: healthy, before: current, served }
        }
    };
    draft.push(Change::PutBaseline(Arc::new(row)));
}

/// Whether something may serve as this object is that the baseline does not know of.
fn has_served_otherwise(known: &Baseline, current: &StoredObject) -> bool {
    let spec = &current.declared.spec;
    let knows = |form: &Arc<StoredObject>| {
        form.uid == current.uid
            && (spec.is_workload() || form.declared.asks_same(&current.declared))
    };
    (spec.is_workload() || current.declared.kind() == Kind::Service)
        && !known.serving_forms().any(knows)
}

/// Everything that a source asks for is healthy, so that nothing that it had before is needed any more. Says
/// whether there was anything.
pub(crate) fn forget(draft: &mut Draft<'_>, source: &SourceName) -> bool {
    let rows: Vec<Arc<Baseline>> = draft.world.baselines_of(source).cloned().collect();
    let is_any = rows.iter().any(|row| row.role != BaselineRole::Leaving);
    rows.iter().for_each(|row| let_leave(draft, row));
    is_any
}

/// Everything that a source asks for is there, though no release says so: what it had before serves no
/// longer, and may still be gone back to.
pub(crate) fn retire(draft: &mut Draft<'_>, source: &SourceName) -> bool {
    let rows = draft.world.baselines_of(source);
    let rows = rows.filter(|row| row.serving_forms().next().is_some());
    let rows: Vec<Arc<Baseline>> = rows.cloned().collect();
    for row in &rows {
        if row.role.is_gone_back_to() {
            let (role, served) = (BaselineRole::Past, None);
            draft.push(Change::PutBaseline(Arc::new(Baseline { role, served, ..(**row).clone() })));
        } else {
            let_leave(draft, row);
        }
    }
    !rows.is_empty()
}

/// Something else is gone back to from now on, and what was until now serves beside it.
pub(crate) fn replace(draft: &mut Draft<'_>, source: &SourceName, was: &[Arc<StoredObject>]) {
    let rows = draft.world.baselines_of(source).filter(|row| row.role.is_gone_back_to());
    let rows: Vec<Arc<Baseline>> = rows.cloned().collect();
    for row in &rows {
        let forms: Vec<Arc<StoredObject>> = row.serving_forms().cloned().collect();
        match forms.into_iter().rev().find(|form| may_serve(draft, form)) {
            Some(form) => keep_serving(draft, source, &row.sha, form),
            None => let_leave(draft, row),
        }
    }
    for was in was.iter().filter(|was| was.source == *source) {
        if may_serve(draft, was) {
            keep_serving(draft, source, &was.sha, Arc::clone(was));
        }
    }
}

fn keep_serving(
    draft: &mut Draft<'_>,
    source: &SourceName,
    sha: &CommitSha,
    was: Arc<StoredObject>,
) {
    draft.push(Change::PutBaseline(Arc::new(Baseline {
        source: source.clone(),
        object: was.declared.id(),
        role: BaselineRole::Replaced,
        sha: sha.clone(),
        before: None,
        served: Some(was),
    })));
}

/// Whether something may serve as this object was, beside what is asked for.
fn may_serve(draft: &Draft<'_>, was: &StoredObject) -> bool {
    was.declared.kind() == Kind::Service || pruning::has_left(&draft.world, was)
}

/// Nobody needs it any more. What left Git is known until it is gone.
fn let_leave(draft: &mut Draft<'_>, row: &Baseline) {
    let left = row.forms().find(|form| pruning::has_left(&draft.world, form)).cloned();
    let Some(left) = left else {
        draft.push(Change::DeleteBaseline(row.key()));
        return;
    };
    if row.role != BaselineRole::Leaving {
        let (role, before, served) = (BaselineRole::Leaving, None, Some(left));
        let row = Baseline { role, before, served, ..row.clone() };
        draft.push(Change::PutBaseline(Arc::new(row)));
    }
}

/// The commit that a failed release of a source goes back to, if its policy says so and something is
/// not as it was there.
pub(crate) fn target<'a>(draft: &Draft<'_>, source: &'a Source) -> Option<&'a CommitSha> {
    let healthy = source.status.healthy.as_ref()?;
    let goes = source.on_failure == OnFailure::Revert && differs_from_healthy(draft, source);
    goes.then_some(healthy)
}

/// Whether something is not as it was when the source was last healthy; not so where it never was.
pub(crate) fn differs_from_healthy(draft: &Draft<'_>, source: &Source) -> bool {
    let healthy = source.status.healthy.as_ref();
    healthy.is_some_and(|healthy| to_go_back_to(draft, &source.name, healthy).next().is_some())
}

/// What was kept of a healthy commit and is something else now.
fn to_go_back_to<'a>(
    draft: &'a Draft<'_>,
    source: &'a SourceName,
    healthy: &'a CommitSha,
) -> impl Iterator<Item = &'a Arc<Baseline>> {
    let rows = draft.world.baselines_of(source).filter(|row| row.role.is_gone_back_to());
    rows.filter(move |row| row.sha == *healthy && differs(draft, row))
}

/// Whether an object asks for something else than it did.
fn differs(draft: &Draft<'_>, row: &Baseline) -> bool {
    match (&row.before, draft.world.objects.get(&row.object)) {
        (Some(before), Some(now)) => {
            before.source != now.source || !before.declared.asks_same(&now.declared) || now.orphaned
        }
        (None, None) => false,
        _ => true,
    }
}

/// Puts everything back. Git owes the truth unless the branch has moved on already: then this is what
/// became of the revert.
pub(crate) fn go(
    draft: &mut Draft<'_>,
    source: &Source,
    release: &Release,
    healthy: &CommitSha,
    reason: &str,
) -> Option<RevertOutcome> {
    let rows: Vec<Arc<Baseline>> = to_go_back_to(draft, &source.name, healthy).cloned().collect();
    let was: Vec<Arc<StoredObject>> =
        rows.iter().filter_map(|row| draft.world.objects.get(&row.object)).cloned().collect();
    let count = rows.into_iter().filter(|row| put_back(draft, row)).count();
    replace(draft, &source.name, &was);
    gate::give_up(draft, &source.name);
    let mut source = source.clone();
    source.status.gate = PullGate::Unasked { release: release.id, scope: GateScope::Workload };
    source.status.applied = Some(healthy.clone());
    // A held or rejected commit on top of it is the branch's end by now.
    let newer = draft.world.newest_release(&source.name).filter(|newest| newest.id != release.id);
    let overtaken =
        newer.map(|newer| RevertOutcome::Overtaken { commit: newer.commit.sha.clone() });
    if overtaken.is_none() {
        source.status.owed_revert = Some(OwedRevert {
            failed: release.commit.sha.clone(),
            to: healthy.clone(),
            reason: format!("{} failed: {reason}", release.commit.sha.short()),
            delayed_by: None,
        });
    }
    give_fresh_deadlines(draft, &source.name);
    let message = format!("{} as in {}", count_of_objects(count), healthy.short());
    let now = draft.now;
    draft.tell((&source.name, &release.commit.sha), now, Step::Reverted, &message);
    let message = format!("{} went back: {message}", release.commit.sha.short());
    draft.event(EventType::Warning, Subject::source(&source.name), "Reverted", message);
    draft.push(Change::PutSource(Arc::new(source)));
    overtaken
}

/// The beginning of a sentence about so many objects.
pub(crate) fn count_of_objects(count: usize) -> String {
    if count == 1 { "1 object is".to_owned() } else { format!("{count} objects are") }
}

/// Whether it could be put back.
fn put_back(draft: &mut Draft<'_>, row: &Baseline) -> bool {
    let now = draft.world.objects.get(&row.object).cloned();
    // Another source has it now, and an object has one owner.
    if now.as_ref().is_some_and(|now| now.source != row.source) {
        let message = format!("{} belongs to another source now and stays so", row.object);
        draft.event(EventType::Warning, Subject::source(&row.source), "NotReverted", message);
        return false;
    }
    if let Some(now) = &now {
        let before = row.before.as_ref().map(|before| &*before.declared);
        storage::keep_data_of(draft, now, before);
    }
    match &row.before {
        None if now.is_some() => draft.push(Change::DeleteObject(row.object.clone())),
        None => {}
        Some(before) => {
            // Whoever waits for the generation of an object must see it move.
            let rollout = draft.world.rollouts.get(&before.uid).map(|rollout| rollout.generation);
            let known = now.map(|now| now.generation).max(rollout).unwrap_or(0);
            let generation = known.max(before.generation) + 1;
            let object = StoredObject { generation, ..(**before).clone() };
            draft.push(Change::PutObject(Arc::new(object)));
        }
    }
    true
}

/// Each rollout that is not complete counts anew: a commit is judged by what happens after it.
pub(crate) fn give_fresh_deadlines(draft: &mut Draft<'_>, source: &SourceName) {
    let unfinished: Vec<Arc<Rollout>> = draft
        .world
        .unsettled_workloads_of(source)
        .filter_map(|object| draft.world.rollouts.get(&object.uid))
        .filter(|rollout| rollout.state != RolloutState::Complete)
        .cloned()
        .collect();
    for rollout in unfinished {
        let workload: ObjectUid = rollout.workload;
        draft.dirty.workloads.insert(workload);
        let state = match &rollout.state {
            RolloutState::Failed { .. } => RolloutState::Progressing,
            other => other.clone(),
        };
        draft.push(Change::PutRollout(Arc::new(Rollout {
            state,
            progressed_at: draft.now,
            ..(*rollout).clone()
        })));
    }
}

/// A revision of another commit than the one that failed: the branch moved on, so no revert is owed any
/// more. If the commit says that it takes the failed one back, it is the one that was owed.
pub(crate) fn moved_on(draft: &mut Draft<'_>, name: &SourceName, commit: &Commit) {
    let Some(source) = draft.world.sources.get(name).cloned() else { return };
    let Some(owed) = source.status.owed_revert.clone() else { return };
    if owed.failed == commit.sha {
        return;
    }
    let outcome = if takes_back_commit(commit, name, &owed.failed) {
        RevertOutcome::Pushed { commit: commit.sha.clone() }
    } else {
        RevertOutcome::Overtaken { commit: commit.sha.clone() }
    };
    settle(draft, &source, &owed.failed, &outcome);
}

/// The branch moved on and still holds what failed: a revert is owed on top of that commit instead.
pub(crate) fn owe_still(
    draft: &mut Draft<'_>,
    name: &SourceName,
    owed: OwedRevert,
    commit: &CommitSha,
) {
    let Some(mut source) = draft.world.sources.get(name).map(|source| (**source).clone()) else {
        return;
    };
    source.status.owed_revert =
        Some(OwedRevert { failed: commit.clone(), delayed_by: None, ..owed });
    draft.push(Change::PutSource(Arc::new(source)));
}

/// No revert commit could be brought to the branch.
pub(crate) fn not_pushed(
    draft: &mut Draft<'_>,
    name: &SourceName,
    failed: &CommitSha,
    why: &NotPushed,
) {
    let Some(source) = draft.world.sources.get(name).cloned() else { return };
    let owed = source.status.owed_revert.clone().filter(|owed| owed.failed == *failed);
    let Some(mut owed) = owed else { return };
    match why {
        NotPushed::Ever(outcome) => settle(draft, &source, failed, outcome),
        NotPushed::Yet { message } if owed.delayed_by.as_ref() != Some(message) => {
            let subject = Subject::source(name);
            draft.event(EventType::Warning, subject, "RevertDelayed", message);
            owed.delayed_by = Some(message.clone());
            let mut next = (*source).clone();
            next.status.owed_revert = Some(owed);
            draft.push(Change::PutSource(Arc::new(next)));
        }
        NotPushed::Yet { .. } => {}
    }
}

/// Notes what became of the revert commit; nothing is owed any more.
fn settle(draft: &mut Draft<'_>, source: &Source, failed: &CommitSha, outcome: &RevertOutcome) {
    let mut next = source.clone();
    next.status.owed_revert = None;
    draft.push(Change::PutSource(Arc::new(next)));
    note(draft, &source.name, failed, outcome);
    let (event_type, step, message) = match outcome {
        // The newer commit's own story begins.
        RevertOutcome::Overtaken { .. } => return,
        RevertOutcome::Pushed { commit } => {
            let message = format!("the branch has {}, which takes it back", commit.short());
            (EventType::Normal, Step::RevertPushed, message)
        }
        RevertOutcome::OnBranch { branch, message } => {
            let message = format!("the revert waits on branch {branch}: {message}");
            (EventType::Warning, Step::RevertPushed, message)
        }
        RevertOutcome::Refused { message } => {
            let message = format!("Git still has {}: {message}", failed.short());
            (EventType::Warning, Step::RevertRefused, message)
        }
    };
    let reason = if step == Step::RevertPushed { "RevertPushed" } else { "RevertRefused" };
    draft.event(event_type, Subject::source(&source.name), reason, &message);
    let now = draft.now;
    draft.tell((&source.name, failed), now, step, message);
}

/// Notes with the release what became of its revert.
fn note(draft: &mut Draft<'_>, source: &SourceName, failed: &CommitSha, outcome: &RevertOutcome) {
    let mut releases = draft.world.releases.values();
    let release =
        releases.rfind(|release| release.source == *source && release.commit.sha == *failed);
    if let Some(release) = release.cloned() {
        draft.push(Change::PutRelease(Arc::new(Release {
            revert: Some(outcome.clone()),
            ..(*release).clone()
        })));
    }
}
