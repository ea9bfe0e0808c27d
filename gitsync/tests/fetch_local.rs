//! Fetching from a repository on this machine, and reading what was fetched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use dugout_gitsync::{
    ChangeKind, ChangedPath, Credentials, EntryKind, FetchProblem, Fetched, GitError, Limits,
    Mirror, SkipReason, Skipped, TreeProblem,
};
use dugout_model::{CommitSha, SourceCondition};
use support::{PATIENCE, Repo, fetch, git, remote};

fn all(mirror: &Mirror, sha: &CommitSha, path: &str) -> Vec<String> {
    let listing = mirror.files(sha, path, &Limits::default(), |_| true).unwrap();
    listing.files.into_iter().map(|file| file.path).collect()
}

#[test]
fn first_fetch_then_unchanged_then_moved() {
    let repo = Repo::new();
    let mirror = repo.mirror();
    let first = repo.head();
    let moved = |head: &CommitSha, previous: Option<&CommitSha>, rewritten| Fetched::Moved {
        head: head.clone(),
        previous: previous.cloned(),
        rewritten,
    };
    assert_eq!(fetch(&mirror), moved(&first, None, false));
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head: first.clone() });
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    assert_eq!(fetch(&mirror), moved(&second, Some(&first), false));
    assert_eq!(mirror.head(), Some(second.clone()));
    assert!(mirror.is_ancestor(&first, &second).unwrap());
    assert!(mirror.is_ancestor(&second, &second).unwrap());
    assert!(!mirror.is_ancestor(&second, &first).unwrap());
}

#[test]
fn a_rewritten_branch_is_reported_as_rewritten() {
    let repo = Repo::new();
    let mirror = repo.mirror();
    repo.write("app/a.yaml", "two\n");
    let old = repo.commit("Second");
    fetch(&mirror);
    git(&repo.path, &["commit", "-q", "--amend", "-m", "Other"]);
    let head = repo.head();
    assert_eq!(
        fetch(&mirror),
        Fetched::Moved { head, previous: Some(old.clone()), rewritten: true }
    );
    git(&repo.path, &["reset", "-q", "--hard", "HEAD~1"]);
    let back = fetch(&mirror);
    assert!(matches!(back, Fetched::Moved { rewritten: true, .. }), "{back:?}");
    // Also when the old head is not even there any more.
    let before = repo.head();
    git(&repo.path, &["commit", "-q", "--amend", "-m", "Yet another"]);
    git(&repo.path, &["reflog", "expire", "--expire=now", "--all"]);
    git(&repo.path, &["gc", "-q", "--prune=now"]);
    let head = repo.head();
    assert_eq!(fetch(&mirror), Fetched::Moved { head, previous: Some(before), rewritten: true });
    assert!(matches!(mirror.commit(&old), Err(GitError::CommitUnknown { .. })));
}

#[test]
fn a_commit_is_read_with_author_message_and_parents() {
    let repo = Repo::new();
    let first = repo.head();
    let second = repo.commit("Subject\n\nBody");
    let mirror = repo.mirror();
    fetch(&mirror);
    let commit = mirror.commit(&second).unwrap();
    assert_eq!(commit.author, "Ann <ann@example.org>");
    assert_eq!((commit.subject(), commit.message.as_str()), ("Subject", "Subject\n\nBody\n"));
    assert_eq!(commit.parents, [first]);
    let time = git(&repo.path, &["show", "-s", "--format=%ct", "main"]);
    assert_eq!(commit.committed_at.as_micros(), time.parse::<i64>().unwrap() * 1_000_000);
    assert_eq!(mirror.resolve(&second.as_str()[..10]).unwrap(), second);
    for text in ["", "abc", "main", "HEAD~1", "0000000000"] {
        assert!(matches!(mirror.resolve(text), Err(GitError::CommitUnclear { .. })), "{text}");
    }
}

