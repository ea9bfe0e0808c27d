//! The driver's hands: everything that takes time, done beside it. Each effect ends with one message.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::{AssignedImage, PodUid, Probe, VolumeUid, chain};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::Event;
use super::hooks::{HookRun, StopPlaces, Stops};
use crate::converge::images::ImageAction;
use crate::converge::{Failure, FailureKind, FullList, Observed, Sequence};
use crate::credentials::RegistryAuth;
use crate::hooks::{Earlier, run_hook};
use crate::image_gc::HeldImage;
use crate::labels::Owner;
use crate::metrics::AgentMetrics;
use crate::node_credentials::NodeCredentials;
use crate::probe::{ProbeKind, ProbeTarget, try_probe};
use crate::records::{PodRecord, Records, Version};
use crate::runtime::{
    ContainerRuntime, ContainerSpec, Correction, EngineInfo, FoundDigest, FoundImage,
    ListedContainer, ObservedContainer, PermanentKind, RuntimeError,
};
use crate::volumes::{Layout, Preparation, StorageError, VolumeError, Volumes};

/// Containers that are made and started at once. The engine knows best what can overlap, so it is given
/// enough to choose from: twenty containers at one to sixteen at once were ready soonest with sixteen, on
/// a quiet machine of two cores (4 % before four at once) and the more so on a busy one (30 %), and eight
/// came close. It is bounded so that a node that starts all its pods leaves the engine's other calls,
/// looks and stops, a turn within seconds.
pub(crate) const STARTS_AT_ONCE: usize = 16;
const PULLS_AT_ONCE: usize = 3;
/// Stops mostly wait for the container.
pub(crate) const STOPS_AT_ONCE: usize = 64;
const REMOVES_AT_ONCE: usize = 4;
const PROBES_AT_ONCE: usize = 64;
const LOOKS_AT_ONCE: usize = 8;
/// Hooks mostly wait for what they call. So many after a start and so many before a stop.
const HOOKS_AT_ONCE: usize = 256;
/// A disk that takes longer hangs.
const VOLUMES_DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Hands<R> {
    pub runtime: Arc<R>,
    records: Arc<Records>,
    volumes: Arc<Volumes>,
    answers: mpsc::Sender<Answer>,
    owner_epoch: OwnerEpoch,
    watching: Option<AbortHandle>,
    metrics: AgentMetrics,
    starts: Arc<Semaphore>,
    pulls: Arc<Semaphore>,
    stops: StopPlaces,
    removes: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    image_looks: Arc<Semaphore>,
    hooks: Arc<Semaphore>,
    node_credentials: NodeCredentials,
}

/// Counts whose node this was: each owner has its own. What was asked for under a former owner is of
/// other containers and says nothing of the present one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct OwnerEpoch(u64);

/// What an effect ended with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub asked_under: OwnerEpoch,
    pub event: Event,
}

/// Tells of what happens before an effect has ended.
pub(crate) struct Teller {
    answers: mpsc::Sender<Answer>,
    asked_under: OwnerEpoch,
}

impl Teller {
    pub async fn tell(&self, event: Event) {
        // The driver goes away only when the agent stops.
        let _ = self.answers.send(Answer { asked_under: self.asked_under, event }).await;
    }
}

/// The right to one engine call.
pub(crate) type Slot = OwnedSemaphorePermit;

