//! Sources, end to end: served repositories, webhooks and polls, and repositories that go wrong
//! without touching what runs.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::path::Path;

use dugout_tests::rig::Rig;
use dugout_tests::served::Served;
use hmac::{Hmac, Mac};
use sha2::Sha256;

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn polling_finds_a_push() {
    let mut served = Served::start("poll", &["--poll-interval", "1s"]);
    served.rig.application.image = "dugout-web:1.1".to_owned();
    let second = served.rig.commit_application("Web 1.1");
    served.push(&[]);
    served.rig.wait_for_verdict(&second, "healthy");
    served.rig.wait_for_ready(2);
    assert_eq!(served.rig.visit("/version").as_deref(), Some("1.1\n"));
}

#[test]
fn a_signed_webhook_applies_a_push_at_once_and_an_unsigned_one_does_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, "open sesame\n").expect("the secret can be written");
    let secret_path = secret_file.to_string_lossy().into_owned();
    // The poll is too rare to help.
    let mut served =
        Served::start("webhook", &["--poll-interval", "1h", "--webhook-secret-file", &secret_path]);
    let client = dugout_tests::http::client(true);
    let url = |rig: &Rig, dialect: &str| rig.url(&format!("/webhook/{dialect}"));

    let ping = client
        .post(url(&served.rig, "github"))
        .header("X-GitHub-Event", "ping")
        .header("X-Hub-Signature-256", signature("open sesame", "{}"))
        .body("{}")
        .send()
        .expect("the webhook answers");
    assert_eq!(ping.status(), 200);

    served.rig.application.image = "dugout-web:1.1".to_owned();
    let second = served.rig.commit_application("Web 1.1");
    served.push(&[]);
    let body = r#"{"ref":"refs/heads/main"}"#;
    let forged = client
        .post(url(&served.rig, "github"))
        .header("X-GitHub-Event", "push")
        .header("X-Hub-Signature-256", signature("wrong", body))
        .body(body)
        .send()
        .expect("the webhook answers");
    assert!(forged.status().is_client_error(), "{forged:?}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(served.rig.release(&second).is_none(), "a forged push wakes nobody");

    let pushed = client
        .post(url(&served.rig, "github"))
        .header("X-GitHub-Event", "push")
        .header("X-Hub-Signature-256", signature("open sesame", body))
        .body(body)
        .send()
        .expect("the webhook answers");
    assert!(pushed.status().is_success(), "{pushed:?}");
    served.rig.wait_for_verdict(&second, "healthy");

    served.rig.application.image = "dugout-web:2.0".to_owned();
    let third = served.rig.commit_application("Web 2.0");
    served.push(&[]);
    let generic = client
        .post(url(&served.rig, "generic"))
        .header("X-Signature", signature("open sesame", ""))
        .send()
        .expect("the webhook answers");
    assert!(generic.status().is_success(), "{generic:?}");
    served.rig.wait_for_verdict(&third, "healthy");
    let timeline = served.rig.dugout_ok(&["timeline", &third[..8]]);
    assert!(timeline.contains("webhook"), "{timeline}");
}

#[test]
fn a_remote_that_is_gone_is_named_and_found_again() {
    let mut served = Served::start("gone", &["--poll-interval", "1s"]);
    let before = served.rig.containers();
    served.stop();
    wait_for_condition(&mut served.rig, "Unreachable");
    let status = served.rig.dugout_ok(&["status"]);
    assert!(status.contains("Unreachable"), "{status}");
    assert_eq!(served.rig.containers(), before);

    served.serve_again();
    served.rig.application.image = "dugout-web:1.1".to_owned();
    let second = served.rig.commit_application("Web 1.1");
    served.push(&[]);
    served.rig.wait_for_verdict(&second, "healthy");
    wait_for_condition(&mut served.rig, "Readable");
}

#[test]
fn a_deleted_branch_is_named_and_changes_nothing() {
    let mut served = Served::start("branch", &["--poll-interval", "1s"]);
    let before = served.rig.containers();
    let bare = dugout_tests::repository::Repository { path: served.root.join("team.git") };
    bare.git(&["update-ref", "-d", "refs/heads/main"]);
    wait_for_condition(&mut served.rig, "BranchMissing");
    assert_eq!(served.rig.containers(), before);
    served.push(&[]);
    wait_for_condition(&mut served.rig, "Readable");
    assert_eq!(served.rig.containers(), before);
}

#[test]
fn a_rewritten_repository_is_followed_and_said_to_be_rewritten() {
    let mut served = Served::start("rewritten", &["--poll-interval", "1s"]);
    served.rig.application.image = "dugout-web:1.1".to_owned();
    served.rig.repository.write("apps/web.yaml", &served.rig.application.manifests());
    served.rig.repository.git(&["add", "--all"]);
    served.rig.repository.git(&["commit", "--quiet", "--amend", "--message", "Rewritten"]);
    let second = served.rig.repository.head();
    served.push(&["--force"]);
    served.rig.wait_for_verdict(&second, "healthy");
    served.rig.wait_for_ready(2);
    assert_eq!(served.rig.visit("/version").as_deref(), Some("1.1\n"));
    let timeline = served.rig.dugout_ok(&["timeline", &second[..8]]);
    assert!(timeline.contains("rewritten"), "{timeline}");
}

