//! The private PostgreSQL of `dugout up`: made, started, adopted, watched and stopped here.
//!
//! It listens on a Unix socket only, runs as an unprivileged user, and keeps everything in
//! `<data directory>/postgres`. It may outlive this process: killing `dugout up` leaves it running,
//! and the next start adopts it. The caller must hold the data directory's lock, so that only one
//! process at a time works on it.

mod cluster;
mod configuration;
mod error;
mod find;
mod home;
mod log;
mod process;
mod tool;
mod user;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub use error::PostgresError;
pub use find::{Found, find};
pub use process::STOP_DEADLINE;

use home::Home;
use log::Log;
use process::{LockFile, Postmaster, Status};
use user::Account;

/// The database, and the role that owns it.
const DATABASE: &str = "dugout";

/// The port only names the socket's file, because nothing listens on TCP.
const PORT: u16 = 5432;

/// A start replays the write-ahead log after a crash; its size is bounded by the configuration.
const START_DEADLINE: Duration = Duration::from_secs(300);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How often something that is under way is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The processes of a killed server may hold its shared memory for a moment.
const START_ATTEMPTS: u32 = 10;
const START_ATTEMPT_PAUSE: Duration = Duration::from_millis(300);

/// How long after the start the waiting is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server of our own that answers. Dropping this leaves it running.
pub struct PrivatePostgres {
    home: Home,
    socket_dir: PathBuf,
    process: ServerProcess,
    log_keeper: JoinHandle<()>,
}

/// Who started the server.
enum ServerProcess {
    /// This process, who must also reap it.
    Started(Mutex<Child>),
    /// A process before this one.
    Adopted(Postmaster),
}

impl PrivatePostgres {
    /// Makes the database when there is none, adopts the server when it still runs, else starts it;
    /// returns when it accepts connections. `events` hears what takes time.
    ///
    /// Safe to call again after any failure, also after this process was killed half-way.
    pub async fn start(
        found: &Found,
        data_dir: &Path,
        events: impl Fn(&str),
    ) -> Result<PrivatePostgres, PostgresError> {
        let home = Home::create(data_dir)?;
        let account = user::choose(&home).await?;
        account.check_entry(home.root()).await?;
        home.remove_half_made();
        let log = Log::open(&home)?;
        log.bound()?;
        let socket_dir = home.socket_dir(&account)?;
        configuration::write_access(&home, &account)?;
        if let Some(adopted) = adopt(&home, &events).await? {
            return Ok(adopted.keep_log_bounded());
        }
        let found = if home.data().exists() {
            cluster::matching(found, &home, &events)?
        } else {
            events(&format!(
                "making a database with PostgreSQL {} (first start only)",
                found.version
            ));
            cluster::make(found, &home, &account, &log).await?;
            found.clone()
        };
        configuration::write_settings(&home, &socket_dir, found.major())?;
        let child = start_until_ready(&found, &home, &account, &log, &events).await?;
        let process = ServerProcess::Started(Mutex::new(child));
        Ok(Self::assemble(home, socket_dir, process).keep_log_bounded())
    }

    /// Where to connect, for sqlx and for libpq.
    pub fn url(&self) -> String {
        let host = percent_encoded(&self.socket_dir);
        format!("postgres:///{DATABASE}?host={host}&port={PORT}&user={DATABASE}&sslmode=disable")
    }

    /// Whether the server's main process is there. When it is not, start it again.
    pub fn is_running(&self) -> bool {
        match &self.process {
            ServerProcess::Started(child) => {
                let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
                matches!(child.try_wait(), Ok(None))
            }
            ServerProcess::Adopted(postmaster) => postmaster.is_alive(),
        }
    }

    /// Ends all sessions and the server, and returns when no process of it is left. A server that
    /// does not follow is ended at once; it then replays its log at the next start, and loses
    /// nothing that was committed.
    pub async fn stop(self) -> Result<(), PostgresError> {
        let process_id = match &self.process {
            ServerProcess::Started(child) => {
                process::id_of(&child.lock().unwrap_or_else(PoisonError::into_inner))
            }
            ServerProcess::Adopted(postmaster) => Some(postmaster.process_id()),
        };
        if let Some(process_id) = process_id {
            process::stop(process_id, || self.is_running()).await?;
        }
        self.home.forget_short_socket_dir();
        Ok(())
    }

    fn assemble(home: Home, socket_dir: PathBuf, process: ServerProcess) -> Self {
        Self { home, socket_dir, process, log_keeper: tokio::spawn(std::future::ready(())) }
    }

    /// The server writes to a file that only we can cut.
    fn keep_log_bounded(mut self) -> Self {
        self.log_keeper = tokio::spawn(log::keep_bounded(self.home.clone()));
        self
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.log_keeper.abort();
    }
}