/// One engine call with all that it needs.
#[derive(Debug)]
pub(crate) enum Job {
    Pull { image: String, auths: Vec<RegistryAuth> },
    Find { image: String },
    Create { spec: Box<ContainerSpec>, volumes: Option<Preparation> },
    Start { id: String, volumes: Option<Preparation> },
    Stop { ids: Vec<String>, hooks: Vec<HookRun>, grace: Duration },
    Correct { id: String, correction: Correction },
    Remove { id: String },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Acted {
    /// An image is there, or was pulled.
    Found(FoundImage),
    Created {
        id: String,
    },
    Started {
        seen: Option<ObservedContainer>,
    },
    /// What is left of each that was to stop.
    Stopped {
        seen: Vec<ObservedContainer>,
    },
    Corrected {
        seen: Option<ObservedContainer>,
    },
    Removed,
    Failed(RuntimeError),
    /// The engine was not asked, because a volume of the pod cannot be had.
    NoVolumes(VolumeError),
}

impl<R: ContainerRuntime> Hands<R> {
    pub fn new(
        runtime: Arc<R>,
        records: Records,
        volumes: Volumes,
        answers: mpsc::Sender<Answer>,
        metrics: AgentMetrics,
    ) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        Self {
            runtime,
            records: Arc::new(records),
            volumes: Arc::new(volumes),
            answers,
            owner_epoch: OwnerEpoch::default(),
            watching: None,
            metrics,
            starts: room(STARTS_AT_ONCE),
            pulls: room(PULLS_AT_ONCE),
            stops: StopPlaces { stops: room(STOPS_AT_ONCE), hooks: room(HOOKS_AT_ONCE) },
            removes: room(REMOVES_AT_ONCE),
            probes: room(PROBES_AT_ONCE),
            image_looks: room(LOOKS_AT_ONCE),
            hooks: room(HOOKS_AT_ONCE),
            node_credentials: NodeCredentials::default(),
        }
    }

    /// What pulls are made with that no pull secret is for.
    pub fn use_credentials(&mut self, node_credentials: NodeCredentials) {
        self.node_credentials = node_credentials;
    }

    /// What is under way for a former owner ends unheard.
    pub fn change_owner(&mut self) {
        self.owner_epoch.0 += 1;
        self.stop_watching();
    }

    /// Ends the watch, if there is one, without its last word.
    pub fn stop_watching(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
    }

    pub fn is_current(&self, answer: &Answer) -> bool {
        answer.asked_under == self.owner_epoch
    }

    /// Makes an engine call for a pod. `slot` is what the pod's last call left to this one; `record` is
    /// what must be on disk before.
    pub fn act(
        &self,
        pod: PodUid,
        owner: Owner,
        mut job: Job,
        slot: Option<Slot>,
        record: Option<(Version, PodRecord)>,
    ) -> AbortHandle {
        let room = match &job {
            Job::Pull { .. } => Some(&self.pulls),
            Job::Find { .. } => Some(&self.image_looks),
            Job::Create { .. } | Job::Start { .. } => Some(&self.starts),
            // Each of its containers waits for a place of its own, after its hook.
            Job::Stop { .. } => None,
            Job::Correct { .. } => Some(&self.stops.stops),
            Job::Remove { .. } => Some(&self.removes),
        };
        let (room, runtime) = (room.map(Arc::clone), Arc::clone(&self.runtime));
        let places = self.stops.clone();
        let records = Arc::clone(&self.records);
        let volumes = Arc::clone(&self.volumes);
        let own = self.node_credentials.clone();
        let teller = self.teller();
        self.spawn(async move {
            if let Some((version, record)) = record
                && let Err(error) = write_record(records, pod, version, record).await
                && matches!(job, Job::Start { .. })
            {
                // It may have to run only once, and nobody would know that it did.
                return Event::Acted { pod, acted: Acted::Failed(error), slot: None };
            }
            let mut slot = match (slot, room) {
                (None, Some(room)) => room.acquire_owned().await.ok(),
                (slot, _) => slot,
            };
            if let Job::Create { volumes: wanted, .. } | Job::Start { volumes: wanted, .. } =
                &mut job
                && let Some(wanted) = wanted.take()
                && let Err(error) = prepare(volumes, wanted).await
            {
                return Event::Acted { pod, acted: Acted::NoVolumes(error), slot: None };
            }
            let acted =
                act(runtime.as_ref(), &owner, job, &mut slot, (&teller, &own, &places)).await;
            let acted = acted.unwrap_or_else(Acted::Failed);
            // The start follows at once: a container is not made before the last one runs.
            let slot = slot.filter(|_| matches!(acted, Acted::Created { .. }));
            Event::Acted { pod, acted, slot }
        })
    }

    /// Runs a hook beside everything else.
    pub fn hook(&self, run: HookRun, deadline: Duration) -> AbortHandle {
        let (runtime, room) = (Arc::clone(&self.runtime), Arc::clone(&self.hooks));
        self.spawn(async move {
            let _permit = room.acquire_owned().await;
            let (target, handler) = (&run.target, &run.handler);
            let earlier = Earlier::Impossible;
            let result = run_hook(runtime.as_ref(), target, handler, earlier, deadline).await;
            Event::HookEnded { run: Box::new(run), result }
        })
    }

