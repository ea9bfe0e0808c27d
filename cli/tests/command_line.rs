//! The binary as a person calls it: exit codes, and sentences that say what to do.

#![expect(clippy::expect_used, reason = "what a helper expects is part of the test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn dugout(arguments: &[&str]) -> Output {
    command(arguments).output().expect("dugout can be run")
}

/// The binary with nothing of the caller's environment that could change what it does.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dugout"));
    command.args(arguments).env_clear().env("HOME", "/nonexistent");
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_call_ends_with_2() {
    for arguments in [
        &["stauts"][..],
        &["get"],
        &["get", "unicorns"],
        &["get", "pods", "-o", "xml"],
        &["get", "pods/web", "web"],
        &["logs", "node/a"],
        &["exec", "pod"],
        &["cp", "here", "there"],
        &["cp", "one:/a", "two:/b"],
        &["cp", "one:", "there"],
        &["status", "--server", "not a url"],
        &["server", "--repo", "x"],
        &["up", "--poll-interval", "5"],
        &["validate"],
        // The flag is the agent's, and would say nothing to the command.
        &["agent", "--data-dir", "/somewhere", "stop", "web"],
        &["agent", "stop", "a/web", "-n", "b"],
        &["agent", "stop", "a/web/c"],
    ] {
        let output = dugout(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
    }
}

#[test]
fn a_drain_that_nobody_waits_for_may_have_a_timeout_from_elsewhere() {
    let output = command(&["node", "drain", "a", "--no-wait"])
        .env("DUGOUT_SERVER", "http://127.0.0.1:1")
        .env("DUGOUT_TIMEOUT", "5s")
        .output()
        .expect("dugout can be run");
    let errors = errors(&output);
    assert!(errors.contains("no Dugout server answers"), "{errors}");
}

#[test]
fn help_and_version_end_with_0() {
    for arguments in [&["--help"][..], &["up", "--help"], &["exec", "--help"], &["--version"]] {
        assert_eq!(dugout(arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn without_a_server_the_sentence_says_how_to_start_one() {
    // Port 1 of this machine is never a Dugout.
    for arguments in [&["status"][..], &["get", "pods"], &["sync"], &["timeline"]] {
        let output = command(arguments)
            .env("DUGOUT_SERVER", "http://127.0.0.1:1")
            .output()
            .expect("dugout can be run");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let errors = errors(&output);
        assert!(errors.contains("no Dugout server answers at http://127.0.0.1:1"), "{errors}");
        assert!(errors.contains("dugout up"), "{errors}");
        assert_eq!(errors.matches("because").count(), 1, "one cause says it: {errors}");
        assert!(errors.contains("Connection refused"), "{errors}");
    }
}

#[test]
fn down_changes_nothing_in_a_directory_that_is_not_dugouts() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("etc")).expect("a folder");
    std::fs::write(folder.path().join("etc/passwd"), "root").expect("a file");
    let data_dir = folder.path().to_str().expect("text");
    for command in [&["down", "--purge"][..], &["down"], &["up"], &["up", "--detach"]] {
        let output = dugout(&[command, &["--data-dir", data_dir]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(errors(&output).contains("no data directory"), "{}", errors(&output));
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 1, "{command:?}: it holds what it held");
        assert!(folder.path().join("etc/passwd").exists());
    }
}

#[test]
fn a_signal_ends_a_server_that_waits_for_its_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("text");
    // Port 1 of this machine is never a PostgreSQL.
    let database = "postgres://127.0.0.1:1/none";
    let line = ["server", "--repo", data_dir, "--data-dir", data_dir, "--postgres-url", database];
    let mut child = command(&[&line[..], &["--listen", "127.0.0.1:0"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dugout can be run");
    let started = Instant::now();
    while !folder.path().join("operator.token").exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "it starts");
        std::thread::sleep(Duration::from_millis(20));
    }
    let signalled = Instant::now();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    // It would wait for its database for thirty seconds.
    assert!(signalled.elapsed() < Duration::from_secs(15), "{:?}", signalled.elapsed());
}

#[test]
fn an_agent_without_a_join_token_says_where_to_get_one() {
    let line = ["agent", "--server", "http://127.0.0.1:1"];
    let output = dugout(&line);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("dugout token create"), "{}", errors(&output));
    let output = dugout(&[&line[..], &["--join-token-file", "/nonexistent/token"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("/nonexistent/token cannot be read"), "{}", errors(&output));
}

#[test]
fn the_help_of_what_reads_the_environment_names_its_settings() {
    let settings =
        ["DUGOUT_GIT_PASSWORD", "DUGOUT_GIT_SSH_KEY", "DUGOUT_WEBHOOK_SECRET", "DUGOUT_LOG"];
    for command in ["up", "server"] {
        let help = dugout(&[command, "--help"]).stdout;
        let help = String::from_utf8_lossy(&help);
        for setting in settings {
            assert!(help.contains(setting), "{command}: {setting}");
        }
    }
}

#[test]
fn down_refuses_while_an_agent_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = folder.path().join("agent");
    std::fs::create_dir(&agent).expect("a folder");
    std::fs::write(agent.join("node.json"), r#"{"instance":"i","node":"a"}"#).expect("a file");
    let lock = std::fs::File::create(agent.join("lock")).expect("a file");
    lock.try_lock().expect("nobody else has it");
    // The agent's directory in the machine's, and one of its own.
    for data_dir in [folder.path(), &agent] {
        for more in [&[][..], &["--purge"]] {
            let line = ["down", "--data-dir", data_dir.to_str().expect("text")];
            let output = dugout(&[&line, more].concat());
            assert_eq!(output.status.code(), Some(1), "{data_dir:?}");
            let errors = errors(&output);
            assert!(errors.contains("is still running, and nothing was changed"), "{errors}");
            assert!(agent.join("node.json").exists());
        }
    }
    drop(lock);
    let line = ["down", "--purge", "--data-dir", folder.path().to_str().expect("text")];
    let output = dugout(&line);
    assert_eq!(output.status.code(), Some(0), "it never ran anything: {}", errors(&output));
    assert!(!folder.path().exists());
}

#[test]
fn a_configuration_file_with_an_unknown_key_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "sever: http://x\n").expect("a file");
    let output = dugout(&["status", "--config", file.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("sever"), "{}", errors(&output));
}

#[test]
fn validate_reads_standard_input_and_ends_with_1_where_there_is_an_error() {
    let validate = |text: &str| {
        let mut child = command(&["validate", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("dugout can be run");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        child.wait_with_output().expect("it ends")
    };
    let good = validate("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n");
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stdout));
    let bad = validate("apiVersion: v1\nkind: [\n");
    assert_eq!(bad.status.code(), Some(1));
    let text = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(text.starts_with("stdin:"), "{text}");
}
