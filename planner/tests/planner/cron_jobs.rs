//! Cron jobs: a run for each time, none twice, and what happens when one is late. The clock of these
//! tests begins forty seconds into a minute.

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn names(cluster: &Cluster) -> Vec<String> {
    let mut jobs: Vec<_> = cluster.world.jobs.values().collect();
    jobs.sort_by_key(|job| job.scheduled_at);
    jobs.into_iter().map(|job| job.name.to_string()).collect()
}

/// The minute of the clock, as it is in the names of jobs.
fn minute(cluster: &Cluster) -> i64 {
    cluster.now.as_micros() / 60_000_000
}

fn made(cluster: &Cluster) -> usize {
    cluster.events_with("SuccessfulCreate").len()
}

#[test]
fn each_minute_has_its_run_and_old_ones_are_forgotten() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![cron_job("job:exits", |_| {})]);
    cluster.run_in_steps(2, seconds(1));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "no release waits for the clock");
    cluster.run_in_steps(17, seconds(1));
    assert_eq!(made(&cluster), 0);
    cluster.run_in_steps(2, seconds(1));
    assert_eq!(names(&cluster), [format!("tick-{}", minute(&cluster))]);
    cluster.run_in_steps(5 * 60 + 9, seconds(1));
    assert_eq!(made(&cluster), 6);
    let now = minute(&cluster);
    let expected: Vec<String> = (now - 2..=now).map(|minute| format!("tick-{minute}")).collect();
    assert_eq!(names(&cluster), expected, "three that completed are kept");
    assert_eq!(cluster.world.pods.len(), 3);
    let schedule = cluster.world.schedules.values().next().expect("a schedule");
    assert!(schedule.last_succeeded_at > Some(schedule.last_scheduled_at));

    cluster.commit_allowing(1, vec![]);
    cluster.run_for(seconds(5));
    assert!(cluster.world.jobs.is_empty() && cluster.world.schedules.is_empty());
    assert!(cluster.world.pods.is_empty() && cluster.world.replica_sets.is_empty());
}

#[test]
fn nothing_starts_twice_for_one_time_though_its_run_is_forgotten() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![cron_job("job:exits", |spec| spec.successful_history_limit = 0)]);
    cluster.run_in_steps(30, seconds(1));
    assert_eq!((made(&cluster), cluster.world.jobs.len()), (1, 0));
    cluster.restart_engine();
    cluster.run_in_steps(10, seconds(1));
    assert_eq!(made(&cluster), 1);
}

#[test]
fn a_run_that_is_not_done_has_company_holds_the_next_back_or_makes_room() {
    let running = |cluster: &Cluster| {
        let jobs = cluster.world.jobs.values();
        jobs.filter(|job| job.state == JobState::Running).count()
    };
    for (policy, expected) in [
        (ConcurrencyPolicy::Allow, (3, 3)),
        (ConcurrencyPolicy::Forbid, (1, 1)),
        (ConcurrencyPolicy::Replace, (3, 1)),
    ] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(vec![cron_job("job:1", |spec| spec.concurrency = policy)]);
        cluster.run_in_steps(150, seconds(1));
        assert_eq!((made(&cluster), running(&cluster)), expected, "{policy:?}");
        assert_eq!(cluster.active().len(), expected.1, "{policy:?}");
    }
}

#[test]
fn the_last_missed_time_is_made_good_unless_it_is_too_late() {
    for (deadline, expected) in [(None, 1), (Some(seconds(30)), 1), (Some(seconds(10)), 0)] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(vec![cron_job("job:1", |spec| spec.starting_deadline = deadline)]);
        // The control plane was away for two hours, and returns twenty seconds into a minute.
        cluster.now = cluster.now + seconds(2 * 3_600 + 40);
        cluster.restart_engine();
        assert_eq!(made(&cluster), expected, "{deadline:?}");
        if expected > 0 {
            assert_eq!(names(&cluster), [format!("tick-{}", minute(&cluster))]);
        }
    }
}

#[test]
fn a_suspended_schedule_starts_nothing_and_what_runs_goes_on() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![cron_job("job:1", |_| {})]);
    cluster.run_in_steps(30, seconds(1));
    cluster.commit(vec![cron_job("job:1", |spec| spec.suspended = true)]);
    cluster.run_in_steps(120, seconds(1));
    assert_eq!((made(&cluster), cluster.active().len()), (1, 1));
}

