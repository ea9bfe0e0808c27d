//! Revert commits: what they hold, and how they reach the branch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use dugout_gitsync::{Content, Credentials, Mirror, Onto, Place, RevertProblem, RevertRequest};
use dugout_model::CommitSha;
use support::http::GitHttp;
use support::{FolderAlone, Repo, back_to, fetch, git};

/// A repository with a second commit that changes `app/a.yaml`, and its first commit.
fn with_second() -> (Repo, CommitSha) {
    let repo = Repo::new();
    let first = repo.head();
    repo.write("app/a.yaml", "two\n");
    repo.write("app/new.yaml", "new\n");
    repo.commit("Second");
    (repo, first)
}

fn show(repo: &Repo, what: &str) -> String {
    git(&repo.path, &["show", what])
}

#[test]
fn a_checked_out_branch_is_reverted_with_its_files_and_index() {
    let (repo, first) = with_second();
    let (mirror, second) = (repo.mirror(), repo.head());
    fetch(&mirror);
    let done = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!((done.commit.clone(), done.parent), (repo.head(), second.clone()));
    assert_eq!(done.reverts.as_slice(), std::slice::from_ref(&second));
    assert_eq!(repo.read("app/a.yaml"), "one\n");
    assert!(!repo.path.join("app/new.yaml").exists());
    assert_eq!(git(&repo.path, &["status", "--porcelain"]), "");
    assert_eq!(
        git(&repo.path, &["show", "-s", "--format=%B", "main"]),
        format!(
            "Roll back to {} \"First\"\n\nThis brings back what commit {first} had.\n\n\
             Dugout-Reverts: {second}\nDugout-Source: shop\nDugout-Reason: it did not become healthy",
            first.short()
        )
    );
    assert_eq!(
        git(&repo.path, &["show", "-s", "--format=%an <%ae> %cn %at", "main"]),
        "Dugout <dugout@example.org> Dugout 1700000000"
    );
    let trailers =
        git(&repo.path, &["show", "-s", "--format=%(trailers:key=Dugout-Reverts)", "main"]);
    assert!(trailers.contains(second.as_str()));
    assert!(git(&repo.path, &["reflog", "-1"]).contains("revert: Roll back to"));
    assert_eq!(git(&repo.path, &["fsck", "--strict"]), "");
    // The next fetch shows it like anybody's commit.
    assert_eq!(support::fetched_head(&mirror), done.commit);
    // A revert can be reverted.
    mirror.revert(back_to(&second, "app"), FolderAlone).unwrap();
    assert_eq!(repo.read("app/a.yaml"), "two\n");
}

#[test]
fn changes_in_other_files_stay_as_they_are() {
    let (repo, first) = with_second();
    repo.write("README", "staged\n");
    git(&repo.path, &["add", "README"]);
    repo.write("README", "staged and edited\n");
    repo.write("untracked", "mine\n");
    let mirror = repo.mirror();
    fetch(&mirror);
    mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!(git(&repo.path, &["status", "--porcelain"]), "MM README\n?? untracked");
    assert_eq!(show(&repo, ":README"), "staged");
    assert_eq!(
        (repo.read("README"), repo.read("app/a.yaml")),
        ("staged and edited\n".into(), "one\n".into())
    );
}

#[test]
fn a_dirty_file_that_would_change_stops_the_revert_before_anything_is_touched() {
    let (repo, first) = with_second();
    let mirror = repo.mirror();
    fetch(&mirror);
    let refused = |expected: &str| {
        let before = (git(&repo.path, &["status", "--porcelain"]), repo.head());
        let problem = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap_err();
        let RevertProblem::WorkTreeDirty { paths, .. } = &problem else { panic!("{problem:?}") };
        assert_eq!(paths, &[expected]);
        assert!(problem.to_string().contains("commit or discard"), "{problem}");
        assert_eq!((git(&repo.path, &["status", "--porcelain"]), repo.head()), before);
    };
    repo.write("app/a.yaml", "edited\n");
    refused("app/a.yaml");
    git(&repo.path, &["add", "."]);
    refused("app/a.yaml");
    // Staged, and put back in the work tree.
    repo.write("app/a.yaml", "two\n");
    refused("app/a.yaml");
    git(&repo.path, &["reset", "-q", "--hard"]);
    std::fs::remove_file(repo.path.join("app/a.yaml")).unwrap();
    refused("app/a.yaml");
    git(&repo.path, &["reset", "-q", "--hard"]);
    repo.write("app/new.yaml", "edited\n");
    refused("app/new.yaml");
}

