//! Jobs: how they complete, fail, wait, and what is counted of their pods.

use dugout_model::*;
use dugout_planner::WorkloadWait;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn only_job(cluster: &Cluster) -> &Job {
    assert_eq!(cluster.world.jobs.len(), 1);
    cluster.world.jobs.values().next().expect("one job")
}

fn at_work(cluster: &Cluster) -> usize {
    cluster.active().iter().filter(|pod| !pod.is_finished()).count()
}

fn failure_of(job: &Job) -> JobFailure {
    match job.state {
        JobState::Failed { reason, .. } => reason,
        _ => panic!("{:?} is no failure", job.state),
    }
}

#[test]
fn a_job_completes_once_and_its_release_waits_for_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![job("job:exits", |_| {})]);
    cluster.run_for(seconds(1));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert!(only_job(&cluster).is_complete());
    assert_eq!(only_job(&cluster).tally.succeeded, 1);
    assert_eq!(cluster.events_with("Completed").len(), 1);
    assert_eq!(cluster.active().len(), 1, "its pod stays for its logs");

    let turn = cluster.world.turn;
    cluster.restart_engine();
    cluster.run_for(seconds(600));
    assert_eq!(cluster.world.turn, turn, "it never runs again");
}

#[test]
fn no_more_pods_work_than_may_and_enough_of_them_succeed() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![job("job:exits", |spec| {
        (spec.completions, spec.parallelism) = (Completions::Count(5), 2);
    })]);
    let mut most = 0;
    for _ in 0..80 {
        cluster.step(seconds(1) / 4);
        most = most.max(at_work(&cluster));
    }
    assert_eq!(most, 2);
    assert!(only_job(&cluster).is_complete());
    assert_eq!(only_job(&cluster).tally.succeeded, 5);
    assert_eq!(cluster.world.pods.len(), 5);
}

#[test]
fn each_index_is_done_once_and_told_to_its_pod() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:exits", |spec| {
        (spec.completions, spec.parallelism) = (Completions::Indexed(3), 2);
    })]);
    cluster.run_for(seconds(1));
    let assignment = dugout_planner::assignment(&cluster.world, &"a".into()).expect("a node");
    let mut told: Vec<(String, String)> = assignment
        .pods
        .iter()
        .map(|pod| {
            let index = "batch.kubernetes.io/job-completion-index";
            let index = pod.template.labels.get(index).expect("an index");
            let variable = pod.template.containers[0].env.last().expect("a variable");
            assert_eq!(variable.name, "JOB_COMPLETION_INDEX");
            assert_eq!(variable.content, EnvContent::Text(index.clone()));
            (index.clone(), pod.name.as_str()[..6].to_owned())
        })
        .collect();
    told.sort();
    let expected = [("0", "job-0-"), ("1", "job-1-")];
    assert_eq!(told, expected.map(|(index, name)| (index.to_owned(), name.to_owned())));
    cluster.run_for(seconds(10));
    assert!(only_job(&cluster).is_complete());
    assert_eq!(only_job(&cluster).tally.completed_index_ranges(), "0-2");
}

#[test]
fn without_a_count_one_success_is_enough_and_the_others_finish() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let queue = |image: &str| {
        job(image, |spec| {
            (spec.completions, spec.parallelism) = (Completions::Any, 2);
        })
    };
    cluster.commit(vec![queue("job:exits")]);
    cluster.run_for(seconds(1));
    // One of the two works on.
    cluster.agent("b").alive = false;
    cluster.run_for(seconds(5));
    assert_eq!(only_job(&cluster).tally.succeeded, 1);
    assert_eq!(only_job(&cluster).state, JobState::Running);
    assert_eq!(cluster.world.pods.len(), 2, "no other begins");
    cluster.agent("b").alive = true;
    cluster.run_for(seconds(5));
    assert!(only_job(&cluster).is_complete());
    assert_eq!(only_job(&cluster).tally.succeeded, 2);
}

