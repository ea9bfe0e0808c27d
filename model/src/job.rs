//! What was chosen of jobs: each run of one, and what a cron job's schedule has come to.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::{
    CommitSha, JobSpec, JobUid, NamespaceName, ObjectName, ObjectUid, PodIdentity, PodOutcome,
    ReplicaSetUid, SourceName, StringMap, Timestamp, World,
};

/// The label with its job's uid that every pod of a job has.
pub const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// The label and annotation with its index that a pod of an indexed job has.
pub const COMPLETION_INDEX_LABEL: &str = "batch.kubernetes.io/job-completion-index";

/// One run of a job to its end. A declared Job has one; a CronJob has one for each time of its
/// schedule that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub uid: JobUid,
    pub namespace: NamespaceName,
    /// Of a declared Job its own name; of a CronJob its name, a dash, and the scheduled time in
    /// minutes since 1970, as Kubernetes has it.
    pub name: ObjectName,
    pub labels: StringMap,
    pub annotations: StringMap,
    /// The Job or CronJob that Git declares.
    pub owner: ObjectUid,
    /// The source of that object, and the commit that was applied when the run was made.
    pub source: SourceName,
    pub sha: CommitSha,
    /// The time of the schedule; absent for a declared Job.
    pub scheduled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// Since when it may run pods; absent while it is suspended.
    pub started_at: Option<Timestamp>,
    /// What it was asked to do. A CronJob that changes later leaves it as it is.
    pub spec: Arc<JobSpec>,
    pub state: JobState,
    pub tally: JobTally,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    Running,
    Suspended,
    Complete { at: Timestamp },
    Failed { at: Timestamp, reason: JobFailure, message: String },
}

/// Why a job failed, with Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobFailure {
    BackoffLimitExceeded,
    DeadlineExceeded,
    PodFailurePolicy,
}

impl JobFailure {
    pub fn as_str(self) -> &'static str {
        match self {
            JobFailure::BackoffLimitExceeded => "BackoffLimitExceeded",
            JobFailure::DeadlineExceeded => "DeadlineExceeded",
            JobFailure::PodFailurePolicy => "PodFailurePolicy",
        }
    }
}

/// What became of a job's pods. Each is counted once, when it ends; its row may be long gone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JobTally {
    /// Pods that succeeded; of an indexed job, indexes that have one.
    pub succeeded: u32,
    /// Pods that failed and count against the back-off limit.
    pub failed: u32,
    /// The indexes of an indexed job that are done.
    pub completed_indexes: BTreeSet<u32>,
    /// Pods that failed by themselves since the last that succeeded: each doubles the wait for the
    /// next.
    pub failed_in_a_row: u32,
    pub last_failed_at: Option<Timestamp>,
}

/// What is remembered of a CronJob whatever becomes of its jobs, so that nothing starts twice for
/// one scheduled time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub cron_job: ObjectUid,
    /// The newest time of the schedule that is dealt with.
    pub last_scheduled_at: Timestamp,
    /// When one of its jobs last completed.
    pub last_succeeded_at: Option<Timestamp>,
}

impl Job {
    /// Its pods are those of the replica set with its own uid. That row is there once the template
    /// could be made.
    pub fn replica_set(&self) -> ReplicaSetUid {
        ReplicaSetUid(self.uid.0)
    }

    pub fn is_finished(&self) -> bool {
        self.finished_at().is_some()
    }

    pub fn finished_at(&self) -> Option<Timestamp> {
        match self.state {
            JobState::Complete { at } | JobState::Failed { at, .. } => Some(at),
            JobState::Running | JobState::Suspended => None,
        }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.state, JobState::Complete { .. })
    }
}

impl JobTally {
    /// Counts a pod that succeeded.
    pub fn succeed(&mut self, identity: &PodIdentity) {
        self.failed_in_a_row = 0;
        if let PodIdentity::CompletionIndex(index) = identity {
            self.completed_indexes.insert(*index);
            self.succeeded = u32::try_from(self.completed_indexes.len()).unwrap_or(u32::MAX);
        } else {
            self.succeeded = self.succeeded.saturating_add(1);
        }
    }

    /// The completed indexes as Kubernetes writes them: `0-3,7`.
    pub fn completed_index_ranges(&self) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for index in &self.completed_indexes {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*index) => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        let text = |(first, last): &(u32, u32)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        };
        ranges.iter().map(text).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobState::Running => out.write_str("running"),
            JobState::Suspended => out.write_str("suspended"),
            JobState::Complete { .. } => out.write_str("complete"),
            JobState::Failed { reason, message, .. } => {
                write!(out, "failed: {}: {message}", reason.as_str())
            }
        }
    }
}

/// A job's pods, counted as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct JobPodCounts {
    /// Neither finished nor leaving.
    pub active: u32,
    /// Of these, ready.
    pub ready: u32,
    /// Leaving, and not finished.
    pub terminating: u32,
}

impl World {
    /// Counts a job's pods as they are now.
    pub fn job_pod_counts(&self, job: &Job) -> JobPodCounts {
        let mut counts = JobPodCounts::default();
        for pod in self.pods_of(job.replica_set()).filter(|pod| pod.outcome().is_none()) {
            counts.active += u32::from(pod.is_active());
            counts.terminating += u32::from(!pod.is_active());
            counts.ready += u32::from(pod.is_active() && pod.ready_since().is_some());
        }
        counts
    }
}

impl PodOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            PodOutcome::Succeeded => "Succeeded",
            PodOutcome::Failed => "Failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_counts_once_and_neighbours_are_written_as_a_range() {
        let mut tally = JobTally::default();
        for index in [4, 0, 2, 1, 7, 5, 4] {
            tally.succeed(&PodIdentity::CompletionIndex(index));
        }
        assert_eq!(tally.succeeded, 6);
        assert_eq!(tally.completed_index_ranges(), "0-2,4,5,7");
    }
}
