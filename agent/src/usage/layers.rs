//! How much the files take that a container wrote into its own layer. Nobody counts that but by looking at each
//! file, so it is done in the background, rarely, and only as far as it stays cheap.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

/// A layer is looked at again after this, or after so many times what a look takes, whichever is longer.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
const LOOK_AGAIN_FACTOR: u32 = 50;
/// A layer of more files has no figure.
const MOST_FILES: usize = 200_000;
/// Nor has one of which folders lie deeper in each other: each of them is held open.
const MOST_DEPTH: usize = 128;
/// What a round may take; the rest of the layers has its turn in the next.
const ROUND_DEADLINE: Duration = Duration::from_secs(2);
/// The blocks in which the size of a file is told.
const BLOCK_BYTES: u64 = 512;

/// What was found in layers, by the container.
#[derive(Debug, Default)]
pub(super) struct Layers(HashMap<String, Look>);

#[derive(Clone, Copy, Debug)]
struct Look {
    bytes: Option<u64>,
    due_at: Instant,
}

impl Layers {
    pub fn bytes_of(&self, container: &str) -> Option<u64> {
        self.0.get(container)?.bytes
    }

    /// The layers that are due, those first that were never looked at, then the longest overdue.
    pub fn due(&self, layers: &[(String, PathBuf)], now: Instant) -> Vec<(String, PathBuf)> {
        let due_at = |id: &str| self.0.get(id).map(|look| look.due_at);
        let mut due: Vec<_> = layers
            .iter()
            .filter(|(id, _)| due_at(id).is_none_or(|at| at <= now))
            .cloned()
            .collect();
        due.sort_by_key(|(id, _)| due_at(id));
        due
    }

    /// Takes over what a round found, and forgets containers that are not there any more.
    pub fn take(&mut self, found: Vec<(String, Found)>, layers: &[(String, PathBuf)]) {
        for (id, Found { bytes, at, took }) in found {
            let due_at = at + LOOK_AGAIN_AFTER.max(took * LOOK_AGAIN_FACTOR);
            self.0.insert(id, Look { bytes, due_at });
        }
        self.0.retain(|id, _| layers.iter().any(|(other, _)| other == id));
    }
}

/// What a look at a layer found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    bytes: Option<u64>,
    at: Instant,
    took: Duration,
}

/// Looks at layers, as many as there is time for, and at least at the first.
pub(super) fn look_round(due: Vec<(String, PathBuf)>) -> Vec<(String, Found)> {
    let began = Instant::now();
    let mut found = Vec::new();
    for (id, layer) in due {
        if began.elapsed() > ROUND_DEADLINE {
            break;
        }
        let looked = Instant::now();
        let bytes = size_bytes(&layer, began + 2 * ROUND_DEADLINE);
        let at = Instant::now();
        found.push((id, Found { bytes, at, took: at - looked }));
    }
    found
}

/// What the files below a folder take on its disk, each once, whatever links lead to it; `None` where there are
/// too many, they lie too deep, or it cannot be said in time.
///
/// A container may change its folders while we look: each is opened beneath the one that is held open, and
/// never through a link, so that nobody leads us out. No name is kept.
fn size_bytes(folder: &Path, deadline: Instant) -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, folder, flags, Mode::empty()).ok()?;
    let device = rustix::fs::fstat(&root).ok()?.st_dev;
    let mut linked = HashSet::new();
    let (mut bytes, mut files) = (0_u64, 0_usize);
    let mut open = vec![Dir::new(root).ok()?];
    while let Some(last) = open.last_mut() {
        // What goes while we look takes nothing.
        let Some(Ok(entry)) = last.read() else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        files += 1;
        if files > MOST_FILES || Instant::now() > deadline {
            return None;
        }
        let Ok(held) = last.fd() else { continue };
        let Ok(found) = rustix::fs::statat(held, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if found.st_dev != device {
            continue;
        }
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if !is_folder && found.st_nlink > 1 && !linked.insert(found.st_ino) {
            continue;
        }
        bytes += u64::try_from(found.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        if is_folder && let Ok(inner) = rustix::fs::openat(held, name, flags, Mode::empty()) {
            if open.len() == MOST_DEPTH {
                return None;
            }
            open.push(Dir::new(inner).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_counts_once_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, layer) = (folder.path().join("outside"), folder.path().join("layer"));
        fs::create_dir_all(layer.join("a/b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let mebibyte = vec![7_u8; 1 << 20];
        fs::write(outside.join("big"), &mebibyte).unwrap();
        fs::write(layer.join("a/b/file"), &mebibyte).unwrap();
        fs::hard_link(layer.join("a/b/file"), layer.join("again")).unwrap();
        std::os::unix::fs::symlink(&outside, layer.join("link")).unwrap();
        let bytes = size_bytes(&layer, Instant::now() + ROUND_DEADLINE).unwrap();
        assert!((1 << 20..3 << 19).contains(&bytes), "{bytes}");
        assert_eq!(size_bytes(&layer, Instant::now() - ROUND_DEADLINE), None, "no time is left");
        let mut deep = layer.clone();
        deep.extend(std::iter::repeat_n("d", MOST_DEPTH));
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(size_bytes(&layer, Instant::now() + ROUND_DEADLINE), None, "it is too deep");
    }

    #[test]
    fn every_layer_has_its_turn_and_is_then_left_alone_for_long() {
        let layer = |id: &str| (id.to_owned(), PathBuf::from(format!("/nowhere/{id}")));
        let all = [layer("a"), layer("b")];
        let (mut layers, now) = (Layers::default(), Instant::now());
        let took = Duration::from_secs(3);
        let found = |bytes| Found { bytes: Some(bytes), at: now, took };
        layers.take(vec![("a".to_owned(), found(5))], &all);
        assert_eq!(layers.due(&all, now), [layer("b")]);
        assert_eq!(layers.due(&all, now + LOOK_AGAIN_AFTER), [layer("b")], "it is costly");
        assert_eq!(layers.due(&all, now + LOOK_AGAIN_FACTOR * took), [layer("b"), layer("a")]);
        assert_eq!(layers.bytes_of("a"), Some(5));
        layers.take(vec![], &all[1..]);
        assert_eq!(layers.bytes_of("a"), None);
    }
}