#[test]
fn failures_wait_ever_longer_and_then_fail_the_job_and_its_release() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.agent("a").exits_with = 1;
    let failing = || job("job:exits", |spec| spec.backoff_limit = 2);
    let sha = cluster.commit(vec![failing()]);
    let mut begun = Vec::new();
    let start = cluster.now;
    for _ in 0..60 {
        cluster.step(seconds(1));
        begun.resize(cluster.world.pods.len(), cluster.now.since(start).as_secs());
        if let Some(WorkloadWait::BackOff { failed, .. }) = cluster.report.workloads.values().next()
        {
            assert_eq!(*failed as usize, cluster.world.pods.len());
        }
    }
    // Each pod ends some two seconds after it began; then come ten seconds, then twenty.
    assert_eq!(begun.len(), 3);
    let waits: Vec<u64> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((12..=14).contains(&waits[0]) && (22..=24).contains(&waits[1]), "{waits:?}");
    assert_eq!(failure_of(only_job(&cluster)), JobFailure::BackoffLimitExceeded);
    assert_eq!(only_job(&cluster).tally.failed, 3);
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert_eq!(cluster.active().len(), 3, "the pods stay for their logs");

    let later = cluster.commit(vec![failing(), web(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&later), Verdict::Failed, "the job is still a failed one");
    let mended = cluster.commit(vec![job("job:1", |_| {}), web(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&mended), Verdict::Rolling, "other work is another run");
    assert_eq!(only_job(&cluster).state, JobState::Running);
    assert_eq!(cluster.world.replica_sets_of(only_job(&cluster).owner).count(), 1);
}

#[test]
fn work_that_was_done_is_not_done_again_when_a_commit_brings_it_back() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let first = || job("first:exits", |_| {});
    cluster.commit(vec![first()]);
    cluster.run_for(seconds(5));
    let done = only_job(&cluster).uid;
    cluster.on_failure(OnFailure::Hold);
    cluster.agent("a").exits_with = 1;
    // The check of immutable fields is not what this is about.
    let message = "Dugout-Reverts: 1";
    cluster.commit_with_message(vec![job("second:exits", |spec| spec.backoff_limit = 0)], message);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.jobs.len(), 2);
    let sha = cluster.commit_with_message(vec![first()], message);
    cluster.run_for(seconds(5));
    assert_eq!(only_job(&cluster).uid, done);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.world.pods.len(), 0, "nothing ran again");
}

#[test]
fn a_job_that_is_active_too_long_fails_and_what_works_leaves() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:1", |spec| spec.active_deadline = Some(seconds(8)))]);
    cluster.run_for(seconds(7));
    assert_eq!(only_job(&cluster).state, JobState::Running);
    cluster.run_for(seconds(20));
    assert_eq!(failure_of(only_job(&cluster)), JobFailure::DeadlineExceeded);
    assert_eq!(cluster.world.pods.len(), 0);
}

#[test]
fn a_finished_job_loses_its_pods_in_time_and_stays_in_the_books() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:exits", |spec| spec.ttl_after_finished = Some(seconds(10)))]);
    cluster.run_for(seconds(8));
    assert_eq!(cluster.world.pods.len(), 1);
    cluster.run_for(seconds(10));
    assert!(cluster.world.pods.is_empty() && cluster.world.replica_sets.is_empty());
    assert!(only_job(&cluster).is_complete());
    cluster.restart_engine();
    cluster.run_for(seconds(10));
    assert!(cluster.world.pods.is_empty());
    cluster.commit_allowing(1, vec![]);
    cluster.run_for(seconds(1));
    assert!(cluster.world.jobs.is_empty() && cluster.world.rollouts.is_empty());
}

#[test]
fn a_suspended_job_lets_its_pods_go_and_goes_on_where_it_was() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = |suspended| {
        job("job:1", |spec| {
            spec.suspended = suspended;
            spec.active_deadline = Some(seconds(60));
        })
    };
    let sha = cluster.commit(vec![asked(true)]);
    cluster.run_for(seconds(3));
    assert_eq!(only_job(&cluster).state, JobState::Suspended);
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "it does what it was asked");
    assert!(cluster.world.pods.is_empty());
    cluster.commit(vec![asked(false)]);
    cluster.run_for(seconds(50));
    assert_eq!(at_work(&cluster), 1);
    cluster.commit(vec![asked(true)]);
    cluster.run_for(seconds(40));
    assert!(cluster.world.pods.is_empty());
    assert_eq!(only_job(&cluster).tally, JobTally::default(), "leaving is no failure");
    cluster.commit(vec![asked(false)]);
    cluster.run_for(seconds(50));
    assert_eq!(only_job(&cluster).state, JobState::Running, "its time began anew");
}

