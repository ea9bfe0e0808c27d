//! The way back of a release that fails: whole, in the turn in which it fails, and once.

use std::collections::BTreeSet;
use std::time::Duration;

use dugout_model::*;

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, content_of, seconds};

fn api(image: &str) -> DeclaredObject {
    named("api", deployment("api", 1, image))
}

/// A healthy source with two deployments and two config maps.
fn healthy() -> (Cluster, CommitSha) {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(first());
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    (cluster, sha)
}

fn first() -> Vec<DeclaredObject> {
    vec![web(2, "web:1"), api("api:1"), config("kept", "key", "1"), config("old", "key", "1")]
}

/// It changes, adds and removes, and its web cannot be had.
fn broken() -> Vec<DeclaredObject> {
    vec![
        web(2, "web:missing"),
        api("api:2"),
        named("extra", deployment("extra", 1, "extra:1")),
        config("kept", "key", "2"),
        config("new", "key", "1"),
    ]
}

/// What the world asks for, by object.
fn asked(cluster: &Cluster) -> Vec<(ObjectId, DeclaredObject)> {
    let rows = cluster.world.objects.iter();
    rows.map(|(id, row)| (id.clone(), (*row.declared).clone())).collect()
}

fn source(cluster: &Cluster) -> &Source {
    &cluster.world.sources[&SourceName::new(SOURCE)]
}

fn takes_back(failed: &CommitSha) -> String {
    format!("Roll back\n\nDugout-Reverts: {failed}\n")
}

#[test]
fn a_release_that_fails_goes_back_whole_and_what_served_is_never_stopped() {
    let (mut cluster, good) = healthy();
    let before = asked(&cluster);
    let serving: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(30));

    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    let reason = cluster.release(&bad).reason.clone().expect("a reason");
    assert!(reason.starts_with("Deployment demo/web: "), "{reason}");
    assert_eq!(asked(&cluster), before);
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
    let web: Vec<PodUid> = cluster
        .world
        .replica_sets_of(cluster.deployment("web"))
        .flat_map(|set| cluster.world.pods_of(set.uid).map(|pod| pod.uid).collect::<Vec<_>>())
        .collect();
    assert!(web.iter().all(|uid| serving.contains(uid)), "the pods of web are those of before");

    let status = &source(&cluster).status;
    assert_eq!((&status.applied, &status.healthy), (&Some(good.clone()), &Some(good.clone())));
    assert_eq!(status.failure, None, "it is mended");
    let owed = status.owed_revert.clone().expect("Git owes the truth");
    assert_eq!((owed.failed, owed.to), (bad.clone(), good));
    let steps = cluster.steps(&bad);
    for step in [Step::Failed, Step::Reverted, Step::Restored] {
        assert_eq!(steps.iter().filter(|told| **told == step).count(), 1, "{step:?}: {steps:?}");
    }
    assert_eq!(cluster.world.baselines.len(), 0);

    let turn = cluster.world.turn;
    cluster.push(&bad, broken());
    cluster.restart_engine();
    assert_eq!(cluster.world.turn, turn, "read again, it is not applied again");
}

/// Those of some pods that are to stay.
fn still(cluster: &Cluster, pods: &BTreeSet<PodUid>) -> BTreeSet<PodUid> {
    cluster.active().iter().map(|pod| pod.uid).filter(|uid| pods.contains(uid)).collect()
}

/// Whichever moment the deadline of one meets in the rollout of the other.
#[test]
fn nothing_is_let_go_in_the_turn_in_which_its_release_fails() {
    let mut turns_of_failure = 0;
    for quarters in 1..=40 {
        let (mut cluster, _) = healthy();
        let serving: BTreeSet<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
        let deadline = Duration::from_millis(250) * quarters;
        let stuck = web_with(2, "web:unready", |web| web.progress_deadline = deadline);
        let mut next = deployment("api", 1, "api:2");
        next.min_ready = seconds(4);
        let bad = cluster.commit(vec![stuck, named("api", next)]);
        for _ in 0..80 {
            let before = still(&cluster, &serving);
            cluster.run_in_steps(1, Duration::from_millis(250));
            if cluster.verdict(&bad) == Verdict::Reverted {
                assert_eq!(still(&cluster, &serving), before);
                turns_of_failure += 1;
                break;
            }
        }
    }
    assert_eq!(turns_of_failure, 40);
}

