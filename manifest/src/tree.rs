//! The files of a commit as a value that can be asked, so that nothing here knows where they lie.

use std::error::Error;

mod files;

pub use files::Files;

/// A file's content, or a folder's with all that is below: equal content, equal id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

/// Why a commit could not be read; not the fault of what is in its files.
pub type TreeError = Box<dyn Error + Send + Sync>;

/// The files of one commit. Paths have forward slashes, no leading one, and no `.` or `..`; the empty
/// path is the top of the repository.
pub trait Tree {
    /// What stands at a path. A link is told, not followed, and nothing is found below it.
    ///
    /// # Errors
    /// When the commit cannot be read.
    fn find(&self, path: &str) -> Result<Found, TreeError>;

    /// What a folder holds, with names, in the order of the names; nothing when it is no folder.
    ///
    /// # Errors
    /// When the commit cannot be read.
    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError>;

    /// The content of a file that was found.
    ///
    /// # Errors
    /// When the commit cannot be read.
    fn read(&self, path: &str, id: ContentId) -> Result<Vec<u8>, TreeError>;

    /// What the top is, for a message about a path that leads out of it.
    fn outermost(&self) -> String {
        "the repository".to_owned()
    }

    /// A path as messages and hints write it for the person who reads them.
    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    File {
        id: ContentId,
        size_bytes: u64,
    },
    Folder {
        id: ContentId,
    },
    /// A symbolic link with its target as it is written.
    Link {
        target: String,
    },
    /// Another repository.
    Foreign,
    /// A pipe, a socket or a device; a commit has none.
    Special,
    /// Its name is no UTF-8 text; where it is listed, with replacement characters.
    NoText,
}

/// Says of a path that something is there which is no file.
pub(crate) const IS_SPECIAL: &str = "is a pipe, a socket or a device, and no file";

/// How many links are followed for one path.
const LINK_LIMIT: usize = 20;

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathProblem {
    /// It begins with a slash.
    Absolute,
    /// It leaves the repository.
    Outside,
    /// Links lead round in a circle.
    Circle,
}

/// A path seen from a folder, without `.` and `..`.
pub(crate) fn join(folder: &str, path: &str) -> Result<String, PathProblem> {
    if path.starts_with('/') {
        return Err(PathProblem::Absolute);
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(PathProblem::Outside)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The folder of a path; the top for a name without a folder.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path inside a folder.
pub(crate) fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether a path is a folder or lies below it.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Follows the links on the way of a path, `find` telling what stands where. Gives the path without
/// links, with what is there.
pub(crate) fn follow(
    path: &str,
    find: &mut dyn FnMut(&str) -> Result<Found, TreeError>,
) -> Result<Result<(String, Found), PathProblem>, TreeError> {
    let mut path = path.to_owned();
    for _ in 0..LINK_LIMIT {
        let found = find(&path)?;
        let (link, target) = match found {
            Found::Link { target } => (path.clone(), target),
            Found::Nothing => match link_on_the_way(&path, find)? {
                Some(link) => link,
                None => return Ok(Ok((path, Found::Nothing))),
            },
            found => return Ok(Ok((path, found))),
        };
        let rest = path.get(link.len()..).unwrap_or_default().trim_start_matches('/');
        let joined = join(parent(&link), &target).and_then(|target| join(&target, rest));
        path = match joined {
            Ok(path) => path,
            // A link from the top of a machine leads out as well.
            Err(_) => return Ok(Err(PathProblem::Outside)),
        };
    }
    Ok(Err(PathProblem::Circle))
}

/// The first folder on the way to a path that is a link.
fn link_on_the_way(
    path: &str,
    find: &mut dyn FnMut(&str) -> Result<Found, TreeError>,
) -> Result<Option<(String, String)>, TreeError> {
    for (end, _) in path.match_indices('/') {
        match find(&path[..end])? {
            Found::Folder { .. } => {}
            Found::Link { target } => return Ok(Some((path[..end].to_owned(), target))),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_stay_inside() {
        assert_eq!(join("a/b", "../c/./d"), Ok("a/c/d".to_owned()));
        assert_eq!(join("", "a//b/"), Ok("a/b".to_owned()));
        assert_eq!(join("a", ".."), Ok(String::new()));
        assert_eq!(join("a", "../.."), Err(PathProblem::Outside));
        assert_eq!(join("a", "/etc"), Err(PathProblem::Absolute));
        assert!(is_below("a/b", "a") && is_below("a", "a") && is_below("a", ""));
        assert!(!is_below("ab", "a"));
    }

    fn links(path: &str) -> Result<Found, TreeError> {
        let link = |target: &str| Found::Link { target: target.to_owned() };
        Ok(match path {
            "a" | "real" => Found::Folder { id: ContentId([0; 32]) },
            "a/link" => link("../real"),
            "real/file" => Found::File { id: ContentId([1; 32]), size_bytes: 1 },
            "a/out" => link("../../etc"),
            "a/root" => link("/etc"),
            "a/round" => link("round"),
            _ => Found::Nothing,
        })
    }

    #[test]
    fn links_are_followed_inside_the_repository_alone() {
        let path = |path: &str| match follow(path, &mut links) {
            Ok(Ok((path, found))) => Ok((path, found != Found::Nothing)),
            Ok(Err(problem)) => Err(problem),
            Err(_) => Ok((String::new(), false)),
        };
        assert_eq!(path("a/link/file"), Ok(("real/file".to_owned(), true)));
        assert_eq!(path("a/link"), Ok(("real".to_owned(), true)));
        assert_eq!(path("a/none/file"), Ok(("a/none/file".to_owned(), false)));
        assert_eq!(path("a/out/file"), Err(PathProblem::Outside));
        assert_eq!(path("a/root"), Err(PathProblem::Outside));
        assert_eq!(path("a/round"), Err(PathProblem::Circle));
    }
}
