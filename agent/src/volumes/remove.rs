//! Removing the volumes of a pod. What is mounted there may be a folder of the node: first everything is
//! unmounted, and nothing is removed while a mount is left.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::UnmountFlags;
use uuid::Uuid;

use super::FOLDER;
use super::layout::{PARTS, VOLUMES};
use super::mount_table::MountTable;

/// Removes the folder of a pod. Nothing is fine.
pub(super) fn remove(pod: &Path) -> io::Result<()> {
    if !pod.exists() {
        return Ok(());
    }
    for point in MountTable::read()?.below(pod) {
        unmount(point)?;
    }
    if let Some(left) = MountTable::read()?.below(pod).next() {
        return Err(io::Error::other(format!("{} is still mounted", left.display())));
    }
    remove_parts(&pod.join(PARTS))?;
    fine_when_gone(fs::remove_dir_all(pod.join(VOLUMES)))?;
    fine_when_gone(fs::remove_dir(pod))
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
