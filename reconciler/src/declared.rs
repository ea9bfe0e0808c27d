//! What a revert commit has to bring back: the files from which two commits are read, and whether the
//! one that was made declares what the older one did.

use std::collections::BTreeSet;
use std::sync::Arc;

use dugout_gitsync::{Content, Mirror};
use dugout_manifest::Policy;
use dugout_model::{CommitSha, DeclaredObjects, RevisionContent, Severity, chain};

use crate::read::{ReadProblem, UsedFiles, read_apart};

/// How the commits of one source are read.
pub(crate) struct Declared {
    pub mirror: Arc<Mirror>,
    pub path: String,
    pub policy: Policy,
}

impl Declared {
    fn read(&self, sha: &CommitSha) -> Result<(RevisionContent, UsedFiles), ReadProblem> {
        read_apart(&self.mirror, sha, &self.path, &self.policy)
    }
}

impl Content for Declared {
    fn files(&self, commits: [&CommitSha; 2]) -> Option<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for sha in commits {
            files.extend(self.read(sha).ok()?.1);
        }
        Some(files)
    }

    fn objection(&self, revert: &CommitSha, to: &CommitSha) -> Option<String> {
        match (self.read(to), self.read(revert)) {
            (Err(problem), _) | (_, Err(problem)) => Some(chain(&problem)),
            // Whoever goes back to what has errors is told so when it is read.
            (Ok((RevisionContent::Problems(_), _)), Ok(_)) => None,
            (Ok(_), Ok((RevisionContent::Problems(problems), _))) => {
                let error = problems.iter().find(|problem| problem.severity == Severity::Error);
                Some(error.map_or_else(|| "it has errors".to_owned(), ToString::to_string))
            }
            (
                Ok((RevisionContent::Objects { objects: before, .. }, _)),
                Ok((RevisionContent::Objects { objects: now, .. }, _)),
            ) => difference(&before, &now),
        }
    }
}

/// The first object in which two revisions differ.
fn difference(before: &DeclaredObjects, now: &DeclaredObjects) -> Option<String> {
    let is_same = |id| match (before.get(id), now.get(id)) {
        (Some(before), Some(now)) => before.asks_same(now),
        _ => false,
    };
    let id = before.keys().chain(now.keys()).find(|id| !is_same(*id))?;
    Some(format!("{id} would not be the same"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use dugout_gitsync::{Credentials, Location, Onto, Place, Remote, RevertRequest};
    use dugout_model::{SourceName, Timestamp};

    use super::*;
    use crate::rollback::author;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(folder).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for whose in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{whose}_NAME"), "A").env(format!("GIT_{whose}_EMAIL"), "a@b");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(repository: &Path, files: &[(&str, &str)]) -> CommitSha {
        for (path, text) in files {
            let path = repository.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(repository, &["add", "-A"]);
        git(repository, &["commit", "-qm", "commit"]);
        CommitSha::new(git(repository, &["rev-parse", "HEAD"]))
    }

    fn config(name: &str, value: &str) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: \"{value}\"}}\n"
        )
    }

    /// Reverts the second of two commits of which the second changes `base/`, for a source at `path`.
    fn reverted(path: &str, kustomization: &str) -> (String, Place) {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        std::fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "-q", "-b", "main"]);
        let first = commit(
            &repository,
            &[
                ("apps/shop/kustomization.yaml", kustomization),
                ("base/kustomization.yaml", "resources: [web.yaml]\n"),
                ("base/web.yaml", &config("web", "1")),
                ("README.md", "one"),
            ],
        );
        let second = commit(
            &repository,
            &[
                ("base/kustomization.yaml", "resources: [web.yaml, more.yaml]\n"),
                ("base/web.yaml", &config("web", "2")),
                ("base/more.yaml", &config("more", "1")),
                ("README.md", "two"),
            ],
        );
        let remote = Remote {
            location: Location::parse(repository.to_str().unwrap()).unwrap(),
            branch: "main".to_owned(),
            credentials: Credentials::default(),
        };
        let mirror = Arc::new(Mirror::open(&folder.path().join("mirror"), remote).unwrap());
        mirror.fetch(Duration::from_secs(60)).unwrap();
        let request = RevertRequest {
            source: SourceName::new("shop"),
            to: first.clone(),
            onto: Onto::Only { head: second, aside: "dugout/revert-it".to_owned() },
            path: path.to_owned(),
            reason: String::new(),
            author: author(),
            at: Timestamp::default(),
            deadline: Duration::from_secs(60),
        };
        let policy = Policy::default();
        let declared = Declared { mirror: Arc::clone(&mirror), path: path.to_owned(), policy };
        let done = mirror.revert(request, declared).unwrap();
        (
            git(&repository, &["diff", "--name-only", first.as_str(), done.commit.as_str()]),
            done.place,
        )
    }

    #[test]
    fn what_a_kustomization_reads_elsewhere_goes_back_and_what_nobody_reads_stays() {
        let elsewhere = "namespace: demo\nresources: [../../base]\n";
        assert_eq!(reverted("apps/shop", elsewhere), ("README.md".to_owned(), Place::OnBranch));
        assert_eq!(reverted("", elsewhere), ("README.md".to_owned(), Place::OnBranch));
    }
}
