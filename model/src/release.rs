//! Revisions and releases: a commit as we read it, and the application of it with its verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    Commit, CommitSha, DeclaredObject, ImagePins, ObjectId, ObjectUid, Problem, SourceName,
    StoredObject, Timestamp,
};

/// One commit of one source with what it declares, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub source: SourceName,
    pub commit: Commit,
    pub content: RevisionContent,
    /// How the commit came to our notice and what each step took.
    pub hops: RevisionHops,
    /// The commit does not descend from the one before: history was rewritten.
    pub rewritten: bool,
    /// What may differ from an earlier revision, when that is known. It only saves work: without it,
    /// everything is compared.
    pub since: Option<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionContent {
    Objects {
        objects: DeclaredObjects,
        notices: Vec<Problem>,
    },
    /// At least one of severity `Error`; sorted.
    Problems(Vec<Problem>),
}

/// The objects of a revision. Revisions that follow each other share what they have in common.
pub type DeclaredObjects = OrdMap<ObjectId, Arc<DeclaredObject>>;

/// Every object that is not the same in two revisions of one source is named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The commit of the earlier revision.
    pub from: CommitSha,
    pub ids: BTreeSet<ObjectId>,
}

/// What is kept of a revision: Git itself keeps the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRevision {
    pub source: SourceName,
    pub commit: Commit,
    /// Notices only, unless it was rejected.
    pub problems: Vec<Problem>,
    pub hops: RevisionHops,
    pub rewritten: bool,
}

/// The moments on a commit's way from the push to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionHops {
    pub noticed_by: NoticedBy,
    /// A webhook, file event or timer woke the source loop.
    pub noticed_at: Timestamp,
    pub fetched_at: Timestamp,
    /// Read, parsed and validated.
    pub validated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticedBy {
    Start,
    Webhook,
    FileEvent,
    Poll,
    Operator,
}

impl NoticedBy {
    pub const ALL: [NoticedBy; 5] = [
        NoticedBy::Start,
        NoticedBy::Webhook,
        NoticedBy::FileEvent,
        NoticedBy::Poll,
        NoticedBy::Operator,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            NoticedBy::Start => "start",
            NoticedBy::Webhook => "webhook",
            NoticedBy::FileEvent => "file-event",
            NoticedBy::Poll => "poll",
            NoticedBy::Operator => "operator",
        }
    }
}

/// The number of a release in its cluster; it only grows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ReleaseId(pub u64);

/// The application of one revision, with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub id: ReleaseId,
    pub source: SourceName,
    pub commit: Commit,
    pub verdict: Verdict,
    /// Why, for a person, where the verdict alone does not say it.
    pub reason: Option<String>,
    /// What it added, changed or removed.
    pub touched: BTreeSet<ObjectId>,
    pub started_at: Timestamp,
    /// When the verdict became final.
    pub finished_at: Option<Timestamp>,
    /// What became of the revert commit that a release which went back by itself asked for.
    pub revert: Option<RevertOutcome>,
    /// What the names of its images stand for, by what was found first for it.
    pub pins: ImagePins,
}

/// Whether Git says what runs, after a release went back by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevertOutcome {
    /// The branch has this commit, which takes the failed one back.
    Pushed { commit: CommitSha },
    /// The branch takes no push of ours, for this reason; the commit waits on a branch of its own.
    OnBranch { branch: String, message: String },
    /// The branch moved on to this commit before, and that one is judged by itself.
    Overtaken { commit: CommitSha },
    /// There is no revert commit, for this reason.
    Refused { message: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Seen and not yet applied: its source is suspended.
    Pending,
    /// Its manifests have errors; nothing of it was applied.
    Rejected,
    /// Waits for a person's approval.
    Held,
    Rolling,
    Healthy,
    Failed,
    /// It failed and the one before was put back.
    Reverted,
    /// A newer commit took its place before it was done.
    Superseded,
}

impl Verdict {
    pub const ALL: [Verdict; 8] = [
        Verdict::Pending,
        Verdict::Rejected,
        Verdict::Held,
        Verdict::Rolling,
        Verdict::Healthy,
        Verdict::Failed,
        Verdict::Reverted,
        Verdict::Superseded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pending => "pending",
            Verdict::Rejected => "rejected",
            Verdict::Held => "held",
            Verdict::Rolling => "rolling",
            Verdict::Healthy => "healthy",
            Verdict::Failed => "failed",
            Verdict::Reverted => "reverted",
            Verdict::Superseded => "superseded",
        }
    }

    pub fn parse(text: &str) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// Whether the release still waits for something to happen.
    pub fn is_open(self) -> bool {
        matches!(self, Verdict::Pending | Verdict::Held | Verdict::Rolling)
    }
}

/// What an object was before its source's last changes, kept until everything of the source is healthy.
/// What served serves on meanwhile, and those to be gone back to together say what a release that fails
/// goes back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    pub source: SourceName,
    pub object: ObjectId,
    pub role: BaselineRole,
    /// The commit that was healthy when this was kept.
    pub sha: CommitSha,
    /// What a release that fails goes back to. Absent: there was no such object, or nobody goes back to it.
    pub before: Option<Arc<StoredObject>>,
    /// What the object was later, with another commit that did not become healthy, and what may serve.
    pub served: Option<Arc<StoredObject>>,
}

/// What a baseline is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BaselineRole {
    /// The object was so when its source was last healthy: a release that fails goes back to it, and it
    /// serves on until everything that replaces it is there.
    #[default]
    Healthy,
    /// The same, but everything was there since, though nobody said of it that it is healthy: it serves no
    /// longer.
    Past,
    /// Nobody goes back to it: a release left what served that went back itself.
    Replaced,
    /// Nobody goes back to what served, nor needs it: it left Git and is known until it is gone, for that
    /// has an order.
    Leaving,
}

impl BaselineRole {
    /// Whether a release that fails goes back to what was before.
    pub fn is_gone_back_to(self) -> bool {
        matches!(self, BaselineRole::Healthy | BaselineRole::Past)
    }
}

impl Baseline {
    /// What the object was, in all forms that are kept.
    pub fn forms(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        self.before.iter().chain(&self.served)
    }

    /// Those of the forms that serve beside what is asked for.
    pub fn serving_forms(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        let before = self.before.as_ref().filter(|_| self.role == BaselineRole::Healthy);
        let served = self.served.as_ref().filter(|_| self.role != BaselineRole::Leaving);
        before.into_iter().chain(served)
    }

    /// Whether the object with this uid serves on.
    pub fn serves(&self, object: ObjectUid) -> bool {
        self.serving_forms().any(|form| form.uid == object)
    }

    pub fn key(&self) -> BaselineKey {
        (self.source.clone(), self.object.clone())
    }
}

/// A source may have another's object in its baseline: one that it gave up.
pub type BaselineKey = (SourceName, ObjectId);

/// The memory that a revision failed: it is never applied again by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantine {
    pub source: SourceName,
    pub sha: CommitSha,
}
