//! PersistentVolumeClaims, end to end: what is written stays, where it was written.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::path::{Path, PathBuf};

use dugout_tests::images;
use dugout_tests::rig::{PATIENCE, Rig, docker, is_ready};
use dugout_tests::second_agent::SecondAgent;

fn started(name: &str, arguments: &[&str]) -> Rig {
    let mut rig = Rig::without_commit(name);
    images::ensure_busybox();
    let namespace = rig.application.namespace.clone();
    let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
    let first = commit(&rig, "namespace", &text);
    rig.up(arguments);
    rig.wait_for_verdict(&first, "healthy");
    rig
}

fn commit(rig: &Rig, name: &str, text: &str) -> String {
    rig.repository.write(&format!("apps/{name}.yaml"), text);
    rig.repository.commit(name)
}

/// What each start of a container leaves in its volume: a line.
const WRITES: &str = "echo started >> /data/log; sleep 1000";

/// A stateful set each pod of which has a claim, and its service.
fn set(rig: &Rig, replicas: u32, version: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: db, namespace: {namespace}}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: {namespace}}}
spec:
  replicas: {replicas}
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{fsGroup: 4321}}
      containers:
        - name: db
          image: dugout-busybox:1
          imagePullPolicy: Never
          ports: [{{containerPort: 80}}]
          env: [{{name: VERSION, value: {version:?}}}]
          command: [/bin/busybox, sh, -c, {WRITES:?}]
          volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
"
    )
}

/// A deployment whose pods use the claim `data`.
fn user(rig: &Rig, replicas: u32, script: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: user, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: user}}}}
  template:
    metadata: {{labels: {{app: user}}}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
      containers:
        - name: user
          image: dugout-busybox:1
          imagePullPolicy: Never
          command: [/bin/busybox, sh, -c, {script:?}]
          volumeMounts: [{{name: data, mountPath: /data}}]
"
    )
}

fn claim(rig: &Rig, class: &str, size: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data, namespace: {namespace}}}
spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {size}}}}}}}
"
    )
}

/// How often a pod's container has started, by what is in its volume.
fn starts(rig: &Rig, pod: &str) -> usize {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let pod = format!("label=dev.dugout.pod={pod}");
    let container = "label=dev.dugout.container=db";
    let arguments =
        ["ps", "--quiet", "--filter", &namespace, "--filter", &pod, "--filter", container];
    let id = docker(&arguments);
    docker(&["exec", id.trim(), "/bin/busybox", "cat", "/data/log"]).lines().count()
}

/// The folders of the volumes that an agent has.
fn folders(data_dir: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
    };
    let clusters = list(&data_dir.join("persistent-volumes"));
    clusters.iter().flat_map(|cluster| list(cluster)).collect()
}

fn get(rig: &Rig, kind: &str) -> String {
    rig.dugout_ok(&["get", kind, "--namespace", &rig.application.namespace])
}

#[test]
fn a_stateful_set_keeps_its_data_over_rolls_scaling_and_reverts() {
    let mut rig = started("claims", &[]);
    let made = commit(&rig, "db", &set(&rig, 2, "1"));
    rig.wait_for_verdict(&made, "healthy");
    assert_eq!((starts(&rig, "db-0"), starts(&rig, "db-1")), (1, 1));
    let claims = get(&rig, "pvc");
    for pod in ["data-db-0", "data-db-1"] {
        let line = claims.lines().find(|line| line.contains(pod)).expect("the claim is shown");
        assert!(line.contains("Bound") && line.contains("RWO"), "{line}");
    }
    let volumes = rig.dugout_ok(&["get", "pv"]);
    assert_eq!(volumes.matches("Bound").count(), 2, "{volumes}");
    assert!(volumes.contains("Retain"), "{volumes}");
    let group = docker(&[
        "run",
        "--rm",
        "--volume",
        &format!("{}:/found", folders(&rig.data_dir().join("agent"))[0].display()),
        "dugout-busybox:1",
        "/bin/busybox",
        "stat",
        "-c",
        "%g",
        "/found",
    ]);
    assert_eq!(group.trim(), "4321", "a volume belongs to the pod's group");

    let rolled = commit(&rig, "db", &set(&rig, 2, "2"));
    rig.wait_for_verdict(&rolled, "healthy");
    assert_eq!((starts(&rig, "db-0"), starts(&rig, "db-1")), (2, 2), "over a roll");

    let one = commit(&rig, "db", &set(&rig, 1, "2"));
    rig.wait_for_verdict(&one, "healthy");
    rig.wait_for("one pod is left", |rig| rig.pods().len() == 1);
    assert_eq!(folders(&rig.data_dir().join("agent")).len(), 2);
    let two = commit(&rig, "db", &set(&rig, 2, "2"));
    rig.wait_for_verdict(&two, "healthy");
    assert_eq!((starts(&rig, "db-0"), starts(&rig, "db-1")), (2, 3), "over scaling");

    std::fs::remove_file(rig.repository.path.join("apps/db.yaml")).expect("it is there");
    let gone = rig.repository.commit("No db");
    rig.wait_for_verdict(&gone, "healthy");
    rig.wait_for("no pod is left", |rig| rig.pods().is_empty());
    // The control plane and the agent are killed and start again.
    rig.kill();
    rig.up(&[]);
    rig.repository.git(&["revert", "--no-edit", &gone]);
    let back = rig.repository.head();
    rig.wait_for_verdict(&back, "healthy");
    assert_eq!((starts(&rig, "db-0"), starts(&rig, "db-1")), (3, 4), "over a revert");
}

