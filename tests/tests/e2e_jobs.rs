//! Jobs and cron jobs, end to end: a release waits for its job, a failed job fails it, and a cron job
//! makes jobs when it is time.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use dugout_tests::images;
use dugout_tests::rig::Rig;

/// A job of one pod that runs this script, with a line of `spec` of its own.
fn job(namespace: &str, name: &str, script: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  {more}\n{}",
        template("  ", script)
    )
}

fn template(indent: &str, script: &str) -> String {
    let lines = [
        "template:".to_owned(),
        "  spec:".to_owned(),
        "    restartPolicy: Never".to_owned(),
        "    containers:".to_owned(),
        "      - name: task".to_owned(),
        "        image: dugout-busybox:1".to_owned(),
        "        imagePullPolicy: Never".to_owned(),
        format!("        command: [/bin/busybox, sh, -c, {script:?}]"),
    ];
    lines.map(|line| format!("{indent}{line}\n")).concat()
}

fn commit(rig: &Rig, name: &str, text: &str) -> String {
    rig.repository.write(name, text);
    rig.repository.commit(name)
}

fn job_status(rig: &Rig, name: &str) -> serde_json::Value {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/{name}", rig.application.namespace);
    rig.get(&path)["status"].clone()
}

#[test]
fn a_release_waits_for_its_job_and_a_failed_job_fails_it() {
    let mut rig = Rig::new("jobs");
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&["--on-failure", "hold"]);
    rig.wait_for_verdict(&first, "healthy");

    let namespace = rig.application.namespace.clone();
    let good = job(&namespace, "migrate", "/bin/busybox sleep 1; echo migrated", "backoffLimit: 0");
    let second = commit(&rig, "migrate.yaml", &good);
    rig.wait_for_verdict(&second, "healthy");
    assert_eq!(job_status(&rig, "migrate")["succeeded"], 1);
    let listed = rig.dugout_ok(&["get", "jobs", "--namespace", &namespace]);
    assert!(listed.contains("migrate") && listed.contains("1/1"), "{listed}");
    let words = rig.dugout_ok(&["logs", "job/migrate", "--namespace", &namespace]);
    assert!(words.contains("migrated"), "its log is kept: {words}");

    let bad = job(&namespace, "broken", "exit 3", "backoffLimit: 0");
    let third = commit(&rig, "broken.yaml", &bad);
    rig.wait_for_verdict(&third, "failed");
    assert_eq!(job_status(&rig, "broken")["failed"], 1);
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"), "what ran before serves");
}
