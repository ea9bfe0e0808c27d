//! Sessions with containers, end to end: a command in one, and what runs in it.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use dugout_tests::images;
use dugout_tests::rig::{self, Rig, docker};

/// Two containers that do nothing, and one that answers a line with its end.
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: pair, namespace: NAMESPACE, labels: {app: pair}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: one, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, sleep, '100000']}
    - {name: two, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, sleep, '100000']}
---
apiVersion: v1
kind: Pod
metadata: {name: asks, namespace: NAMESPACE, labels: {app: asks}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: dugout-busybox:1
      imagePullPolicy: Never
      stdin: true
      command: [/bin/busybox, sh, -c, 'while read line; do test $line = end && exit 6; echo got $line; done']
";

fn started(name: &str) -> Rig {
    let mut rig = Rig::new(name);
    images::ensure_busybox();
    let namespace = rig.application.namespace.clone();
    rig.repository.write("apps/pods.yaml", &PODS.replace("NAMESPACE", &namespace));
    let sha = rig.repository.commit("Pods");
    rig.up(&[]);
    rig.wait_for_verdict(&sha, "healthy");
    rig
}

fn client(rig: &Rig, arguments: &[&str]) -> Command {
    let mut command = Command::new(rig::dugout());
    command
        .args(arguments)
        .env("DUGOUT_SERVER", rig.url(""))
        .env("DUGOUT_TOKEN_FILE", rig.data_dir().join("operator.token"))
        .env("DUGOUT_NAMESPACE", &rig.application.namespace)
        .env("HOME", rig.folder())
        .current_dir(rig.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a client with this on its standard input.
fn with_input(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().expect("it can be run");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // Who does not read all of it has reasons.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("the writer ends");
    output
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn shell<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["exec"], flags, &["--", "/bin/busybox", "sh", "-c", script]].concat()
}

#[test]
fn a_command_runs_in_a_container_as_if_it_ran_here() {
    let rig = started("exec");
    let one = ["pair", "--container", "one"];
    let script = "echo out; echo err >&2; exit 7";
    let output = with_input(client(&rig, &shell(&one, script)), b"");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(texts(&output), ("out\n".to_owned(), "err\n".to_owned()));

    // Every byte of a large input comes back, and the command learns where it ends.
    let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let arguments = shell(&["pair", "-c", "two", "-i"], "exec cat");
    let output = with_input(client(&rig, &arguments), &bytes);
    assert!(output.status.success() && output.stdout == bytes, "{:?}", texts(&output).1);

    // A command that does not read its input to the end still ends with its own code.
    let output = with_input(client(&rig, &shell(&["pair", "-c", "two", "-i"], "exit 3")), &bytes);
    assert_eq!(output.status.code(), Some(3), "{:?}", texts(&output).1);

    // The first ready pod of a workload, or behind a service.
    for target in ["deployment/web", "service/web"] {
        let arguments = ["exec", target, "--", "/dugout-web", "--nothing"];
        let output = with_input(client(&rig, &arguments), b"");
        assert!(!texts(&output).1.contains("dugout: "), "{target}: {output:?}");
    }
    let nobody = with_input(client(&rig, &shell(&["deployment/none"], "true")), b"");
    assert!(texts(&nobody).1.contains("deployments \"none\" not found"), "{nobody:?}");
    let nothing = with_input(client(&rig, &shell(&["configmap/web"], "true")), b"");
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");

    let which = with_input(client(&rig, &shell(&["pair"], "true")), b"");
    let (_, words) = texts(&which);
    assert!(which.status.code() == Some(1) && words.contains("one, two"), "{words}");
    let nobody = with_input(client(&rig, &shell(&["nobody"], "true")), b"");
    assert!(texts(&nobody).1.contains("pods \"nobody\" not found"), "{nobody:?}");
    let nothing = with_input(client(&rig, &["exec", "pair"]), b"");
    assert_eq!(nothing.status.code(), Some(2), "a command has to be named: {nothing:?}");

    // What is written down names the program, and no argument, which may be a secret.
    let log = std::fs::read_to_string(rig.data_dir().join("dugout.log")).expect("a log");
    let noted = log.lines().find(|line| line.contains("exec") && line.contains("/bin/busybox"));
    let noted = noted.unwrap_or_else(|| panic!("nothing of it in the log:\n{log}"));
    for word in ["127.0.0.1:", "pair", "one"] {
        assert!(noted.contains(word), "no {word}: {noted}");
    }
    assert!(!log.contains("exit 7"), "an argument is in the log");
}

#[test]
fn a_slow_reader_gets_every_byte_and_the_code_while_input_still_flows() {
    let rig = started("slow");
    // Less than what lies between holds, so that the command ends long before its reader has read.
    let script = "/bin/busybox head -c 1000000 /dev/zero; exit 9";
    let mut child =
        client(&rig, &shell(&["pair", "-c", "one", "-i"], script)).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let writing = std::thread::spawn(move || while stdin.write_all(&[b'x'; 4096]).is_ok() {});
    // Longer than anybody waits for a farewell.
    std::thread::sleep(std::time::Duration::from_secs(12));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("the writer ends");
    assert_eq!(
        (output.stdout.len(), output.status.code()),
        (1_000_000, Some(9)),
        "{:?}",
        output.stderr
    );
}

#[test]
fn a_session_has_a_terminal_of_its_clients_size() {
    let rig = started("terminal");
    let script = "until test \"$(/bin/busybox stty size)\" = '33 99'; do sleep 0.1; done; \
                  test -t 0 && echo termi''nal; exit 4";
    let dugout = rig::dugout();
    let command = format!(
        "stty rows 33 cols 99; {} exec -it pair -c one -- /bin/busybox sh -c {script:?}",
        dugout.display()
    )
    .replace("$(", "\\$(");
    let output = client(&rig, &[]);
    let mut in_terminal = Command::new("script");
    in_terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    for (name, value) in output.get_envs() {
        if let Some(value) = value {
            in_terminal.env(name, value);
        }
    }
    in_terminal.env("SHELL", "/bin/sh").stdout(Stdio::piped()).stdin(Stdio::piped());
    let output = with_input(in_terminal, b"");
    let (words, _) = texts(&output);
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert!(words.contains("terminal\r\n"), "{words:?}");
}

#[test]
fn what_a_container_runs_is_joined() {
    let rig = started("attach");
    let output = with_input(client(&rig, &["attach", "asks", "-i"]), b"one\nend\n");
    assert_eq!(texts(&output).0, "got one\n", "{output:?}");
    assert_eq!(output.status.code(), Some(6));
    let closed = with_input(client(&rig, &["attach", "pair", "-c", "one", "-i"]), b"");
    assert!(texts(&closed).1.contains("commit 'stdin: true'"), "{closed:?}");
}

#[test]
fn a_command_ends_with_its_client_and_a_client_is_told_when_the_server_goes() {
    let mut rig = started("hangup");
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let listed = docker(&[
        "ps",
        "--quiet",
        "--filter",
        &namespace,
        "--filter",
        "label=dev.dugout.container=one",
    ]);
    let runs = |seconds: &str| docker(&["top", listed.trim()]).contains(seconds);
    let arguments = shell(&["pair", "-c", "one"], "sleep 4721; :");
    let mut child = client(&rig, &arguments).spawn().expect("it can be run");
    rig.wait_for("the command runs", |_| runs("sleep 4721"));
    assert!(rig.try_get("/metrics").is_some_and(|text| text.contains("\ndugout_sessions 1\n")));
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    rig.wait_for("the command has ended", |_| !runs("sleep 4721"));
    rig.wait_for("nothing is left of it", |rig| {
        rig.try_get("/metrics").is_some_and(|text| text.contains("\ndugout_sessions 0\n"))
    });

    let arguments = shell(&["pair", "-c", "one"], "sleep 4722; :");
    let child = client(&rig, &arguments).spawn().expect("it can be run");
    rig.wait_for("the command runs", |_| runs("sleep 4722"));
    rig.kill();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("the connection to the server broke"), "{output:?}");
}

#[test]
fn files_and_folders_are_copied_in_and_out_of_a_container_without_a_tar() {
    let rig = started("copy");
    let folder = rig.folder().join("files");
    std::fs::create_dir_all(folder.join("deep")).expect("a folder");
    let large: Vec<u8> = (0..=255).cycle().take(2 << 20).collect();
    std::fs::write(folder.join("deep/large"), &large).expect("a file");
    std::fs::write(folder.join("run.sh"), "#!/bin/sh\n").expect("a file");
    let copy = |arguments: &[&str]| {
        with_input(client(&rig, &[&["cp", "--container", "one"], arguments].concat()), b"")
    };
    let is_done = |output: Output| assert!(output.status.success(), "{output:?}");
    // Under a new name, into a folder that is there, and a file by itself.
    is_done(copy(&["files", "pair:/copied"]));
    is_done(copy(&["files", "pair:/copied"]));
    is_done(copy(&["./files/run.sh", &format!("{}/pair:run", rig.application.namespace)]));
    let script = "cat /copied/deep/large | /bin/busybox wc -c; ls /copied/files /run";
    let seen = with_input(client(&rig, &shell(&["pair", "-c", "one"], script)), b"");
    assert_eq!(texts(&seen).0, "2097152\n/run\n\n/copied/files:\ndeep\nrun.sh\n", "{seen:?}");

    let link = "ln -s /etc/passwd /copied/link";
    is_done(with_input(client(&rig, &shell(&["pair", "-c", "one"], link)), b""));
    let output = copy(&["pair:/copied", "back"]);
    assert!(texts(&output).1.contains("copied/link is left out"), "{output:?}");
    is_done(output);
    let back = rig.folder().join("back");
    assert!(std::fs::read(back.join("files/deep/large")).expect("it is there") == large);
    assert!(!back.join("link").exists());
    is_done(copy(&["pair:/copied/run.sh", "back"]));
    assert_eq!(std::fs::read(back.join("run.sh")).expect("it is there"), b"#!/bin/sh\n");

    // A file with two names has them there, and here again.
    std::fs::hard_link(folder.join("run.sh"), folder.join("again.sh")).expect("a second name");
    is_done(copy(&["files", "pair:/linked"]));
    let same =
        "test /linked/run.sh -ef /linked/again.sh && mkfifo /linked/p && ln /linked/p /linked/q";
    is_done(with_input(client(&rig, &shell(&["pair", "-c", "one"], same)), b""));
    let output = copy(&["pair:/linked", "names"]);
    assert!(texts(&output).1.contains("which was left out"), "{output:?}");
    is_done(output);
    let number = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(rig.folder().join("names").join(name)).expect("it is there").ino()
    };
    assert_eq!(number("run.sh"), number("again.sh"));

    // What it is called here is not the container's to say.
    let lure = "cd /copied && ln -s .profile report && echo lure > .profile";
    is_done(with_input(client(&rig, &shell(&["pair", "-c", "one"], lure)), b""));
    is_done(copy(&["pair:/copied/report", "back"]));
    assert_eq!(std::fs::read(back.join("report")).expect("under its own name"), b"lure\n");
    assert!(!back.join(".profile").exists());

    for (arguments, words) in [
        (&["pair:/nothing", "here"][..], "there is no /nothing"),
        (&["nothing", "pair:/here"], "nothing cannot be read"),
        (&["files", "pair:/no/such/place"], "there is no folder /no/such"),
        (&["files", "here"], "one of both is in a container"),
        (&["files/run.sh", "nobody:/x"], "pods \"nobody\" not found"),
    ] {
        let output = copy(arguments);
        assert!(!output.status.success());
        assert!(texts(&output).1.contains(words), "{arguments:?}: {output:?}");
    }
}
