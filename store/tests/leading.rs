//! Who may write: leading, being deposed, and losing the connection at every point of a commit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use dugout_store::{CommitError, CommitOutcome, Leadership, Leading, Store, StoreError};
use sqlx::Connection;
use support::sample::Dice;
use support::{Database, Server, commit, lead};

fn node(seed: u64) -> Vec<Change> {
    vec![Change::PutNode(Arc::new(Dice::new(seed).node(NodeName::new("a"))))]
}

fn outcome(result: Result<(), CommitError>) -> CommitOutcome {
    match result {
        Err(CommitError::Unavailable { outcome, .. }) => outcome,
        other => panic!("expected a lost connection, got {other:?}"),
    }
}

#[tokio::test]
async fn one_of_two_servers_leads_and_the_other_learns_who() {
    let database = Database::new().await;
    let (one, two) = (database.migrated().await, database.migrated().await);
    let Leading::Leader(mut leadership) = one.lead("server-one").await.unwrap() else {
        panic!("nobody else leads")
    };
    assert_eq!(leadership.epoch(), Epoch(1));
    assert!(leadership.is_held().await);
    let Leading::HeldBy { holder, since } = two.lead("server-two").await.unwrap() else {
        panic!("two leaders")
    };
    assert_eq!(holder, "server-one");
    assert!(since > Timestamp::from_micros(1_700_000_000_000_000));

    leadership.resign().await;
    assert_eq!(lead(&two).await.epoch(), Epoch(2));
}

#[tokio::test]
async fn a_dropped_leadership_is_free_for_the_next() {
    let database = Database::new().await;
    let store = database.migrated().await;
    drop(lead(&store).await);
    assert_eq!(lead(&store).await.epoch(), Epoch(2));
}

#[tokio::test]
async fn a_deposed_leaders_late_write_fails_and_changes_nothing() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut old = lead(&store).await;
    commit(&mut old, &mut world, &node(1)).await;
    // The lock alone does not protect: take it from the old leader's live connection, as a failover to
    // a replica of the database would.
    database.run("update leadership set epoch = epoch + 1, holder = 'new'").await;
    assert!(matches!(old.commit(world.turn.next(), &node(2)).await, Err(CommitError::Deposed)));
    assert_eq!(store.load().await.unwrap(), world);
    assert!(!old.is_held().await);
    assert!(matches!(old.commit(world.turn.next(), &node(2)).await, Err(CommitError::Deposed)));
    assert_eq!(lead(&store).await.epoch(), Epoch(3));
}

#[tokio::test]
async fn a_leader_notices_without_writing_that_it_is_deposed() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut leadership = lead(&store).await;
    database.run("update leadership set epoch = epoch + 1").await;
    assert!(!leadership.is_held().await);

    let mut leadership = lead(&store).await;
    database.kill_leader().await;
    assert!(!leadership.is_held().await);
}

#[tokio::test]
async fn a_turn_that_does_not_follow_the_last_one_is_refused() {
    let database = Database::new().await;
    let store = database.migrated().await;
    for (turn, last) in [(Turn(0), Turn(0)), (Turn(2), Turn(0)), (Turn(u64::MAX >> 1), Turn(0))] {
        let mut leadership = lead(&store).await;
        match leadership.commit(turn, &node(1)).await {
            Err(CommitError::TurnConflict { turn: asked, durable }) => {
                assert_eq!((asked, durable), (turn, last));
            }
            other => panic!("turn {turn:?}: {other:?}"),
        }
        leadership.resign().await;
    }
    let mut leadership = lead(&store).await;
    leadership.commit(Turn(1), &node(1)).await.unwrap();
    let again = leadership.commit(Turn(1), &node(1)).await;
    assert!(matches!(again, Err(CommitError::TurnConflict { durable: Turn(1), .. })), "{again:?}");
    assert_eq!(store.durable_turn().await.unwrap(), Turn(1));
}

#[tokio::test]
async fn turns_and_epochs_go_on_over_leaders() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    for epoch in 1..=3 {
        let mut leadership = lead(&store).await;
        assert_eq!(leadership.epoch(), Epoch(epoch));
        commit(&mut leadership, &mut world, &node(epoch)).await;
        assert_eq!(store.durable_turn().await.unwrap(), Turn(epoch));
        leadership.resign().await;
    }
}

