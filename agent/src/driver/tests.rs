//! The driver against an engine in memory, whose answers come when a test says so.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dugout_model::{
    ClusterId, ContainerSecurity, ContainerState, NodeReport, PodReport, PortRef, Privilege, Probe,
    ProbeAction, SharedAssignment, WaitingReason,
};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod hooks;
mod images;
mod operate;
mod pulls;
mod storage;
mod usage;

use super::hands::{Answer, Hands, Job, STARTS_AT_ONCE};
use super::node::Node;
use super::{Directory, Driver, Start};
use crate::break_glass::Operation;
use crate::clock::Clock;
use crate::credentials::RegistryAuth;
use crate::driver::image_gc::ImageGcStart;
use crate::image_gc::{HeldImage, ImageGcPolicy, ImageSurvey};
use crate::labels::Owner;
use crate::link::{LinkEvent, Outgoing};
use crate::metrics::AgentMetrics;
use crate::node_credentials::NodeCredentials;
use crate::paused::PausedPods;
use crate::proxy::Proxy;
use crate::records::Records;
use crate::runtime::{
    ContainerRuntime, ContainerSpec, Correction, EngineEvent, EngineEventKind, EngineInfo,
    ExecOutcome, Execution, FoundDigest, FoundImage, ListedContainer, LogOptions, Network,
    ObservedContainer, ObservedState, PermanentKind, RuntimeError,
};
use crate::testing::{assignment, container, owner, pod, running, template, uid};
use crate::volumes::Volumes;

const PATIENCE: Duration = Duration::from_secs(20);

/// The containers of each cluster, and what happens to them.
#[derive(Default)]
struct Engine {
    containers: Mutex<Vec<(ClusterId, ObservedContainer)>>,
    /// A list of a cluster that is here waits for a permit, after it was read.
    held_lists: BTreeMap<ClusterId, Semaphore>,
    events: Mutex<Option<mpsc::UnboundedReceiver<EngineEvent>>>,
    starts: AtomicUsize,
    corrections: AtomicUsize,
    /// A correction is taken and has no effect.
    corrects_nothing: bool,
    hides_containers: bool,
    /// Commands in containers that have not ended. They never do, unless `exec_takes` says so.
    running_execs: AtomicUsize,
    exec_takes: Option<Duration>,
    /// The containers that were to be stopped, in that order.
    stops: Mutex<Vec<String>>,
    /// This one cannot be stopped, and all others are at once.
    cannot_stop: Option<String>,
    /// Whom the registry gives images to. Without one no pull ends.
    takes_user: Option<String>,
    /// Who asked for images, in that order.
    users: Mutex<Vec<String>>,
    /// The images that were to be removed, in that order. None ever is.
    removals: Mutex<Vec<String>>,
}

/// Counts as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    fn of(&self, owner: &Owner) -> Vec<ObservedContainer> {
        let containers = self.containers.lock().unwrap();
        let ours = containers.iter().filter(|(cluster, _)| *cluster == owner.cluster);
        ours.map(|(_, one)| one.clone()).collect()
    }
}

