//! What must be at a host path, as Kubernetes' node agent looks at it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use dugout_model::{HostPath, HostPathType};

use super::VolumeProblem;

const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Looks whether the right thing is there, and makes what may be made.
pub(super) fn check(host_path: &HostPath) -> Result<(), VolumeProblem> {
    let path = Path::new(&host_path.path);
    let io = |source| VolumeProblem::Io { path: path.to_owned(), source };
    let found = match fs::metadata(path) {
        Ok(metadata) => Some(metadata.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io(error)),
    };
    let (fits, rule) = match (host_path.path_type, &found) {
        (HostPathType::Any | HostPathType::DirectoryOrCreate, None) => {
            return make_folder(path).map_err(io);
        }
        (HostPathType::FileOrCreate, None) => return make_file(path).map_err(io),
        (HostPathType::Any, Some(_)) => return Ok(()),
        (HostPathType::DirectoryOrCreate | HostPathType::Directory, found) => {
            (found.is_some_and(|found| found.is_dir()), "is not a directory")
        }
        (HostPathType::FileOrCreate | HostPathType::File, found) => {
            (found.is_some_and(|found| found.is_file()), "is not a file")
        }
        (HostPathType::Socket, found) => {
            (found.is_some_and(|found| found.is_socket()), "is not a socket file")
        }
        (HostPathType::CharDevice, found) => {
            (found.is_some_and(|found| found.is_char_device()), "is not a character device")
        }
        (HostPathType::BlockDevice, found) => {
            (found.is_some_and(|found| found.is_block_device()), "is not a block device")
        }
    };
    match fits {
        true => Ok(()),
        false => Err(VolumeProblem::HostPathType { path: host_path.path.clone(), rule }),
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Its folder must be there.
fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(FILE_MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
