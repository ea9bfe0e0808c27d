//! File systems in memory.

use std::ffi::CString;
use std::path::Path;

use dugout_model::ResolvedTemplate;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::VolumeProblem;

/// How much a volume in memory may hold: its own limit, and no more than the pod's containers may use,
/// where that is bounded. `None` leaves it to the kernel, which gives half of the node's memory.
pub(super) fn size_bytes(
    template: &ResolvedTemplate,
    size_limit_bytes: Option<u64>,
) -> Option<u64> {
    match (size_limit_bytes, template.memory_limit_bytes()) {
        (Some(own), Some(pod)) => Some(own.min(pod)),
        (own, pod) => own.or(pod),
    }
}

/// Mounts an empty file system at a folder. Everybody may write there; it is the group's, if there is one.
pub(super) fn mount_empty(
    folder: &Path,
    size_bytes: Option<u64>,
    group: Option<u32>,
) -> Result<(), VolumeProblem> {
    let size = size_bytes.map_or(String::new(), |size| format!(",size={size}"));
    // What is made there belongs to the group of the folder.
    let owner = group.map_or("mode=0777".to_owned(), |group| format!("mode=2777,gid={group}"));
    mount_at(folder, MountFlags::empty(), &format!("{owner}{size}"))
}

/// Mounts an empty file system at a folder for files that are nobody's to write or run, and that never
/// reach a disk: where the kernel is too old to keep them out of the swap space, they may get there.
pub(super) fn mount_private(folder: &Path) -> Result<(), VolumeProblem> {
    let flags = MountFlags::NOEXEC;
    match mount_at(folder, flags, "mode=0777,noswap") {
        Err(VolumeProblem::Io { source, .. }) if source.raw_os_error() == Some(NOT_KNOWN) => {
            mount_at(folder, flags, "mode=0777")
        }
        other => other,
    }
}

/// What the kernel says of an option that it does not know.
const NOT_KNOWN: i32 = Errno::INVAL.raw_os_error();

fn mount_at(folder: &Path, flags: MountFlags, options: &str) -> Result<(), VolumeProblem> {
    let failed = |error: Errno| match error {
        Errno::PERM | Errno::ACCESS => VolumeProblem::MayNotMountMemory,
        error => VolumeProblem::Io { path: folder.to_owned(), source: error.into() },
    };
    let options = CString::new(options).map_err(|_| failed(Errno::INVAL))?;
    let flags = flags | MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", folder, "tmpfs", flags, options.as_c_str()).map_err(failed)
}
