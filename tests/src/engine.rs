//! A bare client of the container engine's API: the floor that the benchmark compares with. It does
//! what any client must do, and nothing more.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

/// The socket of the engine that `DOCKER_HOST` names, as for the command line beside it.
fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned()
}

/// The body of a request that makes a container.
#[derive(Clone, Debug)]
pub struct Recipe(Value);

/// One kept connection to the engine.
pub struct Engine {
    stream: BufReader<UnixStream>,
}

impl Engine {
    pub fn connect() -> Self {
        let stream = UnixStream::connect(socket()).expect("the engine answers; run `make setup`");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout can be set");
        Self { stream: BufReader::new(stream) }
    }

    /// What it takes to make a container like a given one, its labels left out.
    pub fn recipe_of(&mut self, id: &str) -> Recipe {
        let found = self.call("GET", &format!("/containers/{id}/json"), None);
        let mut body = found["Config"].clone();
        body["Labels"] = json!({"dugout-bench": "raw"});
        body["HostConfig"] = found["HostConfig"].clone();
        Recipe(body)
    }

    /// Creates and starts a container; returns its id.
    pub fn create_and_start(&mut self, recipe: &Recipe) -> String {
        let created = self.call("POST", "/containers/create", Some(&recipe.0));
        let id = created["Id"].as_str().expect("the engine made a container").to_owned();
        self.call("POST", &format!("/containers/{id}/start"), None);
        id
    }

    /// Kills a container and starts it again.
    pub fn restart(&mut self, id: &str) {
        self.call("POST", &format!("/containers/{id}/restart?t=0"), None);
    }

    /// The first process of a container that runs.
    pub fn process_of(&mut self, id: &str) -> u32 {
        let found = self.call("GET", &format!("/containers/{id}/json"), None);
        let id = found["State"]["Pid"].as_u64().and_then(|id| u32::try_from(id).ok());
        id.filter(|id| *id > 0).expect("the container runs")
    }

    pub fn remove(&mut self, id: &str) {
        self.call("DELETE", &format!("/containers/{id}?force=1"), None);
    }

    /// One request; the answer must be good.
    fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the engine listens");
        let (status, body) = self.read_answer();
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&body)
        );
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    fn read_answer(&mut self) -> (u16, Vec<u8>) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the engine answers");
        let status = line.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header).expect("the engine answers");
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => chunked = true,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if chunked {
            body = self.read_chunks();
        } else {
            self.stream.read_exact(&mut body).expect("the engine answers");
        }
        (status, body)
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.stream.read_line(&mut size).expect("the engine answers");
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).expect("the engine answers");
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
}

/// The engine's stream of container starts, as moments of the wall clock.
pub struct Starts {
    stream: BufReader<UnixStream>,
}

/// A container that started.
pub struct Start {
    /// Nanoseconds since the Unix epoch.
    pub at_nanos: i128,
    pub id: String,
    pub namespace: Option<String>,
}

impl Starts {
    pub fn follow() -> Self {
        let mut stream =
            UnixStream::connect(socket()).expect("the engine answers; run `make setup`");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout can be set");
        // The filter is {"type":["container"],"event":["start"]}.
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%5D%7D";
        let request = format!("GET /events?filters={filters} HTTP/1.1\r\nHost: engine\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the engine listens");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while line.trim() != "" || line.is_empty() {
            line.clear();
            stream.read_line(&mut line).expect("the engine answers");
        }
        Self { stream }
    }

    /// The next start of a container.
    pub fn wait(&mut self) -> Start {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a container starts in time");
            let Ok(event) = serde_json::from_str::<Value>(line.trim()) else { continue };
            let Some(at_nanos) = event["timeNano"].as_i64() else { continue };
            let namespace = event["Actor"]["Attributes"]["dev.dugout.namespace"].as_str();
            return Start {
                at_nanos: at_nanos.into(),
                id: event["Actor"]["ID"].as_str().unwrap_or_default().to_owned(),
                namespace: namespace.map(str::to_owned),
            };
        }
    }
}
