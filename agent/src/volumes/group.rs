//! The group of a pod's own volumes: what the kubelet does for `fsGroup`.
//!
//! A folder that everybody may write to is given to the group as it is made, and what is made in it
//! inherits the group. Files that nobody writes are given to it whenever they were looked after; the two
//! change policies are alike here, because there is nothing of an earlier pod in these volumes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use dugout_model::FileMode;

/// What the group may do with files.
const READABLE: u16 = 0o440;
/// What it may do with folders: look in, and hand itself down.
const ENTERABLE: u32 = 0o2550;

/// The mode of a file that the group can read, too.
pub(super) fn readable(mode: FileMode) -> FileMode {
    FileMode::new(u16::try_from(mode.bits()).unwrap_or_default() | READABLE)
}

/// Gives a folder to the group in which everybody may write.
pub(super) fn own_open(folder: &Path, group: u32) -> io::Result<()> {
    lchown(folder, None, Some(group))?;
    fs::set_permissions(folder, Permissions::from_mode(0o2777))
}

/// Gives a folder with files, and everything in it, to the group. The files have their modes already.
pub(super) fn own_files(folder: &Path, group: u32) -> io::Result<()> {
    own(folder, group)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => own_files(&entry.path(), group)?,
            false => own(&entry.path(), group)?,
        }
    }
    Ok(())
}

/// A change of owner takes the setgid bit away, so the mode comes after it.
fn own(path: &Path, group: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.gid() != group {
        lchown(path, None, Some(group))?;
    }
    let mode = metadata.mode() & 0o7777 | ENTERABLE;
    match metadata.is_dir() && metadata.mode() & 0o7777 != mode {
        true => fs::set_permissions(path, Permissions::from_mode(mode)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn seen(path: &Path) -> (u32, u32) {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.gid(), metadata.mode() & 0o7777)
    }

    #[test]
    fn a_group_reads_what_nobody_else_may() {
        assert_eq!(readable(FileMode::new(0o400)), FileMode::new(0o440));
        assert_eq!(readable(FileMode::new(0o755)), FileMode::new(0o755));
    }

    #[test]
    fn folders_and_files_become_the_groups() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        own_open(&open, 4321).unwrap();
        assert_eq!(seen(&open), (4321, 0o2777));

        let files = folder.path().join("files");
        fs::create_dir_all(files.join("..1/deep")).unwrap();
        fs::write(files.join("..1/deep/key"), "x").unwrap();
        fs::set_permissions(files.join("..1/deep/key"), Permissions::from_mode(0o440)).unwrap();
        std::os::unix::fs::symlink("..1", files.join("..data")).unwrap();
        for _ in 0..2 {
            own_files(&files, 4321).unwrap();
            assert_eq!(seen(&files.join("..1/deep/key")), (4321, 0o440));
            let (group, mode) = seen(&files.join("..1/deep"));
            assert_eq!((group, mode & ENTERABLE), (4321, ENTERABLE));
            assert_eq!(seen(&files.join("..data")).0, 4321);
        }
    }
}
