//! Every answer that a Git server can give over HTTP ends in an outcome with a name, and none but a good
//! one changes the mirror.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dugout_gitsync::{Credentials, FetchProblem, Fetched, Mirror};
use dugout_model::{SecretValue, SourceCondition};
use support::http::{GitHttp, altered, answer_recording, answer_with};
use support::{PATIENCE, Repo, fetch, fetched_head, git, text_of};

fn problem_at(url: &str, credentials: Credentials) -> FetchProblem {
    let folder = tempfile::tempdir().unwrap();
    Mirror::open(folder.path(), support::remote(url, credentials))
        .unwrap()
        .fetch(PATIENCE)
        .unwrap_err()
}

/// What a fetch makes of a status, with more header lines.
fn problem_of(status: &str, headers: &str, credentials: Credentials) -> FetchProblem {
    let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n");
    let problem = problem_at(&format!("http://{}/a.git", answer_with(answer)), credentials);
    assert!(matches!(problem.condition(), SourceCondition::Unreachable { .. }), "{problem:?}");
    problem
}

#[test]
fn every_status_has_a_name() {
    let of = |status| problem_of(status, "", Credentials::default());
    assert!(matches!(of("401 Unauthorized"), FetchProblem::AuthenticationFailed { .. }));
    assert!(matches!(of("403 Forbidden"), FetchProblem::Forbidden { .. }));
    for status in ["404 Not Found", "410 Gone"] {
        assert!(matches!(of(status), FetchProblem::NoRepository { .. }), "{status}");
    }
    for (status, code) in [
        ("204 No Content", 204),
        ("429 Too Many Requests", 429),
        ("500 Internal Server Error", 500),
        ("503 Service Unavailable", 503),
    ] {
        let problem = of(status);
        assert!(
            matches!(problem, FetchProblem::Refused { status, .. } if status == code),
            "{problem:?}"
        );
        assert!(problem.to_string().contains(&code.to_string()), "{problem}");
    }
}

#[test]
fn a_redirect_is_told_and_not_followed_and_no_password_goes_along() {
    let repo = Repo::new();
    repo.bare_clone();
    let elsewhere = GitHttp::serve(repo.folder.path(), None);
    let location = format!("{}/info/refs?service=git-upload-pack", elsewhere.url("bare.git"));
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"]
    {
        let credentials =
            Credentials { password: Some(SecretValue::new("hunter2")), ..Credentials::default() };
        let problem = problem_of(status, &format!("Location: {location}\r\n"), credentials);
        let FetchProblem::Redirected { to, .. } = &problem else { panic!("{problem:?}") };
        assert_eq!(*to, elsewhere.url("bare.git"));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn whoever_gets_no_password_is_not_said_to_have_refused_it() {
    let credentials =
        Credentials { password: Some(SecretValue::new("hunter2")), ..Credentials::default() };
    let negotiate = "WWW-Authenticate: Negotiate\r\n";
    let problem = problem_of("401 Unauthorized", negotiate, credentials);
    assert!(problem.to_string().contains("kept back"), "{problem}");
}

/// What is sent as `Authorization`, request by request, to a server that refuses everybody with these
/// challenges.
fn sent_to(challenges: &str) -> Vec<Option<String>> {
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\n{challenges}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (address, recorded) = answer_recording(answer);
    let credentials =
        Credentials { password: Some(SecretValue::new("hunter2")), ..Credentials::default() };
    let problem = problem_at(&format!("http://{address}/a.git"), credentials);
    assert!(matches!(problem, FetchProblem::AuthenticationFailed { .. }), "{problem:?}");
    recorded.lock().unwrap().clone()
}

#[test]
fn a_password_is_only_sent_to_whoever_asks_for_one_in_the_basic_way() {
    for challenges in ["", "WWW-Authenticate: Negotiate\r\n"] {
        assert_eq!(sent_to(challenges), [None], "{challenges}");
    }
    let basic = || Some("Basic Z2l0Omh1bnRlcjI=".to_owned());
    for challenges in ["Basic realm=\"a\"", "Negotiate, Basic realm=\"a\""] {
        let sent = sent_to(&format!("WWW-Authenticate: {challenges}\r\n"));
        assert_eq!(sent, [None, basic()], "{challenges}");
    }
}

/// A mirror with one commit, and a server that is to change its answers once another one is pushed.
fn with_second_pushed(
    alter: impl Fn(&Path, &mut Vec<u8>) + Send + 'static,
) -> (Repo, Mirror, dugout_model::CommitSha, Arc<AtomicBool>) {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    let altering = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&altering);
    let address = altered(bare.clone().parent().unwrap(), move |answer| {
        if asked.load(Ordering::SeqCst) {
            alter(&bare, answer);
        }
    });
    let mirror = repo.mirror_of(&format!("http://{address}/bare.git"), Credentials::default());
    let first = fetched_head(&mirror);
    repo.write("app/a.yaml", "two\n");
    repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main"]);
    altering.store(true, Ordering::SeqCst);
    (repo, mirror, first, altering)
}

/// After a fetch that failed: nothing changed, and the next good one works.
fn nothing_is_lost(
    repo: &Repo,
    mirror: &Mirror,
    first: dugout_model::CommitSha,
    altering: &AtomicBool,
) {
    assert_eq!(text_of(mirror, &first, "app/a.yaml").unwrap(), "one\n");
    altering.store(false, Ordering::SeqCst);
    let moved = Fetched::Moved { head: repo.head(), previous: Some(first), rewritten: false };
    assert_eq!(fetch(mirror), moved);
}

#[test]
fn a_connection_that_breaks_off_in_the_pack_is_unreachable() {
    let (repo, mirror, first, altering) = with_second_pushed(|_, answer| {
        if answer.windows(4).any(|four| four == b"PACK") {
            answer.truncate(answer.len() - 60);
        }
    });
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::Unreachable { .. }), "{problem:?}");
    nothing_is_lost(&repo, &mirror, first, &altering);
}

