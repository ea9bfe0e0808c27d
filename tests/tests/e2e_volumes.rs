//! The volumes of a pod, end to end: what the same YAML does on Kubernetes.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::path::{Path, PathBuf};

use dugout_tests::images;
use dugout_tests::rig::{Rig, docker};

/// A pod whose containers run scripts; `mounts` and `volumes` are in the flow form of YAML.
fn pod(rig: &Rig, name: &str, containers: &[(&str, &str, &str)], volumes: &str) -> String {
    let namespace = &rig.application.namespace;
    let containers: String = containers
        .iter()
        .map(|(name, script, mounts)| {
            format!(
                "    - name: {name}
      image: dugout-busybox:1
      imagePullPolicy: Never
      command: [/bin/busybox, sh, -c, {script:?}]
      volumeMounts: {mounts}
"
            )
        })
        .collect();
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: {volumes}
  containers:
{containers}"
    )
}

fn commit(rig: &Rig, name: &str, text: &str) -> String {
    rig.repository.write(&format!("apps/{name}.yaml"), text);
    rig.repository.commit(name)
}

fn started(name: &str) -> Rig {
    let mut rig = Rig::new(name);
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig
}

/// The engine's id of a pod's running container; empty when none runs.
fn container_id(rig: &Rig, pod: &str, container: &str) -> String {
    let namespace = format!("label=dev.dugout.namespace={}", rig.application.namespace);
    let pod = format!("label=dev.dugout.pod={pod}");
    let container = format!("label=dev.dugout.container={container}");
    let mut arguments = vec!["ps", "--quiet"];
    for filter in [&namespace, &pod, &container] {
        arguments.extend(["--filter", filter]);
    }
    docker(&arguments)
}

/// What a command prints inside a pod's container, whether it succeeds or not.
fn inside(rig: &Rig, pod: &str, container: &str, script: &str) -> String {
    let id = container_id(rig, pod, container);
    let script = format!("{{ {script} ; }} 2>&1 || true");
    docker(&["exec", &id, "/bin/busybox", "sh", "-c", &script])
}

/// The folders of pods in the agent's data directory.
fn pod_folders(rig: &Rig) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
    };
    let clusters = list(&rig.data_dir().join("agent/volumes"));
    clusters.iter().flat_map(|cluster| list(cluster)).collect()
}

/// What is mounted below the rig's folder on this machine.
fn mounted(rig: &Rig) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("it can be read");
    let folder = rig.data_dir().display().to_string();
    table.lines().filter(|line| line.contains(&folder)).count()
}

#[test]
fn containers_of_a_pod_share_folders_that_outlive_them_and_go_with_the_pod() {
    let mut rig = started("volumes");
    let wait = "until [ -e /shared/done ]; do sleep 0.1; done; sleep 1000";
    let write = "echo hello > /shared/text; echo fast > /fast/text; touch /shared/done; sleep 1000";
    let text = pod(
        &rig,
        "shares",
        &[
            (
                "write",
                write,
                "[{name: disk, mountPath: /shared}, {name: memory, mountPath: /fast}]",
            ),
            (
                "read",
                wait,
                "[{name: disk, mountPath: /shared, readOnly: true}, {name: disk, mountPath: part, subPath: made/here}]",
            ),
        ],
        "[{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]",
    );
    let first = "  initContainers:
    - name: first
      image: dugout-busybox:1
      imagePullPolicy: Never
      command: [/bin/busybox, sh, -c, 'echo first > /shared/first']
      volumeMounts: [{name: disk, mountPath: /shared}]
  containers:
";
    let text = text.replace("  containers:\n", first);
    let declared = commit(&rig, "shares", &text);
    rig.wait_for_verdict(&declared, "healthy");
    rig.wait_for("the text is there", |rig| {
        inside(rig, "shares", "read", "cat /shared/text") == "hello"
    });
    assert_eq!(inside(&rig, "shares", "read", "cat /shared/first"), "first");
    let refused = inside(&rig, "shares", "read", "touch /shared/more");
    assert!(refused.contains("Read-only file system"), "{refused}");
    inside(&rig, "shares", "read", "echo part > /part/text");
    assert_eq!(inside(&rig, "shares", "write", "cat /shared/made/here/text"), "part");
    let table = inside(&rig, "shares", "write", "grep ' /fast ' /proc/mounts");
    assert!(table.starts_with("tmpfs /fast tmpfs rw") && table.contains("size=1024k"), "{table}");

    let before = container_id(&rig, "shares", "write");
    docker(&["kill", &before]);
    rig.wait_for("the container runs again", |rig| {
        let now = container_id(rig, "shares", "write");
        !now.is_empty() && now != before
    });
    assert_eq!(
        inside(&rig, "shares", "write", "cat /fast/text /shared/made/here/text"),
        "fast\npart"
    );
    assert_eq!((pod_folders(&rig).len(), mounted(&rig)), (1, 2));

    rig.repository.git(&["rm", "--quiet", "apps/shares.yaml"]);
    rig.repository.commit("Without it");
    rig.wait_for("nothing of it is left", |rig| pod_folders(rig).is_empty());
    assert_eq!(mounted(&rig), 0);
}

