//! Jobs and cron jobs.

use super::host_ports::note_spread;
use super::pod::{check_restart_policy, note_pods};
use crate::decode::Spread;
use crate::validate::{Context, View};

/// The longest name whose jobs still have names of 63 characters.
const CRON_JOB_NAME_LIMIT: usize = 52;

/// The most completions or parallel pods of a job whose pods have indexes.
const INDEX_LIMIT: i64 = 100_000;

pub(crate) fn job(spec: &View<'_>, context: &mut Context) {
    spec.within("template", |template| {
        check_restart_policy(template, "Job", &["Never", "OnFailure"]);
        note_pods(template, context);
        note_spread(context, Spread::UntilTheEnd);
        if spec.has("podFailurePolicy") {
            template.within("spec", |pod| {
                if pod.text("restartPolicy") == Some("OnFailure") {
                    pod.fail_at(
                        "restartPolicy",
                        "must be Never with podFailurePolicy",
                        "a container that is started again does not fail its pod",
                    );
                }
            });
        }
    });
    check_selector(spec);
    check_indexed(spec);
    if spec.has("podFailurePolicy")
        && spec.text("podReplacementPolicy") == Some("TerminatingOrFailed")
    {
        spec.fail_at("podReplacementPolicy", "must be Failed with podFailurePolicy", "remove it");
    }
}

/// A job's selector is made with it; a written one must be meant.
fn check_selector(spec: &View<'_>) {
    if spec.is_true("manualSelector") {
        match spec.has("selector") {
            true => super::workload::check_selector(spec),
            false => spec.fail_at("selector", "is required with manualSelector: true", "add it"),
        }
    } else if spec.is_filled("selector") {
        spec.fail_at("selector", "is made by Kubernetes", "remove it, or set manualSelector: true");
    }
}

fn check_indexed(spec: &View<'_>) {
    let indexed = spec.text("completionMode") == Some("Indexed");
    let completions = spec.int("completions");
    if indexed && !spec.has("completions") {
        spec.fail_at(
            "completions",
            "is required with completionMode: Indexed",
            "write how many indexes there are",
        );
    }
    if indexed {
        for name in ["completions", "parallelism"] {
            if spec.int(name).is_some_and(|number| number > INDEX_LIMIT) {
                let message = format!("must be at most {INDEX_LIMIT} with completionMode: Indexed");
                spec.fail_at(name, &message, "make several jobs of it");
            }
        }
    }
    for name in ["backoffLimitPerIndex", "successPolicy", "maxFailedIndexes"] {
        if spec.has(name) && !indexed {
            spec.fail_at(name, "needs completionMode: Indexed", "set it, or remove this");
        }
    }
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        spec.fail_at("maxFailedIndexes", "needs backoffLimitPerIndex", "set it, or remove this");
    }
    if let (Some(most), Some(completions)) = (spec.int("maxFailedIndexes"), completions)
        && most > completions
    {
        spec.fail_at("maxFailedIndexes", "must be at most completions", "lower it");
    }
    spec.within("successPolicy", |policy| {
        policy.each("rules", |rule| {
            if !rule.has("succeededIndexes") && !rule.has("succeededCount") {
                rule.fail("must have succeededIndexes or succeededCount");
            }
        });
    });
}

pub(crate) fn failure_rule(rule: &View<'_>, _: &mut Context) {
    match (rule.has("onExitCodes"), rule.count("onPodConditions") > 0) {
        (true, true) => {
            rule.fail_with("has both onExitCodes and onPodConditions", "make two rules of it")
        }
        (false, false) => rule.fail("must have one of onExitCodes and onPodConditions"),
        _ => {}
    }
    rule.within("onExitCodes", |codes| {
        if codes.text("operator") == Some("In")
            && let Some(values) = codes.get("values")
        {
            for (index, node) in values.items().unwrap_or_default().iter().enumerate() {
                let value = values.item(index, node);
                if value.as_int() == Some(0) {
                    value.fail_with("must not be 0 with operator: In", "0 is no failure");
                }
            }
        }
    });
}

/// The longest value of a label, which the name of a job becomes.
const LABEL_LIMIT: usize = 63;

/// Labels that Kubernetes gives to the pods of a job: its name, and its uid, which no file can know.
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

pub(crate) fn named_job(job: &View<'_>, _: &mut Context) {
    let mut own = None;
    job.within("metadata", |metadata| {
        let Some(name) = metadata.get("name") else { return };
        own = name.as_text().map(str::to_owned);
        if let Some(text) = name.as_text().filter(|text| text.len() > LABEL_LIMIT) {
            let message = format!("must be at most {LABEL_LIMIT} characters, not {}", text.len());
            name.fail_with(message, "its pods are labelled with it");
        }
    });
    job.within("spec", |spec| check_own_labels(spec, own.as_deref()));
}

/// Pods whose labels say that they are another job's would never be this one's.
fn check_own_labels(spec: &View<'_>, name: Option<&str>) {
    spec.within("template", |template| {
        template.within("metadata", |metadata| {
            let Some(labels) = metadata.get("labels") else { return };
            for entry in labels.entries().unwrap_or_default() {
                let value = labels.under_key(entry);
                let is_wrong = match &*entry.key {
                    key if NAME_LABELS.contains(&key) => value.as_text() != name,
                    key => UID_LABELS.contains(&key),
                };
                if is_wrong {
                    let message = "must not be written: a job labels its pods with its own";
                    value.fail_key(message, Some("remove this label"));
                }
            }
        });
    });
}

pub(crate) fn cron_job(job: &View<'_>, _: &mut Context) {
    job.within("spec", |spec| {
        spec.within("jobTemplate", |template| {
            template.within("spec", |spec| check_own_labels(spec, None));
        });
    });
    job.within("metadata", |metadata| {
        let Some(name) = metadata.get("name") else { return };
        if name.as_text().is_some_and(|text| text.len() > CRON_JOB_NAME_LIMIT) {
            name.fail_with(
                format!("must be at most {CRON_JOB_NAME_LIMIT} characters"),
                "its jobs get 11 more",
            );
        }
    });
}