#[test]
fn the_commit_that_takes_it_back_finds_everything_as_it_asks() {
    let (mut cluster, _) = healthy();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    let revert = cluster.commit_with_message(first(), &takes_back(&bad));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
    assert_eq!(cluster.release(&revert).touched.len(), 0);
    let outcome = cluster.release(&bad).revert.clone();
    assert_eq!(outcome, Some(RevertOutcome::Pushed { commit: revert.clone() }));
    assert!(cluster.steps(&bad).contains(&Step::RevertPushed));
    assert_eq!(source(&cluster).status.owed_revert, None);
    assert_eq!(source(&cluster).status.healthy, Some(revert));
}

#[test]
fn a_revert_that_cannot_be_pushed_is_told_and_not_owed_any_more() {
    let (mut cluster, _) = healthy();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    let outcome = RevertOutcome::Refused { message: "the branch is protected".to_owned() };
    let not_pushed = |failed: &CommitSha| Fact::RevertNotPushed {
        source: SourceName::new(SOURCE),
        failed: failed.clone(),
        why: NotPushed::Ever(outcome.clone()),
    };
    let turn = cluster.world.turn;
    cluster.turn(&[not_pushed(&CommitSha::new("of-another"))]);
    assert_eq!(cluster.world.turn, turn);
    let delayed = |message: &str| Fact::RevertNotPushed {
        source: SourceName::new(SOURCE),
        failed: bad.clone(),
        why: NotPushed::Yet { message: message.to_owned() },
    };
    for message in ["no answer", "no answer", "no answer yet"] {
        cluster.turn(&[delayed(message)]);
    }
    assert_eq!(cluster.events_with("RevertDelayed").len(), 2);
    let owed = source(&cluster).status.owed_revert.clone().expect("it is still owed");
    assert_eq!(owed.delayed_by.as_deref(), Some("no answer yet"));
    cluster.turn(&[not_pushed(&bad)]);
    assert_eq!(cluster.release(&bad).revert, Some(outcome.clone()));
    assert!(cluster.steps(&bad).contains(&Step::RevertRefused));
    assert_eq!(source(&cluster).status.owed_revert, None);
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
}

#[test]
fn a_newer_commit_takes_the_place_of_the_revert() {
    let (mut cluster, _) = healthy();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    let mended = cluster.commit(vec![web(2, "web:2"), api("api:2"), config("kept", "key", "2")]);
    assert_eq!(source(&cluster).status.owed_revert, None);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.verdict(&mended), Verdict::Healthy);
    let overtaken = RevertOutcome::Overtaken { commit: mended };
    assert_eq!(cluster.release(&bad).revert, Some(overtaken));
}

#[test]
fn of_commits_that_were_overtaken_everything_goes_back() {
    let (mut cluster, _) = healthy();
    let before = asked(&cluster);
    // It never becomes ready, and is overtaken.
    let mut objects = first();
    objects[0] = web(2, "web:unready");
    objects[3] = config("old", "key", "2");
    cluster.commit(objects.clone());
    cluster.run_for(seconds(3));
    // The next one takes one of its changes back, and fails through another.
    objects[3] = config("old", "key", "1");
    objects[1] = api("api:missing");
    let bad = cluster.commit(objects);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    assert_eq!(asked(&cluster), before);
}

