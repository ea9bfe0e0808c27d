//! Dugout's own kinds.

use dugout_model as model;
use dugout_model::{RevertOutcome, Severity, SourceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};

use super::View;
use super::meta::{moment, moment_or_epoch, time, version};
use crate::dugout::{
    API_VERSION, Failure, OwedRevert, Problem, Release, ReleaseSpec, ReleaseStatus, Revert, Source,
    SourceSpec, SourceStatus, TimelineEntry,
};

impl View<'_> {
    pub fn source(self, source: &model::Source) -> Source {
        let status = &source.status;
        let text = |sha: &Option<model::CommitSha>| sha.as_ref().map(ToString::to_string);
        let readable = readable(source);
        let quarantined = self.world.quarantine.iter().filter(|row| row.source == source.name);
        Source {
            api_version: API_VERSION.to_owned(),
            kind: "Source".to_owned(),
            metadata: ObjectMeta {
                name: Some(source.name.to_string()),
                resource_version: version(self),
                ..ObjectMeta::default()
            },
            spec: SourceSpec {
                url: source.url.clone(),
                branch: source.branch.clone(),
                path: source.path.clone(),
                poll_interval_seconds: source.poll_interval.as_secs_f64(),
                on_failure: Some(source.on_failure.as_str().to_owned()),
                drift: Some(source.drift.as_str().to_owned()),
            },
            status: SourceStatus {
                head: text(&status.head),
                applied: text(&status.applied),
                healthy: text(&status.healthy),
                suspended: source.suspended,
                condition: readable.reason.clone(),
                conditions: vec![readable],
                newest_release: self
                    .world
                    .newest_release(&source.name)
                    .map(|row| release_name(row)),
                quarantined: quarantined.map(|row| row.sha.to_string()).collect(),
                failure: status.failure.as_ref().map(|failure| Failure {
                    sha: failure.sha.to_string(),
                    since: moment(failure.since),
                }),
                owed_revert: status.owed_revert.as_ref().map(|owed| OwedRevert {
                    failed: owed.failed.to_string(),
                    to: owed.to.to_string(),
                    delayed_by: owed.delayed_by.clone(),
                }),
                awaited_images: self.world.awaited_images(&source.name),
            },
        }
    }

    /// A release; `problems` where they were asked for.
    pub fn release(self, release: &model::Release, problems: Option<&[model::Problem]>) -> Release {
        let commit = &release.commit;
        Release {
            api_version: API_VERSION.to_owned(),
            kind: "Release".to_owned(),
            metadata: ObjectMeta {
                creation_timestamp: time(release.started_at),
                name: Some(release_name(release)),
                resource_version: version(self),
                ..ObjectMeta::default()
            },
            spec: ReleaseSpec {
                number: release.id.0,
                source: release.source.to_string(),
                sha: commit.sha.to_string(),
                author: commit.author.clone(),
                message: commit.message.clone(),
                committed_at: moment(commit.committed_at),
                parents: commit.parents.iter().map(ToString::to_string).collect(),
            },
            status: ReleaseStatus {
                verdict: release.verdict.as_str().to_owned(),
                reason: release.reason.clone(),
                touched: release.touched.iter().map(ToString::to_string).collect(),
                started_at: moment(release.started_at),
                finished_at: release.finished_at.and_then(moment),
                revert: release.revert.as_ref().map(revert),
                pins: release.pins.iter().map(pin).collect(),
                problems: problems.map(|problems| problems.iter().map(problem).collect()),
            },
        }
    }

    pub fn timeline_entry(self, entry: &model::TimelineEntry) -> TimelineEntry {
        let name =
            format!("{}-{}-{}", entry.sha.short(), entry.at.as_micros(), entry.step.as_str());
        TimelineEntry {
            api_version: API_VERSION.to_owned(),
            kind: "TimelineEntry".to_owned(),
            metadata: ObjectMeta {
                creation_timestamp: time(entry.at),
                name: Some(name),
                ..ObjectMeta::default()
            },
            source: entry.source.to_string(),
            commit: entry.sha.to_string(),
            at: moment_or_epoch(entry.at),
            step: entry.step.as_str().to_owned(),
            subject: entry.subject.clone(),
            message: entry.message.clone(),
        }
    }
}

fn pin((image, digest): (&String, &model::ImageDigest)) -> (String, String) {
    (image.clone(), digest.to_string())
}

fn revert(outcome: &RevertOutcome) -> Revert {
    match outcome {
        RevertOutcome::Pushed { commit } => {
            Revert { commit: Some(commit.to_string()), branch: None, message: None }
        }
        RevertOutcome::Overtaken { commit } => Revert {
            commit: None,
            branch: None,
            message: Some(format!("the branch moved on to {}", commit.short())),
        },
        RevertOutcome::OnBranch { branch, message } => {
            Revert { commit: None, branch: Some(branch.clone()), message: Some(message.clone()) }
        }
        RevertOutcome::Refused { message } => {
            Revert { commit: None, branch: None, message: Some(message.clone()) }
        }
    }
}

/// The name of a release: unique in the cluster, and it says what it is about.
pub(crate) fn release_name(release: &model::Release) -> String {
    format!("{}-{}", release.source, release.id.0)
}

impl From<&model::Problem> for Problem {
    fn from(row: &model::Problem) -> Self {
        problem(row)
    }
}

fn problem(problem: &model::Problem) -> Problem {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Notice => "notice",
    };
    Problem {
        file: problem.file.clone(),
        line: problem.line,
        column: problem.column,
        severity: severity.to_owned(),
        field_path: problem.field_path.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}

fn readable(source: &model::Source) -> Condition {
    let unread = "it has not been looked at yet".to_owned();
    let branch = || format!("the repository has no branch '{}'", source.branch);
    let path = || format!("the branch has no folder '{}'", source.path);
    let (status, reason, message) = match &source.status.condition {
        SourceCondition::Unread => ("Unknown", "Unread", unread),
        SourceCondition::Readable => ("True", "Readable", "the branch can be read".to_owned()),
        SourceCondition::Unreachable { message } => ("False", "Unreachable", message.clone()),
        SourceCondition::BranchMissing => ("False", "BranchMissing", branch()),
        SourceCondition::PathMissing => ("False", "PathMissing", path()),
        SourceCondition::Corrupt { message } => ("False", "Corrupt", message.clone()),
        SourceCondition::NotPlanned { message } => ("False", "NotPlanned", message.clone()),
    };
    Condition {
        last_transition_time: Time(moment_or_epoch(source.status.since)),
        message,
        observed_generation: None,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: "Readable".to_owned(),
    }
}