impl ContainerRuntime for Engine {
    async fn info(&self) -> Result<EngineInfo, RuntimeError> {
        Ok(EngineInfo { id: "e".into(), version: "1".into(), cpus: 1, memory_bytes: 1 })
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ListedContainer>, RuntimeError> {
        let list = self.of(owner).iter().map(ObservedContainer::as_listed).collect();
        if let Some(held) = self.held_lists.get(&owner.cluster) {
            held.acquire().await.unwrap().forget();
        }
        Ok(list)
    }

    async fn inspect(
        &self,
        owner: &Owner,
        id: &str,
    ) -> Result<Option<ObservedContainer>, RuntimeError> {
        if self.hides_containers {
            std::future::pending::<()>().await;
        }
        Ok(self.of(owner).into_iter().find(|one| one.id == id))
    }

    async fn create(&self, _: &ContainerSpec) -> Result<String, RuntimeError> {
        std::future::pending().await
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        let mut containers = self.containers.lock().unwrap();
        if let Some((_, one)) = containers.iter_mut().find(|(_, one)| one.id == id) {
            one.state = running(1);
        }
        Ok(())
    }

    async fn stop(&self, id: &str, _: Duration) -> Result<(), RuntimeError> {
        self.stops.lock().unwrap().push(id.to_owned());
        match &self.cannot_stop {
            None => std::future::pending().await,
            Some(other) if other == id => {
                Err(RuntimeError::Transient { operation: "stop", message: "no".to_owned() })
            }
            Some(_) => Ok(()),
        }
    }

    async fn correct(&self, id: &str, _: &Correction) -> Result<(), RuntimeError> {
        self.corrections.fetch_add(1, Ordering::Relaxed);
        let mut containers = self.containers.lock().unwrap();
        let mut all = containers.iter_mut().map(|(_, one)| one);
        let one = all.find(|one| one.id == id).unwrap();
        if !self.corrects_nothing {
            one.settings.execution = Execution::Going;
        }
        Ok(())
    }

    async fn remove(&self, _: &str) -> Result<(), RuntimeError> {
        std::future::pending().await
    }

    async fn find_image(&self, _: &str) -> Result<Option<FoundImage>, RuntimeError> {
        std::future::pending().await
    }

    async fn survey_images(&self) -> Result<ImageSurvey, RuntimeError> {
        std::future::pending().await
    }

    async fn remove_image(&self, image: &HeldImage) -> Result<(), RuntimeError> {
        self.removals.lock().unwrap().push(image.id.clone());
        std::future::pending().await
    }

    async fn pull(
        &self,
        image: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<FoundImage, RuntimeError> {
        let user = match auth {
            Some(RegistryAuth::Login { username, .. }) => username.as_str(),
            _ => "nobody",
        };
        self.users.lock().unwrap().push(user.to_owned());
        match &self.takes_user {
            None => std::future::pending().await,
            Some(taken) if taken == user => {
                Ok(FoundImage { id: format!("id of {image}"), digest: FoundDigest::Unknown })
            }
            Some(_) => Err(RuntimeError::Permanent {
                operation: "pull",
                kind: PermanentKind::Unauthorized,
                message: "denied".to_owned(),
            }),
        }
    }

    async fn exec(&self, _: &str, _: &[String], _: Duration) -> Result<ExecOutcome, RuntimeError> {
        let _runs = Counted::begin(&self.running_execs);
        match self.exec_takes {
            None => std::future::pending().await,
            Some(time) => tokio::time::sleep(time).await,
        }
        Ok(ExecOutcome { exit_code: 0, output: String::new() })
    }

    async fn await_exec(
        &self,
        _: &str,
        _: &[String],
        _: Duration,
    ) -> Result<Option<i64>, RuntimeError> {
        Ok(None)
    }

    fn logs(&self, _: &str, _: LogOptions) -> BoxStream<'static, Result<Bytes, RuntimeError>> {
        stream::empty().boxed()
    }

    fn events(&self, _: &Owner) -> BoxStream<'static, Result<EngineEvent, RuntimeError>> {
        let Some(mut events) = self.events.lock().unwrap().take() else {
            return stream::pending().boxed();
        };
        stream::poll_fn(move |context| events.poll_recv(context)).map(Ok).boxed()
    }
}

/// A running driver.
struct Rig {
    engine: Arc<Engine>,
    link: mpsc::Sender<LinkEvent>,
    people: mpsc::Sender<Operation>,
    reports: watch::Receiver<Option<Arc<Outgoing>>>,
    _directory: watch::Receiver<Arc<Directory>>,
    _stop: tokio_util::sync::DropGuard,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn start(engine: Engine) -> Self {
        let (link, link_events) = mpsc::channel(8);
        let (reports_sender, reports) = watch::channel(None);
        let (directory_sender, directory) = watch::channel(Arc::new(Directory::new()));
        let (engine, shutdown) = (Arc::new(engine), CancellationToken::new());
        let (people, operations) = mpsc::channel(1);
        let folder = tempfile::tempdir().unwrap();
        let (records, recorded) = Records::open(folder.path()).unwrap();
        let driver = Driver::new(Start {
            runtime: Arc::clone(&engine),
            name: owner().node,
            instance: "i".into(),
            policy: crate::testing::policy(),
            accepted: None,
            warning: None,
            records,
            recorded,
            volumes: Volumes::open(folder.path(), &folder.path().join("storage")).unwrap(),
            node_credentials: NodeCredentials::default(),
            image_gc: ImageGcStart::new(folder.path(), ImageGcPolicy::default()),
            paused: PausedPods::open(folder.path()).unwrap(),
            operations,
            allocatable: watch::channel(None).1,
            link: link_events,
            reports: reports_sender,
            directory: directory_sender,
            storage_bytes: watch::channel(0).0,
            metrics: AgentMetrics::unregistered(),
            clock: Clock::start(),
            shutdown: shutdown.clone(),
        });
        tokio::spawn(driver.run());
        let stop = shutdown.drop_guard();
        Self { engine, link, people, reports, _directory: directory, _stop: stop, _folder: folder }
    }

    async fn accept(&self, assignment: dugout_model::Assignment) {
        let assignment: SharedAssignment = Arc::new(assignment);
        let at = Clock::start().wall();
        self.link.send(LinkEvent::Accepted { assignment, at }).await.unwrap();
    }

