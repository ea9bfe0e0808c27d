//! The driver: everything that happens comes in here, one at a time, and what is to be done goes out.
//!
//! Waiting for the next event and handling it are apart; between them the driver settles: it
//! converges, probes, feeds the proxy and publishes the report. Nothing here waits for the engine or
//! the control plane.

mod credentials;
mod drift;
mod engine;
mod hands;
mod health;
mod hooks;
pub(crate) mod image_gc;
mod images;
mod node;
mod notes;
mod operate;
mod publish;
mod recorded;
mod settle;
mod storage;
mod tell;
#[cfg(test)]
mod tests;
mod usage;
mod volumes;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{AssignedImage, NodeName, PodUid, SharedAssignment, Timestamp, VolumeUid};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::break_glass::Operation;
use crate::clock::Clock;
use crate::converge::images::ImageAction;
use crate::converge::{FullList, Sequence};
use crate::hooks::HookError;
use crate::image_gc::ImageSurvey;
use crate::link::{LinkEvent, Outgoing};
use crate::metrics::AgentMetrics;
use crate::node_credentials::NodeCredentials;
use crate::paused::PausedPods;
use crate::policy::NodePolicy;
use crate::probe::{ProbeKind, ProbeTarget};
use crate::proxy::{PortNews, Proxy};
use crate::records::{PodRecord, Records};
use crate::runtime::{ContainerRuntime, EngineEvent, FoundImage, ObservedContainer, RuntimeError};
use crate::spec::Allocatable;
use crate::volumes::{FoundStorage, StorageError, Volumes};
pub(crate) use hands::learn_engine;
use hands::{Acted, Answer, Hands, Slot};
use hooks::HookRun;
use image_gc::ImageGcStart;
use node::Node;
pub(crate) use publish::Directory;

/// Messages that may wait for the driver; effects wait when it is behind.
const INBOX: usize = 1024;
/// How many messages are taken in before settling.
const MOST_AT_ONCE: usize = 256;
/// The longest sleep: a bound on what a missed wake-up could cost.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What happens to an agent.
#[derive(Debug)]
pub(crate) enum Event {
    Link(LinkEvent),
    Port(PortNews),
    /// The end of an engine call, with the right to the pod's next one if that follows at once.
    Acted {
        pod: PodUid,
        acted: Acted,
        slot: Option<Slot>,
    },
    Listed {
        asked: Sequence,
        result: Result<FullList, RuntimeError>,
    },
    Looked {
        id: String,
        asked: Sequence,
        result: Result<Option<ObservedContainer>, RuntimeError>,
    },
    Engine(EngineEvent),
    /// The engine's stream of events ended.
    EngineSilent,
    Probed {
        target: ProbeTarget,
        kind: ProbeKind,
        result: Result<(), String>,
    },
    HookEnded {
        run: Box<HookRun>,
        result: Result<(), HookError>,
    },
    /// An image is there, or is not, or that cannot be said.
    ImageFetched {
        asked: AssignedImage,
        action: ImageAction,
        result: Result<Option<FoundImage>, RuntimeError>,
    },
    ImagePulled {
        name: String,
        id: String,
    },
    ImagesSurveyed(Result<ImageSurvey, RuntimeError>),
    /// The image whose turn it was.
    ImageRemoved(Result<(), RuntimeError>),
    /// The pods that have volumes on the disk.
    VolumesFound(io::Result<Vec<PodUid>>),
    VolumesRemoved {
        pod: PodUid,
        result: io::Result<()>,
    },
    /// The volumes of claims that have a folder here, as it was when so many were known to have come or gone.
    StorageFound {
        asked: u64,
        found: Result<FoundStorage, StorageError>,
    },
    StorageRemoved {
        volume: VolumeUid,
        result: io::Result<()>,
    },
    /// What was asked for under a former owner.
    OfFormerOwner,
    /// A person on this node asks.
    Operation(Operation),
    /// A moment that was waited for came.
    Time,
    Shutdown,
}

pub(crate) struct Driver<R> {
    node: Node<R>,
    inbox: mpsc::Receiver<Answer>,
    link: mpsc::Receiver<LinkEvent>,
    ports: mpsc::Receiver<PortNews>,
    operations: mpsc::Receiver<Operation>,
    clock: Clock,
    shutdown: CancellationToken,
}