#[test]
fn what_fails_while_it_equals_what_was_healthy_does_not_go_anywhere() {
    let (mut cluster, _) = healthy();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    // The node is gone with what it ran: now not even the good commit can become healthy.
    cluster.agent("a").lose_disk();
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    let changed = |image| {
        let mut objects = first();
        objects[0] = web(2, image);
        objects
    };
    let stuck = cluster.commit(changed("web:2"));
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&stuck), Verdict::Reverted);
    let revert = cluster.commit_with_message(first(), &takes_back(&stuck));
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&revert), Verdict::Failed);
    assert_eq!(source(&cluster).status.owed_revert, None);
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
}

#[test]
fn without_a_healthy_release_there_is_no_way_back() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let bad = cluster.commit(vec![web(1, "web:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&bad), Verdict::Failed);
    assert_eq!(source(&cluster).status.owed_revert, None);
    assert_eq!(cluster.world.objects.len(), 1);
    let failure = source(&cluster).status.failure.clone().expect("it is not mended");
    assert_eq!(failure.sha, bad);
}

#[test]
fn a_source_that_holds_leaves_what_failed_as_it_is() {
    let (mut cluster, good) = healthy();
    cluster.on_failure(OnFailure::Hold);
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Failed);
    assert_eq!(source(&cluster).status.applied, Some(bad.clone()));
    assert_eq!(source(&cluster).status.owed_revert, None);
    // A later one goes back to what was healthy, and not to what failed.
    cluster.on_failure(OnFailure::Revert);
    let worse = cluster.commit(vec![web(2, "other:missing"), api("api:3")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&worse), Verdict::Reverted);
    assert_eq!(source(&cluster).status.applied, Some(good));
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
}

#[test]
fn an_object_that_went_to_another_source_is_not_taken_back_from_it() {
    let (mut cluster, _) = healthy();
    cluster.declare_source("rival");
    let mut objects = first();
    objects.pop();
    objects[0] = web(2, "web:unready");
    let bad = cluster.commit(objects);
    let content = content_of(vec![config("old", "key", "theirs")]);
    let revision = cluster.revision("rival", &CommitSha::new("feedface"), content);
    cluster.turn(&[Fact::Revision(Box::new(revision))]);
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    let row = &cluster.world.objects[&ObjectId::new(Kind::ConfigMap, "demo", "old")];
    assert_eq!(row.source, SourceName::new("rival"));
    assert_eq!(cluster.events_with("NotReverted").len(), 1);
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
}

#[test]
fn a_source_that_is_another_place_goes_back_to_nothing_of_the_earlier_one() {
    let (mut cluster, _) = healthy();
    cluster.commit(broken());
    cluster.turn(&[Fact::SourceDeclared(SourceDeclaration {
        url: "file:///elsewhere.git".to_owned(),
        ..cluster.declaration(SOURCE)
    })]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.baselines.len(), 0);
    assert_eq!(source(&cluster).status.owed_revert, None);
}

#[test]
fn what_a_failed_commit_brought_may_be_what_was_healthy_later() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    // The first fails through its web; the second mends that alone, and is healthy.
    let first = cluster.commit(vec![web(1, "web:missing"), config("kept", "key", "1")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&first), Verdict::Failed);
    let second = cluster.commit(vec![web(1, "web:1"), config("kept", "key", "1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&second), Verdict::Healthy);
    // What goes back with the third came with the first.
    let third = cluster.commit(vec![web(1, "web:missing"), config("kept", "key", "2")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&third), Verdict::Reverted);
    let row = &cluster.world.objects[&ObjectId::new(Kind::ConfigMap, "demo", "kept")];
    assert!(row.declared.asks_same(&config("kept", "key", "1")));
}

#[test]
fn what_was_changed_back_before_the_failure_has_nothing_to_go_back_to() {
    let (mut cluster, _) = healthy();
    let mut objects = first();
    objects[3] = config("old", "key", "2");
    objects[0] = web(2, "web:unready");
    cluster.commit(objects);
    // Nothing can become ready any more, and the next commit asks for what was healthy.
    cluster.agent("a").lose_disk();
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    let same = cluster.commit(first());
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&same), Verdict::Failed);
    assert_eq!(source(&cluster).status.owed_revert, None);
}

#[test]
fn nothing_is_owed_where_the_branch_has_moved_on_to_what_is_not_applied() {
    let (mut cluster, _) = healthy();
    let mut objects = first();
    objects[0] = web(2, "web:unready");
    let bad = cluster.commit(objects);
    let held = cluster.commit(vec![]);
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    assert_eq!(source(&cluster).status.owed_revert, None);
    assert_eq!(cluster.release(&bad).revert, Some(RevertOutcome::Overtaken { commit: held }));
}

#[test]
fn work_that_was_done_is_not_done_again_by_the_way_back() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let done = || job("done:exits", |_| {});
    cluster.commit(vec![done(), web(1, "web:1")]);
    cluster.run_for(seconds(5));
    let runs: Vec<JobUid> = cluster.world.jobs.keys().copied().collect();
    let pods = cluster.world.pods.len();
    let bad = cluster.commit_allowing(1, vec![web(1, "web:missing")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    assert_eq!(cluster.world.jobs.keys().copied().collect::<Vec<_>>(), runs);
    assert!(cluster.world.pods.len() <= pods, "nothing ran again");

    // Once a release without it is healthy, it is forgotten.
    cluster.commit_allowing(1, vec![web(1, "web:2")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.jobs.len(), 0);
}

/// The same under another commit, after the branch had something else in between or not.
#[test]
fn what_failed_is_not_applied_again_by_another_commit_that_declares_the_same() {
    let (mut cluster, good) = healthy();
    let before = asked(&cluster);
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    // The branch holds it still, and something beside the manifests changes.
    let again = cluster.commit(broken());
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&again), Verdict::Held);
    let reason = cluster.release(&again).reason.clone().expect("a reason");
    let same = format!("it declares the same as {}, which failed: Deployment", bad.short());
    assert!(reason.starts_with(&same), "{reason}");
    let owed = source(&cluster).status.owed_revert.clone().expect("the branch holds it still");
    assert_eq!((owed.failed, owed.to), (again.clone(), good.clone()));
    assert_eq!(asked(&cluster), before);

    // A person takes it back, and then takes that back.
    let revert = cluster.commit_with_message(first(), &takes_back(&again));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
    let reverted = cluster.commit_with_message(broken(), &takes_back(&revert));
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&reverted), Verdict::Held);
    assert_eq!((source(&cluster).status.owed_revert.clone(), asked(&cluster)), (None, before));
    assert_eq!(source(&cluster).status.applied, Some(revert));
    assert_ne!(source(&cluster).status.applied, Some(good));

    // Who approves of it has it tried, once.
    cluster.turn(&[Fact::Operator(OperatorRequest::Approve {
        source: SourceName::new(SOURCE),
        sha: reverted.clone(),
    })]);
    cluster.push(&reverted, broken());
    assert_eq!(cluster.verdict(&reverted), Verdict::Rolling);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&reverted), Verdict::Reverted);

    // And what differs in anything is tried.
    let mut objects = broken();
    objects[4] = config("new", "key", "2");
    let other = cluster.commit(objects);
    assert_eq!(cluster.verdict(&other), Verdict::Rolling);
}

