//! The stored form of workloads as they were declared.

use std::time::Duration;

use dugout_model::{
    ClaimRetention, ClaimTemplate, Completions, ConcurrencyPolicy, CronJob, DaemonSet,
    DaemonSetUpdate, Deployment, IntOrPercent, JobSpec, LabelSelector, PodFailureAction,
    PodFailureMatch, PodFailureRule, PodManagement, PodTemplate, ReplicaSetSpec, StatefulSet,
    StatefulSetUpdate, Strategy, StringMap,
};

use super::mirror::mirror;
use super::storage::ClaimRetentionDocument;

mirror! {
    struct Deployment as DeploymentDocument {
        replicas: u32,
        selector: LabelSelector,
        template: PodTemplate,
        strategy: Strategy,
        min_ready: Duration,
        progress_deadline: Duration,
        revision_history_limit: u32,
        paused: bool,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Strategy as StrategyDocument {
        Recreate,
        RollingUpdate { max_surge: IntOrPercent, max_unavailable: IntOrPercent },
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum IntOrPercent as IntOrPercentDocument { Int(number: u32), Percent(share: u32) }
}

mirror! {
    struct ReplicaSetSpec as ReplicaSetSpecDocument {
        replicas: u32,
        selector: LabelSelector,
        template: PodTemplate,
        min_ready: Duration,
    }
}

mirror! {
    struct StatefulSet as StatefulSetDocument {
        replicas: u32,
        selector: LabelSelector,
        template: PodTemplate,
        service_name: String,
        first_ordinal: u32,
        pod_management: PodManagement,
        update: StatefulSetUpdate,
        min_ready: Duration,
        revision_history_limit: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claim_templates: Box<[ClaimTemplate]>,
        #[serde(default, skip_serializing_if = "ClaimRetentionDocument::is_default")]
        claim_retention: ClaimRetention,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PodManagement as PodManagementDocument { OrderedReady, Parallel }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum StatefulSetUpdate as StatefulSetUpdateDocument {
        OnDelete,
        RollingUpdate { partition: u32, max_unavailable: IntOrPercent },
    }
}

mirror! {
    struct DaemonSet as DaemonSetDocument {
        selector: LabelSelector,
        template: PodTemplate,
        update: DaemonSetUpdate,
        min_ready: Duration,
        revision_history_limit: u32,
    }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum DaemonSetUpdate as DaemonSetUpdateDocument {
        OnDelete,
        RollingUpdate { max_surge: IntOrPercent, max_unavailable: IntOrPercent },
    }
}

mirror! {
    struct JobSpec as JobSpecDocument {
        completions: Completions,
        parallelism: u32,
        backoff_limit: u32,
        active_deadline: Option<Duration>,
        ttl_after_finished: Option<Duration>,
        suspended: bool,
        pod_failure_policy: Vec<PodFailureRule>,
        template: PodTemplate,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum Completions as CompletionsDocument { Any, Count(number: u32), Indexed(number: u32) }
}

mirror! {
    struct PodFailureRule as PodFailureRuleDocument {
        action: PodFailureAction,
        when: PodFailureMatch,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum PodFailureAction as PodFailureActionDocument { FailJob, Ignore, Count }
}

mirror! {
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum PodFailureMatch as PodFailureMatchDocument {
        ExitCodeIn { container: Option<String>, codes: Vec<i64> },
        ExitCodeNotIn { container: Option<String>, codes: Vec<i64> },
        Disrupted,
    }
}

mirror! {
    struct CronJob as CronJobDocument {
        schedule: String,
        time_zone: Option<String>,
        concurrency: ConcurrencyPolicy,
        starting_deadline: Option<Duration>,
        suspended: bool,
        successful_history_limit: u32,
        failed_history_limit: u32,
        job_labels: StringMap,
        job_annotations: StringMap,
        job: JobSpec,
    }
}

mirror! {
    #[serde(rename_all = "snake_case")]
    enum ConcurrencyPolicy as ConcurrencyPolicyDocument { Allow, Forbid, Replace }
}