#[test]
fn a_missing_branch_and_a_missing_or_foreign_place_have_names() {
    let repo = Repo::new();
    let mirror = repo.mirror();
    let head = repo.head();
    fetch(&mirror);
    git(&repo.path, &["branch", "-m", "main", "other"]);
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::BranchMissing { .. }), "{problem:?}");
    assert_eq!(problem.condition(), SourceCondition::BranchMissing);
    // What was fetched stays readable.
    assert_eq!(all(&mirror, &head, "app"), ["app/a.yaml"]);

    let away = repo.folder.path().join("away");
    std::fs::rename(&repo.path, &away).unwrap();
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::NoRepository { .. }), "{problem:?}");
    assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }));
    // A plain folder inside another repository is not that repository.
    let inside = away.join("app");
    let problem = repo
        .mirror_of(inside.to_str().unwrap(), Credentials::default())
        .fetch(PATIENCE)
        .unwrap_err();
    assert!(matches!(problem, FetchProblem::NoRepository { .. }), "{problem:?}");

    std::fs::rename(&away, &repo.path).unwrap();
    git(&repo.path, &["branch", "-m", "other", "main"]);
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head });
}

#[test]
fn an_empty_repository_has_no_branch_and_a_file_is_no_repository() {
    let repo = Repo::new();
    let empty = repo.folder.path().join("empty");
    git(repo.folder.path(), &["init", "-q", "empty"]);
    let problem = repo
        .mirror_of(empty.to_str().unwrap(), Credentials::default())
        .fetch(PATIENCE)
        .unwrap_err();
    assert!(matches!(problem, FetchProblem::BranchMissing { .. }), "{problem:?}");
    let file = repo.path.join("README");
    let problem =
        repo.mirror_of(file.to_str().unwrap(), Credentials::default()).fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }), "{problem:?}");
}

#[test]
fn a_file_url_a_bare_repository_and_a_linked_work_tree_are_read_alike() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    git(&repo.path, &["worktree", "add", "-q", "../linked", "-b", "side"]);
    let linked = repo.folder.path().join("linked");
    for address in [
        format!("file://{}", repo.path.display()),
        bare.display().to_string(),
        linked.display().to_string(),
        repo.path.join(".git").display().to_string(),
    ] {
        let mirror = repo.mirror_of(&address, Credentials::default());
        let Fetched::Moved { head, .. } = fetch(&mirror) else { panic!("{address}") };
        assert_eq!(head, repo.head(), "{address}");
        assert_eq!(all(&mirror, &head, ""), ["README", "app/a.yaml"], "{address}");
    }
}

#[test]
fn packing_the_repository_while_it_is_followed_loses_nothing() {
    let repo = Repo::new();
    let mirror = repo.mirror();
    fetch(&mirror);
    let first = repo.head();
    for round in 0..3 {
        repo.write("app/a.yaml", &format!("round {round}\n"));
        let head = repo.commit("Next");
        git(&repo.path, &["gc", "-q", "--prune=now"]);
        assert_eq!(all(&mirror, &first, "app"), ["app/a.yaml"]);
        assert_eq!(support::fetched_head(&mirror), head);
        let listing = mirror.files(&head, "app", &Limits::default(), |_| true).unwrap();
        let text = mirror.read(listing.files[0].blob, 100).unwrap();
        assert_eq!(text, format!("round {round}\n").into_bytes());
    }
}

#[test]
fn a_damaged_object_is_corrupt_and_not_a_crash() {
    let repo = Repo::new();
    let blob = git(&repo.path, &["rev-parse", "main:app/a.yaml"]);
    let object = |id: &str| repo.path.join(".git/objects").join(&id[..2]).join(&id[2..]);
    let mirror = repo.mirror();
    let head = repo.head();
    fetch(&mirror);
    let damage = |id: &str| {
        std::fs::remove_file(object(id)).unwrap();
        std::fs::write(object(id), b"x\x9cgarbage").unwrap();
    };
    damage(&blob);
    let found = mirror
        .files(&head, "app", &Limits::default(), |_| true)
        .and_then(|listing| mirror.read(listing.files[0].blob, 100));
    assert!(matches!(found, Err(TreeProblem::Corrupt(_))), "{found:?}");
    assert!(matches!(found.unwrap_err().condition(), Some(SourceCondition::Corrupt { .. })));

    let second = repo.commit("Damaged");
    damage(second.as_str());
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem.condition(), SourceCondition::Corrupt { .. }), "{problem:?}");
    assert_eq!(mirror.head(), Some(head));
}