fn rule(action: PodFailureAction, when: PodFailureMatch) -> PodFailureRule {
    PodFailureRule { action, when }
}

fn with_code(codes: &[i64]) -> PodFailureMatch {
    PodFailureMatch::ExitCodeIn { container: None, codes: codes.to_vec() }
}

#[test]
fn the_first_rule_that_matches_a_failure_decides() {
    let rules = || {
        vec![
            rule(PodFailureAction::Ignore, with_code(&[3])),
            rule(PodFailureAction::Count, with_code(&[4, 5])),
            rule(
                PodFailureAction::FailJob,
                PodFailureMatch::ExitCodeNotIn { container: Some("app".into()), codes: vec![6] },
            ),
        ]
    };
    for (code, failed, is_over) in [(3, 0, false), (5, 1, false), (6, 1, false), (7, 1, true)] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.agent("a").exits_with = code;
        cluster.commit(vec![job("job:exits", |spec| spec.pod_failure_policy = rules())]);
        cluster.run_for(seconds(5));
        let job = only_job(&cluster);
        assert_eq!((job.tally.failed, job.is_finished()), (failed, is_over), "code {code}");
        if is_over {
            assert_eq!(failure_of(job), JobFailure::PodFailurePolicy);
        }
        assert_eq!(job.tally.failed_in_a_row, 1, "code {code} waits");
    }
}

#[test]
fn a_pod_on_a_lost_node_is_replaced_and_counts_unless_a_rule_says_otherwise() {
    for (rules, failed) in [
        (vec![], 1),
        (vec![rule(PodFailureAction::Ignore, PodFailureMatch::Disrupted)], 0),
        (vec![rule(PodFailureAction::FailJob, PodFailureMatch::Disrupted)], 1),
    ] {
        let fails = rules.iter().any(|rule| rule.action == PodFailureAction::FailJob);
        let mut cluster = Cluster::with_nodes(&["a", "b"]);
        cluster.commit(vec![job("job:1", |spec| {
            (spec.completions, spec.parallelism) = (Completions::Indexed(2), 2);
            spec.pod_failure_policy = rules;
        })]);
        cluster.run_for(seconds(3));
        cluster.agent("a").alive = false;
        cluster.run_for(seconds(20));
        assert_eq!(only_job(&cluster).tally.failed, failed);
        assert_eq!(only_job(&cluster).is_finished(), fails);
        assert_eq!(at_work(&cluster), if fails { 0 } else { 2 });
        cluster.agent("a").alive = true;
        cluster.run_for(seconds(20));
        assert_eq!(only_job(&cluster).tally.failed, failed, "it counts once");
        assert_eq!(cluster.world.pods.len(), if fails { 0 } else { 2 });
    }
}

#[test]
fn a_job_waits_with_its_only_node_and_moves_when_there_is_room_elsewhere() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:1", |_| {})]);
    cluster.run_for(seconds(3));
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(60));
    assert_eq!(only_job(&cluster).tally.failed, 0);
    cluster.join("b", "engine-of-b");
    cluster.run_for(seconds(2));
    assert_eq!(cluster.spread(), [("b".to_owned(), 1)].into());
    assert_eq!(only_job(&cluster).tally.failed, 1);
}

