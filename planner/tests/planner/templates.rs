//! The identity of a template, and what its environment is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::*;
use dugout_planner::template_hash;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn template() -> ResolvedTemplate {
    ResolvedTemplate {
        labels: StringMap::from([("app".to_owned(), "web".to_owned())]),
        annotations: StringMap::new(),
        containers: vec![container("web:1")],
        init_containers: vec![],
        restart_policy: RestartPolicy::Always,
        termination_grace: seconds(30),
        node_selector: StringMap::new(),
        volumes: Box::default(),
        image_pull_secrets: Box::default(),
        security: None,
        names: None,
    }
}

/// A change of the encoding would restart every pod of every cluster that is upgraded.
#[test]
fn the_identity_of_a_template_never_changes() {
    assert_eq!(
        template_hash(&template()).as_str(),
        "7b9c22d98049fff6eace50487d9924b5bbd49bf919ae282899e8b01af205668b"
    );
}

type Edit = Box<dyn Fn(&mut ResolvedTemplate)>;
type ContainerEdit = fn(&mut Container<EnvValue>);
type ProbeEdit = fn(&mut Probe);

/// Every edit leads to an identity of its own.
fn all_differ(edits: Vec<Edit>) {
    let mut seen = BTreeMap::from([(template_hash(&template()), usize::MAX)]);
    for (index, edit) in edits.iter().enumerate() {
        let mut edited = template();
        edit(&mut edited);
        let same = seen.insert(template_hash(&edited), index);
        assert_eq!(same, None, "edit {index} has the identity of another");
    }
}

fn env(content: EnvContent) -> Vec<EnvValue> {
    vec![EnvValue { name: "A".to_owned(), content }]
}

fn node_resource(kind: NodeResourceKind, divisor: u64) -> EnvContent {
    EnvContent::NodeResource(NodeResource { kind, divisor })
}

fn with_handler(handler: LifecycleHandler, at_start: bool) -> Option<Box<ContainerLifecycle>> {
    let (post_start, pre_stop) = match at_start {
        true => (Some(handler), None),
        false => (None, Some(handler)),
    };
    Some(Box::new(ContainerLifecycle { post_start, pre_stop, stop_signal: None }))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn probe() -> Probe {
    Probe {
        action: ProbeAction::TcpSocket { host: None, port: PortRef::Number(80) },
        initial_delay: Duration::ZERO,
        period: seconds(10),
        timeout: seconds(1),
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace: None,
    }
}

fn http_get() -> ProbeAction {
    ProbeAction::HttpGet(HttpGetAction {
        scheme: HttpScheme::Http,
        host: None,
        port: PortRef::Name("http".to_owned()),
        path: "/".to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
    })
}

fn mount() -> VolumeMount {
    VolumeMount {
        volume: "v".to_owned(),
        path: "/v".to_owned(),
        access: MountAccess::ReadWrite,
        sub_path: None,
        propagation: MountPropagation::None,
    }
}

fn plain(text: &str) -> FileContent {
    FileContent::Plain(text.as_bytes().into())
}

fn files(all: &[(&str, u16, FileContent)]) -> VolumeSource<VolumeFiles> {
    let file = |(path, mode, content): &(&str, u16, FileContent)| VolumeFile {
        path: (*path).to_owned(),
        mode: FileMode::new(*mode),
        content: content.clone(),
    };
    VolumeSource::Files(all.iter().map(file).collect())
}

/// Volumes of every kind, all different.
fn volume_sources() -> Vec<VolumeSource<VolumeFiles>> {
    let host = |path: &str, path_type| {
        VolumeSource::HostPath(HostPath { path: path.to_owned(), path_type })
    };
    let of_node = |kind, divisor| FileContent::NodeResource(NodeResource { kind, divisor });
    vec![
        VolumeSource::EmptyDir(EmptyDir::Disk),
        VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes: None }),
        VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes: Some(1) }),
        host("/a", HostPathType::Any),
        host("/b", HostPathType::Any),
        host("/a", HostPathType::Directory),
        host("/a", HostPathType::DirectoryOrCreate),
        host("/a", HostPathType::File),
        host("/a", HostPathType::FileOrCreate),
        host("/a", HostPathType::Socket),
        host("/a", HostPathType::CharDevice),
        host("/a", HostPathType::BlockDevice),
        files(&[]),
        files(&[("a", 0o644, plain("x"))]),
        files(&[("b", 0o644, plain("x"))]),
        files(&[("a", 0o600, plain("x"))]),
        files(&[("a", 0o644, plain("y"))]),
        files(&[("a", 0o644, plain("x")), ("b", 0o644, plain("x"))]),
        files(&[("a", 0o644, FileContent::Secret(SecretValue::new("x")))]),
        files(&[("a", 0o644, FileContent::Secret(SecretValue::new("y")))]),
        files(&[("a", 0o644, FileContent::Field(FileField::Labels))]),
        files(&[("a", 0o644, FileContent::Field(FileField::Annotations))]),
        files(&[("a", 0o644, FileContent::Field(FileField::One(PodField::Name)))]),
        files(&[("a", 0o644, FileContent::Field(FileField::One(PodField::Uid)))]),
        files(&[("a", 0o644, of_node(NodeResourceKind::Cpu, 1))]),
        files(&[("a", 0o644, of_node(NodeResourceKind::Memory, 1))]),
        files(&[("a", 0o644, of_node(NodeResourceKind::Memory, 2))]),
    ]
}

