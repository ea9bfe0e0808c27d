//! An SSH server of our own on a free port, with its own keys.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub struct Sshd {
    pub port: u16,
    /// A client key that is let in.
    pub key: PathBuf,
    /// A client key that is not.
    pub other_key: PathBuf,
    /// Names the server's true key.
    pub known_hosts: PathBuf,
    pub folder: TempDir,
    child: Child,
}

impl Sshd {
    pub fn start() -> Sshd {
        Sshd::start_with("")
    }

    /// With more lines for its configuration.
    pub fn start_with(more: &str) -> Sshd {
        let folder = tempfile::tempdir().unwrap();
        let host_key = make_key(folder.path(), "host");
        let key = make_key(folder.path(), "client");
        let other_key = make_key(folder.path(), "stranger");
        let allowed = folder.path().join("authorized_keys");
        std::fs::copy(key.with_extension("pub"), &allowed).unwrap();
        std::fs::set_permissions(&allowed, PermissionsExt::from_mode(0o600)).unwrap();
        // The folder that Debian's build wants; it is there when the service ever ran.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nAcceptEnv *\nSetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory \
             GIT_CONFIG_VALUE_0=*\n{more}",
            host_key.display(),
            allowed.display()
        );
        let config = folder.path().join("sshd_config");
        std::fs::write(&config, settings).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stderr(Stdio::from(std::fs::File::create(folder.path().join("log")).unwrap()))
            .spawn()
            .expect("install openssh-server: the tests need /usr/sbin/sshd");
        let public = std::fs::read_to_string(host_key.with_extension("pub")).unwrap();
        let known_hosts = folder.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {public}")).unwrap();
        let server = Sshd { port, key, other_key, known_hosts, folder, child };
        server.wait();
        server
    }

    pub fn url(&self, path: &Path) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, path.display())
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        panic!("sshd does not listen: {log}");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn make_key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path)
        .status()
        .expect("install openssh-client: the tests need ssh-keygen");
    assert!(status.success());
    path
}
