//! A small HTTP server in front of `git http-backend`, with an optional password or over TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub struct GitHttp {
    pub address: SocketAddr,
    scheme: &'static str,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl GitHttp {
    /// Serves every repository under a folder. `basic` is what `Authorization: Basic` must carry.
    pub fn serve(root: &Path, basic: Option<&'static str>) -> GitHttp {
        Self::start("http", root, move |stream, root| {
            answer(&mut BufReader::new(stream), root, basic, "close");
        })
    }

    /// As servers do in earnest: many requests over one connection.
    pub fn serve_kept(root: &Path, basic: Option<&'static str>) -> GitHttp {
        Self::start("http", root, move |stream, root| {
            let mut stream = BufReader::new(stream);
            while answer(&mut stream, root, basic, "keep-alive").is_some() {}
        })
    }

    /// Over TLS, with this certificate.
    pub fn serve_tls(root: &Path, certificate: ServerConfig) -> GitHttp {
        let certificate = Arc::new(certificate);
        Self::start("https", root, move |stream, root| {
            let session = ServerConnection::new(Arc::clone(&certificate)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            answer(&mut BufReader::new(&mut stream), root, None, "close");
            stream.conn.send_close_notify();
            // A client that does not trust us has gone by now.
            let _ = stream.flush();
        })
    }

    fn start(
        scheme: &'static str,
        root: &Path,
        serve: impl Fn(TcpStream, &PathBuf) + Clone + Send + 'static,
    ) -> GitHttp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (stopped, root) = (Arc::clone(&stop), root.to_owned());
        let counted = Arc::clone(&connections);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let (root, serve) = (root.clone(), serve.clone());
                thread::spawn(move || serve(stream.unwrap(), &root));
            }
        });
        GitHttp { address, scheme, stop, connections, thread: Some(thread) }
    }

    /// How many there were so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self, repository: &str) -> String {
        format!("{}://{}/{repository}", self.scheme, self.address)
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers one request; none when there is no further one.
fn answer(
    stream: &mut BufReader<impl Read + Write>,
    root: &PathBuf,
    basic: Option<&str>,
    connection: &str,
) -> Option<()> {
    let request = read_request(stream)?;
    let stream = stream.get_mut();
    let expected = basic.map(|value| format!("Basic {value}"));
    if expected.is_some() && header(&request, "authorization") != expected.as_deref() {
        let text = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n\
             Content-Length: 0\r\nConnection: {connection}\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).ok()?;
        return Some(());
    }
    let output = run_backend(&request, root);
    let end = output.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = &output[end + 4..];
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

fn run_backend(request: &Request, root: &PathBuf) -> Vec<u8> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = Command::new("git")
        .args(["-c", "safe.directory=*", "-c", "http.receivepack=true", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REMOTE_USER", "ann")
        .env("CONTENT_TYPE", header(request, "content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let body = request.body.clone();
    let writer = thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().unwrap().stdout;
    let _ = writer.join().unwrap();
    output
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if header(&request, "transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else {
        let length = header(&request, "content-length").map_or(0, |text| text.parse().unwrap());
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Gives every caller the same answer.
pub fn answer_with(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

/// Gives every caller the same answer, and keeps what each one sent as its `Authorization`.
pub fn answer_recording(answer: String) -> (SocketAddr, Arc<Mutex<Vec<Option<String>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&recorded);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let Some(request) = read_request(&mut stream) else { continue };
            record.lock().unwrap().push(header(&request, "authorization").map(str::to_owned));
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    (address, recorded)
}

/// A Git server whose every answer is changed on its way.
pub fn altered(root: &Path, alter: impl Fn(&mut Vec<u8>) + Send + 'static) -> SocketAddr {
    let server = GitHttp::serve(root, None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        // Whole, so that it lives as long.
        let server = &server;
        for stream in listener.incoming() {
            let (mut near, mut far) =
                (stream.unwrap(), TcpStream::connect(server.address).unwrap());
            let (mut up_from, mut up_to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
            let mut answer = Vec::new();
            let _ = far.read_to_end(&mut answer);
            alter(&mut answer);
            let _ = near.write_all(&answer);
            let _ = near.shutdown(std::net::Shutdown::Both);
        }
    });
    address
}