#[test]
fn everything_that_a_template_says_is_part_of_its_identity() {
    let of_template: [fn(&mut ResolvedTemplate); 6] = [
        |t| t.labels.insert("a".to_owned(), "b".to_owned()),
        |t| t.annotations.insert("a".to_owned(), "b".to_owned()),
        |t| t.node_selector.insert("a".to_owned(), "b".to_owned()),
        |t| t.termination_grace = Duration::from_millis(30_001),
        |t| t.containers.push(container("web:1")),
        |t| t.image_pull_secrets = [ObjectName::new("registry")].into(),
    ];
    let of_container: [ContainerEdit; 34] = [
        |c| c.name.push('x'),
        |c| c.image.push('x'),
        |c| c.pull_policy = PullPolicy::Always,
        |c| c.pull_policy = PullPolicy::Never,
        |c| c.command = words(&["ab", "c"]),
        |c| c.command = words(&["a", "bc"]),
        |c| c.args = words(&["ab", "c"]),
        |c| c.working_dir = Some(String::new()),
        |c| c.env = env(EnvContent::Text("x".to_owned())),
        |c| c.env = env(EnvContent::Secret(SecretValue::new("x"))),
        |c| c.env = env(EnvContent::Secret(SecretValue::new("y"))),
        |c| c.env = env(EnvContent::Field(PodField::Name)),
        |c| c.env = env(EnvContent::Field(PodField::NodeName)),
        |c| c.env = env(EnvContent::Field(PodField::Label("x".to_owned()))),
        |c| c.env = env(EnvContent::Field(PodField::Annotation("x".to_owned()))),
        |c| c.ports[0].name.clear(),
        |c| c.ports[0].container_port += 1,
        |c| c.ports[0].protocol = Protocol::Udp,
        |c| c.ports.clear(),
        |c| c.resources.cpu_request_millis += 1,
        |c| c.resources.memory_request_bytes += 1,
        |c| c.resources.cpu_limit_millis = Some(0),
        |c| c.resources.memory_limit_bytes = Some(0),
        |c| c.startup_probe = Some(Box::new(probe())),
        |c| c.readiness_probe = Some(Box::new(probe())),
        |c| c.liveness_probe = Some(Box::new(probe())),
        |c| c.lifecycle = Some(Box::new(ContainerLifecycle::default())),
        |c| c.lifecycle = with_handler(LifecycleHandler::Sleep(seconds(1)), true),
        |c| c.lifecycle = with_handler(LifecycleHandler::Sleep(seconds(1)), false),
        |c| c.lifecycle = with_handler(LifecycleHandler::Exec { command: words(&["a"]) }, false),
        |c| {
            let stop_signal = Some("SIGQUIT".to_owned());
            c.lifecycle =
                Some(Box::new(ContainerLifecycle { stop_signal, ..ContainerLifecycle::default() }));
        },
        |c| c.env = env(node_resource(NodeResourceKind::Cpu, 1)),
        |c| c.env = env(node_resource(NodeResourceKind::Memory, 1)),
        |c| c.env = env(node_resource(NodeResourceKind::Cpu, 1000)),
    ];
    let of_init: [Edit; 3] = [
        Box::new(|template| {
            let restart_policy = Some(RestartPolicy::Always);
            template.init_containers = vec![Container { restart_policy, ..container("web:1") }];
        }),
        Box::new(|template| template.init_containers = vec![container("web:1")]),
        Box::new(|template| template.init_containers = vec![container("web:2")]),
    ];
    let template_edits = of_template.into_iter().map(|edit| Box::new(edit) as Edit);
    let container_edits = of_container.into_iter().map(|edit| {
        Box::new(move |template: &mut ResolvedTemplate| edit(&mut template.containers[0])) as Edit
    });
    all_differ(template_edits.chain(container_edits).chain(of_init).collect());
}

