//! How many connections each pod has through this node's proxies, and which of them are idle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dugout_model::PodUid;

/// A connection is idle when it carried nothing for this long.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Shared by everyone who counts.
#[derive(Clone, Debug)]
pub struct Traffic(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    pods: Mutex<HashMap<PodUid, Connections>>,
}

type Connections = HashMap<u64, Arc<AtomicU64>>;

/// One open connection to a pod; it counts until it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    traffic: Traffic,
    pod: PodUid,
    number: u64,
    /// Milliseconds since the proxy began.
    last_active: Arc<AtomicU64>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self(Arc::new(Shared { began: Instant::now(), pods: Mutex::default() }))
    }
}

impl Traffic {
    pub(crate) fn begin(&self, pod: PodUid) -> OpenConnection {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let last_active = Arc::new(AtomicU64::new(self.now_millis()));
        self.pods().entry(pod).or_default().insert(number, Arc::clone(&last_active));
        OpenConnection { traffic: self.clone(), pod, number, last_active }
    }

    /// All open connections to a pod.
    pub fn open(&self, pod: PodUid) -> usize {
        self.pods().get(&pod).map_or(0, HashMap::len)
    }

    /// The open connections to a pod that carried something within the last second, or are younger.
    pub fn busy(&self, pod: PodUid) -> u32 {
        let now = self.now_millis();
        let idle_after = u64::try_from(IDLE_AFTER.as_millis()).unwrap_or(u64::MAX);
        let pods = self.pods();
        let busy = pods.get(&pod).map_or(0, |all| {
            all.values()
                .filter(|at| now.saturating_sub(at.load(Ordering::Relaxed)) < idle_after)
                .count()
        });
        u32::try_from(busy).unwrap_or(u32::MAX)
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn pods(&self) -> MutexGuard<'_, HashMap<PodUid, Connections>> {
        self.0.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenConnection {
    /// Bytes moved.
    pub(crate) fn active(&self) {
        self.last_active.store(self.traffic.now_millis(), Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut pods = self.traffic.pods();
        if let Some(connections) = pods.get_mut(&self.pod) {
            connections.remove(&self.number);
            if connections.is_empty() {
                pods.remove(&self.pod);
            }
        }
    }
}
