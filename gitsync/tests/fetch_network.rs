//! Fetching over HTTP and SSH, with everything that a remote can do to us.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dugout_gitsync::{Credentials, FetchProblem, Fetched, Mirror, SshKey, TreeProblem};
use dugout_model::{SecretValue, SourceCondition};
use support::http::{GitHttp, altered, answer_with};
use support::ssh::Sshd;
use support::{FolderAlone, PATIENCE, Repo, back_to, fetch, fetched_head, git, text_of};

/// `ann:secret`
const BASIC: &str = "YW5uOnNlY3JldA==";

fn password(text: &str) -> Credentials {
    Credentials {
        username: Some("ann".to_owned()),
        password: Some(SecretValue::new(text)),
        ..Credentials::default()
    }
}

#[test]
fn over_http_first_unchanged_moved_rewritten_and_branch_deleted() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    git(&repo.path, &["tag", "v1"]);
    git(&repo.path, &["push", "-q", "origin", "v1", "main:other"]);
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    let first = repo.head();
    assert!(matches!(fetch(&mirror), Fetched::Moved { previous: None, rewritten: false, .. }));
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head: first.clone() });
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    let moved = |head, previous, rewritten| Fetched::Moved { head, previous, rewritten };
    assert_eq!(fetch(&mirror), moved(second.clone(), Some(first), false));
    assert_eq!(text_of(&mirror, &second, "app/a.yaml").unwrap(), "two\n");
    git(&repo.path, &["commit", "-q", "--amend", "-m", "Other"]);
    git(&repo.path, &["push", "-q", "--force", "origin", "main"]);
    let third = repo.head();
    assert_eq!(fetch(&mirror), moved(third.clone(), Some(second), true));
    git(&bare, &["update-ref", "-d", "refs/heads/main"]);
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert_eq!(problem.condition(), SourceCondition::BranchMissing);
    assert_eq!(text_of(&mirror, &third, "app/a.yaml").unwrap(), "two\n");
    git(&bare, &["update-ref", "refs/heads/main", third.as_str()]);
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head: third });
}

#[test]
fn a_password_is_asked_for_and_a_wrong_or_missing_one_is_named() {
    let repo = Repo::new();
    repo.bare_clone();
    let server = GitHttp::serve(repo.folder.path(), Some(BASIC));
    let url = server.url("bare.git");
    assert_eq!(fetched_head(&repo.mirror_of(&url, password("secret"))), repo.head());
    for (credentials, tried) in
        [(password("wrong"), "the password"), (Credentials::default(), "none are set")]
    {
        let problem = repo.mirror_of(&url, credentials).fetch(PATIENCE).unwrap_err();
        let FetchProblem::AuthenticationFailed { tried: found, .. } = &problem else {
            panic!("{problem:?}")
        };
        assert_eq!(found, tried);
        assert!(!format!("{problem} {problem:?}").contains("wrong"));
    }
}

