//! The way back that a person asks for: a revert commit on the source's branch, pushed. While the branch
//! cannot be had, the cluster goes back at once, from the mirror, and the commit is owed.

use std::sync::Arc;
use std::time::Duration;

use dugout_gitsync::{GitError, Identity, Mirror, Onto, RevertProblem, RevertRequest, Reverted};
use dugout_model::{
    CommitSha, Fact, Quarantine, Release, RevisionContent, SourceCondition, SourceName, Standing,
    Timestamp, Verdict, WentBack, World, chain,
};
use dugout_store::{Store, StoreError};

use crate::handle::{EngineHandle, NotCommitted};
use crate::read::read_apart;
use crate::sources::SharedMirror;

/// How long the whole of it may take, the push included.
const ROLLBACK_DEADLINE: Duration = Duration::from_secs(60);

/// The same where the branch could not be had a moment ago either.
const HOPELESS_DEADLINE: Duration = Duration::from_secs(10);

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
    pub on_branch: OnBranch,
}

/// What the branch has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnBranch {
    Pushed(Reverted),
    /// Nothing yet: it cannot be had, for this reason. The source's loop pushes the commit when it can.
    Owed {
        why: String,
    },
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
    /// The branch is away, and by what is here the revert cannot be made.
    #[error("the branch cannot be had ({branch}), and by what is here nothing can be reverted")]
    Alone {
        branch: String,
        #[source]
        problem: RevertProblem,
    },
    /// The branch cannot be had, and the cluster cannot go back before it.
    #[error("the branch cannot be had ({branch}), and {why}")]
    NotBefore { branch: String, why: &'static str },
    #[error(
        "the branch cannot be had ({branch}), nor can that commit be read from the mirror: {why}"
    )]
    Unread { branch: String, why: String },
    #[error("the branch cannot be had ({branch}), and the way back was not taken")]
    NotCommitted {
        branch: String,
        #[source]
        error: NotCommitted,
    },
    #[error("the revert ended unexpectedly; look at the branch before trying again")]
    Interrupted,
}

/// The newest healthy commit before the newest release.
pub(crate) async fn last_healthy(
    store: &Store,
    source: &SourceName,
) -> Result<CommitSha, RollbackError> {
    let releases = history(store, source).await?;
    healthy_before_newest(&releases)
        .ok_or_else(|| RollbackError::NothingHealthy { source_name: source.clone() })
}

/// The newest releases of a source, newest first.
async fn history(store: &Store, source: &SourceName) -> Result<Vec<Release>, RollbackError> {
    store.releases(Some(source), RELEASES_LOOKED_THROUGH).await.map_err(RollbackError::History)
}