#[test]
fn a_run_keeps_what_it_began_with_and_failed_ones_have_a_limit_of_their_own() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.agent("a").exits_with = 1;
    let failing = |spec: &mut CronJob| spec.job.backoff_limit = 0;
    cluster.commit(vec![cron_job("job:exits", failing)]);
    cluster.run_in_steps(30, seconds(1));
    let first = names(&cluster);
    cluster.commit(vec![cron_job("other:exits", failing)]);
    cluster.run_in_steps(20, seconds(1));
    assert_eq!(names(&cluster), first);
    let job = cluster.world.jobs.values().next().expect("a job");
    assert_eq!(job.spec.template.containers[0].image, "job:exits");
    cluster.run_in_steps(39, seconds(1));
    assert_eq!(cluster.world.jobs.len(), 1, "one that failed is kept");
    assert_ne!(names(&cluster), first);
}

#[test]
fn a_run_goes_with_its_time_to_live_and_its_success_is_remembered() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![cron_job("job:exits", |spec| {
        spec.job.ttl_after_finished = Some(seconds(0));
    })]);
    cluster.run_in_steps(40, seconds(1));
    assert_eq!(made(&cluster), 1);
    assert!(cluster.world.jobs.is_empty() && cluster.world.pods.is_empty());
    let schedule = cluster.world.schedules.values().next().expect("a schedule");
    assert!(schedule.last_succeeded_at.is_some());
}

#[test]
fn a_run_that_was_held_back_starts_when_the_one_before_is_done_unless_it_is_too_late() {
    for (deadline, expected) in [(None, 2), (Some(seconds(10)), 1)] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(vec![cron_job("job:exits", |spec| {
            spec.concurrency = ConcurrencyPolicy::Forbid;
            spec.starting_deadline = deadline;
            // Three seconds for each: a quarter of a minute more than there is.
            spec.job.completions = Completions::Count(25);
        })]);
        cluster.run_in_steps(130, seconds(1));
        assert_eq!(made(&cluster), expected, "{deadline:?}");
    }
}

/// Found by a simulated cluster: the check refused the run, and with it every turn until the rollout ended.
#[test]
fn a_schedule_that_is_in_place_keeps_its_times_while_what_it_waited_for_rolls() {
    let tick = |image| {
        let none_kept = |spec: &mut CronJob| spec.successful_history_limit = 0;
        vec![web(1, image), after(cron_job("job:exits", none_kept), [(Kind::Deployment, "web")])]
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.on_failure(OnFailure::Hold);
    cluster.commit(tick("web:1"));
    cluster.run_in_steps(70, seconds(1));
    assert_eq!(made(&cluster), 1);
    assert!(cluster.world.jobs.is_empty(), "no earlier run is in the books");
    let rolling = cluster.commit(tick("web:unready"));
    cluster.run_in_steps(20, seconds(1));
    assert_eq!(cluster.verdict(&rolling), Verdict::Rolling);
    assert_eq!(made(&cluster), 2);
}

/// Found by a simulated cluster: what is left of the schedule gives its identity on, and its last time was run
/// a second time.
#[test]
fn a_schedule_that_was_gone_and_returns_begins_then_though_something_of_it_is_left() {
    let tick = || vec![web(1, "web:1"), cron_job("job:runs", |_| {})];
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(tick());
    cluster.run_in_steps(30, seconds(1));
    assert_eq!(made(&cluster), 1);
    let before = cluster.world.schedules.keys().next().copied();
    cluster.agent("a").listens = false;
    cluster.commit_allowing(1, vec![web(1, "web:1")]);
    cluster.run_in_steps(60, seconds(1));
    assert!(cluster.world.jobs.is_empty() && cluster.world.schedules.is_empty());
    assert_eq!(cluster.world.pods.len(), 2, "the node still has the run");
    cluster.commit(tick());
    cluster.run_in_steps(20, seconds(1));
    assert_eq!(cluster.world.schedules.keys().next().copied(), before, "it goes by its identity");
    assert_eq!(made(&cluster), 1);
    cluster.run_in_steps(40, seconds(1));
    assert_eq!(made(&cluster), 2);
}