#[tokio::test]
async fn a_connection_lost_between_turns_commits_nothing() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    database.kill_leader().await;
    let result = leadership.commit(Turn(1), &node(1)).await;
    assert_eq!(outcome(result), CommitOutcome::NotCommitted);
    lead(&store).await;
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn a_connection_lost_while_writing_commits_nothing() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let world = store.load().await.unwrap();
    let mut blocker = database.connection().await;
    let mut block = blocker.begin().await.unwrap();
    sqlx::query("lock table nodes").execute(&mut *block).await.unwrap();

    let writing = in_background(lead(&store).await);
    database.wait_until(&leader_waits_for("Lock")).await;
    database.kill_leader().await;
    assert_eq!(outcome(writing.await.unwrap()), CommitOutcome::NotCommitted);
    block.rollback().await.unwrap();
    lead(&store).await;
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn a_connection_lost_during_the_commit_leaves_it_open_and_leading_again_settles_it() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let world = store.load().await.unwrap();
    // Work that PostgreSQL does at commit, and that waits: the turn is asked for and not yet kept.
    database
        .run(
            "create function wait_at_commit() returns trigger language plpgsql as
                 'begin perform pg_advisory_xact_lock(42); return null; end';
             create constraint trigger wait_at_commit after insert on nodes
                 deferrable initially deferred for each row execute function wait_at_commit()",
        )
        .await;
    let mut blocker = database.connection().await;
    sqlx::query("select pg_advisory_lock(42)").execute(&mut blocker).await.unwrap();

    let writing = in_background(lead(&store).await);
    database.wait_until(&leader_waits_for("Lock")).await;
    database.kill_leader().await;
    assert_eq!(outcome(writing.await.unwrap()), CommitOutcome::Unknown);
    lead(&store).await;
    assert_eq!(store.durable_turn().await.unwrap(), world.turn);
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_when_leading_again() {
    // The commit of the turn, alone, waits for a replica that never comes: it is kept, and its answer
    // is what gets lost.
    let settings = "-c synchronous_standby_names=nobody -c synchronous_commit=local";
    let database = Database::on(Arc::new(Server::start(settings))).await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    database
        .run(
            "create function wait_for_replica() returns trigger language plpgsql as
                 $$begin perform set_config('synchronous_commit', 'on', true); return null; end$$;
             create trigger wait_for_replica after insert on nodes
                 for each row execute function wait_for_replica()",
        )
        .await;

    let writing = in_background(lead(&store).await);
    database.wait_until(&leader_waits_for("IPC")).await;
    database.kill_leader().await;
    assert_eq!(outcome(writing.await.unwrap()), CommitOutcome::Unknown);
    lead(&store).await;
    support::apply(&mut world, Turn(1), &node(1));
    assert_eq!(store.durable_turn().await.unwrap(), Turn(1));
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn a_cancelled_commit_gives_up_the_leadership() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let world = store.load().await.unwrap();
    let mut blocker = database.connection().await;
    let mut block = blocker.begin().await.unwrap();
    sqlx::query("lock table nodes").execute(&mut *block).await.unwrap();

    let mut leadership = lead(&store).await;
    let changes = node(1);
    let commit = leadership.commit(Turn(1), &changes);
    assert!(tokio::time::timeout(Duration::from_millis(100), commit).await.is_err());
    assert!(!leadership.is_held().await);
    assert!(matches!(leadership.commit(Turn(1), &changes).await, Err(CommitError::Deposed)));
    block.rollback().await.unwrap();
    lead(&store).await;
    assert_eq!(store.load().await.unwrap(), world);
}

#[tokio::test]
async fn an_idle_cluster_writes_nothing() {
    // Without the log of running transactions, which PostgreSQL writes by itself after other work.
    let server = Arc::new(Server::start("-c wal_level=minimal -c max_wal_senders=0"));
    let database = Database::on(server).await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    commit(&mut leadership, &mut world, &node(1)).await;

    let mut connection = database.connection().await;
    let mut written = async || -> String {
        let query = "select pg_current_wal_insert_lsn()::text";
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    };
    written().await;
    let before = written().await;
    for _ in 0..20 {
        assert!(leadership.is_held().await);
        assert!(matches!(store.lead("second").await.unwrap(), Leading::HeldBy { .. }));
        store.migrate().await.unwrap();
        store.load().await.unwrap();
        store.durable_turn().await.unwrap();
    }
    assert_eq!(written().await, before);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres:///x?host={}&user=x", folder.path().display());
    let error = Store::connect(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let error = Store::connect("not an address").await.unwrap_err();
    assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
}

fn in_background(mut leadership: Leadership) -> tokio::task::JoinHandle<Result<(), CommitError>> {
    tokio::spawn(async move { leadership.commit(Turn(1), &node(1)).await })
}

fn leader_waits_for(event_type: &str) -> String {
    format!(
        "select from pg_stat_activity where application_name = 'dugout leader'
         and datname = current_database() and wait_event_type = '{event_type}'"
    )
}
