//! A PostgreSQL of a test's own, for servers that share one: on a Unix socket, and gone with the test.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::rig::{PATIENCE, signal};

/// A running server with an empty database.
pub struct Postgres {
    folder: TempDir,
    process: Child,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with("off")
    }

    /// One that flushes what it commits to the disk.
    pub fn durable() -> Self {
        Self::start_with("on")
    }

    fn start_with(fsync: &str) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("dugout-postgres-")
            .tempdir()
            .expect("a temporary folder can be made");
        let user = unprivileged_user();
        if let Some(user) = user {
            chown(folder.path(), Some(user), Some(user)).expect("the folder can be given away");
        }
        let data = folder.path().join("data");
        let made = as_user(Command::new(programs.join("initdb")), user)
            .args(["-U", "dugout", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let process = as_user(Command::new(programs.join("postgres")), user)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", &format!("fsync={fsync}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres can be run");
        let postgres = Self { folder, process };
        let started = Instant::now();
        let status = data.join("postmaster.pid");
        while !fs::read_to_string(&status).is_ok_and(|text| text.contains("ready")) {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        postgres
    }

    /// Runs one statement.
    pub fn run(&self, statement: &str) {
        self.psql(&["-c", statement]);
    }

    /// Runs the statements of a file.
    pub fn run_file(&self, file: &Path) {
        self.psql(&["-f", &file.display().to_string()]);
    }

    fn psql(&self, arguments: &[&str]) {
        let output = Command::new(programs().join("psql"))
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url()])
            .args(arguments)
            .output()
            .expect("psql can be run");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The rows of a table as statements that insert them, so many in each.
    pub fn dump(&self, table: &str, rows_per_statement: usize) -> String {
        let output = Command::new(programs().join("pg_dump"))
            .args(["--data-only", "--table", table, "--dbname", &self.url()])
            .arg(format!("--rows-per-insert={rows_per_statement}"))
            .output()
            .expect("pg_dump can be run");
        assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=dugout", self.folder.path().display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate end: nobody needs what it holds.
        signal(self.process.id(), rustix::process::Signal::QUIT);
        let _ = self.process.wait();
    }
}

/// The folder of the newest installed server programs.
pub(crate) fn programs() -> PathBuf {
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
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .expect("PostgreSQL's programs (initdb, postgres) are installed; run `make setup`")
}

/// Whom PostgreSQL, which refuses to run as root, runs as when the tests do.
fn unprivileged_user() -> Option<u32> {
    let own = fs::metadata("/proc/self").expect("/proc can be read").uid();
    if own != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the users can be read");
    let nobody = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("nobody")).then(|| fields.nth(1)?.parse().ok())?
    });
    Some(nobody.expect("there is the user nobody"))
}

fn as_user(mut command: Command, user: Option<u32>) -> Command {
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command
}
