//! The stored form of rollouts.

use dugout_model::{ObjectUid, Rollout, RolloutFailure, RolloutMilestone, RolloutState, Timestamp};

use super::mirror::mirror;

mirror! {
    struct Rollout as RolloutDocument {
        // As it was first called: a key column is made from it.
        #[serde(rename = "deployment")]
        workload: ObjectUid,
        generation: u64,
        state: RolloutState,
        progressed_at: Timestamp,
        milestone: RolloutMilestone,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum RolloutState as RolloutStateDocument {
        Progressing,
        Waiting { message: String },
        Complete,
        Failed { reason: RolloutFailure, message: String },
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum RolloutFailure as RolloutFailureDocument { ProgressDeadlineExceeded, ImageUnavailable, JobFailed }
}

mirror! {
    struct RolloutMilestone as RolloutMilestoneDocument {
        updated: u32,
        ready: u32,
        available: u32,
        old: u32,
    }
}
