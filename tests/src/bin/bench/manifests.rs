//! Many manifests: 10,000 documents read and checked, and a repository of up to 50,000 applications, or
//! 10,000 kustomized ones, from cold and at one changed file, beside what plain Git needs to fetch the same
//! commit.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dugout_tests::rig::{Rig, dugout};
use dugout_tests::statistics::{Sample, verdict};

use crate::measure::{nanos_now, peak_mib, span_between};

/// Documents of the parser's figure.
const DOCUMENTS: usize = 10_000;
/// Applications of the small and of the large repository.
const SMALL: usize = 1_000;
const LARGE: usize = 50_000;
/// Applications of the large repository where each is a base and an overlay.
const LARGE_KUSTOMIZED: usize = 10_000;
/// Applications that share a namespace and a folder.
const TEAM: usize = 100;
const ROUNDS: usize = 30;
/// A bound on a wait that has failed, not a goal.
const COLD_DEADLINE: Duration = Duration::from_secs(600);

/// How an application stands in the repository.
#[derive(Clone, Copy)]
enum Form {
    /// All of it in one file.
    Plain,
    /// A base, and an overlay that is made from it.
    Kustomized,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Plain => "applications",
            Form::Kustomized => "kustomized applications",
        }
    }
}

pub fn run() {
    documents();
    growth(Form::Plain, LARGE);
    growth(Form::Kustomized, LARGE_KUSTOMIZED);
}

/// What one changed file costs in a small repository and in a large one.
fn growth(form: Form, large_count: usize) {
    let small = repository(form, SMALL);
    let large = repository(form, large_count);
    let growth = large.p50() / small.p50();
    let name = form.name();
    verdict(
        &format!("one changed file: flat within 10 % from {SMALL} to {large_count} {name}"),
        &format!("{growth:.2} ×"),
        growth <= 1.1,
    );
}

/// `dugout validate` over a folder of documents, with the program's own start taken off.
fn documents() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let few = folder.path().join("few");
    let many = folder.path().join("many");
    write_team(&few, Form::Plain, 0, 0);
    let applications = DOCUMENTS / 3;
    for team in 0..applications / TEAM {
        write_team(&many, Form::Plain, team, TEAM);
    }
    let bytes = bytes_below(&many);
    let start = validate(&few);
    let runs: Vec<(Duration, f64)> = (0..5).map(|_| validate(&many)).collect();
    let span = Sample::new(runs.iter().map(|run| run.0.saturating_sub(start.0)));
    let memory = runs.iter().map(|run| run.1 - start.1).fold(0.0, f64::max);
    let input = bytes as f64 / f64::from(1 << 20);
    println!(
        "{} documents ({input:.1} MiB) validated     {}, {memory:.1} MiB at most",
        applications / TEAM * (TEAM * 3 + 1),
        span.show()
    );
    verdict("10,000 documents in 1 s", &format!("{:.2} s", span.p50() / 1e3), span.p50() <= 1e3);
    verdict(
        "64 MiB over the input",
        &format!("{:.1} MiB over", memory - input),
        memory - input <= 64.0,
    );
}

