//! A Git repository of a test, driven with the real `git`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with a work tree, as a person has one.
pub struct Repository {
    pub path: PathBuf,
}

impl Repository {
    /// An empty repository with branch `main`.
    pub fn create(path: &Path) -> Self {
        fs::create_dir_all(path).expect("the repository's folder can be made");
        let repository = Self { path: path.to_owned() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Runs git here and returns what it printed; a failure fails the test with git's words.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.path)
            .args(["-c", "user.name=Tester", "-c", "user.email=tester@example.com"])
            .args(["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git can be run; install git");
        assert!(
            output.status.success(),
            "git {arguments:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn write(&self, file: &str, content: &str) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }

    /// Commits everything in the work tree; returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Replaces text in a file; the text must be there.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.path.join(file);
        let content = fs::read_to_string(&path).expect("the file can be read");
        assert!(content.contains(from), "{file} does not contain {from:?}");
        fs::write(path, content.replace(from, to)).expect("files can be written");
    }
}
