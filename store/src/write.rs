//! Writes the rows of one turn: for each table that it touches one statement that deletes and one
//! that puts, however many rows there are (up to a bound on the size of a statement).

use sqlx::PgConnection;
use uuid::Uuid;

use dugout_model::{BaselineKey, Event, NodeName, ObjectId, ObjectKey, Quarantine, TimelineEntry};

use crate::batch::{Batch, HEALTHY_IS_FINAL, Rows};
use crate::document::{ReplicaSetHead, Stored, encode};
use crate::{CommitError, StoreError, moment, text};

/// Rows in one statement, which bounds the memory of a turn on both sides.
const ROWS_PER_STATEMENT: usize = 1_000;
/// The same for revisions, each of which holds all objects of a commit.
const REVISIONS_PER_STATEMENT: usize = 16;

/// Why a batch was not written.
pub(crate) enum WriteError {
    Database(sqlx::Error),
    Commit(CommitError),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        WriteError::Database(error)
    }
}

impl From<serde_json::Error> for WriteError {
    fn from(error: serde_json::Error) -> Self {
        WriteError::Commit(CommitError::Unstorable { source: Box::new(error) })
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        WriteError::Commit(CommitError::Unstorable { source: Box::new(error) })
    }
}

/// Writes everything. Deletes come first, so that a name which moves to another row is free.
pub(crate) async fn batch(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<(), WriteError> {
    delete(connection, batch).await?;
    put(connection, batch).await?;
    append(connection, batch).await
}

async fn delete(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    delete_objects(connection, &deleted(&batch.objects)).await?;
    for uids in chunks(&uids(&batch.rollouts, |uid| uid.0)) {
        sqlx::query!("delete from rollouts where deployment = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    delete_jobs(connection, batch).await?;
    for uids in chunks(&uids(&batch.replica_sets, |uid| uid.0)) {
        sqlx::query!("delete from replica_sets where uid = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    for uids in chunks(&uids(&batch.pods, |uid| uid.0)) {
        sqlx::query!("delete from pods where uid = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    let names = deleted(&batch.nodes);
    let names: Vec<String> =
        names.into_iter().map(|name: &&NodeName| plain(name.as_str())).collect();
    for names in chunks(&names) {
        sqlx::query!("delete from nodes where name = any($1::text[])", names)
            .execute(&mut *connection)
            .await?;
    }
    for uids in chunks(&uids(&batch.volume_bindings, |uid| uid.0)) {
        sqlx::query!("delete from volume_bindings where uid = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    delete_baselines(connection, &deleted(&batch.baselines)).await
}

async fn delete_baselines(
    connection: &mut PgConnection,
    keys: &[&BaselineKey],
) -> Result<(), WriteError> {
    for keys in chunks(keys) {
        let mut columns: [Vec<String>; 4] = Default::default();
        for (source, object) in keys {
            let ObjectKey { namespace, name } = &object.key;
            let row = [source.as_str(), object.kind.as_str(), namespace.as_str(), name.as_str()];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(plain(value)));
        }
        let [sources, kinds, namespaces, names] = &columns;
        sqlx::query!(
            "delete from baselines using unnest($1::text[], $2::text[], $3::text[], $4::text[])
                 as gone (source, kind, namespace, name)
             where baselines.source = gone.source and baselines.kind = gone.kind
                 and baselines.namespace = gone.namespace and baselines.name = gone.name",
            sources,
            kinds,
            namespaces,
            names
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn delete_jobs(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    for uids in chunks(&uids(&batch.jobs, |uid| uid.0)) {
        sqlx::query!("delete from jobs where uid = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    for uids in chunks(&uids(&batch.schedules, |uid| uid.0)) {
        sqlx::query!("delete from schedules where cron_job = any($1::uuid[])", uids)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn delete_objects(
    connection: &mut PgConnection,
    ids: &[&ObjectId],
) -> Result<(), WriteError> {
    for ids in chunks(ids) {
        let kinds: Vec<String> = ids.iter().map(|id| id.kind.as_str().to_owned()).collect();
        let namespaces: Vec<String> =
            ids.iter().map(|id| plain(id.key.namespace.as_str())).collect();
        let names: Vec<String> = ids.iter().map(|id| plain(id.key.name.as_str())).collect();
        sqlx::query!(
            "delete from objects using unnest($1::text[], $2::text[], $3::text[])
                 as gone (kind, namespace, name)
             where objects.kind = gone.kind and objects.namespace = gone.namespace
                 and objects.name = gone.name",
            &kinds,
            &namespaces,
            &names
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn put(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    for rows in chunks(&present(&batch.sources)) {
        sqlx::query!(
            "insert into sources (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (name) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    for rows in chunks(&present(&batch.objects)) {
        sqlx::query!(
            "insert into objects (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (kind, namespace, name) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    for rows in chunks(&present(&batch.rollouts)) {
        sqlx::query!(
            "insert into rollouts (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (deployment) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    put_jobs(connection, batch).await?;
    put_replica_sets(connection, batch).await?;
    for rows in chunks(&present(&batch.pods)) {
        sqlx::query!(
            "insert into pods (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (uid) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    for rows in chunks(&present(&batch.nodes)) {
        sqlx::query!(
            "insert into nodes (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (name) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    put_volume_bindings(connection, batch).await?;
    for rows in chunks(&present(&batch.baselines)) {
        sqlx::query!(
            "insert into baselines (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (source, kind, namespace, name) do update
                 set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    put_releases(connection, batch).await
}

async fn put_volume_bindings(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<(), WriteError> {
    for rows in chunks(&present(&batch.volume_bindings)) {
        sqlx::query!(
            "insert into volume_bindings (document)
             select row::jsonb from unnest($1::text[]) as row
             on conflict (uid) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn put_jobs(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    for rows in chunks(&present(&batch.jobs)) {
        sqlx::query!(
            "insert into jobs (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (uid) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    for rows in chunks(&present(&batch.schedules)) {
        sqlx::query!(
            "insert into schedules (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (cron_job) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A template is rewritten only when it differs: most changes of a replica set are of its count, and
/// the database keeps a big value where it is when the same one is put back.
async fn put_replica_sets(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<(), WriteError> {
    for rows in chunks(&present(&batch.replica_sets)) {
        let mut documents = Vec::with_capacity(rows.len());
        let mut templates = Vec::with_capacity(rows.len());
        for row in rows {
            let (head, template) = ReplicaSetHead::split(row);
            documents.push(encode(&head)?);
            templates.push(encode(template)?);
        }
        sqlx::query!(
            "insert into replica_sets (document, template)
             select row::jsonb, template::jsonb
             from unnest($1::text[], $2::text[]) as put (row, template)
             on conflict (uid) do update set
                 document = excluded.document,
                 template = case when replica_sets.template = excluded.template
                     then replica_sets.template else excluded.template end",
            &documents,
            &templates
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn put_releases(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    for rows in chunks(&present(&batch.releases)) {
        let put = sqlx::query!(
            "insert into releases (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (id) do update set document = excluded.document
             where releases.verdict <> 'healthy' or excluded.document ->> 'verdict' = 'healthy'",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
        if put.rows_affected() != rows.len() as u64 {
            return Err(WriteError::Commit(CommitError::Constraint {
                name: HEALTHY_IS_FINAL.to_owned(),
                source: None,
            }));
        }
    }
    let rows: Vec<&Quarantine> = batch.quarantine.iter().copied().collect();
    for rows in chunks(&rows) {
        let sources: Vec<String> = rows.iter().map(|row| plain(row.source.as_str())).collect();
        let shas: Vec<String> = rows.iter().map(|row| plain(row.sha.as_str())).collect();
        sqlx::query!(
            "insert into quarantine (source, sha)
             select source, sha from unnest($1::text[], $2::text[]) as put (source, sha)
             on conflict (source, sha) do nothing",
            &sources,
            &shas
        )
        .execute(&mut *connection)
        .await?;
    }
    for rows in present(&batch.revisions).chunks(REVISIONS_PER_STATEMENT) {
        sqlx::query!(
            "insert into revisions (document) select row::jsonb from unnest($1::text[]) as row
             on conflict (source, sha) do update set document = excluded.document",
            &documents(rows)?
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn append(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(), WriteError> {
    for entries in chunks(&batch.timeline) {
        append_timeline(connection, entries).await?;
    }
    for events in chunks(&batch.events) {
        append_events(connection, events).await?;
    }
    Ok(())
}

async fn append_timeline(
    connection: &mut PgConnection,
    entries: &[&TimelineEntry],
) -> Result<(), WriteError> {
    let mut moments = Vec::with_capacity(entries.len());
    let mut texts: [Vec<String>; 5] = Default::default();
    for entry in entries {
        let TimelineEntry { source, sha, at, step, subject, message } = entry;
        moments.push(moment::to_sql(*at).ok_or(StoreError::OutOfRange { what: "a moment" })?);
        let row = [source.as_str(), sha.as_str(), step.as_str(), subject, message];
        texts.iter_mut().zip(row).for_each(|(column, value)| column.push(plain(value)));
    }
    let [sources, shas, steps, subjects, messages] = &texts;
    sqlx::query!(
        "insert into timeline (at, source, sha, step, subject, message)
         select at, source, sha, step, subject, message
         from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             with ordinality as put (at, source, sha, step, subject, message, position)
         order by position",
        &moments,
        sources,
        shas,
        steps,
        subjects,
        messages
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn append_events(connection: &mut PgConnection, events: &[&Event]) -> Result<(), WriteError> {
    let mut moments = Vec::with_capacity(events.len());
    let mut texts: [Vec<String>; 6] = Default::default();
    for event in events {
        let Event { at, event_type, kind, namespace, name, reason, message } = event;
        moments.push(moment::to_sql(*at).ok_or(StoreError::OutOfRange { what: "a moment" })?);
        let row = [event_type.as_str(), kind, namespace.as_str(), name, reason, message];
        texts.iter_mut().zip(row).for_each(|(column, value)| column.push(plain(value)));
    }
    let [types, kinds, namespaces, names, reasons, messages] = &texts;
    sqlx::query!(
        "insert into events (at, event_type, kind, namespace, name, reason, message)
         select at, event_type, kind, namespace, name, reason, message
         from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                 $7::text[])
             with ordinality as put (at, event_type, kind, namespace, name, reason, message, position)
         order by position",
        &moments,
        types,
        kinds,
        namespaces,
        names,
        reasons,
        messages
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn chunks<T>(rows: &[T]) -> std::slice::Chunks<'_, T> {
    rows.chunks(ROWS_PER_STATEMENT)
}

/// The rows to put.
fn present<'a, K, T>(rows: &Rows<'a, K, T>) -> Vec<&'a T> {
    rows.values().filter_map(|row| row.map(std::convert::AsRef::as_ref)).collect()
}

/// The keys of the rows to delete.
fn deleted<'b, K, T>(rows: &'b Rows<'_, K, T>) -> Vec<&'b K> {
    rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| key).collect()
}

fn uids<K, T>(rows: &Rows<'_, K, T>, uid: impl Fn(&K) -> Uuid) -> Vec<Uuid> {
    deleted(rows).into_iter().map(uid).collect()
}

fn documents<T: Stored>(rows: &[&T]) -> Result<Vec<String>, serde_json::Error> {
    rows.iter().map(|row| encode(*row)).collect()
}

/// Text for a `text` column.
fn plain(value: &str) -> String {
    text::escape(value).into_owned()
}