/// How long the program takes for a folder, and its largest resident set in MiB.
fn validate(folder: &Path) -> (Duration, f64) {
    let began = Instant::now();
    let mut child = Command::new(dugout())
        .arg("validate")
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("dugout can be run");
    let mut peak: f64 = 0.0;
    loop {
        // Not a number once it has ended, which `max` passes over.
        peak = peak.max(peak_mib(child.id()));
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            assert!(status.success(), "the documents are valid");
            return (began.elapsed(), peak);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A repository of this many applications: from cold, then one changed file at a time. Gives how long
/// a changed file takes from being noticed to being durable.
fn repository(form: Form, applications: usize) -> Sample {
    let mut rig = Rig::without_commit("bench-manifests");
    let apps = rig.repository.path.join("apps");
    for team in 0..applications / TEAM {
        write_team(&apps, form, team, TEAM);
    }
    let first = rig.repository.commit("All of it");
    let plain = PlainMirror::of(&rig);
    let began = Instant::now();
    rig.up(&[]);
    healthy_at(&rig, &first);
    let cold = began.elapsed();
    let peak = peak_mib(rig.process_id());
    let (mut fetches, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let team = round * 7 % (applications / TEAM);
        write_application(&apps, form, team, round % TEAM, &format!("round-{round}"));
        let sha = rig.repository.commit("One file");
        let healthy_at = healthy_at(&rig, &sha);
        ours.push(span_between(noticed_at(&rig, &sha), healthy_at));
        fetches.push(plain.fetch());
    }
    let (fetches, ours) = (Sample::new(fetches), Sample::new(ours));
    println!(
        "{applications} {} from cold         {:.1} s, {peak:.0} MiB at most",
        form.name(),
        cold.as_secs_f64()
    );
    println!("  one changed file, noticed→durable  {}", ours.show());
    println!("  plain git fetch beside it          {}", fetches.show());
    if matches!(form, Form::Plain) && applications == LARGE {
        let seconds = cold.as_secs_f64();
        verdict(
            "50,000 applications from cold in 20 s",
            &format!("{seconds:.1} s"),
            seconds <= 20.0,
        );
        verdict("the same in 512 MiB", &format!("{peak:.0} MiB"), peak <= 512.0);
    }
    let beyond = ours.p50() - fetches.p50();
    verdict(
        &format!("one of {applications} {} changed, 20 ms beyond git fetch", form.name()),
        &format!("{beyond:+.1} ms"),
        beyond <= 20.0,
    );
    ours
}

/// When the release of a commit was first seen healthy. Looked for often: the wait is the figure. The
/// timeline of one commit is short; the list of releases names every object that one has touched.
fn healthy_at(rig: &Rig, sha: &str) -> i128 {
    let began = Instant::now();
    loop {
        let entries = rig.items(&format!("/apis/dugout.dev/v1/timelineentries?commit={sha}"));
        match entries.last().and_then(|entry| entry["step"].as_str()) {
            Some("healthy") => return nanos_now(),
            other => assert!(!matches!(other, Some("rejected" | "failed")), "{entries:?}"),
        }
        assert!(began.elapsed() < COLD_DEADLINE, "the release is not healthy in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn noticed_at(rig: &Rig, sha: &str) -> i128 {
    let entries = rig.items(&format!("/apis/dugout.dev/v1/timelineentries?commit={sha}"));
    let noticed = entries.iter().find(|entry| entry["step"] == "noticed").expect("it was noticed");
    let at = noticed["at"].as_str().expect("a step has its moment");
    let at = chrono::DateTime::parse_from_rfc3339(at).expect("a moment");
    at.timestamp_nanos_opt().expect("it fits").into()
}

/// A mirror that plain Git keeps of the same repository.
struct PlainMirror {
    folder: tempfile::TempDir,
}

impl PlainMirror {
    fn of(rig: &Rig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let origin = rig.repository.path.to_string_lossy().into_owned();
        let path = folder.path().to_string_lossy().into_owned();
        rig.repository.git(&["clone", "--quiet", "--mirror", &origin, &path]);
        Self { folder }
    }

    fn fetch(&self) -> Duration {
        let began = Instant::now();
        let status = Command::new("git")
            .current_dir(self.folder.path())
            .args(["fetch", "--quiet", "origin", "main"])
            .status()
            .expect("git can be run");
        assert!(status.success(), "git fetch failed");
        began.elapsed()
    }
}

/// A team's namespace with some of its applications.
fn write_team(folder: &Path, form: Form, team: usize, applications: usize) {
    let path = folder.join(format!("team-{team}"));
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team-{team}\n");
    write(&path.join("namespace.yaml"), namespace);
    for application in 0..applications {
        write_application(folder, form, team, application, "hello");
    }
}

fn write_application(folder: &Path, form: Form, team: usize, application: usize, greeting: &str) {
    let name = format!("app-{application}");
    let text = objects(team, &name, greeting);
    let team = folder.join(format!("team-{team}"));
    match form {
        Form::Plain => write(&team.join(format!("{name}.yaml")), text),
        Form::Kustomized => {
            let folder = team.join(name);
            write(&folder.join("base/objects.yaml"), text);
            write(&folder.join("base/kustomization.yaml"), "resources: [objects.yaml]\n");
            let overlay = "resources: [../base]\nlabels: [{pairs: {tier: web}}]\n";
            write(&folder.join("overlay/kustomization.yaml"), overlay);
        }
    }
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    let folder = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(folder).expect("a folder can be made");
    std::fs::write(path, text).expect("a file can be written");
}

/// An application that runs nothing: a config map, a service, and a deployment of no replicas.
fn objects(team: usize, name: &str, greeting: &str) -> String {
    let mut text = String::new();
    for (api, kind, rest) in [
        ("v1", "ConfigMap", format!("data:\n  GREETING: {greeting}\n")),
        (
            "v1",
            "Service",
            format!(
                "spec:\n  selector:\n    app: {name}\n  ports:\n    - port: 80\n      targetPort: http\n"
            ),
        ),
        ("apps/v1", "Deployment", deployment_spec(name)),
    ] {
        let _ = write!(
            text,
            "---\napiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: team-{team}\n{rest}"
        );
    }
    text
}

fn deployment_spec(name: &str) -> String {
    format!(
        "spec:
  replicas: 0
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      containers:
        - name: {name}
          image: dugout-web:1.0
          ports:
            - name: http
              containerPort: 8080
          envFrom:
            - configMapRef:
                name: {name}
"
    )
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder can be read");
    entries
        .map(|entry| {
            let entry = entry.expect("a folder can be read");
            let metadata = entry.metadata().expect("a file can be looked at");
            if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() }
        })
        .sum()
}