    /// Looks for an image, or pulls it.
    pub fn fetch_image(
        &self,
        asked: AssignedImage,
        action: ImageAction,
        auths: Vec<RegistryAuth>,
    ) -> AbortHandle {
        let own = self.node_credentials.clone();
        let teller = self.teller();
        let room = match action {
            ImageAction::Look => &self.image_looks,
            ImageAction::Pull => &self.pulls,
        };
        let (runtime, room) = (Arc::clone(&self.runtime), Arc::clone(room));
        let image = asked.reference();
        self.spawn(async move {
            let _permit = room.acquire_owned().await;
            let result = match action {
                ImageAction::Look => runtime.find_image(&image).await,
                ImageAction::Pull => {
                    pull(runtime.as_ref(), &image, auths, &own, &teller).await.map(Some)
                }
            };
            Event::ImageFetched { asked, action, result }
        })
    }

    pub fn survey_images(&self) {
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move { Event::ImagesSurveyed(runtime.survey_images().await) });
    }

    pub fn remove_image(&self, image: HeldImage) {
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move { Event::ImageRemoved(runtime.remove_image(&image).await) });
    }

    /// Writes what is known of a pod, in its own time.
    pub fn write_record(&self, pod: PodUid, version: Version, record: PodRecord) {
        // A record that could not be written is told, and written with the pod's next news.
        drop(tokio::spawn(write_record(Arc::clone(&self.records), pod, version, record)));
    }

    /// Finds the pods of an owner that have volumes here.
    pub fn find_volumes(&self, owner: Owner) {
        let volumes = Arc::clone(&self.volumes);
        self.spawn(async move {
            let finding = tokio::task::spawn_blocking(move || volumes.find(&owner));
            Event::VolumesFound(finding.await.map_err(io::Error::other).and_then(|found| found))
        });
    }

    /// Finds the volumes of claims of an owner's cluster that have a folder here.
    pub fn find_storage(&self, owner: Owner, asked: u64) {
        let volumes = Arc::clone(&self.volumes);
        self.spawn(async move {
            let path = volumes.layout(&owner).storage().to_owned();
            let finding = tokio::task::spawn_blocking(move || volumes.find_storage(&owner));
            let seconds = VOLUMES_DEADLINE.as_secs();
            let found = match tokio::time::timeout(VOLUMES_DEADLINE, finding).await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => Err(StorageError::Io { path, source: io::Error::other(error) }),
                Err(_) => Err(StorageError::Deadline { seconds }),
            };
            Event::StorageFound { asked, found }
        });
    }

    /// Removes the volume of a claim.
    pub fn remove_storage(&self, owner: Owner, volume: VolumeUid) {
        let (volumes, room) = (Arc::clone(&self.volumes), Arc::clone(&self.removes));
        self.spawn(async move {
            let _permit = room.acquire_owned().await;
            let removing =
                tokio::task::spawn_blocking(move || volumes.remove_storage(&owner, volume));
            let result = match tokio::time::timeout(VOLUMES_DEADLINE, removing).await {
                Ok(ended) => ended.map_err(io::Error::other).and_then(|result| result),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            Event::StorageRemoved { volume, result }
        });
    }

    /// Removes the volumes of a pod.
    pub fn remove_volumes(&self, owner: Owner, pod: PodUid) {
        let (volumes, room) = (Arc::clone(&self.volumes), Arc::clone(&self.removes));
        self.spawn(async move {
            let _permit = room.acquire_owned().await;
            let removing = tokio::task::spawn_blocking(move || volumes.remove(&owner, pod));
            let result = match tokio::time::timeout(VOLUMES_DEADLINE, removing).await {
                Ok(ended) => ended.map_err(io::Error::other).and_then(|result| result),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            Event::VolumesRemoved { pod, result }
        });
    }

    pub fn volume_layout(&self, owner: &Owner) -> Layout {
        self.volumes.layout(owner)
    }

    /// Lists all containers, and looks at those that are not as they are known, and at some others.
    pub fn list(&self, owner: Owner, observed: &Observed, asked: Sequence) {
        let mut known: HashMap<String, ListedContainer> = observed
            .pods()
            .flat_map(|(_, containers)| containers)
            .map(|one| (one.id.clone(), one.as_listed()))
            .collect();
        for id in observed.longest_unseen(LOOKS_AT_ONCE) {
            known.remove(&id);
        }
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move {
            let result = list(runtime.as_ref(), &owner, &known).await;
            Event::Listed { asked, result }
        });
    }

    /// Looks at one container.
    pub fn look(&self, owner: Owner, id: String, asked: Sequence) {
        let runtime = Arc::clone(&self.runtime);
        self.spawn(async move {
            let result = runtime.inspect(&owner, &id).await;
            Event::Looked { id, asked, result }
        });
    }

    /// Passes on what the engine says of our containers, until it stops saying anything.
    pub fn watch(&mut self, owner: &Owner) {
        let mut news = self.runtime.events(owner);
        let (answers, asked_under) = (self.answers.clone(), self.owner_epoch);
        self.watching = Some(self.spawn(async move {
            while let Some(Ok(event)) = news.next().await {
                let event = Event::Engine(event);
                if answers.send(Answer { asked_under, event }).await.is_err() {
                    break;
                }
            }
            Event::EngineSilent
        }));
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
            Event::Probed { target, kind, result }
        });
    }

    fn teller(&self) -> Teller {
        Teller { answers: self.answers.clone(), asked_under: self.owner_epoch }
    }

    fn spawn(&self, effect: impl Future<Output = Event> + Send + 'static) -> AbortHandle {
        let (answers, asked_under) = (self.answers.clone(), self.owner_epoch);
        let task = tokio::spawn(async move {
            let event = effect.await;
            // The driver goes away only when the agent stops.
            let _ = answers.send(Answer { asked_under, event }).await;
        });
        task.abort_handle()
    }
}

