//! The kinds of workload that choose pod by pod, end to end: stateful sets, daemon sets, replica sets and
//! bare pods.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::images;
use dugout_tests::rig::{Rig, docker, free_node_port, is_ready};
use dugout_tests::second_agent::SecondAgent;
use serde_json::Value;

/// A workload of `apps/v1` whose pods are web servers, with lines of `spec` of its own.
fn workload(rig: &Rig, kind: &str, name: &str, image: &str, spec: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  {spec}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: web
          image: {image}
          imagePullPolicy: Never
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}
"
    )
}

/// A service that means one pod by its name.
fn service_of_pod(rig: &Rig, pod: &str, node_port: u16) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {pod}, namespace: {namespace}}}
spec:
  type: NodePort
  selector: {{statefulset.kubernetes.io/pod-name: {pod}}}
  ports: [{{port: 80, targetPort: http, nodePort: {node_port}}}]
"
    )
}

/// A bare pod that runs a script.
fn bare_pod(rig: &Rig, name: &str, script: &str, restart_policy: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  restartPolicy: {restart_policy}
  terminationGracePeriodSeconds: 1
  containers:
    - name: task
      image: dugout-busybox:1
      imagePullPolicy: Never
      command: [/bin/busybox, sh, -c, {script:?}]
"
    )
}

fn commit(rig: &Rig, name: &str, text: &str) -> String {
    rig.repository.write(name, text);
    rig.repository.commit(name)
}

/// The pods with this label `app`, by name.
fn pods_of(rig: &Rig, app: &str) -> Vec<Value> {
    let mut pods = rig.pods();
    pods.retain(|pod| pod["metadata"]["labels"]["app"] == app);
    pods.sort_by_key(|pod| pod["metadata"]["name"].to_string());
    pods
}

fn names(pods: &[Value]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect()
}

fn images_of(pods: &[Value]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod["spec"]["containers"][0]["image"].as_str()).collect()
}

/// The running container of a pod.
fn container_of(rig: &Rig, pod: &str) -> String {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let pod = format!("label=dev.dugout.pod={pod}");
    docker(&["ps", "--no-trunc", "--quiet", "--filter", &namespace, "--filter", &pod])
}

/// Where in a commit's timeline a step of a pod stands.
fn step(rig: &Rig, sha: &str, step: &str, pod: &str) -> usize {
    let timeline = rig.dugout_ok(&["timeline", sha, "--output", "json"]);
    let timeline: Value = serde_json::from_str(&timeline).expect("it is JSON");
    let entries = timeline["items"].as_array().expect("a list");
    let is_meant = |entry: &Value| {
        let subject = entry["subject"].as_str().unwrap_or_default();
        entry["step"] == step && subject.ends_with(&format!("/{pod}"))
    };
    let found = entries.iter().position(is_meant);
    found.unwrap_or_else(|| panic!("no step {step} of {pod} in {timeline:#}"))
}