#[test]
fn an_untracked_or_ignored_file_is_not_overwritten() {
    let repo = Repo::new();
    repo.write("app/b.yaml", "b\n");
    let with_b = repo.commit("Add b");
    std::fs::remove_file(repo.path.join("app/b.yaml")).unwrap();
    repo.write(".gitignore", "b.yaml\n");
    repo.commit("Remove b");
    repo.write("app/b.yaml", "precious\n");
    let mirror = repo.mirror();
    fetch(&mirror);
    let problem = mirror.revert(back_to(&with_b, "app"), FolderAlone).unwrap_err();
    assert!(matches!(problem, RevertProblem::WorkTreeDirty { .. }), "{problem:?}");
    assert_eq!(repo.read("app/b.yaml"), "precious\n");
}

#[test]
fn a_merge_under_way_is_not_disturbed() {
    let (repo, first) = with_second();
    git(&repo.path, &["checkout", "-q", "-b", "side", "HEAD~1"]);
    repo.write("side", "x\n");
    repo.commit("Side");
    git(&repo.path, &["checkout", "-q", "main"]);
    git(&repo.path, &["merge", "-q", "--no-ff", "--no-commit", "side"]);
    let mirror = repo.mirror();
    fetch(&mirror);
    let problem = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap_err();
    assert!(
        matches!(&problem, RevertProblem::OperationUnderWay { operation, .. } if operation == "merge")
    );
}

#[test]
fn a_branch_that_is_not_checked_out_moves_alone() {
    let (repo, first) = with_second();
    git(&repo.path, &["checkout", "-q", "-b", "side"]);
    repo.write("app/a.yaml", "edited\n");
    let second = repo.head();
    let mirror = repo.mirror();
    fetch(&mirror);
    mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!(repo.read("app/a.yaml"), "edited\n");
    assert_eq!(show(&repo, "main:app/a.yaml"), "one");
    assert_eq!(git(&repo.path, &["rev-parse", "side"]), second.as_str());
}

#[test]
fn a_branch_checked_out_in_a_linked_work_tree_takes_its_files_along() {
    let (repo, first) = with_second();
    git(&repo.path, &["checkout", "-q", "--detach"]);
    git(&repo.path, &["worktree", "add", "-q", "../linked", "main"]);
    let mirror = repo.mirror();
    fetch(&mirror);
    mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    let linked = repo.folder.path().join("linked");
    assert_eq!(std::fs::read_to_string(linked.join("app/a.yaml")).unwrap(), "one\n");
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
    assert_eq!(repo.read("app/a.yaml"), "two\n");
    assert_eq!(git(&repo.path, &["status", "--porcelain"]), "");
}

