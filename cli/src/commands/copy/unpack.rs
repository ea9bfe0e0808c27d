//! Unpacks what a container has packed. It may be anybody's, so no name leads out of the target, and no
//! link is made or followed: each folder is opened in the one above it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, linkat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use tar::{Archive, EntryType};
use tokio::sync::mpsc;

/// Whoever unpacks a folder must be able to fill it, whatever its mode is in the container.
const OWNERS_RIGHTS: u32 = 0o700;

/// Unpacks under a name: the archive's first file or folder becomes `to`. Returns the warnings.
pub(super) fn unpack(pieces: mpsc::Receiver<Bytes>, to: &Path) -> anyhow::Result<Vec<String>> {
    let reader = PieceReader { pieces, rest: Bytes::new() };
    let Some(name) = to.file_name() else { bail!("{} has no name", to.display()) };
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let parent = open_folder(CWD, parent, OFlags::empty())
        .with_context(|| format!("the folder {} cannot be opened", parent.display()))?;
    let mut warnings = Vec::new();
    // Only what was written here gets a second name, and never what was there already.
    let mut written: HashSet<PathBuf> = HashSet::new();
    for entry in Archive::new(reader).entries()? {
        let mut entry = entry.context("the archive ended early")?;
        let path = entry.path()?.into_owned();
        let meant = below(&path, Path::new(name))?;
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().unwrap_or(0o644) & 0o777);
        let made = match kind {
            EntryType::Directory => make_folder(&parent, &meant, mode).map(drop),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                make_file(&parent, &meant, mode)
                    .and_then(|mut file| io::copy(&mut entry, &mut file).map(drop))
                    .inspect(|()| {
                        written.insert(meant.clone());
                    })
            }
            EntryType::Link => {
                let first = entry.link_name()?.context("a link without a target")?.into_owned();
                let target = below(&first, Path::new(name))?;
                if written.contains(&target) {
                    name_again(&parent, &target, &meant, mode).inspect(|()| {
                        written.insert(meant.clone());
                    })
                } else {
                    let (path, first) = (path.display(), first.display());
                    warnings.push(format!(
                        "{path} is left out: it is another name of {first}, which was left out"
                    ));
                    Ok(())
                }
            }
            EntryType::Symlink => {
                warnings.push(format!("{} is left out: it is a link", path.display()));
                Ok(())
            }
            _ => {
                warnings.push(format!("{} is left out: it is no file or folder", path.display()));
                Ok(())
            }
        };
        made.with_context(|| format!("{} cannot be written", to.with_file_name(&meant).display()))?;
    }
    Ok(warnings)
}

/// A path of the archive under the name that is meant, without anything that leads elsewhere.
fn below(path: &Path, name: &Path) -> anyhow::Result<PathBuf> {
    let mut components = path.components().filter(|one| !matches!(one, Component::CurDir));
    let mut meant = name.to_owned();
    match components.next() {
        Some(Component::Normal(_)) => {}
        _ => bail!("the archive has a path that leads elsewhere: {}", path.display()),
    }
    for component in components {
        match component {
            Component::Normal(part) => meant.push(part),
            _ => bail!("the archive has a path that leads elsewhere: {}", path.display()),
        }
    }
    Ok(meant)
}

fn open_folder(at: impl AsFd, name: &Path, more: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    Ok(openat(at, name, flags, Mode::empty())?)
}

/// The folder at a path, made where it is not there.
fn make_folder(parent: &OwnedFd, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let mut folder = parent.try_clone()?;
    for part in path {
        match mkdirat(&folder, part, Mode::from_raw_mode(mode | OWNERS_RIGHTS)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        folder = open_folder(&folder, Path::new(part), OFlags::NOFOLLOW)?;
    }
    Ok(folder)
}

/// The folder in which a path's last name is, and that name.
fn place<'a>(parent: &OwnedFd, path: &'a Path) -> io::Result<(OwnedFd, &'a Path)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = make_folder(parent, path.parent().unwrap_or(Path::new("")), 0o755)?;
    Ok((folder, Path::new(name)))
}

fn make_file(parent: &OwnedFd, path: &Path, mode: u32) -> io::Result<File> {
    let (folder, name) = place(parent, path)?;
    // What is there may have other names, whose content stays as it is.
    match remove_file(&folder, name) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(&folder, name, flags, Mode::from_raw_mode(mode))?))
}

/// Removes a name of a file, so that it can be another's: of nothing else than a file.
fn remove_file(folder: &OwnedFd, name: &Path) -> Result<(), Errno> {
    let there = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile => unlinkat(folder, name, AtFlags::empty()),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::EXIST),
    }
}

