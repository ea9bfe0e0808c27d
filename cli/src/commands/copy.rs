//! `cp`: files and folders into a container and out of it. What travels is an archive (tar), which the
//! node's engine packs and unpacks, so the container needs no program for it.

mod pack;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use dugout_wire::{PathKind, PathStatus, SessionEnd};
use tokio::sync::mpsc;

use super::{Place, one_pod};
use crate::arguments::CopyArguments;
use crate::client::{Client, Usage};
use crate::output::{complain, shown};
use crate::session::{Output, Session};

/// Pieces of an archive that wait for whoever is slower.
const PIECES_AHEAD: usize = 4;
/// The longest answer to a look.
const STATUS_BYTES: usize = 64 * 1024;

/// One side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Here(PathBuf),
    There { namespace: Option<String>, pod: String, path: String },
}

/// A container's files.
struct Files<'a> {
    client: &'a Client,
    pod: Place,
    container: Option<String>,
}

pub async fn copy(client: &Client, arguments: CopyArguments) -> anyhow::Result<()> {
    let CopyArguments { from, to, container, namespaces } = arguments;
    let files = async |namespace: Option<String>, pod: &str| {
        let namespace = namespace.or_else(|| namespaces.only().map(str::to_owned));
        let pod = one_pod(client, namespace.as_deref(), pod).await?;
        anyhow::Ok(Files { client, pod, container: container.clone() })
    };
    match (side(&from)?, side(&to)?) {
        (Side::Here(from), Side::There { namespace, pod, path }) => {
            into_container(&files(namespace, &pod).await?, &from, &path).await
        }
        (Side::There { namespace, pod, path }, Side::Here(to)) => {
            out_of_container(&files(namespace, &pod).await?, &path, &to).await
        }
        (Side::Here(_), Side::Here(_)) => Err(usage("one of both is in a container, as POD:PATH")),
        (Side::There { .. }, Side::There { .. }) => {
            Err(usage("one of both is on this machine; copy from pod to pod in two steps"))
        }
    }
}

fn usage(sentence: &str) -> anyhow::Error {
    Usage(sentence.to_owned()).into()
}

/// As kubectl reads it: what has a colon is in a pod, unless it begins as only a path does.
fn side(text: &str) -> anyhow::Result<Side> {
    let local = text.starts_with(['/', '.']);
    let Some((place, path)) = text.split_once(':').filter(|_| !local) else {
        if text.is_empty() {
            return Err(usage("a path is missing"));
        }
        return Ok(Side::Here(PathBuf::from(text)));
    };
    let (namespace, pod) = match place.split_once('/') {
        Some((namespace, pod)) => (Some(namespace.to_owned()), pod),
        None => (None, place),
    };
    if pod.is_empty() || path.is_empty() || pod.contains('/') || namespace.as_deref() == Some("") {
        return Err(usage(&format!("'{text}' is not POD:PATH or NAMESPACE/POD:PATH")));
    }
    Ok(Side::There { namespace, pod: pod.to_owned(), path: path.to_owned() })
}

impl Files<'_> {
    async fn open(&self, action: &'static str, path: &str) -> anyhow::Result<Session> {
        let Place { namespace, name } = &self.pod;
        let segments =
            ["apis", "dugout.dev", "v1", "namespaces", namespace, "pods", name, "archive"];
        let mut query = vec![("action", action.to_owned()), ("path", path.to_owned())];
        query.extend(self.container.clone().map(|name| ("container", name)));
        Ok(Session::new(self.client.upgrade(&segments, &query).await?).await)
    }

    /// What is at a path; where a link leads, if it is one.
    async fn look(&self, path: &str) -> anyhow::Result<PathStatus> {
        let found = self.look_once(path).await?;
        let Some(target) = &found.link_target else { return Ok(found) };
        // As the engine's own client: one that leads nowhere is absent, and where it would be is known.
        let folder = Path::new(&found.path).parent().unwrap_or(Path::new("/"));
        self.look_once(&folder.join(target).to_string_lossy()).await
    }

    async fn look_once(&self, path: &str) -> anyhow::Result<PathStatus> {
        let (output, mut pieces) = mpsc::channel(PIECES_AHEAD);
        let session = self.open("look", path).await?;
        let reading = async {
            let mut answer = Vec::new();
            while let Some(piece) = pieces.recv().await {
                let piece: Bytes = piece;
                if answer.len() + piece.len() <= STATUS_BYTES {
                    answer.extend_from_slice(&piece);
                }
            }
            answer
        };
        let (ended, answer) = tokio::join!(session.carry(None, Output::Pieces(output)), reading);
        well(ended?)?;
        serde_json::from_slice(&answer).context("the node's answer is not understood")
    }
}

