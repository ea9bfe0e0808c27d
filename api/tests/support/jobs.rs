//! Jobs and cron jobs with their runs.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;

use super::{SHA, START, deployment, map, object, pod, pod_status, replica_set, uuid, world};

/// The same with an indexed Job of Git, a pod of it that ended, and a CronJob with two runs.
pub fn world_of_jobs() -> World {
    let mut world = world();
    let (declared, nightly) = (job_spec(), cron_job());
    let running = Job {
        uid: JobUid(uuid(501)),
        name: ObjectName::new("nightly-29455383"),
        owner: ObjectUid(uuid(401)),
        labels: map(&[("app", "nightly")]),
        scheduled_at: Some(START),
        spec: Arc::new(nightly.job.clone()),
        state: JobState::Running,
        tally: JobTally::default(),
        ..run(500)
    };
    let failed = Job {
        uid: JobUid(uuid(502)),
        name: ObjectName::new("nightly-29455323"),
        scheduled_at: Some(START - Duration::from_secs(3600)),
        tally: JobTally { failed: 1, ..JobTally::default() },
        state: JobState::Failed {
            at: START + Duration::from_secs(8),
            reason: JobFailure::DeadlineExceeded,
            message: "it was active longer than the 8 s it may be".to_owned(),
        },
        ..running.clone()
    };
    let schedule = Schedule {
        cron_job: ObjectUid(uuid(401)),
        last_scheduled_at: START,
        last_succeeded_at: Some(START - Duration::from_secs(7200)),
    };
    let mut template = (*replica_set().template).clone();
    template.labels.insert(CONTROLLER_UID_LABEL.to_owned(), uuid(500).to_string());
    let set = ReplicaSet {
        uid: ReplicaSetUid(uuid(500)),
        name: ObjectName::new("migrate"),
        owner: ObjectUid(uuid(400)),
        template: Arc::new(template),
        ..replica_set()
    };
    for change in [
        Change::PutObject(Arc::new(object(400, "migrate", ObjectSpec::Job(Box::new(declared))))),
        Change::PutObject(Arc::new(object(401, "nightly", ObjectSpec::CronJob(Box::new(nightly))))),
        Change::PutJob(Arc::new(run(500))),
        Change::PutJob(Arc::new(running)),
        Change::PutJob(Arc::new(failed)),
        Change::PutSchedule(Arc::new(schedule)),
        Change::PutReplicaSet(Arc::new(set)),
        Change::PutPod(Arc::new(ended_pod())),
    ] {
        world.apply(&change);
    }
    world
}

/// The pod with index 1 of the declared job.
pub fn ended_pod() -> Pod {
    let exit = ContainerExit {
        exit_code: 0,
        oom_killed: false,
        finished_at: START + Duration::from_secs(9),
    };
    let status = PodStatus {
        phase: PodPhase::Succeeded,
        ..pod_status(ContainerState::Terminated(exit), false)
    };
    let on = Placement::On { node: NodeName::new("alpha"), at: START };
    Pod {
        name: ObjectName::new("migrate-1-aaaaa"),
        replica_set: ReplicaSetUid(uuid(500)),
        identity: PodIdentity::CompletionIndex(1),
        ..pod(9, "", on, Lifecycle::Active, Seen::Known(status))
    }
}

fn job_spec() -> JobSpec {
    JobSpec {
        completions: Completions::Indexed(3),
        parallelism: 2,
        backoff_limit: 6,
        active_deadline: Some(Duration::from_secs(60)),
        ttl_after_finished: Some(Duration::from_secs(600)),
        suspended: false,
        pod_failure_policy: vec![
            PodFailureRule {
                action: PodFailureAction::FailJob,
                when: PodFailureMatch::ExitCodeIn { container: None, codes: vec![42] },
            },
            PodFailureRule { action: PodFailureAction::Ignore, when: PodFailureMatch::Disrupted },
        ],
        template: PodTemplate { restart_policy: RestartPolicy::Never, ..deployment().template },
    }
}

fn cron_job() -> CronJob {
    CronJob {
        schedule: "3 * * * *".to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        concurrency: ConcurrencyPolicy::Forbid,
        starting_deadline: Some(Duration::from_secs(120)),
        suspended: false,
        successful_history_limit: 3,
        failed_history_limit: 1,
        job_labels: map(&[("app", "nightly")]),
        job_annotations: StringMap::new(),
        job: JobSpec { completions: Completions::Count(1), parallelism: 1, ..job_spec() },
    }
}

/// The run of the declared job, which is complete.
fn run(number: u128) -> Job {
    Job {
        uid: JobUid(uuid(number)),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new("migrate"),
        labels: map(&[("app", "migrate")]),
        annotations: StringMap::new(),
        owner: ObjectUid(uuid(400)),
        source: SourceName::new("default"),
        sha: CommitSha::new(SHA),
        scheduled_at: None,
        created_at: START,
        started_at: Some(START),
        spec: Arc::new(job_spec()),
        state: JobState::Complete { at: START + Duration::from_secs(12) },
        tally: JobTally {
            succeeded: 3,
            failed: 1,
            completed_indexes: [0, 1, 2].into(),
            failed_in_a_row: 0,
            last_failed_at: Some(START),
        },
    }
}
