//! Removing the volumes of a pod. What is mounted there may be a folder of the node: first everything is
//! unmounted, and nothing is removed while a mount is left.
//!
//! Where the node's file systems are shared mounts, as systemd makes them, an unmount below such a folder
//! would be one on the node, too. So each mount is made to follow the node and not to lead it: when it
//! is made, and once more before it goes, for a kill may have come between.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use uuid::Uuid;

use super::FOLDER;
use super::layout::{PARTS, VOLUMES};
use super::mount_table::MountTable;
use super::{storage, storage_root};

/// Removes the folder of a pod. Nothing is fine.
pub(super) fn remove(pod: &Path) -> io::Result<()> {
    if !pod.exists() {
        return Ok(());
    }
    let mounted = MountTable::read()?;
    for point in mounted.below(pod) {
        part_from_node(point)?;
    }
    for point in mounted.below(pod) {
        unmount(point)?;
    }
    if let Some(left) = MountTable::read()?.below(pod).next() {
        return Err(io::Error::other(format!("{} is still mounted", left.display())));
    }
    remove_parts(&pod.join(PARTS))?;
    remove_tree(&pod.join(VOLUMES))?;
    fine_when_gone(fs::remove_dir(pod))
}

/// Has a mount, and what is mounted below it, follow what happens on the node and no longer cause it.
pub(super) fn part_from_node(point: &Path) -> io::Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change(point, flags)?)
}

/// Takes a mount away, also from under a process that stands in it.
pub(super) fn unmount(point: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// Only empty places are left of the parts. What is not empty is not ours to remove.
fn remove_parts(parts: &Path) -> io::Result<()> {
    for container in folder_entries(parts)? {
        for target in folder_entries(&container)? {
            remove_target(&target)?;
        }
        fine_when_gone(fs::remove_dir(&container))?;
    }
    fine_when_gone(fs::remove_dir(parts))
}

/// Removes a place where a part was mounted.
pub(super) fn remove_target(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) => fine_when_gone(Err(error)),
        Ok(found) if found.is_dir() => fine_when_gone(fs::remove_dir(target)),
        Ok(_) => fine_when_gone(fs::remove_file(target)),
    }
}

/// Removes a folder with all that is in it, however deep: a container may have nested more folders than a
/// call stack or a limit of open files has room for. So nothing is descended into. What is in a folder of
/// the top is moved up to the top, until the top is empty.
pub(super) fn remove_tree(top: &Path) -> io::Result<()> {
    let held = match open_folder(CWD, top) {
        Err(error) => return fine_when_gone(Err(error)),
        Ok(held) => held,
    };
    let mut moved = 0_u64;
    let mut is_empty = false;
    while !is_empty {
        is_empty = true;
        for entry in Dir::read_from(&held)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_itself_or_parent(name) {
                continue;
            }
            is_empty = false;
            if unlink(&held, name)? == Left::Folder {
                flatten(&held, name, &mut moved)?;
            }
        }
    }
    drop(held);
    fine_when_gone(fs::remove_dir(top))
}

/// Removes a folder of the top; the folders in it come to the top.
fn flatten(top: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    let folder = open_folder(top, name)?;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let inner = entry.file_name();
        if is_itself_or_parent(inner) || unlink(&folder, inner)? == Left::Nothing {
            continue;
        }
        loop {
            let outer = format!("removed-{moved}");
            *moved += 1;
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&folder, inner, top, outer.as_str(), flags) {
                // The container had one of that name.
                Err(Errno::EXIST) => {}
                other => break other?,
            }
        }
    }
    Ok(rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// What is there after an attempt to remove it as a file.
#[derive(PartialEq, Eq)]
enum Left {
    Nothing,
    Folder,
}

fn unlink(folder: &OwnedFd, name: &CStr) -> io::Result<Left> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Left::Nothing),
        // Linux says the one, POSIX the other.
        Err(Errno::ISDIR | Errno::PERM) => {
            let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Directory => Ok(Left::Folder),
                _ => Err(Errno::PERM.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn open_folder(above: impl rustix::fd::AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(above, name, flags, Mode::empty())?)
}

fn is_itself_or_parent(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Removes the volumes of all pods in a data directory, and nothing that is none.
pub(crate) fn purge(data_dir: &Path) -> io::Result<()> {
    let root = match fs::canonicalize(data_dir.join(FOLDER)) {
        Err(error) => return fine_when_gone(Err(error)),
        Ok(root) => root,
    };
    let is_ours = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| Uuid::parse_str(name).is_ok())
    };
    for cluster in folder_entries(&root)?.into_iter().filter(|path| is_ours(path)) {
        for pod in folder_entries(&cluster)?.into_iter().filter(|path| is_ours(path)) {
            remove(&pod)?;
        }
        fine_when_gone(fs::remove_dir(&cluster))?;
    }
    fine_when_gone(fs::remove_dir(&root))
}

/// Removes the volumes of claims in a data directory with what is in them, and nothing that is none.
pub(crate) fn purge_storage(data_dir: &Path) -> io::Result<()> {
    // Mounts are found by their whole path.
    let root = match fs::canonicalize(data_dir.join(storage::FOLDER)) {
        Err(error) => return fine_when_gone(Err(error)),
        Ok(root) => root,
    };
    let is_ours = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| Uuid::parse_str(name).is_ok())
    };
    for cluster in folder_entries(&root)?.into_iter().filter(|path| is_ours(path)) {
        for volume in storage::find(&cluster)? {
            storage::remove(&cluster, volume)?;
        }
        fine_when_gone(fs::remove_dir(&cluster))?;
    }
    fine_when_gone(fs::remove_file(root.join(storage_root::MARKER)))?;
    fine_when_gone(fs::remove_dir(&root))
}

fn folder_entries(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn fine_when_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