fn well(end: SessionEnd) -> anyhow::Result<()> {
    match end {
        SessionEnd::Exited(0) => Ok(()),
        SessionEnd::Exited(code) => bail!("the copy ended with code {code}"),
        SessionEnd::Failed(sentence) => bail!(sentence),
    }
}

async fn into_container(files: &Files<'_>, from: &Path, to: &str) -> anyhow::Result<()> {
    let meant =
        std::fs::metadata(from).with_context(|| format!("{} cannot be read", from.display()))?;
    let target = files.look(to).await?;
    let name = |path: &Path| path.file_name().map(ToOwned::to_owned);
    let (folder, name) = match target.kind {
        PathKind::Folder => {
            let real = std::fs::canonicalize(from)?;
            (target.path.clone(), name(from).or_else(|| name(&real)))
        }
        PathKind::File if meant.is_dir() => {
            bail!("{} is a file, and {} a folder", target.path, from.display())
        }
        PathKind::Absent if to.ends_with('/') && !meant.is_dir() => {
            bail!("there is no folder {} in the container", target.path)
        }
        PathKind::Absent | PathKind::File => {
            let path = Path::new(&target.path);
            let folder = path.parent().map(|folder| folder.to_string_lossy().into_owned());
            (folder.unwrap_or_else(|| "/".to_owned()), name(path))
        }
    };
    let Some(name) = name else { bail!("{} has no name; name a file or a folder", from.display()) };
    if target.kind == PathKind::Absent && files.look(&folder).await?.kind != PathKind::Folder {
        bail!("there is no folder {folder} in the container");
    }
    let session = files.open("write", &folder).await?;
    let (pieces, archive) = mpsc::channel(PIECES_AHEAD);
    let from = from.to_owned();
    let owner = target.owner;
    let packing = on_a_thread(move || pack::pack(&from, Path::new(&name), owner, pieces))?;
    let ended = session.carry(Some(archive), Output::Standard).await;
    let warnings = match packing.await {
        Ok(packed) => packed,
        // It was cut off with the session, which has said why.
        Err(_) => Ok(Vec::new()),
    };
    well(ended?)?;
    tell(&warnings?);
    Ok(())
}

async fn out_of_container(files: &Files<'_>, from: &str, to: &Path) -> anyhow::Result<()> {
    let source = files.look(from).await?;
    if source.kind == PathKind::Absent {
        bail!("there is no {} in the container", source.path);
    }
    // The name that was typed, and not where a link leads: that is the container's to say.
    let Some(name) = Path::new(from).file_name() else {
        bail!("name a file or a folder, and not / or one that ends with ..");
    };
    let to = if to.is_dir() { to.join(name) } else { to.to_owned() };
    let session = files.open("read", &source.path).await?;
    let (output, pieces) = mpsc::channel(PIECES_AHEAD);
    let unpacking = on_a_thread(move || unpack::unpack(pieces, &to))?;
    let ended = session.carry(None, Output::Pieces(output)).await;
    // What cannot be written here is the reason, if it is; else what the session ended with.
    let warnings = unpacking.await.context("unpacking was cut off")?;
    match (ended, warnings) {
        (Ok(end), Ok(warnings)) => {
            well(end)?;
            tell(&warnings);
            Ok(())
        }
        (Ok(SessionEnd::Failed(sentence)), Err(_)) => bail!(sentence),
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error),
    }
}

fn tell(warnings: &[String]) {
    for warning in warnings {
        complain!("Warning: {}", shown(warning));
    }
}

/// Archives are read and written by code that waits; a thread of its own may.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<tokio::sync::oneshot::Receiver<T>> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("archive".to_owned()).spawn(move || {
        // Nobody waits any more when this fails.
        let _ = done.send(work());
    })?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_in_a_pod_or_on_this_machine_as_kubectl_reads_it() {
        let there = |namespace: Option<&str>, pod: &str, path: &str| Side::There {
            namespace: namespace.map(str::to_owned),
            pod: pod.to_owned(),
            path: path.to_owned(),
        };
        for (text, meant) in [
            ("web-1:/etc/hosts", there(None, "web-1", "/etc/hosts")),
            ("demo/web-1:data", there(Some("demo"), "web-1", "data")),
            ("web-1:/a:b", there(None, "web-1", "/a:b")),
            ("./a:b", Side::Here("./a:b".into())),
            ("/tmp/a:b", Side::Here("/tmp/a:b".into())),
            ("folder", Side::Here("folder".into())),
        ] {
            assert_eq!(side(text).unwrap(), meant, "{text}");
        }
        for bad in ["", ":/etc", "web-1:", "/:", "a/b/c:/x"] {
            if !bad.starts_with('/') {
                assert!(side(bad).is_err_and(|error| error.is::<Usage>()), "{bad}");
            }
        }
    }
}
