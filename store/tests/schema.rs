//! The schema and what is saved beside it: migrations, the stored form of rows, and the query data
//! with which the crate compiles when no database is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dugout_model::*;
use dugout_store::StoreError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{Executor, SqlSafeStr};
use support::sample::Dice;
use support::{Database, commit, lead};

#[tokio::test]
async fn migrating_twice_and_side_by_side_changes_nothing_more() {
    let database = Database::new().await;
    let (one, two) = (database.store().await, database.store().await);
    let other = tokio::spawn(async move { two.migrate().await });
    one.migrate().await.unwrap();
    other.await.unwrap().unwrap();
    let cluster = one.cluster().await.unwrap();
    one.migrate().await.unwrap();
    assert_eq!(one.cluster().await.unwrap(), cluster);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let database = Database::new().await;
    let store = database.migrated().await;
    database
        .run(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'from the future', true, '\\x00', 0)",
        )
        .await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseNewer { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer Dugout"), "{error}");
}

#[tokio::test]
async fn a_database_with_a_different_history_is_refused() {
    let database = Database::new().await;
    let store = database.migrated().await;
    database.run("update _sqlx_migrations set checksum = '\\x00' where version = 1").await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseDiffers { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_database_without_tables_is_named_as_such() {
    let database = Database::new().await;
    let store = database.store().await;
    for error in [store.load().await.unwrap_err(), store.lead("me").await.unwrap_err()] {
        assert!(matches!(error, StoreError::NotMigrated { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_an_error_with_its_table() {
    let database = Database::new().await;
    let store = database.migrated().await;
    database.run("insert into nodes (document) values ('{\"name\": \"a\", \"novel\": 1}')").await;
    let error = store.load().await.unwrap_err();
    assert!(matches!(error, StoreError::UnreadableRow { table: "nodes", .. }), "{error:?}");
}

/// Rows on disk outlive the program that wrote them. When this fails, add a migration that brings
/// stored rows to the new form; then renew the file with DUGOUT_RENEW_GOLDEN=1.
#[tokio::test]
async fn the_stored_form_of_rows_is_the_one_that_was_released() {
    let database = Database::new().await;
    let store = database.migrated().await;
    let mut world = store.load().await.unwrap();
    let mut leadership = lead(&store).await;
    commit(&mut leadership, &mut world, &one_of_each(&mut Dice::new(5))).await;

    let mut connection = database.connection().await;
    let mut stored = serde_json::Map::new();
    for (table, query) in [
        ("baselines", "select jsonb_agg(document order by document)::text from baselines"),
        ("jobs", "select jsonb_agg(document order by document)::text from jobs"),
        ("nodes", "select jsonb_agg(document order by document)::text from nodes"),
        ("objects", "select jsonb_agg(document order by document)::text from objects"),
        ("pods", "select jsonb_agg(document order by document)::text from pods"),
        ("releases", "select jsonb_agg(document order by document)::text from releases"),
        ("replica_sets", "select jsonb_agg(document order by document)::text from replica_sets"),
        ("revisions", "select jsonb_agg(document order by document)::text from revisions"),
        ("rollouts", "select jsonb_agg(document order by document)::text from rollouts"),
        ("schedules", "select jsonb_agg(document order by document)::text from schedules"),
        ("sources", "select jsonb_agg(document order by document)::text from sources"),
        (
            "volume_bindings",
            "select jsonb_agg(document order by document)::text from volume_bindings",
        ),
        ("templates", "select jsonb_agg(template order by template)::text from replica_sets"),
    ] {
        let rows: String = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        stored.insert(table.to_owned(), serde_json::from_str(&rows).unwrap());
    }
    let stored = Value::Object(stored);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rows.json");
    if std::env::var_os("DUGOUT_RENEW_GOLDEN").is_some() {
        fs::write(&file, serde_json::to_string_pretty(&stored).unwrap() + "\n").unwrap();
    }
    let released: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(stored, released);
}

fn one_of_each(dice: &mut Dice) -> Vec<Change> {
    let source = SourceName::new("main");
    let mut changes = vec![Change::PutSource(Arc::new(dice.source(source.clone())))];
    let later = [
        Kind::PodDisruptionBudget,
        Kind::LimitRange,
        Kind::ResourceQuota,
        Kind::StorageClass,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
    ];
    for kind in Kind::ALL.into_iter().filter(|kind| !later.contains(kind)) {
        let id = ObjectId::new(kind, "demo", "web");
        changes.push(Change::PutObject(Arc::new(dice.object(id, source.clone()))));
    }
    for number in 0..8 {
        let set = ReplicaSetUid(dice.uuid());
        let deployment = ObjectUid(dice.uuid());
        changes.push(Change::PutRollout(Arc::new(dice.rollout(deployment))));
        changes.push(Change::PutReplicaSet(Arc::new(dice.replica_set(set))));
        changes.push(Change::PutPod(Arc::new(dice.new_pod(set))));
        let name = NodeName::new(format!("node-{number}"));
        changes.push(Change::PutNode(Arc::new(dice.node(name))));
        let id = ReleaseId(number + 1);
        changes.push(Change::PutRelease(Arc::new(dice.release(id, source.clone()))));
    }
    for _ in 0..6 {
        let uid = JobUid(dice.uuid());
        changes.push(Change::PutJob(Arc::new(dice.job_run(uid))));
    }
    let cron_job = ObjectUid(dice.uuid());
    changes.push(Change::PutSchedule(Arc::new(dice.schedule(cron_job))));
    changes.push(Change::PutBaseline(Arc::new(dice.baseline(source.clone()))));
    for _ in 0..3 {
        changes.push(Change::PutRevision(Arc::new(dice.revision(source.clone()))));
    }
    changes.extend(what_came_later(dice, &source));
    changes
}

/// At the end, so that the rows before stay as they were.
fn what_came_later(dice: &mut Dice, source: &SourceName) -> Vec<Change> {
    let id = ObjectId::new(Kind::PodDisruptionBudget, "demo", "web");
    let budget = dice.object(id, source.clone());
    let scheduling = Scheduling::Draining { since: dice.moment() };
    let drained = Node { scheduling, ..dice.node(NodeName::new("drained")) };
    let (since, grace, reason) =
        (dice.moment(), std::time::Duration::from_millis(1_500), StopReason::Evicted);
    let lifecycle = Lifecycle::Stopping { since, grace, reason };
    let set = ReplicaSetUid(dice.uuid());
    let evicted = Pod { lifecycle, ..dice.new_pod(set) };
    let [range, quota] = [Kind::LimitRange, Kind::ResourceQuota].map(|kind| {
        let id = ObjectId::new(kind, "demo", "web");
        Change::PutObject(Arc::new(dice.object(id, source.clone())))
    });
    let filled = dice.filled_object(ObjectId::new(Kind::Job, "demo", "filled"), source.clone());
    let mut changes = vec![
        Change::PutObject(Arc::new(budget)),
        Change::PutNode(Arc::new(drained)),
        Change::PutPod(Arc::new(evicted)),
        range,
        quota,
        Change::PutObject(Arc::new(filled)),
    ];
    changes.extend(storage(dice, source));
    changes
}

fn storage(dice: &mut Dice, source: &SourceName) -> Vec<Change> {
    let kinds = [Kind::StorageClass, Kind::PersistentVolume, Kind::PersistentVolumeClaim];
    let objects = kinds.map(|kind| dice.object(ObjectId::new(kind, "demo", "web"), source.clone()));
    let mut set = dice.object(ObjectId::new(Kind::StatefulSet, "demo", "claims"), source.clone());
    let mut declared = (*set.declared).clone();
    if let ObjectSpec::StatefulSet(spec) = &mut declared.spec {
        **spec = dice.with_claims((**spec).clone());
        let volume = |claim, access| VolumeSource::Claim(ClaimVolume { claim, access });
        let named = volume(ClaimName::Named(ObjectName::new("web")), MountAccess::ReadOnly);
        let own = volume(ClaimName::OfTemplate(ObjectName::new("data")), MountAccess::ReadWrite);
        let volumes = [named, own].map(|source| Volume { name: "data".to_owned(), source });
        spec.template.volumes = volumes.into();
    }
    set.declared = Arc::new(declared);
    let node = Node { storage_bytes: Some(7), ..dice.node(NodeName::new("storing")) };
    let bindings = (0..6).map(|_| {
        let uid = VolumeUid(dice.uuid());
        Change::PutVolumeBinding(Arc::new(dice.volume_binding(uid)))
    });
    let bindings: Vec<Change> = bindings.collect();
    let objects = objects.into_iter().chain([set]).map(|row| Change::PutObject(Arc::new(row)));
    objects.chain([Change::PutNode(Arc::new(node))]).chain(bindings).collect()
}

/// When this fails, run `store/prepare.sh` and commit what it writes.
#[tokio::test]
async fn the_saved_query_data_is_complete_and_fits_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let saved: BTreeSet<PathBuf> =
        fs::read_dir(folder.join(".sqlx")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let wanted: BTreeSet<PathBuf> = queries_in(&folder.join("src"))
        .iter()
        .map(|sql| {
            let hash: String =
                Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
            folder.join(format!(".sqlx/query-{hash}.json"))
        })
        .collect();
    assert_eq!(saved, wanted, "run store/prepare.sh");

    let database = Database::new().await;
    database.migrated().await;
    let mut connection = database.connection().await;
    for file in saved {
        let data: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let sql = data["query"].as_str().unwrap().to_owned();
        let described =
            connection.describe(sqlx::AssertSqlSafe(sql.clone()).into_sql_str()).await.unwrap();
        let described = serde_json::to_value(&described).unwrap();
        assert_eq!(data["describe"], described, "run store/prepare.sh: {sql}");
    }
}

/// The text of every query that a query macro checks: the first string literal after its name.
fn queries_in(folder: &Path) -> Vec<String> {
    let mut queries = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            queries.extend(queries_in(&path));
            continue;
        }
        let code = fs::read_to_string(&path).unwrap();
        for (position, _) in code.match_indices("sqlx::query") {
            let (macro_name, call) = code[position..].split_once('(').unwrap();
            assert!(macro_name.ends_with('!'), "{}: an unchecked query", path.display());
            let literal = call.trim_start();
            let text = match literal.strip_prefix("r#\"") {
                Some(raw) => raw.split_once("\"#").unwrap().0,
                None => literal.strip_prefix('"').unwrap().split_once('"').unwrap().0,
            };
            assert!(!text.contains('\\'), "{}: write {text} as a raw string", path.display());
            queries.push(text.to_owned());
        }
    }
    queries
}
