//! `history` and `timeline`: what became of each commit, and every step on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::bail;
use dugout_api::dugout::{List, Release, TimelineEntry};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::look::print_value;
use super::status::problem_line;
use crate::arguments::{HistoryArguments, Output, TimelineArguments};
use crate::client::Client;
use crate::output::{Grid, Paint, age_of, between, complain, now, print, short, took};

pub(super) const RELEASES: [&str; 4] = ["apis", "dugout.dev", "v1", "releases"];
const TIMELINE: [&str; 4] = ["apis", "dugout.dev", "v1", "timelineentries"];

pub async fn history(client: &Client, arguments: HistoryArguments) -> anyhow::Result<()> {
    let mut query = vec![("limit", arguments.limit.to_string())];
    if let Some(source) = &arguments.source {
        query.push(("fieldSelector", format!("spec.source={source}")));
    }
    if let Some(output @ (Output::Json | Output::Yaml | Output::Name)) = arguments.output {
        let value: Value = client.get(&RELEASES, &query).await?;
        return print_value(&value, Some(output));
    }
    let list: List<Release> = client.get(&RELEASES, &query).await?;
    if list.items.is_empty() {
        if let Some(source) = &arguments.source {
            // One that is not there has none either, and that is another answer.
            let path = ["apis", "dugout.dev", "v1", "sources", source];
            let _: Value = client.get(&path, &[]).await?;
        }
        complain!("No releases yet.");
        return Ok(());
    }
    let wide = arguments.output == Some(Output::Wide);
    Ok(print(&history_table(&list.items, wide, now()).render(Paint::for_stdout()))?)
}

fn history_table(releases: &[Release], wide: bool, now: Timestamp) -> Grid {
    let mut header = vec!["SOURCE", "COMMIT", "VERDICT", "AGE", "TOOK", "SUBJECT", "REASON"];
    if wide {
        header.extend(["AUTHOR", "TOUCHED"]);
    }
    let mut grid = Grid::new(header);
    for release in releases {
        let (spec, status) = (&release.spec, &release.status);
        let ended = status.started_at.zip(status.finished_at);
        let mut row = vec![
            spec.source.clone(),
            short(&spec.sha).to_owned(),
            status.verdict.clone(),
            status.started_at.map(|at| age_of(at, now)).unwrap_or_default(),
            ended.map(|(from, to)| took(between(from, to))).unwrap_or_default(),
            spec.message.lines().next().unwrap_or("").to_owned(),
            status.reason.clone().unwrap_or_default(),
        ];
        if wide {
            row.extend([spec.author.clone(), status.touched.join(", ")]);
        }
        grid.row(row);
    }
    grid
}

/// As many steps of pods as the server gives at once.
const STEPS_SHOWN: usize = 1000;
/// With room for the steps of the commit itself, which it always gives.
const STEPS_ASKED: usize = STEPS_SHOWN + 100;

pub async fn timeline(client: &Client, arguments: TimelineArguments) -> anyhow::Result<()> {
    let commit = match arguments.commit {
        Some(commit) => commit,
        None => newest_commit(client).await?,
    };
    let query = [("commit", commit.clone()), ("limit", STEPS_ASKED.to_string())];
    if let Some(output @ (Output::Json | Output::Yaml | Output::Name)) = arguments.output {
        let value: Value = client.get(&TIMELINE, &query).await?;
        return print_value(&value, Some(output));
    }
    let list: List<TimelineEntry> = client.get(&TIMELINE, &query).await?;
    if list.items.is_empty() {
        bail!("no commit that begins with '{commit}' has a timeline; 'dugout history' lists them");
    }
    let mut text = timeline_text(&list.items, Paint::for_stdout());
    if list.items.len() >= STEPS_SHOWN {
        text += &format!(
            "\nThese are the newest {STEPS_SHOWN} steps of pods and all of the commit itself; the \
             counts are of these.\n"
        );
    }
    text += &problems_text(&releases_of(client, &list.items).await?, Paint::for_stdout());
    Ok(print(&text)?)
}

/// The releases of a timeline's commits, with the problems of their files.
async fn releases_of(client: &Client, entries: &[TimelineEntry]) -> anyhow::Result<Vec<Release>> {
    let commits: BTreeSet<(&str, &str)> =
        entries.iter().map(|entry| (&*entry.source, &*entry.commit)).collect();
    let mut found = Vec::new();
    for source in commits.iter().map(|(source, _)| *source).collect::<BTreeSet<_>>() {
        let query = [("fieldSelector", format!("spec.source={source}"))];
        let list: List<Release> = client.get(&RELEASES, &query).await?;
        let of_commit =
            |release: &&Release| commits.contains(&(&*release.spec.source, &*release.spec.sha));
        // A commit that is applied again has several releases and one list of problems: the newest's.
        let mut seen = BTreeSet::new();
        for release in list.items.iter().filter(of_commit) {
            let Some(name) = release.metadata.name.as_deref() else { continue };
            if seen.insert(&release.spec.sha) {
                let [apis, group, version, plural] = RELEASES;
                found.push(client.get(&[apis, group, version, plural, name], &[]).await?);
            }
        }
    }
    Ok(found)
}

