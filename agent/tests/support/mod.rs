//! A control plane in memory and an agent against a real engine, for the conformance tests.

pub mod registry;
pub mod sessions;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dugout_agent::docker::{DEFAULT_DOCKER_HOST, DockerRuntime};
use dugout_agent::image_gc::ImageGcPolicy;
use dugout_agent::labels::Owner;
use dugout_agent::local::{ImageSpec, Local};
use dugout_agent::runtime::{ContainerRuntime as _, ObservedContainer};
use dugout_agent::{AgentConfig, AgentError, AgentMetrics, StorageConfig};
use dugout_model::*;
use dugout_wire as wire;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const IMAGE: &str = "dugout-agent-test:1";
/// Starting and stopping on a loaded machine takes its time.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The engine that the tests use.
pub fn docker_host() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_DOCKER_HOST.to_owned())
}

/// Makes the test image from the machine's static busybox.
pub async fn image() -> Local {
    image_on(&docker_host()).await
}

pub async fn image_on(host: &str) -> Local {
    let local = Local::connect(Some(host))
        .await
        .expect("a container engine answers; install docker.io and start it");
    let program = std::fs::read("/bin/busybox").expect("install busybox-static");
    let spec = ImageSpec {
        name: IMAGE.into(),
        program_path: "/bin/busybox".into(),
        program,
        env: vec![],
        exposed_ports: vec![8080],
        user: "0:0".into(),
    };
    local.import_image(spec).await.expect("the image can be made");
    local
}

struct Inner {
    cluster: Uuid,
    assignment: watch::Sender<Option<Assignment>>,
    report: watch::Sender<Option<NodeReport>>,
    events: Mutex<Vec<Event>>,
    stream: watch::Sender<Option<wire::StreamRequest>>,
    waiting: Mutex<HashMap<Uuid, oneshot::Sender<(String, Bytes)>>>,
    sessions: Mutex<HashMap<Uuid, oneshot::Sender<sessions::Socket>>>,
    /// Answers 404 once, as a server that lost its memory.
    forget: Mutex<bool>,
    registrations: Mutex<u32>,
}

/// A control plane that assigns what a test says.
#[derive(Clone)]
pub struct ControlPlane {
    inner: Arc<Inner>,
    pub address: SocketAddr,
}