/// The connection of the first request serves them all, those of a later fetch and of a revert, too, and
/// the password goes along at once where it was asked for before.
#[test]
fn all_requests_go_over_one_connection() {
    let repo = Repo::new();
    repo.bare_clone();
    let server = GitHttp::serve_kept(repo.folder.path(), Some(BASIC));
    let mirror = repo.mirror_of(&server.url("bare.git"), password("secret"));
    let first = fetched_head(&mirror);
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    assert_eq!(fetched_head(&mirror), second);
    mirror.revert(back_to(&first, ""), FolderAlone).unwrap();
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_fetch_is_two_requests_however_long_the_history_and_brings_what_is_new_alone() {
    let repo = Repo::new();
    repo.bare_clone();
    for round in 0..50 {
        repo.write("app/a.yaml", &format!("round {round}\n"));
        repo.commit("Next");
    }
    git(&repo.path, &["push", "-q", "origin", "main"]);
    // It closes each connection after one request, so they are as many.
    let server = GitHttp::serve(repo.folder.path(), None);
    let data = repo.folder.path().join("data");
    let remote = support::remote(&server.url("bare.git"), Credentials::default());
    let mirror = Mirror::open(&data, remote).unwrap();
    fetch(&mirror);
    let objects = || {
        let told = git(&data.join("mirror.git"), &["count-objects", "-v"]);
        let line = told.lines().find_map(|line| line.strip_prefix("in-pack: ")).unwrap();
        line.parse::<usize>().unwrap()
    };
    for back in [0, 30] {
        git(&repo.path, &["reset", "-q", "--hard", &format!("HEAD~{back}")]);
        repo.write("app/b.yaml", &format!("{back}\n"));
        let head = repo.commit("Another");
        git(&repo.path, &["push", "-q", "--force", "origin", "main"]);
        let (requests, before) = (server.connections(), objects());
        assert_eq!(fetched_head(&mirror), head);
        assert_eq!(server.connections() - requests, 2);
        // A commit, two folders, a file; a rewritten history is cut off at the next commit that was
        // named, which is not far.
        assert!(objects() - before <= 4 * (1 + back / 3), "{}", objects() - before);
    }
}

#[test]
fn a_remote_that_is_gone_or_speaks_something_else_is_named_and_unreachable() {
    let repo = Repo::new();
    repo.bare_clone();
    let server = GitHttp::serve(repo.folder.path(), None);
    let problem = |url: &str| {
        let problem = repo.mirror_of(url, Credentials::default()).fetch(PATIENCE).unwrap_err();
        assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }), "{problem:?}");
        problem
    };
    let missing = problem(&server.url("nowhere.git"));
    assert!(matches!(missing, FetchProblem::NoRepository { .. }), "{missing:?}");
    let gone = server.url("bare.git");
    drop(server);
    for url in [gone.as_str(), "http://nowhere.invalid/a.git"] {
        let problem = problem(url);
        assert!(matches!(problem, FetchProblem::Unreachable { .. }), "{url}: {problem:?}");
    }
    let web = answer_with(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
    );
    let page = problem(&format!("http://{web}/a.git"));
    assert!(matches!(page, FetchProblem::NotGit { .. }), "{page:?}");
    let garbage = answer_with(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\
          Content-Length: 9\r\n\r\nzzzznope\n",
    );
    let garbage = problem(&format!("http://{garbage}/a.git"));
    assert!(matches!(garbage, FetchProblem::Unreachable { .. }), "{garbage:?}");
}

#[test]
fn a_pack_with_damaged_content_is_corrupt_and_leaves_the_mirror_as_it_was() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    let damage = Arc::new(AtomicBool::new(false));
    let damaging = Arc::clone(&damage);
    let address = altered(bare.parent().unwrap(), move |answer| {
        let start = answer.windows(4).position(|four| four == b"PACK");
        if let Some(start) = start.filter(|_| damaging.load(Ordering::SeqCst)) {
            let middle = start + (answer.len() - start) / 2;
            answer[middle] ^= 0x55;
        }
    });
    let mirror = repo.mirror_of(&format!("http://{address}/bare.git"), Credentials::default());
    let good = fetched_head(&mirror);
    repo.write("app/a.yaml", &"random enough to be a blob of its own\n".repeat(40));
    let next = repo.commit("Next");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    damage.store(true, Ordering::SeqCst);
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem.condition(), SourceCondition::Corrupt { .. }), "{problem:?}");
    assert_eq!(text_of(&mirror, &good, "app/a.yaml").unwrap(), "one\n");
    damage.store(false, Ordering::SeqCst);
    assert_eq!(
        fetch(&mirror),
        Fetched::Moved { head: next, previous: Some(good), rewritten: false }
    );
}

