//! The protocol as it is on the wire. A change of a golden file is a change of the protocol: it must
//! be seen in review, and be one that an agent of the last version understands.
//! `DUGOUT_BLESS=1 cargo test -p dugout-wire` writes the files anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use dugout_wire as wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fn check_golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("DUGOUT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(golden, text, "{name} differs from what is sent now");
    assert_eq!(&serde_json::from_str::<T>(&golden).unwrap(), value);
}

fn map(pairs: &[(&str, &str)]) -> StringMap {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn probe(action: ProbeAction) -> Option<Box<Probe>> {
    Some(Box::new(Probe {
        action,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_millis(1500),
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace: None,
    }))
}

fn container() -> Container<EnvValue> {
    let env = |name: &str, content| EnvValue { name: name.to_owned(), content };
    Container {
        name: "web".into(),
        image: "dugout/web:1".into(),
        pull_policy: PullPolicy::IfNotPresent,
        command: vec!["/web".into()],
        args: vec!["--port".into(), "8080".into()],
        working_dir: Some("/srv".into()),
        env: vec![
            env("COLOUR", EnvContent::Text("blue".into())),
            env("PASSWORD", EnvContent::Secret(SecretValue::new([0xff, b'x']))),
            env("POD", EnvContent::Field(PodField::Name)),
            env("APP", EnvContent::Field(PodField::Label("app".into()))),
        ],
        ports: vec![ContainerPort {
            name: "http".into(),
            container_port: 8080,
            protocol: Protocol::Tcp,
            host: Some(HostPort { port: 80, address: Some([10, 0, 0, 1].into()) }),
        }],
        resources: ContainerResources {
            cpu_request_millis: 50,
            memory_request_bytes: 1 << 20,
            cpu_limit_millis: Some(500),
            memory_limit_bytes: None,
        },
        startup_probe: probe(ProbeAction::Exec { command: vec!["/check".into()] }),
        readiness_probe: probe(ProbeAction::HttpGet(HttpGetAction {
            scheme: HttpScheme::Http,
            host: None,
            port: PortRef::Name("http".into()),
            path: "/readyz".into(),
            headers: vec![("X-Probe".into(), "1".into())],
        })),
        liveness_probe: probe(ProbeAction::TcpSocket {
            host: Some("127.0.0.1".into()),
            port: PortRef::Number(8080),
        }),
        lifecycle: Some(Box::new(ContainerLifecycle {
            post_start: Some(LifecycleHandler::Exec { command: vec!["/warm-up".into()] }),
            pre_stop: Some(LifecycleHandler::Sleep(Duration::from_secs(5))),
            stop_signal: Some("SIGQUIT".into()),
        })),
        restart_policy: None,
        mounts: [mount("cache", None), mount("settings", Some(SubPath::Fixed("a".into())))].into(),
        security: None,
        streams: dugout_model::Streams::default(),
    }
}

fn mount(volume: &str, sub_path: Option<SubPath>) -> VolumeMount {
    VolumeMount {
        volume: volume.into(),
        path: format!("/{volume}"),
        access: MountAccess::ReadOnly,
        sub_path,
        propagation: MountPropagation::HostToContainer,
    }
}

fn volumes() -> Box<[Volume<VolumeFiles>]> {
    let file =
        |path: &str, content| VolumeFile { path: path.into(), mode: FileMode::new(0o640), content };
    let files: VolumeSource<VolumeFiles> = VolumeSource::Files(Arc::new([
        file("a", FileContent::Plain(b"text".as_slice().into())),
        file("b", FileContent::Plain([0xfe, b'y'].as_slice().into())),
        file("c", FileContent::Secret(SecretValue::new([0xff, b'x']))),
        file("d", FileContent::Field(FileField::Labels)),
        file("e", FileContent::Field(FileField::Annotations)),
        file("f", FileContent::Field(FileField::One(PodField::Uid))),
        file(
            "g",
            FileContent::NodeResource(NodeResource {
                kind: NodeResourceKind::Memory,
                divisor: 1 << 20,
            }),
        ),
    ]));
    let limit = EmptyDir::Memory { size_limit_bytes: Some(1 << 20) };
    let host = HostPath { path: "/srv".into(), path_type: HostPathType::Directory };
    [
        ("cache", VolumeSource::EmptyDir(EmptyDir::Disk)),
        ("fast", VolumeSource::EmptyDir(limit)),
        ("host", VolumeSource::HostPath(host)),
        ("settings", files),
        ("none", VolumeSource::Files(Arc::default())),
        ("nothing", VolumeSource::Files(Arc::default())),
        ("made", claim(ClaimName::OfTemplate(ObjectName::new("made")), MountAccess::ReadWrite)),
        ("disk", claim(ClaimName::Named(ObjectName::new("disk")), MountAccess::ReadOnly)),
        ("path", claim(ClaimName::Named(ObjectName::new("path")), MountAccess::ReadWrite)),
    ]
    .map(|(name, source)| Volume { name: name.into(), source })
    .into()
}

fn claim(claim: ClaimName, access: MountAccess) -> VolumeSource<VolumeFiles> {
    VolumeSource::Claim(ClaimVolume { claim, access })
}

/// What the node is told of them.
fn claims() -> Vec<AssignedClaim> {
    let disk = PersistentVolumeSource::Local { path: "/disks/1".into() };
    let path = HostPath { path: "/srv/path".into(), path_type: HostPathType::Directory };
    let made = ClaimPlace::Provisioned { volume: VolumeUid(Uuid::from_u128(77)), is_new: true };
    [
        ("made", made),
        ("disk", ClaimPlace::Declared(disk)),
        ("path", ClaimPlace::Declared(PersistentVolumeSource::HostPath(path))),
    ]
    .map(|(volume, place)| AssignedClaim { volume: volume.into(), place })
    .into()
}

fn pod(uid: u128, template: &SharedTemplate, order: PodOrder) -> AssignedPod {
    AssignedPod {
        uid: PodUid(Uuid::from_u128(uid)),
        namespace: NamespaceName::new("demo"),
        name: ObjectName::new(format!("web-5d9c-{uid}")),
        replica_set: ReplicaSetUid(Uuid::from_u128(9)),
        template: Arc::clone(template),
        order,
        drift: Drift::Correct,
        claims: if uid == 2 { claims() } else { Vec::new() },
        pins: if uid == 2 { pins() } else { Vec::new() },
    }
}

fn pins() -> Vec<AssignedPin> {
    [("web:2", Some(digest())), ("web:3", None)]
        .map(|(image, digest)| AssignedPin { image: image.into(), digest })
        .into()
}

fn pull_secret() -> AssignedPullSecret {
    AssignedPullSecret {
        key: ObjectKey::new("demo", "registry"),
        format: PullSecretFormat::ConfigJson,
        content: SecretValue::new("{}"),
        images: vec!["web:2".into()],
    }
}

fn assignment() -> Assignment {
    let template = Arc::new(ResolvedTemplate {
        labels: map(&[("app", "web")]),
        annotations: map(&[("note", "a \"quoted\" word")]),
        containers: vec![container()],
        init_containers: vec![Container {
            name: "side".into(),
            restart_policy: Some(RestartPolicy::Always),
            ..container()
        }],
        restart_policy: RestartPolicy::Always,
        termination_grace: Duration::from_secs(30),
        node_selector: map(&[("disk", "ssd")]),
        volumes: volumes(),
        image_pull_secrets: [ObjectName::new("registry")].into(),
        security: None,
        names: None,
    });
    let other = Arc::new(ResolvedTemplate {
        init_containers: vec![],
        containers: vec![],
        ..(*template).clone()
    });
    let task = |restart_policy| {
        Arc::new(ResolvedTemplate {
            restart_policy,
            init_containers: vec![],
            containers: vec![],
            ..(*template).clone()
        })
    };
    Assignment {
        cluster: ClusterId(Uuid::from_u128(1)),
        node: NodeName::new("node-1"),
        generation: Turn(42),
        pods: vec![
            pod(2, &template, PodOrder::Run { draining: false }),
            AssignedPod {
                drift: Drift::Warn,
                ..pod(3, &template, PodOrder::Run { draining: true })
            },
            pod(4, &other, PodOrder::Stop { grace: Duration::from_micros(2_500_001) }),
            pod(6, &task(RestartPolicy::OnFailure), PodOrder::Run { draining: false }),
            pod(7, &task(RestartPolicy::Never), PodOrder::Run { draining: false }),
        ],
        services: services(),
        pull_secrets: vec![pull_secret()],
        images: vec![assigned_image("web:2"), assigned_image("web:3"), pinned_image("web:4")],
        deleted_volumes: vec![VolumeUid(Uuid::from_u128(78))],
    }
}

fn services() -> Vec<AssignedService> {
    vec![AssignedService {
        key: ObjectKey::new("demo", "web"),
        ports: vec![AssignedServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: 30080,
            endpoints: vec![
                Endpoint {
                    pod: PodUid(Uuid::from_u128(2)),
                    port: 8080,
                    place: EndpointPlace::Local,
                },
                Endpoint {
                    pod: PodUid(Uuid::from_u128(5)),
                    port: 8080,
                    place: EndpointPlace::SameEngine { address: "172.17.0.9".parse().unwrap() },
                },
            ],
        }],
    }]
}

