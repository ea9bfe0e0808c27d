//! Servers and agents as processes of their own, end to end: joining, applying, and a standby that
//! takes over behind the same address.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dugout_tests::balancer::Balancer;
use dugout_tests::http;
use dugout_tests::load::Visitors;
use dugout_tests::postgres::Postgres;
use dugout_tests::rig::{Rig, docker, dugout, free_port, signal};

/// A `dugout server` or `dugout agent`, which ends with the test.
struct Process {
    child: Child,
    data_dir: PathBuf,
}

impl Process {
    fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        let log = File::create(data_dir.with_extension("log")).expect("a log can be made");
        let child = Command::new(dugout())
            .args(arguments)
            .arg("--data-dir")
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dugout can be started");
        Self { child, data_dir: data_dir.to_owned() }
    }

    fn server(rig: &Rig, postgres: &Postgres, data_dir: &Path, port: u16) -> Self {
        let (repository, url) = (rig.repository.path.to_string_lossy(), postgres.url());
        let listen = format!("127.0.0.1:{port}");
        let of_server = ["server", "--repo", &repository, "--postgres-url", &url];
        let more = ["--listen", &listen, "--node-timeout", "5s"];
        Self::start(data_dir, &[&of_server[..], &more].concat())
    }

    fn agent(rig: &Rig, name: &str, token: &str) -> Self {
        let url = rig.url("");
        let arguments = ["agent", "--server", &url, "--token", token, "--name", name];
        Self::start(&rig.folder().join(name), &arguments)
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data_dir.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.data_dir.display(), self.log());
        }
    }
}

/// Removes what the agents, which leave their containers running, have made.
struct Containers<'a>(&'a str);

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        let filter = format!("label=dev.dugout.namespace={}", self.0);
        let containers = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        for id in containers.lines() {
            docker(&["rm", "--force", id]);
        }
    }
}

#[test]
fn a_standby_takes_over_from_a_killed_leader_and_at_once_from_one_that_stops() {
    let mut rig = Rig::without_commit("server");
    let namespace = rig.application.namespace.clone();
    let _containers = Containers(&namespace);
    let postgres = Postgres::start();
    let ports = [free_port(), free_port()];
    let _balancer = Balancer::start(rig.port, ports.to_vec());
    let first_dir = rig.data_dir();
    let second_dir = rig.folder().join("standby");
    let client = http::client(false);
    let ready = |port: u16| http::text(&client, &format!("http://127.0.0.1:{port}/readyz"));

    let mut leader = Process::server(&rig, &postgres, &first_dir, ports[0]);
    rig.wait_for("the first server leads", |_| ready(ports[0]).is_some());
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let _agents = ["east", "west"].map(|name| Process::agent(&rig, name, &token));
    rig.wait_for("both nodes are ready", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().filter(|line| line.contains(" Ready ")).count() == 2
    });
    let first = rig.commit_application("Start");
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);
    assert_eq!(nodes_in_use(&rig), ["east", "west"]);

    // Operators have one token, whichever server answers.
    fs::create_dir(&second_dir).expect("the folder can be made");
    fs::copy(first_dir.join("operator.token"), second_dir.join("operator.token"))
        .expect("the token can be copied");
    let mut standby = Process::server(&rig, &postgres, &second_dir, ports[1]);
    let leader_address = format!("127.0.0.1:{}", ports[0]);
    rig.wait_for("the second server stands by and says who leads", |_| {
        said_by_standby(&client, ports[1]).is_some_and(|said| said.contains(&leader_address))
    });

    let before = rig.containers();
    let visitors = Visitors::start(rig.application.node_port);
    leader.kill();
    rig.wait_for("the standby leads", |_| ready(ports[1]).is_some());
    rig.application.image = "dugout-web:1.1".to_owned();
    let second = rig.commit_application("After the takeover");
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(2);
    assert!(rig.containers().iter().all(|id| !before.contains(id)));
    let visits = visitors.finish();
    assert!(visits.failures.is_empty(), "{visits:?}");

    let before = rig.containers();
    let mut back = Process::server(&rig, &postgres, &first_dir, ports[0]);
    rig.wait_for("the first server is back and stands by", |_| {
        said_by_standby(&client, ports[0]).is_some()
    });
    signal(standby.child.id(), rustix::process::Signal::TERM);
    let stopped_at = Instant::now();
    rig.wait_for("the first server leads again", |_| ready(ports[0]).is_some());
    let waited = stopped_at.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    assert!(standby.child.wait().expect("it ends").success());
    assert_eq!(rig.containers(), before, "nothing was restarted");
    back.kill();
}