#[test]
fn a_stateful_set_starts_in_order_rolls_down_to_its_partition_and_keeps_its_names() {
    let mut rig = Rig::new("stateful");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let port = free_node_port();
    let service = service_of_pod(&rig, "db-1", port);
    let set = |rig: &Rig, image: &str, partition: u32| {
        let spec =
            format!("replicas: 3\n  updateStrategy: {{rollingUpdate: {{partition: {partition}}}}}");
        format!("{service}---\n{}", workload(rig, "StatefulSet", "db", image, &spec))
    };
    let started = commit(&rig, "apps/db.yaml", &set(&rig, "dugout-web:1.0", 0));
    rig.wait_for_verdict(&started, "healthy");
    assert_eq!(names(&pods_of(&rig, "db")), ["db-0", "db-1", "db-2"]);
    for (before, after) in [("db-0", "db-1"), ("db-1", "db-2")] {
        let (ready, next) =
            (step(&rig, &started, "ready", before), step(&rig, &started, "scheduled", after));
        assert!(ready < next, "{after} waits for {before}");
    }
    let client = dugout_tests::http::client(false);
    let visit =
        |path: &str| dugout_tests::http::text(&client, &format!("http://127.0.0.1:{port}{path}"));
    rig.wait_for("the service means one pod", |_| visit("/pod").as_deref() == Some("db-1\n"));

    let partly = commit(&rig, "apps/db.yaml", &set(&rig, "dugout-web:1.1", 2));
    rig.wait_for_verdict(&partly, "healthy");
    assert_eq!(
        images_of(&pods_of(&rig, "db")),
        ["dugout-web:1.0", "dugout-web:1.0", "dugout-web:1.1"]
    );
    let wholly = commit(&rig, "apps/db.yaml", &set(&rig, "dugout-web:1.1", 0));
    rig.wait_for_verdict(&wholly, "healthy");
    assert_eq!(images_of(&pods_of(&rig, "db")), ["dugout-web:1.1"; 3]);
    let (gone, next) =
        (step(&rig, &wholly, "stopped", "db-1"), step(&rig, &wholly, "draining", "db-0"));
    assert!(gone < next, "it goes down from the highest");
    rig.wait_for("the pod of that name serves the new version", |_| {
        visit("/version").as_deref() == Some("1.1\n")
    });

    let removed = container_of(&rig, "db-1");
    docker(&["rm", "--force", &removed]);
    rig.wait_for("the pod is back under its name", |rig| {
        let now = container_of(rig, "db-1");
        !now.is_empty() && now != removed && pods_of(rig, "db").iter().all(is_ready)
    });
    assert_eq!(names(&pods_of(&rig, "db")), ["db-0", "db-1", "db-2"]);
    rig.wait_for("it serves again", |_| visit("/pod").as_deref() == Some("db-1\n"));

    let listed = rig.dugout_ok(&["get", "statefulsets", "-n", &rig.application.namespace]);
    assert!(listed.contains("db") && listed.contains("3/3"), "{listed}");
    let status = rig.dugout_ok(&["status"]);
    assert!(status.contains("STATEFULSET"), "{status}");
    let logs = rig.dugout_ok(&["logs", "statefulset/db", "-n", &rig.application.namespace]);
    assert!(logs.contains("[db-0]") && logs.contains("[db-2]"), "{logs}");
}

#[test]
fn a_daemon_set_has_one_pod_per_node_and_its_rollout_waits_for_no_lost_one() {
    let mut rig = Rig::new("daemons");
    let first = rig.repository.head();
    rig.up(&["--node-timeout", "3s", "--node-name", "first"]);
    rig.wait_for_verdict(&first, "healthy");
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let mut second = SecondAgent::start(&rig, &token);
    let is_node_ready = |rig: &Rig, name: &str| {
        rig.items("/api/v1/nodes")
            .iter()
            .any(|node| node["metadata"]["name"] == name && is_ready(node))
    };
    rig.wait_for("the second node is ready", |rig| is_node_ready(rig, "second"));

    let spec = "minReadySeconds: 0";
    let daemons = |rig: &Rig, image: &str| workload(rig, "DaemonSet", "logs", image, spec);
    let started = commit(&rig, "apps/logs.yaml", &daemons(&rig, "dugout-web:1.0"));
    rig.wait_for_verdict(&started, "healthy");
    assert_eq!(nodes_of(&pods_of(&rig, "logs")), ["first", "second"]);

    let rolled = commit(&rig, "apps/logs.yaml", &daemons(&rig, "dugout-web:1.1"));
    rig.wait_for_verdict(&rolled, "healthy");
    let pods = pods_of(&rig, "logs");
    assert_eq!(nodes_of(&pods), ["first", "second"]);
    assert_eq!(images_of(&pods), ["dugout-web:1.1"; 2]);
    let metrics = rig.try_get("/metrics").expect("the metrics answer");
    let namespace = &rig.application.namespace;
    for name in ["dugout_workload_replicas", "dugout_workload_replicas_available"] {
        let line =
            format!("{name}{{kind=\"DaemonSet\",namespace=\"{namespace}\",name=\"logs\"}} 2\n");
        assert!(metrics.contains(&line), "the metrics have no {line}:\n{metrics}");
    }

    second.kill();
    rig.wait_for("the second node is lost", |rig| !is_node_ready(rig, "second"));
    let without = commit(&rig, "apps/logs.yaml", &daemons(&rig, "dugout-web:2.0"));
    rig.wait_for_verdict(&without, "healthy");
    assert_eq!(nodes_of(&pods_of(&rig, "logs")), ["first", "second"], "none is moved");

    let _back = SecondAgent::start(&rig, &token);
    rig.wait_for("the returned node has the newest pod as well", |rig| {
        let pods = pods_of(rig, "logs");
        images_of(&pods) == ["dugout-web:2.0"; 2] && pods.iter().all(is_ready)
    });
}

