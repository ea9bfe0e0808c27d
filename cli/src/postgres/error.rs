//! What can go wrong with the private PostgreSQL, one sentence each.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::find::Found;

/// No server that can be used is installed.
#[derive(Debug, thiserror::Error)]
pub struct NotFound {
    /// Servers that are there and cannot be used.
    pub too_old: Vec<Found>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "no PostgreSQL server of version {} or newer is installed, neither on PATH nor where \
             distributions put it (Debian and Ubuntu: apt-get install postgresql)",
            super::find::OLDEST_MAJOR
        )?;
        for found in &self.too_old {
            write!(out, "; {} is too old: {}", found.bin_dir.display(), found.version)?;
        }
        Ok(())
    }
}

/// Why the private server cannot be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("{action} {} failed{hint}{}", path.display(), advice(source))]
    File {
        action: &'static str,
        path: PathBuf,
        hint: Hint,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be run as user {user}", program.display())]
    NotRun {
        program: PathBuf,
        user: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "PostgreSQL refuses to run as root, and this machine has no user \"postgres\" to run it; \
         make one (useradd --system --shell /usr/sbin/nologin postgres), or name a server with \
         --postgres-url"
    )]
    NoUser,
    #[error(
        "user id {user_id} has no name on this machine, and PostgreSQL needs one; start dugout as a \
         user with a name, or name a server with --postgres-url"
    )]
    NamelessUser { user_id: u32 },
    #[error(
        "PostgreSQL runs as user {user}, because it refuses root, and this user cannot enter {}; \
         give a data directory that it can enter with --data-dir, such as /var/lib/dugout",
        path.display()
    )]
    CannotEnter { user: String, path: PathBuf },
    #[error(
        "the database in {} belongs to user {owner}; start dugout as this user or as root, or give \
         another data directory with --data-dir",
        path.display()
    )]
    OtherOwner { path: PathBuf, owner: String },
    #[error(
        "the database in {} belongs to root, and PostgreSQL refuses to run as root; give the whole \
         directory back to the user it was made by (chown -R)",
        path.display()
    )]
    OwnedByRoot { path: PathBuf },
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, and the one installed here is \
         {installed}; install PostgreSQL {made_by} beside it (Debian and Ubuntu: apt-get install \
         postgresql-{made_by}), or bring the data over with pg_upgrade",
        path.display()
    )]
    OtherVersion { path: PathBuf, made_by: u32, installed: String },
    #[error(
        "{} is no PostgreSQL database, because its file PG_VERSION is missing or damaged; move it \
         away to begin with an empty one, or put a backup in its place",
        path.display()
    )]
    Damaged { path: PathBuf },
    #[error("{program} failed while it made the database ({status}){hint}{log}")]
    ToolFailed { program: &'static str, status: ExitStatus, log: LogLines, hint: Hint },
    #[error("{program} did not end within {seconds} s and was ended{log}")]
    ToolLate { program: &'static str, seconds: u64, log: LogLines },
    #[error("PostgreSQL ended while it started ({status}){hint}{log}")]
    Ended { status: ExitStatus, log: LogLines, hint: Hint },
    #[error("PostgreSQL was not ready within {seconds} s and was stopped{log}")]
    Late { seconds: u64, log: LogLines },
    #[error(
        "PostgreSQL (process {process_id}) cannot be signalled; are you the user who started it?"
    )]
    Signal {
        process_id: u32,
        #[source]
        source: io::Error,
    },
    #[error(
        "PostgreSQL (process {process_id}) did not end within {seconds} s; end it yourself and try \
         again"
    )]
    NotStopped { process_id: u32, seconds: u64 },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give a data directory that this user can write with --data-dir"
        }
        _ => "",
    }
}

/// What the machine says beside an error: nothing, or that its disk is full.
#[derive(Debug, Default)]
pub struct Hint(pub Option<FullDisk>);

/// A disk with too little space for a database to work.
#[derive(Debug)]
pub struct FullDisk {
    pub path: PathBuf,
    pub free_mebibytes: u64,
}

impl fmt::Display for Hint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => Ok(()),
            Some(full) => write!(
                out,
                "; the disk of {} has only {} MiB left, free some space",
                full.path.display(),
                full.free_mebibytes
            ),
        }
    }
}

/// The last lines of the server's log.
#[derive(Debug)]
pub struct LogLines {
    pub path: PathBuf,
    pub lines: Vec<String>,
}

impl fmt::Display for LogLines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(out, "; its log {} says nothing", self.path.display());
        }
        write!(out, "; the end of its log {}:", self.path.display())?;
        for line in &self.lines {
            write!(out, "\n    {line}")?;
        }
        Ok(())
    }
}
