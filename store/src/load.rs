//! Reads the whole world at one moment, through the same `apply` that keeps it up to date in memory.

use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;

use dugout_model::{Change, ClusterId, CommitSha, Quarantine, SourceName, Turn, World};

use crate::document::{ReplicaSetHead, Stored, decode};
use crate::store::within;
use crate::{Store, StoreError, text};

const DOING: &str = "loading the world";

impl Store {
    /// The world as of the last committed turn: equal to the one in the memory of a leader that has
    /// applied the same turns.
    pub async fn load(&self) -> Result<World, StoreError> {
        let begin = "begin isolation level repeatable read read only";
        let mut transaction = within(DOING, self.pool().begin_with(begin)).await?;
        let world = read(&mut transaction).await?;
        within(DOING, transaction.rollback()).await?;
        Ok(world)
    }
}

async fn read(connection: &mut PgConnection) -> Result<World, StoreError> {
    let head =
        sqlx::query!("select cluster.id, leadership.turn from cluster cross join leadership");
    let head = within(DOING, head.fetch_one(&mut *connection)).await?;
    let mut world = World::empty(ClusterId(head.id));
    world.turn = Turn(head.turn.cast_unsigned());

    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from sources"#);
    each("sources", rows.fetch(&mut *connection), &mut world, Change::PutSource).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from objects"#);
    each("objects", rows.fetch(&mut *connection), &mut world, Change::PutObject).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from rollouts"#);
    each("rollouts", rows.fetch(&mut *connection), &mut world, Change::PutRollout).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from jobs"#);
    each("jobs", rows.fetch(&mut *connection), &mut world, Change::PutJob).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from schedules"#);
    each("schedules", rows.fetch(&mut *connection), &mut world, Change::PutSchedule).await?;
    read_replica_sets(connection, &mut world).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from pods"#);
    each("pods", rows.fetch(&mut *connection), &mut world, Change::PutPod).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from nodes"#);
    each("nodes", rows.fetch(&mut *connection), &mut world, Change::PutNode).await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from volume_bindings"#);
    each("volume_bindings", rows.fetch(&mut *connection), &mut world, Change::PutVolumeBinding)
        .await?;
    let rows = sqlx::query_scalar!(r#"select document::text as "row!" from baselines"#);
    each("baselines", rows.fetch(&mut *connection), &mut world, Change::PutBaseline).await?;
    read_releases(connection, &mut world).await?;
    Ok(world)
}

/// Applies every row of a table as it arrives.
async fn each<T: Stored>(
    table: &'static str,
    mut rows: impl Stream<Item = Result<String, sqlx::Error>> + Unpin,
    world: &mut World,
    change: impl Fn(Arc<T>) -> Change,
) -> Result<(), StoreError> {
    while let Some(row) = within(DOING, rows.try_next()).await? {
        world.apply(&change(Arc::new(understood(table, row)?)));
    }
    Ok(())
}

async fn read_replica_sets(
    connection: &mut PgConnection,
    world: &mut World,
) -> Result<(), StoreError> {
    const TABLE: &str = "replica_sets";
    let query = sqlx::query!(
        r#"select document::text as "row!", template::text as "template!" from replica_sets"#
    );
    let mut rows = query.fetch(connection);
    while let Some(row) = within(DOING, rows.try_next()).await? {
        let head: ReplicaSetHead = understood(TABLE, row.row)?;
        let template = understood(TABLE, row.template)?;
        world.apply(&Change::PutReplicaSet(Arc::new(head.join(template))));
    }
    Ok(())
}

/// Of each source the open releases, the newest, and the newest healthy one: what the world keeps. In
/// the order of their ids, so that none of them is taken for history on the way.
async fn read_releases(connection: &mut PgConnection, world: &mut World) -> Result<(), StoreError> {
    let rows = sqlx::query_scalar!(
        r#"select document::text as "row!" from releases
           where id in (
               select id from releases where verdict in ('pending', 'held', 'rolling')
               union all
               select (select max(id) from releases where source = name) from sources
               union all
               select (select max(id) from releases where source = name and verdict = 'healthy')
               from sources
           )
           order by id"#
    );
    each("releases", rows.fetch(&mut *connection), world, Change::PutRelease).await?;
    let query = sqlx::query!("select source, sha from quarantine");
    let mut rows = query.fetch(connection);
    while let Some(row) = within(DOING, rows.try_next()).await? {
        world.apply(&Change::PutQuarantine(Quarantine {
            source: SourceName::new(text::unescape(row.source)),
            sha: CommitSha::new(text::unescape(row.sha)),
        }));
    }
    Ok(())
}

/// The value of a row.
pub(crate) fn understood<T: Stored>(table: &'static str, row: String) -> Result<T, StoreError> {
    decode(row).map_err(|source| StoreError::UnreadableRow { table, source: Box::new(source) })
}
