//! The benchmark of the main job: every figure stands beside its floor, measured in the same run.
//!
//! `make bench` measures everything; `make bench ARGS="replicas memory"` what is named.

#![allow(clippy::expect_used, reason = "a measurement that cannot be made ends the benchmark")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dugout_tests::engine::{Engine, Recipe, Starts};
use dugout_tests::git_server::{GitServer, bare_repository};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::{Sample, verdict};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How many times each span is measured.
const ROUNDS: usize = 30;

/// How many replicas are started from zero.
const REPLICAS: usize = 20;

/// How often the replicas are started from zero.
const BURSTS: usize = 5;

/// What can be measured, by the name that chooses it.
const CASES: [(&str, fn()); 5] = [
    ("commit", commit_to_running),
    ("revert", revert_beside_first),
    ("push", push_to_running),
    ("memory", memory),
    ("replicas", from_zero),
];

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = chosen.iter().find(|one| !names.contains(&one.as_str())) {
        eprintln!("there is no case {unknown}; there are {}", names.join(", "));
        std::process::exit(2);
    }
    machine();
    for (name, measure) in CASES {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure();
            println!();
        }
    }
}

fn machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let cores = cpu.matches("processor\t:").count();
    println!("machine: {cores} × {model}, kernel {}", read("/proc/sys/kernel/osrelease").trim());
    println!(
        "engine: {}",
        dugout_tests::rig::docker(&["version", "--format", "{{.Server.Version}}"])
    );
    println!("load before: {}", read("/proc/loadavg").trim());
    println!();
}

/// Raw create+start and commit→running, one after the other, and commit→HTTP 200.
fn commit_to_running() {
    let mut rig = Rig::without_commit("bench-commit");
    rig.application.replicas = 1;
    let first = rig.commit_application("Start");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let (mut raw, mut running, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    // The same container as the pod's: image, environment, limits, network.
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    let mut hops = Hops::default();
    for round in 0..ROUNDS {
        raw.push(raw_start(&recipe));
        rig.application.greeting = format!("round-{round}");
        rig.repository.write("apps/web.yaml", &rig.application.manifests());
        rig.repository.git(&["add", "--all"]);
        let mut starts = Starts::follow();
        rig.repository.git(&["commit", "--quiet", "--message", "Round"]);
        let committed = nanos_now();
        let began = Instant::now();
        running.push(start_of(&mut starts, &rig, committed));
        rig.wait_for("the new page is served", |rig| {
            rig.visit("/").is_some_and(|page| page.contains(&rig.application.greeting))
        });
        answered.push(began.elapsed());
        let sha = rig.repository.head();
        rig.wait_for_verdict(&sha, "healthy");
        rig.wait_for_ready(1);
        hops.add(&rig, &sha);
    }
    let (raw, running, answered) = (Sample::new(raw), Sample::new(running), Sample::new(answered));
    println!("raw create+start                     {}", raw.show());
    println!("commit→running                       {}", running.show());
    println!("commit→HTTP 200 through node port    {}", answered.show());
    compare("commit→running", &raw, &running);
    hops.print();
}

/// A revert beside the commit that it takes back: both until healthy, in turns.
fn revert_beside_first() {
    let mut rig = Rig::without_commit("bench-revert");
    rig.application.replicas = 1;
    let first = rig.commit_application("Start");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let rig = &mut rig;
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        rig.application.greeting = format!("forward-{round}");
        let sha = rig.commit_application("Forward");
        rig.wait_for_verdict(&sha, "healthy");
        forward.push(took(rig, &sha));
        rig.wait_for_ready(1);
        rig.repository.git(&["revert", "--no-edit", "HEAD"]);
        let sha = rig.repository.head();
        rig.wait_for_verdict(&sha, "healthy");
        back.push(took(rig, &sha));
        rig.wait_for_ready(1);
    }
    let (forward, back) = (Sample::new(forward), Sample::new(back));
    println!("commit→healthy                       {}", forward.show());
    println!("git revert→healthy                   {}", back.show());
    verdict(
        "git revert→healthy faster than the commit before it (p50)",
        &format!("{:.2} ×", back.p50() / forward.p50()),
        back.p50() < forward.p50(),
    );
}

/// From noticing a commit to its verdict, by its own record.
fn took(rig: &Rig, sha: &str) -> Duration {
    let release = rig.release(sha).expect("the release is there");
    let at = |field: &str| {
        let text = release["status"][field].as_str().expect("the release has its moments");
        chrono::DateTime::parse_from_rfc3339(text).expect("a moment")
    };
    (at("finishedAt") - at("startedAt")).to_std().unwrap_or_default()
}

