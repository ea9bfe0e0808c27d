//! Jobs and cron jobs.

use std::time::Duration;

use dugout_model::{
    Completions, ConcurrencyPolicy, CronJob, JobSpec, PodFailureAction, PodFailureMatch,
    PodFailureRule, StringMap,
};

use super::deployment::{INT32_MAX, REPLICA_LIMIT, empty_template, read_template};
use super::metadata::{read_annotations, read_own_labels};
use crate::reader::{Object, Value};

/// The one condition of pods that Dugout has a meaning for in a failure policy.
const DISRUPTION: &str = "DisruptionTarget";

pub(super) fn read_job(object: &Object<'_>) -> JobSpec {
    let spec = object.field("spec").and_then(|value| value.object());
    spec.map_or_else(empty_job, |spec| read_job_spec(&spec))
}

/// Stands in where an error was told.
fn empty_job() -> JobSpec {
    JobSpec {
        completions: Completions::Count(0),
        parallelism: 0,
        backoff_limit: 0,
        active_deadline: None,
        ttl_after_finished: None,
        suspended: false,
        pod_failure_policy: Vec::new(),
        template: empty_template(),
    }
}

fn read_job_spec(spec: &Object<'_>) -> JobSpec {
    let count = |name| spec.field(name).and_then(|value| value.u32(0, INT32_MAX));
    let (completions, parallelism) = (count("completions"), read_parallelism(spec));
    let is_indexed = spec.field("completionMode").and_then(|value| value.text()) == Some("Indexed");
    let completions = match (completions, parallelism) {
        (Some(number), _) if is_indexed => Completions::Indexed(number),
        (Some(number), _) => Completions::Count(number),
        (None, Some(_)) => Completions::Any,
        (None, None) => Completions::Count(1),
    };
    let template = spec.field("template").and_then(|value| value.object());
    JobSpec {
        completions,
        parallelism: parallelism.unwrap_or(1),
        backoff_limit: count("backoffLimit").unwrap_or(6),
        active_deadline: spec.field("activeDeadlineSeconds").and_then(|value| read_span(&value)),
        ttl_after_finished: spec
            .field("ttlSecondsAfterFinished")
            .and_then(|value| read_span(&value)),
        suspended: spec.field("suspend").and_then(|value| value.boolean()).unwrap_or(false),
        pod_failure_policy: spec
            .field("podFailurePolicy")
            .and_then(|value| read_failure_policy(&value.object()?))
            .unwrap_or_default(),
        template: template.map_or_else(empty_template, |template| read_template(&template)),
    }
}

fn read_parallelism(spec: &Object<'_>) -> Option<u32> {
    let value = spec.field("parallelism")?;
    let parallelism = value.u32(0, INT32_MAX)?;
    if parallelism > REPLICA_LIMIT {
        value.fail(format!("must be between 0 and {REPLICA_LIMIT}, not {parallelism}"));
    }
    Some(parallelism)
}

fn read_span(value: &Value<'_>) -> Option<Duration> {
    let seconds = value.int(0, i64::MAX)?;
    Some(Duration::from_secs(seconds.unsigned_abs()))
}

fn read_failure_policy(policy: &Object<'_>) -> Option<Vec<PodFailureRule>> {
    let rules = policy.field("rules")?;
    Some(rules.each(|rule| read_failure_rule(&rule.object()?)))
}

fn read_failure_rule(rule: &Object<'_>) -> Option<PodFailureRule> {
    let value = rule.field("action")?;
    let action = match value.text()? {
        "FailJob" => PodFailureAction::FailJob,
        "Ignore" => PodFailureAction::Ignore,
        "Count" => PodFailureAction::Count,
        _ => {
            value.fail_with(
                "FailIndex: Dugout does not count failures by index yet",
                "use FailJob, Ignore or Count",
            );
            return None;
        }
    };
    let codes = rule.field("onExitCodes").and_then(|value| read_exit_codes(&value.object()?));
    let conditions = rule.field("onPodConditions");
    if let Some(conditions) = &conditions {
        conditions.each(|condition| {
            check_condition(&condition.object()?);
            Some(())
        });
    }
    let when = codes.or(conditions.map(|_| PodFailureMatch::Disrupted))?;
    Some(PodFailureRule { action, when })
}