#[test]
fn what_became_healthy_after_it_had_failed_may_come_again() {
    let (mut cluster, _) = healthy();
    let mut objects = first();
    objects[0] = web(2, "web:2");
    cluster.agent("a").lose_disk();
    cluster.agent("a").alive = false;
    cluster.run_for(seconds(20));
    let failed = cluster.commit(objects.clone());
    cluster.run_for(seconds(70));
    assert_eq!(cluster.verdict(&failed), Verdict::Reverted);
    cluster.join("b", "b");
    let held = cluster.commit(objects.clone());
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    cluster.turn(&[Fact::Operator(OperatorRequest::Approve {
        source: SourceName::new(SOURCE),
        sha: held.clone(),
    })]);
    cluster.push(&held, objects.clone());
    cluster.run_for(seconds(400));
    assert_eq!(cluster.verdict(&held), Verdict::Healthy);
    cluster.commit(first());
    cluster.run_for(seconds(60));
    let back = cluster.commit(objects);
    assert_eq!(cluster.verdict(&back), Verdict::Rolling);
}

#[test]
fn the_revert_for_another_source_of_the_branch_pays_nothing() {
    let (mut cluster, _) = healthy();
    let bad = cluster.commit(broken());
    cluster.run_for(seconds(5));
    let theirs = format!("{}Dugout-Source: rival\n", takes_back(&bad));
    let other = cluster.commit_with_message(broken(), &theirs);
    assert_eq!(cluster.verdict(&other), Verdict::Held);
    let overtaken = RevertOutcome::Overtaken { commit: other.clone() };
    assert_eq!(cluster.release(&bad).revert, Some(overtaken));
    let owed = source(&cluster).status.owed_revert.clone().expect("ours is still owed");
    assert_eq!(owed.failed, other);

    let ours = format!("{}Dugout-Source: {SOURCE}\n", takes_back(&other));
    let revert = cluster.commit_with_message(first(), &ours);
    cluster.run_for(seconds(60));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
    assert_eq!(source(&cluster).status.owed_revert, None);
    let pushed = RevertOutcome::Pushed { commit: revert };
    assert_eq!(cluster.release(&other).revert, Some(pushed));
}

