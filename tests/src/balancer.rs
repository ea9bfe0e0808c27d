//! One address in front of several servers, as a load balancer is: each connection goes to the first
//! whose `/readyz` is good.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http;

/// Runs until dropped.
pub struct Balancer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Balancer {
    /// Listens on one port of the loopback, for servers on others.
    pub fn start(port: u16, servers: Vec<u16>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).expect("the listener can be set");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let servers: Arc<[u16]> = servers.into();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        let servers = Arc::clone(&servers);
                        // A connection that breaks is its two ends' affair.
                        std::thread::spawn(move || pass_on(client, &servers));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pass_on(client: TcpStream, servers: &[u16]) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let probe = http::client(false);
    let is_ready =
        |port: &u16| http::text(&probe, &format!("http://127.0.0.1:{port}/readyz")).is_some();
    // Nobody is ready: the client's connection ends, and it comes back.
    let Some(port) = servers.iter().copied().find(is_ready) else { return Ok(()) };
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upward = std::thread::spawn(move || {
        let copied = io::copy(&mut requests, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
        copied
    });
    let (mut answers, mut to_client) = (server, client);
    let copied = io::copy(&mut answers, &mut to_client);
    // A server that ended must be seen by the client, which may have asked for nothing yet.
    let _ = to_client.shutdown(Shutdown::Both);
    let _ = upward.join();
    copied.map(drop)
}