    async fn until(&mut self, what: &str, condition: impl Fn(&NodeReport) -> bool) -> NodeReport {
        let found = self
            .reports
            .wait_for(|one| one.as_ref().is_some_and(|outgoing| condition(&outgoing.report)));
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found.unwrap().as_ref().unwrap().report.clone(),
            Err(_) => panic!("waited in vain for: {what}"),
        }
    }
}

#[tokio::test]
async fn a_list_that_a_former_owner_asked_for_is_not_taken_for_the_present_ones() {
    let (former, present) = (owner().cluster, ClusterId(Uuid::from_u128(78)));
    let engine = Engine {
        containers: Mutex::new(vec![(former, container(1, 0, running(1)))]),
        held_lists: [former, present].map(|cluster| (cluster, Semaphore::new(0))).into(),
        ..Engine::default()
    };
    let mut rig = Rig::start(engine);
    rig.accept(assignment(1, vec![])).await;
    // The first list has read the containers of the former cluster and is on its way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut other = assignment(2, vec![]);
    other.cluster = present;
    rig.accept(other).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.engine.held_lists[&former].add_permits(1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(rig.reports.borrow().is_none(), "nothing is known of the present cluster's yet");
    rig.engine.held_lists[&present].add_permits(1);
    let report = rig.until("a report", |report| report.engine_answers).await;
    assert_eq!(report.pods, [].into());
}

#[tokio::test]
async fn a_container_that_is_restarted_by_hand_is_probed_at_its_new_address() {
    let (old, new) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let old_server = TcpListener::bind((old, 0)).await.unwrap();
    let port = old_server.local_addr().unwrap().port();
    let mut wanted = template("web");
    wanted.containers[0].readiness_probe = Some(Box::new(Probe {
        action: ProbeAction::TcpSocket { host: None, port: PortRef::Number(port) },
        initial_delay: Duration::ZERO,
        period: Duration::from_millis(100),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 1,
        termination_grace: None,
    }));
    let container_at = |address: Ipv4Addr, started| ObservedContainer {
        address: Some(IpAddr::V4(address)),
        ..container(1, 0, running(started))
    };
    let (happens, events) = mpsc::unbounded_channel();
    let engine = Engine {
        containers: Mutex::new(vec![(owner().cluster, container_at(old, 1))]),
        events: Mutex::new(Some(events)),
        ..Engine::default()
    };
    let mut rig = Rig::start(engine);
    rig.accept(assignment(1, vec![pod(1, wanted)])).await;
    let is_ready_at = |address: Ipv4Addr| {
        move |report: &NodeReport| {
            let seen = |pod: &PodReport| pod.ready && pod.address == Some(IpAddr::V4(address));
            report.pods.get(&uid(1)).is_some_and(seen)
        }
    };
    rig.until("ready at its first address", is_ready_at(old)).await;

    drop(old_server);
    let new_server = TcpListener::bind((new, port)).await.unwrap();
    rig.engine.containers.lock().unwrap()[0].1 = container_at(new, 2);
    let id = container(1, 0, running(1)).id;
    happens.send(EngineEvent { container: id, kind: EngineEventKind::Started }).unwrap();
    let probe = tokio::time::timeout(PATIENCE, new_server.accept()).await;
    probe.expect("its probe comes to the new address").unwrap();
    rig.until("ready at its new address", is_ready_at(new)).await;
}

/// Starts with a pod that runs, and pauses its container. The stream of events lasts as long as its sender.
async fn paused(engine: Engine) -> (Rig, mpsc::UnboundedSender<EngineEvent>) {
    let (happens, events) = mpsc::unbounded_channel();
    let one = container(1, 0, running(1));
    let mut rig = Rig::start(Engine {
        containers: Mutex::new(vec![(owner().cluster, one.clone())]),
        events: Mutex::new(Some(events)),
        ..engine
    });
    rig.accept(assignment(1, vec![pod(1, template("web"))])).await;
    rig.until("it is known", |report| report.pods.contains_key(&uid(1))).await;
    rig.engine.containers.lock().unwrap()[0].1.settings.execution = Execution::Paused;
    happens.send(EngineEvent { container: one.id, kind: EngineEventKind::Other }).unwrap();
    (rig, happens)
}

impl Rig {
    async fn until_told(&mut self, reason: &str) -> String {
        let told = |outgoing: &Outgoing| {
            let mut events = outgoing.events.iter().map(|(_, event)| event);
            events.find(|event| event.reason == reason).map(|event| event.message.clone())
        };
        let found =
            self.reports.wait_for(|one| one.as_deref().is_some_and(|one| told(one).is_some()));
        let found = tokio::time::timeout(PATIENCE, found).await;
        let found = found.unwrap_or_else(|_| panic!("waited in vain for {reason}")).unwrap();
        found.as_deref().and_then(told).unwrap()
    }
}

#[tokio::test]
async fn what_is_paused_by_hand_is_told_put_back_and_told_again() {
    let (mut rig, _happens) = paused(Engine::default()).await;
    assert_eq!(rig.until_told("Drifted").await, "container web is paused; it is put back");
    rig.until_told("DriftCorrected").await;
    rig.until("it is as it was", |report| report.pods[&uid(1)].drift.is_empty()).await;
    assert_eq!(rig.engine.corrections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_correction_without_effect_waits_as_one_that_failed() {
    let (mut rig, _happens) = paused(Engine { corrects_nothing: true, ..Engine::default() }).await;
    let why = rig.until_told("Failed").await;
    assert!(why.starts_with("container web cannot be put back"), "{why}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.engine.corrections.load(Ordering::Relaxed), 1);
    let shown = |report: &NodeReport| report.pods[&uid(1)].drift == ["container web is paused"];
    rig.until("it is shown", shown).await;
}

/// A node alone.
fn node_of(engine: &Arc<Engine>) -> Node<Engine> {
    let (hands, _, _) = hands_of(engine);
    let metrics = AgentMetrics::unregistered();
    let proxy = Proxy::new(metrics.clone(), mpsc::channel(1).0);
    Node::new(owner().node, "i".into(), crate::testing::policy(), hands, proxy, metrics)
}

/// The hands alone, with where their answers come in.
fn hands_of(engine: &Arc<Engine>) -> (Hands<Engine>, mpsc::Receiver<Answer>, tempfile::TempDir) {
    let (answers, inbox) = mpsc::channel(8);
    let folder = tempfile::tempdir().unwrap();
    let (records, _) = Records::open(folder.path()).unwrap();
    let volumes = Volumes::open(folder.path(), &folder.path().join("storage")).unwrap();
    let metrics = AgentMetrics::unregistered();
    (Hands::new(Arc::clone(engine), records, volumes, answers, metrics), inbox, folder)
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

#[tokio::test]
async fn a_look_at_what_was_started_holds_up_no_other_start() {
    let engine = Arc::new(Engine { hides_containers: true, ..Engine::default() });
    let (hands, _inbox, _folder) = hands_of(&engine);
    let all = STARTS_AT_ONCE + 1;
    for number in 0..all {
        let job = Job::Start { id: number.to_string(), volumes: None };
        hands.act(uid(number as u128), owner(), job, None, None);
    }
    until("every start", || engine.starts.load(Ordering::Relaxed) == all).await;
}

#[tokio::test]
async fn what_was_made_under_another_policy_is_not_started() {
    let engine = Engine {
        containers: Mutex::new(vec![(owner().cluster, container(1, 0, ObservedState::Created))]),
        ..Engine::default()
    };
    let mut rig = Rig::start(engine);
    let mut wanted = template("web");
    let privilege = Privilege::Privileged;
    let security = ContainerSecurity { privilege, ..ContainerSecurity::default() };
    wanted.containers[0].security = Some(Box::new(security));
    rig.accept(assignment(1, vec![pod(1, wanted)])).await;
    let is_refused = |report: &NodeReport| {
        let pod = report.pods.get(&uid(1));
        pod.is_some_and(|pod| match &pod.containers[0].state {
            ContainerState::Waiting {
                reason: WaitingReason::CreateContainerConfigError,
                message,
            } => message.contains("does not allow privileged"),
            _ => false,
        })
    };
    rig.until("it is refused", is_refused).await;
    assert_eq!(rig.engine.starts.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_halted_or_in_no_network_is_not_ready() {
    let engine = Arc::new(Engine::default());
    let mut node = node_of(&engine);
    node.take_accepted(Arc::new(assignment(1, vec![pod(1, template("web"))])), None);
    node.see(container(1, 0, running(1)));
    let mut is_ready = |execution, networks: &[Network]| {
        let mut one = container(1, 0, running(1));
        one.settings.execution = execution;
        one.settings.networks = networks.iter().cloned().collect();
        node.see(one);
        node.sync_probes();
        let assignment = node.assignment.clone().unwrap();
        node.is_ready(&assignment.pods[0])
    };
    let (all, other) = ([Network::Default], Network::Other("other".to_owned()));
    assert!(is_ready(Execution::Going, &all));
    assert!(!is_ready(Execution::Paused, &all));
    assert!(!is_ready(Execution::Going, &[]));
    // It has an address there.
    assert!(is_ready(Execution::Going, &[other]));
    assert!(is_ready(Execution::Going, &all));
}
