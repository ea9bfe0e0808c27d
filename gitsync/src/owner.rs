//! Writes into a user's repository as that user, so that nothing of it ends up owned by root and
//! nothing outside what the user may write can be reached through it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// While it lives, this thread touches files as the owner of a path. Only root can become another;
/// for everybody else it does nothing.
pub(crate) struct ActAsOwner {
    changed: bool,
}

impl ActAsOwner {
    pub(crate) fn of(path: &Path) -> io::Result<ActAsOwner> {
        let metadata = std::fs::metadata(path)?;
        // SAFETY: geteuid has no preconditions and cannot fail.
        let effective = unsafe { libc::geteuid() };
        if effective != 0 || metadata.uid() == 0 {
            return Ok(ActAsOwner { changed: false });
        }
        // SAFETY: both calls only change the identity that the kernel uses for this thread's file
        // accesses; they take any number and report the former one.
        unsafe {
            libc::setfsgid(metadata.gid());
            libc::setfsuid(metadata.uid());
        }
        Ok(ActAsOwner { changed: true })
    }
}

impl Drop for ActAsOwner {
    fn drop(&mut self) {
        if self.changed {
            // SAFETY: as above; 0 is the identity this thread had, see `of`.
            unsafe {
                libc::setfsuid(0);
                libc::setfsgid(libc::getegid());
            }
        }
    }
}