/// The nodes of pods, sorted.
fn nodes_of(pods: &[Value]) -> Vec<&str> {
    let mut nodes: Vec<&str> =
        pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    nodes.sort_unstable();
    nodes
}

#[test]
fn a_replica_set_and_bare_pods_do_what_kubernetes_does_with_them() {
    let mut rig = Rig::new("bare");
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let namespace = rig.application.namespace.clone();

    let set = workload(&rig, "ReplicaSet", "set", "dugout-web:1.0", "replicas: 2");
    let once = bare_pod(&rig, "once", "echo done", "Never");
    let stays = bare_pod(&rig, "stays", "/bin/busybox sleep 1000", "Always");
    rig.repository.write("apps/set.yaml", &set);
    rig.repository.write("apps/once.yaml", &once);
    let started = commit(&rig, "apps/stays.yaml", &stays);
    rig.wait_for_verdict(&started, "healthy");
    assert_eq!(pods_of(&rig, "set").len(), 2);
    assert!(pods_of(&rig, "set").iter().all(is_ready));
    // The release is healthy as soon as it runs.
    rig.wait_for("the pod that runs once has ended well", |rig| {
        pods_of(rig, "once").iter().all(|pod| pod["status"]["phase"] == "Succeeded")
    });
    assert_eq!(pods_of(&rig, "once").len(), 1, "and is not started again");
    assert!(rig.dugout_ok(&["logs", "once", "-n", &namespace]).contains("done"));
    assert_eq!(names(&pods_of(&rig, "stays")), ["stays"], "a bare pod has its own name");

    // What `kubectl apply` refuses of a pod is refused in Git.
    let other = bare_pod(&rig, "stays", "/bin/busybox sleep 2000", "Always");
    let refused = commit(&rig, "apps/stays.yaml", &other);
    rig.wait_for_verdict(&refused, "rejected");
    let release = rig.release(&refused).expect("a release");
    assert!(release.to_string().contains("cannot change, but for its images"), "{release:#}");

    // A ReplicaSet's new template is for new pods alone.
    rig.repository.write("apps/stays.yaml", &stays);
    let set = workload(&rig, "ReplicaSet", "set", "dugout-web:1.1", "replicas: 3");
    let scaled = commit(&rig, "apps/set.yaml", &set);
    rig.wait_for_verdict(&scaled, "healthy");
    let pods = pods_of(&rig, "set");
    let mut images = images_of(&pods);
    images.sort_unstable();
    assert_eq!(images, ["dugout-web:1.0", "dugout-web:1.0", "dugout-web:1.1"]);

    rig.repository.git(&["rm", "--quiet", "apps/stays.yaml", "apps/once.yaml"]);
    let without = rig.repository.commit("Without the bare pods");
    rig.wait_for_verdict(&without, "healthy");
    rig.wait_for("the bare pods are gone", |rig| {
        pods_of(rig, "stays").is_empty() && pods_of(rig, "once").is_empty()
    });
    assert_eq!(pods_of(&rig, "set").len(), 3);
}
