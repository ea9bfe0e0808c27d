//! The service proxy: TCP on node ports, to the ready pods behind each service.
//!
//! It works from the accepted assignment and the node's own knowledge of its pods, so it goes on with
//! the control plane away. It never closes a connection that is established: a pod that leaves gets no
//! new ones, and those it has end by themselves or with it.

mod connection;
mod listener;
mod table;
mod traffic;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{
    AssignedServicePort, Assignment, EndpointPlace, ObjectKey, PodAddress, PodUid, Protocol,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::metrics::AgentMetrics;
use listener::PortListener;
pub use table::{Chosen, Table};
pub use traffic::Traffic;

/// What the proxy must know of a pod on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPod {
    pub address: PodAddress,
    pub ready: bool,
}

/// What happened to a node port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortNews {
    /// Its listener cannot be opened; it is tried again.
    Unavailable { service: ObjectKey, node_port: u16, why: String },
    /// It listens after it could not.
    Available { service: ObjectKey, node_port: u16 },
}

/// How long a connection waits for an endpoint when there is none: it hides a restart.
pub(crate) const WAIT_FOR_ENDPOINT: Duration = Duration::from_secs(1);

/// The proxies of one node.
#[derive(Debug)]
pub struct Proxy {
    ports: BTreeMap<u16, Port>,
    traffic: Traffic,
    metrics: AgentMetrics,
    news: mpsc::Sender<PortNews>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Port {
    table: watch::Sender<Arc<Table>>,
    stop: CancellationToken,
}

/// What one node port shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WantedPort {
    service: ObjectKey,
    endpoints: Vec<(PodUid, SocketAddr)>,
}

impl Proxy {
    /// News of ports go to `news`; when nobody takes them fast enough they are lost.
    pub fn new(metrics: AgentMetrics, news: mpsc::Sender<PortNews>) -> Self {
        let traffic = Traffic::default();
        Self { ports: BTreeMap::new(), traffic, metrics, news, stop: CancellationToken::new() }
    }

    /// Makes every port serve what is wanted now. On return each connection that is accepted from now
    /// on goes to an endpoint of the new tables, and those that were sent elsewhere are counted.
    pub fn apply(&mut self, assignment: &Assignment, local: &BTreeMap<PodUid, LocalPod>) {
        let wanted = wanted_ports(assignment, local);
        self.ports.retain(|number, port| {
            let keep = wanted.contains_key(number);
            if !keep {
                port.stop.cancel();
            }
            keep
        });
        for (number, wanted) in wanted {
            match self.ports.get(&number) {
                Some(port) => port.change(wanted.endpoints),
                None => self.open(number, wanted),
            }
        }
    }

    /// The connections to a pod that are open and not idle.
    pub fn busy_connections(&self, pod: PodUid) -> u32 {
        self.traffic.busy(pod)
    }

    /// All open connections to a pod.
    pub fn open_connections(&self, pod: PodUid) -> usize {
        self.traffic.open(pod)
    }

    fn open(&mut self, number: u16, wanted: WantedPort) {
        let (table, reader) = watch::channel(Arc::new(Table::new(wanted.endpoints)));
        let stop = self.stop.child_token();
        let listener = PortListener {
            service: wanted.service,
            node_port: number,
            table: reader,
            traffic: self.traffic.clone(),
            metrics: self.metrics.clone(),
            news: self.news.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(listener.run());
        self.ports.insert(number, Port { table, stop });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Port {
    fn change(&self, endpoints: Vec<(PodUid, SocketAddr)>) {
        self.table.send_if_modified(|table| {
            if table.serves(&endpoints) {
                return false;
            }
            // Retiring the old table under its own lock: a choice was made before and is counted, or
            // it is made after and reads the new one.
            table.retire();
            *table = Arc::new(Table::new(endpoints));
            true
        });
    }
}

/// The node ports of an assignment with the endpoints that are ready. Of two services that want the
/// same port the first by key has it.
fn wanted_ports(
    assignment: &Assignment,
    local: &BTreeMap<PodUid, LocalPod>,
) -> BTreeMap<u16, WantedPort> {
    let mut wanted = BTreeMap::new();
    for service in &assignment.services {
        let with_endpoints = |port: &&AssignedServicePort| {
            // Without any, another agent on this machine may have them, and shall have the port.
            port.protocol == Protocol::Tcp && !port.endpoints.is_empty()
        };
        for port in service.ports.iter().filter(with_endpoints) {
            let endpoints = port
                .endpoints
                .iter()
                .filter_map(|endpoint| {
                    let address = match &endpoint.place {
                        EndpointPlace::Local => {
                            let pod = local.get(&endpoint.pod).filter(|pod| pod.ready)?;
                            pod.address
                        }
                        EndpointPlace::SameEngine { address } => *address,
                    };
                    Some((endpoint.pod, SocketAddr::new(address, endpoint.port)))
                })
                .collect();
            wanted
                .entry(port.node_port)
                .or_insert_with(|| WantedPort { service: service.key.clone(), endpoints });
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
