//! Workloads: what a team asks to have run, each kind holding exactly what Dugout acts on, with the
//! defaults of the API server filled in.

use std::time::Duration;

use crate::{ClaimRetention, ClaimTemplate, LabelSelector, PodTemplate, StringMap};

/// An `apps/v1` Deployment, defaults filled in as the API server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub replicas: u32,
    pub selector: LabelSelector,
    pub template: PodTemplate,
    pub strategy: Strategy,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: Duration,
    /// How long a rollout may make no progress before it counts as failed.
    pub progress_deadline: Duration,
    /// How many old replica sets are kept for a quick way back.
    pub revision_history_limit: u32,
    pub paused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All old pods are gone before the first new one starts.
    Recreate,
    RollingUpdate {
        max_surge: IntOrPercent,
        max_unavailable: IntOrPercent,
    },
}

/// An absolute number or a share of the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    Int(u32),
    Percent(u32),
}

impl IntOrPercent {
    /// Of a number of pods; a share is rounded up.
    pub fn rounded_up(self, pods: u32) -> u32 {
        self.of(pods, 99)
    }

    /// The same, rounded down.
    pub fn rounded_down(self, pods: u32) -> u32 {
        self.of(pods, 0)
    }

    /// `round` is 0 to round a share down and 99 to round it up.
    fn of(self, pods: u32, round: u64) -> u32 {
        match self {
            IntOrPercent::Int(number) => number,
            IntOrPercent::Percent(percent) => {
                let hundredths = u64::from(pods) * u64::from(percent);
                u32::try_from((hundredths + round) / 100).unwrap_or(u32::MAX)
            }
        }
    }
}

/// An `apps/v1` ReplicaSet or a `v1` ReplicationController.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSetSpec {
    pub replicas: u32,
    pub selector: LabelSelector,
    pub template: PodTemplate,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: Duration,
}

/// An `apps/v1` StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatefulSet {
    pub replicas: u32,
    pub selector: LabelSelector,
    pub template: PodTemplate,
    /// The headless service whose domain its pods' names are in.
    pub service_name: String,
    /// The ordinal of its first pod.
    pub first_ordinal: u32,
    pub pod_management: PodManagement,
    pub update: StatefulSetUpdate,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: Duration,
    /// How many old templates are kept for a quick way back.
    pub revision_history_limit: u32,
    /// The claims that each of its pods has, also as volumes of its template.
    pub claim_templates: Box<[ClaimTemplate]>,
    pub claim_retention: ClaimRetention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodManagement {
    /// One after another: each pod waits until those with lower ordinals are available, and the
    /// highest leaves first.
    OrderedReady,
    Parallel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatefulSetUpdate {
    /// A pod takes the new template when a person deletes it.
    OnDelete,
    /// From the highest ordinal down to the partition.
    RollingUpdate { partition: u32, max_unavailable: IntOrPercent },
}

/// An `apps/v1` DaemonSet: one pod on each node that its template admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSet {
    pub selector: LabelSelector,
    pub template: PodTemplate,
    pub update: DaemonSetUpdate,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: Duration,
    /// How many old templates are kept for a quick way back.
    pub revision_history_limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonSetUpdate {
    /// A pod takes the new template when a person deletes it.
    OnDelete,
    RollingUpdate {
        max_surge: IntOrPercent,
        max_unavailable: IntOrPercent,
    },
}

/// A `batch/v1` Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    pub completions: Completions,
    /// How many of its pods may run at a time.
    pub parallelism: u32,
    /// How many pods may fail before the job does.
    pub backoff_limit: u32,
    /// How long it may take in all.
    pub active_deadline: Option<Duration>,
    /// How long its pods are kept after it ended; for ever without it.
    pub ttl_after_finished: Option<Duration>,
    pub suspended: bool,
    /// The first rule that matches a failed pod decides.
    pub pod_failure_policy: Vec<PodFailureRule>,
    pub template: PodTemplate,
}

impl JobSpec {
    /// Whether both ask for the same work: what may not change while a job exists. How it is done
    /// (how many pods at a time, how long) may.
    pub fn asks_same_work(&self, other: &JobSpec) -> bool {
        self.template == other.template
            && self.completions == other.completions
            && self.pod_failure_policy == other.pod_failure_policy
    }
}

/// When a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completions {
    /// One pod succeeded; those beside it finish, too.
    Any,
    /// This many pods succeeded.
    Count(u32),
    /// Each index below this number had a pod that succeeded.
    Indexed(u32),
}

/// A rule of a job's `podFailurePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailureRule {
    pub action: PodFailureAction,
    pub when: PodFailureMatch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodFailureAction {
    /// The job fails at once.
    FailJob,
    /// Another pod takes its place, and the back-off limit does not count it.
    Ignore,
    /// As without a rule.
    Count,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFailureMatch {
    ExitCodeIn {
        /// Any container without a name.
        container: Option<String>,
        codes: Vec<i64>,
    },
    /// A container failed with none of these.
    ExitCodeNotIn { container: Option<String>, codes: Vec<i64> },
    /// The pod was moved away from its node, and did not fail by itself.
    Disrupted,
}

/// A `batch/v1` CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJob {
    /// Five fields or a name such as `@daily`, found valid when it was read.
    pub schedule: String,
    /// A name of the IANA time zone database; UTC without one.
    pub time_zone: Option<String>,
    pub concurrency: ConcurrencyPolicy,
    /// A start that is later than this is left out.
    pub starting_deadline: Option<Duration>,
    pub suspended: bool,
    pub successful_history_limit: u32,
    pub failed_history_limit: u32,
    pub job_labels: StringMap,
    pub job_annotations: StringMap,
    pub job: JobSpec,
}

/// What happens when it is time for a job and the one before still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    Allow,
    Forbid,
    Replace,
}