fn alias() -> HostAlias {
    HostAlias { address: [10, 0, 0, 1].into(), hostnames: words(&["a"]).into() }
}

#[test]
fn rights_names_and_streams_are_part_of_a_templates_identity() {
    let of_security: [fn(&mut ContainerSecurity); 13] = [
        |_| {},
        |s| s.user = Some(1),
        |s| s.group = Some(1),
        |s| s.root_user = RootUser::Refused,
        |s| s.escalation = Escalation::Allowed,
        |s| s.privilege = Privilege::Privileged,
        |s| s.capabilities.add = words(&["ALL"]).into(),
        |s| s.capabilities.drop = words(&["ALL"]).into(),
        |s| s.root_filesystem = MountAccess::ReadOnly,
        |s| s.seccomp = Some(Profile::Unconfined),
        |s| s.seccomp = Some(Profile::Localhost("a".to_owned())),
        |s| s.app_armor = Some(Profile::Unconfined),
        |s| s.app_armor = Some(Profile::RuntimeDefault),
    ];
    let of_pod: [fn(&mut PodSecurity); 9] = [
        |_| {},
        |s| s.supplemental_groups = [1].into(),
        |s| s.volume_group = Some(VolumeGroup { id: 1, change: GroupChange::Always }),
        |s| s.volume_group = Some(VolumeGroup { id: 1, change: GroupChange::OnRootMismatch }),
        |s| s.sysctls = [Sysctl { name: "a".to_owned(), value: "b".to_owned() }].into(),
        |s| s.network = NamespaceOwner::Host,
        |s| s.ipc = NamespaceOwner::Host,
        |s| s.processes = Processes::Pod,
        |s| s.processes = Processes::Host,
    ];
    let of_names: [fn(&mut PodNames); 6] = [
        |_| {},
        |n| n.hostname = Some("a".to_owned()),
        |n| n.host_aliases = [alias()].into(),
        |n| n.nameservers = [[10, 0, 0, 1].into()].into(),
        |n| n.searches = words(&["a"]).into(),
        |n| n.options = words(&["a"]).into(),
    ];
    let mut edits: Vec<Edit> = Vec::new();
    for edit in of_security {
        edits.push(Box::new(move |template| {
            let mut security = ContainerSecurity::default();
            edit(&mut security);
            template.containers[0].security = Some(Box::new(security));
        }));
    }
    for edit in of_pod {
        edits.push(Box::new(move |template| {
            let mut security = PodSecurity::default();
            edit(&mut security);
            template.security = Some(Box::new(security));
        }));
    }
    for edit in of_names {
        edits.push(Box::new(move |template| {
            let mut names = PodNames::default();
            edit(&mut names);
            template.names = Some(Box::new(names));
        }));
    }
    edits.push(Box::new(|template| template.containers[0].streams.input = Input::Open));
    edits.push(Box::new(|template| template.containers[0].streams.input = Input::OpenOnce));
    edits.push(Box::new(|template| template.containers[0].streams.output = Output::Terminal));
    all_differ(edits);
}

