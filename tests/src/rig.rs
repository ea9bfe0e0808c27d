//! One running Dugout of a test: its own data directory, ports, repository and labels, and nothing of
//! it left when the test ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::application::Application;
use crate::http;
use crate::repository::Repository;

/// How long a test waits for something that must happen. Generous: it only bounds a failure.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often a test looks again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A Dugout with its repository.
pub struct Rig {
    folder: TempDir,
    pub repository: Repository,
    pub application: Application,
    pub port: u16,
    process: Option<Child>,
    http: http::Client,
    /// Keeps no connection, as a kept one stays with its pod until that has left.
    visitor: http::Client,
}

impl Rig {
    /// Makes the repository with the application committed; nothing runs yet.
    pub fn new(name: &str) -> Self {
        let rig = Self::without_commit(name);
        rig.commit_application("Start");
        rig
    }

    /// As [`Rig::new`], with an empty repository.
    pub fn without_commit(name: &str) -> Self {
        crate::images::ensure();
        let folder = tempfile::Builder::new()
            .prefix(&format!("dugout-{name}-"))
            .tempdir()
            .expect("a temporary folder can be made");
        // The private PostgreSQL runs as another user and must be able to enter.
        open_to_all(folder.path());
        let repository = Repository::create(&folder.path().join("repository"));
        Self {
            application: Application::new(name, free_node_port()),
            folder,
            repository,
            port: free_port(),
            process: None,
            http: http::client(true),
            visitor: http::client(false),
        }
    }

