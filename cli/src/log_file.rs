//! The log file: appended to by whole lines, moved away when it is large, and never a reason to fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that would grow past this becomes `dugout.log.1` first, and that one `dugout.log.2`.
const BYTES_MAX: u64 = 8 << 20;
/// How many older files are kept.
const OLDER_KEPT: u32 = 3;

/// A log in one file and a few older ones.
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Of the file, as far as it holds whole lines.
    bytes: u64,
    bytes_max: u64,
    /// Lines that could not be written since the last one that could.
    lost: u64,
}

impl LogFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append_to(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, bytes_max: BYTES_MAX, lost: 0 })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.bytes_max {
            move_away(&self.path);
            self.file = append_to(&self.path)?;
            self.bytes = self.file.metadata()?.len();
        }
        if self.lost > 0 {
            let note = format!("({} lines are missing: they could not be written)\n", self.lost);
            self.append_whole(note.as_bytes())?;
            self.lost = 0;
        }
        self.append_whole(line)
    }

    /// Writes all of it, or takes back what was written of it.
    fn append_whole(&mut self, line: &[u8]) -> io::Result<()> {
        match self.file.write_all(line) {
            Ok(()) => {
                self.bytes += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line is no worse than a missing one, should this fail as well.
                let _ = self.file.set_len(self.bytes);
                Err(error)
            }
        }
    }
}

/// Whoever logs can do nothing about a full disk, so a line that cannot be written is counted and told
/// when there is room again.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.append(line).is_err() {
            self.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a log that only its owner can read, making it when it is not there.
pub fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Moves a log that is longer away. One that cannot be moved goes on.
pub fn bound(path: &Path, bytes_max: u64) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > bytes_max) {
        move_away(path);
    }
}

/// Makes room under this name: each file becomes the one before it, and the oldest is forgotten. A file
/// that is not there, or cannot be moved, is left out; its place is then written again.
fn move_away(path: &Path) {
    for number in (1..OLDER_KEPT).rev() {
        let _ = fs::rename(older(path, number), older(path, number + 1));
    }
    let _ = fs::rename(path, older(path, 1));
}

fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_log_is_bounded_while_it_is_written_and_keeps_the_newest_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dugout.log");
        let mut log = LogFile { bytes_max: 100, ..LogFile::open(&path).unwrap() };
        for number in 0..1_000 {
            log.write_all(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        assert_eq!(
            names(folder.path()),
            ["dugout.log", "dugout.log.1", "dugout.log.2", "dugout.log.3"]
        );
        let mut kept = String::new();
        for name in ["dugout.log.3", "dugout.log.2", "dugout.log.1", "dugout.log"] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.len() <= 100 && text.ends_with('\n'), "{name}: {text}");
            kept += &text;
        }
        let wanted: Vec<String> = (1_000 - kept.lines().count()..1_000)
            .map(|number| format!("line {number:04}"))
            .collect();
        assert_eq!(kept.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_told_later_and_fails_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dugout.log");
        let mut log = LogFile::open(&path).unwrap();
        // A device on which there is never room.
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut log.file, full);
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        log.file = file;
        log.write_all(b"three\n").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "(2 lines are missing: they could not be written)\nthree\n"
        );
    }
}