/// Push with its webhook, and raw create+start, one after the other.
fn push_to_running() {
    let mut rig = Rig::without_commit("bench-push");
    rig.application.replicas = 1;
    let root = rig.folder().join("served");
    std::fs::create_dir(&root).expect("a folder can be made");
    bare_repository(&root, "team.git");
    let server = GitServer::start(&root);
    let url = server.url("team.git");
    let first = rig.commit_application("Start");
    rig.repository.git(&["push", "--quiet", &url, "main"]);
    let secret = rig.folder().join("secret");
    std::fs::write(&secret, "bench").expect("the secret can be written");
    let secret = secret.to_string_lossy().into_owned();
    rig.up_with(&["--repo", &url, "--poll-interval", "1h", "--webhook-secret-file", &secret]);
    rig.wait_for_verdict(&first, "healthy");
    let client = dugout_tests::http::client(true);
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    let (mut raw, mut running) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        raw.push(raw_start(&recipe));
        rig.application.greeting = format!("round-{round}");
        let sha = rig.commit_application("Round");
        let mut starts = Starts::follow();
        rig.repository.git(&["push", "--quiet", &url, "main"]);
        let pushed = nanos_now();
        client
            .post(rig.url("/webhook/generic"))
            .header("X-Signature", signature("bench"))
            .send()
            .expect("the webhook answers");
        running.push(start_of(&mut starts, &rig, pushed));
        rig.wait_for_verdict(&sha, "healthy");
        rig.wait_for_ready(1);
    }
    let (raw, running) = (Sample::new(raw), Sample::new(running));
    println!("raw create+start                     {}", raw.show());
    println!("push+webhook→running (HTTP remote)   {}", running.show());
    compare("push+webhook→running", &raw, &running);
}

/// Proportional set size of the control plane with its agent, idle and with pods.
fn memory() {
    let mut rig = Rig::without_commit("bench-memory");
    rig.application.replicas = 0;
    let first = rig.commit_application("Nothing runs");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    std::thread::sleep(Duration::from_secs(5));
    let idle = pss_mib(rig.process_id());
    let ticks = cpu_ticks(rig.process_id());
    std::thread::sleep(Duration::from_secs(20));
    let idle_cpu = (cpu_ticks(rig.process_id()) - ticks) as f64 / 100.0 / 20.0 * 100.0;
    rig.application.replicas = 20;
    let second = rig.commit_application("Twenty");
    rig.wait_for_verdict(&second, "healthy");
    std::thread::sleep(Duration::from_secs(5));
    let busy = pss_mib(rig.process_id());
    let postgres = postgres_pss_mib(&rig);
    println!(
        "memory idle {idle:.1} MiB PSS, with 20 pods {busy:.1} MiB; PostgreSQL beside {postgres:.1} MiB"
    );
    println!("processor idle {idle_cpu:.2} % of a core");
    verdict("control plane and agent idle ≤ 20 MiB PSS", &format!("{idle:.1} MiB"), idle <= 20.0);
}

/// Twenty replicas from zero, beside the fastest plain concurrency, in interleaved rounds.
fn from_zero() {
    let mut rig = Rig::without_commit("bench-zero");
    rig.application.replicas = 1;
    let first = rig.commit_application("One");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    scale(&mut rig, 0);
    let mut raw: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut ours = Vec::new();
    let mut spent = Spent::default();
    for _ in 0..BURSTS {
        for concurrency in [1, 2, 4, 8, 16] {
            raw.entry(concurrency).or_default().push(raw_burst(&recipe, concurrency));
        }
        let mut starts = Starts::follow();
        spent.begin(&rig);
        rig.application.replicas = REPLICAS as u32;
        rig.commit_application("Twenty");
        let committed = nanos_now();
        let mut last = Duration::ZERO;
        for _ in 0..REPLICAS {
            last = start_of(&mut starts, &rig, committed);
        }
        ours.push(last);
        spent.end(&rig);
        rig.wait_for_ready(REPLICAS);
        scale(&mut rig, 0);
    }
    let mut floor = f64::MAX;
    for (concurrency, spans) in raw {
        let middle = Sample::new(spans).p50() / 1e3;
        println!(
            "raw {REPLICAS} containers, {concurrency:>2} at once    {middle:.2} s (median of {BURSTS})"
        );
        floor = floor.min(middle);
    }
    let middle = Sample::new(ours).p50() / 1e3;
    println!(
        "  of the processor: control plane and agent {:.2} s, PostgreSQL {:.2} s, each burst",
        spent.dugout / BURSTS as f64,
        spent.postgres / BURSTS as f64
    );
    println!("commit→{REPLICAS} replicas running         {middle:.2} s (median of {BURSTS})");
    verdict(
        "20 replicas from zero ≤ 1.05 × the fastest raw concurrency",
        &format!("{:.2} ×", middle / floor),
        middle <= 1.05 * floor,
    );
}

/// What our own processes take of the processor while the engine starts containers, in seconds.
#[derive(Default)]
struct Spent {
    dugout: f64,
    postgres: f64,
}

impl Spent {
    fn begin(&mut self, rig: &Rig) {
        self.add(rig, -1.0);
    }

    fn end(&mut self, rig: &Rig) {
        self.add(rig, 1.0);
    }

