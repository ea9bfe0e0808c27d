//! The API read with Kubernetes' own client, end to end.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::process::{Command, Output};

use dugout_tests::images;
use dugout_tests::rig::Rig;
use dugout_tests::tls_proxy::TlsProxy;

const JOBS: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NAMESPACE}
spec: {template: {spec: {restartPolicy: Never, containers: [
  {name: task, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, echo, migrated]}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: NAMESPACE}
spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [
  {name: task, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, 'true']}]}}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: tool, namespace: NAMESPACE, labels: {app: tool}}
spec: {terminationGracePeriodSeconds: 1, containers: [
  {name: tool, image: 'dugout-busybox:1', imagePullPolicy: Never, command: [/bin/busybox, sleep, '100000']}]}
";

/// kubectl as a person without any configuration of it.
fn kubectl(rig: &Rig, arguments: &[&str]) -> Output {
    Command::new("kubectl")
        .args(["--server", &rig.url(""), "--namespace", &rig.application.namespace])
        .args(arguments)
        .env("HOME", rig.folder())
        .env_remove("KUBECONFIG")
        .output()
        .expect("kubectl can be run")
}

/// What it prints; it must succeed without a complaint.
fn printed(rig: &Rig, arguments: &[&str]) -> String {
    let output = kubectl(rig, arguments);
    let (out, errors) = texts(&output);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}{out}");
    out
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What stands behind a word at the start of a line of `describe`.
fn field<'a>(described: &'a str, name: &str) -> &'a str {
    let value = described.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in:\n{described}")).trim()
}

#[test]
fn kubectl_reads_everything_and_is_told_what_to_commit() {
    Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .expect("install kubectl: `make setup` does where the distribution has a package");
    let mut rig = Rig::without_commit("kubectl");
    images::ensure_busybox();
    let namespace = rig.application.namespace.clone();
    rig.repository.write("apps/jobs.yaml", &JOBS.replace("NAMESPACE", &namespace));
    let first = rig.commit_application("Start");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    reads_lists(&rig);
    reads_single_objects(&rig);
    reads_logs(&rig);
    runs_commands(&rig);
    changes_nothing(&rig);
}

fn reads_lists(rig: &Rig) {
    let pods = printed(rig, &["get", "pods", "--all-namespaces"]);
    let header: Vec<&str> = pods.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(pods.matches("Running").count(), 3, "{pods}");
    assert_eq!(pods.matches("Completed").count(), 1, "{pods}");
    let many = printed(rig, &["get", "deploy,svc,cm"]);
    for row in ["deployment.apps/web", "service/web", "configmap/web", "2/2"] {
        assert!(many.contains(row), "no {row}:\n{many}");
    }
    let jobs = printed(rig, &["get", "jobs,cronjobs"]);
    assert!(jobs.contains("1/1") && jobs.contains("0 0 1 1 *"), "{jobs}");
    let all = printed(rig, &["get", "all", "-o", "name"]);
    for kind in ["pod/", "service/", "deployment.apps/", "replicaset.apps/", "job.batch/"] {
        assert!(all.contains(kind), "no {kind}:\n{all}");
    }
    let running = ["get", "pods", "--field-selector", "status.phase=Running", "-l", "app=web"];
    assert_eq!(printed(rig, &[&running[..], &["-o", "name"]].concat()).lines().count(), 2);
    assert!(printed(rig, &["get", "nodes", "-o", "wide"]).contains("Ready"));
    assert!(printed(rig, &["get", "releases.dugout.dev"]).contains("healthy"));
    assert!(printed(rig, &["api-resources"]).contains("cronjobs"));
    let nobody = kubectl(rig, &["get", "pod", "nobody"]);
    assert!(texts(&nobody).1.contains("pods \"nobody\" not found"), "{nobody:?}");
}

