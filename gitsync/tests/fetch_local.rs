//! Fetching from a repository on this machine, and reading what was fetched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use dugout_gitsync::{
    Credentials, EntryKind, FetchProblem, Fetched, GitError, Mirror, TreeProblem,
};
use dugout_model::{CommitSha, SourceCondition};
use support::{PATIENCE, Repo, fetch, git, remote, text_of};

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
    assert_eq!(text_of(&mirror, &head, "app/a.yaml").unwrap(), "one\n");

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
        assert_eq!(text_of(&mirror, &head, "app/a.yaml").unwrap(), "one\n", "{address}");
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
        assert_eq!(text_of(&mirror, &first, "app/a.yaml").unwrap(), "one\n");
        assert_eq!(support::fetched_head(&mirror), head);
        assert_eq!(text_of(&mirror, &head, "app/a.yaml").unwrap(), format!("round {round}\n"));
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
    let found = text_of(&mirror, &head, "app/a.yaml");
    assert!(matches!(found, Err(TreeProblem::Corrupt(_))), "{found:?}");
    assert!(matches!(found.unwrap_err().condition(), Some(SourceCondition::Corrupt { .. })));

    let second = repo.commit("Damaged");
    damage(second.as_str());
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem.condition(), SourceCondition::Corrupt { .. }), "{problem:?}");
    // The branch's last place is remembered.
    git(&repo.path, &["update-ref", "refs/heads/main", head.as_str()]);
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head });
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
    let through = mirror.top_folder(&head, "app/up/app");
    assert!(matches!(through, Err(TreeProblem::PathMissing { .. })), "{through:?}");
}

/// What one folder holds, in words.
fn folder(mirror: &Mirror, head: &CommitSha, path: &str) -> Vec<(String, String)> {
    let id = support::folder(mirror, head, path).unwrap();
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
        assert!(!folder(&mirror, &head, path).is_empty(), "{path:?}");
    }
    for path in ["nowhere", "README", "app/a.yaml"] {
        let problem = mirror.top_folder(&head, path).unwrap_err();
        assert_eq!(problem.condition(), Some(SourceCondition::PathMissing), "{path:?}");
    }
    for path in ["..", "app/../..", "app//x", "a\0b"] {
        let problem = mirror.top_folder(&head, path).unwrap_err();
        assert!(matches!(problem, TreeProblem::PathInvalid { .. }), "{path:?}");
    }
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let repo = Repo::new();
    repo.write("app/huge.bin", &"x".repeat(3_000_000));
    let head = repo.commit("Much");
    let mirror = repo.mirror();
    fetch(&mirror);
    let app = mirror.folder(support::folder(&mirror, &head, "app").unwrap()).unwrap();
    let huge = app.iter().find(|entry| entry.name == "huge.bin").unwrap();
    let EntryKind::File { blob, size_bytes: 3_000_000 } = huge.kind else { panic!("{huge:?}") };
    let problem = mirror.read(blob, 2_999_999).unwrap_err();
    assert!(matches!(problem, TreeProblem::FileTooLarge { size_bytes: 3_000_000, .. }));
    assert_eq!(mirror.read(blob, 3_000_000).unwrap().len(), 3_000_000);
}

#[test]
fn a_mirror_survives_a_restart_and_is_made_anew_when_damaged_or_of_another_remote() {
    let repo = Repo::new();
    let data = repo.folder.path().join("data");
    let address = repo.path.to_str().unwrap();
    let open = |address: &str| Mirror::open(&data, remote(address, Credentials::default()));
    let head = repo.head();
    fetch(&open(address).unwrap());
    assert_eq!(fetch(&open(address).unwrap()), Fetched::Unchanged { head });
    std::fs::write(data.join("mirror.git/config"), "[garbage").unwrap();
    let again = open(address).unwrap();
    assert!(matches!(fetch(&again), Fetched::Moved { previous: None, .. }));
    let second = open(address).err().unwrap();
    assert!(matches!(second, GitError::InUse { .. }), "{second:?}");
    drop(again);
    let other = Repo::new();
    let elsewhere = open(other.path.to_str().unwrap()).unwrap();
    assert!(matches!(fetch(&elsewhere), Fetched::Moved { previous: None, .. }));
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