#[test]
fn no_hook_runs() {
    use std::os::unix::fs::PermissionsExt;
    let (repo, first) = with_second();
    let trace = repo.folder.path().join("trace");
    for hook in ["pre-commit", "post-commit", "post-checkout", "reference-transaction", "update"] {
        let path = repo.path.join(".git/hooks").join(hook);
        std::fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", trace.display())).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mirror = repo.mirror();
    fetch(&mirror);
    mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert!(!trace.exists());
}

#[test]
fn going_back_brings_one_folder_and_names_every_commit_in_between() {
    let repo = Repo::new();
    let first = repo.head();
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    repo.write("app/deep/b.yaml", "b\n");
    repo.write("README", "later\n");
    let third = repo.commit("Third");
    let mirror = repo.mirror();
    fetch(&mirror);
    let done = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!(done.reverts, [third, second]);
    assert!(done.message.starts_with(&format!("Roll back to {} \"First\"\n\n", first.short())));
    assert_eq!((repo.read("app/a.yaml"), repo.read("README")), ("one\n".into(), "later\n".into()));
    assert!(!repo.path.join("app/deep").exists());
    assert_eq!(
        git(&repo.path, &["rev-parse", "main:app"]),
        git(&repo.path, &["rev-parse", &format!("{first}:app")])
    );
    let again = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap_err();
    assert!(matches!(again, RevertProblem::NothingToRevert), "{again:?}");
    mirror.revert(back_to(&first, ""), FolderAlone).unwrap();
    assert_eq!(repo.read("README"), "read me\n");
    let missing = mirror.revert(back_to(&first, "nowhere"), FolderAlone).unwrap_err();
    assert!(matches!(missing, RevertProblem::PathMissing { .. }), "{missing:?}");
}

#[test]
fn what_cannot_be_reverted_has_a_name() {
    let (repo, first) = with_second();
    let mirror = repo.mirror();
    fetch(&mirror);
    let problem = |request| mirror.revert(request, FolderAlone).unwrap_err();
    for unknown in ["1".repeat(40), "main".to_owned()] {
        let problem = problem(back_to(&CommitSha::new(unknown), ""));
        assert!(matches!(problem, RevertProblem::CommitUnknown { .. }), "{problem:?}");
    }
    let mut nameless = back_to(&first, "");
    nameless.author.name = "<>".to_owned();
    assert!(matches!(problem(nameless), RevertProblem::Identity { .. }));
    git(&repo.path, &["checkout", "-q", "-b", "side"]);
    repo.commit("Elsewhere");
    let elsewhere = CommitSha::new(git(&repo.path, &["rev-parse", "side"]));
    assert!(matches!(problem(back_to(&elsewhere, "")), RevertProblem::NotOnBranch { .. }));
}

#[test]
fn a_bare_repository_gets_the_commit() {
    let (repo, first) = with_second();
    let bare = repo.bare_clone();
    let mirror = repo.mirror_of(bare.to_str().unwrap(), Credentials::default());
    fetch(&mirror);
    let done = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!(git(&bare, &["rev-parse", "main"]), done.commit.as_str());
    assert_eq!(git(&bare, &["show", "main:app/a.yaml"]), "one");
    assert_eq!(git(&bare, &["fsck", "--strict"]), "");
}

#[test]
fn over_http_the_revert_is_pushed_and_a_branch_that_moved_on_is_followed() {
    let (repo, first) = with_second();
    let bare = repo.bare_clone();
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    fetch(&mirror);
    // Somebody pushes after our last fetch.
    repo.write("README", "meanwhile\n");
    let third = repo.commit("Third");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    let done = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    assert_eq!(done.parent, third);
    assert_eq!(git(&bare, &["rev-parse", "main"]), done.commit.as_str());
    assert_eq!(git(&bare, &["show", "main:README"]), "meanwhile");
    assert_eq!(git(&bare, &["show", "main:app/a.yaml"]), "one");
    assert_eq!(support::fetched_head(&mirror), done.commit);
    let again = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap_err();
    assert!(matches!(again, RevertProblem::NothingToRevert), "{again:?}");
}

#[test]
fn a_protected_branch_rejects_with_the_server_s_words() {
    use std::os::unix::fs::PermissionsExt;
    let (repo, first) = with_second();
    let (bare, second) = (repo.bare_clone(), repo.head());
    let hook = bare.join("hooks/update");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    fetch(&mirror);
    let problem = mirror.revert(back_to(&first, "app"), FolderAlone).unwrap_err();
    let RevertProblem::Rejected { message, .. } = &problem else { panic!("{problem:?}") };
    assert_eq!(message, "hook declined");
    assert_eq!(git(&bare, &["rev-parse", "main"]), second.as_str());
}

/// Back to `sha`, on top of `head` alone.
fn back_from(head: &CommitSha, sha: &CommitSha) -> RevertRequest {
    let onto = Onto::Only { head: head.clone(), aside: "dugout/revert-it".to_owned() };
    RevertRequest { onto, ..back_to(sha, "app") }
}

#[test]
fn a_revert_of_one_commit_alone_leaves_a_branch_that_moved_on_as_it_is() {
    let (repo, first) = with_second();
    let (bare, second) = (repo.bare_clone(), repo.head());
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirrors = [
        repo.mirror_of(&server.url("bare.git"), Credentials::default()),
        repo.mirror_of(bare.to_str().unwrap(), Credentials::default()),
    ];
    repo.write("README", "meanwhile\n");
    let third = repo.commit("Third");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    for mirror in &mirrors {
        fetch(mirror);
        let problem = mirror.revert(back_from(&second, &first), FolderAlone).unwrap_err();
        let RevertProblem::BranchMovedOn { head } = &problem else { panic!("{problem:?}") };
        assert_eq!((head, problem.is_passing()), (&third, false));
        assert_eq!(git(&bare, &["rev-parse", "main"]), third.as_str());
    }
    let done = mirrors[0].revert(back_from(&third, &first), FolderAlone).unwrap();
    assert_eq!((done.place, done.parent), (Place::OnBranch, third));
    assert_eq!(git(&bare, &["rev-parse", "main"]), done.commit.as_str());
}

#[test]
fn a_revert_that_a_protected_branch_does_not_take_waits_on_a_branch_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let (repo, first) = with_second();
    let (bare, second) = (repo.bare_clone(), repo.head());
    let hook = bare.join("hooks/update");
    let refuse = |reference: &str| {
        std::fs::write(&hook, format!("#!/bin/sh\ncase $1 in {reference}) exit 1;; esac\n"))
            .unwrap();
        std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    };
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    fetch(&mirror);
    refuse("refs/heads/main");
    // A second time it takes the first one's place.
    for _ in 0..2 {
        let done = mirror.revert(back_from(&second, &first), FolderAlone).unwrap();
        let Place::Aside { branch, message } = done.place else { panic!("{:?}", done.place) };
        assert_eq!((&*branch, &*message), ("dugout/revert-it", "hook declined"));
        assert_eq!(git(&bare, &["rev-parse", "dugout/revert-it"]), done.commit.as_str());
        assert_eq!(git(&bare, &["show", "dugout/revert-it:app/a.yaml"]), "one");
        assert_eq!(git(&bare, &["rev-parse", "main"]), second.as_str());
    }
    refuse("refs/heads/*");
    let problem = mirror.revert(back_from(&second, &first), FolderAlone).unwrap_err();
    assert!(matches!(problem, RevertProblem::Rejected { .. }), "{problem:?}");
}

