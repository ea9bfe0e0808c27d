//! Commits that are not applied as they come: broken, conflicting, suspended, seen before.

use dugout_model::*;
use dugout_planner::{Ignored, assignment};

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, content_of, seconds};

fn problem(message: &str) -> Problem {
    Problem {
        file: "web.yaml".to_owned(),
        line: 3,
        column: 5,
        severity: Severity::Error,
        field_path: "spec.replica".to_owned(),
        message: message.to_owned(),
        hint: None,
    }
}

fn source(cluster: &Cluster) -> &Source {
    &cluster.world.sources[&SourceName::new(SOURCE)]
}

#[test]
fn a_commit_with_problems_is_rejected_and_touches_nothing() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let good = cluster.commit(vec![web(2, "web:1")]);
    let (objects, pods) = (cluster.world.objects.clone(), cluster.world.pods.clone());
    let bad = cluster.push_problems(vec![problem("no such field"), problem("nor this")]);
    assert_eq!(cluster.verdict(&bad), Verdict::Rejected);
    let reason = cluster.release(&bad).reason.clone().expect("a reason");
    assert!(reason.starts_with("2 errors; the first: web.yaml:3:5: error"), "{reason}");
    assert_eq!((cluster.world.objects.clone(), cluster.world.pods.clone()), (objects, pods));
    assert_eq!(source(&cluster).status.applied, Some(good.clone()));
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&good), Verdict::Healthy, "the one before goes on");
}

#[test]
fn the_head_read_again_makes_no_new_release() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let sha = cluster.commit(vec![web(2, "web:1")]);
    for _ in 0..3 {
        let turn = cluster.world.turn;
        cluster.push(&sha, vec![web(2, "web:1")]);
        assert_eq!(cluster.world.turn, turn);
        let name = SourceName::new(SOURCE);
        let expected = Ignored::AlreadyReleased { source: name, sha: sha.clone() };
        assert_eq!(cluster.report.ignored, [expected]);
        cluster.run_for(seconds(3));
    }
    assert_eq!(cluster.releases.len(), 1);
}

#[test]
fn a_source_says_what_becomes_of_drift_on_every_node_that_runs_its_pods() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![web(2, "web:drifts")]);
    cluster.run_for(seconds(3));
    let policies = |cluster: &Cluster| {
        let nodes = cluster.world.nodes.values();
        let assigned = nodes.filter_map(|node| assignment(&cluster.world, &node.name));
        let pods = assigned
            .flat_map(|one| one.pods.into_iter().map(move |pod| (one.generation, pod.drift)));
        pods.collect::<Vec<_>>()
    };
    let before = policies(&cluster);
    assert_eq!(before.iter().map(|(_, drift)| *drift).collect::<Vec<_>>(), [Drift::Correct; 2]);
    let declaration = cluster.declaration(SOURCE);
    cluster.turn(&[Fact::SourceDeclared(SourceDeclaration { drift: Drift::Warn, ..declaration })]);
    let after = policies(&cluster);
    assert_eq!(after, [(cluster.world.turn, Drift::Warn); 2], "each node is told");
    let shown = cluster.world.pods.values().filter_map(|pod| pod.seen.known());
    assert!(shown.map(|status| status.drift.len()).eq([1, 1]), "what nodes say is kept");
}

#[test]
fn a_suspended_source_holds_its_commit_until_it_is_resumed() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let name = SourceName::new(SOURCE);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    cluster.turn(&[Fact::Operator(OperatorRequest::Suspend(name.clone()))]);
    let overtaken = cluster.commit(vec![web(1, "web:2")]);
    assert_eq!(cluster.verdict(&overtaken), Verdict::Pending);
    let sha = cluster.commit(vec![web(1, "web:3")]);
    assert_eq!(cluster.verdict(&overtaken), Verdict::Superseded);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.images(), ["web:1"]);

    cluster.turn(&[Fact::Operator(OperatorRequest::Resume(name))]);
    cluster.push(&sha, vec![web(1, "web:3")]);
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_eq!(cluster.images(), ["web:3"]);
    assert_eq!(cluster.releases.len(), 3, "the pending release itself went on");
}

#[test]
fn an_object_of_another_source_is_not_taken_over() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.declare_source("rival");
    let sha = CommitSha::new("feedface");
    let revision = |cluster: &Cluster| {
        let content = content_of(vec![web(5, "web:9")]);
        Fact::Revision(Box::new(cluster.revision("rival", &sha, content)))
    };
    cluster.turn(&[revision(&cluster)]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rejected);
    let reason = cluster.release(&sha).reason.clone().expect("a reason");
    assert!(reason.contains("Deployment demo/web belongs to source shop already"), "{reason}");
    assert_eq!(cluster.active().len(), 1);
    cluster.turn(&[revision(&cluster)]);
    assert_eq!(cluster.releases.len(), 2, "read again, it is rejected once");

    // The owner lets go of it: the same commit, read again, is applied.
    cluster.commit_allowing(9, vec![]);
    cluster.run_for(seconds(5));
    cluster.turn(&[revision(&cluster)]);
    assert_eq!(cluster.verdict(&sha), Verdict::Rolling);
    assert_eq!(cluster.active().len(), 5);
}

