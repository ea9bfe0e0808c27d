//! What the parts share: moments, raw starts, processes, and the comparison with the floor.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dugout_tests::engine::{Engine, Recipe, Starts};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::{Sample, verdict};

/// How many times a span of a single start is measured.
pub const ROUNDS: usize = 30;

const REMOVES_AT_ONCE: usize = 4;

pub fn print_machine() {
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
}

/// Prints ours beside the floor of the same rounds, and whether the reach of a start was met.
pub fn compare(name: &str, raw: &Sample, ours: &Sample) {
    println!("{name:<37}{}", ours.show());
    println!("{:<37}{}", "  raw create+start beside it", raw.show());
    let (p50, p99) = (ours.p50() - raw.p50(), ours.p99() - raw.p99());
    let ratio = ours.p50() / raw.p50();
    verdict(
        &format!("{name} p50 within 50 ms of raw"),
        &format!("{p50:+.1} ms ({ratio:.2} ×)"),
        p50 <= 50.0,
    );
    verdict(&format!("{name} p99 within 150 ms of raw"), &format!("{p99:+.1} ms"), p99 <= 150.0);
}

/// Creates, starts and removes one container with a bare client. The span until the engine says that it
/// has started, as for ours.
pub fn raw_start(recipe: &Recipe) -> Duration {
    let mut engine = Engine::connect();
    let mut starts = Starts::follow();
    let began = nanos_now();
    let id = engine.create_and_start(recipe);
    let start = std::iter::repeat_with(|| starts.wait()).find(|start| start.id == id);
    engine.remove(&id);
    span_between(began, start.expect("each container has its event").at_nanos)
}

/// Creates and starts so many containers, some at a time, with a bare client for each; and removes them after.
pub fn raw_burst(recipe: &Recipe, count: usize, concurrency: usize) -> Duration {
    let left = AtomicUsize::new(count);
    let began = Instant::now();
    let ids = at_once(concurrency, || start_while_left(recipe, &left));
    let span = began.elapsed();
    let place = AtomicUsize::new(0);
    at_once(REMOVES_AT_ONCE, || {
        let mut engine = Engine::connect();
        while let Some(id) = ids.get(place.fetch_add(1, Ordering::Relaxed)) {
            engine.remove(id);
        }
        Vec::new()
    });
    span
}

fn at_once(workers: usize, work: impl Fn() -> Vec<String> + Sync) -> Vec<String> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    })
}

fn start_while_left(recipe: &Recipe, left: &AtomicUsize) -> Vec<String> {
    let take = |left: usize| left.checked_sub(1);
    let mut engine = Engine::connect();
    let mut ids = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        ids.push(engine.create_and_start(recipe));
    }
    ids
}

/// The span from a moment to the next start of a container of the rig.
pub fn start_of(starts: &mut Starts, rig: &Rig, from_nanos: i128) -> Duration {
    loop {
        let start = starts.wait();
        if start.namespace.as_deref() == Some(&rig.application.namespace) {
            return span_between(from_nanos, start.at_nanos);
        }
    }
}

pub fn nanos_now() -> i128 {
    nanos_of(SystemTime::now())
}

pub fn span_since(from_nanos: i128) -> Duration {
    span_between(from_nanos, nanos_now())
}

pub fn span_between(from_nanos: i128, to_nanos: i128) -> Duration {
    Duration::from_nanos(
        u64::try_from(to_nanos - from_nanos).expect("an end follows its beginning"),
    )
}

/// When the branch of a repository (its `.git`, or a bare one) last moved: from then on a commit can be
/// noticed. The git that made it takes a few milliseconds more to end.
pub fn branch_moved_at(git_dir: &Path) -> i128 {
    let branch = git_dir.join("refs/heads/main");
    let modified = branch.metadata().and_then(|metadata| metadata.modified());
    nanos_of(modified.expect("the branch is a file"))
}

fn nanos_of(moment: SystemTime) -> i128 {
    let since = moment.duration_since(UNIX_EPOCH).expect("the clock is set");
    i128::try_from(since.as_nanos()).expect("it fits")
}

/// From noticing a commit to its verdict, by its own record.
pub fn took(rig: &Rig, sha: &str) -> Duration {
    let release = rig.release(sha).expect("the release is there");
    let at = |field: &str| {
        let text = release["status"][field].as_str().expect("the release has its moments");
        chrono::DateTime::parse_from_rfc3339(text).expect("a moment")
    };
    (at("finishedAt") - at("startedAt")).to_std().unwrap_or_default()
}

/// Proportional set size: what a process has for itself, and its share of what it shares.
pub fn pss_mib(process_id: u32) -> f64 {
    mib_of(&format!("/proc/{process_id}/smaps_rollup"), "Pss:")
}

/// The resident set of a process.
pub fn resident_mib(process_id: u32) -> f64 {
    mib_of(&format!("/proc/{process_id}/status"), "VmRSS:")
}

/// The largest resident set that a process ever had.
pub fn peak_mib(process_id: u32) -> f64 {
    mib_of(&format!("/proc/{process_id}/status"), "VmHWM:")
}

/// A field in kilobytes of a file about a process; not a number when the process is gone.
fn mib_of(path: &str, field: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(f64::NAN);
    kib / 1024.0
}

/// User and system time of a process, in hundredths of a second.
pub fn cpu_ticks(process_id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field =
        |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    field(11) + field(12)
}
