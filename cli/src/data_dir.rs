//! The data directory: what one `dugout up` or `dugout server` keeps on its machine, and the lock
//! that lets only one of them use it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A directory of ours. Its parts are made when they are first needed.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// What `dugout up` says of itself to `dugout down` and to the other commands. It stays when that has
/// ended: the lock tells what runs. A newer release may say more than this one knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub process_id: u32,
    /// Where its HTTP port listens.
    pub server_url: String,
    pub cluster: String,
    pub docker_host: String,
    #[serde(default)]
    pub records: Records,
    /// The names of the images that were made for the example.
    #[serde(default)]
    pub images: Vec<String>,
    pub phase: Phase,
}

/// Whose database holds the cluster's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Records {
    /// One of this data directory's own, so the cluster ends with it.
    #[default]
    Own,
    /// One that was given, and that other servers and agents may use.
    Given,
}

impl Running {
    /// The cluster that ends with this data directory; `None` where it goes on without it.
    pub fn whole_cluster(&self) -> Option<&str> {
        match self.records {
            Records::Own => Some(&self.cluster),
            Records::Given => None,
        }
    }
}

/// How far the start is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase", content = "reason")]
pub enum Phase {
    Starting,
    /// The first release is healthy.
    Healthy,
    /// It runs, and the first release did not become healthy, for this reason.
    Unhealthy(String),
}

/// Everything that is ever made in a data directory. Nothing else in it is touched, and a directory that
/// holds anything else is none.
const PARTS: [&str; 11] = [
    "agent",
    "dugout.log",
    "join.token",
    LOCK,
    "mirrors",
    "operator.token",
    "postgres",
    "postgres.password",
    "running.json",
    "up.log",
    // Of the file system: the directory may be a mount point.
    LOST_AND_FOUND,
];

const LOCK: &str = "lock";
const LOST_AND_FOUND: &str = "lost+found";

