//! Files that are replaced whole, so that a crash leaves the one before or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

/// Writes a file that only its owner may read: beside, synced, renamed, the folder synced. Its owner is
/// the folder's, also where root writes it in the place of an agent that is another user.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    // A leftover of a crash may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let owner = fs::metadata(folder)?;
    if rustix::process::geteuid().is_root() && owner.uid() != 0 {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn what_root_writes_for_an_agent_of_another_user_is_that_users() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(1234), Some(2345)).unwrap();
        replace(folder.path(), "paused.json", b"{}").unwrap();
        let file = fs::metadata(folder.path().join("paused.json")).unwrap();
        assert_eq!((file.uid(), file.gid()), (1234, 2345));
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}
