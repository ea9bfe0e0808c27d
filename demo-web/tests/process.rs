//! The real process: every address, keep-alive, misbehaviour on request, and the way it leaves.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper fails by panicking, as the test itself does"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Bounds every wait of these tests; none of them needs it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Process {
    child: Child,
    log: BufReader<ChildStdout>,
    port: u16,
}

impl Process {
    fn start(variables: &[(&str, &str)]) -> Process {
        let mut process = Process::launch(variables);
        process.wait_until_it_listens();
        process
    }

    fn launch(variables: &[(&str, &str)]) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dugout-web"))
            .env_clear()
            .envs([("PORT", "0"), ("POD_NAME", "web-1"), ("VERSION", "7")])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        Process { child, log, port: 0 }
    }

    fn wait_until_it_listens(&mut self) {
        let line = self.next_log_line();
        self.port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    }

    fn next_log_line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    fn get(&self, target: &str) -> Reply {
        self.connect().ask("GET", target)
    }

    fn post(&self, target: &str) -> Reply {
        self.connect().ask("POST", target)
    }

    fn tell_to_stop(&self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process did not exit");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the process has seen the signal.
    fn wait_until_it_drains(&mut self) {
        assert!(self.next_log_line().contains("told to stop"));
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").status == 200 {
            assert!(Instant::now() < deadline, "it did not begin to drain");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn closes(&self) -> bool {
        self.head.contains("connection: close\r\n")
    }
}

impl Client {
    fn ask(&mut self, method: &str, target: &str) -> Reply {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: web\r\n\r\n"));
        self.read_reply(method)
    }

    fn send(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn read_reply(&mut self, method: &str) -> Reply {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.reader.read_line(&mut head).unwrap(), 0, "ended after {head:?}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.reader.read_exact(&mut body).unwrap();
        let status = head[9..12].parse().unwrap();
        Reply { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn is_at_its_end(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0))
    }
}

#[test]
fn every_address_answers() {
    let process = Process::start(&[("PAGE_TITLE", "Hello <you>"), ("GREETING", "Hi")]);
    let page = process.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"));
    for part in ["Hello &lt;you&gt;", "Hi", ">7<", "web-1"] {
        assert!(page.body.contains(part), "{part} is not in {}", page.body);
    }
    assert_eq!(process.get("/version").body, "7\n");
    assert_eq!(process.get("/pod").body, "web-1\n");
    assert_eq!(process.get("/healthz").status, 200);
    assert_eq!(process.get("/readyz").status, 200);
    assert_eq!(process.get("/nothing").status, 404);
    assert_eq!(process.post("/version").status, 405);
    assert_eq!(process.get("/slow?seconds=0").status, 200);
    let metrics = process.get("/metrics").body;
    assert!(metrics.contains("dugout_web_requests_total{code=\"2xx\"} 6\n"), "{metrics}");
    assert!(metrics.contains("dugout_web_requests_total{code=\"4xx\"} 2\n"), "{metrics}");
}

#[test]
fn checks_are_told_to_fail_and_to_recover() {
    let process = Process::start(&[("FAIL_READY", "1")]);
    assert_eq!(process.get("/readyz").status, 503);
    assert_eq!(process.post("/recover/readyz").status, 200);
    assert_eq!(process.get("/readyz").status, 200);
    assert_eq!(process.post("/fail/healthz").status, 200);
    assert_eq!(process.get("/healthz").status, 503);
}

#[test]
fn a_connection_serves_many_requests_of_every_framing() {
    let process = Process::start(&[]);
    let mut client = process.connect();
    assert_eq!(client.ask("HEAD", "/").status, 200);
    for _ in 0..50 {
        assert_eq!(client.ask("GET", "/version").body, "7\n");
    }
    client.send("POST /fail/readyz HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: w\r\n\r\n");
    assert_eq!(client.read_reply("POST").status, 200);
    assert_eq!(client.read_reply("GET").status, 503);
    client.send("POST /recover/readyz HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\n");
    client.send("Content-Length: 2\r\n\r\n");
    assert_eq!(client.read_reply("POST").status, 100);
    client.send("ok");
    assert_eq!(client.read_reply("POST").status, 200);
    client.send("GET /readyz HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
    assert!(client.read_reply("GET").closes());
    assert!(client.is_at_its_end());
}

#[test]
fn nonsense_is_refused_and_harms_nobody_else() {
    let process = Process::start(&[]);
    let mut client = process.connect();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.read_reply("GET").status, 400);
    assert!(client.is_at_its_end());
    let mut client = process.connect();
    client.send(&format!("GET / HTTP/1.1\r\nHost: w\r\nX: {}\r\n\r\n", "a".repeat(20_000)));
    assert_eq!(client.read_reply("GET").status, 431);
    assert_eq!(process.get("/version").status, 200);
}

#[test]
fn it_exits_with_the_code_that_was_asked_for() {
    let mut process = Process::start(&[]);
    assert_eq!(process.post("/exit?code=256").status, 400);
    let reply = process.post("/exit?code=42");
    assert!(reply.status == 200 && reply.closes());
    assert_eq!(process.wait().code(), Some(42));
}

#[test]
fn it_exits_by_itself_when_its_lifetime_is_bounded() {
    let mut process = Process::start(&[("EXIT_AFTER_SECONDS", "1")]);
    assert_eq!(process.wait().code(), Some(1));
}

#[test]
fn a_setting_that_means_nothing_stops_it_with_a_sentence() {
    let output = Command::new(env!("CARGO_BIN_EXE_dugout-web"))
        .env_clear()
        .env("PORT", "many")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("PORT=\"many\""));
}

#[test]
fn told_to_stop_with_nobody_there_it_exits_at_once() {
    let mut process = Process::start(&[("DRAIN_SECONDS", "3600")]);
    process.tell_to_stop();
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn told_to_stop_before_it_listens_it_exits_at_once() {
    let mut process = Process::launch(&[("START_DELAY_SECONDS", "3600")]);
    assert!(process.next_log_line().contains("waits 3600 s"));
    process.tell_to_stop();
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn while_it_drains_it_serves_the_old_and_the_new_and_ends_each_connection_with_an_answer() {
    let mut process = Process::start(&[("DRAIN_SECONDS", "3600")]);
    let mut idle = process.connect();
    assert!(!idle.ask("GET", "/version").closes());
    let mut slow = process.connect();
    slow.send("GET /slow?seconds=2 HTTP/1.1\r\nHost: w\r\n\r\n");
    process.tell_to_stop();
    process.wait_until_it_drains();

    let kept = idle.ask("GET", "/version");
    assert!(kept.status == 200 && kept.closes());
    assert!(idle.is_at_its_end());
    let late = process.get("/version");
    assert!(late.status == 200 && late.closes());
    let answer = slow.read_reply("GET");
    assert!(answer.status == 200 && answer.closes());
    assert!(slow.is_at_its_end());
    drop((idle, slow));
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn an_unused_connection_does_not_hold_a_drain_for_long() {
    let mut process = Process::start(&[("DRAIN_SECONDS", "3600")]);
    let mut idle = process.connect();
    assert!(!idle.ask("GET", "/version").closes());
    process.tell_to_stop();
    assert!(idle.is_at_its_end());
    drop(idle);
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let mut process = Process::start(&[("DRAIN_SECONDS", "1")]);
    let mut slow = process.connect();
    slow.send("GET /slow?seconds=300 HTTP/1.1\r\nHost: w\r\n\r\n");
    // The next answer comes from a process that has the slow request's connection.
    assert_eq!(process.get("/version").status, 200);
    process.tell_to_stop();
    assert_eq!(process.wait().code(), Some(0));
}
