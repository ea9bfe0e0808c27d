//! The private PostgreSQL with the real server of this machine: first start, reuse, adoption, and
//! every leftover of a crash. Needs PostgreSQL and its client (Debian: apt-get install postgresql).

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::process::LockFile;
use super::*;

/// How long a test waits for what must happen. Generous: it only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// Tells [`owner`] where to start a server.
const OWNER_DATA_DIR: &str = "DUGOUT_TEST_POSTGRES_DATA_DIR";

/// A data directory whose server is gone when the test ends.
struct Place {
    folder: tempfile::TempDir,
    data_dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::named("data")
    }

    fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server may run as another user, who must be able to enter.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data_dir = folder.path().join(name);
        Self { folder, data_dir }
    }

    fn home(&self) -> Home {
        Home::existing(&self.data_dir).unwrap().expect("a server was started here")
    }

    async fn start(&self) -> PrivatePostgres {
        self.try_start().await.unwrap()
    }

    async fn try_start(&self) -> Result<PrivatePostgres, PostgresError> {
        PrivatePostgres::start(&found(), &self.data_dir, |_| {}).await
    }

    /// The server's main process.
    fn postmaster(&self) -> Pid {
        match process::lock_file(&self.home()).unwrap() {
            LockFile::Held(postmaster) => postmaster.process_id(),
            other => panic!("no server runs: {other:?}"),
        }
    }

    /// Starts a server from another process and waits for the given sign of it.
    fn start_owner(&self, sign: impl Fn(&Path) -> bool) -> Child {
        let (_, module) = module_path!().split_once("::").unwrap();
        let owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::owner")])
            .env(OWNER_DATA_DIR, &self.data_dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the owner has come far enough", || sign(&self.data_dir));
        owner
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let data_dir = self.data_dir.clone();
        let stopped = std::thread::spawn(move || runtime().block_on(stop_left_running(&data_dir)));
        let stopped = stopped.join();
        if !std::thread::panicking() {
            stopped.unwrap().unwrap();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn found() -> Found {
    find().unwrap_or_else(|missing| panic!("{missing}"))
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "this did not happen: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs SQL with the client, which takes the same URL.
fn sql(server: &PrivatePostgres, text: &str) -> String {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command"])
        .args([text, &server.url()])
        .output()
        .expect("the PostgreSQL client is installed (Debian: apt-get install postgresql-client)");
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn kill(process_id: Pid) {
    kill_process(process_id, Signal::KILL).unwrap();
}

/// The fields of `/proc/<id>/stat` from the state on: state, parent, process group, …
fn stat(process_id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn is_gone(process_id: u32) -> bool {
    stat(process_id).is_none_or(|fields| fields[0] == "Z")
}

fn children_of(parent: Pid) -> Vec<u32> {
    let parent = parent.as_raw_nonzero().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&id| stat(id).is_some_and(|fields| fields[1] == parent))
        .collect()
}

/// Another process that starts a server and holds it until it is killed: other tests run this program
/// again for it. Run as a test among the others it has nothing to do.
#[tokio::test]
async fn owner() {
    let Some(data_dir) = std::env::var_os(OWNER_DATA_DIR).map(PathBuf::from) else { return };
    let _server = PrivatePostgres::start(&found(), &data_dir, |_| {}).await.unwrap();
    fs::write(data_dir.join("ready"), "").unwrap();
    tokio::time::sleep(PATIENCE).await;
}

#[tokio::test]
async fn a_first_start_makes_a_durable_database_of_ours() {
    let place = Place::new();
    let server = place.start().await;
    let database = "select pg_encoding_to_char(encoding), datcollate, \
        pg_get_userbyid(datdba), current_user from pg_database where datname = current_database()";
    assert_eq!(sql(&server, database), "UTF8|C|dugout|dugout");
    let settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings \
        where name in ('data_checksums', 'fsync', 'synchronous_commit', 'listen_addresses')";
    assert_eq!(
        sql(&server, settings),
        "data_checksums=on fsync=on listen_addresses= synchronous_commit=on"
    );
    assert!(server.is_running());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_next_start_keeps_the_data() {
    let place = Place::new();
    let server = place.start().await;
    sql(&server, "create table kept as select 42 as number");
    server.stop().await.unwrap();
    let server = place.start().await;
    assert_eq!(sql(&server, "select number from kept"), "42");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_owner_was_killed_is_adopted() {
    let place = Place::new();
    let mut owner = place.start_owner(|data_dir| data_dir.join("ready").exists());
    let before = place.postmaster();
    owner.kill().unwrap();
    owner.wait().unwrap();

    let server = place.start().await;
    assert_eq!(place.postmaster(), before, "it is the same server");
    assert_eq!(sql(&server, "select 1"), "1");
    assert!(server.is_running());
    server.stop().await.unwrap();
    assert!(is_gone(before.as_raw_nonzero().get().cast_unsigned()));
}

#[tokio::test]
async fn a_server_that_was_left_running_can_be_stopped() {
    let place = Place::new();
    drop(place.start().await);
    let process_id = place.postmaster().as_raw_nonzero().get().cast_unsigned();
    assert!(stop_left_running(&place.data_dir).await.unwrap());
    assert!(is_gone(process_id));
    assert!(!stop_left_running(&place.data_dir).await.unwrap());
    assert!(!stop_left_running(&place.folder.path().join("never")).await.unwrap());
}

#[tokio::test]
async fn stopping_leaves_no_process_even_with_open_sessions() {
    let place = Place::new();
    let server = place.start().await;
    let mut session = Command::new("psql")
        .args([&server.url(), "--command", "select pg_sleep(600)"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the session is busy", || {
        sql(&server, "select count(*) from pg_stat_activity where query like '%sleep(600)'") == "1"
    });
    let postmaster = place.postmaster();
    let children = children_of(postmaster);
    assert!(children.len() >= 4, "{children:?}");
    server.stop().await.unwrap();
    session.wait().unwrap();
    for process_id in children {
        assert!(is_gone(process_id), "process {process_id} is left");
    }
    assert!(matches!(process::lock_file(&place.home()).unwrap(), LockFile::Absent));
}

#[tokio::test]
async fn a_server_that_was_killed_is_seen_and_started_again_with_its_data() {
    let place = Place::new();
    let server = place.start().await;
    sql(&server, "create table kept as select 42 as number");
    kill(place.postmaster());
    wait_until("the end is seen", || !server.is_running());
    assert!(matches!(process::lock_file(&place.home()).unwrap(), LockFile::Stale));
    let fresh = place.start().await;
    assert_eq!(sql(&fresh, "select number from kept"), "42");
    fresh.stop().await.unwrap();
    // A server that has ended needs no stop.
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_adopted_server_that_was_killed_is_seen() {
    let place = Place::new();
    drop(place.start().await);
    let server = place.start().await;
    assert!(matches!(server.process, ServerProcess::Adopted(_)));
    kill(place.postmaster());
    wait_until("the end is seen", || !server.is_running());
}

#[tokio::test]
async fn a_lock_file_with_the_process_id_of_another_program_is_no_server() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    // A program of the same user: the server itself would take it for a running one.
    let account = user::choose(&place.home()).await.unwrap();
    let mut other = account.command(Path::new("sleep")).arg("600").spawn().unwrap();
    fs::write(place.home().lock_file(), format!("{}\n/elsewhere\n", other.id())).unwrap();

    let server = place.start().await;
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
    assert!(other.try_wait().unwrap().is_none(), "the other program was not touched");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn an_empty_lock_file_is_no_server() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    fs::write(place.home().lock_file(), "").unwrap();
    let server = place.start().await;
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_server_that_cannot_be_reached_is_started_again() {
    let place = Place::new();
    drop(place.start().await);
    let before = place.postmaster();
    fs::remove_file(place.home().root().join("socket").join(home::SOCKET_NAME)).unwrap();
    let server = place.start().await;
    assert_ne!(place.postmaster(), before);
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_whose_making_was_killed_is_made_anew() {
    let place = Place::new();
    let half_made = |data_dir: &Path| {
        fs::read_dir(data_dir.join("postgres")).ok().and_then(|entries| {
            let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.find(|path| path.join("PG_VERSION").exists() && !path.ends_with("data"))
        })
    };
    let mut owner = place.start_owner(|data_dir| half_made(data_dir).is_some());
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(!place.home().data().exists());

    let server = place.start().await;
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_gets_its_socket_elsewhere_and_leaves_nothing_there() {
    let place = Place::named(&"long/".repeat(30));
    let server = place.start().await;
    let socket_dir = server.socket_dir.clone();
    assert!(!socket_dir.starts_with(place.folder.path()));
    let metadata = fs::metadata(&socket_dir).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o700);
    assert_eq!(Some(metadata.uid()), place.home().data_owner().unwrap());
    assert_eq!(sql(&server, "select 1"), "1");

    // A crash: the next start finds the folder again, with the old socket in it.
    kill(place.postmaster());
    wait_until("the end is seen", || !server.is_running());
    let server = place.start().await;
    assert_eq!(server.socket_dir, socket_dir);
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_socket_folder_that_somebody_else_opened_is_not_used_again() {
    let place = Place::named(&"long/".repeat(30));
    let server = place.start().await;
    let before = server.socket_dir.clone();
    kill(place.postmaster());
    wait_until("the end is seen", || !server.is_running());
    fs::set_permissions(&before, Permissions::from_mode(0o777)).unwrap();
    let server = place.start().await;
    assert_ne!(server.socket_dir, before);
    server.stop().await.unwrap();
    fs::remove_dir_all(before).unwrap();
}

#[tokio::test]
async fn a_path_with_strange_letters_works() {
    let place = Place::named("a 'b' \"c\", d\\é%41 #");
    let server = place.start().await;
    assert_eq!(sql(&server, "select 1"), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_never_root_and_shuts_others_out() {
    let place = Place::new();
    let server = place.start().await;
    let process_id = place.postmaster().as_raw_nonzero();
    let runs_as = fs::metadata(format!("/proc/{process_id}")).unwrap().uid();
    assert_ne!(runs_as, 0);
    for folder in [place.home().data(), server.socket_dir.clone()] {
        let metadata = fs::metadata(folder).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (runs_as, 0o700));
    }
    // Ctrl-C in our terminal reaches our process group only.
    assert_eq!(stat(process_id.get().cast_unsigned()).unwrap()[2], process_id.to_string());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_the_servers_user_cannot_enter_is_named() {
    let place = Place::new();
    let closed = place.folder.path().canonicalize().unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    match place.try_start().await {
        // Root starts the server as another user; everyone else as themselves.
        Err(PostgresError::CannotEnter { path, .. }) => assert_eq!(path, closed),
        Ok(server) => {
            assert!(!rustix::process::geteuid().is_root());
            server.stop().await.unwrap();
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn data_of_a_version_that_is_not_installed_asks_for_it_and_is_not_touched() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    let file = place.home().data().join("PG_VERSION");
    fs::write(&file, "11\n").unwrap();
    let error = place.try_start().await.err().unwrap();
    assert!(matches!(error, PostgresError::OtherVersion { made_by: 11, .. }), "{error}");
    assert!(error.to_string().contains("apt-get install postgresql-11"), "{error}");

    fs::remove_file(&file).unwrap();
    let error = place.try_start().await.err().unwrap();
    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
    assert!(place.home().data().join("base").exists());
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_with_its_log() {
    let place = Place::new();
    place.start().await.stop().await.unwrap();
    fs::remove_dir_all(place.home().data().join("pg_wal")).unwrap();
    let error = place.try_start().await.err().unwrap();
    let PostgresError::Ended { log, .. } = &error else { panic!("{error}") };
    assert!(log.lines.iter().any(|line| line.contains("pg_wal")), "{error}");
}

#[tokio::test]
async fn a_tool_that_fails_says_why_and_leaves_nothing_half_made() {
    let place = Place::new();
    let bin_dir = place.folder.path().join("bin");
    fs::create_dir(&bin_dir).unwrap();
    fs::write(bin_dir.join("initdb"), "#!/bin/sh\necho the moon is full >&2\nexit 3\n").unwrap();
    fs::set_permissions(bin_dir.join("initdb"), Permissions::from_mode(0o755)).unwrap();
    let broken = Found { bin_dir, version: "15.0".to_owned() };
    let error = PrivatePostgres::start(&broken, &place.data_dir, |_| {}).await.err().unwrap();
    let PostgresError::ToolFailed { program: "initdb", status, log, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (status.code(), log.lines.as_slice()),
        (Some(3), &["the moon is full".to_owned()][..])
    );
    for entry in fs::read_dir(place.home().root()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_str().unwrap().starts_with("data"), "{name:?} is left");
    }
}

#[tokio::test]
async fn a_log_that_is_too_long_is_moved_away() {
    let place = Place::new();
    let home = Home::create(&place.data_dir).unwrap();
    fs::write(home.log(), vec![b'x'; 9 * 1024 * 1024]).unwrap();
    let log = Log::open(&home).unwrap();
    log.bound().unwrap();
    assert_eq!(log.mark(), 0);
    assert_eq!(fs::metadata(home.log().with_extension("old")).unwrap().len(), 9 * 1024 * 1024);
}