#[test]
fn a_silent_server_ends_at_the_deadline_and_not_later() {
    let repo = Repo::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for scheme in ["http", "ssh"] {
        let url = format!("{scheme}://{address}/a.git");
        let mirror = repo.mirror_of(&url, Credentials::default());
        let started = Instant::now();
        let problem = mirror.fetch(Duration::from_millis(300)).unwrap_err();
        assert!(matches!(problem, FetchProblem::DeadlineExceeded { .. }), "{problem:?}");
        // Libgit2's own patience is ten seconds and more.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        // The one that hangs is not joined by a second one.
        let again = mirror.fetch(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(again, FetchProblem::DeadlineExceeded { .. }), "{again:?}");
    }
}

#[test]
fn a_mirror_damaged_on_disk_is_fetched_anew() {
    let repo = Repo::new();
    repo.bare_clone();
    let server = GitHttp::serve(repo.folder.path(), None);
    let data = repo.folder.path().join("data");
    let open = || {
        Mirror::open(&data, support::remote(&server.url("bare.git"), Credentials::default()))
            .unwrap()
    };
    let mirror = open();
    fetch(&mirror);
    let packs = data.join("mirror.git/objects/pack");
    let damage = || {
        for entry in std::fs::read_dir(&packs).unwrap() {
            let path = entry.unwrap().path();
            let length = std::fs::metadata(&path).unwrap().len() as usize;
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path, vec![7; length]).unwrap();
        }
    };
    // Found when it is opened.
    drop(mirror);
    damage();
    let mirror = open();
    assert!(matches!(fetch(&mirror), Fetched::Moved { previous: None, .. }));
    assert_eq!(text_of(&mirror, &repo.head(), "app/a.yaml").unwrap(), "one\n");
    // Found when it is used.
    damage();
    repo.write("app/a.yaml", "two\n");
    let head = repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    // The new objects hide that the old ones are gone, until one of those is looked for.
    assert_eq!(fetched_head(&mirror), head);
    let missing = text_of(&mirror, &head, "README");
    assert!(matches!(missing, Err(TreeProblem::Corrupt(_))), "{missing:?}");
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head: head.clone() });
    assert_eq!(text_of(&mirror, &head, "README").unwrap(), "read me\n");
    assert_eq!(fetch(&mirror), Fetched::Unchanged { head });
}

#[test]
fn packs_stay_few_over_many_fetches_and_everything_stays_readable() {
    let repo = Repo::new();
    repo.bare_clone();
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    fetch(&mirror);
    let mut seen = vec![(repo.head(), "one\n".to_owned())];
    for round in 0..60 {
        let text = format!("round {round}\n");
        repo.write("app/a.yaml", &text);
        seen.push((repo.commit("Next"), text));
        git(&repo.path, &["push", "-q", "origin", "main"]);
        fetch(&mirror);
    }
    let packs: usize = walk(repo.folder.path())
        .filter(|path| path.to_string_lossy().contains("mirror.git"))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pack"))
        .count();
    assert!(packs <= 30, "{packs}");
    for (sha, text) in seen {
        assert_eq!(text_of(&mirror, &sha, "app/a.yaml").unwrap(), text);
    }
}

#[test]
fn over_ssh_fetch_and_revert_with_the_right_key_and_a_known_host() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    let server = Sshd::start();
    let credentials = Credentials {
        ssh_key: Some(SshKey { path: server.key.clone(), passphrase: None }),
        known_hosts: Some(server.known_hosts.clone()),
        ..Credentials::default()
    };
    let url = server.url(&bare);
    let mirror = repo.mirror_of(&url, credentials.clone());
    let first = fetched_head(&mirror);
    assert_eq!(first, repo.head());
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    assert_eq!(fetched_head(&mirror), second);
    let done = mirror.revert(back_to(&first, ""), FolderAlone).unwrap();
    assert_eq!(git(&bare, &["rev-parse", "main"]), done.commit.as_str());

    let stranger = Credentials {
        ssh_key: Some(SshKey { path: server.other_key.clone(), passphrase: None }),
        ..credentials.clone()
    };
    let problem = repo.mirror_of(&url, stranger).fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::AuthenticationFailed { .. }), "{problem:?}");
    let missing = repo.mirror_of(&server.url(Path::new("/nowhere.git")), credentials);
    let problem = missing.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }), "{problem:?}");
}

