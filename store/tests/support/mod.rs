//! A PostgreSQL for tests: one server per test process, shared by its tests and stopped with the last
//! of them; a database per test. Also the values that tests store.

#![allow(dead_code, reason = "every test file uses its own part of this")]

pub mod sample;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use dugout_model::{Change, Turn, World};
use dugout_store::{Leadership, Leading, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs the server as a child, stops it when standard input closes (which happens however the test
/// process ends), and leaves nothing behind.
const RUN_UNTIL_INPUT_CLOSES: &str = r#"
    "$1" -D "$2/data" -k "$2" $3 >"$2/log" 2>&1 & server=$!
    cat >/dev/null
    kill -QUIT "$server"; wait "$server"
    rm -rf "$2"
"#;

pub struct Server {
    folder: TempDir,
    guard: Option<Child>,
    databases: AtomicU32,
}

impl Server {
    /// The server of this test process.
    fn shared() -> Arc<Server> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Server::start(""));
        *shared = Arc::downgrade(&server);
        server
    }

    /// A server of its own, with further settings as `-c name=value`.
    pub fn start(settings: &str) -> Server {
        let programs = find_programs();
        let folder = tempfile::Builder::new().prefix("dugout-pg-").tempdir().unwrap();
        let user = unprivileged_user();
        if let Some(user) = user {
            chown(folder.path(), Some(user), Some(user)).unwrap();
        }
        let made = as_user(Command::new(programs.join("initdb")), user)
            .args(["-U", "dugout", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let settings = format!(
            "-c listen_addresses= -c fsync=off -c autovacuum=off -c max_connections=200 {settings}"
        );
        let guard = as_user(Command::new("sh"), user)
            .args(["-c", RUN_UNTIL_INPUT_CLOSES, "sh"])
            .arg(programs.join("postgres"))
            .arg(folder.path())
            .arg(settings)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Server { folder, guard: Some(guard), databases: AtomicU32::new(0) };
        server.wait_until_it_takes_connections();
        server
    }

    fn wait_until_it_takes_connections(&self) {
        let begun = Instant::now();
        let status = self.folder.path().join("data/postmaster.pid");
        let is_ready = || fs::read_to_string(&status).is_ok_and(|text| text.contains("ready"));
        while !is_ready() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < START_LIMIT, "PostgreSQL did not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=dugout", self.folder.path().display())
    }

    async fn make_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        self.url(&name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }
}

/// An empty database of one test, and the server that holds it.
pub struct Database {
    pub url: String,
    _server: Arc<Server>,
}

impl Database {
    pub async fn new() -> Database {
        Database::on(Server::shared()).await
    }

    pub async fn on(server: Arc<Server>) -> Database {
        Database { url: server.make_database().await, _server: server }
    }

    pub async fn store(&self) -> Store {
        Store::connect(&self.url).await.unwrap()
    }

    pub async fn migrated(&self) -> Store {
        let store = self.store().await;
        store.migrate().await.unwrap();
        store
    }

    /// A connection of the test itself.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements of the test itself.
    pub async fn run(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Waits until a condition holds in the database.
    pub async fn wait_until(&self, condition: &str) {
        let mut connection = self.connection().await;
        let begun = Instant::now();
        loop {
            let sql = AssertSqlSafe(format!("select exists({condition})"));
            let holds: bool = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            if holds {
                return;
            }
            assert!(begun.elapsed() < START_LIMIT, "never came true: {condition}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the leader's session on the server.
    pub async fn kill_leader(&self) {
        self.run(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = 'dugout leader' and datname = current_database()",
        )
        .await;
    }
}

/// Leads, waiting for a session before to end on the server.
pub async fn lead(store: &Store) -> Leadership {
    let begun = Instant::now();
    loop {
        match store.lead("test").await.unwrap() {
            Leading::Leader(leadership) => return leadership,
            Leading::HeldBy { holder, .. } => {
                assert!(begun.elapsed() < START_LIMIT, "{holder} leads for ever");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Commits the next turn, and applies it to the world as the engine does.
pub async fn commit(leadership: &mut Leadership, world: &mut World, changes: &[Change]) {
    let turn = world.turn.next();
    leadership.commit(turn, changes).await.unwrap();
    apply(world, turn, changes);
}

pub fn apply(world: &mut World, turn: Turn, changes: &[Change]) {
    changes.iter().for_each(|change| world.apply(change));
    world.turn = turn;
}

/// The folder of the newest installed server programs.
fn find_programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    let complete =
        |folder: &&PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    let found = folders.iter().find(complete).expect(
        "the tests need PostgreSQL's server programs (initdb, postgres): install the package \
         postgresql",
    );
    // Through links to the real place, where the programs find their own files.
    fs::canonicalize(found.join("postgres")).unwrap().parent().map(Path::to_owned).unwrap()
}

/// Whom to run as, when the tests run as root, which PostgreSQL refuses.
fn unprivileged_user() -> Option<u32> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("nobody")).then(|| fields.nth(1)?.parse().ok())?
    });
    Some(nobody.expect("the user nobody, as whom the tests run PostgreSQL when they run as root"))
}

fn as_user(mut command: Command, user: Option<u32>) -> Command {
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command
}