/// Holds the directory for this process; the kernel lets go of it when the process ends.
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "another dugout uses the data directory {path}; stop it with `dugout down`, or give this one its own with --data-dir"
    )]
    InUse { path: PathBuf },
    #[error(
        "HOME is not set to an absolute path, so it is not known where the data directory is; set HOME, or give a directory with --data-dir"
    )]
    NoHome,
    #[error(
        "the data directory {path} has {} MiB free, and a start needs {} MiB; make room there, or give another with --data-dir",
        free_bytes >> 20,
        needed_bytes >> 20
    )]
    Full { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
    #[error(
        "{path} holds what is not Dugout's ({found}), so it is no data directory; nothing was changed. Give a new or an empty directory with --data-dir"
    )]
    Foreign { path: PathBuf, found: String },
    /// It is damaged, or of a release that says it in other words.
    #[error("{path} tells nothing of the last start here: it cannot be understood")]
    NotUnderstood {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{action} {path} failed; give a directory that can be written with --data-dir")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The one that is given, else the usual one of whoever runs this.
    ///
    /// # Errors
    /// When none is given and the environment does not tell where a user's data lie.
    pub fn choose(given: Option<&Path>) -> Result<Self, DataDirError> {
        given.map(Path::to_owned).map_or_else(Self::default_root, Ok).map(Self::at)
    }

    /// Where it is when nobody says otherwise: `/var/lib/dugout` for root, else in the user's data
    /// directory.
    ///
    /// # Errors
    /// When the environment does not tell where that lies.
    pub fn default_root() -> Result<PathBuf, DataDirError> {
        if is_root() {
            return Ok(PathBuf::from("/var/lib/dugout"));
        }
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        user_data(named("XDG_DATA_HOME"), named("HOME"))
            .map(|folder| folder.join("dugout"))
            .ok_or(DataDirError::NoHome)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    pub fn operator_token(&self) -> PathBuf {
        self.root.join("operator.token")
    }

    pub fn join_token(&self) -> PathBuf {
        self.root.join("join.token")
    }

    /// The password of the PostgreSQL container, where one stands in for an installed server.
    pub fn postgres_password(&self) -> PathBuf {
        self.root.join("postgres.password")
    }

    /// Where the private PostgreSQL lives.
    pub fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("dugout.log")
    }

    /// What a detached `dugout up` would have shown on its terminal.
    pub fn output(&self) -> PathBuf {
        self.root.join("up.log")
    }

    fn running(&self) -> PathBuf {
        self.root.join("running.json")
    }

    /// Makes the directory. Root's may be passed through by others, because its private PostgreSQL runs as
    /// another user; what is secret in it has its own permissions.
    ///
    /// # Errors
    /// When it is there and holds what is not Dugout's.
    pub fn create(&self) -> Result<(), DataDirError> {
        if self.root.exists() {
            self.require_own()?;
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.root)
            .map_err(|source| self.failed("making the directory", &self.root, source))
    }

    /// Lets the private PostgreSQL's user pass through the directory, where a strict umask or its owner kept
    /// others out. Nobody can list it for that.
    pub fn let_postgres_through(&self) -> Result<(), DataDirError> {
        use std::os::unix::fs::PermissionsExt;
        const PASS: u32 = 0o011;
        if !is_root() {
            return Ok(());
        }
        fs::metadata(&self.root)
            .map(|found| found.permissions().mode())
            .and_then(|mode| match mode & PASS {
                PASS => Ok(()),
                _ => fs::set_permissions(&self.root, fs::Permissions::from_mode(mode | PASS)),
            })
            .map_err(|source| self.failed("opening to the database's user", &self.root, source))
    }

    /// Refuses a directory with anything in it that is not of a data directory.
    pub fn require_own(&self) -> Result<(), DataDirError> {
        match self.entries()?.into_iter().find(|name| !is_part(name)) {
            None => Ok(()),
            Some(found) => Err(DataDirError::Foreign { path: self.root.clone(), found }),
        }
    }

    /// Removes what Dugout made here, part by part, and the directory when it is empty then.
    pub fn purge(&self) -> Result<(), DataDirError> {
        self.require_own()?;
        for name in self.entries()?.into_iter().filter(|name| name != LOST_AND_FOUND) {
            let path = self.root.join(name);
            let failed = |source| self.failed("removing", &path, source);
            // A link is removed, never followed.
            if fs::symlink_metadata(&path).map_err(failed)?.is_dir() {
                fs::remove_dir_all(&path).map_err(failed)?;
            } else {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        match fs::remove_dir(&self.root) {
            Ok(()) => Ok(()),
            // A mount point stays, empty.
            Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy) => Ok(()),
            Err(error) if self.root.join(LOST_AND_FOUND).exists() => {
                tracing::debug!(%error, "the directory stays");
                Ok(())
            }
            Err(source) => Err(self.failed("removing", &self.root, source)),
        }
    }

    fn entries(&self) -> Result<Vec<String>, DataDirError> {
        let failed = |source| self.failed("looking into", &self.root, source);
        let entries = fs::read_dir(&self.root).map_err(failed)?;
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect::<io::Result<_>>().map_err(failed)
    }

    /// Takes the directory for this process.
    pub fn lock(&self) -> Result<Lock, DataDirError> {
        let path = self.root.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| self.failed("opening", &path, source))?;
        match file.try_lock() {
            Ok(()) => {
                // Whoever holds the lock is the one that its content names.
                let process_id = std::process::id().to_string();
                file.set_len(0)
                    .and_then(|()| file.write_all_at(process_id.as_bytes(), 0))
                    .map_err(|source| self.failed("writing", &path, source))?;
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(self.failed("locking", &path, source)),
        }
    }

    /// Refuses a disk on which a start would get stuck half-way. What runs without us is not concerned.
    pub fn require_room(&self, needed_bytes: u64) -> Result<(), DataDirError> {
        let found = rustix::fs::statvfs(&self.root)
            .map_err(|error| self.failed("looking at the disk of", &self.root, error.into()))?;
        let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
        if free_bytes < needed_bytes {
            return Err(DataDirError::Full { path: self.root.clone(), free_bytes, needed_bytes });
        }
        Ok(())
    }

    /// The process that holds the lock, if it has said so yet.
    pub fn lock_holder(&self) -> Option<u32> {
        fs::read_to_string(self.root.join(LOCK)).ok()?.trim().parse().ok()
    }

    /// A secret text that is made once and kept, readable by its owner alone.
    pub fn secret(
        &self,
        path: &Path,
        make: impl FnOnce() -> String,
    ) -> Result<String, DataDirError> {
        match fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(self.failed("reading", path, source)),
        }
        let text = make();
        self.write(path, text.as_bytes())?;
        Ok(text)
    }

    pub fn write_running(&self, running: &Running) -> Result<(), DataDirError> {
        let text = serde_json::to_vec_pretty(running).unwrap_or_default();
        self.write(&self.running(), &text)
    }

    /// What the last `dugout up` here said of itself. It may have ended since.
    ///
    /// # Errors
    /// [`DataDirError::NotUnderstood`] is no reason to refuse anything: the next start writes it anew, and
    /// most of what is removed is found without it.
    pub fn read_running(&self) -> Result<Option<Running>, DataDirError> {
        let path = self.running();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("reading", &path, source)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| DataDirError::NotUnderstood { path, source })
    }

    /// Writes a file whole or not at all, readable by its owner alone.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), DataDirError> {
        let temporary = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|source| self.failed("writing", path, source))
    }

    fn failed(&self, action: &'static str, path: &Path, source: io::Error) -> DataDirError {
        DataDirError::Io { action, path: path.to_owned(), source }
    }
}