#[test]
fn what_a_pod_left_while_its_agent_was_away_goes_at_the_next_start() {
    let mut rig = started("orphan");
    let mounts =
        "[{name: memory, mountPath: /fast}, {name: memory, mountPath: /part, subPath: part}]";
    let volumes = "[{name: memory, emptyDir: {medium: Memory}}]";
    let text = pod(&rig, "brief", &[("main", "sleep 1000", mounts)], volumes);
    let declared = commit(&rig, "brief", &text);
    rig.wait_for_verdict(&declared, "healthy");
    assert_eq!((pod_folders(&rig).len(), mounted(&rig)), (1, 2));
    rig.kill();
    docker(&["rm", "--force", &container_id(&rig, "brief", "main")]);
    // As a crash leaves it between the removal of the pod's containers and that of its volumes.
    let orphan = pod_folders(&rig).remove(0).with_file_name("00000000-0000-4000-8000-000000000001");
    std::fs::create_dir_all(orphan.join("volumes/disk/with")).expect("a folder can be made");
    rig.repository.git(&["rm", "--quiet", "apps/brief.yaml"]);
    rig.repository.commit("Without it");
    rig.up(&[]);
    rig.wait_for("nothing of it is left", |rig| pod_folders(rig).is_empty());
    assert_eq!(mounted(&rig), 0);
}

#[test]
fn a_host_path_is_what_it_says_or_the_pod_waits_and_says_why() {
    let mut rig = started("host");
    let folder = rig.folder().join("on the node");
    std::fs::create_dir(&folder).expect("a folder can be made");
    std::fs::write(folder.join("text"), "from the node\n").expect("a file can be written");
    let path = folder.display();
    let text = pod(
        &rig,
        "host",
        &[(
            "main",
            "sleep 1000",
            "[{name: folder, mountPath: /folder, readOnly: true}, {name: folder, mountPath: /one, subPath: text}]",
        )],
        &format!("[{{name: folder, hostPath: {{path: \"{path}\", type: Directory}}}}]"),
    );
    let declared = commit(&rig, "host", &text);
    rig.wait_for_verdict(&declared, "healthy");
    assert_eq!(
        inside(&rig, "host", "main", "cat /folder/text /one"),
        "from the node\nfrom the node"
    );
    let refused = inside(&rig, "host", "main", "touch /folder/more");
    assert!(refused.contains("Read-only file system"), "{refused}");

    let missing = folder.join("later");
    let text = pod(
        &rig,
        "waits",
        &[("main", "sleep 1000", "[{name: later, mountPath: /later}]")],
        &format!(
            "[{{name: later, hostPath: {{path: \"{}\", type: Directory}}}}]",
            missing.display()
        ),
    );
    let declared = commit(&rig, "waits", &text);
    let why = format!(
        "MountVolume.SetUp failed for volume \"later\" : hostPath type check failed: {} is not a directory",
        missing.display()
    );
    rig.wait_for("the pod says why it waits", |rig| {
        let pods = rig.pods();
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == "waits");
        pod.is_some_and(|pod| {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == "ContainerCreating" && waiting["message"] == why.as_str()
        })
    });
    let events = rig.dugout_ok(&["events", "-n", &rig.application.namespace]);
    assert!(events.contains("FailedMount"), "{events}");
    std::fs::create_dir(&missing).expect("a folder can be made");
    rig.wait_for_verdict(&declared, "healthy");
    rig.repository.git(&["rm", "--quiet", "apps/host.yaml", "apps/waits.yaml"]);
    rig.repository.commit("Without them");
    rig.wait_for("nothing of them is left", |rig| pod_folders(rig).is_empty());
    let kept = std::fs::read_to_string(folder.join("text")).expect("the node's file stays");
    assert_eq!(kept, "from the node\n");
}

