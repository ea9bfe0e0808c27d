//! Real repositories made with the `git` program, each in a temporary folder of its own.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use dugout_gitsync::{
    Content, Credentials, EntryKind, Fetched, FolderId, Identity, Location, Mirror, Onto, Remote,
    RevertRequest, TreeProblem,
};
use dugout_model::{CommitSha, SourceName, Timestamp};
use tempfile::TempDir;

pub mod http;
pub mod ssh;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Repo {
    pub folder: TempDir,
    pub path: PathBuf,
}

/// `git` with the given arguments, without the settings of whoever runs the tests.
pub fn git_command(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(path)
        .args(["-c", "safe.directory=*", "-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
        .args(["-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

pub fn try_git(path: &Path, arguments: &[&str]) -> Output {
    git_command(path, arguments).output().expect("install git: the tests need it")
}

pub fn git(path: &Path, arguments: &[&str]) -> String {
    let output = try_git(path, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?} in {}: {errors}", path.display());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

impl Repo {
    /// A repository with a work tree and one commit on `main`: `app/a.yaml` and `README`.
    pub fn new() -> Repo {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repo");
        std::fs::create_dir(&path).unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        let repo = Repo { folder, path };
        repo.write("app/a.yaml", "one\n");
        repo.write("README", "read me\n");
        repo.commit("First");
        repo
    }

    /// A bare clone beside it.
    pub fn bare_clone(&self) -> PathBuf {
        let bare = self.folder.path().join("bare.git");
        git(self.folder.path(), &["clone", "-q", "--bare", "repo", "bare.git"]);
        git(&self.path, &["remote", "add", "origin", bare.to_str().unwrap()]);
        bare
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// Commits everything and tells the commit.
    pub fn commit(&self, message: &str) -> CommitSha {
        git(&self.path, &["add", "-A"]);
        git(&self.path, &["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> CommitSha {
        CommitSha::new(git(&self.path, &["rev-parse", "main"]))
    }

    pub fn mirror(&self) -> Mirror {
        self.mirror_of(self.path.to_str().unwrap(), Credentials::default())
    }

    /// A mirror of an address, in a folder of its own.
    pub fn mirror_of(&self, address: &str, credentials: Credentials) -> Mirror {
        let data = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        Mirror::open(&data, remote(address, credentials)).unwrap()
    }
}

pub fn remote(address: &str, credentials: Credentials) -> Remote {
    let location = Location::parse(address).unwrap();
    Remote { location, branch: "main".to_owned(), credentials }
}

pub fn fetch(mirror: &Mirror) -> Fetched {
    mirror.fetch(PATIENCE).unwrap()
}

pub fn fetched_head(mirror: &Mirror) -> CommitSha {
    match fetch(mirror) {
        Fetched::Unchanged { head } | Fetched::Moved { head, .. } => head,
    }
}

/// The folder at a path of a commit.
pub fn folder(mirror: &Mirror, sha: &CommitSha, path: &str) -> Result<FolderId, TreeProblem> {
    let (mut id, path) = mirror.top_folder(sha, path)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let entries = mirror.folder(id)?;
        let entry = entries.iter().find(|entry| entry.name == part).unwrap();
        let EntryKind::Folder { id: next } = entry.kind else { panic!("{entry:?}") };
        id = next;
    }
    Ok(id)
}

/// A file of a commit, which has to be there.
pub fn text_of(mirror: &Mirror, sha: &CommitSha, path: &str) -> Result<String, TreeProblem> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let entries = mirror.folder(folder(mirror, sha, parent)?)?;
    let entry = entries.iter().find(|entry| entry.name == name).unwrap();
    let EntryKind::File { blob, .. } = entry.kind else { panic!("{entry:?}") };
    mirror.read(blob, 1 << 20).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Back to what a folder was in an older commit.
pub fn back_to(sha: &CommitSha, path: &str) -> RevertRequest {
    RevertRequest {
        source: SourceName::new("shop"),
        to: sha.clone(),
        onto: Onto::AnyHead,
        path: path.to_owned(),
        reason: "it did not become healthy".to_owned(),
        author: Identity { name: "Dugout".to_owned(), email: "dugout@example.org".to_owned() },
        at: Timestamp::from_micros(1_700_000_000_000_000),
        deadline: PATIENCE,
    }
}

/// Content of which nothing is known.
pub struct FolderAlone;

impl Content for FolderAlone {
    fn files(&self, _: [&CommitSha; 2]) -> Option<BTreeSet<String>> {
        None
    }

    fn objection(&self, _: &CommitSha, _: &CommitSha) -> Option<String> {
        None
    }
}
