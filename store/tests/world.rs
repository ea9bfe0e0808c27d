//! The world in memory is the database: whatever is committed, loading gives an equal world.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

use std::sync::Arc;

use dugout_model::*;
use dugout_store::CommitError;
use support::sample::Dice;
use support::{Database, apply, commit, lead};

const SEEDS: u64 = 8;
const TURNS: u64 = 10;

/// Random changes to a few rows, so that puts, puts over puts, deletes and deletes of nothing all
/// happen, also several to one row in one turn.
fn random_changes(dice: &mut Dice, world: &World) -> Vec<Change> {
    let mut draft = world.clone();
    (0..dice.below(40))
        .map(|_| {
            let change = random_change(dice, &draft);
            draft.apply(&change);
            change
        })
        .collect()
}

fn random_change(dice: &mut Dice, world: &World) -> Change {
    let sources: Vec<SourceName> = world.sources.keys().cloned().collect();
    if sources.is_empty() {
        return Change::PutSource(Arc::new(dice.source(SourceName::new("first"))));
    }
    let source = dice.pick(&sources);
    let small_uuid = uuid::Uuid::from_u128(u128::from(dice.below(6)));
    let set = ReplicaSetUid(uuid::Uuid::from_u128(u128::from(dice.below(4))));
    match dice.below(26) {
        0 => {
            let name = SourceName::new(dice.pick(&["first", "second", "odd\0name"]));
            Change::PutSource(Arc::new(dice.source(name)))
        }
        1 | 2 => {
            let id = dice.object_id();
            let row = match dice.flip() {
                true => dice.filled_object(id, source),
                false => dice.object(id, source),
            };
            Change::PutObject(Arc::new(row))
        }
        3 => Change::DeleteObject(dice.object_id()),
        4 => Change::PutRollout(Arc::new(dice.rollout(ObjectUid(small_uuid)))),
        5 => Change::DeleteRollout(ObjectUid(small_uuid)),
        6 => Change::PutReplicaSet(Arc::new(dice.replica_set(set))),
        7 => Change::DeleteReplicaSet(set),
        8 | 9 => Change::PutPod(Arc::new(dice.pod(PodUid(small_uuid), set))),
        10 => Change::DeletePod(PodUid(small_uuid)),
        11 => {
            let name = dice.node_name();
            Change::PutNode(Arc::new(dice.node(name)))
        }
        12 => Change::DeleteNode(dice.node_name()),
        13 | 14 => random_release(dice, world, source),
        15 => Change::PutQuarantine(Quarantine { source, sha: dice.sha() }),
        16 => Change::PutJob(Arc::new(dice.job_run(JobUid(small_uuid)))),
        17 => Change::DeleteJob(JobUid(small_uuid)),
        18 => Change::PutSchedule(Arc::new(dice.schedule(ObjectUid(small_uuid)))),
        19 => Change::DeleteSchedule(ObjectUid(small_uuid)),
        20 => Change::PutBaseline(Arc::new(dice.baseline(source))),
        22 | 23 => Change::PutVolumeBinding(Arc::new(dice.volume_binding(VolumeUid(small_uuid)))),
        24 => Change::DeleteVolumeBinding(VolumeUid(small_uuid)),
        21 => Change::DeleteBaseline((source, dice.object_id())),
        _ => match dice.below(3) {
            0 => Change::PutRevision(Arc::new(dice.revision(source))),
            1 => {
                let sha = dice.sha();
                Change::AppendTimeline(Box::new(dice.timeline_entry(source, sha)))
            }
            _ => Change::AppendEvent(Box::new(dice.event())),
        },
    }
}

