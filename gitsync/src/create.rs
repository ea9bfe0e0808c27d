//! Making a repository: the tutorial's, with its first commit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

use crate::GitError;
use crate::libgit;

/// Makes a repository with a work tree at `path`, where nothing may be yet, with these files (paths
/// inside it, and contents) committed on `branch` by Dugout.
///
/// # Errors
/// The folder is there already, or cannot be written.
pub fn create_repository(
    path: &Path,
    branch: &str,
    files: &[(&Path, &[u8])],
    message: &str,
) -> Result<(), GitError> {
    libgit::prepare()?;
    // Made under another name and then moved: whoever sees the repository sees it whole. The name is a new
    // one, because what lies beside the repository is the user's.
    let io = |error: std::io::Error| GitError::Setup(Box::new(error));
    let parent = path.parent().unwrap_or(Path::new("."));
    let unfinished = tempfile::Builder::new()
        .prefix(".dugout-unfinished-")
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .map_err(io)?;
    fill(unfinished.path(), branch, files, message)?;
    fs::rename(unfinished.path(), path).map_err(io)?;
    // It bears another name now, so there is nothing to remove.
    let _ = unfinished.keep();
    Ok(())
}

fn fill(
    path: &Path,
    branch: &str,
    files: &[(&Path, &[u8])],
    message: &str,
) -> Result<(), GitError> {
    let io = |error: std::io::Error| GitError::Setup(Box::new(error));
    let git = |error: git2::Error| GitError::Setup(Box::new(error));
    for (file, content) in files {
        let target = path.join(file);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        fs::write(target, content).map_err(io)?;
    }
    let mut options = RepositoryInitOptions::new();
    options.initial_head(branch).external_template(false);
    let repository = Repository::init_opts(path, &options).map_err(git)?;
    let mut index = repository.index().map_err(git)?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None).map_err(git)?;
    index.write().map_err(git)?;
    let tree = index.write_tree().and_then(|id| repository.find_tree(id)).map_err(git)?;
    let author = Signature::now("Dugout", "dugout@localhost").map_err(git)?;
    repository.commit(Some("HEAD"), &author, &author, message, &tree, &[]).map_err(git)?;
    name_a_committer(&repository).map_err(git)
}

/// Where the person has told Git no name, the first `git commit` in the tutorial would be refused. The
/// repository gets one of its own then; a name that is told later, to Git as a whole, is not used here.
fn name_a_committer(repository: &Repository) -> Result<(), git2::Error> {
    if repository.signature().is_ok() {
        return Ok(());
    }
    let mut config = repository.config()?.open_level(git2::ConfigLevel::Local)?;
    config.set_str("user.name", "Dugout tutorial")?;
    config.set_str("user.email", "tutorial@localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_clean_and_on_its_branch() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("demo");
        let files: [(&Path, &[u8]); 2] =
            [(Path::new("README.md"), b"words"), (Path::new("apps/web.yaml"), b"kind: List")];
        create_repository(&path, "main", &files, "Start").unwrap();
        let repository = Repository::open(&path).unwrap();
        assert_eq!(repository.head().unwrap().shorthand().unwrap(), "main");
        assert!(repository.statuses(None).unwrap().is_empty());
        assert!(create_repository(&path, "main", &files, "Again").is_err());
        let left: Vec<_> =
            fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [path], "a refusal leaves nothing");
    }
    #[test]
    fn what_lies_beside_the_repository_is_not_touched() {
        let temporary = tempfile::tempdir().unwrap();
        let beside = temporary.path().join("demo.unfinished");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("thesis"), "words").unwrap();
        create_repository(&temporary.path().join("demo"), "main", &[], "Start").unwrap();
        assert_eq!(fs::read_to_string(beside.join("thesis")).unwrap(), "words");
    }
}
