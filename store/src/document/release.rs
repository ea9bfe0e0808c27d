//! The stored form of sources, revisions and releases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    Baseline, BaselineRole, Commit, CommitSha, ContentHash, Drift, FailedContent, Failure,
    GateScope, ImagePins, NoticedBy, ObjectId, OnFailure, OwedRevert, Problem, PullGate, Release,
    ReleaseId, RevertOutcome, RevisionHops, Severity, Source, SourceCondition, SourceName,
    SourceStatus, StoredObject, StoredRevision, Timestamp, Verdict,
};

use super::mirror::mirror;

mirror! {
    struct Source as SourceDocument {
        name: SourceName,
        url: String,
        branch: String,
        path: String,
        poll_interval: Duration,
        // What came later is written only where it says something, here and below: an earlier release
        // reads the rest.
        #[serde(default, skip_serializing_if = "OnFailureDocument::is_revert")]
        on_failure: OnFailure,
        #[serde(default, skip_serializing_if = "DriftDocument::is_correct")]
        drift: Drift,
        suspended: bool,
        status: SourceStatus,
    }
}

mirror! {
    struct SourceStatus as SourceStatusDocument {
        head: Option<CommitSha>,
        applied: Option<CommitSha>,
        // Sources of before there was a gate stop pods as they always did.
        #[serde(default, skip_serializing_if = "PullGateDocument::is_open")]
        gate: PullGate,
        healthy: Option<CommitSha>,
        condition: SourceCondition,
        since: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved: Option<CommitSha>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owed_revert: Option<OwedRevert>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed_contents: Vec<FailedContent>,
    }
}

mirror! {
    struct FailedContent as FailedContentDocument {
        content: ContentHash,
        sha: CommitSha,
        reason: String,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    #[derive(Default)]
    enum OnFailure as OnFailureDocument {
        #[default]
        Revert,
        Hold,
    }
}

impl OnFailureDocument {
    fn is_revert(&self) -> bool {
        matches!(self, Self::Revert)
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    #[derive(Default)]
    enum Drift as DriftDocument {
        #[default]
        Correct,
        Warn,
    }
}

impl DriftDocument {
    fn is_correct(&self) -> bool {
        matches!(self, Self::Correct)
    }
}

mirror! {
    struct Failure as FailureDocument { sha: CommitSha, since: Timestamp }
}

mirror! {
    struct OwedRevert as OwedRevertDocument {
        failed: CommitSha,
        to: CommitSha,
        reason: String,
        delayed_by: Option<String>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum SourceCondition as SourceConditionDocument {
        Unread,
        Readable,
        Unreachable { message: String },
        BranchMissing,
        PathMissing,
        Corrupt { message: String },
        NotPlanned { message: String },
    }
}

mirror! {
    struct Commit as CommitDocument {
        sha: CommitSha,
        author: String,
        message: String,
        committed_at: Timestamp,
        parents: Vec<CommitSha>,
    }
}

mirror! {
    struct Release as ReleaseDocument {
        id: ReleaseId,
        source: SourceName,
        commit: Commit,
        verdict: Verdict,
        reason: Option<String>,
        touched: BTreeSet<ObjectId>,
        started_at: Timestamp,
        finished_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revert: Option<RevertOutcome>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pins: ImagePins,
    }
}

mirror! {
    #[derive(Default)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum PullGate as PullGateDocument {
        #[default]
        Open,
        Unasked {
            release: ReleaseId,
            #[serde(default, skip_serializing_if = "GateScopeDocument::is_release")]
            scope: GateScope,
        },
        Pulling {
            release: ReleaseId,
            #[serde(default, skip_serializing_if = "GateScopeDocument::is_release")]
            scope: GateScope,
            since: Timestamp,
            deadline: Timestamp,
            #[serde(default, skip_serializing_if = "is_false")]
            lacks_room: bool,
        },
        Shut { release: ReleaseId },
    }
}

mirror! {
    #[derive(Default)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum GateScope as GateScopeDocument {
        #[default]
        Release,
        Workload,
    }
}

impl GateScopeDocument {
    fn is_release(&self) -> bool {
        matches!(self, GateScopeDocument::Release)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl PullGateDocument {
    fn is_open(&self) -> bool {
        matches!(self, PullGateDocument::Open)
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum RevertOutcome as RevertOutcomeDocument {
        Pushed { commit: CommitSha },
        OnBranch { branch: String, message: String },
        Overtaken { commit: CommitSha },
        Refused { message: String },
    }
}

mirror! {
    struct Baseline as BaselineDocument {
        source: SourceName,
        object: ObjectId,
        #[serde(default, skip_serializing_if = "BaselineRoleDocument::is_healthy")]
        role: BaselineRole,
        // Its name when it was the healthy commit's alone.
        #[serde(rename = "healthy")]
        sha: CommitSha,
        before: Option<Arc<StoredObject>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        served: Option<Arc<StoredObject>>,
    }
}

mirror! {
    #[derive(Default)]
    enum BaselineRole as BaselineRoleDocument {
        #[default]
        Healthy,
        Past,
        Replaced,
        Leaving,
    }
}

impl BaselineRoleDocument {
    fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}

mirror! {
    // The names are in a column that queries read: they are those of `Verdict::as_str`.
    #[serde(rename_all = "snake_case")]
    enum Verdict as VerdictDocument {
        Pending,
        Rejected,
        Held,
        Rolling,
        Healthy,
        Failed,
        Reverted,
        Superseded,
    }
}

mirror! {
    struct StoredRevision as StoredRevisionDocument {
        source: SourceName,
        commit: Commit,
        problems: Vec<Problem>,
        hops: RevisionHops,
        rewritten: bool,
    }
}

mirror! {
    struct RevisionHops as RevisionHopsDocument {
        noticed_by: NoticedBy,
        noticed_at: Timestamp,
        fetched_at: Timestamp,
        validated_at: Timestamp,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum NoticedBy as NoticedByDocument { Start, Webhook, FileEvent, Poll, Operator }
}

mirror! {
    struct Problem as ProblemDocument {
        file: String,
        line: u32,
        column: u32,
        severity: Severity,
        field_path: String,
        message: String,
        hint: Option<String>,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Severity as SeverityDocument { Error, Notice }
}