/// A new release, or another state of one that the world still knows. A healthy one stays healthy.
fn random_release(dice: &mut Dice, world: &World, source: SourceName) -> Change {
    let known: Vec<Arc<Release>> = world.releases.values().cloned().collect();
    if known.is_empty() || dice.flip() {
        let next = known.iter().map(|row| row.id.0).max().unwrap_or(0) + 1;
        return Change::PutRelease(Arc::new(dice.release(ReleaseId(next), source)));
    }
    let before = dice.pick(&known);
    let mut row = dice.release(before.id, before.source.clone());
    if before.verdict == Verdict::Healthy {
        row.verdict = Verdict::Healthy;
    }
    Change::PutRelease(Arc::new(row))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loading_at_any_turn_gives_the_world_that_is_in_memory() {
    for seed in 0..SEEDS {
        let database = Database::new().await;
        let store = database.migrated().await;
        let mut dice = Dice::new(seed);
        let mut world = store.load().await.unwrap();
        let mut leadership = lead(&store).await;
        for _ in 0..TURNS {
            let changes = random_changes(&mut dice, &world);
            commit(&mut leadership, &mut world, &changes).await;
            assert_eq!(store.load().await.unwrap(), world, "seed {seed}, {:?}", world.turn);
            if dice.below(6) == 0 {
                database.kill_leader().await;
                let unheard = random_changes(&mut dice, &world);
                leadership.commit(world.turn.next(), &unheard).await.unwrap_err();
                leadership = lead(&store).await;
                assert_eq!(store.load().await.unwrap(), world, "seed {seed}, after a kill");
            }
        }
        leadership.resign().await;
    }
}

#[tokio::test]
async fn a_fresh_database_gives_an_empty_world_of_its_own_cluster() {
    let (database, other) = (Database::new().await, Database::new().await);
    let (store, other) = (database.migrated().await, other.migrated().await);
    let cluster = store.cluster().await.unwrap();
    assert_eq!(store.load().await.unwrap(), World::empty(cluster));
    assert_eq!(database.store().await.cluster().await.unwrap(), cluster);
    assert_ne!(other.cluster().await.unwrap(), cluster);
}

#[tokio::test]
async fn of_several_changes_of_one_row_in_one_turn_the_last_counts() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(7);
    let (uid, set) = (PodUid(dice.uuid()), ReplicaSetUid(dice.uuid()));
    let (first, second) = (Arc::new(dice.pod(uid, set)), Arc::new(dice.pod(uid, set)));
    let changes =
        [Change::PutPod(first), Change::DeletePod(uid), Change::PutPod(Arc::clone(&second))];
    commit(&mut leadership, &mut world, &changes).await;
    assert_eq!(store.load().await.unwrap().pods.get(&uid), Some(&second));
    let changes = [Change::PutPod(second), Change::DeletePod(uid)];
    commit(&mut leadership, &mut world, &changes).await;
    assert!(store.load().await.unwrap().pods.is_empty());
}

#[tokio::test]
async fn a_name_moves_from_a_deleted_pod_to_a_new_one_in_one_turn() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(7);
    let set = ReplicaSetUid(dice.uuid());
    let old = dice.new_pod(set);
    let new = Pod { uid: PodUid(dice.uuid()), ..old.clone() };
    commit(&mut leadership, &mut world, &[Change::PutPod(Arc::new(old.clone()))]).await;
    let changes = [Change::PutPod(Arc::new(new)), Change::DeletePod(old.uid)];
    commit(&mut leadership, &mut world, &changes).await;
    assert_eq!(store.load().await.unwrap(), world);
}

/// Commits changes that break a rule, and gives back the rule's name. Nothing of them is kept, and the
/// leader goes on.
async fn broken_rule(changes: impl FnOnce(&mut Dice) -> Vec<Change>) -> String {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(3);
    let source = Change::PutSource(Arc::new(dice.source(SourceName::new("known"))));
    commit(&mut leadership, &mut world, &[source]).await;

    let changes = changes(&mut dice);
    let error = leadership.commit(world.turn.next(), &changes).await.unwrap_err();
    assert_eq!(store.load().await.unwrap(), world);
    let node = Change::PutNode(Arc::new(dice.node(NodeName::new("a"))));
    commit(&mut leadership, &mut world, &[node]).await;
    match error {
        CommitError::Constraint { name, .. } => name,
        other => panic!("expected a broken rule, got {other:?}"),
    }
}

