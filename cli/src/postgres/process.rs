//! The server's main process: who it is, whether it is ready, and how it is stopped.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::LOOK_INTERVAL;
use super::error::PostgresError;
use super::home::Home;

/// A fast stop ends the sessions and writes what is in memory.
const FAST_DEADLINE: Duration = Duration::from_secs(30);
/// An immediate stop writes nothing; the server itself kills what does not end within five seconds.
const IMMEDIATE_DEADLINE: Duration = Duration::from_secs(15);
/// The longest that [`stop`] takes.
pub const STOP_DEADLINE: Duration = FAST_DEADLINE.saturating_add(IMMEDIATE_DEADLINE);

/// What the database's lock file says, after a look at the processes.
#[derive(Debug)]
pub enum LockFile {
    Absent,
    /// It is empty, damaged, or names a process that is gone or is none of ours.
    Stale,
    Held(Postmaster),
}

/// A main process on our database that lives.
#[derive(Debug)]
pub struct Postmaster {
    process_id: Pid,
    /// Stands for the process itself: its id may be another's after its end.
    process: OwnedFd,
    socket_dir: PathBuf,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Starting,
    Ready,
    Stopping,
}

impl Postmaster {
    pub fn process_id(&self) -> Pid {
        self.process_id
    }

    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the process has not ended yet. One that is just ending, and has given up its memory, its
    /// arguments and its folder, still counts.
    pub fn is_alive(&self) -> bool {
        let mut waited = [PollFd::new(&self.process, PollFlags::IN)];
        // Readable means ended. Nothing else can come of a look without waiting.
        !matches!(poll(&mut waited, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }
}

/// Reads the lock file.
pub fn lock_file(home: &Home) -> Result<LockFile, PostgresError> {
    let text = match home.read_foreign(&home.lock_file()) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockFile::Absent),
        Err(source) => return Err(home.failed("reading the lock file of the database in", source)),
    };
    let Some(owner_id) = home.data_owner()? else { return Ok(LockFile::Absent) };
    let Some((process_id, socket_dir, status)) = parse(&text) else { return Ok(LockFile::Stale) };
    let process = match pidfd_open(process_id, PidfdFlags::empty()) {
        Ok(process) => process,
        // No process, or no more than a thread of one.
        Err(Errno::SRCH | Errno::INVAL) => return Ok(LockFile::Stale),
        Err(error) => return Err(home.failed("watching the server of", error.into())),
    };
    // Asked after the process is held, so the answer is about this one.
    if !is_server(process_id, owner_id, &home.data()) {
        return Ok(LockFile::Stale);
    }
    Ok(LockFile::Held(Postmaster { process_id, process, socket_dir, status }))
}

/// Removes a lock file that would keep the server from starting though nobody holds it: an empty
/// one, or one whose process id has become another process's. The server itself judges the others,
/// and in each case makes sure that nobody uses the database's shared memory.
pub fn remove_unusable_lock_file(home: &Home) -> Result<(), PostgresError> {
    if !matches!(lock_file(home)?, LockFile::Stale) {
        return Ok(());
    }
    let path = home.lock_file();
    let names_the_dead = home.read_foreign(&path).ok().and_then(|text| parse(&text)).is_some_and(
        |(process_id, ..)| !Path::new(&format!("/proc/{}", process_id.as_raw_nonzero())).exists(),
    );
    if names_the_dead {
        return Ok(());
    }
    fs::remove_file(path)
        .map_err(|source| home.failed("removing the stale lock file of the database in", source))
}