/// Two commits that are read from these files, and what is wrong with the revert.
struct Told {
    files: &'static [&'static str],
    objection: Option<&'static str>,
}

impl Content for Told {
    fn files(&self, _: [&CommitSha; 2]) -> Option<BTreeSet<String>> {
        Some(self.files.iter().map(ToString::to_string).collect())
    }

    fn objection(&self, _: &CommitSha, _: &CommitSha) -> Option<String> {
        self.objection.map(str::to_owned)
    }
}

#[test]
fn the_files_that_are_used_go_back_wherever_they_are_and_no_others() {
    let repo = Repo::new();
    repo.write("base/web.yaml", "one\n");
    repo.write("gone/deep/only.yaml", "one\n");
    repo.write("turns", "a file\n");
    let first = repo.commit("First");
    repo.write("base/web.yaml", "two\n");
    repo.write("base/beside.yaml", "two\n");
    repo.write("app/new.yaml", "two\n");
    git(&repo.path, &["rm", "-qr", "gone", "turns"]);
    repo.write("turns/into/a/folder", "two\n");
    repo.commit("Second");
    let mirror = repo.mirror();
    fetch(&mirror);
    let files = &[
        "base/web.yaml",
        "gone/deep/only.yaml",
        "app/new.yaml",
        "turns",
        "turns/into/a/folder",
        "never",
    ];
    mirror.revert(back_to(&first, "app"), Told { files, objection: None }).unwrap();
    assert_eq!(git(&repo.path, &["status", "--porcelain"]), "");
    assert_eq!(git(&repo.path, &["diff", "--name-only", first.as_str()]), "base/beside.yaml");
    assert_eq!(git(&repo.path, &["fsck", "--strict"]), "");
}

