//! Files and folders into a container and out of it, as an archive (tar) on standard input or output.
//! The engine packs and unpacks it within the container's own root, so no image needs a program for it.

use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use dugout_model::chain;
use dugout_wire as wire;
use dugout_wire::{ClientMessage, NodeMessage, SessionEnd};
use futures_util::stream::{self, BoxStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};

use super::run::{Ended, patiently, tell_end};
use super::{LONGEST_SESSION, Outgoing, Peer, SIGN_OF_LIFE};
use crate::runtime::RuntimeError;

/// What is asked of an engine about a container's files. Paths are absolute, inside the container.
pub(crate) trait ArchiveEngine: Send + Sync + 'static {
    /// What is there, and whose a new file shall be.
    fn look_at(
        &self,
        container: &str,
        path: &str,
    ) -> impl Future<Output = Result<wire::PathStatus, RuntimeError>> + Send;

    /// Where relative paths begin.
    fn working_dir(
        &self,
        container: &str,
    ) -> impl Future<Output = Result<String, RuntimeError>> + Send;

    fn read_archive(
        &self,
        container: &str,
        path: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError>> + Send;

    /// Unpacks into a folder that is there. An archive that ends with an error is not unpacked further.
    fn write_archive(
        &self,
        container: &str,
        folder: &str,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

/// A path as the engine is told it: absolute, without `.` and `..`.
pub(super) fn absolute(working_dir: &str, path: &str) -> String {
    let mut parts = PathBuf::from("/");
    for component in Path::new(working_dir).join(path).components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => {
                parts.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    parts.to_string_lossy().into_owned()
}

/// Carries one copy and tells its client how it ended.
pub(super) async fn run<E: ArchiveEngine>(
    engine: &E,
    container: &str,
    request: &wire::ArchiveRequest,
    peer: Peer,
) {
    let Peer { mut incoming, mut outgoing } = peer;
    let ended = {
        let copying = copy(engine, container, request, &mut incoming, &mut outgoing);
        match tokio::time::timeout(LONGEST_SESSION, copying).await {
            Ok(ended) => ended,
            Err(_) => Ended::Early("the copy took longer than one may".to_owned()),
        }
    };
    let end = match ended {
        Ended::ByProcess(Ok(code)) => SessionEnd::Exited(code),
        Ended::ByProcess(Err(error)) => SessionEnd::Failed(chain(&error)),
        Ended::ByClient => return,
        Ended::Early(why) => SessionEnd::Failed(why),
    };
    tell_end(end, &mut incoming, &mut outgoing).await;
}

async fn copy<E: ArchiveEngine>(
    engine: &E,
    container: &str,
    request: &wire::ArchiveRequest,
    incoming: &mut BoxStream<'static, Bytes>,
    outgoing: &mut Outgoing,
) -> Ended {
    let working_dir = match engine.working_dir(container).await {
        Ok(folder) => folder,
        Err(error) => return Ended::Early(chain(&error)),
    };
    let path = absolute(&working_dir, &request.path);
    match request.action {
        wire::ArchiveAction::Look => match engine.look_at(container, &path).await {
            // Plain data, which JSON always has a form for.
            Ok(status) => say(outgoing, &serde_json::to_vec(&status).unwrap_or_default()).await,
            Err(error) => Ended::Early(chain(&error)),
        },
        wire::ArchiveAction::Read => match engine.read_archive(container, &path).await {
            Ok(archive) => tokio::select! {
                ended = read(archive, outgoing) => ended,
                () = departure(incoming) => Ended::ByClient,
            },
            Err(error) => Ended::Early(chain(&error)),
        },
        wire::ArchiveAction::Write => {
            let (archive, pieces) = mpsc::channel(1);
            let pieces = stream::unfold(pieces, |mut pieces| async {
                pieces.recv().await.map(|piece| (piece, pieces))
            });
            let stuck = Notify::new();
            let writing = engine.write_archive(container, &path, pieces.boxed());
            tokio::select! {
                written = writing => match written {
                    Ok(()) => Ended::ByProcess(Ok(0)),
                    Err(error) => Ended::Early(chain(&error)),
                },
                ended = feed(archive, incoming, &stuck) => ended,
                ended = live(outgoing, &stuck) => ended,
            }
        }
    }
}

async fn say(outgoing: &mut Outgoing, bytes: &[u8]) -> Ended {
    match outgoing.send(NodeMessage::Stdout(bytes).to_bytes().into()).await {
        Ok(()) => Ended::ByProcess(Ok(0)),
        Err(_) => Ended::ByClient,
    }
}

async fn read(
    mut archive: BoxStream<'static, Result<Bytes, RuntimeError>>,
    outgoing: &mut Outgoing,
) -> Ended {
    loop {
        let piece = match tokio::time::timeout(SIGN_OF_LIFE, archive.next()).await {
            Ok(None) => return Ended::ByProcess(Ok(0)),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => return Ended::Early(chain(&error)),
            Err(_) => Bytes::new(),
        };
        let mut chunks: Vec<&[u8]> = piece.chunks(wire::SESSION_CHUNK_BYTES).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for chunk in chunks {
            if matches!(say(outgoing, chunk).await, Ended::ByClient) {
                return Ended::ByClient;
            }
        }
    }
}

/// Returns when the client has gone.
async fn departure(incoming: &mut BoxStream<'static, Bytes>) {
    while incoming.next().await.is_some() {}
}

/// Hands the client's archive on. What ends before its end is no archive.
async fn feed(
    archive: mpsc::Sender<io::Result<Bytes>>,
    incoming: &mut BoxStream<'static, Bytes>,
    stuck: &Notify,
) -> Ended {
    let mut archive = Some(archive);
    while let Some(message) = incoming.next().await {
        match ClientMessage::parse(&message) {
            Ok(ClientMessage::Stdin(_)) => {
                // An engine that does not read any more has said why, or will.
                if let Some(open) = &archive {
                    let _ = patiently(open.send(Ok(message.slice(1..))), stuck).await;
                }
            }
            Ok(ClientMessage::EndOfStdin) => archive = None,
            Ok(ClientMessage::Resize(_)) => {}
            Err(error) => return Ended::Early(format!("the client sent {error}")),
        }
    }
    if let Some(open) = archive {
        let gone = io::Error::new(io::ErrorKind::UnexpectedEof, "the client has gone");
        let _ = open.send(Err(gone)).await;
    }
    Ended::ByClient
}

/// Says that the session lives until nobody can be told any more.
async fn live(outgoing: &mut Outgoing, stuck: &Notify) -> Ended {
    loop {
        // Either way it is time for one.
        let _ = tokio::time::timeout(SIGN_OF_LIFE, stuck.notified()).await;
        if matches!(say(outgoing, b"").await, Ended::ByClient) {
            return Ended::ByClient;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn paths_begin_where_the_container_works_and_never_leave_its_root() {
        for (given, meant) in [
            ("file", "/srv/app/file"),
            ("./a/../b/", "/srv/app/b"),
            ("/etc/hosts", "/etc/hosts"),
            ("/", "/"),
            ("../../../../etc", "/etc"),
            ("", "/srv/app"),
        ] {
            assert_eq!(absolute("/srv/app", given), meant, "{given}");
        }
        assert_eq!(absolute("", "file"), "/file");
    }
}