/// Whether this process has written that it accepts connections.
pub fn is_ready(home: &Home, process_id: u32) -> Result<bool, PostgresError> {
    match home.read_foreign(&home.lock_file()) {
        Ok(text) => Ok(parse(&text).is_some_and(|(owner, _, status)| {
            owner.as_raw_nonzero().get().cast_unsigned() == process_id && status == Status::Ready
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(home.failed("reading the lock file of the database in", source)),
    }
}

pub fn id_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Makes the server read its configuration again.
pub fn reload(process_id: Pid) -> Result<(), PostgresError> {
    signal(process_id, Signal::HUP)
}

/// Ends the server in order, and if that takes too long, at once. Returns when `is_alive` is false,
/// or fails when it stays true.
pub async fn stop(
    process_id: Pid,
    mut is_alive: impl FnMut() -> bool,
) -> Result<(), PostgresError> {
    for (kind, deadline) in [(Signal::INT, FAST_DEADLINE), (Signal::QUIT, IMMEDIATE_DEADLINE)] {
        if !is_alive() {
            return Ok(());
        }
        signal(process_id, kind)?;
        let started = Instant::now();
        while started.elapsed() < deadline {
            if !is_alive() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
    Err(PostgresError::NotStopped {
        process_id: process_id.as_raw_nonzero().get().cast_unsigned(),
        seconds: STOP_DEADLINE.as_secs(),
    })
}

/// A process that has just ended needs no signal.
fn signal(process_id: Pid, signal: Signal) -> Result<(), PostgresError> {
    match rustix::process::kill_process(process_id, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(PostgresError::Signal {
            process_id: process_id.as_raw_nonzero().get().cast_unsigned(),
            source: error.into(),
        }),
    }
}

/// The process id, the socket's folder and the status: lines 1, 5 and 8. The later ones are missing
/// while the server starts.
fn parse(text: &str) -> Option<(Pid, PathBuf, Status)> {
    let lines: Vec<&str> = text.lines().collect();
    // A server that runs alone, without others to connect, writes its id as a negative number.
    let process_id = lines.first()?.trim().trim_start_matches('-').parse().ok()?;
    let process_id = Pid::from_raw(process_id)?;
    let socket_dir = lines.get(4).map_or_else(PathBuf::new, PathBuf::from);
    let status = match lines.get(7).map(|line| line.trim()) {
        Some("ready") => Status::Ready,
        Some("stopping") => Status::Stopping,
        _ => Status::Starting,
    };
    Some((process_id, socket_dir, status))
}

/// Whether the process is a server of this user on this database.
fn is_server(process_id: Pid, owner_id: u32, data: &Path) -> bool {
    let folder = PathBuf::from(format!("/proc/{}", process_id.as_raw_nonzero()));
    let owner = fs::metadata(&folder).map(|metadata| metadata.uid());
    owner.is_ok_and(|owner| owner == owner_id)
        && (names_data(&folder, data) || works_in(&folder, data))
}

/// Whether the process was started on this database. Everyone may read this of every process; it is
/// empty for one that has ended and waits to be reaped.
fn names_data(process: &Path, data: &Path) -> bool {
    let Ok(arguments) = fs::read(process.join("cmdline")) else { return false };
    let arguments: Vec<&[u8]> = arguments.split(|&byte| byte == 0).collect();
    arguments.windows(2).any(|pair| pair[0] == b"-D" && pair[1] == data.as_os_str().as_bytes())
}

/// Whether the process works in the database's folder, as a server does. This finds it also after the
/// folder was moved; not everyone may read it.
fn works_in(process: &Path, data: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let here = identity(&process.join("cwd"));
    here.is_some() && here == identity(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read_while_it_grows() {
        let whole = "4711\n/d\n1700000000\n5432\n/run/s\n\n  1 2\nready   \n";
        let (id, socket_dir, status) = parse(whole).unwrap();
        assert_eq!(id.as_raw_nonzero().get(), 4711);
        assert_eq!((socket_dir, status), (PathBuf::from("/run/s"), Status::Ready));
        for length in 5..whole.len() - 9 {
            assert_eq!(parse(&whole[..length]).unwrap().2, Status::Starting, "{length} bytes");
        }
    }

    #[test]
    fn a_damaged_lock_file_names_nobody() {
        for text in ["", "\n", "x\n", "0\n", "99999999999999\n"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
