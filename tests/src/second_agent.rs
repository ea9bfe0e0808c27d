//! A second agent of a rig's cluster, on the same engine.

use std::process::{Child, Command, Stdio};

use crate::rig::{Rig, dugout, free_port};

pub struct SecondAgent {
    process: Child,
    pub metrics_port: u16,
}

impl SecondAgent {
    /// Starts it as the node `second`; it joins by itself.
    pub fn start(rig: &Rig, token: &str) -> Self {
        let metrics_port = free_port();
        let process = Command::new(dugout())
            .args(["agent", "--server", &rig.url(""), "--token", token, "--name", "second"])
            .args(["--metrics-listen", &format!("127.0.0.1:{metrics_port}")])
            .arg("--data-dir")
            .arg(rig.folder().join("second"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dugout can be started");
        Self { process, metrics_port }
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
    }
}