#[test]
fn a_claim_that_leaves_git_takes_its_data_along_where_its_class_says_so() {
    let mut rig = started("reclaim", &[]);
    let class = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: scratch}
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
";
    commit(&rig, "class", class);
    for (name, is_kept) in [("scratch", false), ("local", true)] {
        let before = folders(&rig.data_dir().join("agent"));
        commit(&rig, "claim", &claim(&rig, name, "1Mi"));
        let used = commit(&rig, "user", &user(&rig, 1, WRITES));
        rig.wait_for_verdict(&used, "healthy");
        rig.wait_for_ready(1);
        let folder = folders(&rig.data_dir().join("agent"));
        let folder = folder.into_iter().find(|one| !before.contains(one)).expect("it is made");
        assert!(folder.join("log").exists());
        for file in ["apps/claim.yaml", "apps/user.yaml"] {
            std::fs::remove_file(rig.repository.path.join(file)).expect("it is there");
        }
        let gone = rig.repository.commit("No claim");
        rig.wait_for_verdict(&gone, "healthy");
        rig.wait_for("what becomes of the volume", |rig| {
            let volumes = rig.dugout_ok(&["get", "pv"]);
            match is_kept {
                true => volumes.contains("Released"),
                false => !volumes.contains("pvc-") && !folder.exists(),
            }
        });
        assert_eq!(folder.join("log").exists(), is_kept);
    }
}

#[test]
fn a_claim_that_is_too_large_waits_and_says_why() {
    let mut rig = started("toolarge", &["--storage-capacity", "1Gi"]);
    commit(&rig, "claim", &claim(&rig, "local", "2Gi"));
    commit(&rig, "user", &user(&rig, 1, WRITES));
    rig.wait_for("the pod says why it waits", |rig| {
        let told = rig.dugout_ok(&["events", "--namespace", &rig.application.namespace]);
        told.contains("1 without enough free storage")
    });
    assert!(get(&rig, "pvc").contains("Pending"));
    let fits = commit(&rig, "claim", &claim(&rig, "local", "1Gi"));
    rig.wait_for_verdict(&fits, "healthy");
    assert!(get(&rig, "pvc").contains("Bound"));
}

#[test]
fn a_pod_waits_for_the_node_with_its_data_and_returns_to_it() {
    let mut rig = started("awaited", &["--node-timeout", "3s", "--node-name", "first"]);
    let token = rig.dugout_ok(&["token", "create"]).trim().to_owned();
    let mut second = SecondAgent::start(&rig, &token);
    rig.wait_for("the second node is ready", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains(" Ready "))
    });
    rig.dugout_ok(&["node", "cordon", "first"]);
    commit(&rig, "claim", &claim(&rig, "local", "1Mi"));
    let used = commit(&rig, "user", &user(&rig, 1, WRITES));
    rig.wait_for_verdict(&used, "healthy");
    rig.dugout_ok(&["node", "uncordon", "first"]);
    second.kill();
    rig.wait_for("the node is lost", |rig| {
        let nodes = rig.dugout_ok(&["get", "nodes"]);
        nodes.lines().any(|line| line.contains("second") && line.contains("NotReady"))
    });
    let more = commit(&rig, "user", &user(&rig, 2, WRITES));
    rig.wait_for("the new pod says what it waits for", |rig| {
        let told = rig.dugout_ok(&["events", "--namespace", &rig.application.namespace]);
        told.contains("1 with a volume node affinity conflict")
    });
    assert!(rig.pods().iter().all(|pod| pod["spec"]["nodeName"] != "first"));

    let _second = SecondAgent::start(&rig, &token);
    rig.wait_for_verdict(&more, "healthy");
    let pods = rig.pods();
    assert!(pods.iter().all(|pod| is_ready(pod) && pod["spec"]["nodeName"] == "second"));
    let folders = folders(&rig.folder().join("second"));
    let log = std::fs::read_to_string(folders[0].join("log")).expect("the data is there");
    assert_eq!(log.lines().count(), 2, "within {PATIENCE:?}: {log}");
}
