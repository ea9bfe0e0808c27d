//! The listener of one node port: accepts, finds an endpoint, hands over.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dugout_model::ObjectKey;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::table::{Choice, Chosen};
use super::{PortNews, Table, Traffic, WAIT_FOR_ENDPOINT, connection};
use crate::metrics::AgentMetrics;

/// How often a port that could not be opened is tried again.
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long to rest when the machine has no more file descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 4096;
/// How long an endpoint may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many tries to reach an endpoint one connection is worth.
const MOST_TRIES: usize = 20;
/// How long to wait when every endpoint refused.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How long a connection may be silent before its peer is asked whether it is still there.
const VANISHED_AFTER: Duration = Duration::from_secs(300);
/// The most connections of one port at once; beyond it the kernel's queue holds them.
const MOST_CONNECTIONS: usize = 32_768;

pub(super) struct PortListener {
    pub service: ObjectKey,
    pub node_port: u16,
    pub table: watch::Receiver<Arc<Table>>,
    pub traffic: Traffic,
    pub metrics: AgentMetrics,
    pub news: mpsc::Sender<PortNews>,
    pub stop: CancellationToken,
}

impl PortListener {
    /// Runs until it is stopped. Connections that are open then go on.
    pub async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.serve() => {}
        }
    }

    async fn serve(self) {
        let this = Arc::new(self);
        let (v4, v6) = this.open().await;
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        match v6 {
            Some(v6) => {
                tokio::join!(this.accept_all(v4, &room), this.accept_all(v6, &room));
            }
            None => this.accept_all(v4, &room).await,
        }
    }

    /// Opens the port, as often as it takes. Without IPv6 on the machine IPv4 alone will do.
    async fn open(&self) -> (TcpListener, Option<TcpListener>) {
        let mut told = false;
        loop {
            match self.listen_on_both() {
                Ok(listeners) => {
                    if told {
                        self.tell(PortNews::Available {
                            service: self.service.clone(),
                            node_port: self.node_port,
                        });
                    }
                    return listeners;
                }
                Err(error) if !told => {
                    told = true;
                    self.tell(PortNews::Unavailable {
                        service: self.service.clone(),
                        node_port: self.node_port,
                        why: error.to_string(),
                    });
                }
                Err(_) => {}
            }
            tokio::time::sleep(OPEN_AGAIN_AFTER).await;
        }
    }

    /// Both families or neither, so that nobody else gets the clients that prefer the other; on a
    /// machine without IPv6, IPv4 alone.
    fn listen_on_both(&self) -> io::Result<(TcpListener, Option<TcpListener>)> {
        let v4 = listen((Ipv4Addr::UNSPECIFIED, self.node_port).into())?;
        match listen((Ipv6Addr::UNSPECIFIED, self.node_port).into()) {
            Ok(v6) => Ok((v4, Some(v6))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => Ok((v4, None)),
        }
    }

    fn tell(&self, news: PortNews) {
        if self.news.try_send(news).is_err() {
            tracing::warn!(node_port = self.node_port, "news of a node port was lost");
        }
    }

    async fn accept_all(self: &Arc<Self>, listener: TcpListener, room: &Arc<Semaphore>) {
        loop {
            let Ok(permit) = Arc::clone(room).acquire_owned().await else { return };
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::debug!(node_port = self.node_port, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let this = Arc::clone(self);
            tokio::spawn(async move {
                this.handle(client).await;
                drop(permit);
            });
        }
    }

    async fn handle(&self, client: TcpStream) {
        self.metrics.proxy_connections.inc();
        let Some((pod, chosen)) = self.reach().await else {
            self.metrics.proxy_refused.inc();
            refuse(client);
            return;
        };
        // Not worth failing a connection for.
        let _ = client.set_nodelay(true);
        let _ = pod.set_nodelay(true);
        // A peer that vanished without a word would hold both sockets for ever.
        let keepalive = TcpKeepalive::new().with_time(VANISHED_AFTER);
        let _ = SockRef::from(&client).set_tcp_keepalive(&keepalive);
        let _ = SockRef::from(&pod).set_tcp_keepalive(&keepalive);
        self.metrics.proxy_open_connections.inc();
        let ended = connection::carry(client, pod, chosen.connection, &self.metrics).await;
        self.metrics.proxy_open_connections.dec();
        if let Err(error) = ended {
            tracing::trace!(node_port = self.node_port, %error, "a connection broke");
        }
    }

    /// Connects to an endpoint: the next one when one cannot be reached, a later one when there is
    /// none yet.
    async fn reach(&self) -> Option<(TcpStream, Chosen)> {
        let deadline = tokio::time::Instant::now() + WAIT_FOR_ENDPOINT;
        let mut tables = self.table.clone();
        let mut tries = 0;
        loop {
            let table = Arc::clone(&tables.borrow_and_update());
            let mut tried = Vec::new();
            while tries < MOST_TRIES {
                match table.choose(&self.traffic, &tried, Instant::now()) {
                    Choice::Retired | Choice::NoEndpoint => break,
                    Choice::Endpoint(chosen) => {
                        tries += 1;
                        if let Some(pod) = self.connect(&table, &chosen).await {
                            return Some((pod, chosen));
                        }
                        tried.push(chosen.place);
                    }
                }
            }
            let now = tokio::time::Instant::now();
            if now >= deadline || tries >= MOST_TRIES {
                return None;
            }
            // A new table comes, or an endpoint that refused accepts again after its restart.
            let pause = if tried.is_empty() { WAIT_FOR_ENDPOINT } else { TRY_AGAIN_AFTER };
            let until = deadline.min(now + pause);
            if let Ok(Err(_)) = tokio::time::timeout_at(until, tables.changed()).await {
                return None;
            }
        }
    }

    async fn connect(&self, table: &Table, chosen: &Chosen) -> Option<TcpStream> {
        let connecting = TcpStream::connect(chosen.address);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(pod)) => {
                table.mark_up(chosen.place);
                Some(pod)
            }
            Ok(Err(_)) | Err(_) => {
                table.mark_down(chosen.place, Instant::now());
                None
            }
        }
    }
}

/// Closes a connection so that the client sees at once that it was not served.
fn refuse(client: TcpStream) {
    let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

/// A listener that has its port for itself: of several agents on one machine the first serves it, for
/// it knows the pods of all agents on its engine, and another takes over when it ends. Sharing the port
/// would let the kernel hand connections to an agent of another cluster.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
