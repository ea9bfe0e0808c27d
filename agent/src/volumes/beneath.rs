//! A file or folder inside a volume, reached without ever leaving it: containers write there, and a link
//! that they make must not lead this agent elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::VolumeProblem;

/// Something in a volume, held so that nobody can put another thing in its place.
pub(super) struct Held {
    pub file: OwnedFd,
    pub is_folder: bool,
}

/// Opens a path inside a volume. What is not there is made, as folders like the volume itself.
pub(super) fn open(volume: &Path, path: &str) -> Result<Held, VolumeProblem> {
    let failed = |error: Errno| match error {
        Errno::XDEV | Errno::LOOP => VolumeProblem::OutOfVolume { path: path.to_owned() },
        Errno::NOSYS => VolumeProblem::OldKernel,
        error => VolumeProblem::Io { path: volume.join(path), source: error.into() },
    };
    let root = rustix::fs::openat(CWD, volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = root.map_err(failed)?;
    let file = match step(&root, Path::new(path)) {
        Err(Errno::NOENT) => make(&root, Path::new(path)).map_err(failed)?,
        other => other.map_err(failed)?,
    };
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Held { file, is_folder })
}

/// Opens what is there. A link may lead to another place in the volume, and to none outside.
fn step(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // The kernel asks for another try when something was renamed meanwhile.
    for _ in 0..RETRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

const RETRIES: usize = 64;

/// Makes the folders that are not there, each inside the one before.
fn make(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode & 0o7777);
    let mut reached = PathBuf::new();
    let mut parent = step(root, &reached)?;
    for name in path.components().filter_map(normal) {
        reached.push(name);
        parent = match step(root, &reached) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&parent, name, mode) {
                    Err(Errno::EXIST) | Ok(()) => {}
                    Err(error) => return Err(error),
                }
                let made = step(root, &reached)?;
                // Whatever this process masks of a mode: the folder is as the volume is.
                set_mode(&made, mode)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                made
            }
            other => other?,
        };
    }
    Ok(parent)
}

fn normal(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

fn set_mode(file: &OwnedFd, mode: Mode) -> io::Result<()> {
    fs::set_permissions(through(file), fs::Permissions::from_mode(mode.as_raw_mode()))
}

/// A path that leads to just what is held.
pub(super) fn through(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}
