//! How many connections each pod has through this node's proxies, and which of them are idle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

type Connections = HashMap<u64, Arc<Activity>>;

/// What one connection carried last.
#[derive(Debug)]
struct Activity {
    /// Milliseconds since the proxy began.
    last_active: AtomicU64,
    /// The client said something last, or is still being told the answer: a request is under way,
    /// however long it takes.
    under_way: AtomicBool,
}

/// One open connection to a pod; it counts until it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    traffic: Traffic,
    pod: PodUid,
    number: u64,
    activity: Arc<Activity>,
}

/// Whom bytes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Towards {
    Pod,
    Client,
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
        let activity = Arc::new(Activity {
            last_active: AtomicU64::new(self.now_millis()),
            under_way: AtomicBool::new(false),
        });
        self.pods().entry(pod).or_default().insert(number, Arc::clone(&activity));
        OpenConnection { traffic: self.clone(), pod, number, activity }
    }

    /// All open connections to a pod.
    pub fn open(&self, pod: PodUid) -> usize {
        self.pods().get(&pod).map_or(0, HashMap::len)
    }

    /// The open connections to a pod on which a request is under way, that carried something within
    /// the last second, or that are younger.
    pub fn busy(&self, pod: PodUid) -> u32 {
        let now = self.now_millis();
        let idle_after = u64::try_from(IDLE_AFTER.as_millis()).unwrap_or(u64::MAX);
        let pods = self.pods();
        let busy = pods.get(&pod).map_or(0, |all| {
            all.values()
                .filter(|activity| {
                    let quiet = now.saturating_sub(activity.last_active.load(Ordering::Relaxed));
                    quiet < idle_after || activity.under_way.load(Ordering::Relaxed)
                })
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
    /// Bytes came from one side and are on their way to the other.
    pub(crate) fn carries(&self) {
        self.activity.last_active.store(self.traffic.now_millis(), Ordering::Relaxed);
        self.activity.under_way.store(true, Ordering::Relaxed);
    }

    /// Bytes arrived. What the client said waits for an answer; an answer ends the wait.
    pub(crate) fn carried(&self, towards: Towards) {
        self.activity.last_active.store(self.traffic.now_millis(), Ordering::Relaxed);
        self.activity.under_way.store(towards == Towards::Pod, Ordering::Relaxed);
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
