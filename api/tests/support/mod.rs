//! A small cluster with one of everything, and a control plane that holds it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::expect_used, reason = "what a helper expects is part of the test")]

pub mod jobs;
pub mod storage;
pub mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dugout_api::{
    Backend, BackendError, ByteStream, Call, JoinToken, Leading, LogsRequest, NewJoinToken,
    RollbackDone, RollbackOnBranch, RollbackRequest, Session, SessionRequest,
};
use dugout_model::*;
use uuid::Uuid;

pub const SHA: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
/// 2026-01-02 03:04:05 UTC.
pub const START: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);

pub fn now() -> Timestamp {
    START + Duration::from_secs(90)
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn map(pairs: &[(&str, &str)]) -> StringMap {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The world that the tests look at.
pub fn world() -> World {
    let mut world = World::empty(ClusterId(uuid(1)));
    world.turn = Turn(42);
    let mut changes = vec![
        Change::PutSource(Arc::new(source())),
        Change::PutNode(Arc::new(node("alpha", NodeCondition::Ready, Scheduling::Schedulable))),
        Change::PutNode(Arc::new(node(
            "beta",
            NodeCondition::NotReady { since: START, reason: NotReadyReason::AgentSilent },
            Scheduling::Cordoned,
        ))),
        Change::PutReplicaSet(Arc::new(replica_set())),
        Change::PutRollout(Arc::new(rollout())),
        Change::PutRelease(Arc::new(release(Verdict::Healthy))),
    ];
    changes.extend(objects().into_iter().map(|object| Change::PutObject(Arc::new(object))));
    changes.extend(pods().into_iter().map(|pod| Change::PutPod(Arc::new(pod))));
    for change in &changes {
        world.apply(change);
    }
    world
}

fn object(number: u128, name: &str, spec: ObjectSpec) -> StoredObject {
    StoredObject {
        uid: ObjectUid(uuid(number)),
        source: SourceName::new("default"),
        sha: CommitSha::new(SHA),
        generation: 1,
        created_at: START,
        orphaned: false,
        declared: Arc::new(DeclaredObject {
            key: ObjectKey::new("demo", name),
            labels: map(&[("app", name)]),
            annotations: StringMap::new(),
            policy: ObjectPolicy::default(),
            spec,
            written: None,
            origin: Origin { file: "apps/jobs.yaml".into(), line: 1 },
        }),
    }
}

fn source() -> Source {
    Source {
        name: SourceName::new("default"),
        url: "https://git.example/team/apps.git".to_owned(),
        branch: "main".to_owned(),
        path: "apps".to_owned(),
        poll_interval: Duration::from_secs(5),
        on_failure: OnFailure::Revert,
        drift: Drift::Correct,
        suspended: false,
        status: SourceStatus {
            head: Some(CommitSha::new(SHA)),
            applied: Some(CommitSha::new(SHA)),
            gate: PullGate::Open,
            healthy: Some(CommitSha::new(SHA)),
            condition: SourceCondition::Readable,
            since: START,
            failure: None,
            approved: None,
            owed_revert: None,
            failed_contents: Vec::new(),
        },
    }
}

fn node(name: &str, condition: NodeCondition, scheduling: Scheduling) -> Node {
    Node {
        name: NodeName::new(name),
        instance: format!("instance-{name}"),
        labels: map(&[("zone", "north")]),
        capacity: Resources { cpu_millis: 4000, memory_bytes: 8 << 30, pods: 110 },
        storage_bytes: Some(100 << 30),
        engine: EngineId::new("engine"),
        engine_version: "28.5.0".to_owned(),
        agent_version: "0.1.0".to_owned(),
        address: Some(IpAddr::from([192, 0, 2, 10])),
        condition,
        scheduling,
        pulls: Vec::new(),
        generation: Turn(40),
        last_event: None,
        joined_at: START,
    }
}

/// The world with a disruption budget over all of its pods.
pub fn with_budget(mut world: World) -> World {
    let spec = ObjectSpec::PodDisruptionBudget(Box::new(PodDisruptionBudget {
        selector: Some(deployment().selector),
        limit: DisruptionLimit::MaxUnavailable(IntOrPercent::Percent(50)),
        unhealthy: UnhealthyPodEviction::AlwaysAllow,
    }));
    let object = stored(320, "demo", "web", spec);
    world.apply(&Change::PutObject(Arc::new(object)));
    world
}

/// The world with limits and a quota for its namespace.
pub fn with_limits(mut world: World) -> World {
    let amounts = |all: &[(&str, u64)]| all.iter().copied().collect::<ResourceAmounts>();
    let item = LimitRangeItem {
        limit_type: LimitType::Container,
        min: ResourceAmounts::default(),
        max: amounts(&[("memory", 1 << 30)]),
        default_limits: amounts(&[("cpu", 1500), ("memory", 1 << 30)]),
        default_requests: amounts(&[("cpu", 100)]),
        max_limit_request_ratio: amounts(&[("cpu", 2500)]),
    };
    let range = ObjectSpec::LimitRange(LimitRange { limits: Box::new([item]) });
    let hard = [("requests.cpu", 4000), ("limits.memory", 8 << 30), ("pods", 10), ("secrets", 3)];
    let is_in = |scope, operator| ScopeRequirement { scope, operator };
    let quota = ObjectSpec::ResourceQuota(Box::new(ResourceQuota {
        hard: amounts(&hard),
        scopes: Box::new([QuotaScope::NotTerminating]),
        scope_selector: Box::new([
            is_in(QuotaScope::NotBestEffort, LabelOperator::Exists),
            is_in(QuotaScope::PriorityClass, LabelOperator::NotIn(vec!["high".to_owned()])),
        ]),
    }));
    for (number, spec) in [(321, range), (322, quota)] {
        let object = stored(number, "demo", "web", spec);
        world.apply(&Change::PutObject(Arc::new(object)));
    }
    world
}

/// The same with a node that is drained.
pub fn drain(world: &mut World, node: &str) {
    let row = &world.nodes[&NodeName::new(node)];
    let row = Node { scheduling: Scheduling::Draining { since: START }, ..(**row).clone() };
    world.apply(&Change::PutNode(Arc::new(row)));
}

/// The world with a service of each type.
pub fn world_of_services() -> World {
    let mut world = world();
    let inner = || vec![ServicePort { node_port: None, ..service().ports.remove(0) }];
    for (name, service_type, ports) in [
        ("inside", ServiceType::ClusterIp, inner()),
        ("peers", ServiceType::Headless, inner()),
        ("outside", ServiceType::ExternalName("db.example.com".to_owned()), Vec::new()),
    ] {
        let spec = ObjectSpec::Service(Service { service_type, ports, ..service() });
        let object = stored(300 + world.objects.len() as u128, "demo", name, spec);
        world.apply(&Change::PutObject(Arc::new(object)));
    }
    world
}

pub fn objects() -> Vec<StoredObject> {
    let specs = [
        ("", "demo", ObjectSpec::Namespace),
        (
            "demo",
            "web-config",
            ObjectSpec::ConfigMap(ConfigMap {
                data: map(&[("GREETING", "hello")]),
                ..ConfigMap::default()
            }),
        ),
        (
            "demo",
            "web-secret",
            ObjectSpec::Secret(Secret {
                secret_type: "Opaque".to_owned(),
                data: SortedMap::from([("password".to_owned(), SecretValue::new("hunter2"))]),
                immutable: false,
            }),
        ),
        ("demo", "web", ObjectSpec::Service(service())),
        ("demo", "web", ObjectSpec::Deployment(Box::new(deployment()))),
    ];
    specs
        .into_iter()
        .enumerate()
        .map(|(index, (namespace, name, spec))| stored(100 + index as u128, namespace, name, spec))
        .collect()
}

fn stored(number: u128, namespace: &str, name: &str, spec: ObjectSpec) -> StoredObject {
    StoredObject {
        uid: ObjectUid(uuid(number)),
        source: SourceName::new("default"),
        sha: CommitSha::new(SHA),
        generation: 2,
        created_at: START,
        orphaned: false,
        declared: Arc::new(DeclaredObject {
            key: ObjectKey::new(namespace, name),
            labels: map(&[("app", "web")]),
            annotations: StringMap::new(),
            policy: ObjectPolicy::default(),
            spec,
            written: None,
            origin: Origin { file: "apps/web.yaml".into(), line: 7 },
        }),
    }
}

fn service() -> Service {
    Service {
        service_type: ServiceType::NodePort,
        selector: map(&[("app", "web")]),
        ports: vec![ServicePort {
            name: "http".to_owned(),
            protocol: Protocol::Tcp,
            port: 80,
            target_port: PortRef::Name("http".to_owned()),
            node_port: Some(30080),
        }],
    }
}

fn container<Env>(env: Vec<Env>) -> Container<Env> {
    Container {
        name: "web".to_owned(),
        image: "dugout-web:2".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        command: Vec::new(),
        args: vec!["--listen=:8080".to_owned()],
        working_dir: None,
        env,
        ports: vec![ContainerPort {
            name: "http".to_owned(),
            container_port: 8080,
            protocol: Protocol::Tcp,
            host: None,
        }],
        resources: ContainerResources {
            cpu_request_millis: 100,
            memory_request_bytes: 64 << 20,
            cpu_limit_millis: None,
            memory_limit_bytes: Some(128 << 20),
        },
        startup_probe: None,
        readiness_probe: Some(Box::new(Probe {
            action: ProbeAction::HttpGet(HttpGetAction {
                scheme: HttpScheme::Http,
                host: None,
                port: PortRef::Name("http".to_owned()),
                path: "/ready".to_owned(),
                headers: Vec::new(),
            }),
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace: None,
        })),
        liveness_probe: None,
        lifecycle: None,
        restart_policy: None,
        mounts: Box::default(),
        security: None,
        streams: dugout_model::Streams::default(),
    }
}

fn deployment() -> Deployment {
    Deployment {
        replicas: 3,
        selector: LabelSelector { match_labels: map(&[("app", "web")]), ..Default::default() },
        template: PodTemplate {
            labels: map(&[("app", "web")]),
            annotations: StringMap::new(),
            containers: vec![container(vec![
                EnvSource::AllOfConfigMap {
                    config_map: ObjectName::new("web-config"),
                    prefix: String::new(),
                    optional: false,
                },
                EnvSource::SecretKey {
                    name: "PASSWORD".to_owned(),
                    secret: ObjectName::new("web-secret"),
                    key: "password".to_owned(),
                    optional: false,
                },
            ])],
            init_containers: vec![],
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(30),
            node_selector: StringMap::new(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        },
        strategy: Strategy::RollingUpdate {
            max_surge: IntOrPercent::Percent(25),
            max_unavailable: IntOrPercent::Percent(25),
        },
        min_ready: Duration::ZERO,
        progress_deadline: Duration::from_secs(600),
        revision_history_limit: 10,
        paused: false,
    }
}

pub fn replica_set() -> ReplicaSet {
    let text = |name: &str, text: &str| EnvValue {
        name: name.to_owned(),
        content: EnvContent::Text(text.to_owned()),
    };
    let secret = EnvValue {
        name: "PASSWORD".to_owned(),
        content: EnvContent::Secret(SecretValue::new("hunter2")),
    };
    let pod_name =
        EnvValue { name: "POD_NAME".to_owned(), content: EnvContent::Field(PodField::Name) };
    ReplicaSet {
        uid: ReplicaSetUid(uuid(200)),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new("web-5d9c7b"),
        owner: ObjectUid(uuid(104)),
        source: SourceName::new("default"),
        template: Arc::new(ResolvedTemplate {
            labels: map(&[("app", "web")]),
            annotations: StringMap::new(),
            containers: vec![container(vec![text("GREETING", "hello"), secret, pod_name])],
            init_containers: vec![],
            restart_policy: RestartPolicy::Always,
            termination_grace: Duration::from_secs(30),
            node_selector: StringMap::new(),
            volumes: Box::default(),
            image_pull_secrets: Box::default(),
            security: None,
            names: None,
        }),
        template_hash: TemplateHash::new("5d9c7b0011223344"),
        revision: 2,
        replicas: 3,
        sha: CommitSha::new(SHA),
        created_at: START,
        pins: ImagePins::new(),
    }
}

fn rollout() -> Rollout {
    Rollout {
        workload: ObjectUid(uuid(104)),
        generation: 2,
        state: RolloutState::Progressing,
        progressed_at: START + Duration::from_secs(2),
        milestone: RolloutMilestone::default(),
    }
}

/// One that is ready, one in a crash loop and changed by hand, one without a node, one that drains, one unknown.
pub fn pods() -> Vec<Pod> {
    let on = |node: &str| Placement::On { node: NodeName::new(node), at: START };
    let running = Seen::Known(pod_status(
        ContainerState::Running { started_at: START + Duration::from_secs(1) },
        true,
    ));
    let mut crashing = pod_status(
        ContainerState::Waiting {
            reason: WaitingReason::CrashLoopBackOff,
            message: "back-off 20s restarting failed container".to_owned(),
        },
        false,
    );
    crashing.drift = vec!["container web is paused".to_owned()];
    let crashing = Seen::Known(crashing);
    let waiting = Placement::Waiting(Unschedulable {
        removed: BTreeMap::from([(NodeFilter::InsufficientCpu, 1), (NodeFilter::Cordoned, 1)]),
    });
    let draining = Lifecycle::Draining {
        since: START + Duration::from_secs(60),
        since_turn: Turn(41),
        deadline: START + Duration::from_secs(90),
        reason: StopReason::Scaled,
    };
    let unknown = Seen::Unknown { since: START + Duration::from_secs(40), last: None };
    vec![
        pod(1, "aaaaa", on("alpha"), Lifecycle::Active, running.clone()),
        pod(2, "bbbbb", on("alpha"), Lifecycle::Active, crashing),
        pod(3, "ccccc", waiting, Lifecycle::Active, Seen::Absent),
        pod(4, "ddddd", on("alpha"), draining, running),
        pod(5, "eeeee", on("beta"), Lifecycle::Active, unknown),
    ]
}

pub fn pod(
    number: u128,
    suffix: &str,
    placement: Placement,
    lifecycle: Lifecycle,
    seen: Seen<PodStatus>,
) -> Pod {
    Pod {
        uid: PodUid(uuid(300 + number)),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new(format!("web-5d9c7b-{suffix}")),
        replica_set: ReplicaSetUid(uuid(200)),
        identity: PodIdentity::Any,
        created_at: START,
        placement,
        lifecycle,
        seen,
    }
}

fn digest() -> ImageDigest {
    ImageDigest::new(format!("sha256:{}", "0a".repeat(32)))
}

fn pod_status(state: ContainerState, ready: bool) -> PodStatus {
    PodStatus {
        phase: PodPhase::Running,
        init_containers: vec![],
        containers: vec![ContainerStatus {
            name: "web".to_owned(),
            state,
            ready,
            restarts: if ready { 0 } else { 3 },
            container_id: Some("c0ffee".to_owned()),
            image_id: Some("sha256:abc".to_owned()),
            image_digest: ready.then(digest),
            last_exit: (!ready).then(|| ContainerExit {
                exit_code: 1,
                oom_killed: false,
                finished_at: START + Duration::from_secs(50),
            }),
        }],
        address: Some(IpAddr::from([172, 17, 0, 2])),
        ready_since: ready.then(|| START + Duration::from_secs(2)),
        milestones: PodMilestones::default(),
        drift: Vec::new(),
        pause: None,
    }
}

pub fn release(verdict: Verdict) -> Release {
    Release {
        id: ReleaseId(7),
        source: SourceName::new("default"),
        commit: Commit {
            sha: CommitSha::new(SHA),
            author: "Ann <ann@example>".to_owned(),
            message: "Use version 2\n\nIt is greener.".to_owned(),
            committed_at: START,
            parents: vec![CommitSha::new("00112233")],
        },
        verdict,
        reason: None,
        touched: BTreeSet::from([ObjectId::new(Kind::Deployment, "demo", "web")]),
        started_at: START,
        finished_at: Some(START + Duration::from_millis(812)),
        revert: None,
        pins: [("web:2".to_owned(), digest())].into(),
    }
}

/// A release that went back, and its source, which owes the revert of another.
pub fn reverted() -> (Source, Release) {
    let mut row = source();
    let failed = CommitSha::new("badbadbad");
    row.on_failure = OnFailure::Hold;
    row.drift = Drift::Warn;
    row.status.failure = Some(Failure { sha: failed.clone(), since: START });
    row.status.owed_revert = Some(OwedRevert {
        failed,
        to: CommitSha::new(SHA),
        reason: "it failed".to_owned(),
        delayed_by: Some("no answer".to_owned()),
    });
    let revert =
        RevertOutcome::OnBranch { branch: "dugout/revert-1".to_owned(), message: "no".to_owned() };
    (row, Release { revert: Some(revert), ..release(Verdict::Reverted) })
}

pub fn events() -> Vec<Event> {
    vec![
        Event {
            at: START + Duration::from_secs(40),
            event_type: EventType::Warning,
            kind: "Node".to_owned(),
            namespace: NamespaceName::new(""),
            name: "beta".to_owned(),
            reason: "NodeNotReady".to_owned(),
            message: "its agent has stopped reporting".to_owned(),
        },
        Event {
            at: START + Duration::from_secs(1),
            event_type: EventType::Normal,
            kind: "Pod".to_owned(),
            namespace: NamespaceName::new("demo"),
            name: "web-5d9c7b-aaaaa".to_owned(),
            reason: "Started".to_owned(),
            message: "started container web".to_owned(),
        },
    ]
}

pub fn timeline() -> Vec<TimelineEntry> {
    let entry = |micros: u64, step, subject: &str| TimelineEntry {
        source: SourceName::new("default"),
        sha: CommitSha::new(SHA),
        at: START + Duration::from_micros(micros),
        step,
        subject: subject.to_owned(),
        message: String::new(),
    };
    vec![
        entry(0, Step::Noticed, ""),
        entry(4200, Step::Fetched, ""),
        entry(812_000, Step::Ready, "Pod demo/web-5d9c7b-aaaaa"),
    ]
}

pub fn problem() -> Problem {
    Problem {
        file: "apps/web.yaml".into(),
        line: 12,
        column: 5,
        severity: Severity::Error,
        field_path: "spec.replicas".to_owned(),
        message: "must be a whole number".to_owned(),
        hint: Some("write 3".to_owned()),
    }
}

/// A control plane that holds still and remembers what it was asked.
pub struct Fake {
    pub world: Mutex<Arc<World>>,
    pub leading: Leading,
    pub asked: Mutex<Vec<String>>,
}

impl Fake {
    pub fn new(world: World) -> Self {
        Self {
            world: Mutex::new(Arc::new(world)),
            leading: Leading::Leads,
            asked: Mutex::new(Vec::new()),
        }
    }

    /// What a pod or a node is asked to do happens at once.
    fn perform(&self, request: &OperatorRequest) {
        let mut world = (*self.world()).clone();
        match request {
            OperatorRequest::Evict(uid) => {
                let (since, grace) = (START, Duration::from_secs(30));
                let lifecycle = Lifecycle::Stopping { since, grace, reason: StopReason::Asked };
                let pod = Pod { lifecycle, ..(*world.pods[uid]).clone() };
                world.apply(&Change::PutPod(Arc::new(pod)));
            }
            OperatorRequest::DeleteNode(name) => {
                world.apply(&Change::DeleteNode(name.clone()));
            }
            _ => return,
        }
        *self.world.lock().expect("no test panics in here") = Arc::new(world);
    }

    fn ask(&self, what: String) {
        self.asked.lock().expect("no test panics in here").push(what);
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, BackendError>) -> Call<'a, T> {
    Box::pin(async move { value })
}

impl Backend for Fake {
    fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.lock().expect("no test panics in here"))
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn leading(&self) -> Leading {
        self.leading.clone()
    }

    fn timeline<'a>(
        &'a self,
        _source: Option<&'a SourceName>,
        sha_prefix: Option<&'a str>,
        _limit: u32,
    ) -> Call<'a, Vec<TimelineEntry>> {
        let mut entries = timeline();
        entries.retain(|entry| entry.sha.as_str().starts_with(sha_prefix.unwrap_or("")));
        ready(Ok(entries))
    }

    fn releases<'a>(
        &'a self,
        _source: Option<&'a SourceName>,
        _limit: u32,
    ) -> Call<'a, Vec<Release>> {
        ready(Ok(vec![release(Verdict::Healthy)]))
    }

    fn events<'a>(
        &'a self,
        namespace: Option<&'a NamespaceName>,
        _limit: u32,
    ) -> Call<'a, Vec<Event>> {
        let mut events = events();
        events.retain(|event| namespace.is_none_or(|namespace| event.namespace == *namespace));
        ready(Ok(events))
    }

    fn problems<'a>(
        &'a self,
        _source: &'a SourceName,
        _sha_prefix: &'a str,
    ) -> Call<'a, Vec<Problem>> {
        ready(Ok(vec![problem()]))
    }

    fn operate(&self, request: OperatorRequest) -> Call<'_, ()> {
        self.ask(format!("{request:?}"));
        self.perform(&request);
        ready(Ok(()))
    }

    fn sync<'a>(&'a self, source: Option<&'a SourceName>) -> Call<'a, Vec<SourceName>> {
        self.ask(format!("sync {source:?}"));
        ready(Ok(vec![SourceName::new("default")]))
    }

    fn rollback(&self, request: RollbackRequest) -> Call<'_, RollbackDone> {
        self.ask(format!("{request:?}"));
        if request.to.as_deref() == Some("ffff") {
            let sentence = "no commit of the source begins with ffff".to_owned();
            return ready(Err(BackendError::Conflict { sentence }));
        }
        ready(Ok(RollbackDone {
            source: SourceName::new("default"),
            branch: "main".to_owned(),
            to: CommitSha::new("00112233"),
            on_branch: RollbackOnBranch::Pushed {
                commit: CommitSha::new("99887766"),
                reverted: vec![CommitSha::new(SHA)],
            },
        }))
    }

    fn foresee<'a>(
        &'a self,
        source: &'a SourceName,
        reference: Option<String>,
    ) -> Call<'a, Foreseen> {
        self.ask(format!("foresee {source} {reference:?}"));
        let before = self.world();
        let mut after = (*before).clone();
        let secret = ObjectId::new(Kind::Secret, "demo", "web-secret");
        after.apply(&Change::DeleteObject(ObjectId::new(Kind::ConfigMap, "demo", "web")));
        for id in [ObjectId::new(Kind::Deployment, "demo", "web"), secret] {
            let Some(mut row) = after.objects.get(&id).map(|row| (**row).clone()) else { continue };
            let declared = Arc::make_mut(&mut row.declared);
            match &mut declared.spec {
                ObjectSpec::Deployment(spec) => {
                    spec.template.containers[0].image = "web:3".to_owned();
                    spec.replicas += 1;
                }
                ObjectSpec::Secret(spec) => {
                    let keys: Vec<String> = spec.data.keys().map(str::to_owned).collect();
                    let hidden = |key| (key, SecretValue::new("never shown"));
                    spec.data = keys.into_iter().map(hidden).collect();
                }
                _ => {}
            }
            after.apply(&Change::PutObject(Arc::new(row)));
        }
        let outcome = Outcome::Applied {
            after: Box::new(after),
            end: End::Waiting,
            notices: vec![problem()],
        };
        let obstacles = vec![Obstacle::Suspended];
        let forecast = Forecast { obstacles, outcome };
        let commit = release(Verdict::Rolling).commit;
        ready(Ok(Foreseen { source: source.clone(), commit, before, forecast }))
    }

    fn logs(&self, request: LogsRequest) -> Call<'_, ByteStream> {
        self.ask(format!("{request:?}"));
        let pieces = [Ok(Bytes::from("listening on 8080\n")), Ok(Bytes::from("served /\n"))];
        let stream: ByteStream = Box::pin(futures_util::stream::iter(pieces));
        ready(Ok(stream))
    }

    /// Says what it hears, and then that it has ended well.
    fn session(&self, request: SessionRequest) -> Call<'_, Session> {
        self.ask(format!("{request:?}"));
        if request.container == "db" {
            let sentence = "the container does not run".to_owned();
            return ready(Err(BackendError::Conflict { sentence }));
        }
        let (outgoing, mut heard) = tokio::sync::mpsc::channel::<Bytes>(1);
        let (say, incoming) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(message) = heard.recv().await {
                match message.as_ref() {
                    b"\x00die" => return,
                    [255, 0] => {
                        say.send(Bytes::from_static(b"\x03{\"status\":\"Success\"}")).await.ok();
                        return;
                    }
                    [_, content @ ..] => {
                        let said = [b"\x01", content].concat();
                        say.send(said.into()).await.ok();
                    }
                    [] => {}
                }
            }
        });
        ready(Ok(Session { incoming, outgoing }))
    }

    fn create_join_token(&self, valid_for: Option<Duration>) -> Call<'_, NewJoinToken> {
        self.ask(format!("create a token for {valid_for:?}"));
        ready(Ok(NewJoinToken { name: "join-1".to_owned(), token: "join-me".to_owned() }))
    }

    fn join_tokens(&self) -> Call<'_, Vec<JoinToken>> {
        ready(Ok(vec![JoinToken {
            name: "join-1".to_owned(),
            created_at: START,
            expires_at: Some(START + Duration::from_secs(60)),
        }]))
    }

    fn revoke_join_token<'a>(&'a self, name: &'a str) -> Call<'a, ()> {
        self.ask(format!("revoke {name}"));
        ready(match name {
            "join-1" => Ok(()),
            _ => Err(BackendError::NotFound { what: format!("join token {name}") }),
        })
    }
}
