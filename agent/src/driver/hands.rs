//! The driver's hands: everything that takes time, done beside it. Each effect ends with one message.

use std::sync::Arc;
use std::time::Duration;

use dugout_model::{PodUid, Probe};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::Event;
use crate::converge::{Observed, Sequence};
use crate::labels::Owner;
use crate::metrics::AgentMetrics;
use crate::probe::{ProbeKind, ProbeTarget, try_probe};
use crate::runtime::{
    ContainerRuntime, ContainerSpec, EngineInfo, ListedContainer, ObservedContainer, RuntimeError,
};

/// Containers that are made and started at once. Docker serialises most of a start: from four on more
/// at once only makes each of them slower (20 containers, one to sixteen at once, measured).
pub(crate) const STARTS_AT_ONCE: usize = 4;
const PULLS_AT_ONCE: usize = 3;
/// Stops mostly wait for the container.
const STOPS_AT_ONCE: usize = 64;
const REMOVES_AT_ONCE: usize = 4;
const PROBES_AT_ONCE: usize = 64;
const LOOKS_AT_ONCE: usize = 8;

pub(crate) struct Hands<R> {
    pub runtime: Arc<R>,
    events: mpsc::Sender<Event>,
    metrics: AgentMetrics,
    starts: Arc<Semaphore>,
    pulls: Arc<Semaphore>,
    stops: Arc<Semaphore>,
    removes: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

/// The right to one engine call.
pub(crate) type Slot = OwnedSemaphorePermit;

/// One engine call with all that it needs.
#[derive(Debug)]
pub(crate) enum Job {
    Pull { image: String },
    Create { spec: Box<ContainerSpec> },
    Start { id: String },
    Stop { id: String, grace: Duration },
    Remove { id: String },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Acted {
    Pulled,
    Created { id: String },
    Started { seen: Option<ObservedContainer> },
    Stopped { seen: Option<ObservedContainer> },
    Removed,
    Failed(RuntimeError),
}

impl<R: ContainerRuntime> Hands<R> {
    pub fn new(runtime: Arc<R>, events: mpsc::Sender<Event>, metrics: AgentMetrics) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        Self {
            runtime,
            events,
            metrics,
            starts: room(STARTS_AT_ONCE),
            pulls: room(PULLS_AT_ONCE),
            stops: room(STOPS_AT_ONCE),
            removes: room(REMOVES_AT_ONCE),
            probes: room(PROBES_AT_ONCE),
        }
    }

    /// Makes an engine call for a pod. `slot` is what the pod's last call left to this one.
    pub fn act(&self, pod: PodUid, owner: Owner, job: Job, slot: Option<Slot>) -> AbortHandle {
        let room = match &job {
            Job::Pull { .. } => &self.pulls,
            Job::Create { .. } | Job::Start { .. } => &self.starts,
            Job::Stop { .. } => &self.stops,
            Job::Remove { .. } => &self.removes,
        };
        let (room, runtime) = (Arc::clone(room), Arc::clone(&self.runtime));
        self.spawn(async move {
            let slot = match slot {
                Some(slot) => Some(slot),
                None => room.acquire_owned().await.ok(),
            };
            let acted = act(runtime.as_ref(), &owner, job).await.unwrap_or_else(Acted::Failed);
            // The start follows at once: a container is not made before the last one runs.
            let slot = slot.filter(|_| matches!(acted, Acted::Created { .. }));
            Event::Acted { pod, acted, slot }
        })
    }

    /// Lists all containers, and looks at those whose state is not the one known.
    pub fn list(&self, owner: Owner, known: &Observed, began: Sequence) {
        let known: Vec<ObservedContainer> =
            known.pods().flat_map(|(_, containers)| containers.to_vec()).collect();
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move {
            let result = list(runtime.as_ref(), &owner, known).await;
            Event::Listed { began, result }
        });
    }

    /// Looks at one container.
    pub fn look(&self, owner: Owner, id: String) {
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move {
            let result = runtime.inspect(&owner, &id).await;
            Event::Looked { id, result }
        });
    }

    /// Passes on what the engine says of our containers, until it stops saying anything.
    pub fn watch(&self, owner: &Owner) {
        let mut news = self.runtime.events(owner);
        let events = self.events.clone();
        self.spawn(async move {
            while let Some(Ok(event)) = news.next().await {
                if events.send(Event::Engine(event)).await.is_err() {
                    break;
                }
            }
            Event::EngineSilent
        });
    }

    pub fn probe(&self, target: ProbeTarget, kind: ProbeKind, probe: Probe) {
        let (runtime, room) = (Arc::clone(&self.runtime), Arc::clone(&self.probes));
        let metrics = self.metrics.clone();
        self.spawn(async move {
            let _permit = room.acquire_owned().await;
            let result = try_probe(runtime.as_ref(), &target, &probe).await;
            let label = match kind {
                ProbeKind::Startup => "startup",
                ProbeKind::Readiness => "readiness",
                ProbeKind::Liveness => "liveness",
            };
            metrics.probe(label, result.is_ok());
            Event::Probed { container: target.container_id, kind, result }
        });
    }

    fn spawn(&self, effect: impl Future<Output = Event> + Send + 'static) -> AbortHandle {
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            let event = effect.await;
            // The driver goes away only when the agent stops.
            let _ = events.send(event).await;
        });
        task.abort_handle()
    }
}

async fn act<R: ContainerRuntime>(
    runtime: &R,
    owner: &Owner,
    job: Job,
) -> Result<Acted, RuntimeError> {
    Ok(match job {
        Job::Pull { image } => {
            runtime.pull(&image).await?;
            Acted::Pulled
        }
        Job::Create { spec } => Acted::Created { id: runtime.create(&spec).await? },
        Job::Start { id } => {
            runtime.start(&id).await?;
            Acted::Started { seen: runtime.inspect(owner, &id).await? }
        }
        Job::Stop { id, grace } => {
            runtime.stop(&id, grace).await?;
            Acted::Stopped { seen: runtime.inspect(owner, &id).await? }
        }
        Job::Remove { id } => {
            runtime.remove(&id).await?;
            Acted::Removed
        }
    })
}

async fn list<R: ContainerRuntime>(
    runtime: &R,
    owner: &Owner,
    known: Vec<ObservedContainer>,
) -> Result<Vec<ObservedContainer>, RuntimeError> {
    let listed = runtime.list(owner).await?;
    let unchanged = |one: &ListedContainer| {
        known.iter().find(|before| before.id == one.id && before.listed_state() == one.state)
    };
    let mut found = Vec::with_capacity(listed.len());
    let mut looks = Vec::new();
    for one in listed {
        match unchanged(&one) {
            Some(before) => found.push(before.clone()),
            None => looks.push(one.id),
        }
    }
    let mut looking = futures_util::stream::iter(looks)
        .map(|id| async move { runtime.inspect(owner, &id).await })
        .buffer_unordered(LOOKS_AT_ONCE);
    while let Some(seen) = looking.next().await {
        found.extend(seen?);
    }
    Ok(found)
}

/// Asks the engine who it is, as often as it takes.
pub(crate) async fn learn_engine<R: ContainerRuntime>(runtime: &R) -> EngineInfo {
    loop {
        match runtime.info().await {
            Ok(info) => return info,
            Err(error) => tracing::debug!(%error, "the container engine is awaited"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