/// Every problem of the commits' files.
fn problems_text(releases: &[Release], paint: Paint) -> String {
    let mut text = String::new();
    for release in releases {
        let problems = release.status.problems.as_deref().unwrap_or_default();
        if problems.is_empty() {
            continue;
        }
        let title = format!("Problems of {}", short(&release.spec.sha));
        let _ = writeln!(text, "\n{}", paint.bold(&title));
        for problem in problems {
            let _ = writeln!(text, "  {}", problem_line(problem));
        }
    }
    text
}

async fn newest_commit(client: &Client) -> anyhow::Result<String> {
    let list: List<Release> = client.get(&RELEASES, &[("limit", "1".to_owned())]).await?;
    match list.items.into_iter().next() {
        Some(release) => Ok(release.spec.sha),
        None => bail!("there is no release yet; 'dugout status' says what the sources wait for"),
    }
}

/// One block for each source and commit: the steps, then the hops.
fn timeline_text(entries: &[TimelineEntry], paint: Paint) -> String {
    let mut releases: BTreeMap<(&str, &str), Vec<&TimelineEntry>> = BTreeMap::new();
    for entry in entries {
        releases.entry((&entry.source, &entry.commit)).or_default().push(entry);
    }
    let mut text = String::new();
    for ((source, commit), mut steps) in releases {
        steps.sort_by_key(|entry| entry.at);
        if !text.is_empty() {
            text.push('\n');
        }
        let title = paint.bold(&format!("commit {commit} of source {source}"));
        let _ = writeln!(text, "{title}\n");
        text += &steps_table(&steps).render(paint);
        text.push('\n');
        text += &hops_table(&steps).render(paint);
    }
    text
}

fn steps_table(steps: &[&TimelineEntry]) -> Grid {
    let mut grid = Grid::new(["TIME (UTC)", "SINCE", "STEP", "SUBJECT", "MESSAGE"]);
    let mut previous = None;
    for entry in steps {
        let since = previous.map(|at| format!("+{}", took(between(at, entry.at))));
        grid.row([
            entry.at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
            since.unwrap_or_default(),
            entry.step.clone(),
            entry.subject.clone(),
            entry.message.clone(),
        ]);
        previous = Some(entry.at);
    }
    grid
}

/// Each kind of step with the spans from the beginning to its first and to its last.
fn hops_table(steps: &[&TimelineEntry]) -> Grid {
    let mut order: Vec<&str> = Vec::new();
    let mut spans: BTreeMap<&str, (Timestamp, Timestamp, usize)> = BTreeMap::new();
    for entry in steps {
        let span = spans.entry(&entry.step).or_insert_with(|| {
            order.push(&entry.step);
            (entry.at, entry.at, 0)
        });
        span.1 = entry.at;
        span.2 += 1;
    }
    let mut grid = Grid::new(["HOP", "COUNT", "FIRST AFTER", "LAST AFTER"]);
    let Some(start) = steps.first().map(|entry| entry.at) else { return grid };
    for step in order {
        if let Some((first, last, count)) = spans.get(step) {
            grid.row([
                step.to_owned(),
                count.to_string(),
                took(between(start, *first)),
                took(between(start, *last)),
            ]);
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(micros: i64, step: &str, subject: &str) -> TimelineEntry {
        TimelineEntry {
            api_version: String::new(),
            kind: String::new(),
            metadata: Default::default(),
            source: "default".to_owned(),
            commit: "0123456789abcdef".to_owned(),
            at: Timestamp::from_microsecond(micros).expect("a time"),
            step: step.to_owned(),
            subject: subject.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn a_timeline_shows_each_step_with_the_span_since_the_one_before() {
        let entries = [
            entry(0, "noticed", ""),
            entry(4_200, "fetched", ""),
            entry(250_000, "ready", "Pod demo/web-1"),
            entry(300_000, "ready", "Pod demo/web-2"),
        ];
        let expected = "\
commit 0123456789abcdef of source default

TIME (UTC)                SINCE    STEP      SUBJECT          MESSAGE
1970-01-01 00:00:00.000            noticed
1970-01-01 00:00:00.004   +4.2ms   fetched
1970-01-01 00:00:00.250   +246ms   ready     Pod demo/web-1
1970-01-01 00:00:00.300   +50ms    ready     Pod demo/web-2

HOP       COUNT   FIRST AFTER   LAST AFTER
noticed   1       0.0ms         0.0ms
fetched   1       4.2ms         4.2ms
ready     2       250ms         300ms
";
        assert_eq!(timeline_text(&entries, Paint::never()), expected);
    }

    #[test]
    fn every_problem_of_a_commit_is_listed() {
        let mut release: Release =
            serde_json::from_str(include_str!("../../../api/tests/golden/release.json"))
                .expect("a golden object");
        let problem = release.status.problems.iter().flatten().next().cloned().expect("a problem");
        release.status.problems = Some(vec![problem; 25]);
        let text = problems_text(&[release.clone()], Paint::never());
        assert!(
            text.starts_with("\nProblems of 1a2b3c4d\n  apps/web.yaml:12:5: error: "),
            "{text}"
        );
        assert_eq!(text.matches("apps/web.yaml:12:5").count(), 25);
        release.status.problems = None;
        assert_eq!(problems_text(&[release], Paint::never()), "");
    }
}
