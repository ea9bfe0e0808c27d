//! Files of a volume that change as a whole: whoever looks sees all of the old ones or all of the new.
//!
//! As Kubernetes' node agent does it. The files are in a folder with the time in its name; the link
//! `..data` leads there; and what containers look for are links through `..data`. New files go into a
//! folder of their own, and then one rename puts a new `..data` in the place of the old one. A crash
//! between two steps leaves what the next call clears away or completes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use dugout_model::{FileMode, Timestamp};

/// The link to the folder with the present files.
const DATA: &str = "..data";
/// The next one, before it takes that place.
const NEXT_DATA: &str = "..data_tmp";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload<'a> {
    /// Relative; no part of it is `..`, and it does not begin with two dots.
    pub path: &'a str,
    pub mode: FileMode,
    pub bytes: std::borrow::Cow<'a, [u8]>,
}

/// Brings a folder, which must exist, to hold these files and no others that were written here before.
/// Where it holds them already nothing is touched.
pub(super) fn write(folder: &Path, files: &[Payload<'_>], wall: Timestamp) -> io::Result<()> {
    check(files)?;
    let current = present(folder)?;
    clear_leftovers(folder, current.as_deref())?;
    let holds = |name: &OsString| holds(&folder.join(name), files);
    if !current.as_ref().map_or(Ok(false), holds)? {
        let next = folder_name(wall, current.as_deref());
        write_folder(&folder.join(&next), files)?;
        symlink(&next, folder.join(NEXT_DATA))?;
        fs::rename(folder.join(NEXT_DATA), folder.join(DATA))?;
    }
    link(folder, files)?;
    clear_leftovers(folder, present(folder)?.as_deref())
}

/// What is written comes from elsewhere and must stay inside.
fn check(files: &[Payload<'_>]) -> io::Result<()> {
    let is_sound = |path: &str| {
        let mut parts = Path::new(path).components().peekable();
        parts.peek().is_some()
            && !path.starts_with("..")
            && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    match files.iter().find(|file| !is_sound(file.path)) {
        None => Ok(()),
        Some(file) => {
            let message = format!("{:?} is no path inside a volume", file.path);
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// The name of the folder that `..data` leads to, if it leads to one of ours.
fn present(folder: &Path) -> io::Result<Option<OsString>> {
    let target = match fs::read_link(folder.join(DATA)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        target => target?.into_os_string(),
    };
    let is_ours = is_hidden(&target) && Path::new(&target).components().count() == 1;
    Ok((is_ours && folder.join(&target).is_dir()).then_some(target))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"..")
}

/// Removes what an earlier call left behind, or has replaced.
fn clear_leftovers(folder: &Path, current: Option<&OsStr>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_hidden(&name) || name == DATA || Some(name.as_os_str()) == current {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Whether a folder holds just these files.
fn holds(folder: &Path, files: &[Payload<'_>]) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    list(folder, Path::new(""), &mut found)?;
    let wanted: BTreeSet<PathBuf> = files.iter().map(|file| PathBuf::from(file.path)).collect();
    if found != wanted {
        return Ok(false);
    }
    for file in files {
        let path = folder.join(file.path);
        let metadata = fs::symlink_metadata(&path)?;
        let has_mode = metadata.permissions().mode() & 0o7777 == file.mode.bits();
        let has_length = metadata.len() == file.bytes.len() as u64;
        if !metadata.is_file() || !has_mode || !has_length || fs::read(&path)? != *file.bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Everything below a folder that is no folder itself.
fn list(folder: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => list(folder, &path, found)?,
            false => drop(found.insert(path)),
        }
    }
    Ok(())
}

/// As `..2026_11_27_20_38_10.123456`, and another than the present one also when the clock stands.
fn folder_name(wall: Timestamp, current: Option<&OsStr>) -> OsString {
    let name = |at: Timestamp| {
        let moment = DateTime::from_timestamp_micros(at.as_micros()).unwrap_or_default();
        OsString::from(moment.format("..%Y_%m_%d_%H_%M_%S%.6f").to_string())
    };
    match name(wall) {
        same if Some(same.as_os_str()) == current => name(wall + Duration::from_micros(1)),
        other => other,
    }
}

fn write_folder(folder: &Path, files: &[Payload<'_>]) -> io::Result<()> {
    make_folder(folder)?;
    for file in files {
        let path = folder.join(file.path);
        for parent in Path::new(file.path).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev()
        {
            if !parent.as_os_str().is_empty() {
                make_folder(&folder.join(parent))?;
            }
        }
        let mut options = OpenOptions::new();
        let mut new = options.write(true).create_new(true).mode(0o600).open(&path)?;
        new.write_all(&file.bytes)?;
        fs::set_permissions(&path, Permissions::from_mode(file.mode.bits()))?;
    }
    Ok(())
}

/// A folder that everybody may look into.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // Whatever this process masks of a mode.
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Makes the links that containers look for, and removes those whose files are gone.
fn link(folder: &Path, files: &[Payload<'_>]) -> io::Result<()> {
    let first = |file: &Payload<'_>| Path::new(file.path).components().next().map(to_name);
    let wanted: BTreeMap<OsString, PathBuf> = files
        .iter()
        .filter_map(first)
        .map(|name| (name.clone(), Path::new(DATA).join(name)))
        .collect();
    for (name, target) in &wanted {
        match symlink(target, folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_link = fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(DATA));
        if is_link && !wanted.contains_key(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn to_name(component: Component<'_>) -> OsString {
    component.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::testing::at;

    fn file<'a>(path: &'a str, bytes: &'a str, mode: u16) -> Payload<'a> {
        Payload { path, mode: FileMode::new(mode), bytes: bytes.as_bytes().into() }
    }

    fn read(folder: &Path, path: &str) -> String {
        fs::read_to_string(folder.join(path)).unwrap()
    }

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn data(folder: &Path) -> String {
        fs::read_link(folder.join(DATA)).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn files_have_their_content_and_modes_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let files =
            [file("a", "one", 0o644), file("deep/er/b", "two", 0o400), file("deep/c", "", 0o755)];
        write(folder, &files, at(0)).unwrap();
        assert_eq!((read(folder, "a"), read(folder, "deep/er/b")), ("one".into(), "two".into()));
        let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().mode() & 0o7777;
        let modes = ["a", "deep/er/b", "deep/c", "deep", "deep/er"].map(mode);
        assert_eq!(modes, [0o644, 0o400, 0o755, 0o755, 0o755]);
        assert_eq!(names(folder), ["..1970_01_12_13_46_40.000000", "..data", "a", "deep"]);
        assert_eq!(fs::read_link(folder.join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_link(folder.join("deep")).unwrap(), Path::new("..data/deep"));
    }

    #[test]
    fn what_is_there_already_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, &[file("a", "one", 0o644)], at(0)).unwrap();
        let inode = || fs::metadata(folder.join("a")).unwrap().ino();
        let before = (data(folder), inode());
        write(folder, &[file("a", "one", 0o644)], at(9)).unwrap();
        assert_eq!((data(folder), inode()), before);
    }

    #[test]
    fn every_difference_makes_a_new_folder_and_the_old_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let steps: [&[Payload<'_>]; 6] = [
            &[file("a", "one", 0o644), file("b", "b", 0o644)],
            &[file("a", "two", 0o644), file("b", "b", 0o644)],
            &[file("a", "two", 0o600), file("b", "b", 0o644)],
            &[file("a", "two", 0o600)],
            &[file("a", "two", 0o600), file("c/d", "d", 0o644)],
            &[],
        ];
        for (step, files) in steps.iter().enumerate() {
            write(folder, files, at(step as u64)).unwrap();
            for one in *files {
                assert_eq!(fs::read(folder.join(one.path)).unwrap(), *one.bytes, "step {step}");
            }
            let mut expected = vec![data(folder), "..data".to_owned()];
            let tops = files.iter().filter_map(|one| one.path.split('/').next());
            expected.extend(tops.map(str::to_owned));
            assert_eq!(names(folder), expected, "step {step}");
        }
    }

    #[test]
    fn the_same_moment_twice_is_two_folders() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[file("a", "one", 0o644)], at(0)).unwrap();
        let before = data(folder.path());
        write(folder.path(), &[file("a", "two", 0o644)], at(0)).unwrap();
        assert_ne!(data(folder.path()), before);
        assert_eq!(read(folder.path(), "a"), "two");
    }

    #[test]
    fn whoever_looks_sees_all_of_the_old_files_or_all_of_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, &[file("a", "0", 0o644), file("b", "0", 0o644)], at(0)).unwrap();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut last = 0;
                while last < 100 {
                    // Whoever holds the folder of one moment sees both of it.
                    let Ok(moment) = fs::canonicalize(folder.join(DATA)) else { continue };
                    let both = ["a", "b"].map(|name| fs::read_to_string(moment.join(name)));
                    let [Ok(a), Ok(b)] = both else { continue };
                    assert_eq!(a, b);
                    last = a.parse().unwrap();
                }
            });
            for step in 1..=100_u64 {
                let text = step.to_string();
                let files = [file("a", &text, 0o644), file("b", &text, 0o644)];
                write(folder, &files, at(step)).unwrap();
                assert!(folder.join("a").exists());
            }
            looking.join().unwrap();
        });
    }

    /// Leaves a folder as a crash does.
    type Crash = fn(&Path);

    /// A crash may come after each step; the next call ends as if there had been none.
    #[test]
    fn a_crash_between_two_steps_is_mended_by_the_next_call() {
        let wanted = [file("new", "two", 0o644), file("kept", "2", 0o600)];
        let crashes: [(&str, Crash); 5] = [
            ("while the files were written", |folder| {
                fs::create_dir(folder.join("..half")).unwrap();
                fs::write(folder.join("..half/new"), "t").unwrap();
            }),
            ("before the rename", |folder| {
                write_folder(&folder.join("..next"), &[file("new", "two", 0o644)]).unwrap();
                symlink("..next", folder.join(NEXT_DATA)).unwrap();
            }),
            ("before the links", |folder| {
                let files = [file("new", "two", 0o644), file("kept", "2", 0o600)];
                write_folder(&folder.join("..next"), &files).unwrap();
                symlink("..next", folder.join(NEXT_DATA)).unwrap();
                fs::rename(folder.join(NEXT_DATA), folder.join(DATA)).unwrap();
            }),
            ("with the old links still there", |folder| {
                symlink("..data/new", folder.join("new")).unwrap();
            }),
            ("and somebody emptied the folder", |folder| {
                fs::remove_dir_all(folder.join(data(folder))).unwrap();
            }),
        ];
        for (when, crash) in crashes {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            write(folder, &[file("old", "one", 0o644), file("kept", "1", 0o600)], at(0)).unwrap();
            crash(folder);
            write(folder, &wanted, at(1)).unwrap();
            let found = (read(folder, "new"), read(folder, "kept"));
            assert_eq!(found, ("two".into(), "2".into()), "{when}");
            let data = data(folder);
            let mut expected = [&*data, "..data", "kept", "new"];
            expected.sort_unstable();
            assert_eq!(names(folder), expected, "{when}");
        }
    }

    #[test]
    fn no_file_is_written_outside() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["", "/a", "../a", "a/../../b", "..data", "./a", "..2026"] {
            let error = write(folder.path(), &[file(path, "", 0o644)], at(0)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}
