//! Reading a commit: its folders from the object store, and what the source's folder declares or what
//! is wrong with it.

mod commit_tree;
mod recording;

use std::collections::BTreeSet;

use dugout_gitsync::{GitError, Mirror, TreeProblem};
use dugout_manifest::{Policy, SourceCache, TreeError, read_revision, read_source};
use dugout_model::{
    Commit, CommitSha, Difference, Problem, RevisionContent, Severity, SourceCondition, chain,
};

use self::commit_tree::{CommitTree, Folders};
use self::recording::Recording;

/// What earlier commits left: folders, parsed files and rendered kustomizations by the ids of their
/// content, so that the same content is read once, however often it is committed. It holds what the
/// last commit uses and nothing else.
#[derive(Default)]
pub(crate) struct ReadCache {
    folders: Folders,
    source: SourceCache,
    /// The commit that was read last.
    last: Option<CommitSha>,
}

/// A commit that was read.
pub(crate) struct ReadCommit {
    pub commit: Commit,
    pub content: RevisionContent,
    /// In what it may differ from the commit that was read before.
    pub since: Option<Difference>,
}

/// Why a commit cannot be read, as far as it is the repository's fault and not the manifests'.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadProblem {
    #[error("the commit cannot be read")]
    Commit(#[source] GitError),
    #[error("the commit's files cannot be read")]
    Tree(#[source] TreeProblem),
    #[error("the commit's files cannot be read")]
    Other(#[source] TreeError),
}

impl ReadProblem {
    pub fn condition(&self) -> SourceCondition {
        match self {
            ReadProblem::Tree(problem) => problem.condition(),
            ReadProblem::Commit(_) | ReadProblem::Other(_) => None,
        }
        .unwrap_or_else(|| SourceCondition::Corrupt { message: chain(self) })
    }
}

impl From<TreeError> for ReadProblem {
    fn from(error: TreeError) -> Self {
        match error.downcast::<TreeProblem>() {
            Ok(problem) => ReadProblem::Tree(*problem),
            Err(error) => ReadProblem::Other(error),
        }
    }
}

/// Reads a commit.
pub(crate) fn read_commit(
    mirror: &Mirror,
    sha: &CommitSha,
    path: &str,
    policy: &Policy,
    cache: &mut ReadCache,
) -> Result<ReadCommit, ReadProblem> {
    let commit = mirror.commit(sha).map_err(ReadProblem::Commit)?;
    let (top, path) = mirror.top_folder(sha, path).map_err(ReadProblem::Tree)?;
    let tree = CommitTree::new(mirror, top, std::mem::take(&mut cache.folders));
    let before = cache.last.take();
    let reading = match read_revision(&tree, &path, policy, &mut cache.source) {
        Ok(reading) => reading,
        Err(error) => {
            let content = refused(ReadProblem::from(error), &path)?;
            return Ok(ReadCommit { commit, content, since: None });
        }
    };
    // A source that is followed has what its folders hold, and asks for those that differ.
    cache.folders = match cache.source.is_followed() {
        true => Folders::default(),
        false => tree.into_folders(),
    };
    cache.last = Some(sha.clone());
    let since = before.zip(reading.changed).map(|(from, ids)| Difference { from, ids });
    Ok(ReadCommit { commit, content: reading.content, since })
}

/// The paths of the files from which a commit was read, and of the links on the way.
pub(crate) type UsedFiles = BTreeSet<String>;

/// Reads a commit by itself, with nothing of earlier ones, and says what it is read from.
pub(crate) fn read_apart(
    mirror: &Mirror,
    sha: &CommitSha,
    path: &str,
    policy: &Policy,
) -> Result<(RevisionContent, UsedFiles), ReadProblem> {
    let (top, path) = mirror.top_folder(sha, path).map_err(ReadProblem::Tree)?;
    let tree = CommitTree::new(mirror, top, Folders::default());
    let recording = Recording::new(&tree);
    let content = read_source(&recording, &path, policy, &mut SourceCache::default())?;
    Ok((content, recording.into_used()))
}

/// A commit that is wrong in itself is as if its manifests were: another reading finds the same.
fn refused(problem: ReadProblem, path: &str) -> Result<RevisionContent, ReadProblem> {
    match &problem {
        ReadProblem::Tree(tree) if tree.condition().is_none() => {
            Ok(RevisionContent::Problems(vec![Problem {
                file: path.to_owned(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                field_path: String::new(),
                message: chain(&problem),
                hint: None,
            }]))
        }
        _ => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use dugout_gitsync::{Credentials, Location, Remote};

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// From commit to commit the same is read as afresh, and what is told to differ is what does.
    #[test]
    fn a_source_with_kustomizations_is_followed_from_commit_to_commit() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        std::fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "-q", "-b", "main"]);
        let remote = Remote {
            location: Location::parse(repository.to_str().unwrap()).unwrap(),
            branch: "main".to_owned(),
            credentials: Credentials::default(),
        };
        let mirror = Mirror::open(&folder.path().join("mirror"), remote).unwrap();
        let map = |value: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{a: {value}}}\n"
            )
        };
        let overlay = |base: &str| format!("resources: [{base}]\nnamePrefix: web-\n");
        let mut cache = ReadCache::default();
        for (path, text, differing) in [
            ("apps/plain.yaml", map("one"), None),
            ("base/m.yaml", map("one"), Some("")),
            ("base/kustomization.yaml", "resources: [m.yaml]\n".to_owned(), Some("")),
            ("apps/web/kustomization.yaml", overlay("../../base"), Some("web-m")),
            ("base/m.yaml", map("two"), Some("web-m")),
            ("apps/plain.yaml", map("three"), Some("m")),
            ("apps/web/kustomization.yaml", overlay("../plain.yaml"), Some("m web-m")),
            ("base/m.yaml", map("four"), Some("")),
        ] {
            let file = repository.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
            git(&repository, &["add", "-A"]);
            git(&repository, &["commit", "-q", "-m", path]);
            mirror.fetch(Duration::from_secs(60)).unwrap();
            let sha = CommitSha::new(git(&repository, &["rev-parse", "HEAD"]));
            let read = |cache: &mut ReadCache| {
                read_commit(&mirror, &sha, "apps", &Policy::default(), cache).unwrap()
            };
            let (kept, fresh) = (read(&mut cache), read(&mut ReadCache::default()));
            assert_eq!(kept.content, fresh.content, "{path}");
            let since = kept.since.map(|since| {
                since.ids.iter().map(|id| id.key.name.as_str()).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(since.as_deref(), differing, "{path}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_commit_is_told_of_the_commit_and_not_of_the_repository() {
        let wrong = TreeProblem::WrongKind { id: "1234".to_owned() };
        let content = refused(ReadProblem::Tree(wrong), "apps");
        assert!(matches!(content, Ok(RevisionContent::Problems(problems)) if problems.len() == 1));
        let damaged = TreeProblem::Corrupt("a byte".into());
        assert!(refused(ReadProblem::Tree(damaged), "apps").is_err());
    }
}