#[test]
fn a_pod_that_ended_keeps_no_room_and_its_end_whatever_its_node_forgets() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let large = |spec: &mut JobSpec| {
        spec.template.containers[0].resources.cpu_request_millis = 3_000;
        (spec.completions, spec.parallelism) = (Completions::Count(2), 1);
    };
    cluster.commit(vec![job("job:exits", large)]);
    cluster.run_for(seconds(10));
    assert!(only_job(&cluster).is_complete());
    assert_eq!(only_job(&cluster).tally.succeeded, 2);
    let turn = cluster.world.turn;
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(30));
    cluster.agent("a").lose_disk();
    let registration = cluster.agent("a").registration();
    cluster.agent("a").alive = true;
    cluster.turn(&[Fact::NodeJoined(registration)]);
    cluster.run_for(seconds(10));
    assert!(cluster.world.turn > turn);
    let ended = cluster.active().iter().filter(|pod| pod.is_finished()).count();
    assert_eq!(ended, 2);
    assert_eq!(only_job(&cluster).tally.succeeded, 2);
    let assignment = dugout_planner::assignment(&cluster.world, &"a".into()).expect("a node");
    let kept = PodOrder::Run { draining: true };
    assert!(assignment.pods.iter().all(|pod| pod.order == kept), "and nothing is made anew");
}

#[test]
fn a_pod_counts_though_its_end_and_its_row_go_in_one_turn() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![job("job:1", |spec| spec.completions = Completions::Count(2))]);
    cluster.run_for(seconds(3));
    let pod = cluster.active()[0].clone();
    // The job is scaled to nothing, and the pod ends well before it hears of it.
    cluster.commit(vec![job("job:1", |spec| {
        (spec.completions, spec.parallelism) = (Completions::Count(2), 0);
    })]);
    let report = |phase| {
        let news = PodReport {
            phase,
            init_containers: Vec::new(),
            containers: Vec::new(),
            address: None,
            ready: false,
            connections: 0,
            milestones: PodMilestones::default(),
            drift: Vec::new(),
            pause: None,
        };
        Fact::Report(Box::new(NodeReport {
            node: "a".into(),
            instance: "instance-of-a".to_owned(),
            acknowledged: Turn(u64::MAX),
            engine_answers: true,
            pods: [(pod.uid, news)].into(),
            images: None,
            volumes: None,
            events: Vec::new(),
            first_event: None,
        }))
    };
    cluster.turn(&[report(PodPhase::Succeeded), report(PodPhase::Gone)]);
    assert!(!cluster.world.pods.contains_key(&pod.uid));
    assert_eq!(only_job(&cluster).tally.succeeded, 1);
}

#[test]
fn a_job_waits_for_its_configuration_and_then_keeps_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let asked = || {
        job("job:1", |spec| {
            spec.template.containers[0].env = vec![env_from_config("settings", "mode")];
        })
    };
    cluster.commit(vec![asked()]);
    cluster.run_for(seconds(2));
    assert!(cluster.world.pods.is_empty());
    let uid = only_job(&cluster).owner;
    assert!(matches!(cluster.world.rollouts[&uid].state, RolloutState::Waiting { .. }));
    cluster.commit(vec![asked(), config("settings", "mode", "one")]);
    cluster.run_for(seconds(2));
    let pod = cluster.active()[0].uid;
    cluster.commit(vec![asked(), config("settings", "mode", "two")]);
    cluster.run_for(seconds(2));
    assert_eq!(cluster.active().len(), 1);
    assert_eq!(cluster.active()[0].uid, pod, "what is under way goes on");
}

#[test]
fn an_image_that_cannot_be_had_fails_the_release_and_not_the_job() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![job("job:missing", |_| {})]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
    assert_eq!(only_job(&cluster).state, JobState::Running);
    assert_eq!(cluster.events_with("ImageUnavailable").len(), 1);
}

