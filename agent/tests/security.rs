//! Rights, namespaces and names of pods against a real Docker engine: one behaviour each. Most pods say
//! by their exit code whether they find what they should.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::sync::Arc;

use dugout_model::*;
use support::{Rig, running_id, waiting};

const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";

/// A pod that runs a script once.
fn add_once(rig: &mut Rig, script: &str) -> PodUid {
    let uid = rig.add(&format!("set -ex; {script}"));
    change(rig, uid, |template| template.restart_policy = RestartPolicy::Never);
    uid
}

fn change(rig: &mut Rig, uid: PodUid, change: impl FnOnce(&mut ResolvedTemplate)) {
    let pod = rig.pods.get_mut(&uid).unwrap();
    let mut template = (*pod.template).clone();
    change(&mut template);
    pod.template = Arc::new(template);
}

fn secure(rig: &mut Rig, uid: PodUid, security: ContainerSecurity) {
    rig.change_container(uid, |container| container.security = Some(Box::new(security)));
}

async fn until_succeeded(rig: &Rig, uid: PodUid, what: &str) {
    let ended = |pod: &PodReport| {
        if pod.phase == PodPhase::Failed {
            let id = pod.containers[0].container_id.clone().unwrap();
            panic!("{what}: {}", rig.docker_command(&["logs", &id]));
        }
        pod.phase == PodPhase::Succeeded
    };
    rig.until_pod(uid, what, ended).await;
}

