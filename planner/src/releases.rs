//! The verdict over a commit: healthy when every deployment of its source is where it shall be,
//! failed when one of them failed. Either is final; what runs stays as it is.
//!
//! A failed commit is quarantined: no poll, replay or restart applies it again.

use std::sync::Arc;

use dugout_model::{
    Change, EventType, ObjectSpec, Quarantine, Release, RolloutState, SourceName, Step, Verdict,
};

use crate::Work;
use crate::draft::Draft;
use crate::records::Subject;

/// Judges the rolling release of each dirty source.
pub(crate) fn judge(draft: &mut Draft<'_>) {
    for source in std::mem::take(&mut draft.dirty.sources) {
        let rolling = draft
            .world
            .releases
            .values()
            .find(|release| release.source == source && release.verdict == Verdict::Rolling)
            .cloned();
        if let Some(release) = rolling {
            match outcome(draft, &source) {
                Outcome::Rolling => {}
                Outcome::Healthy => conclude_healthy(draft, &release),
                Outcome::Failed(reason) => conclude_failed(draft, &release, reason),
            }
        }
        draft.done(Work::Source(source), None);
    }
}

enum Outcome {
    Rolling,
    Healthy,
    Failed(String),
}

/// What has become of a source's deployments. One that Git asks to pause does what it was asked.
fn outcome(draft: &Draft<'_>, source: &SourceName) -> Outcome {
    let mut outcome = Outcome::Healthy;
    for object in draft.world.unsettled_workloads_of(source) {
        let is_paused = match &object.declared.spec {
            ObjectSpec::Deployment(deployment) => deployment.paused,
            ObjectSpec::Job(job) => job.suspended,
            _ => false,
        };
        match draft.world.rollouts.get(&object.uid).map(|rollout| &rollout.state) {
            Some(RolloutState::Failed { message, .. }) => {
                return Outcome::Failed(format!("{}: {message}", object.declared.id()));
            }
            Some(RolloutState::Complete) => {}
            _ if is_paused => {}
            Some(RolloutState::Progressing | RolloutState::Waiting { .. }) | None => {
                outcome = Outcome::Rolling;
            }
        }
    }
    outcome
}

fn conclude_healthy(draft: &mut Draft<'_>, release: &Release) {
    conclude(draft, release, Verdict::Healthy, Step::Healthy, None);
    if let Some(source) = draft.world.sources.get(&release.source).cloned() {
        let mut source = (*source).clone();
        source.status.healthy = Some(release.commit.sha.clone());
        draft.push(Change::PutSource(Arc::new(source)));
    }
    let message = format!("{} is healthy", release.commit.sha.short());
    draft.event(EventType::Normal, Subject::source(&release.source), "Healthy", message);
}

fn conclude_failed(draft: &mut Draft<'_>, release: &Release, reason: String) {
    let message = format!("{} failed: {reason}", release.commit.sha.short());
    draft.event(EventType::Warning, Subject::source(&release.source), "Failed", message);
    draft.push(Change::PutQuarantine(Quarantine {
        source: release.source.clone(),
        sha: release.commit.sha.clone(),
    }));
    conclude(draft, release, Verdict::Failed, Step::Failed, Some(reason));
}

fn conclude(
    draft: &mut Draft<'_>,
    release: &Release,
    verdict: Verdict,
    step: Step,
    reason: Option<String>,
) {
    let message = reason.clone().unwrap_or_default();
    draft.tell((&release.source, &release.commit.sha), draft.now, step, message);
    draft.push(Change::PutRelease(Arc::new(Release {
        verdict,
        reason,
        finished_at: Some(draft.now),
        ..release.clone()
    })));
}
