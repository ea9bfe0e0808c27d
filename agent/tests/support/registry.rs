//! An image registry of a test's own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::PATIENCE;

pub const USER: &str = "somebody";
pub const PASSWORD: &str = "hunter2";
/// The user's line of its password file.
const LINE: &str = "somebody:$2b$04$ODklOgPiFn5Ds55wTInE5OMLz6R9cpJvnsoh4PzwZCzgcjUpfz7UC";

/// An empty registry.
pub struct Registry {
    pub port: u16,
    process: Child,
    folder: tempfile::TempDir,
}

impl Registry {
    pub async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// One that only its user may use.
    pub async fn start_guarded() -> Self {
        Self::start_with(|folder| {
            let file = folder.join("htpasswd");
            std::fs::write(&file, LINE).unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        })
        .await
    }

    async fn start_with(auth: impl FnOnce(&std::path::Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().await;
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{}",
            folder.path().display(),
            auth(folder.path()),
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install docker-registry");
        let registry = Self { port, process, folder };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(began.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        registry
    }

    /// The name of an image here.
    pub fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// The same where nobody has to say who they are.
    pub fn push_open(&self, host: &str, source: &str, name: &str) -> String {
        let image = self.image(name);
        for arguments in [["tag", source, &image].as_slice(), &["push", &image], &["rmi", &image]] {
            let mut command = Command::new("docker");
            let output = command.args(["--host", host]).args(arguments).output();
            let output = output.expect("install docker.io");
            assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        }
        image
    }

    /// Pushes an image under a name, as the user, and takes that name from the engine again.
    pub fn push(&self, host: &str, source: &str, name: &str) -> String {
        let image = self.image(name);
        let own = self.folder.path().join("docker");
        let docker = |arguments: &[&str]| {
            let mut command = Command::new("docker");
            command.arg("--config").arg(&own).args(["--host", host]).args(arguments);
            let output = command.output().expect("install docker.io");
            assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        };
        docker(&["login", "--username", USER, "--password", PASSWORD, &self.image("")]);
        docker(&["tag", source, &image]);
        docker(&["push", "--quiet", &image]);
        docker(&["rmi", &image]);
        image
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