    /// Writes the application's manifests and commits them; returns the commit's id.
    pub fn commit_application(&self, message: &str) -> String {
        self.repository.write("apps/web.yaml", &self.application.manifests());
        self.repository.commit(message)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts `dugout up` on the repository, with more arguments, and waits until it answers.
    pub fn up(&mut self, more: &[&str]) {
        let repository = self.repository.path.to_string_lossy().into_owned();
        let mut arguments = vec!["--repo", &repository];
        arguments.extend(more);
        self.up_with(&arguments);
    }

    /// Starts `dugout up` with these arguments beside the rig's own data directory and port.
    pub fn up_with(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "it runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("the log can be written");
        let errors = log.try_clone().expect("the log can be shared");
        let child = Command::new(dugout())
            .arg("up")
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("dugout can be started");
        self.process = Some(child);
        self.wait_for("the server answers", |rig| rig.try_get("/readyz").is_some());
    }

    /// SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("the process can be killed");
            child.wait().expect("the process ends");
        }
    }

    /// SIGINT, as Ctrl-C; waits until the process has ended and returns whether it ended well.
    pub fn interrupt(&mut self) -> bool {
        self.end_with(rustix::process::Signal::INT)
    }

    /// SIGHUP, as when the terminal is closed; waits as [`Rig::interrupt`].
    pub fn hang_up(&mut self) -> bool {
        self.end_with(rustix::process::Signal::HUP)
    }

    fn end_with(&mut self, kind: rustix::process::Signal) -> bool {
        let mut child = self.process.take().expect("it runs");
        signal(child.id(), kind);
        let status = child.wait().expect("the process ends");
        if !status.success() {
            eprintln!("dugout up ended with {status} after {kind:?}:\n{}", self.printed());
        }
        status.success()
    }

    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("the process can be watched").is_none())
    }

    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("up.log")
    }

    /// What `dugout up` printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Runs a client command against this server.
    pub fn dugout(&self, arguments: &[&str]) -> Output {
        Command::new(dugout())
            .args(arguments)
            .env("DUGOUT_SERVER", self.url(""))
            .env("DUGOUT_TOKEN_FILE", self.data_dir().join("operator.token"))
            // What a person of this machine told their programs is not the test's.
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .output()
            .expect("dugout can be run")
    }

    /// As [`Rig::dugout`], which must succeed; returns what it printed.
    pub fn dugout_ok(&self, arguments: &[&str]) -> String {
        let output = self.dugout(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "dugout {arguments:?} failed:\n{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn try_get(&self, path: &str) -> Option<String> {
        http::text(&self.http, &self.url(path))
    }

    /// A JSON answer of the API.
    pub fn get(&self, path: &str) -> Value {
        let text = self.try_get(path).unwrap_or_else(|| panic!("{path} does not answer"));
        serde_json::from_str(&text).expect("the API answers with JSON")
    }

    /// What the application answers through its node port.
    pub fn visit(&self, path: &str) -> Option<String> {
        http::text(&self.visitor, &format!("http://127.0.0.1:{}{path}", self.application.node_port))
    }

    /// The items of a list; none while the server does not answer.
    pub fn items(&self, path: &str) -> Vec<Value> {
        let Some(text) = self.try_get(path) else { return Vec::new() };
        let list: Value = serde_json::from_str(&text).expect("the API answers with JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub fn pods(&self) -> Vec<Value> {
        self.items(&format!("/api/v1/namespaces/{}/pods", self.application.namespace))
    }

    /// Waits until a predicate holds; fails with everything that helps to see why not.
    pub fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&Rig) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            let ended = self.process.is_some() && !self.is_running();
            if ended || started.elapsed() > PATIENCE {
                let why = if ended { "dugout ended" } else { "it did not happen in time" };
                panic!("waiting until {what}: {why}\n{}", self.story());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until the release of a commit has a verdict.
    pub fn wait_for_verdict(&mut self, sha: &str, verdict: &str) {
        self.wait_for(&format!("commit {} is {verdict}", &sha[..8]), |rig| {
            rig.release(sha).is_some_and(|release| release["status"]["verdict"] == verdict)
        });
    }

    pub fn release(&self, sha: &str) -> Option<Value> {
        self.items("/apis/dugout.dev/v1/releases")
            .into_iter()
            .find(|release| release["spec"]["sha"] == sha)
    }

    /// Waits until exactly this many pods are there, all ready.
    pub fn wait_for_ready(&mut self, count: usize) {
        self.wait_for(&format!("{count} pods are ready and no others are left"), |rig| {
            let pods = rig.pods();
            pods.len() == count && pods.iter().all(is_ready)
        });
    }

    /// The engine's ids of this test's running containers, sorted.
    pub fn containers(&self) -> Vec<String> {
        let filter = format!("label=dev.dugout.namespace={}", self.application.namespace);
        let mut ids: Vec<String> = docker(&["ps", "--no-trunc", "--quiet", "--filter", &filter])
            .lines()
            .map(str::to_owned)
            .collect();
        ids.sort();
        ids
    }

    /// Everything that helps a person to see what went wrong.
    fn story(&self) -> String {
        let mut story = format!("--- up printed:\n{}\n", self.printed());
        for arguments in [&["status"][..], &["events"], &["timeline"], &["get", "pods", "-A"]] {
            let output = self.dugout(arguments);
            story += &format!(
                "--- dugout {}:\n{}{}\n",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let log = fs::read_to_string(self.data_dir().join("dugout.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        story += "--- end of the log:\n";
        for line in tail.into_iter().rev() {
            story += line;
            story.push('\n');
        }
        story
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
        let output = Command::new(dugout())
            .args(["down", "--purge", "--data-dir"])
            .arg(self.data_dir())
            .output()
            .expect("dugout can be run");
        if !output.status.success() && !std::thread::panicking() {
            panic!("dugout down failed: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Whether the API calls a pod ready.
pub fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
}

/// The program under test: `DUGOUT_BIN`, else beside the test programs.
pub fn dugout() -> PathBuf {
    program("DUGOUT_BIN", "dugout")
}

/// A program that was built before the tests.
pub fn program(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test has a path");
    own.ancestors()
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not built; run `make build`, or set {variable}"))
}

/// Runs the Docker client; a failure fails the test.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("docker can be run; run `make setup`");
    assert!(
        output.status.success(),
        "docker {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn signal(process_id: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(process_id).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a sound process id"), signal)
        .expect("the process can be signalled");
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

/// A node port that no other test of this machine uses: claimed by a file that names it.
pub fn free_node_port() -> u16 {
    let claims = std::env::temp_dir().join("dugout-test-node-ports");
    fs::create_dir_all(&claims).expect("the claims' folder can be made");
    let first = 30_100 + u16::try_from(std::process::id() % 2_000).expect("small");
    for offset in 0..2_500 {
        let port = 30_100 + (first - 30_100 + offset) % 2_600;
        let claim = claims.join(port.to_string());
        let fresh = fs::metadata(&claim)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(600)));
        if fresh {
            continue;
        }
        let _ = fs::remove_file(&claim);
        if File::create_new(&claim).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no node port is free");
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions can be set");
}