/// Where a user's data lie (XDG base directory specification, which ignores relative paths).
fn user_data(data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    data_home
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/share")))
}

/// Whether a name is of a data directory: one of its parts, an older log, or a file half-written.
fn is_part(name: &str) -> bool {
    let stem =
        |part: &str| part.rsplit_once('.').map_or(part.to_owned(), |(stem, _)| stem.to_owned());
    PARTS.iter().any(|part| {
        name == *part
            || name
                .strip_prefix(part)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(is_number)
            || name.strip_suffix(".new").is_some_and(|half| half == stem(part))
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of our own entry in /proc is the effective user.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_process_may_hold_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path().join("data"));
        data_dir.create().unwrap();
        let held = data_dir.lock().unwrap();
        assert!(matches!(data_dir.lock(), Err(DataDirError::InUse { .. })));
        drop(held);
        data_dir.lock().unwrap();
    }

    #[test]
    fn a_directory_with_anything_else_in_it_is_neither_used_nor_purged() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("home");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("agent")).unwrap();
        fs::write(root.join("etc/passwd"), "root").unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o1777)).unwrap();
        let data_dir = DataDir::at(&root);
        for refused in [data_dir.create(), data_dir.purge(), data_dir.require_own()] {
            assert!(matches!(refused, Err(DataDirError::Foreign { .. })), "{refused:?}");
        }
        assert_eq!(fs::read_to_string(root.join("etc/passwd")).unwrap(), "root");
        assert!(root.join("agent").exists());
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o7777, 0o1777);
    }

    #[test]
    fn data_never_go_to_a_place_relative_to_the_current_folder() {
        let chosen = |data_home: Option<&str>, home: Option<&str>| {
            user_data(data_home.map(PathBuf::from), home.map(PathBuf::from))
        };
        let own = Some(PathBuf::from("/home/a/.local/share"));
        assert_eq!(chosen(Some("/data"), Some("/home/a")), Some(PathBuf::from("/data")));
        assert_eq!(chosen(Some("data"), Some("/home/a")), own);
        assert_eq!(chosen(None, Some("/home/a")), own);
        for home in [None, Some(""), Some("a")] {
            assert_eq!(chosen(None, home), None, "{home:?}");
        }
    }

    #[test]
    fn a_purge_removes_every_part_and_follows_no_link() {
        let temporary = tempfile::tempdir().unwrap();
        let elsewhere = temporary.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("kept"), "x").unwrap();
        let data_dir = DataDir::at(temporary.path().join("data"));
        data_dir.create().unwrap();
        for name in ["dugout.log", "dugout.log.1", "up.log", "running.new", "lock", "join.token"] {
            fs::write(data_dir.root().join(name), "x").unwrap();
        }
        fs::create_dir_all(data_dir.root().join("postgres/data")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data_dir.root().join("mirrors")).unwrap();
        data_dir.create().unwrap();
        data_dir.purge().unwrap();
        assert!(!data_dir.root().exists());
        assert!(elsewhere.join("kept").exists());
    }

    #[test]
    fn a_closed_directory_stays_closed_but_for_the_way_to_the_database() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path().join("data"));
        fs::create_dir(data_dir.root()).unwrap();
        let mode = || fs::metadata(data_dir.root()).unwrap().permissions().mode() & 0o777;
        fs::set_permissions(data_dir.root(), fs::Permissions::from_mode(0o700)).unwrap();
        data_dir.create().unwrap();
        assert_eq!(mode(), 0o700);
        data_dir.let_postgres_through().unwrap();
        assert_eq!(mode(), if is_root() { 0o711 } else { 0o700 });
    }

    #[test]
    fn a_disk_without_room_is_told_with_its_place() {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path());
        data_dir.require_room(0).unwrap();
        let refused = data_dir.require_room(u64::MAX).unwrap_err().to_string();
        assert!(refused.contains(&temporary.path().display().to_string()), "{refused}");
        assert!(refused.contains("MiB free"), "{refused}");
    }

    #[test]
    fn a_secret_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path());
        let path = data_dir.operator_token();
        let first = data_dir.secret(&path, || "one".to_owned()).unwrap();
        let second = data_dir.secret(&path, || "two".to_owned()).unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("one", "one"));
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_runs_is_told_to_the_other_commands() {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path());
        let running = Running {
            process_id: 7,
            server_url: "http://127.0.0.1:7300".to_owned(),
            cluster: "c".to_owned(),
            docker_host: "unix:///run/docker.sock".to_owned(),
            records: Records::Given,
            images: vec!["dugout-web:1.0".to_owned()],
            phase: Phase::Unhealthy("an image is missing".to_owned()),
        };
        data_dir.write_running(&running).unwrap();
        assert_eq!(data_dir.read_running().unwrap(), Some(running));
    }

    #[test]
    fn what_a_newer_release_adds_is_passed_over_and_damage_is_told_apart() {
        let temporary = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(temporary.path());
        let newer = r#"{"process_id":7,"server_url":"u","cluster":"c","docker_host":"h","mood":"good",
            "phase":{"phase":"healthy"}}"#;
        fs::write(data_dir.running(), newer).unwrap();
        assert_eq!(data_dir.read_running().unwrap().unwrap().cluster, "c");
        for damaged in ["", "{", r#"{"process_id":7}"#] {
            fs::write(data_dir.running(), damaged).unwrap();
            let refused = data_dir.read_running().unwrap_err();
            assert!(matches!(refused, DataDirError::NotUnderstood { .. }), "{refused}");
        }
    }

    #[test]
    fn a_cluster_goes_as_a_whole_only_with_its_own_database() {
        let read = |more: &str| -> Running {
            serde_json::from_str(&format!(
                r#"{{"process_id":7,"server_url":"u","cluster":"c","docker_host":"h",{more}
                    "phase":{{"phase":"healthy"}}}}"#
            ))
            .unwrap()
        };
        // An earlier release did not say it, and is taken down as it was made.
        assert_eq!(read("").whole_cluster(), Some("c"));
        assert_eq!(read(r#""records":"given","#).whole_cluster(), None);
    }
}
