//! The group of a pod's own volumes: what the kubelet does for `fsGroup`.
//!
//! A folder that everybody may write to is given to the group as it is made, and what is made in it
//! inherits the group. Files that nobody writes are given to it whenever they were looked after. For these the
//! two change policies are alike, because there is nothing of an earlier pod in them. The volume of a claim
//! outlives its pods: it is given to the group with all that is in it, by the policy that the pod asks for.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use dugout_model::{FileMode, GroupChange, VolumeGroup};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags};

use super::beneath::through;

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

/// What the group may do with the files of a volume that outlives the pod, and with its folders, as the kubelet
/// has it.
const WRITABLE: u32 = 0o660;
const WRITABLE_FOLDER: u32 = 0o2770;
/// Deeper folders than these are refused: each that is above holds a file descriptor.
const DEPTH_MAX: usize = 512;

/// Gives a volume that outlives its pods to the group, with all that is in it and nothing that links in it
/// lead to: containers of other pods may write there meanwhile.
pub(super) fn own_volume(folder: &Path, group: VolumeGroup) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&root)?;
    let is_owned = found.st_gid == group.id && found.st_mode & WRITABLE_FOLDER == WRITABLE_FOLDER;
    if group.change == GroupChange::OnRootMismatch && is_owned {
        return Ok(());
    }
    // The folder itself comes last: with OnRootMismatch it says that all of it is done.
    own_inside(&root, group.id, 0)?;
    own_one(&root, group.id)
}

fn own_inside(folder: &OwnedFd, group: u32, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("its folders are too deep to be given to the group"));
    }
    let listed = rustix::fs::openat(
        folder,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for entry in Dir::new(listed)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => continue,
            held => held?,
        };
        if file_type(&held)? == FileType::Directory {
            own_inside(&held, group, depth + 1)?;
        }
        own_one(&held, group)?;
    }
    Ok(())
}

fn file_type(held: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(held)?.st_mode))
}

/// Just what is held; of a link its owner alone.
fn own_one(held: &OwnedFd, group: u32) -> io::Result<()> {
    let found = rustix::fs::fstat(held)?;
    if found.st_gid != group {
        let gid = Some(Gid::from_raw(group));
        rustix::fs::chownat(held.as_fd(), "", None, gid, AtFlags::EMPTY_PATH)?;
    }
    let wanted = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => WRITABLE_FOLDER,
        FileType::Symlink => return Ok(()),
        _ => WRITABLE,
    };
    // A change of owner takes the setgid bit away, so the mode comes after it.
    let mode = found.st_mode & 0o7777 | wanted;
    let now = rustix::fs::fstat(held)?.st_mode & 0o7777;
    match now == mode {
        true => Ok(()),
        false => fs::set_permissions(through(held), Permissions::from_mode(mode)),
    }
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
    fn a_volume_that_stays_becomes_the_groups_and_its_links_lead_nowhere() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (volume, other) = (folder.path().join("volume"), folder.path().join("other"));
        fs::create_dir_all(volume.join("deep")).unwrap();
        fs::write(volume.join("deep/row"), "1").unwrap();
        fs::set_permissions(volume.join("deep/row"), Permissions::from_mode(0o600)).unwrap();
        fs::write(&other, "1").unwrap();
        let before = seen(&other);
        std::os::unix::fs::symlink(&other, volume.join("link")).unwrap();
        let group = VolumeGroup { id: 4321, change: GroupChange::OnRootMismatch };
        own_volume(&volume, group).unwrap();
        assert_eq!(seen(&volume.join("deep/row")), (4321, 0o660));
        assert_eq!(seen(&volume.join("deep")).1 & WRITABLE_FOLDER, WRITABLE_FOLDER);
        assert_eq!(seen(&volume).0, 4321);
        assert_eq!(seen(&other), before, "what a link leads to stays as it is");

        fs::set_permissions(volume.join("deep/row"), Permissions::from_mode(0o600)).unwrap();
        own_volume(&volume, group).unwrap();
        assert_eq!(seen(&volume.join("deep/row")).1, 0o600, "the volume is the group's already");
        own_volume(&volume, VolumeGroup { change: GroupChange::Always, ..group }).unwrap();
        assert_eq!(seen(&volume.join("deep/row")).1, 0o660);
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
