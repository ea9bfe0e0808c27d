//! What is mounted where, as the kernel says it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

const TABLE: &str = "/proc/self/mountinfo";
/// The field with the mount point.
const MOUNT_POINT: usize = 4;

/// The mount points of this process, in the order in which they were mounted.
pub(super) struct MountTable(Vec<PathBuf>);

impl MountTable {
    pub fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read(TABLE)?))
    }

    fn parse(table: &[u8]) -> Self {
        let lines = table.split(|byte| *byte == b'\n');
        let point = |line: &[u8]| line.split(|byte| *byte == b' ').nth(MOUNT_POINT).map(unescape);
        Self(lines.filter_map(point).collect())
    }

    pub fn contains(&self, path: &Path) -> bool {
        self.0.iter().any(|point| point == path)
    }

    /// What is mounted at a path or below it, the last first.
    pub fn below(&self, path: &Path) -> impl Iterator<Item = &Path> {
        self.0.iter().rev().map(PathBuf::as_path).filter(move |point| point.starts_with(path))
    }
}

/// Spaces and the like stand there as `\040`.
pub(crate) fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal =
            after.get(..3).filter(|digits| digits.iter().all(|one| (b'0'..b'8').contains(one)));
        match (first, octal) {
            (b'\\', Some(digits)) => {
                let value = digits.iter().fold(0_u32, |sum, one| sum * 8 + u32::from(one - b'0'));
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_below_a_path_the_last_first() {
        let table = MountTable::parse(
            b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw
40 22 0:30 / /data/pod\\0401 rw - tmpfs tmpfs rw
41 40 0:31 / /data/pod\\0401/in\\134side rw - tmpfs tmpfs rw
42 22 0:32 / /data/pod\\04010 rw - tmpfs tmpfs rw
",
        );
        let below: Vec<&Path> = table.below(Path::new("/data/pod 1")).collect();
        assert_eq!(below, [Path::new("/data/pod 1/in\\side"), Path::new("/data/pod 1")]);
        assert!(table.contains(Path::new("/")) && !table.contains(Path::new("/data")));
    }
}