    fn add(&mut self, rig: &Rig, sign: f64) {
        let seconds = |ticks: u64| sign * ticks as f64 / 100.0;
        self.dugout += seconds(cpu_ticks(rig.process_id()));
        self.postgres += seconds(postgres_processes(rig).into_iter().map(cpu_ticks).sum());
    }
}

fn scale(rig: &mut Rig, replicas: u32) {
    rig.application.replicas = replicas;
    rig.commit_application("Scale");
    rig.wait_for_ready(replicas as usize);
}

fn compare(name: &str, raw: &Sample, ours: &Sample) {
    let (p50, p99) = (ours.p50() - raw.p50(), ours.p99() - raw.p99());
    let ratio = ours.p50() / raw.p50();
    verdict(
        &format!("{name} p50 within 50 ms of raw"),
        &format!("{p50:+.1} ms ({ratio:.2} ×)"),
        p50 <= 50.0,
    );
    verdict(&format!("{name} p99 within 150 ms of raw"), &format!("{p99:+.1} ms"), p99 <= 150.0);
}

fn raw_start(recipe: &Recipe) -> Duration {
    let mut engine = Engine::connect();
    let began = Instant::now();
    let id = engine.create_and_start(recipe);
    let span = began.elapsed();
    engine.remove(&id);
    span
}

fn raw_burst(recipe: &Recipe, concurrency: usize) -> Duration {
    let left = AtomicUsize::new(REPLICAS);
    let began = Instant::now();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..concurrency)
            .map(|_| {
                scope.spawn(|| {
                    let mut engine = Engine::connect();
                    let mut ids = Vec::new();
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                        .is_ok()
                    {
                        ids.push(engine.create_and_start(recipe));
                    }
                    ids
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    let span = began.elapsed();
    let mut engine = Engine::connect();
    for id in &ids {
        engine.remove(id);
    }
    span
}

/// The span from a moment to the next start of a container of the rig.
fn start_of(starts: &mut Starts, rig: &Rig, from_nanos: i128) -> Duration {
    loop {
        let start = starts.wait();
        if start.namespace.as_deref() == Some(&rig.application.namespace) {
            return Duration::from_nanos(
                u64::try_from(start.at_nanos - from_nanos).expect("a start follows its commit"),
            );
        }
    }
}

fn nanos_now() -> i128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    i128::try_from(now.as_nanos()).expect("it fits")
}

fn signature(secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The spans between the steps of commits, from their timelines.
#[derive(Default)]
struct Hops {
    spans: BTreeMap<&'static str, Vec<Duration>>,
}

impl Hops {
    const STEPS: [(&'static str, &'static str, &'static str); 7] = [
        ("noticed", "fetched", "1 fetch"),
        ("fetched", "validated", "2 read and validate"),
        ("validated", "applied", "3 plan"),
        ("applied", "accepted", "4 commit, deliver, accept"),
        ("accepted", "created", "5 create"),
        ("created", "started", "6 start"),
        ("started", "ready", "7 probe"),
    ];

    fn add(&mut self, rig: &Rig, sha: &str) {
        let entries = rig.items(&format!("/apis/dugout.dev/v1/timelineentries?commit={sha}"));
        let at = |step: &str| {
            let entry = entries.iter().find(|entry| entry["step"] == step)?;
            chrono::DateTime::parse_from_rfc3339(entry["at"].as_str()?).ok()
        };
        for (from, to, name) in Self::STEPS {
            if let (Some(from), Some(to)) = (at(from), at(to)) {
                // Steps of the node and of the server are told by two readings of one clock.
                let span = (to - from).to_std().unwrap_or_default();
                self.spans.entry(name).or_default().push(span);
            }
        }
    }

    fn print(&self) {
        for (name, spans) in &self.spans {
            println!("  hop {name:<32} {}", Sample::new(spans.iter().copied()).show());
        }
    }
}

fn pss_mib(process_id: u32) -> f64 {
    let rollup =
        std::fs::read_to_string(format!("/proc/{process_id}/smaps_rollup")).unwrap_or_default();
    let kib: f64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(f64::NAN);
    kib / 1024.0
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(process_id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field =
        |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    field(11) + field(12)
}

fn postgres_pss_mib(rig: &Rig) -> f64 {
    let processes = postgres_processes(rig);
    if processes.is_empty() { f64::NAN } else { processes.into_iter().map(pss_mib).sum() }
}

fn postgres_processes(rig: &Rig) -> Vec<u32> {
    let path = rig.data_dir().join("postgres/data/postmaster.pid");
    let postmaster = std::fs::read_to_string(path).unwrap_or_default();
    let parent = postmaster.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
    let Some(parent) = parent else { return Vec::new() };
    let children = Command::new("pgrep")
        .args(["--parent", &parent.to_string()])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let children = children.lines().filter_map(|line| line.trim().parse::<u32>().ok());
    std::iter::once(parent).chain(children).collect()
}