/// Gives a file that came before a second name; where the file system has no such names, the name is a
/// file of its own.
fn name_again(parent: &OwnedFd, first: &Path, path: &Path, mode: u32) -> io::Result<()> {
    let (first_folder, first_name) = place(parent, first)?;
    let (folder, name) = place(parent, path)?;
    let link = || linkat(&first_folder, first_name, &folder, name, AtFlags::empty());
    let linked = match link() {
        // As with content: a file of this name is replaced, and nothing else.
        Err(Errno::EXIST) if first != path => {
            remove_file(&folder, name)?;
            link()
        }
        Err(Errno::EXIST) => Ok(()),
        linked => linked,
    };
    match linked {
        Ok(()) => Ok(()),
        Err(Errno::PERM | Errno::MLINK | Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS) => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut from = File::from(openat(&first_folder, first_name, flags, Mode::empty())?);
            io::copy(&mut from, &mut make_file(parent, path, mode)?).map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads pieces as they come.
struct PieceReader {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        let piece = self.rest.split_to(length);
        if let Some(buffer) = buffer.get_mut(..length) {
            buffer.copy_from_slice(&piece);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    /// An archive with these entries: a kind, a name as it is, and the content or the link's target.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o640);
            // As no sound program would write it.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
            if is_link {
                header.set_link_name(content).unwrap();
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpacked(entries: &[(EntryType, &str, &str)], to: &Path) -> anyhow::Result<Vec<String>> {
        let bytes = archive(entries);
        let (sender, pieces) = mpsc::channel(bytes.len() / 100 + 1);
        for piece in bytes.chunks(100) {
            sender.blocking_send(Bytes::copy_from_slice(piece)).unwrap();
        }
        drop(sender);
        unpack(pieces, to)
    }

    const FOLDER: EntryType = EntryType::Directory;
    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn a_folder_is_unpacked_under_the_name_that_is_meant() {
        let scratch = tempfile::tempdir().unwrap();
        let to = scratch.path().join("copy");
        let entries = [
            (FOLDER, "data/", ""),
            (FILE, "data/one", "1"),
            (FILE, "data/deep/two", "2"),
            (EntryType::Link, "data/again", "data/one"),
            (EntryType::Symlink, "data/link", "/etc"),
            (EntryType::Fifo, "data/pipe", ""),
            // Another name of what was left out.
            (EntryType::Link, "data/pipe2", "data/pipe"),
            (EntryType::Link, "data/link2", "data/link"),
        ];
        let warnings = unpacked(&entries, &to).unwrap();
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[2].contains("data/pipe2 is left out"), "{warnings:?}");
        for (name, content) in [("one", "1"), ("deep/two", "2"), ("again", "1")] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), content);
        }
        for left_out in ["link", "pipe", "link2", "pipe2"] {
            assert!(to.join(left_out).symlink_metadata().is_err(), "{left_out}");
        }
        let number = |name: &str| fs::metadata(to.join(name)).unwrap().ino();
        assert_eq!(number("again"), number("one"), "one file with two names");
        // Once more over what is there, and a single file.
        unpacked(&entries, &to).unwrap();
        unpacked(&[(FILE, "hosts", "new")], &to.join("one")).unwrap();
        assert_eq!(fs::read_to_string(to.join("one")).unwrap(), "new");
    }

    #[test]
    fn what_was_one_file_and_is_two_now_is_two_here_as_well() {
        let scratch = tempfile::tempdir().unwrap();
        let to = scratch.path().join("copy");
        let linked = [(FILE, "data/one", "1"), (EntryType::Link, "data/two", "data/one")];
        unpacked(&linked, &to).unwrap();
        let mine = scratch.path().join("mine");
        fs::hard_link(to.join("one"), &mine).unwrap();
        unpacked(&[(FILE, "data/one", "first"), (FILE, "data/two", "second")], &to).unwrap();
        for (name, content) in [("one", "first"), ("two", "second")] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(mine).unwrap(), "1", "another name of what was there");
        // And in one archive, which nobody but a program that means harm would write.
        let twice = [linked[0], linked[1], (FILE, "data/two", "other")];
        unpacked(&twice, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("one")).unwrap(), "1");
    }

    #[test]
    fn what_was_there_already_gets_no_second_name() {
        let scratch = tempfile::tempdir().unwrap();
        let to = scratch.path().join("copy");
        fs::create_dir(&to).unwrap();
        fs::write(to.join("mine"), "mine").unwrap();
        symlink("/etc/hostname", to.join("there")).unwrap();
        let entries = [
            (FILE, "data/one", "1"),
            (EntryType::Link, "data/two", "data/mine"),
            (EntryType::Link, "data/mine", "data/one"),
        ];
        assert_eq!(unpacked(&entries, &to).unwrap().len(), 1);
        assert!(!to.join("two").exists());
        assert_eq!(fs::read_to_string(to.join("mine")).unwrap(), "1");
        let over_a_link = [(FILE, "data/one", "1"), (EntryType::Link, "data/there", "data/one")];
        assert!(unpacked(&over_a_link, &to).is_err());
    }

    #[test]
    fn nothing_leads_out_of_the_target() {
        let scratch = tempfile::tempdir().unwrap();
        let outside = scratch.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let target = scratch.path().join("in");
        fs::create_dir(&target).unwrap();
        symlink(&outside, target.join("there")).unwrap();
        symlink(outside.join("file"), target.join("file")).unwrap();
        for entries in [
            &[(FILE, "data/../../outside/x", "bad")][..],
            &[(FILE, "/data/x", "bad")],
            &[(FILE, "..", "bad")],
            &[(FILE, "data/there/x", "bad")],
            &[(FILE, "data/file", "bad")],
            &[
                (EntryType::Symlink, "data/made", "../outside"),
                (FILE, "data/made/x", "good"),
                (FILE, "data/../x", "bad"),
            ],
            &[(EntryType::Link, "data/got", "data/../outside/secret")],
            &[(EntryType::Link, "data/got", "/etc/hostname")],
        ] {
            assert!(unpacked(entries, &target).is_err(), "{entries:?}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(target.join("made").is_dir(), "the link was left out, and a folder is made");
    }
}
