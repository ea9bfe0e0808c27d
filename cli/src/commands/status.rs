//! `status`: on one screen, what runs, what waits and why, and where to look next.

mod workloads;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dugout_api::dugout::{
    DRIFTED_CONDITION, List, PAUSED_CONDITION, Problem, Release, Revert, Source, SourceStatus,
};
use k8s_openapi::api::batch::v1::{CronJob, Job, JobCondition};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::jiff::Timestamp;

use self::workloads::Workload;
use super::history::RELEASES;
use crate::arguments::StatusArguments;
use crate::client::Client;
use crate::output::{Grid, Paint, age_of, between, now, print, short, took};

/// So many problems, waiting things and events fit on a screen.
const ON_SCREEN: usize = 10;

/// Steps that every pod takes: not worth a line here.
const ROUTINE: [&str; 9] = [
    "Scheduled",
    "Pulling",
    "Pulled",
    "Created",
    "Started",
    "ScalingReplicaSet",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "Killing",
];

/// Everything that the screen shows.
struct Picture {
    sources: Vec<Source>,
    /// The newest of each source.
    releases: Vec<Release>,
    workloads: Vec<Workload>,
    jobs: Vec<Job>,
    cron_jobs: Vec<CronJob>,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    events: Vec<Event>,
}

pub async fn status(client: &Client, arguments: StatusArguments) -> anyhow::Result<()> {
    let picture = read(client, arguments.namespace.as_deref()).await?;
    Ok(print(&screen(&picture, Paint::for_stdout(), now()))?)
}

async fn read(client: &Client, namespace: Option<&str>) -> anyhow::Result<Picture> {
    let core = |plural| match namespace {
        Some(namespace) => vec!["api", "v1", "namespaces", namespace, plural],
        None => vec!["api", "v1", plural],
    };
    let (pods, events) = (core("pods"), core("events"));
    let of_group = |group, plural| match namespace {
        Some(namespace) => vec!["apis", group, "v1", "namespaces", namespace, plural],
        None => vec!["apis", group, "v1", plural],
    };
    let (jobs, cron_jobs) = (of_group("batch", "jobs"), of_group("batch", "cronjobs"));
    let recent = [("limit", "200".to_owned())];
    let (sources, workloads, jobs, cron_jobs, pods, nodes, events) = tokio::try_join!(
        client.get::<List<Source>>(&["apis", "dugout.dev", "v1", "sources"], &[]),
        workloads::read(client, namespace),
        client.get::<List<Job>>(&jobs, &[]),
        client.get::<List<CronJob>>(&cron_jobs, &[]),
        client.get::<List<Pod>>(&pods, &[]),
        client.get::<List<Node>>(&["api", "v1", "nodes"], &[]),
        client.get::<List<Event>>(&events, &recent),
    )?;
    let mut releases = Vec::new();
    for source in &sources.items {
        if let Some(name) = &source.status.newest_release {
            let [apis, group, version, plural] = RELEASES;
            releases.push(client.get(&[apis, group, version, plural, name], &[]).await?);
        }
    }
    Ok(Picture {
        sources: sources.items,
        releases,
        workloads,
        jobs: jobs.items,
        cron_jobs: cron_jobs.items,
        pods: pods.items,
        nodes: nodes.items,
        events: events.items,
    })
}

fn screen(picture: &Picture, paint: Paint, now: Timestamp) -> String {
    let mut text = sources_table(&picture.sources).render(paint);
    for release in &picture.releases {
        text += &release_text(release, paint, now);
    }
    let mut tables = workloads::tables(&picture.workloads);
    tables.extend([jobs_table(&picture.jobs), cron_jobs_table(&picture.cron_jobs, now)]);
    for table in tables {
        if table.len() > 0 {
            text.push('\n');
            text += &table.render(paint);
        }
    }
    let waiting = waiting(picture);
    if !waiting.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("Waiting"));
        text += &lines(&waiting, "'dugout get pods' and 'dugout get deployments' list them all");
    }
    text.push('\n');
    text += &nodes_table(&picture.nodes, &picture.pods).render(paint);
    let events = notable_events(&picture.events, now);
    if events.len() > 0 {
        let _ = writeln!(text, "\n{}", paint.bold("Lately"));
        text += &events.render(paint);
    }
    text + &paint.dim(&next(picture))
}

