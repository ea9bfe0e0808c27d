//! The verdict over a commit: healthy when every workload of its source is where it shall be, failed
//! when one of them failed. Either is final.
//!
//! A failed commit is quarantined: no poll, replay or restart applies it again. What becomes of what it
//! changed is the policy of its source: it stays as it is, or all of it goes back (`way_back`). That a
//! release fails is known once its workloads were looked at, and they may have let something go for it:
//! so the turn is planned anew then, and begins with the way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use dugout_model::{
    Change, CommitSha, ContentHash, EventType, FailedContent, Failure, ObjectId, Quarantine,
    Release, ReleaseId, RevertOutcome, RolloutFailure, RolloutState, Source, SourceName, Step,
    Verdict,
};

use crate::draft::Draft;
use crate::records::Subject;
use crate::{content, gate, order, rollouts, way_back};

/// A release that was found failing and goes back.
pub(crate) struct GoingBack {
    release: ReleaseId,
    cause: Cause,
}

/// Why a release fails.
struct Cause {
    message: String,
    /// The workload that failed, where it is one.
    workload: Option<(ObjectId, RolloutFailure, String)>,
}

/// Lets the releases go back that were found failing in this turn, before anything is done for them.
pub(crate) fn go_back(draft: &mut Draft<'_>, failing: &BTreeMap<SourceName, GoingBack>) {
    for (name, GoingBack { release, cause }) in failing {
        let release = draft.world.releases.get(release).cloned();
        let source = draft.world.sources.get(name).cloned();
        if let (Some(release), Some(source)) = (release, source) {
            conclude_failed(draft, &source, &release, cause);
        }
    }
}

/// Judges the rolling release of each dirty source, and whether what a failed one broke is mended. Says
/// whether that made new work for the stages before this one. What goes back is noted in the draft.
pub(crate) fn judge(draft: &mut Draft<'_>) -> bool {
    let mut is_more = false;
    for name in std::mem::take(&mut draft.dirty.sources) {
        draft.dirty.gates.insert(name.clone());
        if let Some(source) = draft.world.sources.get(&name).cloned() {
            is_more |= look_at(draft, &source);
        }
    }
    is_more
}

fn look_at(draft: &mut Draft<'_>, source: &Source) -> bool {
    let rolling = draft
        .world
        .releases
        .values()
        .find(|release| release.source == source.name && release.verdict == Verdict::Rolling)
        .cloned();
    match (outcome(draft, &source.name), rolling) {
        (Outcome::Rolling, _) | (Outcome::Failed(_), None) => false,
        (Outcome::Healthy, Some(release)) => conclude_healthy(draft, source, &release),
        (Outcome::Healthy, None) => {
            restored(draft, source);
            way_back::retire(draft, &source.name)
        }
        (Outcome::Failed(cause), Some(release)) => {
            if way_back::target(draft, source).is_some() {
                let going_back = GoingBack { release: release.id, cause };
                draft.going_back.insert(source.name.clone(), going_back);
            } else {
                conclude_failed(draft, source, &release, &cause);
            }
            false
        }
    }
}

enum Outcome {
    Rolling,
    Healthy,
    Failed(Cause),
}

/// What has become of a source's workloads. One that Git asks to pause does what it was asked.
fn outcome(draft: &Draft<'_>, source: &SourceName) -> Outcome {
    if let Some(message) = gate::failure(draft, source) {
        return Outcome::Failed(Cause { message, workload: None });
    }
    let is_open = !gate::is_closed(&draft.world, source);
    let mut outcome = if is_open { Outcome::Healthy } else { Outcome::Rolling };
    for object in draft.world.unsettled_workloads_of(source) {
        match draft.world.rollouts.get(&object.uid).map(|rollout| &rollout.state) {
            Some(RolloutState::Failed { reason, message }) => {
                let id = object.declared.id();
                return Outcome::Failed(Cause {
                    message: format!("{id}: {message}"),
                    workload: Some((id, *reason, message.clone())),
                });
            }
            Some(RolloutState::Complete) => {}
            _ if order::is_paused(object) => {}
            Some(RolloutState::Progressing | RolloutState::Waiting { .. }) | None => {
                outcome = Outcome::Rolling;
            }
        }
    }
    outcome
}

