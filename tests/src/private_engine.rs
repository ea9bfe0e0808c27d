//! A Docker engine of a test's own, in a network namespace of its own, that may be killed.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::rig::{PATIENCE, signal};

/// The engine and where it lives. Its namespace goes with the last process in it.
pub struct PrivateEngine {
    folder: TempDir,
    process: Option<Child>,
}

impl PrivateEngine {
    /// Moves the calling thread, and what it starts from now on, into a network namespace of its own,
    /// and starts an engine there.
    pub fn start() -> Self {
        enter_own_network();
        let folder = tempfile::Builder::new()
            .prefix("dugout-engine-")
            .tempdir_in("/var/tmp")
            .expect("a temporary folder can be made");
        let mut engine = Self { folder, process: None };
        engine.run();
        engine
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Starts the engine (again) and waits until it answers.
    pub fn run(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let log =
            File::options().create(true).append(true).open(at("log")).expect("a log can be made");
        let errors = log.try_clone().expect("the log can be shared");
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["--host", &self.host()])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("dockerd can be run; run `make setup`");
        self.process = Some(child);
        let started = Instant::now();
        while !self.docker(&["version"]).0 {
            assert!(
                started.elapsed() < PATIENCE,
                "dockerd does not answer:\n{}",
                fs::read_to_string(at("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("dockerd can be killed");
            child.wait().expect("dockerd ends");
        }
    }

    /// SIGTERM, as the machine's service manager does: the engine ends its containers, then itself.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.process.take() {
            signal(child.id(), rustix::process::Signal::TERM);
            assert!(child.wait().expect("dockerd ends").success(), "dockerd ends well");
        }
    }

    /// Runs the Docker client against this engine; says whether it succeeded and what it printed.
    pub fn docker(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("docker")
            .args(["--host", &self.host()])
            .args(arguments)
            .output()
            .expect("docker can be run; run `make setup`");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if self.process.is_none() {
            self.run();
        }
        let (_, containers) = self.docker(&["ps", "--all", "--quiet"]);
        let ids: Vec<&str> = containers.lines().collect();
        if !ids.is_empty() {
            self.docker(&[&["rm", "--force"][..], &ids].concat());
        }
        if let Some(mut child) = self.process.take() {
            signal(child.id(), rustix::process::Signal::TERM);
            let _ = child.wait();
        }
        // The engine mounts its data on itself and leaves that; the folder could not go with it.
        let _ =
            Command::new("umount").arg("--recursive").arg(self.folder.path().join("data")).output();
    }
}

fn enter_own_network() {
    // SAFETY: a new network namespace concerns only this thread and the threads and processes it
    // starts; no memory and no file descriptor is shared or closed by it.
    unsafe {
        rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET)
            .expect("a network namespace can be made; run the tests as root");
    }
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .expect("ip can be run; run `make setup`");
    assert!(status.success(), "the loopback of the new namespace can be used");
}