#[test]
fn a_revert_that_would_bring_something_else_back_does_not_reach_the_branch() {
    let (repo, first) = with_second();
    let (bare, second) = (repo.bare_clone(), repo.head());
    let server = GitHttp::serve(repo.folder.path(), None);
    for url in [server.url("bare.git"), bare.to_str().unwrap().to_owned()] {
        let mirror = repo.mirror_of(&url, Credentials::default());
        fetch(&mirror);
        let told = || Told { files: &["app/a.yaml"], objection: Some("half of it is missing") };
        let done = mirror.revert(back_from(&second, &first), told()).unwrap();
        let Place::Aside { branch, message } = done.place else { panic!("{:?}", done.place) };
        assert!(message.contains("half of it is missing"), "{message}");
        assert_eq!(git(&bare, &["rev-parse", &branch]), done.commit.as_str());
        let problem = mirror.revert(back_to(&first, "app"), told()).unwrap_err();
        assert!(matches!(problem, RevertProblem::OtherContent { .. }), "{problem:?}");
        assert_eq!(git(&bare, &["rev-parse", "main"]), second.as_str());
    }
}

#[test]
fn reverts_that_race_with_commits_lose_none_of_them() {
    let (repo, first) = with_second();
    let bare = repo.bare_clone();
    let address = bare.to_str().unwrap().to_owned();
    let second = repo.head();
    let (path, mirror) = (repo.path.clone(), repo.mirror_of(&address, Credentials::default()));
    let pusher = std::thread::spawn(move || {
        for round in 0..10 {
            std::fs::write(path.join("README"), format!("{round}\n")).unwrap();
            git(&path, &["commit", "-qam", "Race"]);
            while !support::try_git(&path, &["push", "-q", "origin", "main"]).status.success() {
                git(&path, &["pull", "-q", "--rebase", "origin", "main"]);
            }
        }
    });
    let mut done = 0;
    // Faster than any push, an endless row of reverts would let none through.
    while done < 10 && !pusher.is_finished() {
        // There and back again.
        let target = if done % 2 == 0 { &first } else { &second };
        match mirror.revert(back_to(target, "app"), FolderAlone) {
            Ok(_) => done += 1,
            Err(RevertProblem::BranchKeepsMoving { .. } | RevertProblem::Write { .. }) => {}
            Err(problem) => panic!("{problem:?}"),
        }
    }
    pusher.join().unwrap();
    let count = |subject: &str| {
        let log = git(&bare, &["log", "--format=%s", "main"]);
        log.lines().filter(|line| line.starts_with(subject)).count()
    };
    assert_eq!((count("Race"), count("Roll back")), (10, done));
}

#[test]
fn root_leaves_nothing_of_its_own_in_a_user_s_repository() {
    let (repo, first) = with_second();
    let give = |path: &std::path::Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534));
    let mirror: Mirror = repo.mirror();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(repo.folder.path(), open).unwrap();
    for path in every_path(&repo.path) {
        // Nobody but root can give files away; for others all files are their own anyhow.
        let _ = give(&path);
    }
    let owner = std::fs::metadata(&repo.path).unwrap().uid();
    fetch(&mirror);
    mirror.revert(back_to(&first, "app"), FolderAlone).unwrap();
    for path in every_path(&repo.path) {
        let found = std::fs::symlink_metadata(&path).unwrap().uid();
        assert_eq!(found, owner, "{}", path.display());
    }
    assert_eq!(repo.read("app/a.yaml"), "one\n");
}

fn every_path(top: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut paths = vec![top.to_owned()];
    let mut next = 0;
    while next < paths.len() {
        if paths[next].is_dir() {
            let entries = std::fs::read_dir(&paths[next]).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
        }
        next += 1;
    }
    paths
}