/// Waits until the engine has a container of the pod, whether it starts or not.
async fn until_made(rig: &Rig, uid: PodUid) -> String {
    let label = format!("label=dev.dugout.uid={}", uid.0);
    let began = std::time::Instant::now();
    loop {
        let found = rig.docker_command(&["ps", "--all", "--quiet", "--filter", &label]);
        if let Some(id) = found.split_whitespace().next() {
            return id.to_owned();
        }
        assert!(began.elapsed() < support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// One line of `docker inspect`.
fn inspect(rig: &Rig, id: &str, format: &str) -> String {
    rig.docker_command(&["inspect", "--format", format, id]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_has_the_user_groups_and_volumes_that_its_pod_asks_for() {
    let mut rig = Rig::start().await;
    let script = "test $(id -u) = 1000; test $(id -g) = 1001; \
        id -G | grep -w 7; id -G | grep -w 2000; \
        test $(stat -c %g:%a /data) = 2000:2777; touch /data/mine; test $(stat -c %g /data/mine) = 2000; \
        test $(stat -c %g:%a /memory) = 2000:2777; touch /memory/mine; \
        test $(stat -Lc %g:%a /files/key) = 2000:440; test $(cat /files/key) = hunter2";
    let uid = add_once(&mut rig, script);
    secure(
        &mut rig,
        uid,
        ContainerSecurity { user: Some(1000), group: Some(1001), ..Default::default() },
    );
    change(&mut rig, uid, |template| {
        template.security = Some(Box::new(PodSecurity {
            supplemental_groups: [7].into(),
            volume_group: Some(VolumeGroup { id: 2000, change: GroupChange::Always }),
            ..PodSecurity::default()
        }));
        let file = VolumeFile {
            path: "key".to_owned(),
            mode: FileMode::new(0o400),
            content: FileContent::Secret(SecretValue::new("hunter2")),
        };
        let sources = [
            ("data", VolumeSource::EmptyDir(EmptyDir::Disk)),
            ("memory", VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes: None })),
            ("files", VolumeSource::Files([file].into())),
        ];
        let mount = |name: &str| VolumeMount {
            volume: name.to_owned(),
            path: format!("/{name}"),
            access: MountAccess::ReadWrite,
            sub_path: None,
            propagation: MountPropagation::None,
        };
        template.containers[0].mounts = sources.iter().map(|(name, _)| mount(name)).collect();
        template.volumes = sources
            .into_iter()
            .map(|(name, source)| Volume { name: name.to_owned(), source })
            .collect();
    });
    rig.assign();
    until_succeeded(&rig, uid, "it is who it should be").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_refuses_root_does_not_start_as_root() {
    let mut rig = Rig::start().await;
    // The image's user is 0.
    let refused = rig.add(SLEEP);
    let root_user = RootUser::Refused;
    secure(&mut rig, refused, ContainerSecurity { root_user, ..Default::default() });
    let other = rig.add(SLEEP);
    let user = Some(1000);
    secure(&mut rig, other, ContainerSecurity { root_user, user, ..Default::default() });
    rig.assign();
    let is_refused = |pod: &PodReport| {
        waiting(pod).is_some_and(|(reason, words)| {
            reason == WaitingReason::CreateContainerConfigError
                && words.contains("runAsNonRoot and image will run as root")
        })
    };
    rig.until_pod(refused, "refused", is_refused).await;
    rig.until_running(other).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_are_taken_and_given_as_asked() {
    let mut rig = Rig::start().await;
    rig.stop_agent().await;
    rig.allowed = [NodePrivilege::Capabilities, NodePrivilege::Privileged].into_iter().collect();
    rig.start_agent();
    let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();

    let read_only = add_once(&mut rig, "! touch /etc/x; touch /dev/shm/x");
    let root_filesystem = MountAccess::ReadOnly;
    secure(&mut rig, read_only, ContainerSecurity { root_filesystem, ..Default::default() });

    let dropped = add_once(&mut rig, "touch /tmp/x; ! chown 5 /tmp/x");
    let capabilities = Capabilities { add: words(&[]), drop: words(&["ALL"]) };
    secure(&mut rig, dropped, ContainerSecurity { capabilities, ..Default::default() });

    let added =
        add_once(&mut rig, "ip link add dummy0 type dummy || ip addr add 127.9.9.9/8 dev lo");
    let capabilities = Capabilities { add: words(&["NET_ADMIN"]), drop: words(&[]) };
    secure(&mut rig, added, ContainerSecurity { capabilities, ..Default::default() });

    let plain = add_once(
        &mut rig,
        "grep 'NoNewPrivs:.*1' /proc/self/status; ! ip addr add 127.9.9.9/8 dev lo",
    );
    let gaining = add_once(&mut rig, "grep 'NoNewPrivs:.*0' /proc/self/status");
    let escalation = Escalation::Allowed;
    secure(&mut rig, gaining, ContainerSecurity { escalation, ..Default::default() });

    // Not every engine that runs the tests may start it; how it is made shows that it was asked for.
    let privileged = rig.add(SLEEP);
    let privilege = Privilege::Privileged;
    secure(&mut rig, privileged, ContainerSecurity { privilege, escalation, ..Default::default() });
    rig.assign();
    until_succeeded(&rig, read_only, "its root cannot be written").await;
    until_succeeded(&rig, dropped, "it lost its capabilities").await;
    until_succeeded(&rig, added, "it has one more").await;
    until_succeeded(&rig, plain, "it gains no rights").await;
    until_succeeded(&rig, gaining, "it may gain rights").await;
    let id = until_made(&rig, privileged).await;
    let format = "{{.HostConfig.Privileged}} {{.HostConfig.SecurityOpt}}";
    let made = inspect(&rig, &id, format);
    assert!(made.starts_with("true") && !made.contains("no-new-privileges"), "{made}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_seccomp_profile_is_read_from_the_nodes_folder() {
    let mut rig = Rig::start().await;
    let folder = rig.data_dir().join("seccomp");
    std::fs::create_dir_all(&folder).unwrap();
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(folder.join("no-folders.json"), profile).unwrap();
    let filtered = add_once(&mut rig, "touch /tmp/x; ! mkdir /tmp/y");
    let missing = rig.add(SLEEP);
    for (uid, name) in [(filtered, "no-folders.json"), (missing, "absent.json")] {
        let seccomp = Some(Profile::Localhost(name.to_owned()));
        secure(&mut rig, uid, ContainerSecurity { seccomp, ..Default::default() });
    }
    rig.assign();
    until_succeeded(&rig, filtered, "it makes no folder").await;
    let is_refused = |pod: &PodReport| {
        waiting(pod).is_some_and(|(reason, words)| {
            reason == WaitingReason::CreateContainerConfigError && words.contains("absent.json")
        })
    };
    rig.until_pod(missing, "the profile is not there", is_refused).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_refuses_what_its_node_does_not_allow_whatever_it_is_told() {
    let mut rig = Rig::start().await;
    rig.stop_agent().await;
    rig.allowed = NodePrivileges::default();
    rig.start_agent();
    let privileged = rig.add(SLEEP);
    let privilege = Privilege::Privileged;
    secure(&mut rig, privileged, ContainerSecurity { privilege, ..Default::default() });
    let host_pid = rig.add(SLEEP);
    change(&mut rig, host_pid, |template| {
        let processes = Processes::Host;
        template.security = Some(Box::new(PodSecurity { processes, ..Default::default() }));
    });
    let host_port = rig.add(SLEEP);
    change(&mut rig, host_port, |template| {
        template.containers[0].ports[0].host = Some(HostPort { port: free_port(), address: None });
    });
    let plain = rig.add(SLEEP);
    rig.assign();
    let refused = [(privileged, "privileged"), (host_pid, "hostPID"), (host_port, "hostPort")];
    for (uid, word) in refused {
        let is_refused = |pod: &PodReport| {
            waiting(pod).is_some_and(|(reason, words)| {
                reason == WaitingReason::CreateContainerConfigError
                    && words.contains(&format!("does not allow {word}"))
            })
        };
        rig.until_pod(uid, word, is_refused).await;
        let label = format!("label=dev.dugout.uid={}", uid.0);
        assert_eq!(rig.docker_command(&["ps", "--all", "--quiet", "--filter", &label]), "");
    }
    rig.until_running(plain).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_may_share_its_processes_and_those_of_the_node() {
    let mut rig = Rig::start().await;
    rig.stop_agent().await;
    rig.allowed = [NodePrivilege::HostPid, NodePrivilege::HostIpc].into_iter().collect();
    rig.start_agent();
    let host = add_once(&mut rig, "test $(ls -d /proc/[0-9]* | wc -l) -gt 5; test $$$$ -gt 100");
    change(&mut rig, host, |template| {
        let (processes, ipc) = (Processes::Host, NamespaceOwner::Host);
        template.security = Some(Box::new(PodSecurity { processes, ipc, ..Default::default() }));
    });
    // Its own process is not the first one: that is the sandbox's, which lets nothing that ended stay.
    let shared = add_once(
        &mut rig,
        "test $$$$ -gt 1; grep pause /proc/1/cmdline; \
        (sleep 0.2 &); sleep 1; ! grep -l 'State:.Z' /proc/[0-9]*/status",
    );
    change(&mut rig, shared, |template| {
        let processes = Processes::Pod;
        template.security = Some(Box::new(PodSecurity { processes, ..Default::default() }));
    });
    rig.assign();
    until_succeeded(&rig, host, "it sees the node's processes").await;
    until_succeeded(&rig, shared, "it sees its pod's processes").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_has_the_names_settings_and_streams_that_it_asks_for() {
    let mut rig = Rig::start().await;
    let script = "test $(hostname) = told; grep '10.0.0.2.*a.example.com' /etc/hosts; \
        grep 'nameserver 10.0.0.3' /etc/resolv.conf; grep 'search example.com' /etc/resolv.conf; \
        grep 'options ndots:2' /etc/resolv.conf; \
        test $(cat /proc/sys/net/ipv4/tcp_syncookies) = 0";
    let mut pods = Vec::new();
    for containers in [1, 2] {
        let uid = add_once(&mut rig, script);
        change(&mut rig, uid, |template| {
            let sysctl =
                Sysctl { name: "net.ipv4.tcp_syncookies".to_owned(), value: "0".to_owned() };
            let security = PodSecurity { sysctls: [sysctl].into(), ..Default::default() };
            template.security = Some(Box::new(security));
            template.names = Some(Box::new(PodNames {
                hostname: Some("told".to_owned()),
                host_aliases: [HostAlias {
                    address: [10, 0, 0, 2].into(),
                    hostnames: ["a.example.com".to_owned()].into(),
                }]
                .into(),
                nameservers: [[10, 0, 0, 3].into()].into(),
                searches: ["example.com".to_owned()].into(),
                options: ["ndots:2".to_owned()].into(),
            }));
            let second = Container { name: "side".into(), ..template.containers[0].clone() };
            template.containers.resize(containers, second);
        });
        pods.push(uid);
    }
    let terminal = add_once(&mut rig, "test -t 0; test -t 1; echo said");
    rig.change_container(terminal, |container| {
        container.streams = Streams { input: Input::Open, output: Output::Terminal };
    });
    rig.assign();
    for uid in pods {
        until_succeeded(&rig, uid, "it finds its names").await;
    }
    until_succeeded(&rig, terminal, "it has a terminal").await;
    let (_, said) = rig
        .plane
        .logs(dugout_wire::LogsRequest {
            pod: terminal.0,
            container: None,
            follow: false,
            tail_lines: None,
            since_micros: None,
            timestamps: false,
        })
        .await;
    assert!(said.lines().any(|line| line.trim_end() == "said"), "{said:?}");
    rig.finish().await;
}

/// A check of the CIS Docker benchmark and how a container that says nothing holds it: the template of
/// `docker inspect`, and what it must print.
const BENCHMARK: [(&str, &str, &[&str]); 20] = [
    ("5.4 capabilities", "{{.HostConfig.CapAdd}}", &["[]", "<no value>"]),
    ("5.5 not privileged", "{{.HostConfig.Privileged}}", &["false"]),
    ("5.6 no host folders", "{{len .Mounts}}", &["0"]),
    ("5.10 own network", "{{.HostConfig.NetworkMode}}", &["default", "bridge"]),
    ("5.13 own root can be told from the mounts", "{{.HostConfig.Binds}}", &["[]", "<no value>"]),
    ("5.14 no ports of the node", "{{len .HostConfig.PortBindings}}", &["0"]),
    ("5.15 no restarts by the engine", "{{.HostConfig.RestartPolicy.Name}}", &["no", ""]),
    ("5.16 own processes", "{{.HostConfig.PidMode}}", &[""]),
    ("5.17 own shared memory", "{{.HostConfig.IpcMode}}", &["private"]),
    ("5.18 no devices", "{{len .HostConfig.Devices}}", &["0"]),
    ("5.19 the engine's limits of a process", "{{.HostConfig.Ulimits}}", &["[]", "<no value>"]),
    ("5.21 own host name", "{{.HostConfig.UTSMode}}", &[""]),
    (
        "5.22 seccomp, 5.26 no new privileges",
        "{{.HostConfig.SecurityOpt}}",
        &["[no-new-privileges]"],
    ),
    ("5.25 own cgroup", "{{.HostConfig.CgroupParent}}", &[""]),
    ("5.29 bounded processes", "{{.HostConfig.PidsLimit}}", &["4096"]),
    ("5.31 users as the engine has them", "{{.HostConfig.UsernsMode}}", &[""]),
    ("no publishing of all ports", "{{.HostConfig.PublishAllPorts}}", &["false"]),
    ("no groups added", "{{.HostConfig.GroupAdd}}", &["[]", "<no value>"]),
    ("masked paths", "{{if .HostConfig.MaskedPaths}}masked{{end}}", &["masked"]),
    ("read-only paths", "{{if .HostConfig.ReadonlyPaths}}kept{{end}}", &["kept"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_says_nothing_passes_the_benchmarks_checks() {
    let mut rig = Rig::start().await;
    let uid = rig.add(SLEEP);
    rig.assign();
    let id = running_id(&rig.until_running(uid).await).unwrap();
    let wrong: Vec<String> = BENCHMARK
        .iter()
        .filter_map(|(check, format, allowed)| {
            let found = inspect(&rig, &id, format);
            (!allowed.contains(&found.as_str())).then(|| format!("{check}: {found:?}"))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    rig.finish().await;
}

/// What answers with its host name and the address that it is reached at.
const SERVE_NAME: &str = "mkdir /www; hostname > /www/name; httpd -f -p 8080 -h /www & \
    trap 'exit 0' TERM; while :; do sleep 1 & wait; done";

/// A port that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

async fn until_answered(address: std::net::IpAddr, port: u16) -> String {
    use std::io::{Read, Write};
    let began = std::time::Instant::now();
    loop {
        let answer = std::net::TcpStream::connect((address, port)).and_then(|mut stream| {
            stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        });
        match answer {
            Ok(text) if text.contains("200 OK") => return text,
            other => assert!(began.elapsed() < support::PATIENCE, "{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A container that only sleeps, beside the first: the two share a sandbox.
fn add_second(template: &mut ResolvedTemplate) {
    let mut second = template.containers[0].clone();
    second.name = "second".to_owned();
    second.ports.clear();
    second.command = ["/bin/busybox", "sh", "-c", SLEEP].map(str::to_owned).to_vec();
    template.containers.push(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_containers_port_is_reached_at_its_node_also_through_a_sandbox() {
    let mut rig = Rig::start().await;
    rig.stop_agent().await;
    rig.allowed = [NodePrivilege::HostPort].into_iter().collect();
    rig.start_agent();
    for is_shared in [false, true] {
        let (port, address) = (free_port(), [127, 0, 0, 1].into());
        let uid = rig.add(SERVE_NAME);
        change(&mut rig, uid, |template| {
            let host = HostPort { port, address: Some(address) };
            template.containers[0].ports[0].host = Some(host);
            if is_shared {
                add_second(template);
            }
        });
        rig.assign();
        let answer = until_answered(address, port).await;
        let name = rig.pods[&uid].name.to_string();
        assert!(answer.trim_end().ends_with(&name), "{answer}");
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_on_its_nodes_network_has_the_nodes_name_and_address() {
    let mut rig = Rig::start().await;
    rig.stop_agent().await;
    rig.allowed = [NodePrivilege::HostNetwork].into_iter().collect();
    rig.start_agent();
    for is_shared in [false, true] {
        let port = free_port();
        let uid = rig.add(&SERVE_NAME.replace("8080", &port.to_string()));
        change(&mut rig, uid, |template| {
            let network = NamespaceOwner::Host;
            let security = PodSecurity { network, ..PodSecurity::default() };
            template.security = Some(Box::new(security));
            template.containers[0].ports[0].container_port = port;
            template.containers[0].ports[0].host = Some(HostPort { port, address: None });
            if is_shared {
                add_second(template);
            }
        });
        rig.assign();
        let is_reached = |pod: &PodReport| pod.phase == PodPhase::Running && pod.address.is_some();
        let report = rig.until_pod(uid, "on the node's network", is_reached).await;
        let answer = until_answered(report.address.unwrap(), port).await;
        let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(answer.trim_end().ends_with(node.trim()), "{answer} on {node}");
        assert_eq!(report.drift, Vec::<String>::new(), "the network of the node is its own");
    }
    rig.finish().await;
}
