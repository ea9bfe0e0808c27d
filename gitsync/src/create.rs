//! Making a repository: the tutorial's, with its first commit.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
    if person_has_a_name(&settings_of_the_person(|name| std::env::var_os(name))) {
        return Ok(());
    }
    let mut config = repository.config()?.open_level(git2::ConfigLevel::Local)?;
    config.set_str("user.name", "Dugout tutorial")?;
    config.set_str("user.email", "tutorial@localhost")
}

/// Whether one of these files of Git's settings names a person. This crate's libgit2 reads none of them by
/// itself.
fn person_has_a_name(files: &[PathBuf]) -> bool {
    let open = |file: &PathBuf| file.is_file().then(|| git2::Config::open(file).ok()).flatten();
    let settings: Vec<git2::Config> = files.iter().filter_map(open).collect();
    let is_told = |name: &str| settings.iter().any(|settings| settings.get_string(name).is_ok());
    is_told("user.name") && is_told("user.email")
}

/// Where `git` itself looks.
fn settings_of_the_person(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/gitconfig")];
    if let Some(file) = variable("GIT_CONFIG_GLOBAL") {
        files.push(file.into());
        return files;
    }
    let home = variable("HOME").map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| Some(home.as_ref()?.join(".config")));
    files.extend(config.map(|folder| folder.join("git/config")));
    files.extend(home.map(|home| home.join(".gitconfig")));
    files
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

    #[test]
    fn a_name_that_git_was_told_anywhere_is_the_persons() {
        let temporary = tempfile::tempdir().unwrap();
        let home = temporary.path().to_owned();
        let files = || {
            let variable = |name: &str| (name == "HOME").then(|| home.clone().into_os_string());
            // Not what this machine's own administrator has set.
            settings_of_the_person(variable).split_off(1)
        };
        assert!(!person_has_a_name(&files()));
        fs::write(home.join(".gitconfig"), "[user]\n\tname = Ada\n").unwrap();
        assert!(!person_has_a_name(&files()), "half a name is none");
        fs::create_dir_all(home.join(".config/git")).unwrap();
        fs::write(home.join(".config/git/config"), "[user]\n\temail = ada@localhost\n").unwrap();
        assert!(person_has_a_name(&files()));
    }
}