fn assigned_image(image: &str) -> AssignedImage {
    let policy = PullPolicy::Always;
    AssignedImage { release: ReleaseId(7), image: image.into(), policy, digest: None }
}

fn pinned_image(image: &str) -> AssignedImage {
    AssignedImage { digest: Some(digest()), ..assigned_image(image) }
}

fn digest() -> ImageDigest {
    ImageDigest::parse(&format!("sha256:{}", "0a".repeat(32))).unwrap()
}

fn status(name: &str, state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        name: name.into(),
        state,
        ready: false,
        restarts: 2,
        container_id: Some("0123".into()),
        image_id: None,
        image_digest: Some(digest()),
        last_exit: Some(ContainerExit {
            exit_code: 137,
            oom_killed: true,
            finished_at: Timestamp::from_micros(5),
        }),
    }
}

fn milestones() -> PodMilestones {
    let at = |micros| Some(Timestamp::from_micros(micros));
    PodMilestones {
        accepted_at: at(1),
        pulled_at: at(2),
        created_at: at(3),
        started_at: at(4),
        ready_at: at(5),
        stopped_at: None,
    }
}

fn report() -> NodeReport {
    let exit = ContainerExit {
        exit_code: 1,
        oom_killed: false,
        finished_at: Timestamp::from_micros(1_700_000_000_000_007),
    };
    let mut containers = vec![
        status("a", ContainerState::Running { started_at: Timestamp::from_micros(6) }),
        status("b", ContainerState::Terminated(exit)),
    ];
    containers.extend(WaitingReason::ALL.map(|reason| {
        status("c", ContainerState::Waiting { reason, message: "back-off 10s".into() })
    }));
    let pod = |phase| PodReport {
        phase,
        init_containers: containers.iter().take(2).cloned().collect(),
        containers: containers.clone(),
        address: Some("172.17.0.2".parse().unwrap()),
        ready: true,
        connections: 3,
        milestones: milestones(),
        drift: vec!["container web: is paused".into()],
        pause: Some(match phase {
            PodPhase::Running => Pause::LeftAlone,
            _ => Pause::Stopped,
        }),
    };
    let bare = |phase| PodReport {
        phase,
        init_containers: vec![],
        containers: vec![],
        address: None,
        ready: false,
        connections: 0,
        milestones: PodMilestones::default(),
        drift: vec![],
        pause: None,
    };
    let event = |event_type| Event {
        at: Timestamp::from_micros(8),
        event_type,
        kind: "Pod".into(),
        namespace: NamespaceName::new("demo"),
        name: "web-1".into(),
        reason: "Unhealthy".into(),
        message: "Readiness probe failed".into(),
    };
    NodeReport {
        node: NodeName::new("node-1"),
        instance: "i-1".into(),
        acknowledged: Turn(41),
        engine_answers: true,
        pods: BTreeMap::from([
            (PodUid(Uuid::from_u128(2)), pod(PodPhase::Running)),
            (PodUid(Uuid::from_u128(3)), pod(PodPhase::Pending)),
            (PodUid(Uuid::from_u128(4)), bare(PodPhase::Gone)),
            (PodUid(Uuid::from_u128(6)), bare(PodPhase::Succeeded)),
            (PodUid(Uuid::from_u128(7)), bare(PodPhase::Failed)),
        ]),
        volumes: Some([VolumeUid(Uuid::from_u128(77))].into()),
        images: Some(BTreeMap::from([
            (assigned_image("web:2"), ImageReport::Pulling { trouble: Some("refused".into()) }),
            (assigned_image("web:3"), ImageReport::Held { digest: Some(digest()) }),
            (pinned_image("web:4"), ImageReport::Failed { message: "not found".into() }),
        ])),
        events: vec![event(EventType::Normal), event(EventType::Warning)],
        first_event: Some(EventNumber { run: Uuid::from_u128(9), number: 17 }),
    }
}

