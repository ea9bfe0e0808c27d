//! An HTTP port: accepts connections within bounds, so that a caller who says nothing, or opens ever
//! more connections, costs nobody else an answer. What a request may cost is its router's matter.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::ConnectInfo;
use dugout_reconciler::{Adding, peer_network};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the port rests when the machine cannot give it another connection (no file is free).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// After how much silence a peer is asked whether it is still there, so that one that vanished does
/// not hold its connection for good.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// What strangers may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the head of a request must have come whole, from the start of the connection or the end
    /// of the answer before; so a connection may be kept idle as long. Answers may take any time.
    pub head_deadline: Duration,
    /// The largest head of a request.
    pub head_bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one network of a caller ([`peer_network`]).
    pub connections_per_peer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_deadline: Duration::from_secs(10),
            head_bytes: 64 << 10,
            // An agent holds three, and one for each log that is followed on its node.
            connections: 4_096,
            connections_per_peer: 1_024,
        }
    }
}

/// What a port counts.
#[derive(Clone)]
pub struct ConnectionMetrics {
    open: Gauge,
    refused: Family<RefusedLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    limit: &'static str,
}

impl ConnectionMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let mut add = Adding(registry);
        Self {
            open: add.one("dugout_http_connections", "Connections of the HTTP port that are open"),
            refused: add.one(
                "dugout_http_connections_refused",
                "Connections refused because too many were open, in all or from one peer",
            ),
        }
    }
}

/// Listens on an address; `flag` is the one by which another can be given.
pub async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("the address {address} cannot be listened on; give another with {flag}")
    })
}

/// Serves until shutdown; then open requests are answered and idle connections closed. Dropping the
/// future cuts off what is left.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: ConnectionMetrics,
    shutdown: CancellationToken,
) {
    let places = Places { limits, metrics, open: Arc::default() };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // It went away between its arrival and our asking.
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                }
            }
        };
        // One that finds no place is closed at once: to tell it why would cost what is not there.
        let Some(place) = places.take(peer.ip()) else { continue };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            converse(stream, peer, router, limits, shutdown).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its first request to its last.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, %peer, "a connection's options cannot be set");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_deadline)
        .max_buf_size(limits.head_bytes);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// The connections that may be open.
struct Places {
    limits: Limits,
    metrics: ConnectionMetrics,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

impl Places {
    fn take(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer_network(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        let limit = if open.all >= self.limits.connections {
            Some("total")
        } else if of_peer >= self.limits.connections_per_peer {
            Some("peer")
        } else {
            None
        };
        if let Some(limit) = limit {
            self.metrics.refused.get_or_create(&RefusedLabels { limit }).inc();
            return None;
        }
        open.all += 1;
        open.by_peer.insert(peer, of_peer + 1);
        self.metrics.open.inc();
        Some(Place { open: Arc::clone(&self.open), gauge: self.metrics.open.clone(), peer })
    }
}

/// One connection's place, given back when it is dropped.
struct Place {
    open: Arc<Mutex<Open>>,
    gauge: Gauge,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
        self.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::body::Body;
    use axum::routing::get;
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const HEAD_DEADLINE: Duration = Duration::from_millis(300);
    /// Far more than the deadline, far less than what a test may take.
    const SLOW: Duration = Duration::from_millis(900);

    struct Port {
        address: SocketAddr,
        shutdown: CancellationToken,
    }

    impl Drop for Port {
        fn drop(&mut self) {
            self.shutdown.cancel();
        }
    }

    async fn port(limits: Limits) -> Port {
        let slow = || async {
            tokio::time::sleep(SLOW).await;
            "late"
        };
        let dripping = || async {
            let drops =
                futures_util::stream::iter(["one ", "two ", "three"]).then(|drop| async move {
                    tokio::time::sleep(SLOW / 2).await;
                    Ok::<_, io::Error>(drop)
                });
            Body::from_stream(drops)
        };
        let peer =
            |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
        let router = Router::new()
            .route("/slow", get(slow))
            .route("/dripping", get(dripping))
            .route("/peer", get(peer));
        let listener = listen("127.0.0.1:0".parse().unwrap(), "--listen").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let metrics = ConnectionMetrics::register(&mut Registry::default());
        tokio::spawn(serve(listener, router, limits, metrics, shutdown.clone()));
        Port { address, shutdown }
    }

    fn limits() -> Limits {
        Limits { head_deadline: HEAD_DEADLINE, ..Limits::default() }
    }

    /// Sends and returns everything that comes until the port closes the connection.
    async fn until_closed(port: &Port, sent: &str) -> String {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        // It may be closed already.
        let _ = stream.write_all(sent.as_bytes()).await;
        let mut received = String::new();
        let reading = stream.read_to_string(&mut received);
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it is closed").ok();
        received
    }

    #[tokio::test]
    async fn a_connection_that_does_not_send_its_head_in_time_is_closed() {
        let port = port(limits()).await;
        for half in ["", "GET /slow HTTP/1.1\r\nHost: x\r\n"] {
            let started = Instant::now();
            assert_eq!(until_closed(&port, half).await, "", "{half:?}");
            assert!(started.elapsed() >= HEAD_DEADLINE, "{half:?}: it had its time");
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_and_an_idle_connection_is_closed_after_it() {
        let port = port(limits()).await;
        let late = until_closed(&port, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(late.ends_with("late"), "{late}");
        let stream = until_closed(&port, "GET /dripping HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(stream.contains("one ") && stream.contains("three"), "{stream}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let port = port(Limits { head_bytes: 8 << 10, ..limits() }).await;
        let head = format!("GET /peer HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(16 << 10));
        let answer = until_closed(&port, &head).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    }

    #[tokio::test]
    async fn connections_are_bounded_in_all_and_for_each_peer() {
        const GET: &str = "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        for bounds in [
            Limits { connections: 2, head_deadline: SLOW, ..Limits::default() },
            Limits { connections_per_peer: 2, head_deadline: SLOW, ..Limits::default() },
        ] {
            let port = port(bounds).await;
            let one = TcpStream::connect(port.address).await.unwrap();
            let _other = TcpStream::connect(port.address).await.unwrap();
            assert_eq!(until_closed(&port, GET).await, "");
            drop(one);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(until_closed(&port, GET).await.ends_with("127.0.0.1"), "a place is free again");
        }
    }

    #[tokio::test]
    async fn shutting_down_answers_what_is_asked_and_closes_the_rest() {
        let port = port(Limits::default()).await;
        let asked = until_closed(&port, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
        let idle = until_closed(&port, "");
        let shut = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            port.shutdown.cancel();
        };
        let (asked, idle, ()) = tokio::join!(asked, idle, shut);
        assert!(asked.ends_with("late"), "{asked}");
        assert_eq!(idle, "");
        assert!(TcpStream::connect(port.address).await.is_err(), "nobody listens any more");
    }
}
