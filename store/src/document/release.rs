//! The stored form of sources, revisions and releases.

use std::collections::BTreeSet;
use std::time::Duration;

use dugout_model::{
    Commit, CommitSha, NoticedBy, ObjectId, Problem, Release, ReleaseId, RevisionHops, Severity,
    Source, SourceCondition, SourceName, SourceStatus, StoredRevision, Timestamp, Verdict,
};

use super::mirror::mirror;

mirror! {
    struct Source as SourceDocument {
        name: SourceName,
        url: String,
        branch: String,
        path: String,
        poll_interval: Duration,
        suspended: bool,
        status: SourceStatus,
    }
}

mirror! {
    struct SourceStatus as SourceStatusDocument {
        head: Option<CommitSha>,
        applied: Option<CommitSha>,
        healthy: Option<CommitSha>,
        condition: SourceCondition,
        since: Timestamp,
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
