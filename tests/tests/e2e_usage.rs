//! What pods use, end to end: a pod that burns and holds memory is seen in the agent's metrics.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::rig::Rig;

/// A pod of two containers: one burns a processor below a limit, one holds memory and then a file.
fn busy_pod(namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: busy, namespace: {namespace}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: burns
      image: dugout-busybox:1
      command: [/bin/busybox, sh, -c, 'while :; do :; done']
      resources: {{limits: {{cpu: 200m, memory: 32Mi}}}}
    - name: holds
      image: dugout-busybox:1
      command:
        - /bin/busybox
        - sh
        - -c
        - 'busybox dd if=/dev/zero of=/tmp/file bs=1M count=8 && x=$(busybox head -c 20000000 /dev/zero | busybox tr \"\\0\" x); while :; do busybox sleep 1; done'
      resources: {{limits: {{memory: 128Mi}}}}
"
    )
}

/// The value of a series of a pod's container.
fn figure(text: &str, name: &str, container: &str) -> Option<f64> {
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && line.contains("pod=\"busy\"")
            && (container.is_empty() || line.contains(&format!("container=\"{container}\"")))
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn what_a_pod_uses_is_seen_in_the_agents_metrics() {
    dugout_tests::images::ensure_busybox();
    let mut rig = Rig::without_commit("usage");
    let namespace = rig.application.namespace.clone();
    let declared = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
    rig.repository.write("apps/namespace.yaml", &declared);
    rig.repository.write("apps/busy.yaml", &busy_pod(&namespace));
    let commit = rig.repository.commit("Busy");
    rig.up(&[]);
    rig.wait_for_verdict(&commit, "healthy");
    let metrics = |rig: &Rig| rig.try_get("/metrics").unwrap_or_default();
    rig.wait_for("the burner's processor time and its limit are seen", |rig| {
        let text = metrics(rig);
        let of = |name| figure(&text, name, "burns").unwrap_or(0.0);
        of("container_cpu_usage_seconds_total") > 0.5
            && of("container_cpu_cfs_throttled_periods_total") > 0.0
            && of("container_spec_memory_limit_bytes") == f64::from(32 << 20)
    });
    rig.wait_for("the memory that is held is seen", |rig| {
        figure(&metrics(rig), "container_memory_working_set_bytes", "holds")
            .is_some_and(|bytes| bytes > 20e6)
    });
    let text = metrics(&rig);
    let burner = figure(&text, "container_memory_working_set_bytes", "burns");
    assert!(burner.is_some_and(|bytes| bytes < 20e6), "each has its own: {burner:?}");
    assert!(text.contains("container=\"burns\",image=\"dugout-busybox:1\""), "{text}");
    assert!(!text.contains("container=\"POD\""), "a sandbox is no container of the pod");
    let before = figure(&text, "container_network_receive_packets_total", "");
    let before = before.expect("the pod's network is seen");
    let pod = rig.get(&format!("/api/v1/namespaces/{namespace}/pods/busy"));
    let address = pod["status"]["podIP"].as_str().expect("the pod has an address").to_owned();
    rig.wait_for("what is sent to the pod is counted", |rig| {
        // Nobody listens there; the question arrives all the same.
        let _ = std::net::TcpStream::connect((address.as_str(), 9));
        figure(&metrics(rig), "container_network_receive_packets_total", "")
            .is_some_and(|now| now >= before + 3.0)
    });
    rig.wait_for("the file that was written is counted", |rig| {
        figure(&metrics(rig), "container_fs_usage_bytes", "holds")
            .is_some_and(|bytes| bytes >= f64::from(8 << 20))
    });
    let cores = text.lines().find_map(|line| line.strip_prefix("machine_cpu_cores{} "));
    let own = std::thread::available_parallelism().expect("it can be told").get();
    let cores: f64 = cores.and_then(|text| text.parse().ok()).expect("the node is seen");
    assert!(cores >= own as f64, "{cores}");
    for name in ["node_filesystem_avail_bytes{", "node_cpu_usage_seconds_total{"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    rig.repository.git(&["rm", "--quiet", "apps/busy.yaml"]);
    rig.repository.commit("Calm");
    rig.wait_for("nothing is told of what is gone", |rig| !metrics(rig).contains("pod=\"busy\""));
}
