//! What a commit would do, told before it is made.

use dugout_model::*;
use dugout_planner::{Settings, forecast};

use crate::harness::objects::*;
use crate::harness::{Cluster, SOURCE, content_of, seconds};

/// What these objects would do as the next commit.
fn of(cluster: &mut Cluster, objects: Vec<DeclaredObject>) -> Forecast {
    let sha = cluster.new_sha();
    let revision = cluster.revision(SOURCE, &sha, content_of(objects));
    forecast(&cluster.world, &revision, cluster.now, &Settings::default())
}

fn applied(cluster: &Cluster, forecast: &Forecast) -> (SourceDifference, End) {
    match &forecast.outcome {
        Outcome::Applied { after, end, .. } => {
            (compare(&cluster.world, after, &SourceName::new(SOURCE)), end.clone())
        }
        Outcome::Rejected { problems } => panic!("rejected: {problems:?}"),
    }
}

#[test]
fn what_is_told_is_what_happens() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(vec![
        web(3, "web:1"),
        db(2, "db:1", |_| {}),
        config("settings", "key", "1"),
        service("web", 30_080),
    ]);
    cluster.run_for(seconds(8));
    let next = || {
        vec![
            web_with(4, "web:2", |asked| asked.min_ready = seconds(2)),
            db(2, "db:1", |_| {}),
            config("other", "key", "1"),
            hook("migrate", "migrate:exits", Hook::Before),
            service("web", 30_080),
        ]
    };
    let told = of(&mut cluster, next());
    assert!(told.is_clear(), "{told:?}");
    let (difference, _) = applied(&cluster, &told);
    let changes: Vec<(String, &str)> = difference
        .objects
        .iter()
        .map(|(id, change)| {
            let what = match change {
                ObjectDifference::Added(_) => "added",
                ObjectDifference::Changed { .. } => "changed",
                ObjectDifference::Removed(_) => "removed",
                ObjectDifference::Orphaned(_) => "orphaned",
            };
            (id.to_string(), what)
        })
        .collect();
    let expected = [
        ("ConfigMap demo/other", "added"),
        ("ConfigMap demo/settings", "removed"),
        ("Deployment demo/web", "changed"),
        ("Job demo/migrate", "added"),
    ];
    assert_eq!(changes, expected.map(|(id, what)| (id.to_owned(), what)));
    assert_eq!((difference.untouched_workloads, difference.untouched_pods), (1, 2));
    let of_web = &difference.pods[&web(0, "").id()];
    assert_eq!((of_web.before, of_web.after, of_web.kept), (3, 4, 0));
    assert_eq!(of_web.started.values().sum::<usize>(), 4);
    assert_eq!(of_web.stopped.values().sum::<usize>(), 3);

    let sha = cluster.commit(next());
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    let Outcome::Applied { after, .. } = told.outcome else { panic!("it is applied") };
    let image = |set: &ReplicaSet| set.template.containers[0].image.clone();
    let spread = |world: &World| {
        let mut pods: Vec<_> = world
            .pods
            .values()
            .map(|pod| (pod.node().cloned(), world.replica_set_of(pod).map(|set| image(set))))
            .collect();
        pods.sort();
        pods
    };
    assert_eq!(spread(&after), spread(&cluster.world));
}

#[test]
fn nothing_of_it_is_done() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let before = cluster.world.clone();
    of(&mut cluster, vec![web(2, "web:2")]);
    assert_eq!(cluster.world, before);
}

#[test]
fn a_commit_that_does_not_fit_says_what_is_missing() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let told = of(&mut cluster, vec![web(200, "web:1")]);
    let (difference, end) = applied(&cluster, &told);
    assert_eq!(end, End::Waiting);
    let pods = &difference.pods[&web(0, "").id()];
    assert_eq!((pods.kept, pods.after), (1, 200));
    assert_eq!(pods.unplaced, 200 - pods.kept - pods.started.values().sum::<usize>());
    let why = pods.unplaced_because.as_ref().expect("it is said why");
    assert!(why.removed.contains_key(&NodeFilter::InsufficientCpu), "{why:?}");
}

#[test]
fn what_stands_in_the_way_is_told_with_what_it_would_do() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let names = ["a", "b", "c", "d", "e"];
    let of_names = |names: &[&str]| -> Vec<DeclaredObject> {
        names.iter().map(|name| named(name, deployment(name, 1, "web:1"))).collect()
    };
    cluster.commit(of_names(&names));
    cluster.run_for(seconds(4));
    cluster.turn(&[Fact::Operator(OperatorRequest::Suspend(SourceName::new(SOURCE)))]);
    let told = of(&mut cluster, of_names(&names[..1]));
    assert!(
        matches!(told.obstacles.as_slice(), [Obstacle::Suspended, Obstacle::Held { .. }]),
        "{:?}",
        told.obstacles
    );
    let (difference, end) = applied(&cluster, &told);
    assert_eq!((difference.objects.len(), end), (4, End::Healthy));
    assert!(!told.is_clear());
}

#[test]
fn a_rejected_commit_tells_its_problems() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let told = of(
        &mut cluster,
        vec![web_with(1, "web:1", |asked| {
            asked.selector.match_labels.insert("more".to_owned(), "labels".to_owned());
        })],
    );
    let Outcome::Rejected { problems } = &told.outcome else { panic!("{told:?}") };
    assert_eq!((problems.len(), told.error_count()), (1, 1));
}

#[test]
fn a_commit_that_failed_before_says_so() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    cluster.commit(vec![web(1, "web:1")]);
    cluster.run_for(seconds(3));
    let sha = cluster.commit(vec![web(1, "web:missing")]);
    cluster.run_for(seconds(3));
    assert_eq!(cluster.verdict(&sha), Verdict::Reverted);
    let revision = cluster.revision(SOURCE, &sha, content_of(vec![web(1, "web:missing")]));
    let told = forecast(&cluster.world, &revision, cluster.now, &Settings::default());
    assert_eq!(told.obstacles, [Obstacle::Quarantined]);
}
