//! The agent against a real Docker engine: one behaviour each.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use dugout_wire::LogsRequest;
use support::registry::{Registry, free_port};
use support::{Rig, probe, running_id, waiting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";
const SERVE: &str =
    "mkdir -p /srv && echo hello > /srv/index.html && exec httpd -f -p 8080 -h /srv";

async fn get(port: u16) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_starts_serves_through_its_node_port_and_leaves() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SERVE);
    rig.change_container(pod, |container| {
        container.readiness_probe = probe(ProbeAction::HttpGet(HttpGetAction {
            scheme: HttpScheme::Http,
            host: None,
            port: PortRef::Name("http".into()),
            path: "/".into(),
            headers: vec![],
        }));
    });
    let node_port = free_port().await;
    let endpoint = Endpoint { pod, port: 8080, place: EndpointPlace::Local };
    let port = AssignedServicePort {
        name: "http".into(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port,
        endpoints: vec![endpoint],
    };
    rig.services = vec![AssignedService { key: ObjectKey::new("demo", "web"), ports: vec![port] }];
    rig.assign();
    let report = rig.until_running(pod).await;
    assert_eq!(report.phase, PodPhase::Running);
    assert!(report.address.is_some());
    let times = report.milestones;
    let order = [
        times.accepted_at,
        times.pulled_at.or(times.created_at),
        times.created_at,
        times.started_at,
        times.ready_at,
    ];
    assert!(order.iter().all(Option::is_some), "{times:?}");
    assert!(order.is_sorted(), "{times:?}");
    assert!(get(node_port).await.ends_with("hello\n"));

    // It drains: out of the endpoints, still running.
    rig.services[0].ports[0].endpoints.clear();
    rig.order(pod, PodOrder::Run { draining: true });
    rig.assign();
    let report = rig.until("acknowledged", |report| report.acknowledged == Turn(2)).await;
    assert!(running_id(&report.pods[&pod]).is_some());

    rig.order(pod, PodOrder::Stop { grace: Duration::from_secs(1) });
    rig.assign();
    let report = rig.until_pod(pod, "gone", |pod| pod.phase == PodPhase::Gone).await;
    assert!(report.milestones.stopped_at.is_some());
    rig.pods.clear();
    rig.assign();
    rig.until("forgotten", |report| report.pods.is_empty()).await;
    assert_eq!(rig.local.remove_everything(rig.plane.cluster()).await.unwrap().containers, 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_release_of_the_agent_did_not_know_is_fetched_after_its_upgrade() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SERVE);
    let node_port = free_port().await;
    let endpoints = vec![Endpoint { pod, port: 8080, place: EndpointPlace::Local }];
    let (name, protocol, port) = ("http".into(), Protocol::Tcp, 80);
    let port = AssignedServicePort { name, protocol, port, node_port, endpoints };
    rig.services = vec![AssignedService { key: ObjectKey::new("demo", "web"), ports: vec![port] }];
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    rig.stop_agent().await;
    // As one that knew no services had kept it.
    let file = rig.data_dir().join("accepted.json");
    let mut kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept.as_object_mut().unwrap().remove("revision").unwrap();
    kept["assignment"]["services"] = serde_json::Value::Array(vec![]);
    std::fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
    rig.start_agent();
    let began = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", node_port)).await.is_err() {
        assert!(began.elapsed() < support::PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = rig.until_running(pod).await;
    assert_eq!(running_id(&report), Some(id), "the same generation touches nothing that runs");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_adopts_what_runs_and_touches_nothing() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SLEEP);
    rig.assign();
    let before = rig.until_running(pod).await;
    let id = running_id(&before).unwrap();
    let started_at = rig.inspect(&id).await.unwrap().state;
    rig.stop_agent().await;
    assert!(rig.inspect(&id).await.unwrap().is_running());
    rig.start_agent();
    rig.until_event("Adopted", 0).await;
    let after = rig.until_running(pod).await;
    assert_eq!(running_id(&after).unwrap(), id);
    assert_eq!(after.containers[0].restarts, 0);
    assert_eq!(rig.inspect(&id).await.unwrap().state, started_at);
    assert_eq!(rig.plane.count("Created"), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_and_a_removed_container_heal_at_once_again_and_again() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SLEEP);
    rig.assign();
    let mut id = running_id(&rig.until_running(pod).await).unwrap();
    for (round, command) in [&["kill"][..], &["rm", "-f"], &["kill"], &["kill"]].iter().enumerate()
    {
        let mut arguments = command.to_vec();
        arguments.push(&id);
        rig.docker_command(&arguments);
        let before = id.clone();
        let report = rig
            .until_pod(pod, "another container", |pod| {
                running_id(pod).is_some_and(|now| now != before)
            })
            .await;
        id = running_id(&report).unwrap();
        assert_eq!(report.containers[0].restarts, round as u32 + 1);
    }
    assert_eq!(rig.plane.count("BackOff"), 0);
    rig.until_event("Healing", 3).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_the_grace_and_then_kills() {
    let mut rig = Rig::start().await;
    let deaf = rig.add("trap '' TERM; while :; do sleep 1; done");
    let polite = rig.add(SLEEP);
    rig.assign();
    rig.until_running(deaf).await;
    rig.until_running(polite).await;
    for pod in [deaf, polite] {
        rig.order(pod, PodOrder::Stop { grace: Duration::from_secs(1) });
    }
    rig.assign();
    rig.until_pod(deaf, "gone", |pod| pod.phase == PodPhase::Gone).await;
    rig.until_pod(polite, "gone", |pod| pod.phase == PodPhase::Gone).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashing_container_backs_off_and_its_log_is_read() {
    let mut rig = Rig::start().await;
    let pod = rig.add("echo words; exit 3");
    rig.assign();
    let report = rig
        .until_pod(pod, "back-off", |pod| {
            waiting(pod).is_some_and(|(reason, _)| reason == WaitingReason::CrashLoopBackOff)
        })
        .await;
    assert_eq!(report.containers[0].last_exit.as_ref().unwrap().exit_code, 3);
    assert_eq!(report.containers[0].restarts, 1);
    assert!(!report.ready);
    rig.until_event("BackOff", 0).await;
    let request = LogsRequest {
        pod: pod.0,
        container: None,
        follow: false,
        tail_lines: Some(5),
        since_micros: None,
        timestamps: false,
    };
    let (query, log) = rig.plane.logs(request.clone()).await;
    assert_eq!((query.as_str(), log.as_str()), ("status=ok", "words\n"));
    let (query, _) = rig.plane.logs(LogsRequest { pod: uuid::Uuid::nil(), ..request }).await;
    assert_eq!(query, "status=error");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_had_says_why() {
    let mut rig = Rig::start().await;
    // Nothing listens there: it may come, so it is tried again soon.
    let port = free_port().await;
    let unreachable = rig.add(SLEEP);
    rig.change_container(unreachable, |container| {
        container.image = format!("127.0.0.1:{port}/nothing:1");
    });
    let registry = Registry::start().await;
    let unknown = rig.add(SLEEP);
    rig.change_container(unknown, |container| {
        container.image = format!("127.0.0.1:{}/nothing:1", registry.port);
    });
    let never = rig.add(SLEEP);
    rig.change_container(never, |container| {
        container.image = "dugout-agent-test:absent".into();
        container.pull_policy = PullPolicy::Never;
    });
    let not_text = rig.add(SLEEP);
    rig.change_container(not_text, |container| {
        let content = EnvContent::Secret(SecretValue::new([0xff]));
        container.env.push(EnvValue { name: "KEY".into(), content });
    });
    let wrong_command = rig.add(SLEEP);
    rig.change_container(wrong_command, |container| {
        container.command = vec!["/there/is/no/such/program".into()];
    });
    rig.assign();
    let has = |reason| {
        move |pod: &PodReport| {
            waiting(pod).is_some_and(|(found, words)| found == reason && !words.is_empty())
        }
    };
    rig.until_pod(unreachable, "pulling", has(WaitingReason::Pulling)).await;
    rig.until_pod(unknown, "refused", has(WaitingReason::ErrImagePull)).await;
    rig.until_pod(never, "never", has(WaitingReason::ErrImageNeverPull)).await;
    rig.until_pod(not_text, "not text", has(WaitingReason::CreateContainerError)).await;
    rig.until_pod(wrong_command, "no command", has(WaitingReason::CreateContainerError)).await;
    // A pod that waits for its image leaves at once.
    rig.order(unreachable, PodOrder::Stop { grace: Duration::from_secs(30) });
    rig.assign();
    rig.until_pod(unreachable, "gone", |pod| pod.phase == PodPhase::Gone).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_decide_readiness_and_kill_what_is_not_alive() {
    let mut rig = Rig::start().await;
    let exec = |script: &str| {
        probe(ProbeAction::Exec { command: ["sh", "-c", script].map(str::to_owned).into() })
    };
    let command = |script: &str| {
        probe(ProbeAction::Exec {
            command: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).into(),
        })
    };
    let sick = rig.add(SLEEP);
    rig.change_container(sick, |container| container.liveness_probe = command("exit 1"));
    let never_ready = rig.add(SLEEP);
    rig.change_container(never_ready, |container| container.readiness_probe = exec("exit 0"));
    let tcp = rig.add(SERVE);
    rig.change_container(tcp, |container| {
        let port = PortRef::Number(8080);
        container.startup_probe = command("test -e /srv/index.html");
        container.readiness_probe = probe(ProbeAction::TcpSocket { host: None, port });
    });
    rig.assign();
    rig.until_running(tcp).await;
    rig.until_pod(sick, "restarted", |pod| pod.containers[0].restarts == 1).await;
    rig.until_event("Unhealthy", 1).await;
    let report = rig.until_pod(never_ready, "runs", |pod| running_id(pod).is_some()).await;
    assert!(!report.ready, "there is no sh on the path");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_hangs_is_ended_with_its_children_at_each_try() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SLEEP);
    let script = "/bin/busybox sleep 1000 & exec /bin/busybox sleep 1000";
    rig.change_container(pod, |container| {
        container.readiness_probe = probe(ProbeAction::Exec {
            command: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).into(),
        });
    });
    rig.assign();
    let id =
        running_id(&rig.until_pod(pod, "runs", |pod| running_id(pod).is_some()).await).unwrap();
    let hanging = |rig: &Rig| -> BTreeSet<String> {
        let listed = rig.docker_command(&["top", &id, "-o", "pid,args"]);
        let lines = listed.lines().filter(|line| line.contains("sleep 1000"));
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let began = std::time::Instant::now();
    let first = loop {
        let now = hanging(&rig);
        if now.len() == 2 {
            break now;
        }
        assert!(began.elapsed() < support::PATIENCE, "it is tried: {now:?}");
    };
    rig.until_event("Unhealthy", 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let later = hanging(&rig);
    assert!(later.len() <= 2, "at most those of the try under way: {later:?}");
    assert!(first.is_disjoint(&later), "the first try's have ended");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_agent_or_nobody_labelled_is_not_touched() {
    let mut rig = Rig::start().await;
    let mut other = Rig::start().await;
    let theirs = other.add(SLEEP);
    other.assign();
    let their_id = running_id(&other.until_running(theirs).await).unwrap();
    let ours = rig.add(SLEEP);
    rig.assign();
    rig.until_running(ours).await;
    rig.pods.clear();
    rig.assign();
    rig.until("all gone", |report| report.acknowledged == Turn(2) && report.pods.is_empty()).await;
    assert!(other.inspect(&their_id).await.unwrap().is_running());
    assert_eq!(rig.local.remove_everything(rig.plane.cluster()).await.unwrap().containers, 0);
    rig.finish().await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_without_its_control_plane_and_registers_again() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SLEEP);
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    rig.plane.forget();
    let began = std::time::Instant::now();
    while rig.plane.registrations() < 2 {
        assert!(began.elapsed() < support::PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The assignment on disk is enough: nobody answers at this address.
    rig.stop_agent().await;
    rig.docker_command(&["kill", &id]);
    let address = rig.plane.address;
    rig.plane.address.set_port(1);
    rig.start_agent();
    let began = std::time::Instant::now();
    let filter = format!("label=dev.dugout.uid={pod}");
    loop {
        let running = rig.docker_command(&["ps", "-q", "--no-trunc", "--filter", &filter]);
        if !running.trim().is_empty() {
            assert_ne!(running.trim(), id);
            break;
        }
        assert!(began.elapsed() < support::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.stop_agent().await;
    rig.plane.address = address;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_gets_its_name_its_environment_and_its_limits() {
    let mut rig = Rig::start().await;
    let pod = rig.add(SLEEP);
    rig.change_container(pod, |container| {
        let env = |name: &str, content| EnvValue { name: name.into(), content };
        container.env = vec![
            env("SECRET", EnvContent::Secret(SecretValue::new("s3cret"))),
            env("POD", EnvContent::Field(PodField::Name)),
        ];
        container.working_dir = Some("/tmp".into());
        container.resources = ContainerResources {
            cpu_request_millis: 100,
            memory_request_bytes: 0,
            cpu_limit_millis: Some(500),
            memory_limit_bytes: Some(64 << 20),
        };
    });
    rig.assign();
    let id = running_id(&rig.until_running(pod).await).unwrap();
    let look = |format: &str| rig.docker_command(&["inspect", "--format", format, &id]);
    assert_eq!(look("{{.Config.Hostname}}").trim(), "pod-0");
    assert!(look("{{.Config.Env}}").contains("SECRET=s3cret"));
    assert!(look("{{.Config.Env}}").contains("POD=pod-0"));
    let limits = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} \
                  {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.SecurityOpt}}";
    assert_eq!(look(limits).trim(), "500000000 67108864 4096 no [no-new-privileges]");
    assert!(look("{{.Name}}").contains("dugout_demo_pod-0_main_"));
    rig.finish().await;
}

/// Adds a pod that is not always started again.
fn add_with_policy(rig: &mut Rig, policy: RestartPolicy, script: &str) -> PodUid {
    let uid = rig.add(script);
    let pod = rig.pods.get_mut(&uid).unwrap();
    let template = (*pod.template).clone();
    pod.template = std::sync::Arc::new(ResolvedTemplate { restart_policy: policy, ..template });
    uid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_policies_are_kept_to_also_when_somebody_meddles_while_the_agent_is_away() {
    let mut rig = Rig::start().await;
    // Its own files stay when the same container is started again.
    let script = format!("[ ! -e /ran ] && touch /ran && exit 0; {SLEEP}");
    let ends_well = add_with_policy(&mut rig, RestartPolicy::Never, &script);
    let ends_badly = add_with_policy(&mut rig, RestartPolicy::Never, "exit 3");
    let removed = add_with_policy(&mut rig, RestartPolicy::Never, SLEEP);
    let removed_unseen = add_with_policy(&mut rig, RestartPolicy::Never, SLEEP);
    rig.assign();
    let phase = |wanted| move |pod: &PodReport| pod.phase == wanted;
    let ended = rig.until_pod(ends_well, "succeeded", phase(PodPhase::Succeeded)).await;
    let ended = ended.containers[0].container_id.clone().unwrap();
    rig.until_pod(ends_badly, "failed", phase(PodPhase::Failed)).await;
    let first = running_id(&rig.until_running(removed).await).unwrap();
    let second = running_id(&rig.until_running(removed_unseen).await).unwrap();

    rig.docker_command(&["rm", "-f", &first]);
    rig.until_pod(removed, "failed", phase(PodPhase::Failed)).await;
    // What ended runs no second time.
    rig.docker_command(&["start", &ended]);
    rig.until_event("Killing", 0).await;

    rig.stop_agent().await;
    rig.docker_command(&["rm", "-f", &second, &ended]);
    rig.start_agent();
    let report = rig.until_pod(removed_unseen, "failed", phase(PodPhase::Failed)).await;
    assert!(matches!(&report.containers[0].state,
        ContainerState::Terminated(exit) if exit.exit_code == 137));
    rig.until_pod(ends_well, "succeeded", phase(PodPhase::Succeeded)).await;
    assert_eq!(rig.plane.count("Created"), 4);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_that_run_first_end_well_before_the_others_begin() {
    let mut rig = Rig::start().await;
    let ready = rig.add(SLEEP);
    let stuck = rig.add(SLEEP);
    for (pod, script) in [(ready, "echo first"), (stuck, "exit 4")] {
        let pod = rig.pods.get_mut(&pod).unwrap();
        let mut template = (*pod.template).clone();
        let command = ["/bin/busybox", "sh", "-c", script];
        let init = Container { name: "first".into(), ..support::container(&command) };
        template.init_containers = vec![init];
        pod.template = std::sync::Arc::new(template);
    }
    rig.assign();
    let report = rig.until_running(ready).await;
    let ContainerState::Terminated(exit) = &report.init_containers[0].state else {
        panic!("{report:#?}")
    };
    let ContainerState::Running { started_at } = &report.containers[0].state else {
        panic!("{report:#?}")
    };
    assert!(exit.exit_code == 0 && exit.finished_at <= *started_at, "{report:#?}");
    let looping = |pod: &PodReport| {
        assert_eq!(pod.phase, PodPhase::Pending);
        assert!(waiting(pod).is_some_and(|(reason, _)| reason == WaitingReason::PodInitializing));
        matches!(
            &pod.init_containers[0].state,
            ContainerState::Waiting { reason: WaitingReason::CrashLoopBackOff, .. }
        )
    };
    rig.until_pod(stuck, "the first one loops", looping).await;
    rig.stop_agent().await;
    rig.start_agent();
    rig.until_event("Adopted", 0).await;
    rig.until_running(ready).await;
    assert_eq!(rig.inspect(&running_id(&report).unwrap()).await.unwrap().labels.attempt, 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_a_pod_share_network_ipc_and_host_name_also_after_their_sandbox_fell() {
    let mut rig = Rig::start().await;
    let uid = rig.add(&format!("echo here > /dev/shm/note; {SERVE}"));
    let pod = rig.pods.get_mut(&uid).unwrap();
    let mut template = (*pod.template).clone();
    // It is ready when it sees the other at the loopback address, its memory, and its own name.
    let look = "wget -q -O - http://127.0.0.1:8080/ | grep hello && grep here /dev/shm/note && hostname | grep pod-0";
    let command = ["/bin/busybox", "sh", "-c", SLEEP];
    template.containers.push(Container {
        name: "side".into(),
        readiness_probe: probe(ProbeAction::Exec {
            command: ["/bin/busybox", "sh", "-c", look].map(str::to_owned).to_vec(),
        }),
        ..support::container(&command)
    });
    template.containers[0].readiness_probe = probe(ProbeAction::HttpGet(HttpGetAction {
        scheme: HttpScheme::Http,
        host: None,
        port: PortRef::Name("http".into()),
        path: "/".into(),
        headers: vec![],
    }));
    pod.template = std::sync::Arc::new(template);
    rig.assign();
    let report = rig.until_running(uid).await;
    assert!(report.address.is_some());
    assert_eq!(report.containers.len(), 2);
    let label = format!("label=dev.dugout.uid={}", uid.0);
    let sandbox = "label=dev.dugout.container=POD";
    let filters = ["ps", "--quiet", "--no-trunc", "--filter", &label, "--filter", sandbox];
    let first = rig.docker_command(&filters);
    rig.docker_command(&["kill", first.trim()]);
    let restarted =
        |pod: &PodReport| pod.ready && pod.containers.iter().all(|one| one.restarts == 1);
    rig.until_pod(uid, "both run in another sandbox", restarted).await;
    assert_ne!(rig.docker_command(&filters), first);

    rig.order(uid, PodOrder::Stop { grace: Duration::from_secs(2) });
    rig.assign();
    rig.until_pod(uid, "gone", |pod| pod.phase == PodPhase::Gone).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_starts_before_and_ends_after_the_container_that_decides() {
    let mut rig = Rig::start().await;
    // It ends well only where it reaches the sidecar.
    let ask = "wget -q -O - http://127.0.0.1:8080/";
    let uid = add_with_policy(&mut rig, RestartPolicy::Never, ask);
    let pod = rig.pods.get_mut(&uid).unwrap();
    let mut template = (*pod.template).clone();
    let command = ["/bin/busybox", "sh", "-c", &format!("sleep 1; {SERVE}")];
    template.init_containers.push(Container {
        name: "side".into(),
        restart_policy: Some(RestartPolicy::Always),
        startup_probe: probe(ProbeAction::TcpSocket { host: None, port: PortRef::Number(8080) })
            .map(|probe| Box::new(Probe { failure_threshold: 30, ..*probe })),
        ..support::container(&command)
    });
    pod.template = std::sync::Arc::new(template);
    rig.assign();
    let report = rig
        .until_pod(uid, "succeeded", |pod| {
            assert_ne!(pod.phase, PodPhase::Failed);
            pod.phase == PodPhase::Succeeded
        })
        .await;
    let (ContainerState::Terminated(side), ContainerState::Terminated(main)) =
        (&report.init_containers[0].state, &report.containers[0].state)
    else {
        panic!("{report:#?}")
    };
    assert!(side.finished_at >= main.finished_at, "{report:#?}");
    let label = format!("label=dev.dugout.uid={}", uid.0);
    let began = std::time::Instant::now();
    while !rig.docker_command(&["ps", "--quiet", "--filter", &label]).is_empty() {
        assert!(began.elapsed() < support::PATIENCE, "nothing of it runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_failure_a_container_is_started_until_it_ends_well_and_a_stop_is_no_success() {
    let mut rig = Rig::start().await;
    let retried = add_with_policy(&mut rig, RestartPolicy::OnFailure, "exit 7");
    let stopped = add_with_policy(&mut rig, RestartPolicy::OnFailure, SLEEP);
    rig.assign();
    let report =
        rig.until_pod(retried, "started again", |pod| pod.containers[0].restarts == 1).await;
    assert_eq!(report.phase, PodPhase::Running);
    assert_eq!(report.containers[0].last_exit.as_ref().unwrap().exit_code, 7);
    rig.until_running(stopped).await;
    rig.order(stopped, PodOrder::Stop { grace: Duration::from_secs(2) });
    rig.assign();
    let ended = |pod: &PodReport| {
        assert_ne!(pod.phase, PodPhase::Succeeded);
        pod.phase == PodPhase::Gone
    };
    rig.until_pod(stopped, "gone", ended).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_says_what_the_node_has_as_a_variable_does() {
    let mut rig = Rig::start().await;
    let uid = rig.add("test $MIB -gt 0 && test $(cat /files/mib) = $MIB");
    let of_node = NodeResource { kind: NodeResourceKind::Memory, divisor: 1 << 20 };
    let pod = rig.pods.get_mut(&uid).unwrap();
    let mut template = (*pod.template).clone();
    template.restart_policy = RestartPolicy::Never;
    let content = EnvContent::NodeResource(of_node);
    template.containers[0].env = vec![EnvValue { name: "MIB".to_owned(), content }];
    template.containers[0].mounts = [VolumeMount {
        volume: "files".to_owned(),
        path: "/files".to_owned(),
        access: MountAccess::ReadOnly,
        sub_path: None,
        propagation: MountPropagation::None,
    }]
    .into();
    let file = VolumeFile {
        path: "mib".to_owned(),
        mode: FileMode::DEFAULT,
        content: FileContent::NodeResource(of_node),
    };
    let source = VolumeSource::Files([file].into());
    template.volumes = [Volume { name: "files".to_owned(), source }].into();
    pod.template = Arc::new(template);
    rig.assign();
    let report = rig
        .until_pod(uid, "its end", |pod| {
            matches!(pod.phase, PodPhase::Succeeded | PodPhase::Failed)
        })
        .await;
    assert_eq!(report.phase, PodPhase::Succeeded);
    rig.finish().await;
}
