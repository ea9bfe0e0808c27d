//! The serialised form of Dugout's own kinds, `dugout.dev/v1`: what `dugout` and other clients read
//! and send.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The `apiVersion` of everything here.
pub const API_VERSION: &str = "dugout.dev/v1";

/// The type of a pod's condition that says in what its containers differ from its template, by somebody's
/// hand; there only while they do.
pub const DRIFTED_CONDITION: &str = "dugout.dev/Drifted";

/// The type of a pod's condition that says what a person told the agent of its node to do with it; there only
/// until he takes it back.
pub const PAUSED_CONDITION: &str = "dugout.dev/Paused";

/// One Git repository, branch and path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    pub spec: SourceSpec,
    pub status: SourceStatus,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceSpec {
    pub url: String,
    pub branch: String,
    /// A folder of the repository; empty for all of it.
    pub path: String,
    pub poll_interval_seconds: f64,
    /// What happens to a release that fails: `revert` or `hold`. An earlier server does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// What happens to what somebody changed by hand on a node: `correct` or `warn`. An earlier server
    /// does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The newest commit on the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The commit whose objects are the desired state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// The last commit that became healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
    /// Revisions are seen and not applied.
    pub suspended: bool,
    /// Whether the branch can be read, in one word: the reason of the condition `Readable`.
    pub condition: String,
    /// One, of type `Readable`.
    pub conditions: Vec<Condition>,
    /// The name of the newest release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_release: Option<String>,
    /// Commits that failed and are never applied again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// The failure that nothing healthy has followed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The revert commit that is still to be pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed_revert: Option<OwedRevert>,
    /// What the newest release waits for before it stops a pod, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_images: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The commit.
    pub sha: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwedRevert {
    /// The commit that is to be taken back, and the one whose content shall be there again.
    pub failed: String,
    pub to: String,
    /// Why the last attempt did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed_by: Option<String>,
}

/// The application of one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub api_version: String,
    pub kind: String,
    /// Its name is the source's name, a dash and the number.
    pub metadata: ObjectMeta,
    pub spec: ReleaseSpec,
    pub status: ReleaseStatus,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    pub number: u64,
    pub source: String,
    /// The commit's id.
    pub sha: String,
    /// Name and address.
    pub author: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// `pending`, `rejected`, `held`, `rolling`, `healthy`, `failed`, `reverted` or `superseded`.
    pub verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it added, changed or removed, as `Deployment demo/web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Of one that went back by itself: what became of the revert commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
    /// What the names of its images stand for, where a node has said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, String>,
    /// What is wrong with its manifests. Only where one release is read by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<Vec<Problem>>,
}

/// What became of a revert commit of Dugout's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// Where the branch has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The branch of its own on which it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Why it is not on the source's branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub file: String,
    /// One-based; 0 for the file as a whole. So is `column`.
    pub line: u32,
    pub column: u32,
    /// `error` or `notice`.
    pub severity: String,
    pub field_path: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One step of a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    pub source: String,
    pub commit: String,
    pub at: Timestamp,
    pub step: String,
    /// As `Pod demo/web-5d9c-x7k2p`; empty for the release as a whole.
    pub subject: String,
    pub message: String,
}

/// A list of one kind, as the API sends it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct List<T> {
    pub items: Vec<T>,
}

/// The body of a rollback.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackBody {
    /// The first characters of the commit whose content shall be back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackAnswer {
    pub api_version: String,
    pub kind: String,
    pub source: String,
    pub branch: String,
    /// What the new commit takes back, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reverted: Vec<String>,
    pub to: String,
    /// The new commit, already pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Why there is none yet; it is pushed when it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed_by: Option<String>,
}

/// The body of a question for what a commit would do.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanBody {
    /// A commit by its first characters, or a branch; without it, the newest commit of the source.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What a commit would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanAnswer {
    pub api_version: String,
    pub kind: String,
    pub source: String,
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// What is applied now.
    pub applied: Option<String>,
    /// `Healthy`, `Waiting`, `Failed`, `Rejected`, or `Unknown` where it takes too long to tell.
    pub outcome: String,
    /// Why it would fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What a person has to let pass first.
    pub obstacles: Vec<String>,
    /// With file, line and column; errors first said as such.
    pub problems: Vec<String>,
    pub objects: Vec<PlannedObject>,
    /// Of the workloads whose pods would differ.
    pub workloads: Vec<PlannedWorkload>,
    /// Of how many workloads, and pods of these, nothing differs.
    pub untouched_workloads: usize,
    pub untouched_pods: usize,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// `Added`, `Changed`, `Removed`, or `Orphaned` when it stays though it leaves Git.
    pub change: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// In what a changed one differs.
    pub fields: Vec<PlannedField>,
}

/// One field that differs. No value of a secret is among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedField {
    pub path: String,
    /// As JSON, cut when it is long; absent where there is none.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What becomes of a workload's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedWorkload {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub pods_before: usize,
    pub pods_after: usize,
    /// Those that go on untouched.
    pub pods_kept: usize,
    /// How many start and stop, by node.
    pub started: BTreeMap<String, usize>,
    pub stopped: BTreeMap<String, usize>,
    /// Those for which there is no place.
    pub pods_unplaced: usize,
    /// Why, or what the workload waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// The answer to a sync: the sources that were woken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncAnswer {
    pub api_version: String,
    pub kind: String,
    pub sources: Vec<String>,
}

/// A token with which agents join. It is shown once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenAnswer {
    pub api_version: String,
    pub kind: String,
    /// To revoke it by. An earlier server does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub token: String,
}

/// What is asked of a new token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinTokenBody {
    /// For ever, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for_seconds: Option<u64>,
}

/// What may be told of the tokens that there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenList {
    pub api_version: String,
    pub kind: String,
    pub items: Vec<JoinTokenItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinTokenItem {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Never, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// How far a node is on the way to be drained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainAnswer {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    /// Since when; absent when nobody drains it (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_since: Option<Timestamp>,
    /// What is still to leave, by namespace and name.
    pub pods: Vec<DrainingPod>,
}

/// A pod that has to leave its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainingPod {
    pub namespace: String,
    pub name: String,
    /// What it waits for, in a sentence.
    pub waits: String,
}

/// The commit that is approved, by its first characters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveBody {
    pub commit: String,
}