#[tokio::test]
async fn two_pods_with_one_name_break_a_named_rule() {
    let name = broken_rule(|dice| {
        let pod = dice.new_pod(ReplicaSetUid(uuid::Uuid::nil()));
        let twin = Pod { uid: PodUid(dice.uuid()), ..pod.clone() };
        vec![Change::PutPod(Arc::new(pod)), Change::PutPod(Arc::new(twin))]
    });
    assert_eq!(name.await, "pods_name_unique");
}

#[tokio::test]
async fn two_objects_with_one_uid_break_a_named_rule() {
    let name = broken_rule(|dice| {
        let source = SourceName::new("known");
        let one = dice.object(ObjectId::new(Kind::Namespace, "", "one"), source.clone());
        let mut two = dice.object(ObjectId::new(Kind::Namespace, "", "two"), source);
        two.uid = one.uid;
        vec![Change::PutObject(Arc::new(one)), Change::PutObject(Arc::new(two))]
    });
    assert_eq!(name.await, "objects_uid_unique");
}

#[tokio::test]
async fn a_release_of_an_unknown_source_breaks_a_named_rule() {
    let name = broken_rule(|dice| {
        let release = dice.release(ReleaseId(1), SourceName::new("unknown"));
        vec![Change::PutRelease(Arc::new(release))]
    });
    assert_eq!(name.await, "releases_source_known");
}

#[tokio::test]
async fn a_quarantine_of_an_unknown_source_breaks_a_named_rule() {
    let name = broken_rule(|dice| {
        let sha = dice.sha();
        vec![Change::PutQuarantine(Quarantine { source: SourceName::new("unknown"), sha })]
    });
    assert_eq!(name.await, "quarantine_source_known");
}

#[tokio::test]
async fn a_healthy_release_that_turns_otherwise_breaks_a_named_rule() {
    let turned = |dice: &mut Dice| {
        let mut release = dice.release(ReleaseId(1), SourceName::new("known"));
        release.verdict = Verdict::Healthy;
        let healthy = Change::PutRelease(Arc::new(release.clone()));
        release.verdict = Verdict::Failed;
        (healthy, Change::PutRelease(Arc::new(release)))
    };
    let in_one_turn = broken_rule(|dice| {
        let (healthy, failed) = turned(dice);
        vec![healthy, failed]
    });
    assert_eq!(in_one_turn.await, "releases_healthy_is_final");

    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(3);
    let source = Change::PutSource(Arc::new(dice.source(SourceName::new("known"))));
    let (healthy, failed) = turned(&mut dice);
    commit(&mut leadership, &mut world, &[source, healthy]).await;
    let error = leadership.commit(world.turn.next(), &[failed]).await.unwrap_err();
    assert!(
        matches!(&error, CommitError::Constraint { name, .. } if name == "releases_healthy_is_final"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_refused_and_the_leader_goes_on() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(3);
    let source = Change::PutSource(Arc::new(dice.source(SourceName::new("known"))));
    let event = Event { at: Timestamp::from_micros(i64::MIN), ..dice.event() };
    let release = dice.release(ReleaseId(u64::MAX), SourceName::new("known"));
    for refused in [Change::AppendEvent(Box::new(event)), Change::PutRelease(Arc::new(release))] {
        let changes = [source.clone(), refused];
        let error = leadership.commit(world.turn.next(), &changes).await.unwrap_err();
        assert!(matches!(error, CommitError::Unstorable { .. }), "{error:?}");
    }
    commit(&mut leadership, &mut world, &[source]).await;
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn thousands_of_pods_are_one_turn() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(11);
    let set = ReplicaSetUid(dice.uuid());
    let pods: Vec<Change> =
        (0..6_000).map(|_| Change::PutPod(Arc::new(dice.new_pod(set)))).collect();
    let turn = world.turn.next();
    leadership.commit(turn, &pods).await.unwrap();
    apply(&mut world, turn, &pods);
    assert_eq!(store.load().await.unwrap(), world);
    let gone: Vec<Change> = world.pods.keys().map(|uid| Change::DeletePod(*uid)).collect();
    commit(&mut leadership, &mut world, &gone).await;
    assert_eq!(store.load().await.unwrap(), world);
}
