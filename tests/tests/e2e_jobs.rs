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
    let metrics = rig.try_get("/metrics").expect("the metrics answer");
    for (state, count) in [("Complete", 1), ("Failed", 1), ("Running", 0)] {
        let line = format!("dugout_jobs{{namespace=\"{namespace}\",state=\"{state}\"}} {count}\n");
        assert!(metrics.contains(&line), "the metrics have no {line}:\n{metrics}");
    }
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"), "what ran before serves");
}

/// A job of one pod with a place in the release.
fn hook(rig: &Rig, name: &str, when: &str, script: &str) -> String {
    let namespace = &rig.application.namespace;
    let metadata = format!(
        "{{name: {name}, namespace: {namespace}, annotations: {{dugout.dev/hook: {when}}}}}"
    );
    let text = job(namespace, name, script, "backoffLimit: 0");
    text.replace(&format!("{{name: {name}, namespace: {namespace}}}"), &metadata)
}

/// When the release of a commit had a step of a pod whose name begins so, if it had one.
fn step_at(rig: &Rig, sha: &str, step: &str, pod: &str) -> Option<String> {
    let timeline = rig.dugout_ok(&["timeline", sha, "--output", "json"]);
    let timeline: serde_json::Value = serde_json::from_str(&timeline).expect("it is JSON");
    let subject = format!("Pod {}/{pod}", rig.application.namespace);
    let entries = timeline["items"].as_array().expect("a list").iter();
    let mut steps = entries.filter(|entry| {
        entry["step"] == step
            && entry["subject"].as_str().is_some_and(|named| named.starts_with(&subject))
    });
    steps.next().map(|entry| entry["at"].as_str().expect("a time").to_owned())
}

#[test]
fn hooks_come_before_and_after_everything_and_a_failed_one_takes_the_release_back() {
    let mut rig = Rig::new("hooks");
    images::ensure_busybox();
    let first = rig.repository.head();
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");

    let migrate = hook(&rig, "migrate", "before", "/bin/busybox sleep 1; echo migrated");
    let smoke = hook(&rig, "smoke", "after", "echo it answers");
    rig.repository.write("migrate.yaml", &migrate);
    rig.repository.write("smoke.yaml", &smoke);
    rig.application.image = "dugout-web:2.0".to_owned();
    let second = rig.commit_application("Web 2.0 with a migration");
    rig.wait_for("the application waits and says for whom", |rig| {
        let status = rig.dugout_ok(&["status"]);
        status.contains("waits for Job") && status.contains("/migrate")
    });
    assert_eq!(rig.visit("/version").as_deref(), Some("1.0\n"), "what serves goes on");
    rig.wait_for_verdict(&second, "healthy");
    assert_eq!(rig.visit("/version").as_deref(), Some("2.0\n"));
    let migrated = step_at(&rig, &second, "started", "migrate-").expect("it ran");
    let rolled = step_at(&rig, &second, "scheduled", "web-").expect("it rolled");
    let tested = step_at(&rig, &second, "scheduled", "smoke-").expect("it ran");
    assert!(migrated < rolled && rolled < tested, "{migrated} {rolled} {tested}");

    let before = rig.containers();
    rig.repository.write("migrate.yaml", &hook(&rig, "migrate", "before", "exit 3"));
    rig.application.image = "dugout-web:1.1".to_owned();
    let third = rig.commit_application("A migration that fails");
    rig.wait_for_verdict(&third, "reverted");
    assert_eq!(step_at(&rig, &third, "scheduled", "web-"), None, "nothing of it began");
    assert_eq!(rig.visit("/version").as_deref(), Some("2.0\n"));
    rig.wait_for("what served before serves", |rig| rig.containers() == before);
}