#[test]
fn a_pack_that_ends_too_early_is_unreachable() {
    let (repo, mirror, first, altering) = with_second_pushed(|_, answer| {
        if answer.windows(4).any(|four| four == b"PACK") {
            // The length that is announced is the length that comes.
            let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let body = answer[body..answer.len() - 60].to_vec();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result";
            let length = body.len();
            *answer = format!("{head}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
            answer.extend(body);
        }
    });
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::Unreachable { .. }), "{problem:?}");
    nothing_is_lost(&repo, &mirror, first, &altering);
}

#[test]
fn a_branch_that_goes_between_being_listed_and_being_asked_for_is_missing_at_the_next_look() {
    let (_repo, mirror, first, _) = with_second_pushed(|bare, answer| {
        if answer.windows(13).any(|part| part == b"advertisement") {
            // Before the list reaches us.
            let _ = support::try_git(bare, &["update-ref", "-d", "refs/heads/main"]);
        }
    });
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::Unreachable { .. }), "{problem:?}");
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::BranchMissing { .. }), "{problem:?}");
    assert_eq!(text_of(&mirror, &first, "app/a.yaml").unwrap(), "one\n");
}

#[test]
fn an_empty_repository_and_a_default_branch_of_another_name_lack_the_branch() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    git(repo.folder.path(), &["init", "-q", "--bare", "empty.git"]);
    git(&bare, &["branch", "-m", "main", "trunk"]);
    let server = GitHttp::serve(repo.folder.path(), None);
    for name in ["empty.git", "bare.git"] {
        let problem = problem_at(&server.url(name), Credentials::default());
        assert!(matches!(problem, FetchProblem::BranchMissing { .. }), "{name}: {problem:?}");
    }
}

#[test]
fn a_symbolic_branch_and_a_packed_one_are_followed() {
    let repo = Repo::new();
    let bare = repo.bare_clone();
    git(&bare, &["branch", "-m", "main", "trunk"]);
    git(&bare, &["symbolic-ref", "refs/heads/main", "refs/heads/trunk"]);
    git(&bare, &["pack-refs", "--all"]);
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("bare.git"), Credentials::default());
    assert_eq!(fetched_head(&mirror), repo.head());
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    git(&repo.path, &["push", "-q", "origin", "main:trunk"]);
    assert_eq!(fetched_head(&mirror), second);
}

#[test]
fn a_shallow_repository_is_named_until_it_has_its_history() {
    let repo = Repo::new();
    repo.write("app/a.yaml", "two\n");
    let second = repo.commit("Second");
    let from = format!("file://{}", repo.path.display());
    git(repo.folder.path(), &["clone", "-q", "--bare", "--depth", "1", &from, "shallow.git"]);
    let server = GitHttp::serve(repo.folder.path(), None);
    let mirror = repo.mirror_of(&server.url("shallow.git"), Credentials::default());
    let problem = mirror.fetch(PATIENCE).unwrap_err();
    assert!(matches!(problem, FetchProblem::Shallow { .. }), "{problem:?}");
    git(&repo.folder.path().join("shallow.git"), &["fetch", "-q", "--unshallow"]);
    assert_eq!(fetched_head(&mirror), second);
}
