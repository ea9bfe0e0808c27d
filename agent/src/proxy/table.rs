//! The endpoints of one node port, and which of them takes the next connection.
//!
//! The one with the fewest open connections; among equals they take turns. An endpoint that could not
//! be reached is left out for a moment, unless all others are out as well.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dugout_model::PodUid;

use super::traffic::{OpenConnection, Traffic};

/// How long an endpoint that could not be reached is left out.
const DOWN_FOR: Duration = Duration::from_secs(1);

/// One set of endpoints. A change makes a new table and retires the old one.
#[derive(Debug)]
pub struct Table {
    endpoints: Vec<(PodUid, SocketAddr)>,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    down_until: Vec<Option<Instant>>,
    turn: usize,
    retired: bool,
}

/// An endpoint that was chosen; the connection counts from now on.
#[derive(Debug)]
pub struct Chosen {
    pub place: usize,
    pub address: SocketAddr,
    pub connection: OpenConnection,
}

/// What a table has to say to a connection.
#[derive(Debug)]
pub enum Choice {
    Endpoint(Chosen),
    /// There is none, or all of them were tried.
    NoEndpoint,
    /// There is a newer table.
    Retired,
}

impl Table {
    pub fn new(endpoints: Vec<(PodUid, SocketAddr)>) -> Self {
        let down_until = vec![None; endpoints.len()];
        Self { endpoints, inside: Mutex::new(Inside { down_until, turn: 0, retired: false }) }
    }

    pub fn serves(&self, endpoints: &[(PodUid, SocketAddr)]) -> bool {
        self.endpoints == endpoints
    }

    /// No choice is made from this table any more.
    pub fn retire(&self) {
        self.inside().retired = true;
    }

    /// Chooses an endpoint that is not in `tried`.
    pub fn choose(&self, traffic: &Traffic, tried: &[usize], now: Instant) -> Choice {
        let mut inside = self.inside();
        if inside.retired {
            return Choice::Retired;
        }
        let count = self.endpoints.len();
        let candidates = |with_down: bool| {
            let inside = &*inside;
            (0..count)
                .map(move |step| (inside.turn + step) % count)
                .filter(move |place| !tried.contains(place))
                .filter(move |place| {
                    let up = inside.down_until[*place].is_none_or(|until| until <= now);
                    up || with_down
                })
                .min_by_key(|place| traffic.open(self.endpoints[*place].0))
        };
        let Some(place) = candidates(false).or_else(|| candidates(true)) else {
            return Choice::NoEndpoint;
        };
        inside.turn = place + 1;
        let (pod, address) = self.endpoints[place];
        Choice::Endpoint(Chosen { place, address, connection: traffic.begin(pod) })
    }

    /// Leaves an endpoint out for a moment.
    pub fn mark_down(&self, place: usize, now: Instant) {
        if let Some(slot) = self.inside().down_until.get_mut(place) {
            *slot = Some(now + DOWN_FOR);
        }
    }

    /// Puts an endpoint back.
    pub fn mark_up(&self, place: usize) {
        if let Some(slot) = self.inside().down_until.get_mut(place) {
            *slot = None;
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
