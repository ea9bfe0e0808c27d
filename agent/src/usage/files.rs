//! Small files of the kernel, read without keeping any, and the forms that they have.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most that is read of one file: the longest, a table of mounts, has a line for each container.
const MOST_BYTES: u64 = 1 << 20;

/// Reads files below a folder that stands for `/`.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    bytes: Vec<u8>,
    text: String,
}

impl Files {
    /// Of this machine.
    pub fn of_this_machine() -> Self {
        Self::below(Path::new("/"))
    }

    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), bytes: Vec::new(), text: String::new() }
    }

    /// The text of a file, up to the next one that is read; `None` where it cannot be read, as one that this
    /// kernel does not have, or of a process that has ended. A name in it may be of any bytes, as one of a
    /// mount point: what is no text of it is marked as such, and the rest is told.
    pub fn read(&mut self, path: &Path) -> Option<&str> {
        self.bytes.clear();
        let file = File::open(self.place(path)).ok()?;
        file.take(MOST_BYTES).read_to_end(&mut self.bytes).ok()?;
        self.text.clear();
        self.text.push_str(&String::from_utf8_lossy(&self.bytes));
        Some(&self.text)
    }

    /// A file that holds one number.
    pub fn number(&mut self, path: &Path) -> Option<u64> {
        self.read(path)?.trim().parse().ok()
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.place(path).exists()
    }

    /// Whether a folder is there and has something in it.
    pub fn has_entries(&self, path: &Path) -> bool {
        std::fs::read_dir(self.place(path)).is_ok_and(|mut entries| entries.next().is_some())
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The value in a table of lines as `key value`.
pub(super) fn value(table: &str, key: &str) -> Option<u64> {
    table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The share of time in which processes waited for something of a kind, as the kernel says it (PSI).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Some process waited.
    pub some: StallTime,
    /// No process went on. Of the CPU of a whole machine this means nothing, and some kernels leave it out.
    pub full: Option<StallTime>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StallTime {
    /// Of the last minute, in percent.
    pub minute_percent: f64,
    pub total_seconds: f64,
}

/// Reads the form of the files of `/proc/pressure`.
pub(super) fn stall(text: &str) -> Option<Stall> {
    let line_of = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind));
    let time = |line: &str| {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        Some(StallTime {
            minute_percent: field("avg60=")?.parse().ok()?,
            total_seconds: field("total=")?.parse::<f64>().ok()? / 1e6,
        })
    };
    let full = line_of("full ").and_then(time);
    Some(Stall { some: time(line_of("some ")?)?, full })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_found_in_a_longer_one() {
        let table = "total_rss_huge 1\ntotal_rss 2\nrss 3\n";
        assert_eq!(value(table, "total_rss"), Some(2));
        assert_eq!(value(table, "rss"), Some(3));
        assert_eq!(value(table, "total"), None);
    }

    #[test]
    fn a_name_that_is_no_text_hides_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("table"), b"one /media/Fotos_\xfc\ntwo /\n").unwrap();
        let mut files = Files::below(folder.path());
        let table = files.read(Path::new("/table")).unwrap();
        assert_eq!(table.lines().last(), Some("two /"));
    }

    #[test]
    fn the_time_that_was_waited_is_read() {
        let text = "some avg10=19.25 avg60=21.33 avg300=14.01 total=9480897286\nfull avg10=0.00 avg60=1.50 avg300=0.00 total=2500000\n";
        let some = StallTime { minute_percent: 21.33, total_seconds: 9480.897286 };
        let full = StallTime { minute_percent: 1.5, total_seconds: 2.5 };
        assert_eq!(stall(text), Some(Stall { some, full: Some(full) }));
        let old = text.lines().next().unwrap();
        assert_eq!(stall(old), Some(Stall { some, full: None }));
        assert_eq!(stall(""), None);
    }
}