#[test]
fn a_corrupt_repository_is_named_and_changes_nothing() {
    let mut rig = Rig::new("corrupt");
    let first = rig.repository.head();
    rig.up(&["--poll-interval", "1s"]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);
    let before = rig.containers();
    // A commit whose folder is not what its name says, as after a crash of the machine.
    rig.application.image = "dugout-web:1.1".to_owned();
    rig.repository.git(&["checkout", "--quiet", "-b", "aside"]);
    let second = rig.commit_application("Web 1.1");
    let tree = rig.repository.git(&["rev-parse", "aside^{tree}"]);
    let object = rig.repository.path.join(format!(".git/objects/{}/{}", &tree[..2], &tree[2..]));
    let sound = std::fs::read(&object).expect("the object is a file");
    overwrite(&object, b"not what was written");
    rig.repository.git(&["update-ref", "refs/heads/main", &second]);
    wait_for_condition(&mut rig, "Corrupt");
    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("Corrupt"), "{status}");
    assert_eq!(rig.containers(), before);
    overwrite(&object, &sound);
    rig.wait_for_verdict(&second, "healthy");
    wait_for_condition(&mut rig, "Readable");
}

#[test]
fn a_remote_whose_branch_names_no_commit_is_named_and_changes_nothing() {
    let mut served = Served::start("nothing", &["--poll-interval", "1s"]);
    let before = served.rig.containers();
    let head = served.root.join("team.git/refs/heads/main");
    let sound = std::fs::read(&head).expect("the branch is a file");
    std::fs::write(&head, "0123456789012345678901234567890123456789\n").expect("it can be broken");
    // The remote's own Git gives up before it has sent anything.
    wait_for_condition(&mut served.rig, "Unreachable");
    assert_eq!(served.rig.containers(), before);
    std::fs::write(&head, sound).expect("it can be mended");
    wait_for_condition(&mut served.rig, "Readable");
}

#[test]
fn rollback_pushes_a_revert_to_the_remote() {
    let mut served = Served::start("pushback", &["--poll-interval", "1s"]);
    served.rig.application.image = "dugout-web:1.1".to_owned();
    let second = served.rig.commit_application("Web 1.1");
    served.push(&[]);
    served.rig.wait_for_verdict(&second, "healthy");
    served.rig.dugout_ok(&["rollback"]);
    served.rig.repository.git(&["pull", "--quiet", "--ff-only", &served.url, "main"]);
    let third = served.rig.repository.head();
    let message = served.rig.repository.git(&["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("Dugout-Reverts: {second}")), "{message}");
    served.rig.wait_for_verdict(&third, "healthy");
    served.rig.wait_for_ready(2);
    assert_eq!(served.rig.visit("/version").as_deref(), Some("1.0\n"));
}

#[test]
fn rollback_while_the_git_server_is_down_goes_back_at_once_and_is_pushed_later() {
    let mut served = Served::start("offline", &["--poll-interval", "1s"]);
    let first = served.rig.repository.head();
    served.rig.application.image = "dugout-web:1.1".to_owned();
    let second = served.rig.commit_application("Web 1.1");
    served.push(&[]);
    served.rig.wait_for_verdict(&second, "healthy");
    served.stop();
    wait_for_condition(&mut served.rig, "Unreachable");
    let told = served.rig.dugout_ok(&["rollback", "--reason", "it is ugly"]);
    assert!(told.contains(&first[..7]) && told.contains("as soon as it can be"), "{told}");
    served.rig.wait_for("the earlier version is back", |rig| {
        rig.visit("/version").as_deref() == Some("1.0\n")
    });
    let status = served.rig.dugout_ok(&["status"]);
    assert!(status.contains("to be pushed"), "{status}");
    // What is owed outlives the process.
    assert!(served.rig.interrupt());
    served.up();
    served.rig.wait_for_ready(2);
    assert_eq!(served.rig.visit("/version").as_deref(), Some("1.0\n"));
    let before = served.rig.containers();

    served.serve_again();
    served.rig.wait_for("the branch has the revert", |rig| {
        let source = rig.get("/apis/dugout.dev/v1/sources/default");
        source["status"]["head"] != second && source["status"].get("owedRevert").is_none()
    });
    served.rig.repository.git(&["pull", "--quiet", "--ff-only", &served.url, "main"]);
    let third = served.rig.repository.head();
    let message = served.rig.repository.git(&["log", "-1", "--format=%B"]);
    assert!(message.contains(&format!("Dugout-Reverts: {second}")), "{message}");
    assert!(message.contains("it is ugly"), "{message}");
    served.rig.wait_for_verdict(&third, "healthy");
    assert_eq!(served.rig.containers(), before, "it finds everything as it asks");
}

#[test]
fn a_suspended_source_is_seen_and_not_applied_until_resumed() {
    let mut rig = Rig::new("suspend");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.dugout_ok(&["suspend", "default"]);
    rig.application.image = "dugout-web:1.1".to_owned();
    let second = rig.commit_application("Web 1.1");
    rig.wait_for_verdict(&second, "pending");
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"));
    rig.dugout_ok(&["resume", "default"]);
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(2);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.1\n"));
}

fn wait_for_condition(rig: &mut Rig, condition: &str) {
    let url = "/apis/dugout.dev/v1/sources/default";
    rig.wait_for(&format!("the source is {condition}"), |rig| {
        rig.get(url)["status"]["condition"] == condition
    });
}

/// Git's objects are read-only files.
fn overwrite(object: &Path, content: &[u8]) {
    std::fs::remove_file(object).expect("the object can be removed");
    std::fs::write(object, content).expect("the object can be written");
}
