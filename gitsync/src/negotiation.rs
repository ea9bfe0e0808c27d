//! What we tell a remote that we have, so that it sends only the rest: few commits, in one request.
//!
//! libgit2 names commit after commit of the history and asks after every twentieth whether that is
//! enough. Over HTTP each question is a request of its own, so a history of twenty commits costs one
//! more for every fetch. The newest commit says nearly always enough, because having it means having
//! all before it; older ones only help when history was rewritten.
//!
//! So libgit2 negotiates with a repository of its own, which has the mirror's objects and a history
//! with gaps (`info/grafts`, which libgit2 never shows to the remote): first every commit, then at ever
//! longer distances.

use std::fs;
use std::path::Path;

use git2::{Oid, Repository, RepositoryInitOptions};

/// How far behind the head, by first parents, a commit is named. Twenty of them would be two requests.
const DISTANCES: [usize; 17] = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
/// The head of the history with gaps.
const REFERENCE: &str = "refs/dugout/have";

/// A repository in `path` to fetch with; what it receives goes into the mirror.
pub(crate) fn repository(
    path: &Path,
    mirror: &Repository,
    head: Oid,
) -> Result<Repository, git2::Error> {
    let mut repository = Repository::open_bare(path).or_else(|_| {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).mkpath(true).external_template(false);
        Repository::init_opts(path, &options)
    })?;
    repository.set_odb(&mirror.odb()?)?;
    if repository.refname_to_id(REFERENCE).ok() != Some(head) {
        write_grafts(path, &some_of_history(mirror, head)?)?;
        repository.reference(REFERENCE, head, true, "")?;
        // Grafts are read when a repository is opened.
        repository = Repository::open_bare(path)?;
        repository.set_odb(&mirror.odb()?)?;
    }
    Ok(repository)
}

/// The head and commits before it, newest first.
fn some_of_history(mirror: &Repository, head: Oid) -> Result<Vec<Oid>, git2::Error> {
    let mut commit = mirror.find_commit(head)?;
    let mut some = Vec::with_capacity(DISTANCES.len());
    let mut distance = 0;
    for wanted in DISTANCES {
        while distance < wanted {
            commit = match commit.parents().next() {
                Some(parent) => parent,
                None => return Ok(some),
            };
            distance += 1;
        }
        some.push(commit.id());
    }
    Ok(some)
}

/// Gives each commit the next one as its only parent, and the last one none.
fn write_grafts(path: &Path, commits: &[Oid]) -> Result<(), git2::Error> {
    let followed = commits.windows(2).map(|pair| format!("{} {}\n", pair[0], pair[1]));
    let last = commits.last().map(|commit| format!("{commit}\n"));
    let text = followed.chain(last).collect::<String>();
    let info = path.join("info");
    fs::create_dir_all(&info).and_then(|()| fs::write(info.join("grafts"), text)).map_err(|error| {
        git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Os, error.to_string())
    })
}