/// Stops the server that a killed `dugout up` left running on this data directory, and removes what
/// it kept elsewhere. Returns whether one was running.
pub async fn stop_left_running(data_dir: &Path) -> Result<bool, PostgresError> {
    let Some(home) = Home::existing(data_dir)? else { return Ok(false) };
    let running = match process::lock_file(&home)? {
        LockFile::Held(postmaster) => {
            process::stop(postmaster.process_id(), || postmaster.is_alive()).await?;
            true
        }
        LockFile::Absent | LockFile::Stale => false,
    };
    home.remove_half_made();
    home.forget_short_socket_dir();
    Ok(running)
}

/// Takes over a server that runs on this data directory. One that runs and cannot be reached is
/// stopped, so that it can be started again.
async fn adopt(
    home: &Home,
    events: &impl Fn(&str),
) -> Result<Option<PrivatePostgres>, PostgresError> {
    let started = Instant::now();
    while let LockFile::Held(postmaster) = process::lock_file(home)? {
        match postmaster.status() {
            Status::Starting | Status::Stopping if started.elapsed() < START_DEADLINE => {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            Status::Ready if answers(postmaster.socket_dir()).await => {
                events("adopted the PostgreSQL that was still running");
                // It reads the access rules again, which name the user of this process.
                process::reload(postmaster.process_id())?;
                let socket_dir = postmaster.socket_dir().to_owned();
                let process = ServerProcess::Adopted(postmaster);
                return Ok(Some(PrivatePostgres::assemble(home.clone(), socket_dir, process)));
            }
            Status::Ready | Status::Starting | Status::Stopping => {
                events("stopping a PostgreSQL that is still running and cannot be reached");
                process::stop(postmaster.process_id(), || postmaster.is_alive()).await?;
            }
        }
    }
    Ok(None)
}

async fn answers(socket_dir: &Path) -> bool {
    let socket = socket_dir.join(home::SOCKET_NAME);
    matches!(tokio::time::timeout(CONNECT_DEADLINE, UnixStream::connect(socket)).await, Ok(Ok(_)))
}

/// Starts the server; when another ran before it without a clean end, more than once.
async fn start_until_ready(
    found: &Found,
    home: &Home,
    account: &Account,
    log: &Log,
    events: &impl Fn(&str),
) -> Result<Child, PostgresError> {
    let crashed = !matches!(process::lock_file(home)?, LockFile::Absent);
    process::remove_unusable_lock_file(home)?;
    let mut attempts_left = if crashed { START_ATTEMPTS } else { 1 };
    loop {
        attempts_left -= 1;
        match start_once(found, home, account, log, events).await {
            Err(PostgresError::Ended { .. }) if attempts_left > 0 => {
                tokio::time::sleep(START_ATTEMPT_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn start_once(
    found: &Found,
    home: &Home,
    account: &Account,
    log: &Log,
    events: &impl Fn(&str),
) -> Result<Child, PostgresError> {
    let mark = log.mark();
    let mut child = spawn(found, home, account, log)?;
    let started = Instant::now();
    let mut told = false;
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                return Err(PostgresError::Ended {
                    status,
                    log: log.since(mark),
                    hint: home.hint(),
                });
            }
            Err(source) => return Err(home.failed("watching the server of", source)),
        }
        if process::is_ready(home, child.id())? {
            return Ok(child);
        }
        if !told && started.elapsed() > PATIENCE {
            told = true;
            events("PostgreSQL is still starting; after a crash it replays its log");
        }
        if started.elapsed() > START_DEADLINE {
            let seconds = START_DEADLINE.as_secs();
            if let Some(process_id) = process::id_of(&child) {
                process::stop(process_id, || matches!(child.try_wait(), Ok(None))).await?;
            }
            return Err(PostgresError::Late { seconds, log: log.since(mark) });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn spawn(found: &Found, home: &Home, account: &Account, log: &Log) -> Result<Child, PostgresError> {
    use std::os::unix::process::CommandExt;
    let program = found.bin_dir.join("postgres");
    let mut command = account.command(&program);
    command.arg("-D").arg(home.data());
    for (name, path) in configuration::files(home) {
        let mut setting = std::ffi::OsString::from(name);
        setting.push("=");
        setting.push(path);
        command.arg("-c").arg(setting);
    }
    command.stdin(Stdio::null()).stdout(log.writer()?).stderr(log.writer()?);
    // A group of its own: Ctrl-C reaches us alone, and we stop the server last.
    command.process_group(0);
    command.spawn().map_err(|source| account.not_run(&program, source))
}

/// Everything but the letters, digits and signs that no URL gives a meaning.
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