fn read_exit_codes(requirement: &Object<'_>) -> Option<PodFailureMatch> {
    let container =
        requirement.field("containerName").and_then(|value| value.text()).map(str::to_owned);
    let codes = requirement.field("values")?.each(|value| value.int(0, INT32_MAX.into()));
    Some(match requirement.field("operator")?.text()? {
        "In" => PodFailureMatch::ExitCodeIn { container, codes },
        _ => PodFailureMatch::ExitCodeNotIn { container, codes },
    })
}

/// The condition of a pod that was moved away, and did not fail by itself.
fn check_condition(condition: &Object<'_>) {
    if let Some(value) = condition.field("type")
        && value.text().is_some_and(|text| text != DISRUPTION)
    {
        let message = format!("must be {DISRUPTION}: pods have no other condition to fail with");
        value.fail_with(message, "remove the rule, or use onExitCodes");
    }
    if let Some(value) = condition.field("status")
        && value.text().is_some_and(|text| text != "True")
    {
        value.fail_with("must be True: pods that fail have the condition or not", "remove it");
    }
}

pub(super) fn read_cron_job(object: &Object<'_>) -> CronJob {
    let spec = object.field("spec").and_then(|value| value.object());
    spec.map_or_else(empty_cron_job, |spec| read_cron_job_spec(&spec))
}

/// Stands in where an error was told.
fn empty_cron_job() -> CronJob {
    CronJob {
        schedule: String::new(),
        time_zone: None,
        concurrency: ConcurrencyPolicy::Allow,
        starting_deadline: None,
        suspended: false,
        successful_history_limit: 0,
        failed_history_limit: 0,
        job_labels: StringMap::new(),
        job_annotations: StringMap::new(),
        job: empty_job(),
    }
}

fn read_cron_job_spec(spec: &Object<'_>) -> CronJob {
    let words = [
        ("Allow", ConcurrencyPolicy::Allow),
        ("Forbid", ConcurrencyPolicy::Forbid),
        ("Replace", ConcurrencyPolicy::Replace),
    ];
    let count = |name, default| {
        spec.field(name).and_then(|value| value.u32(0, INT32_MAX)).unwrap_or(default)
    };
    let text = |name| spec.field(name).and_then(|value| value.text()).map(str::to_owned);
    let template = spec.field("jobTemplate").and_then(|value| value.object());
    let metadata = template
        .as_ref()
        .and_then(|template| template.field("metadata"))
        .and_then(|value| value.object());
    let map = |name, read: fn(&Value<'_>) -> StringMap| {
        let value = metadata.as_ref().and_then(|metadata| metadata.field(name));
        value.map(|value| read(&value)).unwrap_or_default()
    };
    let job = template.as_ref().and_then(|template| template.field("spec"));
    CronJob {
        schedule: text("schedule").unwrap_or_default(),
        time_zone: text("timeZone"),
        concurrency: spec
            .field("concurrencyPolicy")
            .and_then(|value| value.one_of(&words))
            .unwrap_or(ConcurrencyPolicy::Allow),
        starting_deadline: spec
            .field("startingDeadlineSeconds")
            .and_then(|value| read_span(&value)),
        suspended: spec.field("suspend").and_then(|value| value.boolean()).unwrap_or(false),
        successful_history_limit: count("successfulJobsHistoryLimit", 3),
        failed_history_limit: count("failedJobsHistoryLimit", 1),
        job_labels: map("labels", read_own_labels),
        job_annotations: map("annotations", read_annotations),
        job: job
            .and_then(|value| value.object())
            .map_or_else(empty_job, |spec| read_job_spec(&spec)),
    }
}