fn registration() -> NodeRegistration {
    NodeRegistration {
        name: NodeName::new("node-1"),
        instance: "i-1".into(),
        labels: map(&[("disk", "ssd")]),
        capacity: Resources { cpu_millis: 2000, memory_bytes: 1 << 30, pods: 110 },
        storage_bytes: Some(1 << 40),
        engine: EngineId::new("ABCD"),
        engine_version: "20.10.24".into(),
        agent_version: "0.1.0".into(),
        address: Some("192.0.2.7".parse().unwrap()),
    }
}

#[test]
fn an_assignment_comes_back_as_it_was_and_each_template_is_sent_once() {
    let value = assignment();
    let sent = wire::Assignment::from(&value);
    assert_eq!(sent.templates.len(), 4);
    // Their content is sent once, however many templates have it.
    assert_eq!(sent.volume_files.len(), 2);
    check_golden("assignment.json", &sent);
    let back = Assignment::try_from(sent).unwrap();
    assert_eq!(back, value);
    assert!(Arc::ptr_eq(&back.pods[0].template, &back.pods[1].template));
}

/// The places of all values of an assignment, without those of lists and of what users name.
fn fields(value: &serde_json::Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(all) => {
            for (name, value) in all {
                fields(value, &format!("{at}.{name}"), found);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| fields(value, at, found)),
        _ => drop(found.insert(at.trim_start_matches('.').to_owned())),
    }
}

