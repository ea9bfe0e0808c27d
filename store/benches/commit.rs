//! What a turn costs: one changed pod, ten changes of several tables, and 5,000 new pods, each beside
//! the floor that PostgreSQL itself sets on the same connection settings in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dugout_model::*;
use sqlx::{Connection, PgConnection};
use support::sample::Dice;
use support::{Database, Server, commit, lead};

const ROUNDS: usize = 300;
const PODS: usize = 5_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    // With real durability, unlike the tests: the last setting of a name counts.
    let server = Arc::new(Server::start("-c fsync=on"));
    let database = Database::on(server).await;
    let store = database.migrated().await;
    let mut world = store.load().await.expect("an empty world");
    let mut leadership = lead(&store).await;
    let mut dice = Dice::new(1);

    let mut floor = Vec::new();
    let mut connection = database.connection().await;
    database
        .run(
            "create table floor (id bigint primary key, n bigint); insert into floor values (1, 0)",
        )
        .await;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        bare_transaction(&mut connection).await;
        floor.push(begun.elapsed());
    }
    show("bare one-row transaction", floor);

    let set = ReplicaSetUid(dice.uuid());
    let uid = PodUid(dice.uuid());
    let mut one = Vec::new();
    for _ in 0..ROUNDS {
        let change = [Change::PutPod(Arc::new(dice.pod(uid, set)))];
        let begun = Instant::now();
        commit(&mut leadership, &mut world, &change).await;
        one.push(begun.elapsed());
    }
    show("turn with 1 changed pod", one);

    let mut ten = Vec::new();
    for _ in 0..ROUNDS {
        let changes = ten_changes(&mut dice, set);
        let begun = Instant::now();
        commit(&mut leadership, &mut world, &changes).await;
        ten.push(begun.elapsed());
    }
    show("turn with 10 changes in 5 tables", ten);

    let pods: Vec<Change> =
        (0..PODS).map(|_| Change::PutPod(Arc::new(dice.new_pod(set)))).collect();
    let begun = Instant::now();
    commit(&mut leadership, &mut world, &pods).await;
    show("turn with 5,000 new pods", vec![begun.elapsed()]);
    let begun = Instant::now();
    commit(&mut leadership, &mut world, &pods).await;
    show("turn with 5,000 changed pods", vec![begun.elapsed()]);
    let begun = Instant::now();
    database
        .run(
            "create table raw (like pods including all);
              insert into raw (document) select document from pods",
        )
        .await;
    show("5,000 raw rows inside PostgreSQL", vec![begun.elapsed()]);
    for _ in 0..2 {
        let begun = Instant::now();
        let loaded = store.load().await.expect("the world");
        show("loading 5,001 pods", vec![begun.elapsed()]);
        assert_eq!(loaded, world);
    }
}

async fn bare_transaction(connection: &mut PgConnection) {
    let mut transaction = connection.begin().await.expect("begin");
    sqlx::query("update floor set n = n + 1 where id = 1")
        .execute(&mut *transaction)
        .await
        .expect("update");
    transaction.commit().await.expect("commit");
}

fn ten_changes(dice: &mut Dice, set: ReplicaSetUid) -> Vec<Change> {
    let deployment = ObjectUid(uuid::Uuid::from_u128(1));
    let (source, sha) = (SourceName::new("main"), dice.sha());
    let mut changes = vec![
        Change::PutReplicaSet(Arc::new(dice.replica_set(set))),
        Change::PutRollout(Arc::new(dice.rollout(deployment))),
    ];
    for pod in 0..4 {
        let uid = PodUid(uuid::Uuid::from_u128(pod));
        changes.push(Change::PutPod(Arc::new(dice.pod(uid, set))));
        changes.push(match pod % 2 {
            0 => Change::AppendTimeline(Box::new(dice.timeline_entry(source.clone(), sha.clone()))),
            _ => Change::AppendEvent(Box::new(dice.event())),
        });
    }
    changes
}

fn show(what: &str, mut spans: Vec<Duration>) {
    spans.sort();
    let at = |share: usize| spans[(spans.len() - 1) * share / 100].as_secs_f64() * 1_000.0;
    println!("{what:<36} p50 {:>8.2} ms   p99 {:>8.2} ms", at(50), at(99));
}
