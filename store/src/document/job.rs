//! The stored form of jobs and schedules.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_model::{
    CommitSha, Job, JobFailure, JobSpec, JobState, JobTally, JobUid, NamespaceName, ObjectName,
    ObjectUid, Schedule, SourceName, StringMap, Timestamp,
};

use super::mirror::mirror;

mirror! {
    struct Job as JobDocument {
        uid: JobUid,
        namespace: NamespaceName,
        name: ObjectName,
        labels: StringMap,
        annotations: StringMap,
        owner: ObjectUid,
        source: SourceName,
        sha: CommitSha,
        scheduled_at: Option<Timestamp>,
        created_at: Timestamp,
        started_at: Option<Timestamp>,
        spec: Arc<JobSpec>,
        state: JobState,
        tally: JobTally,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum JobState as JobStateDocument {
        Running,
        Suspended,
        Complete { at: Timestamp },
        Failed { at: Timestamp, reason: JobFailure, message: String },
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum JobFailure as JobFailureDocument {
        BackoffLimitExceeded,
        DeadlineExceeded,
        PodFailurePolicy,
    }
}

mirror! {
    struct JobTally as JobTallyDocument {
        succeeded: u32,
        failed: u32,
        completed_indexes: BTreeSet<u32>,
        failed_in_a_row: u32,
        last_failed_at: Option<Timestamp>,
    }
}

mirror! {
    struct Schedule as ScheduleDocument {
        cron_job: ObjectUid,
        last_scheduled_at: Timestamp,
        last_succeeded_at: Option<Timestamp>,
    }
}
