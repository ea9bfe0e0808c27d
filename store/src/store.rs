//! The store itself: how it connects, brings the schema up to date, and bounds every wait.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use dugout_model::{ClusterId, Turn};

use crate::StoreError;

/// How long making a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one request of a read may take, from the client's side.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long the server works on one statement before it gives up.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// The same for a step of the schema, which may rewrite a table.
const MIGRATION_LIMIT: Duration = Duration::from_secs(600);
/// How long a connection is waited for when all are in use.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);
/// Reads that run side by side.
const POOL_SIZE: u32 = 5;
/// A connection that nobody uses is given back to the server after this.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// The oldest major version of PostgreSQL that serves: the schema asks for what it brought.
pub const OLDEST_SERVER_MAJOR: u32 = 13;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The database. Cheap to clone; all clones share one small pool.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
}

/// The options hold the password.
impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, and checks that the server is new enough. `url` is
    /// `postgres://user:password@host:port/database`, or
    /// `postgres:///database?host=/folder/of/the/socket&user=name`.
    ///
    /// # Errors
    /// A bad address, a server that does not answer within 10 s or is older than version 13.
    pub async fn connect(url: &str) -> Result<Store, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|source| StoreError::Address { source })?
            .application_name("dugout");
        let options = bounded(options, STATEMENT_LIMIT);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(ACQUIRE_LIMIT)
            .idle_timeout(IDLE_LIMIT)
            .connect_lazy_with(options.clone());
        let store = Store { pool, options };
        store.check_server().await?;
        Ok(store)
    }

    /// Brings the schema up to date, forward only. Does nothing when it is; several servers may call
    /// it at once.
    ///
    /// # Errors
    /// Refuses, and changes nothing, when the database was written by a newer Dugout.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // A connection of its own, so that the migration lock goes with it whatever happens. (The
        // future of `Migrator::run` over a borrowed connection could not be spawned.)
        let mut connection = self.dedicated("dugout migrate", MIGRATION_LIMIT).await?;
        let outcome = tokio::time::timeout(
            MIGRATION_LIMIT,
            MIGRATOR.run_direct(None, &mut connection, false),
        )
        .await;
        // The work is done or undone; how the goodbye went changes nothing.
        drop(connection.close().await);
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(migration_error(error)),
            Err(_) => Err(StoreError::TooSlow {
                doing: "bringing the schema up to date",
                limit: MIGRATION_LIMIT,
            }),
        }
    }

    /// The cluster's identity, made once, with the schema.
    pub async fn cluster(&self) -> Result<ClusterId, StoreError> {
        let query = sqlx::query_scalar!("select id from cluster");
        let id = within("reading the cluster's id", query.fetch_one(&self.pool)).await?;
        Ok(ClusterId(id))
    }

    /// The last committed turn. After a commit with an unknown outcome, ask only once the server
    /// leads again: until then the lost connection may still be committing.
    pub async fn durable_turn(&self) -> Result<Turn, StoreError> {
        let query = sqlx::query_scalar!("select turn from leadership");
        let turn = within("reading the last turn", query.fetch_one(&self.pool)).await?;
        Ok(Turn(turn.cast_unsigned()))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection outside of the pool.
    pub(crate) async fn dedicated(
        &self,
        application: &str,
        statement_limit: Duration,
    ) -> Result<PgConnection, StoreError> {
        const DOING: &str = "connecting";
        let options = bounded(self.options.clone(), statement_limit).application_name(application);
        match tokio::time::timeout(CONNECT_LIMIT, options.connect()).await {
            Ok(connected) => connected.map_err(|source| StoreError::of(DOING, source)),
            Err(_) => Err(StoreError::TooSlow { doing: DOING, limit: CONNECT_LIMIT }),
        }
    }

    pub(crate) async fn dedicated_for_leading(&self) -> Result<PgConnection, StoreError> {
        self.dedicated("dugout leader", STATEMENT_LIMIT).await
    }

    async fn check_server(&self) -> Result<(), StoreError> {
        let query = sqlx::query_scalar!(
            r#"select current_setting('server_version_num')::integer as "version!""#
        );
        // Outside of the pool, which would wait and then say only that it waited, not why.
        let mut connection = self.dedicated("dugout", STATEMENT_LIMIT).await?;
        let version = within("connecting", query.fetch_one(&mut connection)).await?;
        drop(connection.close().await);
        if version < i32::try_from(OLDEST_SERVER_MAJOR * 10_000).unwrap_or(i32::MAX) {
            return Err(StoreError::ServerTooOld { found: version });
        }
        Ok(())
    }
}

/// Bounds every wait of a read.
pub(crate) async fn within<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_LIMIT, work).await {
        Ok(outcome) => outcome.map_err(|source| StoreError::of(doing, source)),
        Err(_) => Err(StoreError::TooSlow { doing, limit: READ_LIMIT }),
    }
}

/// The server's own deadlines. The keepalives end the session, and with it the leader's lock, of a
/// machine that vanished without a word (they do nothing on a Unix socket).
fn bounded(options: PgConnectOptions, statement_limit: Duration) -> PgConnectOptions {
    let limit = format!("{}ms", statement_limit.as_millis());
    options.options([
        ("statement_timeout", limit.as_str()),
        ("lock_timeout", limit.as_str()),
        ("idle_in_transaction_session_timeout", "60s"),
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        // Moments are read and written as UTC, and SQL that people run shows them so.
        ("timezone", "UTC"),
    ])
}

fn migration_error(error: MigrateError) -> StoreError {
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    match error {
        MigrateError::VersionMissing(found) if found > known => {
            StoreError::DatabaseNewer { found, known }
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            StoreError::DatabaseDiffers { version }
        }
        MigrateError::Execute(source) => StoreError::of("bringing the schema up to date", source),
        source => StoreError::Migration { source },
    }
}
