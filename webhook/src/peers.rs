//! What one caller may cost before its signature is proved: so many deliveries, so many bodies at once. A
//! stranger who spends that leaves everybody else theirs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dugout_model::peer_network;

use crate::Limits;
use crate::bucket::Bucket;

/// Callers that are remembered; those at rest are forgotten first. More at once are turned away.
const PEERS_MAX: usize = 4_096;

pub(crate) struct Peers {
    limits: Limits,
    by_network: Mutex<HashMap<IpAddr, Account>>,
}

struct Account {
    bucket: Bucket,
    reading: usize,
}

/// The right to read one body; given back when dropped.
pub(crate) struct Place {
    peers: Arc<Peers>,
    network: IpAddr,
}

impl Peers {
    pub(crate) fn new(limits: Limits) -> Arc<Peers> {
        Arc::new(Peers { limits, by_network: Mutex::default() })
    }

    /// None when the caller has spent what it has.
    pub(crate) fn enter(self: &Arc<Peers>, peer: IpAddr, now: Instant) -> Option<Place> {
        let network = peer_network(peer);
        let mut known = self.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PEERS_MAX {
            known.retain(|_, account| account.reading > 0 || !account.bucket.is_full(now));
        }
        if known.len() >= PEERS_MAX && !known.contains_key(&network) {
            return None;
        }
        let Limits { burst, per_second, concurrent_per_peer, .. } = self.limits;
        let account = known
            .entry(network)
            .or_insert_with(|| Account { bucket: Bucket::new(burst, per_second, now), reading: 0 });
        if account.reading >= concurrent_per_peer || !account.bucket.take(now) {
            return None;
        }
        account.reading += 1;
        Some(Place { peers: Arc::clone(self), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.peers.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = known.get_mut(&self.network) {
            account.reading = account.reading.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_those_at_rest_are_forgotten() {
        let (peers, start) = (Peers::new(Limits::default()), Instant::now());
        let let_in = |number: u32, now| peers.enter(Ipv4Addr::from(number).into(), now).is_some();
        let count = (0..10_000).filter(|number| let_in(*number, start)).count();
        assert_eq!(count, PEERS_MAX);
        assert!(let_in(20_000, start + Duration::from_secs(1)));
    }
}