/// A config map and a secret, and a deployment that mounts both and itself.
fn configured(rig: &Rig, greeting: &str) -> String {
    let namespace = &rig.application.namespace;
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: {namespace}}}
data: {{greeting: {greeting}, other: same}}
binaryData: {{raw: /wA=}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys, namespace: {namespace}}}
stringData: {{password: hunter2}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reader, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: reader}}}}
  template:
    metadata: {{labels: {{app: reader, tier: back}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: dugout-busybox:1
        imagePullPolicy: Never
        command: [/bin/busybox, sh, -c, sleep 1000]
        volumeMounts:
        - {{name: settings, mountPath: /etc/settings}}
        - {{name: settings, mountPath: /etc/one, subPath: greeting}}
        - {{name: keys, mountPath: /etc/keys}}
        - {{name: all, mountPath: /etc/all}}
      volumes:
      - {{name: settings, configMap: {{name: settings, defaultMode: 0444}}}}
      - {{name: keys, secret: {{secretName: keys}}}}
      - name: all
        projected:
          sources:
          - configMap: {{name: settings, items: [{{key: greeting, path: deep/greeting, mode: 0404}}]}}
          - secret: {{name: keys, items: [{{key: password, path: deep/password}}]}}
          - secret: {{name: missing, optional: true}}
          - downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}, {{path: name, fieldRef: {{fieldPath: metadata.name}}}}]}}
"
    )
}

/// The name of the deployment's only pod.
fn reader(rig: &Rig) -> String {
    let pods = rig.pods();
    let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    let readers: Vec<&str> = names.filter(|name| name.starts_with("reader-")).collect();
    assert_eq!(readers.len(), 1, "{readers:?}");
    readers[0].to_owned()
}

#[test]
fn configuration_is_mounted_as_files_and_a_change_of_it_rolls_the_pods() {
    let mut rig = started("files");
    let text = configured(&rig, "hello");
    let declared = commit(&rig, "reader", &text);
    rig.wait_for_verdict(&declared, "healthy");
    rig.wait_for_ready(usize::try_from(rig.application.replicas).expect("few") + 1);
    let pod = reader(&rig);
    let seen = |rig: &Rig, script: &str| inside(rig, &reader(rig), "main", script);
    assert_eq!(seen(&rig, "cat /etc/settings/greeting /etc/one"), "hellohello");
    assert_eq!(seen(&rig, "od -An -tx1 /etc/settings/raw"), "ff 00");
    assert_eq!(seen(&rig, "cat /etc/keys/password /etc/all/deep/password"), "hunter2hunter2");
    assert_eq!(
        seen(&rig, "cat /etc/all/labels | grep tier; cat /etc/all/name"),
        format!("tier=\"back\"\n{pod}")
    );
    assert_eq!(
        seen(
            &rig,
            "readlink /etc/settings/greeting; stat -L -c %a /etc/settings/greeting /etc/all/deep/greeting /etc/all/deep/password"
        ),
        "..data/greeting\n444\n404\n644"
    );
    for folder in ["/etc/settings", "/etc/keys", "/etc/all"] {
        let refused = seen(&rig, &format!("touch {folder}/more"));
        assert!(refused.contains("Read-only file system"), "{refused}");
    }
    for folder in ["/etc/keys", "/etc/all"] {
        let mount = seen(&rig, &format!("grep ' {folder} ' /proc/mounts"));
        assert!(mount.starts_with(&format!("tmpfs {folder} tmpfs ro")), "{mount}");
    }
    let on_disk = seen(&rig, "grep ' /etc/settings ' /proc/mounts");
    assert!(!on_disk.starts_with("tmpfs"), "{on_disk}");

    let planned = {
        rig.repository.write("apps/reader.yaml", &configured(&rig, "welcome"));
        rig.repository.commit("Another greeting")
    };
    rig.wait_for_verdict(&planned, "healthy");
    rig.wait_for_ready(usize::try_from(rig.application.replicas).expect("few") + 1);
    assert_ne!(reader(&rig), pod);
    assert_eq!(seen(&rig, "cat /etc/settings/greeting /etc/one"), "welcomewelcome");
    rig.wait_for("what the former pod had is gone", |rig| pod_folders(rig).len() == 1);
    // Of the new pod: the two folders in memory and the file that is mounted alone.
    assert_eq!(mounted(&rig), 3);
}

#[test]
fn a_key_that_is_not_there_rejects_the_commit() {
    let mut rig = started("key");
    let text = configured(&rig, "hello").replace("key: greeting", "key: greting");
    let declared = commit(&rig, "reader", &text);
    rig.wait_for_verdict(&declared, "rejected");
    let told = rig.dugout_ok(&["history"]);
    assert!(told.contains("rejected"), "{told}");
}
