//! An image registry of a test: Debian's, on a free port of the loopback.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::http;
use crate::rig::{PATIENCE, docker, free_port};

/// A registry that ends with the test.
pub struct Registry {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_port();
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            storage.display()
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry can be run; run `make setup`");
        let registry = Self { process, port, _folder: folder };
        registry.wait_until_it_answers();
        registry
    }

    fn wait_until_it_answers(&self) {
        let started = Instant::now();
        let (client, url) = (http::client(true), format!("http://{}/v2/", self.address()));
        while http::text(&client, &url).is_none() {
            assert!(started.elapsed() < PATIENCE, "the registry does not answer");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes a local image under a name here, and removes that name locally; returns it.
    pub fn push(&self, image: &str, name: &str) -> String {
        let full = format!("{}/{name}", self.address());
        docker(&["tag", image, &full]);
        docker(&["push", "--quiet", &full]);
        docker(&["image", "rm", &full]);
        full
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