#[test]
fn links_submodules_and_odd_names_are_told_and_not_followed() {
    use std::os::unix::ffi::OsStrExt;
    let repo = Repo::new();
    std::os::unix::fs::symlink("/etc/passwd", repo.path.join("app/link.yaml")).unwrap();
    std::os::unix::fs::symlink("../..", repo.path.join("app/up")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"app/\xff.yaml");
    std::fs::write(repo.path.join(odd), "x").unwrap();
    repo.commit("Odd");
    let id = repo.head();
    git(&repo.path, &["update-index", "--add", "--cacheinfo", &format!("160000,{id},app/sub")]);
    git(&repo.path, &["commit", "-q", "-m", "Submodule"]);
    let (mirror, head) = (repo.mirror(), repo.head());
    fetch(&mirror);
    let listing = mirror.files(&head, "app", &Limits::default(), |_| true).unwrap();
    assert_eq!(listing.files.len(), 1);
    let told = |path: &str, reason| Skipped { path: path.to_owned(), reason };
    assert_eq!(
        listing.skipped,
        [
            told("app/link.yaml", SkipReason::SymbolicLink),
            told("app/sub", SkipReason::Submodule),
            told("app/up", SkipReason::SymbolicLink),
            told("app/\u{fffd}.yaml", SkipReason::PathNotUtf8),
        ]
    );
    assert_eq!(
        folder(&mirror, &head, "app"),
        [
            ("a.yaml".to_owned(), "file of 4 bytes".to_owned()),
            ("link.yaml".to_owned(), "link to /etc/passwd".to_owned()),
            ("sub".to_owned(), "submodule".to_owned()),
            ("up".to_owned(), "link to ../..".to_owned()),
            ("\u{fffd}.yaml".to_owned(), "no text".to_owned()),
        ]
    );
    // Through a link there is no folder.
    let through = mirror.files(&head, "app/up/app", &Limits::default(), |_| true);
    assert!(matches!(through, Err(TreeProblem::PathMissing { .. })), "{through:?}");
}

/// What one folder holds, in words.
fn folder(mirror: &Mirror, head: &CommitSha, path: &str) -> Vec<(String, String)> {
    let (mut id, path) = mirror.top_folder(head, path).unwrap();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let entries = mirror.folder(id).unwrap();
        let entry = entries.iter().find(|entry| entry.name == part).unwrap();
        let EntryKind::Folder { id: next } = entry.kind else { panic!("{entry:?}") };
        id = next;
    }
    let words = |kind| match kind {
        EntryKind::File { size_bytes, .. } => format!("file of {size_bytes} bytes"),
        EntryKind::Folder { .. } => "folder".to_owned(),
        EntryKind::Link { target } => format!("link to {target}"),
        EntryKind::Submodule => "submodule".to_owned(),
        EntryKind::NoText => "no text".to_owned(),
    };
    mirror.folder(id).unwrap().into_iter().map(|entry| (entry.name, words(entry.kind))).collect()
}

#[test]
fn folders_are_missing_or_refused_by_name() {
    let repo = Repo::new();
    let (mirror, head) = (repo.mirror(), repo.head());
    fetch(&mirror);
    for path in ["", "/", ".", "app", "/app/", "./app"] {
        assert!(all(&mirror, &head, path).contains(&"app/a.yaml".to_owned()), "{path:?}");
    }
    for path in ["nowhere", "README", "app/a.yaml"] {
        let problem = mirror.files(&head, path, &Limits::default(), |_| true).unwrap_err();
        assert_eq!(problem.condition(), Some(SourceCondition::PathMissing), "{path:?}");
        let problem = mirror.top_folder(&head, path).unwrap_err();
        assert_eq!(problem.condition(), Some(SourceCondition::PathMissing), "{path:?}");
    }
    for path in ["..", "app/../..", "app//x", "a\0b"] {
        let problem = mirror.files(&head, path, &Limits::default(), |_| true).unwrap_err();
        assert!(matches!(problem, TreeProblem::PathInvalid { .. }), "{path:?}");
    }
}