fn sources_table(sources: &[Source]) -> Grid {
    let mut grid = Grid::new(["SOURCE", "BRANCH", "HEAD", "APPLIED", "CONDITION", ""]);
    let commit = |sha: &Option<String>| sha.as_deref().map_or("-", short).to_owned();
    for source in sources {
        let status = &source.status;
        grid.row([
            source.metadata.name.clone().unwrap_or_default(),
            source.spec.branch.clone(),
            commit(&status.head),
            commit(&status.applied),
            status.condition.clone(),
            remarks(status),
        ]);
    }
    grid
}

/// What a person has to know of a source beside its commits.
fn remarks(status: &SourceStatus) -> String {
    let suspended = status.suspended.then(|| "suspended".to_owned());
    let owed = status.owed_revert.as_ref().map(|owed| {
        let delay = owed.delayed_by.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("a revert of {} is to be pushed{delay}", short(&owed.failed))
    });
    let images = status.awaited_images.as_ref();
    let images = images.map(|missing| format!("stops nothing yet: {missing}"));
    suspended.into_iter().chain(owed).chain(images).collect::<Vec<_>>().join("; ")
}

/// Whether Git says what runs, after a release went back by itself.
fn revert_text(revert: &Revert) -> String {
    let why = revert.message.as_deref().unwrap_or_default();
    match (&revert.commit, &revert.branch) {
        (Some(commit), _) => format!("taken back in Git by {}", short(commit)),
        (None, Some(branch)) => format!("its revert waits on branch {branch}: {why}"),
        (None, None) => format!("no commit takes it back: {why}"),
    }
}

/// The newest release of a source: its verdict, why, and what is wrong with its files.
fn release_text(release: &Release, paint: Paint, now: Timestamp) -> String {
    let (spec, status) = (&release.spec, &release.status);
    let mut text = format!(
        "\n{} {} of {}: {}",
        paint.bold("Release"),
        short(&spec.sha),
        spec.source,
        paint.word(&status.verdict)
    );
    if let Some(started) = status.started_at {
        let _ = write!(text, ", {} ago", age_of(started, now));
        if let Some(finished) = status.finished_at {
            let _ = write!(text, ", took {}", took(between(started, finished)));
        }
    }
    let subject = spec.message.lines().next().unwrap_or("");
    let _ = writeln!(text, "\n  \"{subject}\" by {}", spec.author);
    if let Some(reason) = &status.reason {
        let _ = writeln!(text, "  {reason}");
    }
    if let Some(revert) = &status.revert {
        let _ = writeln!(text, "  {}", revert_text(revert));
    }
    let problems = status.problems.iter().flatten().map(problem_line);
    // Of a single problem the reason has told already.
    let problems: Vec<String> =
        problems.filter(|line| status.reason.as_ref() != Some(line)).collect();
    let all = format!("'dugout timeline {}' lists them all", short(&spec.sha));
    text + &lines(&problems, &all)
}

/// A problem as `dugout validate` shows it.
pub(super) fn problem_line(problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let field = match problem.field_path.as_str() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    format!(
        "{}:{}:{}: {}: {field}{}{hint}",
        problem.file, problem.line, problem.column, problem.severity, problem.message
    )
}

fn jobs_table(jobs: &[Job]) -> Grid {
    let mut grid = Grid::new(["NAMESPACE", "JOB", "SUCCEEDED", "FAILED", "ACTIVE", "STATUS"]);
    for job in jobs {
        let status = job.status.clone().unwrap_or_default();
        let wanted = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
        let state = job_condition(job).map_or("running", |condition| match &*condition.type_ {
            "Complete" => "complete",
            "Failed" => "failed",
            "Waiting" => "waiting",
            _ => "suspended",
        });
        grid.row([
            job.metadata.namespace.clone().unwrap_or_default(),
            job.metadata.name.clone().unwrap_or_default(),
            format!("{}/{wanted}", status.succeeded.unwrap_or(0)),
            status.failed.unwrap_or(0).to_string(),
            status.active.unwrap_or(0).to_string(),
            state.to_owned(),
        ]);
    }
    grid
}