#[test]
fn a_suspended_source_goes_back_all_the_same() {
    let (mut cluster, _) = healthy();
    let before = asked(&cluster);
    let bad = cluster.commit(broken());
    cluster.turn(&[Fact::Operator(OperatorRequest::Suspend(SourceName::new(SOURCE)))]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    assert_eq!(asked(&cluster), before);
    assert!(source(&cluster).suspended && source(&cluster).status.owed_revert.is_some());
}

#[test]
fn two_sources_that_want_one_object_and_take_each_other_back_come_to_rest() {
    let (mut cluster, _) = healthy();
    cluster.declare_source("rival");
    let bad = cluster.commit(broken());
    let theirs = |cluster: &mut Cluster, sha: &str, message: &str| {
        let content = content_of(vec![web(1, "rival:1")]);
        let mut revision = cluster.revision("rival", &CommitSha::new(sha), content);
        revision.commit.message = message.to_owned();
        cluster.turn(&[Fact::Revision(Box::new(revision))]);
    };
    theirs(&mut cluster, "feedface", "Mine");
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&bad), Verdict::Reverted);
    // Neither a failure of ours nor a message of theirs gives them what is ours.
    theirs(&mut cluster, "feedfeed", &takes_back(&bad));
    let fight = [CommitSha::new("feedface"), CommitSha::new("feedfeed")];
    assert_eq!(cluster.verdict(&fight[1]), Verdict::Rejected);
    let (owed, turn) = (source(&cluster).status.owed_revert.clone(), cluster.world.turn);
    assert_eq!(owed.map(|owed| owed.failed), Some(bad));
    theirs(&mut cluster, "feedfeed", &takes_back(&fight[0]));
    cluster.run_in_steps(6, seconds(600));
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
    assert_eq!(cluster.world.turn, turn, "nothing changes any more");
}

/// A person goes back to a commit that declared these objects.
fn go_back(
    cluster: &mut Cluster,
    to: &CommitSha,
    standing: Standing,
    objects: Vec<DeclaredObject>,
) {
    let RevisionContent::Objects { objects, .. } = content_of(objects) else {
        panic!("objects are sound")
    };
    let asked = WentBack {
        source: SourceName::new(SOURCE),
        to: to.clone(),
        standing,
        objects,
        reason: "it is ugly".to_owned(),
        delayed_by: "the remote does not answer".to_owned(),
    };
    cluster.turn(&[Fact::WentBack(Box::new(asked))]);
}

