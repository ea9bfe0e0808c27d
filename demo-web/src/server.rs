//! Listening, accepting, and leaving.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::routes::Routes;
use crate::{Control, Settings, connection};

/// The most connections that are served at a time; more are told to come back.
const CONNECTION_LIMIT: usize = 1024;
/// A connection's thread needs little.
const STACK_BYTES: usize = 128 * 1024;
/// How long nobody must have been connected before a draining server leaves: time for a connection
/// that the system has accepted to reach its thread.
const QUIET_TIME: Duration = Duration::from_millis(50);
/// How long accepting rests after it failed (too many open files, for one).
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    drain: Duration,
}

/// What every connection needs.
pub struct Shared {
    pub control: Arc<Control>,
    pub routes: Routes,
    log_requests: bool,
}

/// The address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port}; set PORT to one that is free and allowed")]
pub struct ListenError {
    port: u16,
    source: io::Error,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Everybody was served and has gone.
    Complete,
    /// The time was over, with this many connections open.
    Cut { connections: usize },
}

impl Server {
    /// Listens on all addresses, and serves from then on.
    pub fn start(settings: &Settings, control: Arc<Control>) -> Result<Server, ListenError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let listener = listen_on_all_addresses(settings.port)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let failed = |source| ListenError { port: settings.port, source };
        let (listener, address) = listen().map_err(failed)?;
        let shared = Arc::new(Shared {
            control,
            routes: Routes::new(settings),
            log_requests: settings.log_requests,
        });
        let acceptor = Arc::clone(&shared);
        thread::Builder::new()
            .name("accept".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || accept(&listener, &acceptor))
            .map_err(failed)?;
        Ok(Server { address, shared, drain: settings.drain })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves whoever is there or still comes, each for one more answer, until nobody is connected
    /// or the time for it is over.
    pub fn drain(&self) -> DrainOutcome {
        let deadline = Instant::now() + self.drain;
        self.shared.control.start_draining();
        loop {
            let connections = self.shared.control.wait_until_alone(deadline);
            if connections > 0 {
                return DrainOutcome::Cut { connections };
            }
            thread::sleep(QUIET_TIME);
            if self.shared.control.connections() == 0 {
                return DrainOutcome::Complete;
            }
        }
    }
}

impl Shared {
    /// One line for the container's log. A log that nobody takes any more must not end the server.
    pub fn log(&self, message: &str) {
        let _ = writeln!(io::stdout().lock(), "dugout-web: {message}");
    }

    /// Probes come every few seconds and would drown the rest.
    pub fn log_request(&self, request: &Request, status: u16, took: Duration) {
        let probe = matches!(request.path.as_str(), "/healthz" | "/readyz" | "/metrics");
        if self.log_requests && !probe {
            let micros = took.as_micros();
            self.log(&format!("{} {} {status} {micros} us", request.method, request.path));
        }
    }
}

/// IPv6's any-address takes IPv4 as well; where the system has no IPv6, IPv4's own.
fn listen_on_all_addresses(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        result => result,
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(ACCEPT_REST);
            continue;
        };
        if !shared.control.connect(CONNECTION_LIMIT) {
            connection::turn_away(stream);
            continue;
        }
        let counted = Counted(Arc::clone(shared));
        let spawned = thread::Builder::new()
            .name("connection".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || connection::serve(stream, &counted.0));
        if spawned.is_err() {
            thread::sleep(ACCEPT_REST);
        }
    }
}

/// A connection that is counted in for as long as this lives, however its thread ends.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.control.disconnect();
    }
}
