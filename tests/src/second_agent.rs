//! A second agent of a rig's cluster, on the same engine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::rig::{Rig, dugout, free_port};

pub struct SecondAgent {
    program: PathBuf,
    process: Child,
    data_dir: PathBuf,
    pub metrics_port: u16,
}

impl SecondAgent {
    /// Starts it as the node `second`; it joins by itself.
    pub fn start(rig: &Rig, token: &str) -> Self {
        Self::start_with(rig, token, &[])
    }

    /// The same with more flags.
    pub fn start_with(rig: &Rig, token: &str, more: &[&str]) -> Self {
        Self::start_program(dugout(), rig, token, more)
    }

    /// The same as a program of its own: what it has in memory is then shared with no other process.
    pub fn start_copy(rig: &Rig, token: &str, more: &[&str]) -> Self {
        let program = rig.folder().join("dugout-agent");
        std::fs::copy(dugout(), &program).expect("the program can be copied");
        Self::start_program(program, rig, token, more)
    }

    fn start_program(program: PathBuf, rig: &Rig, token: &str, more: &[&str]) -> Self {
        let metrics_port = free_port();
        let process = Self::launch(&program, rig, token, more, metrics_port);
        Self { program, process, data_dir: rig.folder().join("second"), metrics_port }
    }

    fn launch(program: &Path, rig: &Rig, token: &str, more: &[&str], metrics_port: u16) -> Child {
        Command::new(program)
            .args(["agent", "--server", &rig.url(""), "--token", token, "--name", "second"])
            .args(more)
            .args(["--metrics-listen", &format!("127.0.0.1:{metrics_port}")])
            .arg("--data-dir")
            .arg(rig.folder().join("second"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dugout can be started")
    }

    /// Starts it again on the same folder, after a kill.
    pub fn start_again(&mut self, rig: &Rig, token: &str, more: &[&str]) {
        self.process = Self::launch(&self.program, rig, token, more, self.metrics_port);
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().expect("the agent can be killed");
        self.process.wait().expect("the agent ends");
    }
}

impl Drop for SecondAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A node's containers are its own: the rig's end does not touch them.
        let down = Command::new(dugout())
            .args(["down", "--purge", "--data-dir"])
            .arg(&self.data_dir)
            .output()
            .expect("dugout can be run");
        if !down.status.success() && !std::thread::panicking() {
            panic!("dugout down failed: {}", String::from_utf8_lossy(&down.stderr));
        }
    }
}