impl ControlPlane {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            cluster: Uuid::new_v4(),
            assignment: watch::channel(None).0,
            report: watch::channel(None).0,
            events: Mutex::default(),
            stream: watch::channel(None).0,
            waiting: Mutex::default(),
            sessions: Mutex::default(),
            forget: Mutex::default(),
            registrations: Mutex::default(),
        });
        let this = Self { inner, address };
        tokio::spawn(this.clone().accept(listener));
        this
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((connection, _)) = listener.accept().await {
            let this = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| this.clone().handle(request));
                let io = TokioIo::new(connection);
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .with_upgrades()
                    .await
                    .ok();
            });
        }
    }

    async fn handle(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        assert_eq!(request.headers()[wire::PROTOCOL_HEADER], wire::PROTOCOL_VERSION_TEXT);
        assert_eq!(request.headers()["authorization"], "Bearer token");
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if let Some(id) = path.strip_prefix("/agent/v1/sessions/") {
            return Ok(self.accept_session(id.parse().unwrap(), request));
        }
        let query = request.uri().query().unwrap_or("").to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (status, body) = self.answer(&method, &path, &query, body).await;
        Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
    }

    async fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: Bytes,
    ) -> (StatusCode, Vec<u8>) {
        let empty = |status| (status, Vec::new());
        if let Some(id) = path.strip_prefix("/agent/v1/streams/") {
            let waiting = self.inner.waiting.lock().unwrap().remove(&id.parse().unwrap());
            waiting.unwrap().send((query.to_owned(), body)).unwrap();
            return empty(StatusCode::NO_CONTENT);
        }
        let what = path.rsplit('/').next().unwrap();
        if what != "register" && std::mem::take(&mut *self.inner.forget.lock().unwrap()) {
            return empty(StatusCode::NOT_FOUND);
        }
        match (method, what) {
            (&Method::POST, "register") => {
                *self.inner.registrations.lock().unwrap() += 1;
                serde_json::from_slice::<wire::Registration>(&body).unwrap();
                let registered = wire::Registered {
                    cluster: self.inner.cluster,
                    report_interval_ms: 1000,
                    poll_wait_ms: 2000,
                };
                (StatusCode::OK, serde_json::to_vec(&registered).unwrap())
            }
            (&Method::GET, "assignment") => {
                let mut offered = self.inner.assignment.subscribe();
                let held = query.split('&').find_map(|pair| pair.strip_prefix("held="));
                let differs = offered.wait_for(|assignment| {
                    let generation = assignment.as_ref().map(|one| one.generation.0.to_string());
                    generation.is_some() && generation.as_deref() != held
                });
                match tokio::time::timeout(Duration::from_secs(2), differs).await {
                    Ok(Ok(assignment)) => {
                        let sent = wire::Assignment::from(assignment.as_ref().unwrap());
                        (StatusCode::OK, serde_json::to_vec(&sent).unwrap())
                    }
                    _ => empty(StatusCode::NO_CONTENT),
                }
            }
            (&Method::POST, "report") => {
                let report: wire::Report = serde_json::from_slice(&body).unwrap();
                let report = report.into_model(NodeName::new("node-a")).unwrap();
                self.inner.events.lock().unwrap().extend(report.events.iter().cloned());
                self.inner.report.send_replace(Some(report));
                empty(StatusCode::NO_CONTENT)
            }
            (&Method::GET, "streams") => {
                let mut wanted = self.inner.stream.subscribe();
                let waiting = wanted.wait_for(Option::is_some);
                if tokio::time::timeout(Duration::from_secs(2), waiting).await.is_err() {
                    return empty(StatusCode::NO_CONTENT);
                }
                let request = self.inner.stream.send_replace(None);
                (StatusCode::OK, serde_json::to_vec(&request).unwrap())
            }
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.inner.cluster)
    }

    pub fn forget(&self) {
        *self.inner.forget.lock().unwrap() = true;
    }

    pub fn registrations(&self) -> u32 {
        *self.inner.registrations.lock().unwrap()
    }

    pub fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.inner.events.lock().unwrap()
    }

    /// How often an event with this reason arrived.
    pub fn count(&self, reason: &str) -> usize {
        self.events().iter().filter(|event| event.reason == reason).count()
    }

    /// Asks the node for a log; gives the query and the bytes of its answer.
    pub async fn logs(&self, request: wire::LogsRequest) -> (String, String) {
        let id = Uuid::new_v4();
        let (sender, receiver) = oneshot::channel();
        self.inner.waiting.lock().unwrap().insert(id, sender);
        let kind = wire::StreamKind::Logs(request);
        self.inner.stream.send_replace(Some(wire::StreamRequest { id, kind }));
        let (query, bytes) = receiver.await.unwrap();
        (query, String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// One node: its control plane, its agent and what it shall run.
pub struct Rig {
    pub local: Local,
    pub plane: ControlPlane,
    pub docker: DockerRuntime,
    pub folder: tempfile::TempDir,
    pub pods: BTreeMap<PodUid, AssignedPod>,
    pub services: Vec<AssignedService>,
    pub images: Vec<AssignedImage>,
    pub pull_secrets: Vec<AssignedPullSecret>,
    pub image_gc: ImageGcPolicy,
    /// What the node's policy is when its agent starts next.
    pub allowed: NodePrivileges,
    generation: u64,
    agent: Option<(CancellationToken, JoinHandle<Result<(), AgentError>>)>,
    host: String,
}

impl Rig {
    pub async fn start() -> Self {
        let local = image().await;
        Self::start_on(local, docker_host()).await
    }

    pub async fn start_on(local: Local, host: String) -> Self {
        let mut rig = Self {
            local,
            plane: ControlPlane::start().await,
            docker: DockerRuntime::new(&host, AgentMetrics::unregistered()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            pods: BTreeMap::new(),
            services: vec![],
            images: vec![],
            pull_secrets: vec![],
            image_gc: ImageGcPolicy::default(),
            allowed: NodePrivileges::of_any_node(),
            generation: 0,
            agent: None,
            host,
        };
        rig.start_agent();
        rig
    }

    pub fn start_agent(&mut self) {
        let stop = CancellationToken::new();
        let config = AgentConfig {
            server_url: format!("http://{}", self.plane.address),
            token: "token".into(),
            name: Some("node-a".into()),
            labels: BTreeMap::new(),
            docker_host: Some(self.host.clone()),
            data_dir: self.data_dir(),
            address: None,
            image_gc: self.image_gc,
            storage: StorageConfig::default(),
            allowed: self.allowed,
        };
        let metrics = Arc::new(AgentMetrics::unregistered());
        let agent = tokio::spawn(dugout_agent::run(config, metrics, stop.clone()));
        self.agent = Some((stop, agent));
    }

    pub async fn stop_agent(&mut self) {
        let (stop, agent) = self.agent.take().unwrap();
        stop.cancel();
        agent.await.unwrap().unwrap();
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Adds a pod whose container runs a shell script, without assigning it yet.
    pub fn add(&mut self, script: &str) -> PodUid {
        let uid = PodUid(Uuid::new_v4());
        let mut container = container(&["/bin/busybox", "sh", "-c", script]);
        container.ports.push(ContainerPort {
            name: "http".into(),
            container_port: 8080,
            protocol: Protocol::Tcp,
            host: None,
        });
        let template = ResolvedTemplate {
            labels: StringMap::new(),
            annotations: StringMap::new(),
            containers: vec![container],
            init_containers: vec![],
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(2),
            node_selector: StringMap::new(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        };
        self.pods.insert(
            uid,
            AssignedPod {
                uid,
                namespace: NamespaceName::new("demo"),
                name: ObjectName::new(format!("pod-{}", self.pods.len())),
                replica_set: ReplicaSetUid(Uuid::nil()),
                template: Arc::new(template),
                order: PodOrder::Run { draining: false },
                drift: Drift::Correct,
                claims: Vec::new(),
                pins: Vec::new(),
            },
        );
        uid
    }

    pub fn change_container(&mut self, uid: PodUid, change: impl FnOnce(&mut Container<EnvValue>)) {
        let pod = self.pods.get_mut(&uid).unwrap();
        let mut template = (*pod.template).clone();
        change(&mut template.containers[0]);
        pod.template = Arc::new(template);
    }

    pub fn order(&mut self, uid: PodUid, order: PodOrder) {
        self.pods.get_mut(&uid).unwrap().order = order;
    }

    /// Assigns the pods as they are now.
    pub fn assign(&mut self) {
        self.generation += 1;
        self.plane.inner.assignment.send_replace(Some(Assignment {
            cluster: self.plane.cluster(),
            node: NodeName::new("node-a"),
            generation: Turn(self.generation),
            pods: self.pods.values().cloned().collect(),
            services: self.services.clone(),
            images: self.images.clone(),
            pull_secrets: self.pull_secrets.clone(),
            deleted_volumes: Vec::new(),
        }));
    }

    /// Waits for a report that satisfies the condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&NodeReport) -> bool) -> NodeReport {
        let mut reports = self.plane.inner.report.subscribe();
        let found = reports.wait_for(|report| report.as_ref().is_some_and(&condition));
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(report) => report.unwrap().clone().unwrap(),
            Err(_) => panic!(
                "waited in vain for: {what}\nlast report: {:#?}\nevents: {:#?}",
                *self.plane.inner.report.borrow(),
                *self.plane.events()
            ),
        }
    }

    pub async fn until_pod(
        &self,
        uid: PodUid,
        what: &str,
        condition: impl Fn(&PodReport) -> bool,
    ) -> PodReport {
        let report = self.until(what, |report| report.pods.get(&uid).is_some_and(&condition)).await;
        report.pods[&uid].clone()
    }

    pub async fn until_running(&self, uid: PodUid) -> PodReport {
        self.until_pod(uid, "running and ready", |pod| pod.ready && running_id(pod).is_some()).await
    }

    /// Waits for an event with this reason beyond those that came before.
    pub async fn until_event(&self, reason: &str, more_than: usize) {
        let began = Instant::now();
        while self.plane.count(reason) <= more_than {
            assert!(began.elapsed() < PATIENCE, "no event {reason}: {:#?}", *self.plane.events());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn owner(&self) -> Owner {
        Owner { cluster: self.plane.cluster(), node: NodeName::new("node-a") }
    }

    pub async fn inspect(&self, id: &str) -> Option<ObservedContainer> {
        self.docker.inspect(&self.owner(), id).await.unwrap()
    }

    /// Runs the docker command line against the engine of this rig.
    pub fn docker_command(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("docker")
            .arg("--host")
            .arg(&self.host)
            .args(arguments)
            .output()
            .expect("install docker.io");
        assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, and takes names of images from the engine.
    pub async fn finish_without(self, images: &[&str]) {
        let host = self.host.clone();
        self.finish().await;
        let mut command = std::process::Command::new("docker");
        let output = command.args(["--host", &host, "rmi"]).args(images).output();
        let output = output.expect("install docker.io");
        assert!(output.status.success(), "{output:?}");
    }

    /// Stops the agent and removes what it made.
    pub async fn finish(mut self) {
        if self.agent.is_some() {
            self.stop_agent().await;
        }
        self.local.remove_everything(self.plane.cluster()).await.unwrap();
    }
}

pub fn container(command: &[&str]) -> Container<EnvValue> {
    Container {
        name: "main".into(),
        image: IMAGE.into(),
        pull_policy: PullPolicy::IfNotPresent,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        args: vec![],
        working_dir: None,
        env: vec![],
        ports: vec![],
        resources: ContainerResources::default(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        lifecycle: None,
        restart_policy: None,
        mounts: Box::default(),
        security: None,
        streams: dugout_model::Streams::default(),
    }
}

/// A probe with a short period.
pub fn probe(action: ProbeAction) -> Option<Box<Probe>> {
    Some(Box::new(Probe {
        action,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 2,
        termination_grace: None,
    }))
}

pub fn running_id(pod: &PodReport) -> Option<String> {
    match &pod.containers.first()?.state {
        ContainerState::Running { .. } => pod.containers[0].container_id.clone(),
        _ => None,
    }
}

pub fn waiting(pod: &PodReport) -> Option<(WaitingReason, String)> {
    match &pod.containers.first()?.state {
        ContainerState::Waiting { reason, message } => Some((*reason, message.clone())),
        _ => None,
    }
}
