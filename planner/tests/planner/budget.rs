//! The deletion budget: what removes much is held, and nothing of it is applied.

use dugout_model::*;
use dugout_planner::Ignored;

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, seconds};

/// The deployment `web`, in this image, with so many config maps beside it.
fn with_configs(image: &str, count: usize) -> Vec<DeclaredObject> {
    let configs = (0..count).map(|number| config(&format!("c{number}"), "a", "b"));
    configs.chain([web(1, image)]).collect()
}

/// A cluster in which a source of ten objects is healthy.
fn settled() -> Cluster {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(with_configs("web:1", 9));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    cluster
}

#[test]
fn a_commit_that_removes_too_much_is_held_with_all_that_it_changes() {
    let mut cluster = settled();
    let objects = cluster.world.objects.clone();
    let held = cluster.commit(with_configs("web:2", 5));
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    let reason = cluster.release(&held).reason.clone().expect("a reason");
    assert!(reason.starts_with("it removes 4 of the 10 objects of its source"), "{reason}");
    assert!(cluster.steps(&held).contains(&Step::Held));
    assert_eq!(cluster.events_with("Held").len(), 1);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.world.objects, objects);
    assert_eq!(cluster.images(), ["web:1"], "its harmless part waits with it");

    // Read again, it is held once.
    let turn = cluster.world.turn;
    cluster.push(&held, with_configs("web:2", 5));
    assert_eq!(cluster.world.turn, turn);
    let source = SourceName::new(SOURCE);
    assert_eq!(cluster.report.ignored, [Ignored::AlreadyReleased { source, sha: held.clone() }]);

    // Too small a number allows nothing; the right one lets it pass.
    let still = cluster.commit_allowing(3, with_configs("web:2", 5));
    assert_eq!(
        (cluster.verdict(&held), cluster.verdict(&still)),
        (Verdict::Superseded, Verdict::Held)
    );
    let allowed = cluster.commit_allowing(4, with_configs("web:2", 5));
    cluster.run_for(seconds(10));
    assert_eq!(
        (cluster.verdict(&still), cluster.verdict(&allowed)),
        (Verdict::Superseded, Verdict::Healthy)
    );
    assert_eq!((cluster.world.objects.len(), cluster.images()), (6, vec!["web:2".to_owned()]));
}

#[test]
fn a_few_may_always_go_and_everything_never() {
    let mut cluster = settled();
    let fewer = cluster.commit(with_configs("web:1", 6));
    assert_eq!(cluster.verdict(&fewer), Verdict::Healthy, "3 of 10 are within the budget");
    let fewer = cluster.commit(with_configs("web:1", 3));
    assert_eq!(cluster.verdict(&fewer), Verdict::Healthy, "so are 3 of 7, by their number");
    let renamed = cluster.commit(vec![named("shop", deployment("shop", 1, "web:1"))]);
    assert_eq!(cluster.verdict(&renamed), Verdict::Held, "4 of 4, and others in their place");
    cluster.commit(vec![web(1, "web:1")]);
    let renamed = cluster.commit(vec![named("shop", deployment("shop", 1, "web:1"))]);
    assert_eq!(cluster.verdict(&renamed), Verdict::Rolling, "another in the place of one");
    cluster.run_for(seconds(10));
    let none = cluster.commit(vec![]);
    assert_eq!(cluster.verdict(&none), Verdict::Held, "1 of 1 is everything");
    assert_eq!(cluster.active().len(), 1);
}

#[test]
fn a_held_commit_does_not_stop_the_one_that_rolls() {
    let mut cluster = settled();
    let rolling = cluster.commit(with_configs("web:2", 9));
    let held = cluster.commit(vec![]);
    assert_eq!(
        (cluster.verdict(&rolling), cluster.verdict(&held)),
        (Verdict::Rolling, Verdict::Held)
    );
    cluster.restart_engine();
    cluster.run_for(seconds(10));
    assert_eq!(
        (cluster.verdict(&rolling), cluster.verdict(&held)),
        (Verdict::Healthy, Verdict::Held)
    );
    assert_eq!(cluster.images(), ["web:2"]);
}

/// A config map with what becomes of it when it leaves Git.
fn pruned(name: &str, prune: Prune) -> DeclaredObject {
    DeclaredObject {
        policy: ObjectPolicy { prune, ..ObjectPolicy::default() },
        ..config(name, "a", "b")
    }
}

fn approve(cluster: &mut Cluster, sha: &CommitSha) {
    let (source, sha) = (SourceName::new(SOURCE), sha.clone());
    cluster.turn(&[Fact::Operator(OperatorRequest::Approve { source, sha })]);
}

#[test]
fn a_held_commit_passes_once_a_person_approves_it_and_no_other_does() {
    let mut cluster = settled();
    let held = cluster.commit(with_configs("web:2", 2));
    approve(&mut cluster, &CommitSha::new("another"));
    cluster.push(&held, with_configs("web:2", 2));
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    approve(&mut cluster, &held);
    assert_eq!(cluster.events_with("Approved").len(), 1);
    assert_eq!(cluster.world.objects.len(), 10, "it is read again first");
    cluster.push(&held, with_configs("web:2", 2));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&held), Verdict::Healthy);
    assert_eq!(cluster.world.objects.len(), 3);
    // Approval is of one commit.
    let next = cluster.commit(vec![]);
    assert_eq!(cluster.verdict(&next), Verdict::Held);
}

#[test]
fn what_asks_to_stay_stays_and_is_no_removal() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let volumes: Vec<_> = (0..5).map(|n| pruned(&format!("v{n}"), Prune::Disabled)).collect();
    cluster.commit([vec![web(1, "web:1")], volumes.clone()].concat());
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.release(&sha).touched.len(), 5);
    assert_eq!(cluster.world.objects.values().filter(|row| row.orphaned).count(), 5);
    assert_eq!(cluster.events_with("Orphaned").len(), 5);

    // It is told once, and another commit does not touch it.
    let next = cluster.commit(vec![web(2, "web:1")]);
    assert_eq!(cluster.release(&next).touched.len(), 1);
    assert_eq!(cluster.events_with("Orphaned").len(), 5);
    // Back in Git, it is as any other.
    cluster.commit([vec![web(2, "web:1")], volumes].concat());
    assert_eq!(cluster.world.objects.values().filter(|row| row.orphaned).count(), 0);
}

#[test]
fn what_asks_for_a_confirmation_holds_the_commit_that_removes_it() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1"), pruned("data", Prune::Confirm)]);
    cluster.run_for(seconds(5));
    let held = cluster.commit(vec![web(1, "web:1")]);
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    let reason = cluster.release(&held).reason.clone().expect("a reason");
    assert!(reason.starts_with("it removes ConfigMap demo/data, which asks for"), "{reason}");
    approve(&mut cluster, &held);
    cluster.push(&held, vec![web(1, "web:1")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&held), Verdict::Healthy);
    assert_eq!(cluster.world.objects.len(), 1);
}