#[test]
fn volumes_and_mounts_are_part_of_a_templates_identity() {
    let of_volumes = volume_sources().into_iter().map(|source| {
        Box::new(move |template: &mut ResolvedTemplate| {
            template.volumes = [Volume { name: "v".to_owned(), source: source.clone() }].into();
        }) as Edit
    });
    let of_mounts: [fn(&mut VolumeMount); 7] = [
        |_| {},
        |m| m.volume.push('x'),
        |m| m.path.push('x'),
        |m| m.access = MountAccess::ReadOnly,
        |m| m.sub_path = Some(SubPath::Fixed("x".to_owned())),
        |m| m.sub_path = Some(SubPath::Expanded("x".to_owned())),
        |m| m.propagation = MountPropagation::HostToContainer,
    ];
    let of_mounts = of_mounts.into_iter().map(|edit| {
        Box::new(move |template: &mut ResolvedTemplate| {
            let mut mount = mount();
            edit(&mut mount);
            template.containers[0].mounts = [mount].into();
        }) as Edit
    });
    all_differ(of_volumes.chain(of_mounts).collect());
}

#[test]
fn a_pod_reserves_for_its_containers_together_or_for_the_largest_that_runs_before_them() {
    let asks = |cpu_request_millis, memory_request_bytes| Container {
        resources: ContainerResources {
            cpu_request_millis,
            memory_request_bytes,
            ..ContainerResources::default()
        },
        ..container("web:1")
    };
    let template = ResolvedTemplate {
        init_containers: vec![asks(500, 10), asks(700, 5)],
        containers: vec![asks(200, 20), asks(300, 30)],
        ..template()
    };
    assert_eq!(template.requests(), Resources { cpu_millis: 700, memory_bytes: 50, pods: 1 });

    // A sidecar counts beside the others, and beside those that begin after it.
    let sidecar = Container { restart_policy: Some(RestartPolicy::Always), ..asks(100, 1) };
    let template = ResolvedTemplate {
        init_containers: vec![asks(650, 60), sidecar, asks(500, 10)],
        ..template
    };
    assert_eq!(template.requests(), Resources { cpu_millis: 650, memory_bytes: 60, pods: 1 });
    let template = ResolvedTemplate { containers: vec![asks(590, 59)], ..template };
    assert_eq!(template.requests(), Resources { cpu_millis: 690, memory_bytes: 60, pods: 1 });
}

#[test]
fn everything_that_a_probe_says_is_part_of_its_templates_identity() {
    let edits: [ProbeEdit; 15] = [
        |_| {},
        |probe| probe.initial_delay = seconds(2),
        |probe| probe.period = seconds(11),
        |probe| probe.timeout = seconds(2),
        |probe| probe.success_threshold = 2,
        |probe| probe.failure_threshold = 2,
        |probe| probe.termination_grace = Some(seconds(30)),
        |probe| probe.action = ProbeAction::Grpc { port: 80, service: String::new() },
        |probe| probe.action = ProbeAction::Grpc { port: 80, service: "db".to_owned() },
        |probe| {
            let host = Some("db".to_owned());
            probe.action = ProbeAction::TcpSocket { host, port: PortRef::Number(80) };
        },
        |probe| {
            let port = PortRef::Name("80".to_owned());
            probe.action = ProbeAction::TcpSocket { host: None, port };
        },
        |probe| probe.action = ProbeAction::Exec { command: words(&["true"]) },
        |probe| probe.action = ProbeAction::Exec { command: words(&["false"]) },
        |probe| probe.action = http_get(),
        |probe| {
            probe.action = http_get();
            let ProbeAction::HttpGet(action) = &mut probe.action else { return };
            (action.scheme, action.path) = (HttpScheme::Https, "/healthz".to_owned());
            action.headers.clear();
        },
    ];
    let edits = edits.into_iter().map(|edit| {
        Box::new(move |template: &mut ResolvedTemplate| {
            let mut edited = probe();
            edit(&mut edited);
            template.containers[0].liveness_probe = Some(Box::new(edited));
        }) as Edit
    });
    all_differ(edits.collect());
}

/// The environment of the only pod, as text.
fn environment(cluster: &Cluster) -> Vec<(String, String)> {
    let set = cluster.world.current_replica_set(cluster.deployment("web")).expect("a set");
    let text = |value: &EnvValue| match &value.content {
        EnvContent::Text(text) => text.clone(),
        EnvContent::Secret(secret) => {
            format!("secret {}", String::from_utf8_lossy(secret.expose()))
        }
        EnvContent::Field(field) => format!("{field:?}"),
        EnvContent::NodeResource(resource) => format!("{resource:?}"),
    };
    set.template.containers[0].env.iter().map(|value| (value.name.clone(), text(value))).collect()
}