/// What a driver begins with.
pub(crate) struct Start<R> {
    pub runtime: Arc<R>,
    pub name: NodeName,
    pub instance: String,
    pub policy: NodePolicy,
    pub accepted: Option<SharedAssignment>,
    /// What is to be told once, as the accepted set being set aside.
    pub warning: Option<String>,
    pub records: Records,
    /// What an earlier life wrote there.
    pub recorded: BTreeMap<PodUid, PodRecord>,
    pub volumes: Volumes,
    pub node_credentials: NodeCredentials,
    pub image_gc: ImageGcStart,
    pub paused: PausedPods,
    /// What people on this node ask for.
    pub operations: mpsc::Receiver<Operation>,
    pub allocatable: watch::Receiver<Option<Allocatable>>,
    pub link: mpsc::Receiver<LinkEvent>,
    pub reports: watch::Sender<Option<Arc<Outgoing>>>,
    pub directory: watch::Sender<Arc<Directory>>,
    /// How much the node has for claims, for the control plane.
    pub storage_bytes: watch::Sender<u64>,
    pub metrics: AgentMetrics,
    pub clock: Clock,
    pub shutdown: CancellationToken,
}

impl<R: ContainerRuntime> Driver<R> {
    pub fn new(start: Start<R>) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (news, ports) = mpsc::channel(INBOX);
        let metrics = start.metrics.clone();
        let mut hands = Hands::new(start.runtime, start.records, start.volumes, sender, metrics);
        hands.use_credentials(start.node_credentials);
        let proxy = Proxy::new(start.metrics.clone(), news);
        let mut node =
            Node::new(start.name, start.instance, start.policy, hands, proxy, start.metrics);
        node.outputs(start.reports, start.directory);
        node.learn_allocatable(start.allocatable);
        node.storage.tell_capacity(start.storage_bytes);
        node.image_gc = Some(start.image_gc.into());
        node.recorded.begin_with(start.recorded);
        node.paused = start.paused;
        if let Some(warning) = start.warning {
            node.warn_of_accepted(&warning, start.clock.wall());
        }
        if let Some(assignment) = start.accepted {
            node.take_accepted(assignment, None);
        }
        Self {
            node,
            inbox,
            link: start.link,
            ports,
            operations: start.operations,
            clock: start.clock,
            shutdown: start.shutdown,
        }
    }

    /// Runs until the shutdown. Containers keep running.
    pub async fn run(mut self) {
        let mut wake_at = self.settle();
        loop {
            let event = self.next_event(wake_at).await;
            if matches!(event, Event::Shutdown) {
                return;
            }
            self.handle_event(event);
            for _ in 0..MOST_AT_ONCE {
                let Ok(answer) = self.inbox.try_recv() else { break };
                let event = self.fence(answer);
                self.handle_event(event);
            }
            wake_at = self.settle();
        }
    }

    async fn next_event(&mut self, wake_at: Option<Timestamp>) -> Event {
        let sleep = wake_at.map_or(LONGEST_SLEEP, |at| at.since(self.clock.now()));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Event::Shutdown,
            Some(event) = self.link.recv() => Event::Link(event),
            Some(answer) = self.inbox.recv() => self.fence(answer),
            Some(news) = self.ports.recv() => Event::Port(news),
            Some(operation) = self.operations.recv() => Event::Operation(operation),
            () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => Event::Time,
        }
    }

    /// The owner may have changed since something was asked for, also since it was answered.
    fn fence(&self, answer: Answer) -> Event {
        if self.node.hands.is_current(&answer) { answer.event } else { Event::OfFormerOwner }
    }

    fn handle_event(&mut self, event: Event) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let node = &mut self.node;
        node.at(now, wall);
        match event {
            Event::Link(event) => node.link(event),
            Event::Port(news) => node.port(news),
            Event::Acted { pod, acted, slot } => node.acted(pod, acted, slot),
            Event::Listed { asked, result } => node.listed(asked, result),
            Event::Looked { id, asked, result } => node.looked(&id, asked, result),
            Event::Engine(event) => node.engine_event(event),
            Event::EngineSilent => node.engine_silent(),
            Event::Probed { target, kind, result } => node.probed(&target, kind, result),
            Event::HookEnded { run, result } => node.hook_ended(&run, result),
            Event::ImageFetched { asked, action, result } => {
                node.image_fetched(&asked, action, result);
            }
            Event::ImagePulled { name, id } => node.image_pulled(name, id),
            Event::ImagesSurveyed(survey) => node.images_surveyed(survey),
            Event::ImageRemoved(result) => node.image_removed(result),
            Event::VolumesFound(found) => node.volumes_found(found),
            Event::VolumesRemoved { pod, result } => node.volumes_removed(pod, result),
            Event::Operation(operation) => node.operate(operation),
            Event::StorageFound { asked, found } => node.storage_found(asked, found),
            Event::StorageRemoved { volume, result } => node.storage_removed(volume, result),
            Event::OfFormerOwner | Event::Time | Event::Shutdown => {}
        }
    }

    fn settle(&mut self) -> Option<Timestamp> {
        self.node.at(self.clock.now(), self.clock.wall());
        self.node.settle()
    }
}
