//! Sessions with containers against a real Docker engine: one behaviour each.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::time::{Duration, Instant};

use dugout_model::*;
use dugout_wire::{
    ArchiveAction, ArchiveRequest, ClientMessage, ExecRequest, PathKind, PathStatus, SessionEnd,
    SessionKind, SessionStreams, TerminalSize,
};
use support::sessions::Heard;
use support::{PATIENCE, Rig, running_id};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const STREAMS: SessionStreams =
    SessionStreams { stdin: true, stdout: true, stderr: true, tty: false };
const TERMINAL: SessionStreams = SessionStreams { tty: true, ..STREAMS };

fn exec(script: &str, streams: SessionStreams) -> SessionKind {
    let command = ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec();
    SessionKind::Exec(ExecRequest { command, streams })
}

async fn sleeping() -> (Rig, PodUid, String) {
    let mut rig = Rig::start().await;
    let pod = rig.add("exec sleep 100000");
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    (rig, pod, id)
}

fn said(bytes: &str) -> Vec<u8> {
    bytes.as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_has_its_streams_and_its_exit_code() {
    let (rig, pod, _) = sleeping().await;
    let script = "read line; echo out $line; echo err >&2; exit 7";
    let mut session = rig.plane.session(pod, "main", exec(script, STREAMS)).await.unwrap();
    session.say(ClientMessage::Stdin(b"hello\n")).await;
    let heard =
        Heard { stdout: said("out hello\n"), stderr: said("err\n"), end: SessionEnd::Exited(7) };
    assert_eq!(session.end().await, heard);

    // Much in both directions, to the last byte, and the end of what comes in is told.
    let mut session = rig.plane.session(pod, "main", exec("exec cat", STREAMS)).await.unwrap();
    let chunk: Vec<u8> = (0..=255).cycle().take(32 * 1024).collect();
    for _ in 0..3 {
        session.say(ClientMessage::Stdin(&chunk)).await;
    }
    session.say(ClientMessage::EndOfStdin).await;
    let heard = session.end().await;
    assert_eq!((heard.end, heard.stdout.len()), (SessionEnd::Exited(0), 3 * chunk.len()));
    assert!(heard.stdout == chunk.repeat(3));

    // Without standard input a command that reads is at its end at once.
    let closed = SessionStreams { stdin: false, ..STREAMS };
    let session = rig.plane.session(pod, "main", exec("cat; echo end", closed)).await.unwrap();
    assert_eq!(session.end().await.stdout, said("end\n"));

    // What is not there is told as a shell does.
    let command = vec!["/bin/nothing".to_owned()];
    let kind = SessionKind::Exec(ExecRequest { command, streams: STREAMS });
    let heard = rig.plane.session(pod, "main", kind).await.unwrap().end().await;
    assert!(matches!(heard.end, SessionEnd::Exited(126 | 127)), "{heard:?}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_has_the_size_that_its_client_says() {
    let (rig, pod, _) = sleeping().await;
    let mut session = rig.plane.session(pod, "main", exec("exec sh", TERMINAL)).await.unwrap();
    session.say(ClientMessage::Resize(TerminalSize { width: 99, height: 33 })).await;
    session.hear("# ").await;
    session
        .say(ClientMessage::Stdin(b"/bin/busybox stty size; test -t 2 && echo is$((1))terminal\n"))
        .await;
    session.hear("33 99").await;
    session.hear("is1terminal").await;
    // Bytes that an engine uses in the heads of pieces are a terminal's like any other.
    session.say(ClientMessage::Stdin(b"printf '\\001\\002\\000'; echo be''hind\n")).await;
    session.hear("behind").await;
    session.say(ClientMessage::Stdin(b"exit 3\n")).await;
    assert_eq!(session.end().await.end, SessionEnd::Exited(3));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_ends_with_its_client_and_its_container() {
    let (rig, pod, id) = sleeping().await;
    let runs = |what: &str| rig.docker_command(&["top", &id]).contains(what);
    // One that takes no notice of its terminal's end.
    for script in ["sleep 4711; :", "trap '' HUP; while :; do sleep 4712; done"] {
        let mut session = rig.plane.session(pod, "main", exec(script, STREAMS)).await.unwrap();
        session.say(ClientMessage::Stdin(b"x")).await;
        let began = Instant::now();
        while !runs("sleep 471") {
            assert!(began.elapsed() < PATIENCE, "it does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(session);
        while runs("sleep 471") {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // One that ends with its terminal, and leaves behind what takes no notice of it.
    let script = "trap '' HUP; sleep 4714 & trap - HUP; echo up; sleep 4715";
    let mut session = rig.plane.session(pod, "main", exec(script, STREAMS)).await.unwrap();
    session.hear("up").await;
    drop(session);
    let began = Instant::now();
    while runs("sleep 471") {
        assert!(began.elapsed() < PATIENCE, "something of it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let mut session =
        rig.plane.session(pod, "main", exec("echo up; sleep 4713", STREAMS)).await.unwrap();
    session.hear("up").await;
    rig.docker_command(&["kill", &id]);
    assert_eq!(session.end().await.end, SessionEnd::Exited(137));
    rig.until_pod(pod, "again", |pod| pod.containers[0].restarts == 1 && running_id(pod).is_some())
        .await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_close_its_outputs_and_go_on() {
    let (rig, pod, _) = sleeping().await;
    let script = "exec <&- >&- 2>&-; until test -e /go; do sleep 0.1; done; exit 5";
    let session = rig.plane.session(pod, "main", exec(script, STREAMS)).await.unwrap();
    let go = async {
        // Longer than an engine takes to tell of the end of streams.
        tokio::time::sleep(Duration::from_secs(3)).await;
        rig.plane.session(pod, "main", exec(": > /go", STREAMS)).await.unwrap().end().await
    };
    let (heard, _) = tokio::join!(session.end(), go);
    assert_eq!(heard, Heard { stdout: vec![], stderr: vec![], end: SessionEnd::Exited(5) });
    rig.finish().await;
}

/// Stands before the engine, and holds back what starts a command until it is told to let go.
fn slow_engine(folder: &std::path::Path) -> (String, tokio::sync::watch::Sender<bool>) {
    let path = folder.join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (let_go, lets_go) = tokio::sync::watch::channel(false);
    let engine = support::docker_host().trim_start_matches("unix://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (engine, mut lets_go) = (engine.clone(), lets_go.clone());
            tokio::spawn(async move {
                let mut first = vec![0; 64 * 1024];
                let length = client.read(&mut first).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&first[..length]).into_owned();
                let line = text.lines().next().unwrap_or_default();
                if line.contains("/exec/") && line.contains("/start") {
                    lets_go.wait_for(|go| *go).await.ok();
                }
                let mut engine = tokio::net::UnixStream::connect(engine).await.unwrap();
                engine.write_all(&first[..length]).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut engine).await.ok();
            });
        }
    });
    (format!("unix://{}", path.display()), let_go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_begins_after_its_client_was_told_of_failure_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (host, let_go) = slow_engine(folder.path());
    let mut rig = Rig::start_on(support::image().await, host).await;
    let pod = rig.add("exec sleep 100000");
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    let script = "trap '' HUP; until sleep 4716; do :; done";
    let session = rig.plane.session(pod, "main", exec(script, STREAMS)).await.unwrap();
    let SessionEnd::Failed(why) = session.end().await.end else { panic!("it cannot begin") };
    assert!(why.contains("10 s"), "{why}");
    let runs = || rig.docker_command(&["top", &id]).contains("sleep 4716");
    let_go.send_replace(true);
    // It may take a moment until it begins; then it must not stay.
    let began = Instant::now();
    let mut seen = false;
    while began.elapsed() < Duration::from_secs(8) && (!seen || runs()) {
        seen |= runs();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!runs(), "nobody has it, and it goes on");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_attached_to_and_ends_with_its_code() {
    let mut rig = Rig::start().await;
    let pod = rig.add("echo before; read line; echo got $line; exit 5");
    rig.change_container(pod, |container| container.streams.input = Input::Open);
    rig.assign();
    rig.until_running(pod).await;
    let mut session = rig.plane.session(pod, "main", SessionKind::Attach(STREAMS)).await.unwrap();
    session.say(ClientMessage::Stdin(b"that\n")).await;
    // What others may still say something to does not learn that one of them has ended.
    session.say(ClientMessage::EndOfStdin).await;
    let heard = Heard { stdout: said("got that\n"), stderr: vec![], end: SessionEnd::Exited(5) };
    assert_eq!(session.end().await, heard);
    // Who leaves ends nothing.
    let id = running_id(
        &rig.until_pod(pod, "again", |pod| {
            pod.containers[0].restarts == 1 && running_id(pod).is_some()
        })
        .await,
    )
    .unwrap();
    let session = rig.plane.session(pod, "main", SessionKind::Attach(STREAMS)).await.unwrap();
    drop(session);
    let mut session = rig.plane.session(pod, "main", SessionKind::Attach(STREAMS)).await.unwrap();
    session.say(ClientMessage::Stdin(b"more\n")).await;
    session.hear("got more").await;
    assert!(rig.inspect(&id).await.is_some());
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_had_is_refused_with_a_sentence() {
    let (rig, pod, _) = sleeping().await;
    let unknown = rig.plane.session(pod, "other", exec("true", STREAMS)).await;
    assert_eq!(unknown.err().as_deref(), Some("the pod has no container other"));
    let nobody = rig.plane.session(PodUid(uuid::Uuid::nil()), "main", exec("true", STREAMS)).await;
    assert!(nobody.err().is_some_and(|why| why.contains("no container on its node")));
    // So many at once, and no more.
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut session = rig.plane.session(pod, "main", exec("exec cat", STREAMS)).await.unwrap();
        session.say(ClientMessage::Stdin(b"here\n")).await;
        session.hear("here").await;
        open.push(session);
    }
    let more = rig.plane.session(pod, "main", exec("true", STREAMS)).await;
    assert_eq!(more.err().as_deref(), Some("this node serves 16 sessions already"));
    drop(open);
    rig.finish().await;
}

fn archive(action: ArchiveAction, path: &str) -> SessionKind {
    SessionKind::Archive(ArchiveRequest { action, path: path.to_owned() })
}

/// An archive of one file.
fn packed(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o640);
    header.set_uid(1000);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_in_and_out_of_a_container_that_has_no_program_for_it() {
    let (rig, pod, _) = sleeping().await;
    let look = async |path: &str| {
        let session = rig.plane.session(pod, "main", archive(ArchiveAction::Look, path)).await;
        let heard = session.unwrap().end().await;
        assert_eq!(heard.end, SessionEnd::Exited(0), "{heard:?}");
        serde_json::from_slice::<PathStatus>(&heard.stdout).unwrap()
    };
    assert_eq!(look("/new").await.kind, PathKind::Absent);
    assert_eq!(look("bin/../bin/").await.path, "/bin");
    assert_eq!(look("/bin").await.kind, PathKind::Folder);

    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut session =
        rig.plane.session(pod, "main", archive(ArchiveAction::Write, "/")).await.unwrap();
    for piece in packed("new", &content).chunks(50_000) {
        session.say(ClientMessage::Stdin(piece)).await;
    }
    session.say(ClientMessage::EndOfStdin).await;
    assert_eq!(session.end().await.end, SessionEnd::Exited(0));
    assert_eq!(look("/new").await.kind, PathKind::File);
    let seen = exec("/bin/busybox stat -c '%u %a %s' /new", STREAMS);
    let heard = rig.plane.session(pod, "main", seen).await.unwrap().end().await;
    assert_eq!(heard.stdout, said("1000 640 300000\n"), "{heard:?}");

    let session = rig.plane.session(pod, "main", archive(ArchiveAction::Read, "/new")).await;
    let heard = session.unwrap().end().await;
    assert_eq!(heard.end, SessionEnd::Exited(0));
    let mut back = tar::Archive::new(&heard.stdout[..]);
    let mut entry = back.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap().to_str(), Some("new"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
    assert!(bytes == content);

    // What cannot be done is told, and half an archive is none.
    let nothing = rig.plane.session(pod, "main", archive(ArchiveAction::Read, "/nothing")).await;
    assert!(matches!(nothing.unwrap().end().await.end, SessionEnd::Failed(_)));
    let mut session =
        rig.plane.session(pod, "main", archive(ArchiveAction::Write, "/none")).await.unwrap();
    session.say(ClientMessage::Stdin(&packed("x", b"x"))).await;
    session.say(ClientMessage::EndOfStdin).await;
    assert!(matches!(session.end().await.end, SessionEnd::Failed(_)));
    let mut session =
        rig.plane.session(pod, "main", archive(ArchiveAction::Write, "/")).await.unwrap();
    session.say(ClientMessage::Stdin(&packed("half", &content)[..100_000])).await;
    drop(session);
    let mut session = rig.plane.session(pod, "main", exec("exec cat", STREAMS)).await.unwrap();
    session.say(ClientMessage::EndOfStdin).await;
    assert_eq!(session.end().await.end, SessionEnd::Exited(0), "the node serves on");
    rig.finish().await;
}