#[test]
fn a_person_goes_back_although_the_branch_cannot_be_had_and_the_branch_learns_it_later() {
    let (mut cluster, good) = healthy();
    let before = asked(&cluster);
    let ugly =
        cluster.commit(vec![web(2, "web:2"), named("extra", deployment("extra", 1, "extra:1"))]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&ugly), Verdict::Healthy);

    go_back(&mut cluster, &good, Standing::Proven, first());
    cluster.run_for(seconds(5));
    assert_eq!(asked(&cluster), before);
    assert_eq!(cluster.verdict(&ugly), Verdict::Healthy, "a verdict is for ever");
    let reason = cluster.release(&ugly).reason.clone().expect("why it is not applied any more");
    assert!(reason.contains("went back"), "{reason}");
    let status = &source(&cluster).status;
    let owed = status.owed_revert.clone().expect("the branch is to learn it");
    assert_eq!((owed.failed, owed.to), (ugly.clone(), good.clone()));
    assert_eq!(owed.delayed_by.as_deref(), Some("the remote does not answer"));
    assert_eq!((&status.applied, &status.healthy), (&Some(good.clone()), &Some(good)));
    assert!(cluster.steps(&ugly).contains(&Step::Reverted));

    let pods: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    let revert = cluster.commit_with_message(first(), &takes_back(&ugly));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&revert), Verdict::Healthy);
    assert_eq!(source(&cluster).status.owed_revert, None);
    let outcome = cluster.release(&ugly).revert.clone();
    assert_eq!(outcome, Some(RevertOutcome::Pushed { commit: revert }));
    let now: Vec<PodUid> = cluster.active().iter().map(|pod| pod.uid).collect();
    assert_eq!(now, pods, "nothing is started twice");
}

#[test]
fn a_person_goes_back_in_the_middle_of_a_rollout_and_leaves_what_another_source_has() {
    let (mut cluster, good) = healthy();
    let slow =
        cluster.commit(vec![web(2, "web:missing"), api("api:1"), config("kept", "key", "1")]);
    cluster.declare_source("rival");
    let content = content_of(vec![config("old", "key", "theirs")]);
    let revision = cluster.revision("rival", &CommitSha::new("feedface"), content);
    cluster.turn(&[Fact::Revision(Box::new(revision))]);
    go_back(&mut cluster, &good, Standing::Proven, first());
    assert_eq!(cluster.verdict(&slow), Verdict::Superseded);
    let row = &cluster.world.objects[&ObjectId::new(Kind::ConfigMap, "demo", "old")];
    assert_eq!(row.source, SourceName::new("rival"));
    assert_eq!(cluster.events_with("NotReverted").len(), 1);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.images(), ["api:1", "web:1", "web:1"]);
    let status = &source(&cluster).status;
    assert_eq!(status.owed_revert.as_ref().map(|owed| &owed.failed), Some(&slow));
}

#[test]
fn what_was_never_healthy_has_to_show_itself_when_a_person_goes_back_to_it() {
    let (mut cluster, _) = healthy();
    let bad = CommitSha::new("feedface");
    let fix = cluster.commit(vec![web(2, "web:2"), api("api:1")]);
    cluster.run_for(seconds(5));
    let good = asked(&cluster);
    go_back(&mut cluster, &bad, Standing::Untried, broken());
    cluster.run_for(seconds(5));
    assert_eq!(source(&cluster).status.healthy, Some(fix.clone()));
    let revert = cluster.commit_with_message(broken(), &takes_back(&fix));
    cluster.run_for(seconds(90));
    assert_eq!(cluster.verdict(&revert), Verdict::Reverted);
    assert_eq!(asked(&cluster), good);
}