#[test]
fn over_ssh_a_shallow_repository_and_a_login_that_prints_are_named_and_others_are_not() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    let from = format!("file://{}", repo.path.display());
    git(repo.folder.path(), &["clone", "-q", "--bare", "--depth", "1", &from, "shallow.git"]);
    let shallow = repo.folder.path().join("shallow.git");
    let mirror_of = |server: &Sshd, path: &Path| {
        let credentials = Credentials {
            ssh_key: Some(SshKey { path: server.key.clone(), passphrase: None }),
            known_hosts: Some(server.known_hosts.clone()),
            ..Credentials::default()
        };
        repo.mirror_of(&server.url(path), credentials)
    };
    let named = |problem: FetchProblem| {
        assert!(matches!(problem, FetchProblem::ListUnreadable { .. }), "{problem:?}");
        let said = problem.to_string();
        assert!(said.contains("shallow clone") && said.contains("prints something"), "{said}");
    };
    let server = Sshd::start();
    named(mirror_of(&server, &shallow).fetch(PATIENCE).unwrap_err());
    let missing = mirror_of(&server, Path::new("/nowhere.git")).fetch(PATIENCE).unwrap_err();
    assert!(matches!(missing, FetchProblem::Unreachable { .. }), "{missing:?}");
    git(&shallow, &["fetch", "-q", "--unshallow"]);
    assert_eq!(fetched_head(&mirror_of(&server, &shallow)), second);

    let greeting =
        Sshd::start_with("ForceCommand echo Welcome; exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n");
    named(mirror_of(&greeting, &bare).fetch(PATIENCE).unwrap_err());
    let silent = Sshd::start_with("ForceCommand /bin/false\n");
    let ended = mirror_of(&silent, &bare).fetch(PATIENCE).unwrap_err();
    assert!(matches!(ended, FetchProblem::Unreachable { .. }), "{ended:?}");
}

#[test]
fn an_unknown_changed_or_revoked_ssh_host_is_refused_with_its_fingerprint() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    let server = Sshd::start();
    let refused = |text: &str| {
        let known_hosts = server.folder.path().join("other_hosts");
        std::fs::write(&known_hosts, text).unwrap();
        let credentials = Credentials {
            ssh_key: Some(SshKey { path: server.key.clone(), passphrase: None }),
            known_hosts: Some(known_hosts),
            ..Credentials::default()
        };
        repo.mirror_of(&server.url(&bare), credentials).fetch(PATIENCE).unwrap_err()
    };
    let true_line = std::fs::read_to_string(&server.known_hosts).unwrap();
    let other = std::fs::read_to_string(server.other_key.with_extension("pub")).unwrap();
    for text in [String::new(), format!("[127.0.0.1]:{} {other}", server.port)] {
        let problem = refused(&text);
        let FetchProblem::HostKeyUnknown { offered, .. } = &problem else { panic!("{problem:?}") };
        assert!(offered.starts_with("ssh-ed25519 SHA256:"), "{offered}");
        assert!(problem.to_string().contains("ssh-keyscan"));
    }
    let problem = refused(&format!("@revoked {true_line}"));
    assert!(matches!(problem, FetchProblem::HostKeyRevoked { .. }), "{problem:?}");
}

fn walk(top: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let mut paths = vec![top.to_owned()];
    let mut next = 0;
    while next < paths.len() {
        if paths[next].is_dir() {
            let entries = std::fs::read_dir(&paths[next]).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
        }
        next += 1;
    }
    paths.into_iter()
}
