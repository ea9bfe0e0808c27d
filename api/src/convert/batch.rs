//! Jobs and cron jobs, with the counts and conditions of `batch/v1`.

use std::time::Duration;

use dugout_model::{
    CONTROLLER_UID_LABEL, Completions, ConcurrencyPolicy, CronJob, Job, JobSpec, JobState,
    PodFailureAction, PodFailureMatch, PodFailureRule, RolloutState, StoredObject, Timestamp,
};
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::View;
use super::meta::{int, list, of_run, owner, seconds, some_text, strings, time, version};
use super::template::declared;

impl View<'_> {
    /// A Job that Git declares, as far as its run is.
    pub(super) fn declared_job(
        self,
        mut metadata: ObjectMeta,
        object: &StoredObject,
        spec: &JobSpec,
    ) -> batch::Job {
        let run = self.world.jobs_of(object.uid).find(|job| job.spec.asks_same_work(spec));
        if let Some(run) = run {
            metadata.uid = Some(run.uid.to_string());
        }
        batch::Job {
            spec: Some(job_spec(spec, run.map(AsRef::as_ref))),
            status: Some(match run {
                Some(run) => self.job_status(run),
                None => self.status_before_its_run(object),
            }),
            metadata,
        }
    }

    /// A run of a CronJob.
    pub fn job(self, job: &Job) -> batch::Job {
        let owning = self.world.workload_by_uid(job.owner);
        batch::Job {
            metadata: ObjectMeta {
                annotations: Some(of_run(job)),
                creation_timestamp: time(job.created_at),
                generation: Some(1),
                labels: strings(&job.labels),
                name: Some(job.name.to_string()),
                namespace: some_text(job.namespace.as_str()),
                owner_references: owning.map(|object| {
                    let name = &object.declared.key.name;
                    vec![owner("batch/v1", "CronJob", name, object.uid.to_string())]
                }),
                resource_version: version(self),
                uid: Some(job.uid.to_string()),
                ..ObjectMeta::default()
            },
            spec: Some(job_spec(&job.spec, Some(job))),
            status: Some(self.job_status(job)),
        }
    }

    fn job_status(self, job: &Job) -> batch::JobStatus {
        let pods = self.world.job_pod_counts(job);
        let is_indexed = matches!(job.spec.completions, Completions::Indexed(_));
        batch::JobStatus {
            active: Some(int(pods.active)),
            completed_indexes: is_indexed.then(|| job.tally.completed_index_ranges()),
            completion_time: match job.state {
                JobState::Complete { at } => time(at),
                _ => None,
            },
            conditions: list(conditions(job)),
            failed: Some(int(job.tally.failed)),
            ready: Some(int(pods.ready)),
            start_time: job.started_at.and_then(time),
            succeeded: Some(int(job.tally.succeeded)),
            terminating: Some(int(pods.terminating)),
            ..batch::JobStatus::default()
        }
    }

    /// Of a Job whose run has yet to begin. `Waiting` is a condition of Dugout's own.
    fn status_before_its_run(self, object: &StoredObject) -> batch::JobStatus {
        let rollout = self.world.rollouts.get(&object.uid);
        let waiting = rollout.and_then(|rollout| match &rollout.state {
            RolloutState::Waiting { message } => {
                Some(condition("Waiting", rollout.progressed_at, "Waiting", message.clone()))
            }
            _ => None,
        });
        batch::JobStatus {
            conditions: list(waiting.into_iter().collect()),
            ..batch::JobStatus::default()
        }
    }

    pub(super) fn cron_job(
        self,
        metadata: ObjectMeta,
        object: &StoredObject,
        spec: &CronJob,
    ) -> batch::CronJob {
        let schedule = self.world.schedules.get(&object.uid);
        let active = self.world.jobs_of(object.uid).filter(|job| !job.is_finished());
        batch::CronJob {
            metadata,
            spec: cron_job_spec(spec),
            status: Some(batch::CronJobStatus {
                active: list(active.map(|job| reference(job)).collect()),
                last_schedule_time: schedule.and_then(|known| time(known.last_scheduled_at)),
                last_successful_time: schedule.and_then(|known| time(known.last_succeeded_at?)),
            }),
        }
    }
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: Some(job.name.to_string()),
        namespace: some_text(job.namespace.as_str()),
        uid: Some(job.uid.to_string()),
        ..ObjectReference::default()
    }
}