/// What a job has come to; absent while it runs.
fn job_condition(job: &Job) -> Option<&JobCondition> {
    job.status.as_ref()?.conditions.as_ref()?.first()
}

fn cron_jobs_table(cron_jobs: &[CronJob], now: Timestamp) -> Grid {
    let mut grid = Grid::new(["NAMESPACE", "CRONJOB", "SCHEDULE", "ACTIVE", "LAST SCHEDULE", ""]);
    for cron_job in cron_jobs {
        let (spec, status) = (&cron_job.spec, cron_job.status.as_ref());
        let zone = spec.time_zone.as_ref().map(|zone| format!(" in {zone}")).unwrap_or_default();
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let suspended = spec.suspend == Some(true);
        grid.row([
            cron_job.metadata.namespace.clone().unwrap_or_default(),
            cron_job.metadata.name.clone().unwrap_or_default(),
            format!("{}{zone}", spec.schedule),
            status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len).to_string(),
            last.map_or("-".to_owned(), |last| format!("{} ago", age_of(last.0, now))),
            if suspended { "suspended".to_owned() } else { String::new() },
        ]);
    }
    grid
}

/// A sentence for everything that is not as it shall be.
fn waiting(picture: &Picture) -> Vec<String> {
    let mut sentences = Vec::new();
    for source in &picture.sources {
        let name = source.metadata.name.as_deref().unwrap_or("");
        let unreadable = source.status.conditions.iter().find(|each| each.status != "True");
        if let Some(condition) = unreadable {
            sentences.push(format!(
                "source {name}: {}; what runs stays as it is; tried again within a minute, or by \
                 'dugout sync {name}'",
                condition.message
            ));
        }
        if source.status.suspended {
            sentences.push(format!(
                "source {name}: suspended, commits are seen and not applied; 'dugout resume {name}'"
            ));
        }
    }
    sentences.extend(picture.workloads.iter().filter_map(Workload::why_it_waits));
    for job in &picture.jobs {
        let Some(condition) = job_condition(job) else { continue };
        let name = job.metadata.name.as_deref().unwrap_or("");
        let message = condition.message.as_deref().unwrap_or("");
        match &*condition.type_ {
            "Failed" => sentences.push(format!("job {name}: failed: {message}")),
            "Waiting" => sentences.push(format!("job {name}: {message}")),
            _ => {}
        }
    }
    sentences.extend(picture.pods.iter().filter_map(why_pod_waits));
    sentences
}

/// Why a pod is not ready, or does not leave; nothing when it is well.
fn why_pod_waits(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let name = pod.metadata.name.as_deref().unwrap_or("");
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        // It ended, and its job says what that means.
        return None;
    }
    let conditions = || status.conditions.iter().flatten();
    if let Some(message) = &status.message {
        return Some(format!("pod {name}: {message}"));
    }
    if let Some(paused) = conditions().find(|each| each.type_ == PAUSED_CONDITION) {
        let message = paused.message.as_deref().unwrap_or("");
        return Some(format!("pod {name}: is paused: {message}"));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(format!("pod {name}: is stopping"));
    }
    if let Some(drifted) = conditions().find(|each| each.type_ == DRIFTED_CONDITION) {
        let message = drifted.message.as_deref().unwrap_or("");
        return Some(format!("pod {name}: was changed by hand: {message}"));
    }
    if conditions().any(|each| each.type_ == "Ready" && each.status == "True") {
        return None;
    }
    let unscheduled =
        conditions().find(|each| each.type_ == "PodScheduled" && each.status == "False");
    if let Some(condition) = unscheduled {
        let why = condition.message.as_deref().unwrap_or("it has no node yet");
        return Some(format!("pod {name}: {why}"));
    }
    let init = status.init_container_statuses.iter().flatten();
    let states = init.chain(status.container_statuses.iter().flatten());
    let mut waiting = states.filter_map(|each| each.state.as_ref()?.waiting.as_ref());
    let first = waiting.clone().next();
    // What waits for others says less than what these wait for.
    let says_more = waiting.find(|one| one.reason.as_deref() != Some("PodInitializing"));
    Some(match says_more.or(first) {
        Some(waiting) => {
            let reason = waiting.reason.as_deref().unwrap_or("waiting");
            match waiting.message.as_deref() {
                Some(message) => format!("pod {name}: {reason}: {message}"),
                None => format!("pod {name}: {reason}"),
            }
        }
        None if status.phase.as_deref() == Some("Running") => {
            format!("pod {name}: runs, and is not ready yet")
        }
        None => format!("pod {name}: its node has not started it yet"),
    })
}

