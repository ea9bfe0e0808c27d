//! One try of one probe.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{
    Container, EnvValue, HttpGetAction, HttpScheme, PortRef, Probe, ProbeAction, Timestamp, chain,
};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::grpc;
use crate::runtime::{ContainerRuntime, ExecOutcome};
use crate::tls;

/// What Kubernetes' probes call themselves; some servers answer it in a special way.
const AGENT: &str = concat!("kube-probe/dugout-", env!("CARGO_PKG_VERSION"));

/// What is probed.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    pub container_id: String,
    /// Of the run of the container that is probed: it may be restarted.
    pub started_at: Timestamp,
    pub address: Option<IpAddr>,
    /// The ports by name.
    pub ports: Vec<(String, u16)>,
}

impl ProbeTarget {
    pub fn new(
        id: &str,
        started_at: Timestamp,
        address: Option<IpAddr>,
        container: &Container<EnvValue>,
    ) -> Self {
        let ports = container.ports.iter().map(|port| (port.name.clone(), port.container_port));
        Self { container_id: id.to_owned(), started_at, address, ports: ports.collect() }
    }

    fn port(&self, port: &PortRef) -> Result<u16, String> {
        match port {
            PortRef::Number(number) => Ok(*number),
            PortRef::Name(name) => self
                .ports
                .iter()
                .find(|(candidate, _)| candidate == name)
                .map(|(_, number)| *number)
                .ok_or_else(|| format!("the container has no port named {name:?}")),
        }
    }

    fn host(&self, host: Option<&String>) -> Result<String, String> {
        match (host, self.address) {
            (Some(host), _) => Ok(host.clone()),
            (None, Some(address)) => Ok(address.to_string()),
            (None, None) => Err("the pod has no address".to_owned()),
        }
    }
}

/// Tries once, within the probe's timeout. The error is what to tell people.
pub async fn try_probe<R: ContainerRuntime>(
    runtime: &R,
    target: &ProbeTarget,
    probe: &Probe,
) -> Result<(), String> {
    let timeout = probe.timeout;
    let in_time = match &probe.action {
        ProbeAction::Exec { command } => {
            // It has the same deadline itself, and must not be dropped while it ends what is late.
            return exec(runtime, &target.container_id, command, timeout).await;
        }
        ProbeAction::TcpSocket { host, port } => {
            let (host, port) = (target.host(host.as_ref())?, target.port(port)?);
            tokio::time::timeout(timeout, async { connect(&host, port).await.map(drop) }).await
        }
        ProbeAction::HttpGet(action) => {
            let ask = HttpAsk::new(target, action, AGENT)?;
            tokio::time::timeout(timeout, ask.run()).await
        }
        ProbeAction::Grpc { port, service } => {
            let host = target.host(None)?;
            tokio::time::timeout(timeout, grpc::check(&host, *port, service, AGENT)).await
        }
    };
    in_time.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs_f64())))
}

/// Runs a command; the error is what to tell people, also where it does not end with code 0.
async fn exec<R: ContainerRuntime>(
    runtime: &R,
    id: &str,
    command: &[String],
    timeout: Duration,
) -> Result<(), String> {
    let outcome = run_command(runtime, id, command, timeout).await?;
    if outcome.exit_code == 0 {
        return Ok(());
    }
    let output: String = outcome.output.trim().chars().take(256).collect();
    Err(format!("the command ended with code {}: {output}", outcome.exit_code))
}

/// Runs a command in a container to its end.
async fn run_command<R: ContainerRuntime>(
    runtime: &R,
    id: &str,
    command: &[String],
    timeout: Duration,
) -> Result<ExecOutcome, String> {
    match runtime.exec(id, command, timeout).await {
        Err(error) if error.is_deadline() => {
            Err(format!("the command did not end within {} s", timeout.as_secs_f64()))
        }
        other => other.map_err(|error| chain(&error)),
    }
}

pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let connection = TcpStream::connect((host, port)).await;
    connection.map_err(|error| format!("{host}:{port}: {error}"))
}

/// One request, asked for once.
pub(crate) struct HttpAsk<'a> {
    scheme: HttpScheme,
    host: String,
    port: u16,
    path: &'a str,
    headers: &'a [(String, String)],
    /// What the request calls itself.
    agent: &'static str,
}

impl<'a> HttpAsk<'a> {
    /// # Errors
    /// When the pod has no address or the container no such port.
    pub(crate) fn new(
        target: &ProbeTarget,
        action: &'a HttpGetAction,
        agent: &'static str,
    ) -> Result<Self, String> {
        let HttpGetAction { scheme, host, port, path, headers } = action;
        let (host, port) = (target.host(host.as_ref())?, target.port(port)?);
        Ok(Self { scheme: *scheme, host, port, path, headers, agent })
    }

    async fn run(self) -> Result<(), String> {
        let status = self.status().await?;
        if (200..400).contains(&status.as_u16()) {
            return Ok(());
        }
        Err(format!("HTTP probe failed with status code {}", status.as_u16()))
    }

    /// The status of the answer.
    pub(crate) async fn status(self) -> Result<StatusCode, String> {
        let connection = connect(&self.host, self.port).await?;
        match self.scheme {
            HttpScheme::Http => self.ask(connection).await,
            HttpScheme::Https => {
                let config = probe_tls()?;
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| format!("{:?} is not a host name", self.host))?;
                let tls = TlsConnector::from(config).connect(name, connection).await;
                self.ask(tls.map_err(|error| chain(&error))?).await
            }
        }
    }

    async fn ask(
        &self,
        connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<StatusCode, String> {
        let (mut sender, driver) =
            http1::handshake(TokioIo::new(connection)).await.map_err(|error| chain(&error))?;
        let request = self.request()?;
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        // Dropped with this future, and so the connection is closed.
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The server closes right after its answer: what was read before that counts.
            ended = driver => answer.await.map_err(|no_answer| ended.err().unwrap_or(no_answer)),
        };
        answer.map(|answer| answer.status()).map_err(|error| chain(&error))
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let path = if self.path.starts_with('/') {
            self.path.to_owned()
        } else {
            format!("/{}", self.path)
        };
        let host = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, self.agent)
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| format!("the probe's request cannot be made: {error}"))?;
        for (name, value) in self.headers {
            let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value))
            else {
                return Err(format!("{name:?} is not a header that can be sent"));
            };
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

fn probe_tls() -> Result<std::sync::Arc<rustls::ClientConfig>, String> {
    static CONFIG: OnceLock<Result<std::sync::Arc<rustls::ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(|| tls::unverified().map_err(|error| error.to_string())).clone()
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each request with these bytes and closes at once, by force or not.
    async fn answering(bytes: &'static [u8], by_force: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = client.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\n"));
                client.write_all(bytes).await.unwrap();
                if by_force {
                    // The answer must have left before the reset overtakes it.
                    tokio::task::yield_now().await;
                    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
        });
        port
    }

    async fn ask(port: u16) -> Result<(), String> {
        let host = "127.0.0.1".to_owned();
        let scheme = HttpScheme::Http;
        HttpAsk { scheme, host, port, path: "healthz", headers: &[], agent: AGENT }.run().await
    }

    #[tokio::test]
    async fn an_answer_counts_when_the_server_closes_right_after_it() {
        let port = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false).await;
        let unframed = answering(b"HTTP/1.0 204 No Content\r\n\r\n", false).await;
        for _ in 0..200 {
            assert_eq!(ask(port).await, Ok(()));
            assert_eq!(ask(unframed).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_bad_status_and_no_answer_fail_with_a_sentence() {
        let port = answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false).await;
        assert_eq!(ask(port).await.unwrap_err(), "HTTP probe failed with status code 503");
        let port = answering(b"", true).await;
        assert!(!ask(port).await.unwrap_err().is_empty());
    }
}
