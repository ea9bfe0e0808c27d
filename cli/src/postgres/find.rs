//! Finds the PostgreSQL servers that are installed on this machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::NotFound;
use super::tool;

pub use dugout_store::OLDEST_SERVER_MAJOR as OLDEST_MAJOR;

/// Where distributions and builders put a server: a folder, how the names in it begin before the
/// version, and the folder of the programs under each.
const PLACES: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr/local", "pgsql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

/// An installed server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder with `postgres` and `initdb`.
    pub bin_dir: PathBuf,
    /// As the server says it, such as "15.18".
    pub version: String,
}

impl Found {
    /// The part of the version that must be the same for the server and its files.
    pub fn major(&self) -> u32 {
        leading_number(&self.version).unwrap_or(0)
    }
}

/// The server to use: the one on PATH, else the newest of the usual places.
pub fn find() -> Result<Found, NotFound> {
    find_among(candidates())
}

/// An installed server that can work on files of this major version.
pub fn find_major(major: u32) -> Option<Found> {
    candidates().iter().filter_map(|dir| probe(dir)).find(|found| found.major() == major)
}

fn find_among(candidates: Vec<PathBuf>) -> Result<Found, NotFound> {
    let mut too_old = Vec::new();
    for found in candidates.iter().filter_map(|dir| probe(dir)) {
        if found.major() >= OLDEST_MAJOR {
            return Ok(found);
        }
        too_old.push(found);
    }
    Err(NotFound { too_old })
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = on_path(&path);
    for (folder, prefix, programs) in PLACES {
        all.extend(in_place(Path::new(folder), prefix, programs));
    }
    let mut unique: Vec<PathBuf> = Vec::new();
    for dir in all {
        if !unique.contains(&dir) {
            unique.push(dir);
        }
    }
    unique
}

/// The folders of `path` that hold a server. A link to `postgres` stands for the folder it leads to,
/// because a server finds its other files from there.
fn on_path(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .filter_map(|dir| {
            let real = fs::canonicalize(dir.join("postgres")).ok()?;
            [real.parent()?.to_owned(), dir].into_iter().find(|dir| holds_server(dir))
        })
        .collect()
}

/// The folders of one place that hold a server, newest first.
fn in_place(folder: &Path, prefix: &str, programs: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut versions: Vec<(u32, OsString)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(prefix)?.trim_start_matches('@');
            // A name without a version is a server's only one.
            let version = if rest.is_empty() { 0 } else { leading_number(rest)? };
            Some((version, name))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions
        .into_iter()
        .map(|(_, name)| folder.join(name).join(programs))
        .filter(|dir| holds_server(dir))
        .collect()
}

fn holds_server(dir: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|program| dir.join(program).is_file())
}

/// Asks the server for its version. One that does not answer is no server.
fn probe(dir: &Path) -> Option<Found> {
    let mut command = Command::new(dir.join("postgres"));
    command.arg("--version");
    let output = tool::output_of(command)?;
    let version = version_in(&output)?.to_owned();
    Some(Found { bin_dir: dir.to_owned(), version })
}

/// The version in "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
fn version_in(output: &str) -> Option<&str> {
    let version = output.split_whitespace().nth(2)?;
    leading_number(version).map(|_| version)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fake_server(dir: &Path, version: &str) {
        fs::create_dir_all(dir).unwrap();
        for program in ["postgres", "initdb"] {
            let path = dir.join(program);
            fs::write(&path, format!("#!/bin/sh\necho \"{program} (PostgreSQL) {version}\"\n"))
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_newest_server_of_a_place_comes_first() {
        let place = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "9", "17"] {
            fake_server(&place.path().join(version).join("bin"), version);
        }
        let dirs = in_place(place.path(), "", "bin");
        let names: Vec<_> = dirs
            .iter()
            .map(|dir| dir.strip_prefix(place.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["17/bin", "15/bin", "9.6/bin", "9/bin"]);
    }

    #[test]
    fn a_link_on_the_path_stands_for_the_folder_it_leads_to() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fake_server(&root.join("real"), "16.1");
        fs::create_dir(root.join("links")).unwrap();
        std::os::unix::fs::symlink(root.join("real/postgres"), root.join("links/postgres"))
            .unwrap();
        assert_eq!(on_path(root.join("links").as_os_str()), [root.join("real")]);
    }

    #[test]
    fn a_server_that_is_too_old_is_named_and_not_used() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        fake_server(&old, "9.6.24");
        fake_server(&new, "18beta1");
        let found = find_among(vec![old.clone(), new.clone()]).unwrap();
        assert_eq!((found.major(), found.bin_dir), (18, new));
        let missing = find_among(vec![old]).unwrap_err();
        assert!(missing.to_string().ends_with("is too old: 9.6.24"), "{missing}");
    }

    #[test]
    fn a_program_that_gives_no_version_is_no_server() {
        let place = tempfile::tempdir().unwrap();
        fake_server(place.path(), "unknown");
        assert_eq!(find_among(vec![place.path().to_owned()]).unwrap_err().too_old, []);
    }
}
