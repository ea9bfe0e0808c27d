//! The agent's HTTP client: one connection that is kept, one request at a time. Small on purpose.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The control plane: where it is and what opens it.
#[derive(Clone)]
pub(crate) struct Server {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    /// What stands before every path; without a slash at its end.
    prefix: String,
    authorization: HeaderValue,
}

#[derive(Debug, Error)]
pub(crate) enum ServerUrlError {
    #[error("{0:?} is not the URL of a control plane: give http://host:port or https://host:port")]
    Url(String),
    #[error(
        "the join token has characters that cannot be sent; give it as `dugout token create` printed it"
    )]
    Token,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    #[error("the control plane at {authority} cannot be reached")]
    Connect { authority: String, source: BoxError },
    #[error("the connection to the control plane broke")]
    Broken(#[source] BoxError),
    #[error("the control plane did not answer within {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("the answer of the control plane is larger than {0} bytes")]
    TooLarge(usize),
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// One request.
pub(crate) struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
    pub deadline: Duration,
    /// The largest answer.
    pub limit: usize,
}

impl Server {
    pub fn new(url: &str, token: &str) -> Result<Self, ServerUrlError> {
        let bad = || ServerUrlError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        if uri.query().is_some() {
            return Err(bad());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| ServerUrlError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            tls,
            host,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: uri.authority().map_or_else(String::new, ToString::to_string),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// A request with the headers that every request has.
    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, BoxError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(dugout_wire::PROTOCOL_HEADER, dugout_wire::PROTOCOL_VERSION_TEXT)
            .header(CONTENT_TYPE, "application/json")
            .body(body)?;
        Ok(request)
    }

    /// Opens a connection.
    async fn connect(&self) -> Result<SendRequest<Body>, NoAnswer> {
        let failed = |source| NoAnswer::Connect { authority: self.authority.clone(), source };
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            SockRef::from(&tcp).set_tcp_keepalive(&keepalive())?;
            if !self.tls {
                return handshake(tcp).await;
            }
            let name = ServerName::try_from(self.host.clone())?;
            handshake(TlsConnector::from(client_tls()?).connect(name, tcp).await?).await
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed("no connection within 5 s".into())),
        }
    }

    /// Posts a body of unknown length over a connection of its own. No deadline: whoever follows a
    /// log decides how long.
    pub async fn post_stream(&self, path: &str, body: Body) -> Result<StatusCode, NoAnswer> {
        let mut sender = self.connect().await?;
        let request = self.request(Method::POST, path, body).map_err(NoAnswer::Broken)?;
        let answer = sender.send_request(request).await;
        answer.map(|answer| answer.status()).map_err(|error| NoAnswer::Broken(error.into()))
    }

    /// Upgrades a request over a connection of its own to a WebSocket (RFC 6455, 4.1): `accept` is what
    /// the control plane must make of `key`.
    pub async fn upgrade(
        &self,
        path: &str,
        key: &str,
        accept: &str,
    ) -> Result<TokioIo<Upgraded>, NoAnswer> {
        let broken = |error: BoxError| NoAnswer::Broken(error);
        let mut sender = self.connect().await?;
        let nothing = Full::default().map_err(|never| match never {}).boxed_unsync();
        let mut request = self.request(Method::GET, path, nothing).map_err(broken)?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(dugout_wire::SESSION_SUBPROTOCOL),
        );
        let key = HeaderValue::try_from(key).map_err(|error| broken(error.into()))?;
        headers.insert(SEC_WEBSOCKET_KEY, key);
        let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|it| it == accept);
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
            return Err(broken(format!("it answered {} to an upgrade", answer.status()).into()));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| broken(error.into()))?;
        Ok(TokioIo::new(upgraded))
    }
}

/// A control plane that vanished without a word is noticed within two minutes, also by a log that is
/// followed and silent: it has no deadline of its own.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4)
}

async fn handshake(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Body>, BoxError> {
    let (sender, driver) = http1::handshake(TokioIo::new(connection)).await?;
    // Ends with the connection, which the sender's end closes, or hands it over when it is upgraded.
    tokio::spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::trace!(%error, "a connection to the control plane ended");
        }
    });
    Ok(sender)
}

fn client_tls() -> Result<Arc<ClientConfig>, BoxError> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, rustls::Error>> = OnceLock::new();
    CONFIG.get_or_init(tls::verified).clone().map_err(Into::into)
}

/// A connection that is opened when it is needed and kept.
pub(crate) struct Client {
    server: Server,
    sender: Option<SendRequest<Body>>,
}

impl Client {
    pub fn new(server: Server) -> Self {
        Self { server, sender: None }
    }

    /// Asks and waits for the whole answer. A kept connection that turns out to be closed is opened
    /// anew once: every request of the protocol may be sent twice.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let result = match tokio::time::timeout(ask.deadline, self.ask_now(ask)).await {
            Ok(result) => result,
            Err(_) => Err(NoAnswer::Deadline(ask.deadline)),
        };
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn ask_now(&mut self, ask: &Ask) -> Result<Answer, NoAnswer> {
        if let Some(mut kept) = self.sender.take().filter(|kept| !kept.is_closed())
            && kept.ready().await.is_ok()
            && let Ok(answer) = self.send(&mut kept, ask).await
        {
            self.sender = Some(kept);
            return Ok(answer);
        }
        let mut fresh = self.server.connect().await?;
        let answer = self.send(&mut fresh, ask).await?;
        self.sender = Some(fresh);
        Ok(answer)
    }

    async fn send(&self, sender: &mut SendRequest<Body>, ask: &Ask) -> Result<Answer, NoAnswer> {
        let body = Full::new(ask.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let request =
            self.server.request(ask.method.clone(), &ask.path, body).map_err(NoAnswer::Broken)?;
        let answer =
            sender.send_request(request).await.map_err(|error| NoAnswer::Broken(error.into()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ask.limit).collect().await;
        match body {
            Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(NoAnswer::TooLarge(ask.limit))
            }
            Err(error) => Err(NoAnswer::Broken(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_control_plane_is_checked() {
        let server = Server::new("http://127.0.0.1:7300/", "token\n").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("127.0.0.1", 7300));
        assert_eq!(server.prefix, "");
        let server = Server::new("https://[::1]/base", "token").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("::1", 443));
        assert_eq!(server.prefix, "/base");
        for bad in ["", "host:7300", "ftp://host", "http://", "http://host?x=1"] {
            assert!(Server::new(bad, "token").is_err(), "{bad:?}");
        }
        assert!(Server::new("http://host", "to\nken").is_err());
    }
}