#[test]
fn the_environment_holds_every_source_and_later_ones_win() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let name = |text: &str| text.to_owned();
    let web = web_with(1, "web:1", |deployment| {
        deployment.template.containers[0].env = vec![
            EnvSource::AllOfConfigMap {
                config_map: ObjectName::new("settings"),
                prefix: name("S_"),
                optional: false,
            },
            EnvSource::AllOfSecret {
                secret: ObjectName::new("keys"),
                prefix: String::new(),
                optional: false,
            },
            EnvSource::Literal { name: name("S_greeting"), value: name("again") },
            EnvSource::SecretKey {
                name: name("KEY"),
                secret: ObjectName::new("keys"),
                key: name("key"),
                optional: false,
            },
            EnvSource::Field { name: name("ME"), field: PodField::Name },
            EnvSource::ConfigMapKey {
                name: name("ABSENT"),
                config_map: ObjectName::new("nowhere"),
                key: name("key"),
                optional: true,
            },
            EnvSource::ConfigMapKey {
                name: name("ABSENT_KEY"),
                config_map: ObjectName::new("settings"),
                key: name("nowhere"),
                optional: true,
            },
        ];
    });
    let keys = ObjectSpec::Secret(Secret {
        secret_type: name("Opaque"),
        data: SortedMap::from([(name("key"), SecretValue::new("hunter2"))]),
        immutable: false,
    });
    cluster.commit(vec![web, config("settings", "greeting", "hello"), declare("keys", keys)]);
    let pair = |key: &str, value: &str| (name(key), name(value));
    assert_eq!(
        environment(&cluster),
        [
            pair("key", "secret hunter2"),
            pair("S_greeting", "again"),
            pair("KEY", "secret hunter2"),
            pair("ME", "Name"),
        ]
    );
}

#[test]
fn a_variable_holds_what_a_container_requests_or_may_use() {
    let variable = |name: &str, container: Option<&str>, field, divisor| EnvSource::Resource {
        name: name.to_owned(),
        resource: ResourceFieldSelector { container: container.map(str::to_owned), field, divisor },
    };
    let mut cluster = Cluster::with_nodes(&["a"]);
    let web = web_with(1, "web:1", |deployment| {
        let web = &mut deployment.template.containers[0];
        web.resources = ContainerResources {
            cpu_request_millis: 250,
            memory_request_bytes: 0,
            cpu_limit_millis: Some(1500),
            memory_limit_bytes: None,
        };
        web.env = vec![
            variable("CPUS", None, ResourceField::CpuLimit, 1000),
            variable("MILLIS", None, ResourceField::CpuRequest, 1),
            variable("BYTES", None, ResourceField::MemoryRequest, 1 << 20),
            variable("NODE", None, ResourceField::MemoryLimit, 1 << 20),
            variable("OTHER", Some("other"), ResourceField::MemoryLimit, 1 << 20),
        ];
        let mut other = deployment.template.containers[0].clone();
        (other.name, other.env) = ("other".to_owned(), Vec::new());
        other.resources.memory_limit_bytes = Some((1 << 20) + 1);
        deployment.template.containers.push(other);
    });
    cluster.commit(vec![web]);
    let node = NodeResource { kind: NodeResourceKind::Memory, divisor: 1 << 20 };
    let expected = [
        ("CPUS", "2".to_owned()),
        ("MILLIS", "250".to_owned()),
        ("BYTES", "0".to_owned()),
        ("NODE", format!("{node:?}")),
        ("OTHER", "2".to_owned()),
    ];
    assert_eq!(environment(&cluster), expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_missing_key_is_named_with_its_object() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let web = web_with(1, "web:1", |deployment| {
        deployment.template.containers[0].env = vec![env_from_config("settings", "greeting")];
    });
    cluster.commit(vec![web, config("settings", "other", "value")]);
    let RolloutState::Waiting { message } = cluster.rollout("web") else { panic!("it waits") };
    assert_eq!(
        message,
        "waits for key greeting in ConfigMap demo/settings, which no source declares"
    );
    cluster.run_for(seconds(61));
    let RolloutState::Failed { message, .. } = cluster.rollout("web") else { panic!("it failed") };
    assert!(message.contains("key greeting in ConfigMap demo/settings"), "{message}");
}