/// A `dugout up` in the background, which ends with the test however that ends.
struct Detached<'a>(&'a Path);

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        let down =
            Command::new(dugout()).args(["down", "--purge", "--data-dir"]).arg(self.0).status();
        if !down.is_ok_and(|status| status.success()) {
            eprintln!("{} may still run", self.0.display());
        }
    }
}

#[test]
fn an_up_that_stands_by_says_who_leads_and_its_down_takes_nothing_from_the_leader() {
    let mut rig = Rig::new("standby");
    let postgres = Postgres::start();
    let first = rig.repository.head();
    let url = postgres.url();
    rig.up(&["--postgres-url", &url, "--node-name", "leader"]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);
    let before = rig.containers();

    let (folder, repository) = (rig.folder().join("second"), rig.repository.path.clone());
    let (data, repository) = (folder.to_string_lossy(), repository.to_string_lossy());
    let listen = format!("127.0.0.1:{}", free_port());
    let of_second = ["--data-dir", &data, "--listen", &listen, "--node-name", "second"];
    let up = ["up", "--detach", "--repo", &repository, "--postgres-url", &url];
    let _ended = Detached(&folder);
    let started = Instant::now();
    let output = rig.dugout(&[&up[..], &of_second].concat());
    let waited = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let leader = format!("process {}, 127.0.0.1:{}", rig.process_id(), rig.port);
    for words in ["another server leads", &leader, "stands by and takes over", "--postgres-url"] {
        assert!(said.contains(words), "no {words:?}: {said}");
    }
    // Not at once: after a crash the database takes a moment to see that the leader is gone.
    assert!(waited >= Duration::from_secs(20), "{waited:?}");

    let said = rig.dugout_ok(&["down", "--purge", "--data-dir", &data]);
    assert!(said.contains("Stopped the control plane"), "{said}");
    assert!(!folder.exists());
    assert_eq!(rig.containers(), before, "the leader's containers stay");
    rig.application.replicas = 3;
    let second = rig.commit_application("Three");
    rig.wait_for_verdict(&second, "healthy");
    rig.wait_for_ready(3);
}

/// What a server that does not lead says instead of being ready.
fn said_by_standby(client: &http::Client, port: u16) -> Option<String> {
    let answer = client.get(format!("http://127.0.0.1:{port}/readyz")).send().ok()?;
    let refused = answer.status() == 503;
    let said = answer.text().ok()?;
    (refused && said.contains("stands by")).then_some(said)
}

/// The nodes that run a pod, sorted.
fn nodes_in_use(rig: &Rig) -> Vec<String> {
    let of = |pod: &serde_json::Value| pod["spec"]["nodeName"].as_str().map(str::to_owned);
    rig.pods().iter().filter_map(of).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn down_removes_what_its_node_ran_in_a_former_cluster_too() {
    let postgres = Postgres::start();
    let mut rig = Rig::new("former");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let former = rig.containers();
    assert!(rig.interrupt());
    // Another database is another cluster.
    let url = postgres.url();
    rig.up(&["--postgres-url", &url]);
    rig.wait_for("the new cluster's containers run", |rig| {
        let all = rig.containers();
        former.iter().all(|id| all.contains(id)) && all.len() == 2 * former.len()
    });
    rig.wait_for_verdict(&first, "healthy");
    rig.dugout_ok(&["down", "--data-dir", &rig.data_dir().to_string_lossy()]);
    assert_eq!(rig.containers(), Vec::<String>::new());
}