fn nodes_table(nodes: &[Node], pods: &[Pod]) -> Grid {
    let mut grid = Grid::new(["NODE", "STATUS", "PODS", "CPU", "MEMORY", ""]);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            *counts.entry(node).or_default() += 1;
        }
    }
    for node in nodes {
        let name = node.metadata.name.clone().unwrap_or_default();
        let status = node.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .and_then(|all| all.iter().find(|each| each.type_ == "Ready"));
        let well = ready.is_some_and(|ready| ready.status == "True");
        let amount = |what: &str| {
            let capacity = status.and_then(|status| status.capacity.as_ref());
            capacity
                .and_then(|all| all.get(what))
                .map(|amount| amount.0.clone())
                .unwrap_or_default()
        };
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        let why = ready.filter(|_| !well).and_then(|ready| ready.message.clone());
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.unwrap_or_default().iter();
        let draining = conditions.find(|each| each.type_ == "Draining");
        let draining = draining.and_then(|draining| draining.message.as_ref());
        let why = why.or_else(|| draining.map(|message| format!("drained: {message}")));
        let why = why.or_else(|| cordoned.then(|| "cordoned: takes no new pods".to_owned()));
        grid.row([
            name.clone(),
            if well { "Ready".to_owned() } else { "NotReady".to_owned() },
            counts.get(name.as_str()).copied().unwrap_or(0).to_string(),
            amount("cpu"),
            amount("memory"),
            why.unwrap_or_default(),
        ]);
    }
    grid
}

