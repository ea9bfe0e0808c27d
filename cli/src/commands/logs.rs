//! `logs`: of one pod, or of all pods of what makes pods, each line with its pod.

use anyhow::{Context, bail};
use bytes::BytesMut;
use dugout_api::Resource;
use futures_util::StreamExt;
use reqwest::Response;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::targets::{makes_pods, pods_of};
use super::{Place, one_pod, place};
use crate::arguments::LogsArguments;
use crate::client::{Client, Query, Usage};
use crate::output::print;

/// Lines that wait to be printed; a reader that is slower than the writers slows them down.
const LINES_AHEAD: usize = 256;
/// A line is cut here, so that a log without line ends cannot fill the memory.
const LONGEST_LINE: usize = 1024 * 1024;

pub async fn logs(client: &Client, arguments: LogsArguments) -> anyhow::Result<()> {
    let query = query(&arguments);
    let pods = match arguments.target.split_once('/') {
        None => vec![one_pod(client, arguments.namespaces.only(), &arguments.target).await?],
        Some((word, name)) => match Resource::named(word) {
            Some(Resource::Pods) => vec![one_pod(client, arguments.namespaces.only(), name).await?],
            Some(workload) if makes_pods(workload) => {
                let pods = pods_of(client, arguments.namespaces.only(), workload, name).await?;
                pods.into_iter().filter_map(place).collect()
            }
            _ => {
                let message = format!(
                    "logs are of a pod, or of what makes pods, as deployment/NAME, statefulset/NAME \
                     or job/NAME, not of a '{word}'"
                );
                return Err(Usage(message).into());
            }
        },
    };
    match pods.as_slice() {
        [only] => copy(open(client, only, &query).await?).await,
        _ => merge(client, pods, &query).await,
    }
}

fn query(arguments: &LogsArguments) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    if let Some(container) = &arguments.container {
        query.push(("container", container.clone()));
    }
    if arguments.follow {
        query.push(("follow", "true".to_owned()));
    }
    if let Some(lines) = arguments.tail {
        query.push(("tailLines", lines.to_string()));
    }
    if let Some(span) = arguments.since {
        // The API counts whole seconds; a shorter span still means something.
        query.push(("sinceSeconds", span.as_millis().div_ceil(1000).to_string()));
    }
    if arguments.timestamps {
        query.push(("timestamps", "true".to_owned()));
    }
    query
}

async fn open(client: &Client, pod: &Place, query: Query<'_>) -> anyhow::Result<Response> {
    let path = ["api", "v1", "namespaces", &pod.namespace, "pods", &pod.name, "log"];
    client.stream(&path, query).await
}

/// Copies one log as it is.
async fn copy(response: Response) -> anyhow::Result<()> {
    use std::io::Write;
    let mut bytes = response.bytes_stream();
    while let Some(piece) = bytes.next().await {
        let piece = piece.context("the log ended early: the connection broke")?;
        let mut out = std::io::stdout().lock();
        out.write_all(&piece)?;
        out.flush()?;
    }
    Ok(())
}

/// Reads several logs at once and prints their lines as they come, each with its pod.
async fn merge(client: &Client, pods: Vec<Place>, query: Query<'_>) -> anyhow::Result<()> {
    let (lines, mut waiting) = mpsc::channel(LINES_AHEAD);
    let mut readers = JoinSet::new();
    let mut failures = Vec::new();
    for pod in pods {
        match open(client, &pod, query).await {
            Ok(response) => {
                readers.spawn(read_lines(response, pod.name, lines.clone()));
            }
            Err(error) => failures.push(format!("{}: {error}", pod.name)),
        }
    }
    drop(lines);
    while let Some(line) = waiting.recv().await {
        print(&line)?;
    }
    while let Some(ended) = readers.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(error.to_string()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("; ")) }
}

async fn read_lines(
    response: Response,
    pod: String,
    lines: mpsc::Sender<String>,
) -> anyhow::Result<()> {
    let mut bytes = response.bytes_stream();
    let mut rest = BytesMut::new();
    while let Some(piece) = bytes.next().await {
        let piece = piece.with_context(|| format!("the log of {pod} ended early"))?;
        rest.extend_from_slice(&piece);
        while let Some(line) = next_line(&mut rest) {
            if lines.send(format!("[{pod}] {line}\n")).await.is_err() {
                return Ok(());
            }
        }
    }
    if !rest.is_empty() {
        let line = String::from_utf8_lossy(&rest);
        // Nobody reads any more when this fails, and there is nothing left to say.
        let _ = lines.send(format!("[{pod}] {line}\n")).await;
    }
    Ok(())
}

/// Takes the first whole line, or as much of an endless one as is allowed.
fn next_line(rest: &mut BytesMut) -> Option<String> {
    let end = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n');
    let line = match end {
        Some(end) => {
            let line = rest.split_to(end + 1);
            line[..end].to_vec()
        }
        None if rest.len() >= LONGEST_LINE => rest.split_to(LONGEST_LINE).to_vec(),
        None => return None,
    };
    Some(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_their_ends_and_never_grow_without_bound() {
        let mut rest = BytesMut::from(&b"one\ntwo\nthr"[..]);
        assert_eq!(next_line(&mut rest).as_deref(), Some("one"));
        assert_eq!(next_line(&mut rest).as_deref(), Some("two"));
        assert_eq!(next_line(&mut rest), None);
        assert_eq!(&rest[..], b"thr");
        let mut endless = BytesMut::from(&vec![b'x'; LONGEST_LINE + 5][..]);
        assert_eq!(next_line(&mut endless).map(|line| line.len()), Some(LONGEST_LINE));
        assert_eq!(next_line(&mut endless), None);
    }
}