async fn write_record(
    records: Arc<Records>,
    pod: PodUid,
    version: Version,
    record: PodRecord,
) -> Result<(), RuntimeError> {
    let writing = tokio::task::spawn_blocking(move || records.write(pod, version, &record));
    let result = writing.await.map_err(std::io::Error::other).and_then(|result| result);
    result.map_err(|error| {
        tracing::warn!(%error, pod = %pod.0, "what is known of a pod cannot be written");
        let message = format!("its start cannot be written down: {error}");
        RuntimeError::Transient { operation: "start", message }
    })
}

async fn prepare(volumes: Arc<Volumes>, wanted: Preparation) -> Result<(), VolumeError> {
    let folder = wanted.folder.clone();
    let preparing = tokio::task::spawn_blocking(move || volumes.prepare(&wanted));
    match tokio::time::timeout(VOLUMES_DEADLINE, preparing).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            Err(VolumeError::Folder { path: folder, source: io::Error::other(error) })
        }
        Err(_) => Err(VolumeError::Deadline { seconds: VOLUMES_DEADLINE.as_secs() }),
    }
}

/// What a failed call means for what is tried next.
pub(super) fn failure_of(error: &RuntimeError) -> Failure {
    let kind = match error {
        RuntimeError::Permanent { kind: PermanentKind::NotFound, .. } => FailureKind::NotFound,
        RuntimeError::Permanent { kind: PermanentKind::Configuration, .. } => {
            FailureKind::Configuration
        }
        // A container of this name is there already: the list will show it.
        RuntimeError::Permanent { kind: PermanentKind::Conflict, .. }
        | RuntimeError::Deadline { .. }
        | RuntimeError::Transient { .. }
        | RuntimeError::EngineUnavailable { .. } => FailureKind::Transient,
        RuntimeError::Permanent { .. } => FailureKind::Permanent,
    };
    let message = match error {
        RuntimeError::Permanent { message, .. } | RuntimeError::Transient { message, .. } => {
            message.clone()
        }
        other => chain(other),
    };
    Failure { kind, message }
}