/// What was healthy before is of no use any more: a later release goes back to this one. Says whether
/// anything was kept for it.
fn conclude_healthy(draft: &mut Draft<'_>, source: &Source, release: &Release) -> bool {
    let was_kept = way_back::forget(draft, &source.name);
    let mut next = source.clone();
    next.status.healthy = Some(release.commit.sha.clone());
    forget_content(draft, &mut next);
    draft.push(Change::PutSource(Arc::new(next.clone())));
    conclude(draft, release, Verdict::Healthy, None, None);
    let message = format!("{} is healthy", release.commit.sha.short());
    draft.event(EventType::Normal, Subject::source(&release.source), "Healthy", message);
    restored(draft, &next);
    was_kept
}

fn content_of(draft: &Draft<'_>, source: &SourceName) -> ContentHash {
    let rows = draft.world.objects.values().filter(|row| row.source == *source && !row.orphaned);
    content::hash(rows.map(|row| &*row.declared))
}

/// What was healthy once and fails now does not fail by what it declares.
fn remember_content(draft: &Draft<'_>, source: &mut Source, sha: &CommitSha, reason: &str) {
    if source.status.healthy.is_some() && !way_back::differs_from_healthy(draft, source) {
        return;
    }
    let content = content_of(draft, &source.name);
    let (sha, reason) = (sha.clone(), reason.to_owned());
    let failed = &mut source.status.failed_contents;
    failed.retain(|other| other.content != content);
    failed.push(FailedContent { content, sha, reason });
    failed.drain(..failed.len().saturating_sub(FailedContent::LIMIT));
}

/// What is healthy now may come again, though it failed before.
fn forget_content(draft: &Draft<'_>, source: &mut Source) {
    // Only where something failed is there anything to compare.
    if !source.status.failed_contents.is_empty() {
        let healthy = content_of(draft, &source.name);
        source.status.failed_contents.retain(|failed| failed.content != healthy);
    }
}

/// The verdict over a release that fails: it goes back, or stays as it is.
fn conclude_failed(draft: &mut Draft<'_>, source: &Source, release: &Release, cause: &Cause) {
    let now = draft.now;
    let sha = &release.commit.sha;
    let reason = &cause.message;
    let message = format!("{} failed: {reason}", sha.short());
    draft.event(EventType::Warning, Subject::source(&release.source), "Failed", message);
    draft.push(Change::PutQuarantine(Quarantine {
        source: release.source.clone(),
        sha: sha.clone(),
    }));
    let mut next = source.clone();
    remember_content(draft, &mut next, sha, reason);
    next.status.failure.get_or_insert_with(|| Failure { sha: sha.clone(), since: now });
    draft.push(Change::PutSource(Arc::new(next.clone())));
    let Some(healthy) = way_back::target(draft, source).cloned() else {
        gate::shut(draft, &source.name);
        conclude(draft, release, Verdict::Failed, Some(reason.clone()), None);
        return;
    };
    // What is put back is something else than what failed, whose own story ends here.
    if let Some((id, failure, message)) = &cause.workload {
        rollouts::tell_failed(draft, id, *failure, message);
    }
    draft.tell((&release.source, sha), now, Step::Failed, reason);
    let revert = way_back::go(draft, &next, release, &healthy, reason);
    conclude(draft, release, Verdict::Reverted, Some(reason.clone()), revert);
}

/// Everything of a source is healthy: so is what a failed release broke, if there was one.
fn restored(draft: &mut Draft<'_>, source: &Source) {
    let Some(failure) = source.status.failure.clone() else { return };
    let now = draft.now;
    let span = now.since(failure.since).as_secs_f64();
    let message = format!("everything is healthy again after {span:.1} s");
    draft.tell((&source.name, &failure.sha), now, Step::Restored, &message);
    draft.event(EventType::Normal, Subject::source(&source.name), "Restored", message);
    let mut next = source.clone();
    next.status.failure = None;
    draft.push(Change::PutSource(Arc::new(next)));
}

fn conclude(
    draft: &mut Draft<'_>,
    release: &Release,
    verdict: Verdict,
    reason: Option<String>,
    revert: Option<RevertOutcome>,
) {
    let message = reason.clone().unwrap_or_default();
    let step = match verdict {
        Verdict::Healthy => Some((Step::Healthy, message)),
        Verdict::Failed => Some((Step::Failed, message)),
        // Told where it happens, with where it goes.
        _ => None,
    };
    if let Some((step, message)) = step {
        draft.tell((&release.source, &release.commit.sha), draft.now, step, message);
    }
    draft.push(Change::PutRelease(Arc::new(Release {
        verdict,
        reason,
        finished_at: Some(draft.now),
        revert,
        ..release.clone()
    })));
}