/// Warnings, and what healed: the newest at the end.
fn notable_events(events: &[Event], now: Timestamp) -> Grid {
    let notable = |event: &&Event| {
        event.type_.as_deref() == Some("Warning")
            || !ROUTINE.contains(&event.reason.as_deref().unwrap_or(""))
    };
    let mut newest: Vec<&Event> = events.iter().filter(notable).rev().take(ON_SCREEN).collect();
    newest.reverse();
    let mut grid = Grid::new(["AGO", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for event in newest {
        let about = &event.involved_object;
        let at = event.last_timestamp.as_ref().map(|time| age_of(time.0, now));
        grid.row([
            at.unwrap_or_default(),
            event.type_.clone().unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
            format!(
                "{}/{}",
                about.kind.as_deref().unwrap_or("").to_ascii_lowercase(),
                about.name.as_deref().unwrap_or("")
            ),
            event.message.clone().unwrap_or_default(),
        ]);
    }
    grid
}

/// Where to look next.
fn next(picture: &Picture) -> String {
    let newest = picture.releases.iter().max_by_key(|release| release.spec.number);
    match newest.map(|release| (release.status.verdict.as_str(), short(&release.spec.sha))) {
        None => "\nNext: commit manifests to a source's repository, or 'dugout sync'\n".to_owned(),
        Some(("rejected", _)) => {
            "\nNext: mend the files, check them with 'dugout validate', commit and push\n"
                .to_owned()
        }
        Some(("failed", sha)) => format!(
            "\nNext: 'dugout timeline {sha}', 'dugout logs POD', or the way back: 'dugout rollback'\n"
        ),
        Some(("reverted", sha)) => format!(
            "\nNext: 'dugout timeline {sha}' says why; mend it, commit and push: another commit is applied at once\n"
        ),
        Some((_, sha)) => {
            format!("\nNext: 'dugout timeline {sha}', 'dugout history', 'dugout events'\n")
        }
    }
}

/// Indented lines, as many as fit, and the count of the others with the way to them.
fn lines(sentences: &[String], others: &str) -> String {
    let mut text = String::new();
    for sentence in sentences.iter().take(ON_SCREEN) {
        let _ = writeln!(text, "  {sentence}");
    }
    if sentences.len() > ON_SCREEN {
        let _ = writeln!(text, "  … and {} more: {others}", sentences.len() - ON_SCREEN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
    use k8s_openapi::api::core::v1::ReplicationController;
    use serde::de::DeserializeOwned;

    /// What the front door's own tests hold its answers against.
    macro_rules! golden_text {
        ($name:literal) => {
            include_str!(concat!("../../../api/tests/golden/", $name, ".json"))
        };
    }

    macro_rules! golden {
        ($name:literal) => {
            object(golden_text!($name))
        };
    }

    fn object<T: DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).expect("a golden object")
    }

    #[test]
    fn a_node_that_is_drained_says_what_is_left_on_it() {
        let mut node: Node = golden!("node-ready");
        let mut draining = node.status.clone().expect("a status").conditions.expect("conditions");
        let mut condition = draining[0].clone();
        condition.type_ = "Draining".to_owned();
        condition.message = Some("1 pod is left; demo/web-1: it leaves".to_owned());
        draining.push(condition);
        node.status.get_or_insert_default().conditions = Some(draining);
        let text = nodes_table(&[node], &[]).render(Paint::for_stdout());
        assert!(text.contains("drained: 1 pod is left; demo/web-1: it leaves"), "{text}");
    }

    #[test]
    fn one_screen_shows_what_runs_what_waits_and_where_to_look() {
        let picture = Picture {
            sources: vec![golden!("source")],
            releases: vec![golden!("release")],
            workloads: vec![
                Workload::from(&object::<Deployment>(golden_text!("deployment"))),
                Workload::from(&object::<StatefulSet>(golden_text!("statefulset"))),
                Workload::from(&object::<DaemonSet>(golden_text!("daemonset"))),
                Workload::from(&object::<ReplicaSet>(golden_text!("replicaset-declared"))),
                Workload::from(&object::<ReplicationController>(golden_text!(
                    "replicationcontroller"
                ))),
            ],
            jobs: vec![golden!("job"), golden!("job-running"), golden!("job-failed")],
            cron_jobs: vec![golden!("cronjob")],
            pods: vec![
                golden!("pod-ready"),
                golden!("pod-crashing"),
                golden!("pod-waiting"),
                golden!("pod-draining"),
                golden!("pod-unknown"),
                golden!("pod-ended"),
            ],
            nodes: vec![golden!("node-ready"), golden!("node-silent")],
            events: vec![golden!("event")],
        };
        let now = Timestamp::from_second(1_767_323_135).expect("a time");
        let text = screen(&picture, Paint::never(), now);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/status.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).expect("the golden file can be written");
        }
        let golden = std::fs::read_to_string(path).expect("the golden file");
        assert_eq!(text, golden, "UPDATE_GOLDEN=1 writes it anew:\n{text}");
    }

    #[test]
    fn what_does_not_fit_is_counted_with_the_way_to_it() {
        let mut release: Release = golden!("release");
        let problem = release.status.problems.iter().flatten().next().cloned().expect("a problem");
        release.status.problems = Some(vec![problem; ON_SCREEN + 2]);
        let now = Timestamp::from_second(1_767_323_135).expect("a time");
        let text = release_text(&release, Paint::never(), now);
        assert!(
            text.ends_with("  … and 2 more: 'dugout timeline 1a2b3c4d' lists them all\n"),
            "{text}"
        );
    }
}
