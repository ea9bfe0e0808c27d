//! Where the private PostgreSQL keeps what: the folder `postgres` in the data directory.
//!
//! The folder and all files that we write in it are ours; only `data` and the socket's folder belong
//! to the server's user. So root never writes where another user could have put a link.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{FullDisk, Hint, PostgresError};
use super::user::{self, Account};

/// The socket's file in its folder.
pub const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// What the kernel takes as a socket's address, without the end mark.
const SOCKET_PATH_LONGEST: usize = 107;

/// Where a socket goes whose own folder has too long a path. Not the user's runtime directory: that
/// is removed when the user logs out, and we may run on.
const SHORT_FOLDER: &str = "/tmp";

const HALF_MADE_PREFIX: &str = "data.new.";

/// Files of the server that we read are far smaller than this.
const READ_LIMIT: u64 = 64 * 1024;

/// With less space than this a server may fail to start.
const FULL_BELOW_MEBIBYTES: u64 = 64;

#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Makes the folder where it is missing.
    pub fn create(data_dir: &Path) -> Result<Self, PostgresError> {
        let home = Self { root: data_dir.join("postgres") };
        let make = || -> io::Result<PathBuf> {
            if !home.root.is_dir() {
                DirBuilder::new().recursive(true).mode(0o755).create(data_dir)?;
                DirBuilder::new().mode(0o700).create(&home.root)?;
            }
            if rustix::process::geteuid().is_root() {
                // The server's user passes through, also when our umask is strict.
                fs::set_permissions(&home.root, Permissions::from_mode(0o711))?;
            }
            fs::canonicalize(&home.root)
        };
        let root = make().map_err(|source| home.failed("making the folder", source))?;
        Ok(Self { root })
    }

    /// The folder when it is there.
    pub fn existing(data_dir: &Path) -> Result<Option<Self>, PostgresError> {
        let home = Self { root: data_dir.join("postgres") };
        match fs::canonicalize(&home.root) {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(home.failed("entering", source)),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database. It is there whole, or not at all.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where this process makes a database before it gets its name.
    pub fn half_made(&self) -> PathBuf {
        self.root.join(format!("{HALF_MADE_PREFIX}{}", std::process::id()))
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The file that a running server keeps.
    pub fn lock_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    fn short_socket_dir_memory(&self) -> PathBuf {
        self.root.join("socket-directory")
    }

    /// Whom the database belongs to, when there is one.
    pub fn data_owner(&self) -> Result<Option<u32>, PostgresError> {
        match fs::symlink_metadata(self.data()) {
            Ok(metadata) => Ok(Some(metadata.uid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("looking at the database in", source)),
        }
    }

    /// Removes what an interrupted start left. What cannot be removed is in nobody's way.
    pub fn remove_half_made(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name().as_bytes().starts_with(HALF_MADE_PREFIX.as_bytes()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Makes the folder of the socket, which only the server's user and root can enter.
    pub fn socket_dir(&self, account: &Account) -> Result<PathBuf, PostgresError> {
        let own = self.root.join("socket");
        if is_good_for_socket(&own) {
            self.make_private(&own, account)
                .map_err(|source| self.failed("making the socket's folder in", source))?;
            return Ok(own);
        }
        self.short_socket_dir(account)
            .map_err(|source| self.failed("making a socket's folder with a short path for", source))
    }

    /// The folder outside that an earlier start made, else a new one with a name nobody can guess.
    fn short_socket_dir(&self, account: &Account) -> io::Result<PathBuf> {
        if let Some(known) = self.known_short_socket_dir() {
            match fs::symlink_metadata(&known) {
                Ok(found) if found.is_dir() && user::is_private_to(account.user_id, &found) => {
                    return Ok(known);
                }
                _ => {}
            }
        }
        let fresh = Path::new(SHORT_FOLDER).join(format!("dugout-{:016x}", rand::random::<u64>()));
        // Remembered first: what is made is then always removed again.
        self.write(&self.short_socket_dir_memory(), fresh.as_os_str().as_bytes())?;
        self.make_private(&fresh, account)?;
        Ok(fresh)
    }

    fn known_short_socket_dir(&self) -> Option<PathBuf> {
        let path = fs::read(self.short_socket_dir_memory()).ok()?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(path));
        let is_ours = path.parent() == Some(Path::new(SHORT_FOLDER))
            && path.file_name()?.as_bytes().starts_with(b"dugout-");
        is_ours.then_some(path)
    }

    /// Removes the socket's folder outside, after the server has ended.
    pub fn forget_short_socket_dir(&self) {
        let Some(path) = self.known_short_socket_dir() else { return };
        // Only what the server can have left there. A folder that holds more is not ours to remove.
        for name in [SOCKET_NAME.to_owned(), format!("{SOCKET_NAME}.lock")] {
            let _ = fs::remove_file(path.join(name));
        }
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => {
                let _ = fs::remove_file(self.short_socket_dir_memory());
            }
        }
    }

    fn make_private(&self, dir: &Path, account: &Account) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && dir.starts_with(&self.root) => {}
            result => result?,
        }
        account.give(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700))
    }

    /// Writes one of our files whole or not at all. All may read it, because the server's user must;
    /// it holds no secret.
    pub fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).open(&temporary)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }

    /// Reads a small file that the server's user may have changed: no links, no waiting, no end.
    pub fn read_foreign(&self, path: &Path) -> io::Result<String> {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())
            .map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let mut content = Vec::new();
        file.take(READ_LIMIT).read_to_end(&mut content)?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Makes the names in our folder survive a power failure.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }

    pub fn failed(&self, action: &'static str, source: io::Error) -> PostgresError {
        PostgresError::File { action, path: self.root.clone(), hint: self.hint(), source }
    }

    /// Looks for a full disk, the usual reason for a failure nobody expects.
    pub fn hint(&self) -> Hint {
        let Ok(space) = rustix::fs::statvfs(&self.root) else { return Hint::default() };
        let free_mebibytes = space.f_bavail.saturating_mul(space.f_frsize) / (1024 * 1024);
        let full = FullDisk { path: self.root.clone(), free_mebibytes };
        Hint((free_mebibytes < FULL_BELOW_MEBIBYTES).then_some(full))
    }
}

/// Whether the kernel takes the path, and the server's list of folders needs no quotes for it.
fn is_good_for_socket(dir: &Path) -> bool {
    let path = dir.join(SOCKET_NAME);
    let bytes = path.as_os_str().as_bytes();
    bytes.len() <= SOCKET_PATH_LONGEST
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(byte))
}