fn reads_single_objects(rig: &Rig) {
    let deployment = printed(rig, &["describe", "deployment", "web"]);
    assert!(field(&deployment, "NewReplicaSet").starts_with("web-"), "{deployment}");
    assert_eq!(field(&deployment, "OldReplicaSets"), "<none>", "{deployment}");
    assert!(field(&deployment, "Replicas").starts_with("2 desired | 2 updated | 2 total"));
    assert!(deployment.contains("RolloutComplete"), "its events are found: {deployment}");
    let yaml = printed(rig, &["get", "deployment", "web", "-o", "yaml"]);
    assert!(yaml.contains("image: dugout-web:1.0\n"), "{yaml}");
    let pods = printed(rig, &["get", "pods", "-l", "app=web", "-o", "name"]);
    let pod = printed(rig, &["describe", pods.lines().next().expect("a pod")]);
    assert_eq!(field(&pod, "Status"), "Running");
    assert!(pod.contains("Started") && pod.contains("GREETING:  hello"), "{pod}");
    for object in ["service/web", "configmap/web", "job/migrate"] {
        assert_eq!(
            field(&printed(rig, &["describe", object]), "Name"),
            object.split_once('/').expect("a kind").1
        );
    }
    // A kubectl of before `batch/v1` had cron jobs can get them, and not describe them.
    assert!(printed(rig, &["get", "cronjob", "report", "-o", "yaml"]).contains("jobTemplate"));
    let rollout = kubectl(rig, &["rollout", "status", "deployment/web", "--timeout", "10s"]);
    assert!(texts(&rollout).0.contains("successfully rolled out"), "{rollout:?}");
}

fn reads_logs(rig: &Rig) {
    assert_eq!(printed(rig, &["logs", "job/migrate"]), "migrated\n");
    let all = printed(rig, &["logs", "-l", "app=web", "--tail", "1"]);
    assert_eq!(all.lines().count(), 2, "{all}");
}

fn runs_commands(rig: &Rig) {
    let token = std::fs::read_to_string(rig.data_dir().join("operator.token")).expect("a token");
    // kubectl sends no token where others could read it.
    let proxy = TlsProxy::start(rig.port);
    let url = format!("https://{}", proxy.address);
    let exec = |flags: &[&str], script: &str| {
        let token = format!("--token={}", token.trim());
        let server = ["--server", &url, "--insecure-skip-tls-verify", &token];
        let command = ["--", "/bin/busybox", "sh", "-c", script];
        kubectl(rig, &[&["exec", "tool"], flags, &server, &command].concat())
    };
    let output = exec(&[], "echo out; echo err >&2; exit 7");
    let (out, errors) = texts(&output);
    if is_before_websockets() {
        assert!(errors.contains("kubectl 1.31 or newer"), "{output:?}");
        return;
    }
    assert_eq!((out.as_str(), output.status.code()), ("out\n", Some(7)), "{output:?}");
    assert!(errors.starts_with("err\n") && errors.contains("exit code 7"), "{errors}");
    let missing = exec(&["-c", "other"], "true");
    assert!(texts(&missing).1.contains("not valid for pod tool"), "{missing:?}");
    let anonymous = kubectl(rig, &["exec", "tool", "--", "/bin/busybox", "true"]);
    assert!(!anonymous.status.success(), "without the token nothing runs");
}

/// Whether this kubectl speaks only what came before WebSockets.
fn is_before_websockets() -> bool {
    let version = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
    let version: serde_json::Value =
        serde_json::from_slice(&version.expect("kubectl can be run").stdout).expect("JSON");
    let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default();
    minor.trim_end_matches('+').parse::<u32>().is_ok_and(|minor| minor < 31)
}

fn changes_nothing(rig: &Rig) {
    let file = rig.repository.path.join("apps/web.yaml");
    let file = file.to_string_lossy();
    for arguments in [
        &["apply", "-f", &*file][..],
        &["scale", "deployment", "web", "--replicas", "3"],
        &["delete", "service", "web"],
    ] {
        let output = kubectl(rig, arguments);
        let (_, errors) = texts(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains("edit apps/web.yaml"), "{arguments:?}: {errors}");
    }
}