/// Makes the call, and looks at what came of it. The look takes nobody's turn.
async fn act<R: ContainerRuntime>(
    runtime: &R,
    owner: &Owner,
    job: Job,
    slot: &mut Option<Slot>,
    (teller, own, places): (&Teller, &NodeCredentials, &StopPlaces),
) -> Result<Acted, RuntimeError> {
    Ok(match job {
        Job::Pull { image, auths } => {
            Acted::Found(pull(runtime, &image, auths, own, teller).await?)
        }
        Job::Find { image } => Acted::Found(find(runtime, &image).await?),
        Job::Create { spec, .. } => Acted::Created { id: runtime.create(&spec).await? },
        Job::Start { id, .. } => {
            runtime.start(&id).await?;
            *slot = None;
            Acted::Started { seen: runtime.inspect(owner, &id).await? }
        }
        Job::Stop { ids, hooks, grace } => {
            Stops { runtime, ids: &ids, hooks: &hooks, grace, places, teller }.run().await?;
            let looks = try_join_all(ids.iter().map(|id| runtime.inspect(owner, id))).await?;
            Acted::Stopped { seen: looks.into_iter().flatten().collect() }
        }
        Job::Correct { id, correction } => {
            runtime.correct(&id, &correction).await?;
            *slot = None;
            Acted::Corrected { seen: runtime.inspect(owner, &id).await? }
        }
        Job::Remove { id } => {
            runtime.remove(&id).await?;
            Acted::Removed
        }
    })
}

/// Pulls an image, with the first credentials that the registry takes: of those that are given, and then
/// of the node's own. Without any it asks as nobody.
async fn pull<R: ContainerRuntime>(
    runtime: &R,
    image: &str,
    auths: Vec<RegistryAuth>,
    own: &NodeCredentials,
    teller: &Teller,
) -> Result<FoundImage, RuntimeError> {
    let found = pull_with(runtime, image, auths, own).await?;
    let mut names = vec![image.to_owned()];
    if let FoundDigest::Registry(digest) = &found.digest {
        names.push(digest.reference(image));
    }
    names.dedup();
    for name in names {
        teller.tell(Event::ImagePulled { name, id: found.id.clone() }).await;
    }
    Ok(found)
}

/// Looks for an image. One that is for other machines is as good as none.
async fn find<R: ContainerRuntime>(runtime: &R, image: &str) -> Result<FoundImage, RuntimeError> {
    let (message, found) = match runtime.find_image(image).await {
        Ok(found) => ("the node does not have it".to_owned(), found),
        Err(RuntimeError::Permanent { kind: PermanentKind::Invalid, message, .. }) => {
            (message, None)
        }
        Err(error) => return Err(error),
    };
    let (operation, kind) = ("look for an image", PermanentKind::NotFound);
    found.ok_or(RuntimeError::Permanent { operation, kind, message })
}

async fn pull_with<R: ContainerRuntime>(
    runtime: &R,
    image: &str,
    given: Vec<RegistryAuth>,
    own: &NodeCredentials,
) -> Result<FoundImage, RuntimeError> {
    let mut refused = None;
    for auth in &given {
        match runtime.pull(image, Some(auth)).await {
            Err(error) if may_be_of_credentials(&error) => refused = Some(error),
            other => return other,
        }
    }
    // They may come of a program that asks another machine, so only where they are needed.
    for auth in own.lookup(image).await.iter().filter(|auth| !given.contains(auth)) {
        match runtime.pull(image, Some(auth)).await {
            Err(error) if may_be_of_credentials(&error) => refused = Some(error),
            other => return other,
        }
    }
    match refused {
        Some(error) => Err(error),
        None => runtime.pull(image, None).await,
    }
}

/// Registries say of what one may not see that it is not there.
fn may_be_of_credentials(error: &RuntimeError) -> bool {
    let kind = error.permanent_kind();
    matches!(kind, Some(PermanentKind::Unauthorized | PermanentKind::NotFound))
}

async fn list<R: ContainerRuntime>(
    runtime: &R,
    owner: &Owner,
    known: &HashMap<String, ListedContainer>,
) -> Result<FullList, RuntimeError> {
    let mut list = FullList::default();
    let mut looks = Vec::new();
    for one in runtime.list(owner).await? {
        let is_known = known.get(&one.id) == Some(&one);
        if is_known { &mut list.unchanged } else { &mut looks }.push(one.id);
    }
    let mut looking = futures_util::stream::iter(looks)
        .map(|id| async move { runtime.inspect(owner, &id).await })
        .buffer_unordered(LOOKS_AT_ONCE);
    while let Some(seen) = looking.next().await {
        list.seen.extend(seen?);
    }
    Ok(list)
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