#[test]
fn count_size_and_file_size_are_bounded() {
    let repo = Repo::new();
    for name in ["b", "c", "d"] {
        repo.write(&format!("app/{name}.yaml"), &"x".repeat(1000));
    }
    repo.write("app/huge.bin", &"x".repeat(3_000_000));
    let head = repo.commit("Much");
    let mirror = repo.mirror();
    fetch(&mirror);
    let yaml = |path: &str| path.ends_with(".yaml");
    let list = |limits: Limits| mirror.files(&head, "app", &limits, yaml);
    let limits = Limits { files: 4, total_bytes: 3004, entries: 10 };
    assert_eq!(list(limits).unwrap().files.len(), 4);
    let few = list(Limits { files: 3, ..limits });
    assert!(matches!(few, Err(TreeProblem::TooManyFiles { limit: 3, .. })), "{few:?}");
    let small = list(Limits { total_bytes: 3003, ..limits });
    assert!(matches!(small, Err(TreeProblem::TooLarge { .. })), "{small:?}");
    let narrow = list(Limits { entries: 4, ..limits });
    assert!(matches!(narrow, Err(TreeProblem::TooManyFiles { limit: 4, .. })), "{narrow:?}");
    let listing = mirror.files(&head, "app", &Limits::default(), |_| true).unwrap();
    let huge = listing.files.iter().find(|file| file.path == "app/huge.bin").unwrap();
    assert_eq!(huge.size_bytes, 3_000_000);
    let problem = mirror.read(huge.blob, 1 << 20).unwrap_err();
    assert!(matches!(problem, TreeProblem::FileTooLarge { size_bytes: 3_000_000, .. }));
    assert_eq!(mirror.read(huge.blob, 3_000_000).unwrap().len(), 3_000_000);
}

#[test]
fn changed_paths_are_those_under_the_folder() {
    let repo = Repo::new();
    repo.write("app/gone.yaml", "x\n");
    let old = repo.commit("Old");
    repo.write("app/a.yaml", "two\n");
    repo.write("app/deep/new.yaml", "new\n");
    std::fs::remove_file(repo.path.join("app/gone.yaml")).unwrap();
    repo.write("README", "other\n");
    let new = repo.commit("New");
    let mirror = repo.mirror();
    fetch(&mirror);
    let changed = |from, to, path| mirror.changed_paths(from, to, path, &Limits::default());
    let entry = |path: &str, kind| ChangedPath { path: path.to_owned(), kind };
    assert_eq!(
        changed(&old, &new, "app").unwrap(),
        [
            entry("app/a.yaml", ChangeKind::Modified),
            entry("app/deep/new.yaml", ChangeKind::Added),
            entry("app/gone.yaml", ChangeKind::Deleted),
        ]
    );
    assert_eq!(changed(&old, &old, "app").unwrap(), []);
    assert_eq!(changed(&old, &new, "").unwrap().len(), 4);
    // A folder that one side lacks is empty there.
    let added = changed(&old, &new, "app/deep").unwrap();
    assert_eq!(added, [entry("app/deep/new.yaml", ChangeKind::Added)]);
    let unknown = changed(&CommitSha::new("0".repeat(40)), &new, "");
    assert!(matches!(unknown, Err(TreeProblem::CommitUnknown { .. })), "{unknown:?}");
}

#[test]
fn a_mirror_survives_a_restart_and_is_made_anew_when_damaged_or_of_another_remote() {
    let repo = Repo::new();
    let data = repo.folder.path().join("data");
    let address = repo.path.to_str().unwrap();
    let open = |address: &str| Mirror::open(&data, remote(address, Credentials::default()));
    let head = repo.head();
    fetch(&open(address).unwrap());
    assert_eq!(open(address).unwrap().head(), Some(head.clone()));
    std::fs::write(data.join("mirror.git/config"), "[garbage").unwrap();
    let again = open(address).unwrap();
    assert!(matches!(fetch(&again), Fetched::Moved { previous: None, .. }));
    let second = open(address).err().unwrap();
    assert!(matches!(second, GitError::InUse { .. }), "{second:?}");
    drop(again);
    let other = Repo::new();
    let elsewhere = open(other.path.to_str().unwrap()).unwrap();
    assert_eq!(elsewhere.head(), None);
    drop(elsewhere);
    let bad = Mirror::open(
        &data,
        dugout_gitsync::Remote {
            branch: "a..b".to_owned(),
            ..remote(address, Credentials::default())
        },
    );
    assert!(matches!(bad.err().unwrap(), GitError::BranchName { .. }));
}

#[test]
fn root_reads_the_repository_of_another_user() {
    let repo = Repo::new();
    // Nobody but root can give a repository away, and nobody but root has to read foreign ones.
    let _ = std::os::unix::fs::chown(&repo.path, Some(65_534), Some(65_534));
    let mirror = repo.mirror();
    assert_eq!(support::fetched_head(&mirror), repo.head());
}