#[test]
fn a_source_tells_when_it_cannot_be_read_and_when_it_can_again() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let seen = |head: Option<&str>, condition| Fact::SourceSeen {
        source: SourceName::new(SOURCE),
        head: head.map(CommitSha::new),
        condition,
    };
    let unreachable =
        || SourceCondition::Unreachable { message: "the remote does not answer".to_owned() };
    cluster.turn(&[seen(Some("abc"), SourceCondition::Readable)]);
    cluster.turn(&[seen(None, unreachable())]);
    let turn = cluster.world.turn;
    cluster.turn(&[seen(None, unreachable())]);
    assert_eq!(cluster.world.turn, turn, "the same news is no news");
    assert_eq!(source(&cluster).status.head, Some(CommitSha::new("abc")));
    cluster.turn(&[seen(Some("abc"), SourceCondition::Readable)]);
    assert_eq!(cluster.events_with("Unreachable").len(), 1);
    assert_eq!(cluster.events_with("Readable").len(), 1);
    cluster.turn(&[Fact::SourceSeen {
        source: SourceName::new("unknown"),
        head: None,
        condition: SourceCondition::Readable,
    }]);
    let unknown = Ignored::UnknownSource { source: SourceName::new("unknown") };
    assert_eq!(cluster.report.ignored, [unknown]);
}

#[test]
fn a_failed_deployment_gets_a_fresh_deadline_with_the_next_commit() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let first = cluster.commit(vec![web(1, "web:unready")]);
    cluster.run_for(seconds(61));
    assert_eq!(cluster.verdict(&first), Verdict::Failed);
    let second = cluster.commit(vec![web(1, "web:unready"), config("c", "a", "b")]);
    assert_eq!(cluster.verdict(&second), Verdict::Rolling);
    cluster.run_for(seconds(61));
    assert_eq!(cluster.verdict(&second), Verdict::Failed);
}

#[test]
fn several_commits_in_one_turn_end_with_the_last_one() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let (first, second) = (cluster.new_sha(), cluster.new_sha());
    let fact = |sha: &CommitSha, image| {
        let content = content_of(vec![web(2, image)]);
        Fact::Revision(Box::new(cluster.revision(SOURCE, sha, content)))
    };
    let facts = [fact(&first, "web:1"), fact(&second, "web:2")];
    cluster.turn(&facts);
    assert_eq!(cluster.verdict(&first), Verdict::Superseded);
    assert_eq!(cluster.images(), ["web:2"; 2], "no pod of the first is ever made");
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&second), Verdict::Healthy);
}

/// A deployment whose selector is its own label and more.
fn selecting(key: &str) -> DeclaredObject {
    let mut deployment = deployment("web", 1, "web:1");
    deployment.template.labels.insert(key.to_owned(), "x".to_owned());
    deployment.selector.match_labels.insert(key.to_owned(), "x".to_owned());
    named("web", deployment)
}

fn settings(value: &str, immutable: bool) -> DeclaredObject {
    let data = StringMap::from([("key".to_owned(), value.to_owned())]);
    let map = ConfigMap { data, immutable, ..ConfigMap::default() };
    declare("settings", ObjectSpec::ConfigMap(map))
}

#[test]
fn what_kubernetes_cannot_change_is_a_problem_with_its_place() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![selecting("tier"), settings("a", true)]);
    cluster.run_for(seconds(5));
    let hint = "(give the object another name, or remove it in one commit and add it in the next)";
    let cases = [
        (
            vec![selecting("layer"), settings("a", true)],
            "web.yaml:1:1: error: spec.selector: cannot change: the pods of the old selector would have no owner",
        ),
        (
            vec![selecting("tier"), settings("b", true)],
            "settings.yaml:1:1: error: data: cannot change: the object was declared immutable",
        ),
        (
            vec![selecting("tier"), settings("a", false)],
            "settings.yaml:1:1: error: immutable: cannot be taken back once it is true",
        ),
    ];
    for (objects, expected) in cases {
        let sha = cluster.commit(objects);
        assert_eq!(cluster.verdict(&sha), Verdict::Rejected);
        let reason = cluster.release(&sha).reason.clone().expect("a reason");
        assert_eq!(reason, format!("{expected} {hint}"));
    }

    // Removed and added again, it is another object.
    cluster.commit_allowing(9, vec![]);
    cluster.run_for(seconds(5));
    let sha = cluster.commit(vec![selecting("layer"), settings("b", false)]);
    assert_ne!(cluster.verdict(&sha), Verdict::Rejected);
}

/// Found by a simulated cluster: once others had come after the failed release, nothing could mend it.
#[test]
fn what_never_became_healthy_can_be_changed_however_long_ago_that_was() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let with = |image| vec![web(1, "web:1"), job(image, |_| {})];
    let failed = cluster.commit(with("job:missing"));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&failed), Verdict::Failed);
    let held = cluster.commit(vec![]);
    assert_eq!(cluster.verdict(&held), Verdict::Held);
    let mended = cluster.commit(with("job:exits"));
    cluster.run_for(seconds(5));
    assert_eq!(cluster.verdict(&mended), Verdict::Healthy);

    // From now on it is what it is.
    let changed = cluster.commit(with("job:other"));
    assert_eq!(cluster.verdict(&changed), Verdict::Rejected);
}

#[test]
fn the_way_back_is_open_whatever_is_immutable() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1"), settings("a", false)]);
    cluster.run_for(seconds(5));
    // It never becomes healthy, so its content is not held against the next commit.
    cluster.commit(vec![web(1, "web:2"), settings("b", true)]);
    let sha = cluster.commit(vec![web(1, "web:1"), settings("a", false)]);
    assert_ne!(cluster.verdict(&sha), Verdict::Rejected);

    cluster.commit(vec![web(1, "web:1"), settings("b", true)]);
    cluster.run_for(seconds(5));
    let sha = cluster.new_sha();
    let content = content_of(vec![settings("a", false), web(1, "web:1")]);
    let mut revision = cluster.revision(SOURCE, &sha, content);
    revision.commit.message = "Revert\n\nDugout-Reverts: 00000004\n".to_owned();
    cluster.turn(&[Fact::Revision(Box::new(revision))]);
    assert_ne!(cluster.verdict(&sha), Verdict::Rejected);
}
