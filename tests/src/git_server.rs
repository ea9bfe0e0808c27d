//! A Git server of a test: smart HTTP in front of `git http-backend`, on a free port of the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Serves every bare repository below a folder, until dropped.
pub struct GitServer {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One request, as CGI needs it.
struct Request {
    method: String,
    path: String,
    query: String,
    content_type: String,
    git_protocol: String,
    encoding: String,
    body: Vec<u8>,
}

impl GitServer {
    pub fn start(root: &Path) -> Self {
        Self::start_on(root, 0)
    }

    /// On a given port, to come back where a server was before.
    pub fn start_on(root: &Path, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, root) = (Arc::clone(&stop), root.to_owned());
        let thread = std::thread::spawn(move || serve(&listener, &root, &stopped));
        Self { port, stop, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/{repository}", self.port)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, root: &Path, stop: &Arc<AtomicBool>) {
    for connection in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let (root, stop) = (root.to_owned(), Arc::clone(stop));
        std::thread::spawn(move || {
            // A client that goes away in the middle is its own affair.
            let _ = answer_all(connection, &root, &stop);
        });
    }
}

/// Answers request after request, as servers do, until the client goes away or the server is dropped.
fn answer_all(connection: TcpStream, root: &Path, stop: &AtomicBool) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader)? {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let output = run_backend(&request, root)?;
        reader.get_mut().write_all(&response(&output))?;
    }
    Ok(())
}

/// What the backend wrote, as HTTP has it.
fn response(output: &[u8]) -> Vec<u8> {
    let split = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or(output.len().saturating_sub(4));
    let (head, body) = output.split_at(split);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let mut response = format!("HTTP/1.1 {status}\r\n");
    for line in head.lines().filter(|line| !line.starts_with("Status: ") && !line.is_empty()) {
        response.push_str(&format!("{line}\r\n"));
    }
    let body = body.get(4..).unwrap_or_default();
    response.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [response.as_bytes(), body].concat()
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        content_type: String::new(),
        git_protocol: String::new(),
        encoding: String::new(),
        body: Vec::new(),
    };
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => request.content_type = value,
            "git-protocol" => request.git_protocol = value,
            "content-encoding" => request.encoding = value,
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    if chunked {
        read_chunks(reader, &mut request.body)?;
    } else {
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn run_backend(request: &Request, root: &Path) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "tester")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", &request.content_type)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", &request.encoding)
        .env("GIT_PROTOCOL", &request.git_protocol)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().expect("standard input is piped");
    let body = request.body.clone();
    let writer = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output()?;
    let _ = writer.join();
    Ok(output.stdout)
}

/// Makes a bare repository that accepts pushes; returns its path.
pub fn bare_repository(root: &Path, name: &str) -> PathBuf {
    let path = root.join(name);
    let status = Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main"])
        .arg(&path)
        .status()
        .expect("git can be run; install git");
    assert!(status.success(), "the bare repository can be made");
    let status = Command::new("git")
        .arg("-C")
        .arg(&path)
        .args(["config", "http.receivepack", "true"])
        .status()
        .expect("git can be run; install git");
    assert!(status.success(), "the bare repository can be configured");
    path
}