/// Whether a release of a commit was healthy.
async fn standing(
    store: &Store,
    source: &SourceName,
    sha: &CommitSha,
) -> Result<Standing, RollbackError> {
    let releases = history(store, source).await?;
    let is_proven = releases
        .iter()
        .any(|release| release.commit.sha == *sha && release.verdict == Verdict::Healthy);
    Ok(if is_proven { Standing::Proven } else { Standing::Untried })
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

/// A rollback to a commit, by its first characters.
pub(crate) struct Request {
    pub to: String,
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// Makes the revert commit and brings it to the branch. If that cannot be had, has the cluster go back
/// before it.
pub(crate) async fn perform(
    mirror: Arc<SharedMirror>,
    (engine, store): (&EngineHandle, &Store),
    world: &World,
    request: Request,
) -> Result<RolledBack, RollbackError> {
    let (source, branch) = (mirror.config.name().clone(), mirror.config.declaration.branch.clone());
    let condition = world.sources.get(&source).map(|row| &row.status.condition);
    let deadline = match condition {
        Some(SourceCondition::Unreachable { .. }) => HOPELESS_DEADLINE,
        _ => ROLLBACK_DEADLINE,
    };
    let work = move || {
        let opened = mirror.open().map_err(RollbackError::Mirror)?;
        let to = opened.resolve(&request.to).map_err(RollbackError::Commit)?;
        let reason = request.reason.unwrap_or_else(|| format!("back to {}", subject(&opened, &to)));
        let revert = revert_request(&mirror, &to, &reason, request.at, deadline);
        let declared = || mirror.declared(Arc::clone(&opened));
        match opened.revert(revert.clone(), declared()) {
            Ok(reverted) => Ok((to, Way::Pushed(reverted))),
            Err(problem) => {
                let why = away(&problem).ok_or(RollbackError::Revert(problem))?;
                // What would never come to the branch must not come to the cluster.
                opened
                    .rehearse_revert(&revert, &declared())
                    .map_err(|problem| RollbackError::Alone { branch: why.clone(), problem })?;
                let content = read_back(&mirror, &opened, &to, &why)?;
                Ok((to, Way::Alone { content, reason, why }))
            }
        }
    };
    let (to, way) =
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(RollbackError::Interrupted))?;
    let on_branch = match way {
        Way::Pushed(reverted) => OnBranch::Pushed(reverted),
        Way::Alone { content, reason, why } => {
            let standing = standing(store, &source, &to).await?;
            let asked = went_back(world, &source, (&to, standing), content, (reason, why.clone()))?;
            let submitted = engine.submit(vec![Fact::WentBack(Box::new(asked))]).await;
            submitted
                .map_err(|error| RollbackError::NotCommitted { branch: why.clone(), error })?;
            OnBranch::Owed { why }
        }
    };
    Ok(RolledBack { source, branch, to, on_branch })
}

/// How far the blocking part came.
enum Way {
    Pushed(Reverted),
    /// Without the branch, for this reason.
    Alone {
        content: RevisionContent,
        reason: String,
        why: String,
    },
}

fn revert_request(
    mirror: &SharedMirror,
    to: &CommitSha,
    reason: &str,
    at: Timestamp,
    deadline: Duration,
) -> RevertRequest {
    let declaration = &mirror.config.declaration;
    RevertRequest {
        source: declaration.name.clone(),
        to: to.clone(),
        onto: Onto::AnyHead,
        path: declaration.path.clone(),
        reason: reason.to_owned(),
        author: author(),
        at,
        deadline,
    }
}

/// Why the branch is away, if that is what is wrong.
fn away(problem: &RevertProblem) -> Option<String> {
    match problem {
        RevertProblem::Fetch(fetch) if fetch.is_away() => Some(chain(fetch)),
        _ => None,
    }
}

fn read_back(
    mirror: &SharedMirror,
    opened: &Mirror,
    to: &CommitSha,
    why: &str,
) -> Result<RevisionContent, RollbackError> {
    let (path, policy) = (&mirror.config.declaration.path, &mirror.config.policy);
    match read_apart(opened, to, path, policy) {
        Ok((content, _)) => Ok(content),
        Err(problem) => Err(RollbackError::Unread { branch: why.to_owned(), why: chain(&problem) }),
    }
}

/// What the engine is asked for, unless something speaks against it that a person should know.
fn went_back(
    world: &World,
    source: &SourceName,
    (to, standing): (&CommitSha, Standing),
    content: RevisionContent,
    (reason, why): (String, String),
) -> Result<WentBack, RollbackError> {
    let not = |reason| Err(RollbackError::NotBefore { branch: why.clone(), why: reason });
    let Some(row) = world.sources.get(source) else {
        return not("nothing of the source was ever applied");
    };
    if row.suspended {
        return not("the source is suspended: resume it first");
    }
    if world.quarantine.contains(&Quarantine { source: source.clone(), sha: to.clone() }) {
        return not("that commit failed before");
    }
    if row.status.applied.as_ref() == Some(to) {
        return not("that commit is what is applied already");
    }
    let objects = match content {
        RevisionContent::Objects { objects, .. } => objects,
        RevisionContent::Problems(_) => return not("that commit's manifests have errors"),
    };
    let (source, to) = (source.clone(), to.clone());
    Ok(WentBack { source, to, standing, objects, reason, delayed_by: why })
}

fn subject(mirror: &Mirror, sha: &CommitSha) -> String {
    let subject = mirror.commit(sha).map(|commit| commit.subject().to_owned()).unwrap_or_default();
    format!("{} {subject}", sha.short())
}
