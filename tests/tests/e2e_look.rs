//! Looking, end to end: what the client commands show of a running system.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::rig::Rig;

#[test]
fn every_look_tells_the_same_story() {
    let mut rig = Rig::new("look");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    rig.wait_for_ready(2);
    let namespace = rig.application.namespace.clone();

    let status = rig.dugout_ok(&["status"]);
    for word in ["healthy", &first[..8], "2/2", "Readable"] {
        assert!(status.contains(word), "status has no {word}:\n{status}");
    }
    let pods = rig.dugout_ok(&["get", "pods", "-n", &namespace]);
    assert_eq!(pods.lines().count(), 3, "{pods}");
    let deployment = rig.dugout_ok(&["get", "deployment", "web", "-n", &namespace, "-o", "json"]);
    let deployment: serde_json::Value = serde_json::from_str(&deployment).expect("JSON");
    assert_eq!(deployment["status"]["availableReplicas"], 2, "{deployment}");

    let pod = rig.pods()[0]["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
    let logs = rig.dugout_ok(&["logs", &pod, "-n", &namespace]);
    assert!(logs.contains("8080"), "the server says where it listens: {logs}");
    let missing = rig.dugout(&["logs", "nobody", "-n", &namespace]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nobody"));
}

#[test]
fn the_api_refuses_to_change_desired_state_and_says_what_to_commit() {
    let mut rig = Rig::new("refuse");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", rig.application.namespace);
    let token = std::fs::read_to_string(rig.data_dir().join("operator.token")).expect("a token");
    let answer = dugout_tests::http::client(true)
        .delete(rig.url(&path))
        .bearer_auth(token.trim())
        .send()
        .expect("the API answers");
    assert!(answer.status().is_client_error());
    let status: serde_json::Value = answer.json().expect("a Status object");
    assert!(status["message"].as_str().is_some_and(|text| text.contains("commit")), "{status}");

    let unsigned = dugout_tests::http::client(true)
        .post(rig.url("/apis/dugout.dev/v1/sources/default/sync"))
        .send()
        .expect("the API answers");
    assert_eq!(unsigned.status(), 401);
}

#[test]
fn the_metrics_have_what_the_dashboard_asks_for() {
    let mut rig = Rig::new("metrics");
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let metrics = rig.try_get("/metrics").expect("the metrics answer");
    for name in [
        "dugout_build_info",
        "dugout_leader 1",
        "dugout_turns_total",
        "dugout_releases_total{source=\"default\",verdict=\"healthy\"} 1",
        "dugout_pods_ready",
        "dugout_nodes",
        "dugout_hop_duration_seconds_count",
        "dugout_agent_engine_up 1",
    ] {
        assert!(metrics.contains(name), "the metrics have no {name}:\n{metrics}");
    }
}
