//! One proxied connection: both directions, each with its own end.
//!
//! A buffer is held only while there is something to move, so an idle connection costs two sockets
//! and a few hundred bytes.

use std::io;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::traffic::{OpenConnection, Towards};
use crate::metrics::AgentMetrics;

/// One read. Small buffers are what makes large answers slow.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers kept for the next use.
const MOST_SPARE_BUFFERS: usize = 4;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Carries bytes until both sides have ended, or one has failed.
pub(crate) async fn carry(
    mut client: TcpStream,
    mut pod: TcpStream,
    connection: OpenConnection,
    metrics: &AgentMetrics,
) -> io::Result<()> {
    let (client_read, client_write) = client.split();
    let (pod_read, pod_write) = pod.split();
    let there = one_way(client_read, pod_write, &connection, Towards::Pod, &metrics.proxy_bytes_in);
    let back =
        one_way(pod_read, client_write, &connection, Towards::Client, &metrics.proxy_bytes_out);
    tokio::try_join!(there, back).map(|_| ())
}

async fn one_way(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    connection: &OpenConnection,
    towards: Towards,
    bytes: &Counter,
) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut buffer = take_buffer();
        let read = match from.try_read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                give_back(buffer);
                continue;
            }
            Err(error) => {
                give_back(buffer);
                return Err(error);
            }
        };
        if read == 0 {
            give_back(buffer);
            return to.shutdown().await;
        }
        connection.carries();
        let written = to.write_all(buffer.get(..read).unwrap_or_default()).await;
        give_back(buffer);
        written?;
        connection.carried(towards);
        bytes.inc_by(read as u64);
    }
}

fn take_buffer() -> Vec<u8> {
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; BUFFER_BYTES])
}

fn give_back(buffer: Vec<u8>) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.len() < MOST_SPARE_BUFFERS {
        spare.push(buffer);
    }
}