#[test]
fn a_job_of_which_no_pod_begins_fails_its_release() {
    let healthy = || {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(vec![web(1, "web:1")]);
        cluster.run_for(seconds(5));
        cluster
    };
    let hooked = |change: &dyn Fn(&mut JobSpec)| {
        let mut migrate = job("job:exits", change);
        migrate.policy.hook = Some(Hook::Before);
        vec![web(1, "web:2"), migrate]
    };
    let greets = |spec: &mut JobSpec| {
        let variable = env_from_config("settings", "greeting");
        spec.template.containers[0].env.push(variable);
    };
    let is_large = |spec: &mut JobSpec| {
        spec.template.containers[0].resources.cpu_request_millis = 100_000;
    };
    type Change<'a> = &'a dyn Fn(&mut JobSpec);
    let stories: [(Change<'_>, &str); 2] = [(&greets, "settings"), (&is_large, "too little cpu")];
    for (change, why) in stories {
        let mut cluster = healthy();
        let sha = cluster.commit(hooked(change));
        cluster.run_in_steps(59, seconds(10));
        assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
        cluster.run_in_steps(4, seconds(10));
        assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
        let reason = cluster.release(&sha).reason.clone().unwrap_or_default();
        assert!(reason.starts_with("Job demo/job: no progress for 600 s: "), "{reason}");
        assert!(reason.to_lowercase().contains(why), "{reason}");
        assert_eq!(cluster.images(), ["web:1"]);
    }
}

#[test]
fn work_takes_as_long_as_it_takes_unless_it_says_how_long_that_is() {
    let works = |deadline: Option<u64>| {
        let mut work = job("job:1", |_| {});
        work.policy.progress_deadline = deadline.map(seconds);
        work
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![works(None)]);
    cluster.run_in_steps(200, seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    let sha = cluster.commit(vec![works(Some(30))]);
    cluster.run_for(seconds(29));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Failed);
}

#[test]
fn pods_that_begin_late_have_a_whole_deadline() {
    // One after the other, each longer than nothing may move.
    let long = job("job:1", |spec| {
        (spec.completions, spec.parallelism) = (Completions::Count(2), 1);
    });
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    let sha = cluster.commit(vec![long]);
    cluster.run_in_steps(100, seconds(10));
    let pod = *cluster.world.pods.keys().next().expect("it works");
    // Its place is taken by another after a long time.
    cluster.turn(&[Fact::Operator(OperatorRequest::Evict(pod))]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    assert_eq!(at_work(&cluster), 1);

    // One that waited for another for longer than that begins with a whole deadline.
    let mut slow = deployment("slow", 1, "slow:unready");
    slow.progress_deadline = seconds(3_000);
    let mut check = job("job:1", |_| {});
    check.policy.hook = Some(Hook::After);
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![named("slow", slow), check.clone()]);
    cluster.run_in_steps(100, seconds(10));
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    let sha = cluster.commit(vec![check]);
    cluster.run_for(seconds(5));
    assert_eq!((cluster.verdict(&sha), at_work(&cluster)), (Verdict::Rolling, 1));
}

/// What a namespace gives to pods that say nothing reaches what is made later.
#[test]
fn what_a_namespace_fills_in_changes_no_job_and_no_pod_that_is_there() {
    let filled = |mut object: DeclaredObject, millis: Option<u64>| {
        let template = object.spec.pod_template_mut().expect("it makes pods");
        let written = WrittenTemplate::of(template);
        if let Some(millis) = millis {
            template.image_pull_secrets = [ObjectName::new("registry")].into();
            template.containers[0].resources.cpu_request_millis = millis;
            object.written = Some(Box::new(written));
        }
        object
    };
    let asked = |millis| {
        let job = filled(job("job:exits", |_| {}), millis);
        let pod = ObjectSpec::Pod(Box::new(deployment("pod", 1, "pod:1").template));
        vec![job, filled(declare("pod", pod), millis)]
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    let first = cluster.commit(asked(None));
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&first), Verdict::Healthy);
    let run = only_job(&cluster).clone();
    let pods: Vec<PodUid> = cluster.world.pods.keys().copied().collect();
    for millis in [Some(10), Some(20), None, Some(30)] {
        let sha = cluster.commit(asked(millis));
        cluster.run_for(seconds(10));
        assert_eq!(cluster.verdict(&sha), Verdict::Healthy, "{millis:?}");
        assert_eq!(*only_job(&cluster), run, "{millis:?}");
        assert_eq!(cluster.world.pods.keys().copied().collect::<Vec<_>>(), pods, "{millis:?}");
    }
    let mut written = asked(None);
    for object in &mut written {
        let template = object.spec.pod_template_mut().expect("it makes pods");
        template.containers[0].resources.cpu_request_millis = 10;
    }
    let sha = cluster.commit(written);
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected, "what is written counts");
}
