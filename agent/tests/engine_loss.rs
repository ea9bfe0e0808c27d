//! The agent while its engine is killed and comes back, with an engine of the test's own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dugout_agent::local::Local;
use dugout_model::*;
use support::{Rig, probe, running_id, waiting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A Docker engine with its own folder and its own bridge.
struct Engine {
    folder: tempfile::TempDir,
    bridge: String,
    process: Option<Child>,
}

impl Engine {
    async fn start() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let number = std::process::id() % 100_000;
        let bridge = format!("dgt{number}");
        let third = number % 250;
        run(&["ip", "link", "add", "name", &bridge, "type", "bridge"]);
        run(&["ip", "addr", "add", &format!("10.213.{third}.1/24"), "dev", &bridge]);
        run(&["ip", "link", "set", &bridge, "up"]);
        let mut engine = Self { folder, bridge, process: None };
        engine.launch().await;
        engine
    }

    fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }

    async fn launch(&mut self) {
        let folder = self.folder.path().display();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let process = Command::new("dockerd")
            .arg("--data-root")
            .arg(format!("{folder}/data"))
            .arg("--exec-root")
            .arg(format!("{folder}/exec"))
            .arg("--pidfile")
            .arg(format!("{folder}/docker.pid"))
            .arg("--host")
            .arg(self.host())
            .arg("--bridge")
            .arg(&self.bridge)
            .arg("--containerd-namespace")
            .arg(format!("dugout-{}", self.bridge))
            .args(["--iptables=false", "--ip-masq=false", "--ip-forward=false"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("install docker.io, and run as root");
        self.process = Some(process);
        let began = Instant::now();
        while Local::connect(Some(&self.host())).await.is_err() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(began.elapsed() < support::PATIENCE, "dockerd does not start:\n{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// As `kill -9` does, at any moment.
    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        std::fs::remove_file(self.folder.path().join("docker.pid")).ok();
        self.kill_containerd("-KILL");
    }

    /// The engine's containerd ends with it; where nobody reaps it, its pid file would mislead the
    /// next start.
    fn kill_containerd(&self, signal: &str) {
        let pid_file = self.folder.path().join("exec/containerd/containerd.pid");
        if let Ok(pid) = std::fs::read_to_string(&pid_file) {
            Command::new("kill").args([signal, pid.trim()]).stderr(Stdio::null()).status().ok();
            std::fs::remove_file(pid_file).ok();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            Command::new("kill").arg(process.id().to_string()).status().ok();
            process.wait().ok();
        }
        self.kill_containerd("-TERM");
        Command::new("ip").args(["link", "del", &self.bridge]).status().ok();
        unmount_below(self.folder.path());
    }
}

/// Container file systems of a killed engine stay mounted.
fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for place in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(place).starts_with(folder) {
            Command::new("umount").args(["--lazy", place]).status().ok();
        }
    }
}

fn run(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status().expect("install iproute2");
    assert!(status.success(), "{words:?} failed; this test needs root");
}

async fn get(port: u16) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_engine_is_a_state_and_its_return_heals() {
    let mut engine = Engine::start().await;
    let local = support::image_on(&engine.host()).await;
    let mut rig = Rig::start_on(local, engine.host()).await;
    let pod =
        rig.add("mkdir -p /srv && echo hello > /srv/index.html && exec httpd -f -p 8080 -h /srv");
    rig.change_container(pod, |container| {
        let port = PortRef::Number(8080);
        container.readiness_probe = probe(ProbeAction::TcpSocket { host: None, port });
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node_port = listener.local_addr().unwrap().port();
    drop(listener);
    rig.services = vec![AssignedService {
        key: ObjectKey::new("demo", "web"),
        ports: vec![AssignedServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port,
            endpoints: vec![Endpoint { pod, port: 8080, place: EndpointPlace::Local }],
        }],
    }];
    rig.assign();
    let before = running_id(&rig.until_running(pod).await).unwrap();
    assert!(get(node_port).await.ends_with("hello\n"));

    engine.kill();
    rig.until("the engine is away", |report| !report.engine_answers).await;
    // The container still runs, and nothing that leads to it needs the engine.
    assert!(get(node_port).await.ends_with("hello\n"));
    let late = rig.add("sleep 1000");
    rig.assign();
    rig.until_pod(late, "waits for the engine", |pod| {
        waiting(pod).is_some_and(|(reason, _)| reason == WaitingReason::EngineUnavailable)
    })
    .await;

    engine.launch().await;
    let after = rig
        .until_pod(pod, "healed", |pod| pod.ready && running_id(pod).is_some_and(|id| id != before))
        .await;
    assert_eq!(after.containers[0].restarts, 1);
    rig.until_running(late).await;
    rig.until_event("EngineBack", 0).await;
    assert!(rig.plane.count("EngineLost") >= 1);
    assert_eq!(rig.plane.count("BackOff"), 0);
    assert!(get(node_port).await.ends_with("hello\n"));
    rig.finish().await;
}
