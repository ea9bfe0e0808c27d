//! The way back that a person asks for: a revert commit on the source's branch, pushed.

use std::sync::Arc;
use std::time::Duration;

use dugout_gitsync::{GitError, Identity, Mirror, Onto, RevertProblem, RevertRequest, Reverted};
use dugout_model::{CommitSha, Release, SourceName, Timestamp, Verdict};
use dugout_store::{Store, StoreError};

use crate::sources::SharedMirror;

/// How long the whole of it may take, the push included.
const ROLLBACK_DEADLINE: Duration = Duration::from_secs(60);

/// How many releases are looked through for a healthy one.
const RELEASES_LOOKED_THROUGH: u32 = 200;

/// Who makes the commits that Dugout makes.
pub(crate) fn author() -> Identity {
    Identity { name: "Dugout".to_owned(), email: "dugout@localhost".to_owned() }
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// May be absent when there is only one source.
    pub source: Option<SourceName>,
    /// The commit whose content shall be back, by its first characters; without it, the newest healthy
    /// one before the newest release.
    pub to: Option<String>,
    pub reason: Option<String>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    pub source: SourceName,
    pub branch: String,
    /// The commit whose content is back.
    pub to: CommitSha,
    pub reverted: Reverted,
}

/// Why a rollback did not happen. The branch is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    #[error("there is no source named {source_name}")]
    UnknownSource { source_name: SourceName },
    #[error("there are several sources; name one")]
    WhichSource,
    #[error("no earlier commit of source {source_name} was healthy; name one with --to")]
    NothingHealthy { source_name: SourceName },
    #[error("the history of releases cannot be read")]
    History(#[source] StoreError),
    #[error("the source's mirror cannot be used")]
    Mirror(#[source] GitError),
    #[error("that commit cannot be used")]
    Commit(#[source] GitError),
    #[error("nothing was reverted")]
    Revert(#[source] RevertProblem),
    #[error("the revert ended unexpectedly; look at the branch before trying again")]
    Interrupted,
}

/// The newest healthy commit before the newest release.
pub(crate) async fn last_healthy(
    store: &Store,
    source: &SourceName,
) -> Result<CommitSha, RollbackError> {
    let releases = store
        .releases(Some(source), RELEASES_LOOKED_THROUGH)
        .await
        .map_err(RollbackError::History)?;
    healthy_before_newest(&releases)
        .ok_or_else(|| RollbackError::NothingHealthy { source_name: source.clone() })
}

/// Of releases, newest first: the first healthy one whose commit is not the newest release's.
fn healthy_before_newest(releases: &[Release]) -> Option<CommitSha> {
    let newest = releases.first()?;
    releases
        .iter()
        .find(|release| {
            release.verdict == Verdict::Healthy && release.commit.sha != newest.commit.sha
        })
        .map(|release| release.commit.sha.clone())
}

/// Makes the revert commit and brings it to the branch; blocks on a thread that may.
pub(crate) async fn perform(
    mirror: Arc<SharedMirror>,
    to: String,
    reason: Option<String>,
    at: Timestamp,
) -> Result<RolledBack, RollbackError> {
    let work = move || {
        let opened = mirror.open().map_err(RollbackError::Mirror)?;
        let to = opened.resolve(&to).map_err(RollbackError::Commit)?;
        let declaration = &mirror.config.declaration;
        let request = RevertRequest {
            source: declaration.name.clone(),
            to: to.clone(),
            onto: Onto::AnyHead,
            path: declaration.path.clone(),
            reason: reason.unwrap_or_else(|| format!("back to {}", subject(&opened, &to))),
            author: author(),
            at,
            deadline: ROLLBACK_DEADLINE,
        };
        let reverted = opened
            .revert(request, mirror.declared(Arc::clone(&opened)))
            .map_err(RollbackError::Revert)?;
        let (source, branch) = (declaration.name.clone(), declaration.branch.clone());
        Ok(RolledBack { source, branch, to, reverted })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RollbackError::Interrupted))
}

fn subject(mirror: &Mirror, sha: &CommitSha) -> String {
    let subject = mirror.commit(sha).map(|commit| commit.subject().to_owned()).unwrap_or_default();
    format!("{} {subject}", sha.short())
}