fn conditions(job: &Job) -> Vec<batch::JobCondition> {
    let (kind, at, reason, message) = match &job.state {
        JobState::Running => return Vec::new(),
        JobState::Suspended => {
            ("Suspended", job.created_at, "JobSuspended", "Job suspended".to_owned())
        }
        JobState::Complete { at } => (
            "Complete",
            *at,
            "CompletionsReached",
            "Reached expected number of succeeded pods".to_owned(),
        ),
        JobState::Failed { at, reason, message } => {
            ("Failed", *at, reason.as_str(), message.clone())
        }
    };
    vec![condition(kind, at, reason, message)]
}

fn condition(kind: &str, at: Timestamp, reason: &str, message: String) -> batch::JobCondition {
    batch::JobCondition {
        last_probe_time: time(at),
        last_transition_time: time(at),
        message: Some(message),
        reason: Some(reason.to_owned()),
        status: "True".to_owned(),
        type_: kind.to_owned(),
    }
}

fn job_spec(spec: &JobSpec, run: Option<&Job>) -> batch::JobSpec {
    let (completions, mode) = match spec.completions {
        Completions::Any => (None, "NonIndexed"),
        Completions::Count(number) => (Some(number), "NonIndexed"),
        Completions::Indexed(number) => (Some(number), "Indexed"),
    };
    batch::JobSpec {
        active_deadline_seconds: spec.active_deadline.map(seconds),
        backoff_limit: Some(int(spec.backoff_limit)),
        completion_mode: Some(mode.to_owned()),
        completions: completions.map(int),
        manual_selector: None,
        parallelism: Some(int(spec.parallelism)),
        pod_failure_policy: failure_policy(&spec.pod_failure_policy),
        pod_replacement_policy: Some("TerminatingOrFailed".to_owned()),
        selector: run.map(|run| LabelSelector {
            match_expressions: None,
            match_labels: Some([(CONTROLLER_UID_LABEL.to_owned(), run.uid.to_string())].into()),
        }),
        suspend: Some(spec.suspended),
        template: declared(&spec.template),
        ttl_seconds_after_finished: spec.ttl_after_finished.map(whole_seconds),
        ..batch::JobSpec::default()
    }
}

fn whole_seconds(span: Duration) -> i32 {
    int(span.as_secs())
}

fn failure_policy(rules: &[PodFailureRule]) -> Option<batch::PodFailurePolicy> {
    let rules = rules.iter().map(failure_rule).collect();
    list(rules).map(|rules| batch::PodFailurePolicy { rules })
}

fn failure_rule(rule: &PodFailureRule) -> batch::PodFailurePolicyRule {
    let action = match rule.action {
        PodFailureAction::FailJob => "FailJob",
        PodFailureAction::Ignore => "Ignore",
        PodFailureAction::Count => "Count",
    };
    let exit_codes = |operator: &str, container: &Option<String>, codes: &[i64]| {
        batch::PodFailurePolicyOnExitCodesRequirement {
            container_name: container.clone(),
            operator: operator.to_owned(),
            values: codes.iter().map(|code| int(*code)).collect(),
        }
    };
    batch::PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes: match &rule.when {
            PodFailureMatch::ExitCodeIn { container, codes } => {
                Some(exit_codes("In", container, codes))
            }
            PodFailureMatch::ExitCodeNotIn { container, codes } => {
                Some(exit_codes("NotIn", container, codes))
            }
            PodFailureMatch::Disrupted => None,
        },
        on_pod_conditions: (rule.when == PodFailureMatch::Disrupted).then(|| {
            vec![batch::PodFailurePolicyOnPodConditionsPattern {
                status: Some("True".to_owned()),
                type_: "DisruptionTarget".to_owned(),
            }]
        }),
    }
}

fn cron_job_spec(spec: &CronJob) -> batch::CronJobSpec {
    let policy = match spec.concurrency {
        ConcurrencyPolicy::Allow => "Allow",
        ConcurrencyPolicy::Forbid => "Forbid",
        ConcurrencyPolicy::Replace => "Replace",
    };
    batch::CronJobSpec {
        concurrency_policy: Some(policy.to_owned()),
        failed_jobs_history_limit: Some(int(spec.failed_history_limit)),
        job_template: batch::JobTemplateSpec {
            metadata: Some(ObjectMeta {
                annotations: strings(&spec.job_annotations),
                labels: strings(&spec.job_labels),
                ..ObjectMeta::default()
            }),
            spec: Some(job_spec(&spec.job, None)),
        },
        schedule: spec.schedule.clone(),
        starting_deadline_seconds: spec.starting_deadline.map(seconds),
        successful_jobs_history_limit: Some(int(spec.successful_history_limit)),
        suspend: Some(spec.suspended),
        time_zone: spec.time_zone.clone(),
    }
}