#[test]
fn a_new_field_of_an_assignment_is_a_new_revision() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/assignment-fields.txt");
    let mut found = BTreeSet::new();
    let sent = wire::Assignment::from(&assignment());
    fields(&serde_json::to_value(sent).unwrap(), "", &mut found);
    let all: String = found.iter().map(|field| format!("{field}\n")).collect();
    let revision = format!("revision {}\n", wire::ASSIGNMENT_REVISION);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    if known != format!("{revision}{all}") {
        assert!(!known.starts_with(&revision), "raise ASSIGNMENT_REVISION and bless again");
        if std::env::var_os("DUGOUT_BLESS").is_some() {
            std::fs::write(&path, format!("{revision}{all}")).unwrap();
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{revision}{all}"));
}

#[test]
fn a_report_comes_back_as_it_was() {
    let value = report();
    let sent = wire::Report::from(&value);
    check_golden("report.json", &sent);
    assert_eq!(sent.into_model(value.node.clone()).unwrap(), value);
}

#[test]
fn a_registration_comes_back_as_it_was() {
    let value = registration();
    let sent = wire::Registration::from(&value);
    check_golden("registration.json", &sent);
    assert_eq!(sent.into_model(value.name.clone()).unwrap(), value);
    check_golden(
        "registered.json",
        &wire::Registered {
            cluster: Uuid::from_u128(1),
            report_interval_ms: 1000,
            poll_wait_ms: 30_000,
        },
    );
}

#[test]
fn a_stream_request_looks_like_this() {
    let request = wire::StreamRequest {
        id: Uuid::from_u128(1),
        kind: wire::StreamKind::Logs(wire::LogsRequest {
            pod: Uuid::from_u128(2),
            container: Some("web".into()),
            follow: true,
            tail_lines: Some(10),
            since_micros: Some(7),
            timestamps: false,
        }),
    };
    check_golden("stream_request.json", &request);
}

#[test]
fn a_field_of_a_newer_peer_is_ignored() {
    let text = r#"{"cluster":"00000000-0000-0000-0000-000000000001","reportIntervalMs":1,"pollWaitMs":2,"new":{}}"#;
    assert_eq!(serde_json::from_str::<wire::Registered>(text).unwrap().poll_wait_ms, 2);
}

#[test]
fn a_reason_of_a_newer_agent_is_one_that_it_waits_for() {
    let mut sent = serde_json::to_value(wire::Report::from(&report())).unwrap();
    let pod = &mut sent["pods"][Uuid::from_u128(2).to_string()];
    pod["containers"][2]["state"]["waiting"]["reason"] = "WaitsForTheMoon".into();
    let read: wire::Report = serde_json::from_value(sent).unwrap();
    let model = read.into_model(NodeName::new("node-1")).unwrap();
    let state = &model.pods[&PodUid(Uuid::from_u128(2))].containers[2].state;
    let (reason, message) = (WaitingReason::ContainerCreating, "back-off 10s".to_owned());
    assert_eq!(*state, ContainerState::Waiting { reason, message });
}

#[test]
fn an_impossible_message_names_what_is_wrong() {
    let mut sent = wire::Assignment::from(&assignment());
    sent.pods[1].template = 7;
    assert_eq!(
        Assignment::try_from(sent).unwrap_err().to_string(),
        "pod demo/web-5d9c-3 refers to template 7, and the assignment has only 4"
    );
    let mut sent = wire::Assignment::from(&assignment());
    sent.templates[0].containers[0].env[1].content = wire::EnvContent::Secret("%".into());
    assert!(Assignment::try_from(sent).unwrap_err().to_string().contains("PASSWORD"));
    let mut sent = wire::Assignment::from(&assignment());
    sent.volume_files[0][1].content = wire::FileContent::Binary("%".into());
    assert!(Assignment::try_from(sent).unwrap_err().to_string().contains("\"b\""));
    let mut sent = wire::Assignment::from(&assignment());
    sent.volume_files.clear();
    assert_eq!(
        Assignment::try_from(sent).unwrap_err().to_string(),
        "volume settings refers to files 0, and the assignment has only 0 lists"
    );
    let mut sent = wire::Registration::from(&registration());
    sent.address = Some("here".into());
    assert!(sent.into_model(NodeName::new("a")).is_err());
    let mut sent = wire::Report::from(&report());
    sent.events = vec![sent.events[0].clone(); wire::MAX_REPORT_EVENTS + 1];
    assert!(sent.into_model(NodeName::new("a")).is_err());
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{:?}", wire::Assignment::from(&assignment()));
    assert!(!text.contains("/3g="), "the secret's base64 is in {text}");
}

#[test]
fn a_session_request_looks_like_this() {
    let streams = wire::SessionStreams { stdin: true, stdout: true, stderr: false, tty: true };
    let request = |kind| wire::StreamRequest {
        id: Uuid::from_u128(9),
        kind: wire::StreamKind::Session(wire::SessionRequest {
            pod: Uuid::from_u128(5),
            container: "web".into(),
            kind,
        }),
    };
    let command = vec!["ls".into(), "-l".into()];
    let exec = wire::SessionKind::Exec(wire::ExecRequest { command, streams });
    check_golden("session_exec.json", &request(exec));
    check_golden("session_attach.json", &request(wire::SessionKind::Attach(streams)));
    let archive = wire::ArchiveRequest { action: wire::ArchiveAction::Read, path: "/etc".into() };
    check_golden("session_archive.json", &request(wire::SessionKind::Archive(archive)));
}
